"""What was right once is not wrong because it fails now: when a session tries again, and when it gives up."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    ConfigurationError,
    ConnectError,
    IpBanned,
    LogonRejected,
    NotSent,
    RateLimited,
    Session,
    SessionClosed,
    SessionRevoked,
    SessionState,
)
from binance_session.connections import link
from binance_session.simulator import Fault
from binance_session.websocket import dialing
from tests.certificates import Authority
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

READY, WAITING = SessionState.READY, SessionState.WAITING
FAILED = SessionState.FAILED


class Eager:
    """A policy that never waits and never gives up."""

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return no wait."""
        return 0.0


class Tried(Session):
    """Keeps what it was told of its attempts."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.told: list[tuple[int, float, Exception]] = []
        super().__init__(*args, **options)

    def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
        """Keep it."""
        self.told.append((attempt, delay, cause))


async def lose(session: Session, simulator: Any) -> None:
    """Cut the connection, and return when the session knows."""
    simulator.connections[0].drop()
    await session.wait_for(WAITING)


def pem_files(folder: Path) -> list[Path]:
    """Return the certificates in a folder."""
    return list(folder.glob("*.pem"))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of sessions, without the state that they name first."""
    return [
        record.getMessage().partition(": ")[2]
        for record in caplog.records
        if record.name == "binance_session" and record.levelno >= logging.WARNING
    ]


# The network, once the session was READY


