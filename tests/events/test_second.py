"""``sockets=2``: two connections bring every event, and a gap is told only when both were out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_session import COIN_M, USD_M, ConfigurationError, Session
from binance_session.simulator import Fault, Simulator, virtual
from binance_session.simulator.connections import Connection
from tests.events.streams import number_of, push, sockets, streaming, take
from tests.exchange import ED25519, until

TWO = {"sockets": 2}
EVENT = "ACCOUNT_CONFIG_UPDATE"


async def both(simulator: Simulator) -> tuple[Connection, Connection]:
    """Return the first and the second connection, once the second one can take over."""
    await until(lambda: len(sockets(simulator)) == 2)
    await asyncio.sleep(30.0)
    first, second = sockets(simulator)
    return first, second


@pytest.mark.virtual
@pytest.mark.parametrize("venue", [COIN_M, USD_M])
@pytest.mark.parametrize("lost", ["first", "second"])
async def test_one_that_is_lost_is_no_gap(venue: Any, lost: str) -> None:
    async with streaming(venue, options=TWO) as (simulator, session, events):
        for number in range(0, 100, 10):
            first, second = await both(simulator)
            for here in range(5):
                push(simulator, number + here)
            (first if lost == "first" else second).drop()
            for here in range(5, 10):
                push(simulator, number + here)
        await asyncio.sleep(60.0)
        assert await take(events, events.backlog) == list(range(100))
        assert session.stats.gaps == 0
        assert session.stats.stream_connections == 12
        assert events.is_live


@pytest.mark.virtual
async def test_both_at_once_are_one_gap() -> None:
    async with streaming(options=TWO) as (simulator, session, events):
        for connection in await both(simulator):
            connection.drop()
        push(simulator, 1)
        await asyncio.sleep(60.0)
        push(simulator, 2)
        assert await take(events, 2) == ["gap", 2]
        assert session.stats.gaps == 1
        assert len(sockets(simulator)) == 2


@pytest.mark.virtual
async def test_the_first_before_the_second_is_there_is_a_gap() -> None:
    """It may not have brought what was sent while it was being opened."""
    async with streaming(options=TWO) as (simulator, session, events):
        await until(lambda: len(sockets(simulator)) == 2)
        sockets(simulator)[0].drop()
        await asyncio.sleep(1.0)
        push(simulator, 1)
        assert await take(events, 2) == ["gap", 1]
        assert session.stats.gaps == 1


@pytest.mark.virtual
async def test_a_silent_first_is_found_by_what_the_second_brings() -> None:
    """Within seconds, and not at the next ping; nothing is missing."""
    async with streaming(options=TWO, ping_interval=60.0, ping_timeout=30.0) as (simulator, session, events):
        await asyncio.sleep(120.0)
        first, _ = await both(simulator)
        simulator.inject(Fault("half_open", event=EVENT, connection=first))
        for number in range(5):
            push(simulator, number)
        async with asyncio.timeout(10.0):
            assert await take(events, 5) == list(range(5))
        assert session.stats.gaps == 0


@pytest.mark.virtual
@pytest.mark.parametrize("which", [0, 1])
async def test_an_event_that_one_of_them_does_not_bring_is_delivered(which: int) -> None:
    """And the first goes on leading: it answers. What it brings very late all the same comes once."""
    async with streaming(options=TWO) as (simulator, session, events):
        connections = await both(simulator)
        one = connections[which]
        simulator.inject(Fault("lose_event", event=EVENT, connection=one, nth=2))
        simulator.inject(Fault("late_event", event=EVENT, connection=one, nth=4, delay=9.0))
        for number in range(6):
            push(simulator, number)
            await asyncio.sleep(0.001)
        await asyncio.sleep(20.0)
        received = await take(events, events.backlog)
        assert sorted(received) == list(range(6))
        if which == 1:
            assert received == list(range(6))
        assert session.stats.gaps == 0
        assert tuple(sockets(simulator)) == connections


@pytest.mark.virtual
async def test_a_second_that_lags_brings_nothing_twice() -> None:
    async with streaming(options=TWO) as (simulator, session, events):
        first, second = await both(simulator)
        simulator.inject(Fault("late_event", event=EVENT, connection=second, delay=15.0))
        for number in range(50):
            push(simulator, number)
        first.drop()
        push(simulator, 50)
        await asyncio.sleep(60.0)
        push(simulator, 51)
        await asyncio.sleep(1.0)
        assert await take(events, events.backlog) == list(range(52))
        assert session.stats.gaps == 0


@pytest.mark.virtual
@pytest.mark.long
async def test_days_of_rollovers_lose_nothing() -> None:
    """Each is replaced when the other is there, and they are not replaced together."""
    async with streaming(options=TWO, rollover_after=3600.0) as (simulator, session, events):
        alone = 0
        for number in range(3000):
            push(simulator, number)
            await asyncio.sleep(60.0)
            alone += len(sockets(simulator)) < 2
        assert await take(events, events.backlog) == list(range(3000))
        assert session.stats.gaps == 0
        assert 100 <= session.stats.stream_connections <= 140
        assert alone <= 6


@pytest.mark.virtual
async def test_a_key_that_expires_is_a_gap_as_ever() -> None:
    """Both sockets are told, and both are replaced."""
    async with streaming(options=TWO) as (simulator, session, events):
        before = await both(simulator)
        simulator.expire_listen_keys()
        await asyncio.sleep(5.0)
        push(simulator, 1)
        assert await take(events, 3) == ["listenKeyExpired", "gap", 1]
        after = await both(simulator)
        assert not set(before) & set(after)
        after[0].drop()
        push(simulator, 2)
        assert await take(events, 1) == [2]
        assert session.stats.gaps == 1


@pytest.mark.virtual
async def test_an_expiry_that_only_the_second_is_told_counts() -> None:
    async with streaming(options=TWO) as (simulator, session, events):
        first, _ = await both(simulator)
        simulator.inject(Fault("lose_event", event="listenKeyExpired", connection=first))
        simulator.expire_listen_keys()
        await asyncio.sleep(10.0)
        push(simulator, 1)
        await asyncio.sleep(1.0)
        received = await take(events, events.backlog)
        assert received.count("gap") == session.stats.gaps == 1
        assert received[-1] == 1


@pytest.mark.virtual
async def test_an_announced_shutdown_of_both_is_no_gap() -> None:
    async with streaming(options=TWO) as (simulator, session, events):
        for connection in await both(simulator):
            connection.send({"e": "serverShutdown", "E": int(simulator.clock.time() * 1000)})
        for number in range(20):
            push(simulator, number)
            await asyncio.sleep(1.0)
        received = [event for event in await take(events, events.backlog) if event != "serverShutdown"]
        assert received == list(range(20))
        assert session.stats.gaps == 0
        assert len(sockets(simulator)) == 2


@pytest.mark.virtual
async def test_a_pause_holds_both_and_loses_nothing() -> None:
    pausing = {"buffer": 10, "on_full": "pause", **TWO}
    async with streaming(options=pausing) as (simulator, session, events):
        await both(simulator)
        for number in range(2000):
            push(simulator, number)
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(100.0)
        assert events.backlog < 1000
        assert await take(events, 2000) == list(range(2000))
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_a_second_that_cannot_be_had_leaves_the_first_alone() -> None:
    """And is tried again by the policy, not without end."""
    async with streaming(options=TWO) as (simulator, session, events):
        fault = simulator.inject(Fault("refuse_handshake", stream=True, times=None))
        await asyncio.sleep(600.0)
        push(simulator, 1)
        assert await take(events, 1) == [1]
        assert 5 < fault.struck < 60
        fault.remove()
        await both(simulator)
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_the_second_is_there_while_a_reader_wants_it() -> None:
    async with streaming() as (simulator, session, events):
        await asyncio.sleep(60.0)
        assert len(sockets(simulator)) == 1
        async with session.user_data_stream(sockets=2) as others:
            first, _ = await both(simulator)
            push(simulator, 1)
            first.drop()
            push(simulator, 2)
            await asyncio.sleep(60.0)
            assert await take(others, 2) == await take(events, 2) == [1, 2]
            assert len(sockets(simulator)) == 2
        await asyncio.sleep(60.0)
        assert len(sockets(simulator)) == 1
        push(simulator, 3)
        assert await take(events, 1) == [3]
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_what_is_held_for_a_first_that_lags_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second takes over, and the same for one that the second has not brought."""
    monkeypatch.setattr("binance_session.events.feed.HELD_EVENTS", 100)
    for which in (0, 1):
        async with streaming(options=TWO) as (simulator, session, events):
            connections = await both(simulator)
            late = connections[which]
            simulator.inject(Fault("late_event", event=EVENT, connection=late, delay=900.0))
            for number in range(300):
                push(simulator, number)
                await asyncio.sleep(0.001)
            await asyncio.sleep(30.0)
            assert await take(events, events.backlog) == list(range(300))
            assert session.stats.gaps == 0
            assert late not in sockets(simulator)
            assert len(sockets(simulator)) == 2


