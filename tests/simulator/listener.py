"""Somebody who listens to an account, on whatever socket the venue has for that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from binance_session.simulator import Simulator
from binance_session.venues import COIN_M, Venue
from tests.simulator.client import Client, simulated


class Listener:
    """Reads events; on Spot out of their envelopes."""

    def __init__(self, simulator: Simulator, socket: ClientConnection) -> None:
        self.simulator = simulator
        self.socket = socket

    async def event(self) -> dict[str, Any]:
        message = json.loads(await self.socket.recv())
        assert isinstance(message, dict)
        event = message["event"] if "subscriptionId" in message else message
        assert isinstance(event, dict)
        return event

    async def events(self, count: int) -> list[dict[str, Any]]:
        return [await self.event() for _ in range(count)]

    async def nothing(self) -> None:
        """Check that nothing is on its way: a pong comes after all that was sent before it."""
        await (await self.socket.ping())
        receiving = asyncio.ensure_future(self.socket.recv())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not receiving.done(), f"not expected: {receiving.result()!r}"
        receiving.cancel()
        await asyncio.wait([receiving])


async def listen_key(client: Client, key: str = "ED") -> str:
    answer = await client.ask("userDataStream.start", apiKey=key)
    value = answer["result"]["listenKey"]
    assert isinstance(value, str)
    return value


@asynccontextmanager
async def attended(
    venue: Venue = COIN_M, path: str | None = None, **options: Any
) -> AsyncIterator[tuple[Simulator, Client, Listener]]:
    """A simulator, a client, and a listener."""
    async with (
        simulated(venue, **options) as simulator,
        Client.connected(simulator) as client,
        listening(simulator, client, path) as listener,
    ):
        yield simulator, client, listener


@asynccontextmanager
async def listening(simulator: Simulator, client: Client, path: str | None = None) -> AsyncIterator[Listener]:
    """Open a second socket that hears the account of the key ``ED``: where the venue says, or at another path."""
    if simulator.stream_url is None:
        async with Client.connected(simulator) as second:
            assert (await second.ask_signed("userDataStream.subscribe.signature"))["status"] == 200
            yield Listener(simulator, second.socket)
        return
    key = await listen_key(client)
    path = (simulator.venue.stream_path if path is None else path).format(key=key)
    async with connect(simulator.stream_url + path, compression=None) as socket:
        yield Listener(simulator, socket)
