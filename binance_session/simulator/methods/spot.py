"""Placing and cancelling single orders on Spot, with smart order routing or without (PROTOCOL.md §6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.filters import check_number_of_orders
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods import spot_matching as matching
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot_reports import cancelled, fills_of, list_report, placed
from binance_session.simulator.methods.spot_rules import Draft, check, make, name_of, response_type
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = [
    "NEW_ORDER",
    "SPOT_ORDERS",
    "UNKNOWN_ORDER",
    "cancel_one",
    "check_restrictions",
    "draft_of",
    "find",
    "find_open",
    "order_symbol",
    "place_checked",
]

SPOT_ORDERS = Table()

#: what a new order may have besides ``symbol side type``
NEW_ORDER: Final = (
    "timeInForce price quantity quoteOrderQty newClientOrderId newOrderRespType stopPrice trailingDelta icebergQty"
    " strategyId strategyType selfTradePreventionMode pegPriceType pegOffsetType pegOffsetValue"
)
_SOR: Final = (
    "timeInForce price newClientOrderId newOrderRespType icebergQty strategyId strategyType selfTradePreventionMode"
)
#: a test order may ask for what its trades would cost
_RATES: Final = " computeCommissionRates"
UNKNOWN_ORDER: Final = (-2011, "Unknown order sent.")
_RESTRICTIONS: Final = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}
NO_RATES: Final = {"maker": text(Decimal(0)), "taker": text(Decimal(0))}
DISCOUNT: Final = {
    "enabledForAccount": False,
    "enabledForSymbol": False,
    "discountAsset": "BNB",
    "discount": text(Decimal(0)),
}


def order_symbol(call: Call) -> Symbol:
    """Return the symbol that a request names."""
    return call.state.market.symbol(call.params["symbol"])


def draft_of(call: Call) -> Draft:
    """Return the new order that a request describes, checked."""
    draft = Draft(order_symbol(call), call.params)
    check(draft)
    return draft


def place_checked(call: Call, draft: Draft, *, sor: bool = False) -> Order:
    """Let a checked order meet the matching engine, or refuse it (-2010)."""
    state, account = call.state, call.account
    order = make(state, draft, sor=sor)
    matching.peg(state, order, draft.symbol)
    matching.admit(state, account, order, draft.symbol)
    matching.enter(state, account, order, draft.symbol)
    return order


def _place(call: Call, *, sor: bool = False) -> dict[str, Any]:
    kind = response_type(call)
    draft = draft_of(call)
    check_number_of_orders(call.account, draft.symbol, 1)
    limits, now = call.state.limits, call.state.clock.time()
    limits.charge_orders(call.account, 1, now)
    try:
        order = place_checked(call, draft, sor=sor)
    except Refusal:
        limits.uncharge_orders(call.account, 1, now)
        raise
    return placed(order, kind, fills_of(call.account, order, sor=sor))


@SPOT_ORDERS.method("order.place", "symbol side type", NEW_ORDER)
def place(call: Call) -> dict[str, Any]:
    """Take an order: what can be filled at the market's price is filled at that price, whole."""
    return _place(call)


@SPOT_ORDERS.method("sor.order.place", "symbol side type quantity", _SOR)
def place_sor(call: Call) -> list[dict[str, Any]]:
    """Take an order for smart order routing, which finds no better price than the market's here."""
    _check_sor(call)
    return [_place(call, sor=True)]


def _check_sor(call: Call) -> None:
    if call.params["type"] not in ("LIMIT", "MARKET"):
        raise Refusal(400, -1116, "Invalid orderType.")


@SPOT_ORDERS.method("order.test", "symbol side type", NEW_ORDER + _RATES)
def test(call: Call) -> dict[str, Any]:
    """Check a new order without placing it."""
    draft_of(call)
    response_type(call)
    if not call.params.get("computeCommissionRates"):
        return {}
    return {
        "standardCommissionForOrder": NO_RATES,
        "specialCommissionForOrder": NO_RATES,
        "taxCommissionForOrder": NO_RATES,
        "discount": DISCOUNT,
    }


@SPOT_ORDERS.method("sor.order.test", "symbol side type quantity", _SOR + _RATES)
def test_sor(call: Call) -> dict[str, Any]:
    """Check a new order for smart order routing without placing it; its answer has no special commission."""
    _check_sor(call)
    answer: dict[str, Any] = test(call)
    answer.pop("specialCommissionForOrder", None)
    return answer


