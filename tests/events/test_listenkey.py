"""The listenKey never lapses while a ping can get through, and whoever holds the session knows what became of it."""

from __future__ import annotations

import asyncio
import itertools
import traceback
from typing import Any

import pytest
from attrs import evolve

from binance_session import (
    COIN_M,
    SPOT,
    AdaptiveKeepalive,
    ConfigurationError,
    FixedInterval,
    KeepaliveStatus,
    ListenKey,
    ListenKeyNotFound,
    NoKeepalive,
    ProtocolError,
    Response,
    Session,
    SessionClosed,
)
from binance_session.simulator import Fault, Readings
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

DAY = 86_400.0


class Recorder(Session):
    """Keeps what the hooks said."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.statuses: list[KeepaliveStatus] = []
        self.keys: list[tuple[str | None, str | None]] = []
        super().__init__(*args, **options)

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        self.statuses.append(status)

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        self.keys.append((old.value if old else None, new.value if new else None))


async def test_start_ping_and_stop() -> None:
    """The key, until when it lives (Unix seconds), and what the hook tells."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        assert session.listen_key is None
        key = await session.start_user_data_stream()
        assert session.listen_key == key
        assert key.valid_until == pytest.approx(simulator.clock.time() + 3600, abs=5)
        extended = await session.ping_user_data_stream()
        assert extended.value == key.value
        assert extended.valid_until >= key.valid_until
        await session.stop_user_data_stream()
        assert session.listen_key is None
        assert session.keys == [(None, key.value), (key.value, None)]
        with pytest.raises(ListenKeyNotFound):
            await session.ping_user_data_stream()


@pytest.mark.virtual
@pytest.mark.parametrize("credentials", [ED25519, HMAC])
async def test_a_day_of_pings(credentials: Any) -> None:
    """The key lives all day, with pings every 15 to 25 minutes that carry nothing (or the apiKey, without a logon)."""
    async with exchange() as simulator, session_to(simulator, credentials, kind=Recorder) as session:
        key = await session.start_user_data_stream()
        await asyncio.sleep(DAY / 2)
        assert (await session.ping_user_data_stream()).value == key.value
        pings = requests(simulator, "userDataStream.ping")
        times = [requests(simulator, "userDataStream.start")[0].time, *(ping.time for ping in pings[:-1])]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(900 <= gap <= 1501 for gap in gaps)
        assert len(set(gaps)) > 10
        wanted = {"apiKey"} if credentials is HMAC else set()
        assert all(set(ping.params) == wanted for ping in pings)
        assert session.stats.pings == len(pings) - 1
        assert session.stats.failed_pings == 0
        assert [status.consecutive_failures for status in session.statuses] == [0] * (len(pings) - 1)
        assert session.keys == [(None, key.value)]


@pytest.mark.virtual
@pytest.mark.long
async def test_the_24_hour_cut_costs_no_key() -> None:
    """The exchange ends each connection after a day; the session reconnects and the same key lives on."""
    async with exchange() as simulator, session_to(simulator) as session:
        key = await session.start_user_data_stream()
        await asyncio.sleep(3.4 * DAY)  # three moves, however early, and never a fourth
        assert session.listen_key is not None
        assert session.listen_key.value == key.value
        assert session.stats.connections == 4
        assert len(requests(simulator, "userDataStream.start")) == 1


