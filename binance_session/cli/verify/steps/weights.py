"""Request weights: what an answer counts, what a connection costs, what is shared (PROTOCOL.md §1.3, §8)."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from binance_session.cli.verify.evidence import Answer, Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import Step, Told, agrees, differs

__all__ = ["WEIGHTS"]

WEIGHTS: Final = Step("weights", "counts request weight on two connections")
_LABELS: Final = ("first", "second", "third")
#: of session.status
_WEIGHT: Final = 2
#: seconds of a minute in which its end would spoil the count
_TOO_LATE: Final = 50


@WEIGHTS.action
async def do(x: Examination) -> None:
    """Ask for the status on one connection, then on a new one, within one minute of the exchange's clock."""
    line = await x.main()
    second = x.now_ms() / 1000 % 60
    if second > _TOO_LATE:
        await x.pause(61 - second)
    for label in _LABELS:
        await line.ask(label, "session.status")
    other = await x.api("weights")
    await other.ask("on another connection", "session.status")
    await other.close()


def _count(answer: Answer) -> int:
    count = answer.count()
    if answer.status != 200 or count is None:
        raise Untold(f"the answer has no REQUEST_WEIGHT of a minute ({answer})")
    return count


@WEIGHTS.probe(
    "weight",
    asks="Does an answer's count grow by the documented weight?",
    says="session.status weighs 2; the count is the address's running total of a calendar minute",
    source="§4, §8",
)
def weight(seen: Evidence) -> Told:
    """Judge the growth between three answers; others may use the address too."""
    counts = [_count(seen.answer(label)) for label in _LABELS]
    grown = [later - earlier for earlier, later in pairwise(counts)]
    text = f"grew by {' and '.join(map(str, grown))}"
    if all(each == _WEIGHT for each in grown):
        return agrees(text)
    if all(each >= _WEIGHT for each in grown) and _WEIGHT in grown:
        return agrees(f"{text}: once by more, so others use this address too")
    if all(each > _WEIGHT for each in grown) and len(set(grown)) > 1:
        raise Untold(f"{text}: others use this address too")
    if any(each < 0 for each in grown):
        raise Untold(f"{text}: a new minute began")
    return differs(text)


@WEIGHTS.probe(
    "connection-weight",
    asks="Is the weight shared by the connections of an address, and what does a connection cost?",
    says="shared; a handshake costs 5 on futures and 2 on Spot",
    source="§1.3, §8",
    question=11,
)
def connection_weight(seen: Evidence) -> Told:
    """Judge the count on the second connection."""
    before, after = _count(seen.answer(_LABELS[-1])), _count(seen.answer("on another connection"))
    cost = 2 if seen.head.venue.startswith("spot") else 5
    grown = after - before
    if grown == cost + _WEIGHT:
        return agrees(f"shared; the handshake cost {cost}")
    if after < before and after <= cost + _WEIGHT:
        return differs(f"the second connection counts {after} where the first had {before}: it counts for itself")
    if grown > cost + _WEIGHT:
        raise Untold(f"grew by {grown}, {cost + _WEIGHT} expected: others may use this address too")
    return differs(f"grew by {grown}, {cost + _WEIGHT} expected")
