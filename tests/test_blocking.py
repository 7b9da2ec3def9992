"""The session without asyncio: the same names, from any thread, and nothing that hangs at the end."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    ConfigurationError,
    Ed25519Key,
    LogonRejected,
    NotSent,
    RequestTimeout,
    Session,
    SessionClosed,
    SessionManager,
    SessionState,
)
from binance_session.blocking import BlockingSession, BlockingSessionManager, LoopThread
from binance_session.hooks import SessionHooks
from binance_session.simulator import Fault
from tests.cli.background import Background

KEY = Ed25519Key.generate(api_key="blocking-" + "k" * 55)
#: what is there in another form, or only for a subclass
OTHERWISE = {"submit_threadsafe": "submit", "user_data_stream": "events"}
TIMEOUT = 30
WHAT = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "1000"}
ORDER = {**WHAT, "timeInForce": "GTC", "newClientOrderId": "mine"}


@pytest.fixture
def exchange() -> Iterator[Background]:
    with Background(COIN_M) as background:
        background.call(lambda: background.simulator.add_key(KEY.api_key, public_key=KEY.public_pem()))
        yield background


def blocking(exchange: Background, key: Ed25519Key = KEY, **options: Any) -> BlockingSession:
    return BlockingSession(COIN_M, key, url=exchange.url, stream_url=exchange.simulator.stream_url, **options)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


# The same names


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("plain", "without", "missing"),
    [
        (Session, BlockingSession, public(SessionHooks) | OTHERWISE.keys()),
        (SessionManager, BlockingSessionManager, {"on_account_failed"}),
    ],
)
def test_the_names_and_their_parameters_are_the_same(plain: type, without: type, missing: set[str]) -> None:
    """Where the two drift apart, this fails."""
    assert public(plain) - public(without) == missing
    for name in public(plain) & public(without):
        one, other = inspect.getattr_static(plain, name), inspect.getattr_static(without, name)
        assert inspect.getdoc(other), name
        if one is other:  # inherited by both
            continue
        if isinstance(one, property):
            assert isinstance(other, property), name
            continue
        expected = dict(inspect.signature(one).parameters)
        if name == "submit":
            del expected["race"]
        assert list(inspect.signature(other).parameters.values()) == list(expected.values()), name
        assert not inspect.iscoroutinefunction(other), name


def test_events_take_what_the_stream_takes() -> None:
    stream = dict(inspect.signature(Session.user_data_stream).parameters)
    del stream["callback"]
    assert list(inspect.signature(BlockingSession.events).parameters.values()) == list(stream.values())


# Requests


def test_a_program_without_asyncio(exchange: Background) -> None:
    with blocking(exchange) as session:
        assert session.state is SessionState.READY
        assert session.authenticated
        assert session.request("account.balance").result
        future = session.submit("account.balance")
        assert future.result(TIMEOUT).result
        assert session.status().authenticated
        assert session.health().ready
        assert session.stats.answered >= 3
        assert session.now() == pytest.approx(time.time(), abs=5)
        session.wait_for(SessionState.READY)
        assert (session.venue, session.in_flight, session.unsettled) == (COIN_M, 0, ())
        assert abs(session.clock_offset) < 5
        assert not session.standby_ready
        assert "BlockingSession" in repr(session)
        assert session.name in threads()
    assert session.state.is_final
    assert session.name not in threads()
    session.close()


def test_from_any_number_of_threads(exchange: Background) -> None:
    with blocking(exchange) as session, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: session.request("session.status"), range(200)))
    assert len({reply.request_id for reply in replies}) == 200


def test_errors_are_those_of_the_session(exchange: Background) -> None:
    session = blocking(exchange)
    with pytest.raises(NotSent):
        session.request("account.balance")
    with session:
        exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", method="account.balance", times=None)))
        with pytest.raises(RequestTimeout):
            session.request("account.balance", timeout=0.2)
        with pytest.raises(ConfigurationError):
            session.request("account.nothing")
        fate = session.place(
            {
                "symbol": "BTCUSD_PERP",
                "side": "BUY",
                "type": "LIMIT",
                "quantity": "1",
                "price": "1000",
                "timeInForce": "GTC",
                "newClientOrderId": "mine",
            }
        )
        assert fate.took_effect
    with pytest.raises(SessionClosed):
        session.request("account.balance")


def test_one_that_cannot_be_opened_leaves_nothing(exchange: Background) -> None:
    session = blocking(exchange, Ed25519Key.generate(api_key="unknown"))
    with pytest.raises(LogonRejected):
        session.open()
    assert session.name not in threads()


def test_a_race(exchange: Background) -> None:
    with blocking(exchange, standby=True) as session:
        session.request("order.place", ORDER)
        assert session.request("order.status", {"symbol": "BTCUSD_PERP", "origClientOrderId": "mine"}, race=True).result


def test_the_listen_key(exchange: Background) -> None:
    with blocking(exchange) as session:
        started = session.start_user_data_stream()
        assert session.ping_user_data_stream().value == started.value
        assert session.listen_key is not None
        session.stop_user_data_stream()
        assert session.listen_key is None
        assert session.logout().authenticated is False
        assert session.logon().authenticated


# Events


def test_events(exchange: Background) -> None:
    def pay_in() -> None:
        for _ in range(5):
            exchange.simulator.transfer("BTC", "1")

    with blocking(exchange) as session:
        events = session.events()
        got = []
        timer = threading.Timer(
            0.3, lambda: [exchange.call(lambda: exchange.simulator.transfer("BTC", "1")) for _ in range(5)]
        )
        timer.start()
        for event in events:
            got.append(event.type)
            if len(got) == 5:
                break
        events.close()  # type: ignore[attr-defined]
        timer.join()
        assert got == ["ACCOUNT_UPDATE"] * 5
        assert session.health().events_live is None
        assert session.request("session.status").result


def test_a_session_that_is_closed_elsewhere_ends_who_waits(exchange: Background) -> None:
    session = blocking(exchange)
    session.open()
    ended: list[BaseException] = []

    def read() -> None:
        try:
            for _ in session.events():
                pass
        except SessionClosed as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while session.health().events_live is not True:
        time.sleep(0.01)
    session.close()
    reader.join(TIMEOUT)
    assert len(ended) == 1


# Threads


def test_several_sessions_share_a_thread(exchange: Background) -> None:
    thread = LoopThread("shared")
    with blocking(exchange, thread=thread) as one, blocking(exchange, thread=thread) as other:
        assert one.request("session.status").result
        assert other.request("session.status").result
        assert [name for name in threads() if name == "shared"] == ["shared"]
        assert not {one.name, other.name} & threads()
    assert "shared" in threads()
    thread.close()
    thread.close()
    assert "shared" not in threads()


def test_waiting_for_itself_is_refused(exchange: Background) -> None:
    caught: list[BaseException] = []

    class Hasty(Session):
        def on_event(self, event: Any) -> None:
            try:
                session.request("account.balance")
            except ConfigurationError as error:
                caught.append(error)

    session = blocking(exchange, session_class=Hasty)
    with session:
        events = session.events()
        threading.Timer(0.2, lambda: exchange.call(lambda: exchange.simulator.transfer("BTC", "1"))).start()
        next(events)
        events.close()  # type: ignore[attr-defined]
    assert "wait for itself" in str(caught[0])


@pytest.mark.parametrize("kind", [dict, "Session", None])
def test_another_class_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError):
        BlockingSession(COIN_M, KEY, session_class=kind)
    with pytest.raises(ConfigurationError):
        BlockingSessionManager(COIN_M, {}, manager_class=kind)


# Many accounts


def test_a_manager(exchange: Background) -> None:
    new = Ed25519Key.generate(api_key="new")
    exchange.call(lambda: exchange.simulator.add_key(new.api_key, public_key=new.public_pem()))
    wrong = Ed25519Key.generate(api_key="unknown")
    options: dict[str, Any] = {"url": exchange.url, "stream_url": exchange.simulator.stream_url}
    with BlockingSessionManager(COIN_M, {"alice": KEY, "bob": wrong}, **options) as many:
        assert list(many) == ["alice", "bob"]
        assert (len(many), "bob" in many, list(many.failures)) == (2, True, ["bob"])
        assert many["alice"].request("account.balance").result
        assert many.health()["alice"].ready
        assert many.stats()["alice"].answered
        assert many.replace_key("bob", new).state is SessionState.READY
        assert many.add("carol", KEY).request("session.status").result
        threading.Timer(0.5, lambda: exchange.call(lambda: exchange.simulator.transfer("BTC", "1"))).start()
        events = many.events()
        assert next(events)[0] in ("alice", "bob", "carol")
        events.close()  # type: ignore[attr-defined]
        many.remove("carol")
        assert "carol" not in many
        thread = many["alice"]._thread
    assert thread._thread is None


# The end of the program


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def program(exchange: Background, body: str) -> list[str]:
    head = f"""
        import os, signal, sys, threading, time
        from binance_session import COIN_M
        from binance_session.blocking import BlockingSession
        session = BlockingSession(COIN_M, url={exchange.url!r})
        session.open()
    """
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(head) + textwrap.dedent(body)]


def test_what_is_open_at_the_exit_is_closed(exchange: Background) -> None:
    done = subprocess.run(
        program(exchange, "print('ready')"), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


def test_a_program_that_fails_ends(exchange: Background) -> None:
    body = "raise ValueError('the strategy is wrong')"
    done = run(program(exchange, body))
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: the strategy is wrong")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_interrupts_a_wait(exchange: Background) -> None:
    exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", method="session.status", times=None)))
    body = """
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            session.request("session.status", timeout=600)
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = run(program(exchange, body))
    assert (done.returncode, done.stdout) == (0, "interrupted\n")
    assert "1 requests in flight: their outcome is unknown" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_in_a_forked_child_each_use_is_refused_and_the_exit_does_not_hang(exchange: Background) -> None:
    body = """
        pid = os.fork()
        if not pid:
            try:
                session.request("session.status")
            except Exception as error:
                print(type(error).__name__, str(error)[:23], flush=True)
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), session.request("session.status").result is not None)
    """
    arguments = program(exchange, body)
    arguments[2] = "ignore"  # Python 3.12 warns of a fork beside threads
    done = run(arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ConfigurationError this process was forked\n7 True\n"
