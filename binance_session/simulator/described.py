"""Descriptions of the simulator's faults and readings, for lists that people and programs read.

The words are those of the code: a fault's docstring, and a reading's paragraph in the docstring of
:class:`~binance_session.simulator.readings.Readings`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from attrs import fields, frozen

from binance_session.simulator.faults import FAULTS, SELECTORS
from binance_session.simulator.methods.table import methods_of
from binance_session.simulator.product import Product
from binance_session.simulator.readings import Readings
from binance_session.venues import Venue, nearest

__all__ = ["FaultText", "ReadingText", "faults", "methods", "reading", "readings"]

#: ``late_answer``: reStructuredText's way to write a name
_NAME = re.compile(r"``(.+?)``")
_PARAGRAPH = re.compile(r"^``(\w+)``\n(.*?)(?=^``|\Z)", re.MULTILINE | re.DOTALL)


@frozen
class FaultText:
    """A fault: what it strikes, by which selectors it is aimed, its options with their defaults, what it does."""

    name: str
    kind: str
    about: str | None
    selectors: tuple[str, ...]
    options: Mapping[str, Any]
    text: str


@frozen
class ReadingText:
    """A reading: what it can be (names, or a number), what it is by itself, what it decides."""

    name: str
    kind: type
    choices: tuple[Any, ...]
    default: Any
    text: str

    @property
    def values(self) -> str:
        """The choices, or the kind of number, in words."""
        if self.choices:
            return " | ".join(map(_shown, self.choices))
        return "a number from 0" if self.kind is not str else "a text"

    @property
    def shown_default(self) -> str:
        """The default as it would be typed."""
        return _shown(self.default)

    def read(self, text: str) -> Any:
        """Return the value that a text names. Raises :class:`ValueError` for one that this reading cannot have."""
        for choice in self.choices:
            if text == _shown(choice):
                return choice
        if not self.choices:
            try:
                value = self.kind(text)
            except ValueError:
                value = -1
            if self.kind is str or 0 <= value < float("inf"):
                return value
            raise ValueError(f"{self.name} must be {self.values}, not {text!r}")
        meant = nearest(text, map(_shown, self.choices))
        hint = "" if meant is None else f"; did you mean {meant!r}?"
        raise ValueError(f"{self.name} must be {self.values}, not {text!r}{hint}")


def faults() -> list[FaultText]:
    """Return every fault, those of one kind together."""
    found = [
        FaultText(
            name,
            entry.kind.value,
            entry.about,
            (*SELECTORS[entry.kind], "nth", "times"),
            entry.options,
            _plain(entry.behaviour.__doc__),
        )
        for name, entry in FAULTS.items()
    ]
    order = list(SELECTORS)
    return sorted(found, key=lambda fault: order.index(FAULTS[fault.name].kind))


def readings() -> list[ReadingText]:
    """Return every reading, in the order in which they are written down."""
    paragraphs = dict(_PARAGRAPH.findall(inspect.cleandoc(Readings.__doc__ or "")))
    hints = get_type_hints(Readings)
    found = []
    for each in fields(Readings):
        hint = hints[each.name]
        choices = get_args(hint) if get_origin(hint) is Literal else (True, False) if hint is bool else ()
        kind = type(choices[0]) if choices else hint
        found.append(ReadingText(each.name, kind, choices, each.default, _plain(paragraphs.get(each.name))))
    return found


def reading(text: str) -> tuple[str, Any]:
    """Return the name and the value that ``NAME=VALUE`` names. Raises :class:`ValueError` if there is no such."""
    name, _, value = text.partition("=")
    known = {each.name: each for each in readings()}
    if name not in known:
        meant = nearest(name, known)
        hint = f"; there are {', '.join(known)}" if meant is None else f"; did you mean {meant!r}?"
        raise ValueError(f"there is no reading {name!r}{hint}")
    return name, known[name].read(value)


def methods(venue: Venue) -> tuple[list[str], list[str]]:
    """Return the methods of a venue's catalogue that the simulator plays, and those that it does not."""
    played = methods_of(Product.of(venue))
    names = [name for name in venue.methods if "/" not in name]
    return [name for name in names if name in played], [name for name in names if name not in played]


def _plain(text: str | None) -> str:
    """Return a docstring's text on one line, without the marks around names."""
    return _NAME.sub(r"\1", " ".join((text or "").split()))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