@pytest.mark.parametrize("wrong", [0, 3, True, "2", None])
async def test_another_number_is_refused(wrong: Any) -> None:
    session = Session(COIN_M, ED25519)
    with pytest.raises(ConfigurationError, match="sockets must be one of 1, 2"):
        session.user_data_stream(sockets=wrong)


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["first", "second", "both", "mute first", "mute second", "lose first", "lose second"]),
            st.floats(0.0, 40.0),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_gap_is_told_exactly_when_both_were_out(steps: list[tuple[str, float]]) -> None:
    """Whatever strikes one of them, each event comes once; what is missing lies in a gap, and gaps are explained."""

    async def story() -> None:
        async with streaming(options=TWO) as (simulator, session, events):
            sent: dict[int, int] = {}
            one_out_until = 0.0
            expected = False
            now = asyncio.get_running_loop().time
            await both(simulator)
            for what, pause in steps:
                connections = sockets(simulator)
                if len(connections) < 2 or now() < one_out_until or what == "both":
                    expected = True  # the other one may not be there, or not for long enough
                for name, connection in zip(("first", "second"), connections, strict=False):
                    if what in (name, "both"):
                        connection.drop()
                        one_out_until = now() + 30.0
                    elif what == f"mute {name}":
                        connection.mute()
                        one_out_until = now() + 50.0
                    elif what == f"lose {name}":
                        simulator.inject(Fault("lose_event", event=EVENT, connection=connection))
                for _ in range(3):
                    sent[len(sent)] = push(simulator, len(sent))
                    await asyncio.sleep(pause / 3)
            await asyncio.sleep(120.0)
            sent[len(sent)] = push(simulator, len(sent))
            await asyncio.sleep(10.0)
            received = [await anext(events) for _ in range(events.backlog)]
            numbers = [number_of(event) for event in received if not event.is_gap]
            assert len(numbers) == len(set(numbers)), "twice"
            assert expected or not session.stats.gaps, "a gap although one was there"
            if not expected:
                assert sorted(numbers) == list(sent)
            assert numbers[-1] == len(sent) - 1

    virtual.run(story)


async def test_on_real_sockets() -> None:
    """A cut costs nothing, once the second has been there for a second and the first has answered a ping since."""
    async with streaming(options=TWO) as (simulator, session, events):
        source: Any = session._user_data.supplier

        def is_covered() -> bool:
            second = source._second.source
            return second is not None and source._feed.leading.proven_at >= second.brings_since

        await until(is_covered)
        push(simulator, 1)
        min(sockets(simulator), key=lambda connection: connection.number).drop()
        push(simulator, 2)
        assert await take(events, 2) == [1, 2]
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_nothing_is_left_when_it_is_closed_in_the_middle() -> None:
    """While the second is being opened, asked, or taken."""
    for moment in (0.0, 0.5, 1.0, 1.001, 1.002, 1.01, 2.0):
        async with streaming(options=TWO) as (simulator, _session, _events):
            await asyncio.sleep(moment)
            push(simulator, 1)
            sockets(simulator)[0].drop()
            await asyncio.sleep(moment / 3)
