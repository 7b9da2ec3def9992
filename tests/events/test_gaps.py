"""How far back a gap reaches, and how often it is delivered."""

from __future__ import annotations

import asyncio

import pytest

from binance_session.simulator import Fault
from tests.events.streams import HOUR, push, sockets, streaming, take


@pytest.mark.virtual
async def test_a_gap_reaches_back_to_when_the_key_was_last_known_to_live() -> None:
    """Pings show that the line works, and not that its key does: it ended in silence before the line was cut."""
    async with streaming() as (simulator, _, events):
        await asyncio.sleep(100.0)
        simulator.expire_listen_keys(tell=False)
        await asyncio.sleep(100.0)
        missed = simulator.clock.time() * 1000
        push(simulator, 1)
        await asyncio.sleep(100.0)
        sockets(simulator)[0].drop()
        gap = await anext(events)
        assert gap.data["since"] <= missed <= gap.data["until"]


@pytest.mark.virtual
async def test_a_gap_reaches_back_to_when_the_line_was_last_known_to_work() -> None:
    """The other way round: half-open for a while, and then its key is replaced."""
    async with streaming(ping_interval=300.0) as (simulator, session, events):
        await asyncio.sleep(10.0)
        simulator.inject(Fault("half_open", event="ACCOUNT_CONFIG_UPDATE"))
        missed = simulator.clock.time() * 1000
        push(simulator, 1)
        await asyncio.sleep(100.0)
        await session.ping_user_data_stream()
        for key in simulator.exchange.state.listen_keys.all_of(simulator.exchange.account):
            simulator.exchange.state.listen_keys.expire(key, tell=False)
        await session.start_user_data_stream()
        gap = await anext(events)
        assert gap.data["since"] <= missed <= gap.data["until"]


@pytest.mark.virtual
async def test_a_gap_is_told_again_after_one_was_told_so_far() -> None:
    """The suspicion that the key has lapsed is told; then the socket is lost, and both hosts are away for hours."""
    async with streaming() as (simulator, _, events):
        simulator.inject(Fault("lose_event", event="listenKeyExpired"))
        simulator.inject(Fault("refuse_handshake", times=None))
        next(connection for connection in simulator.connections if not connection.stream).drop()
        await asyncio.sleep(3700.0)
        assert await take(events, events.backlog) == ["gap"]
        sockets(simulator)[0].drop()
        await asyncio.sleep(HOUR)
        assert "gap" in await take(events, events.backlog)
