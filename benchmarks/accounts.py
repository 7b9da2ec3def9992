"""Many accounts in one SessionManager: opening them, their events merged, and what they cost when nothing happens.

The exchange is a simulator in a process of its own (``python -m benchmarks.accounts``), where every account has a key.
Times are those of the manager's process: they hold what the simulator takes to answer, as with any exchange.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.environment import FASTEST_LOOP, LOOPS, resident
from benchmarks.harness import median_of
from benchmarks.report import Notes, Plan, Section, Sheet
from binance_session import COIN_M, Ed25519Key, SessionManager
from binance_session.simulator import Account, Simulator

__all__ = ["run"]

_ROOT: Final = Path(__file__).resolve().parent.parent
#: seconds of a look at accounts on which nothing happens
_IDLE: Final = 3.0
#: of fewer accounts a look says nothing anyway
_MANY: Final = 50


def run(plan: Plan) -> Sequence[Section]:
    """Open ``size`` accounts, look at them while they idle, then let something happen on each, ``rounds`` times."""
    keys = {f"account-{number}": Ed25519Key.generate(api_key=f"account-{number}") for number in range(plan.size)}
    command = [sys.executable, "-m", "benchmarks.accounts"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps({name: key.public_pem() for name, key in keys.items()}), file=server.stdin, flush=True)
        urls = json.loads(server.stdout.readline())
        try:
            with asyncio.Runner(loop_factory=LOOPS[FASTEST_LOOP]) as runner:
                seen = runner.run(_live(keys, urls, plan.rounds, lambda: print("pay", file=server.stdin, flush=True)))
        finally:
            server.kill()
    rows = (
        ("connected, logged on, READY: s", seen["opened"]),
        ("every account's events come: s", seen["live"]),
        ("resident memory for each: KiB", seen["memory"]),
        ("CPU of all in an idle second: ms", seen["idle"]),
        ("an event on each, until the last is read: ms", seen["events"]),
        ("the manager's CPU for each event: µs", seen["cpu"]),
    )
    sheet = Sheet(f"{plan.size} accounts in one SessionManager, on {FASTEST_LOOP}", ("", "median"), rows, facts=seen)
    return [sheet, Notes(("the simulator shares the machine's processors with the manager",))]


async def _live(keys: dict[str, Ed25519Key], urls: dict[str, str], rounds: int, pay: Any) -> dict[str, float]:
    before, began = resident(), time.perf_counter()
    manager = SessionManager(COIN_M, keys, **urls, proxy=None)
    await manager.open(patience=60)
    seen = {"opened": time.perf_counter() - began}
    came = 0
    woken = asyncio.Event()

    async def read() -> None:
        nonlocal came
        async for _ in manager.events():
            came += 1
            if came % len(keys) == 0:
                woken.set()

    reading = asyncio.ensure_future(read())
    while not all(health.events_live for health in manager.health().values()):  # noqa: ASYNC110, no hook tells
        await asyncio.sleep(0.01)
    seen["live"] = time.perf_counter() - began
    now = resident()
    seen["memory"] = 0.0 if before is None or now is None else (now - before) / 1024 / len(keys)
    busy = time.process_time()
    seconds = _IDLE if len(keys) >= _MANY else _IDLE / 10
    await asyncio.sleep(seconds)
    seen["idle"] = (time.process_time() - busy) / seconds * 1e3
    times, costs = [], []
    for _ in range(rounds):
        woken.clear()
        start, busy = time.perf_counter(), time.process_time()
        pay()
        await woken.wait()
        times.append((time.perf_counter() - start) * 1e3)
        costs.append((time.process_time() - busy) / len(keys) * 1e6)
    seen |= {"events": median_of(times), "cpu": median_of(costs)}
    await manager.close()
    await reading
    return seen


# The process of the exchange


async def _serve() -> None:
    """Serve the accounts of the first line of standard input; each further line pays one BTC into every account."""
    loop = asyncio.get_running_loop()
    keys = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    async with Simulator(COIN_M, enforce_limits=False, record=0) as simulator:
        accounts = []
        for name, pem in keys.items():
            accounts.append(Account())
            simulator.add_key(name, public_key=pem, account=accounts[-1])
        print(json.dumps({"url": simulator.url, "stream_url": simulator.stream_url}), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            for account in accounts:
                simulator.transfer("BTC", "1", account)


if __name__ == "__main__":
    asyncio.run(_serve())
