"""Stream sockets that are lost, paused and replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import COIN_M, SPOT, SessionClosed
from binance_session.simulator import Fault
from tests.events.streams import HOUR, push, sockets, streaming, take
from tests.exchange import until


@pytest.mark.virtual
async def test_a_refused_rollover_backs_off_and_leaves_dials_for_a_loss() -> None:
    async with streaming(rollover_after=600.0) as (simulator, _, events):
        fault = simulator.inject(Fault("refuse_handshake", stream=True, times=None))
        await asyncio.sleep(1200.0)
        assert fault.struck < 80
        fault.remove()
        sockets(simulator)[0].drop()
        await asyncio.sleep(60.0)
        push(simulator, 1)
        assert await take(events, 2) == ["gap", 1]


@pytest.mark.virtual
async def test_a_loss_during_a_held_rollover_is_told() -> None:
    """The stream's host wants no connection for hours, and then the only one is gone."""
    async with streaming(rollover_after=600.0) as (simulator, _, events):
        await asyncio.sleep(500.0)
        until_then = int((simulator.clock.time() + 7200) * 1000)
        simulator.inject(Fault("refuse_handshake", stream=True, status=418, retry_after=until_then))
        await asyncio.sleep(120.0)
        sockets(simulator)[0].drop()
        push(simulator, 1)
        await asyncio.sleep(HOUR)
        assert await take(events, events.backlog) == ["gap"]


@pytest.mark.virtual
async def test_a_pause_holds_for_a_socket_that_is_being_dialled() -> None:
    """Nothing is read beyond what was on its way, however long the reader rests."""
    pausing = {"buffer": 10, "on_full": "pause"}
    async with streaming(rollover_after=100.0, options=pausing) as (simulator, session, events):
        simulator.inject(Fault("slow_handshake", stream=True, delay=3.0))
        source: Any = session._user_data.supplier
        await until(lambda: len(source._sockets) == 2)
        for number in range(20_000):
            push(simulator, number)
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(100.0)
        assert max(len(socket._kept or ()) for socket in source._sockets) < 5000
        assert await take(events, 20_000) == list(range(20_000))
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_a_pause_that_comes_again_at_once_holds_for_both_sockets() -> None:
    pausing = {"buffer": 10, "on_full": "pause"}
    async with streaming(rollover_after=100.0, options=pausing) as (simulator, session, events):
        source: Any = session._user_data.supplier
        await until(lambda: len(source._sockets) == 2 and session.stats.stream_connections == 2)
        simulator.inject(Fault("merged_event"))
        for number in range(100):
            push(simulator, number)
        await asyncio.sleep(5.0)
        assert await take(events, 6) == list(range(6))  # reads on, and has enough again
        await asyncio.sleep(5.0)
        for number in range(100, 20_000):
            push(simulator, number)
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(100.0)
        assert session._user_data.feed._copies.held < 5000
        assert max(len(socket._kept or ()) for socket in source._sockets) < 5000
        assert await take(events, 19_994) == list(range(6, 20_000))


@pytest.mark.virtual
async def test_what_came_while_the_next_socket_was_dialled_may_come_again() -> None:
    """An event that says the same half a minute later is another one."""
    async with streaming(rollover_after=100.0) as (simulator, session, events):
        simulator.inject(Fault("slow_handshake", stream=True, delay=3.0))
        source: Any = session._user_data.supplier
        await until(lambda: len(source._sockets) == 2)
        simulator.push({"e": "NOTICE", "E": 0, "text": "margin low"})
        await until(lambda: session.stats.stream_connections == 2)
        await asyncio.sleep(20.0)
        simulator.push({"e": "NOTICE", "E": 0, "text": "margin low"})
        await asyncio.sleep(1.0)
        assert await take(events, events.backlog) == ["NOTICE", "NOTICE"]


@pytest.mark.virtual
async def test_a_handover_respects_a_pause() -> None:
    """All that the new socket brought in the seconds before it leads, but not at once."""
    pausing = {"buffer": 100, "on_full": "pause"}
    async with streaming(rollover_after=100.0, ping_interval=None, options=pausing) as (simulator, session, events):
        await asyncio.sleep(85.0)
        simulator.inject(Fault("half_open", event="ACCOUNT_CONFIG_UPDATE"))
        push(simulator, -1)
        await until(lambda: session.stats.stream_connections == 2)
        for number in range(1000):
            push(simulator, number)
            await asyncio.sleep(0.005)
        await asyncio.sleep(20.0)
        assert await take(events, 1001) == ["gap", *range(1000)]
        assert events.high_water <= 101  # a gap is told whatever the buffer


@pytest.mark.virtual
@pytest.mark.parametrize("venue", [COIN_M, SPOT])
async def test_the_streams_task_cancelled_from_outside(venue: Any) -> None:
    async with streaming(venue) as (_, session, events):
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"{session.name}: user data stream"]
        task.cancel()
        with pytest.raises(SessionClosed, match="cancelled"):
            await anext(events)
        async with session.user_data_stream():
            pass
