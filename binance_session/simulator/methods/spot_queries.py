"""What a Spot account asks about its orders, order lists and trades (PROTOCOL.md §6)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.market import text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot import find, order_symbol
from binance_session.simulator.methods.spot_reports import list_report, listed
from binance_session.simulator.refusals import Refusal, invalid
from binance_session.simulator.state import Call
from binance_session.simulator.trades import PreventedMatch, Trade

__all__ = ["SPOT_QUERIES", "limit_of"]

SPOT_QUERIES = Table()

_DAY: Final = 86_400_000
_HIGHEST_LIMIT: Final = 1000


def limit_of(call: Call, default: int = 500) -> int:
    """Return how many rows a request wants: at most 1000."""
    limit: int = call.params.get("limit", default)
    if limit < 1:
        raise invalid("limit")
    return min(limit, _HIGHEST_LIMIT)


def _span(call: Call) -> tuple[int, int] | None:
    """Return the times that a request asks for, ``None`` if it names neither; refuses more than 24 hours (-1127)."""
    start, end = call.params.get("startTime"), call.params.get("endTime")
    if start is None and end is None:
        return None
    if start is not None and end is not None and end - start > _DAY:
        raise Refusal(400, -1127, "More than 24 hours between startTime and endTime.")
    return (0 if start is None else start), (2**63 if end is None else end)


def _page(rows: list[Any], limit: int, *, newest: bool) -> list[Any]:
    return rows[-limit:] if newest else rows[:limit]


@SPOT_QUERIES.method("order.status", "symbol", "orderId origClientOrderId")
def order_status(call: Call) -> dict[str, Any]:
    """Tell what became of an order."""
    return listed(find(call, refusal=(-2013, "Order does not exist.")))


@SPOT_QUERIES.method("openOrders.status", optional="symbol")
def open_orders(call: Call) -> list[dict[str, Any]]:
    """List the orders that are open."""
    name = order_symbol(call).name if "symbol" in call.params else None
    return [listed(order) for order in call.account.open_orders(name)]


@SPOT_QUERIES.method("allOrders", "symbol", "orderId startTime endTime limit")
def all_orders(call: Call) -> list[dict[str, Any]]:
    """List the orders of a symbol, whatever became of them: by the time of their last change, or by their ids."""
    symbol, span, limit = order_symbol(call), _span(call), limit_of(call)
    orders = [order for order in call.account.orders.values() if order.symbol == symbol.name]
    first = call.params.get("orderId")
    if span is not None:
        orders = [order for order in orders if span[0] <= order.update_time <= span[1]]
    elif first is not None:
        orders = [order for order in orders if order.order_id >= first]
    newest = span is None and first is None
    return [listed(order) for order in _page(orders, limit, newest=newest)]


@SPOT_QUERIES.method("orderList.status", optional="orderListId origClientOrderId")
def list_status(call: Call) -> dict[str, Any]:
    """Tell what became of an order list; ``origClientOrderId`` is the list's own name, and prevails."""
    number, name = call.params.get("orderListId"), call.params.get("origClientOrderId")
    if number is None and name is None:
        message = "Param 'origClientOrderId' or 'orderListId' must be sent, but both were empty/null!"
        raise Refusal(400, -1102, message)
    orders = call.account.find_list(number if name is None else None, name)
    if orders is None:
        raise Refusal(400, -2013, "Order list does not exist.")
    return list_report(orders)


@SPOT_QUERIES.method("openOrderLists.status")
def open_lists(call: Call) -> list[dict[str, Any]]:
    """List the order lists that are open."""
    return [list_report(orders) for orders in call.account.lists.values() if orders.is_open]


@SPOT_QUERIES.method("allOrderLists", optional="fromId startTime endTime limit")
def all_lists(call: Call) -> list[dict[str, Any]]:
    """List the order lists, whatever became of them."""
    span, limit, first = _span(call), limit_of(call), call.params.get("fromId")
    lists = list(call.account.lists.values())
    if span is not None:
        lists = [orders for orders in lists if span[0] <= orders.time <= span[1]]
    elif first is not None:
        lists = [orders for orders in lists if orders.list_id >= first]
    return [list_report(orders) for orders in _page(lists, limit, newest=span is None and first is None)]


