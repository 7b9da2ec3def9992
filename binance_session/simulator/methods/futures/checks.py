"""What futures' new orders and algo orders are checked for, with the documented codes and texts.

-2007, -4130, -4136 and -4509 are in no document but seen on the exchange (PROTOCOL.md §9).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from binance_session.simulator.methods.orders import choice, needs
from binance_session.simulator.refusals import Refusal, mandatory, not_required
from binance_session.simulator.state import Call

__all__ = ["check_choices", "check_client_id_length", "check_expiry", "check_price_match", "check_quantity"]

_LONGEST_CLIENT_ID: Final = 36
_PRICE_MATCHES: Final = tuple(f"{way}{depth}" for way in ("OPPONENT", "QUEUE") for depth in ("", "_5", "_10", "_20"))
#: what ``goodTillDate`` lies between: 600 s from now, and the end of the year 9999
_SOONEST_EXPIRY: Final = 600_000
_LATEST_EXPIRY: Final = 253_402_300_799_000


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
