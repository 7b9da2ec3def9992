"""Where the microseconds of an order go: the socket, the frames, JSON, the way to the future, the caller's awakening.

The whole is measured over a real socket, and so is the least that any client pays for it (a protocol that writes ready
bytes and parses nothing). The steps between are measured in memory, one by one, in the same rounds. What the sum of the
parts leaves open is shown, not shared out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.clients import BARE, OURS, OURS_PLAIN
from benchmarks.environment import FASTEST_LOOP, LOOPS
from benchmarks.harness import Contestant, Metric, Table, measure, per_operation
from benchmarks.inflight import DECODER
from benchmarks.report import Plan, Section, Sheet
from benchmarks.roundtrip import serving
from benchmarks.steps import ANSWER, REQUEST, Step, forget, steps
from benchmarks.wire import MemorySession
from benchmarks.worker import BURST, Worker

__all__ = ["run"]

_WHOLE, _SOCKET, _WAKE = (
    "an order over a socket, whole",
    "the socket and the event loop alone",
    "wake a task that waits",
)


def run(plan: Plan) -> Sequence[Section]:
    """Measure the whole and its parts, and do the sum."""
    loop = LOOPS[FASTEST_LOOP]()
    memory = MemorySession(DECODER, request_timeout=3600.0)
    workers: list[Worker] = []
    with serving() as url:
        try:
            ours = OURS if DECODER == "msgspec" else OURS_PLAIN
            workers += [Worker(client, FASTEST_LOOP, url) for client in (ours, BARE)]
            for worker in workers:
                if (failure := worker.ready()) is not None:
                    raise RuntimeError(failure)
            whole, bare = workers
            contestants = [
                Contestant(_WHOLE, lambda size: {"cpu": whole.run(size)["cpu"]}),
                Contestant(_SOCKET, lambda size: {"cpu": bare.run(size)["cpu"]}),
                *[Contestant(step.name, _Timed(memory, step).run) for step in steps(memory, DECODER)],
                Contestant(_WAKE, lambda size: loop.run_until_complete(_wake(size))),
            ]
            metric = Metric("cpu", f"order.place, {FASTEST_LOOP}, {DECODER}: CPU of the whole and of its parts")
            (table,) = measure([metric], contestants, rounds=plan.rounds, size=plan.size)
        finally:
            for worker in workers:
                worker.close()
            forget(memory)
            memory.close()
            loop.close()
    return [table, _sum(table)]


class _Timed:
    """One step, called for many arguments that were made ready before."""

    def __init__(self, memory: MemorySession, step: Step) -> None:
        self._memory, self._step = memory, step

    def run(self, size: int) -> Mapping[str, float]:
        return self._memory.run(self._slice(size))

    async def _slice(self, size: int) -> Mapping[str, float]:
        call, prepared = self._step.call, self._step.prepare(size)
        start = time.process_time()
        for arguments in prepared:
            call(*arguments)
        return per_operation(size, cpu=time.process_time() - start)


async def _wake(size: int) -> Mapping[str, float]:
    """Have ``size`` tasks wait, each for a future of its own; time from the first result to the last awakening."""
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[None]] = [loop.create_future() for _ in range(size)]

    async def caller(future: asyncio.Future[None]) -> None:
        await future

    tasks = [loop.create_task(caller(future)) for future in futures]
    await asyncio.sleep(0)
    start = time.process_time()
    for future in futures:
        future.set_result(None)
    await tasks[-1]
    return per_operation(size, cpu=time.process_time() - start)


def _sum(table: Table) -> Sheet:
    """Return the account: what each part takes of the whole."""
    value = {row.name: row.value for row in table.rows}
    whole = value[_WHOLE]
    route = value["route it, and end its future"]
    parts: dict[str, float] = {_SOCKET: value[_SOCKET]}
    parts["request: encode the JSON"] = value["encode a request"]
    parts["request: register the future"] = value["register its future"]
    parts["request: make the frame"] = value["write its frame"]
    known = sum(value[name] for name in ("encode a request", "register its future", "write its frame"))
    parts["request: checks, and the way down"] = value[REQUEST] - known
    parts["answer: find the frame"] = value["scan a frame"]
    parts["answer: decode the JSON"] = value["decode it"]
    parts["answer: build the Response"] = value["build a Response"]
    parts["answer: find and end the future"] = route - value["build a Response"]
    parts["answer: the way up"] = value[ANSWER] - value["scan a frame"] - value["decode it"] - route
    rows: list[tuple[Any, ...]] = [(name, micros, micros / whole * 100) for name, micros in parts.items()]
    total = sum(parts.values())
    rows += [
        ("the parts together", total, total / whole * 100),
        (f"the whole, {BURST} in flight", whole, 100.0),
        ("and for each caller that is a task: its awakening", value[_WAKE], value[_WAKE] / whole * 100),
    ]
    note = f"the parts and the whole differ by {(total - whole) / whole:+.0%}: a step alone is warmer than in its place"
    title = "where the CPU time of an order goes"
    return Sheet(title, ("", "µs", "%"), tuple(rows), (note,), {"parts": parts, "whole": whole})
