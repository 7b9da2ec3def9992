"""The events of futures accounts, with every field that the documents' examples show (PROTOCOL.md §7).

Left out is what the documents say is pushed only for what is not played here: strategies, prevented matches.
A commission is named on fills only; it is 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from attrs import frozen

from binance_session.simulator.accounts import Account, Position
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.orders import Order
from binance_session.simulator.product import Product
from binance_session.simulator.state import State
from binance_session.simulator.stoporders import AlgoOrder

__all__ = ["Fill", "account_update", "algo_update", "order_trade_update", "trade_lite"]

_ZERO: Final = Decimal(0)
#: ``er``: an IOC or FOK order that could not be filled
_UNFILLED: Final = "2"


@frozen
class Fill:
    """One fill of an order: its trade id, how much, at which price, the profit that it made, and for whom."""

    number: int
    quantity: Decimal
    price: Decimal
    realized: Decimal = _ZERO
    maker: bool = False


_NO_TRADE: Final = Fill(0, _ZERO, _ZERO)


def order_trade_update(
    state: State,
    account: Account,
    order: Order,
    execution: str,
    trade: Fill = _NO_TRADE,
    *,
    modify_id: int | None = None,
) -> dict[str, Any]:
    """Return the ORDER_TRADE_UPDATE of what (``x``) has just happened to a futures order.

    ``b`` and ``a`` count this order alone, not the account's others on the same side. What an algo order has become
    is told of as seen on the exchange: ``ot`` is the algo order's type, ``sp`` its trigger price, ``si`` its algoId,
    and a trailing stop's ``AP`` and ``cr`` are ``"0"``.
    """
    symbol = state.market.symbol(order.symbol)
    price, quantity = symbol.price_digits, symbol.quantity_digits
    coin = state.product is Product.COIN_M
    sent = order.sent
    kind = sent.get("origType", order.type)
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
    }
    if modify_id is not None:
        o["M"] = str(modify_id)
    o |= {
        "l": text(trade.quantity, quantity),
        "z": text(order.executed, quantity),
        "L": text(trade.price, price),
    }
    if coin:
        o["ma"] = symbol.asset
    if execution == "TRADE":
        o |= {"N": symbol.asset, "n": text(_ZERO)}
    o |= {"T": order.update_time, "t": trade.number}
    if coin:
        o["rp"] = text(trade.realized)
    o |= {
        "b": text(notional if order.side == "BUY" else _ZERO, quantity),
        "a": text(notional if order.side == "SELL" else _ZERO, quantity),
        "m": trade.maker,
        "R": sent.get("reduceOnly", False),
        "wt": sent.get("workingType", "CONTRACT_PRICE"),
        "ot": kind,
        "ps": sent.get("positionSide", "BOTH"),
        "cp": sent.get("closePosition", False),
    }
    if kind == "TRAILING_STOP_MARKET":
        start = sent.get("activationPrice")
        o["AP"] = "0" if start is None else text(start, price)
        o["cr"] = str(sent["callbackRate"]) if coin else "0"
    o["pP"] = sent.get("priceProtect", False)
    if not coin:
        algo_id = sent.get("algoId", 0)
        o |= {"si": algo_id, "ss": -1 if algo_id else 0, "rp": text(trade.realized)}
    o |= {"V": sent.get("selfTradePreventionMode", "NONE"), "pm": sent.get("priceMatch", "NONE")}
    if not coin:
        o["gtd"] = sent.get("goodTillDate", 0)
    o["er"] = _UNFILLED if execution == "EXPIRED" and order.time_in_force in ("IOC", "FOK") else "0"
    return {**_head(state, account, "ORDER_TRADE_UPDATE", order.update_time), "o": o}


def trade_lite(state: State, order: Order, trade: Fill) -> dict[str, Any]:
    """Return USD-M's short early event of a fill."""
    symbol = state.market.symbol(order.symbol)
    return {
        "e": "TRADE_LITE",
        "E": state.now_ms,
        "T": order.update_time,
        "s": order.symbol,
        "q": text(order.quantity, symbol.quantity_digits),
        "p": text(order.price, symbol.price_digits),
        "m": trade.maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": text(trade.price, symbol.price_digits),
        "l": text(trade.quantity, symbol.quantity_digits),
        "t": trade.number,
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

    ``change`` is the balance's other than by profit and commission. A FUNDING_FEE names its symbol (``S``).
    """
    wallet = text(account.balances.get(asset, _ZERO))
    positions = []
    if symbol is not None and reason != "FUNDING_FEE":
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
                # in no document, but seen on both products (PROTOCOL.md §7)
                "ma": asset,
            }
        )
    a: dict[str, Any] = {
        "m": reason,
        "B": [{"a": asset, "wb": wallet, "cw": wallet, "bc": text(change)}],
        "P": positions,
    }
    if symbol is not None and reason == "FUNDING_FEE":
        a["S"] = symbol.name
    return {**_head(state, account, "ACCOUNT_UPDATE", state.now_ms), "a": a}


def algo_update(state: State, algo: AlgoOrder) -> dict[str, Any]:
    """Return the ALGO_UPDATE of an algo order as it is now.

    ``ap``, ``aq`` and ``act`` are there once it has become an order, ``rm`` when it was rejected.
    """
    symbol = state.market.symbol(algo.symbol)
    price, quantity = symbol.price_digits, symbol.quantity_digits
    sent, order = algo.sent, algo.order
    o: dict[str, Any] = {
        "caid": algo.client_algo_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": sent.get("positionSide", "BOTH"),
        "f": algo.time_in_force,
        "q": text(algo.quantity, quantity),
        "X": algo.status,
        "ai": "" if order is None else str(order.order_id),
    }
    if order is not None:
        o |= {"ap": text(order.average, price), "aq": text(order.executed, quantity), "act": order.type}
    o |= {
        "tp": text(_ZERO if algo.trails else algo.trigger.price, price),
        "p": text(algo.price, price),
        "V": sent.get("selfTradePreventionMode", "NONE"),
        "wt": sent.get("workingType", "CONTRACT_PRICE"),
        "pm": sent.get("priceMatch", "NONE"),
        "cp": algo.closes,
        "pP": sent.get("priceProtect", False),
        "R": algo.reduces,
        "tt": algo.trigger_time,
        "gtd": sent.get("goodTillDate", 0),
    }
    if algo.reason:
        o["rm"] = algo.reason
    o["ia"] = algo.trigger.activated
    return {"e": "ALGO_UPDATE", "T": algo.update_time, "E": state.now_ms, "o": o}


def _head(state: State, account: Account, kind: str, transaction_time: int) -> dict[str, Any]:
    head: dict[str, Any] = {"e": kind, "E": state.now_ms, "T": transaction_time}
    if state.product is Product.COIN_M:
        head["i"] = account.alias
    return head
