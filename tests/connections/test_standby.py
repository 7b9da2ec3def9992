"""A second connection that is already there: the loss of one costs what was in flight on it, and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from binance_session import (
    SPOT,
    BinanceSessionError,
    ConfigurationError,
    ConnectionLost,
    ExponentialBackoff,
    ReconnectPolicy,
    Session,
    SessionRevoked,
    SessionState,
)
from binance_session.connections.link import Link
from binance_session.connections.rollover import Rollover
from binance_session.simulator import Fault, Simulator
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

READY = SessionState.READY
ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


class Watched(Session):
    """Keeps its states, and what the hooks about connections were called with."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.seen: list[Any] = []
        super().__init__(*args, **options)

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        self.seen.append(new)

    def on_failover(self, cause: Exception) -> None:
        assert self.state is READY
        self.seen.append(type(cause))

    def on_connected(self, first: bool) -> None:
        self.seen.append(first)


OPENED = [SessionState.CONNECTING, SessionState.LOGGING_ON, READY, True]


def used(simulator: Simulator, session: Session) -> Any:
    """Return the simulator's side of the connection that the session uses, which is the older one."""
    assert session.standby_ready
    return min(simulator.connections, key=lambda connection: connection.number)


@pytest.mark.virtual
async def test_the_next_request_leaves_in_the_turn_of_the_loss() -> None:
    """Orders too: the session is READY all the time."""
    async with exchange() as simulator, session_to(simulator, kind=Watched, standby=True) as session:
        await until(lambda: session.standby_ready)
        simulator.inject(Fault("drop_after", method="order.place"))
        placed = session.submit("order.place", ORDER)
        next_one: list[asyncio.Future[Any]] = []
        placed.add_done_callback(lambda _: next_one.append(session.submit("order.place", ORDER)))
        with pytest.raises(ConnectionLost) as caught:
            await placed
        assert caught.value.outcome == "unknown"
        assert (await next_one[0]).status == 200
        assert session.seen == [*OPENED, ConnectionLost, False]
        assert session.stats.failovers == 1
        assert session.stats.lost == 1
        await until(lambda: session.standby_ready)
        assert session.stats.connections == 3


@pytest.mark.virtual
async def test_both_are_logged_on_and_no_request_carries_a_key() -> None:
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        for count in range(1, 6):
            await until(lambda: session.standby_ready)
            used(simulator, session).drop()
            await until(lambda count=count: session.stats.failovers == count)  # type: ignore[misc]
            assert session.authenticated
            await session.request("account.balance")
        await until(lambda: session.standby_ready)
    logons = requests(simulator, "session.logon")
    assert len(logons) == session.stats.connections == 7
    assert len({entry.connection.number for entry in logons}) == 7
    assert all("apiKey" not in entry.params for entry in requests(simulator, "account.balance"))


@pytest.mark.virtual
async def test_a_lost_standby_is_replaced_and_nothing_else_happens() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Watched, standby=True) as session:
        for count in range(2, 7):
            await until(lambda count=count: session.standby_ready and session.stats.connections == count)  # type: ignore[misc]
            max(simulator.connections, key=lambda connection: connection.number).drop()
            await session.request("account.balance")
        await until(lambda: session.standby_ready)
        assert session.seen == OPENED
        assert session.stats.failovers == 0


@pytest.mark.virtual
async def test_both_lost_at_once_is_an_ordinary_loss() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Watched, standby=True) as session:
        await until(lambda: session.standby_ready)
        for connection in list(simulator.connections):
            connection.drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        await session.request("account.balance")
        await until(lambda: session.standby_ready)
        await until(lambda: len(simulator.connections) == 2)


@pytest.mark.virtual
async def test_a_revocation_concerns_both() -> None:
    """The standby was given to the same key: it does not serve before it is logged on anew."""
    async with exchange() as simulator, session_to(simulator, kind=Watched, standby=True) as session:
        await until(lambda: session.standby_ready)
        simulator.revoke(ED25519.api_key)
        with pytest.raises(SessionRevoked):
            await session.request("account.balance")
        assert session.state is SessionState.LOGGING_ON
        assert not session.standby_ready
        simulator.restore(ED25519.api_key)
        await session.wait_for(READY)
        await until(lambda: session.standby_ready)
        used(simulator, session).drop()
        await until(lambda: session.stats.failovers)
        assert session.authenticated
        await session.request("account.balance")
        assert all("apiKey" not in entry.params for entry in requests(simulator, "account.balance"))


