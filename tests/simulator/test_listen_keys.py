"""listenKeys and the stream socket."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from binance_session.simulator import Account, ManualClock, Readings, Simulator
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.simulator.client import RSA, Client, refused, simulated

HOUR = 3600


async def start(client: Client, key: str = "ED") -> str:
    answer = await client.ask("userDataStream.start", apiKey=key)
    value = answer["result"]["listenKey"]
    assert isinstance(value, str)
    return value


def driven(simulator: Simulator) -> ManualClock:
    assert isinstance(simulator.clock, ManualClock)
    return simulator.clock


@pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
async def test_start_ping_stop(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        refused(await client.ask("userDataStream.start"), -1102)
        refused(await client.ask("userDataStream.ping", apiKey="ED"), -1125)
        refused(await client.ask("userDataStream.stop", apiKey="ED"), -1125)
        key = await start(client)
        assert len(key) == 64
        assert await start(client) == key, "the active key is returned"
        await client.logon()
        assert (await client.ask("userDataStream.ping"))["result"] == {"listenKey": key}
        assert (await client.ask("userDataStream.stop"))["result"] == {}
        refused(await client.ask("userDataStream.ping"), -1125)
        assert await start(client) != key


async def test_a_signature_does_not_belong_here() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        refused(await client.ask_signed("userDataStream.start"), -1106)


@pytest.mark.parametrize("method", ["userDataStream.start", "userDataStream.ping"])
async def test_a_key_lives_60_minutes_from_its_last_extension(method: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        clock = driven(simulator)
        key = await start(client)
        for _ in range(3):
            clock.advance(HOUR - 1)
            assert (await client.ask(method, apiKey="ED"))["result"] == {"listenKey": key}
        clock.advance(HOUR)
        refused(await client.ask("userDataStream.ping", apiKey="ED"), -1125)


async def test_keys_belong_to_accounts_or_to_api_keys() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.add_key("RSA", public_key=RSA.public_key(), account=Account("other", {"BTC": Decimal(1)}))
        assert await start(client, "ED") == await start(client, "HMAC") != await start(client, "RSA")
    per_key = Readings(listen_key_per="key")
    async with simulated(readings=per_key) as simulator, Client.connected(simulator) as client:
        assert await start(client, "ED") != await start(client, "HMAC")


async def test_a_ping_without_a_key_may_make_one() -> None:
    readings = Readings(ping_without_key="created")
    async with simulated(readings=readings) as simulator, Client.connected(simulator) as client:
        made = (await client.ask("userDataStream.ping", apiKey="ED"))["result"]["listenKey"]
        assert await start(client) == made


async def test_a_listen_key_as_parameter() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        key = await start(client)
        refused(await client.ask("userDataStream.ping", apiKey="ED", listenKey=key), -1106)
    readings = Readings(accepts_listen_key_param=True)
    async with simulated(readings=readings) as simulator, Client.connected(simulator) as client:
        key = await start(client)
        assert (await client.ask("userDataStream.ping", apiKey="ED", listenKey=key))["status"] == 200
        refused(await client.ask("userDataStream.ping", apiKey="ED", listenKey="x"), -1125)


async def test_a_signature_that_is_not_asked_for() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        refused(await client.ask("userDataStream.start", apiKey="ED", signature="x"), -1106)
    readings = Readings(unasked_signature="ignored")
    async with simulated(readings=readings) as simulator, Client.connected(simulator) as client:
        assert (await client.ask("userDataStream.start", apiKey="ED", signature="x"))["status"] == 200
        refused(await client.ask("userDataStream.ping", apiKey="ED", symbol="BTCUSDT"), -1104)


@pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
async def test_the_stream_is_told_of_the_expiry_and_stays_open(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        key = await start(client)
        async with connect(f"{simulator.stream_url}{venue.stream_path.format(key=key)}") as stream:
            assert simulator.push({"e": "ORDER_TRADE_UPDATE"}) == 1
            assert json.loads(await stream.recv()) == {"e": "ORDER_TRADE_UPDATE"}
            driven(simulator).advance(HOUR)
            event = json.loads(await stream.recv())
            assert event == {"e": "listenKeyExpired", "E": client.now, "listenKey": key}
            assert simulator.push({"e": "ORDER_TRADE_UPDATE"}) == 0
            await (await stream.ping())


async def test_the_query_form_of_the_stream_address() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        key = await start(client)
        async with connect(f"{simulator.stream_url}/ws?listenKey={key}") as stream:
            assert simulator.push({"e": "ACCOUNT_UPDATE"}) == 1
            assert json.loads(await stream.recv()) == {"e": "ACCOUNT_UPDATE"}


async def test_a_stop_is_pushed_or_not() -> None:
    for pushed in (True, False):
        readings = Readings(stop_pushes_expired=pushed)
        async with simulated(readings=readings) as simulator, Client.connected(simulator) as client:
            key = await start(client)
            async with connect(f"{simulator.stream_url}/ws/{key}") as stream:
                await client.ask("userDataStream.stop", apiKey="ED")
                simulator.connections[-1].send({"e": "afterwards"})
                first = json.loads(await stream.recv())
                assert first["e"] == ("listenKeyExpired" if pushed else "afterwards")


async def test_an_expiry_may_come_twice_and_close_the_stream() -> None:
    readings = Readings(expired_pushes=2, expiry_closes_stream=True)
    async with simulated(readings=readings) as simulator, Client.connected(simulator) as client:
        key = await start(client)
        async with connect(f"{simulator.stream_url}/ws/{key}") as stream:
            driven(simulator).advance(HOUR)
            assert await stream.recv() == await stream.recv()
            with pytest.raises(ConnectionClosedOK):
                await stream.recv()


async def test_an_unknown_stream_is_silent_or_refused() -> None:
    async with simulated() as simulator, connect(f"{simulator.stream_url}/ws/nothing") as stream:
        assert simulator.push({"e": "ORDER_TRADE_UPDATE"}) == 0
        await (await stream.ping())
    async with simulated(readings=Readings(unknown_stream="refused")) as simulator:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{simulator.stream_url}/ws/nothing")
        assert refusal.value.response.status_code == 403


async def test_spot_has_neither_listen_keys_nor_a_stream() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        assert simulator.stream_url is None
        refused(await client.ask("userDataStream.start", apiKey="ED"), -1020)
        with pytest.raises(InvalidStatus) as refusal:
            await connect(simulator.url.replace("/ws-api/v3", "/ws/key"))
        assert refusal.value.response.status_code == 404
