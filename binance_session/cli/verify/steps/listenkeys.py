"""listenKeys of futures: who has which, what ping and stop take and answer (PROTOCOL.md §5.1)."""

from __future__ import annotations

from typing import Final

from binance_session.cli.verify.evidence import Answer, Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import FUTURES, Step, Told, agrees, differs

__all__ = ["LISTEN_KEYS"]

LISTEN_KEYS: Final = Step("listenKey", "starts and pings the listenKey, on two connections", products=FUTURES)
_ACTIVE: Final = (
    "the account had a listenKey already, or this ping made one: --stop tells, and ends the key of every other client"
)


@LISTEN_KEYS.action
async def do(x: Examination) -> None:
    """Ping without a key if there is none, start one, and ask for it in every way.

    A key that was active before is not stopped unless that was allowed.
    """
    line = await x.main()
    first = await line.ask("ping before start", "userDataStream.ping", x.named(line))
    x.owns_key = first.status != 200
    if not x.owns_key and x.wish.stop:
        await line.ask("stop what was active", "userDataStream.stop", x.named(line))
        await line.ask("ping after that", "userDataStream.ping", x.named(line))
        x.owns_key = True
    x.note("owned", x.owns_key)
    started = await line.ask("start", "userDataStream.start", x.named(line))
    key = started.field("listenKey")
    x.listen_key = key if isinstance(key, str) and key else None
    await line.ask("start again", "userDataStream.start", x.named(line))
    await line.ask("ping", "userDataStream.ping", x.named(line))
    other = await x.api("listenKey")
    assert x.wish.key is not None
    own = {"apiKey": x.wish.key.api_key}
    await other.ask("start elsewhere", "userDataStream.start", own)
    if x.wish.other_api_key is not None:
        x.recording.masks.add(x.wish.other_api_key, "other apiKey")
        await other.ask("start with another key", "userDataStream.start", {"apiKey": x.wish.other_api_key})
    if "signature" in x.wish.given:
        await other.ask("signed ping", "userDataStream.ping", x.signed())
    await line.ask("ping with the key", "userDataStream.ping", x.named(line, {"listenKey": x.listen_key or ""}))


def _key(answer: Answer) -> str:
    key = answer.field("listenKey")
    if answer.status != 200 or not isinstance(key, str) or not key:
        raise Untold(f"no listenKey: {answer}")
    return key


@LISTEN_KEYS.probe(
    "ping-without-key",
    asks="Does userDataStream.ping without an active listenKey bring -1125, or make one?",
    says="-1125 where a key is unknown, of this case no document says (assumed: the same, with status 400)",
    source="§5.1",
    needs=("key",),
    documented=False,
    question=4,
)
def ping_without_key(seen: Evidence) -> Told:
    """Judge the ping before any start, or the one behind a stop."""
    answer = seen.permitted("ping before start")
    if answer.status == 200:
        if seen.sent("ping after that") is None:
            raise Untold(_ACTIVE)
        answer = seen.answer("ping after that")
    if answer.status == 200:
        return differs("a key was made", ping_without_key="created")
    if (answer.status, answer.code) == (400, -1125):
        return agrees(str(answer), ping_without_key="refused")
    if answer.code == -1125:
        return differs(str(answer), ping_without_key="refused")
    return differs(str(answer))


@LISTEN_KEYS.probe(
    "start",
    asks="Does userDataStream.start bring a listenKey, and the same one the next time?",
    says="200 with listenKey; while one is active that one, extended to 60 minutes",
    source="§5.1",
    needs=("key",),
)
def start(seen: Evidence) -> Told:
    """Judge two starts."""
    answer = seen.permitted("start")
    if answer.status != 200 or not isinstance(answer.field("listenKey"), str):
        return differs(str(answer))
    same = _key(seen.answer("start again")) == _key(answer)
    return agrees("the same key twice") if same else differs("a second start brought another key")


@LISTEN_KEYS.probe(
    "ping",
    asks="Does userDataStream.ping take no parameters after a logon, and answer the key that it extended?",
    says="200 with listenKey; the apiKey may be left out after session.logon",
    source="§5.1",
    needs=("key",),
)
def ping(seen: Evidence) -> Told:
    """Judge the ping of the started key."""
    answer = seen.permitted("ping")
    if answer.status != 200:
        return differs(str(answer))
    same = answer.field("listenKey") == _key(seen.answer("start"))
    return agrees("it answered the started key") if same else differs("it answered another key, or none")


@LISTEN_KEYS.probe(
    "start-elsewhere",
    asks="Does a second connection of the same apiKey get the same listenKey?",
    says="yes: it is the account's",
    source="§5.1",
    needs=("key",),
    question=5,
)
def start_elsewhere(seen: Evidence) -> Told:
    """Judge the start on the second connection."""
    same = _key(seen.answer("start elsewhere")) == _key(seen.answer("start"))
    return agrees("the same key") if same else differs("another key")


@LISTEN_KEYS.probe(
    "start-other-key",
    asks="Does another apiKey of the same account get the same listenKey?",
    says="measured on USD-M: yes; on COIN-M no document says",
    source="§5.1",
    needs=("key", "other key"),
    documented=False,
    question=5,
)
def start_other_key(seen: Evidence) -> Told:
    """Judge the start with the other apiKey."""
    same = _key(seen.answer("start with another key")) == _key(seen.answer("start"))
    if same:
        return agrees("the same key", listen_key_per="account")
    return differs("another key", listen_key_per="key")


@LISTEN_KEYS.probe(
    "listen-key-param",
    asks="Does userDataStream.ping take a listenKey parameter?",
    says="none is documented; assumed: refused with -1106",
    source="§5.1",
    needs=("key",),
    documented=False,
    question=4,
)
def listen_key_param(seen: Evidence) -> Told:
    """Judge the ping with the parameter."""
    _key(seen.answer("ping"))
    answer = seen.answer("ping with the key")
    if answer.status == 200:
        return differs("taken", accepts_listen_key_param=True)
    told = agrees if (answer.status, answer.code) == (400, -1106) else differs
    return told(str(answer), accepts_listen_key_param=False)


@LISTEN_KEYS.probe(
    "unasked-signature",
    asks="Does userDataStream.ping take a signature and a timestamp, which it does not ask for?",
    says="it needs the apiKey alone; assumed: refused with -1106",
    source="§3, §5.1",
    needs=("signature",),
    documented=False,
)
def unasked_signature(seen: Evidence) -> Told:
    """Judge the signed ping."""
    _key(seen.answer("ping"))
    answer = seen.answer("signed ping")
    if answer.status == 200:
        return differs("ignored", unasked_signature="ignored")
    told = agrees if (answer.status, answer.code) == (400, -1106) else differs
    return told(str(answer), unasked_signature="refused")
