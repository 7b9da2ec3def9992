"""Closing: from any state, twice, concurrently, in a hook, by cancellation; and nothing is left.

That no task and no timer outlives a test is checked for every test of this suite (tests/conftest.py).
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import traceback
import warnings
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    ConnectionLost,
    NotSent,
    Response,
    Session,
    SessionClosed,
    SessionRevoked,
    SessionState,
)
from binance_session.simulator import Fault, virtual
from tests.exchange import ED25519, exchange, requests, session_to, until

CLOSED = SessionState.CLOSED


async def test_everything_pending_ends_with_session_closed() -> None:
    """At once, before the closing handshake; what had left is unknown, what had not is not sent."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        simulator.inject(Fault("no_answer", times=None))
        sent = [session.submit("account.balance"), session.submit("account.balance", timeout=99)]
        closing = asyncio.ensure_future(session.close())
        await asyncio.sleep(0)
        assert session.state is SessionState.CLOSING
        assert not session.authenticated
        for future in sent:
            assert future.done()
            with pytest.raises(SessionClosed) as caught:
                await future
            assert caught.value.outcome == "unknown"
            assert caught.value.method == "account.balance"
            assert caught.value.request_id is not None
        await closing
        assert session.state is CLOSED
        await until(lambda: simulator.connections == [])


@pytest.mark.virtual
async def test_what_was_parked_was_not_sent() -> None:
    """And the wait for the next attempt is not waited out."""

    class Patient:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 1000.0

    async with exchange() as simulator:
        session = session_to(simulator, reconnect=Patient())
        await session.open()
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        parked = session.submit("account.balance", timeout=5000)
        began = asyncio.get_running_loop().time()
        await session.close()
        assert asyncio.get_running_loop().time() - began < 1
        with pytest.raises(SessionClosed) as caught:
            await parked
        assert caught.value.outcome == "not_sent"
        assert requests(simulator, "account.balance") == []


async def test_twice_and_concurrently() -> None:
    """Idempotent; every call returns when all is gone."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        await asyncio.gather(*(session.close() for _ in range(5)))
        assert session.state is CLOSED
        await session.close()
    never_opened = Session(COIN_M)
    await never_opened.close()
    assert never_opened.state is CLOSED
    with pytest.raises(SessionClosed):
        await never_opened.open()


@pytest.mark.virtual
@pytest.mark.parametrize("moment", [SessionState.CONNECTING, SessionState.LOGGING_ON, SessionState.WAITING])
async def test_while_the_session_is_on_its_way(moment: SessionState) -> None:
    """During the handshake, the logon, the wait: open() and whoever else waits is told."""

    class Patient:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 1000.0

    async with exchange() as simulator:
        loop = virtual.VirtualTimeLoop.running()
        session = session_to(simulator, reconnect=Patient())
        if moment is SessionState.CONNECTING:
            loop.network.latency = 1.0
        if moment is SessionState.LOGGING_ON:
            simulator.inject(Fault("ignore_logon"))
        task = asyncio.ensure_future(session.open())
        if moment is SessionState.WAITING:
            await task
            simulator.connections[0].drop()
        await session.wait_for(moment)
        await asyncio.gather(session.close(), session.close())
        assert session.state is CLOSED
        if moment is not SessionState.WAITING:
            with pytest.raises(SessionClosed):
                await task


async def test_cancelling_open_closes_the_session() -> None:
    """A bot that gave up waiting has no half-open session on its hands."""
    async with exchange() as simulator:
        simulator.inject(Fault("ignore_logon"))
        session = session_to(simulator)
        task = asyncio.ensure_future(session.open())
        await until(lambda: requests(simulator, "session.logon"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.state is CLOSED


async def test_cancelling_close_does_not_undo_it() -> None:
    """The caller goes away; the closing goes on."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        task = asyncio.ensure_future(session.close())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await session.wait_for(CLOSED)


