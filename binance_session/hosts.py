"""What the sessions of one event loop share about one host.

The host counts and bans addresses, not sessions, so they must know of each other: how often it may still be dialled,
until when it does not listen, until when the rest of the request weight is kept for what must not wait. And they
wake up together: a process that was suspended learns here that its connections may be dead.

Documents: PROTOCOL.md §1.3 (connection attempts), §8 (429, 418, ``retryAfter``, calendar minutes).
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from attrs import frozen

from binance_session.reconnect import AttemptBudget

__all__ = ["NOT_HELD", "Guest", "Hold", "Host"]

_log: Final = logging.getLogger("binance_session")
#: seconds between two looks at the clocks, and by how many they must have gone ahead to mean a suspension
_TICK: Final = 2.0
_SUSPENDED: Final = 3.0


class Guest(Protocol):
    """A session, as far as its host is concerned."""

    def host_holds(self) -> None:
        """Learn that the host wants no requests, or fewer, for a while."""

    def host_woke(self) -> None:
        """Learn that the process was suspended."""


@frozen
class Hold:
    """A time in which requests are not to be sent: ``until`` in loop time, ``retry_at`` the same in Unix seconds."""

    until: float
    retry_at: float
    #: whether the address is banned (418)
    is_ban: bool = False


NOT_HELD: Final = Hold(0.0, 0.0)


class Host:
    """One host, and the sessions of one event loop that use it."""

    __slots__ = (
        "__weakref__",
        "_guests",
        "_looked",
        "_loop",
        "_timer",
        "_watched",
        "attempts",
        "everything",
        "ordinary",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._guests: WeakSet[Guest] = WeakSet()
        self._watched: WeakSet[Guest] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None
        self._looked = (0.0, 0.0)
        #: the connection attempts of all guests
        self.attempts = AttemptBudget()
        #: until when nothing is to be sent
        self.everything = NOT_HELD
        #: until when only what must not wait is to be sent, for guests that keep a reserve
        self.ordinary = NOT_HELD

    @classmethod
    def of(cls, url: str, loop: asyncio.AbstractEventLoop) -> Host:
        """Return the host of a URL, the same one for every caller on this loop."""
        parts = urlsplit(url)
        # the exchange's doors at several ports are one house; a simulator has one for each port
        port = None if parts.port in (80, 443, 9443) else parts.port
        hosts = _HOSTS.setdefault(loop, {})
        return hosts.setdefault((parts.hostname, port), cls(loop))

    def join(self, guest: Guest, *, watched: bool) -> None:
        """Tell ``guest`` of holds from now on, and of suspensions if it is ``watched``."""
        self._guests.add(guest)
        if watched:
            self._watched.add(guest)
            if self._timer is None:
                self._look_again()

    def leave(self, guest: Guest) -> None:
        """Tell ``guest`` nothing any more."""
        self._guests.discard(guest)
        self._watched.discard(guest)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hold(self, hold: Hold, *, ordinary_only: bool = False) -> None:
        """Have everybody wait; a wait that ends sooner than the one that is on changes nothing."""
        current = self.ordinary if ordinary_only else self.everything
        if hold.until <= current.until:
            return
        if ordinary_only:
            self.ordinary = hold
        else:
            self.everything = hold
        for guest in list(self._guests):
            guest.host_holds()

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
            _log.warning("the process was suspended, or its loop blocked, for %.0f s: connections are checked", missed)
            for guest in list(self._watched):
                guest.host_woke()
        self._timer = None
        if self._watched:
            self._look_again()


# The one thing of this package that outlives a session: limits are counted by address, so sessions must share.
_HOSTS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str | None, int | None], Host]]] = (
    WeakKeyDictionary()
)
