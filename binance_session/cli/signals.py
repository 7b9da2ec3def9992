"""SIGINT and SIGTERM, for commands that run until they are stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

__all__ = ["on_stop_signal"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def on_stop_signal(react: Callable[[signal.Signals], object]) -> None:
    """Call ``react`` on the running event loop at the first SIGINT or SIGTERM; the second one kills the process."""
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        react(number)

    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, received, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(received, signal.Signals(number)))
