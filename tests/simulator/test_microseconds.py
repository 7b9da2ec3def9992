"""timeUnit=MICROSECOND in Spot's address: every time of that connection is in µs, and nothing else is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from binance_session.simulator import Fault, ManualClock
from binance_session.venues import COIN_M, SPOT, USD_M
from tests.simulator.client import Client, simulated
from tests.simulator.spotday import BTC, BUY

START = 1_700_000_000
MS = START * 1000
IN_MS, IN_US = range(MS - 10**9, MS + 10**9), range((MS - 10**9) * 1000, (MS + 10**9) * 1000)


def times(message: Any) -> set[str]:
    """Return the paths of all integers that look like a time, with their unit."""
    found = set()

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(each, f"{path}.{name}")
        elif isinstance(value, list):
            for number, each in enumerate(value):
                walk(each, f"{path}[{number}]")
        elif type(value) is int and (value in IN_MS or value in IN_US):
            found.add(f"{path} {'µs' if value in IN_US else 'ms'}")

    walk(message, "")
    return found


async def day(query: str) -> list[Any]:
    """Return what a client is told on a connection with this query."""
    said: list[Any] = []
    async with simulated(SPOT, clock=ManualClock(START)) as simulator, Client.connected(simulator, query) as client:
        said.append(await client.logon())
        await client.ask("userDataStream.subscribe")
        said.append(await client.timed("order.place", **BUY, price="50000", newClientOrderId="rests"))
        said.append(await client.recv())
        said.append(await client.recv())
        said.append(await client.timed("order.status", symbol=BTC, origClientOrderId="rests"))
        said.append(await client.ask("time"))
        said.append(await client.ask("klines", symbol=BTC, interval="1m", limit=1))
        simulator.inject(Fault("split", method="session.status"))
        said.append(await client.ask("session.status"))
        simulator.inject(Fault("merged", method="time"))
        await client.send("time")
        said += [await client.recv() for _ in range(3)]
    return said


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond"])
async def test_every_time_is_in_microseconds_and_nothing_else_is_changed(unit: str) -> None:
    plain, fine = await day(""), await day(f"?timeUnit={unit}")
    in_ms = {place for message in plain for place in times(message)}
    assert len(in_ms) > 10
    assert {place for message in fine for place in times(message)} == {place.replace(" ms", " µs") for place in in_ms}
    for one, other in zip(plain, fine, strict=True):
        assert json.dumps(one).replace("000", "") == json.dumps(other).replace("000", "")


@pytest.mark.parametrize("venue", [COIN_M, USD_M])
async def test_futures_know_no_time_unit(venue: Any) -> None:
    clock = ManualClock(START)
    async with (
        simulated(venue, clock=clock) as simulator,
        Client.connected(simulator, "?timeUnit=MICROSECOND") as client,
    ):
        assert (await client.ask("session.status"))["result"]["serverTime"] == MS
