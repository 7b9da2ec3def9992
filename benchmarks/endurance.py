"""Whether the millionth request costs what the first cost: a long run, cut into windows.

In one process, without a socket; a hundred at a time, as by a bot that never stops.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.environment import resident
from benchmarks.harness import median_of
from benchmarks.inflight import DECODER
from benchmarks.report import Plan, Section, Sheet
from benchmarks.wire import MemorySession, answers
from benchmarks.workload import ORDER

__all__ = ["run"]

_METHOD, _PARAMS = ORDER
#: requests of the long version
_LONG: Final = 10_000_000
#: requests between two looks at the clock
_BATCH: Final = 100
#: the end may cost this much more than the beginning before it is worth a word
_FLAT: Final = 0.05


def run(plan: Plan) -> Sequence[Section]:
    """Run ``rounds`` windows of ``size`` requests, or ten million with ``--long``."""
    windows = plan.rounds
    size = _LONG // windows if plan.long else plan.size
    memory = MemorySession(DECODER)
    try:
        memory.run(_window(memory, min(size, 5_000)))  # what is made once
        costs, residents = [], []
        for _ in range(windows):
            gc.collect()
            costs.append(memory.run(_window(memory, size)))
            residents.append(resident())
        gc.collect()
        tracemalloc.start()
        try:
            memory.run(_window(memory, _BATCH))  # what tracing itself needs
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            memory.run(_window(memory, min(size, 10_000)))
            gc.collect()
            left = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        answered = memory.session.stats.answered
    finally:
        memory.close()
    third = max(1, windows // 3)
    drift = median_of(costs[-third:]) / median_of(costs[:third])
    rows: list[tuple[str | float | None, ...]] = []
    for number, (cost, size_now) in enumerate(zip(costs, residents, strict=True), start=1):
        rows.append((f"to request {number * size:,}", cost, None if size_now is None else size_now / 2**20))
    notes = [] if abs(drift - 1) <= _FLAT else [f"the end cost {drift - 1:+.0%} of the beginning: noise, or a leak"]
    summary = Sheet(
        f"after {answered:,} requests",
        ("", "value"),
        (
            ("the last third over the first", drift),
            ("bytes not given back, for each of the last", left / min(size, 10_000)),
        ),
        tuple(notes),
    )
    title = "order.place: CPU of a request and its answer (µs), memory of the process (MiB)"
    return [Sheet(title, ("", "µs", "MiB"), tuple(rows)), summary]


async def _window(memory: MemorySession, count: int) -> float:
    """Return the microseconds of one of ``count`` requests and its answer."""
    submit, wire = memory.session.submit, memory.wire
    receive = wire.protocol.data_received
    took = 0.0
    batches = -(-count // _BATCH)
    for _ in range(batches):
        written = wire.record()
        futures: list[asyncio.Future[Any]] = []
        start = time.process_time()
        for _ in range(_BATCH):
            futures.append(submit(_METHOD, _PARAMS))  # noqa: PERF401, one by one is what is timed
        took += time.process_time() - start
        replies = answers(written)
        start = time.process_time()
        for reply in replies:
            receive(reply)
        took += time.process_time() - start
        assert all(future.done() for future in futures)
        await asyncio.sleep(0)  # the loop's own turn: timers, deadlines
    return took / (batches * _BATCH) * 1e6
