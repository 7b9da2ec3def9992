"""COIN-M's stop orders: orders like others, which wait for a trigger (reading ``coin_m_stops``; PROTOCOL.md §11.15).

What is triggered is told of as EXPIRED, and then as a new order of the same id and name, a MARKET or a LIMIT order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import Symbol
from binance_session.simulator.methods.futures.checks import check_position
from binance_session.simulator.methods.futures.fills import end, match, tell
from binance_session.simulator.methods.futures.margins import closable, insufficient
from binance_session.simulator.methods.orders import new_order
from binance_session.simulator.orders import Order
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call, State
from binance_session.simulator.stoporders import ALGO_TYPES, Trigger

__all__ = ["place_stop", "watch_stop"]

_ZERO: Final = Decimal(0)


def place_stop(call: Call, symbol: Symbol, name: str) -> Order:
    """Take a stop order whose parameters are in order."""
    params, state, account = call.params, call.state, call.account
    price = state.market.prices[symbol.name]
    trigger = Trigger(
        params["type"],
        params["side"],
        params.get("stopPrice", _ZERO),
        price,
        params.get("activationPrice"),
        params.get("callbackRate", _ZERO),
    )
    if params.get("closePosition"):
        check_position(account, symbol.name, params["side"])
    if trigger.too_late(price):
        raise Refusal(400, -2021, "Order would immediately trigger.")
    state.limits.charge_orders(account, 1, state.clock.time())
    order = new_order(call, symbol, name, params.get("quantity", _ZERO))
    if params.get("closePosition"):
        order.time_in_force = "GTE_GTC"
    account.add(order)
    account.stops[order.order_id] = trigger
    tell(state, account, order, "NEW")
    return order


def watch_stop(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    """Let a stop order see the market's price, and become what it waits to be once it is triggered."""
    if not account.stops[order.order_id].reached(state.market.prices[symbol.name]):
        return
    del account.stops[order.order_id]
    end(state, account, order, "EXPIRED")
    if order.sent.get("closePosition"):
        order.quantity = closable(account, symbol.name, order.side)
    elif order.sent.get("reduceOnly"):
        order.quantity = min(order.quantity, closable(account, symbol.name, order.side))
    order.sent = {**order.sent, "origType": order.type}
    if not order.quantity or insufficient(state, account, symbol, order):
        return  # the matching engine does not take it: it stays expired
    order.type = ALGO_TYPES[order.type]
    order.status = "NEW"
    if order.time_in_force == "GTE_GTC":
        order.time_in_force = "GTC"
    if "priceMatch" in order.sent:
        order.price = state.market.prices[symbol.name]
    account.add(order)
    tell(state, account, order, "NEW")
    match(state, account, order, symbol)
