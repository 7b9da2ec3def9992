"""The exchange's time, and what is to happen later.

Every rule of the simulator that depends on time asks one :class:`Clock`: timestamps, calendar windows, listenKeys,
pings, the 24 hours, late answers. Drive the clock and a day passes in a moment.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "DrivenClock", "LoopClock", "ManualClock", "Timer"]


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None:
        """Cancel it. Doing so twice, or too late, does nothing."""
        ...


class Clock(Protocol):
    """What the simulator asks of a clock."""

    def time(self) -> float:
        """Return the exchange's time in Unix seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` once ``when`` (Unix seconds) has come."""
        ...


class LoopClock:
    """A clock that follows the running event loop, and is virtual where the loop is.

    ``start`` is the Unix time (seconds) at first use. Unless given it is the loop's own idea of the time of day, if it
    has one (``loop.wall_time()``), else the machine's. A clock belongs to the loop in which it was first asked.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._offset = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def _bound(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            start = self._start
            if start is None:
                start = getattr(self._loop, "wall_time", time.time)()
            self._offset = start - self._loop.time()
        return self._loop

    def time(self) -> float:
        """Return the exchange's time in Unix seconds. The first call needs a running event loop."""
        return self._bound().time() + self._offset

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` from the loop once ``when`` (Unix seconds) has come."""
        return self._bound().call_at(when - self._offset, callback)


class _ManualTimer:
    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def fire(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class ManualClock:
    """A clock that stands still until it is advanced. ``start`` is in Unix seconds."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _ManualTimer]] = []

    def time(self) -> float:
        """Return the time to which the clock was last moved, in Unix seconds."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` when :meth:`advance` reaches ``when`` (Unix seconds)."""
        timer = _ManualTimer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move the clock forward, and call what falls due, in order and each at its own time.

        Raises :class:`ValueError` for a negative number. What a callback raises is raised here.
        """
        if seconds < 0:
            raise ValueError("a clock that is advanced goes forward")
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            timer.fire()
        self._now = until

    @property
    def pending(self) -> int:
        """How many timers wait."""
        return sum(timer.callback is not None for _, _, timer in self._timers)


class DrivenClock(LoopClock):
    """A clock that follows the running event loop, and can be moved ahead of it.

    Clients in other programs keep their own time, which does not move with it: while it is ``ahead`` (seconds), a
    request's ``timestamp`` may be right by this clock or by what it would show if it had not been moved.
    """

    def __init__(self, start: float | None = None) -> None:
        super().__init__(start)
        self.ahead = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _ManualTimer]] = []
        self._alarm: asyncio.TimerHandle | None = None

    def time(self) -> float:
        """Return the exchange's time in Unix seconds. The first call needs a running event loop."""
        return super().time() + self.ahead

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` from the loop, or from :meth:`advance`, once ``when`` (Unix seconds) has come."""
        timer = _ManualTimer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self._set_alarm()
        return timer

    def advance(self, seconds: float) -> None:
        """Move the clock ahead, and call what falls due, in order and each at its own time.

        Raises :class:`ValueError` for a negative number. What a callback raises is raised here.
        """
        if seconds < 0:
            raise ValueError("a clock that is advanced goes forward")
        now = super().time()
        until = self.ahead + seconds
        try:
            while self._timers and self._timers[0][0] <= now + until:
                when, _, timer = heapq.heappop(self._timers)
                self.ahead = max(self.ahead, when - now)
                timer.fire()
        finally:
            self.ahead = until
            self._set_alarm()

    def _set_alarm(self) -> None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._timers:
            loop = self._bound()
            self._alarm = loop.call_at(loop.time() + self._timers[0][0] - self.time(), self._due)

    def _due(self) -> None:
        now = self.time()
        loop = self._bound()
        while self._timers and self._timers[0][0] <= now:
            # Each on its own: the loop reports what one raises, and the others still run.
            loop.call_soon(heapq.heappop(self._timers)[2].fire)
        self._set_alarm()
