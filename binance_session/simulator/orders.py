"""An order, and a list of Spot orders that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import define, field

__all__ = ["Order", "OrderList"]

_OPEN = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})


@define(eq=False)
class Order:
    """One order. Times are in ms; ``status`` and the names of the fields are the exchange's words."""

    order_id: int
    client_order_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    time_in_force: str
    time: int
    update_time: int
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    #: what the executed quantity was worth: quote units, or base units on COIN-M
    value: Decimal = Decimal(0)
    average: Decimal = Decimal(0)
    #: the parameters as they were sent, for the fields that are only echoed
    sent: Mapping[str, Any] = field(factory=dict, repr=False)
    #: the newest fill: its quantity and price, and the trade's id
    last_quantity: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    trade_id: int = -1
    #: Spot: since when it is on the book (ms), or -1: a stop order that waits, an order of a list that is pending
    working_since: int = -1
    #: Spot: how much of its asset it holds
    held: Decimal = Decimal(0)
    #: Spot: the list that it belongs to
    list_id: int = -1
    #: Spot: why it expired
    expiry: str | None = None
    #: Spot: a trailing stop's lowest or highest price, and since when it tracks prices (ms)
    mark: Decimal | None = None
    tracking_since: int = -1
    #: Spot: what self-trade prevention took from it, and the newest prevented match
    prevented: Decimal = Decimal(0)
    prevented_match: int | None = None
    #: Spot: whether smart order routing was asked for
    sor: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled."""
        return self.status in _OPEN

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled."""
        return self.quantity - self.executed - self.prevented

    def take(self, quantity: Decimal, price: Decimal, value: Decimal, trade_id: int) -> None:
        """Enter a fill of this quantity, price and value."""
        self.executed += quantity
        self.value += value
        self.last_quantity, self.last_price, self.trade_id = quantity, price, trade_id
        self.status = "PARTIALLY_FILLED" if self.remaining > 0 else "FILLED"


@define(eq=False)
class OrderList:
    """A list of Spot orders: a pair of which one cancels the other (OCO), or one that triggers the others (OTO).

    ``orders`` of an OTO begins with the working order. ``pays`` tells that what the working order buys is what the
    pending ones sell (OPO); ``locked`` is how much of that waits for them.
    """

    list_id: int
    contingency: str
    client_id: str
    symbol: str
    time: int
    orders: list[Order]
    pays: bool = False
    locked: Decimal = Decimal(0)
    status: str = "EXECUTING"

    @property
    def is_open(self) -> bool:
        """Whether one of its orders is open."""
        return self.status == "EXECUTING"

    @property
    def pending(self) -> list[Order]:
        """The orders that wait for the working one to be filled; none in an OCO."""
        return self.orders[1:] if self.contingency == "OTO" else []

    @property
    def pair(self) -> list[Order]:
        """The two orders of which one cancels the other; empty if there are none."""
        pair = self.pending or self.orders
        return pair if len(pair) > 1 else []
