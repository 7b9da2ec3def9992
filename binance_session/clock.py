"""The exchange's time, learned from its answers.

An answer with ``serverTime`` was stamped somewhere between the moment its request left and the moment it arrived, so
it bounds the offset from both sides. Between the bounds the middle is taken, but never more than half a second above
the lower one: a timestamp that is late has the whole ``recvWindow``, one that is a second early is refused.
Documents: PROTOCOL.md §3 (the timestamp rule), §10 (``session.*`` answers carry ``serverTime``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["ServerClock"]

#: seconds that an uncertain estimate may be ahead of the exchange, which refuses 1.0
_MOST_AHEAD: Final = 0.5
#: ms; anything above is no point in time that we will see
_NO_TIME: Final = 10**14


class ServerClock:
    """The exchange's time.

    Until an answer told it, the local clock is believed. From then on time is counted on the monotonic clock, so that a
    step of the local clock (NTP, somebody's hand) moves nothing.
    """

    __slots__ = ("_lead", "_uncertainty", "monotonic", "wall")

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        #: local Unix time in seconds
        self.wall = wall
        #: the event loop's time in seconds, once there is one
        self.monotonic = monotonic
        # the exchange's time minus monotonic time
        self._lead: float | None = None
        # Seconds between the bounds of the measurement in use. Until there is one, the local clock is believed
        # as much as an answer that took a second.
        self._uncertainty = 1.0

    @property
    def offset(self) -> float:
        """The exchange's time minus the local clock's, in seconds; 0.0 until an answer told."""
        return 0.0 if self._lead is None else self.monotonic() + self._lead - self.wall()

    def now(self) -> float:
        """Return the exchange's time in Unix seconds."""
        return self.wall() if self._lead is None else self.monotonic() + self._lead

    def now_ms(self) -> int:
        """Return the exchange's time in milliseconds, for ``timestamp``."""
        return int(self.now() * 1000)

    def ms_at(self, moment: float) -> int:
        """Return a monotonic time (s) as milliseconds of the exchange's clock."""
        return int((self.now() - (self.monotonic() - moment)) * 1000)

    def learn(self, server_time: object, sent: float, received: float) -> None:
        """Take in one ``serverTime`` (ms) with the monotonic times (s) of its request and answer.

        Anything but a plausible integer is ignored: the field is optional everywhere. A slow answer that contradicts
        nothing teaches nothing.
        """
        if type(server_time) is not int or not 0 < server_time < _NO_TIME or received < sent:
            return
        lead = self.wall() - self.monotonic() if self._lead is None else self._lead
        lowest, highest = server_time / 1000 - received, server_time / 1000 - sent
        uncertainty = received - sent
        if uncertainty > self._uncertainty and lowest <= lead <= highest:
            return
        self._uncertainty = uncertainty
        self._lead = lowest + min(uncertainty / 2, _MOST_AHEAD)
