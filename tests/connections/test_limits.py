"""429 and 418: nothing is sent before the exchange listens again, and everybody knows until when."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from typing import Any

import pytest

from binance_session import (
    ApiError,
    ConnectError,
    ConnectionLost,
    InvalidTimestamp,
    IpBanned,
    RateLimit,
    RateLimited,
    Response,
    ServerError,
    Session,
    SessionState,
)
from binance_session.connections import suspension
from binance_session.connections.link import Link
from binance_session.simulator import Fault, virtual
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}
READY = SessionState.READY


def limited(simulator: Any, seconds: float, **options: Any) -> Fault:
    """Return a refusal of the next balance that asks to wait."""
    retry_at = int((simulator.clock.time() + seconds) * 1000)
    return Fault(
        "error",
        **{
            "method": "account.balance",
            "status": 429,
            "code": -1003,
            "msg": "Too many requests.",
            "data": {"serverTime": int(simulator.clock.time() * 1000), "retryAfter": retry_at},
            **options,
        },
    )


@pytest.mark.virtual
async def test_no_answer_holds_a_session_for_hours() -> None:
    """What a 429 asks for is bounded as at a handshake; only a ban is longer, as documented."""
    async with exchange() as simulator, session_to(simulator) as session:
        loop = asyncio.get_running_loop()
        simulator.inject(limited(simulator, 76_000))
        with pytest.raises(RateLimited):
            await session.request("account.balance")
        began = loop.time()
        await session.request("account.balance", timeout=90_000)
        assert loop.time() - began == pytest.approx(300, abs=1)
        await session.start_user_data_stream()
        simulator.inject(limited(simulator, 76_000, method="userDataStream.ping"))
        while not session.stats.failed_pings:
            await asyncio.sleep(1)
        began = loop.time()
        while not session.stats.pings:
            await asyncio.sleep(1)
        assert loop.time() - began == pytest.approx(300, abs=2)


@pytest.mark.virtual
async def test_after_a_429_requests_wait_for_retry_after() -> None:
    """The one that met it is told when; the next leaves then and not before; an order does not wait unasked."""
    async with exchange() as simulator, session_to(simulator, request_timeout=60) as session:
        began = simulator.clock.time()
        simulator.inject(limited(simulator, 30))
        with pytest.raises(RateLimited, match="not executed") as caught:
            await session.request("account.balance")
        assert caught.value.outcome == "rejected"
        assert caught.value.retry_at == pytest.approx(began + 30, abs=0.01)
        assert session.state is READY
        with pytest.raises(RateLimited) as caught:
            session.submit("order.place", ORDER)
        assert caught.value.outcome == "not_sent"
        assert caught.value.retry_at == pytest.approx(began + 30, abs=0.01)
        assert caught.value.retry_in == pytest.approx(30, abs=0.1)
        waiting = [
            session.submit("account.position"),
            session.submit("order.place", ORDER, on_unready="wait"),
        ]
        await asyncio.gather(*waiting)
        assert simulator.clock.time() - began == pytest.approx(30, abs=0.01)
        assert requests(simulator, "account.position")[0].time - began >= 29.99
        assert (await session.request("order.place", ORDER)).status == 200


@pytest.mark.virtual
async def test_who_cannot_wait_that_long_is_told_at_once() -> None:
    """Waiting counts against the request's timeout: beyond it, RateLimited without sending."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(limited(simulator, 30))
        with pytest.raises(RateLimited):
            await session.request("account.balance")
        refused: list[dict[str, Any]] = [{}, {"timeout": 29.0}, {"timeout": 100.0, "on_unready": "fail"}]
        for options in refused:
            with pytest.raises(RateLimited) as caught:
                session.submit("account.position", **options)
            assert caught.value.outcome == "not_sent"
        assert (await session.request("account.position", timeout=31.0)).status == 200
        assert len(requests(simulator, "account.position")) == 1


