"""What a new Spot order must look like, whichever request brings it (PROTOCOL.md §6, §9)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import frozen

from binance_session.simulator.filters import check_filters
from binance_session.simulator.market import Symbol
from binance_session.simulator.orders import Order
from binance_session.simulator.refusals import Refusal, invalid, malformed, mandatory, not_required
from binance_session.simulator.state import Call, State

__all__ = ["ECHOES", "STP_MODES", "Draft", "check", "check_choice", "make", "name_of", "names_of", "response_type"]

_ZERO: Final = Decimal(0)
#: the ending of a parameter in an order list, and what it is called for an order of its own
_ENDINGS: Final = {
    "Type": "type",
    "Side": "side",
    "Quantity": "quantity",
    "Price": "price",
    "StopPrice": "stopPrice",
    "TrailingDelta": "trailingDelta",
    "TimeInForce": "timeInForce",
    "ClientOrderId": "newClientOrderId",
    "IcebergQty": "icebergQty",
    "StrategyId": "strategyId",
    "StrategyType": "strategyType",
    "PegPriceType": "pegPriceType",
    "PegOffsetType": "pegOffsetType",
    "PegOffsetValue": "pegOffsetValue",
}
_BEGINNINGS: Final = {plain: ending for ending, plain in _ENDINGS.items()}
#: type -> what such an order needs, and what of the rest it may not have
_TYPES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "LIMIT": (("timeInForce", "price", "quantity"), ("stopPrice", "trailingDelta", "quoteOrderQty")),
    "LIMIT_MAKER": (("price", "quantity"), ("timeInForce", "stopPrice", "trailingDelta", "quoteOrderQty")),
    "MARKET": ((), ("timeInForce", "price", "stopPrice", "trailingDelta", "icebergQty")),
    "STOP_LOSS": (("quantity",), ("timeInForce", "price", "quoteOrderQty", "icebergQty")),
    "STOP_LOSS_LIMIT": (("quantity", "timeInForce", "price"), ("quoteOrderQty",)),
    "TAKE_PROFIT": (("quantity",), ("timeInForce", "price", "quoteOrderQty", "icebergQty")),
    "TAKE_PROFIT_LIMIT": (("quantity", "timeInForce", "price"), ("quoteOrderQty",)),
}
_STOPS: Final = frozenset(kind for kind in _TYPES if kind.startswith(("STOP", "TAKE")))
_PEGGABLE: Final = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
STP_MODES: Final = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
#: values of a new order that its answers repeat if they were sent
ECHOES: Final = ("trailingDelta", "icebergQty", "strategyId", "strategyType")
#: parameter -> its values, and the (code, text) for another one
_CHOICES: Final[dict[str, tuple[tuple[str, ...], int, str]]] = {
    "side": (("BUY", "SELL"), -1117, "Invalid side."),
    "type": (tuple(_TYPES), -1116, "Invalid orderType."),
    "timeInForce": (("GTC", "IOC", "FOK"), -1115, "Invalid timeInForce."),
    "pegPriceType": (("PRIMARY_PEG", "MARKET_PEG"), -1210, "Invalid pegPriceType."),
    "pegOffsetType": (("PRICE_LEVEL",), -1211, "Invalid pegOffsetType."),
}
_SMALLEST_STRATEGY_TYPE: Final = 1_000_000
_DEEPEST_PEG: Final = 100
_CLIENT_ID_PATTERN: Final = "^[.A-Z:/a-z0-9_-]{1,36}$"
_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)


@frozen
class Draft:
    """A new order as a request describes it.

    ``params`` has the names of an order of its own; ``names`` what they are called in the request, where that differs.
    ``without_quantity``: what another order buys is its quantity (OPO).
    """

    symbol: Symbol
    params: Mapping[str, Any]
    names: Mapping[str, str] = {}
    without_quantity: bool = False

    @classmethod
    def leg(cls, call: Call, symbol: Symbol, prefix: str, *, without_quantity: bool = False, **fixed: Any) -> Draft:
        """Return the order of a list whose parameters begin with ``prefix``; ``fixed`` ones are of the list."""
        names = {plain: prefix + ending for ending, plain in _ENDINGS.items()}
        names |= dict.fromkeys(fixed, "")
        params = {plain: call.params[name] for plain, name in names.items() if name in call.params}
        return cls(symbol, {**params, **fixed}, names, without_quantity)

    def named(self, plain: str) -> str:
        """Return what a parameter is called in the request."""
        return self.names.get(plain) or plain


def names_of(prefix: str, but: str = "") -> str:
    """Return the names of all parameters that an order of a list may have, except some endings."""
    return " ".join(prefix + ending for ending in _ENDINGS if ending not in but.split())


def check_choice(call: Call, name: str, *choices: str) -> Any:
    """Return a parameter, which is among the choices or absent; refuses another value (-1130)."""
    value = call.params.get(name)
    if value is not None and value not in choices:
        raise invalid(name)
    return value


def response_type(call: Call, default: str | None = None) -> str:
    """Return which answer a request wants: without ``default`` the one that orders of its type have by themselves."""
    if default is None:
        default = "FULL" if call.params["type"] in ("MARKET", "LIMIT") else "ACK"
    return check_choice(call, "newOrderRespType", "ACK", "RESULT", "FULL") or default


def name_of(call: Call, parameter: str = "newClientOrderId") -> str:
    """Return the client's name for a thing, or make one up; refuses one that is malformed (-1100)."""
    return _name(call.params.get(parameter), parameter)


