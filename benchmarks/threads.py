"""Requests from other threads: ``Session.submit_threadsafe`` beside what asyncio offers for it.

The session lives in memory, on the event loop of the main thread: what is measured is the way there and back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from benchmarks.harness import Contestant, Metric, Row, Table, compare, measure, median_of, per_operation
from benchmarks.inflight import DECODER
from benchmarks.report import Notes, Plan, Section
from benchmarks.wire import MemorySession
from benchmarks.workload import ORDER, PACKAGES

__all__ = ["run"]

_METHOD, _PARAMS = ORDER
_THREADS: Final = 4
_ASYNCIO: Final = "asyncio.run_coroutine_threadsafe(session.request())"
_BARE: Final = "loop.call_soon_threadsafe and back, no request"
_HERE: Final = "session.request() on the loop itself"
_SUM: Final = "call_soon_threadsafe and request(), added"
_OURS: Final = "session.submit_threadsafe()"
#: what a thread calls to have one thing done, and waits for
Ask = Callable[[], "concurrent.futures.Future[Any]"]


def run(plan: Plan) -> Sequence[Section]:
    """Measure throughput by some threads at once, and the latency of one; or say why not."""
    if not hasattr(PACKAGES[DECODER].Session, "submit_threadsafe"):
        return [Notes(("left out: this version has no Session.submit_threadsafe",))]
    memory = MemorySession(DECODER)
    loop, session = memory.loop, memory.session

    def by_asyncio() -> concurrent.futures.Future[Any]:
        return asyncio.run_coroutine_threadsafe(session.request(_METHOD, _PARAMS), loop)

    def bare() -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        loop.call_soon_threadsafe(future.set_result, None)
        return future

    def ours() -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = session.submit_threadsafe(_METHOD, _PARAMS)
        return future

    asks: dict[str, Ask] = {_ASYNCIO: by_asyncio, _BARE: bare, _OURS: ours}
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        try:
            contestants = [
                *[Contestant(name, _Threads(memory, pool, ask).run) for name, ask in asks.items()],
                Contestant(_HERE, lambda size: memory.run(_here(memory, size))),
            ]
            metrics = [
                Metric("throughput", f"{_THREADS} threads, all that they have at once: wall clock for each request"),
                Metric("latency", "one thread, one request after the other: round trip, p50"),
            ]
            tables = measure(metrics, contestants, rounds=plan.rounds, size=plan.size)
        finally:
            memory.close()
    throughput, latency = tables
    latency = _with_sum(latency)
    pairs = [(throughput, _OURS, _ASYNCIO), (latency, _OURS, _BARE), (latency, _OURS, _SUM)]
    return [throughput, latency, compare("the ratios to read", pairs)]


def _with_sum(table: Table) -> Table:
    """Return the table with a row more: the bare way and the request, which is the least that both can take."""
    bare, here = table.row(_BARE), table.row(_HERE)
    assert bare is not None
    assert here is not None
    rounds = tuple([there + asked for there, asked in zip(bare.rounds, here.rounds, strict=True)])
    return evolve(table, rows=(*table.rows, Row(_SUM, rounds, bare.reference)))


async def _here(memory: MemorySession, size: int) -> Mapping[str, float]:
    """Ask where the session lives, without a thread."""
    submit = memory.session.submit
    start = time.perf_counter()
    for future in [submit(_METHOD, _PARAMS) for _ in range(size)]:
        await future
    took = time.perf_counter() - start
    latencies = []
    for _ in range(size):
        began = time.perf_counter()
        await memory.session.request(_METHOD, _PARAMS)
        latencies.append(time.perf_counter() - began)
    return {**per_operation(size, throughput=took), "latency": median_of(latencies) * 1e6}


class _Threads:
    """Threads that ask, while the loop runs in this one."""

    def __init__(self, memory: MemorySession, pool: concurrent.futures.Executor, ask: Ask) -> None:
        self._memory, self._pool, self._ask = memory, pool, ask

    def run(self, size: int) -> Mapping[str, float]:
        return self._memory.run(self._slice(size))

    async def _slice(self, size: int) -> Mapping[str, float]:
        loop, share = asyncio.get_running_loop(), -(-size // _THREADS)
        start = time.perf_counter()
        await asyncio.gather(*[loop.run_in_executor(self._pool, self._at_once, share) for _ in range(_THREADS)])
        took = time.perf_counter() - start
        latency = await loop.run_in_executor(self._pool, self._one_by_one, share)
        return {**per_operation(share * _THREADS, throughput=took), "latency": latency * 1e6}

    def _at_once(self, count: int) -> None:
        for future in [self._ask() for _ in range(count)]:
            future.result()

    def _one_by_one(self, count: int) -> float:
        latencies = []
        for _ in range(count):
            start = time.perf_counter()
            self._ask().result()
            latencies.append(time.perf_counter() - start)
        return median_of(latencies)
