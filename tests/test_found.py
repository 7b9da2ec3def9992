"""Defects that somebody who looked for them found; each test is the smallest story that showed it."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from decimal import Decimal
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    Ed25519Key,
    ExponentialBackoff,
    FixedInterval,
    HmacKey,
    InvalidTimestamp,
    IpBanned,
    NotSent,
    ProtocolError,
    RateLimited,
    ReconnectPolicy,
    Response,
    Session,
    SessionClosed,
    SessionRevoked,
    SessionState,
)
from binance_session.simulator import Fault
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

READY = SessionState.READY
ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


def ban(simulator: Any, seconds: float, **options: Any) -> Fault:
    data = {"retryAfter": int((simulator.clock.time() + seconds) * 1000)}
    return Fault("error", **{"method": "account.balance", "status": 418, "code": -1003, "data": data, **options})


# Nothing is sent during a ban, whoever would like to


@pytest.mark.virtual
async def test_no_logon_and_no_status_during_a_ban() -> None:
    """A revocation and a -1021 that arrive after the 418 are seen to when the ban is over."""
    async with exchange() as simulator, session_to(simulator, request_timeout=500) as session:
        simulator.inject(Fault("late_answer", method="account.position", delay=1.0))
        simulator.inject(ban(simulator, 200))
        late = session.submit("account.position")
        with pytest.raises(IpBanned):
            await session.request("account.balance")
        began, sent = simulator.clock.time(), len(simulator.received)
        await late
        simulator.connections[0].send({"id": None, "status": 401, "error": {"code": -2015, "msg": "revoked"}})
        await session.wait_for(SessionState.LOGGING_ON)
        await asyncio.sleep(190)
        assert len(simulator.received) == sent
        await session.wait_for(READY)
        assert simulator.clock.time() - began == pytest.approx(200, abs=2)


@pytest.mark.virtual
async def test_a_session_that_is_dialling_when_another_is_banned_does_not_log_on() -> None:
    """The ban is the address's: a handshake that is under way may end, nothing is sent over it before the end."""
    async with exchange() as simulator, session_to(simulator) as first:
        simulator.inject(Fault("slow_handshake", delay=2.0))
        second = session_to(simulator)
        opening = asyncio.ensure_future(second.open())
        await asyncio.sleep(1)
        simulator.inject(ban(simulator, 100))
        with pytest.raises(IpBanned):
            await first.request("account.balance")
        began = simulator.clock.time()
        with pytest.raises(IpBanned) as caught:
            await opening
        assert caught.value.outcome == "not_sent"
        assert simulator.clock.time() - began < 10
        assert len(requests(simulator, "session.logon")) == 1


@pytest.mark.virtual
async def test_open_does_not_wait_for_the_end_of_a_limit() -> None:
    """The logon came too late, the exchange's time was asked for, and that met a 429: said, not waited out."""
    async with exchange() as simulator:
        simulator.inject(Fault("error", method="session.logon", status=400, code=-1021, msg="late"))
        simulator.inject(ban(simulator, 500, method="session.status", status=429))
        began = simulator.clock.time()
        with pytest.raises(RateLimited):
            await session_to(simulator).open()
        assert simulator.clock.time() - began < 10


@pytest.mark.virtual
@pytest.mark.parametrize("off", [600.0, -600.0])
async def test_a_wrong_local_clock_does_not_shorten_a_ban(off: float) -> None:
    """The refusal says both times: their difference is the wait, whatever the clock here thinks."""
    async with exchange() as simulator:
        session = Session(COIN_M, HMAC, logon=False, url=simulator.url, wall_clock=lambda: simulator.clock.time() + off)
        async with session:
            now = int(simulator.clock.time() * 1000)
            data = {"serverTime": now, "retryAfter": now + 30_000}
            simulator.inject(ban(simulator, 0, method="userDataStream.start", data=data))
            with pytest.raises(IpBanned):
                await session.start_user_data_stream()
            began = simulator.clock.time()
            await session.request("userDataStream.start", timeout=100)
            assert simulator.clock.time() - began == pytest.approx(30, abs=0.1)