def _name(value: str | None, parameter: str) -> str:
    if value is None:
        return secrets.token_urlsafe(16)[:22]
    if _CLIENT_ID.fullmatch(value) is None:
        raise malformed(parameter, _CLIENT_ID_PATTERN)
    return value


def check(draft: Draft, account_modes: tuple[str, ...] = STP_MODES) -> None:
    """Refuse a new order that is not in itself in order, before the matching engine sees it."""
    params, symbol = draft.params, draft.symbol
    for name, (choices, code, message) in _CHOICES.items():
        if params.get(name, choices[0]) not in choices:
            raise Refusal(400, code, message)
    kind = params["type"]
    needed, forbidden = _TYPES[kind]
    for name in needed:
        optional = (name == "price" and "pegPriceType" in params) or (name == "quantity" and draft.without_quantity)
        if name not in params and not optional:
            raise mandatory(draft.named(name))
    for name in forbidden:
        if name in params:
            raise not_required(draft.named(name))
    if kind == "MARKET" and not draft.without_quantity:
        _check_market(params)
    if kind in _STOPS and "stopPrice" not in params and "trailingDelta" not in params:
        raise mandatory(draft.named("stopPrice"))
    _check_peg(draft)
    _check_numbers(draft)
    if params.get("strategyType", _SMALLEST_STRATEGY_TYPE) < _SMALLEST_STRATEGY_TYPE:
        raise Refusal(400, -1134, "`strategyType` was less than 1000000.")
    if params.get("selfTradePreventionMode", "NONE") not in account_modes:
        raise invalid("selfTradePreventionMode")
    _name(params.get("newClientOrderId"), draft.named("newClientOrderId"))
    if symbol.status != "TRADING":
        raise Refusal(400, -2010, "Market is closed.")


def _check_market(params: Mapping[str, Any]) -> None:
    if "quantity" in params and "quoteOrderQty" in params:
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")
    if "quantity" not in params and "quoteOrderQty" not in params:
        raise mandatory("quantity")


def _check_peg(draft: Draft) -> None:
    params = draft.params
    offsets = [name for name in ("pegOffsetType", "pegOffsetValue") if name in params]
    if len(offsets) == 1:
        both = " and ".join(f"'{draft.named(name)}'" for name in ("pegOffsetType", "pegOffsetValue"))
        message = f"Combination of optional parameters invalid. Recommendation: {both} must both be sent."
        raise Refusal(400, -1128, message)
    if "pegPriceType" not in params:
        if offsets:
            raise not_required(draft.named(offsets[0]))
        return
    if params["type"] not in _PEGGABLE:
        raise Refusal(400, -2010, "This order type may not use pegged price.")
    if params["type"] == "LIMIT_MAKER" and params["pegPriceType"] == "MARKET_PEG":
        raise Refusal(400, -2010, "This price peg cannot be used with this order type.")
    if not 0 < params.get("pegOffsetValue", 1) <= _DEEPEST_PEG:
        raise invalid(draft.named("pegOffsetValue"))


def _check_numbers(draft: Draft) -> None:
    params, symbol = draft.params, draft.symbol
    for name in ("price", "stopPrice", "quantity", "icebergQty"):
        digits = symbol.price_digits if name in ("price", "stopPrice") else symbol.quantity_digits
        if name in params and params[name] != round(params[name], digits):
            raise Refusal(400, -1111, f"Parameter '{draft.named(name)}' has too much precision.")
    if params.get("quantity", 1) <= 0 or params.get("quoteOrderQty", 1) <= 0:
        raise Refusal(400, -1013, "Invalid quantity.")
    if params.get("price", 1) <= 0 or params.get("stopPrice", 1) <= 0:
        raise Refusal(400, -1013, "Invalid price.")
    check_filters(params)
    if "icebergQty" in params:
        if params.get("timeInForce", "GTC") != "GTC":
            if draft.names:
                name, tif = draft.named("icebergQty"), draft.named("timeInForce")
                raise Refusal(400, -1160, f"Parameter '{name}' is not supported if '{tif}' is not GTC.")
            raise Refusal(400, -1014, "Unsupported order combination.")
        if params["icebergQty"] > params.get("quantity", params["icebergQty"]):
            raise Refusal(400, -2010, "IcebergQty exceeds QTY.")


def make(state: State, draft: Draft, *, sor: bool = False) -> Order:
    """Return the order that a checked draft describes, in no account's books yet."""
    params = draft.params
    state.last_order_id += 1
    now = state.now_ms
    quantity = params.get("quantity", _ZERO)
    if "quoteOrderQty" in params:
        quantity = round(params["quoteOrderQty"] / state.market.prices[draft.symbol.name], draft.symbol.quantity_digits)
    return Order(
        state.last_order_id,
        _name(params.get("newClientOrderId"), draft.named("newClientOrderId")),
        draft.symbol.name,
        params["side"],
        params["type"],
        quantity,
        params.get("price", _ZERO),
        params.get("timeInForce", "GTC"),
        now,
        now,
        sent=params,
        sor=sor,
    )
