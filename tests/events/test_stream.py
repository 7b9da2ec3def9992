"""The user data stream: what happens to the account reaches the bot, or the bot is told that it may have missed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    USD_M,
    AdaptiveKeepalive,
    ApiError,
    ConfigurationError,
    ConnectError,
    Event,
    EventsOverflow,
    FixedInterval,
    HmacKey,
    KeepalivePolicy,
    NoKeepalive,
    NotSent,
    Session,
    SessionClosed,
    SessionRevoked,
    SessionState,
    Venue,
)
from binance_session.simulator import Fault, Readings, Simulator, virtual
from binance_session.simulator.accounts import Account
from tests.certificates import Authority
from tests.events.streams import HOUR, number_of, push, sockets, streaming, take
from tests.exchange import ED25519, HMAC, PLAIN, exchange, requests, session_to, until

VENUES = [COIN_M, USD_M, SPOT]
FUTURES = [COIN_M, USD_M]


def order(simulator: Simulator, name: str) -> dict[str, str]:
    symbol = "BTCUSD_PERP" if simulator.venue is COIN_M else "BTCUSDT"
    return {"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": "1", "newClientOrderId": name}


# What arrives


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("credentials", [ED25519, HMAC])
async def test_an_order_is_seen_by_its_events(venue: Venue, credentials: Any) -> None:
    """Over real sockets, logged on or not: the account's events in their order, their data untouched."""
    async with streaming(venue, credentials) as (simulator, session, events):
        await session.request("order.place", order(simulator, "mine-1"))
        sent = [entry.event for entry in simulator.pushed]
        received = [await anext(events) for _ in sent]
        assert [event.data for event in received] == sent
        assert [event.type for event in received] == [event["e"] for event in sent]
        assert [event.time for event in received] == [event["E"] for event in sent]
        assert not any(event.is_gap for event in received)
        assert "mine-1" in repr([event.data for event in received])
        assert session.stats.events == len(sent)
        assert session.stats.stream_connections == 1


@pytest.mark.parametrize("venue", FUTURES)
async def test_wrapped_and_strange_events(venue: Venue) -> None:
    """Both wire forms; E as text; types and fields that nobody knows; what is no event hurts nothing."""
    async with streaming(venue) as (simulator, session, events):
        (socket,) = sockets(simulator)
        socket.combined = True
        simulator.inject(Fault("text_time"))
        push(simulator, 1)
        socket.combined = False
        simulator.push({"e": "FROM_THE_FUTURE", "E": 5, "deep": {"new": [1, None, "x"]}})
        simulator.inject(Fault("malformed_event"))
        push(simulator, 2)
        socket.send({"result": None, "id": 1})
        socket.send({"no": "event"})
        simulator.inject(Fault("fragmented_event"))
        push(simulator, 3)
        simulator.inject(Fault("split_event"))
        push(simulator, 4)
        received = [await anext(events) for _ in range(5)]
        assert [number_of(event) for event in received] == [1, "FROM_THE_FUTURE", 2, 3, 4]
        assert isinstance(received[0].data["E"], str)
        assert received[0].time == int(received[0].data["E"])
        assert received[1] == Event(
            "FROM_THE_FUTURE", 5, {"e": "FROM_THE_FUTURE", "E": 5, "deep": {"new": [1, None, "x"]}}
        )
        assert session.stats.malformed == 1
        assert len(session.unmatched) == 3


async def test_over_tls(tmp_path: Any) -> None:
    """The stream's certificate is checked as the API's is."""
    authority = Authority(tmp_path)
    async with exchange(ssl=authority.server_context()) as simulator:
        async with (
            session_to(simulator, ssl=authority.client_context()) as session,
            session.user_data_stream() as events,
        ):
            push(simulator, 1)
            assert await take(events, 1) == [1]
        async with exchange() as plain, session_to(plain, stream_url=simulator.stream_url) as session:
            with pytest.raises(ConnectError, match="certificate"):
                await session.user_data_stream().__aenter__()


async def test_the_address_is_the_documents() -> None:
    """COIN-M /ws/KEY; USD-M /private/ws?listenKey=KEY, without a list of events that would leave the expiry out."""
    for venue, path in ((COIN_M, "/ws/"), (USD_M, "/private/ws?listenKey=")):
        async with streaming(venue) as (simulator, session, events):
            assert session.listen_key is not None
            assert sockets(simulator)[0].path == path + session.listen_key.value
            push(simulator, 1)
            assert await take(events, 1) == [1]


# The key