@pytest.mark.virtual
@pytest.mark.parametrize("method", ["userDataStream.start", "userDataStream.ping"])
async def test_in_the_turn_in_which_a_listen_key_arrives(method: str) -> None:
    """The answer is there, its caller has not run yet: no key, no pings, no hook after the close."""
    told: list[Any] = []
    closing: list[asyncio.Task[None]] = []

    class Bot(Session):
        armed = False

        def on_response(self, response: Response) -> None:
            if self.armed and response.method == method:
                closing.append(asyncio.ensure_future(self.close()))

        def on_listen_key(self, old: Any, new: Any) -> None:
            told.append((old, new))

    async with exchange() as simulator:
        session = session_to(simulator, kind=Bot)
        await session.open()
        if method == "userDataStream.ping":
            await session.start_user_data_stream()
        session.armed = True
        call = session.start_user_data_stream if method == "userDataStream.start" else session.ping_user_data_stream
        asked = asyncio.ensure_future(call())
        await asyncio.gather(asked, return_exceptions=True)
        await closing[0]
        assert session.listen_key is None
        assert [new for _, new in told if new is not None] == [new for _, new in told[:-1]]
        await asyncio.sleep(7200)
        assert session.stats.failed_pings == 0


async def test_from_within_a_hook() -> None:
    """A task started in a hook closes the session that is calling the hook."""
    closing: list[asyncio.Task[None]] = []

    class Bot(Session):
        def on_response(self, response: Response) -> None:
            if response.method == "account.balance":
                closing.append(asyncio.ensure_future(self.close()))

    async with exchange() as simulator:
        session = session_to(simulator, kind=Bot)
        await session.open()
        assert (await session.request("account.balance")).status == 200
        await closing[0]
        assert session.state is CLOSED


@pytest.mark.virtual
async def test_an_exchange_that_does_not_answer_the_closing_handshake() -> None:
    """close() takes close_timeout at most, and cuts the connection then."""
    async with exchange() as simulator:
        session = session_to(simulator, close_timeout=2, ping_interval=None)
        await session.open()
        loop = virtual.VirtualTimeLoop.running()
        loop.network.connections[0].half_open()
        began = loop.time()
        await session.close()
        assert loop.time() - began == pytest.approx(2, abs=0.1)
        loop.network.connections[0].cut()


@pytest.mark.virtual
@pytest.mark.parametrize("how", ["drop", "close"])
@pytest.mark.parametrize("turns", range(40))
async def test_at_every_turn_of_a_reconnect(how: str, turns: int, caplog: pytest.LogCaptureFixture) -> None:
    """The connection goes, the session is on its way back, and close() comes after any number of turns of the loop."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        pending = session.submit("account.balance")
        if how == "drop":
            simulator.connections[0].drop()
        else:
            simulator.connections[0].close(1001, "24 hours")
        for _ in range(turns):
            await asyncio.sleep(0)
        await session.close()
        assert session.state is CLOSED
        assert pending.done()
        pending.exception()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_leaving_the_block_with_an_error_closes_too() -> None:
    """The error is the caller's; the session is closed."""
    async with exchange() as simulator:
        session = session_to(simulator)
        with pytest.raises(KeyError):
            async with session:
                raise KeyError
        assert session.state is CLOSED


async def test_futures_that_nobody_looks_at_make_no_noise_when_the_owner_closes() -> None:
    """He closed it: that they ended is no news. A lost connection is, and asyncio says so."""
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: noise.append(context))
    async with exchange() as simulator:
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        session = session_to(simulator)
        await session.open()
        session.submit("account.balance")
        await session.close()
        gc.collect()
        assert noise == []


async def test_nothing_in_the_way_of_requests_after_a_loss_and_a_close() -> None:
    """A request that raced with the end is told one of the three truths, at once."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        simulator.connections[0].drop()
        future = session.submit("account.balance")
        await session.close()
        with pytest.raises((ConnectionLost, SessionClosed, NotSent)):
            await future


PROGRAM = """
import asyncio, sys
from binance_session import *
from binance_session.simulator import Simulator

async def main():
    async with Simulator(SPOT) as simulator:
        session = Session(SPOT, url=simulator.url)
        await session.open()
        session.submit("time")
        print(session.state.value, flush=True)
    # main returns: asyncio.run cancels what is left