@pytest.mark.virtual
async def test_a_ban_that_names_no_request_is_a_ban() -> None:
    """``"id": null`` with 418."""
    async with exchange() as simulator, session_to(simulator) as session:
        error = {"code": -1003, "msg": f"banned until {int((simulator.clock.time() + 60) * 1000)}"}
        simulator.connections[0].send({"id": None, "status": 418, "error": error})
        await until(lambda: session._admission.link is None)
        with pytest.raises(RateLimited) as caught:
            session.submit("account.balance")
        assert caught.value.outcome == "not_sent"


@pytest.mark.virtual
async def test_a_503_with_retry_after_concerns_the_next_dial_only() -> None:
    """A rollover that is refused so does not hold back the connection that works."""
    async with exchange() as simulator, session_to(simulator) as session:
        retry = int((simulator.clock.time() + 100) * 1000)
        simulator.inject(Fault("refuse_handshake", status=503, retry_after=retry))
        simulator.broadcast_shutdown()
        await asyncio.sleep(5)
        assert (await session.request("order.place", ORDER)).status == 200
        assert session.stats.connections == 1
        await asyncio.sleep(100)
        assert session.stats.connections == 2


class Impatient:
    def next_delay(self, attempt: int, cause: Exception | None) -> float:
        return 0.0


@pytest.mark.parametrize(("policy", "most"), [(ExponentialBackoff(), 60), (Impatient(), 310)])
@pytest.mark.virtual
async def test_a_logon_that_is_revoked_again_and_again_is_not_hammered(policy: ReconnectPolicy, most: int) -> None:
    """Each logon is taken and revoked at once: tried ever more rarely; and once a second whatever the policy says."""

    class Bot(Session):
        def on_response(self, response: Response) -> None:
            if response.method == "session.logon":
                asyncio.get_running_loop().call_later(0.001, revoke)

    def revoke() -> None:
        for connection in simulator.connections:
            connection.send({"id": None, "status": 401, "error": {"code": -2015, "msg": "revoked"}})

    async with exchange() as simulator, session_to(simulator, kind=Bot, reconnect=policy):
        await asyncio.sleep(300)
        assert len(requests(simulator, "session.logon")) < most


@pytest.mark.virtual
async def test_a_revocation_is_seen_to_while_another_connection_is_dialled() -> None:
    """The second dial hangs; the first connection is logged on again meanwhile."""
    async with exchange() as simulator, session_to(simulator, open_timeout=60) as session:
        simulator.inject(Fault("slow_handshake", delay=15.0))
        simulator.broadcast_shutdown()
        await asyncio.sleep(1)
        simulator.inject(Fault("revoke", method="account.balance"))
        began = simulator.clock.time()
        with pytest.raises(SessionRevoked):
            await session.request("account.balance")
        await session.wait_for(READY)
        assert simulator.clock.time() - began < 1
        await asyncio.sleep(60)
        assert session.stats.connections == 2


async def test_a_bot_that_computes_for_seconds_keeps_its_connection() -> None:
    """The pong lies in the socket when the timer is due: it counts."""
    async with exchange() as simulator, session_to(simulator, ping_interval=0.3, ping_timeout=0.2) as session:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            await asyncio.sleep(0.31)
            until_then = loop.time() + 0.4
            while loop.time() < until_then:
                pass
        assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1


# The truth about who is logged on


@pytest.mark.virtual
async def test_a_parked_logon_counts_when_its_answer_is_there() -> None:
    """The next request, sent in the same turn, carries no key."""
    async with exchange() as simulator:
        session = session_to(simulator, logon=False)
        opening = asyncio.ensure_future(session.open())
        await session.wait_for(SessionState.CONNECTING)
        await session.logon()
        assert session.authenticated
        await session.request("account.balance")
        assert set(requests(simulator, "account.balance")[0].params) == {"timestamp"}
        await opening
        await session.close()