@pytest.mark.virtual
@pytest.mark.parametrize("stop", [False, True])
async def test_the_key_is_kept_alive_while_a_stream_is_open(stop: bool) -> None:
    """Leaving stops the pings, and ends the key for the account's other clients only if asked to."""
    async with exchange() as simulator, session_to(simulator) as session:
        async with session.user_data_stream(stop_on_exit=stop) as events:
            assert session.listen_key is not None
            assert events.valid_until == session.listen_key.valid_until
            await asyncio.sleep(5 * HOUR)
            push(simulator, 1)
            assert await take(events, 1) == [1]
            pings = len(requests(simulator, "userDataStream.ping"))
            assert 12 <= pings <= 21
        assert session.listen_key is None
        await asyncio.sleep(HOUR)
        assert len(requests(simulator, "userDataStream.ping")) == pings
        assert len(requests(simulator, "userDataStream.stop")) == stop
        assert not sockets(simulator)
        async with session.user_data_stream() as events:  # and again
            push(simulator, 2)
            assert await take(events, 1) == [2]


async def test_a_key_that_was_started_by_hand_stays() -> None:
    """It is the starter's, whatever streams come and go."""
    async with exchange() as simulator, session_to(simulator) as session:
        key = await session.start_user_data_stream()
        async with session.user_data_stream():
            pass
        assert session.listen_key is not None
        assert session.listen_key.value == key.value


async def test_stopping_the_key_ends_the_iteration() -> None:
    """Whoever stops it knows that nothing more will come."""
    async with streaming() as (simulator, session, events):
        push(simulator, 1)
        await until(lambda: events.backlog == 1)
        await session.stop_user_data_stream()
        assert [number_of(event) async for event in events] in ([1], [1, "listenKeyExpired"])
        assert session.listen_key is None
        await until(lambda: not sockets(simulator))


@pytest.mark.virtual
@pytest.mark.parametrize("told", ["told", "told twice", "without its key", "not told"])
async def test_an_expiry_is_one_key_one_socket_one_gap(told: str) -> None:
    """Sooner than it should, over a socket that stays open; what happened until the new socket stood may be missing."""
    async with streaming() as (simulator, session, events):
        if told != "told":
            name = {"told twice": "doubled_expiry", "without its key": "nameless_expiry"}.get(told)
            if name is not None:
                simulator.inject(Fault(name))
        push(simulator, 1)
        await asyncio.sleep(100.0)
        expired_at = simulator.clock.time() * 1000
        simulator.expire_listen_keys(tell=told != "not told")
        push(simulator, 2)
        await asyncio.sleep(1800.0)
        push(simulator, 3)
        await asyncio.sleep(1.0)
        received = [await anext(events) for _ in range(events.backlog)]
        expected = [1, "listenKeyExpired", "gap", 3] if told != "not told" else [1, "gap", 3]
        assert [number_of(event) for event in received] == expected
        gap = received[-2]
        assert gap.data["since"] <= expired_at <= gap.data["until"]
        if told != "not told":  # else it was known to live at its last ping
            assert gap.data["until"] - gap.data["since"] < 1000
        assert gap.data["cause"] in ("the listenKey expired", "the listenKey was found to be gone")
        assert session.keys[0][0] is None
        assert [old for old, _ in session.keys[1:]] == [session.keys[0][1]]
        assert len(requests(simulator, "userDataStream.start")) == 2
        assert session.stats.stream_connections == 2
        assert len(sockets(simulator)) == 1


@pytest.mark.virtual
async def test_another_key_in_an_answer_is_another_socket_and_a_gap() -> None:
    """Nobody told that the old one ended, and it may have."""
    async with streaming() as (simulator, session, events):
        first = session.listen_key
        assert first is not None
        await asyncio.sleep(10.0)
        for key in simulator.exchange.state.listen_keys.all_of(simulator.exchange.account):
            simulator.exchange.state.listen_keys.expire(key, tell=False)
        simulator.exchange.state.listen_keys.start(simulator.exchange.account, simulator.exchange.account)
        await session.start_user_data_stream()
        await asyncio.sleep(1.0)
        push(simulator, 1)
        assert await take(events, 2) == ["gap", 1]
        assert session.listen_key is not None
        assert session.listen_key.value != first.value


@pytest.mark.virtual
async def test_a_key_that_expires_again_and_again_is_not_started_without_end() -> None:
    """A hundred keys in a morning have been seen."""
    async with streaming() as (simulator, session, events):
        for _ in range(600):
            simulator.expire_listen_keys()
            await asyncio.sleep(0.1)
        await asyncio.sleep(120.0)
        assert len(requests(simulator, "userDataStream.start")) < 20
        push(simulator, 1)
        await asyncio.sleep(1.0)
        assert (await take(events, events.backlog))[-2:] == ["gap", 1]
        assert session.states[-1] is SessionState.READY


