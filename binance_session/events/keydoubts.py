"""What is doubtful about the listenKey of a stream socket. Pure: times are arguments, and no loop or clock is read.

A stream socket outlives its key, and is silent then; it is silent too when nothing happens. Only the exchange knows,
and says so once at most (PROTOCOL.md §5.3). What is known comes from requests that renew the key, from events, and from
``listenKeyExpired``. Times are the event loop's, in seconds; those that end in ``ms`` are the exchange's.
"""

from __future__ import annotations

from enum import Flag, auto
from typing import Final, Protocol

from attrs import frozen

__all__ = ["FRESH", "UNTOLD", "Advice", "KeyDoubts", "KeyFacts", "SocketFacts"]

#: Seconds after a listenKey should have lapsed until the exchange is asked, whatever the keepalive policy: otherwise it
#: would never be found out, and if another client keeps the key alive there is no gap. ``listenKeyExpired`` usually
#: comes first.
UNTOLD: Final = 0.5
#: seconds for which a listenKey is believed to be alive after the exchange said so, until it was asked again
FRESH: Final = 10.0
#: ms that a listenKey lives, at least
_HOUR_MS: Final = 3_600_000


@frozen
class KeyFacts:
    """What is known of the session's listenKey."""

    value: str
    #: when it was last known to be alive
    alive_at: float
    #: when it lapses unless it is renewed; 0.0 if it is known to be gone
    lapses_at: float


class SocketFacts(Protocol):
    """What is known of a stream socket."""

    @property
    def key(self) -> str:
        """The listenKey in its address."""
        ...

    @property
    def opened_at(self) -> float:
        """When it was open."""
        ...

    @property
    def expired_at(self) -> float | None:
        """When it said that its listenKey had expired."""
        ...


class Advice(Flag):
    """What to do about a socket and its key."""

    #: open a socket on the current key: there is none, or it is on another key, or on one that has expired
    REPLACE = auto()
    #: the socket is on the current key, which has not lapsed as far as is known
    USE = auto()
    #: let it lead the feed: its key was alive when it was opened, or a moment before
    TRUST = auto()
    #: ask the exchange whether the key is alive
    ASK = auto()
    #: tell that there may be a gap: the key should have lapsed, and the exchange did not say so
    SUSPECT = auto()


class KeyDoubts:
    """Remembers which key the sockets use, when it was last known to be alive, and whether it may have lapsed."""

    __slots__ = ("_has_ended", "_key", "_lapsed_ms", "_suspected_alive_at", "alive_at")

    def __init__(self) -> None:
        #: when the key of the last socket was last known to be alive
        self.alive_at = 0.0
        self._key = ""
        # whether the exchange said that it ended
        self._has_ended = False
        # when it should have lapsed, while that is all that is known
        self._lapsed_ms: int | None = None
        # the last sign of life of a key that was supposed to have lapsed: told once for each
        self._suspected_alive_at = -1.0

    @staticmethod
    def is_stale(socket: SocketFacts, key: KeyFacts) -> bool:
        """Tell whether the socket is on another key than the current one, or on one that was renewed after it ended."""
        return socket.key != key.value or (socket.expired_at is not None and key.alive_at > socket.expired_at)

    def advise(self, socket: SocketFacts | None, key: KeyFacts, now: float) -> Advice:
        """Return what to do now about the socket that leads the feed, if there is one."""
        has_lapsed = key.lapses_at <= now
        if socket is None or self.is_stale(socket, key):
            return Advice.ASK if has_lapsed else Advice.REPLACE
        advice = Advice(0)
        if not has_lapsed:
            advice = Advice.USE
            if key.alive_at >= socket.opened_at - FRESH:
                advice |= Advice.TRUST
            if key.alive_at < socket.opened_at:
                # A key may end before its socket is open, and only sockets that are open are told.
                advice |= Advice.ASK
        elif socket.expired_at is None:
            if self._suspected_alive_at != key.alive_at:
                advice = Advice.SUSPECT
            elif now >= self.untold_at(key):
                advice = Advice.ASK
        return advice

    @staticmethod
    def untold_at(key: KeyFacts) -> float:
        """Return when the exchange is asked about a key that should have lapsed, if it has said nothing."""
        return key.lapses_at + UNTOLD

    def use(self, key: KeyFacts) -> float | None:
        """Take ``key`` for the next socket.

        Returns since when (loop time) events may be missing, if the key before was another one that may have been gone
        for a while; ``None`` if nothing is missing, or that was told. However many sockets were lost meanwhile: pings
        show that a connection works, not that its key does.
        """
        if key.value == self._key and not self._has_ended:
            return None
        since = self.alive_at if self._key and not self._has_ended else None
        self._key, self._has_ended, self._lapsed_ms = key.value, False, None
        self.alive_at = key.alive_at
        return since

    def renewed(self, key: KeyFacts, now: float) -> bool:
        """Take in when ``key`` was last known to be alive; return whether that disproves that it has lapsed."""
        if key.value != self._key:
            return False
        self.alive_at = key.alive_at
        return self._lapsed_ms is not None and key.lapses_at > now  # a key that has lapsed does not come back

    def is_disproved_by(self, key: str, event_ms: int) -> bool:
        """Tell whether an event on a socket of ``key`` disproves that it has lapsed."""
        return self._lapsed_ms is not None and key == self._key and event_ms > self._lapsed_ms

    def has_not_lapsed(self) -> None:
        """Suppose no longer that the key has lapsed."""
        self._lapsed_ms = None

    def expired(self, key: str, event_ms: int, alive_ms: int, now_ms: int) -> int | None:
        """Take in that the exchange said, at ``event_ms``, that ``key`` ended.

        Returns since when (ms) events are missing, ``None`` if that was told already. ``alive_ms`` is ``alive_at`` by
        the exchange's clock; an absurd time of the event is not believed.
        """
        if key != self._key or self._has_ended:
            return None
        self._has_ended = True
        self._lapsed_ms = None
        return event_ms if alive_ms - _HOUR_MS <= event_ms <= now_ms else alive_ms

    def suspect(self, key: KeyFacts, proven_at: float, now_ms: int) -> tuple[float, str]:
        """Suppose that ``key`` has lapsed; return since when (loop time) events may be missing, and why.

        ``proven_at`` is the last sign of life of its socket.
        """
        self._lapsed_ms = now_ms
        self._suspected_alive_at = key.alive_at
        if key.lapses_at <= 0.0:
            return min(self.alive_at, proven_at), "the listenKey was found to be gone"
        return min(self.alive_at, proven_at), "the listenKey should have lapsed: no ping got through"
