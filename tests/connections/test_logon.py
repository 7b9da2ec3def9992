"""Who is logged on, with which key, and what requests carry before, after, and in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    ApiError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    ExponentialBackoff,
    InvalidTimestamp,
    LogonRejected,
    NotSent,
    RateLimited,
    ReconnectPolicy,
    Response,
    Session,
    SessionRevoked,
    SessionState,
)
from binance_session.simulator import Fault, Readings
from tests.exchange import ED25519, HMAC, PLAIN, exchange, requests, rsa_key, session_to, until

READY = SessionState.READY
RETRY_AT = 4_102_444_800_000
PROOF = {"apiKey", "signature"}


def carried(simulator: Any, method: str) -> list[set[str]]:
    """Return the names of the params of each request of a method."""
    return [set(entry.params) for entry in requests(simulator, method)]


async def test_after_one_logon_nothing_carries_a_key() -> None:
    """``session.logon`` first and once; then pings bare, and signed methods with their timestamp alone."""
    async with exchange() as simulator, session_to(simulator) as session:
        assert session.authenticated
        await session.start_user_data_stream()
        await session.ping_user_data_stream()
        await session.request("account.balance")
        texts = [entry.text for entry in simulator.received]
        assert set(simulator.received[0].params) == {"apiKey", "timestamp", "signature"}
        assert texts[1:3] == [
            '{"id":2,"method":"userDataStream.start"}',
            '{"id":3,"method":"userDataStream.ping"}',
        ]
        assert carried(simulator, "account.balance") == [{"timestamp"}]


@pytest.mark.parametrize(
    ("credentials", "logon"),
    [(ED25519, False), (HMAC, "auto"), (HMAC, False), ("rsa", "auto")],
)
async def test_without_a_logon_each_request_proves_itself(credentials: Any, logon: Any) -> None:
    """Every kind of key works: apiKey for the user stream, apiKey and signature for signed methods."""
    credentials = rsa_key() if credentials == "rsa" else credentials
    async with exchange() as simulator:
        simulator.add_key(rsa_key().api_key, public_key=rsa_key().private_key.public_key())
        async with session_to(simulator, credentials, logon=logon) as session:
            assert not session.authenticated
            await session.start_user_data_stream()
            await session.ping_user_data_stream()
            assert (await session.request("account.balance", {"recvWindow": 4000})).status == 200
            assert requests(simulator, "session.logon") == []
            assert carried(simulator, "userDataStream.ping") == [{"apiKey"}]
            assert carried(simulator, "account.balance") == [{"apiKey", "signature", "timestamp", "recvWindow"}]


async def test_an_api_key_alone_keeps_a_stream_alive() -> None:
    """No secret is needed for that on futures (PROTOCOL.md §3)."""
    async with exchange() as simulator, session_to(simulator, PLAIN) as session:
        await session.start_user_data_stream()
        assert (await session.ping_user_data_stream()).value == session.listen_key.value  # type: ignore[union-attr]
        with pytest.raises(ConfigurationError, match="cannot sign"):
            session.submit("account.balance")


@pytest.mark.parametrize("credentials", [HMAC, PLAIN, None])
def test_demanding_a_logon_that_the_key_cannot_do(credentials: Any) -> None:
    """Refused when the session is made, before any connection."""
    with pytest.raises(ConfigurationError, match="Ed25519"):
        Session(COIN_M, credentials, logon=True)


@pytest.mark.parametrize(
    ("credentials", "words"), [(HMAC, "HmacKey"), (PLAIN, "this is an ApiKey"), (None, "no credentials")]
)
async def test_asking_for_a_logon_that_the_key_cannot_do(credentials: Any, words: str) -> None:
    """The message speaks of the call, and of no option that nobody wrote."""
    with pytest.raises(ConfigurationError, match=rf"Ed25519 keys only.*{words}") as caught:
        await Session(COIN_M, credentials).logon()
    assert "logon=True" not in str(caught.value)


async def test_a_rejected_logon_ends_the_session_and_is_not_repeated() -> None:
    """One attempt, the exchange's reason, no retries behind the caller's back; nothing else was sent."""
    async with exchange() as simulator:
        simulator.revoke(ED25519.api_key)
        session = session_to(simulator)
        with pytest.raises(LogonRejected, match="-2015") as caught:
            await session.open()
        assert (caught.value.code, caught.value.status, caught.value.outcome) == (-2015, 401, "rejected")
        assert isinstance(caught.value.__cause__, ApiError)
        assert session.state is SessionState.FAILED
        assert not session.authenticated
        assert [entry.method for entry in simulator.received] == ["session.logon"]
        with pytest.raises(LogonRejected):
            await session.wait_for(READY)


@pytest.mark.virtual
async def test_a_logon_that_is_not_answered_is_no_connection() -> None:
    """open() ends when the request timeout does, and says what was missing."""
    async with exchange() as simulator:
        simulator.inject(Fault("ignore_logon"))
        session = session_to(simulator, request_timeout=4)
        began = asyncio.get_running_loop().time()
        with pytest.raises(ConnectError, match=r"session\.logon"):
            await session.open()
        assert asyncio.get_running_loop().time() - began == pytest.approx(4, abs=0.1)
        assert session.state is SessionState.FAILED


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("status", "code", "msg"),
    [
        (503, -1008, "Request throttled."),
        (503, -1001, "Service Unavailable."),
        (400, -1016, "Under maintenance."),
        (500, -1000, "?"),
    ],
)
async def test_an_exchange_in_trouble_is_no_refused_key(status: int, code: int, msg: str) -> None:
    """On a reconnect the logon is answered with the exchange's own trouble: tried again, and READY in the end."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("error", method="session.logon", status=status, code=code, msg=msg, times=3))
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        assert len(requests(simulator, "session.logon")) == 5


