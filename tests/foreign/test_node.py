"""Clients for Node.js, unchanged: ``pytest -m sdk tests/foreign/test_node.py``.

``npm`` fetches them into a temporary folder, once for all tests of this file; without Node.js, or without a registry,
the tests are skipped. Continuous integration does not run them: it fetches nothing with ``npm``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from binance_session.simulator import Simulator
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.foreign.exchange import MARKS, PRIVATE, SECRET, base, executed, foreign
from tests.simulator.client import KEYS

pytestmark = [*MARKS, pytest.mark.timeout(300)]

SCRIPTS = Path(__file__).parent / "node"
SYMBOLS = {SPOT.name: ("BTCUSDT", 0.5), USD_M.name: ("BTCUSDT", 0.5), COIN_M.name: ("BTCUSD_PERP", 2)}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the scripts and their packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(SCRIPTS, folder, dirs_exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm fetched no packages: {done.stderr.strip()[-200:]}")
    return folder


class Script:
    """A script of the folder, which tells one thing after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def told(self, name: str) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        while line and not line.startswith(b'{"name":'):  # what the client itself writes
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        assert line, await self.complaint()
        message = json.loads(line)
        assert message["name"] == name, message
        return message["value"]

    async def complaint(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()


@asynccontextmanager
async def script(node: Path, name: str, venue: Venue, key: str) -> AsyncIterator[tuple[Simulator, Script]]:
    """A simulator, and a script that was told where it is, with one of the keys."""
    proof = {"apiSecret": SECRET} if key == "HMAC" else {"privateKey": PRIVATE[key]}
    symbol, quantity = SYMBOLS[venue.name]
    async with foreign(venue) as simulator:
        process = await asyncio.create_subprocess_exec(
            "node",
            name,
            cwd=node,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=1 << 20,
        )
        try:
            running = Script(process)
            await running.say(
                {
                    "product": venue.name,
                    "credentials": {"apiKey": key, **proof},
                    "logon": key == "ED",
                    "url": simulator.url,
                    "streamUrl": base(simulator),
                    "symbol": symbol,
                    "quantity": quantity,
                }
            )
            yield simulator, running
            assert await asyncio.wait_for(process.wait(), 30) == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def listening(simulator: Simulator) -> None:
    """Wait until somebody listens on a stream socket."""
    while not any(each.streams for each in simulator.connections):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("venue", [USD_M, COIN_M], ids=lambda venue: venue.name)
async def test_the_official_client_of_futures(node: Path, venue: Venue, key: str) -> None:
    async with script(node, "futures.mjs", venue, key) as (simulator, running):
        await running.told("listening")
        await listening(simulator)
        await running.say("go")
        placed = await running.told("placed")
        assert placed["status"] == "NEW"
        event = await running.told("event")
        assert (event["o"]["X"], event["o"]["i"]) == ("NEW", placed["orderId"])
        assert (await running.told("shown"))["status"] == "NEW"
        assert (await running.told("cancelled"))["status"] == "CANCELED"
        assert (await running.told("event"))["o"]["X"] == "CANCELED"
        assert (await running.told("kept"))["listenKey"]
        assert (await running.told("balance"))[0]["balance"]
    assert executed(simulator)[-2:] == ["userDataStream.ping", "account.balance"]


@pytest.mark.parametrize("key", KEYS)
async def test_the_official_client_of_spot(node: Path, key: str) -> None:
    async with script(node, "spot.mjs", SPOT, key) as (_, running):
        if key == "ED":
            assert (await running.told("logon"))["apiKey"] == "ED"
        placed = await running.told("placed")
        assert placed["status"] == "NEW"
        event = await running.told("event")
        assert (event["X"], event["i"]) == ("NEW", placed["orderId"])
        assert (await running.told("shown"))["status"] == "NEW"
        assert (await running.told("cancelled"))["status"] == "CANCELED"
        assert (await running.told("event"))["X"] == "CANCELED"
