"""Spot: the subscription on the API connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from binance_session import (
    SPOT,
    BinanceSessionError,
    Event,
    HmacKey,
    RateLimited,
    RequestTimeout,
    Session,
    SessionClosed,
    SessionState,
)
from binance_session.simulator import Fault
from binance_session.simulator.accounts import Account
from tests.events.streams import HOUR, number_of, push, streaming, take
from tests.exchange import exchange, requests, session_to, until

OTHER = HmacKey("other" * 12, "s" * 64)


class Hooked(Session):
    """Keeps what on_event got."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.seen: list[Any] = []
        super().__init__(*args, **options)

    def on_event(self, event: Event) -> None:
        self.seen.append(number_of(event))


class Steered:
    """A reconnect policy that can be told to give up."""

    gives_up = False

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return None if self.gives_up else 0.0


@pytest.mark.virtual
async def test_spot_closed_while_a_stream_is_being_opened() -> None:
    async with exchange(SPOT) as simulator:
        session = session_to(simulator, request_timeout=HOUR)
        await session.open()
        simulator.inject(Fault("no_answer", method="userDataStream.subscribe"))
        opening = asyncio.ensure_future(session.user_data_stream().__aenter__())
        await asyncio.sleep(1.0)
        await session.close()
        with pytest.raises(SessionClosed):
            await opening


@pytest.mark.virtual
async def test_spot_another_accounts_subscription_is_not_taken_for_ours() -> None:
    """After an answer that was lost, there may be one of ours that we do not know: another connection has none."""
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        other = Account()
        simulator.add_key(OTHER.api_key, secret=OTHER.secret, account=other)
        simulator.inject(Fault("no_answer", method="userDataStream.subscribe"))
        with pytest.raises(RequestTimeout):
            await session.user_data_stream().__aenter__()
        await session.request("userDataStream.subscribe.signature", credentials=OTHER)
        async with session.user_data_stream() as events:
            simulator.push_event("balanceUpdate", account=other, d="666")
            push(simulator, 1)
            assert await take(events, 1) == [1]
            await asyncio.sleep(5.0)
            assert events.backlog == 0
        assert session.stats.connections == 2


@pytest.mark.virtual
async def test_spot_events_of_others_are_not_swallowed_while_we_subscribe() -> None:
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Hooked) as session:
        other = Account()
        simulator.add_key(OTHER.api_key, secret=OTHER.secret, account=other)
        await session.request("userDataStream.subscribe.signature", credentials=OTHER)
        simulator.inject(Fault("no_answer", method="userDataStream.subscribe"))
        opening = asyncio.ensure_future(session.user_data_stream().__aenter__())
        await asyncio.sleep(1.0)
        simulator.push_event("balanceUpdate", account=other, d="7")
        with pytest.raises(RequestTimeout):
            await opening
        assert session.seen == [7]


@pytest.mark.virtual
async def test_spot_a_connection_that_ends_behind_the_first_answer_does_not_count() -> None:
    """Whoever opens a stream has one when that returns: on the next connection."""
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        simulator.inject(Fault("drop_after", method="userDataStream.subscribe"))
        async with session.user_data_stream() as events:
            push(simulator, 1)
            assert await take(events, 1) == [1]
        assert session.stats.connections == 2


@pytest.mark.virtual
async def test_spot_the_policy_is_not_asked_for_what_was_not_lost() -> None:
    """Neither for the first subscription nor for that of a planned move."""
    policy = Steered()
    async with (
        exchange(SPOT, enforce_limits=False) as simulator,
        session_to(simulator, reconnect=policy, rollover_after=100.0) as session,
    ):
        policy.gives_up = True
        async with session.user_data_stream() as events:
            await asyncio.sleep(150.0)
            assert session.stats.connections == 2
            push(simulator, 1)
            assert await take(events, 1) == [1]
            policy.gives_up = False


