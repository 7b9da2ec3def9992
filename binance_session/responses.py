"""Bytes to envelopes, and the values that callers get.

The envelope is decoded once, by msgspec where it is installed and by the standard library otherwise. What msgspec
refuses is decoded again by the standard library, which is the reference: both give the same results.
Envelope and unsolicited frames: PROTOCOL.md §2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, Protocol

from attrs import define, field, fields, frozen

from binance_session.masking import masked, shown
from binance_session.times import milliseconds

try:
    import msgspec
except ImportError:  # the extra [speed] is not installed
    msgspec = None  # type: ignore[assignment, unused-ignore]

__all__ = [
    "MISSING",
    "Envelope",
    "Event",
    "ListenKey",
    "MalformedMessage",
    "RateLimit",
    "Response",
    "SessionStatus",
    "Unreadable",
    "answered",
    "decode",
    "decode_json",
    "decode_plainly",
    "event_of",
    "memory_of",
    "readable",
    "size_of",
]

#: what a count or a limit can be; a larger one cannot be reckoned with
_INT64: Final = range(2**63)
#: stands for a field that the message does not have (``null`` is a value)
MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda self: "MISSING", "__slots__": ()})()


class MalformedMessage(ValueError):
    """The text is not a JSON object."""


class Unreadable(MalformedMessage):
    """It may be JSON, but is nested deeper than can be read, or has a number of more digits."""


@frozen
class RateLimit:
    """One entry of ``rateLimits``: ``count`` of ``limit`` are used in the running interval.

    ``type`` is ``REQUEST_WEIGHT`` or ``ORDERS``; the interval is ``interval_num`` times ``interval``
    (``SECOND``, ``MINUTE``, ``HOUR``, ``DAY``) and starts anew by the calendar (PROTOCOL.md §8).
    """

    type: str
    interval: str
    interval_num: int
    limit: int
    count: int


@frozen
class Response:
    """An answer with status 200, or the one inside an :class:`~binance_session.ApiError`.

    ``result`` is the decoded JSON, untouched. It is not part of the ``repr``: it may hold a listenKey.
    """

    request_id: int
    method: str
    status: int
    result: Any = field(repr=False)
    _limits: Any = field(default=None, repr=False, alias="limits")

    @property
    def rate_limits(self) -> tuple[RateLimit, ...]:
        """The answer's ``rateLimits``, decoded when asked for; empty when the answer had none."""
        limits = self._limits
        if limits is None:
            return ()
        if not isinstance(limits, list):  # their raw text, or nonsense
            try:
                limits = decode_plainly(limits)
            except (MalformedMessage, TypeError):
                return ()
        return tuple([_rate_limit(entry) for entry in limits]) if isinstance(limits, list) else ()


def _answer_maker() -> Callable[[int, str, int, Any, Any], Response]:
    """Return what makes a :class:`Response` in 0.35 µs instead of the 0.6 that a frozen class's own ``__init__`` takes.

    A frozen object's fields are set past its ``__setattr__``; so they are here, without looking up each by its name.
    """
    new = Response.__new__
    set_id, set_method, set_status, set_result, set_limits = [
        getattr(Response, entry.name).__set__ for entry in fields(Response)
    ]

    def answered(request_id: int, method: str, status: int, result: Any, limits: Any) -> Response:
        response = new(Response)
        set_id(response, request_id)
        set_method(response, method)
        set_status(response, status)
        set_result(response, result)
        set_limits(response, limits)
        return response

    return answered


#: Make a :class:`Response` from its fields in their order.
answered: Final = _answer_maker()


def _rate_limit(entry: Any) -> RateLimit:
    if not isinstance(entry, dict):
        entry = {}

    def number(name: str) -> int:
        value = entry.get(name)
        return value if type(value) is int and value in _INT64 else 0

    def name(of: str) -> str:
        value = entry.get(of)
        return shown(value, _LONGEST_NAME) if isinstance(value, str) else ""

    return RateLimit(
        name("rateLimitType"),
        name("interval"),
        number("intervalNum"),
        number("limit"),
        number("count"),
    )


#: characters: no type of an event is longer, nor any other name that the exchange gives
_LONGEST_NAME: Final = 40


