"""What futures' new orders and algo orders are checked for, with the documented codes and texts.

-2007, -4130, -4136 and -4509 are in no document but seen on the exchange (PROTOCOL.md §9).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import Symbol
from binance_session.simulator.methods.futures.margins import closable
from binance_session.simulator.methods.orders import check_digits, choice, needs
from binance_session.simulator.refusals import Refusal, mandatory, not_required
from binance_session.simulator.state import Call
from binance_session.simulator.stoporders import ALGO_TYPES

__all__ = [
    "check_choices",
    "check_client_id_length",
    "check_expiry",
    "check_position",
    "check_price_match",
    "check_quantity",
    "check_stop",
]

_LONGEST_CLIENT_ID: Final = 36
_PRICE_MATCHES: Final = tuple(f"{way}{depth}" for way in ("OPPONENT", "QUEUE") for depth in ("", "_5", "_10", "_20"))
#: what ``goodTillDate`` lies between: 600 s from now, and the end of the year 9999
_SOONEST_EXPIRY: Final = 600_000
_LATEST_EXPIRY: Final = 253_402_300_799_000

#: percent; the highest was 10 until 2026-10-23
_LOWEST_RATE, _HIGHEST_RATE = Decimal("0.1"), Decimal(20)


def check_choices(call: Call, types: tuple[str, ...], forces: tuple[str, ...]) -> None:
    """Check the parameters that are one of a few words. One-way mode is what is played: no LONG, no SHORT."""
    choice(call, "side", ("BUY", "SELL"), (-1117, "Invalid side."))
    choice(call, "type", types, (-1116, "Invalid orderType."))
    choice(call, "timeInForce", forces, (-1115, "Invalid timeInForce."))
    choice(call, "newOrderRespType", ("ACK", "RESULT"), (-1136, "Invalid newOrderRespType."))
    choice(call, "workingType", ("MARK_PRICE", "CONTRACT_PRICE"), (-4031, "Invalid parameter working type"))
    choice(call, "priceMatch", _PRICE_MATCHES, (-5037, "Invalid price match"))
    choice(
        call,
        "selfTradePreventionMode",
        ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"),
        (-5039, "Invalid self trade prevention mode"),
    )
    side = choice(call, "positionSide", ("BOTH", "LONG", "SHORT"), (-4060, "Invalid position side."))
    if side in ("LONG", "SHORT"):
        raise Refusal(400, -4061, "Order's position side does not match user's setting.")


def check_price_match(call: Call, kind: str) -> None:
    """Check that an order has a price of its own or of the book (``priceMatch``), not both."""
    if "priceMatch" not in call.params:
        return
    if kind not in ("LIMIT", "STOP", "TAKE_PROFIT"):
        raise Refusal(400, -5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT")
    needs(call, (), ("price",))


def check_quantity(quantity: Decimal) -> None:
    """Refuse a quantity of zero."""
    if quantity <= 0:
        raise Refusal(400, -4003, "Quantity less than or equal to zero.")


def check_client_id_length(call: Call, name: str) -> None:
    """Refuse a client's name for an order that is too long: 36 characters are taken, though the text says fewer."""
    if len(call.params.get(name, "")) > _LONGEST_CLIENT_ID:
        raise Refusal(400, -4015, "Client order id length should be less than 36 chars")


def check_expiry(call: Call) -> None:
    """Check ``goodTillDate``, which GTD orders have and no others."""
    date = call.params.get("goodTillDate")
    if call.params.get("timeInForce") != "GTD":
        if date:
            raise not_required("goodTillDate")
        return
    if date is None:
        raise mandatory("goodTillDate")
    if not call.now_ms + _SOONEST_EXPIRY < date < _LATEST_EXPIRY:
        raise Refusal(
            400,
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than"
            f" {_LATEST_EXPIRY}",
        )


def check_stop(call: Call, symbol: Symbol, trigger: str, start: str) -> None:
    """Check a stop order's parameters; ``trigger`` and ``start`` are the names of its two prices that wait."""
    params = call.params
    kind = params["type"]
    check_price_match(call, kind)
    if kind == "TRAILING_STOP_MARKET":
        needed, forbidden = ["callbackRate"], ["price", trigger]
    else:
        needed, forbidden = [trigger], [start, "callbackRate"]
        if ALGO_TYPES[kind] == "MARKET":
            forbidden.append("price")
        elif "priceMatch" not in params:
            needed.append("price")
    if params.get("closePosition"):
        if kind not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
            raise Refusal(400, -4136, f"Target strategy invalid for orderType {kind},closePosition true")
        if params.get("quantity"):
            raise Refusal(400, -4137, "Quantity must be zero with closePosition equals true")
        forbidden.append("reduceOnly")
    else:
        needed.insert(0, "quantity")
    needs(call, tuple(needed), tuple(forbidden))
    numbers = {name: params.get(name) for name in ("quantity", "price", trigger, start)}
    check_digits(symbol, **numbers)
    if not params.get("closePosition"):
        check_quantity(params["quantity"])
    if params.get("price", 1) <= 0:
        raise Refusal(400, -4001, "Price less than 0.")
    if params.get(trigger, 1) <= 0:
        raise Refusal(400, -4006, "Stop price less than zero.")
    if params.get(start, 1) <= 0:
        raise Refusal(400, -4135, "Invalid activation price")
    if not _LOWEST_RATE <= params.get("callbackRate", _LOWEST_RATE) <= _HIGHEST_RATE:
        raise Refusal(400, -2007, "Invalid callBack rate.")
    check_expiry(call)


def check_position(account: Account, symbol: str, side: str) -> None:
    """Refuse an order that lives with a position (GTE) where there is none."""
    if not closable(account, symbol, side):
        raise Refusal(
            400,
            -4509,
            "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
        )
