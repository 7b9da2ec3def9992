"""Each fault of the stream side, as a listener meets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from binance_session.simulator import FAULTS, Fault, ManualClock, Readings, Simulator
from binance_session.simulator.behaviours import Kind
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.simulator.client import Client, simulated
from tests.simulator.listener import Listener, attended, listen_key, listening

CALL, CONFIG, UPDATE = "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "ORDER_TRADE_UPDATE"


@asynccontextmanager
async def heard(
    fault: Fault | None = None, *, venue: Venue = COIN_M, **options: Any
) -> AsyncIterator[tuple[Simulator, Listener, ManualClock]]:
    clock = ManualClock()
    async with attended(venue, clock=clock, **options) as (simulator, _, listener):
        if fault is not None:
            simulator.inject(fault)
        yield simulator, listener, clock


def record(simulator: Simulator) -> list[tuple[str, str | None, bool]]:
    return [(entry.type, entry.fault, entry.lost) for entry in simulator.pushed]


async def test_lose_event() -> None:
    async with heard(Fault("lose_event", event=CALL, nth=2)) as (simulator, listener, _):
        for name in (CALL, CONFIG, CALL, CALL):
            assert simulator.push_event(name) == 1
        assert [event["e"] for event in await listener.events(3)] == [CALL, CONFIG, CALL]
        assert record(simulator)[1:3] == [(CONFIG, None, False), (CALL, "lose_event", True)]


async def test_a_silent_socket_is_pinged_all_the_same() -> None:
    fault = Fault("lose_event", connection=2, times=None)
    async with heard(fault) as (simulator, listener, clock), connect(listener.simulator.url) as socket:
        key = await listen_key(Client(simulator, socket))
        async with connect(f"{simulator.stream_url}/ws/{key}") as other:
            assert simulator.push_event(CALL) == 2
            assert json.loads(await other.recv())["e"] == CALL
        clock.advance(180)
        await listener.nothing()
        assert not simulator.connections[1].pings
        assert record(simulator) == [(CALL, "lose_event", True), (CALL, None, False)]


async def test_half_open() -> None:
    async with heard(Fault("half_open", nth=2)) as (simulator, listener, clock):
        simulator.push_event(CALL)
        assert (await listener.event())["e"] == CALL
        simulator.push_event(CALL)
        simulator.push_event(CONFIG)
        assert record(simulator)[1:] == [(CALL, "half_open", True), (CONFIG, "half_open", True)]
        await listener.socket.send("anybody there?")
        pong = asyncio.ensure_future(await listener.socket.ping())
        clock.advance(200)
        async with Client.connected(simulator) as client:
            assert (await client.ask("session.status"))["status"] == 200
        assert not pong.done()
        pong.cancel()
        assert simulator.received[-1].method == "session.status"
        listener.socket.transport.abort()


async def test_a_half_open_connection_by_hand() -> None:
    async with heard() as (simulator, listener, _):
        simulator.connections[-1].mute()
        assert simulator.push_event(CALL) == 1
        assert record(simulator) == [(CALL, "half_open", True)]
        listener.socket.transport.abort()


@pytest.mark.parametrize(("name", "arrives"), [("drop_before_event", False), ("drop_after_event", True)])
async def test_drops(name: str, arrives: bool) -> None:
    async with heard(Fault(name)) as (simulator, listener, _):
        simulator.push_event(CALL)
        if arrives:
            assert (await listener.event())["e"] == CALL
        with pytest.raises(ConnectionClosedError) as closed:
            await listener.event()
        assert closed.value.rcvd is None
        assert record(simulator) == [(CALL, name, not arrives)]
        assert simulator.push_event(CALL) == 0


async def test_close_after_event() -> None:
    async with heard(Fault("close_after_event", code=1000, reason="bye")) as (simulator, listener, _):
        simulator.push_event(CALL)
        assert simulator.push_event(CONFIG) == 0, "nobody hears what comes after the closing has begun"
        assert (await listener.event())["e"] == CALL
        with pytest.raises(ConnectionClosedOK) as closed:
            await listener.event()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason == "bye"


async def test_late_event() -> None:
    async with heard(Fault("late_event", delay=2.0)) as (simulator, listener, clock):
        for name in (CALL, CONFIG, CALL):
            simulator.push_event(name)
        clock.advance(1.9)
        await listener.nothing()
        clock.advance(0.1)
        events = await listener.events(3)
        assert [event["e"] for event in events] == [CALL, CONFIG, CALL], "those behind it wait"
        assert events[0]["E"] == int(clock.time() * 1000) - 2000
        simulator.push_event(CONFIG)
        assert (await listener.event())["e"] == CONFIG


async def test_late_events_add_up() -> None:
    async with heard(Fault("late_event", times=2, delay=1.0)) as (simulator, listener, clock):
        simulator.push_event(CALL)
        simulator.push_event(CONFIG)
        clock.advance(1)
        assert (await listener.event())["e"] == CALL
        await listener.nothing()
        clock.advance(1)
        assert (await listener.event())["e"] == CONFIG


async def test_an_event_that_is_late_for_its_socket_is_lost() -> None:
    async with heard(Fault("late_event", delay=2.0)) as (simulator, listener, clock):
        simulator.push_event(CALL)
        await listener.socket.close()
        clock.advance(2)
        assert simulator.push_event(CALL) == 0


@pytest.mark.parametrize("apart", [0.0, 0.5])
async def test_duplicate_event(apart: float) -> None:
    async with heard(Fault("duplicate_event", apart=apart)) as (simulator, listener, clock):
        simulator.push_event(CALL)
        simulator.push_event(CONFIG)
        clock.advance(apart)
        assert [event["e"] for event in await listener.events(3)] == [CALL, CALL, CONFIG]


async def test_doubled_expiry() -> None:
    async with heard(Fault("doubled_expiry")) as (simulator, listener, clock):
        simulator.push_event(CALL)
        simulator.expire_listen_keys()
        assert (await listener.event())["e"] == CALL
        first = await listener.event()
        await listener.nothing()
        clock.advance(0.014)
        assert await listener.event() == first
        assert first["e"] == "listenKeyExpired"


async def test_nameless_expiry() -> None:
    async with heard(Fault("nameless_expiry")) as (simulator, listener, _):
        simulator.expire_listen_keys()
        assert await listener.event() == {"e": "listenKeyExpired", "E": simulator.pushed[-1].event["E"]}


@pytest.mark.parametrize("venue", [COIN_M, SPOT], ids=lambda venue: venue.name)
async def test_text_time(venue: Venue) -> None:
    async with heard(Fault("text_time"), venue=venue) as (simulator, listener, clock):
        name = "balanceUpdate" if venue is SPOT else CALL
        simulator.push_event(name)
        assert await listener.event() == {**simulator.pushed[-1].event, "E": str(int(clock.time() * 1000))}


@pytest.mark.parametrize("name", ["malformed_event", "unknown_event"])
async def test_something_comes_before_the_event(name: str) -> None:
    async with heard(Fault(name, text="hello")) as (simulator, listener, _):
        simulator.push_event(CALL)
        assert await listener.socket.recv() == "hello"
        assert (await listener.event())["e"] == CALL


async def test_fragmented_and_split_events_arrive() -> None:
    async with heard(Fault("fragmented_event", pieces=4)) as (simulator, listener, _):
        simulator.inject(Fault("split_event", size=5))
        simulator.push_event(CALL)
        pieces = [piece async for piece in listener.socket.recv_streaming()]
        assert len(pieces) == 4
        simulator.push_event(CALL)
        simulator.push_event(CONFIG)
        assert [event["e"] for event in await listener.events(2)] == [CALL, CONFIG]


async def test_merged_events(monkeypatch: pytest.MonkeyPatch) -> None:
    async with heard(Fault("merged_event", wait=0.25)) as (simulator, listener, clock):
        segments: list[bytes] = []
        receive = listener.socket.data_received

        def data_received(data: bytes) -> None:
            segments.append(data)
            receive(data)

        monkeypatch.setattr(listener.socket, "data_received", data_received)
        listener.socket.transport.set_protocol(listener.socket)  # uvloop looks the method up here, once
        for name in (CALL, CONFIG, UPDATE):
            simulator.push_event(name)
        await listener.nothing()
        segments.clear()
        clock.advance(0.25)
        assert [event["e"] for event in await listener.events(3)] == [CALL, CONFIG, UPDATE]
        simulator.push_event(CALL)
        assert (await listener.event())["e"] == CALL
        assert len(segments) == 2


@pytest.mark.parametrize("pushed", [True, False])
async def test_stopped_elsewhere(pushed: bool) -> None:
    readings = Readings(stop_pushes_expired=pushed)
    async with heard(Fault("stopped_elsewhere", event=CALL), readings=readings) as (simulator, listener, _):
        simulator.push_event(CONFIG)
        simulator.push_event(CALL)
        assert simulator.push_event(CALL) == 0
        assert (await listener.event())["e"] == CONFIG
        if pushed:
            assert (await listener.event())["e"] == "listenKeyExpired"
        await listener.nothing()


@pytest.mark.parametrize("tell", [True, False])
async def test_expired_early(tell: bool) -> None:
    readings = Readings(expiry_closes_stream=True)
    async with heard(Fault("expired_early", tell=tell), readings=readings) as (simulator, listener, _):
        simulator.push_event(CALL)
        assert simulator.push_event(CALL) == 0
        if not tell:
            await listener.nothing()
            return
        assert (await listener.event())["e"] == "listenKeyExpired"
        with pytest.raises(ConnectionClosedOK):
            await listener.event()


async def test_a_refused_stream_handshake() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        key = await listen_key(client)
        injected = simulator.inject(Fault("refuse_handshake", stream=True))
        async with Client.connected(simulator) as other:
            assert (await other.ask("time"))["status"] == 200, "the API socket is not meant"
        with pytest.raises(InvalidStatus):
            await connect(f"{simulator.stream_url}/ws?listenKey={key}", process_exception=lambda exception: exception)
        assert injected.struck == 1
        simulator.inject(Fault("refuse_handshake", stream=False))
        async with connect(f"{simulator.stream_url}/ws?listenKey={key}"):
            assert simulator.push_event(CALL) == 1


def test_a_selector_that_a_fault_does_not_know_is_refused() -> None:
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("late_event", {"method": "x"}),
        ("late_event", {"stream": True}),
        ("error", {"event": "x"}),
        ("refuse_handshake", {"event": "x"}),
    )
    for name, selector in wrong:
        with pytest.raises(ValueError, match=f"which have no {next(iter(selector))}"):
            Fault(name, **selector)
    assert Fault("doubled_expiry").event == "listenKeyExpired"
    assert Fault("doubled_expiry", event=CALL).event == CALL


async def test_events_are_chosen_by_what_is_in_them() -> None:
    async with heard(Fault("lose_event", when=lambda event: event["cw"] == "2")) as (simulator, listener, _):
        for wallet in "123":
            simulator.push_event(CALL, cw=wallet)
        assert [event["cw"] for event in await listener.events(2)] == ["1", "3"]


EVENT_FAULTS = sorted(name for name, registered in FAULTS.items() if registered.kind is Kind.EVENT)


@pytest.mark.parametrize("name", EVENT_FAULTS)
@pytest.mark.parametrize("venue", [USD_M, SPOT], ids=lambda venue: venue.name)
async def test_every_event_fault_leaves_a_server_that_serves(name: str, venue: Venue) -> None:
    async with heard(venue=venue) as (simulator, listener, clock):
        kind = "balanceUpdate" if venue is SPOT else CALL
        injected = simulator.inject(Fault(name, event=kind))
        simulator.push_event(kind)
        assert injected.struck == 1
        assert FAULTS[name].behaviour.__doc__
        clock.advance(1)
        async with Client.connected(simulator) as client:
            assert (await client.ask("session.status"))["status"] == 200
            if venue is USD_M:
                async with listening(simulator, client) as other:
                    simulator.push_event(CALL)
                    assert (await other.event())["e"] == CALL
        if simulator.connections and simulator.connections[-1].muted:
            listener.socket.transport.abort()
    assert clock.pending == 0


async def test_what_a_consumer_saw_and_the_record_agree() -> None:
    """The promise of ``pushed``: what is in it for a connection, and not lost, is what that connection got."""
    async with heard(Fault("lose_event", nth=3)) as (simulator, listener, clock):
        simulator.inject(Fault("late_event", nth=5, delay=1.0))
        simulator.inject(Fault("drop_after_event", nth=9))
        seen: list[Any] = []

        async def consume() -> None:
            try:
                while True:
                    seen.append(await listener.event())
            except ConnectionClosed:
                pass

        consumer = asyncio.ensure_future(consume())
        for number in range(15):
            simulator.push_event(CALL, cw=str(number))
        clock.advance(1)
        await consumer
        for number in range(15, 18):
            simulator.push_event(CALL, cw=str(number))
        socket = simulator.pushed[0].connection
        assert [entry.event for entry in simulator.pushed if entry.connection is socket and not entry.lost][
            : len(seen)
        ] == seen
        assert [entry.connection for entry in simulator.pushed][-3:] == [None] * 3