@pytest.mark.virtual
async def test_an_answer_to_logon_and_the_end_in_one_turn() -> None:
    """Logged on for no time at all: not logged on."""

    class Bot(Session):
        def on_response(self, response: Response) -> None:
            if response.method == "session.logon" and self.stats.connections:
                simulator.connections[-1].close(1001)

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        simulator.connections[0].drop()
        for _ in range(300):
            await asyncio.sleep(0.01)
            assert session.authenticated <= (session.state is READY)


async def test_a_key_that_cannot_log_on_is_not_sent_to_try() -> None:
    """logon() says so itself."""
    async with exchange() as simulator, session_to(simulator, HMAC) as session:
        with pytest.raises(ConfigurationError, match="Ed25519"):
            await session.logon()
        with pytest.raises(ConfigurationError, match="own key"):
            await session.request("session.logon", credentials=ED25519)
        assert simulator.received == []


async def test_a_full_session_can_log_on_again() -> None:
    """The bound on what is in flight is for the caller's requests."""
    async with exchange() as simulator, session_to(simulator, max_in_flight=1) as session:
        simulator.inject(Fault("no_answer", method="account.status"))
        stuck = session.submit("account.status", credentials=HMAC)
        with pytest.raises(NotSent):
            session.submit("account.balance")
        simulator.connections[0].send({"id": None, "status": 401, "error": {"code": -2015, "msg": "revoked"}})
        await session.wait_for(SessionState.LOGGING_ON)
        await session.wait_for(READY)
        assert not stuck.done()
        assert session.stats.connections == 1
        stuck.cancel()


# Credentials of one's own


@pytest.mark.parametrize("signature", [b"bytes", None, 5])
async def test_a_signature_that_is_no_text(signature: Any) -> None:
    """Refused before anything is sent, with the words to mend it."""

    class Odd:
        api_key = ED25519.api_key
        can_logon = True

        def sign(self, payload: str) -> Any:
            return signature

    async with exchange() as simulator:
        with pytest.raises(ConfigurationError, match="both are str"):
            await session_to(simulator, Odd()).open()
        assert simulator.received == []


async def test_an_async_signer_is_told_that_it_must_not_be() -> None:
    """And its coroutine is not left to complain that nobody awaited it."""

    class Odd:
        api_key = ED25519.api_key
        can_logon = True

        async def sign(self, payload: str) -> str:
            return ""

    async with exchange() as simulator:
        with pytest.raises(ConfigurationError, match="plain function"):
            await session_to(simulator, Odd()).open()  # type: ignore[call-overload]


@pytest.mark.parametrize("failure", [TimeoutError, asyncio.CancelledError])
@pytest.mark.virtual
async def test_a_signer_that_fails_at_a_reconnect_is_asked_again(failure: type[BaseException]) -> None:
    """It signed before: a remote signer that is away for a moment is no reason to end a session."""

    class Remote:
        api_key = ED25519.api_key
        can_logon = True
        away = 0

        def sign(self, payload: str) -> str:
            if self.away:
                self.away -= 1
                raise failure
            return ED25519.sign(payload)

    remote = Remote()
    async with exchange() as simulator, session_to(simulator, remote) as session:
        remote.away = 3
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        assert remote.away == 0


def test_secrets_stay_out_of_errors_about_them() -> None:
    """A UnicodeEncodeError carries the whole text that could not be encoded."""
    with pytest.raises(ConfigurationError) as caught:
        HmacKey("k" * 20, "secret\udc00")
    assert "secret\udc00" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("proxy", ["user:PASSWORD@host", "http://user:PASSWORD@host:x", "ftp://user:PASSWORD@h"])
