"""The stream socket of futures: its addresses, a made-up key, and what stop brings (PROTOCOL.md §1.2, §5.3)."""

from __future__ import annotations

import asyncio
import secrets
import string
from typing import Final

from binance_session.cli.verify.evidence import Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.line import Line
from binance_session.cli.verify.probe import FUTURES, Step, Told, agrees, differs
from binance_session.simulator.product import Product

__all__ = ["STOPPING", "STREAMS"]

STREAMS: Final = Step("streams", "opens stream sockets at every form of the address", products=FUTURES)
STOPPING: Final = Step(
    "stop", "stops the listenKey that it started, and sees what the sockets are told", products=FUTURES
)

_PATH, _QUERY, _EVENTS, _MADE_UP = "stream: path", "stream: query", "stream: query with events", "stream: made-up key"
_FORMS: Final = (_PATH, _QUERY, _EVENTS)
#: seconds
_SETTLE: Final = 1.0
_UNTIL_EVENT: Final = 5.0
_UNTIL_CLOSED: Final = 5.0
_EXPIRED: Final = "listenKeyExpired"


@STREAMS.action
async def connect(x: Examination) -> None:
    """Open one socket for each form; they stay open for the steps to come."""
    if x.wish.stream_url is None:
        x.note("", "--url was given without --stream-url, so it is not known where the stream is")
        return
    if x.listen_key is None:
        x.note("", "there is no listenKey to connect with")
        return
    key = x.listen_key
    await x.stream(_PATH, f"/ws/{key}")
    await x.stream(_QUERY, f"/ws?listenKey={key}")
    if x.product is Product.USD_M:
        await x.stream(_EVENTS, f"/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE")
    made_up = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(64))
    x.recording.masks.add(made_up, "made-up listenKey")
    await x.stream(_MADE_UP, x.wish.venue.stream_path.format(key=made_up))
    await x.pause(_SETTLE)


@STOPPING.action
async def stop(x: Examination) -> None:
    """Stop the key if it is ours; wait for what the sockets are told, and whether they are closed."""
    if not x.owns_key:
        x.note("", "the account had a listenKey already, which is not stopped: --stop allows it")
        return
    main = await x.main()
    await main.ask("stop", "userDataStream.stop", x.named(main))
    lines = [line for name, line in x.streams.items() if name in _FORMS and line.is_open]
    await asyncio.gather(*(line.until(lambda line=line: _told(line), _UNTIL_EVENT) for line in lines))  # type: ignore[misc]
    await x.pause(_UNTIL_CLOSED)
    await main.ask("ping after stop", "userDataStream.ping", x.named(main))
    await main.ask("stop again", "userDataStream.stop", x.named(main))
    for line in x.streams.values():
        await line.close()


def _told(line: Line) -> bool:
    return any(event.get("e") == _EXPIRED for event in line.events)


def _brings_events(seen: Evidence, name: str, what: str) -> Told:
    """Judge whether a form of the address brings events, by what came on the others."""
    opened = seen.opened(name)
    if opened.what == "refused":
        return differs(f"the handshake was refused with HTTP {opened.body['status']}")
    if seen.events(name):
        return agrees(f"events came ({', '.join(_kinds(seen, name))})", **{what: "works"} if what else {})
    others = [other for other in _FORMS if other != name and _comes(seen, other)]
    if not others:
        raise Untold("no event came on any socket: --orders brings some, and so may stopping the listenKey")
    seen.nothing_since(min(at for other in others for at, _ in seen.events(other)), _SETTLE)
    return differs(f"silent, while events came on {others[0]!r}", **{what: "silent"} if what else {})


def _comes(seen: Evidence, name: str) -> bool:
    return bool(seen.events(name))


def _kinds(seen: Evidence, name: str) -> list[str]:
    return sorted({str(event.get("e")) for _, event in seen.events(name)})


@STREAMS.probe(
    "stream-path",
    asks="Does the path form, /ws/KEY, bring events?",
    says="COIN-M and the testnets: yes; USD-M in production: one document says yes, a measurement no (assumed: silent)",
    source="§1.2",
    needs=("key",),
    documented=False,
    question=13,
)
def stream_path(seen: Evidence) -> Told:
    """Judge what came by the path form."""
    usd_m, testnet = seen.head.venue.startswith("usd-m"), seen.head.venue.endswith("testnet")
    told = _brings_events(seen, _PATH, "usd_m_path" if usd_m and not testnet else "")
    if usd_m and not testnet:  # silent is what is assumed
        return Told(not told.agrees, told.seen, told.readings)
    return told


@STREAMS.probe(
    "stream-query",
    asks="Does the query form, /ws?listenKey=KEY without events, bring events?",
    says="USD-M: measured, yes; COIN-M: in no document, one client uses it (assumed: yes)",
    source="§1.2",
    needs=("key",),
    documented=False,
    question=7,
)
def stream_query(seen: Evidence) -> Told:
    """Judge what came by the query form."""
    return _brings_events(seen, _QUERY, "usd_m_query" if seen.head.venue.startswith("usd-m") else "coin_m_query")


