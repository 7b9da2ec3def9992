"""*Pure.* How long requests take: the moments of one, and the distribution of many in fixed buckets."""

from __future__ import annotations

from array import array
from typing import Final

from attrs import define, frozen

__all__ = ["Histogram", "Latency", "Phases", "Timing"]

#: Buckets for each doubling of the time: a bucket is an eighth of its lower bound wide, so that a percentile is at most
#: that much too high.
_STEPS: Final = 8
_STEP_BITS: Final = 3
#: doublings of the first bucket (1.024 µs); the last one begins at 73 minutes
_DOUBLINGS: Final = 32
_SHIFT: Final = 10
_BUCKETS: Final = _STEPS * (_DOUBLINGS + 1)


@frozen
class Timing:
    """When a request went through its stations, in ns of ``time.perf_counter_ns()``.

    ``queued``
        When it was given to a connection. One that waited for the session to be READY waited before that.
    ``written``
        When it had been written to the socket.
    ``received``
        When its answer had been read and decoded.
    ``ended``
        When its future was about to end, behind the hooks that see the answer.
    """

    queued: int
    written: int
    received: int
    ended: int


@frozen
class Latency:
    """What ``session.latency()`` returns for each method: from ``queued`` to ``received``, in seconds.

    The percentiles are those of a bucket's upper end: up to an eighth too high, never too low.
    """

    count: int
    p50: float
    p99: float
    p999: float
    max: float


@define
class Phases:
    """How long it took to make a connection, in seconds; ``None`` for what there was not, or not yet.

    ``name`` (the look-up), ``tcp``, ``tls``, ``upgrade`` (the WebSocket handshake), ``logon``. Through a proxy ``tcp``
    is all the way to the exchange, TLS included.
    """

    name: float | None = None
    tcp: float | None = None
    tls: float | None = None
    upgrade: float | None = None
    logon: float | None = None


class Histogram:
    """Counts durations in buckets of fixed bounds; nothing is allocated when one is added."""

    __slots__ = ("count", "counts", "longest", "total")

    def __init__(self) -> None:
        self.counts = array("Q", bytes(8 * _BUCKETS))
        #: how many there were, the sum of them and the longest (ns)
        self.count = self.total = self.longest = 0

    def add(self, duration: int) -> None:
        """Count a duration in ns."""
        self.count += 1
        self.total += duration
        if duration > self.longest:
            self.longest = duration
        units = duration >> _SHIFT
        if units < _STEPS:
            self.counts[max(units, 0)] += 1
            return
        doublings = units.bit_length() - _STEP_BITS - 1
        bucket = (doublings + 1) * _STEPS + ((units >> doublings) & (_STEPS - 1))
        self.counts[min(bucket, _BUCKETS - 1)] += 1

    def percentile(self, share: float) -> float:
        """Return the seconds within which this share of the durations lies; 0.0 if there are none."""
        wanted = share * self.count
        seen = 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return min(upper_bound(bucket), self.longest / 1e9)
        return 0.0

    def summary(self) -> Latency:
        """Return what is asked for most."""
        return Latency(
            self.count, self.percentile(0.5), self.percentile(0.99), self.percentile(0.999), self.longest / 1e9
        )

    def cumulative(self, bounds: tuple[float, ...]) -> list[tuple[float, int]]:
        """Return for each bound (s) how many durations are certainly not above it."""
        return [
            (bound, sum(n for bucket, n in enumerate(self.counts) if upper_bound(bucket) <= bound)) for bound in bounds
        ]


def upper_bound(bucket: int) -> float:
    """Return the upper end of a bucket in seconds."""
    doublings, step = divmod(bucket, _STEPS)
    if not doublings:
        return ((step + 1) << _SHIFT) / 1e9
    return (((_STEPS + step + 1) << (doublings - 1)) << _SHIFT) / 1e9
