"""Faults and readings as they are written on a command line: ``NAME KEY=VALUE …``, ``NAME=VALUE``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from binance_session.simulator import Fault, Readings

__all__ = ["fault_from_text", "fault_of", "pairs", "readings_of", "value"]

#: NAME:KEY=VALUE,KEY=VALUE, which needs no quotes in a shell
_SHORT: Final = re.compile(r"\s*(\w+):(.*)", re.DOTALL)

#: an example value for each selector of a fault
_SELECTORS: Final = {
    "method": "order.place",
    "key": "an apiKey",
    "connection": 1,
    "event": "ORDER_TRADE_UPDATE",
    "stream": True,
    "nth": 1,
    "times": 1,
}


def fault_from_text(text: str) -> Fault:
    """Read ``NAME KEY=VALUE …`` or ``NAME:KEY=VALUE,…``: values are JSON where they can be, text where not.

    Raises :class:`ValueError` for what cannot be read, and for a fault that there is not.
    """
    short = _SHORT.fullmatch(text)
    if short is None:
        name, *words = shlex.split(text) or [""]
    else:
        name, rest = short.groups()
        words = rest.split(",") if rest else []
    return fault_of(name, pairs(words))


def pairs(words: Iterable[str]) -> dict[str, Any]:
    """Read words of the form ``KEY=VALUE``. Raises :class:`ValueError` for another."""
    options = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"options are KEY=VALUE, not {word!r}")
        options[key] = value(text)
    return options


def value(text: str) -> Any:
    """Return the value of a JSON text, or the text if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def fault_of(name: str, options: Mapping[str, Any]) -> Fault:
    """Return a fault whose options are what this fault takes. Raises :class:`ValueError` if they are not."""
    from binance_session.simulator import Fault

    if "when" in options or "name" in options:
        raise ValueError("options are KEY=VALUE, and 'when' and 'name' cannot be given here")
    usual = {**_SELECTORS, **Fault(name).options}
    for key, given in options.items():
        if key in usual and not _is_like(given, usual[key]) and (key, given) != ("times", None):
            raise ValueError(f"{key} must be a value such as {usual[key]!r}, not {given!r}")
    return Fault(name, **options)


def readings_of(texts: Iterable[str], path: str | None = None) -> Readings:
    """Return readings with some of them changed: by a file (an object of JSON), then each by ``NAME=VALUE``.

    Raises :class:`ValueError` for a name or a value that there is not, and for a file that is none of these.
    """
    from binance_session.simulator import Readings
    from binance_session.simulator.described import reading

    return Readings(**{**_from_file(path), **dict(map(reading, texts))})


def _from_file(path: str | None) -> dict[str, Any]:
    from binance_session.simulator.described import reading

    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f'{path} is no object of JSON such as {{"revoked_closes": true}}')
    return dict(
        reading(f"{name}={value if isinstance(value, str) else json.dumps(value)}") for name, value in found.items()
    )


def _is_like(given: object, usual: object) -> bool:
    """Tell whether a value is of the kind that a fault's option has by default."""
    if usual is None or type(given) is type(usual):
        return True
    return type(given) is int and type(usual) is float
