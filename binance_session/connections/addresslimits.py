"""What the process knows of an address of the exchange, as seen by one way out to it.

The exchange counts and bans addresses, not sessions, so the sessions of a process share what they know: how often it
may still be dialled, until when nothing may be sent, until when the rest of the request weight is reserved.

Documents: PROTOCOL.md §1.3 (connection attempts), §8 (429, 418, ``retryAfter``, calendar minutes).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from typing import Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from attrs import frozen

from binance_session.connections.suspension import SuspensionListener, SuspensionWatch

__all__ = ["NOT_HELD", "AddressLimits", "AttemptBudget", "Hold", "LimitsListener"]


class LimitsListener(SuspensionListener, Protocol):
    """What sends requests to an address."""

    def limits_changed(self) -> None:
        """Called when the exchange wants no requests, or fewer, for a while."""


@frozen
class Hold:
    """A time in which requests are not to be sent: ``until`` in loop time, ``retry_at`` the same in Unix seconds."""

    until: float
    retry_at: float
    #: whether the address is banned (418)
    is_ban: bool = False


NOT_HELD: Final = Hold(0.0, 0.0)


class AttemptBudget:
    """How many connections may still be attempted from this address: ``limit`` in any ``window`` seconds.

    Spot allows 300 attempts in 5 minutes per IP (PROTOCOL.md §1.3); futures document no limit, and the same
    limit is kept there. Times are seconds on one monotonic clock of the caller's.
    """

    __slots__ = ("_attempts", "_limit", "_window")

    def __init__(self, limit: int = 300, window: float = 300.0) -> None:
        self._limit = limit
        # Only the last `limit` attempts matter: the oldest of them decides.
        self._attempts: deque[float] = deque(maxlen=limit)
        self._window = window

    def delay(self, now: float) -> float:
        """Return the seconds from ``now`` until an attempt is allowed, 0.0 if it is allowed now."""
        if len(self._attempts) < self._limit:
            return 0.0
        return max(0.0, self._attempts[0] + self._window - now)

    def spend(self, now: float) -> None:
        """Count an attempt that starts at ``now``, whether or not it was allowed."""
        self._attempts.append(now)


class _Counts:
    """What the exchange counts by address: the same for all event loops whose time is the machine's."""

    __slots__ = ("__weakref__", "attempts", "everything", "lock", "ordinary", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.attempts = AttemptBudget()
        self.everything = NOT_HELD
        self.ordinary = NOT_HELD
        self.users: WeakSet[AddressLimits] = WeakSet()


class AddressLimits:
    """The limits of one address, and the sessions of one event loop that use it.

    What is counted by address is shared with the process's other loops; a loop in virtual time has a world of its own.
    """

    __slots__ = ("__weakref__", "_counts", "_listeners", "_loop", "_suspensions")

    def __init__(self, loop: asyncio.AbstractEventLoop, counts: _Counts) -> None:
        self._loop = loop
        self._counts = counts
        counts.users.add(self)
        self._listeners: WeakSet[LimitsListener] = WeakSet()
        self._suspensions = SuspensionWatch(loop)

    @classmethod
    def of(cls, url: str, loop: asyncio.AbstractEventLoop, way_out: str = "") -> AddressLimits:
        """Return the limits of a URL's address, the same for every caller on this loop who has the same way out.

        The exchange counts by the address that it sees, and that is another one for each proxy and local address.
        """
        parts = urlsplit(url)
        # the exchange counts its ports together; a simulator is another one on each port
        address = (parts.hostname, None if parts.port in (80, 443, 9443) else parts.port, way_out)
        known = _LIMITS.setdefault(loop, {})
        limits = known.get(address)
        if limits is None:
            is_real = abs(loop.time() - time.monotonic()) < 1.0
            counts = _COUNTS.setdefault(address, _Counts()) if is_real else _Counts()
            limits = known[address] = cls(loop, counts)
        return limits

    @property
    def everything(self) -> Hold:
        """Until when nothing is to be sent."""
        return self._counts.everything

    @property
    def ordinary(self) -> Hold:
        """Until when only urgent requests are to be sent, by sessions that keep a reserve."""
        return self._counts.ordinary

    def attempt(self, now: float) -> float:
        """Count an attempt to connect and return 0.0, or return the seconds until one is allowed."""
        with self._counts.lock:
            wait = self._counts.attempts.delay(now)
            if wait <= 0:
                self._counts.attempts.spend(now)
            return wait

    def join(self, listener: LimitsListener, *, watched: bool) -> None:
        """Call ``listener`` on each hold from now on, and after suspensions if it is ``watched``."""
        self._listeners.add(listener)
        if watched:
            self._suspensions.join(listener)

    def leave(self, listener: LimitsListener) -> None:
        """Call ``listener`` no longer."""
        self._listeners.discard(listener)
        self._suspensions.leave(listener)

    def hold(self, hold: Hold, *, ordinary_only: bool = False) -> None:
        """Hold requests back in all sessions; a hold that ends sooner than the present one changes nothing."""
        counts = self._counts
        with counts.lock:
            if hold.until <= (counts.ordinary if ordinary_only else counts.everything).until:
                return
            if ordinary_only:
                counts.ordinary = hold
            else:
                counts.everything = hold
            others = [limits for limits in counts.users if limits is not self]
        self._call_listeners()
        for limits in others:
            limits.call_listeners_soon()

    def call_listeners_soon(self) -> None:
        """Call the listeners on their own event loop; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._call_listeners)

    def _call_listeners(self) -> None:
        for listener in list(self._listeners):
            listener.limits_changed()


# What outlives a session, because an address is counted whatever session uses it.
_Address = tuple[str | None, int | None, str]
_LIMITS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Address, AddressLimits]]] = WeakKeyDictionary()
_COUNTS: Final[WeakValueDictionary[_Address, _Counts]] = WeakValueDictionary()