@pytest.mark.virtual
@pytest.mark.parametrize(
    "keepalive", [AdaptiveKeepalive(), FixedInterval(3595.0)], ids=["often", "just before the end"]
)
async def test_a_key_that_could_not_be_renewed_is_not_believed_in_silence(keepalive: KeepalivePolicy) -> None:
    """The API is away for hours, the socket stays: that the key should have lapsed is told, and when that is over."""
    async with streaming(keepalive=keepalive) as (simulator, session, events):
        push(simulator, 1)
        assert await take(events, 1) == [1]
        assert events.valid_until is not None
        (socket,) = sockets(simulator)
        simulator.inject(Fault("refuse_handshake", stream=False, times=None))
        simulator.inject(Fault("lose_event", event="listenKeyExpired"))
        network = virtual.VirtualTimeLoop.running().network
        network.connections[0].cut()
        await asyncio.sleep(59 * 60.0)
        push(simulator, 2)
        assert await take(events, 1) == [2]
        began = simulator.clock.time() - 59 * 60
        await asyncio.sleep(2 * 60.0)
        assert socket in sockets(simulator)
        received = [await anext(events) for _ in range(events.backlog)]
        assert [event.type for event in received] == ["gap"]
        assert "should have lapsed" in received[0].data["cause"]
        assert received[0].data["since"] == pytest.approx(began * 1000, abs=2000)
        simulator.exchange.faults.clear()
        push(simulator, 3)
        await session.wait_for(SessionState.READY)
        await asyncio.sleep(2.0)
        push(simulator, 4)
        assert await take(events, 2) == ["gap", 4]
        assert session.states[-1] is SessionState.READY


@pytest.mark.long
@pytest.mark.virtual
async def test_without_a_keepalive_somebody_else_may_keep_the_key() -> None:
    """After an hour nobody here knows; what still comes shows that it lives, and its socket is replaced as ever."""
    async with streaming(keepalive=NoKeepalive(), ping_interval=60.0) as (simulator, session, events):
        (key,) = simulator.exchange.state.listen_keys.all_of(simulator.exchange.account)

        async def other_client() -> None:
            while True:
                await asyncio.sleep(1200.0)
                simulator.exchange.state.listen_keys.extend(key)

        other = asyncio.ensure_future(other_client())
        received = []
        for number in range(120):
            await asyncio.sleep(1800.0)
            push(simulator, number)
            await asyncio.sleep(0.1)
            received += await take(events, events.backlog)
        other.cancel()
        assert [entry for entry in received if entry != "gap"] == list(range(120))
        assert received.count("gap") == session.stats.gaps <= 5
        assert session.stats.stream_connections >= 3
        assert len(requests(simulator, "userDataStream.ping")) <= 3


# The socket


@pytest.mark.parametrize("venue", FUTURES)
async def test_a_lost_socket_is_a_gap_and_the_session_does_not_notice(venue: Venue) -> None:
    """Over real sockets: dialled again at once, on the same key, which is asked for."""
    async with streaming(venue) as (simulator, session, events):
        push(simulator, 1)
        assert await take(events, 1) == [1]
        before = simulator.clock.time() * 1000
        sockets(simulator)[0].drop()
        await until(lambda: session.stats.gaps == 1)
        push(simulator, 2)
        gap = await anext(events)
        assert gap.is_gap
        assert gap.type == "gap"
        # in real time the exchange's clock is known as well as the logon's round trip tells, and no better
        assert gap.data["since"] - 100 <= before <= gap.data["until"] + 100
        assert gap.data["cause"].startswith("the stream's connection ended: ")
        assert await take(events, 1) == [2]
        assert session.states == [SessionState.CONNECTING, SessionState.LOGGING_ON, SessionState.READY]
        assert len(requests(simulator, "userDataStream.start")) == 1
        assert session.stats.connections == 1


@pytest.mark.virtual
async def test_a_lost_api_connection_leaves_the_stream_alone() -> None:
    async with streaming() as (simulator, session, events):
        for number in range(10):
            next(connection for connection in simulator.connections if not connection.stream).drop()
            push(simulator, number)
            await session.wait_for(SessionState.READY)
            await asyncio.sleep(60.0)
        assert await take(events, events.backlog) == list(range(10))
        assert session.stats.connections == 11
        assert session.stats.stream_connections == 1


@pytest.mark.virtual
async def test_a_key_that_expired_while_the_socket_was_away_is_found_out() -> None:
    """A socket on an expired key opens, and is silent: the key is asked for after every reconnect. One gap, not two."""
    async with streaming() as (simulator, session, events):
        await asyncio.sleep(600.0)
        sockets(simulator)[0].drop()
        simulator.expire_listen_keys()
        await asyncio.sleep(5.0)
        push(simulator, 1)
        assert await take(events, 2) == ["gap", 1]
        assert len(session.keys) == 2


