"""Notices that the process was suspended, or its event loop blocked: its connections may be dead by then."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final, Protocol
from weakref import WeakSet

__all__ = ["SuspensionListener", "SuspensionWatch"]

_log: Final = logging.getLogger("binance_session")
#: seconds between two looks at the clocks, and by how many they must have gone ahead to mean a suspension
_TICK: Final = 2.0
_SUSPENDED: Final = 3.0


class SuspensionListener(Protocol):
    """What has connections to check after a suspension."""

    def process_suspended(self) -> None:
        """Called when the process runs again after a suspension."""


class SuspensionWatch:
    """Looks at the clocks of one event loop, while somebody listens."""

    __slots__ = ("_listeners", "_looked", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: WeakSet[SuspensionListener] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None
        self._looked = (0.0, 0.0)

    def join(self, listener: SuspensionListener) -> None:
        """Call ``listener`` after each suspension from now on."""
        self._listeners.add(listener)
        if self._timer is None:
            self._look_again()

    def leave(self, listener: SuspensionListener) -> None:
        """Call ``listener`` no longer."""
        self._listeners.discard(listener)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._looked = (self._loop.time(), time.time())
        self._timer = self._loop.call_later(_TICK, self._look)

    def _look(self) -> None:
        """See whether more time has passed than this loop lived through, on either clock.

        The monotonic clock runs on while a process is stopped, and stands still while the machine sleeps; the
        wall clock tells of both.
        """
        monotonic, wall = self._looked
        missed = max(self._loop.time() - monotonic, time.time() - wall) - _TICK
        if missed > _SUSPENDED:
            for listener in list(self._listeners):
                listener.process_suspended()
        self._timer = None
        if self._listeners:
            self._look_again()
        if missed > _SUSPENDED:  # last, for somebody's log handler may raise
            _log.warning("the process was suspended, or its loop blocked, for %.0f s: connections are checked", missed)
