"""What positions are worth, earn and need: cross margin, one leverage for an account."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from binance_session.simulator.accounts import Account, Position
from binance_session.simulator.market import Symbol
from binance_session.simulator.orders import Order
from binance_session.simulator.state import State

__all__ = ["asset_margin", "asset_pnl", "closable", "insufficient", "margin", "unrealized", "value", "wallets"]

_ZERO: Final = Decimal(0)


def value(symbol: Symbol, quantity: Decimal, price: Decimal) -> Decimal:
    """Return what a quantity is worth: in coins on COIN-M, in the quote asset on USD-M."""
    if symbol.contract_size:
        return quantity * symbol.contract_size / price
    return quantity * price


def unrealized(state: State, symbol: Symbol, position: Position) -> Decimal:
    """Return the profit that closing a position now would make."""
    if not position.amount:
        return _ZERO
    price = state.market.prices[symbol.name]
    gain = value(symbol, position.amount, price) - value(symbol, position.amount, position.entry)
    return -gain if symbol.contract_size else gain


def margin(state: State, account: Account, symbol: Symbol) -> Decimal:
    """Return the initial margin of an account's position."""
    position = account.positions.get(symbol.name, Position())
    price = state.market.prices[symbol.name]
    return abs(value(symbol, position.amount, price)) / account.leverage


def asset_margin(state: State, account: Account, asset: str) -> Decimal:
    """Return the initial margin of all positions that an asset is margin for."""
    return sum((margin(state, account, symbol) for symbol in _held(state, account, asset)), _ZERO)


def asset_pnl(state: State, account: Account, asset: str) -> Decimal:
    """Return the unrealized profit of all positions that an asset is margin for."""
    held = _held(state, account, asset)
    return sum((unrealized(state, symbol, account.positions[symbol.name]) for symbol in held), _ZERO)


def _held(state: State, account: Account, asset: str) -> list[Symbol]:
    return [symbol for symbol in map(state.market.symbol, account.positions) if symbol.asset == asset]


def wallets(state: State, account: Account) -> list[tuple[str, Decimal]]:
    """Return what the account owns of each asset that is margin for something here."""
    assets = {symbol.asset for symbol in state.market.symbols.values()}
    return [(asset, amount) for asset, amount in account.balances.items() if asset in assets]


def closable(account: Account, symbol: str, side: str) -> Decimal:
    """Return how much of a position an order on this side can close."""
    amount = account.positions.get(symbol, Position()).amount
    return max(amount if side == "SELL" else -amount, _ZERO)


def insufficient(state: State, account: Account, symbol: Symbol, order: Order) -> bool:
    """Return whether an order would open more than the account has margin for. One that only closes needs none."""
    if order.quantity <= closable(account, symbol.name, order.side):
        return False
    price = order.price or state.market.prices[symbol.name]
    needed = value(symbol, order.quantity, price) / account.leverage + asset_margin(state, account, symbol.asset)
    return needed > account.balances.get(symbol.asset, _ZERO)
