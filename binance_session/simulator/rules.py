"""What a request must look like: envelope, parameters, timestamp, signature text (PROTOCOL.md §2, §3).

Written from the documents alone: nothing here uses the client's encoder or signer, so a mistake in one is seen by
the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any, Final, Self

from attrs import frozen

from binance_session.simulator.refusals import Refusal, invalid, malformed, mandatory, not_required

__all__ = [
    "DecimalLiteral",
    "Request",
    "Shape",
    "Unanswerable",
    "check_params",
    "check_timestamp",
    "decode",
    "read_request",
    "signed_text",
]

RequestId = int | str | None

_INT64: Final = range(-(2**63), 2**63)
#: the power of ten that no ``recvWindow`` needs, as no 64-bit integer reaches it
_LARGEST_WINDOW: Final = 19
_ID_PATTERN: Final = "^[a-zA-Z0-9-_]{1,36}$"
_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,36}", re.ASCII)
_ENVELOPE: Final = frozenset({"id", "method", "params"})


class Unanswerable(Exception):
    """The request has no ``id``: the exchange does not answer it but ends the connection (PROTOCOL.md §2)."""


class DecimalLiteral(float):
    """A JSON number with a point or an exponent, and its literal text: a signature covers the text."""

    literal: str

    def __new__(cls, literal: str) -> Self:
        """Read the number and keep how it was written."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number


class _Duplicate(ValueError):
    """A name occurs twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Duplicate
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=DecimalLiteral, parse_constant=_no_constant
).decode


#: An escape that may stand for half a character, which is no text and cannot be written as UTF-8.
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def decode(text: str) -> Any:
    """Return the value of a JSON text. Raises :class:`Refusal` if it is none, or has a name twice."""
    try:
        value = _decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except _Duplicate:
        raise Refusal(400, -1101, "Duplicate values for a parameter detected.") from None
    except (ValueError, RecursionError):
        raise Refusal(400, -1135, "Invalid JSON Request") from None


@frozen
class Request:
    """A request whose envelope is in order."""

    id: RequestId
    method: str
    params: Mapping[str, Any]


def is_request_id(value: Any) -> bool:
    """Return whether ``value`` can be an ``id``: a 64-bit integer, a text of at most 36 characters, or ``null``."""
    if value is None:
        return True
    if isinstance(value, str):
        return _ID.fullmatch(value) is not None
    return type(value) is int and value in _INT64


def read_request(message: Any) -> Request:
    """Return the request that a decoded message is.

    Raises :class:`Unanswerable` for one without ``id``, and :class:`Refusal` for every other fault of the envelope.
    """
    if type(message) is not dict:
        raise Refusal(400, -1135, "Invalid JSON Request")
    if "id" not in message:
        raise Unanswerable
    if not is_request_id(message["id"]):
        raise malformed("id", _ID_PATTERN)
    method = message.get("method")
    if not isinstance(method, str) or not method:
        raise mandatory("method")
    if not message.keys() <= _ENVELOPE:
        raise Refusal(400, -1101, "Too many parameters sent for this endpoint.")
    params = message.get("params", _NOTHING)
    if type(params) is not dict:
        raise mandatory("params")
    return Request(message["id"], method, params)


_NOTHING: Final[dict[str, Any]] = {}


class _Kind(Enum):
    TEXT = auto()
    INT = auto()
    DECIMAL = auto()
    BOOL = auto()
    LIST = auto()
    LIST_OR_NAME = auto()
    WINDOW = auto()


_INTS: Final = """
    cancelOrderId endTime fromId goodTillDate limit modifyId newOrderListId
    orderId orderListId algoId origOrderId preventedMatchId startTime strategyId strategyType subscriptionId timestamp
    tradeId trailingDelta pegOffsetValue allocationId fromAllocationId fromPreventedMatchId fromExecutionId fromTradeId
"""
_DECIMALS: Final = """
    activationPrice activatePrice callbackRate cancelNewQty icebergQty newQty price quantity quoteOrderQty stopPrice
    stopLimitPrice triggerPrice
