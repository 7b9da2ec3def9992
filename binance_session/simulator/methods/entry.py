"""A method as the simulator plays it: the parameters it takes and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from binance_session.simulator.product import Product
from binance_session.simulator.rules import Shape
from binance_session.simulator.state import Call

__all__ = ["Answer", "Entry", "Table"]

Answer = Callable[[Call], Any]

#: the version that a method has when it names none (PROTOCOL.md §2)
_FIRST_VERSION: Final = {Product.COIN_M: "v1/", Product.USD_M: "v1/", Product.SPOT: "v3/"}


@frozen
class Entry:
    """The shape of a method's parameters, and the function that executes it and returns ``result``."""

    shape: Shape
    answer: Answer


class Table(dict[str, Entry]):
    """Methods by name, filled by decorating the functions that answer them."""

    def find(self, name: str, product: Product) -> Entry | None:
        """Return the entry for a name as a client sends it: the first version may be named, others must be."""
        return self.get(name) or self.get(name.removeprefix(_FIRST_VERSION[product]))

    def method(self, name: str, required: str = "", optional: str = "") -> Callable[[Answer], Answer]:
        """Enter the decorated function as the answer to ``name``; parameters are named in one text each."""

        def enter(answer: Answer) -> Answer:
            self[name] = Entry(Shape.of(required, optional), answer)
            return answer

        return enter
