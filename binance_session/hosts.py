"""What the sessions of one event loop share about one host: it counts and bans addresses, not sessions.

Documents: PROTOCOL.md §1.3 (connection attempts), §8 (429, 418, ``retryAfter``).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from binance_session.reconnect import AttemptBudget

__all__ = ["Guest", "Host"]


class Guest(Protocol):
    """A session, as far as its host is concerned."""

    def host_holds(self) -> None:
        """Learn that the host will not listen until :attr:`Host.held_until`."""


class Host:
    """One host: how often it may still be dialled, and until when it will not listen."""

    __slots__ = ("__weakref__", "attempts", "guests", "held_until", "is_ban", "retry_at")

    def __init__(self) -> None:
        #: the connection attempts of all guests
        self.attempts = AttemptBudget()
        #: the sessions that use it
        self.guests: WeakSet[Guest] = WeakSet()
        #: loop time before which nothing is to be sent
        self.held_until = 0.0
        #: the same in Unix seconds, as the exchange said it
        self.retry_at = 0.0
        #: whether it is a ban (418)
        self.is_ban = False

    @classmethod
    def of(cls, url: str, loop: asyncio.AbstractEventLoop) -> Host:
        """Return the host of a URL, the same one for every caller on this loop."""
        hosts = _HOSTS.setdefault(loop, {})
        return hosts.setdefault(urlsplit(url).netloc.rpartition("@")[2], cls())

    def hold(self, until: float, retry_at: float, *, is_ban: bool) -> None:
        """Send nothing before ``until`` (loop time), which is ``retry_at`` (Unix seconds).

        A wait that ends sooner than the one that is on changes nothing.
        """
        if until > self.held_until:
            self.held_until = until
            self.retry_at = retry_at
            self.is_ban = is_ban
            for guest in list(self.guests):
                guest.host_holds()


# The one thing of this package that outlives a session: limits are counted by address, so sessions must share.
_HOSTS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Host]]] = WeakKeyDictionary()
