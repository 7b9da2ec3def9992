"""Placing Spot order lists: OCO, OTO, OTOCO, OPO and OPOCO (PROTOCOL.md §6)."""

from __future__ import annotations

from typing import Any, Final

from binance_session.simulator.filters import check_number_of_orders
from binance_session.simulator.methods import spot_matching as matching
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot import order_symbol
from binance_session.simulator.methods.spot_reports import fills_of, list_report, placed
from binance_session.simulator.methods.spot_rules import Draft, check, make, name_of, names_of, response_type
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["SPOT_LISTS"]

SPOT_LISTS = Table()

_OF_LIST: Final = "listClientOrderId newOrderRespType selfTradePreventionMode"
#: what a leg's endings are for the request as a whole, or not for this leg
_LEG: Final = "Type Side Quantity"
_WORKING: Final = "Type Side Price Quantity StopPrice TrailingDelta"
_STOP_LOSS: Final = ("STOP_LOSS", "STOP_LOSS_LIMIT")
_TAKE_PROFIT: Final = ("TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
#: (types, side) -> whether an order of these must be above, and the (code, text) if it is not where it must be
_PLACES: Final = (
    (("LIMIT_MAKER",), "BUY", False, -1165, "A limit order in a buy OCO must be below."),
    (("LIMIT_MAKER",), "SELL", True, -1166, "A limit order in a sell OCO must be above."),
    (_STOP_LOSS, "BUY", True, -1196, "A stop loss order in a buy OCO must be above."),
    (_STOP_LOSS, "SELL", False, -1197, "A stop loss order in a sell OCO must be below."),
    (_TAKE_PROFIT, "BUY", False, -1198, "A take profit order in a buy OCO must be below."),
    (_TAKE_PROFIT, "SELL", True, -1199, "A take profit order in a sell OCO must be above."),
)
#: what the legs of the deprecated OCO are called
_LIMIT_LEG: Final = {
    "newClientOrderId": "limitClientOrderId",
    "icebergQty": "limitIcebergQty",
    "strategyId": "limitStrategyId",
    "strategyType": "limitStrategyType",
    "price": "price",
}
_STOP_LEG: Final = {
    "newClientOrderId": "stopClientOrderId",
    "icebergQty": "stopIcebergQty",
    "strategyId": "stopStrategyId",
    "strategyType": "stopStrategyType",
    "price": "stopLimitPrice",
    "timeInForce": "stopLimitTimeInForce",
    "stopPrice": "stopPrice",
    "trailingDelta": "trailingDelta",
}
_BAD_PRICES: Final = "The relationship of the prices for the orders is not correct."


def _check_pair(above: Draft, below: Draft) -> None:
    """Refuse two orders that make no OCO: by their types, and by which of them is above."""
    types = [draft.params["type"] for draft in (above, below)]
    if not {*types} <= {"LIMIT_MAKER", *_STOP_LOSS, *_TAKE_PROFIT}:
        raise Refusal(400, -1158, "Order type not supported in OCO.")
    if types == ["LIMIT_MAKER", "LIMIT_MAKER"]:
        raise Refusal(400, -1168, "At least one OCO order must be contingent.")
    for draft, is_above in ((above, True), (below, False)):
        for kinds, side, must_be_above, code, message in _PLACES:
            if draft.params["type"] in kinds and draft.params["side"] == side and is_above is not must_be_above:
                raise Refusal(400, code, message)


def _shared(call: Call) -> dict[str, Any]:
    """Return the parameters that all orders of a list share."""
    return {name: call.params[name] for name in ("selfTradePreventionMode",) if name in call.params}


def _leg(call: Call, prefix: str, *, without_quantity: bool = False, **fixed: Any) -> Draft:
    return Draft.leg(call, order_symbol(call), prefix, without_quantity=without_quantity, **_shared(call), **fixed)


def _place(call: Call, drafts: list[Draft], contingency: str, *, pays: bool = False, answer: str = "RESULT") -> Any:
    """Place the orders of a list, or none of them; ``answer`` is the response type by itself."""
    state, account, limits = call.state, call.account, call.state.limits
    for draft in drafts:
        check(draft)
    kind = response_type(call, answer)
    symbol = drafts[0].symbol
    name = name_of(call, "listClientOrderId")
    previous = account.find_list(None, name)
    if previous is not None and previous.is_open:
        raise Refusal(400, -2010, "Duplicate order sent.")
    check_number_of_orders(account, symbol, len(drafts))
    count = state.venue.method(call.method).orders
    if call.method.endswith("orderList.place"):
        count = state.readings.deprecated_oco_counts
    now = state.clock.time()
    limits.charge_orders(account, count, now)
    try:
        orders = _admitted(call, drafts, contingency)
    except Refusal:
        limits.uncharge_orders(account, count, now)
        raise
    state.last_list_id += 1
    made = OrderList(state.last_list_id, contingency, name, symbol.name, state.now_ms, orders, pays)
    account.lists[made.list_id] = made
    for order in orders:
        order.list_id = made.list_id
        account.add(order)
    # as they are placed: a working order that is filled at once is told before what it triggers
    report = list_report(made, "EXEC_STARTED")
    matching.tell_list(state, account, made, "EXEC_STARTED")
    for order in made.pending:
        matching.place_pending(state, account, order)
    waiting = [placed(order, kind, []) for order in made.pending]
    entering = orders[:1] if made.pending else orders
    matching.enter_all(state, account, entering, symbol)
    report["orderReports"] = [*(placed(order, kind, fills_of(account, order)) for order in entering), *waiting]
    return report


def _admitted(call: Call, drafts: list[Draft], contingency: str) -> list[Order]:
    """Return the orders of the drafts, of which those that enter the book at once are admitted there."""
    state, account, symbol = call.state, call.account, drafts[0].symbol
    orders = [make(state, draft) for draft in drafts]
    if len({order.client_order_id for order in orders}) < len(orders):
        raise Refusal(400, -2010, "Duplicate order sent.")
    for order in orders[:1] if contingency == "OTO" else orders:
        if order.type not in matching.STOPS:
            matching.peg(state, order, symbol)
        try:
            matching.admit(state, account, order, symbol)
        except Refusal as refusal:
            if contingency == "OCO" and "would" in refusal.message:
                raise Refusal(400, -2010, _BAD_PRICES) from None
            raise
    return orders


@SPOT_LISTS.method(
    "orderList.place",
    "symbol side price quantity",
    "listClientOrderId newOrderRespType selfTradePreventionMode limitClientOrderId limitIcebergQty limitStrategyId"
    " limitStrategyType stopPrice trailingDelta stopClientOrderId stopLimitPrice stopLimitTimeInForce stopIcebergQty"
    " stopStrategyId stopStrategyType",
)
def place_deprecated_oco(call: Call) -> Any:
    """Place a LIMIT_MAKER order and a stop loss of which one cancels the other."""
    params, symbol = call.params, order_symbol(call)
    common = {"side": params["side"], "quantity": params["quantity"], **_shared(call)}
    legs = []
    for names in (_STOP_LEG, _LIMIT_LEG):
        own = {plain: params[name] for plain, name in names.items() if name in params}
        kind = "LIMIT_MAKER" if names is _LIMIT_LEG else "STOP_LOSS_LIMIT" if "price" in own else "STOP_LOSS"
        legs.append(Draft(symbol, {**common, **own, "type": kind}, names))
    return _place(call, legs, "OCO", answer="FULL")


@SPOT_LISTS.method(
    "orderList.place.oco",
    "symbol side quantity aboveType belowType",
    f"{_OF_LIST} {names_of('above', _LEG)} {names_of('below', _LEG)}",
)
def place_oco(call: Call) -> Any:
    """Place two orders of which one cancels the other."""
    common = {name: call.params[name] for name in ("side", "quantity")}
    above, below = (_leg(call, prefix, **common) for prefix in ("above", "below"))
    _check_pair(above, below)
    return _place(call, [above, below], "OCO")


def _working(call: Call) -> Draft:
    draft = _leg(call, "working")
    if draft.params["type"] not in ("LIMIT", "LIMIT_MAKER"):
        raise Refusal(400, -1116, "Invalid orderType.")
    return draft


def _pending_pair(call: Call, *, without_quantity: bool = False) -> list[Draft]:
    fixed = {"side": call.params["pendingSide"]}
    if not without_quantity:
        fixed["quantity"] = call.params["pendingQuantity"]
    pair = [_leg(call, prefix, without_quantity=without_quantity, **fixed) for prefix in _PENDING_PAIR]
    _check_pair(*pair)
    return pair


_PENDING_PAIR: Final = ("pendingAbove", "pendingBelow")
_PAIR_NAMES: Final = " ".join(names_of(prefix, _LEG) for prefix in _PENDING_PAIR)
_WORKING_NEEDS: Final = "symbol workingType workingSide workingPrice workingQuantity"
_WORKING_NAMES: Final = f"{_OF_LIST} {names_of('working', _WORKING)}"
_PAIR_NEEDS: Final = "pendingSide pendingAboveType pendingBelowType"


@SPOT_LISTS.method(
    "orderList.place.oto",
    f"{_WORKING_NEEDS} pendingType pendingSide pendingQuantity",
    f"{_WORKING_NAMES} {names_of('pending', _LEG)}",
)
def place_oto(call: Call) -> Any:
    """Place an order that triggers another once it is filled."""
    return _place(call, [_working(call), _leg(call, "pending")], "OTO")


@SPOT_LISTS.method(
    "orderList.place.otoco", f"{_WORKING_NEEDS} {_PAIR_NEEDS} pendingQuantity", f"{_WORKING_NAMES} {_PAIR_NAMES}"
)
def place_otoco(call: Call) -> Any:
    """Place an order that triggers an OCO once it is filled."""
    return _place(call, [_working(call), *_pending_pair(call)], "OTO")


def _check_sides(call: Call) -> None:
    if call.params["workingSide"] != "BUY":
        raise Refusal(400, -1222, "Working order in an OPO list must be a bid.")
    if call.params["pendingSide"] != "SELL":
        raise Refusal(400, -1223, "Pending orders in an OPO list must be asks.")


@SPOT_LISTS.method(
    "orderList.place.opo",
    f"{_WORKING_NEEDS} pendingType pendingSide",
    f"{_WORKING_NAMES} {names_of('pending', _LEG)}",
)
def place_opo(call: Call) -> Any:
    """Place an order that triggers another, which sells what the first has bought."""
    _check_sides(call)
    return _place(call, [_working(call), _leg(call, "pending", without_quantity=True)], "OTO", pays=True)


@SPOT_LISTS.method("orderList.place.opoco", f"{_WORKING_NEEDS} {_PAIR_NEEDS}", f"{_WORKING_NAMES} {_PAIR_NAMES}")
def place_opoco(call: Call) -> Any:
    """Place an order that triggers an OCO, which sells what the first has bought."""
    _check_sides(call)
    return _place(call, [_working(call), *_pending_pair(call, without_quantity=True)], "OTO", pays=True)
