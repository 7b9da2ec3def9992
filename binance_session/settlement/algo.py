"""USD-M's algo orders, of which no method of this API tells (PROTOCOL.md §6.1).

``order.status`` says -2013 of one that stands. So only its event, or the late answer to the request itself, can tell
that it stands, and nothing can tell that it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define

from binance_session.errors import ApiError
from binance_session.responses import Event
from binance_session.settlement.fate import Fate, no, yes
from binance_session.settlement.sent import Moment, Sent
from binance_session.settlement.steps import Ask, More, same

__all__ = ["ALGO_UPDATE", "AlgoCancelled", "AlgoPlaced"]

ALGO_UPDATE: Final = "ALGO_UPDATE"
_ELSEWHERE: Final = (
    "no event of it came, and no method of this API knows of algo orders: ask REST GET /fapi/v1/algoOrder, by"
    " clientAlgoId"
)
#: what an algo order that ended otherwise is
_ENDED: Final = frozenset({"TRIGGERED", "FINISHED", "EXPIRED", "REJECTED"})


def _update(event: Event) -> Mapping[str, Any] | None:
    order = event.data.get("o") if event.type == ALGO_UPDATE else None
    return order if isinstance(order, Mapping) else None


def _time(event: Event) -> object:
    """Return when what an event tells of happened (ms)."""
    return event.data.get("T", event.time)


class _OnlyHeard:
    """A question that no query can answer, but events may."""

    __slots__ = ()

    def ask(self) -> Ask | None:
        """Ask nothing."""
        return None

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """Do nothing: nothing is asked."""
        return More.LATER

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """Do nothing: nothing is asked."""
        return More.LATER


@define(eq=False)
class AlgoPlaced(_OnlyHeard):
    """A new algo order: it took effect if ALGO_UPDATE tells of a NEW one that is this one.

    Made when the request may have made it, of its client id, symbol, side and quantity. A trailing stop is NEW twice,
    the second time when it is activated (``ia``); that may be an older one's.
    """

    symbol: str
    name: str
    side: str
    quantity: object
    sent: Sent
    pending: str = _ELSEWHERE
    decided: Fate | None = None

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the algo order."""
        order = _update(event)
        if order is None or order.get("X") != "NEW" or order.get("ia") is True:
            return More.LATER
        if (order.get("caid"), order.get("s"), order.get("S")) != (self.name, self.symbol, self.side):
            return More.LATER
        if self.quantity is not None and not same(order.get("q"), self.quantity):
            return More.LATER
        is_this = self.sent.moment(_time(event)) is Moment.WITHIN
        return yes(f"event {ALGO_UPDATE}", order) if is_this else More.LATER


@define(eq=False)
class AlgoCancelled(_OnlyHeard):
    """An algo order that was to be cancelled: it took effect if an event tells that it is."""

    number: object
    name: object
    sent: Sent
    pending: str = _ELSEWHERE
    decided: Fate | None = None

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the algo order: cancelled, or ended otherwise before the cancellation came."""
        order = _update(event)
        if order is None or not self.sent.since(_time(event)):
            return More.LATER
        key, named = ("caid", self.name) if self.number is None else ("aid", self.number)
        if str(order.get(key)) != str(named):
            return More.LATER
        if order.get("X") == "CANCELED":
            return yes(f"event {ALGO_UPDATE}", order)
        return no(f"event {ALGO_UPDATE}", order) if order.get("X") in _ENDED else More.LATER