@pytest.mark.virtual
async def test_a_429_without_a_time_waits_for_the_next_minute() -> None:
    """The weight is counted by calendar minutes (PROTOCOL.md §8)."""
    async with exchange() as simulator, session_to(simulator, request_timeout=100) as session:
        await asyncio.sleep(10 - simulator.clock.time() % 60 + 60)
        simulator.inject(limited(simulator, 0, data=None))
        with pytest.raises(RateLimited) as caught:
            await session.request("account.balance")
        assert caught.value.retry_at is None
        await session.request("account.position")
        assert requests(simulator, "account.position")[0].time % 60 == pytest.approx(0, abs=0.05)


@pytest.mark.virtual
async def test_the_sessions_of_a_process_share_it() -> None:
    """The weight is counted by address: one session's 429 is every session's; another host's is not."""
    async with exchange() as simulator, exchange() as elsewhere:
        sessions = [session_to(simulator), session_to(simulator, HMAC), session_to(elsewhere)]
        for session in sessions:
            await session.open()
        simulator.inject(limited(simulator, 5))
        with pytest.raises(RateLimited):
            await sessions[0].request("account.balance")
        began = simulator.clock.time()
        await sessions[1].request("account.position")
        assert simulator.clock.time() - began == pytest.approx(5, abs=0.05)
        await sessions[2].request("account.position")
        assert requests(elsewhere, "account.position")[0].time - began == pytest.approx(5, abs=0.05)
        for session in sessions:
            await session.close()


async def test_the_sessions_of_other_threads_share_it_too() -> None:
    """One loop's ban is known on another loop of the process at once."""
    async with exchange() as simulator, session_to(simulator) as session:
        banned = threading.Event()
        told: list[Any] = []

        async def elsewhere() -> None:
            other = Session(simulator.venue, HMAC, url=url)
            async with other:
                ready.set()
                await asyncio.to_thread(banned.wait, 20)
                while not told:
                    try:
                        await other.request("account.position", on_unready="fail")
                    except IpBanned as error:
                        told.append(error)

        url, ready = simulator.url, threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await asyncio.to_thread(ready.wait, 20)
        simulator.inject(limited(simulator, 60, status=418))
        with pytest.raises(IpBanned):
            await session.request("account.balance")
        banned.set()
        await asyncio.to_thread(thread.join, 20)
        assert [error.outcome for error in told] == ["not_sent"]


@pytest.mark.virtual
async def test_an_order_limit_holds_back_nothing_else() -> None:
    """-1015 counts the account's orders: cancels and queries go on."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(limited(simulator, 30, method="order.place", code=-1015))
        with pytest.raises(RateLimited) as caught:
            await session.request("order.place", ORDER)
        assert caught.value.retry_at is not None
        assert (await session.request("account.position")).status == 200


@pytest.mark.virtual
@pytest.mark.parametrize("told", ["data", "text"])
async def test_a_ban_holds_back_connections_too(told: str) -> None:
    """418 drops the connection; nothing is sent and nothing dialled until it ends, wherever its end was written."""
    async with exchange() as simulator, session_to(simulator) as session:
        key = await session.start_user_data_stream()
        began = simulator.clock.time()
        end = int((began + 200) * 1000)
        told_by = {"data": {"retryAfter": end}} if told == "data" else {"data": None}
        text = "Way too much request weight used" + (f"; IP banned until {end}." if told == "text" else ".")
        simulator.inject(limited(simulator, 0, status=418, msg=text, **told_by))
        with pytest.raises(IpBanned) as caught:
            await session.request("account.balance")
        assert caught.value.retry_at == end / 1000
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        attempts = simulator.exchange._connections_so_far
        await asyncio.sleep(100)
        with pytest.raises(IpBanned) as caught:
            await session.request("account.position")
        assert caught.value.outcome == "not_sent"
        await asyncio.sleep(99)
        assert simulator.exchange._connections_so_far == attempts
        await session.wait_for(READY)
        assert simulator.clock.time() - began == pytest.approx(200, abs=1)
        assert (await session.ping_user_data_stream()).value == key.value


@pytest.mark.virtual
async def test_a_429_holds_back_connections_too() -> None:
    """A handshake costs request weight, and weight against a 429 becomes a ban: dialled when it is over."""
    async with exchange() as simulator, session_to(simulator) as session:
        began = simulator.clock.time()
        simulator.inject(limited(simulator, 30))
        with pytest.raises(RateLimited):
            await session.request("account.balance")
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        attempts = simulator.exchange._connections_so_far
        await asyncio.sleep(29)
        assert simulator.exchange._connections_so_far == attempts
        await session.wait_for(READY)
        assert simulator.clock.time() - began == pytest.approx(30, abs=0.1)


@pytest.mark.virtual
async def test_a_session_does_not_open_into_a_ban() -> None:
    """open() says until when instead of making it longer."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(limited(simulator, 500, status=418))
        with pytest.raises(IpBanned):
            await session.request("account.balance")
        attempts = simulator.exchange._connections_so_far
        with pytest.raises(IpBanned) as caught:
            await session_to(simulator, HMAC).open()
        assert caught.value.outcome == "not_sent"
        assert caught.value.retry_at == pytest.approx(simulator.clock.time() + 500, abs=1)
        assert simulator.exchange._connections_so_far == attempts


