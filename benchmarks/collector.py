"""What the garbage collector has to do because of requests in flight: how much it must look at, and for how long."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.harness import Contestant, Metric, measure
from benchmarks.inflight import DECODER
from benchmarks.report import Plan, Section, Sheet
from benchmarks.wire import MemorySession, answers
from benchmarks.workload import ORDER

__all__ = ["run", "tracked"]

_METHOD, _PARAMS = ORDER
_PATIENCE: Final = 3600.0


def tracked(decoder: str, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return type -> objects that the collector visits, for each request in flight and for each response kept."""
    memory = MemorySession(decoder, request_timeout=_PATIENCE)
    try:
        memory.run(_tracked(memory, 1))  # what is made at the first time is not a request's
        return memory.run(_tracked(memory, count))
    finally:
        memory.close()


async def _tracked(memory: MemorySession, count: int) -> tuple[dict[str, float], dict[str, float]]:
    submit = memory.session.submit
    written = memory.wire.record()
    before = _census()
    futures = [submit(_METHOD, _PARAMS) for _ in range(count)]
    in_flight = _census() - before
    for data in written:
        memory.wire.protocol.data_received(*answers([data]))
    results = [future.result() for future in futures]
    futures.clear()
    kept = _census() - before
    assert len(results) == count
    own = Counter({"list": 1})  # these two lists are not the session's
    return _each(in_flight - own, count), _each(kept - own, count)


def _census() -> Counter[str]:
    gc.collect()
    return Counter([type(item).__name__ for item in gc.get_objects()])


def _each(census: Mapping[str, int], count: int) -> dict[str, float]:
    """Return how many of a type there are for each of ``count``, without what is there only once."""
    return {name: number / count for name, number in census.items() if number >= count / 2}


class _Held:
    """A session with ``depth`` requests in flight, and the time that a full collection takes beside them."""

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def run(self, size: int) -> Mapping[str, float]:
        memory = MemorySession(DECODER, request_timeout=_PATIENCE)
        try:
            return memory.run(self._pause(memory))
        finally:
            memory.close()

    async def _pause(self, memory: MemorySession) -> Mapping[str, float]:
        memory.wire.drop()
        submit = memory.session.submit
        futures: list[asyncio.Future[Any]] = [submit(_METHOD, _PARAMS) for _ in range(self._depth)]
        gc.collect()
        start = time.perf_counter()
        gc.collect()
        took = time.perf_counter() - start
        assert memory.session.in_flight == len(futures)
        for future in futures:
            future.cancel()  # forgets the request, of which closing would complain
        return {"pause": took * 1e3}


def run(plan: Plan) -> Sequence[Section]:
    """Count what the collector visits, and time a full collection with and without a hundred slices in flight."""
    in_flight, kept = tracked(DECODER, plan.size)
    names = sorted({*in_flight, *kept})
    rows = [(name, in_flight.get(name, 0.0), kept.get(name, 0.0)) for name in names]
    total = ("all", sum(in_flight.values()), sum(kept.values()))
    sheet = Sheet(
        "objects that the collector must visit",
        ("type", "for each in flight", "for each response kept"),
        (*rows, total),
    )
    depths = (0, 100 * plan.size)
    contestants = [Contestant(f"{depth:,} in flight", _Held(depth).run, {"in_flight": str(depth)}) for depth in depths]
    pause = Metric("pause", "gc.collect(), with what the benchmarks imported", "ms")
    return [sheet, *measure([pause], contestants, rounds=plan.rounds, size=plan.size)]
