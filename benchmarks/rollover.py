"""Whether a request is later because its connection is being replaced: latencies with rollovers and without.

Callers keep some requests in flight. One session replaces its connection many times a minute (once a day is usual), the
other never does; the server is in another process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.environment import FASTEST_LOOP, LOOPS
from benchmarks.harness import Contestant, Metric, compare, measure, percentile
from benchmarks.inflight import DECODER
from benchmarks.latency import Latencies
from benchmarks.reconnect import AtOnce
from benchmarks.report import Plan, Section, Sheet
from benchmarks.roundtrip import serving
from benchmarks.workload import ORDER, make_session

__all__ = ["run"]

_METHOD, _PARAMS = ORDER
_CALLERS: Final = 4
#: seconds between two rollovers: more often than the exchange would allow for long
_EVERY: Final = 0.1
_WITH: Final = f"a rollover every {_EVERY} s"
_WITHOUT: Final = "no rollover"


class _Loaded:
    """A session under load; ``every`` seconds it moves to another connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, every: float | None) -> None:
        self._loop = loop
        self._session: Any = make_session(DECODER, url, rollover_after=every, reconnect=AtOnce())
        loop.run_until_complete(self._session.open())
        self._is_warm = False
        self.latencies = Latencies()

    @property
    def rollovers(self) -> int:
        """How many there have been."""
        return int(self._session.stats.connections) - 1

    @property
    def lost(self) -> int:
        """How many requests were lost."""
        return int(self._session.stats.lost)

    def close(self) -> None:
        self._loop.run_until_complete(self._session.close())

    def run(self, size: int) -> Mapping[str, float]:
        latencies = self._loop.run_until_complete(self._slice(size))
        if self._is_warm:
            self.latencies.add(latencies)
        self._is_warm = True
        return {key: percentile(latencies, percent) / 1000 for key, percent in (("p50", 50.0), ("p999", 99.9))}

    async def _slice(self, size: int) -> list[int]:
        latencies: list[int] = []

        async def caller() -> None:
            request, clock = self._session.request, time.perf_counter_ns
            for _ in range(size):
                start = clock()
                await request(_METHOD, _PARAMS)
                latencies.append(clock() - start)

        await asyncio.gather(*[caller() for _ in range(_CALLERS)])
        return latencies


def run(plan: Plan) -> Sequence[Section]:
    """Measure ``size`` requests by each of the callers in a slice."""
    loop = LOOPS[FASTEST_LOOP]()
    with serving() as url:
        sessions = {_WITHOUT: _Loaded(loop, url, None), _WITH: _Loaded(loop, url, _EVERY)}
        try:
            contestants = [Contestant(name, session.run) for name, session in sessions.items()]
            title = f"order.place: {_CALLERS} callers, {FASTEST_LOOP}"
            metrics = [Metric("p50", f"{title}, p50"), Metric("p999", f"{title}, p99.9")]
            tables = measure(metrics, contestants, rounds=plan.rounds, size=plan.size)
            rollovers = sessions[_WITH].rollovers
            lost = sum([session.lost for session in sessions.values()])
        finally:
            for session in sessions.values():
                session.close()
            loop.close()
    percents = (50, 99, 99.9, 100)
    rows: list[tuple[str | float | None, ...]] = [
        (name, *map(session.latencies.at, percents)) for name, session in sessions.items()
    ]
    together = Sheet(
        f"all rounds together (µs); {rollovers} rollovers, {lost} requests lost",
        ("", "p50", "p99", "p99.9", "longest"),
        tuple(rows),
        facts={"rollovers": rollovers, "lost": lost},
    )
    return [*tables, compare("the ratios to read", [(table, _WITH, _WITHOUT) for table in tables]), together]