@pytest.mark.virtual
async def test_a_refused_handshake_that_names_a_time_is_believed() -> None:
    """HTTP 429 with Retry-After: no attempt before."""
    async with exchange() as simulator, session_to(simulator) as session:
        now = simulator.clock.time()
        simulator.inject(Fault("refuse_handshake", status=429, retry_after=int((now + 90) * 1000)))
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        assert simulator.clock.time() - now == pytest.approx(90, abs=2)
        assert session.stats.connections == 2


@pytest.mark.virtual
async def test_a_first_connection_that_is_refused_so_is_told() -> None:
    """With the seconds to wait."""
    async with exchange() as simulator:
        now = simulator.clock.time()
        simulator.inject(Fault("refuse_handshake", status=418, retry_after=int((now + 90) * 1000)))
        with pytest.raises(ConnectError) as caught:
            await session_to(simulator).open()
        assert caught.value.status == 418
        assert caught.value.retry_after == pytest.approx(90, abs=1)
        assert caught.value.retryable


@pytest.mark.virtual
async def test_a_refused_handshake_asks_for_no_longer_than_a_ban_can_be() -> None:
    """Three days; anything else than a ban, five minutes."""
    async with exchange() as simulator:
        in_a_month = int((simulator.clock.time() + 30 * 86_400) * 1000)
        for status, heeded in ((418, 3 * 86_400), (429, 300), (503, 300), (302, 300)):
            simulator.inject(Fault("refuse_handshake", status=status, retry_after=in_a_month))
            virtual.VirtualTimeLoop.running().network.names[f"host{status}"] = ("127.0.0.1",)  # which nobody holds yet
            with pytest.raises(ConnectError) as caught:
                await session_to(simulator, None, url=simulator.url.replace("127.0.0.1", f"host{status}")).open()
            assert caught.value.retry_after == heeded


@pytest.mark.virtual
async def test_the_exchanges_own_counting_is_survived() -> None:
    """A bot that asks too much: the simulator counts by the calendar, and no ban follows because nobody ignores it."""
    async with exchange() as simulator, session_to(simulator, request_timeout=120) as session:
        results = []
        for _ in range(200):
            batch = [session.submit("account.status", timeout=300) for _ in range(8)]
            results += await asyncio.gather(*batch, return_exceptions=True)
        refused = [result for result in results if isinstance(result, RateLimited)]
        assert refused
        assert not [result for result in results if isinstance(result, IpBanned)]
        assert sum(not isinstance(result, BaseException) for result in results) > 1400
        assert len(simulator.connections) == 1


@pytest.mark.virtual
async def test_the_attempts_of_all_sessions_to_a_host_are_budgeted() -> None:
    """Never more than 300 handshakes in 5 minutes, however many sessions and however eager their policies."""

    class Eager:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 0.0

    times: list[float] = []

    class Bot(Session):
        def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
            if new is SessionState.LOGGING_ON:
                times.append(asyncio.get_running_loop().time())

    async with exchange(enforce_limits=False) as simulator:
        fleet = [session_to(simulator, kind=Bot, reconnect=Eager(), ping_interval=None) for _ in range(3)]
        for session in fleet:
            await session.open()
        simulator.inject(Fault("drop_before", method="session.logon", times=None))
        for connection in simulator.connections:
            connection.drop()
        await asyncio.sleep(900)
        assert 600 < len(times) <= 1200
        assert all(later - earlier >= 299.9 for earlier, later in zip(times, times[300:], strict=False))
        for session in fleet:
            await session.close()