@pytest.mark.virtual
async def test_a_half_open_socket_is_found_within_the_sessions_bounds() -> None:
    """No event for a long time is normal; no pong is not."""
    async with streaming(ping_interval=10.0, ping_timeout=5.0) as (simulator, session, events):
        await asyncio.sleep(2 * HOUR)
        assert session.stats.stream_connections == 1
        simulator.inject(Fault("half_open", event="ACCOUNT_CONFIG_UPDATE"))
        struck_at = simulator.clock.time() * 1000
        push(simulator, 1)
        await asyncio.sleep(15.1)
        push(simulator, 2)
        received = [await anext(events) for _ in range(2)]
        assert [number_of(event) for event in received] == ["gap", 2]
        assert received[0].data["since"] <= struck_at <= received[0].data["until"]
        assert received[0].data["until"] - received[0].data["since"] <= 26_000


@pytest.mark.virtual
async def test_pings_keep_the_gap_small_although_nothing_came_for_hours() -> None:
    async with streaming(ping_interval=10.0) as (simulator, _, events):
        await asyncio.sleep(2 * HOUR)
        sockets(simulator)[0].drop()
        gap = await anext(events)
        assert gap.data["until"] - gap.data["since"] <= 11_000


@pytest.mark.long
@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_rollovers_lose_nothing_double_nothing_and_tell_no_gap(venue: Venue) -> None:
    """Days of an event every other second over a slow network: make before break, in order, once each."""
    network = virtual.VirtualTimeLoop.running().network
    network.latency = 0.05
    async with streaming(venue, rollover_after=HOUR) as (simulator, session, events):
        sent = 0
        received: list[Any] = []
        while session.stats.stream_connections < 12:
            push(simulator, sent)
            sent += 1
            await asyncio.sleep(3.9)
            network.latency = 0.01 if sent % 7 else 0.3
            if sent % 5000 == 0:
                received += await take(events, events.backlog)
        await asyncio.sleep(10.0)
        assert received + await take(events, events.backlog) == list(range(sent))
        assert session.stats.gaps == 0
        assert session.stats.events == sent
        assert len(sockets(simulator)) == 1
        assert session.states.count(SessionState.READY) == 1


@pytest.mark.long
@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_rollovers_under_a_burst(venue: Venue) -> None:
    """Every millisecond an event while one source takes over from the other, whose line is slower or faster."""
    network = virtual.VirtualTimeLoop.running().network
    for first, second in ((0.2, 0.001), (0.001, 0.2)):
        network.latency = first
        async with streaming(venue, rollover_after=60.0) as (simulator, session, events):
            await asyncio.sleep(50.0)
            network.latency = second
            sent = 0
            received: list[Any] = []
            while session.stats.stream_connections < 2 or sent < 15_000:
                push(simulator, sent)
                sent += 1
                await asyncio.sleep(0.001)
                if sent % 1000 == 0:
                    received += await take(events, events.backlog)
            await asyncio.sleep(5.0)
            assert received + await take(events, events.backlog) == list(range(sent))
            assert session.stats.events == sent
            assert session.stats.gaps == 0


@pytest.mark.long
@pytest.mark.virtual
async def test_the_exchanges_24_hours_are_met_ahead() -> None:
    """By default nothing is noticed for days; without a rollover the cut is a gap."""
    for rollover_after, gaps in ((82_800.0, 0), (None, 2)):
        async with streaming(rollover_after=rollover_after, ping_interval=60.0) as (simulator, session, events):
            for number in range(2 * 24 * 2 + 2):
                push(simulator, number)
                await asyncio.sleep(1800.0)
            received = await take(events, events.backlog)
            lost = set(range(2 * 24 * 2 + 2)).difference(received)
            assert len(lost) <= gaps
            assert session.stats.gaps == received.count("gap") == gaps


@pytest.mark.virtual
async def test_a_rollover_whose_old_socket_is_dead_is_a_gap() -> None:
    """What only the new one brought is delivered, behind the gap."""
    async with streaming(rollover_after=100.0, ping_interval=None) as (simulator, session, events):
        await asyncio.sleep(85.0)
        simulator.inject(Fault("half_open", event="ACCOUNT_CONFIG_UPDATE"))
        push(simulator, 1)
        await until(lambda: session.stats.stream_connections == 2)
        push(simulator, 2)
        push(simulator, 3)
        await asyncio.sleep(12.0)
        assert await take(events, events.backlog) == ["gap", 2, 3]


