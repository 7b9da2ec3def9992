"""When to connect again: the policy that spaces attempts to connect. It is given the count and returns a delay."""

from __future__ import annotations

from collections.abc import Callable
from random import random as _random
from typing import Final, Protocol, runtime_checkable

from attrs import field, frozen

from binance_session.errors import ConfigurationError, LogonRejected

__all__ = ["ExponentialBackoff", "ReconnectPolicy", "after_refused_logon", "bounded_retry_after"]

#: seconds to wait after the first refused logon, the second, ...; after one more no further logon is tried
_AFTER_REFUSALS: Final = (1.5, 6.0, 24.0, 90.0)
#: seconds: the longest wait that a server may ask for, and the longest ban that is documented
_LONGEST_RETRY_AFTER: Final = 300.0
_LONGEST_BAN: Final = 3 * 86_400.0


@runtime_checkable
class ReconnectPolicy(Protocol):
    """Decides when the next attempt to connect starts; any object with this method can be used."""

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return the seconds to wait before ``attempt``, ``None`` to give up.

        ``attempt`` counts from 1 after the loss of a healthy connection; ``cause`` is what ended the
        connection or the last attempt, ``None`` if nothing did. ``refusals`` of a :class:`LogonRejected` is how many
        logons were refused in a row; the session waits at least 1 s before the next one, whatever is returned.
        """
        ...


def after_refused_logon(refusals: int, random: Callable[[], float] = _random) -> float | None:
    """Return the seconds to wait after the last of ``refusals`` refused logons in a row, ``None`` to give up.

    A valid key may be refused for a while (its IP address changes, maintenance), and an invalid one must not be tried
    for ever: five times in some two minutes, at growing intervals.
    """
    if refusals > len(_AFTER_REFUSALS):
        return None
    return _AFTER_REFUSALS[max(refusals, 1) - 1] * (0.9 + 0.1 * random())


def bounded_retry_after(seconds: float, *, is_ban: bool) -> float:
    """Return how much of the wait that a server asked for (``Retry-After``) is respected, in seconds.

    At most 300 s, because any proxy on the way may ask for any time; for a ban (418) at most three days (PROTOCOL.md
    §8).
    """
    longest = _LONGEST_BAN if is_ban else _LONGEST_RETRY_AFTER
    return min(seconds, longest) if seconds > 0 else 0.0  # false for NaN


def _number(name: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number, not {value!r}")
    if not least <= value < 1e15:
        raise ConfigurationError(f"{name} must be finite and at least {least:g}, not {value!r}")


@frozen
class ExponentialBackoff:
    """Wait a random time below a ceiling that grows with each attempt ("full jitter").

    The first attempt after a healthy connection is immediate. Attempt n waits between 0 and
    ``initial * factor**(n-2)`` seconds, and never more than ``maximum`` seconds. It gives up in one case: a logon that
    is refused is tried again after 1.5, 6, 24 and 90 seconds (up to a tenth sooner), and then no more.

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
        if isinstance(cause, LogonRejected):
            return after_refused_logon(cause.refusals, self.random)
        if attempt <= 1:
            return 0.0
        try:
            ceiling = min(self.maximum, self.initial * float(self.factor) ** (attempt - 2))
        except OverflowError:
            ceiling = self.maximum
        return self.random() * ceiling