async def test_limits_are_told() -> None:
    """on_rate_limit gets the limits of each answer that carries them, refusals included."""
    told: list[tuple[RateLimit, ...]] = []

    class Bot(Session):
        def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
            told.append(limits)

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        await session.request("order.place", ORDER)
        await session.request("account.balance", {"returnRateLimits": False})
        assert [[limit.type for limit in limits] for limits in told] == [
            ["REQUEST_WEIGHT"],
            ["ORDERS", "ORDERS", "REQUEST_WEIGHT"],
        ]
        assert told[1][-1].count > 0


# The clock


@pytest.mark.virtual
@pytest.mark.parametrize("off", [-120.0, 120.0, 7200.0])
async def test_a_wrong_clock_does_not_keep_a_session_from_logging_on(off: float) -> None:
    """-1021 at the logon: the exchange's time is asked for, and the logon signed once more."""
    async with exchange() as simulator:
        session = Session(simulator.venue, ED25519, url=simulator.url, wall_clock=lambda: simulator.clock.time() + off)
        async with session:
            assert session.authenticated
            assert session.clock_offset == pytest.approx(-off, abs=0.5)
            assert [entry.method for entry in simulator.received] == [
                "session.logon",
                "session.status",
                "session.logon",
            ]
            assert (await session.request("account.balance")).status == 200


@pytest.mark.virtual
async def test_a_refusal_that_names_the_time_teaches_it() -> None:
    """``error.data.serverTime``: enough to notice that the local clock is wrong."""
    async with exchange() as simulator:
        session = Session(simulator.venue, HMAC, url=simulator.url, wall_clock=lambda: simulator.clock.time() - 600)
        async with session:
            simulator.inject(limited(simulator, 1, method="userDataStream.start"))
            with pytest.raises(RateLimited):
                await session.start_user_data_stream()
            assert session.clock_offset == pytest.approx(600, abs=1)
            assert (await session.request("account.balance", timeout=20)).status == 200


@pytest.mark.virtual
async def test_after_a_minus_1021_the_next_request_is_right() -> None:
    """The caller is told (it was not executed), and the session asks for the time of its own accord."""
    async with exchange() as simulator:
        session = Session(simulator.venue, HMAC, url=simulator.url, wall_clock=lambda: simulator.clock.time() - 60)
        async with session:
            results = await asyncio.gather(
                *(session.request("account.balance") for _ in range(5)), return_exceptions=True
            )
            assert {getattr(result, "code", None) for result in results} == {-1021}
            await until(lambda: session.clock_offset > 59)
            assert len(requests(simulator, "session.status")) == 1
            assert (await session.request("account.balance")).status == 200