@pytest.mark.virtual
async def test_a_late_logon_is_waited_for() -> None:
    """Logged on means answered, not sent: requests before that wait."""
    async with exchange() as simulator:
        simulator.inject(Fault("late_logon", delay=3.0))
        session = session_to(simulator)
        task = asyncio.ensure_future(session.open())
        await session.wait_for(SessionState.LOGGING_ON)
        assert not session.authenticated
        future = session.submit("account.balance")
        await asyncio.sleep(1)
        assert [entry.method for entry in simulator.received] == ["session.logon"]
        await task
        assert session.authenticated
        assert (await future).status == 200
        assert carried(simulator, "account.balance") == [{"timestamp"}]
        await session.close()


async def test_a_logon_during_a_rate_limit_tells_when_to_come_back() -> None:
    """That is no rejection of the key."""
    async with exchange() as simulator:
        simulator.inject(Fault("error", method="session.logon", status=429, code=-1003, data={"retryAfter": RETRY_AT}))
        with pytest.raises(RateLimited) as caught:
            await session_to(simulator).open()
        assert caught.value.retry_at == RETRY_AT / 1000


async def test_every_new_connection_is_logged_on_before_anything_else_is_sent() -> None:
    """The logon belongs to the connection (PROTOCOL.md §4)."""
    async with exchange() as simulator, session_to(simulator) as session:
        for _ in range(3):
            waiting = session.submit("account.balance")
            simulator.connections[0].drop()
            with pytest.raises(ConnectionLost):
                await waiting
            parked = session.submit("account.position")
            await parked
            assert session.authenticated
        by_connection: dict[int, list[Any]] = {}
        for entry in simulator.received:
            by_connection.setdefault(entry.connection.number, []).append(entry.method)
        assert len(by_connection) == 4
        assert all(methods[0] == "session.logon" for methods in by_connection.values())


async def test_logout_and_logon_again() -> None:
    """From the moment that the logout is written, requests carry the key; after a logon they do not."""
    async with exchange() as simulator, session_to(simulator) as session:
        logout = asyncio.ensure_future(session.logout())
        await asyncio.sleep(0)
        pipelined = session.submit("account.balance")
        status = await logout
        assert not status.authenticated
        assert not session.authenticated
        assert (await pipelined).status == 200
        await session.request("account.balance")
        assert carried(simulator, "account.balance") == [{"timestamp"} | PROOF] * 2
        assert (await session.logon()).authenticated
        assert session.authenticated
        await session.request("account.position")
        assert carried(simulator, "account.position") == [{"timestamp"}]


async def test_status_is_the_exchanges_word() -> None:
    """Who is logged on, since when, and what time it is there; ``authenticated`` follows it."""
    async with exchange() as simulator, session_to(simulator) as session:
        status = await session.status()
        assert status.authenticated
        assert status.api_key == ED25519.api_key
        assert status.authorized_since is not None
        assert status.server_time is not None
        simulator.connections[0].key = None
        assert not (await session.status()).authenticated
        await session.wait_for(SessionState.LOGGING_ON)
        await session.wait_for(READY)
        assert session.authenticated


async def test_another_key_for_one_request() -> None:
    """Signed with the other key; the connection's logon is untouched."""
    async with exchange() as simulator, session_to(simulator) as session:
        await session.request("account.balance", credentials=HMAC)
        assert requests(simulator, "account.balance")[0].params["apiKey"] == HMAC.api_key
        await session.request("account.position")
        assert carried(simulator, "account.position") == [{"timestamp"}]


