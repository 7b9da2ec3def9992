"""An account: what it owns, what it holds, and its orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from binance_session.simulator.stoporders import AlgoOrder, Trigger

__all__ = ["Account", "Order", "Position"]

_OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})


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

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled."""
        return self.status in _OPEN

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled."""
        return self.quantity - self.executed


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
    _by_client_id: dict[tuple[str, str], Order] = field(factory=dict, init=False, repr=False)

    def add(self, order: Order) -> None:
        """Enter an order into the account's books."""
        self.orders[order.order_id] = order
        self._by_client_id[order.symbol, order.client_order_id] = order

    def find(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return a symbol's order by its id, which prevails, or by the client's own id (the newest of that name)."""
        if order_id is not None:
            order = self.orders.get(order_id)
            return order if order is not None and order.symbol == symbol else None
        return self._by_client_id.get((symbol, client_order_id or ""))

    def open_orders(self, symbol: str | None = None) -> Iterator[Order]:
        """Yield the orders that can still be filled, oldest first."""
        for order in self.orders.values():
            if order.is_open and symbol in (None, order.symbol):
                yield order

    def free(self, asset: str) -> Decimal:
        """Return how much of an asset no order holds."""
        return self.balances.get(asset, Decimal(0)) - self.locked.get(asset, Decimal(0))