def find(
    call: Call, number: str = "orderId", name: str = "origClientOrderId", *, refusal: tuple[int, str] = UNKNOWN_ORDER
) -> Order:
    """Return the order that a request names by its id, by the client's, or by both.

    Refuses a request without either (-1102), one whose two names are not of one order (-2039), and with ``refusal``
    (code, text) one that names no order.
    """
    symbol, params = order_symbol(call), call.params
    if number not in params and name not in params:
        message = f"Param '{name}' or '{number}' must be sent, but both were empty/null!"
        raise Refusal(400, -1102, message)
    order = call.account.find(symbol.name, params.get(number), params.get(name))
    if order is None:
        raise Refusal(400, *refusal)
    if number in params and params.get(name, order.client_order_id) != order.client_order_id:
        raise Refusal(400, -2039, "Client order ID is not correct for this order ID.")
    return order


def find_open(call: Call, number: str = "orderId", name: str = "origClientOrderId") -> Order:
    """Return the open order that a request names, and that ``cancelRestrictions`` let it cancel."""
    order = find(call, number, name)
    if not order.is_open:
        raise Refusal(400, *UNKNOWN_ORDER)
    wanted = _RESTRICTIONS.get(call.params.get("cancelRestrictions", ""), order.status)
    if wanted != order.status:
        raise Refusal(400, -2011, "Order was not canceled due to cancel restrictions.")
    return order


def check_restrictions(call: Call) -> None:
    """Refuse ``cancelRestrictions`` that do not exist."""
    if call.params.get("cancelRestrictions", "ONLY_NEW") not in _RESTRICTIONS:
        message = "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`."
        raise Refusal(400, -1145, message)


def cancel_one(call: Call, order: Order, name: str) -> dict[str, Any]:
    """Cancel an order, and with it the list that it belongs to; return the report of what was cancelled."""
    state, account = call.state, call.account
    symbol = state.market.symbol(order.symbol)
    orders = matching.list_of(account, order)
    if orders is None:
        matching.cancel(state, account, order, symbol, name)
        report, gone = cancelled(order, name), [order]
    else:
        gone = _cancel_list(call, orders, symbol, name)
        report = list_report(orders, "ALL_DONE", [cancelled(order, name) for order in gone])
    _free_names(call, gone, name)
    matching.tell_balances(state, account, symbol)
    return report


def _free_names(call: Call, orders: list[Order], name: str) -> None:
    """Give cancelled orders the name of their cancellation, if the readings say that it replaces their own."""
    if call.state.readings.cancelled_name == "replaced":
        for order in orders:
            old_name, order.client_order_id = order.client_order_id, name
            call.account.rename(order, old_name)


def _cancel_list(call: Call, orders: OrderList, symbol: Symbol, name: str) -> list[Order]:
    """Cancel what is open of a list, and return it."""
    open_orders = [order for order in orders.orders if order.is_open]
    matching.cancel_list(call.state, call.account, orders, symbol, name)
    return open_orders


@SPOT_ORDERS.method("order.cancel", "symbol", "orderId origClientOrderId newClientOrderId cancelRestrictions")
def cancel(call: Call) -> dict[str, Any]:
    """Cancel an open order, or the whole list that it belongs to."""
    check_restrictions(call)
    name = name_of(call)
    return cancel_one(call, find_open(call), name)


@SPOT_ORDERS.method("openOrders.cancelAll", "symbol")
def cancel_all(call: Call) -> list[dict[str, Any]]:
    """Cancel every open order of a symbol, lists included."""
    symbol = order_symbol(call)
    orders = list(call.account.open_orders(symbol.name))
    if not orders:
        raise Refusal(400, *UNKNOWN_ORDER)
    name = name_of(call)
    return [cancel_one(call, order, name) for order in orders if order.is_open]


@SPOT_ORDERS.method("orderList.cancel", "symbol", "orderListId listClientOrderId newClientOrderId")
def cancel_list(call: Call) -> dict[str, Any]:
    """Cancel what is open of an order list."""
    symbol, params = order_symbol(call), call.params
    number, client_id = params.get("orderListId"), params.get("listClientOrderId")
    if number is None and client_id is None:
        message = "Param 'listClientOrderId' or 'orderListId' must be sent, but both were empty/null!"
        raise Refusal(400, -1102, message)
    name = name_of(call)
    orders = call.account.find_list(number, client_id)
    if orders is None or not orders.is_open or orders.symbol != symbol.name:
        raise Refusal(400, *UNKNOWN_ORDER)
    if client_id not in (None, orders.client_id):
        raise Refusal(400, -2039, "Client order ID is not correct for this order ID.")
    gone = _cancel_list(call, orders, symbol, name)
    report = list_report(orders, "ALL_DONE", [cancelled(order, None) for order in gone])
    _free_names(call, gone, name)
    matching.tell_balances(call.state, call.account, symbol)
    return report