@pytest.mark.virtual
@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 407, 408, 410, 418, 429, 451, 500, 502, 503])
async def test_no_http_status_at_a_reconnect_ends_the_session(status: int) -> None:
    """A CDN, a firewall, a portal, a maintenance page: it is tried again by the policy, and READY in the end."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        simulator.inject(Fault("refuse_handshake", status=status, times=4))
        await lose(session, simulator)
        await session.wait_for(READY)
        assert [attempt for attempt, _, _ in session.told] == [1, 2, 3, 4, 5]
        assert [getattr(cause, "status", None) for _, _, cause in session.told] == [None] + [status] * 4
        assert (await session.request("account.balance")).status == 200


async def test_a_certificate_that_is_refused_at_a_reconnect_does_not_end_the_session(tmp_path: Path) -> None:
    """A portal or a VPN that answers in the exchange's place for a while; open() is as strict as ever."""
    portal_folder = tmp_path / "portal"
    portal_folder.mkdir()
    authority, portal = Authority(tmp_path), Authority(portal_folder)
    server = authority.server_context()
    portal.server_context()
    (good,), (bad,) = pem_files(tmp_path), pem_files(portal_folder)
    async with exchange(ssl=server) as simulator:
        options: dict[str, Any] = {"ssl": authority.client_context(), "reconnect": Eager()}
        async with session_to(simulator, kind=Tried, **options) as session:
            server.load_cert_chain(bad)  # what the next handshakes show
            await lose(session, simulator)
            await until(lambda: sum(isinstance(cause, ConnectError) for _, _, cause in session.told) > 2)
            with pytest.raises(ConnectError, match="certificate"):
                await session_to(simulator, HMAC, ssl=authority.client_context()).open()
            server.load_cert_chain(good)
            await session.wait_for(READY)
            refused = [cause.__cause__ for _, _, cause in session.told if isinstance(cause, ConnectError)]
            assert isinstance(refused[0], ssl.SSLCertVerificationError)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (asyncio.CancelledError(), "was cancelled"),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "Temporary failure"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (OSError(), "no connection: OSError"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (RuntimeError(), "no connection: RuntimeError"),
        (ValueError("wss://user:password@host"), "no connection: ValueError"),
        (ConnectError("the address cannot be used", retryable=False), "cannot be used"),
    ],
)
async def test_whatever_a_dial_raises_does_not_end_the_session(
    error: BaseException, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a resolver, of a thread that cannot be had, of a proxy's library: a connection that could not be had."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        real, left = dialing.dial, 3

        async def dial(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left >= 0:
                raise error
            return await real(*args)

        monkeypatch.setattr(link, "dial", dial)
        await lose(session, simulator)
        await session.wait_for(READY)
        causes = [cause for _, _, cause in session.told][1:]
        assert len(causes) == 3
        for cause in causes:
            assert isinstance(cause, ConnectError)
            assert text in str(cause)
            assert "password" not in str(cause)
            assert error in (cause, cause.__cause__)


@pytest.mark.virtual
async def test_each_kind_of_cause_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not each attempt; and anew once the session was READY."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        for _ in range(2):
            caplog.clear()
            for status, times in ((403, 3), (503, 8), (403, 4)):
                simulator.inject(Fault("refuse_handshake", status=status, times=times))
            await lose(session, simulator)
            await session.wait_for(READY)
            lost, forbidden, unavailable = warnings(caplog)
            assert "the connection ended" in lost
            assert "HTTP 403" in forbidden
            assert "HTTP 503" in unavailable
            assert {vars(record)["session"] for record in caplog.records} == {session.name}
        assert len(session.told) == 32


# A refused logon


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("status", "code", "msg"),
    [
        (400, -1109, "Invalid account."),
        (400, 239999, "Under maintenance."),
        (400, -1034, "Too many connections."),
        (400, -1016, "This service is no longer available."),
        (400, -1000, "An unknown error occurred."),
        (403, 0, "Forbidden"),
        (408, 0, "Timeout"),
        (503, -1008, "Server is currently overloaded."),
    ],
)
async def test_maintenance_is_no_refused_key(status: int, code: int, msg: str) -> None:
    """Answered so for however long, the key is not taken for dead."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        simulator.inject(Fault("error", method="session.logon", status=status, code=code, msg=msg, times=20))
        await lose(session, simulator)
        await session.wait_for(READY)
        assert len(session.told) == 21
        assert not [cause for _, _, cause in session.told if isinstance(cause, LogonRejected)]


@pytest.mark.virtual
@pytest.mark.parametrize(("status", "code"), [(401, -2015), (400, -1022), (400, -2014), (400, -4056), (400, -1020)])
async def test_a_logon_that_is_refused_in_passing_is_asked_for_again(status: int, code: int) -> None:
    """At a reconnect, four times; READY within two minutes."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        for _ in range(2):  # a logon that is given ends the count
            began = simulator.clock.time()
            simulator.inject(Fault("error", method="session.logon", status=status, code=code, times=4))
            session.told.clear()
            await lose(session, simulator)
            await session.wait_for(READY)
            causes = [cause for _, _, cause in session.told][1:]
            assert [cause.refusals for cause in causes if isinstance(cause, LogonRejected)] == [1, 2, 3, 4]
            delays = [delay for _, delay, _ in session.told][1:]
            assert delays == sorted(delays)
            assert delays[0] >= 1
            assert 100 < simulator.clock.time() - began < 130
            assert session.authenticated


@pytest.mark.virtual
async def test_a_key_that_stays_refused_ends_the_session_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    """After five refusals, in some two minutes; who waits is told, and there were no more than these logons."""
    async with exchange() as simulator:
        session = session_to(simulator, kind=Tried)
        await session.open()
        simulator.revoke(ED25519.api_key)
        began = simulator.clock.time()
        await lose(session, simulator)
        parked = session.submit("account.balance", timeout=3600)
        with pytest.raises(LogonRejected, match="-2015") as caught:
            await session.wait_for(READY)
        assert caught.value.refusals == 5
        assert 100 < simulator.clock.time() - began < 140
        assert session.state is FAILED
        assert len(requests(simulator, "session.logon")) == 6
        with pytest.raises(SessionClosed) as closed:
            await parked
        assert (closed.value.outcome, closed.value.__cause__) == ("not_sent", caught.value)
        assert [text.split()[0:3] for text in warnings(caplog)] == [
            ["the", "connection", "ended:"],
            ["the", "exchange", "refused"],
            ["the", "exchange", "refused"],  # for good
        ]


@pytest.mark.virtual
async def test_refusals_are_counted_across_connections_that_could_not_be_had() -> None:
    """What fails otherwise in between neither counts nor begins the count anew."""
    async with exchange() as simulator:
        session = session_to(simulator, kind=Tried)
        await session.open()
        for _ in range(4):
            simulator.inject(Fault("refuse_handshake", status=503, times=3))
            simulator.inject(Fault("reject_logon"))
            simulator.inject(Fault("error", method="session.logon", status=400, code=-1109))
        simulator.revoke(ED25519.api_key)
        await lose(session, simulator)
        with pytest.raises(LogonRejected) as caught:
            await session.wait_for(READY)
        assert caught.value.refusals == 5


@pytest.mark.virtual
async def test_a_policy_that_never_gives_up_is_obeyed_once_a_second() -> None:
    """A refused logon is asked for again as often as the policy says, but not sooner than after a second."""
    async with exchange() as simulator, session_to(simulator, kind=Tried, reconnect=Eager()) as session:
        simulator.inject(Fault("reject_logon", times=50))
        await lose(session, simulator)
        await session.wait_for(READY)
        times = [entry.time for entry in requests(simulator, "session.logon")][1:]
        assert len(times) == 51
        assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))
        assert [delay for _, delay, _ in session.told] == [0.0] + [1.0] * 50


