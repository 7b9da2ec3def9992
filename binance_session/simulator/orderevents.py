"""The events of Spot accounts, with every field that the documents' examples show (PROTOCOL.md §7).

Left out is what the documents say is pushed only for orders that are not played here: trailing stops, strategies,
prevented matches, SOR. A commission is named on fills only; it is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account, Order
from binance_session.simulator.market import text
from binance_session.simulator.state import State

__all__ = [
    "balance_update",
    "execution_report",
    "outbound_account_position",
]

_ZERO: Final = Decimal(0)


def execution_report(
    state: State, order: Order, execution: str, *, cancel_name: str | None = None, maker: bool = False
) -> dict[str, Any]:
    """Return the executionReport of what (``x``) has just happened to a Spot order.

    ``cancel_name`` is the client's name for the cancellation.
    """
    state.last_execution_id += 1
    sent = order.sent
    filled = execution == "TRADE"
    price = text(order.average if filled else _ZERO)
    symbol = state.market.symbol(order.symbol)
    received = symbol.base if order.side == "BUY" else symbol.quote
    event: dict[str, Any] = {
        "e": "executionReport",
        "E": state.now_ms,
        "s": order.symbol,
        "c": order.client_order_id if cancel_name is None else cancel_name,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": text(order.quantity),
        "p": text(order.price),
        "P": text(sent.get("stopPrice", _ZERO)),
    }
    if "trailingDelta" in sent:
        event["d"] = sent["trailingDelta"]
    event |= {
        "F": text(sent.get("icebergQty", _ZERO)),
        "g": -1,
        "C": "" if cancel_name is None else order.client_order_id,
        "x": execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": text(order.executed if filled else _ZERO),
        "z": text(order.executed),
        "L": price,
        "n": "0",
        "N": received if filled else None,
        "T": order.update_time,
        "t": state.last_trade_id if filled else -1,
        "I": state.last_execution_id,
        "w": order.is_open,
        "m": maker,
        "M": filled,
        "O": order.time,
        "Z": text(order.value),
        "Y": text(order.value if filled else _ZERO),
        "Q": text(sent.get("quoteOrderQty", _ZERO)),
    }
    for short, name in (("j", "strategyId"), ("J", "strategyType")):
        if name in sent:
            event[short] = sent[name]
    event |= {"W": order.time, "V": sent.get("selfTradePreventionMode", "NONE")}
    return event


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
