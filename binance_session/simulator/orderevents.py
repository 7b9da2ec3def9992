"""The events that futures orders cause, with every field that the documents' examples show (PROTOCOL.md §7).

Left out is what the documents say is pushed only for orders that are not played here: trailing stops, strategies.
A commission is named on fills only; it is 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account, Order, Position
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.product import Product
from binance_session.simulator.state import State

__all__ = [
    "account_update",
    "order_trade_update",
    "trade_lite",
]

_ZERO: Final = Decimal(0)
#: ``er``: an IOC or FOK order that could not be filled
_UNFILLED: Final = "2"


def order_trade_update(
    state: State,
    account: Account,
    order: Order,
    execution: str,
    *,
    realized: Decimal = _ZERO,
    maker: bool = False,
) -> dict[str, Any]:
    """Return the ORDER_TRADE_UPDATE of what (``x``) has just happened to a futures order.

    ``b`` and ``a`` count this order alone, not the account's others on the same side.
    """
    symbol = state.market.symbol(order.symbol)
    price, quantity = symbol.price_digits, symbol.quantity_digits
    coin = state.product is Product.COIN_M
    sent = order.sent
    filled = execution == "TRADE"
    rests = order.quantity - order.executed if order.is_open else _ZERO
    notional = rests if coin else rests * order.price
    o: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": text(order.quantity, quantity),
        "p": text(order.price, price),
        "ap": text(order.average, price),
        "sp": text(sent.get("stopPrice", _ZERO), price),
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        "l": text(order.last_quantity if filled else _ZERO, quantity),
        "z": text(order.executed, quantity),
        "L": text(order.last_price if filled else _ZERO, price),
    }
    if coin:
        o["ma"] = symbol.asset
    if filled:
        o |= {"N": symbol.asset, "n": text(_ZERO)}
    o |= {"T": order.update_time, "t": state.last_trade_id if filled else 0}
    if coin:
        o["rp"] = text(realized)
    o |= {
        "b": text(notional if order.side == "BUY" else _ZERO, quantity),
        "a": text(notional if order.side == "SELL" else _ZERO, quantity),
        "m": maker,
        "R": sent.get("reduceOnly", False),
        "wt": sent.get("workingType", "CONTRACT_PRICE"),
        "ot": order.type,
        "ps": sent.get("positionSide", "BOTH"),
        "cp": sent.get("closePosition", False),
        "pP": sent.get("priceProtect", False),
    }
    if not coin:
        o |= {"si": 0, "ss": 0, "rp": text(realized)}
    o |= {"V": sent.get("selfTradePreventionMode", "NONE"), "pm": sent.get("priceMatch", "NONE")}
    if not coin:
        o["gtd"] = sent.get("goodTillDate", 0)
    o["er"] = _UNFILLED if execution == "EXPIRED" and order.time_in_force in ("IOC", "FOK") else "0"
    return {**_head(state, account, "ORDER_TRADE_UPDATE", order.update_time), "o": o}


def trade_lite(state: State, order: Order, *, maker: bool = False) -> dict[str, Any]:
    """Return USD-M's short early event of a fill."""
    symbol = state.market.symbol(order.symbol)
    return {
        "e": "TRADE_LITE",
        "E": state.now_ms,
        "T": order.update_time,
        "s": order.symbol,
        "q": text(order.quantity, symbol.quantity_digits),
        "p": text(order.price, symbol.price_digits),
        "m": maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": text(order.last_price, symbol.price_digits),
        "l": text(order.last_quantity, symbol.quantity_digits),
        "t": state.last_trade_id,
        "i": order.order_id,
    }


def account_update(
    state: State,
    account: Account,
    reason: str,
    asset: str,
    *,
    change: Decimal = _ZERO,
    symbol: Symbol | None = None,
    unrealized: Decimal = _ZERO,
) -> dict[str, Any]:
    """Return the ACCOUNT_UPDATE of one asset, and of one position if it has changed too.

    ``change`` is the balance's other than by profit and commission.
    """
    wallet = text(account.balances.get(asset, _ZERO))
    positions = []
    if symbol is not None:
        position = account.positions.get(symbol.name, Position())
        positions.append(
            {
                "s": symbol.name,
                "pa": text(position.amount, symbol.quantity_digits),
                "ep": text(position.entry),
                "bep": text(position.entry),
                "cr": text(position.realized),
                "up": text(unrealized),
                "mt": "cross",
                "iw": text(_ZERO),
                "ps": "BOTH",
            }
        )
    balances = [{"a": asset, "wb": wallet, "cw": wallet, "bc": text(change)}]
    head = _head(state, account, "ACCOUNT_UPDATE", state.now_ms)
    return {**head, "a": {"m": reason, "B": balances, "P": positions}}


def _head(state: State, account: Account, kind: str, transaction_time: int) -> dict[str, Any]:
    head: dict[str, Any] = {"e": kind, "E": state.now_ms, "T": transaction_time}
    if state.product is Product.COIN_M:
        head["i"] = account.alias
    return head
