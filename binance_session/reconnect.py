"""When to dial: the policy that spaces attempts to connect, and the budget that caps them.

Both are told the time or the count and answer with a delay; neither reads a clock. Whether an error can
heal at all (a bad certificate, a refused logon) is not asked here: whoever drives the policy knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import random as _random
from typing import Protocol, runtime_checkable

from attrs import field, frozen

from binance_session.errors import ConfigurationError

__all__ = ["AttemptBudget", "ExponentialBackoff", "ReconnectPolicy"]


@runtime_checkable
class ReconnectPolicy(Protocol):
    """Decides when the next attempt to connect starts; any object with this method will do."""

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return the seconds to wait before ``attempt``, ``None`` to give up.

        ``attempt`` counts from 1 after the loss of a healthy connection; ``cause`` is what ended the
        connection or the last attempt, ``None`` if nothing did.
        """
        ...


def _number(name: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number, not {value!r}")
    if not least <= value < 1e15:
        raise ConfigurationError(f"{name} must be finite and at least {least:g}, not {value!r}")


@frozen
class ExponentialBackoff:
    """Wait a random time below a ceiling that grows with each attempt ("full jitter"); never give up.

    The first attempt after a healthy connection is immediate. Attempt n waits between 0 and
    ``initial * factor**(n-2)`` seconds, and never more than ``maximum`` seconds.

    ``random`` returns floats in [0, 1) and can be seeded. Raises :class:`ConfigurationError` for a negative
    or non-finite time, a ``maximum`` below ``initial``, and a ``factor`` below 1.
    """

    initial: float = 0.1
    maximum: float = 30.0
    factor: float = 2.0
    random: Callable[[], float] = field(default=_random, repr=False)

    def __attrs_post_init__(self) -> None:
        _number("initial", self.initial, 0.0)
        _number("maximum", self.maximum, 0.0)
        _number("factor", self.factor, 1.0)
        if self.maximum < self.initial:
            raise ConfigurationError(f"maximum ({self.maximum!r}) must not be below initial ({self.initial!r})")
        if not callable(self.random):
            raise ConfigurationError("random must be a function that returns a float in [0, 1)")

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return the seconds to wait before ``attempt``; see the class for the rule."""
        if attempt <= 1:
            return 0.0
        try:
            ceiling = min(self.maximum, self.initial * float(self.factor) ** (attempt - 2))
        except OverflowError:
            ceiling = self.maximum
        return self.random() * ceiling


class AttemptBudget:
    """How many connections may still be attempted from this address: ``limit`` in any ``window`` seconds.

    Spot allows 300 attempts in 5 minutes per IP (PROTOCOL.md §1.3); futures document no limit, and the same
    care does no harm there. Times are seconds on one monotonic clock of the caller's. Raises
    :class:`ConfigurationError` unless both numbers are positive.
    """

    __slots__ = ("_attempts", "_limit", "_window")

    def __init__(self, limit: int = 300, window: float = 300.0) -> None:
        if type(limit) is not int or limit < 1:
            raise ConfigurationError(f"limit must be a whole number of attempts, at least 1, not {limit!r}")
        _number("window", window, 0.0)
        if window <= 0:
            raise ConfigurationError("window must be more than 0 seconds")
        self._limit = limit
        # Only the last `limit` attempts matter: the oldest of them decides.
        self._attempts: deque[float] = deque(maxlen=limit)
        self._window = float(window)

    def __repr__(self) -> str:
        return f"AttemptBudget(limit={self._limit}, window={self._window!r})"

    def delay(self, now: float) -> float:
        """Return the seconds from ``now`` until an attempt is allowed, 0.0 if it is allowed now."""
        if len(self._attempts) < self._limit:
            return 0.0
        return max(0.0, self._attempts[0] + self._window - now)

    def spend(self, now: float) -> None:
        """Count an attempt that starts at ``now``, whether or not it was allowed."""
        self._attempts.append(now)
