"""What becomes of algo orders when the price moves, their order ends, or their position is closed."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.futuresevents import algo_update
from binance_session.simulator.market import Symbol
from binance_session.simulator.methods.futures.fills import end, fill, match, tell
from binance_session.simulator.methods.futures.margins import closable, insufficient
from binance_session.simulator.methods.futures.stops import watch_stop
from binance_session.simulator.methods.orders import marketable
from binance_session.simulator.orders import Order
from binance_session.simulator.state import State
from binance_session.simulator.stoporders import ALGO_TYPES, AlgoOrder

__all__ = ["change", "expire_on_time", "fill_part", "fill_resting", "follow", "watch"]

_ZERO: Final = Decimal(0)
#: the statuses in which an algo order ends
_ENDS: Final = frozenset({"CANCELED", "EXPIRED", "REJECTED", "FINISHED"})


def change(state: State, account: Account, algo: AlgoOrder, status: str) -> None:
    """Give an algo order another status, and tell of it. One that has ended is forgotten: no method asks for it."""
    algo.status = status
    if status in _ENDS:
        account.algo_orders.pop(algo.algo_id, None)
    algo.update_time = state.now_ms
    if state.wants_events(account):
        state.tell(account, algo_update(state, algo))


def fill_resting(state: State, account: Account, symbol: Symbol) -> None:
    """Fill the account's orders that the market's price has reached, and trigger its algo orders."""
    for order in list(account.open_orders(symbol.name)):
        if order.order_id in account.stops:
            watch_stop(state, account, order, symbol)
        elif marketable(order, state.market.prices[symbol.name]):
            fill(state, account, order, symbol, maker=True)
    for algo in list(account.algo_orders.values()):
        if algo.status == "NEW" and algo.symbol == symbol.name:
            watch(state, account, algo)
    follow(state, account, symbol)


def fill_part(state: State, account: Account, order: Order, symbol: Symbol, quantity: Decimal) -> None:
    """Fill a part of a resting order, at its own price. Raises :class:`ValueError` for a stop order that waits."""
    if order.order_id in account.stops:
        raise ValueError(f"order {order.order_id} waits for its trigger: it is not on the book")
    fill(state, account, order, symbol, quantity, maker=True)
    follow(state, account, symbol)


def follow(state: State, account: Account, symbol: Symbol) -> None:
    """Update algo orders after a change of their orders, or of the position that they protect.

    One is FINISHED when the order that it became is. One that is good until the position is closed (GTE) is EXPIRED
    by that, and so is such a stop order of COIN-M.
    """
    for order_id in list(account.stops):
        order = account.orders[order_id]
        if order.symbol == symbol.name and _is_left_alone(account, order):
            end(state, account, order, "EXPIRED")
        if not order.is_open:
            del account.stops[order_id]
    for algo in list(account.algo_orders.values()):
        if algo.symbol != symbol.name:
            continue
        if algo.status == "TRIGGERED" and algo.order is not None and not algo.order.is_open:
            change(state, account, algo, "FINISHED")
        elif algo.status == "NEW" and _is_left_alone(account, algo):
            change(state, account, algo, "EXPIRED")


def _is_left_alone(account: Account, order: Order | AlgoOrder) -> bool:
    """Return whether an order that lives with a position has none any more."""
    return order.time_in_force == "GTE_GTC" and not closable(account, order.symbol, order.side)


def expire_on_time(state: State, account: Account, order: Order | AlgoOrder) -> None:
    """Let a GTD order expire at its ``goodTillDate``, of which the exchange ignores the milliseconds."""

    def due() -> None:
        if isinstance(order, AlgoOrder):
            if order.status == "NEW":
                change(state, account, order, "EXPIRED")
        elif order.is_open:
            end(state, account, order, "EXPIRED")
            follow(state, account, state.market.symbol(order.symbol))

    if order.time_in_force == "GTD":
        state.later(order.sent["goodTillDate"] // 1000, due)


def watch(state: State, account: Account, algo: AlgoOrder) -> None:
    """Let an algo order see the market's price. A trailing stop that it activates is told of as NEW once more."""
    activated = algo.trigger.activated
    reached = algo.trigger.reached(state.market.prices[algo.symbol])
    if algo.trigger.activated and not activated:
        change(state, account, algo, "NEW")
    if reached:
        _trigger(state, account, algo)


def _trigger(state: State, account: Account, algo: AlgoOrder) -> None:
    symbol = state.market.symbol(algo.symbol)
    algo.trigger_time = state.now_ms
    change(state, account, algo, "TRIGGERING")
    order = _order_of(state, account, algo)
    algo.reason = _refused(state, account, symbol, order)
    if algo.reason:
        change(state, account, algo, "REJECTED")
        return
    algo.order = order
    account.add(order)
    is_told_before = state.readings.algo_triggered == "before"
    if is_told_before:
        change(state, account, algo, "TRIGGERED")
    tell(state, account, order, "NEW")
    expire_on_time(state, account, order)
    match(state, account, order, symbol)
    if not is_told_before:
        change(state, account, algo, "TRIGGERED")
    follow(state, account, symbol)


def _order_of(state: State, account: Account, algo: AlgoOrder) -> Order:
    """Return the order that an algo order becomes: it has the same name, and reduces no more than there is."""
    state.last_order_id += 1
    kind = ALGO_TYPES[algo.type]
    quantity = algo.quantity
    if algo.reduces:
        there = closable(account, algo.symbol, algo.side)
        quantity = there if algo.closes else min(quantity, there)
    price = _ZERO
    if kind == "LIMIT":
        price = state.market.prices[algo.symbol] if "priceMatch" in algo.sent else algo.price
    now = state.now_ms
    sent = {
        **algo.sent,
        "stopPrice": algo.trigger.price,
        "origType": algo.type,
        "algoId": algo.algo_id,
        "reduceOnly": algo.reduces,
    }
    force = "GTC" if algo.time_in_force == "GTE_GTC" else algo.time_in_force
    name = algo.client_algo_id
    if (older := account.find(algo.symbol, None, name)) is not None and older.is_open:
        name = secrets.token_urlsafe(16)[:22]  # a plain order took the name meanwhile
    return Order(state.last_order_id, name, algo.symbol, algo.side, kind, quantity, price, force, now, now, sent=sent)


def _refused(state: State, account: Account, symbol: Symbol, order: Order) -> str:
    """Return why the matching engine does not take the order; nothing was checked before."""
    if order.sent["reduceOnly"]:
        return "" if order.quantity else "Reduce Only reject"
    return "Margin is insufficient." if insufficient(state, account, symbol, order) else ""