@frozen(repr=False)
class Event:
    """Something the exchange said unasked.

    ``type`` is the event's ``e``; ``time`` its ``E`` in ms, 0 if it has none, and in ms also where the exchange says
    it in µs (Spot with ``timeUnit=MICROSECOND``); ``data`` the whole event, untouched. ``is_gap`` marks an event made
    by this package to say that events may have been missed. ``subscription_id`` is, on Spot, the number of the
    subscription that brought it, ``None`` if the exchange did not tell.
    """

    type: str
    time: int
    data: dict[str, Any]
    is_gap: bool = False
    subscription_id: int | None = None
    # about how many bytes of memory it takes, for what bounds the memory of events that wait
    _size: int = field(default=0, repr=False, eq=False, kw_only=True, alias="_size")

    def __repr__(self) -> str:
        """Show what this package says of a gap; what the exchange says may hold a listenKey."""
        kind = self.type if len(self.type) <= _LONGEST_NAME else masked(self.type)
        data = self.data if self.is_gap else "..."
        subscription = "" if self.subscription_id is None else f", subscription_id={self.subscription_id}"
        return f"Event(type={kind!r}, time={self.time}, data={data}, is_gap={self.is_gap}{subscription})"


@frozen
class ListenKey:
    """The account's listenKey and when it lapses, in Unix seconds of the local clock.

    The hour is counted from the moment the request left, so the key never lapses earlier than this says.
    ``value`` opens the account's event stream to anybody who has it: the ``repr`` masks it.
    """

    value: str = field(repr=masked)
    valid_until: float


def _masked_or_none(value: str | None) -> str:
    return "None" if value is None else masked(value)


@frozen
class SessionStatus:
    """The answer to ``session.logon``, ``session.status`` and ``session.logout`` (PROTOCOL.md §4).

    Times are in ms. Every field is optional in the protocol, so each may be ``None``.
    """

    api_key: str | None = field(repr=_masked_or_none)
    authorized_since: int | None
    connected_since: int | None
    return_rate_limits: bool | None
    server_time: int | None

    @property
    def authenticated(self) -> bool:
        """Whether the exchange holds this connection for logged on."""
        return self.api_key is not None

    @classmethod
    def from_result(cls, result: Any) -> SessionStatus:
        """Read a ``result`` object; what is missing becomes ``None``."""
        get = result.get if isinstance(result, Mapping) else lambda name: None

        def time(name: str) -> int | None:
            return milliseconds(get(name)) or None

        api_key, limits = get("apiKey"), get("returnRateLimits")
        return cls(
            api_key if isinstance(api_key, str) else None,
            time("authorizedSince"),
            time("connectedSince"),
            limits if isinstance(limits, bool) else None,
            time("serverTime"),
        )


class Envelope(Protocol):
    """The fields of a message that decide its way."""

    #: ``None`` also for what is no integer: it matches nothing
    id: int | None
    #: 0 if it has none
    status: int
    #: ``MISSING`` if it has none
    result: Any
    error: Any
    #: ``rateLimits``, decoded or as raw text
    limits: Any
    event: Any
    #: of an event; ``None`` if it has none
    subscription: Any


@define
class _PlainEnvelope:
    id: int | None
    status: int
    result: Any
    error: Any
    limits: Any
    event: Any
    subscription: Any


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedMessage(f"{name} is not JSON")


_reference: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_plainly(data: bytes | bytearray | memoryview) -> Any:
    """Decode JSON text with the standard library alone; raise :class:`MalformedMessage` if it is none.

    Raises :class:`Unreadable` for what may be some, and is beyond what can be read.
    """
    try:
        return _reference.decode(str(data, "utf-8"))
    except MalformedMessage:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"not JSON: {type(error).__name__}") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"beyond what can be read: {type(error).__name__}") from None


def readable(data: bytes | bytearray) -> Any:
    """Return a text message as what it says if it is JSON, else as text."""
    try:
        return decode_plainly(data)
    except MalformedMessage:
        return str(data, "utf-8", "replace")


class _TooLong:
    """Stands for an integer of more digits than Python reads."""


