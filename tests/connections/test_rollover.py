"""Make before break: a connection that is due to end is replaced while it works on, and nobody notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from binance_session import BinanceSessionError, ConnectionLost, Response, Session, SessionState
from binance_session.simulator import Fault, Simulator, virtual
from tests.certificates import Authority
from tests.exchange import ED25519, exchange, requests, session_to, until

READY = SessionState.READY
ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


class Watched(Session):
    """Keeps the states that it went through."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.seen: list[SessionState] = []
        super().__init__(*args, **options)

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        self.seen.append(new)


@asynccontextmanager
async def load(session: Session, pause: float) -> AsyncIterator[list[Response]]:
    """Keep one order or query after the other in flight, ten callers at once; any failure fails the test."""
    answers: list[Response] = []
    stopped = False

    async def caller() -> None:
        while not stopped:
            answers.append(await session.request("order.place", ORDER))
            answers.append(await session.request("account.position"))
            await asyncio.sleep(pause)

    tasks = [asyncio.ensure_future(caller()) for _ in range(10)]
    try:
        yield answers
    finally:
        stopped = True
        await asyncio.gather(*tasks)


def on_connection(simulator: Simulator, number: int) -> list[Any]:
    return [entry.method for entry in simulator.received if entry.connection.number == number]


@pytest.mark.virtual
async def test_ahead_of_the_24_hours_under_load() -> None:
    """Days of orders over one connection after the other: not one fails, and the state never leaves READY."""
    async with (
        exchange(enforce_limits=False) as simulator,
        session_to(simulator, kind=Watched, ping_interval=None) as session,
        load(session, 400.0) as answers,
    ):
        await asyncio.sleep(3 * 86_400)
        assert session.seen == [SessionState.CONNECTING, SessionState.LOGGING_ON, READY]
        assert session.stats.connections == 4
        assert session.stats.lost == session.stats.timed_out == session.stats.refused == 0
        assert len(answers) > 10_000
        assert len(simulator.connections) == 1
        for number in range(1, session.stats.connections + 1):
            methods = on_connection(simulator, number)
            assert methods[0] == "session.logon"
            assert methods.count("session.logon") == 1


@pytest.mark.virtual
async def test_no_request_waits_for_a_rollover() -> None:
    """Each takes exactly one round trip of the network before, during and after: the bound is no round trip more."""
    async with exchange(enforce_limits=False) as simulator, session_to(simulator, kind=Watched) as session:
        virtual.VirtualTimeLoop.running().network.latency = 0.02
        loop = asyncio.get_running_loop()
        took: list[float] = []

        async def ask() -> None:
            began = loop.time()
            await session.request("account.position")
            took.append(loop.time() - began)

        asked = []
        for turn in range(400):
            if turn % 100 == 10:
                simulator.broadcast_shutdown()
            asked.append(asyncio.ensure_future(ask()))
            await asyncio.sleep(0.003)
        await asyncio.gather(*asked)
        assert session.stats.connections >= 3
        steady = took[20:]  # the first connection was made before the network became slow
        assert max(steady) == pytest.approx(0.04, abs=0.001)
        assert session.seen.count(READY) == 1


async def test_server_shutdown_moves_the_session_over_a_real_socket() -> None:
    """The event asks for another connection (PROTOCOL.md §2); orders in flight do not notice."""
    async with (
        exchange(enforce_limits=False) as simulator,
        session_to(simulator, kind=Watched) as session,
        load(session, 0) as answers,
    ):
        for number in range(1, 4):
            while on_connection(simulator, number).count("order.place") < 20:
                await asyncio.sleep(0)
            simulator.broadcast_shutdown()
            while session.stats.connections == number or len(simulator.connections) > 1:
                await asyncio.sleep(0)
        assert session.seen[-1] is READY
        assert session.seen.count(READY) == 1
        assert len(answers) > 60


