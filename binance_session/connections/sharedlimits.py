"""What the sessions of a process share about one host, and one way out to it.

The host counts and bans addresses, not sessions, so they must know of each other: how often it may still be dialled,
until when it does not listen, until when the rest of the request weight is kept for what must not wait. And they
wake up together: a process that was suspended learns here that its connections may be dead.

Documents: PROTOCOL.md §1.3 (connection attempts), §8 (429, 418, ``retryAfter``, calendar minutes).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

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


class _Counts:
    """What a host counts by address: the same for all event loops whose time is the machine's."""

    __slots__ = ("__weakref__", "attempts", "everything", "hosts", "lock", "ordinary")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.attempts = AttemptBudget()
        self.everything = NOT_HELD
        self.ordinary = NOT_HELD
        self.hosts: WeakSet[Host] = WeakSet()


class Host:
    """One host, and the sessions of one event loop that use it.

    What is counted by address is shared with the process's other loops; a loop in virtual time has a world of its own.
    """

    __slots__ = ("__weakref__", "_counts", "_guests", "_looked", "_loop", "_timer", "_watched")

    def __init__(self, loop: asyncio.AbstractEventLoop, counts: _Counts) -> None:
        self._loop = loop
        self._counts = counts
        counts.hosts.add(self)
        self._guests: WeakSet[Guest] = WeakSet()
        self._watched: WeakSet[Guest] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None
        self._looked = (0.0, 0.0)

    @classmethod
    def of(cls, url: str, loop: asyncio.AbstractEventLoop, way_out: str = "") -> Host:
        """Return the host of a URL, the same one for every caller on this loop who has the same way out.

        The exchange counts by the address that it sees, and that is another one for each proxy and local address.
        """
        parts = urlsplit(url)
        # the exchange's doors at several ports are one house; a simulator has one for each port
        address = (parts.hostname, None if parts.port in (80, 443, 9443) else parts.port, way_out)
        hosts = _HOSTS.setdefault(loop, {})
        host = hosts.get(address)
        if host is None:
            is_real = abs(loop.time() - time.monotonic()) < 1.0
            counts = _COUNTS.setdefault(address, _Counts()) if is_real else _Counts()
            host = hosts[address] = cls(loop, counts)
        return host

    @property
    def everything(self) -> Hold:
        """Until when nothing is to be sent."""
        return self._counts.everything

    @property
    def ordinary(self) -> Hold:
        """Until when only what must not wait is to be sent, by guests that keep a reserve."""
        return self._counts.ordinary

    def attempt(self, now: float) -> float:
        """Count an attempt to connect and return 0.0, or return the seconds until one is allowed."""
        with self._counts.lock:
            wait = self._counts.attempts.delay(now)
            if wait <= 0:
                self._counts.attempts.spend(now)
            return wait

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
        counts = self._counts
        with counts.lock:
            if hold.until <= (counts.ordinary if ordinary_only else counts.everything).until:
                return
            if ordinary_only:
                counts.ordinary = hold
            else:
                counts.everything = hold
            others = [host for host in counts.hosts if host is not self]
        self._tell_guests()
        for host in others:
            host.tell_guests_soon()

    def tell_guests_soon(self) -> None:
        """Tell the guests of a hold, on their own event loop; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._tell_guests)

    def _tell_guests(self) -> None:
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
            for guest in list(self._watched):
                guest.host_woke()
        self._timer = None
        if self._watched:
            self._look_again()
        if missed > _SUSPENDED:  # last, for somebody's log handler may raise
            _log.warning("the process was suspended, or its loop blocked, for %.0f s: connections are checked", missed)


# What outlives a session, because an address is counted whoever uses it.
_Address = tuple[str | None, int | None, str]
_HOSTS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Address, Host]]] = WeakKeyDictionary()
_COUNTS: Final[WeakValueDictionary[_Address, _Counts]] = WeakValueDictionary()