@pytest.mark.virtual
async def test_without_a_second_socket_the_first_is_used_to_its_last_moment() -> None:
    async with streaming(rollover_after=100.0) as (simulator, session, events):
        fault = simulator.inject(Fault("refuse_handshake", stream=True, times=None))
        for number in range(20):
            push(simulator, number)
            await asyncio.sleep(30.0)
        assert session.stats.stream_connections == 1
        fault.remove()
        await asyncio.sleep(60.0)
        assert session.stats.stream_connections >= 2
        assert await take(events, events.backlog) == list(range(20))


@pytest.mark.virtual
async def test_refused_handshakes_are_repeated_by_the_policy() -> None:
    """The stream's host is away for a minute: a gap is told while it lasts, and when it is over."""
    async with streaming() as (simulator, _, events):
        fault = simulator.inject(Fault("refuse_handshake", stream=True, times=None))
        assert events.is_live
        sockets(simulator)[0].drop()
        push(simulator, 1)
        await asyncio.sleep(0.1)
        assert not events.is_live
        await asyncio.sleep(60.0)
        fault.remove()
        await asyncio.sleep(60.0)
        assert events.is_live
        push(simulator, 2)
        received = [await anext(events) for _ in range(3)]
        assert [number_of(event) for event in received] == ["gap", "gap", 2]
        assert received[0].data["until"] == received[1].data["since"]
        assert [event.data["over"] for event in received[:2]] == [False, True]
        assert "'over': True" in repr(received[1])


@pytest.mark.virtual
async def test_a_lost_socket_does_not_wait_when_the_network_is_back() -> None:
    """The policy would have it wait for half an hour; the API connection, lost with it, is READY again sooner."""

    class Slow:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 0.0 if attempt <= 1 else 5.0 if "503" in str(cause) else 1800.0

    class SlowStream(Slow):
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 1800.0 if attempt > 1 and "404" in str(cause) else super().next_delay(attempt, cause)

    async with streaming(reconnect=SlowStream()) as (simulator, session, events):
        api = simulator.inject(Fault("refuse_handshake", stream=False, times=None))
        stream = simulator.inject(Fault("refuse_handshake", stream=True, times=None, status=404))
        for connection in simulator.connections:
            connection.drop()
        await asyncio.sleep(20.0)
        assert not events.is_live
        api.remove()
        stream.remove()
        await session.wait_for(SessionState.READY)
        await asyncio.sleep(1.0)
        assert events.is_live
        assert set(await take(events, events.backlog)) == {"gap"}


@pytest.mark.virtual
async def test_a_policy_that_gives_up_ends_the_iteration() -> None:
    class Never:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return None

    async with streaming(reconnect=Never()) as (simulator, session, events):
        push(simulator, 1)
        await asyncio.sleep(1.0)
        sockets(simulator)[0].drop()
        assert await take(events, 1) == [1]
        with pytest.raises(ConnectError, match="connection ended"):
            await anext(events)
        assert session.state is SessionState.READY


@pytest.mark.virtual
async def test_what_an_exchange_that_refuses_unknown_keys_does_is_no_end() -> None:
    """The other reading of what a handshake with an expired key is answered (PROTOCOL.md §11.7)."""
    async with (
        exchange(readings=Readings(unknown_stream="refused", expiry_closes_stream=True)) as simulator,
        session_to(simulator) as session,
        session.user_data_stream() as events,
    ):
        simulator.expire_listen_keys()
        await asyncio.sleep(20.0)
        push(simulator, 1)
        assert await take(events, 3) == ["listenKeyExpired", "gap", 1]
        sockets(simulator)[0].drop()
        simulator.expire_listen_keys()
        await asyncio.sleep(20.0)
        push(simulator, 2)
        await asyncio.sleep(1.0)
        assert set(await take(events, events.backlog)) == {"gap", 2}


# Spot


@pytest.mark.virtual
@pytest.mark.parametrize("credentials", [ED25519, HMAC])
async def test_spot_subscribes_again_on_each_connection(credentials: Any) -> None:
    """Logged on: userDataStream.subscribe; else .subscribe.signature. A lost connection is a gap."""
    async with streaming(SPOT, credentials) as (simulator, session, events):
        push(simulator, 1)
        assert await take(events, 1) == [1]
        simulator.connections[0].drop()
        await asyncio.sleep(5.0)
        push(simulator, 2)
        assert await take(events, 2) == ["gap", 2]
        name = "userDataStream.subscribe" + ("" if credentials is ED25519 else ".signature")
        assert len(requests(simulator, name)) == 2
        assert session.stats.stream_connections == 2
    assert not any(item.method == "userDataStream.stop" for item in requests(simulator))


