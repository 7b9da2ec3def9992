"""The event loops that the tests can be run on, and what makes one."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable
from typing import Final

__all__ = ["LOOPS"]

Make = Callable[[], asyncio.AbstractEventLoop]


def _loops() -> dict[str, Make]:
    loops: dict[str, Make] = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        loops["uvloop"] = importlib.import_module("uvloop").new_event_loop
    if importlib.util.find_spec("aiofastnet"):
        on_its_transports = importlib.import_module("aiofastnet").loop_factory
        loops |= {f"{name}+aiofastnet": on_its_transports(make) for name, make in loops.items()}
    return loops


#: by the name that ``--loop`` takes
LOOPS: Final = _loops()
