"""*Pure.* The fields of a message and their types, and how those of two messages differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import frozen

__all__ = ["Difference", "Shape", "compare", "distinct", "shape_of"]

#: the types of JSON by those of Python; a text that is a number is told apart, as it is where it is documented
_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?")


@frozen
class Shape:
    """What is at one place: the types that were seen there, the fields of the objects, what is in the lists.

    ``items`` is ``None`` where no list was seen, or only empty ones.
    """

    types: frozenset[str]
    fields: Mapping[str, Shape] | None = None
    items: Shape | None = None

    def __or__(self, other: Shape) -> Shape:
        fields: dict[str, Shape] | None = None
        if self.fields is not None or other.fields is not None:
            fields = dict(self.fields or {})
            for name, shape in (other.fields or {}).items():
                fields[name] = fields[name] | shape if name in fields else shape
        items = self.items or other.items
        if self.items is not None and other.items is not None:
            items = self.items | other.items
        return Shape(self.types | other.types, fields, items)


@frozen
class Difference:
    """One place at which two messages differ: ``kind`` is missing, extra or type; ``text`` says it in words."""

    path: str
    kind: str
    text: str


def shape_of(value: Any) -> Shape:
    """Return the shape of a JSON value; that of a list's items is the shape of all of them together."""
    if isinstance(value, Mapping):
        return Shape(frozenset({"object"}), {name: shape_of(each) for name, each in value.items()})
    if isinstance(value, (list, tuple)):
        items: Shape | None = None
        for each in value:
            items = shape_of(each) if items is None else items | shape_of(each)
        return Shape(frozenset({"list"}), None, items)
    return Shape(frozenset({_type(value)}))


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "decimal text" if _DECIMAL.fullmatch(value) else "text"


def distinct(items: Iterable[Any]) -> list[Any]:
    """Return those items of a list that are the first of their shape."""
    kept: list[Any] = []
    seen: list[Shape] = []
    for item in items:
        shape = shape_of(item)
        if shape not in seen:
            seen.append(shape)
            kept.append(item)
    return kept


def compare(exchange: Shape, simulator: Shape, path: str = "") -> Iterator[Difference]:
    """Yield where the exchange's message has what the simulator's has not, has not what it has, or another type."""
    place = path or "the whole"
    types = exchange.types
    if "text" in simulator.types and "decimal text" in types:  # any text may happen to be a number
        types = types - {"decimal text"} | {"text"}
    if not types & simulator.types:
        yield Difference(path, "type", f"{place} is {_words(types)}, and {_words(simulator.types)} in the simulator")
        return
    if more := types - simulator.types:
        yield Difference(path, "type", f"{place} can also be {_words(more)}, which the simulator's never is")
    if exchange.fields is not None and simulator.fields is not None:
        yield from _compare_fields(exchange.fields, simulator.fields, path)
    if exchange.items is not None and simulator.items is not None:
        yield from compare(exchange.items, simulator.items, f"{path}[]")


def _compare_fields(exchange: Mapping[str, Shape], simulator: Mapping[str, Shape], path: str) -> Iterator[Difference]:
    before = f"{path}." if path else ""
    for name, shape in exchange.items():
        if name in simulator:
            yield from compare(shape, simulator[name], before + name)
        else:
            yield Difference(before + name, "extra", f"{before}{name} ({_words(shape.types)}) is not in the simulator")
    for name in simulator:
        if name not in exchange:
            yield Difference(before + name, "missing", f"{before}{name}, which the simulator sends, did not come")


def _words(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