@pytest.mark.virtual
async def test_spot_moves_its_subscription_before_the_exchange_goes() -> None:
    async with streaming(SPOT) as (simulator, session, events):
        for number in range(30):
            if number % 10 == 5:
                simulator.broadcast_shutdown()
            push(simulator, number)
            await asyncio.sleep(0.5)
        await asyncio.sleep(30.0)
        assert await take(events, events.backlog) == list(range(30))
        assert session.stats.gaps == 0
        assert session.stats.stream_connections == 4
        assert len(simulator.connections) == 1


@pytest.mark.virtual
async def test_spot_logout_and_revocation_move_the_subscription() -> None:
    """What the logon had subscribed to ends with it."""
    async with streaming(SPOT) as (simulator, session, events):
        await session.logout()
        await asyncio.sleep(5.0)
        push(simulator, 1)
        assert await take(events, 3) == ["eventStreamTerminated", "gap", 1]
        assert requests(simulator, "userDataStream.subscribe.signature")
        await session.logon()
        simulator.inject(Fault("revoke", method="account.status"))
        with pytest.raises(SessionRevoked):
            await session.request("account.status")
        await asyncio.sleep(30.0)
        push(simulator, 2)
        await asyncio.sleep(1.0)
        assert (await take(events, events.backlog))[-1] == 2


@pytest.mark.virtual
async def test_spot_leaving_ends_the_subscription_and_no_other() -> None:
    """One that the bot made itself stays, and its events go to the hook alone."""
    seen: list[Event] = []

    class Hooked(Session):
        def on_event(self, event: Event) -> None:
            seen.append(event)

    other = Account()
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Hooked) as session:
        simulator.add_key("other" * 12, secret="s" * 64, account=other)
        guest = HmacKey("other" * 12, "s" * 64)
        await session.request("userDataStream.subscribe.signature", credentials=guest)
        async with session.user_data_stream() as events:
            simulator.push_event("balanceUpdate", account=other, d="7")
            push(simulator, 1)
            assert await take(events, 1) == [1]
        await until(lambda: requests(simulator, "userDataStream.unsubscribe"))
        await asyncio.sleep(1.0)
        simulator.push_event("balanceUpdate", account=other, d="8")
        push(simulator, 2)
        await asyncio.sleep(1.0)
        assert [number_of(event) for event in seen] == [7, 1, "eventStreamTerminated", 8]


@pytest.mark.virtual
async def test_spot_subscriptions_that_fail_are_tried_again_once_they_stood() -> None:
    async with streaming(SPOT) as (simulator, session, events):
        simulator.inject(Fault("error", method="userDataStream.subscribe", status=503, code=-1008, times=2))
        simulator.inject(Fault("no_answer", method="userDataStream.subscribe"))
        simulator.connections[0].drop()
        await asyncio.sleep(60.0)
        push(simulator, 1)
        await asyncio.sleep(1.0)
        assert (await take(events, events.backlog))[-2:] == ["gap", 1]
        assert session.stats.stream_connections == 2


async def test_spot_says_why_it_cannot_subscribe() -> None:
    async with exchange(SPOT) as simulator:
        simulator.inject(Fault("error", method="userDataStream.subscribe", status=400, code=-1100, msg="no"))
        async with session_to(simulator) as session:
            with pytest.raises(ApiError, match="no"):
                await session.user_data_stream().__aenter__()
            async with session.user_data_stream() as events:
                push(simulator, 1)
                assert await take(events, 1) == [1]
        async with session_to(simulator, PLAIN) as session:
            with pytest.raises(ConfigurationError):
                await session.user_data_stream().__aenter__()


# Readers


@pytest.mark.parametrize("venue", VENUES)
async def test_several_readers_get_everything_over_one_socket(venue: Venue) -> None:
    """Each from when it came until it leaves; the socket goes with the last."""
    async with streaming(venue) as (simulator, session, first):
        push(simulator, 1)
        assert await take(first, 1) == [1]
        async with session.user_data_stream() as second:
            push(simulator, 2)
            assert await take(first, 1) == await take(second, 1) == [2]
        push(simulator, 3)
        assert await take(first, 1) == [3]
        assert second.backlog == 0
        assert [event async for event in second] == []
        assert session.stats.stream_connections == 1


