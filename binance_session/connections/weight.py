"""How much of a minute's request weight is used, where the answers do not tell: counted as requests leave.

Others may use the same address, so the exchange is asked now and then. Pure: the time is an argument.
Documents: PROTOCOL.md §8 (calendar minutes, the limits), §2 (``returnRateLimits``).
"""

from __future__ import annotations

from typing import Final

__all__ = ["WeightCount"]

#: the smallest limit for a minute that is documented, for as long as none was told
_DOCUMENTED_LIMIT: Final = 2400
#: the share of the limit that may be used between two questions
_UNASKED: Final = 0.05


class WeightCount:
    """What was sent in this minute, and what the exchange said of it. Times are the exchange's, in seconds."""

    __slots__ = ("_minute", "_sent", "_unasked", "limit", "used")

    def __init__(self) -> None:
        self._minute = -1.0
        self._sent = 0
        self._unasked = 0.0
        #: the weight that a minute has, and what of it is used by all that is known
        self.limit = _DOCUMENTED_LIMIT
        self.used = 0

    def sent(self, weight: int, now: float) -> None:
        """Count a request."""
        if (minute := now // 60) != self._minute:
            self._minute, self.used, self._sent = minute, 0, 0
            self._unasked = self.limit  # at once: others may have been at it
        self.used += weight
        self._sent += weight
        self._unasked += weight

    @property
    def is_due(self) -> bool:
        """Whether the exchange should be asked again."""
        return self._unasked >= self.limit * _UNASKED

    def asked(self) -> tuple[float, int]:
        """Called when the exchange is asked; returns what :meth:`told` needs of this moment."""
        self._unasked = 0.0
        return self._minute, self._sent

    def told(self, count: int, limit: int, asked: tuple[float, int], now: float) -> None:
        """Take in the exchange's count, which holds what was sent before it was asked and nothing that came after.

        An answer from another minute says nothing of this one.
        """
        self.limit = limit
        minute, sent_before = asked
        if now // 60 == minute == self._minute:
            self.used = count + self._sent - sent_before
