"""JSON text as the standard library reads it: the reference for whatever reads it faster."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any, Final, NoReturn

__all__ = ["MalformedMessage", "Unreadable", "decode_patiently", "decode_plainly", "readable"]


class MalformedMessage(ValueError):
    """The text is not a JSON object."""


class Unreadable(MalformedMessage):
    """It may be JSON, but is nested deeper than can be read, or has a number of more digits."""


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


def decode_patiently(data: bytes | bytearray, fields: Container[str]) -> Any:
    """Decode a message that has a number beyond all bounds in none of these ``fields``, which becomes ``None``.

    The fast decoder skips it, too. Raises :class:`ValueError` or :class:`RecursionError` for what cannot be read.
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
