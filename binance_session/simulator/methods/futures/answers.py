"""The order as futures' order methods answer it: which fields, in which order, for each product and method."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.market import text
from binance_session.simulator.orders import Order
from binance_session.simulator.product import Product
from binance_session.simulator.state import State

__all__ = ["order_answer"]

_ZERO: Final = Decimal(0)
_PLACED_COIN: Final = (
    "orderId symbol pair status clientOrderId modifyId price origQty executedQty cumQty timeInForce type reduceOnly"
    " closePosition side positionSide stopPrice workingType priceProtect origType updateTime"
)
_PLACED_USD: Final = (
    "orderId symbol status clientOrderId modifyId price origQty executedQty cumQty timeInForce type reduceOnly"
    " closePosition side positionSide stopPrice workingType priceProtect origType priceMatch selfTradePreventionMode"
    " goodTillDate updateTime"
)
#: Fields by (product, what has been done), from the documents' examples. Placements have told neither the average
#: price nor the executed value since the two futures were integrated (CMUM).
_FIELDS: Final = {
    (Product.COIN_M, "placed"): _PLACED_COIN,
    (Product.COIN_M, "cancelled"): _PLACED_COIN,
    (Product.COIN_M, "shown"): (
        "orderId symbol pair status clientOrderId price avgPrice origQty executedQty cumQty cumBase timeInForce type"
        " reduceOnly closePosition side positionSide stopPrice workingType priceProtect origType priceMatch"
        " selfTradePreventionMode time updateTime"
    ),
    (Product.USD_M, "placed"): _PLACED_USD,
    (Product.USD_M, "cancelled"): (
        "clientOrderId cumQty executedQty orderId origQty origType price reduceOnly side positionSide status stopPrice"
        " closePosition symbol timeInForce type activatePrice priceRate updateTime workingType priceProtect priceMatch"
        " selfTradePreventionMode goodTillDate"
    ),
    (Product.USD_M, "shown"): (
        "avgPrice clientOrderId cumQuote executedQty orderId origQty origType price reduceOnly side positionSide status"
        " stopPrice closePosition symbol time timeInForce type activatePrice priceRate updateTime workingType"
        " priceProtect priceMatch selfTradePreventionMode goodTillDate"
    ),
}
_NAMES: Final = {key: tuple(names.split()) for key, names in _FIELDS.items()}


def order_answer(state: State, order: Order, done: str, *, modify_id: int | None = None) -> dict[str, Any]:
    """Return an order as the answer tells it: ``"placed"`` (or modified), ``"cancelled"`` or ``"shown"``."""
    symbol = state.market.symbol(order.symbol)
    price, quantity = symbol.price_digits, symbol.quantity_digits
    sent = order.sent
    values: dict[str, Any] = {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "pair": symbol.pair,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": text(order.price, price),
        "avgPrice": text(order.average, price),
        "origQty": text(order.quantity, quantity),
        "executedQty": text(order.executed, quantity),
        "cumQty": text(order.executed, quantity),
        "cumBase": text(order.value),
        "cumQuote": text(order.value, 5),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": sent.get("reduceOnly", False),
        "closePosition": sent.get("closePosition", False),
        "side": order.side,
        "positionSide": sent.get("positionSide", "BOTH"),
        "stopPrice": text(sent.get("stopPrice", _ZERO), price),
        "workingType": sent.get("workingType", "CONTRACT_PRICE"),
        "priceProtect": sent.get("priceProtect", False),
        "origType": sent.get("origType", order.type),
        "priceMatch": sent.get("priceMatch", "NONE"),
        "selfTradePreventionMode": sent.get("selfTradePreventionMode", "NONE"),
        "goodTillDate": sent.get("goodTillDate", 0),
        "time": order.time,
        "updateTime": order.update_time,
    }
    if modify_id is not None:
        values["modifyId"] = modify_id
    if values["origType"] == "TRAILING_STOP_MARKET":
        values |= {"activatePrice": "0", "priceRate": "0"}
    return {name: values[name] for name in _NAMES[state.product, done] if name in values}
