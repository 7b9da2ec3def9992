"""An account: what it owns, what it holds, and its orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define, field

from binance_session.simulator.trades import Amendment, PreventedMatch, Trade

if TYPE_CHECKING:
    from binance_session.simulator.stoporders import AlgoOrder, Trigger

__all__ = ["Account", "Order", "OrderList", "Position"]

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


@define
class Position:
    """A futures position in one-way mode: contracts (negative when short) and their average price.

    ``realized`` is the profit that it has made so far.
    """

    amount: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)
    update_time: int = 0
    realized: Decimal = Decimal(0)


@define(eq=False)
class Account:
    """One account of the exchange.

    ``balances`` are what it owns, by asset; on Spot ``locked`` is the part held by open orders. Give your own to start
    with other numbers: ``Account("second", balances={"BTC": Decimal(1)})``.
    """

    alias: str = "SgsR"
    balances: dict[str, Decimal] = field(
        factory=lambda: {
            "BTC": Decimal(10),
            "ETH": Decimal(100),
            "BNB": Decimal(100),
            "USDT": Decimal(1_000_000),
        },
        repr=False,
    )
    locked: dict[str, Decimal] = field(factory=dict, repr=False)
    positions: dict[str, Position] = field(factory=dict, repr=False)
    orders: dict[int, Order] = field(factory=dict, repr=False)
    #: USD-M: its algo orders by id, until they end
    algo_orders: dict[int, AlgoOrder] = field(factory=dict, repr=False)
    #: COIN-M: what sets off the stop orders that wait, by order id
    stops: dict[int, Trigger] = field(factory=dict, repr=False)
    leverage: int = 20
    update_time: int = 0
    #: Spot: its order lists, trades, amendments and prevented matches
    lists: dict[int, OrderList] = field(factory=dict, repr=False)
    trades: list[Trade] = field(factory=list, repr=False)
    amendments: list[Amendment] = field(factory=list, repr=False)
    prevented_matches: list[PreventedMatch] = field(factory=list, repr=False)
    _by_client_id: dict[tuple[str, str], Order] = field(factory=dict, init=False, repr=False)
    # those that were open when last looked at: of many orders few are
    _open: dict[int, Order] = field(factory=dict, init=False, repr=False)

    def add(self, order: Order) -> None:
        """Enter an order into the account's books."""
        self.orders[order.order_id] = self._open[order.order_id] = order
        self._by_client_id[order.symbol, order.client_order_id] = order

    def rename(self, order: Order, old_name: str) -> None:
        """Enter an order under its new client order id; the old one is free for others."""
        if self._by_client_id.get((order.symbol, old_name)) is order:
            del self._by_client_id[order.symbol, old_name]
        self._by_client_id[order.symbol, order.client_order_id] = order

    def find(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return a symbol's order by its id, which prevails, or by the client's own id (the newest of that name)."""
        if order_id is not None:
            order = self.orders.get(order_id)
            return order if order is not None and order.symbol == symbol else None
        return self._by_client_id.get((symbol, client_order_id or ""))

    def find_list(self, list_id: int | None, client_id: str | None) -> OrderList | None:
        """Return an order list by its id, which prevails, or by the client's own id (the newest of that name)."""
        if list_id is not None:
            return self.lists.get(list_id)
        return next((orders for orders in reversed(self.lists.values()) if orders.client_id == client_id), None)

    def open_orders(self, symbol: str | None = None) -> Iterator[Order]:
        """Yield the orders that can still be filled, oldest first."""
        for order in list(self._open.values()):
            if not order.is_open:
                del self._open[order.order_id]
            elif symbol in (None, order.symbol):
                yield order

    def free(self, asset: str) -> Decimal:
        """Return how much of an asset no order holds."""
        return self.balances.get(asset, Decimal(0)) - self.locked.get(asset, Decimal(0))