asyncio.run(main())
"""


def test_a_program_that_ends_without_closing() -> None:
    """No traceback, no warning, no hang: the loop's end is the session's."""
    with warnings.catch_warnings():
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
        )
    assert done.stdout == "ready\n"
    assert "Traceback" not in done.stderr, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert done.returncode == 0


async def test_an_unopened_session_needs_no_loop() -> None:
    """Made anywhere, opened where it is to live."""
    made = await asyncio.to_thread(lambda: Session(COIN_M, ED25519))
    assert made.state is SessionState.NEW


READY = SessionState.READY


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.mark.virtual
async def test_a_session_that_failed_by_itself_pings_no_more() -> None:
    """Nobody called close(); the listenKey is given up all the same."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        await session.start_user_data_stream()
        simulator.revoke(ED25519.api_key)
        with pytest.raises(SessionRevoked):
            await session.request("account.balance")
        await until(lambda: session.state is SessionState.FAILED)
        assert session.listen_key is None
        await asyncio.sleep(0)
        assert [task.get_name() for task in asyncio.all_tasks() if "keepalive" in task.get_name()] == []


@pytest.mark.virtual
async def test_cancelling_every_task_ends_the_session() -> None:
    """The usual way to end a program: who waits is told, and the state does not lie."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        for task in asyncio.all_tasks():
            if "supervisor" in task.get_name():
                task.cancel()
        with pytest.raises(SessionClosed):
            await session.wait_for(SessionState.CLOSED)
        assert session.state is SessionState.FAILED
        with pytest.raises(SessionClosed):
            session.submit("account.balance")


@pytest.mark.virtual
async def test_open_and_close_in_one_turn() -> None:
    """Whichever comes first; nothing is left (the suite looks)."""
    async with exchange() as simulator:
        for _ in range(3):
            session = session_to(simulator)
            await asyncio.gather(session.open(), session.close(), return_exceptions=True)
            await session.close()
            assert session.state is SessionState.CLOSED


@pytest.mark.virtual
async def test_close_from_the_first_hook() -> None:
    """on_state_change at CONNECTING, where the session has no task yet."""
    closing: list[asyncio.Task[None]] = []

    class Bot(Session):
        def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
            if new is SessionState.CONNECTING:
                closing.append(asyncio.ensure_future(self.close()))

    async with exchange() as simulator:
        session = session_to(simulator, kind=Bot)
        with pytest.raises(SessionClosed):
            await session.open()
        await closing[0]
        assert session.state is SessionState.CLOSED


@pytest.mark.virtual
async def test_close_takes_no_longer_than_promised_when_nothing_can_be_written() -> None:
    """The peer does not read, the buffers are full: close_timeout is the bound."""
    async with exchange() as simulator:
        session = session_to(simulator, close_timeout=1, ping_interval=None, max_in_flight=10**6)
        await session.open()
        loop: Any = asyncio.get_running_loop()
        loop.network.connections[0].half_open()
        futures = [session.submit("account.balance", {"symbol": "x" * 100_000}) for _ in range(50)]
        began = loop.time()
        await session.close()
        assert loop.time() - began <= 1.5
        assert all(isinstance(future.exception(), SessionClosed) for future in futures)
        loop.network.connections[0].cut()


async def test_closing_with_requests_in_flight_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Their outcome is unknown, also to who does not look at the futures."""
    async with exchange() as simulator:
        simulator.inject(Fault("no_answer", method="order.place", times=3))
        async with session_to(simulator) as session:
            for _ in range(3):
                session.submit("order.place", ORDER)
        assert "3 requests in flight: their outcome is unknown" in caplog.text
        assert session.stats.lost == 3


async def test_the_error_that_ended_a_session_does_not_grow() -> None:
    """It may be raised any number of times."""
    async with exchange() as simulator:
        simulator.revoke(ED25519.api_key)
        session = session_to(simulator)
        depths = set()
        for _ in range(5):
            with pytest.raises(Exception, match="refused") as caught:
                await session.open()
            depths.add(len(traceback.extract_tb(caught.value.__traceback__)))
        assert len(depths) <= 2


@pytest.mark.virtual
async def test_what_ends_a_session_is_about_no_request() -> None:
    """wait_for() raises it with no outcome: there is no order that it could be the outcome of."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        simulator.revoke(ED25519.api_key)
        with pytest.raises(SessionRevoked):
            await session.request("account.balance")
        with pytest.raises(SessionRevoked) as caught:
            await session.wait_for(READY)
        assert caught.value.outcome is None