@pytest.mark.virtual
async def test_no_connection_outlives_its_24_hours() -> None:
    """Whatever is lost when: a standby that takes over is not new."""
    ages: dict[int, float] = {}
    async with (
        exchange(enforce_limits=False) as simulator,
        session_to(simulator, kind=Watched, standby=True, ping_interval=None) as session,
    ):
        loop = asyncio.get_running_loop()
        seen: dict[int, float] = {}
        chance = random.Random(7)
        for _ in range(6 * 24):
            await asyncio.sleep(3600)
            for connection in simulator.connections:
                began = seen.setdefault(connection.number, loop.time())
                ages[connection.number] = loop.time() - began
            if chance.random() < 0.1 and session.standby_ready:
                used(simulator, session).drop()
        assert session.stats.failovers > 5
        assert session.seen[: len(OPENED)] == OPENED
        assert set(session.seen[len(OPENED) :]) == {ConnectionLost, False}
        assert session.stats.timed_out == session.stats.lost == 0
    assert max(ages.values()) < 24 * 3600


@pytest.mark.virtual
async def test_an_announced_end_of_either() -> None:
    """``serverShutdown`` to all connections: both are replaced, and nothing is lost."""
    async with exchange() as simulator, session_to(simulator, kind=Watched, standby=True) as session:
        await until(lambda: session.standby_ready)
        await asyncio.sleep(60)
        before = {connection.number for connection in simulator.connections}
        simulator.broadcast_shutdown()
        await until(lambda: not before & {connection.number for connection in simulator.connections})
        await until(lambda: session.standby_ready)
        assert session.seen == [*OPENED, False]
        assert session.stats.failovers == 0


class Refusing(ReconnectPolicy):
    """Gives up at the third attempt."""

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return 0.5 if attempt < 3 else None


@pytest.mark.virtual
async def test_a_standby_that_cannot_be_had_costs_nothing() -> None:
    """Not even when the policy gives it up; a connection that comes into use is a reason to try again."""
    async with (
        exchange() as simulator,
        session_to(simulator, kind=Watched, standby=True, reconnect=Refusing()) as session,
    ):
        for _ in range(3):
            simulator.inject(Fault("refuse_handshake"))
        await asyncio.sleep(600)
        assert not session.standby_ready
        assert session.seen == OPENED
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        await until(lambda: session.standby_ready)


@pytest.mark.virtual
async def test_a_key_that_cannot_log_on_has_a_standby_too() -> None:
    async with exchange() as simulator, session_to(simulator, HMAC, standby=True) as session:
        await until(lambda: session.standby_ready)
        used(simulator, session).drop()
        await until(lambda: session.stats.failovers)
        await session.request("account.balance")
        assert all("apiKey" in entry.params for entry in requests(simulator, "account.balance"))


@pytest.mark.virtual
async def test_events_of_spot_come_on_the_connection_that_took_over() -> None:
    """A subscription belongs to its connection: there is a gap, and the next events come."""
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    async with (
        exchange(SPOT) as simulator,
        session_to(simulator, standby=True) as session,
        session.user_data_stream() as events,
    ):
        await until(lambda: session.standby_ready)
        used(simulator, session).drop()
        await until(lambda: session.stats.stream_connections == 2)
        await session.request("order.place", order)
        assert (await anext(events)).is_gap
        assert (await anext(events)).type == "executionReport"
        assert session.stats.gaps == 1


@pytest.mark.virtual
async def test_close_while_the_standby_is_being_opened() -> None:
    """At any moment; nothing is left."""
    for turns in range(0, 60, 3):
        async with exchange() as simulator, session_to(simulator, standby=True) as session:
            await until(lambda: session.standby_ready)
            used(simulator, session).drop()
            for _ in range(turns):
                await asyncio.sleep(0.0005)
        assert session.state is SessionState.CLOSED
        assert not session.standby_ready