def _dealt(call: Call, trades: Iterable[Trade], span: tuple[int, int] | None, first: int | None) -> list[Trade]:
    """Return those of the account's trades that a request asks for."""
    symbol, order_id = order_symbol(call), call.params.get("orderId")
    return [
        trade
        for trade in trades
        if trade.symbol == symbol.name
        and order_id in (None, trade.order_id)
        and (first is None or trade.id >= first)
        and (span is None or span[0] <= trade.time <= span[1])
    ]


def _combination(call: Call, span: tuple[int, int] | None, *, first: int | None) -> None:
    """Refuse a range of times together with an order or a first row (-1128)."""
    if span is not None and ("orderId" in call.params or first is not None):
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")


@SPOT_QUERIES.method("myTrades", "symbol", "orderId startTime endTime fromId limit")
def my_trades(call: Call) -> list[dict[str, Any]]:
    """List the account's trades of a symbol; those of smart order routing are no trades but allocations."""
    span, limit, first = _span(call), limit_of(call), call.params.get("fromId")
    _combination(call, span, first=first)
    trades = _dealt(call, (trade for trade in call.account.trades if not trade.sor), span, first)
    newest = span is None and first is None and "orderId" not in call.params
    return [
        {
            "symbol": trade.symbol,
            "id": trade.id,
            **_dealing(trade),
            "isBuyer": trade.is_buyer,
            "isMaker": trade.is_maker,
            "isBestMatch": True,
        }
        for trade in _page(trades, limit, newest=newest)
    ]


def _dealing(trade: Trade) -> dict[str, Any]:
    """Return the fields that trades and allocations share."""
    return {
        "orderId": trade.order_id,
        "orderListId": trade.list_id,
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "quoteQty": text(trade.value),
        "commission": text(Decimal(0)),
        "commissionAsset": trade.commission_asset,
        "time": trade.time,
    }


@SPOT_QUERIES.method("myAllocations", "symbol", "startTime endTime fromAllocationId limit orderId")
def my_allocations(call: Call) -> list[dict[str, Any]]:
    """List what smart order routing got for the account."""
    span, limit, first = _span(call), limit_of(call), call.params.get("fromAllocationId")
    _combination(call, span, first=first)
    trades = _dealt(call, (trade for trade in call.account.trades if trade.sor), span, first)
    newest = "endTime" in call.params and "startTime" not in call.params
    return [
        {
            "symbol": trade.symbol,
            "allocationId": trade.id,
            "allocationType": "SOR",
            **_dealing(trade),
            "isBuyer": trade.is_buyer,
            "isMaker": trade.is_maker,
            "isAllocator": False,
        }
        for trade in _page(trades, limit, newest=newest)
    ]


def _prevented(match: PreventedMatch) -> dict[str, Any]:
    row: dict[str, Any] = {
        "symbol": match.symbol,
        "preventedMatchId": match.id,
        "takerOrderId": match.taker_order_id,
        "makerSymbol": match.symbol,
        "makerOrderId": match.maker_order_id,
        "tradeGroupId": -1,
        "selfTradePreventionMode": match.mode,
        "price": text(match.price),
    }
    if match.taker_quantity is not None:
        row["takerPreventedQuantity"] = text(match.taker_quantity)
    if match.maker_quantity is not None:
        row["makerPreventedQuantity"] = text(match.maker_quantity)
    row["transactTime"] = match.time
    return row


@SPOT_QUERIES.method("myPreventedMatches", "symbol", "preventedMatchId orderId fromPreventedMatchId limit")
def my_prevented_matches(call: Call) -> list[dict[str, Any]]:
    """List the matches that self-trade prevention kept from happening; by their own id, or by an order's."""
    symbol, params, limit = order_symbol(call), call.params, limit_of(call)
    by_id, by_order = params.get("preventedMatchId"), params.get("orderId")
    if by_id is None and by_order is None:
        message = "Param 'preventedMatchId' or 'orderId' must be sent, but both were empty/null!"
        raise Refusal(400, -1102, message)
    if by_id is not None and {"orderId", "fromPreventedMatchId", "limit"} & params.keys():
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")
    rows = [
        _prevented(match)
        for match in call.account.prevented_matches
        if match.symbol == symbol.name
        and by_id in (None, match.id)
        and by_order in (None, match.taker_order_id, match.maker_order_id)
        and match.id >= params.get("fromPreventedMatchId", 0)
    ]
    return rows[:limit]
