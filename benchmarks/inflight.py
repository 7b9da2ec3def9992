"""What many requests in flight cost: the time of one more, and memory.

In one process, without a socket. While so many are in flight, ten more are submitted and the ten oldest answered, over
and over; the CPU time of a request with its answer should not depend on how many wait beside it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.harness import Contestant, Metric, compare, measure, per_operation
from benchmarks.report import Plan, Section, Sheet
from benchmarks.wire import MemorySession, answers
from benchmarks.workload import ORDER, PACKAGES

__all__ = ["DECODER", "TITLE", "run"]

#: the decoder that is there for speed, if it is installed
DECODER: Final = next(iter(PACKAGES))
TITLE: Final = "order.place: CPU of a request and its answer"
_METHOD, _PARAMS = ORDER
_LEVELS: Final = (10, 100, 1_000, 10_000, 100_000)
#: how many go out and come back between two looks at the clock
_BATCH: Final = 10
#: seconds: none may time out while it waits for its turn
_PATIENCE: Final = 3600.0


class _Level:
    """A session with ``depth`` requests in flight, always."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._memory = MemorySession(DECODER, request_timeout=_PATIENCE)
        self._futures: deque[asyncio.Future[Any]] = deque()
        self._replies: deque[bytes] = deque()

    def close(self) -> None:
        for future in self._futures:
            future.cancel()  # forgets the request, of which closing would complain
        self._memory.close()

    def run(self, size: int) -> Mapping[str, float]:
        return self._memory.run(self._slice(size))

    async def _slice(self, size: int) -> Mapping[str, float]:
        if not self._futures:
            self._submit(self._depth)
        took = 0.0
        batches = -(-size // _BATCH)
        for _ in range(batches):
            took += self._turn()
        assert len(self._futures) == self._depth
        return per_operation(batches * _BATCH, cpu=took)

    def _turn(self) -> float:
        """Submit ten, answer ten; return the seconds of that, without what the server's half takes."""
        oldest = [self._replies.popleft() for _ in range(_BATCH)]
        done = [self._futures.popleft() for _ in range(_BATCH)]
        submit, keep, receive = (
            self._memory.session.submit,
            self._futures.append,
            self._memory.wire.protocol.data_received,
        )
        written = self._memory.wire.record()
        start = time.process_time()
        for _ in range(_BATCH):
            keep(submit(_METHOD, _PARAMS))
        for reply in oldest:
            receive(reply)
        took = time.process_time() - start
        self._replies.extend(answers(written))
        assert all(future.done() for future in done)
        return took

    def _submit(self, count: int) -> None:
        written = self._memory.wire.record()
        self._futures.extend([self._memory.session.submit(_METHOD, _PARAMS) for _ in range(count)])
        self._replies.extend(answers(written))


def run(plan: Plan) -> Sequence[Section]:
    """Measure every depth up to a hundred times the slice, and the memory of a request in flight."""
    depths = [depth for depth in _LEVELS if depth <= 100 * plan.size]
    levels = {depth: _Level(depth) for depth in depths}
    try:
        contestants = [
            Contestant(f"{depth:,} in flight", level.run, {"in_flight": str(depth)}) for depth, level in levels.items()
        ]
        metric = Metric("cpu", TITLE)
        (table,) = measure([metric], contestants, rounds=plan.rounds, size=plan.size)
    finally:
        for level in levels.values():
            level.close()
    most = [(table, row.name, table.rows[0].name) for row in table.rows[-1:]]
    return [table, compare("the ratio to read", most), _memory(10 * plan.size)]


def _memory(count: int) -> Sheet:
    """Return what ``count`` requests in flight hold, and what is left of it when they are answered and forgotten."""
    memory = MemorySession(DECODER, request_timeout=_PATIENCE)
    try:
        memory.run(_hold(memory, min(count, 1000)))  # what is made once is not a request's
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            in_flight, answered, left = memory.run(_hold(memory, count))
            memory.run(_pass(memory, count))
            gc.collect()
            later = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    finally:
        memory.close()
    return Sheet(
        f"memory of {count:,} requests, by tracemalloc (bytes for each)",
        ("", "bytes"),
        (
            ("in flight", in_flight / count),
            ("answered, the responses kept", answered / count),
            ("answered and forgotten", left / count),
            ("and after as many again, ten at a time", later / count),
        ),
        ("a dict keeps its size until it is used again: that is what is left when all are forgotten",),
    )


async def _hold(memory: MemorySession, count: int) -> tuple[int, int, int]:
    """Return the bytes more than before with ``count`` in flight, then answered, then forgotten."""
    submit = memory.session.submit
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    written = memory.wire.record()
    futures = [submit(_METHOD, _PARAMS) for _ in range(count)]
    lists = sys.getsizeof(futures) + sys.getsizeof(written) + sum(map(sys.getsizeof, written))  # not the session's
    in_flight = tracemalloc.get_traced_memory()[0] - before - lists
    for data in written:
        memory.wire.protocol.data_received(*answers([data]))
    assert all(future.done() for future in futures)
    memory.wire.record()  # forgets what was written
    written = []
    gc.collect()
    answered = tracemalloc.get_traced_memory()[0] - before - sys.getsizeof(futures)
    futures.clear()
    gc.collect()
    return in_flight, answered, tracemalloc.get_traced_memory()[0] - before


async def _pass(memory: MemorySession, count: int) -> None:
    """Have ``count`` more requests answered, few at a time."""
    for _ in range(count // _BATCH):
        written = memory.wire.record()
        futures = [memory.session.submit(_METHOD, _PARAMS) for _ in range(_BATCH)]
        for reply in answers(written):
            memory.wire.protocol.data_received(reply)
        assert all(future.done() for future in futures)
    memory.wire.record()