async def test_on_real_sockets() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Watched, standby=True) as session:
        await until(lambda: session.standby_ready)
        used(simulator, session).drop()
        await until(lambda: session.stats.failovers)
        await session.request("order.place", ORDER)
        assert session.seen == [*OPENED, ConnectionLost, False]


def test_standby_is_true_or_false() -> None:
    with pytest.raises(ConfigurationError, match="standby"):
        Session(SPOT, ED25519, standby=2)  # type: ignore[arg-type]


@pytest.mark.virtual
@pytest.mark.parametrize("seed", range(5))
async def test_no_request_is_refused_while_one_connection_is_good(seed: int) -> None:
    """Under load, whichever is lost; what was in flight on the lost one is unknown, and everything else is answered."""
    chance = random.Random(seed)
    ends: Counter[str] = Counter()

    async def caller(session: Session) -> None:
        while True:
            try:
                await session.request("order.place", ORDER, on_unready="fail")
            except BinanceSessionError as error:
                ends[str(error.outcome)] += 1
            else:
                ends["answered"] += 1
            await asyncio.sleep(chance.uniform(0, 0.5))

    async with exchange(enforce_limits=False) as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        callers = [asyncio.ensure_future(caller(session)) for _ in range(5)]
        for count in range(3, 23):
            chance.choice(simulator.connections).drop()
            await until(lambda count=count: session.standby_ready and session.stats.connections == count)  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0, 0.5))
        for task in callers:
            task.cancel()
        await asyncio.wait(callers)
        assert session.stats.failovers > 3
        assert ends["not_sent"] == ends["rejected"] == 0
        assert ends["unknown"] == session.stats.lost
        assert ends["answered"] > 50


@pytest.mark.virtual
async def test_answers_on_one_connection_do_not_vouch_for_the_other() -> None:
    """A standby on which nothing arrives any more is found, although messages come on it and answers on the other."""
    loop: Any = asyncio.get_running_loop()
    async with exchange(enforce_limits=False) as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        standby = max(simulator.connections, key=lambda connection: connection.number)
        loop.network.connections[-1].half_open(client_hears=True, server_hears=False)
        for _ in range(90):
            await asyncio.sleep(1)
            if session.stats.connections == 2:
                standby.send({"event": {"e": "unknownEvent", "E": 1}})
            assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 3
        assert session.stats.failovers == 0


class Asked(ReconnectPolicy):
    """The default, and the attempts that it was asked about."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        self.attempts.append(attempt)
        return ExponentialBackoff(maximum=5.0).next_delay(attempt, cause)


@pytest.mark.virtual
@pytest.mark.parametrize("how", ["lost", "announced"])
async def test_a_line_that_never_lasts_is_not_dialled_without_end(how: str) -> None:
    """Each loss of a connection that has just taken over is an attempt that failed; so is an end announced at once."""
    policy = Asked()
    async with exchange() as simulator, session_to(simulator, standby=True, reconnect=policy) as session:
        for _ in range(12):
            await until(lambda: session.standby_ready)
            before = session.stats.connections
            if how == "lost":
                used(simulator, session).drop()
            else:
                newest = max(simulator.connections, key=lambda connection: connection.number)
                newest.send({"event": {"e": "serverShutdown", "E": int(simulator.clock.time() * 1000)}})
            await until(lambda before=before: session.stats.connections > before)  # type: ignore[misc]
        assert max(policy.attempts) > 8


@pytest.mark.virtual
async def test_a_rollover_that_is_ready_in_the_turn_of_a_failover_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_next = Rollover._open

    async def at_once(self: Rollover) -> Link:
        link = await open_next(self)
        served = session._supervisor._served
        assert served is not None
        served.connection_ending("both at once")
        return link

    async with exchange() as simulator, session_to(simulator, standby=True, rollover_after=1000.0) as session:
        await until(lambda: session.standby_ready)
        monkeypatch.setattr(Rollover, "_open", at_once)
        await until(lambda: session.stats.failovers)
        monkeypatch.undo()
        await asyncio.sleep(30)
        assert session.standby_ready
        assert len(session._supervisor.links) == len(simulator.connections) == 2
