"""What only Spot has: cancel-replace, amendments, order lists, and cancelling everything of a symbol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve

from binance_session.errors import ApiError
from binance_session.responses import Event
from binance_session.settlement.fate import Fate, no, unsure, yes
from binance_session.settlement.orders import GONE, SPOT_DAYS, Placed
from binance_session.settlement.reports import Named, Report
from binance_session.settlement.sent import Moment, Sent
from binance_session.settlement.steps import ARCHIVED, Ask, More, same

__all__ = ["Amended", "CancelledAll", "ListCancelled", "ListPlaced", "Replaced"]

_ASKED_LATE: Final = "after recvWindow + 10 s"


@define(eq=False)
class Replaced:
    """``order.cancelReplace``: what it says is of the new order, by the rules of :class:`Placed`.

    Either half may succeed without the other, so the old order is asked for too: ``order`` is ``{"new", "cancelled"}``,
    each as ``order.status`` shows it, or ``None``.
    """

    new: Placed
    old: Named
    decided: Fate | None = None
    _asks_again: bool = False

    @property
    def pending(self) -> str:
        """Why nothing is known of the new order."""
        return self.new.pending

    def ask(self) -> Ask | None:
        """Ask for the new order, and when it is known for the old one."""
        return self.new.ask() if self.decided is None else Ask("order.status", self.old.params)

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """Take what is said of the new order, or of the old."""
        if self.decided is None:
            return self._decide(self.new.answered(ask, result, asked))
        return self._with(result)

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """Take that an order is not known."""
        if self.decided is None:
            return self._decide(self.new.refused(ask, error, asked))
        return self._with(None)

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the new order."""
        return self._decide(self.new.heard(event)) if self.decided is None else More.LATER

    def _decide(self, found: Fate | More) -> Fate | More:
        if isinstance(found, More):
            return found
        self.decided = evolve(found, order={"new": found.order, "cancelled": None})
        return More.NOW

    def _with(self, old: Any) -> Fate:
        assert self.decided is not None
        assert self.decided.order is not None
        return evolve(self.decided, order={**self.decided.order, "cancelled": old})


@define(eq=False)
class Amended:
    """``order.amend.keepPriority``: it took effect if ``order.amendments`` has it, and did not if that has it not.

    That is asked by ``orderId``, which the exchange tells if the request named the order otherwise.
    """

    order: Named
    sent: Sent
    quantity: object
    #: what the request calls the order from then on
    new_name: str | None
    pending: str = "it was not asked for in time"
    decided: Fate | None = None
    _number: int | None = None
    _by_new_name: bool = False

    def __attrs_post_init__(self) -> None:
        self._number = self.order.number
        self._by_new_name = self.new_name is not None

    def ask(self) -> Ask | None:
        """Ask for the amendments of the order, and before that for its number."""
        if self._number is not None:
            return Ask("order.amendments", {"symbol": self.order.symbol, "orderId": self._number})
        name = self.new_name if self._by_new_name else self.order.name
        return Ask("order.status", {"symbol": self.order.symbol, "origClientOrderId": name})

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See which number the order has, or whether the amendment is there."""
        if ask.method == "order.status":
            return self._found(result, asked)
        if not isinstance(result, list):
            return More.LATER
        for row in result:
            if isinstance(row, Mapping) and self._is_this(row):
                return yes(ask.method, row)
        self.pending = "order.amendments: it was not amended before recvWindow + 10 s were over"
        return no(f"{ask.method} {_ASKED_LATE}") if self.sent.is_over(asked) else More.LATER

    def _is_this(self, row: Mapping[str, Any]) -> bool:
        renamed = self.new_name is None or row.get("newClientOrderId") == self.new_name
        return renamed and same(row.get("newQty"), self.quantity) and self.sent.since(row.get("time"))

    def _found(self, result: Any, asked: float) -> Fate | More:
        if not isinstance(result, Mapping) or type(result.get("orderId")) is not int:
            return More.LATER
        if self.sent.moment(result.get("time")) is Moment.AFTER:
            self.pending = "order.status: an order that was made later answers to its client id"
            return unsure(self.pending) if self.sent.is_over(asked) else More.LATER
        self._number = result["orderId"]
        return More.NOW

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """See that the order is not known by this name; try the other."""
        if ask.method != "order.status":
            return More.LATER
        self.pending = "-2013: the order is not known by this client id, which an amendment or a cancellation replaces"
        if self.new_name is not None:
            self._by_new_name = not self._by_new_name
            if not self._by_new_name:
                return More.NOW
        return unsure(self.pending) if self.sent.is_over(asked) else More.LATER

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the order: REPLACED is an amendment."""
        report = Report.of(event)
        if report is None or report.symbol != self.order.symbol:
            return More.LATER
        if report.number != self._number and not self.order.is_of(report):
            return More.LATER
        renamed = self.new_name is None or report.name == self.new_name
        is_amended = report.execution == "REPLACED" and self.sent.since(report.time)
        if is_amended and renamed and same(report.quantity, self.quantity):
            return yes(report.evidence, report.order)
        return More.NOW


