"""Over loopback, the server in another process: how long one answer takes, and what many cost.

*Sequential*: one order at a time, wall clock from the call to the decoded answer, p50 and p99 of each slice.
*Pipelined*: a burst of orders without waiting, CPU time of this process per order; the server's time is not in it.
The server answers each read with one write, so the answers to a burst come many to a read.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.clients import Client, clients
from benchmarks.environment import LOOPS
from benchmarks.harness import Contestant, Metric, Table, measure, median_of, percentile

__all__ = ["run", "serving"]

#: orders in flight at once, in the pipelined half
_BURST: Final = 100

_ROOT: Final = Path(__file__).resolve().parent.parent


@contextmanager
def serving() -> Iterator[str]:
    """Run the answering server in another process, on the fastest loop there is; yield its URL."""
    loop = "uvloop" if "uvloop" in LOOPS else "asyncio"
    command = [sys.executable, "-m", "benchmarks.server", "--loop", loop]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"ws://127.0.0.1:{int(process.stdout.readline())}/ws-dapi/v1"
        finally:
            process.stdin.close()
            process.wait(10)


class _Runner:
    """One client on one event loop, which stands still between its slices."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self._client = client
        self._loop = loop
        loop.run_until_complete(client.open(url))

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())

    def run(self, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(self._slice(size))

    async def _slice(self, size: int) -> Mapping[str, float]:
        one, many, clock = self._client.one, self._client.many, time.perf_counter
        latencies = []
        for _ in range(size):
            start = clock()
            await one()
            latencies.append(clock() - start)
        bursts = max(1, 2 * size // _BURST)
        count = min(_BURST, 2 * size)
        busy = time.process_time()
        for _ in range(bursts):
            await many(count)
        busy = time.process_time() - busy
        return {
            "p50": median_of(latencies) * 1e6,
            "p99": percentile(latencies, 99) * 1e6,
            "cpu": busy / (bursts * count) * 1e6,
        }


def run(rounds: int, size: int) -> list[Table]:
    """Measure every client on every event loop, all of them interleaved, against one server."""
    loops = {name: make() for name, make in LOOPS.items()}
    runners: list[_Runner] = []
    contestants = []
    with serving() as url:
        try:
            for loop_name, loop in loops.items():
                for name, (decoder, make_client) in clients().items():
                    runner = _Runner(make_client(), loop, url)
                    runners.append(runner)
                    facts = {"loop": loop_name, "decoder": decoder}
                    contestants.append(Contestant(f"{loop_name:8}{name}", runner.run, facts))
            metrics = [
                Metric("p50", "order.place: sequential round trip, p50"),
                Metric("p99", "order.place: sequential round trip, p99"),
                Metric("cpu", f"order.place: pipelined, {_BURST} in flight, client CPU per order"),
            ]
            return list(measure(metrics, contestants, rounds=rounds, size=size))
        finally:
            for runner in runners:
                runner.close()
            for loop in loops.values():
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()
