"""algoOrder.place and algoOrder.cancel of USD-M (PROTOCOL.md §6.1).

Nothing is checked for margin before an algo order is triggered. There is one price here, which is the contract's and
the mark price in one: ``workingType`` changes nothing, and ``priceProtect`` finds nothing to object to.
"""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.futures.checks import (
    check_choices,
    check_client_id_length,
    check_position,
    check_stop,
)
from binance_session.simulator.methods.futures.triggers import change, expire_on_time, watch
from binance_session.simulator.methods.orders import check_client_id
from binance_session.simulator.refusals import Refusal, invalid
from binance_session.simulator.state import Call, State
from binance_session.simulator.stoporders import ALGO_TYPES, AlgoOrder, Trigger

__all__ = ["ALGO"]

ALGO = Table()

_ZERO: Final = Decimal(0)
# GTE_GTC (until the position is closed) is taken, though the documents name it among the statuses only.
_FORCES: Final = ("GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC")


def _answer(state: State, algo: AlgoOrder) -> dict[str, Any]:
    symbol = state.market.symbol(algo.symbol)
    sent, digits = algo.sent, symbol.price_digits
    answer: dict[str, Any] = {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": sent.get("positionSide", "BOTH"),
        "timeInForce": algo.time_in_force,
        "quantity": text(algo.quantity, symbol.quantity_digits),
        "algoStatus": algo.status,
        "triggerPrice": text(_ZERO if algo.trails else algo.trigger.price, digits),
        "price": text(algo.price, digits),
        "icebergQuantity": None,
        "selfTradePreventionMode": sent.get("selfTradePreventionMode", "NONE"),
        "workingType": sent.get("workingType", "CONTRACT_PRICE"),
        "priceMatch": sent.get("priceMatch", "NONE"),
        "closePosition": algo.closes,
        "priceProtect": sent.get("priceProtect", False),
        "reduceOnly": algo.reduces,
    }
    if algo.trails:
        # as REST's answer has them; the WebSocket API's page has no example of a trailing stop
        answer["activatePrice"] = text(sent.get("activatePrice", algo.trigger.extreme), digits)
        answer["callbackRate"] = str(sent["callbackRate"])
    answer |= {
        "createTime": algo.create_time,
        "updateTime": algo.update_time,
        "triggerTime": algo.trigger_time,
        "goodTillDate": sent.get("goodTillDate", 0),
    }
    return answer


@ALGO.method(
    "algoOrder.place",
    "algoType symbol side type",
    "positionSide timeInForce quantity price triggerPrice workingType priceMatch closePosition priceProtect reduceOnly"
    " activatePrice callbackRate clientAlgoId newOrderRespType selfTradePreventionMode goodTillDate",
)
def place(call: Call) -> dict[str, Any]:
    """Take an algo order, which waits for its trigger."""
    params, state, account = call.params, call.state, call.account
    symbol = state.market.symbol(params["symbol"])
    price = state.market.prices[symbol.name]
    if params["algoType"] != "CONDITIONAL":
        raise invalid("algoType")
    check_choices(call, tuple(ALGO_TYPES), _FORCES)
    check_client_id_length(call, "clientAlgoId")
    check_client_id(call, "clientAlgoId")
    check_stop(call, symbol, "triggerPrice", "activatePrice")
    closes = params.get("closePosition", False)
    force = "GTE_GTC" if closes else params.get("timeInForce", "GTC")
    state.last_algo_id += 1
    algo = AlgoOrder(
        state.last_algo_id,
        params.get("clientAlgoId") or secrets.token_urlsafe(16)[:22],
        symbol.name,
        params["side"],
        params["type"],
        params.get("quantity", _ZERO),
        params.get("price", _ZERO),
        Trigger(
            params["type"],
            params["side"],
            params.get("triggerPrice", _ZERO),
            price,
            params.get("activatePrice"),
            params.get("callbackRate", _ZERO),
        ),
        force,
        call.now_ms,
        call.now_ms,
        sent=params,
    )
    _check_against(account, algo, price)
    state.limits.charge_orders(account, 1, state.clock.time())
    account.algo_orders[algo.algo_id] = algo
    change(state, account, algo, "NEW")
    answer = _answer(state, algo)
    if algo.trails:
        watch(state, account, algo)
    expire_on_time(state, account, algo)
    return answer


def _check_against(account: Account, algo: AlgoOrder, price: Decimal) -> None:
    """Refuse what does not go with the account's other algo orders, with its position, or with the price."""
    waiting = [other for other in account.algo_orders.values() if other.status == "NEW"]
    if any(other.client_algo_id == algo.client_algo_id for other in waiting):
        raise Refusal(400, -4116, "ClientOrderId is duplicated.")
    if algo.time_in_force == "GTE_GTC":
        check_position(account, algo.symbol, algo.side)
    if algo.closes and any(
        other.closes and (other.symbol, other.side, other.type) == (algo.symbol, algo.side, algo.type)
        for other in waiting
    ):
        raise Refusal(
            400, -4130, "An open stop or take profit order with GTE and closePosition in the direction is existing."
        )
    if algo.trigger.too_late(price):
        raise Refusal(400, -2021, "Order would immediately trigger.")


@ALGO.method("algoOrder.cancel", optional="algoId clientAlgoId")
def cancel(call: Call) -> dict[str, Any]:
    """Cancel an algo order that waits for its trigger; ``algoId`` prevails if both names are sent."""
    algo_id, name = call.params.get("algoId"), call.params.get("clientAlgoId")
    if algo_id is None and name is None:
        raise Refusal(400, -1102, "Param 'algoid' or 'clientalgoid' must be sent, but both were empty/null!")
    for algo in call.account.algo_orders.values():
        named = algo.algo_id == algo_id if algo_id is not None else algo.client_algo_id == name
        if named and algo.status == "NEW":
            change(call.state, call.account, algo, "CANCELED")
            return {"algoId": algo.algo_id, "clientAlgoId": algo.client_algo_id, "code": "200", "msg": "success"}
    raise Refusal(400, -2011, "Unknown order sent.")