@define(eq=False)
class CancelledAll:
    """``openOrders.cancelAll``: it took effect if no order of the symbol is open that was there before it.

    Nothing is said before the request cannot be executed any more: if all is closed already, it could still cancel what
    is opened next.
    """

    symbol: str
    sent: Sent
    pending: str = "recvWindow + 10 s were not over: until then it may be executed"
    decided: Fate | None = None

    def ask(self) -> Ask | None:
        """Ask for the open orders of the symbol."""
        return Ask("openOrders.status", {"symbol": self.symbol})

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See whether an order is left that was there before."""
        if not isinstance(result, list) or not self.sent.is_over(asked):
            return More.LATER
        evidence, left = f"{ask.method} {_ASKED_LATE}", {"orders": result}
        for row in result:
            if not isinstance(row, Mapping) or self.sent.moment(row.get("time")) is Moment.BEFORE:
                return no(evidence, left)
        return yes(evidence, left)

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """Ask again: there is no error that tells anything."""
        return More.LATER

    def heard(self, event: Event) -> Fate | More:
        """Pass over events: none tells that all orders are gone."""
        return More.LATER


@define(eq=False)
class ListPlaced:
    """A new order list, which ``orderList.status`` knows by its ``listClientOrderId``.

    By the rules of :class:`Placed`; the list keeps its name. Its id is "accepted only when the previous one is filled
    or completely expired".
    """

    symbol: str
    name: str
    sent: Sent
    pending: str = "it was not asked for in time"
    decided: Fate | None = None

    def ask(self) -> Ask | None:
        """Ask for the list."""
        return Ask("orderList.status", {"origClientOrderId": self.name})

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See whether it is this list."""
        if not isinstance(result, Mapping):
            return More.LATER
        moment = self.sent.moment(result.get("transactionTime"))
        if moment is Moment.WITHIN and result.get("symbol") == self.symbol:
            return yes(ask.method, result)
        self.pending = "orderList.status: another list answers to its client id"
        if not self.sent.is_over(asked):
            return More.LATER
        is_open = result.get("listOrderStatus") == "EXECUTING"
        if moment is Moment.BEFORE and self.sent.is_exact and is_open:
            return no("orderList.status: an older list has held its client id all the time")
        return unsure(self.pending)

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """See whether the exchange would know the list if there were one."""
        if error.code == ARCHIVED or not self.sent.is_remembered(asked, SPOT_DAYS):
            return unsure(f"{error.code} after {SPOT_DAYS} days: the exchange may have forgotten it")
        if not self.sent.is_over(asked):
            self.pending = "-2013 before recvWindow + 10 s were over: it may have been executed after that"
            return More.LATER
        return no(GONE)

    def heard(self, event: Event) -> Fate | More:
        """Take the listStatus that tells of a new list."""
        if event.type != "listStatus" or event.data.get("C") != self.name or event.data.get("s") != self.symbol:
            return More.LATER
        is_new = event.data.get("l") == "EXEC_STARTED"
        if is_new and self.sent.moment(event.data.get("T")) is Moment.WITHIN:
            return yes("event listStatus", event.data)
        return More.NOW


@define(eq=False)
class ListCancelled:
    """An order list that was to be cancelled. It took effect if the list is done and its orders are cancelled.

    A list that is done is so for good; how it ended, its orders tell, which are asked for one by one.
    """

    symbol: str
    #: ``orderListId`` or ``origClientOrderId``, as ``orderList.status`` takes them
    which: Mapping[str, Any]
    sent: Sent
    pending: str = "it was not asked for in time"
    decided: Fate | None = None
    _orders: list[Any] | None = None
    _statuses: list[Any] | None = None
    _list: Mapping[str, Any] | None = None

    def ask(self) -> Ask | None:
        """Ask for the list, and when it is done for each of its orders."""
        if self._orders:
            return Ask("order.status", {"symbol": self.symbol, "orderId": self._orders[0]})
        return Ask("orderList.status", self.which)

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """See whether it is done, and how its orders ended."""
        if not isinstance(result, Mapping):
            return More.LATER
        if self._orders:
            return self._ended(result)
        is_later = self.sent.moment(result.get("transactionTime")) is Moment.AFTER
        if "orderListId" not in self.which and is_later:
            self.pending = "orderList.status: a list that was made later answers to its client id"
            return unsure(self.pending) if self.sent.is_over(asked) else More.LATER
        if result.get("listOrderStatus") == "EXECUTING":
            self.pending = "orderList.status: it was not cancelled before recvWindow + 10 s were over"
            return no(f"{ask.method} {_ASKED_LATE}", result) if self.sent.is_over(asked) else More.LATER
        orders = result.get("orders")
        numbers = [row.get("orderId") for row in orders if isinstance(row, Mapping)] if isinstance(orders, list) else []
        if not numbers:
            return More.LATER
        self._list, self._orders, self._statuses = result, numbers, []
        return More.NOW

    def _ended(self, order: Mapping[str, Any]) -> Fate | More:
        assert self._orders is not None
        assert self._statuses is not None
        self._statuses.append(order.get("status"))
        self._orders.pop(0)
        if self._orders:
            return More.NOW
        told = {**(self._list or {}), "statuses": self._statuses}
        if "FILLED" in self._statuses or "CANCELED" not in self._statuses:
            return no("orderList.status: it ended otherwise", told)
        return yes("orderList.status", told)

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """See that the list is not known, or an order of it not any more."""
        self.pending = "-2013: it is not known, or not known any more"
        return unsure(self.pending, self._list) if self.sent.is_over(asked) else More.LATER

    def heard(self, event: Event) -> Fate | More:
        """Ask at once when something happened to the list."""
        if event.type == "listStatus" and event.data.get("s") == self.symbol:
            return More.NOW
        return More.LATER
