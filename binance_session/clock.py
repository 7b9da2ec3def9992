"""The exchange's time, learned from its answers.

An answer with ``serverTime`` was stamped somewhere between the moment its request left and the moment it arrived, so
it bounds the offset from both sides. Between the bounds the middle is taken, but never more than half a second above
the lower one: a timestamp that is late has the whole ``recvWindow``, one that is a second early is refused.

A server that is not the exchange could make the session sign requests for any time, and send one that is stamped for
next month when that month comes. So a time is accepted within a day of the local clock and no further, and a jump
within that day only when the local clock says the same or a second answer, to a later request, agrees with the first.
Documents: PROTOCOL.md §3 (the timestamp rule), §10 (``session.*`` answers carry ``serverTime``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from binance_session.times import unix_seconds

__all__ = ["ServerClock"]

#: seconds that an uncertain estimate may be ahead of the exchange, which refuses 1.0
_MOST_AHEAD: Final = 0.5
#: seconds: a time this far from the local clock is never accepted, one this far from the known time only when a second
#: answer confirms it
_FARTHEST: Final = 86_400.0
_JUMP: Final = 60.0
#: seconds that the bounds of two answers may be apart for them to say the same: the clocks are read at other moments
_AGREED: Final = 1.0
#: seconds that an event loop's time may be off the machine's and still be the same
_ELSEWHERE: Final = 1.0


class ServerClock:
    """The exchange's time.

    Until an answer gives it, the local clock is used. From then on time is counted on the monotonic clock, so that a
    step of the local clock (NTP, set by hand) changes nothing.
    """

    __slots__ = ("_doubtful", "_farthest", "_lead", "_said", "_uncertainty", "_warn", "monotonic", "wall")

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        warn: Callable[[str], object] | None = None,
    ) -> None:
        """Read the local clocks ``wall`` and ``monotonic``; ``warn`` is called with the text of each warning."""
        #: local Unix time in seconds
        self.wall = wall
        #: the event loop's time in seconds, once there is one
        self.monotonic = monotonic
        # the exchange's time minus monotonic time
        self._lead: float | None = None
        # Seconds between the bounds of the measurement in use. Until there is one, the local clock counts
        # like an answer that took a second.
        self._uncertainty = 1.0
        self._warn = warn
        self._farthest = _FARTHEST
        # whether the warning that the clocks are too far apart was given since they last were not
        self._said = False
        # the bounds of a lead that was not accepted yet, and when its answer came
        self._doubtful: tuple[float, float, float] | None = None

    def run_on(self, loop_time: Callable[[], float]) -> None:
        """Use an event loop's time as the monotonic clock.

        If that is not the machine's time, as in a simulation without a ``wall_clock``, the machine's clock says
        nothing about the time there: the local clock starts at the machine's time and then follows the event loop's,
        and the exchange's time is accepted however far away it is.
        """
        if self.monotonic == loop_time:
            return
        self.monotonic = loop_time
        if self.wall is time.time and abs(loop_time() - time.monotonic()) > _ELSEWHERE:
            start = time.time() - loop_time()
            self.wall = lambda: start + loop_time()
            self._farthest = math.inf

    @property
    def offset(self) -> float:
        """The exchange's time minus the local clock's, in seconds; 0.0 until an answer gave it."""
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

    def learn(self, server_time: object, sent: float, received: float) -> bool:
        """Take in one ``serverTime`` (ms or µs) with the monotonic times (s) of its request and answer.

        Anything but a plausible integer is ignored: the field is optional everywhere. A slow answer that agrees with
        the known time changes nothing. Returns whether a jump was seen for the first time, which another answer must
        confirm.
        """
        told = unix_seconds(server_time)
        if told is None or received < sent:
            return False
        local = self.wall() - self.monotonic()
        lead = local if self._lead is None else self._lead
        lowest, highest = told - received, told - sent
        off = _apart(lowest, highest, lead)
        if self._lead is None or off > _AGREED:
            far = _apart(lowest, highest, local)
            if far > self._farthest:
                self._too_far(far)
                return False
            if self._lead is not None and off > _JUMP and far > _JUMP and not self._is_confirmed(lowest, highest, sent):
                is_first = self._doubtful is None
                self._doubtful = (lowest, highest, received)
                if is_first:
                    self._say(f"the exchange's clock seems to have jumped by {off:.0f} s: it is asked again")
                return is_first
            if self._doubtful is not None and off > _JUMP:
                self._say(f"the exchange's clock has jumped by {off:.0f} s, or this machine slept: it is followed")
        self._doubtful = None
        self._said = False
        uncertainty = received - sent
        if uncertainty > self._uncertainty and lowest <= lead <= highest:
            return False
        self._uncertainty = uncertainty
        self._lead = lowest + min(uncertainty / 2, _MOST_AHEAD)
        return False

    def _is_confirmed(self, lowest: float, highest: float, sent: float) -> bool:
        """Return whether the last answer that was not accepted said the same and came before this one's request."""
        if self._doubtful is None:
            return False
        low, high, received = self._doubtful
        return sent >= received and lowest <= high + _AGREED and low <= highest + _AGREED

    def _too_far(self, far: float) -> None:
        if not self._said:
            self._said = True
            self._say(
                f"the exchange's clock and this machine's are {far / 86_400:.1f} days apart: the exchange's"
                " is ignored, and signed requests carry the time that was known before; check the clock of this machine"
            )

    def _say(self, what: str) -> None:
        if self._warn is not None:
            self._warn(what)


def _apart(lowest: float, highest: float, lead: float) -> float:
    """Return the seconds between a lead and the bounds that an answer sets; 0.0 within them."""
    return max(0.0, lowest - lead, lead - highest)