@pytest.mark.virtual
async def test_after_the_machine_stood_still_the_time_is_asked_for_twice_and_then_followed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A virtual machine was paused for an hour, both its clocks with it: one answer alone is not believed."""
    behind = 0.0
    async with exchange() as simulator:
        session = Session(simulator.venue, HMAC, url=simulator.url, wall_clock=lambda: simulator.clock.time() - behind)
        async with session:
            await session.status()
            behind = 3600.0
            session._clock._lead = (session._clock._lead or 0.0) - behind
            simulator.received.clear()
            with pytest.raises(InvalidTimestamp):
                await session.request("account.balance")
            await until(lambda: session.clock_offset > 3599)
            assert len(requests(simulator, "session.status")) == 2
            assert (await session.request("account.balance")).status == 200
    assert len([record for record in caplog.records if "clock" in record.getMessage()]) == 2


@pytest.mark.virtual
async def test_a_step_of_the_local_clock_goes_unnoticed_by_the_exchange() -> None:
    """An hour forward, a day back: signed requests stay right, and clock_offset tells."""
    step = 0.0
    async with exchange() as simulator:
        session = Session(simulator.venue, ED25519, url=simulator.url, wall_clock=lambda: simulator.clock.time() + step)
        async with session:
            for step in (3600.0, -86_400.0):
                assert (await session.request("account.balance")).status == 200
                assert session.clock_offset == pytest.approx(-step, abs=0.5)


@pytest.mark.virtual
async def test_a_link_too_slow_for_the_recv_window_is_no_refused_key() -> None:
    """A reconnect over a line that takes seconds: tried again by the policy, and READY once the line is quick."""
    async with exchange() as simulator, session_to(simulator, recv_window=1000, open_timeout=60) as session:
        network = virtual.VirtualTimeLoop.running().network
        network.latency = 5.0
        simulator.connections[0].drop()
        await asyncio.sleep(120)
        assert session.state not in (READY, SessionState.FAILED)
        assert len(requests(simulator, "session.logon")) > 3
        network.latency = 0.0
        await session.wait_for(READY)


# Permissions


@pytest.mark.virtual
async def test_a_missing_permission_is_not_a_revocation() -> None:
    """-2015 with an id may be either: the session asks, and goes on when it is still logged on."""
    async with exchange() as simulator:
        simulator.add_key(ED25519.api_key, public_key=ED25519.public_pem(), permissions=["USER_DATA"])
        async with session_to(simulator) as session:
            with pytest.raises(Exception, match="-2015"):
                await session.request("order.place", ORDER)
            await until(lambda: len(requests(simulator, "session.status")) == 1)
            assert (await session.request("account.balance")).status == 200
            assert session.authenticated
            assert session.state is READY
            assert len(requests(simulator, "session.logon")) == 1


@pytest.mark.virtual
async def test_a_revocation_with_an_id_is_found_out() -> None:
    """The request was refused under its own id; the exchange says the logon is gone: one new logon."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("error", method="account.balance", status=401, code=-2015))
        simulator.connections[0].key = None
        with pytest.raises(Exception, match="-2015") as caught:
            await session.request("account.balance")
        assert not isinstance(caught.value, ServerError)
        await session.wait_for(SessionState.LOGGING_ON)
        await session.wait_for(READY)
        assert session.authenticated
        assert len(requests(simulator, "session.logon")) == 2


# The reserve


@pytest.mark.virtual
async def test_a_reserve_of_weight_is_kept_for_what_must_not_wait() -> None:
    """Queries stop at nine tenths of the minute's weight; cancels and pings go on; the next minute is everybody's."""
    async with exchange() as simulator, session_to(simulator, weight_reserve=0.1, request_timeout=120) as session:
        await asyncio.sleep(60 - simulator.clock.time() % 60 + 1)
        began = simulator.clock.time()
        while True:
            reply = await session.request("account.status")  # weight 5 of 2400
            if simulator.clock.time() - began > 1:
                break
            used = reply.rate_limits[-1].count
        assert 2160 <= used < 2170
        assert simulator.clock.time() % 60 == pytest.approx(0, abs=0.1)
        while (await session.request("account.status")).rate_limits[-1].count < 2160:
            pass
        with pytest.raises(RateLimited, match=r"held back here: weight_reserve.*was not sent; wait") as caught:
            session.submit("account.status", timeout=5)
        assert caught.value.outcome == "not_sent"
        assert "code" not in str(caught.value), "the exchange said nothing"
        with pytest.raises(RateLimited):
            session.submit("order.place", ORDER)
        await session.start_user_data_stream()
        await session.ping_user_data_stream()
        for _ in range(20):
            with pytest.raises(ApiError, match="-2011"):
                await session.request("order.cancel", {"symbol": "BTCUSD_PERP", "orderId": 7})
        assert session.state is READY


@pytest.mark.virtual
async def test_one_sessions_reserve_is_not_anothers() -> None:
    """Who keeps none goes on, until the exchange itself says no."""
    async with (
        exchange() as simulator,
        session_to(simulator, weight_reserve=0.5) as careful,
        session_to(simulator, HMAC) as careless,
    ):
        await asyncio.sleep(60 - simulator.clock.time() % 60 + 1)
        while True:
            try:
                await careful.request("account.status", on_unready="fail")
            except RateLimited:
                break
        assert (await careless.request("account.status")).rate_limits[-1].count >= 1200