@pytest.mark.virtual
async def test_a_policy_may_give_up_at_the_first_refusal() -> None:
    """It is told what was refused."""

    class Strict:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return None if isinstance(cause, LogonRejected) and cause.code == -2015 else 0.0

    async with exchange() as simulator:
        session = session_to(simulator, reconnect=Strict())
        await session.open()
        simulator.inject(Fault("error", method="session.logon", status=400, code=-1022, times=2))
        await lose(session, simulator)
        await session.wait_for(READY)
        simulator.revoke(ED25519.api_key)
        await lose(session, simulator)
        with pytest.raises(LogonRejected):
            await session.wait_for(READY)
        assert len(requests(simulator, "session.logon")) == 5


@pytest.mark.virtual
async def test_a_revocation_and_refused_logons_that_pass() -> None:
    """The exchange forgets the key for a minute: told as a revocation, and READY again without anybody's help."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        own = session.submit("account.balance", credentials=HMAC)
        simulator.inject(Fault("late_answer", method="account.position", delay=5.0))
        simulator.revoke(ED25519.api_key)
        slow = session.submit("account.position", credentials=HMAC)
        with pytest.raises(SessionRevoked):
            await session.request("account.balance")
        await session.wait_for(WAITING)
        assert (await own).status == 200
        assert (await slow).status == 200  # what the logon did not vouch for is still answered
        await asyncio.sleep(20)
        simulator.restore(ED25519.api_key)
        await session.wait_for(READY)
        assert session.authenticated
        assert len(simulator.connections) == 1
        assert (await session.request("account.balance")).status == 200


# Refused in a rollover


@pytest.mark.virtual
async def test_a_logon_refused_in_a_rollover_is_not_remembered_against_a_later_one() -> None:
    """Given up in the end, and tried again at the next ``serverShutdown`` with all its attempts; nobody notices."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        await asyncio.sleep(60)
        for round_ in range(1, 4):
            simulator.inject(Fault("reject_logon", times=5))
            simulator.broadcast_shutdown()
            await asyncio.sleep(300)
            assert len(requests(simulator, "session.logon")) == 1 + 5 * round_
            assert session.state is READY
        simulator.inject(Fault("reject_logon", times=4))
        simulator.broadcast_shutdown()
        await asyncio.sleep(300)
        assert session.stats.connections == 2
        assert session.told == []
        times = [entry.time for entry in requests(simulator, "session.logon")]
        assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))


@pytest.mark.virtual
async def test_announcements_do_not_have_a_refused_key_hammered() -> None:
    """``serverShutdown`` every second while the key is refused: the pace of the logons is the policy's."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        simulator.inject(Fault("reject_logon", times=None))
        for _ in range(100):
            simulator.broadcast_shutdown()
            await asyncio.sleep(1)
        assert len(requests(simulator, "session.logon")) <= 6
        assert session.state is READY


@pytest.mark.virtual
async def test_the_first_connection_ends_while_the_second_is_refused() -> None:
    """The refusal is the reconnect's first: asked for again, slowly."""
    async with exchange() as simulator, session_to(simulator, kind=Tried) as session:
        simulator.inject(Fault("late_logon", delay=3.0))
        simulator.broadcast_shutdown()
        await until(lambda: len(simulator.connections) == 2)
        simulator.revoke(ED25519.api_key)
        simulator.connections[0].drop()
        await until(lambda: session.told)
        simulator.restore(ED25519.api_key)
        await session.wait_for(READY)


# open()


@pytest.mark.parametrize("patience", [0, -1, math.nan, -math.inf, "5", True, [1]])
async def test_a_patience_that_is_none_is_refused(patience: Any) -> None:
    """Before anything else happens: the session can still be opened."""
    async with exchange() as simulator:
        session = session_to(simulator)
        with pytest.raises(ConfigurationError, match="patience"):
            await session.open(patience)
        assert session.state is SessionState.NEW
        await session.open()
        await session.close()


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("status", "wait", "patience", "words"),
    [
        (403, None, None, "HTTP 403: most likely a firewall"),
        (404, None, 60.0, r"HTTP 404.*path; this is not tried again, whatever the patience"),
        (429, 7, None, "HTTP 429: too many requests.*; it asks to wait 7 s$"),
        (418, 120, None, "HTTP 418: this address is banned; it asks to wait 120 s$"),
    ],
)
async def test_a_refused_handshake_is_explained(
    status: int, wait: int | None, patience: float | None, words: str
) -> None:
    """With the likeliest cause, how long the server asks to wait, and whether patience helps."""
    async with exchange() as simulator:
        retry_after = None if wait is None else int((simulator.clock.time() + wait) * 1000)
        simulator.inject(Fault("refuse_handshake", status=status, retry_after=retry_after))
        with pytest.raises(ConnectError, match=words):
            await session_to(simulator).open(patience)


