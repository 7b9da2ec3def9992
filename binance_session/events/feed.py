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
from collections import Counter, deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, Protocol

from binance_session.clock import ServerClock
from binance_session.errors import EventsOverflow
from binance_session.hooks import Hooks
from binance_session.log import SessionLog, session_log
from binance_session.responses import Event, size_of
from binance_session.stats import Stats

__all__ = ["EXPIRED", "HELD_BYTES", "HELD_EVENTS", "Feed", "Reader"]

#: the type of the event that tells of a listenKey's end
EXPIRED: Final = "listenKeyExpired"
#: seconds after which a gap is told although it is not over
_PATIENCE: Final = 1.0
#: seconds after a handover within which a copy may still come
_LATE: Final = 10.0
#: the most that is held back, in events and in bytes of memory
HELD_EVENTS: Final = 100_000
HELD_BYTES: Final = 32 * 2**20


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

    def __init__(self, clock: ServerClock, hooks: Hooks, stats: Stats, log: SessionLog | None = None) -> None:
        self._clock = clock
        self._hooks = hooks
        self._stats = stats
        self._log = log or session_log("session")
        #: who gets the events, in the order in which they came
        self.readers: tuple[Reader, ...] = ()
        #: called with each event before its readers get it; they may not raise
        self.watchers: tuple[Callable[[Event], None], ...] = ()
        #: the source whose events are delivered, if there is one
        self.leading: object | None = None
        self._following: object | None = None
        # what the following source brought and the leading one has not: in order, by what it says
        self._held: dict[bytes, list[Event]] = {}
        # what is to be delivered when the readers want more
        self._queue: deque[Event] = deque()
        # how much of both there is, in events and in bytes
        self._held_events = self._held_bytes = 0
        #: tells whether a reader wants nothing for now
        self.is_paused: Callable[[], bool] = lambda: False
        # how often the leading source brought what the following one has not brought yet
        self._ahead: Counter[bytes] = Counter()
        self._ahead_until = 0.0
        # when the following source began to (ms)
        self._followed_since = 0
        # since when, and why: what is certain to be a gap, and what may be none
        self._gap: tuple[int, str] | None = None
        self._suspicion: tuple[int, str] | None = None
        # whether the last gap that was told is still to be told to be over
        self._owes_end = False
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
    def is_heard(self) -> bool:
        """Whether somebody gets the events."""
        return bool(self.readers)

    @property
    def is_live(self) -> bool:
        """Whether what happens to the account is being heard, as far as is known."""
        return self.leading is not None and self._gap is None and self._suspicion is None

    # What sources bring

    def event(self, source: object, event: Event) -> None:
        """Take one event from a source."""
        if source is self._following:
            if self.leading is None:
                self.take_over()
            elif self._is_copy(event):
                return
            else:
                self._held.setdefault(_digest(event), []).append(event)
                self._count(event, 1)
                self._check_bounds()
                return
        elif source is not self.leading:
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
            self._count(event, 1)
            self._check_bounds()
        else:
            self._deliver(event)

    def lost(self, error: Exception) -> None:
        """Take note that an event came and could not be handled: it is told as a gap that is over at once."""
        self._log.error("an event could not be handled: this is a defect of binance_session", exc_info=error)
        self._is_missing(f"an event could not be handled ({type(error).__name__})")

    def unreadable(self) -> None:
        """Take note that an event came of which nothing can be made, likewise."""
        self._is_missing("an event could not be read: it is nested too deeply, or a number has too many digits")

    def _is_missing(self, why: str) -> None:
        self.open_gap(self._clock.now_ms(), why)
        if self.leading is not None:
            self.gap_is_over()

    def _count(self, event: Event, sign: int) -> None:
        self._held_events += sign
        self._held_bytes += sign * size_of(event)

    def _is_too_much(self) -> bool:
        return self._held_events > HELD_EVENTS or self._held_bytes > HELD_BYTES or len(self._ahead) > HELD_EVENTS

    def _check_bounds(self) -> None:
        """Hold back no more than the bounds: end a handover that lasts too long, or readers that do not read."""
        if self._following is not None and self._is_too_much():
            # The new source leads from here; what the old one has not brought may be missing.
            self.open_gap(self._followed_since, "more came during a handover than is held back")
            self.take_over()
        if len(self._queue) > HELD_EVENTS or (self._queue and self._held_bytes > 2 * HELD_BYTES):
            self._clear_queue()
            self._end_readers(EventsOverflow(_TOO_MUCH))

    def _is_copy(self, event: Event) -> bool:
        """Tell whether the other source brought this already, and take note that the copy has come."""
        if not self._ahead:
            return False
        text = _digest(event)
        count = self._ahead.pop(text, 0)
        if count > 1:
            self._ahead[text] = count - 1
        return count > 0

    def _lead_on(self, event: Event) -> None:
        text = _digest(event)
        copies = self._held.get(text)
        if copies is None:
            self._ahead[text] += 1
            self._check_bounds()
        else:
            self._count(copies.pop(), -1)
            if not copies:
                del self._held[text]

    # Who is who

    def follow(self, source: object) -> None:
        """Have a source run beside the leading one, to take over from it; its first event does if none leads."""
        self._drop_held()
        self._following = source
        self._followed_since = self._clock.now_ms()

    def take_over(self) -> None:
        """Have the following source lead: the one before is gone, or has brought all that was in it."""
        if self._following is not None:
            self.leading, self._following = self._following, None
            self._ahead_until = _now() + _LATE
            self._go_on()

    def leave(self, source: object) -> None:
        """Have a source that was to take over do so no more."""
        if source is self._following:
            self._following = None
            self._drop_held()

    def _drop_held(self) -> None:
        for copies in self._held.values():
            for event in copies:
                self._count(event, -1)
        self._held.clear()
        self._ahead.clear()

    def break_off(self, source: object, since: int, cause: str) -> None:
        """Take note that a source ended, and that what happened since ``since`` (ms) may have been missed."""
        if source is self._following:
            self.leave(source)
        elif source is self.leading:
            self.open_gap(since, cause)
            self.leading = None
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
            event = self._queue.popleft()
            self._count(event, -1)
            self._deliver(event)

    # Gaps

    def open_gap(self, since: int, cause: str) -> None:
        """Take note that events since ``since`` (ms) may be missing; a gap that is open already grows to that."""
        if not self.readers:
            return
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
        if self.readers:
            self._suspicion = (since, cause)
            self._arm()

    def confirm(self) -> bool:
        """Have the suspicion be a gap that is open; return whether there was one."""
        if self._suspicion is None:
            return False
        (since, cause), self._suspicion = self._suspicion, None
        self.open_gap(since, cause)
        return True

    def withdraw(self) -> None:
        """Drop the suspicion because it is certain now: who calls this opens a gap."""
        self._suspicion = None

    def dismiss(self) -> None:
        """Drop the suspicion: nothing was missing. If it was told so far, tell that it is over."""
        if self._suspicion is None:
            return
        (since, cause), self._suspicion = self._suspicion, None
        self._disarm()
        if self._owes_end and self._gap is None:
            self._tell_gap(since, cause, over=True)

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
        self._owes_end = not over
        self._stats.gaps += 1
        self._log.warning("user data events may have been missed for %.3f s: %s", (until - since) / 1000, cause)
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
        for watcher in self.watchers:
            watcher(event)
        for reader in self.readers:
            try:
                reader.put(event)
            except Exception:  # the others are to get it all the same
                self._log.exception("a reader of events failed: this is a defect of binance_session")

    def end(self, error: Exception | None) -> None:
        """Tell every reader that no more will come, and why."""
        self._forget()
        self._end_readers(error)

    def _end_readers(self, error: Exception | None) -> None:
        for reader in self.readers:
            try:
                reader.end(error)
            except Exception:  # likewise
                self._log.exception("a reader of events failed: this is a defect of binance_session")

    def _forget(self) -> None:
        self.leading = self._following = self._gap = self._suspicion = self._last_expiry = None
        self._owes_end = False
        self._drop_held()
        self._clear_queue()
        self._disarm()

    def _clear_queue(self) -> None:
        for event in self._queue:
            self._count(event, -1)
        self._queue.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()


