"""An account: what it owns, what it holds, and its orders."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from attrs import define, field

from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.stoporders import AlgoOrder, Trigger
from binance_session.simulator.trades import Amendment, PreventedMatch, Trade

__all__ = ["Account", "Position"]


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
