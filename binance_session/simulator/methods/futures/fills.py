"""How futures orders meet the market: at once, when the price reaches them, or in parts by ``Exchange.fill``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account, Position
from binance_session.simulator.futuresevents import Fill, account_update, order_trade_update, trade_lite
from binance_session.simulator.market import Symbol
from binance_session.simulator.methods.futures.margins import unrealized, value
from binance_session.simulator.methods.orders import marketable
from binance_session.simulator.orders import Order
from binance_session.simulator.product import Product
from binance_session.simulator.state import State

__all__ = ["end", "fill", "match", "tell"]

_ZERO: Final = Decimal(0)


def tell(state: State, account: Account, order: Order, execution: str, **more: Any) -> None:
    """Queue the event of what has just happened to an order."""
    if state.wants_events(account):
        state.tell(account, order_trade_update(state, account, order, execution, **more))


def end(state: State, account: Account, order: Order, status: str) -> None:
    """Take an order out of the book, ``CANCELED`` or ``EXPIRED``, and tell of it."""
    order.status = status
    order.update_time = state.now_ms
    tell(state, account, order, status)


def match(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    """Let a new or changed order meet the market's price: it is filled whole, it expires, or it rests."""
    now = marketable(order, state.market.prices[symbol.name])
    if order.time_in_force == "GTX" and order.type == "LIMIT":
        expires = now
    elif now:
        fill(state, account, order, symbol, maker=False)
        return
    else:
        expires = order.time_in_force in ("IOC", "FOK")
    if expires:
        end(state, account, order, "EXPIRED")


def fill(
    state: State, account: Account, order: Order, symbol: Symbol, quantity: Decimal | None = None, *, maker: bool
) -> None:
    """Fill an order, or a part of it: a maker's at its own price, a taker's at the market's."""
    price = order.price if maker else state.market.prices[symbol.name]
    quantity = order.remaining if quantity is None else quantity
    gain = _move(state, account, symbol, quantity if order.side == "BUY" else -quantity, price)
    order.update_time = state.now_ms
    order.executed += quantity
    order.value += value(symbol, quantity, price)
    size = symbol.contract_size
    order.average = order.executed * size / order.value if size else order.value / order.executed
    order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
    state.last_trade_id += 1
    if not state.wants_events(account):
        return
    trade = Fill(state.last_trade_id, quantity, price, gain, maker)
    # No document says in which order these come; this is how the exchange is seen to send them.
    if state.product is Product.USD_M:
        state.tell(account, trade_lite(state, order, trade))
    position = account.positions[symbol.name]
    left = unrealized(state, symbol, position)
    state.tell(account, account_update(state, account, "ORDER", symbol.asset, symbol=symbol, unrealized=left))
    state.tell(account, order_trade_update(state, account, order, "TRADE", trade))


def _move(state: State, account: Account, symbol: Symbol, signed: Decimal, price: Decimal) -> Decimal:
    """Change the position by a quantity, below zero for a sale, and return the profit that is realized by it."""
    position = account.positions.setdefault(symbol.name, Position())
    closing = min(abs(signed), abs(position.amount)) if position.amount * signed < 0 else _ZERO
    gain = _ZERO
    if closing:
        gain = value(symbol, closing, position.entry) - value(symbol, closing, price)
        if not symbol.contract_size:
            gain = -gain
        if position.amount < 0:
            gain = -gain
        account.balances[symbol.asset] = account.balances.get(symbol.asset, _ZERO) + gain
    amount = position.amount + signed
    if amount == 0:
        position.entry = _ZERO
    elif closing and abs(amount) + closing != abs(position.amount):
        position.entry = price
    elif not closing:
        position.entry = (position.entry * abs(position.amount) + price * abs(signed)) / abs(amount)
    position.amount = amount
    position.realized += gain
    position.update_time = account.update_time = state.now_ms
    return gain
