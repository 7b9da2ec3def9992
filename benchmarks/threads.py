"""Requests from other threads: ``Session.submit_threadsafe`` beside what asyncio offers for it.

*Throughput*: over loopback, the server in another process and on a core of its own, so that nothing is measured but
what the client does. *Latency*: in memory, where no server's process has to be woken; the request and the answer of a
server in the same thread are in it. What it takes to wake a thread depends on where it is: both places are measured.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from attrs import evolve

from benchmarks.environment import LOOPS, PLAIN_LOOPS
from benchmarks.harness import Contestant, Metric, Row, Table, compare, measure, median_of, per_operation
from benchmarks.inflight import DECODER
from benchmarks.report import Plan, Section
from benchmarks.roundtrip import serving
from benchmarks.wire import MemorySession
from benchmarks.workload import ORDER, make_session

__all__ = ["run"]

_METHOD, _PARAMS = ORDER
_THREADS: Final = 4
_ASYNCIO: Final = "asyncio.run_coroutine_threadsafe(session.request())"
_BARE: Final = "loop.call_soon_threadsafe and back, no request"
_HERE: Final = "session.request() on the loop itself"
_SUBMIT: Final = "session.submit() on the loop itself"
_SUM: Final = "call_soon_threadsafe and request(), added"
_OURS: Final = "session.submit_threadsafe()"
#: what a thread calls to have one thing done, and waits for
Ask = Callable[[], "concurrent.futures.Future[Any]"]


def run(plan: Plan) -> Sequence[Section]:
    """Measure throughput by some threads at once, and the latency of one."""
    throughput, cpu = _throughput(plan)
    apart, shared = [_with_sum(table) for table in _latency(plan)]
    pairs = [(table, _name(loop, _OURS), _name(loop, _ASYNCIO)) for table in (throughput, cpu) for loop in PLAIN_LOOPS]
    pairs += [(throughput, _name(loop, _SUBMIT), _name(loop, _ASYNCIO)) for loop in PLAIN_LOOPS]
    pairs += [(table, _OURS, other) for table in (apart, shared) for other in (_BARE, _SUM)]
    return [throughput, cpu, apart, shared, compare("the ratios to read", pairs)]


def _asks(session: Any, loop: asyncio.AbstractEventLoop) -> dict[str, Ask]:
    def by_asyncio() -> concurrent.futures.Future[Any]:
        return asyncio.run_coroutine_threadsafe(session.request(_METHOD, _PARAMS), loop)

    def bare() -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        loop.call_soon_threadsafe(future.set_result, None)
        return future

    def ours() -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = session.submit_threadsafe(_METHOD, _PARAMS)
        return future

    return {_ASYNCIO: by_asyncio, _BARE: bare, _OURS: ours}


# Throughput


def _throughput(plan: Plan) -> tuple[Table, ...]:
    metrics = [
        Metric("throughput", f"{_THREADS} threads, all that they have at once: wall clock for each request"),
        Metric("cpu", f"{_THREADS} threads, all that they have at once: CPU of the client for each request"),
    ]
    with ExitStack() as stack:
        url = stack.enter_context(serving())
        stack.enter_context(_on(_cores()[:-1] or _cores()))  # the last one is the server's
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(_THREADS))
        contestants = []
        for name in PLAIN_LOOPS:
            loop = LOOPS[name]()
            stack.callback(loop.close)
            session = make_session(DECODER, url)
            loop.run_until_complete(session.open())
            stack.callback(_close, loop, session)
            contestants += [
                Contestant(_name(name, ask), _Crowd(loop, pool, call).run, {"loop": name})
                for ask, call in _asks(session, loop).items()
            ]
            contestants.append(Contestant(_name(name, _SUBMIT), _Alone(loop, session).run, {"loop": name}))
        return measure(metrics, contestants, rounds=plan.rounds, size=plan.size)


def _close(loop: asyncio.AbstractEventLoop, session: Any) -> None:
    loop.run_until_complete(session.close())


def _name(loop: str, name: str) -> str:
    return f"{loop:8}{name}"


class _Crowd:
    """Threads that ask, while the loop runs in this one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: concurrent.futures.Executor, ask: Ask) -> None:
        self._loop, self._pool, self._ask = loop, pool, ask

    def run(self, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(self._slice(size))

    async def _slice(self, size: int) -> Mapping[str, float]:
        loop, share = asyncio.get_running_loop(), -(-size // _THREADS)
        start, busy = time.perf_counter(), time.process_time()
        await asyncio.gather(*[loop.run_in_executor(self._pool, self._at_once, share) for _ in range(_THREADS)])
        took, busy = time.perf_counter() - start, time.process_time() - busy
        return per_operation(share * _THREADS, throughput=took, cpu=busy)

    def _at_once(self, count: int) -> None:
        for future in [self._ask() for _ in range(count)]:
            future.result()


class _Alone:
    """Submits on the loop itself: what other threads would take if passing a request on cost nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: Any) -> None:
        self._loop, self._session = loop, session

    def run(self, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(self._slice(size))

    async def _slice(self, size: int) -> Mapping[str, float]:
        submit = self._session.submit
        start, busy = time.perf_counter(), time.process_time()
        for future in [submit(_METHOD, _PARAMS) for _ in range(size)]:
            await future
        took, busy = time.perf_counter() - start, time.process_time() - busy
        return per_operation(size, throughput=took, cpu=busy)


# Latency


def _latency(plan: Plan) -> tuple[Table, ...]:
    what = "one thread, one request after the other: round trip, p50"
    metrics = [Metric("apart", f"{what}; a core for each thread"), Metric("shared", f"{what}; one core for both")]
    memory = MemorySession(DECODER)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            contestants = [
                *[
                    Contestant(name, _Pair(memory, pool, ask).run)
                    for name, ask in _asks(memory.session, memory.loop).items()
                ],
                Contestant(_HERE, lambda size: memory.run(_here(memory, size))),
            ]
            return measure(metrics, contestants, rounds=plan.rounds, size=plan.size)
        finally:
            memory.close()


class _Pair:
    """One thread that asks and waits, on the core of the loop's and on another."""

    def __init__(self, memory: MemorySession, pool: concurrent.futures.Executor, ask: Ask) -> None:
        self._memory, self._pool, self._ask = memory, pool, ask

    def run(self, size: int) -> Mapping[str, float]:
        return self._memory.run(self._slice(size // 4 or 1))

    async def _slice(self, size: int) -> Mapping[str, float]:
        loop, cores = asyncio.get_running_loop(), _cores()
        latencies = {}
        with _on(cores[:1]):
            for key, core in (("apart", cores[-1:]), ("shared", cores[:1])):
                latencies[key] = await loop.run_in_executor(self._pool, self._one_by_one, core, size)
        return latencies

    def _one_by_one(self, core: Collection[int], count: int) -> float:
        latencies = []
        with _on(core):
            for _ in range(count):
                start = time.perf_counter()
                self._ask().result()
                latencies.append(time.perf_counter() - start)
        return median_of(latencies) * 1e6


async def _here(memory: MemorySession, size: int) -> Mapping[str, float]:
    """Ask where the session lives, without a thread."""
    latencies = []
    for _ in range(size):
        start = time.perf_counter()
        await memory.session.request(_METHOD, _PARAMS)
        latencies.append(time.perf_counter() - start)
    return dict.fromkeys(("apart", "shared"), median_of(latencies) * 1e6)


def _with_sum(table: Table) -> Table:
    """Return the table with a row more: the bare way and the request, which is the least that both can take."""
    bare, here = table.row(_BARE), table.row(_HERE)
    assert bare is not None
    assert here is not None
    rounds = tuple([there + asked for there, asked in zip(bare.rounds, here.rounds, strict=True)])
    return evolve(table, rows=(*table.rows, Row(_SUM, rounds, bare.reference)))


def _cores() -> list[int]:
    """Return the cores to choose from; none where they cannot be chosen."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


@contextmanager
def _on(cores: Collection[int]) -> Iterator[None]:
    """Keep this thread, and those that it starts, on some cores; anywhere, if there are none to choose from."""
    before = _cores()
    if sys.platform == "linux" and cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        if sys.platform == "linux":
            os.sched_setaffinity(0, before)