_TOO_MUCH: Final = (
    f"more than {HELD_EVENTS} events, or {2 * HELD_BYTES // 2**20} MiB of them, waited while reading was paused: ask"
    " the exchange what became of orders and positions, and open the stream again"
)


def _digest(event: Event) -> bytes:
    """Return what stands for what an event says, the same for its copies.

    ``E`` may be a number in one and text in the other. Short, because as many as come during a handover are kept.
    """
    what = {**event.data, "E": event.time}
    try:
        text = json.dumps(what, sort_keys=True, default=str)
    except (RecursionError, ValueError):  # nested as deep as can be read, which is deeper than can be written
        text = _flat(what)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _flat(value: Any) -> str:
    """Return a text that says what ``value`` says, however deep it is nested."""
    parts: list[str] = []
    stack: list[tuple[bool, Any]] = [(False, value)]
    while stack:
        is_written, item = stack.pop()
        if is_written:
            parts.append(item)
        elif type(item) is dict:
            stack.append((True, "}"))
            for name in sorted(item, reverse=True):
                stack += [(False, item[name]), (True, f"{name!r}:")]
            parts.append("{")
        elif type(item) is list:
            stack.append((True, "]"))
            stack += [(False, part) for part in reversed(item)]
            parts.append("[")
        else:
            # an integer may have more digits than Python writes in decimal
            parts.append(f"{item:x}," if type(item) is int else f"{item!r},")
    return "".join(parts)
