"""Parameters: the one text of each value, which is both sent and signed.

The exchange checks a signature over ``name=value`` texts (PROTOCOL.md §3), and reads the values from
JSON. Both must be the same bytes, so both come from here: a string is its own text, any other value has its
exact JSON text. A value without an exact text is refused, because a rounded price is a wrong order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from binance_session.errors import ConfigurationError
from binance_session.masking import kind_of, shown

__all__ = ["Params", "clean", "clean_value", "text"]

#: what a value may be; it is checked again when it is sent, see :func:`clean_value`
ParamValue = str | int | Decimal | Enum | Sequence[str | int | Decimal]
#: names to values
Params = Mapping[str, ParamValue]

#: digits before or after the decimal point
_DIGITS: Final = 50
_INT64: Final = range(-(2**63), 2**63)


def clean(params: Params) -> dict[str, Any]:
    """Return a new dict with every value in its wire form.

    Raises :class:`ConfigurationError` for a name that is not a string and for a value that
    cannot be written exactly; see :func:`clean_value`.
    """
    if not isinstance(params, Mapping):
        raise ConfigurationError(f"params must be a mapping of names to values, not {kind_of(params)}")
    cleaned = {}
    for name, value in params.items():
        if type(name) is not str or not name:
            raise ConfigurationError(f"the name of a parameter must be a non-empty string, not {kind_of(name)}")
        clean_value(name, name)  # a name must be as valid a text as a value
        cleaned[name] = clean_value(name, value)
    return cleaned


def _named(name: str) -> str:
    return repr(shown(name, 100))


def clean_value(name: str, value: Any) -> Any:
    """Return the wire form of one value: ``str``, ``int``, ``bool``, or a list of those.

    A ``Decimal`` becomes the string that the exchange wants for a DECIMAL parameter, digit for digit;
    an ``Enum`` member stands for its value. A ``float`` is refused (0.1 has no exact decimal text), and
    so are ``None``, NaN, integers beyond 64 bits, and text that is not valid Unicode.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"parameter {_named(name)} is not valid Unicode text and cannot be written as UTF-8"
            ) from None
        return str(value)
    if isinstance(value, int):
        if value not in _INT64:
            raise ConfigurationError(f"parameter {_named(name)} does not fit a 64-bit integer")
        return int(value)
    if isinstance(value, Decimal):
        if value.is_finite() and not -_DIGITS < value.adjusted() < _DIGITS:
            raise ConfigurationError(f"parameter {_named(name)} has more digits than any price or quantity")
        if not value.is_finite():
            raise ConfigurationError(f"parameter {_named(name)} is {value}, which is not a number that can be sent")
        return format(value, "f")
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (list, tuple)) for item in value):
            raise ConfigurationError(
                f"parameter {_named(name)} is a list that contains a list, which no method accepts"
            )
        return [clean_value(name, item) for item in value]
    if isinstance(value, float):
        raise ConfigurationError(
            f"parameter {_named(name)} is a float, which has no exact decimal text:"
            ' give prices and quantities as str or Decimal ("0.1"), whole numbers as int'
        )
    if isinstance(value, type):
        raise ConfigurationError(f"parameter {_named(name)} is {kind_of(value)}")
    if value is None:
        raise ConfigurationError(f"parameter {_named(name)} is None: leave it out instead")
    raise ConfigurationError(
        f"parameter {_named(name)} is a {type(value).__module__}.{type(value).__name__}:"
        " give a str, an int, a bool, a Decimal, or a list of them"
    )


def text(value: Any) -> str:
    """Return the text under which a clean value is signed: a string itself, else its JSON."""
    if type(value) is str:
        return value
    if type(value) is int:  # each signed request has a timestamp, and json.dumps() would take 1.8 µs for it
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