async def until_refused(session: Session) -> RateLimited:
    """Ask until that is refused, and return the refusal, of which the exchange knows nothing."""
    refused = None
    while refused is None:
        try:
            await session.request("account.status", on_unready="fail")
        except RateLimited as error:
            refused = error
    assert refused.outcome == "not_sent"
    return refused


async def use_up(simulator: Any, session: Session) -> int:
    """Ask until the reserve is all that is left of a minute; return the weight that the exchange counted."""
    async with session_to(simulator, HMAC) as witness:
        await asyncio.sleep(60 - simulator.clock.time() % 60 + 1)
        refused = await until_refused(session)
        assert refused.retry_at is not None
        assert refused.retry_at % 60 == pytest.approx(0, abs=1)
        return (await witness.request("account.balance")).rate_limits[-1].count


def silent(simulator: Any, credentials: Any = ED25519, **options: Any) -> Any:
    """Return a session to whom no answer tells the weight unless it is asked to."""
    return session_to(simulator, credentials, url=f"{simulator.url}?returnRateLimits=false", **options)


@pytest.mark.virtual
async def test_a_reserve_is_kept_where_answers_tell_no_weight() -> None:
    """What is sent is counted, and the exchange asked once in a while; cancels and pings go on; so do the minutes."""
    async with exchange() as simulator, silent(simulator, weight_reserve=0.1, request_timeout=120) as session:
        for _ in range(2):
            assert 2150 <= await use_up(simulator, session) <= 2180
            for _ in range(20):
                with pytest.raises(ApiError, match="-2011"):
                    await session.request("order.cancel", {"symbol": "BTCUSD_PERP", "orderId": 7})
            parked = asyncio.ensure_future(session.request("account.status"))
            await parked
            assert simulator.clock.time() % 60 == pytest.approx(0, abs=0.1)
        asked = [entry for entry in requests(simulator, "session.status") if entry.params.get("returnRateLimits")]
        assert 30 <= len(asked) <= 60  # a twentieth of the weight each


@pytest.mark.virtual
async def test_the_weight_that_others_use_counts_too() -> None:
    """A neighbour without a reserve uses half of it: learned by asking."""
    async with (
        exchange() as simulator,
        silent(simulator, weight_reserve=0.1) as session,
        session_to(simulator, HMAC) as careless,
    ):
        await asyncio.sleep(60 - simulator.clock.time() % 60 + 1)
        await session.request("account.status")
        await asyncio.gather(*(careless.request("account.status") for _ in range(240)))
        await until_refused(session)
        assert 2150 <= (await careless.request("account.balance")).rate_limits[-1].count <= 2300