async def test_a_signer_of_your_own() -> None:
    """Three names are enough: a hardware key, a remote signer."""
    payloads: list[str] = []

    class Remote:
        api_key = ED25519.api_key
        can_logon = True

        def sign(self, payload: str) -> str:
            payloads.append(payload)
            return ED25519.sign(payload)

    async with exchange() as simulator, session_to(simulator, Remote()) as session:
        assert session.authenticated
        assert len(payloads) == 1
        assert payloads[0].startswith(f"apiKey={ED25519.api_key}&timestamp=")


async def test_a_signer_that_breaks_ends_open_with_its_error() -> None:
    """Nothing was sent; the reason is in the chain."""

    class Broken:
        api_key = ED25519.api_key
        can_logon = True

        def sign(self, payload: str) -> str:
            raise OSError("the token was pulled out")

    async with exchange() as simulator:
        session = session_to(simulator, Broken())
        with pytest.raises(ConfigurationError, match="could not give its apiKey or signature"):
            await session.open()
        assert simulator.received == []
        assert session.state is SessionState.FAILED


# Revocation


@pytest.mark.parametrize("answer", ["replaced", "added"])
async def test_a_revoked_logon_is_told_and_tried_once_more(answer: Any) -> None:
    """Requests under the logon learn it at once, outcome unknown; the key is back, so the session goes on."""
    states: list[SessionState] = []

    class Bot(Session):
        def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
            states.append(new)

    async with (
        exchange(readings=Readings(revoked_answer=answer)) as simulator,
        session_to(simulator, kind=Bot) as session,
    ):
        own = session.submit("account.balance", credentials=HMAC)
        simulator.revoke(ED25519.api_key)
        under_logon = session.submit("account.balance")
        simulator.inject(Fault("late_logon", delay=0.05))
        with pytest.raises(SessionRevoked) as caught:
            await under_logon
        assert caught.value.outcome == "unknown"
        assert not session.authenticated
        assert session.state is SessionState.LOGGING_ON
        simulator.restore(ED25519.api_key)
        assert (await own).status == 200
        await session.wait_for(READY)
        assert session.authenticated
        assert states[-2:] == [SessionState.LOGGING_ON, READY]
        assert len(requests(simulator, "session.logon")) == 2
        assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1


@pytest.mark.virtual
async def test_a_dead_key_is_not_hammered() -> None:
    """Five more logons in some two minutes, refused: the session ends with the reason."""
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        simulator.revoke(ED25519.api_key)
        began = simulator.clock.time()
        with pytest.raises(SessionRevoked):
            await session.request("account.balance")
        with pytest.raises(SessionRevoked, match=r"refused a new one.*given up after 5 refused logons") as caught:
            await session.wait_for(READY)
        assert isinstance(caught.value.__cause__, LogonRejected)
        assert session.state is SessionState.FAILED
        assert len(requests(simulator, "session.logon")) == 6
        assert 100 < simulator.clock.time() - began < 140


async def test_an_answer_that_says_not_authenticated_is_believed() -> None:
    """-1193: the exchange forgot the logon; that request was not executed, and the session logs on again."""
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        simulator.inject(Fault("error", method="account.status", status=400, code=-1193, msg="not authenticated"))
        with pytest.raises(ApiError) as caught:
            await session.request("account.status")
        assert caught.value.outcome == "rejected"
        await session.wait_for(READY)
        assert session.authenticated
        assert len(requests(simulator, "session.logon")) == 2


# Time


async def test_the_exchanges_clock_is_learned_from_the_logon() -> None:
    """A clock that is two minutes slow signs its logon with the wrong time; after one answer it knows better."""
    async with exchange() as simulator:
        session = Session(
            COIN_M, HMAC, url=simulator.url, wall_clock=lambda: simulator.clock.time() - 120.0, ping_interval=None
        )
        async with session:
            with pytest.raises(InvalidTimestamp) as caught:
                await session.request("account.balance")
            assert caught.value.outcome == "rejected"
            await session.status()
            assert session.clock_offset == pytest.approx(120, abs=0.5)
            assert (await session.request("account.balance")).status == 200


async def test_an_ignored_answer_to_logon_does_not_count_as_logged_on() -> None:
    """A logon in flight when the connection drops is no logon."""
    async with exchange() as simulator:
        session = session_to(simulator)
        simulator.inject(Fault("ignore_logon"))
        task = asyncio.ensure_future(session.open())
        await until(lambda: requests(simulator, "session.logon"))
        simulator.connections[0].drop()
        with pytest.raises(ConnectError):
            await task
        assert not session.authenticated


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
