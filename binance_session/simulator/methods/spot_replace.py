"""``order.cancelReplace``: cancel one Spot order and place another, each of which may fail (PROTOCOL.md §6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from binance_session.simulator.filters import check_number_of_orders
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot import (
    NEW_ORDER,
    cancel_one,
    check_restrictions,
    draft_of,
    find_open,
    place_checked,
)
from binance_session.simulator.methods.spot_reports import fills_of, placed
from binance_session.simulator.methods.spot_rules import check_choice, name_of, response_type
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["SPOT_REPLACE"]

SPOT_REPLACE = Table()

#: how an attempt ended: SUCCESS with its answer, FAILURE with its error, or NOT_ATTEMPTED
Attempt = tuple[str, dict[str, Any] | None]


def _attempt(act: Callable[[], dict[str, Any]]) -> Attempt:
    try:
        return "SUCCESS", act()
    except Refusal as refusal:
        return "FAILURE", {"code": refusal.code, "msg": refusal.message}


@SPOT_REPLACE.method(
    "order.cancelReplace",
    "symbol side type cancelReplaceMode",
    f"{NEW_ORDER} cancelOrderId cancelOrigClientOrderId cancelNewClientOrderId cancelRestrictions"
    " orderRateLimitExceededMode",
)
def cancel_replace(call: Call) -> dict[str, Any]:
    """Cancel an order and place another one: the first may succeed though the second does not, or the other way."""
    mode = check_choice(call, "cancelReplaceMode", "STOP_ON_FAILURE", "ALLOW_FAILURE")
    check_choice(call, "orderRateLimitExceededMode", "DO_NOTHING", "CANCEL_ONLY")
    check_restrictions(call)
    kind = response_type(call)
    name = name_of(call, "cancelNewClientOrderId")
    if "cancelOrderId" not in call.params and "cancelOrigClientOrderId" not in call.params:
        message = "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!"
        raise Refusal(400, -1102, message)
    draft = draft_of(call)
    check_number_of_orders(call.account, draft.symbol, 0)
    exceeded = _charge(call)

    def cancel() -> dict[str, Any]:
        return cancel_one(call, find_open(call, "cancelOrderId", "cancelOrigClientOrderId"), name)

    def place() -> dict[str, Any]:
        if exceeded is not None:
            raise exceeded
        order = place_checked(call, draft)
        return placed(order, kind, fills_of(call.account, order))

    cancelled = _attempt(cancel)
    if cancelled[0] == "FAILURE" and mode == "STOP_ON_FAILURE":
        return _answer(cancelled, ("NOT_ATTEMPTED", None), 400 if exceeded is None else 429)
    return _answer(cancelled, _attempt(place), 400)


def _charge(call: Call) -> Refusal | None:
    """Count the new order, and return the refusal that it is to have if there are too many; or refuse all at once.

    It counts whether it is attempted or not.
    """
    try:
        call.state.limits.charge_orders(call.account, 1, call.state.clock.time())
    except Refusal as refusal:
        if call.params.get("orderRateLimitExceededMode") != "CANCEL_ONLY":
            raise
        return refusal
    return None


def _answer(cancelled: Attempt, new: Attempt, status: int) -> dict[str, Any]:
    """Return the answer if both succeeded; else refuse, with ``status`` if neither did, with 409 if one did."""
    data = {
        "cancelResult": cancelled[0],
        "newOrderResult": new[0],
        "cancelResponse": cancelled[1],
        "newOrderResponse": new[1],
    }
    if cancelled[0] == new[0] == "SUCCESS":
        return data
    if "SUCCESS" in (cancelled[0], new[0]):
        raise Refusal(409, -2021, "Order cancel-replace partially failed.", data, took_effect=True)
    raise Refusal(status, -2022, "Order cancel-replace failed.", data)