@pytest.mark.virtual
async def test_a_burst_does_not_run_over_the_reserve() -> None:
    """All in one turn, before any answer; and again when what waited may leave."""
    async with exchange() as simulator, silent(simulator, weight_reserve=0.1) as session:
        await session.request("account.status")
        await asyncio.sleep(60 - simulator.clock.time() % 60 + 1)
        waiting = [session.submit("account.status", timeout=600, on_unready="wait") for _ in range(1200)]
        urgent = session.submit("userDataStream.start")
        await urgent
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [result for result in results if isinstance(result, BaseException)] == []
        minutes = Counter(entry.time // 60 for entry in requests(simulator, "account.status"))
        assert max(minutes.values()) <= 433
        assert len({entry.message["id"] for entry in simulator.received if entry.message}) == len(simulator.received)


@pytest.mark.virtual
async def test_one_answer_without_the_weight_is_enough_to_count() -> None:
    """It was asked for so, by one call: from then on what is sent is counted."""
    async with exchange() as simulator, session_to(simulator, weight_reserve=0.1) as session:
        assert session._admission.link is not None
        await session.request("account.balance", {"returnRateLimits": False})
        assert session._admission.link is None
        assert 2150 <= await use_up(simulator, session) <= 2180


@pytest.mark.virtual
async def test_an_exchange_that_never_tells_is_reckoned_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked once, and then the smallest limit that is documented is kept to by what is sent."""
    monkeypatch.setattr(Link, "ask_limits", lambda link: link.submit(link._status))
    async with exchange() as simulator, silent(simulator, weight_reserve=0.1) as session:
        assert 2140 <= await use_up(simulator, session) <= 2180
        assert len(requests(simulator, "session.status")) == 1
        assert "does not tell the request weight" in caplog.text


@pytest.mark.virtual
async def test_a_limit_that_makes_no_sense_is_none(caplog: pytest.LogCaptureFixture) -> None:
    """Also when it is asked for: by a limit of nothing all would be held for ever."""
    async with exchange() as simulator, silent(simulator, weight_reserve=0.1) as session:
        nonsense = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 0, "count": 1}]
        told: Any = (Response(1, "session.status", 200, {}, nonsense).rate_limits,)
        await session.request("account.balance")
        throttle = session._supervisor.throttle
        assert throttle.count is not None
        assert not throttle.weight_told(*told, throttle.count.asked())
        assert throttle.may_send
        assert throttle.count.limit > 0


async def test_without_a_reserve_nothing_is_counted() -> None:
    """Requests go the short way."""
    async with exchange() as simulator, silent(simulator) as session:
        await session.request("account.balance")
        assert session._admission.link is not None
        assert session._supervisor.throttle.count is None


# Suspension


@pytest.mark.virtual
async def test_a_machine_that_slept_checks_its_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock went on without the loop: a dead connection is found in seconds, a live one lives on."""
    slept = 0.0
    real = time.time
    monkeypatch.setattr("binance_session.connections.suspension.time.time", lambda: real() + slept)
    options: dict[str, Any] = {"ping_interval": 3600.0, "ping_timeout": 600.0, "request_timeout": 9999.0}
    async with (
        exchange() as simulator,
        session_to(simulator, **options) as dead,
        session_to(simulator, **options) as live,
    ):
        network = virtual.VirtualTimeLoop.running().network
        network.connections[0].half_open()
        began = simulator.clock.time()
        waiting = dead.submit("account.balance")
        slept = 7200.0
        with pytest.raises(ConnectionLost, match="no pong within"):
            await waiting
        assert simulator.clock.time() - began < 5
        await dead.wait_for(READY)
        assert live.stats.connections == 1
        assert (await live.request("account.balance")).status == 200


@pytest.mark.long
async def test_a_process_that_was_stopped_notices_when_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The loop did not run for a while, as under SIGSTOP: said once, and the connections are checked."""
    async with exchange() as simulator, session_to(simulator) as session:
        blocked = asyncio.get_running_loop().time() + suspension._TICK + suspension._SUSPENDED + 0.1
        while asyncio.get_running_loop().time() < blocked:  # nothing else runs meanwhile
            pass
        await until(lambda: "was suspended" in caplog.text)
        assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1


@pytest.mark.parametrize(
    "limit",
    [
        {"limit": 10**400, "count": 10**400, "intervalNum": 1},
        {"limit": 10**400, "count": 1, "intervalNum": 1},
        {"limit": 0, "count": 0, "intervalNum": 1},
        {"limit": -5, "count": 1, "intervalNum": 1},
        {"limit": True, "count": 1, "intervalNum": 1},
        {"limit": 1, "count": 1, "intervalNum": 10**9},
        {"limit": 1, "count": 1, "intervalNum": "1"},
        {"limit": 1, "count": 1, "intervalNum": 1.5},
        {"limit": 1, "count": -1, "intervalNum": 1},
        {"limit": "many", "count": 1e308, "intervalNum": None},
        {},
    ],
)
async def test_a_limit_that_makes_no_sense_holds_nothing_back(
    limit: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does it raise inside the reception of the answer."""
    seen: list[RateLimit] = []

    class Bot(Session):
        def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
            seen.extend(limits)

    async with exchange() as simulator, session_to(simulator, kind=Bot, weight_reserve=0.1) as session:
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", **limit}]
        simulator.inject(Fault("no_answer", method="account.balance"))
        future = session.submit("account.balance")
        await until(lambda: requests(simulator, "account.balance"))
        request_id = requests(simulator, "account.balance")[-1].message["id"]  # type: ignore[index]
        simulator.connections[0].send({"id": request_id, "status": 200, "result": 1, "rateLimits": limits})
        assert (await future).result == 1
        assert session._admission.link is not None, "requests are held back"
    assert all(0 <= entry.limit < 2**63 for entry in seen)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
