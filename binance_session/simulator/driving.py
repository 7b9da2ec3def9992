"""What can be done to an exchange besides sending it requests: move its market, fill its orders, pay in and out."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from binance_session.masking import shown
from binance_session.simulator.accounts import Account
from binance_session.simulator.futuresevents import account_update
from binance_session.simulator.market import Symbol
from binance_session.simulator.methods import futures, spot_matching
from binance_session.simulator.methods.spot_prevention import prevent
from binance_session.simulator.orders import Order
from binance_session.simulator.spotevents import balance_update, outbound_account_position
from binance_session.simulator.state import State

__all__ = ["fill", "let_meet", "set_price", "transfer"]


def set_price(state: State, accounts: Iterable[Account], symbol: str, price: Decimal) -> None:
    """Move the market: orders that the price reaches are filled or triggered."""
    traded = state.market.symbol(symbol)
    state.market.move(traded, price, state.now_ms)
    fill_resting = futures.fill_resting if state.product.futures else spot_matching.fill_resting
    for account in accounts:
        fill_resting(state, account, traded)


def fill(state: State, accounts: Iterable[Account], symbol: str, client_order_id: str, quantity: Decimal | str) -> None:
    """Fill a part of a resting order; raises :class:`ValueError` for what cannot be."""
    traded = _symbol(state, symbol)
    account, order = _order(accounts, symbol, client_order_id)
    try:
        amount = Decimal(quantity)
    except InvalidOperation:
        raise ValueError(f"{shown(str(quantity), 40)!r} is not a quantity") from None
    if not amount.is_finite() or not 0 < amount <= order.remaining:
        raise ValueError(f"the order has {order.remaining} left to be filled, not {amount}")
    if amount != round(amount, traded.quantity_digits):
        raise ValueError(f"a quantity of {symbol} has at most {traded.quantity_digits} digits after the point")
    fill_part = futures.fill_part if state.product.futures else spot_matching.fill_part
    fill_part(state, account, order, traded, amount)


def let_meet(state: State, accounts: Iterable[Account], symbol: str, maker: str, taker: str) -> None:
    """Let two orders of one account meet, which self-trade prevention keeps from trading (Spot)."""
    if state.product.futures:
        raise ValueError("the simulator plays self-trade prevention on Spot only")
    traded = _symbol(state, symbol)
    account, order = _order(accounts, symbol, maker)
    _, other = _order((account,), symbol, taker)
    prevent(state, account, order, other, traded)


def _symbol(state: State, name: str) -> Symbol:
    symbol = state.market.symbols.get(name)
    if symbol is None:
        raise ValueError(f"{state.venue.name} has no symbol {shown(str(name), 40)!r} here")
    return symbol


def _order(accounts: Iterable[Account], symbol: str, client_order_id: str) -> tuple[Account, Order]:
    for account in accounts:
        order = account.find(symbol, None, client_order_id)
        if order is not None and order.is_open:
            return account, order
    raise ValueError(f"no open order of {symbol} has the client order id {shown(str(client_order_id), 40)!r}")


def transfer(state: State, account: Account, asset: str, change: Decimal) -> None:
    """Add to a balance, or take from it, and tell of it."""
    account.balances[asset] = account.balances.get(asset, Decimal(0)) + change
    account.update_time = state.now_ms
    if state.product.futures:
        reason = "DEPOSIT" if change > 0 else "WITHDRAW"
        state.tell(account, account_update(state, account, reason, asset, change=change))
    else:
        state.tell(account, balance_update(state, asset, change))
        state.tell(account, outbound_account_position(state, account, (asset,)))