@pytest.mark.virtual
@pytest.mark.parametrize("fault", ["no_answer", "error", "drop_before", "drop_after"])
async def test_failing_pings_are_repeated_soon(fault: str) -> None:
    """Twenty failures in a row, whatever their kind, and the key has not lapsed."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        key = await session.start_user_data_stream()
        simulator.inject(Fault(fault, method="userDataStream.ping", times=20))
        await asyncio.sleep(3600)
        assert session.stats.failed_pings == 20
        assert max(status.consecutive_failures for status in session.statuses) == 20
        failed = next(status for status in session.statuses if status.consecutive_failures)
        assert failed.last_error == (-1007 if fault == "error" else 0)
        assert session.statuses[-1].last_error is None
        assert (await session.ping_user_data_stream()).value == key.value
        assert len(requests(simulator, "userDataStream.start")) == 1


@pytest.mark.virtual
@pytest.mark.parametrize("readings", [Readings(), Readings(ping_without_key="created")])
async def test_a_key_that_is_gone_is_replaced(readings: Readings) -> None:
    """-1125: one start, a new key, and the hook names both; also where a ping without a key makes a new one."""
    async with exchange(readings=readings) as simulator, session_to(simulator, kind=Recorder) as session:
        key = await session.start_user_data_stream()
        simulator.inject(Fault("expired_listen_key"))
        await asyncio.sleep(1600)
        assert session.listen_key is not None
        assert session.listen_key.value != key.value
        assert session.keys == [(None, key.value), (key.value, session.listen_key.value)]
        assert len(requests(simulator, "userDataStream.start")) == (2 if readings.ping_without_key == "refused" else 1)
        assert (await session.ping_user_data_stream()).value == session.listen_key.value


@pytest.mark.virtual
async def test_a_ping_of_ones_own_that_finds_the_key_gone() -> None:
    """The caller is told; the session starts a new key because it owned the old one."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        key = await session.start_user_data_stream()
        simulator.inject(Fault("expired_listen_key"))
        with pytest.raises(ListenKeyNotFound) as caught:
            await session.ping_user_data_stream()
        assert caught.value.code == -1125
        await until(lambda: len(session.keys) == 2)
        assert session.keys[1][0] == key.value


