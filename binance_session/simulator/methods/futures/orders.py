"""order.place, order.modify, order.cancel and order.status of COIN-M and USD-M futures (PROTOCOL.md §6).

One-way position mode. The market's price does not move by itself: an order is filled whole when it arrives (or is
modified), or it rests until the price is moved or it is filled by ``Exchange.fill``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.market import Symbol
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.futures.answers import order_answer
from binance_session.simulator.methods.futures.checks import (
    check_choices,
    check_client_id_length,
    check_expiry,
    check_price_match,
    check_quantity,
    check_stop,
)
from binance_session.simulator.methods.futures.fills import end, match, tell
from binance_session.simulator.methods.futures.margins import closable, insufficient
from binance_session.simulator.methods.futures.stops import place_stop
from binance_session.simulator.methods.futures.triggers import expire_on_time, follow
from binance_session.simulator.methods.orders import (
    check_digits,
    choice,
    client_order_id,
    duplicate,
    find_order,
    marketable,
    needs,
    new_order,
)
from binance_session.simulator.product import Product
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call
from binance_session.simulator.stoporders import ALGO_TYPES

__all__ = ["COIN_M_ORDERS", "ORDERS", "USD_M_ORDERS"]

ORDERS = Table()
COIN_M_ORDERS = Table()
USD_M_ORDERS = Table()

_ZERO: Final = Decimal(0)
_TYPES: Final = ("LIMIT", "MARKET", *ALGO_TYPES)
#: by product; RPI and what else is for market makers is not played
_FORCES: Final = {Product.COIN_M: ("GTC", "IOC", "FOK", "GTX"), Product.USD_M: ("GTC", "IOC", "FOK", "GTX", "GTD")}
_PLACE: Final = "symbol side type"
# The parameters of stop orders are read, so that these are refused for what they are.
_PLACE_OPTIONAL: Final = (
    "positionSide timeInForce quantity reduceOnly price newClientOrderId stopPrice closePosition activationPrice"
    " callbackRate workingType priceProtect newOrderRespType priceMatch selfTradePreventionMode"
)
_MODIFY: Final = "symbol side quantity price"
_MODIFY_OPTIONAL: Final = "orderId origClientOrderId origType priceMatch modifyId"


@COIN_M_ORDERS.method("order.place", _PLACE, _PLACE_OPTIONAL)
@USD_M_ORDERS.method("order.place", _PLACE, _PLACE_OPTIONAL + " goodTillDate")
def place(call: Call) -> dict[str, Any]:
    """Take an order: a MARKET order, or a LIMIT order that crosses the market's price, is filled at that price."""
    params, state, account = call.params, call.state, call.account
    symbol = state.market.symbol(params["symbol"])
    _check(call, symbol)
    check_client_id_length(call, "newClientOrderId")
    name = client_order_id(call)
    if duplicate(account, symbol.name, name):
        raise Refusal(400, -4116, "ClientOrderId is duplicated.")
    if params["type"] in ALGO_TYPES:
        return order_answer(state, place_stop(call, symbol, name), "placed")
    reduces = params["quantity"] <= closable(account, symbol.name, params["side"])
    if params.get("reduceOnly") and not reduces:
        raise Refusal(400, -2022, "ReduceOnly Order is rejected.")
    order = new_order(call, symbol, name, params["quantity"])
    if "priceMatch" in params:
        order.price = state.market.prices[symbol.name]
    if insufficient(state, account, symbol, order):
        raise Refusal(400, -2019, "Margin is insufficient.")
    state.limits.charge_orders(account, 1, state.clock.time())
    account.add(order)
    tell(state, account, order, "NEW")
    # An ACK is written before the order meets the market.
    answer = order_answer(state, order, "placed")
    match(state, account, order, symbol)
    follow(state, account, symbol)
    expire_on_time(state, account, order)
    return order_answer(state, order, "placed") if params.get("newOrderRespType") == "RESULT" else answer


