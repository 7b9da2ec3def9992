"""Bytes to envelopes.

The envelope is decoded once, by msgspec where it is installed and by the standard library otherwise. What msgspec
refuses is decoded again by the standard library, which is the reference: both give the same results.
Envelope and unsolicited frames: PROTOCOL.md §2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from attrs import define

from binance_session.jsontext import MalformedMessage, Unreadable, decode_patiently, decode_plainly
from binance_session.responses import Event
from binance_session.times import milliseconds

try:
    import msgspec
except ImportError:  # the extra [speed] is not installed
    msgspec = None  # type: ignore[assignment, unused-ignore]

__all__ = [
    "MISSING",
    "Envelope",
    "decode",
    "decode_json",
    "event_of",
    "memory_of",
]

#: stands for a field that the message does not have (``null`` is a value)
MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda self: "MISSING", "__slots__": ()})()


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


#: the fields of a message that are looked at
_FIELDS: Final = ("id", "status", "result", "error", "event", "subscriptionId")


def _decode_reference(data: bytes | bytearray) -> Envelope:
    try:
        message = decode_plainly(data)
    except Unreadable:
        try:
            message = decode_patiently(data, _FIELDS)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"beyond the limits of the JSON decoder: {type(error).__name__}") from None
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


def event_of(data: Any, subscription: Any = None, size: int = 0) -> Event | None:
    """Return the :class:`Event` of a decoded event object, ``None`` if it is none.

    ``E`` comes as a number or as text (PROTOCOL.md §5.3). ``subscription`` is the ``subscriptionId`` beside it, if any;
    ``size`` is what :func:`memory_of` says of its text.
    """
    if not isinstance(data, dict) or not isinstance(kind := data.get("e"), str):
        return None
    time = milliseconds(data.get("E"))
    return Event(kind, time, data, subscription_id=subscription if type(subscription) is int else None, _size=size)
