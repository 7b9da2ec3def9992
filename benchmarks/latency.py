"""Many latencies, and their percentiles: by HdrHistogram where it is installed, by all the samples where it is not."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Final

from benchmarks.environment import has
from benchmarks.harness import percentile

__all__ = ["PERCENTS", "Latencies"]

#: what a latency distribution is drawn from
PERCENTS: Final = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99)

#: nanoseconds: the longest that is told apart from what is longer, and the digits that are kept
_LONGEST: Final = 60_000_000_000
_DIGITS: Final = 3


class Latencies:
    """Collects nanoseconds; tells microseconds."""

    def __init__(self) -> None:
        self._histogram: Any = None
        self._samples: list[float] = []
        if has("hdrh"):
            self._histogram = importlib.import_module("hdrh.histogram").HdrHistogram(1, _LONGEST, _DIGITS)
        self.count = 0

    def add(self, nanoseconds: Iterable[int]) -> None:
        """Take some more."""
        for value in nanoseconds:
            self.count += 1
            if self._histogram is None:
                self._samples.append(value)
            else:
                self._histogram.record_value(max(1, min(value, _LONGEST)))

    def at(self, percent: float) -> float:
        """Return the microseconds that ``percent`` of 100 did not exceed; there must be some."""
        if self._histogram is None:
            return percentile(self._samples, percent) / 1000
        return float(self._histogram.get_value_at_percentile(percent)) / 1000

    def curve(self) -> list[tuple[float, float]]:
        """Return (percent, microseconds) for those of ``PERCENTS`` that this many samples can tell of."""
        known = [percent for percent in PERCENTS if round(self.count * (100 - percent)) >= 100]
        return [(percent, self.at(percent)) for percent in known]
