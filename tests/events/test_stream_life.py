"""Opening, leaving and closing user data streams, and options that are refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from binance_session import COIN_M, SPOT, ConfigurationError, Session, SessionClosed
from binance_session.simulator import Fault, virtual
from tests.events.streams import number_of, push, streaming
from tests.exchange import ED25519, exchange, session_to


@pytest.mark.virtual
@pytest.mark.parametrize("turns", range(12))
async def test_stopping_on_exit_spares_a_stream_that_opens_meanwhile(turns: int) -> None:
    virtual.VirtualTimeLoop.running().network.latency = 0.05
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        first = await session.user_data_stream(stop_on_exit=True).__aenter__()
        leaving = asyncio.ensure_future(first.__aexit__(None, None, None))
        await asyncio.sleep(0.02 * turns)
        async with session.user_data_stream() as events:
            await asyncio.sleep(60.0)
            push(simulator, 1)
            while number_of(event := await anext(events)) != 1:
                assert event.is_gap or event.type == "listenKeyExpired"
        await leaving


@pytest.mark.virtual
@pytest.mark.parametrize("turns", [None, *range(0, 60, 3)])
async def test_closed_while_a_stream_is_being_opened(turns: int | None) -> None:
    """What is being dialled does not outlive the session."""
    async with exchange(enforce_limits=False) as simulator:
        session = session_to(simulator)
        await session.open()
        if turns is None:
            simulator.inject(Fault("slow_handshake", stream=True, delay=3.0))
        opening = asyncio.ensure_future(session.user_data_stream().__aenter__())
        if turns is None:
            await asyncio.sleep(1.0)
        for _ in range(turns or 0):
            await asyncio.sleep(0)
        await session.close()
        with contextlib.suppress(SessionClosed):
            await opening
        await asyncio.sleep(30.0)
        assert not simulator.connections


@pytest.mark.virtual
async def test_a_close_reason_that_names_the_key_shows_it_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with streaming() as (simulator, session, events):
        assert session.listen_key is not None
        key = session.listen_key.value
        simulator.inject(Fault("close_after_event", code=1008, reason=f"bad key {key}"))
        push(simulator, 1)
        await asyncio.sleep(5.0)
        received = [await anext(events) for _ in range(events.backlog)]
        assert "bad key" in received[-1].data["cause"]
        assert key not in caplog.text + str([event.data for event in received])
        assert key not in repr(vars(session._user_data.supplier)["_options"])


@pytest.mark.virtual
@pytest.mark.parametrize("tail", ["?token=abc", "#part", "/?token=abc"])
async def test_a_stream_url_with_a_query_is_refused(tail: str) -> None:
    """The key would become part of it: accepted by everybody, and silent for ever."""
    with pytest.raises(ConfigurationError, match="query"):
        Session(COIN_M, ED25519, stream_url="wss://example.com/base" + tail)


@pytest.mark.parametrize("venue", [SPOT, COIN_M])
async def test_another_event_loop_is_refused(venue: Any) -> None:
    async with exchange(venue) as simulator, session_to(simulator) as session:
        errors: list[BaseException] = []

        def elsewhere() -> None:
            try:
                asyncio.run(session.user_data_stream().__aenter__())
            except ConfigurationError as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert "event loop" in str(errors[0])


async def test_a_stream_that_keeps_nothing_has_nothing_to_read() -> None:
    async with streaming(options={"buffer": 0}) as (_, _, events):
        with pytest.raises(ConfigurationError, match="on_event"):
            await anext(events)