@pytest.mark.virtual
async def test_however_many_ask_for_a_key_one_start_is_sent() -> None:
    """Callers, the loop that found the key gone: all get the same answer."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        keys = await asyncio.gather(*(session.start_user_data_stream() for _ in range(10)))
        assert len({key.value for key in keys}) == 1
        assert len(requests(simulator, "userDataStream.start")) == 1
        simulator.inject(Fault("expired_listen_key"))
        simulator.inject(Fault("late_answer", method="userDataStream.start", delay=1.0))
        with pytest.raises(ListenKeyNotFound):
            await session.ping_user_data_stream()
        await asyncio.sleep(0.5)
        again = await asyncio.gather(*(session.start_user_data_stream() for _ in range(10)))
        assert {key.value for key in again} == {session.listen_key.value if session.listen_key else ""}
        assert len(requests(simulator, "userDataStream.start")) == 2


@pytest.mark.virtual
async def test_a_caller_that_goes_away_does_not_take_the_start_with_it() -> None:
    """The others still get their key; and closing in the middle leaves nothing."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("late_answer", method="userDataStream.start", delay=1.0, times=2))
        first, second = (asyncio.ensure_future(session.start_user_data_stream()) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert (await second).value
        third = asyncio.ensure_future(session.start_user_data_stream())
        await asyncio.sleep(0.5)
        await session.close()
        with pytest.raises(SessionClosed):
            await third


@pytest.mark.virtual
async def test_a_key_whose_hour_passed_while_disconnected_is_started_anew() -> None:
    """It is known to have lapsed: no ping is wasted on it."""

    class Later:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 4000.0 if attempt == 1 else 1.0

    async with exchange() as simulator, session_to(simulator, kind=Recorder, reconnect=Later()) as session:
        key = await session.start_user_data_stream()
        simulator.connections[0].drop()
        await asyncio.sleep(4100)
        assert session.listen_key is not None
        assert session.listen_key.value != key.value
        assert session.keys[-1] == (key.value, session.listen_key.value)


@pytest.mark.virtual
async def test_a_start_that_fails_is_tried_again() -> None:
    """The key is gone and the exchange is down: starts are spaced, and one succeeds."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        await session.start_user_data_stream()
        simulator.inject(Fault("expired_listen_key"))
        simulator.inject(Fault("error", method="userDataStream.start", times=5))
        await asyncio.sleep(1700)
        starts = [entry.time for entry in requests(simulator, "userDataStream.start")]
        assert len(starts) == 7
        assert all(later - earlier >= 0.4 for earlier, later in itertools.pairwise(starts))
        assert len(session.keys) == 2


@pytest.mark.virtual
async def test_a_different_key_in_the_answer_is_taken_over() -> None:
    """What a ping names is the key that was extended (PROTOCOL.md §5.1)."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        key = await session.start_user_data_stream()
        simulator.inject(Fault("wrong_listen_key", listen_key="another-key-" + "x" * 40))
        await session.ping_user_data_stream()
        assert session.keys == [(None, key.value), (key.value, "another-key-" + "x" * 40)]


async def test_an_answer_without_a_key_is_an_error() -> None:
    """A 200 with an empty result has been seen; it is no key (PROTOCOL.md §10)."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("missing_listen_key"))
        with pytest.raises(ProtocolError, match="without a listenKey"):
            await session.start_user_data_stream()
        assert session.listen_key is None


@pytest.mark.virtual
async def test_policies_can_be_swapped() -> None:
    """A fixed interval pings by the clock; no keepalive never pings, and a key that lapsed is told on the next ping."""
    async with exchange() as simulator:
        async with session_to(simulator, keepalive=FixedInterval(600)) as session:
            await session.start_user_data_stream()
            await asyncio.sleep(3601)
        times = [entry.time for entry in requests(simulator, "userDataStream.ping")]
        assert len(times) == 6
        simulator.received.clear()
        async with session_to(simulator, keepalive=NoKeepalive()) as session:
            await session.start_user_data_stream()
            await asyncio.sleep(7200)
            assert requests(simulator, "userDataStream.ping") == []
            with pytest.raises(ListenKeyNotFound):
                await session.ping_user_data_stream()


@pytest.mark.virtual
@pytest.mark.parametrize("answer", [ZeroDivisionError(), -5.0, float("nan"), "soon"])
async def test_a_policy_that_breaks_does_not_cost_the_key(answer: Any) -> None:
    """It raises, or answers nonsense: counted, logged, and the default policy stands in."""

    class Broken:
        def next_delay(self, status: KeepaliveStatus) -> float | None:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]

    async with exchange() as simulator, session_to(simulator, keepalive=Broken()) as session:
        key = await session.start_user_data_stream()
        await asyncio.sleep(4 * 3600)
        assert (await session.ping_user_data_stream()).value == key.value
        assert 8 <= session.stats.hook_errors <= 20


@pytest.mark.virtual
async def test_a_prepare_hook_that_raises_does_not_concern_the_pings() -> None:
    """They are the session's own requests; it concerns those of the integrator."""

    class Bot(Session):
        broken = False

        def prepare(self, method: str, params: Any) -> Any:
            if self.broken:
                raise RuntimeError("not now")
            return params

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        key = await session.start_user_data_stream()
        session.broken = True
        await asyncio.sleep(1800)
        with pytest.raises(RuntimeError, match="not now"):
            session.submit("account.balance")
        session.broken = False
        assert session.stats.failed_pings == 0
        await asyncio.sleep(3600)
        assert (await session.ping_user_data_stream()).value == key.value
        assert requests(simulator, "userDataStream.start") == requests(simulator, "userDataStream.start")[:1]


@pytest.mark.virtual
async def test_closing_ends_the_pings_and_leaves_the_key_to_others() -> None:
    """``stop`` would end it for every client of the account: it is sent only when asked for."""
    async with exchange() as simulator:
        async with session_to(simulator) as session:
            key = await session.start_user_data_stream()
        assert requests(simulator, "userDataStream.stop") == []
        assert session.listen_key is None
        async with session_to(simulator) as other:
            assert (await other.ping_user_data_stream()).value == key.value


@pytest.mark.virtual
async def test_a_thousand_sessions_do_not_ping_together() -> None:
    """Started in the same moment, their pings spread over minutes."""
    async with exchange(enforce_limits=False) as simulator:
        sessions = [session_to(simulator, HMAC, ping_interval=None, keepalive=AdaptiveKeepalive()) for _ in range(60)]
        await asyncio.gather(*(session.open() for session in sessions))
        await asyncio.gather(*(session.start_user_data_stream() for session in sessions))
        await asyncio.sleep(1505)
        times = sorted(entry.time for entry in requests(simulator, "userDataStream.ping"))
        assert len(times) >= 60
        assert times[-1] - times[0] > 300
        await asyncio.gather(*(session.close() for session in sessions))


async def test_spot_has_none() -> None:
    """Removed in 2026 (PROTOCOL.md §5.4): said here, not by a 410."""
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        for call in (session.start_user_data_stream, session.ping_user_data_stream, session.stop_user_data_stream):
            with pytest.raises(ConfigurationError, match="no listenKeys"):
                await call()
        assert len(simulator.received) == 1


@pytest.mark.parametrize(
    "value",
    ["", "k" * 513, "a key", "a\tkey", "a\x7fkey", "clé", "half-\ud800", 7, True, {"k": 1}, ["k"], "a\r\nHost: b"],
    ids=ascii,
)
async def test_what_can_be_no_listen_key_is_refused_where_it_comes_in(value: Any, monkeypatch: Any) -> None:
    """The error does not show it; nothing is dialled with it, and the key before it is kept."""
    async with exchange() as simulator, session_to(simulator, kind=Recorder) as session:
        key = await session.start_user_data_stream()
        answer = session.request

        async def altered(method: str, *args: Any, **options: Any) -> Response:
            return evolve(await answer(method, *args, **options), result={"listenKey": value})

        monkeypatch.setattr(session._user_data.listen_key, "_request", altered)
        with pytest.raises(ProtocolError, match="no listenKey") as caught:
            await session.ping_user_data_stream()
        text = repr(caught.value) + "".join(traceback.format_exception(caught.value))
        assert not isinstance(value, str) or len(value) < 2 or value not in text
        assert session.listen_key == key
        assert session.keys == [(None, key.value)]


@pytest.mark.virtual
async def test_a_policy_that_wants_twenty_pings_a_second_is_held_to_one(caplog: pytest.LogCaptureFixture) -> None:
    """And warned about once."""
    async with (
        exchange(enforce_limits=False) as simulator,
        session_to(simulator, keepalive=FixedInterval(0.05)) as session,
    ):
        await session.start_user_data_stream()
        simulator.inject(Fault("error", method="userDataStream.ping", nth=10, times=10))
        await asyncio.sleep(60.5)
        assert len(requests(simulator, "userDataStream.ping")) == 60
        assert session.stats.failed_pings == 10
    assert len([record for record in caplog.records if "one ping" in record.message]) == 1


@pytest.mark.virtual
async def test_a_policy_that_lets_the_key_lapse_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    class Slow:
        def next_delay(self, status: KeepaliveStatus) -> float | None:
            return 5000.0

    async with exchange() as simulator, session_to(simulator, keepalive=Slow()) as session:
        await session.start_user_data_stream()
        await asyncio.sleep(DAY / 2)
    assert len([record for record in caplog.records if "lets the listenKey lapse" in record.message]) == 1


def test_a_period_that_cannot_keep_the_venues_keys_is_refused() -> None:
    """When the session is made, where it is known how long they live."""
    brief = evolve(COIN_M, listen_key_lifetime=600.0)
    with pytest.raises(ConfigurationError, match="600"):
        Session(brief, keepalive=FixedInterval(600.0))
    Session(brief, keepalive=FixedInterval(599.0))
    Session(evolve(SPOT, listen_key_lifetime=600.0), keepalive=FixedInterval(600.0))


@pytest.mark.virtual
async def test_a_key_that_is_gone_is_started_anew_soon_however_patient_the_policy() -> None:
    """The period is for pings: while there is no key, nothing is heard."""
    async with exchange() as simulator, session_to(simulator, keepalive=FixedInterval(1800.0)) as session:
        await session.start_user_data_stream()
        refusal = simulator.inject(Fault("error", method="userDataStream.start", status=503, code=-1008, times=None))
        simulator.expire_listen_keys()
        await asyncio.sleep(2000.0)
        refusal.remove()
        await asyncio.sleep(31.0)
        assert session.listen_key is not None
        assert simulator.exchange.state.listen_keys.get(session.listen_key.value) is not None
