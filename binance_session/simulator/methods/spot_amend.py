"""``order.amend.keepPriority`` and ``order.amendments``: Spot orders made smaller (PROTOCOL.md §6)."""

from __future__ import annotations

from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.filters import AMENDMENTS, failed
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods import spot_matching as matching
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot import find, order_symbol
from binance_session.simulator.methods.spot_queries import limit_of
from binance_session.simulator.methods.spot_reports import conditional, list_report
from binance_session.simulator.methods.spot_rules import name_of
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call, State
from binance_session.simulator.trades import Amendment

__all__ = ["SPOT_AMEND"]

SPOT_AMEND = Table()

_REJECTED: Final = -2038


def _rejected(message: str) -> Refusal:
    return Refusal(400, _REJECTED, message)


@SPOT_AMEND.method("order.amend.keepPriority", "symbol newQty", "orderId origClientOrderId newClientOrderId")
def amend(call: Call) -> dict[str, Any]:
    """Make an open order smaller; it keeps its place. One that has no more than that filled already expires."""
    state, account, quantity = call.state, call.account, call.params["newQty"]
    symbol = order_symbol(call)
    if quantity != round(quantity, symbol.quantity_digits):
        raise Refusal(400, -1111, "Parameter 'newQty' has too much precision.")
    if quantity <= 0:
        raise Refusal(400, -1013, "Invalid quantity.")
    name = name_of(call)
    order = find(call, refusal=(_REJECTED, "Unknown order sent."))
    if not order.is_open:
        raise _rejected("Unknown order sent.")
    orders = matching.list_of(account, order)
    if orders is not None and orders.pays and order.status == "PENDING_NEW":
        raise _rejected("Order amend (pending OPO order) is not supported.")
    if quantity == order.quantity:
        raise _rejected("The requested action would change no state; rejecting")
    if quantity > order.quantity:
        raise _rejected("Order amend (quantity increase) is not supported.")
    same = account.find(symbol.name, None, name)
    if same is not None and same is not order and same.is_open:
        raise _rejected("Duplicate order sent.")
    if sum(1 for item in account.amendments if item.order_id == order.order_id) >= AMENDMENTS:
        raise failed("MAX_NUM_ORDER_AMENDS")
    old_name = order.client_order_id
    _change(state, account, order, symbol, quantity, name)
    execution = state.last_execution_id
    if orders is not None:
        for other in orders.pair if order in orders.pair else ():
            if other is not order:  # only one of the two is ever filled: they have one quantity
                _change(state, account, other, symbol, quantity, other.client_order_id)
        if name != old_name:
            matching.tell_list(state, account, orders, "UPDATED")
    if order.remaining <= 0:
        matching.expire(state, account, order, symbol, "EXCHANGE_CANCELED")
        call.costs_nothing = True
    matching.tell_balances(state, account, symbol)
    return _answer(order, old_name, execution, orders)


def _change(state: State, account: Account, order: Order, symbol: Symbol, quantity: Any, name: str) -> None:
    old_name, old_quantity = order.client_order_id, order.quantity
    order.quantity, order.client_order_id, order.update_time = quantity, name, state.now_ms
    account.rename(order, old_name)
    if order.status != "PENDING_NEW" and order.remaining > 0:
        matching.rests(state, account, order, symbol)
    matching.tell(state, account, order, "REPLACED", old_name=old_name)
    execution = state.last_execution_id
    account.amendments.append(
        Amendment(order.symbol, order.order_id, execution, old_name, name, old_quantity, quantity, state.now_ms)
    )


def _answer(order: Order, old_name: str, execution: int, orders: OrderList | None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "transactTime": order.update_time,
        "executionId": execution,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": order.list_id,
            "origClientOrderId": old_name,
            "clientOrderId": order.client_order_id,
            "price": text(order.price),
            "qty": text(order.quantity),
            "executedQty": text(order.executed),
            "preventedQty": text(order.prevented),
            "quoteOrderQty": text(order.sent.get("quoteOrderQty", order.prevented * 0)),
            "cumulativeQuoteQty": text(order.value),
            "status": order.status,
            "timeInForce": order.time_in_force,
            "type": order.type,
            "side": order.side,
            **conditional(order),
            "workingTime": order.working_since,
            "selfTradePreventionMode": order.sent.get("selfTradePreventionMode", "NONE"),
        },
    }
    if orders is not None:
        answer["listStatus"] = list_report(orders, amended=True)
    return answer


@SPOT_AMEND.method("order.amendments", "symbol orderId", "fromExecutionId limit")
def amendments(call: Call) -> list[dict[str, Any]]:
    """List how an order was amended, oldest first."""
    symbol, params = order_symbol(call), call.params
    rows = [
        {
            "symbol": item.symbol,
            "orderId": item.order_id,
            "executionId": item.execution_id,
            "origClientOrderId": item.old_name,
            "newClientOrderId": item.new_name,
            "origQty": text(item.old_quantity),
            "newQty": text(item.new_quantity),
            "time": item.time,
        }
        for item in call.account.amendments
        if item.symbol == symbol.name
        and item.order_id == params["orderId"]
        and item.execution_id >= params.get("fromExecutionId", 0)
    ]
    return rows[: limit_of(call)]
