"""The exchange's time, learned from its answers.

An answer with ``serverTime`` was stamped somewhere between the moment its request left and the moment it
arrived. The middle of the two is taken, so the estimate is wrong by at most half the round trip.
Documents: PROTOCOL.md §3 (the timestamp rule), §10 (``session.*`` answers carry ``serverTime``).
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["ServerClock"]


class ServerClock:
    """Local wall-clock time plus the measured offset.

    ``wall`` is a function that returns Unix seconds.
    """

    __slots__ = ("offset", "round_trip", "wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        #: local Unix time in seconds
        self.wall = wall
        #: server minus local, in seconds; 0.0 until something was measured
        self.offset = 0.0
        #: seconds that the measurement took, twice its largest error; ``None`` until measured
        self.round_trip: float | None = None

    def now_ms(self) -> int:
        """Return the exchange's time in milliseconds, for ``timestamp``."""
        return int((self.wall() + self.offset) * 1000)

    def learn(self, server_time: object, sent: float, received: float) -> None:
        """Take in one ``serverTime`` (ms) with the local Unix times (s) of its request and answer.

        Anything but a plausible integer is ignored: the field is optional everywhere.
        """
        if type(server_time) is not int or server_time <= 0 or received < sent:
            return
        self.round_trip = received - sent
        self.offset = server_time / 1000 - (sent + received) / 2
