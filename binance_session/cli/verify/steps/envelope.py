"""The envelope: ids, unknown methods, what the address's query asks for, compression (PROTOCOL.md §1.3, §2)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from binance_session.cli.verify.evidence import Answer, Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import FUTURES, Step, Told, agrees, differs
from binance_session.simulator.product import Product

__all__ = ["ADDRESS", "ENVELOPE"]

ENVELOPE: Final = Step("envelope", "sends ids of every form, the same one twice, a method that does not exist")
_TEXT_36: Final = "verify-0123456789-0123456789-0123456"
_IDS: Final[dict[str, Any]] = {
    "id: text": _TEXT_36,
    "id: largest": 2**63 - 1,
    "id: negative": -(2**63),
    "id: null": None,
}
#: seconds in which a second answer would come
_ANOTHER: Final = 1.0


@ENVELOPE.action
async def do(x: Examination) -> None:
    """Ask for the status under each id, then what is not so clear, and at last without an id."""
    line = await x.main()
    for label, each in _IDS.items():
        await line.ask(label, "session.status", id=each)
    await line.ask("unknown method", "verify.unknown")
    await line.ask("versioned method", ("v1/" if x.product in FUTURES else "v3/") + "session.status")
    if x.product in FUTURES:
        await line.ask("time", "time")
        await line.ask("ping", "ping")
        await line.ask("subscribe", "userDataStream.subscribe")
    await line.ask("hidden limits", "session.status", {"returnRateLimits": False})
    other = await x.api("ids")
    first = other.send("duplicate", "session.status", id="verify-twice")
    second = other.send("duplicate again", "session.status", id="verify-twice")
    await asyncio.gather(other.answer_to(first, "duplicate"), other.answer_to(second, "duplicate again"))
    if x.product is Product.SPOT:
        other.send("id: too long", "session.status", id=_TEXT_36 + "7")
        await other.until(lambda: bool(other.unmatched), _ANOTHER)
    last = await x.api("no id")
    last.send_message("no id", {"method": "session.status"})
    await last.until_closed(3 * _ANOTHER)


@ENVELOPE.probe(
    "ids",
    asks="Which forms of an id are echoed as they were sent?",
    says="a text of 36 characters, any 64-bit integer, null (the limits are documented for Spot alone)",
    source="§2",
    question=9,
)
def ids(seen: Evidence) -> Told:
    """Judge that each has its own answer."""
    wrong = []
    for label in _IDS:
        try:
            answer = seen.answer(label)
        except Untold:
            wrong.append(f"{label}: no answer under this id")
            continue
        if answer.status != 200:
            wrong.append(f"{label}: {answer}")
    if len(wrong) == len(_IDS):
        raise Untold("none was answered")
    return differs("; ".join(wrong)) if wrong else agrees("all of them")


@ENVELOPE.probe(
    "id-too-long",
    asks="Is an id of more than 36 characters refused?",
    says="36 characters at most; the answer is assumed to be 400 with -1100",
    source="§2",
    products=frozenset({Product.SPOT}),
    documented=False,
)
def id_too_long(seen: Evidence) -> Told:
    """Judge the answer, which may have no id."""
    answer = _any_answer(seen, "id: too long")
    return (agrees if answer.status == 400 else differs)(str(answer))


def _any_answer(seen: Evidence, label: str) -> Answer:
    """Return the answer to a request, or the refusal with another id that came behind it."""
    if found := seen.answers(label):
        return found[0]
    sent = seen.sent(label)
    if sent is None:
        raise Untold(f"{label}: it was not asked, because of what came before")
    for record in seen.on(sent.line):
        if record.at >= sent.at and record.what == "received" and isinstance(record.body, dict):
            answer = Answer(record.body, record.at)
            if answer.status == 400:
                return answer
    raise Untold(f"{label}: no answer")


@ENVELOPE.probe(
    "duplicate-id",
    asks="What becomes of two requests under one id, both in flight?",
    says="an id may be used again, but not for two at a time; no document says what comes; assumed: two answers",
    source="§2",
    documented=False,
)
def duplicate_id(seen: Evidence) -> Told:
    """Judge how many answers came."""
    answers = seen.answers("duplicate")
    sent = seen.sent("duplicate")
    if sent is None or not answers:
        raise Untold("no answer came to either")
    text = "; ".join(map(str, answers))
    if seen.closed(sent.line) is not None:
        return differs(f"the connection was ended; {text}")
    if len(answers) == 1:
        seen.nothing_since(answers[0].at, _ANOTHER)
    right = len(answers) == 2 and all(answer.status == 200 for answer in answers)
    return (agrees if right else differs)(f"{len(answers)} answer(s): {text}")


@ENVELOPE.probe(
    "no-id",
    asks="What becomes of a request without an id?",
    says="the connection is ended without an answer (measured on Spot, 1006)",
    source="§2",
    documented=False,
)
def no_id(seen: Evidence) -> Told:
    """Judge what came on that connection."""
    if seen.opened("no id").what != "open":
        raise Untold("the connection was refused")
    received = [record.body for record in seen.on("no id") if record.what == "received"]
    if received:
        return differs(f"answered: {Answer(received[0])}" if isinstance(received[0], dict) else "answered")
    closed = seen.closed("no id", lost=True)
    if closed is None:
        seen.nothing_since(seen.opened("no id").at, 3 * _ANOTHER)
        return differs("nothing: neither an answer nor an end")
    return agrees(f"the connection was ended, code {closed.body.get('code')}")


@ENVELOPE.probe(
    "unknown-method",
    asks="What does a method bring that does not exist?",
    says="futures: -5000 'Method v1/... is invalid' (captured), Spot: -1020 (assumed); status 400 (assumed)",
    source="§2, §9",
    documented=False,
    question=3,
)
def unknown_method(seen: Evidence) -> Told:
    """Judge the refusal."""
    answer = seen.answer("unknown method")
    wanted = -1020 if seen.head.venue.startswith("spot") else -5000
    return (agrees if (answer.status, answer.code) == (400, wanted) else differs)(str(answer))


@ENVELOPE.probe(
    "version-prefix",
    asks="May a method carry a version prefix?",
    says="v1/ on futures, v3/ on Spot",
    source="§2",
)
def version_prefix(seen: Evidence) -> Told:
    """Judge the answer."""
    answer = seen.answer("versioned method")
    return (agrees if answer.status == 200 else differs)(str(answer))


@ENVELOPE.probe(
    "undocumented-methods",
    asks="Do ping and time answer on futures?",
    says="in no document; time answered on USD-M; assumed: both on USD-M, neither on COIN-M",
    source="§6",
    products=FUTURES,
    documented=False,
)
def undocumented_methods(seen: Evidence) -> Told:
    """Judge both."""
    answers = {name: seen.answer(name) for name in ("ping", "time")}
    there = [name for name, answer in answers.items() if answer.status == 200]
    wanted = ["ping", "time"] if seen.head.venue.startswith("usd-m") else []
    return (agrees if there == wanted else differs)("; ".join(f"{name}: {each}" for name, each in answers.items()))


@ENVELOPE.probe(
    "no-subscribe",
    asks="Does userDataStream.subscribe exist on futures?",
    says="no: -5000 (captured)",
    source="§5.1",
    products=FUTURES,
    documented=False,
)
def no_subscribe(seen: Evidence) -> Told:
    """Judge the refusal."""
    answer = seen.answer("subscribe")
    return (agrees if answer.code == -5000 else differs)(str(answer))


@ENVELOPE.probe(
    "return-rate-limits",
    asks="Does returnRateLimits: false hide the limits of one answer?",
    says="yes; by default each answer has them",
    source="§2",
)
def return_rate_limits(seen: Evidence) -> Told:
    """Judge an answer with and one without."""
    shown, hidden = seen.answer("id: text"), seen.answer("hidden limits")
    if hidden.status != 200:
        return differs(f"the parameter: {hidden}")
    text = f"by default {len(shown.limits)} limit(s), with false {'none' if not hidden.limits else 'some'}"
    return (agrees if shown.limits and "rateLimits" not in hidden.frame else differs)(text)


# The address

ADDRESS: Final = Step("address", "opens connections with options in the query, and one that offers compression")


@ADDRESS.action
async def options(x: Examination) -> None:
    """Ask for the status on each."""
    line = await x.api("limits hidden", "?returnRateLimits=false")
    await line.ask("hidden", "session.status")
    await line.ask("shown", "session.status", {"returnRateLimits": True})
    await line.close()
    line = await x.api("microseconds", "?timeUnit=MICROSECOND")
    await line.ask("microseconds", "session.status")
    await line.close()
    line = await x.api("compression", compression="deflate")
    await line.ask("compressed", "session.status")
    await line.close()


@ADDRESS.probe(
    "return-rate-limits-url",
    asks="Does returnRateLimits=false in the address hide all limits, and does a request's true show them?",
    says="yes, both",
    source="§2",
)
def return_rate_limits_url(seen: Evidence) -> Told:
    """Judge an answer without and one with."""
    hidden, shown = seen.answer("hidden"), seen.answer("shown")
    wrong = [] if "rateLimits" not in hidden.frame else ["they came all the same"]
    wrong += [] if shown.limits else ["true did not bring them back"]
    return differs("; ".join(wrong)) if wrong else agrees("hidden, and shown where a request says true")


@ADDRESS.probe(
    "time-unit",
    asks="Does timeUnit=MICROSECOND in the address bring times in µs?",
    says="on Spot: yes",
    source="§1.3",
    products=frozenset({Product.SPOT}),
)
def time_unit(seen: Evidence) -> Told:
    """Judge the size of serverTime."""
    return _time_unit(seen, microseconds=True)


@ADDRESS.probe(
    "time-unit-ignored",
    asks="Does timeUnit=MICROSECOND in the address bring times in µs?",
    says="on futures no document says so; assumed: it changes nothing",
    source="§1.3",
    products=FUTURES,
    documented=False,
    question=8,
)
def time_unit_ignored(seen: Evidence) -> Told:
    """Judge the size of serverTime."""
    return _time_unit(seen, microseconds=False)


def _time_unit(seen: Evidence, *, microseconds: bool) -> Told:
    opened = seen.opened("microseconds")
    if opened.what == "refused":
        return differs(f"the handshake was refused with HTTP {opened.body['status']}")
    time = seen.answer("microseconds").field("serverTime")
    if not isinstance(time, int):
        raise Untold("the answer has no serverTime")
    found = time >= 10**14
    return (agrees if found is microseconds else differs)(f"serverTime has {len(str(time))} digits")


@ADDRESS.probe(
    "compression",
    asks="Is permessage-deflate agreed to when it is offered?",
    says="no document says; assumed: no",
    source="§1.3",
    documented=False,
)
def compression(seen: Evidence) -> Told:
    """Judge the handshake's answer."""
    opened = seen.opened("compression")
    if opened.what == "refused":
        return differs(f"the handshake was refused with HTTP {opened.body['status']}")
    chosen = opened.body.get("extensions")
    answer = seen.answer("compressed")
    return differs(f"yes: {chosen}; {answer}") if chosen else agrees("no")
