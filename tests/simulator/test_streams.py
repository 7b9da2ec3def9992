"""The forms of the stream socket, and what is heard there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from binance_session.simulator import ManualClock, Readings, Simulator
from binance_session.simulator.virtual import run
from binance_session.venues import COIN_M, COIN_M_TESTNET, SPOT, USD_M, USD_M_TESTNET, Venue
from tests.simulator.client import Client, add_keys, simulated
from tests.simulator.listener import Listener, attended, listen_key, listening

FUTURES = pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
HOUR, DAY = 3600, 86_400


async def ask(socket: ClientConnection, method: str, *params: Any) -> Any:
    message = {"method": method, "id": 7, **({"params": list(params)} if params else {})}
    await socket.send(json.dumps(message))
    answer = json.loads(await socket.recv())
    assert answer.pop("id") == 7
    return answer


@FUTURES
@pytest.mark.parametrize(
    ("path", "combined"),
    [
        ("/ws/{key}", False),
        ("/ws?listenKey={key}", False),
        ("/stream?listenKey={key}", True),
        ("/stream?streams={key}", True),
        ("/stream?streams={key}/another", True),
    ],
)
async def test_where_a_key_may_be(venue: Venue, path: str, combined: bool) -> None:
    async with attended(venue, path, readings=Readings(usd_m_path="works")) as (simulator, client, listener):
        key = await listen_key(client)
        assert simulator.push_event("MARGIN_CALL") == 1
        event = simulator.pushed[-1].event
        assert await listener.event() == ({"stream": key, "data": event} if combined else event)


@pytest.mark.parametrize(
    ("venue", "readings", "heard"),
    [
        (USD_M, Readings(), False),
        (USD_M, Readings(usd_m_path="works"), True),
        (USD_M_TESTNET, Readings(), True),
        (COIN_M, Readings(), True),
        (COIN_M_TESTNET, Readings(), True),
    ],
)
async def test_a_key_in_the_path_of_usd_m_is_silent_in_production(
    venue: Venue, readings: Readings, heard: bool
) -> None:
    async with attended(venue, "/ws/{key}", readings=readings) as (simulator, client, listener):
        assert simulator.push_event("MARGIN_CALL") == heard
        assert simulator.expire_listen_keys() == 1
        if not heard:
            await listener.nothing()
            key = await listen_key(client)
            assert await ask(listener.socket, "SUBSCRIBE", key) == {"result": None}, "the socket itself is well"
            assert simulator.push_event("MARGIN_CALL") == 1


@pytest.mark.parametrize(
    ("path", "heard"),
    [
        ("/ws?listenKey={key}", False),
        ("/stream?listenKey={key}", False),
        ("/ws?listenKey={key}&events=MARGIN_CALL", True),
        ("/stream?streams={key}", True),
    ],
)
async def test_a_key_in_the_query_of_usd_m_without_events_is_doubtful(path: str, heard: bool) -> None:
    async with attended(USD_M, path, readings=Readings(usd_m_query="silent")) as (simulator, _, _):
        assert simulator.push_event("MARGIN_CALL") == heard


@FUTURES
async def test_a_key_in_the_query_of_coin_m_is_doubtful(venue: Venue) -> None:
    readings = Readings(coin_m_query="silent")
    async with attended(venue, "/ws?listenKey={key}", readings=readings) as (simulator, _, _):
        assert simulator.push_event("MARGIN_CALL") == (venue is USD_M)


async def test_an_allow_list_silences_the_expiry_too() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        some = "/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/MARGIN_CALL"
        more = "/ws?listenKey={key}&events=MARGIN_CALL/listenKeyExpired"
        async with listening(simulator, client, some) as deaf, listening(simulator, client, more) as told:
            assert simulator.push_event("ACCOUNT_UPDATE") == 0
            assert simulator.pushed[-1].connection is None
            assert simulator.push_event("ORDER_TRADE_UPDATE") == 1
            assert simulator.push_event("MARGIN_CALL") == 2
            assert simulator.expire_listen_keys() == 1
            assert [event["e"] for event in await deaf.events(2)] == ["ORDER_TRADE_UPDATE", "MARGIN_CALL"]
            assert [event["e"] for event in await told.events(2)] == ["MARGIN_CALL", "listenKeyExpired"]
            await deaf.nothing()
            expiry = [entry for entry in simulator.pushed if entry.type == "listenKeyExpired"]
            assert [entry.connection for entry in expiry] == [simulator.connections[-1]]


async def test_several_keys_with_a_list_each() -> None:
    readings = Readings(listen_key_per="key")
    async with simulated(USD_M, readings=readings) as simulator, Client.connected(simulator) as client:
        one, two = await listen_key(client, "ED"), await listen_key(client, "RSA")
        path = f"/stream?listenKey={one}&events=ORDER_TRADE_UPDATE&listenKey={two}&events=ACCOUNT_UPDATE"
        async with listening(simulator, client, path) as listener:
            simulator.push_event("ACCOUNT_UPDATE")
            simulator.push_event("ORDER_TRADE_UPDATE")
            simulator.push_event("MARGIN_CALL")
            told = await listener.events(2)
            assert [(message["stream"], message["data"]["e"]) for message in told] == [
                (two, "ACCOUNT_UPDATE"),
                (one, "ORDER_TRADE_UPDATE"),
            ]
            await listener.nothing()


@pytest.mark.parametrize("path", ["/ws/{key}", "/ws?listenKey={key}", "/stream?streams={key}", "/public/ws/{key}"])
async def test_a_socket_beside_the_private_route_is_accepted_and_silent(path: str) -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        key = await listen_key(client)
        base = str(simulator.stream_url).removesuffix("/private")
        async with connect(base + path.format(key=key)) as socket:
            assert await ask(socket, "SUBSCRIBE", key) == {"result": None}
            assert simulator.push_event("MARGIN_CALL") == 0
            simulator.expire_listen_keys()
            await Listener(simulator, socket).nothing()
            assert [entry.connection for entry in simulator.pushed] == [None, None]


@FUTURES
async def test_subscriptions_can_be_changed(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        key = await listen_key(client)
        async with connect(f"{simulator.stream_url}/stream") as socket:
            assert simulator.push_event("MARGIN_CALL") == 0
            assert await ask(socket, "SUBSCRIBE", key) == {"result": None}
            assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": [key]}
            simulator.push_event("MARGIN_CALL")
            assert json.loads(await socket.recv()) == {"stream": key, "data": simulator.pushed[-1].event}
            assert await ask(socket, "SET_PROPERTY", "combined", False) == {"result": None}
            assert await ask(socket, "GET_PROPERTY", "combined") == {"result": False}
            simulator.push_event("MARGIN_CALL")
            assert json.loads(await socket.recv()) == simulator.pushed[-1].event
            assert await ask(socket, "UNSUBSCRIBE", key) == {"result": None}
            assert simulator.push_event("MARGIN_CALL") == 0
            for wrong in (("SUBSCRIBE", 1), ("SUBSCRIBE",), ("GET_PROPERTY", "x"), ("order.place",)):
                assert (await ask(socket, *wrong))["error"]["code"] == 2


async def test_what_is_no_request_is_said_to_be_none() -> None:
    async with simulated() as simulator, connect(f"{simulator.stream_url}/ws") as socket:
        for text in ("nonsense", "[1]"):
            await socket.send(text)
            assert json.loads(await socket.recv())["error"]["code"] == 3


async def test_an_unknown_key_may_be_refused_by_a_subscription() -> None:
    readings = Readings(unknown_stream="refused")
    async with simulated(readings=readings) as simulator, connect(f"{simulator.stream_url}/ws") as socket:
        assert "-1125" not in json.dumps(await ask(socket, "LIST_SUBSCRIPTIONS"))
        assert (await ask(socket, "SUBSCRIBE", "nothing"))["error"]["code"] == 2
        assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": []}


@FUTURES
async def test_an_expired_key_opens_a_socket_that_hears_nothing(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        old = await listen_key(client)
        simulator.expire_listen_keys(tell=False)
        assert await listen_key(client) != old
        async with connect(f"{simulator.stream_url}{venue.stream_path.format(key=old)}") as socket:
            assert simulator.push_event("MARGIN_CALL") == 0
            await Listener(simulator, socket).nothing()
    async with simulated(venue, readings=Readings(unknown_stream="refused", usd_m_path="works")) as simulator:
        for path in ("/ws/nothing", "/ws?listenKey=nothing", "/stream?streams=nothing"):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(f"{simulator.stream_url}{path}")
            assert refusal.value.response.status_code == 403


@FUTURES
async def test_one_key_may_have_several_sockets_and_each_gets_everything(venue: Venue) -> None:
    async with attended(venue) as (simulator, client, one):
        async with listening(simulator, client) as two, listening(simulator, client, "/stream?streams={key}"):
            assert simulator.push_event("ACCOUNT_UPDATE") == 3
            assert await one.event() == await two.event()
            entries = list(simulator.pushed)
            assert [entry.number for entry in entries] == [1, 1, 1]
            assert [entry.connection for entry in entries] == simulator.connections[1:]
        await client.ask("session.status")
        await two.socket.wait_closed()
        assert simulator.push_event("ACCOUNT_UPDATE") == 1


@FUTURES
async def test_a_stop_by_another_client(venue: Venue) -> None:
    async with attended(venue) as (simulator, client, listener):
        key = await listen_key(client)
        assert simulator.stop_listen_keys() == 1
        assert await listener.event() == {"e": "listenKeyExpired", "E": client.now, "listenKey": key}
        assert simulator.push_event("ACCOUNT_UPDATE") == 0
        assert simulator.stop_listen_keys() == 0


async def test_an_expiry_that_closes_comes_first() -> None:
    async with attended(readings=Readings(expiry_closes_stream=True)) as (simulator, _, listener):
        simulator.expire_listen_keys(tell=True)
        assert (await listener.event())["e"] == "listenKeyExpired"
        with pytest.raises(ConnectionClosedOK):
            await listener.event()


@FUTURES
async def test_a_stream_socket_lives_24_hours_and_is_pinged(venue: Venue) -> None:
    clock = ManualClock()
    async with attended(venue, clock=clock) as (simulator, _, listener):
        connection = simulator.connections[-1]
        for _ in range(3):
            clock.advance(180)
            assert connection.pings
            await listener.nothing()
            assert not connection.pings, "answered"
        clock.advance(DAY - 540)
        await listener.socket.wait_closed()
        assert listener.socket.close_code == 1001


@FUTURES
async def test_a_client_that_says_too_much_is_thrown_out(venue: Venue) -> None:
    async with simulated(venue) as simulator, connect(f"{simulator.stream_url}/ws") as socket:
        for _ in range(10):
            assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": []}
        with pytest.raises(ConnectionClosedError) as closed:
            await ask(socket, "LIST_SUBSCRIPTIONS")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize(
    ("venue", "path"), [(COIN_M, "/private/ws/x"), (COIN_M, "/wsx"), (USD_M, "/other/ws/x"), (SPOT, "/stream")]
)
async def test_places_that_are_not_there(venue: Venue, path: str) -> None:
    async with Simulator(venue, clock=ManualClock()) as simulator:
        with pytest.raises(InvalidStatus) as refusal:
            await connect("/".join(simulator.url.split("/")[:3]) + path)
        assert refusal.value.response.status_code == 404


@pytest.mark.virtual
def test_a_day_of_a_stream_in_virtual_time() -> None:
    async def day() -> None:
        async with Simulator(COIN_M) as simulator, connect(simulator.url) as api:
            add_keys(simulator)
            client = Client(simulator, api)
            key = await listen_key(client)
            heard = []
            async with connect(f"{simulator.stream_url}/ws/{key}", ping_interval=None) as socket:
                for hour in range(23):
                    await asyncio.sleep(HOUR - 1)
                    assert (await client.ask("userDataStream.ping", apiKey="ED"))["result"] == {"listenKey": key}
                    assert simulator.push_event("MARGIN_CALL", cw=str(hour)) == 1
                    heard.append(json.loads(await socket.recv()))
                opened = simulator.connections[-1].connected_since
                simulator.push_event("MARGIN_CALL")
                heard.append(json.loads(await socket.recv()))
                heard.append(json.loads(await socket.recv()))
                assert heard[-1]["e"] == "listenKeyExpired"
                assert heard == [entry.event for entry in simulator.pushed]
                await socket.wait_closed()
                assert (socket.close_code, round(simulator.clock.time() - opened)) == (1001, DAY)

    run(day)
