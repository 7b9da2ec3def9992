"""The account's events in one order, once each, with every gap named.

Events come from a source: a stream socket, or a subscription on the API connection. When one source takes over from
another, both run for a moment and bring the same events. The old one leads until it has shown that nothing is
left in it; what the new one brought meanwhile is held back, and what both brought is delivered once. A second source
may also follow for as long as it likes, beside the leading one, to lead in its place at once.

A gap is an :class:`~binance_session.Event` with ``is_gap``: events may have been missed between ``data["since"]`` and
``data["until"]`` (ms of the exchange's clock, as well as that is known), because of ``data["cause"]``. It is delivered
before the first event after it. One that lasts is delivered when that is known, with ``data["over"]`` false, and again,
up to its end, when it is over.

Documents: PROTOCOL.md §5.3 (expiry, sent once or twice), §7 (order; there is no sequence number and no replay).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from binance_session.clock import ServerClock
from binance_session.errors import EventsOverflow
from binance_session.events.copies import EXPIRED, Copies
from binance_session.events.delivery import Delivery
from binance_session.log import SessionLog
from binance_session.responses import Event, size_of

__all__ = ["EXPIRED", "HELD_BYTES", "HELD_EVENTS", "OVERLAP", "Feed", "Reader", "SecondOwner"]

#: seconds within which the exchange sends an event on each of two sources
OVERLAP: Final = 1.0
#: seconds after which a gap is delivered although it is not over
_PATIENCE: Final = 1.0
#: seconds after a handover within which a copy may still come; and after one to a source that had followed for long
_LATE: Final = 10.0
_LATE_BESIDE: Final = 60.0
#: the most that is held back, in events and in bytes of memory
HELD_EVENTS: Final = 100_000
HELD_BYTES: Final = 32 * 2**20


class Reader(Protocol):
    """Gets the events. Nothing here may raise."""

    #: from how many sources at the same time it wants them, 1 or 2
    sockets: int

    @property
    def backlog(self) -> int:
        """How many events wait to be read."""
        ...

    def put(self, event: Event) -> None:
        """Take the next event."""

    def end(self, error: Exception | None) -> None:
        """Called when no more will come; ``error`` says why, ``None``: it was asked for."""


class SecondOwner(Protocol):
    """Keeps a source that follows beside the leading one. Nothing here may raise."""

    @property
    def proven_at(self) -> float:
        """The loop time up to which all that was sent on the source that follows has certainly arrived."""
        ...

    def too_far_apart(self, behind: Any) -> None:
        """Called when a source is so far behind the other that no more is held for it."""


class Feed:
    """Delivers events to the hook ``on_event``, and then to its readers."""

    def __init__(self, clock: ServerClock, delivery: Delivery, log: SessionLog) -> None:
        self._clock = clock
        self._delivery = delivery
        self._log = log
        #: the readers, in the order in which they were added
        self.readers: tuple[Reader, ...] = ()
        #: the source (see :class:`~binance_session.events.source.Source`) whose events are delivered, if there is one
        self.leading: Any = None
        #: the source that is to take its place
        self.following: Any = None
        # what keeps the following source beside the leading one; ``None``: it is to take over soon
        self._beside: SecondOwner | None = None
        self._lag_timer: asyncio.TimerHandle | None = None
        # when a source took over that had followed for long, until it has brought all that was sent before
        self._behind_since: float | None = None
        self._copies = Copies()
        # what is to be delivered when no reader is paused any more, and its bytes
        self._queue: deque[Event] = deque()
        self._queue_bytes = 0
        #: called while the leading source has not brought what the one beside it brought a moment ago
        self.on_lag: Callable[[], None] = lambda: None
        #: tells whether a reader is paused
        self.is_paused: Callable[[], bool] = lambda: False
        # since when the following source has followed (ms)
        self._followed_since = 0
        # since when, and why: what is certain to be a gap, and what may be none
        self._gap: tuple[int, str] | None = None
        self._suspicion: tuple[int, str] | None = None
        # whether the last gap that was delivered was not over
        self._owes_end = False
        self._timer: asyncio.TimerHandle | None = None
        self._last_expiry: tuple[Any, int] | None = None

    def add(self, reader: Reader) -> None:
        """Deliver to ``reader`` too."""
        self.readers = (*self.readers, reader)

    def remove(self, reader: Reader) -> None:
        """Deliver to ``reader`` no more; forget everything after the last one."""
        self.readers = tuple(other for other in self.readers if other is not reader)
        if not self.readers:
            self._forget()

    @property
    def is_live(self) -> bool:
        """Whether a source leads, and nothing is missing as far as is known."""
        return self.leading is not None and self._gap is None and self._suspicion is None

    # What sources bring

    def event(self, source: object, event: Event) -> None:
        """Take one event from a source."""
        copies = self._copies
        if source is self.following:
            if self.leading is None:
                self.take_over()
            else:
                copies.followed(event, _now())
                self._check_bounds()
                if self._beside is not None:
                    self._watch_lag()
                return
        elif source is not self.leading:
            return
        else:
            if copies.awaits_copies and self._was_delivered(event):
                return
            if self._beside is not None:
                copies.forget_ahead(self._beside.proven_at - OVERLAP)
            if self.following is not None or copies.held:
                copies.led(event, _now(), is_followed=self.following is not None)
                self._check_bounds()
        if self._queue:
            self._enqueue([event])
            self._check_queue()
        else:
            self._deliver(event)

    def _was_delivered(self, event: Event) -> bool:
        """Tell whether another source brought an event of the leading one before."""
        if self._behind_since is None or self.leading.proven_at >= self._behind_since + OVERLAP:
            self._behind_since = None
            self._copies.forget_given(_now())
        return self._copies.is_given(event)

    def failed(self, error: Exception) -> None:
        """Called when an event could not be handled: a gap that is over at once."""
        self._log.error("an event could not be handled: this is a defect of binance_session", exc_info=error)
        self._is_missing(f"an event could not be handled ({type(error).__name__})")

    def unreadable(self) -> None:
        """Called when an event could not be decoded: likewise."""
        self._is_missing("an event could not be read: it is nested too deeply, or a number has too many digits")

    def _is_missing(self, why: str) -> None:
        self.open_gap(self._clock.now_ms(), why)
        if self.leading is not None:
            self.close_gap()

    def _enqueue(self, events: list[Event]) -> None:
        self._queue.extend(events)
        self._queue_bytes += sum(map(size_of, events))

    def _check_queue(self) -> None:
        """End the readers when more waits than is kept for those that do not read."""
        if len(self._queue) > HELD_EVENTS or self._queue_bytes > 2 * HELD_BYTES:
            self._clear_queue()
            self._end_readers(EventsOverflow(_TOO_MUCH))

    def _check_bounds(self) -> None:
        """Hold no more of two sources than the bounds."""
        copies = self._copies
        if self.following is None:
            return
        is_leading_behind = copies.held > HELD_EVENTS or copies.held_bytes > HELD_BYTES
        if not is_leading_behind and copies.ahead <= HELD_EVENTS:
            return
        if self._beside is None:
            # The new source leads from here; what the old one has not brought may be missing.
            self.open_gap(self._followed_since, "more came during a handover than is held back")
            self.take_over()
        elif is_leading_behind:
            leading, beside = self.leading, self._beside
            self.deliver_overdue(math.inf)
            beside.too_far_apart(leading)
        else:
            following, beside = self.following, self._beside
            self.abandon(following)
            beside.too_far_apart(following)

    def _watch_lag(self) -> None:
        """Look, while something is held, whether the leading source brings it too."""
        if self._lag_timer is None and self._copies.held:
            self._lag_timer = asyncio.get_running_loop().call_later(OVERLAP, self._look_for_lag)

    def _look_for_lag(self) -> None:
        self._lag_timer = None
        held_since = self._copies.held_since
        if self.leading is not None and held_since is not None and held_since <= _now() - OVERLAP:
            self.on_lag()
        self._watch_lag()

    def deliver_overdue(self, moment: float) -> None:
        """Deliver what the following source brought before ``moment``: the leading one has not, and will not."""
        self._enqueue(self._copies.overdue(moment, _now() + _LATE_BESIDE))
        self.resume()

    # Which source leads

    def follow(self, source: object, beside: SecondOwner | None = None) -> None:
        """Let a source run beside the leading one, to take over from it; without one it leads from its first event.

        With ``beside`` it may follow for long: it takes over when the leading one is lost, or lags too far behind.
        """
        self._stop_following()
        self.following, self._beside = source, beside
        self._followed_since = self._clock.now_ms()

    def take_over(self) -> None:
        """Let the following source lead: the one before has ended, or has brought all that was in it."""
        if self.following is not None:
            held = self._copies.hand_over(_now() + (_LATE if self._beside is None else _LATE_BESIDE))
            self._behind_since = None if self._beside is None else _now()
            self.leading, self.following, self._beside = self.following, None, None
            self._stop_lag_timer()
            self.close_gap()
            self._enqueue(held)
            self.resume()

    def abandon(self, source: object) -> None:
        """Let a source that follows not take over."""
        if source is self.following:
            self._stop_following()

    def _stop_following(self) -> None:
        self.following = self._beside = None
        self._copies.stop_following()
        if self._lag_timer is None:  # else what is held came from a source that had followed for long: it is not lost
            self._copies.forget_held()

    def _stop_lag_timer(self) -> None:
        if self._lag_timer is not None:
            self._lag_timer.cancel()
            self._lag_timer = None

    def drop(self, source: object, since: int | None, cause: str, *, has_successor: bool = True) -> None:
        """Called when a source has ended: if it led, what happened since ``since`` (ms) may be missing.

        ``None``: nothing is, because the following source brings it. ``has_successor``: the following source, if there
        is one, leads from now on.
        """
        if source is self.following:
            self.abandon(source)
        elif source is self.leading:
            if since is not None:
                self.open_gap(since, cause)
            self.leading = None
            if has_successor:
                self.take_over()

    def resume(self) -> None:
        """Deliver what is queued, until a reader is paused."""
        while self._queue and not self.is_paused():
            event = self._queue.popleft()
            self._queue_bytes -= size_of(event)
            self._deliver(event)

    # Gaps

    def open_gap(self, since: int, cause: str) -> None:
        """Open a gap: events since ``since`` (ms) may be missing; a gap that is open already grows to that."""
        if not self.readers:
            return
        if self._gap is None:
            self._gap = (since, cause)
            self._arm()
        else:
            self._gap = (min(since, self._gap[0]), self._gap[1])

    def close_gap(self) -> None:
        """Deliver the gap that is open, if one is: the leading source brings everything from now on."""
        if self._gap is not None:
            (since, cause), self._gap = self._gap, None
            self._disarm()
            self._deliver_gap(since, cause, over=self._suspicion is None)

    def suspect(self, since: int, cause: str) -> None:
        """Suspect that events since ``since`` (ms) are missing: a gap, delivered so far unless it is dismissed soon."""
        if self.readers:
            self._suspicion = (since, cause)
            self._arm()

    def confirm(self) -> bool:
        """Turn the suspicion into an open gap; return whether there was one."""
        if self._suspicion is None:
            return False
        (since, cause), self._suspicion = self._suspicion, None
        self.open_gap(since, cause)
        return True

    def withdraw(self) -> None:
        """Drop the suspicion because it is certain now: the caller opens a gap."""
        self._suspicion = None

    def dismiss(self) -> None:
        """Drop the suspicion: nothing was missing. If it was delivered so far, deliver that it is over."""
        if self._suspicion is None:
            return
        (since, cause), self._suspicion = self._suspicion, None
        self._disarm()
        if self._owes_end and self._gap is None:
            self._deliver_gap(since, cause, over=True)

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._deliver_so_far)

    def _disarm(self) -> None:
        if self._timer is not None and self._gap is None and self._suspicion is None:
            self._timer.cancel()
            self._timer = None

    def _deliver_so_far(self) -> None:
        """Deliver what is open or suspected, and begin the rest of it now."""
        self._timer = None
        parts = [part for part in (self._gap, self._suspicion) if part is not None]
        if parts:
            until = self._deliver_gap(min(since for since, _ in parts), parts[0][1], over=False)
            self._gap = None if self._gap is None else (until, self._gap[1])
            self._suspicion = None if self._suspicion is None else (until, self._suspicion[1])

    def _deliver_gap(self, since: int, cause: str, *, over: bool) -> int:
        """Deliver a gap from ``since`` until now, and return the latter (ms)."""
        self._owes_end = not over
        gap = self._delivery.gap(since, cause, over=over)
        self._put(gap)
        return gap.time

    # Delivery

    def _deliver(self, event: Event) -> None:
        if event.type == EXPIRED:
            named = event.data.get("listenKey")
            expiry = (named if isinstance(named, str) else None, event.time)
            if expiry == self._last_expiry:
                return
            self._last_expiry = expiry
        self._delivery.event(event)
        self._put(event)

    def _put(self, event: Event) -> None:
        for reader in self.readers:
            try:
                reader.put(event)
            except Exception:  # the other readers get it all the same
                self._log.exception("a reader of events failed: this is a defect of binance_session")

    def end(self, error: Exception | None) -> None:
        """End every reader; ``error`` says why."""
        self._forget()
        self._end_readers(error)

    def _end_readers(self, error: Exception | None) -> None:
        for reader in self.readers:
            try:
                reader.end(error)
            except Exception:  # likewise
                self._log.exception("a reader of events failed: this is a defect of binance_session")

    def _forget(self) -> None:
        self.leading = self._gap = self._suspicion = self._last_expiry = None
        self._owes_end = False
        self._behind_since = None
        self._stop_lag_timer()
        self._stop_following()
        self._copies = Copies()
        self._clear_queue()
        self._disarm()

    def _clear_queue(self) -> None:
        self._queue.clear()
        self._queue_bytes = 0


def _now() -> float:
    return asyncio.get_running_loop().time()


_TOO_MUCH: Final = (
    f"more than {HELD_EVENTS} events, or {2 * HELD_BYTES // 2**20} MiB of them, waited while reading was paused: ask"
    " the exchange what became of orders and positions, and open the stream again"
)
