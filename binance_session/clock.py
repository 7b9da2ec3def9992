"""The exchange's time, learned from its answers.

An answer with ``serverTime`` was stamped somewhere between the moment its request left and the moment it arrived, so
it bounds the offset from both sides. Between the bounds the middle is taken, but never more than half a second above
the lower one: a timestamp that is late has the whole ``recvWindow``, one that is a second early is refused.
Documents: PROTOCOL.md §3 (the timestamp rule), §10 (``session.*`` answers carry ``serverTime``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["ServerClock"]

#: seconds that an uncertain estimate may be ahead of the exchange, which refuses 1.0
_MOST_AHEAD: Final = 0.5


class ServerClock:
    """Local wall-clock time plus the measured offset.

    ``wall`` is a function that returns Unix seconds.
    """

    __slots__ = ("_uncertainty", "offset", "wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        #: local Unix time in seconds
        self.wall = wall
        #: server minus local, in seconds; 0.0 until something was measured
        self.offset = 0.0
        # Seconds between the bounds of the measurement in use. Until there is one, the local clock is believed
        # as much as an answer that took a second.
        self._uncertainty = 1.0

    def now_ms(self) -> int:
        """Return the exchange's time in milliseconds, for ``timestamp``."""
        return int((self.wall() + self.offset) * 1000)

    def learn(self, server_time: object, sent: float, received: float) -> None:
        """Take in one ``serverTime`` (ms) with the local Unix times (s) of its request and answer.

        Anything but a plausible integer is ignored: the field is optional everywhere. A slow answer that contradicts
        nothing teaches nothing.
        """
        if type(server_time) is not int or server_time <= 0 or received < sent:
            return
        lowest, highest = server_time / 1000 - received, server_time / 1000 - sent
        uncertainty = received - sent
        if uncertainty > self._uncertainty and lowest <= self.offset <= highest:
            return
        self._uncertainty = uncertainty
        self.offset = lowest + min(uncertainty / 2, _MOST_AHEAD)
