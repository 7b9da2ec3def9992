"""Spot orders and order lists as answers show them (PROTOCOL.md §6)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import text
from binance_session.simulator.methods.spot_matching import STOPS
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.trades import Trade

__all__ = ["cancelled", "conditional", "fills_of", "list_report", "listed", "placed"]

_ZERO: Final = Decimal(0)
_PEGS: Final = ("pegPriceType", "pegOffsetType", "pegOffsetValue")


def _head(order: Order) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
    }


def _body(order: Order) -> dict[str, Any]:
    """Return what every report of an order has."""
    body = {
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "origQuoteOrderQty": text(order.sent.get("quoteOrderQty", _ZERO)),
        "cummulativeQuoteQty": text(order.value),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }
    if not order.quantity:  # that of an OPO's pending order is known once the working one is filled
        del body["origQty"]
    return body


def conditional(order: Order) -> dict[str, Any]:
    """Return the fields that only some orders have, by the documents' table of conditional fields."""
    sent = order.sent
    fields: dict[str, Any] = {}
    if order.type in STOPS:
        fields["stopPrice"] = text(sent.get("stopPrice", _ZERO))
    if "trailingDelta" in sent:
        fields |= {"trailingDelta": sent["trailingDelta"], "trailingTime": order.tracking_since}
    if "icebergQty" in sent:
        fields["icebergQty"] = text(sent["icebergQty"])
    fields |= {name: sent[name] for name in ("strategyId", "strategyType") if name in sent}
    if order.prevented_match is not None:
        fields |= {"preventedMatchId": order.prevented_match, "preventedQuantity": text(order.prevented)}
    if order.sor:
        fields |= {"workingFloor": "SOR", "usedSor": True}
    if "pegPriceType" in sent:
        fields |= {name: sent[name] for name in _PEGS if name in sent}
        if order.working_since >= 0:
            fields["peggedPrice"] = text(order.price)
    if order.expiry is not None:
        fields["expiryReason"] = order.expiry
    return fields


def _stp(order: Order) -> str:
    mode: str = order.sent.get("selfTradePreventionMode", "NONE")
    return mode


def fills_of(account: Account, order: Order, *, sor: bool = False) -> list[dict[str, Any]]:
    """Return the fills of an order that has just been placed: they are among the newest trades."""
    newest = takewhile(lambda trade: trade.time >= order.time, reversed(account.trades))
    return [_fill(trade, sor=sor) for trade in newest if trade.order_id == order.order_id][::-1]


def _fill(trade: Trade, *, sor: bool) -> dict[str, Any]:
    fill: dict[str, Any] = {"matchType": "ONE_PARTY_TRADE_REPORT"} if sor else {}
    fill |= {
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "commission": text(_ZERO),
        "commissionAsset": trade.commission_asset,
        "tradeId": -1 if sor else trade.id,
    }
    if sor:
        fill["allocId"] = trade.id
    return fill


def placed(order: Order, kind: str, fills: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the answer to a placement: ``ACK``, ``RESULT`` or ``FULL``; ``fills`` go into the last."""
    answer = {**_head(order), "transactTime": order.update_time}
    if kind == "ACK":
        return answer
    answer |= {**_body(order), **conditional(order), "workingTime": order.working_since}
    if kind == "FULL" and fills is not None:
        answer["fills"] = fills
    answer["selfTradePreventionMode"] = _stp(order)
    return answer


def cancelled(order: Order, name: str | None) -> dict[str, Any]:
    """Return the answer to a cancellation that the client calls ``name``.

    In the example of ``orderList.cancel`` orders have their own names and no others: that is without a ``name``.
    """
    head = _head(order)
    if name is not None:
        head = {"symbol": head.pop("symbol"), "origClientOrderId": order.client_order_id, **head, "clientOrderId": name}
    return {
        **head,
        "transactTime": order.update_time,
        **_body(order),
        **conditional(order),
        "selfTradePreventionMode": _stp(order),
    }


def listed(order: Order) -> dict[str, Any]:
    """Return an order as queries show it."""
    always = {"stopPrice": order.sent.get("stopPrice", _ZERO), "icebergQty": order.sent.get("icebergQty", _ZERO)}
    return {
        **_head(order),
        **_body(order),
        **{name: text(value) for name, value in always.items()},
        **conditional(order),
        "time": order.time,
        "updateTime": order.update_time,
        "isWorking": order.working_since >= 0,
        "workingTime": order.working_since,
        "selfTradePreventionMode": _stp(order),
    }


def list_report(
    orders: OrderList, status: str = "", reports: Iterable[dict[str, Any]] | None = None, *, amended: bool = False
) -> dict[str, Any]:
    """Return an order list as answers show it, with ``reports`` of its orders if there are some.

    ``status`` is its ``listStatusType``, by itself that of a query. An amendment's has no status type and no time.
    """
    answer: dict[str, Any] = {"orderListId": orders.list_id, "contingencyType": orders.contingency}
    if not amended:
        answer["listStatusType"] = status or ("EXEC_STARTED" if orders.is_open else "ALL_DONE")
    answer |= {"listOrderStatus": orders.status, "listClientOrderId": orders.client_id}
    if not amended:
        answer["transactionTime"] = orders.time
    answer |= {
        "symbol": orders.symbol,
        "orders": [
            {"symbol": order.symbol, "orderId": order.order_id, "clientOrderId": order.client_order_id}
            for order in orders.orders
        ],
    }
    if reports is not None:
        answer["orderReports"] = list(reports)
    return answer