def _integer(digits: str) -> int | _TooLong:
    try:
        return int(digits)
    except ValueError:
        return _TooLong()


_patient: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer)
#: the fields of a message that are looked at
_FIELDS: Final = ("id", "status", "result", "error", "event", "subscriptionId")


def _decode_patiently(data: bytes | bytearray) -> Any:
    """Decode a message that has a number beyond all bounds, if nobody looks at that: the fast decoder skips it, too."""
    message = _patient.decode(str(data, "utf-8"))
    if type(message) is dict:
        for name, value in message.items():
            if _holds_too_long(value):
                if name in _FIELDS:
                    raise ValueError("a number has too many digits")
                message[name] = None
    return message


def _holds_too_long(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is _TooLong:
            return True
        if type(item) is dict:
            stack += item.values()
        elif type(item) is list:
            stack += item
    return False


def _decode_reference(data: bytes | bytearray) -> Envelope:
    try:
        message = decode_plainly(data)
    except Unreadable:
        try:
            message = _decode_patiently(data)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"beyond what can be read: {type(error).__name__}") from None
    if type(message) is not dict:
        raise MalformedMessage(f"a JSON {type(message).__name__}, not an object")
    get = message.get
    request_id = get("id")
    status = get("status")
    return _PlainEnvelope(
        # True and 1.0 equal 1, and must not answer request 1
        request_id if type(request_id) is int else None,
        status if type(status) is int else 0,
        get("result", MISSING),
        get("error"),
        get("rateLimits"),
        get("event"),
        get("subscriptionId"),
    )


def _fast_decoder() -> Callable[[bytes | bytearray], Envelope]:
    """Return a decoder that leaves to the reference what it does not understand.

    It does not look whether what it skips is UTF-8; the connection hands on nothing that is not (RFC 6455 §8.1).
    """
    fields: list[Any] = [
        ("id", int | None, None),
        ("status", int, 0),
        ("result", Any, MISSING),
        ("error", Any, None),
        ("limits", msgspec.Raw, msgspec.field(default=msgspec.Raw(), name="rateLimits")),
        ("event", Any, None),
        ("subscription", Any, msgspec.field(default=None, name="subscriptionId")),
    ]
    decode_fast: Any = msgspec.json.Decoder(msgspec.defstruct("Envelope", fields, gc=False)).decode
    refusals = (msgspec.MsgspecError, RecursionError, ValueError)

    def decode(data: bytes | bytearray) -> Envelope:
        try:
            envelope: Envelope = decode_fast(data)
        except refusals:
            return _decode_reference(data)
        return envelope

    return decode


def decode_json(data: bytes | bytearray) -> Any:
    """Decode JSON text, as fast as can be; raise :class:`MalformedMessage` if it is none."""
    if msgspec is not None:
        try:
            return msgspec.json.decode(data)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            pass
    return decode_plainly(data)


#: Decode one message into an envelope; raise :class:`MalformedMessage` if it is no JSON object.
decode: Final = _decode_reference if msgspec is None else _fast_decoder()


#: bytes that a value takes beside its text: the object, and its place in a list or dict
_VALUE_SIZE: Final = 50


def memory_of(text: bytes | bytearray) -> int:
    """Return about how many bytes of memory a JSON text takes once it is decoded: empty lists take twenty times it."""
    return len(text) + _VALUE_SIZE * (text.count(b",") + text.count(b"[") + text.count(b"{"))


def size_of(event: Event) -> int:
    """Return about how many bytes of memory an event takes, 0 if it was made here."""
    return event._size  # noqa: SLF001


def event_of(data: Any, subscription: Any = None, size: int = 0) -> Event | None:
    """Return the :class:`Event` of a decoded event object, ``None`` if it is none.

    ``E`` comes as a number or as text (PROTOCOL.md §5.3). ``subscription`` is the ``subscriptionId`` beside it, if any;
    ``size`` is what :func:`memory_of` says of its text.
    """
    if not isinstance(data, dict) or not isinstance(kind := data.get("e"), str):
        return None
    time = milliseconds(data.get("E"))
    return Event(kind, time, data, subscription_id=subscription if type(subscription) is int else None, _size=size)
