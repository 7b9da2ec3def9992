"""A listenKey that ends, is given up, or is replaced by another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import FixedInterval, SessionClosed, SessionState
from binance_session.simulator import Fault
from tests.events.streams import HOUR, number_of, push, sockets, streaming, take
from tests.exchange import ED25519, HMAC, exchange, session_to


@pytest.mark.virtual
async def test_a_start_that_was_given_up_is_not_joined() -> None:
    """Its answer belongs to nobody; whoever comes next starts a key that is kept."""
    async with exchange() as simulator, session_to(simulator, HMAC) as session:
        simulator.inject(Fault("late_answer", method="userDataStream.start", delay=2.0))
        first = asyncio.ensure_future(session.user_data_stream().__aenter__())
        await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.wait([first])
        async with session.user_data_stream() as events:
            await asyncio.sleep(5.0)
            push(simulator, 1)
            assert await take(events, 1) == [1]


@pytest.mark.virtual
async def test_a_ping_that_ends_with_the_session_does_not_end_the_streams() -> None:
    """It waits for the logon that is refused: readers are told why the session ended, not that it was asked for."""
    async with streaming(keepalive=FixedInterval(0.5)) as (simulator, session, events):
        simulator.inject(Fault("late_answer", method="session.logon", delay=2.0))
        simulator.revoke(ED25519.api_key)
        with pytest.raises(SessionClosed, match="refused a new one"):
            await anext(events)
        assert session.state is SessionState.FAILED
        assert session.listen_key is None


@pytest.mark.virtual
async def test_a_key_that_is_gone_and_cannot_be_replaced_is_told() -> None:
    async with streaming() as (simulator, session, events):
        simulator.inject(Fault("error", method="userDataStream.start", status=503, code=-1008, times=None))
        await asyncio.sleep(60.0)
        simulator.expire_listen_keys(tell=False)
        await asyncio.sleep(HOUR)
        assert session.stats.failed_pings > 10
        assert await take(events, events.backlog) == ["gap"]


@pytest.mark.virtual
async def test_a_key_that_was_replaced_while_the_streams_host_is_away_is_told() -> None:
    """And the host is not dialled without a pause, although the old socket is healthy."""
    async with streaming() as (simulator, session, events):
        await asyncio.sleep(60.0)
        fault = simulator.inject(Fault("refuse_handshake", stream=True, times=None))
        simulator.expire_listen_keys(tell=False)
        await asyncio.sleep(HOUR)
        assert len(session.keys) >= 2
        assert await take(events, events.backlog) == ["gap"]
        assert fault.struck < HOUR / 10


@pytest.mark.virtual
@pytest.mark.parametrize("time", ["-" + "9" * 400, "9" * 30, -5, True, None])
async def test_an_absurd_time_of_an_expiry_is_not_believed(time: Any) -> None:
    async with streaming() as (simulator, session, events):
        assert session.listen_key is not None
        began = simulator.clock.time() * 1000
        await asyncio.sleep(100.0)
        sockets(simulator)[0].send({"e": "listenKeyExpired", "E": time, "listenKey": session.listen_key.value})
        simulator.expire_listen_keys(tell=False)
        await asyncio.sleep(30.0)
        push(simulator, 1)
        received = [await anext(events) for _ in range(3)]
        assert [number_of(event) for event in received] == ["listenKeyExpired", "gap", 1]
        gap = received[1].data
        assert began <= gap["since"] <= gap["until"] <= simulator.clock.time() * 1000