"""
#: the orders of a list name their parameters behind these: ``aboveStopPrice`` is a ``stopPrice``
_ORDERS_OF_LISTS: Final = ["above", "below", "working", "pending", "pendingAbove", "pendingBelow", "limit", "stop"]
_BOOLS: Final = """
    closePosition computeCommissionRates omitZeroBalances priceProtect reduceOnly returnRateLimits showPermissionSets
"""


def _of_lists(names: str) -> list[str]:
    return [prefix + name[0].upper() + name[1:] for prefix in _ORDERS_OF_LISTS for name in names.split()]


#: Every parameter that is not a plain text. A name means the same in every method.
_KINDS: Final = {
    **dict.fromkeys(_of_lists("strategyId strategyType trailingDelta pegOffsetValue"), _Kind.INT),
    **dict.fromkeys(_of_lists("price stopPrice quantity icebergQty"), _Kind.DECIMAL),
    **dict.fromkeys(_INTS.split(), _Kind.INT),
    **dict.fromkeys(_DECIMALS.split(), _Kind.DECIMAL),
    **dict.fromkeys(_BOOLS.split(), _Kind.BOOL),
    "symbols": _Kind.LIST,
    "permissions": _Kind.LIST_OR_NAME,
    "recvWindow": _Kind.WINDOW,
}

_DECIMAL_PATTERN: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_INT_TEXT: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
#: The ways of a request to say who sends it; no method's own business.
AUTH_PARAMS: Final = frozenset({"apiKey", "signature", "timestamp", "recvWindow"})


@frozen
class Shape:
    """Which parameters a method takes besides those that prove who sends it."""

    required: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    @classmethod
    def of(cls, required: str = "", optional: str = "") -> Shape:
        """Return a shape from names separated by spaces."""
        return cls(tuple(required.split()), frozenset(optional.split()))


def check_params(
    params: Mapping[str, Any],
    shape: Shape,
    auth: Iterable[str],
    *,
    int_text: bool,
    fine_window: bool,
    decimal_numbers: bool = False,
) -> dict[str, Any]:
    """Return the values of a request's parameters by name, numbers as ``int`` and ``Decimal``.

    ``auth`` names the parameters that may prove who sends the request. ``int_text`` takes integers (``timestamp``
    excepted) and lists also as strings, ``decimal_numbers`` takes JSON numbers for decimals. ``fine_window`` allows
    a ``recvWindow`` with up to three decimals (Spot). Raises :class:`Refusal`: -1102 for what is missing, -1104 for
    what is unknown, -1106 for a proof where none is wanted, -1105 for an empty value, and -1100, -1108 or -1130 for a
    value of the wrong form.
    """
    known = 0
    for name in params:
        if name in shape.optional or name in shape.required or name in auth or name == "returnRateLimits":
            known += 1
        elif name in AUTH_PARAMS:
            raise not_required(name)
    if known != len(params):
        raise Refusal(
            400,
            -1104,
            f"Not all sent parameters were read; read '{known}' parameter(s) but was sent '{len(params)}'.",
        )
    for name in shape.required:
        if params.get(name) in (None, "", []):
            raise mandatory(name)
    values = {}
    for name, value in params.items():
        required = name in shape.required or name in AUTH_PARAMS
        if value is None:
            raise mandatory(name) if required else invalid(name)
        if value == "":
            raise mandatory(name) if required else Refusal(400, -1105, f"Parameter '{name}' was empty.")
        if decimal_numbers and _KINDS.get(name) is _Kind.DECIMAL and type(value) in (int, DecimalLiteral):
            value = value.literal if isinstance(value, DecimalLiteral) else str(value)
        values[name] = _value(name, value, required, int_text, fine_window)
    return values


def _value(name: str, value: Any, required: bool, int_text: bool, fine_window: bool) -> Any:
    """Return the value of one parameter, of the kind that its name says; see :func:`check_params`."""
    kind = _KINDS.get(name, _Kind.TEXT)
    if kind is _Kind.WINDOW:
        if fine_window:
            return _window(name, value, int_text)
        kind = _Kind.INT
    found = _READ[kind](name, value, int_text)
    if found is None:
        raise mandatory(name) if required else invalid(name)
    return found


# Each returns the value, or None for one of another kind. ``as_text``: integers and lists may be texts.


def _text(_name: str, value: Any, _as_text: bool) -> str | None:
    return value if isinstance(value, str) else None


def _decimal(name: str, value: Any, _as_text: bool) -> Decimal | None:
    if not isinstance(value, str):
        return None
    if _DECIMAL.fullmatch(value) is None:
        raise malformed(name, _DECIMAL_PATTERN)
    return Decimal(value)


def _integer(name: str, value: Any, as_text: bool) -> int | None:
    if as_text and name != "timestamp" and isinstance(value, str) and _INT_TEXT.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        return None
    if value not in _INT64:
        raise Refusal(400, -1108, f"Parameter '{name}' overflowed.")
    return value


def _boolean(_name: str, value: Any, _as_text: bool) -> bool | None:
    # No document says how a boolean is written; both ways are seen (PROTOCOL.md §2).
    if isinstance(value, bool):
        return value
    return value.lower() == "true" if value in ("true", "false", "TRUE", "FALSE") else None


def _list(name: str, value: Any, as_text: bool) -> list[Any] | None:
    if as_text and isinstance(value, str):
        value = decode(value)
        if not isinstance(value, list):
            raise invalid(name)
    return value if isinstance(value, list) else None


def _list_or_name(name: str, value: Any, as_text: bool) -> list[Any] | None:
    return [value] if isinstance(value, str) and not value.startswith("[") else _list(name, value, as_text)


_READ: Final[Mapping[_Kind, Callable[[str, Any, bool], Any]]] = {
    _Kind.TEXT: _text,
    _Kind.INT: _integer,
    _Kind.DECIMAL: _decimal,
    _Kind.BOOL: _boolean,
    _Kind.LIST: _list,
    _Kind.LIST_OR_NAME: _list_or_name,
}


def _window(name: str, value: Any, text: bool) -> Any:
    if isinstance(value, str) and not (text and _DECIMAL.fullmatch(value)):
        raise mandatory(name)
    if isinstance(value, DecimalLiteral):
        value = value.literal
    if type(value) not in (int, str):
        raise mandatory(name)
    try:
        window = Decimal(value)
    except InvalidOperation:
        raise mandatory(name) from None
    if not window.is_finite() or window.adjusted() > _LARGEST_WINDOW:
        raise Refusal(400, -1108, f"Parameter '{name}' overflowed.")
    if window != round(window, 3):
        raise Refusal(400, -1111, f"Parameter '{name}' has too much precision.")
    return window


def check_timestamp(values: Mapping[str, Any], now: float, longest: int, *, microseconds: bool) -> None:
    """Refuse a request that is too old, or from the future (-1021; PROTOCOL.md §3, Timing).

    ``now`` is in Unix seconds, ``longest`` the highest ``recvWindow`` in ms; ``microseconds`` tells whether
    a ``timestamp`` may be in µs (Spot), as its size says.
    """
    window = values.get("recvWindow", 5000)
    if not 0 <= window <= longest:
        raise Refusal(400, -1131, f"recvWindow must be less than {longest}")
    timestamp = values["timestamp"]
    if microseconds and timestamp >= 10**14:
        timestamp /= 1000
    if timestamp < 0 or timestamp >= 10**14:
        raise malformed("timestamp", "^[0-9]{1,13}$")
    server_time = now * 1000
    if timestamp >= server_time + 1000:
        raise Refusal(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if server_time - timestamp > window:
        raise Refusal(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def signed_text(params: Mapping[str, Any]) -> str:
    """Return the text that a request's signature must cover.

    All parameters but ``signature``, sorted by name, ``name=value`` joined by ``&``, nothing percent-encoded; a string
    is its raw text, a number its literal JSON (PROTOCOL.md §3).
    """
    parts = []
    for name in sorted(params):
        if name != "signature":
            value = params[name]
            parts.append(f"{name}={value if type(value) is str else _json(value)}")
    return "&".join(parts)


def _json(value: Any) -> str:
    if isinstance(value, DecimalLiteral):
        return value.literal
    if isinstance(value, list):
        return f"[{','.join(_json(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
