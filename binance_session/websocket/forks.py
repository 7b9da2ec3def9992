"""What a forked child must not share with its parent: the sockets, and sessions that look alive.

A fork copies the process and shares its sockets: what the child wrote, or closed in good order, would be written into
the parent's connections.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar
from weakref import ref

__all__ = ["watch"]

_T = TypeVar("_T")

# For the whole process, because that is what a fork concerns. Weak, and by identity: a subclass may be unhashable.
_watched: Final[dict[int, tuple[ref[Any], Callable[[Any], None]]]] = {}


def watch(what: _T, on_inherited: Callable[[_T], None]) -> None:
    """Call ``on_inherited(what)`` in every child that is forked while ``what`` exists, before anything else runs there.

    What it raises is dropped.
    """
    _register()
    number = id(what)
    _watched[number] = (ref(what, lambda _: _watched.pop(number, None)), on_inherited)


@cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):  # not where processes are not forked
        os.register_at_fork(after_in_child=_tell_all)


def _tell_all() -> None:
    for weak, on_inherited in list(_watched.values()):
        what = weak()
        if what is not None:
            with contextlib.suppress(Exception):  # the others are to be told all the same
                on_inherited(what)