async def test_a_proxys_password_is_not_shown(proxy: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not by an address that cannot be used, and not in the log; it is refused before anything is dialled."""
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        Session(COIN_M, url="wss://127.0.0.1:1", proxy=proxy)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "PASSWORD" not in shown
    assert "defect" not in shown


@pytest.mark.parametrize("host", ["a..b", ".example.com", "x" * 70 + ".com"])
async def test_a_host_that_is_no_name(host: str) -> None:
    """Not worth retrying, and no defect of ours."""
    with pytest.raises(ConnectError) as caught:
        await Session(COIN_M, url=f"wss://{host}/", proxy=None).open()
    assert not caught.value.retryable


async def test_a_signer_that_closes_the_session() -> None:
    """What was not written is not sent, and what was told so is not written."""

    class Closing:
        api_key = HMAC.api_key
        can_logon = False
        session: Session | None = None

        def sign(self, payload: str) -> str:
            if self.session is not None:
                self.session._admission.link = None
                closing.append(asyncio.ensure_future(self.session.close()))
                link = self.session._admission._in_use
                assert link is not None
                link.end_requests(lambda request_id, method: SessionClosed("closed"), quietly=True)
            return HMAC.sign(payload)

    closing: list[asyncio.Task[None]] = []
    signer = Closing()
    async with exchange() as simulator:
        session = session_to(simulator, signer)
        await session.open()
        signer.session = session
        with pytest.raises(NotSent):
            session.submit("order.place", ORDER)
        await closing[0]
        assert requests(simulator, "order.place") == []


def test_hooks_that_hide_that_they_are_async() -> None:
    """An async generator is refused; a coroutine from a plain method is closed, and said."""

    class Generator(Session):
        async def on_event(self, event: Any) -> Any:
            yield event

    with pytest.raises(ConfigurationError, match="on_event"):
        Generator(COIN_M)

    class Wrapped(Session):
        def on_state_change(self, *change: Any) -> Any:
            return self.wait_for(READY)

    async def run() -> int:
        session = Wrapped(COIN_M)
        await session.close()
        return session.stats.hook_errors

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("value", ["1E+50000000", "1E-50000000"])
async def test_a_number_with_millions_of_digits(value: str) -> None:
    """Refused instead of written."""
    async with exchange() as simulator, session_to(simulator) as session:
        with pytest.raises(ConfigurationError, match="digits"):
            session.submit("order.place", {**ORDER, "price": Decimal(value)})


async def test_cancelled_calls_with_long_timeouts_do_not_pile_up() -> None:
    """Nobody asks in_flight, the bound is far: they are forgotten all the same."""
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        for _ in range(2000):
            session.submit("account.balance", timeout=3600).cancel()
        link = session._admission.link
        assert link is not None
        assert len(link.router._odd) < 200


# Ends


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


# Wrong places


async def test_another_thread_is_refused_before_anything_is_sent() -> None:
    """Half of it would work, sometimes, with an order at stake."""
    errors: list[BaseException] = []

    async with exchange() as simulator, session_to(simulator) as session:

        def elsewhere() -> None:
            try:
                asyncio.run(session.request("order.place", ORDER))
            except BaseException as error:
                errors.append(error)
            try:
                session.submit("order.place", ORDER)
            except BaseException as error:
                errors.append(error)
            try:
                asyncio.run(session.close())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert [type(error) for error in errors] == [ConfigurationError] * 3
        assert "submit_threadsafe" in str(errors[0])
        assert requests(simulator, "order.place") == []
        loop = asyncio.get_running_loop()
        reply = await asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(session.request("order.place", ORDER), loop).result(10)
        )
        assert reply.status == 200


async def test_prepare_that_forgets_to_return() -> None:
    """An order without its params is not sent; and the caller's own dict is not handed out to be changed."""

    class Bot(Session):
        def prepare(self, method: str, params: Any) -> Any:
            params["side"] = "SELL"

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        order = dict(ORDER)
        with pytest.raises(ConfigurationError, match="returned None"):
            session.submit("order.place", order)
        assert order == ORDER
        assert requests(simulator, "order.place") == []


@pytest.mark.virtual
async def test_prepare_that_raises_a_cancellation_ends_no_pings() -> None:
    """The keepalive's pings do not come by it."""

    class Bot(Session):
        away = 0

        def prepare(self, method: str, params: Any) -> Any:
            if self.away:
                self.away -= 1
                raise asyncio.CancelledError
            return params

    async with exchange() as simulator, session_to(simulator, kind=Bot, keepalive=FixedInterval(60)) as session:
        await session.start_user_data_stream()
        session.away = 2
        await asyncio.sleep(400)
        assert session.away == 2
        assert len(requests(simulator, "userDataStream.ping")) >= 5


@pytest.mark.parametrize("ready", [True, False])
async def test_an_impossible_on_unready_is_refused_also_while_ready(ready: bool) -> None:
    """Not only in the outage, when it matters."""
    async with exchange() as simulator:
        session = session_to(simulator)
        if ready:
            await session.open()
        with pytest.raises(ConfigurationError, match="on_unready"):
            session.submit("account.balance", on_unready="maybe")  # type: ignore[arg-type]
        await session.close()


@pytest.mark.parametrize("value", [10**400, 1e309])
def test_numbers_beyond_all_bounds(value: Any) -> None:
    """Refused in words."""
    with pytest.raises(ConfigurationError):
        Session(COIN_M, request_timeout=value)


async def test_lists_that_hold_themselves_and_lists_that_change() -> None:
    """The one is refused; of the other, what it was when the request was made is sent."""
    endless: list[Any] = []
    endless.append(endless)
    async with exchange(SPOT) as simulator:
        session = session_to(simulator, None)
        opening = asyncio.ensure_future(session.open())
        await until(lambda: session.state is SessionState.CONNECTING)
        with pytest.raises(ConfigurationError, match="a list that contains a list"):
            session.submit("ticker.price", {"symbols": endless})
        symbols = ["BTCUSDT"]
        parked = session.submit("ticker.price", {"symbols": symbols})
        symbols.append("ETHUSDT")
        await opening
        await asyncio.gather(parked, return_exceptions=True)
        assert requests(simulator, "ticker.price")[0].params["symbols"] == ["BTCUSDT"]
        await session.close()


# Nonsense from the exchange


@pytest.mark.virtual
async def test_nonsense_where_a_time_should_be() -> None:
    """retryAfter, serverTime, limits beyond all numbers: the answer still reaches its caller."""
    async with exchange() as simulator, session_to(simulator, weight_reserve=0.1) as session:
        huge = 10**400
        for error in (
            {"code": -1003, "msg": "m", "data": {"retryAfter": huge, "serverTime": huge}},
            {"code": -1003, "msg": "banned until 9999999999999", "data": "no"},
        ):
            simulator.inject(Fault("no_answer", method="account.balance"))
            future = session.submit("account.balance", timeout=500, on_unready="wait")
            await until(lambda: requests(simulator, "account.balance"))
            request_id = requests(simulator, "account.balance")[-1].message["id"]  # type: ignore[index]
            limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": huge, "count": huge}]
            simulator.connections[0].send({"id": request_id, "status": 429, "error": error, "rateLimits": limits})
            with pytest.raises(RateLimited):
                await future
            simulator.received.clear()
            await asyncio.sleep(300)
            if "banned" in str(error["msg"]):
                break
        assert session.state is READY


async def test_bytes_that_are_no_text_in_a_field_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    """Handed over as text, as well as it can be; no defect."""
    got: list[object] = []

    class Bot(Session):
        def on_unmatched(self, message: object) -> None:
            got.append(message)

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        link = session._admission.link
        assert link is not None
        link.message_received(b'{"id":99,"status":200,"result":1,"x":"\xff"}')
        assert len(got) == 1
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_answer_that_contradicts_itself_is_unknown() -> None:
    """A result and an error at once, or an error without a code: it may have been executed."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="order.place"))
        future = session.submit("order.place", ORDER)
        await until(lambda: requests(simulator, "order.place"))
        connection = simulator.connections[0]
        connection.send({"id": 2, "status": 200, "result": {"status": "FILLED"}, "error": {"code": -1, "msg": ""}})
        with pytest.raises(ProtocolError) as caught:
            await future
        assert caught.value.outcome == "unknown"


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


def test_generated_keys_are_for_rehearsals() -> None:
    """The public half is what an exchange is given."""
    key = Ed25519Key.generate(api_key="rehearsal")
    assert key.public_pem().startswith("-----BEGIN PUBLIC KEY-----")
    assert issubclass(InvalidTimestamp, Exception)
    assert issubclass(ConnectionLost, ConnectionError)
