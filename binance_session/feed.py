"""The account's events in one order, once each, with every gap named.

Events come from a source: a stream socket, or a subscription on the API connection. When one source takes over from
another, both run for a moment and bring the same events. The old one leads until it has shown that nothing is
left in it; what the new one brought meanwhile is held, and what both brought is delivered once.

A gap is an :class:`~binance_session.Event` with ``is_gap``: events may have been missed between ``data["since"]`` and
``data["until"]`` (ms of the exchange's clock, as well as that is known), because of ``data["cause"]``. It is delivered
before the first event after it. One that lasts is told when that is known, with ``data["over"]`` false, and again, up
to its end, when it is over.

Documents: PROTOCOL.md §5.3 (expiry, told once or twice), §7 (order; there is no sequence number and no replay).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from binance_session.clock import ServerClock
from binance_session.hooks import Hooks
from binance_session.responses import Event
from binance_session.stats import Stats

__all__ = ["EXPIRED", "Feed", "Reader"]

_log: Final = logging.getLogger("binance_session")
#: the type of the event that tells of a listenKey's end
EXPIRED: Final = "listenKeyExpired"
#: seconds after which a gap is told although it is not over
_PATIENCE: Final = 1.0
#: seconds after a handover within which a copy may still come
_LATE: Final = 10.0


class Reader(Protocol):
    """Who gets the events. Nothing here may raise."""

    @property
    def backlog(self) -> int:
        """How many events wait to be read."""
        ...

    def put(self, event: Event) -> None:
        """Take the next event."""

    def end(self, error: Exception | None) -> None:
        """Learn that no more will come; ``error`` says why, ``None`` that somebody wanted it."""


class Feed:
    """Delivers events to its readers, and to the hook ``on_event`` before them."""

    def __init__(self, clock: ServerClock, hooks: Hooks, stats: Stats) -> None:
        self._clock = clock
        self._hooks = hooks
        self._stats = stats
        #: who gets the events, in the order in which they came
        self.readers: tuple[Reader, ...] = ()
        self._leading: object | None = None
        self._following: object | None = None
        # what the following source brought and the leading one has not: in order, by what it says
        self._held: dict[str, list[Event]] = {}
        # what is to be delivered when the readers want more
        self._queue: deque[Event] = deque()
        #: tells whether a reader wants nothing for now
        self.is_paused: Callable[[], bool] = lambda: False
        # how often the leading source brought what the following one has not brought yet
        self._ahead: Counter[str] = Counter()
        self._ahead_until = 0.0
        # since when, and why: what is certain to be a gap, and what may be none
        self._gap: tuple[int, str] | None = None
        self._suspicion: tuple[int, str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_expiry: tuple[Any, int] | None = None

    def add(self, reader: Reader) -> None:
        """Deliver to ``reader`` too."""
        self.readers = (*self.readers, reader)

    def remove(self, reader: Reader) -> None:
        """Deliver to ``reader`` no more; forget everything when nobody listens any more."""
        self.readers = tuple(other for other in self.readers if other is not reader)
        if not self.readers:
            self._forget()

    @property
    def is_live(self) -> bool:
        """Whether what happens to the account is being heard, as far as is known."""
        return self._leading is not None and self._gap is None and self._suspicion is None

    # What sources bring

    def event(self, source: object, event: Event) -> None:
        """Take one event from a source."""
        if source is self._following:
            if self._leading is None:
                self.take_over()
            elif self._is_copy(event):
                return
            else:
                self._held.setdefault(_text(event), []).append(event)
                return
        elif source is not self._leading:
            return
        elif self._following is not None:
            self._lead_on(event)
        elif self._ahead:
            if _now() > self._ahead_until:
                self._ahead.clear()  # what came before the new source was there has no copy
            elif self._is_copy(event):
                return
        if self._queue:
            self._queue.append(event)
        else:
            self._deliver(event)

    def _is_copy(self, event: Event) -> bool:
        """Tell whether the other source brought this already, and take note that the copy has come."""
        if not self._ahead:
            return False
        text = _text(event)
        count = self._ahead.pop(text, 0)
        if count > 1:
            self._ahead[text] = count - 1
        return count > 0

    def _lead_on(self, event: Event) -> None:
        text = _text(event)
        copies = self._held.get(text)
        if copies is None:
            self._ahead[text] += 1
        else:
            copies.pop()
            if not copies:
                del self._held[text]

    # Who is who

    def follow(self, source: object) -> None:
        """Have a source run beside the leading one, to take over from it; its first event does if none leads."""
        self._following = source
        self._held.clear()
        self._ahead.clear()

    def take_over(self) -> None:
        """Have the following source lead: the one before is gone, or has brought all that was in it."""
        if self._following is not None:
            self._leading, self._following = self._following, None
            self._ahead_until = _now() + _LATE
            self._go_on()

    def leave(self, source: object) -> None:
        """Have a source that was to take over do so no more."""
        if source is self._following:
            self._following = None
            self._held.clear()
            self._ahead.clear()

    def break_off(self, source: object, since: int, cause: str) -> None:
        """Take note that a source ended, and that what happened since ``since`` (ms) may have been missed."""
        if source is self._following:
            self.leave(source)
        elif source is self._leading:
            self.open_gap(since, cause)
            self._leading = None
            self.take_over()

    def _go_on(self) -> None:
        self.gap_is_over()
        held, self._held = self._held, {}
        for copies in held.values():
            self._queue.extend(copies)
        self.resume()

    def resume(self) -> None:
        """Deliver what waits, until a reader wants no more."""
        while self._queue and not self.is_paused():
            self._deliver(self._queue.popleft())

    # Gaps

    def open_gap(self, since: int, cause: str) -> None:
        """Take note that events since ``since`` (ms) may be missing; a gap that is open already grows to that."""
        if self._gap is None:
            self._gap = (since, cause)
            self._arm()
        else:
            self._gap = (min(since, self._gap[0]), self._gap[1])

    def gap_is_over(self) -> None:
        """Tell the gap that is open, if one is: the leading source hears everything from now on."""
        if self._gap is not None:
            (since, cause), self._gap = self._gap, None
            self._disarm()
            self._tell_gap(since, cause, over=self._suspicion is None)

    def suspect(self, since: int, cause: str) -> None:
        """Take note of what may turn out to be a gap; if it does not soon, it is told so far."""
        self._suspicion = (since, cause)
        self._arm()

    def confirm(self) -> bool:
        """Have the suspicion be a gap that is open; return whether there was one."""
        if self._suspicion is None:
            return False
        (since, cause), self._suspicion = self._suspicion, None
        self.open_gap(since, cause)
        return True

    def dismiss(self) -> None:
        """Drop the suspicion: nothing was missing."""
        self._suspicion = None
        self._disarm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._tell_so_far)

    def _disarm(self) -> None:
        if self._timer is not None and self._gap is None and self._suspicion is None:
            self._timer.cancel()
            self._timer = None

    def _tell_so_far(self) -> None:
        """Tell what is open or suspected, and begin the rest of it now."""
        self._timer = None
        parts = [part for part in (self._gap, self._suspicion) if part is not None]
        if parts:
            until = self._tell_gap(min(since for since, _ in parts), parts[0][1], over=False)
            self._gap = None if self._gap is None else (until, self._gap[1])
            self._suspicion = None if self._suspicion is None else (until, self._suspicion[1])

    def _tell_gap(self, since: int, cause: str, *, over: bool) -> int:
        """Deliver a gap from ``since`` until now, and return the latter (ms)."""
        until = max(since, self._clock.now_ms())
        self._stats.gaps += 1
        _log.warning("user data events may have been missed for %.3f s: %s", (until - since) / 1000, cause)
        data = {"cause": cause, "since": since, "until": until, "over": over}
        self._hand_out(Event("gap", until, data, is_gap=True))
        return until

    # Delivery

    def _deliver(self, event: Event) -> None:
        if event.type == EXPIRED:
            named = event.data.get("listenKey")
            expiry = (named if isinstance(named, str) else None, event.time)
            if expiry == self._last_expiry:
                return
            self._last_expiry = expiry
        self._stats.events += 1
        self._hand_out(event)

    def _hand_out(self, event: Event) -> None:
        if self._hooks.on_event is not None:
            self._hooks.on_event(event)
        for reader in self.readers:
            reader.put(event)

    def end(self, error: Exception | None) -> None:
        """Tell every reader that no more will come, and why."""
        readers = self.readers
        self._forget()
        for reader in readers:
            reader.end(error)

    def _forget(self) -> None:
        self._leading = self._following = self._gap = self._suspicion = self._last_expiry = None
        self._held.clear()
        self._ahead.clear()
        self._queue.clear()
        self._disarm()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _text(event: Event) -> str:
    """Return what an event says, the same for its copies; ``E`` may be a number in one and text in the other."""
    return json.dumps({**event.data, "E": event.time}, sort_keys=True, default=str)
