"""What two sources of events have both brought, and what only one of them has brought yet.

Copies are told by what they say, for the exchange numbers nothing (PROTOCOL.md §7). Pure: times are arguments, in
seconds.
"""

from __future__ import annotations

import json
from collections import deque
from hashlib import blake2b
from typing import Any, Final

from binance_session.responses import Event, size_of

__all__ = ["EXPIRED", "Copies"]

#: the type of the event that a listenKey's end brings
EXPIRED: Final = "listenKeyExpired"
#: seconds after which one source does not bring again what both have brought
_LATE: Final = 10.0


class Copies:
    """Matches the events of a source that leads with those of one that follows."""

    __slots__ = ("_ahead", "_brought", "_bytes", "_count", "_given", "_held")

    def __init__(self) -> None:
        # what the following source brought and the leading one has not: in order, with the time when it came
        self._held: dict[bytes, deque[tuple[float, Event]]] = {}
        self._count = self._bytes = 0
        # when the leading source brought what the following one has not brought yet
        self._ahead = _Times()
        # what was delivered and the leading source has not brought yet: until when its copy is waited for
        self._given = _Times()
        # what both brought of late, and until when that is of interest
        self._brought = _Times()

    @property
    def held(self) -> int:
        """How many events the following source alone has brought."""
        return self._count

    @property
    def held_bytes(self) -> int:
        """How many bytes of memory they take."""
        return self._bytes

    @property
    def ahead(self) -> int:
        """How many events, of those that differ, the leading source alone has brought."""
        return len(self._ahead)

    @property
    def held_since(self) -> float | None:
        """When the first of what is held came; ``None`` if nothing is."""
        for copies in self._held.values():
            return copies[0][0]
        return None

    @property
    def awaits_copies(self) -> bool:
        """Whether the leading source may yet bring what was delivered already."""
        return bool(self._given)

    def is_given(self, event: Event) -> bool:
        """Return whether what the leading source brought was delivered already; each copy counts once."""
        return self._given.take(_digest(event))

    def led(self, event: Event, now: float, *, is_followed: bool) -> None:
        """Take an event of the leading source, to match it with that of the following one, if there is one."""
        text = _digest(event)
        if text in self._held:
            self._take(text)
            self._brought.add(text, now + _LATE)
        elif is_followed:
            self._ahead.add(text, now)

    def followed(self, event: Event, now: float) -> None:
        """Take an event of the following source; hold it, unless the leading one brought it before."""
        text = _digest(event)
        self._brought.forget(now)
        if self._ahead.take(text):
            self._brought.add(text, now + _LATE)
        else:
            self._held.setdefault(text, deque()).append((now, event))
            self._count += 1
            self._bytes += size_of(event)

    def forget_ahead(self, moment: float) -> None:
        """Wait no longer for the following source's copies of what the leading one brought before ``moment``."""
        self._ahead.forget(moment)

    def forget_given(self, now: float) -> None:
        """Wait no longer for the leading source's copies whose time is over."""
        self._given.forget(now)

    def overdue(self, moment: float, until: float) -> list[Event]:
        """Return, in order, what was held before ``moment`` and is to be delivered; copies may come ``until`` then.

        What the following source brought twice, and the leading one once, is not among it.
        """
        events = []
        while self._held:
            text, copies = next(iter(self._held.items()))
            if copies[0][0] >= moment:
                break
            event = self._take(text)
            if text not in self._brought:
                events.append(event)
                self._given.add(text, until)
        return events

    def hand_over(self, until: float) -> list[Event]:
        """Return, in order, all that is held: the following source leads from now on.

        Copies of what the source before brought may come ``until`` then.
        """
        events = [event for copies in self._held.values() for _, event in copies]
        self._given, self._ahead = self._ahead, _Times()
        self._given.set_all(until)
        self._brought = _Times()
        self.forget_held()
        return events

    def stop_following(self) -> None:
        """Expect nothing more of the following source; what it brought is held on."""
        self._ahead = _Times()

    def forget_held(self) -> None:
        """Hold nothing any more."""
        self._held.clear()
        self._count = self._bytes = 0

    def _take(self, text: bytes) -> Event:
        copies = self._held[text]
        _, event = copies.popleft()
        if not copies:
            del self._held[text]
        self._count -= 1
        self._bytes -= size_of(event)
        return event


class _Times(dict[bytes, deque[float]]):
    """A time for each time that something was said; the earliest first, but for what is said again."""

    __slots__ = ()

    def add(self, text: bytes, time: float) -> None:
        """Add a time."""
        self.setdefault(text, deque()).append(time)

    def take(self, text: bytes) -> bool:
        """Take out one time of ``text``; return whether there was one."""
        times = self.get(text)
        if times is None:
            return False
        times.popleft()
        if not times:
            del self[text]
        return True

    def forget(self, moment: float) -> None:
        """Take out the times before ``moment``."""
        while self:
            text, times = next(iter(self.items()))
            if times[0] >= moment:
                return
            self.take(text)

    def set_all(self, time: float) -> None:
        """Set each to ``time``."""
        for text, times in self.items():
            self[text] = deque([time] * len(times))


def _digest(event: Event) -> bytes:
    """Return a short digest of what an event says, the same for its copies.

    ``E`` may be a number in one and text in the other.
    """
    what = {**event.data, "E": event.time}
    if event.type == EXPIRED:
        what.pop("listenKey", None)  # which one of the two may leave out (PROTOCOL.md §5.3)
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
