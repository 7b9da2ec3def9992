"""Spot's user data events, with every field that the documents' examples and tables show (PROTOCOL.md §7).

A commission is named on fills only; it is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import text
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.state import State
from binance_session.simulator.trades import PreventedMatch

__all__ = ["balance_update", "execution_report", "list_status", "outbound_account_position"]

_ZERO: Final = Decimal(0)
#: fields that tell again what the order was placed with, if it was
_ECHOES: Final = (("j", "strategyId"), ("J", "strategyType"))
_PEG_ECHOES: Final = (("gP", "pegPriceType"), ("gOT", "pegOffsetType"), ("gOV", "pegOffsetValue"))


def execution_report(
    state: State,
    order: Order,
    execution: str,
    *,
    old_name: str = "",
    name: str | None = None,
    maker: bool = False,
    prevented: PreventedMatch | None = None,
) -> dict[str, Any]:
    """Return the executionReport of what (``x``) has just happened to an order, as the state's newest execution.

    ``name`` is the client's name for the change, ``old_name`` the order's name before it (cancellation, amendment).
    """
    sent = order.sent
    filled = execution == "TRADE"
    symbol = state.market.symbol(order.symbol)
    received = symbol.base if order.side == "BUY" else symbol.quote
    working = order.working_since >= 0
    event: dict[str, Any] = {
        "e": "executionReport",
        "E": state.now_ms,
        "s": order.symbol,
        "c": order.client_order_id if name is None else name,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": text(order.quantity),
        "p": text(order.price),
        "P": text(sent.get("stopPrice", _ZERO)),
    }
    if "trailingDelta" in sent:
        event |= {"d": sent["trailingDelta"], "D": order.tracking_since}
    event |= {
        "F": text(sent.get("icebergQty", _ZERO)),
        "g": order.list_id,
        "C": old_name,
        "x": execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": text(order.last_quantity if filled else _ZERO),
        "z": text(order.executed),
        "L": text(order.last_price if filled else _ZERO),
        "n": "0",
        "N": received if filled else None,
        "T": order.update_time,
        "t": order.trade_id if filled and not order.sor else -1,
    }
    if prevented is not None:
        event["v"] = prevented.id
    event |= {
        "I": state.last_execution_id,
        "w": working and order.is_open,
        "m": maker,
        "M": filled,
        "O": order.time,
        "Z": text(order.value),
        "Y": text(order.last_quantity * order.last_price if filled else _ZERO),
        "Q": text(sent.get("quoteOrderQty", _ZERO)),
    }
    event |= {short: sent[long] for short, long in _ECHOES if long in sent}
    if working:
        event["W"] = order.working_since
    event["V"] = sent.get("selfTradePreventionMode", "NONE")
    if prevented is not None:
        event |= _prevention(order, prevented)
    if order.sor:
        event |= {"k": "SOR", "uS": True}
        if filled:
            event |= {"b": "ONE_PARTY_TRADE_REPORT", "a": order.trade_id}
    if "pegPriceType" in sent:
        event |= {short: sent[long] for short, long in _PEG_ECHOES if long in sent}
        if working:
            event["gp"] = text(order.price)
    if order.expiry is not None:
        event["eR"] = order.expiry
    return event


def _prevention(order: Order, prevented: PreventedMatch) -> dict[str, Any]:
    is_taker = order.order_id == prevented.taker_order_id
    quantity = (prevented.taker_quantity if is_taker else prevented.maker_quantity) or _ZERO
    return {
        "A": text(order.prevented),
        "B": text(quantity),
        "u": -1,
        "U": prevented.maker_order_id if is_taker else prevented.taker_order_id,
        "Cs": prevented.symbol,
        "pl": text(quantity),
        "pL": text(prevented.price),
        "pY": text(quantity * prevented.price),
    }


def list_status(state: State, orders: OrderList, status: str) -> dict[str, Any]:
    """Return the listStatus of an order list; ``status`` is the list's status type (``l``)."""
    return {
        "e": "listStatus",
        "E": state.now_ms,
        "s": orders.symbol,
        "g": orders.list_id,
        "c": orders.contingency,
        "l": status,
        "L": orders.status,
        "r": "NONE",
        "C": orders.client_id,
        "T": state.now_ms,
        "O": [{"s": order.symbol, "i": order.order_id, "c": order.client_order_id} for order in orders.orders],
    }


def outbound_account_position(state: State, account: Account, assets: Iterable[str]) -> dict[str, Any]:
    """Return the outboundAccountPosition of the assets that may have changed."""
    return {
        "e": "outboundAccountPosition",
        "E": state.now_ms,
        "u": account.update_time or state.now_ms,
        "B": [
            {"a": asset, "f": text(account.free(asset)), "l": text(account.locked.get(asset, _ZERO))}
            for asset in assets
        ],
    }


def balance_update(state: State, asset: str, change: Decimal) -> dict[str, Any]:
    """Return the balanceUpdate of a deposit, a withdrawal or a transfer."""
    return {"e": "balanceUpdate", "E": state.now_ms, "a": asset, "d": text(change), "T": state.now_ms}