async def test_a_reader_that_is_too_slow_is_told_so() -> None:
    """What fits is read, then comes the error; the others, and the next stream, are not concerned."""
    async with streaming(options={"buffer": 3}) as (simulator, session, slow):
        async with session.user_data_stream() as other:
            for number in range(1, 6):
                push(simulator, number)
            await until(lambda: other.backlog == 5)
            assert session.stats.event_backlog == 5
            assert slow.high_water == 3
            assert await take(slow, 3) == [1, 2, 3]
            for _ in range(2):
                with pytest.raises(EventsOverflow, match="3 events waited"):
                    await anext(slow)
            assert await take(other, 5) == [1, 2, 3, 4, 5]
            assert session.stats.event_backlog_peak == 5
            assert session.stats.event_backlog == 0
        async with session.user_data_stream() as again:
            push(simulator, 6)
            assert await take(again, 1) == [6]


async def test_a_reader_that_pauses_loses_nothing() -> None:
    """More than all buffers on the way can hold; the exchange waits, and the buffer stays within its bound."""
    async with streaming(options={"buffer": 100, "on_full": "pause"}) as (simulator, session, events):
        blob = "x" * 10_000
        count = 3000

        def send(number: int) -> None:
            simulator.push({"e": "BIG", "E": number, "blob": blob})

        for number in range(count):
            send(number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: events.backlog >= 100)
        await session.request("account.balance")  # the API connection is not held up
        seen: list[int] = []
        while len(seen) < count:
            seen.append((await anext(events)).time)
            assert events.backlog <= 100
        assert seen == list(range(count))
        assert session.stats.gaps == 0
        assert events.high_water == 100


@pytest.mark.virtual
async def test_a_pause_is_not_taken_for_a_dead_connection() -> None:
    """Nothing is judged while nothing is read; a rollover waits."""
    async with streaming(rollover_after=600.0, options={"buffer": 2, "on_full": "pause"}) as (
        simulator,
        session,
        events,
    ):
        for number in range(10):
            push(simulator, number)
        await asyncio.sleep(590.0)
        assert session.stats.gaps == 0
        assert session.stats.stream_connections == 1
        assert await take(events, 10) == list(range(10))
        await asyncio.sleep(700.0)
        assert session.stats.stream_connections >= 2
        assert session.stats.gaps == 0


@pytest.mark.parametrize("venue", VENUES)
async def test_a_callback_gets_events_as_their_bytes_are_received(venue: Venue) -> None:
    """No queue; what it raises is counted and hurts nothing; gaps too; the iteration ends with the stream."""
    got: list[Any] = []
    depth: list[str] = []

    def callback(event: Event) -> None:
        depth.append("".join(traceback.format_stack()))
        got.append(number_of(event))
        if number_of(event) == 2:
            raise RuntimeError("mine")

    async with streaming(venue, options={"callback": callback}) as (simulator, session, events):
        for number in range(1, 4):
            push(simulator, number)
        await until(lambda: len(got) == 3)
        assert got == [1, 2, 3]
        assert all("data_received" in stack for stack in depth)
        assert session.stats.hook_errors == 1
        assert events.backlog == 0
        await session.close()
        with pytest.raises(SessionClosed):
            await anext(events)


async def test_the_hook_alone() -> None:
    """on_event gets what a stream gets, before it; with buffer=0 nothing is kept."""
    seen: list[Any] = []

    class Hooked(Session):
        def on_event(self, event: Event) -> None:
            seen.append(number_of(event))

    async with (
        exchange() as simulator,
        session_to(simulator, kind=Hooked) as session,
        session.user_data_stream(buffer=0) as events,
    ):
        for number in range(5):
            push(simulator, number)
        await until(lambda: len(seen) == 5)
        assert events.backlog == 0
        sockets(simulator)[0].drop()
        await until(lambda: len(seen) == 6)
    assert seen == [0, 1, 2, 3, 4, "gap"]


async def test_two_readers_of_one_stream_are_refused() -> None:
    async with streaming() as (simulator, session, events):
        reading = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        with pytest.raises(ConfigurationError, match="has a reader"):
            await anext(events)
        push(simulator, 1)
        assert number_of(await reading) == 1
        with pytest.raises(ConfigurationError, match="opened once"):
            await events.__aenter__()
        with pytest.raises(ConfigurationError, match="async with"):
            await anext(session.user_data_stream())


def test_what_cannot_be_is_refused_at_the_door() -> None:
    async def coroutine(event: Event) -> None: ...

    session = Session(COIN_M)
    bad: list[dict[str, Any]] = [
        {"buffer": -1},
        {"buffer": 1.5},
        {"on_full": "drop"},
        {"callback": coroutine},
        {"callback": 3},
    ]
    for options in bad:
        with pytest.raises(ConfigurationError):
            session.user_data_stream(**options)
    with pytest.raises(ConfigurationError, match="answers"):
        Session(SPOT).user_data_stream(on_full="pause")


# The end


