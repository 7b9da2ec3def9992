"""Over loopback, the server in another process: how long one answer takes, and what many cost.

*Sequential*: one order at a time, wall clock from the call to the decoded answer, percentiles of each slice.
*Pipelined*: bursts of orders without waiting, CPU time of the client's process per order; the server's is not in it.
The server answers each read with one write, so the answers to a burst come many to a read. Each client lives in a
process of its own (:mod:`benchmarks.worker`), on one core; the server has another.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import evolve

from benchmarks.clients import BARE, HANDMADE, OURS, OURS_HMAC, OURS_PLAIN, OURS_TASKS, OURS_TOGETHER, usable
from benchmarks.environment import FASTEST_LOOP, PLAIN_LOOPS
from benchmarks.harness import Contestant, Metric, Table, compare, measure, percentile
from benchmarks.kinds import Kind
from benchmarks.latency import Latencies
from benchmarks.peers import PICOWS, SDK, SDK_BARELY, SDK_HMAC
from benchmarks.report import Notes, Plan, Section, Sheet
from benchmarks.worker import BURST, Worker

__all__ = ["compare_clients", "label", "run", "serving"]

_ROOT: Final = Path(__file__).resolve().parent.parent


@contextmanager
def serving(*options: str, scheme: str = "ws") -> Iterator[str]:
    """Run the answering server in another process, on the fastest loop there is; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.server", "--loop", FASTEST_LOOP, *options]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"{scheme}://127.0.0.1:{int(process.stdout.readline())}/ws-dapi/v1"
        finally:
            process.stdin.close()
            process.wait(10)


class _Runner:
    """One client's worker, and all its latencies but those of the first slice, in which everything is cold.

    A client that fails is given up, not the run: its figures are no numbers from then on.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._is_warm = False
        self.latencies = Latencies()
        self.failure: str | None = None

    def run(self, size: int) -> Mapping[str, float]:
        if self.failure is None:
            try:
                return self._slice(size)
            except RuntimeError as error:
                self.failure = str(error)
        return dict.fromkeys(("p50", "p99", "p999", "cpu"), math.nan)

    def _slice(self, size: int) -> Mapping[str, float]:
        slice_of = self._worker.run(size)
        latencies: list[int] = slice_of["latencies"]
        if self._is_warm:
            self.latencies.add(latencies)
        self._is_warm = True
        percents = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
        figures = {key: percentile(latencies, percent) / 1000 for key, percent in percents.items()}
        return {**figures, "cpu": slice_of["cpu"]}


def run(plan: Plan) -> Sequence[Section]:
    """Measure every client on every event loop, all of them interleaved, against one server."""
    kinds, left_out = usable()
    with serving() as url:
        tables, latencies, failures = compare_clients(plan, kinds, PLAIN_LOOPS, url)
    about = [f"{name}: {kind.about}" for name, kind in kinds.items() if kind.about]
    return [*tables, _distribution(latencies), _ratios(tables), Notes((*about, *left_out, *failures))]


def compare_clients(
    plan: Plan,
    kinds: Mapping[str, Kind],
    loops: Sequence[str],
    url: str,
    what: str = "order.place",
    certificates: Path | None = None,
) -> tuple[tuple[Table, ...], dict[str, Latencies], list[str]]:
    """Measure the clients on each loop, interleaved, against the server at ``url``.

    Return the tables of p50, p99, p99.9 and CPU, every client's latencies, and a line about each that failed.
    """
    workers: list[Worker] = []
    runners: dict[str, _Runner] = {}
    contestants = []
    failures = []
    try:
        started = []
        for loop in loops:
            for name, kind in kinds.items():
                if kind.own_loop and loop != "asyncio":
                    continue
                workers.append(Worker(name, loop, url, certificates))
                started.append((label(loop, name), loop, kind, workers[-1]))
        for name, loop, kind, worker in started:
            if (failure := worker.ready()) is not None:
                failures.append(f"{name} is left out: {failure}")
                continue
            runners[name] = _Runner(worker)
            facts = {"loop": loop, "decoder": kind.decoder, "about": kind.about}
            contestants.append(Contestant(name, runners[name].run, facts))
        metrics = [
            Metric("p50", f"{what}: sequential round trip, p50"),
            Metric("p99", f"{what}: sequential round trip, p99"),
            Metric("p999", f"{what}: sequential round trip, p99.9"),
            Metric("cpu", f"{what}: pipelined, {BURST} in flight, client CPU per order"),
        ]
        tables = measure(metrics, contestants, rounds=plan.rounds, size=plan.size)
        failed = {name: runner.failure for name, runner in runners.items() if runner.failure is not None}
        failures += [f"{name} is left out: it failed on the way, {failure}" for name, failure in failed.items()]
    finally:
        for worker in workers:
            worker.close()
    latencies = {name: runner.latencies for name, runner in runners.items() if name not in failed}
    return _without(tables, failed), latencies, failures


def _without(tables: Sequence[Table], failed: Collection[str]) -> tuple[Table, ...]:
    """Return the tables without the rows of these; the reference, to which all others are compared, must not fail."""
    if tables[0].rows[0].name in failed:
        raise RuntimeError("the reference failed")
    return tuple([evolve(table, rows=tuple([row for row in table.rows if row.name not in failed])) for table in tables])


def label(loop: str, client: str) -> str:
    """Return the name of a client's row; it begins with its loop."""
    return f"{loop:{8 if loop in PLAIN_LOOPS else 20}}{client}"


def _distribution(latencies: Mapping[str, Latencies]) -> Sheet:
    """Return the percentiles over all the rounds together."""
    rows = []
    for name, taken in latencies.items():
        at = taken.at
        rows.append((name, at(50), at(90), at(99), at(99.9), at(100), taken.count))
    return Sheet(
        "order.place: sequential round trip, all rounds together (µs)",
        ("", "p50", "p90", "p99", "p99.9", "longest", "samples"),
        tuple(rows),
        facts={"curves": {name: taken.curve() for name, taken in latencies.items()}},
    )


def _ratios(tables: Sequence[Table]) -> Sheet:
    p50, _, p999, cpu = tables
    pairs = []
    for loop in PLAIN_LOOPS:
        ours = label(loop, OURS)
        pairs += [
            (cpu, ours, label(loop, PICOWS)),
            (cpu, label(loop, OURS_TOGETHER), label(loop, PICOWS)),
            (cpu, label(loop, HANDMADE), label(loop, PICOWS)),
            (cpu, ours, label(loop, SDK)),
            (cpu, ours, label(loop, SDK_BARELY)),
            (cpu, label(loop, OURS_TASKS), label(loop, SDK_BARELY)),
            (cpu, label(loop, OURS_HMAC), label(loop, SDK_HMAC)),
            (cpu, label(loop, OURS_PLAIN), label(loop, SDK)),
            (cpu, label(loop, OURS_PLAIN), label(loop, SDK_BARELY)),
            (p50, ours, label(loop, BARE)),
            (p50, label(loop, HANDMADE), label(loop, BARE)),
            (p50, label(loop, PICOWS), label(loop, BARE)),
            (p999, ours, label(loop, BARE)),
        ]
    return compare("the ratios to read: median of the ratios within each round", pairs)
