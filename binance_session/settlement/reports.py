"""An order as the account's events tell of it, on futures and on Spot in the same words (PROTOCOL.md §7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from attrs import field, frozen

from binance_session.responses import Event

__all__ = ["FINAL", "OPEN", "Named", "Report", "named"]

#: statuses of an order that can still be filled, and those that never change any more
OPEN: Final = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})
FINAL: Final = frozenset({"FILLED", "REJECTED"})


@frozen
class Named:
    """What a request calls an order: its symbol, and its ``orderId`` or the client's own name for it, or both."""

    symbol: str
    number: int | None = None
    name: str | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of ``order.status`` that ask for it: by its number, which no other order ever has."""
        if self.number is not None:
            return {"symbol": self.symbol, "orderId": self.number}
        return {"symbol": self.symbol, "origClientOrderId": self.name}

    def is_of(self, report: Report) -> bool:
        """Tell whether a report is about this order; on Spot a change has a name of its own beside the order's."""
        if report.symbol != self.symbol:
            return False
        if self.number is not None:
            return report.number == self.number
        return self.name is not None and self.name in (report.name, report.old_name)


def named(params: Mapping[str, Any], number: str = "orderId", name: str = "origClientOrderId") -> Named | None:
    """Return the order that a request's parameters name; ``None`` if they name none."""
    found, symbol = params.get(number), params.get("symbol")
    if isinstance(found, str) and found.isdecimal() and len(found) < 20:
        found = int(found)
    client = params.get(name)
    client = client if isinstance(client, str) and client else None
    found = found if type(found) is int else None
    if not isinstance(symbol, str) or (found is None and client is None):
        return None
    return Named(symbol, found, client)


@frozen
class Report:
    """One ORDER_TRADE_UPDATE (futures) or executionReport (Spot)."""

    evidence: str
    symbol: str
    number: int
    name: str
    side: str
    execution: str
    status: str
    quantity: object
    price: object
    #: when this happened, and when the order was made if that is told (ms)
    time: int
    made: object
    order: Mapping[str, Any] = field(repr=False)
    #: Spot: the order's own name, where ``name`` is that of its cancellation or amendment
    old_name: str = ""
    #: futures: the modification's own id, of an AMENDMENT
    modify_id: str = ""

    @classmethod
    def of(cls, event: Event) -> Self | None:
        """Return what an event says of an order; ``None`` if it says nothing of one."""
        if event.type == "ORDER_TRADE_UPDATE":
            order, is_spot = event.data.get("o"), False
        elif event.type == "executionReport":
            order, is_spot = event.data, True
        else:
            return None
        if not isinstance(order, Mapping):
            return None

        def text(key: str) -> str:
            value = order.get(key)
            return value if isinstance(value, str) else ""

        def whole(key: str) -> int:
            value = order.get(key)
            return value if type(value) is int else -1

        execution = text("x")
        # Futures tell when something happened, and so when an order was made in its first event only.
        made = order.get("O") if is_spot else (order.get("T") if execution == "NEW" else None)
        return cls(
            f"event {event.type}",
            text("s"),
            whole("i"),
            text("c"),
            text("S"),
            execution,
            text("X"),
            order.get("q"),
            order.get("p"),
            whole("T"),
            made,
            order,
            text("C") if is_spot else "",
            "" if is_spot else str(order.get("M", "")),
        )
