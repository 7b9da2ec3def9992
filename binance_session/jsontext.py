"""JSON text as the standard library decodes it: the reference for the faster decoders."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any, Final, NoReturn

__all__ = ["MalformedMessage", "Unreadable", "decode_patiently", "decode_plainly", "readable"]


class MalformedMessage(ValueError):
    """The text is not a JSON object."""


class Unreadable(MalformedMessage):
    """It may be JSON, but is nested too deep to be decoded, or contains a number with too many digits."""


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedMessage(f"{name} is not JSON")


_reference: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_plainly(data: bytes | bytearray | memoryview) -> Any:
    """Decode JSON text with the standard library alone; raise :class:`MalformedMessage` if it is not a JSON object.

    Raises :class:`Unreadable` for text that may be JSON but is beyond the limits of the decoder.
    """
    try:
        return _reference.decode(str(data, "utf-8"))
    except MalformedMessage:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"not JSON: {type(error).__name__}") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"beyond the limits of the JSON decoder: {type(error).__name__}") from None


def readable(data: bytes | bytearray) -> Any:
    """Return the decoded value of a text message, or the text if it is not JSON."""
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


def decode_patiently(data: bytes | bytearray, fields: Container[str]) -> Any:
    """Decode a message with an integer that is too long for Python outside these ``fields``; it becomes ``None``.

    The fast decoder ignores it, too. Raises :class:`ValueError` or :class:`RecursionError` for what cannot be decoded.
    """
    message = _patient.decode(str(data, "utf-8"))
    if type(message) is dict:
        for name, value in message.items():
            if _holds_too_long(value):
                if name in fields:
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
