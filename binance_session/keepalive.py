"""When to send ``userDataStream.ping``: policies, and what they are told.

A listenKey lives 60 minutes from its last ping (PROTOCOL.md §5.1). How often to ping is contradictory in
the documents and disproved in the field (§5.2): "about every 60 minutes" leaves no margin, and a period of
30 minutes has lost keys. Hence a policy that can be swapped. It gets the situation in plain numbers and
answers with a delay; it reads no clock, starts no task and sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import random as _random
from typing import Final, Protocol, runtime_checkable

from attrs import Attribute, field, frozen

from binance_session.errors import ConfigurationError

__all__ = [
    "AdaptiveKeepalive",
    "FixedInterval",
    "KeepalivePolicy",
    "KeepaliveStatus",
    "NoKeepalive",
]

#: The life of a listenKey in seconds, where nothing better is known.
_LIFETIME: Final = 3600.0
#: The part of a key's life after which it is pinged: 15 to 25 minutes of the hour.
_EARLIEST: Final = 1 / 4
_LATEST: Final = 5 / 12
#: The longest wait after a failure, in seconds.
_LONGEST_RETRY: Final = 60.0
#: A retry waits at most this part of the life that is left.
_RETRY_PART: Final = 1 / 60


@frozen
class KeepaliveStatus:
    """What a keepalive policy gets: the life of one listenKey so far.

    All times are seconds on one monotonic clock of the caller's; ``None`` means "not known" or "never".

    ::

        now                   the time of asking, right after the answer or the failure that led to it
        valid_until           when the key lapses unless it is pinged
        last_success          when the key was last started or pinged with success
        consecutive_failures  failed pings since then
        last_error            the exchange's error code of the last failure; 0: no answer came; None: after a success
        round_trip            how long the last successful ping took, in seconds
    """

    now: float
    valid_until: float | None = None
    last_success: float | None = None
    consecutive_failures: int = 0
    last_error: int | None = None
    round_trip: float | None = None


@runtime_checkable
class KeepalivePolicy(Protocol):
    """Decides when the next ping is sent; any object with this method will do."""

    def next_delay(self, status: KeepaliveStatus) -> float | None:
        """Return the seconds from ``status.now`` until the next ping, ``None`` for no more pings.

        Called after each start, success and failure. ``None`` holds until the listenKey changes.
        """
        ...


def _positive(instance: object, attribute: Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{attribute.name} must be a number of seconds, not {value!r}")
    if not 0 < value < 1e15:
        raise ConfigurationError(f"{attribute.name} must be more than 0 seconds and finite, not {value!r}")


def _period(instance: object, attribute: Attribute[float], value: float) -> None:
    _positive(instance, attribute, value)
    if value >= _LIFETIME:  # wherever it is used: every venue's listenKeys live an hour (PROTOCOL.md §5.1)
        raise ConfigurationError(
            f"{attribute.name} must be less than the {_LIFETIME:g} seconds that a listenKey lives, not {value!r}: it"
            " would lapse before each ping"
        )


def _callable(instance: object, attribute: object, value: object) -> None:
    if not callable(value):
        raise ConfigurationError("random must be a function that returns a float in [0, 1)")


@frozen
class FixedInterval:
    """Ping every ``seconds``, whether the last ping succeeded or failed.

    Raises :class:`ConfigurationError` unless ``seconds`` is positive and less than the hour that a listenKey lives. A
    session sends no more than one ping a second, and refuses a period that a shorter life of its venue's keys would
    not allow.
    """

    seconds: float = field(validator=_period)

    def next_delay(self, status: KeepaliveStatus) -> float | None:
        """Return ``seconds``."""
        return float(self.seconds)


@frozen
class NoKeepalive:
    """Never ping: something else keeps the key alive, or nobody minds when it lapses.

    While a user data stream is open, a key that should have lapsed is asked for (``userDataStream.start``), an hour
    after it was last known to live: a stream whose key is gone is silent, and nobody would find out.
    """

    def next_delay(self, status: KeepaliveStatus) -> float | None:
        """Return ``None``."""
        return None


def _retry_bound(instance: object, attribute: Attribute[float], value: float) -> None:
    _positive(instance, attribute, value)
    if value > _LONGEST_RETRY:
        raise ConfigurationError(f"min_interval must not exceed {_LONGEST_RETRY:.0f} seconds, not {value!r}")


@frozen
class AdaptiveKeepalive:
    """Ping well inside the key's life, and after a failure ever more urgently as its end nears.

    *After a success* the next ping comes when a quarter to five twelfths of the key's life are over, 15 to
    25 minutes of the hour. The exact moment is random: sessions started together do not ping together.

    *After a failure* it comes back within ``min_interval`` seconds, then waits twice as long each time, but
    at most a sixtieth of the life that is left: half a minute when half an hour is left, one second in the
    last minute. Once the key should have lapsed, at most one minute.

    *Never more often* than once in ``min_interval`` seconds (default 1), counted from the end of one ping to
    the start of the next, however urgent.

    What follows, for pings that time out after 10 s: a network that works again 30 s before the key lapses
    still saves it, and so do 60 good seconds at any time after the first ping was due.

    ``random`` returns floats in [0, 1) and can be seeded. Raises :class:`ConfigurationError` unless
    ``min_interval`` is more than 0 and at most 60 seconds.
    """

    min_interval: float = field(default=1.0, validator=_retry_bound)
    random: Callable[[], float] = field(default=_random, validator=_callable, repr=False)

    def next_delay(self, status: KeepaliveStatus) -> float | None:
        """Return the seconds until the next ping: never ``None``, and at most 25 minutes."""
        after = self._after_failure if status.consecutive_failures > 0 else self._after_success
        delay = after(status)
        if not math.isfinite(delay):
            return self.min_interval
        return min(_LATEST * _LIFETIME, max(0.0, delay))

    def _after_success(self, status: KeepaliveStatus) -> float:
        part = _EARLIEST + (_LATEST - _EARLIEST) * self.random()
        if status.last_success is not None:
            # Counted from the success, not from now: asking again and again must not put the ping off.
            life = _LIFETIME if status.valid_until is None else status.valid_until - status.last_success
            return max(self.min_interval, part * min(life, _LIFETIME)) - (status.now - status.last_success)
        if status.valid_until is not None:
            return status.valid_until - status.now - (1 - part) * _LIFETIME
        return self.min_interval  # nothing is known: a ping will tell

    def _after_failure(self, status: KeepaliveStatus) -> float:
        longest = _LONGEST_RETRY
        remaining = _remaining(status)
        if remaining is not None and remaining > 0:
            longest = min(longest, remaining * _RETRY_PART)
        doubled = self.min_interval * 2.0 ** min(status.consecutive_failures - 1, 10)
        # Half to all of it: whatever broke these pings broke those of other sessions at the same moment.
        return max(self.min_interval, min(longest, doubled) * (0.5 + 0.5 * self.random()))


def _remaining(status: KeepaliveStatus) -> float | None:
    if status.valid_until is not None:
        return status.valid_until - status.now
    if status.last_success is not None:
        return status.last_success + _LIFETIME - status.now
    return None
