"""What takes minutes (--slow), or a hand at the exchange's web site (--revocation)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Final

from binance_session.cli.verify.evidence import Answer, Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.line import Line, NoAnswer
from binance_session.cli.verify.probe import Step, Told, agrees, differs

__all__ = ["REVOCATION", "SLOW"]

SLOW: Final = Step("slow", "waits for the exchange's pings, and leaves some unanswered", limit=1200.0)
_ANSWERING, _SILENT = "slow: pongs", "slow: no pongs"
_PINGS: Final = 3
#: how much later than documented is waited for
_PATIENCE: Final = 1.4
#: how far off an interval may be
_TOLERANCE: Final = 0.2


@SLOW.action
async def wait(x: Examination) -> None:
    """Wait on two connections at once: one that answers pings, and one that does not."""
    interval, deadline = x.wish.venue.server_ping_interval, x.wish.venue.pong_timeout
    answering, silent = await x.api(_ANSWERING), await x.api(_SILENT)
    silent.withhold_pongs()

    def pinged() -> bool:
        return sum(record.what == "ping" and record.line == _ANSWERING for record in x.recording.records) >= _PINGS

    await asyncio.gather(
        answering.until(pinged, interval * _PINGS * _PATIENCE),
        silent.until_closed((interval + deadline) * _PATIENCE),
    )
    for line in (answering, silent):
        await line.close()


def _expected(seen: Evidence) -> tuple[float, float]:
    """Return the documented seconds between pings, and those for a pong."""
    return (20.0, 60.0) if seen.head.venue.startswith("spot") else (180.0, 600.0)


@SLOW.probe(
    "ping-cadence",
    asks="How often does the exchange ping?",
    says="every 3 minutes on futures, every 20 seconds on Spot",
    source="§1.3",
    needs=("slow",),
)
def ping_cadence(seen: Evidence) -> Told:
    """Judge the times between pings."""
    times = [record.at for record in seen.on(_ANSWERING) if record.what == "ping"]
    if len(times) < 2:
        opened = seen.opened(_ANSWERING)
        if seen.closed(_ANSWERING, lost=True) is not None:
            raise Untold("the connection was ended")
        seen.nothing_since(opened.at, _expected(seen)[0] * _PINGS)
        return differs(f"{len(times)} ping(s) while {_PINGS} should have come")
    between = [later - earlier for earlier, later in pairwise(times)]
    text = f"every {', '.join(f'{each:.0f}' for each in between)} s"
    expected, _ = _expected(seen)
    right = all(abs(each - expected) <= expected * _TOLERANCE for each in between)
    return (agrees if right else differs)(text)


@SLOW.probe(
    "missing-pong",
    asks="When does the exchange end a connection that answers no ping?",
    says="10 minutes after a ping on futures, 1 minute on Spot",
    source="§1.3",
    needs=("slow",),
)
def missing_pong(seen: Evidence) -> Told:
    """Judge the time between the first ping and the end."""
    interval, expected = _expected(seen)
    pings = [record.at for record in seen.on(_SILENT) if record.what == "ping"]
    seen.opened(_SILENT)
    closed = seen.closed(_SILENT, lost=True)
    if not pings:
        raise Untold("no ping came")
    if closed is None:
        seen.nothing_since(pings[0], expected + interval)
        return differs("it was not ended")
    took = closed.at - pings[0]
    text = f"{took:.0f} s after the first ping, code {closed.body.get('code')}"
    right = expected * (1 - _TOLERANCE) <= took <= expected * (1 + _TOLERANCE) + interval
    if not right:
        seen.closed(_SILENT)
    return (agrees if right else differs)(text)


# A revoked key

REVOCATION: Final = Step("revocation", "asks again and again, until the key is deleted", limit=400.0)
_REVOKED: Final = "revocation"
#: seconds
_BETWEEN: Final = 3.0
_UNTIL_REVOKED: Final = 300.0
_BEHIND: Final = 3.0


@REVOCATION.action
async def revoked(x: Examination) -> None:
    """Ask with the logon alone until a 401 says that the key is not valid any more."""
    line = await x.api(_REVOKED)
    if (await x.log_on(line, "logon")).status != 200:
        return
    x.wish.outside("revocation")
    number = 0
    method, params = x.absent_order
    limit = asyncio.get_running_loop().time() + _UNTIL_REVOKED
    while asyncio.get_running_loop().time() < limit and not _refusal(line):
        number += 1
        future = line.send(f"ask {number}", method, x.timed(params))
        await line.until(lambda future=future: future.done() or _refusal(line), line.timeout)  # type: ignore[misc]
        if not line.is_open or (future.done() and future.result().status == 401):
            break
        if not future.done() and not _refusal(line):
            raise NoAnswer(f"ask {number}: no answer within {line.timeout:g} s")
        await line.until_closed(_BETWEEN) if not _refusal(line) else None
    x.note("last", f"ask {number}")
    await line.until_closed(_BEHIND)
    await line.close()


def _refusal(line: Line) -> bool:
    return any(message.get("status") == 401 for message in line.unmatched)


@REVOCATION.probe(
    "revoked-answer",
    asks="Does the 401 with id null that ends a logon come in place of the request's answer, or besides it?",
    says="'after the next request the session will be revoked with the following error message' (assumed: instead)",
    source="§2",
    needs=("logon", "revocation"),
    documented=False,
    question=3,
)
def revoked_answer(seen: Evidence) -> Told:
    """Judge what came behind the last request."""
    last, null = seen.note("last"), _null_401(seen)
    answers = seen.answers(last)
    own = bool(answers) and answers[0].status == 401
    if null is None:
        if own:
            return differs(f"only the request's own answer: {answers[0]}")
        raise Untold("the key was not deleted in time")
    text = f"id null: {null}"
    if own:
        return differs(f"{text}; and the request's own answer: {answers[0]}", revoked_answer="added")
    seen.nothing_since(null.at, _BEHIND)
    return agrees(f"{text}; no other answer", revoked_answer="replaced")


@REVOCATION.probe(
    "revoked-closes",
    asks="Is the connection ended behind the 401 of a revocation?",
    says="no document says; assumed: no",
    source="§2",
    needs=("logon", "revocation"),
    documented=False,
    question=3,
)
def revoked_closes(seen: Evidence) -> Told:
    """Judge the end of the connection."""
    seen.note("last")
    null = _null_401(seen)
    if null is None:
        raise Untold("no 401 with id null came")
    closed = seen.closed(_REVOKED)
    if closed is not None:
        return differs(f"ended, code {closed.body.get('code')}", revoked_closes=True)
    seen.nothing_since(null.at, _BEHIND)
    return agrees(f"open {_BEHIND:g} s later", revoked_closes=False)


def _null_401(seen: Evidence) -> Answer | None:
    for record in seen.on(_REVOKED):
        if record.what == "received" and isinstance(record.body, dict):
            answer = Answer(record.body, record.at)
            if answer.status == 401 and record.body.get("id", 0) is None:
                return answer
    return None