@pytest.mark.virtual
async def test_a_logon_that_is_given_up_says_after_how_many() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("reject_logon", times=None))
        simulator.connections[0].drop()
        await session.wait_for(SessionState.FAILED)
        with pytest.raises(LogonRejected, match="given up after 5 refused logons in a row"):
            await session.wait_for(READY)


@pytest.mark.virtual
async def test_an_order_that_does_not_wait_is_told_why_and_how_it_would() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        with pytest.raises(NotSent, match=r'no connection now \(WAITING.*pass on_unready="wait"'):
            session.submit("order.place", {"symbol": "BTCUSD_PERP"})


@pytest.mark.parametrize("patience", [-1, 0, float("nan"), "soon"])
async def test_a_patience_that_is_none_names_what_may_be_given(patience: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"patience must be a number of seconds.*math\.inf"):
        await Session(COIN_M).open(patience)


@pytest.mark.virtual
@pytest.mark.parametrize("patience", [600, math.inf])
async def test_open_keeps_trying_for_as_long_as_it_is_told(patience: float) -> None:
    """An exchange that is away at first, in all manners that pass: READY when it is there; each attempt was told."""
    async with exchange() as simulator:
        session = session_to(simulator, kind=Tried)
        simulator.inject(Fault("refuse_handshake", status=503, times=3))
        simulator.inject(Fault("drop_handshake", times=3))
        simulator.inject(Fault("error", method="session.logon", status=400, code=-1109, times=3))
        simulator.inject(Fault("reject_logon", times=2))
        await session.open(patience)
        assert session.state is READY
        assert [attempt for attempt, _, _ in session.told] == list(range(2, 13))
        await lose(session, simulator)
        await session.wait_for(READY)
        assert session.told[-1][:2] == (1, 0.0)
        await session.close()


@pytest.mark.virtual
async def test_open_ends_when_its_patience_does() -> None:
    """With the last cause; the session has failed, as after an open() without patience."""
    async with exchange() as simulator:
        session = session_to(simulator, kind=Tried)
        simulator.inject(Fault("refuse_handshake", status=503, times=None))
        loop = asyncio.get_running_loop()
        began = loop.time()
        opening = asyncio.ensure_future(session.open(100))
        await session.wait_for(WAITING)
        parked = session.submit("account.balance", timeout=1000)
        with pytest.raises(ConnectError, match="503"):
            await opening
        assert 60 < loop.time() - began <= 100  # no attempt is waited for that would come later
        assert session.state is FAILED
        assert len(session.told) > 5
        with pytest.raises(SessionClosed):
            await parked
        with pytest.raises(ConnectError, match="503"):
            await session.open(100)


@pytest.mark.virtual
async def test_open_without_patience_tries_once() -> None:
    """Whatever the policy."""
    for fault in (Fault("refuse_handshake"), Fault("reject_logon"), Fault("drop_handshake")):
        async with exchange() as simulator:
            session = session_to(simulator, kind=Tried, reconnect=Eager())
            simulator.inject(fault)
            with pytest.raises((ConnectError, LogonRejected)):
                await session.open()
            assert session.told == []
            assert session.state is FAILED


@pytest.mark.virtual
async def test_patience_does_not_repeat_what_cannot_heal() -> None:
    """Nothing at the address, a signer that is broken: told at once, for ever or not."""

    class Broken:
        api_key = ED25519.api_key
        can_logon = True

        def sign(self, payload: str) -> str:
            raise OSError("the token was pulled out")

    async with exchange() as simulator:
        nowhere = session_to(simulator, kind=Tried, url=f"{simulator.url}/nowhere")
        with pytest.raises(ConnectError, match="404"):
            await nowhere.open(math.inf)
        unsigned = session_to(simulator, Broken(), kind=Tried)
        with pytest.raises(ConfigurationError, match="signature"):
            await unsigned.open(math.inf)
        assert nowhere.told == unsigned.told == []


