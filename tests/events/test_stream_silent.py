"""What a session hears on the forms of the stream's address that the sources disagree about (PROTOCOL.md §1.2, §11)."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve

from binance_session import COIN_M, USD_M, USD_M_TESTNET, Venue
from binance_session.simulator import Readings
from tests.exchange import exchange, session_to

HOUR = 3600.0
BY_PATH = "/ws/{key}"
FILTERED = "/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE"


def market(venue: Venue) -> dict[str, str]:
    symbol = "BTCUSD_PERP" if venue.name == "COIN-M" else "BTCUSDT"
    return {"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("venue", "readings", "heard"),
    [
        (COIN_M, Readings(), True),
        (USD_M, Readings(), True),
        (evolve(USD_M, stream_path=BY_PATH), Readings(), False),
        (evolve(USD_M, stream_path=BY_PATH), Readings(usd_m_path="works"), True),
        (USD_M, Readings(usd_m_query="silent"), False),
        (evolve(USD_M, stream_path=FILTERED), Readings(usd_m_query="silent"), True),
        (evolve(USD_M_TESTNET, stream_path=BY_PATH), Readings(), True),
        (evolve(COIN_M, stream_path="/ws?listenKey={key}"), Readings(), True),
        (evolve(COIN_M, stream_path="/ws?listenKey={key}"), Readings(coin_m_query="silent"), False),
    ],
)
async def test_a_form_that_is_silent_looks_like_one_that_works(venue: Venue, readings: Readings, heard: bool) -> None:
    """Connected, pinged, and its listenKey extended: nothing but the event itself tells that events come."""
    async with (
        exchange(venue, readings=readings) as simulator,
        session_to(simulator) as session,
        session.user_data_stream() as events,
    ):
        await session.request("order.place", market(venue))
        told = [entry.connection is not None for entry in simulator.pushed if entry.type == "ORDER_TRADE_UPDATE"]
        assert told == [heard] * 2, "NEW and FILLED"
        if heard:
            assert (await anext(events)).type == "ORDER_TRADE_UPDATE"
        await asyncio.sleep(HOUR)
        assert session.listen_key is not None
        assert session.stats.stream_connections == 1
        assert session.stats.failed_pings == 0
        await session.request("order.place", market(venue))
        assert (simulator.pushed[-1].connection is not None) == heard


@pytest.mark.virtual
@pytest.mark.parametrize(("path", "told"), [(USD_M.stream_path, True), (FILTERED, False)])
async def test_an_allow_list_hides_the_expiry_and_a_ping_finds_it(path: str, told: bool) -> None:
    venue = evolve(USD_M, stream_path=path)
    async with (
        exchange(venue) as simulator,
        session_to(simulator) as session,
        session.user_data_stream() as events,
    ):
        first = session.listen_key
        assert first is not None
        simulator.expire_listen_keys()
        assert (simulator.pushed[-1].connection is not None) == told
        await asyncio.sleep(1.0)
        assert session.listen_key is not None
        assert (session.listen_key.value != first.value) == told, "who is told acts at once"
        await asyncio.sleep(HOUR)
        assert session.listen_key.value != first.value, "who is not learns it from userDataStream.ping"
        assert [event.is_gap for event in [await anext(events) for _ in range(events.backlog)]].count(True) == 1
        await session.request("order.place", market(venue))
        assert (await anext(events)).type == "ORDER_TRADE_UPDATE"


@pytest.mark.virtual
@pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
async def test_a_key_that_does_not_exist_is_accepted_in_silence(venue: Venue) -> None:
    """The socket of a key that has ended is as well as any other, until a ping asks for the key."""
    async with (
        exchange(venue) as simulator,
        session_to(simulator) as session,
        session.user_data_stream() as events,
    ):
        first = session.listen_key
        assert first is not None
        simulator.expire_listen_keys(tell=False)
        await session.request("order.place", market(venue))
        assert {entry.connection for entry in simulator.pushed} == {None}
        await asyncio.sleep(HOUR)
        assert session.listen_key is not None
        assert session.listen_key.value != first.value
        assert (await anext(events)).is_gap
        await session.request("order.place", market(venue))
        assert (await anext(events)).type == "ORDER_TRADE_UPDATE"
