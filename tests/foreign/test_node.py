"""Clients for Node.js, unchanged: ``pytest -m sdk tests/foreign/test_node.py``.

``npm`` fetches them into a temporary folder, once for all tests of this file, and only if they are asked for with ``-m
sdk``; without Node.js, or without a registry, they are skipped. ``.ci/run`` does not run them: it fetches nothing with
``npm``.
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

from binance_session.simulator import Readings, Simulator
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.cli import driven as driver
from tests.cli.driven import driven
from tests.foreign.exchange import MARKS, PRIVATE, SECRET, base, executed, foreign
from tests.foreign.rest import rest
from tests.simulator.client import KEYS

pytestmark = [*MARKS, pytest.mark.timeout(300)]

SCRIPTS = Path(__file__).parent / "node"
SYMBOLS = {SPOT.name: ("BTCUSDT", 0.5), USD_M.name: ("BTCUSDT", 0.5), COIN_M.name: ("BTCUSD_PERP", 2)}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder with the scripts and their packages."""
    if "sdk" not in request.config.getoption("markexpr"):
        pytest.skip("npm fetches packages for this only when asked with -m sdk")
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
async def started(node: Path, name: str, told: dict[str, Any]) -> AsyncIterator[Script]:
    """A script that was told where the exchange is."""
    process = await asyncio.create_subprocess_exec(
        "node", name, cwd=node, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=1 << 20
    )
    try:
        running = Script(process)
        await running.say(told)
        yield running
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def script(
    node: Path, name: str, venue: Venue, key: str, **options: Any
) -> AsyncIterator[tuple[Simulator, Script]]:
    """A simulator, and a script that was told where it is, with one of the keys."""
    proof = {"apiSecret": SECRET} if key == "HMAC" else {"privateKey": PRIVATE[key]}
    symbol, quantity = SYMBOLS[venue.name]
    async with foreign(venue, **options) as simulator, rest(simulator) as rest_url:
        told = {
            "product": venue.name,
            "credentials": {"apiKey": key, **proof},
            "logon": key == "ED",
            "url": simulator.url,
            "base": base(simulator),
            "restUrl": rest_url,
            "symbol": symbol,
            "quantity": quantity,
        }
        async with started(node, name, told) as running:
            yield simulator, running


async def listening(simulator: Simulator) -> None:
    """Wait until somebody listens on a stream socket."""
    while not any(each.streams for each in simulator.connections):
        await asyncio.sleep(0.001)


async def walk_futures(simulator: Simulator, running: Script) -> None:
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


async def walk_spot(running: Script) -> None:
    placed = await running.told("placed")
    assert placed["status"] == "NEW"
    event = await running.told("event")
    assert (event["X"], event["i"]) == ("NEW", placed["orderId"])
    assert (await running.told("shown"))["status"] == "NEW"
    assert (await running.told("cancelled"))["status"] == "CANCELED"
    assert (await running.told("event"))["X"] == "CANCELED"


FUTURES = pytest.mark.parametrize("venue", [USD_M, COIN_M], ids=lambda venue: venue.name)


@pytest.mark.parametrize("key", KEYS)
@FUTURES
async def test_the_official_client_of_futures(node: Path, venue: Venue, key: str) -> None:
    async with script(node, "futures.mjs", venue, key) as (simulator, running):
        await walk_futures(simulator, running)
        assert (await running.told("balance"))[0]["balance"]


@pytest.mark.parametrize("key", KEYS)
async def test_the_official_client_of_spot(node: Path, key: str) -> None:
    async with script(node, "spot.mjs", SPOT, key) as (_, running):
        if key == "ED":
            assert (await running.told("logon"))["apiKey"] == "ED"
        await walk_spot(running)


@pytest.mark.parametrize("key", KEYS)
@FUTURES
async def test_the_package_binance_with_futures(node: Path, venue: Venue, key: str) -> None:
    # Unless it has logged on, it signs even the requests that ask for no signature.
    readings = Readings(unasked_signature="refused" if key == "ED" else "ignored")
    async with script(node, "sieb.mjs", venue, key, readings=readings) as (simulator, running):
        assert (await running.told("started"))["listenKey"]
        await walk_futures(simulator, running)
    assert ("session.logon" in executed(simulator)) is (key == "ED")


@pytest.mark.parametrize("key", KEYS)
async def test_the_package_binance_with_spot(node: Path, key: str) -> None:
    async with script(node, "sieb.mjs", SPOT, key) as (simulator, running):
        await walk_spot(running)
    assert ("session.logon" in executed(simulator)) is (key == "ED")


async def test_a_resting_order_of_a_bot_in_another_language_fills(node: Path) -> None:
    """Nothing of it is Python: the bot is Node.js', and the exchange a program, driven by lines."""
    with driven("--fault", "late_answer method=order.place delay=0.01") as exchange:
        told = {
            "credentials": {"apiKey": driver.API_KEY, "apiSecret": driver.SECRET},
            "url": exchange.first["url"],
            "base": exchange.first["stream_url"],
            "symbol": "BTCUSD_PERP",
        }
        async with started(node, "fills.mjs", told) as running:
            await running.told("listening")
            while exchange.say("event MARGIN_CALL")["streams"] == 0:
                await asyncio.sleep(0.01)
            await running.say("go")
            await running.told("placed")
            assert exchange.say("price BTCUSD_PERP 60000")["filled"] == []
            [filled] = exchange.say("price BTCUSD_PERP 58000")["filled"]
            assert (filled["clientOrderId"], filled["executed"]) == ("mine", "2")
            assert await running.told("event") == ["FILLED", "2"]
