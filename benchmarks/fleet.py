"""Many sessions in one process, each on its own connection, idle, each keeping a listenKey alive.

Memory and CPU are those of a process that does nothing else (``python -m benchmarks.fleet`` is it); the server is in
another. How the pings of the listenKeys spread is seen on hours that pass in virtual time.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.environment import FASTEST_LOOP, LOOPS, pin, resident
from benchmarks.inflight import DECODER
from benchmarks.report import Notes, Plan, Section, Sheet
from benchmarks.roundtrip import serving
from benchmarks.workload import make_session
from binance_session import COIN_M, Ed25519Key, Session
from binance_session.simulator import Simulator, virtual

__all__ = ["run"]

_ROOT: Final = Path(__file__).resolve().parent.parent
#: an address takes 300 connections in 5 minutes, and sessions know that: so each server gets this many
_PER_ADDRESS: Final = 250
#: how many connect at the same time
_AT_ONCE: Final = 50
#: seconds of a look, for each round that was asked for
_ROUND: Final = 1.0
#: the sessions' own pings come so many seconds apart: a look at an idle second must be one at a whole period
_PERIOD: Final = 10.0


def run(plan: Plan) -> Sequence[Section]:
    """Open ``size`` sessions; look for ``rounds`` seconds at ten, a hundred, a thousand of them, and at all."""
    counts = [count for count in (10, 100, 1000) if count < plan.size] + [plan.size]
    with ExitStack() as stack:
        urls = [stack.enter_context(serving()) for _ in range(-(-plan.size // _PER_ADDRESS))]
        command = [
            sys.executable,
            "-m",
            "benchmarks.fleet",
            ",".join(map(str, counts)),
            str(plan.rounds * _ROUND),
            *urls,
        ]
        result = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE)
    looks: list[dict[str, float | None]] = json.loads(result.stdout)
    nothing, *looks = looks
    rows: list[tuple[str | float | None, ...]] = []
    for look in looks:
        count, cpu, now, before = look["sessions"], look["cpu"], look["resident"], nothing["resident"]
        assert count is not None
        assert cpu is not None
        kib = None if now is None or before is None else (now - before) / 1024 / count
        rows.append((f"{count:,.0f} sessions", kib, cpu * 1e3, cpu / count * 1e6, look["traced"]))
    idle = Sheet(
        f"idle sessions on {FASTEST_LOOP}, without TLS: each with a listenKey, and a ping frame every {_PERIOD:.0f} s",
        ("", "KiB for each", "CPU ms in a second", "µs for each", "tracemalloc KiB"),
        tuple(rows),
        facts={"looks": [nothing, *looks]},
    )
    return [idle, _spread(max(2, plan.size // 5), hours=3 if plan.long else 2), Notes((_ABOUT,))]


_ABOUT: Final = (
    "KiB for each: of resident memory, which comes in pages and is not exact below a hundred sessions; tracemalloc KiB:"
    " of objects of one more session, seen once at the end"
)


# The process of its own.


async def _live(counts: Sequence[int], seconds: float, urls: Sequence[str]) -> list[dict[str, float | None]]:
    """Open more and more sessions, and look at them while they idle for ``seconds``."""
    sessions: list[Any] = []
    looks: list[dict[str, float | None]] = []
    warm = make_session(DECODER, urls[0])  # what is made once is not a session's
    await warm.open()
    await warm.close()
    for count in (0, *counts):
        while len(sessions) < count:
            more = [
                make_session(DECODER, urls[number % len(urls)], ping_interval=_PERIOD)
                for number in range(len(sessions), min(count, len(sessions) + _AT_ONCE))
            ]
            await asyncio.gather(*[session.open() for session in more])
            await asyncio.gather(*[session.start_user_data_stream() for session in more])
            sessions += more
        gc.collect()
        size = resident()
        busy = time.process_time()
        await asyncio.sleep(seconds)
        busy = (time.process_time() - busy) / seconds
        assert all(session.listen_key is not None and session.in_flight == 0 for session in sessions)
        looks.append({"sessions": count, "cpu": busy, "resident": size, "traced": None})
    looks[-1]["traced"] = await _traced(urls[-1])
    await asyncio.gather(*[session.close() for session in sessions])
    return looks


async def _traced(url: str) -> float:
    """Return the KiB of the objects that one more session is made of."""
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        session = make_session(DECODER, url)
        await session.open()
        await session.start_user_data_stream()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        await session.close()
    finally:
        tracemalloc.stop()
    return held / 1024


# Virtual time.


def _spread(count: int, hours: int) -> Sheet:
    """Return how evenly ``count`` sessions that were opened together ping over ``hours``."""
    times = virtual.run(lambda: _ping(count, hours), limit=(hours + 2) * 3600.0)
    seconds, minutes = Counter(map(int, times)), Counter([int(when / 60) for when in times])
    even = len(times) / (hours * 3600)
    return Sheet(
        f"{len(times):,} userDataStream.ping of {count:,} sessions, opened at once, in {hours} h of virtual time",
        ("", "pings"),
        (
            ("by a session in an hour", len(times) / count / hours),
            ("in a second, spread evenly", even),
            ("in the busiest second", max(seconds.values(), default=0)),
            ("in a minute, spread evenly", 60 * even),
            ("in the busiest minute", max(minutes.values(), default=0)),
        ),
    )


async def _ping(count: int, hours: int) -> list[float]:
    """Return when the exchange received each ping."""
    async with Simulator(COIN_M, enforce_limits=False) as exchange:
        key = Ed25519Key.generate(api_key="benchmark")
        exchange.add_key(key.api_key, public_key=key.public_pem())
        sessions = [
            Session(COIN_M, key, url=exchange.url, ping_interval=None, wall_clock=exchange.clock.time)
            for _ in range(count)
        ]
        await asyncio.gather(*[session.open() for session in sessions])
        await asyncio.gather(*[session.start_user_data_stream() for session in sessions])
        exchange.received.clear()
        await asyncio.sleep(hours * 3600)
        times = [entry.time for entry in exchange.received if entry.method == "userDataStream.ping"]
        await asyncio.gather(*[session.close() for session in sessions])
    return times


def main() -> None:
    """Be the process that holds the sessions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description="idle sessions, looked at")
    parser.add_argument("counts", help="how many sessions, at each look, with commas between")
    parser.add_argument("seconds", type=float, help="how long a look takes")
    parser.add_argument("urls", nargs="+", help="where they connect to, in turn")
    arguments = parser.parse_args()
    pin(0)
    counts = [int(count) for count in arguments.counts.split(",")]
    with asyncio.Runner(loop_factory=LOOPS[FASTEST_LOOP]) as runner:
        print(json.dumps(runner.run(_live(counts, arguments.seconds, arguments.urls))))


if __name__ == "__main__":
    main()