@pytest.mark.virtual
async def test_a_refused_key_ends_the_patience() -> None:
    """For ever is not said of a dead key: five logons in two minutes, unless the policy says otherwise."""
    async with exchange() as simulator:
        simulator.revoke(ED25519.api_key)
        session = session_to(simulator, kind=Tried)
        with pytest.raises(LogonRejected):
            await session.open(math.inf)
        assert len(requests(simulator, "session.logon")) == 5
        stubborn = session_to(simulator, kind=Tried, reconnect=Eager())
        opening = asyncio.ensure_future(stubborn.open(math.inf))
        await asyncio.sleep(600)
        simulator.restore(ED25519.api_key)
        await opening
        assert len(stubborn.told) > 500
        await stubborn.close()


@pytest.mark.virtual
async def test_close_and_cancel_end_a_patient_open() -> None:
    """At once, with nothing left."""
    async with exchange() as simulator:
        simulator.inject(Fault("refuse_handshake", status=503, times=None))
        closed, cancelled = session_to(simulator), session_to(simulator)
        openings = [asyncio.ensure_future(session.open(math.inf)) for session in (closed, cancelled)]
        await closed.wait_for(WAITING)
        await cancelled.wait_for(WAITING)
        await closed.close()
        openings[1].cancel()
        with pytest.raises(SessionClosed):
            await openings[0]
        with pytest.raises(asyncio.CancelledError):
            await openings[1]
        assert cancelled.state is SessionState.CLOSED


async def refused_neighbour(simulator: Any, seconds: float, status: int) -> Session:
    """Open a session, and have it told to wait."""
    neighbour = session_to(simulator, HMAC)
    await neighbour.open()
    retry_at = int((simulator.clock.time() + seconds) * 1000)
    fault = Fault("error", method="account.balance", status=status, code=-1003, data={"retryAfter": retry_at})
    simulator.inject(fault)
    with pytest.raises(RateLimited):
        await neighbour.request("account.balance")
    return neighbour


@pytest.mark.virtual
@pytest.mark.parametrize("status", [418, 429])
async def test_open_waits_while_a_neighbour_is_held_back(status: int) -> None:
    """As far as ``open_timeout`` allows, or ``patience``, without an attempt; beyond that it says until when."""
    async with exchange() as simulator:
        neighbour = await refused_neighbour(simulator, 9, status)
        began = simulator.clock.time()
        async with session_to(simulator) as session:
            assert simulator.clock.time() - began == pytest.approx(9, abs=0.1)
            assert session.stats.connections == 1
        await neighbour.close()
        neighbour = await refused_neighbour(simulator, 60, status)
        dialled = simulator.exchange._connections_so_far
        began = simulator.clock.time()
        for patience in (None, 59):
            with pytest.raises(IpBanned if status == 418 else RateLimited) as caught:
                await session_to(simulator).open(patience)
            assert caught.value.outcome == "not_sent"
            assert caught.value.retry_at == pytest.approx(began + 60, abs=0.1)
            assert simulator.clock.time() == pytest.approx(began, abs=0.1)
        assert simulator.exchange._connections_so_far == dialled
        for open_timeout, patience in ((None, None), (10.0, 70), (61.0, 1)):
            patient = session_to(simulator, open_timeout=open_timeout)
            await patient.open(patience)
            await patient.close()
        assert simulator.clock.time() - began == pytest.approx(60, abs=0.1)
        await neighbour.close()


# Who waits


@pytest.mark.virtual
async def test_one_waiter_does_not_keep_the_state_from_moving() -> None:
    """A future of an event loop that is gone: it raises when it is ended, and everybody else is told."""
    async with exchange() as simulator, session_to(simulator) as session:
        gone = asyncio.new_event_loop()
        foreign = gone.create_future()
        foreign.add_done_callback(lambda _: None)
        gone.close()
        session._lifecycle._waiters.append((WAITING, foreign))
        waiter = asyncio.ensure_future(session.wait_for(WAITING))
        await asyncio.sleep(0)
        await lose(session, simulator)
        await waiter
        await session.wait_for(READY)
        assert foreign not in [future for _, future in session._lifecycle._waiters]


@pytest.mark.virtual
async def test_tasks_are_called_by_the_sessions_name() -> None:
    """The supervisor's, and those of a rollover."""
    async with exchange(SPOT) as simulator, session_to(simulator, name="mine") as session:
        simulator.inject(Fault("late_logon", delay=1.0))
        simulator.broadcast_shutdown()
        await until(lambda: len(simulator.connections) == 2)
        assert {"mine: supervisor", "mine: rollover"} <= {task.get_name() for task in asyncio.all_tasks()}
        await until(lambda: session.stats.connections == 2)
