"""``sockets=2`` on Spot: a subscription on the standby connection too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_session import SPOT, BinanceSessionError, ConfigurationError, Session, UserDataStream
from binance_session.simulator import Fault, Simulator, virtual
from tests.events.streams import number_of, push, sockets, streaming, take
from tests.exchange import ED25519, HMAC, until


@asynccontextmanager
async def two(credentials: Any = ED25519, **options: Any) -> AsyncIterator[tuple[Simulator, Session, UserDataStream]]:
    async with streaming(SPOT, credentials, {"sockets": 2}, standby=True, **options) as (simulator, session, events):
        yield simulator, session, events


async def both_subscribed(session: Session) -> None:
    """Return when the second can take over."""
    source: Any = session._user_data.supplier
    await until(lambda: source._second.source is not None)
    await asyncio.sleep(30.0)


@pytest.mark.virtual
@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("credentials", [ED25519, HMAC], ids=["logged on", "signed"])
async def test_a_connection_that_is_lost_is_no_gap(lost: int, credentials: Any) -> None:
    async with two(credentials) as (simulator, session, events):
        for number in range(0, 100, 10):
            await both_subscribed(session)
            for here in range(5):
                push(simulator, number + here)
            connections = sockets(simulator)
            serving = min(connections, key=lambda connection: connection.number)
            standby = max(connections, key=lambda connection: connection.number)
            (serving if lost == 0 else standby).drop()
            for here in range(5, 10):
                push(simulator, number + here)
        await asyncio.sleep(60.0)
        assert await take(events, events.backlog) == list(range(100))
        assert session.stats.gaps == 0
        assert session.stats.failovers == (10 if lost == 0 else 0)
        assert events.is_live


@pytest.mark.virtual
async def test_both_at_once_are_one_gap() -> None:
    async with two() as (simulator, session, events):
        await both_subscribed(session)
        for connection in sockets(simulator):
            connection.drop()
        push(simulator, 1)
        await asyncio.sleep(60.0)
        push(simulator, 2)
        assert await take(events, 2) == ["gap", 2]
        assert session.stats.gaps == 1


@pytest.mark.virtual
async def test_a_revoked_logon_is_one_gap_for_both() -> None:
    async with two() as (simulator, session, events):
        await both_subscribed(session)
        simulator.revoke(ED25519.api_key)
        with pytest.raises(BinanceSessionError):
            await session.request("account.status")
        simulator.restore(ED25519.api_key)
        await asyncio.sleep(60.0)
        push(simulator, 1)
        await asyncio.sleep(1.0)
        received = await take(events, events.backlog)
        assert received[-1] == 1
        assert received.count("gap") == session.stats.gaps >= 1
        await both_subscribed(session)


@pytest.mark.virtual
async def test_a_subscription_that_the_exchange_ends_goes_on_beside() -> None:
    """And is made again on the connection in use, which leads again."""
    async with two() as (simulator, session, events):
        await both_subscribed(session)
        serving = min(sockets(simulator), key=lambda connection: connection.number)
        ended = {"e": "eventStreamTerminated", "E": int(simulator.clock.time() * 1000)}
        number = next(iter(serving.subscriptions))
        serving.subscriptions.pop(number)
        serving.send({"subscriptionId": number, "event": ended})
        for count in range(100):
            push(simulator, count)
            await asyncio.sleep(0.1)
        received = await take(events, events.backlog)
        assert [one for one in received if type(one) is int] == list(range(100))
        assert session.stats.gaps == 0


@pytest.mark.virtual
@pytest.mark.long
async def test_days_of_rollovers_lose_nothing() -> None:
    async with two(rollover_after=3600.0) as (simulator, session, events):
        for number in range(1000):
            push(simulator, number)
            await asyncio.sleep(60.0)
        assert await take(events, events.backlog) == list(range(1000))
        assert session.stats.gaps == 0
        assert 40 <= session.stats.stream_connections <= 80


@pytest.mark.virtual
async def test_an_event_that_one_of_them_does_not_bring_is_delivered() -> None:
    async with two() as (simulator, session, events):
        await both_subscribed(session)
        for connection in sockets(simulator):
            simulator.inject(Fault("lose_event", event="balanceUpdate", connection=connection))
            push(simulator, connection.number)
            await asyncio.sleep(10.0)
        numbers = [connection.number for connection in sockets(simulator)]
        assert await take(events, 2) == numbers
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_what_is_held_for_a_first_that_lags_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first goes on leading, because it answers."""
    monkeypatch.setattr("binance_session.events.feed.HELD_EVENTS", 100)
    async with two() as (simulator, session, events):
        await both_subscribed(session)
        late = min(sockets(simulator), key=lambda connection: connection.number)
        simulator.inject(Fault("late_event", event="balanceUpdate", connection=late, delay=20.0))
        for number in range(300):
            push(simulator, number)
            await asyncio.sleep(0.001)
            assert session._user_data.feed._copies.held <= 100
        await asyncio.sleep(60.0)
        assert await take(events, events.backlog) == list(range(300))
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_a_refused_second_leaves_the_first_alone() -> None:
    async with two() as (simulator, session, events):
        fault = simulator.inject(Fault("error", method="userDataStream.subscribe", code=-1000, times=None))
        await asyncio.sleep(300.0)
        push(simulator, 1)
        assert await take(events, 1) == [1]
        assert 0 < fault.struck < 60
        fault.remove()
        await both_subscribed(session)
        assert session.stats.gaps == 0


async def test_without_a_standby_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="standby=True"):
        Session(SPOT, ED25519).user_data_stream(sockets=2)


@pytest.mark.virtual
async def test_the_last_reader_leaves_no_subscription() -> None:
    async with two() as (simulator, session, events):
        await both_subscribed(session)
        await events.__aexit__(None, None, None)
        await asyncio.sleep(1.0)
        assert not any(connection.subscriptions for connection in sockets(simulator))


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["first", "second", "both", "lose first", "lose second"]), st.floats(0.0, 40.0)),
        min_size=1,
        max_size=6,
    )
)
def test_a_gap_is_told_exactly_when_both_were_out(steps: list[tuple[str, float]]) -> None:
    async def story() -> None:
        async with two() as (simulator, session, events):
            sent, expected, out_until = 0, False, 0.0
            now = asyncio.get_running_loop().time
            await both_subscribed(session)
            for what, pause in steps:
                connections = sorted(sockets(simulator), key=lambda connection: connection.number)
                if len(connections) < 2 or now() < out_until or what == "both":
                    expected = True
                for name, connection in zip(("first", "second"), connections, strict=False):
                    if what in (name, "both"):
                        connection.drop()
                        out_until = now() + 30.0
                    elif what == f"lose {name}":
                        simulator.inject(Fault("lose_event", event="balanceUpdate", connection=connection))
                for _ in range(3):
                    push(simulator, sent)
                    sent += 1
                    await asyncio.sleep(pause / 3)
            await asyncio.sleep(120.0)
            push(simulator, sent)
            await asyncio.sleep(10.0)
            received = [await anext(events) for _ in range(events.backlog)]
            numbers = [number_of(event) for event in received if not event.is_gap]
            assert len(numbers) == len(set(numbers)), "twice"
            assert numbers[-1] == sent
            assert expected or not session.stats.gaps, "a gap although one was there"
            if not expected:
                assert sorted(numbers) == list(range(sent + 1))

    virtual.run(story)