@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_closing_the_session_ends_the_iteration(venue: Venue) -> None:
    """What came before is read first."""
    async with streaming(venue) as (simulator, session, events):
        push(simulator, 1)
        await asyncio.sleep(1.0)
        reading = asyncio.ensure_future(take(events, 2))
        await asyncio.sleep(1.0)
        await session.close()
        with pytest.raises(SessionClosed, match="closed"):
            await reading
        with pytest.raises(SessionClosed):
            await session.user_data_stream().__aenter__()
        assert not simulator.connections


@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_a_session_that_fails_takes_its_streams_along(venue: Venue) -> None:
    async with streaming(venue) as (simulator, session, events):
        simulator.revoke(ED25519.api_key)
        next(connection for connection in simulator.connections if not connection.stream).drop()
        with pytest.raises(SessionClosed, match=r"refused session\.logon"):
            [event async for event in events]  # on Spot with a gap before
        assert session.state is SessionState.FAILED


async def test_a_simulators_key_does_not_go_to_binance() -> None:
    """Whoever gives the session another address says where its stream is, too."""
    with pytest.raises(ConfigurationError, match="you gave url= but not stream_url="):
        Session(COIN_M, ED25519, url="ws://127.0.0.1:1").user_data_stream()


def test_a_callback_that_is_no_function_is_called_what_it_is() -> None:
    with pytest.raises(ConfigurationError, match="a function that takes an Event, not an int"):
        Session(COIN_M, ED25519).user_data_stream(callback=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("venue", VENUES)
async def test_not_opened_yet(venue: Venue) -> None:
    session = Session(venue, ED25519)
    with pytest.raises(NotSent, match="not open"):
        await session.user_data_stream().__aenter__()


async def test_the_first_socket_is_not_retried() -> None:
    """Whoever opens a stream is told why there is none, and nothing is left of it."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("refuse_handshake", stream=True))
        with pytest.raises(ConnectError, match="503"):
            await session.user_data_stream().__aenter__()
        assert session.listen_key is None
        async with session.user_data_stream() as events:
            push(simulator, 1)
            assert await take(events, 1) == [1]


@pytest.mark.long
@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_cancelled_at_every_turn(venue: Venue) -> None:
    """Whoever is cancelled while it opens, reads or leaves, leaves nothing behind (which every test checks)."""
    async with exchange(venue, enforce_limits=False) as simulator, session_to(simulator) as session:

        async def use(leave: bool) -> None:
            async with session.user_data_stream(stop_on_exit=leave) as events:
                push(simulator, 1)
                async for _ in events:
                    if leave:
                        break

        for turns in range(60):
            task = asyncio.ensure_future(use(turns % 2 == 0))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(10.0)
            assert session.listen_key is None
            assert not [connection for connection in simulator.connections if connection.stream]
            assert len(asyncio.all_tasks()) < 10
        async with session.user_data_stream() as events:
            push(simulator, 2)
            assert (await take(events, 1)) == [2]


@pytest.mark.long
@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_closed_at_every_turn_of_a_reconnect(venue: Venue) -> None:
    for turns in range(0, 50, 2):
        async with exchange(venue, enforce_limits=False) as simulator:
            session = session_to(simulator)
            await session.open()
            async with session.user_data_stream() as events:
                sockets(simulator)[0].drop()
                simulator.expire_listen_keys()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await session.close()
                with contextlib.suppress(SessionClosed):
                    while True:
                        await anext(events)
            assert session.state is SessionState.CLOSED


@pytest.mark.virtual
@pytest.mark.parametrize("venue", VENUES)
async def test_no_listen_key_is_shown(venue: Venue, caplog: pytest.LogCaptureFixture) -> None:
    """Through drops, expiries and refusals, at DEBUG, in asyncio's debug mode."""
    asyncio.get_running_loop().set_debug(True)
    caplog.set_level(logging.DEBUG)
    keys = []
    shown = ""
    async with streaming(venue) as (simulator, session, events):
        for fault in (None, "refuse_handshake", "drop_handshake"):
            if session.listen_key is not None:
                keys.append(session.listen_key.value)
            if fault is not None:
                simulator.inject(Fault(fault, stream=venue is not SPOT))
            sockets(simulator)[-1].drop()
            push(simulator, 1)
            while not (event := await anext(events)).is_gap:
                pass
            shown += repr(event) + str(event.data)
            await session.wait_for(SessionState.READY)
            simulator.expire_listen_keys()
            if venue is not SPOT:
                while not (event := await anext(events)).is_gap:
                    shown += repr(event)
        shown += repr(events) + repr(session) + repr(session.stats) + repr(asyncio.all_tasks())
    text = caplog.text + shown
    assert (venue is SPOT) == (not keys)
    assert not [key for key in keys if key in text]
    assert ED25519.api_key not in text