def _check(call: Call, symbol: Symbol) -> None:
    params = call.params
    check_choices(call, _TYPES, _FORCES[call.state.product])
    if params["type"] in ALGO_TYPES:
        if call.state.product is Product.COIN_M and call.state.readings.coin_m_stops == "taken":
            check_stop(call, symbol, "stopPrice", "activationPrice")
            return
        raise Refusal(
            400,
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    check_price_match(call, params["type"])
    if params["type"] == "LIMIT":
        price_or_match = ("price",) if "priceMatch" not in params else ()
        needs(call, ("timeInForce", "quantity", *price_or_match), ("stopPrice",))
    else:
        needs(call, ("quantity",), ("timeInForce", "price", "stopPrice"))
    check_digits(symbol, price=params.get("price"), quantity=params["quantity"])
    check_quantity(params["quantity"])
    if params["type"] == "LIMIT" and params.get("price", 1) <= 0:
        raise Refusal(400, -4001, "Price less than 0.")
    check_expiry(call)


@COIN_M_ORDERS.method("order.modify", _MODIFY, _MODIFY_OPTIONAL)
@USD_M_ORDERS.method("order.modify", _MODIFY, _MODIFY_OPTIONAL + " reduceOnly")
def modify(call: Call) -> dict[str, Any]:
    """Change the price and quantity of a resting LIMIT order.

    It is cancelled by that if it has been filled that far already, or if it must not take and now would.
    """
    state, account, params = call.state, call.account, call.params
    order = find_order(call, code=-2013, message="Order does not exist.")
    symbol = state.market.symbol(order.symbol)
    choice(call, "side", ("BUY", "SELL"), (-1117, "Invalid side."))
    if not order.is_open or order.type != "LIMIT" or order.side != params["side"]:
        raise Refusal(400, -2013, "Order does not exist.")
    if params.get("reduceOnly") and not order.sent.get("reduceOnly"):
        raise Refusal(400, -5047, "The original order is not a reduce-only order")
    check_digits(symbol, price=params["price"], quantity=params["quantity"])
    check_quantity(params["quantity"])
    if (order.price, order.quantity) == (params["price"], params["quantity"]):
        raise Refusal(400, -5027, "No need to modify the order.")
    state.limits.charge_orders(account, 1, state.clock.time())
    modify_id = params.get("modifyId")
    if params["quantity"] <= order.executed:
        end(state, account, order, "CANCELED")
        follow(state, account, symbol)
        return order_answer(state, order, "placed", modify_id=modify_id)
    order.price, order.quantity = params["price"], params["quantity"]
    order.update_time = call.now_ms
    tell(state, account, order, "AMENDMENT", modify_id=modify_id)
    answer = order_answer(state, order, "placed", modify_id=modify_id)
    if order.time_in_force == "GTX" and marketable(order, state.market.prices[symbol.name]):
        end(state, account, order, "CANCELED")
        answer = order_answer(state, order, "placed", modify_id=modify_id)
    else:
        match(state, account, order, symbol)
    follow(state, account, symbol)
    return answer


@ORDERS.method("order.cancel", "symbol", "orderId origClientOrderId")
def cancel(call: Call) -> dict[str, Any]:
    """Cancel a resting order."""
    order = find_order(call, code=-2011, message="Unknown order sent.")
    if not order.is_open:
        raise Refusal(400, -2011, "Unknown order sent.")
    end(call.state, call.account, order, "CANCELED")
    follow(call.state, call.account, call.state.market.symbol(order.symbol))
    return order_answer(call.state, order, "cancelled")


@ORDERS.method("order.status", "symbol", "orderId origClientOrderId")
def order_status(call: Call) -> dict[str, Any]:
    """Tell what became of an order. Algo orders are no orders: this does not see them."""
    return order_answer(call.state, find_order(call, code=-2013, message="Order does not exist."), "shown")