async def test_over_tls(tmp_path: Any) -> None:
    """The same with certificates that are checked."""
    authority = Authority(tmp_path)
    async with (
        exchange(ssl=authority.server_context(), enforce_limits=False) as simulator,
        session_to(simulator, kind=Watched, ssl=authority.client_context()) as session,
        load(session, 0),
    ):
        await until(lambda: len(simulator.received) > 50)
        simulator.broadcast_shutdown()
        await until(lambda: session.stats.connections == 2 and len(simulator.connections) == 1)
        assert session.seen.count(READY) == 1


@pytest.mark.virtual
async def test_a_rollover_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, also for a stream's socket."""
    caplog.set_level(logging.INFO, logger="binance_session")
    async with (
        exchange() as simulator,
        session_to(simulator, rollover_after=100) as session,
        session.user_data_stream(),
    ):
        caplog.clear()
        await asyncio.sleep(150)
        assert session.stats.connections == session.stats.stream_connections == 2
        lines = [record.getMessage() for record in caplog.records if record.name == "binance_session"]
        assert len(lines) == 2
        assert sum("the next connection takes over" in line for line in lines) == 1
        assert sum("the next stream connection takes over" in line for line in lines) == 1


@pytest.mark.virtual
async def test_what_is_in_flight_on_the_first_is_waited_for() -> None:
    """New requests go over the second at once; the first is closed when its last answer has come."""
    async with exchange() as simulator, session_to(simulator, rollover_after=100) as session:
        simulator.inject(Fault("late_answer", method="order.place", delay=8.0))
        await asyncio.sleep(89)
        late = session.submit("order.place", ORDER, timeout=20)
        await asyncio.sleep(12)
        assert late.done()
        assert (await late).result["symbol"] == "BTCUSD_PERP"
        simulator.inject(Fault("no_answer", method="account.status"))
        lost = session.submit("account.status", timeout=30)
        simulator.broadcast_shutdown()
        await until(lambda: session.stats.connections == 3)
        assert session.in_flight == 1
        assert (await session.request("account.balance")).status == 200
        assert requests(simulator, "account.balance")[0].connection.number == 3
        await asyncio.sleep(29)
        assert len(simulator.connections) == 2
        with pytest.raises(BinanceSessionError) as caught:
            await lost
        assert caught.value.outcome == "unknown"
        await asyncio.sleep(1)
        assert len(simulator.connections) == 1


@pytest.mark.virtual
@pytest.mark.parametrize("fault", ["refuse_handshake", "reject_logon", "ignore_logon"])
async def test_without_a_second_the_first_is_used_to_its_last_moment(fault: str) -> None:
    """Tried again by the policy; the caller notices nothing."""
    async with exchange() as simulator, session_to(simulator, kind=Watched, rollover_after=100) as session:
        if fault == "refuse_handshake":
            simulator.inject(Fault(fault, times=5))
        else:
            simulator.inject(Fault(fault, times=2))
        for _ in range(300):
            await asyncio.sleep(1)
            assert session.state is READY
            assert (await session.request("account.position")).status == 200
        assert session.stats.lost == 0
        assert session.stats.connections > 1


@pytest.mark.virtual
@pytest.mark.parametrize("how", ["drop", "close"])
async def test_a_second_that_dies_at_once_does_not_cost_the_first(how: str) -> None:
    """Its logon is answered and it ends in the same moment: the first works on, and another is tried."""
    doomed: list[int] = []

    class Bot(Watched):
        def on_response(self, response: Response) -> None:
            if response.method == "session.logon" and len(doomed) < 3 and self.stats.connections:
                doomed.append(response.request_id)
                connection = simulator.connections[-1]
                if how == "drop":
                    connection.drop()
                else:
                    connection.close(1001, "not you")

    async with (
        exchange(enforce_limits=False) as simulator,
        session_to(simulator, kind=Bot) as session,
        load(session, 0.5),
    ):
        simulator.broadcast_shutdown()
        await asyncio.sleep(30)
        assert session.seen == [SessionState.CONNECTING, SessionState.LOGGING_ON, READY]
        assert session.stats.lost == 0


