"""Spot: what the bot subscribed to by itself ends with its connection, and that is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import SPOT, Event, Session
from binance_session.simulator import Simulator
from tests.events.streams import number_of, push
from tests.exchange import ED25519, HMAC, exchange, session_to, until


class Bot(Session):
    """Keeps what on_event got."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.seen: list[Any] = []
        self.gaps: list[Event] = []
        super().__init__(*args, **options)

    def on_event(self, event: Event) -> None:
        self.seen.append(number_of(event))
        if event.is_gap:
            self.gaps.append(event)


def lose(simulator: Simulator) -> None:
    simulator.connections[0].drop()


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("end", "why"), [(Simulator.broadcast_shutdown, "moved"), (lose, "reset")], ids=["moved", "lost"]
)
@pytest.mark.parametrize(
    ("credentials", "method"),
    [(ED25519, "userDataStream.subscribe"), (HMAC, "userDataStream.subscribe.signature")],
    ids=["logged on", "signed"],
)
async def test_its_end_is_a_gap_that_is_over_when_it_is_made_again(
    end: Any, why: str, credentials: Any, method: str
) -> None:
    """Told once on_event, with since and until; the events that come after it are heard."""
    async with exchange(SPOT) as simulator, session_to(simulator, credentials, kind=Bot) as bot:
        await bot.request(method)
        push(simulator, 1)
        await until(lambda: bot.seen == [1])
        before = simulator.clock.time() * 1000
        end(simulator)
        await asyncio.sleep(30.0)
        (gap,) = bot.gaps
        assert gap.data["over"] is False
        assert "your own subscription" in gap.data["cause"]
        assert why in gap.data["cause"]
        assert gap.data["since"] <= before + 2000 <= gap.data["until"] + 2000
        push(simulator, 2)
        await asyncio.sleep(1.0)
        assert bot.stats.gaps == 1
        await bot.request(method)
        push(simulator, 3)
        await until(lambda: bot.seen[-1] == 3)
        assert [each.data["over"] for each in bot.gaps] == [False, True]
        assert bot.gaps[1].data["since"] == gap.data["until"]
        assert bot.stats.gaps == 2
        assert 2 not in bot.seen


@pytest.mark.virtual
async def test_the_planned_move_tells_too() -> None:
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Bot, rollover_after=600.0) as bot:
        await bot.request("userDataStream.subscribe")
        await asyncio.sleep(650.0)
        assert bot.stats.connections == 2
        assert bot.stats.gaps == 1


@pytest.mark.virtual
async def test_what_is_made_again_in_time_is_no_gap() -> None:
    """The old connection is kept for a moment, and what happens meanwhile is heard."""
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Bot) as bot:
        await bot.request("userDataStream.subscribe")
        simulator.broadcast_shutdown()
        await until(lambda: bot.stats.connections == 2)
        push(simulator, 1)
        await bot.request("userDataStream.subscribe")
        push(simulator, 2)
        await asyncio.sleep(5.0)
        push(simulator, 3)
        await asyncio.sleep(1.0)
        assert bot.gaps == []
        assert {1, 2, 3} <= set(bot.seen)
        assert len(simulator.connections) == 1


@pytest.mark.virtual
async def test_what_was_ended_on_purpose_is_no_gap() -> None:
    """By unsubscribing, and by closing the session; a session that subscribed to nothing has none either."""
    async with exchange(SPOT) as simulator:
        async with session_to(simulator, kind=Bot) as bot:
            await bot.request("userDataStream.subscribe")
            await bot.request("userDataStream.unsubscribe")
            lose(simulator)
            await asyncio.sleep(5.0)
            assert bot.stats.connections == 2
            await bot.request("userDataStream.subscribe")
        assert bot.gaps == []
        async with session_to(simulator, kind=Bot) as idle:
            lose(simulator)
            await asyncio.sleep(5.0)
            assert idle.gaps == []


@pytest.mark.virtual
async def test_the_sessions_own_stream_is_not_taken_for_the_bots() -> None:
    """In user_data_stream() nothing changes: the subscription is made again, and its gap is told once."""
    async with (
        exchange(SPOT) as simulator,
        session_to(simulator, kind=Bot) as bot,
        bot.user_data_stream() as events,
    ):
        simulator.broadcast_shutdown()
        await asyncio.sleep(5.0)
        assert bot.stats.gaps == 0
        lose(simulator)
        await asyncio.sleep(5.0)
        assert bot.stats.gaps == 1
        push(simulator, 1)
        assert [number_of(await anext(events)) for _ in range(2)] == ["gap", 1]
        assert len(bot.gaps) == 1
