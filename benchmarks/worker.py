"""One client in a process of its own, told by its standard input what to do.

So no client pays for what another one imports, leaves to the garbage collector, or runs in the background; and the
CPU time of the process is the client's. ``python -m benchmarks.worker NAME LOOP URL`` answers each line of its input,
the number of orders, with a line of JSON. :class:`Worker` is the other end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import KINDS
from benchmarks.environment import LOOPS, pin
from benchmarks.kinds import Client

__all__ = ["BURST", "Worker"]

#: orders in flight at once, in the pipelined half
BURST: Final = 100

_ROOT: Final = Path(__file__).resolve().parent.parent


class Worker:
    """The process of one client on one event loop. It starts at once; :meth:`ready` waits for it."""

    def __init__(self, name: str, loop: str, url: str, certificates: Path | None = None) -> None:
        """Start it; ``certificates`` are those that it trusts, in one file, if not the system's."""
        trust = {} if certificates is None else {"SSL_CERT_FILE": str(certificates)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, loop, url],
            cwd=_ROOT,
            env={**os.environ, **trust},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ready(self) -> str | None:
        """Return once the client is connected: ``None``, or why it cannot be measured."""
        answer = self._read()
        failure: str | None = answer.get("failure")
        return failure

    def run(self, size: int) -> dict[str, Any]:
        """Do one slice: ``latencies`` in nanoseconds of ``size`` orders one by one, then ``cpu`` in µs of one of many.

        Raises :class:`RuntimeError` when the client fails.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        answer = self._read()
        if "failure" in answer:
            raise RuntimeError(answer["failure"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:  # a client that does not end is not what is measured
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"failure": "its process ended"}
        return answer


async def _slice(client: Client, size: int) -> dict[str, Any]:
    one, many, clock = client.one, client.many, time.perf_counter_ns
    latencies = []
    for _ in range(size):
        start = clock()
        await one()
        latencies.append(clock() - start)
    bursts, count = max(1, size // BURST), min(BURST, size)
    busy = time.process_time()
    for _ in range(bursts):
        await many(count)
    busy = time.process_time() - busy
    return {"latencies": latencies, "cpu": busy / (bursts * count) * 1e6}


def _serve(client: Client, runner: asyncio.Runner, url: str) -> None:
    """Answer until the input ends. A line on the output is an answer, so nothing else may write there."""
    output, sys.stdout = sys.stdout, sys.stderr

    def tell(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=output, flush=True)

    try:
        runner.run(client.open(url))
    except Exception as error:
        tell({"failure": f"{type(error).__name__}: {error}"})
        return
    gc.collect()
    gc.freeze()  # what a library imported is not the garbage of its requests
    tell({})
    for line in sys.stdin:
        gc.collect()
        try:
            tell(runner.run(_slice(client, int(line))))
        except Exception as error:
            tell({"failure": f"{type(error).__name__}: {error}"})
            return
    runner.run(client.close())


def main() -> None:
    """Measure the client that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description="one client, measured")
    parser.add_argument("client", choices=KINDS)
    parser.add_argument("loop", choices=sorted(LOOPS))
    parser.add_argument("url")
    arguments = parser.parse_args()
    pin(0)
    with asyncio.Runner(loop_factory=LOOPS[arguments.loop]) as runner:
        _serve(KINDS[arguments.client].make(), runner, arguments.url)


if __name__ == "__main__":
    main()