@pytest.mark.virtual
async def test_spot_a_revoked_logon_is_a_gap_from_then_on() -> None:
    """Although another logon takes minutes, because the exchange wants no requests."""
    async with streaming(SPOT) as (simulator, session, events):
        await asyncio.sleep(5.0)
        now = int(simulator.clock.time() * 1000)
        data = {"serverTime": now, "retryAfter": now + 120_000}
        simulator.inject(Fault("error", method="account.commission", status=429, code=-1003, msg="wait", data=data))
        simulator.inject(Fault("revoke", method="account.status"))
        calls = [session.submit("account.commission"), session.submit("account.status")]
        await asyncio.gather(*calls, return_exceptions=True)
        for connection in simulator.connections:
            connection.subscriptions.clear()
        push(simulator, 1)
        await asyncio.sleep(100.0)
        first = await anext(events)
        assert first.data["since"] <= now <= first.data["until"]
        await asyncio.sleep(100.0)
        push(simulator, 2)
        second = await anext(events)
        assert second.data["since"] == first.data["until"]
        assert await take(events, 1) == [2]


@pytest.mark.virtual
async def test_spot_leaving_sends_nothing_into_a_ban() -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        async with session.user_data_stream():
            now = int(simulator.clock.time() * 1000)
            data = {"serverTime": now, "retryAfter": now + 600_000}
            simulator.inject(Fault("error", method="account.status", status=418, code=-1003, msg="banned", data=data))
            with pytest.raises(RateLimited):
                await session.request("account.status")
            count = len(requests(simulator))
        await asyncio.sleep(1.0)
        assert len(requests(simulator)) == count


@pytest.mark.virtual
async def test_spot_cancelled_while_it_subscribes_and_opened_again() -> None:
    """The first subscription may stand and be nobody's: the second is made on another connection."""
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        opening = asyncio.ensure_future(session.user_data_stream().__aenter__())
        await until(lambda: requests(simulator, "userDataStream.subscribe"))
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, BinanceSessionError):
            await opening
        async with session.user_data_stream() as events:
            push(simulator, 1)
            assert await take(events, 1) == [1]


@pytest.mark.virtual
async def test_spot_a_stream_is_not_opened_into_a_ban() -> None:
    async with exchange(SPOT, enforce_limits=False) as simulator, session_to(simulator) as session:
        now = int(simulator.clock.time() * 1000)
        data = {"serverTime": now, "retryAfter": now + 600_000}
        simulator.inject(Fault("error", method="account.status", status=429, code=-1003, msg="wait", data=data))
        with pytest.raises(RateLimited):
            await session.request("account.status")
        with pytest.raises(RateLimited, match="out of request weight"):
            await session.user_data_stream().__aenter__()


@pytest.mark.virtual
async def test_spot_a_subscription_that_nobody_waited_for_does_not_live_on() -> None:
    """Its answer came late, to a stream that was given up: with the next one it goes."""
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Hooked) as session:
        simulator.inject(Fault("late_answer", method="userDataStream.subscribe", delay=1.0))
        opening = asyncio.ensure_future(session.user_data_stream().__aenter__())
        await asyncio.sleep(0.5)
        opening.cancel()
        await asyncio.sleep(5.0)
        async with session.user_data_stream() as events:
            push(simulator, 1)
            assert await take(events, 1) == [1]
        await asyncio.sleep(5.0)
        push(simulator, 2)
        await asyncio.sleep(1.0)
        assert 2 not in session.seen


@pytest.mark.virtual
async def test_spot_a_connection_that_cannot_be_replaced_is_tried_again() -> None:
    async with streaming(SPOT) as (simulator, _, events):
        simulator.inject(Fault("no_answer", method="userDataStream.subscribe"))
        simulator.connections[0].drop()
        await asyncio.sleep(5.0)
        simulator.inject(Fault("reject_logon", times=5))
        await asyncio.sleep(20.0)
        (connection,) = simulator.connections
        connection.subscriptions.clear()
        await asyncio.sleep(100.0)
        push(simulator, 1)
        await asyncio.sleep(1.0)
        assert (await take(events, events.backlog))[-1] == 1


@pytest.mark.virtual
async def test_spot_closed_in_the_turn_in_which_it_became_ready() -> None:
    """Somebody else waited for READY too, was first, and closed the session: no stream is begun on it."""
    async with exchange(SPOT) as simulator:
        session = session_to(simulator)
        await session.open()
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)

        async def close() -> None:
            await session.wait_for(SessionState.READY)
            await session.close()

        closing = asyncio.ensure_future(close())
        await asyncio.sleep(0)
        with pytest.raises(SessionClosed):
            await session.user_data_stream().__aenter__()
        await closing
