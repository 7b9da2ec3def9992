"""Orders that were placed, cancelled or modified: ``order.status`` sees all of them but algo orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, frozen

from binance_session.errors import ApiError
from binance_session.responses import Event
from binance_session.settlement.fate import Fate, no, unsure, yes
from binance_session.settlement.reports import FINAL, OPEN, Named, Report
from binance_session.settlement.sent import Moment, Sent
from binance_session.settlement.steps import ARCHIVED, Ask, More, number, same

__all__ = ["GONE", "Cancelled", "Modified", "Placed", "Wanted"]

GONE: Final = "-2013 after recvWindow + 10 s"
#: Days after which an order may be forgotten. Futures: 3 for one that was cancelled or expired unfilled, 90 for any
#: (Query Order of both products: "These orders will not be found"). Spot: 90 (-2026 in its table of errors).
FUTURES_DAYS: Final = 3
SPOT_DAYS: Final = 90
#: the most rows that ``allOrders`` has
_ROWS: Final = 1000


@frozen
class Wanted:
    """The order that a request was to make, as far as an answer shows it again."""

    symbol: str
    name: str
    side: str
    quantity: object
    quote_quantity: object
    #: whether it can be on the book, so that somebody may have cancelled or amended it since
    rests: bool

    @classmethod
    def of(cls, params: Mapping[str, Any], name: str) -> Wanted:
        """Return the new order of a request's parameters, whose client id is ``name``."""
        return cls(
            str(params.get("symbol")),
            name,
            str(params.get("side")),
            params.get("quantity"),
            params.get("quoteOrderQty"),
            params.get("type") != "MARKET" and params.get("timeInForce") not in ("IOC", "FOK"),
        )

    def matches(self, side: object, quantity: object, quote_quantity: object) -> bool:
        """Tell whether an order has this one's side and quantity. One that closes a position has no quantity."""
        if side != self.side:
            return False
        if self.quantity is not None:
            return same(quantity, self.quantity)
        return self.quote_quantity is None or same(quote_quantity, self.quote_quantity)

    def shown_by(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row of a query has this one's side and quantity."""
        return self.matches(row.get("side"), row.get("origQty"), row.get("origQuoteOrderQty"))


@define(eq=False)
class Placed:
    """A new order.

    It took effect if ``order.status`` shows an order of its client id that is this one: made when the request may have
    made it, of its side and quantity. For an id may be used again once an order is closed, being "unique among open
    orders" only (``newClientOrderId`` of both futures; on Spot it is "accepted only when the previous one is filled").

    It did not if the exchange did not know the id (-2013) when the request could not be executed any more, and not so
    late that it may have been forgotten. Nor if an older order has held the id, open, all that time: another of the
    same id is refused (-4116 on futures, -2010 on Spot).

    On Spot an amended order has a new name (``order.amend.keepPriority``), and a cancelled one may be known by the name
    of its cancellation only (the simulator's reading ``cancelled_name``: documents differ). So for an order that can be
    on the book -2013 is not enough: ``allOrders`` must have none that may be this one under another name.
    """

    wanted: Wanted
    sent: Sent
    is_spot: bool
    pending: str = "it was not asked for in time"
    decided: Fate | None = None
    _lists: bool = False

    def ask(self) -> Ask | None:
        """Ask for the order, or after that for all of its symbol."""
        if self._lists:
            since = int(self.sent.earliest) - 1000
            return Ask("allOrders", {"symbol": self.wanted.symbol, "startTime": since, "limit": _ROWS})
        return Ask("order.status", {"symbol": self.wanted.symbol, "origClientOrderId": self.wanted.name})

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See whether it is this order."""
        if ask.method == "allOrders":
            return self._listed(result, asked)
        if not isinstance(result, Mapping):
            return More.LATER
        moment = self.sent.moment(result.get("time"))
        if moment is Moment.WITHIN and self.wanted.shown_by(result):
            return _taken(ask.method, result)
        self.pending = "order.status: another order answers to its client id"
        if not self.sent.is_over(asked):
            return More.LATER
        if moment is Moment.BEFORE and self.sent.is_exact and result.get("status") in OPEN:
            return no("order.status: an older order has held its client id all the time")
        if self.is_spot:
            self._lists = True
            return More.NOW
        return unsure(f"{self.pending}, and this one may have been closed before that was made")

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """See whether the exchange would know the order if there were one."""
        if ask.method != "order.status":
            return More.LATER
        if error.code == ARCHIVED:
            return unsure("-2026: an order of its client id was closed long ago, and is not shown any more")
        days = SPOT_DAYS if self.is_spot else FUTURES_DAYS
        if not self.sent.is_remembered(asked, days):
            return unsure(f"-2013 after {days} days: the exchange may have forgotten it")
        if not self.sent.is_over(asked):
            self.pending = "-2013 before recvWindow + 10 s were over: it may have been executed after that"
            return More.LATER
        if self.is_spot and self.wanted.rests:
            self.pending = "-2013, but on Spot it may have been cancelled or amended, and have another name since"
            self._lists = True
            return More.NOW
        return no(GONE)

    def _listed(self, result: Any, asked: float) -> Fate | More:
        """Look for the order among all of its symbol that are newer than the request, whatever they are called now."""
        if not isinstance(result, list) or not self.sent.is_over(asked):
            return More.LATER
        rows = [row for row in result if isinstance(row, Mapping)]
        within = [row for row in rows if self.sent.moment(row.get("time")) is Moment.WITHIN]
        for row in within:
            if row.get("clientOrderId") == self.wanted.name and self.wanted.shown_by(row):
                return _taken("allOrders", row)
        if len(rows) >= _ROWS or len(rows) != len(result):
            return unsure("allOrders: there are more orders of its symbol than one answer shows")
        if not self.sent.is_remembered(asked, SPOT_DAYS):
            return unsure(f"allOrders after {SPOT_DAYS} days: the exchange may have forgotten it")
        if any(self._may_be_renamed(row) for row in within):
            return unsure("allOrders: one like it was cancelled or amended, and may have been this one by another name")
        return no(f"{GONE}, and not in allOrders")

    def _may_be_renamed(self, row: Mapping[str, Any]) -> bool:
        """Tell whether this may be the order after a cancellation or an amendment, which makes it smaller."""
        if row.get("side") != self.wanted.side or row.get("clientOrderId") == self.wanted.name:
            return False
        now, wanted = number(row.get("origQty")), number(self.wanted.quantity)
        if now is None or wanted is None:
            return True
        return now < wanted or (now == wanted and row.get("status") == "CANCELED")

    def heard(self, event: Event) -> Fate | More:
        """Take an event of an order of this name: a Spot event tells when it was made, a futures one if it is new."""
        report = Report.of(event)
        wanted = self.wanted
        if report is None or report.symbol != wanted.symbol or wanted.name not in (report.name, report.old_name):
            return More.LATER
        # A market order by its worth has no quantity yet. It has its own field, which is left to order.status.
        matches = wanted.quantity is not None and wanted.matches(report.side, report.quantity, None)
        if matches and self.sent.moment(report.made) is Moment.WITHIN:
            return _taken(report.evidence, report.order, report.status)
        return More.NOW


def _taken(evidence: str, order: Mapping[str, Any], status: object = None) -> Fate:
    """Return that an order was taken, unless it is one that was not processed (Spot's status REJECTED)."""
    status = order.get("status") if status is None else status
    return no(evidence, order) if status == "REJECTED" else yes(evidence, order)


@define(eq=False)
class Cancelled:
    """An order that was to be cancelled. It took effect if the order is cancelled.

    It did not if the order was filled, which is for good, or is not cancelled although the request cannot be executed
    any more. That the exchange does not know the order tells nothing: one that was never filled and is older than 3
    days is forgotten as soon as it is cancelled (futures), and on Spot it may be known by the name of its cancellation
    only. There it is asked for by that name too, if the request gave it one.
    """

    order: Named
    sent: Sent
    #: Spot: what the request calls the cancellation
    cancellation: str | None = None
    pending: str = "it was not asked for in time"
    decided: Fate | None = None
    _by_cancellation: bool = False

    def ask(self) -> Ask | None:
        """Ask for the order, by its own name and by that of its cancellation in turns."""
        if self._by_cancellation:
            return Ask("order.status", {"symbol": self.order.symbol, "origClientOrderId": self.cancellation})
        return Ask("order.status", self.order.params)

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See whether it is cancelled."""
        self._by_cancellation = False
        if not isinstance(result, Mapping):
            return More.LATER
        if self.order.number is None and self.sent.moment(result.get("time")) is Moment.AFTER:
            self.pending = "order.status: an order that was made later answers to its client id"
            return unsure(self.pending) if self.sent.is_over(asked) else More.LATER
        status = result.get("status")
        if status == "CANCELED":
            return yes(ask.method, result)
        if status in FINAL:
            return no(ask.method, result)
        if not self.sent.is_over(asked):
            self.pending = "order.status: it was not cancelled before recvWindow + 10 s were over"
            return More.LATER
        return no(f"{ask.method} after recvWindow + 10 s", result)

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """See that the order is not known."""
        self.pending = f"{error.code}: the order is not known, or not known any more; it may have been cancelled"
        if self.cancellation is not None and not self._by_cancellation:
            self._by_cancellation = True
            return More.NOW
        self._by_cancellation = False
        return unsure(self.pending) if self.sent.is_over(asked) else More.LATER

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the order."""
        report = Report.of(event)
        if report is None or not self.order.is_of(report):
            return More.LATER
        if report.status == "CANCELED" and self.sent.since(report.time):
            return yes(report.evidence, report.order)
        return More.NOW


@define(eq=False)
class Modified:
    """A futures order that was to get another price or quantity. It took effect if the order has them.

    It did not if the order has others although the request cannot be executed any more, or had these before: then it
    was refused (-5027). An order that is cancelled may have been so by the modification, which does that if the new
    quantity is no more than what is filled and, of a GTX order, if it would take (``order.modify``; PROTOCOL.md §6).
    Who modifies an order twice should settle the first before the second: ``order.status`` shows the last only.
    """

    order: Named
    sent: Sent
    price: object
    quantity: object
    modify_id: object = None
    pending: str = "it was not asked for in time"
    decided: Fate | None = None

    def ask(self) -> Ask | None:
        """Ask for the order."""
        return Ask("order.status", self.order.params)

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See whether it is as it was to become."""
        if not isinstance(result, Mapping):
            return More.LATER
        is_over = self.sent.is_over(asked)
        if self.order.number is None and self.sent.moment(result.get("time")) is Moment.AFTER:
            self.pending = "order.status: an order that was made later answers to its client id"
            return unsure(self.pending) if is_over else More.LATER
        if self._is_as_wanted(result.get("price"), result.get("origQty")):
            if self.sent.since(result.get("updateTime")):
                return yes(ask.method, result)
            self.pending = "order.status: it was so before the request"
            return no(f"{self.pending}, which was to change nothing", result) if is_over else More.LATER
        self.pending = "order.status: it was not modified before recvWindow + 10 s were over"
        if not is_over:
            return More.LATER
        if result.get("status") == "CANCELED" and self._may_cancel(result):
            return unsure("order.status: it is cancelled, which the modification may have done", result)
        return no(f"{ask.method} after recvWindow + 10 s", result)

    def _is_as_wanted(self, price: object, quantity: object) -> bool:
        if self.quantity is not None and not same(quantity, self.quantity):
            return False
        return self.price is None or same(price, self.price)

    def _may_cancel(self, result: Mapping[str, Any]) -> bool:
        wanted, filled = number(self.quantity), number(result.get("executedQty"))
        return result.get("timeInForce") == "GTX" or wanted is None or filled is None or wanted <= filled

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """See that the order is not known: it may have been modified, closed, and forgotten."""
        self.pending = f"{error.code}: the order is not known, or not known any more"
        return unsure(self.pending) if self.sent.is_over(asked) else More.LATER

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the order: an AMENDMENT tells the ``modifyId`` that caused it."""
        report = Report.of(event)
        if report is None or not self.order.is_of(report):
            return More.LATER
        if report.execution == "AMENDMENT" and self.sent.since(report.time):
            is_this = (
                report.modify_id == str(self.modify_id)
                if self.modify_id is not None
                else self._is_as_wanted(report.price, report.quantity)
            )
            if is_this:
                return yes(report.evidence, report.order)
        return More.NOW