@pytest.mark.virtual
async def test_an_exchange_that_sends_every_connection_away_is_not_stormed() -> None:
    """serverShutdown to each new connection at once: moved, but ever more slowly."""

    announcements = []

    class Bot(Watched):
        def on_response(self, response: Response) -> None:
            if response.method == "session.logon":
                announcements.append(asyncio.get_running_loop().call_later(0.1, simulator.broadcast_shutdown))

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        await asyncio.sleep(300)
        assert len(requests(simulator, "session.logon")) < 60
        assert session.seen.count(READY) == 1
        assert (await session.request("account.position")).status == 200
        for announcement in announcements:  # the last may be still to come
            announcement.cancel()


@pytest.mark.virtual
async def test_a_second_announcement_while_the_next_connection_is_made() -> None:
    """Nothing to do but wait for it: without turning round and round."""
    async with exchange() as simulator, session_to(simulator, kind=Watched) as session:
        simulator.inject(Fault("late_logon", delay=3.0))
        simulator.broadcast_shutdown()
        await until(lambda: len(simulator.connections) == 2)
        simulator.connections[0].send({"event": {"e": "serverShutdown", "E": 1}})
        await asyncio.sleep(60)
        assert session.seen.count(READY) == 1
        assert 2 <= session.stats.connections <= 3


@pytest.mark.virtual
async def test_the_first_ends_while_the_second_is_being_made() -> None:
    """What was in flight is told at once; the second takes over as soon as it is ready."""
    async with exchange() as simulator, session_to(simulator, kind=Watched) as session:
        simulator.inject(Fault("late_logon", delay=3.0))
        simulator.broadcast_shutdown()
        await until(lambda: len(simulator.connections) == 2)
        simulator.inject(Fault("no_answer", method="account.balance"))
        waiting = session.submit("account.balance")
        simulator.connections[0].drop()
        with pytest.raises(ConnectionLost):
            await waiting
        assert session.state is SessionState.WAITING
        assert not session.authenticated
        parked = session.submit("account.position")
        assert (await parked).status == 200
        assert session.state is READY
        assert session.authenticated
        assert session.stats.connections == 2


@pytest.mark.virtual
async def test_the_first_is_revoked_while_the_second_is_being_made() -> None:
    """The second is logged on, so the session is READY again with it."""
    async with exchange() as simulator, session_to(simulator, kind=Watched) as session:
        simulator.inject(Fault("late_logon", delay=3.0))
        simulator.broadcast_shutdown()
        await until(lambda: len(simulator.connections) == 2)
        simulator.inject(Fault("revoke", method="account.balance"))
        with pytest.raises(BinanceSessionError):
            await session.request("account.balance")
        assert session.state is SessionState.LOGGING_ON
        await session.wait_for(READY)
        assert (await session.request("account.position")).status == 200
        assert session.authenticated
        await asyncio.sleep(60)
        assert len(simulator.connections) == 1


@pytest.mark.virtual
@pytest.mark.parametrize("turns", range(30))
async def test_close_at_every_turn_of_a_rollover(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    """Both connections go, and nothing is left."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        simulator.inject(Fault("no_answer", method="account.balance"))
        pending = session.submit("account.balance")
        simulator.broadcast_shutdown()
        for _ in range(turns):
            await asyncio.sleep(0)
        await session.close()
        assert pending.done()
        pending.exception()
        assert session.in_flight == 0
        await until(lambda: simulator.connections == [])
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.virtual
async def test_a_fleet_does_not_move_together() -> None:
    """The moment is drawn at random from the last tenth."""
    async with exchange(enforce_limits=False) as simulator:
        fleet = [session_to(simulator, ED25519, rollover_after=1000, ping_interval=None) for _ in range(40)]
        await asyncio.gather(*(session.open() for session in fleet))
        await asyncio.sleep(1001)
        times = sorted(entry.time for entry in requests(simulator, "session.logon"))[40:]
        assert len(times) == 40
        assert times[-1] - times[0] > 50
        await asyncio.gather(*(session.close() for session in fleet))


@pytest.mark.virtual
async def test_never_means_never() -> None:
    """``rollover_after=None``: the exchange's 24 hours decide."""
    async with exchange() as simulator, session_to(simulator, rollover_after=None) as session:
        await asyncio.sleep(86_000)
        assert session.stats.connections == 1
        await asyncio.sleep(1000)
        assert session.stats.connections == 2
