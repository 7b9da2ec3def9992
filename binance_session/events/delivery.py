"""Where events leave the session: counted, and given to the hook ``on_event``; gaps are logged as well."""

from __future__ import annotations

from collections.abc import Callable

from binance_session.clock import ServerClock
from binance_session.hooks import Hooks
from binance_session.log import SessionLog
from binance_session.responses import Event
from binance_session.stats import Stats

__all__ = ["Delivery"]


class Delivery:
    """Delivers every event of a session to its hook and its watchers, wherever the event came from."""

    def __init__(self, clock: ServerClock, hooks: Hooks, stats: Stats, log: SessionLog) -> None:
        self._clock = clock
        self._hooks = hooks
        self._stats = stats
        self._log = log
        #: called with each event of the exchange, after the hook; they do not raise
        self.watchers: tuple[Callable[[Event], None], ...] = ()

    def event(self, event: Event) -> None:
        """Deliver an event that the exchange sent."""
        self._stats.events += 1
        if self._hooks.on_event is not None:
            self._hooks.on_event(event)
        for watcher in self.watchers:
            watcher(event)

    def gap(self, since: int, cause: str, *, over: bool) -> Event:
        """Deliver a gap from ``since`` (ms) until now, and return it; ``time`` of the result is its end (ms)."""
        until = max(since, self._clock.now_ms())
        self._stats.gaps += 1
        self._log.warning("user data events may have been missed for %.3f s: %s", (until - since) / 1000, cause)
        event = Event("gap", until, {"cause": cause, "since": since, "until": until, "over": over}, is_gap=True)
        if self._hooks.on_event is not None:
            self._hooks.on_event(event)
        return event