@STREAMS.probe(
    "stream-events",
    asks="Is the parameter events an allow list, which keeps listenKeyExpired from coming?",
    says="measured: only the named types come; documented with events in its example",
    source="§1.2, §5.3",
    needs=("key",),
    products=frozenset({Product.USD_M}),
    documented=False,
    question=13,
)
def stream_events(seen: Evidence) -> Told:
    """Judge which types came by the query form with events."""
    opened = seen.opened(_EVENTS)
    if opened.what == "refused":
        return differs(f"the handshake was refused with HTTP {opened.body['status']}")
    here = set(_kinds(seen, _EVENTS))
    elsewhere = set(_kinds(seen, _QUERY)) | set(_kinds(seen, _PATH))
    if not elsewhere:
        raise Untold("no event came on any socket")
    if here - {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"}:
        return differs(f"others came too: {', '.join(sorted(here))}")
    missed = (elsewhere & {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"}) - here
    if missed:
        seen.nothing_since(max(at for name in (_PATH, _QUERY) for at, _ in seen.events(name)), _SETTLE)
        return differs(f"{', '.join(sorted(missed))} did not come")
    return agrees(f"not here: {', '.join(sorted(elsewhere - here)) or 'nothing else was pushed'}")


@STREAMS.probe(
    "stream-made-up",
    asks="Is a listenKey that was made up accepted by the stream's handshake, in silence?",
    says="measured on USD-M: accepted and silent; COIN-M: assumed the same",
    source="§1.2",
    needs=("key",),
    documented=False,
    question=7,
)
def stream_made_up(seen: Evidence) -> Told:
    """Judge the handshake with the made-up key."""
    opened = seen.opened(_MADE_UP)
    if opened.what == "refused":
        return differs(f"refused with HTTP {opened.body['status']}", unknown_stream="refused")
    closed = seen.closed(_MADE_UP)
    if closed is not None and closed.step == opened.step:
        return differs(f"accepted, and ended soon after (code {closed.body.get('code')})", unknown_stream="refused")
    if seen.events(_MADE_UP):
        return differs("accepted, and events came")
    seen.nothing_since(opened.at, _SETTLE)
    return agrees("accepted, and silent", unknown_stream="silent")


# What stop brings


def _stopped(seen: Evidence) -> float:
    answer = seen.answer("stop")
    if answer.status != 200:
        raise Untold(f"stop: {answer}")
    return answer.at


@STOPPING.probe(
    "stop",
    asks="Does userDataStream.stop end the key?",
    says="200 with {}; a ping or a stop behind it brings 400 with -1125",
    source="§5.1",
    needs=("key",),
    question=3,
)
def stopped(seen: Evidence) -> Told:
    """Judge the stop, and the ping and the stop behind it."""
    answer = seen.answer("stop")
    if answer.status != 200:
        return differs(str(answer))
    again, ping = seen.answer("stop again"), seen.answer("ping after stop")
    wrong = [] if answer.result == {} else [f"the result is {answer.result}"]
    wrong += [] if (again.status, again.code) == (400, -1125) or ping.status == 200 else [f"the second stop: {again}"]
    if ping.status == 200:
        raise Untold("the ping behind it made a key, or another client started one")
    wrong += [] if (ping.status, ping.code) == (400, -1125) else [f"the ping behind it: {ping}"]
    return differs("; ".join(wrong)) if wrong else agrees("200 with {}, and -1125 from then on")


@STOPPING.probe(
    "expired-by-stop",
    asks="Does stop push listenKeyExpired to the sockets, and how often?",
    says="measured on USD-M: it does; COIN-M: no document says; assumed: once",
    source="§5.3",
    needs=("key",),
    documented=False,
    question=6,
)
def expired_by_stop(seen: Evidence) -> Told:
    """Judge what the sockets were told."""
    _stopped(seen)
    told = {name: len(seen.events(name, _EXPIRED)) for name in _FORMS if seen.on(name)}
    most = max(told.values(), default=0)
    if most:
        text = "; ".join(f"{name}: {count}" for name, count in told.items())
        return (agrees if most == 1 else differs)(text, stop_pushes_expired=True, expired_pushes=most)
    seen.nothing_since(seen.answer("stop").at, _UNTIL_EVENT)
    if not any(seen.events(name) for name in _FORMS):
        raise Untold(
            "nothing came on any socket, neither this nor another event: --orders tells whether any brings events"
        )
    return differs(f"it did not come within {_UNTIL_EVENT:g} s, though other events did", stop_pushes_expired=False)


@STOPPING.probe(
    "stream-after-expiry",
    asks="Does the socket stay open behind listenKeyExpired?",
    says="one document says that it does, another that the stream closes (assumed: it stays)",
    source="§5.3",
    needs=("key",),
    documented=False,
    question=6,
)
def stream_after_expiry(seen: Evidence) -> Told:
    """Judge the end of the sockets that were told."""
    _stopped(seen)
    told = [name for name in _FORMS if seen.events(name, _EXPIRED)]
    if not told:
        raise Untold("no socket was told of the key's end")
    closed = [record for name in told if (record := seen.closed(name)) is not None]
    if closed:
        code = closed[0].body.get("code")
        return differs(f"the exchange closed it, code {code}", expiry_closes_stream=True)
    seen.nothing_since(_stopped(seen), _UNTIL_CLOSED)
    return agrees(f"open {_UNTIL_CLOSED:g} s later", expiry_closes_stream=False)
