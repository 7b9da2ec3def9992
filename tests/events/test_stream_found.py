"""What attacks on the user data stream found, and a story for each that must not come again."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    BinanceSessionError,
    ConfigurationError,
    Event,
    FixedInterval,
    HmacKey,
    RateLimited,
    RequestTimeout,
    Session,
    SessionClosed,
    SessionState,
)
from binance_session.simulator import Fault, virtual
from binance_session.simulator.accounts import Account
from tests.events.test_stream import HOUR, number_of, push, sockets, streaming, take
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

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


# Keys


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


# Sockets


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
        assert sum(map(len, session._user_data.feed._held.values())) < 5000
        assert max(len(socket._kept or ()) for socket in source._sockets) < 5000
        assert await take(events, 19_994) == list(range(6, 20_000))


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


# Spot


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


# Events


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


# Tasks


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
@pytest.mark.parametrize("venue", [COIN_M, SPOT])
async def test_the_streams_task_cancelled_from_outside(venue: Any) -> None:
    async with streaming(venue) as (_, session, events):
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"{session.name}: user data stream"]
        task.cancel()
        with pytest.raises(SessionClosed, match="cancelled"):
            await anext(events)
        async with session.user_data_stream():
            pass


async def test_a_stream_that_keeps_nothing_has_nothing_to_read() -> None:
    async with streaming(options={"buffer": 0}) as (_, _, events):
        with pytest.raises(ConfigurationError, match="on_event"):
            await anext(events)


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
