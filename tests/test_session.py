"""What a bot sees: requests, their ends, the states between, and what is refused at the door."""

from __future__ import annotations

import asyncio
import ssl
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    USD_M,
    ApiError,
    ApiKey,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    Event,
    ExponentialBackoff,
    FixedInterval,
    InsecureTransportError,
    InsecureTransportWarning,
    NotSent,
    RateLimit,
    RequestTimeout,
    Response,
    ServerError,
    Session,
    SessionClosed,
    SessionState,
)
from binance_session.simulator import Fault, virtual
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until

ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
LIMIT_ORDER = {**ORDER, "price": "20000.0"}
READY, WAITING = SessionState.READY, SessionState.WAITING


class Every:
    """A reconnect policy that waits the same time before each attempt."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return self.seconds


# Answers


async def test_a_request_is_answered() -> None:
    """Result, status, rate limits; and the request was on the wire before submit() returned its future."""
    async with exchange() as simulator, session_to(simulator) as session:
        assert session.state is READY
        future = session.submit("account.balance")
        assert session.in_flight == 1
        reply = await future
        assert isinstance(reply, Response)
        assert reply.status == 200
        assert isinstance(reply.result, list)
        assert isinstance(reply.rate_limits[0], RateLimit)
        assert reply.rate_limits[0].limit == 2400
        assert session.in_flight == 0


async def test_many_at_once_each_get_their_own_answer() -> None:
    """A thousand pipelined orders: every id comes back to its caller."""
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        futures = [
            session.submit("order.place", {**LIMIT_ORDER, "newClientOrderId": f"order-{number}"})
            for number in range(1000)
        ]
        replies = await asyncio.gather(*futures)
        assert [reply.result["clientOrderId"] for reply in replies] == [f"order-{number}" for number in range(1000)]
        assert len({reply.request_id for reply in replies}) == 1000


async def test_a_refusal_is_an_error_that_says_so() -> None:
    """The exchange's code and words, the request it was, and that it was not executed."""
    async with exchange() as simulator, session_to(simulator) as session:
        with pytest.raises(ApiError, match="this request was not executed") as caught:
            await session.request("order.place", {"symbol": "BTCUSD_PERP"})
        error = caught.value
        assert (error.status, error.code, error.method, error.outcome) == (400, -1102, "order.place", "rejected")
        assert error.response is not None
        assert error.response.rate_limits
        assert error.request_id == error.response.request_id
        assert (await session.request("account.balance")).status == 200


async def test_an_error_inside_the_exchange_leaves_the_outcome_unknown() -> None:
    """-1007 and 5xx: the order may stand (PROTOCOL.md §2); here it does."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("error", method="order.place", status=500, code=-1007, executed=True))
        with pytest.raises(ServerError, match="may have been executed") as caught:
            await session.request("order.place", LIMIT_ORDER)
        assert caught.value.outcome == "unknown"
        assert [entry.method for entry in simulator.executed if entry.method == "order.place"] == ["order.place"]


@pytest.mark.parametrize(
    ("fault", "options", "counted"),
    [
        ("duplicate_answer", {}, "late"),
        ("unknown_id", {"id": 987654}, "unknown"),
        ("string_id", {}, None),
        ("malformed", {}, "malformed"),
        ("not_an_object", {}, "malformed"),
        ("not_an_object", {"text": "null"}, "malformed"),
        ("nested", {}, "malformed"),
        ("binary_frame", {}, "malformed"),
        ("huge", {"size": 8 << 20}, None),
        ("fragmented", {}, None),
        ("fragmented", {"pieces": 40}, None),
        ("split", {}, None),
        ("merged", {}, "events"),
    ],
)
async def test_strange_frames_hurt_nobody(fault: str, options: dict[str, Any], counted: str | None) -> None:
    """Whatever comes beside an answer: the caller gets the answer, the strangeness is counted and handed over."""
    unmatched: list[object] = []
    events: list[Event] = []

    class Bot(Session):
        def on_unmatched(self, message: object) -> None:
            unmatched.append(message)

        def on_event(self, event: Event) -> None:
            events.append(event)

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        simulator.inject(Fault(fault, method="account.balance", **options))
        assert (await session.request("account.balance")).status == 200
        assert (await session.request("account.balance")).status == 200
        assert session.state is READY
        if counted is not None:
            assert getattr(session.stats, counted) >= 1
        if fault == "merged":
            assert [event.type for event in events] == ["unknownEvent"] * 2
        elif fault not in ("fragmented", "split"):
            assert len(unmatched) == 1
        assert session.stats.connections == 1


@pytest.mark.parametrize(("options", "limit"), [({}, 32 << 20), ({"max_size": 64 << 10}, 64 << 10)])
async def test_a_message_over_max_size_ends_the_connection_with_a_clear_reason(
    options: dict[str, Any], limit: int
) -> None:
    """The limit is the bot's memory; what was in flight learns why at once."""
    async with exchange() as simulator, session_to(simulator, **options) as session:
        simulator.inject(Fault("huge", method="account.balance", size=limit + 1))
        with pytest.raises(ConnectionLost, match=r"1009.*too big.*max_size"):
            await session.request("account.balance")
        await session.wait_for(READY)
        assert (await session.request("account.balance")).status == 200


# No answer


@pytest.mark.virtual
async def test_no_answer_is_a_timeout_with_unknown_outcome_and_a_late_one_hurts_nobody() -> None:
    """After exactly the timeout; the answer that comes later is counted, and the reader lives on."""
    async with exchange() as simulator, session_to(simulator) as session:
        loop = asyncio.get_running_loop()
        simulator.inject(Fault("late_answer", method="order.place", delay=12.0))
        began = loop.time()
        with pytest.raises(RequestTimeout, match="may have been executed") as caught:
            await session.request("order.place", LIMIT_ORDER)
        assert loop.time() - began == pytest.approx(10.0, abs=0.01)
        assert caught.value.outcome == "unknown"
        assert isinstance(caught.value, TimeoutError)
        assert session.in_flight == 0
        await asyncio.sleep(5)
        assert session.stats.late == 1
        assert (await session.request("account.balance")).status == 200


@pytest.mark.virtual
async def test_a_call_may_have_a_timeout_of_its_own() -> None:
    """Shorter and longer than the session's, side by side."""
    async with exchange() as simulator, session_to(simulator, request_timeout=5) as session:
        loop = asyncio.get_running_loop()
        simulator.inject(Fault("no_answer", times=None))
        began = loop.time()
        ends: dict[float | None, float] = {}

        async def call(timeout: float | None) -> None:
            with pytest.raises(RequestTimeout):
                await session.request("account.balance", timeout=timeout)
            ends[timeout] = loop.time() - began

        await asyncio.gather(call(None), call(0.5), call(60))
        assert ends == pytest.approx({0.5: 0.5, None: 5.0, 60: 60.0}, abs=0.01)


@pytest.mark.virtual
async def test_cancelling_forgets_the_request() -> None:
    """It is not in flight any more; its answer is nobody's and ends nobody's reader."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("late_answer", method="account.balance", delay=1.0, times=2))
        task = asyncio.ensure_future(session.request("account.balance"))
        future = session.submit("account.balance")
        await asyncio.sleep(0.1)
        task.cancel()
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.in_flight == 0
        await asyncio.sleep(2)
        assert session.stats.late == 2
        assert (await session.request("account.balance")).status == 200


async def test_a_lost_connection_is_told_at_once_and_the_session_comes_back() -> None:
    """Nobody waits for a timeout; the order was executed, and the caller was told that it may have been."""
    async with exchange() as simulator, session_to(simulator, request_timeout=3600) as session:
        simulator.inject(Fault("drop_after", method="order.place"))
        waiting = session.submit("account.balance")
        with pytest.raises(ConnectionLost) as caught:
            await session.request("order.place", LIMIT_ORDER)
        assert caught.value.outcome == "unknown"
        assert caught.value.method == "order.place"
        assert isinstance(caught.value, ConnectionError)
        assert (await waiting).status == 200
        assert sum(entry.method == "order.place" for entry in simulator.executed) == 1
        await session.wait_for(READY)
        assert session.authenticated
        assert (await session.request("account.balance")).status == 200
        assert session.stats.lost == 1
        assert session.stats.connections == 2


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1012])
async def test_a_close_frame_is_a_loss_with_its_code_and_reason(code: int) -> None:
    """Told from the frame itself, without waiting for the TCP connection to go."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("close", method="account.balance", code=code, reason="moving on"))
        with pytest.raises(ConnectionLost, match=f"{code}.*moving on"):
            await session.request("account.balance")
        await session.wait_for(READY)


# While not READY


@pytest.mark.virtual
async def test_an_order_just_after_a_drop_is_not_sent_and_a_query_waits() -> None:
    """``auto``: TRADE fails at once, the rest leaves when READY, signed then, in order."""
    async with (
        exchange() as simulator,
        session_to(simulator, reconnect=Every(5.0)) as session,
    ):
        simulator.inject(Fault("drop_before", method="account.balance"))
        with pytest.raises(ConnectionLost):
            await session.request("account.balance")
        assert session.state is not READY
        with pytest.raises(NotSent, match="was not sent") as caught:
            session.submit("order.place", LIMIT_ORDER)
        assert caught.value.outcome == "not_sent"
        with pytest.raises(NotSent):
            session.submit("account.balance", on_unready="fail")
        parked = [
            session.submit("account.position"),
            session.submit("order.place", LIMIT_ORDER, on_unready="wait"),
            session.submit("account.status"),
        ]
        assert session.in_flight == 0
        await asyncio.gather(*parked)
        methods = [entry.method for entry in simulator.received][-4:]
        assert methods == ["session.logon", "account.position", "order.place", "account.status"]
        assert sum(entry.method == "order.place" for entry in simulator.executed) == 1
        assert requests(simulator, "account.status")[0].params["timestamp"] / 1000 == pytest.approx(
            simulator.clock.time(), abs=1
        )


@pytest.mark.virtual
async def test_what_waits_too_long_was_not_sent() -> None:
    """The timeout runs while a request is parked; then it is known not to have left."""
    async with exchange() as simulator:
        async with session_to(simulator, reconnect=Every(600.0), request_timeout=7) as session:
            simulator.inject(Fault("drop_before", method="account.balance"))
            with pytest.raises(ConnectionLost):
                await session.request("account.balance")
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(NotSent) as caught:
                await session.request("account.balance")
            assert loop.time() - began == pytest.approx(7, abs=0.01)
            assert caught.value.outcome == "not_sent"
            cancelled = session.submit("account.balance")
            cancelled.cancel()
        assert len(requests(simulator, "account.balance")) == 1


async def test_bad_input_is_refused_before_it_is_parked() -> None:
    """What is wrong is said now, not when the connection is back."""
    async with exchange() as simulator:
        session = session_to(simulator)
        task = asyncio.ensure_future(session.open())
        await until(lambda: session.state is not SessionState.NEW)
        with pytest.raises(ConfigurationError, match="float"):
            session.submit("account.balance", {"x": 0.5})  # type: ignore[dict-item]
        future = session.submit("account.balance")
        await task
        assert (await future).status == 200
        await session.close()


async def test_requests_before_open_and_after_close() -> None:
    """Both are told, and nothing is sent."""
    async with exchange() as simulator:
        session = session_to(simulator)
        with pytest.raises(NotSent, match="open it first"):
            session.submit("account.balance")
        await session.open()
        await session.close()
        with pytest.raises(SessionClosed) as caught:
            session.submit("account.balance")
        assert caught.value.outcome == "not_sent"
        with pytest.raises(SessionClosed):
            await session.open()
        assert requests(simulator, "account.balance") == []


async def test_the_bound_on_what_is_in_flight() -> None:
    """Beyond it a request is refused, not queued; room that callers gave up counts at once."""
    async with exchange() as simulator, session_to(simulator, max_in_flight=2) as session:
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        futures = [session.submit("account.balance") for _ in range(2)]
        with pytest.raises(NotSent, match="max_in_flight") as caught:
            session.submit("account.position")
        assert caught.value.method == "account.position"
        futures[0].cancel()
        assert (await session.request("account.position")).status == 200
        futures[1].cancel()


# Connecting


async def test_a_port_where_nobody_listens() -> None:
    """open() says so at once; the session has failed, and says why to whoever asks later."""
    async with exchange() as simulator:
        url = simulator.url
    session = Session(COIN_M, ED25519, url=url)
    with pytest.raises(ConnectError) as caught:
        await session.open()
    assert caught.value.retryable
    assert session.state is SessionState.FAILED
    with pytest.raises(ConnectError):
        await session.wait_for(READY)
    with pytest.raises(SessionClosed, match="no connection"):
        session.submit("account.balance")
    await session.close()


async def test_a_wrong_path_is_not_worth_retrying() -> None:
    """HTTP 4xx at the handshake is an answer, and it is named."""
    async with exchange() as simulator:
        session = session_to(simulator, url=simulator.url + "/nowhere")
        with pytest.raises(ConnectError, match="HTTP 404") as caught:
            await session.open()
        assert caught.value.status == 404
        assert not caught.value.retryable


@pytest.mark.virtual
async def test_the_reconnect_policy_decides_and_may_give_up() -> None:
    """Attempts and delays are told; when the policy gives up, everyone waiting learns it at once."""
    told: list[tuple[int, float]] = []

    class ThreeTimes:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            assert isinstance(cause, BinanceSessionError)
            return None if attempt > 3 else 10.0 * attempt

    class Bot(Session):
        def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
            told.append((attempt, delay))

    async with exchange() as simulator:
        session = session_to(simulator, kind=Bot, reconnect=ThreeTimes())
        await session.open()
    # the exchange is gone
    await until(lambda: session.state is WAITING)
    waiting = session.submit("account.balance", timeout=3600)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(ConnectError):
        await session.wait_for(READY)
    assert loop.time() - began == pytest.approx(60)
    assert told == [(1, 10.0), (2, 20.0), (3, 30.0)]
    with pytest.raises(SessionClosed) as caught:
        await waiting
    assert caught.value.outcome == "not_sent"
    assert isinstance(caught.value.__cause__, ConnectError)
    assert session.state is SessionState.FAILED


@pytest.mark.virtual
async def test_a_connection_that_never_lasts_is_not_hammered() -> None:
    """The first loss is answered at once; losing each new connection at once makes the attempts rarer."""
    delays: list[float] = []

    class Bot(Session):
        def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
            delays.append(delay)

    policy = ExponentialBackoff(1, 64, random=lambda: 0.5)
    async with exchange() as simulator, session_to(simulator, kind=Bot, reconnect=policy) as session:
        for _ in range(5):
            simulator.connections[0].drop()
            await session.wait_for(WAITING)
            await session.wait_for(READY)
        assert delays == [0.0, 0.5, 1.0, 2.0, 4.0]
        await asyncio.sleep(60)
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        await session.wait_for(READY)
        assert delays[-1] == 0.0


@pytest.mark.virtual
async def test_a_half_open_connection_is_found_in_time() -> None:
    """The line goes dead without a word: found within ping_interval + ping_timeout, and told at once."""
    async with (
        exchange() as simulator,
        session_to(simulator, ping_interval=5, ping_timeout=3, request_timeout=3600) as session,
    ):
        loop = virtual.VirtualTimeLoop.running()
        loop.network.connections[0].half_open()
        began = loop.time()
        with pytest.raises(ConnectionLost, match="no pong"):
            await session.request("account.balance")
        assert loop.time() - began <= 8.01
        await session.wait_for(READY)
        assert (await session.request("account.balance")).status == 200


@pytest.mark.virtual
@pytest.mark.parametrize("venue", [COIN_M, SPOT])
async def test_without_pings_of_our_own_the_servers_tell(venue: Any) -> None:
    """A dead line is found when its pings stay away; a live one, however slow its pings, is left alone."""
    async with exchange(venue) as simulator, session_to(simulator, ping_interval=None) as session:
        loop = virtual.VirtualTimeLoop.running()
        await asyncio.sleep(7200)
        assert session.stats.connections == 1
        loop.network.connections[0].half_open()
        began = loop.time()
        with pytest.raises(ConnectionLost, match="has not pinged"):
            await session.request("account.status", timeout=9999)
        assert loop.time() - began <= 2.5 * venue.server_ping_interval + 11
        await session.wait_for(READY)


# Waiting for states


@pytest.mark.virtual
async def test_wait_for() -> None:
    """Returns when reached, raises when it never can be, and ends with its timeout."""
    async with exchange() as simulator:
        session = session_to(simulator)
        waiter = asyncio.ensure_future(session.wait_for(READY))
        await session.open()
        await waiter
        await session.wait_for(READY)
        with pytest.raises(ConfigurationError, match=r"READY.*never be NEW"):  # it is not over
            await session.wait_for(SessionState.NEW)
        with pytest.raises(TimeoutError, match=r"READY.*CLOSED within 5 s"):
            await session.wait_for(SessionState.CLOSED, timeout=5)
        waiter = asyncio.ensure_future(session.wait_for(WAITING))
        closed = asyncio.ensure_future(session.wait_for(SessionState.CLOSED))
        await asyncio.sleep(0)
        await session.close()
        with pytest.raises(SessionClosed):
            await waiter
        await closed
        with pytest.raises(SessionClosed):
            await session.wait_for(SessionState.NEW)
        with pytest.raises(ConfigurationError):
            await session.wait_for("READY")  # type: ignore[arg-type]


# Hooks


async def test_hooks_are_called_and_cannot_hurt() -> None:
    """Every hook raises; the session goes on, and the exceptions are counted."""
    seen: list[str] = []

    class Bot(Session):
        def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
            seen.append(f"{old.name}->{new.name}")
            raise RuntimeError("hook")

        def on_response(self, response: Response) -> None:
            seen.append(response.method)
            raise RuntimeError("hook")

        def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
            seen.append(limits[0].type)
            raise RuntimeError("hook")

        def on_unmatched(self, message: object) -> None:
            seen.append(f"unmatched {message}")
            raise RuntimeError("hook")

        def prepare(self, method: str, params: Any) -> Any:
            return {**params, "recvWindow": 1234} if method == "account.balance" else params

    async with exchange() as simulator:
        async with session_to(simulator, kind=Bot) as session:
            simulator.inject(Fault("malformed", method="account.balance", text="huh"))
            assert (await session.request("account.balance")).status == 200
            assert requests(simulator, "account.balance")[0].params["recvWindow"] == 1234
            errors = session.stats.hook_errors
        assert seen == [
            "NEW->CONNECTING",
            "CONNECTING->LOGGING_ON",
            "session.logon",
            "REQUEST_WEIGHT",
            "LOGGING_ON->READY",
            "unmatched huh",
            "account.balance",
            "REQUEST_WEIGHT",
            "READY->CLOSING",
            "CLOSING->CLOSED",
        ]
        assert errors == 8


async def test_a_hook_that_looks_at_a_cancelled_future_hurts_nobody() -> None:
    """It raises CancelledError, which is no Exception; the answer still reaches its caller."""
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    class Bot(Session):
        def on_response(self, response: Response) -> None:
            cancelled.result()

        def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
            cancelled.result()

        def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
            cancelled.result()

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        assert (await session.request("account.balance")).status == 200
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        await session.wait_for(READY)
        assert session.stats.hook_errors >= 6


@pytest.mark.virtual
async def test_a_policy_may_answer_any_number() -> None:
    """A Decimal is one; it is not the event loop's business."""

    class Exact:
        def next_delay(self, *situation: Any) -> Any:
            return Decimal("1.5")

    async with exchange() as simulator, session_to(simulator, reconnect=Exact(), keepalive=Exact()) as session:
        await session.start_user_data_stream()
        await asyncio.sleep(4)
        assert session.stats.pings == 2
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        await session.wait_for(READY)


async def test_prepare_may_refuse() -> None:
    """What it raises is the caller's to see, and nothing is sent."""

    class Bot(Session):
        def prepare(self, method: str, params: Any) -> Any:
            raise PermissionError("not today")

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        with pytest.raises(PermissionError, match="not today"):
            session.submit("order.place", LIMIT_ORDER)
        assert requests(simulator, "order.place") == []


def test_a_hook_is_a_plain_method() -> None:
    """An async one would never be awaited: refused when the session is made."""

    class Bot(Session):
        async def on_event(self, event: Event) -> None:  # type: ignore[override]
            pass

    with pytest.raises(ConfigurationError, match="on_event"):
        Bot(COIN_M)


async def test_a_hook_may_submit() -> None:
    """Re-entry is normal: a request from within the dispatch of an answer."""
    futures: list[asyncio.Future[Response]] = []

    class Bot(Session):
        def on_response(self, response: Response) -> None:
            if response.method == "account.balance":
                futures.append(self.submit("account.position"))

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        await session.request("account.balance")
        assert (await futures[0]).method == "account.position"


# At the door


@pytest.mark.parametrize(
    "options",
    [
        {"logon": "yes"},
        {"logon": 1},
        {"logon": None},
        {"request_timeout": 0},
        {"request_timeout": -1},
        {"request_timeout": float("nan")},
        {"request_timeout": float("inf")},
        {"request_timeout": "10"},
        {"request_timeout": None},
        {"request_timeout": True},
        {"open_timeout": 0},
        {"close_timeout": -1},
        {"ping_interval": 0},
        {"ping_timeout": float("nan")},
        {"recv_window": 0},
        {"recv_window": 60_001},
        {"recv_window": 5000.0},
        {"recv_window": True},
        {"on_unready": "maybe"},
        {"max_in_flight": 0},
        {"max_in_flight": 1.5},
        {"max_size": 1000},
        {"max_size": None},
        {"compression": "gzip"},
        {"keepalive": 5},
        {"keepalive": FixedInterval},
        {"reconnect": None},
        {"ssl": True},
        {"proxy": 5},
        {"proxy": ""},
        {"proxy": False},
        {"ssl": ssl.create_default_context(), "url": "ws://127.0.0.1:1"},
        {"url": "https://127.0.0.1"},
        {"url": "wss://"},
        {"url": ""},
        {"url": 5},
        {"url": "wss://host:99999/"},
        {"stream_url": "ftp://x"},
        {"rollover_after": 86_400.1},
    ],
)
def test_impossible_parameters_are_refused(options: dict[str, Any]) -> None:
    """When the session is made, with the parameter named."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Session(COIN_M, ED25519, **options)


def test_spot_has_no_stream_url() -> None:
    """Its events come on the connection that brings the answers."""
    with pytest.raises(ConfigurationError, match="Spot has no stream_url"):
        Session(SPOT, ED25519, stream_url="wss://example.com")


def test_its_repr_names_the_session() -> None:
    """So that of many in a list each can be told."""
    assert repr(Session(COIN_M, name="strategy-1")) == "<Session 'strategy-1' COIN-M new>"


@pytest.mark.parametrize(
    ("venue", "credentials"), [("coin-m", None), (COIN_M, "key"), (COIN_M, object()), (COIN_M, type(ED25519))]
)
def test_a_session_needs_a_venue_and_credentials_that_are_some(venue: Any, credentials: Any) -> None:
    """A secret passed by mistake is not repeated in the message."""
    with pytest.raises(ConfigurationError) as caught:
        Session(venue, credentials)
    assert "'key'" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("ws://ws-dapi.binance.com/ws-dapi/v1", {}),
        ("ws://192.0.2.1:80", {}),
        ("ws://localhost.example.com", {}),
        ("ws://127.0.0.1:80", {"proxy": "http://192.0.2.1:3128"}),
    ],
)
def test_credentials_never_go_over_plain_ws_to_elsewhere(url: str, options: dict[str, Any]) -> None:
    """Loopback excepted, and not through a proxy; without credentials it is the user's affair."""
    with pytest.raises(InsecureTransportError, match="wss://") as caught:
        Session(COIN_M, ED25519, url=url, **options)
    assert ("through a proxy" in str(caught.value)) is ("proxy" in options)
    session = Session(COIN_M, url=url, **options)
    with pytest.raises(InsecureTransportError) as caught:
        session.submit("account.balance", credentials=HMAC)
    assert ("through a proxy" in str(caught.value)) is ("proxy" in options)


@pytest.mark.parametrize("url", ["ws://localhost:1", "ws://127.0.0.9:1", "ws://[::1]:1", "wss://example.com"])
def test_loopback_and_tls_are_fine(url: str) -> None:
    """The addresses of a simulator, and any address with TLS."""
    Session(COIN_M, ED25519, url=url)


def test_a_listen_key_is_a_secret_too() -> None:
    """It goes into the path of the stream's URL."""
    with pytest.raises(InsecureTransportError, match="stream_url"):
        Session(COIN_M, stream_url="ws://192.0.2.1")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("order.plaice", {}),
        ("", {}),
        (5, {}),
        (None, {}),
        ([], {}),
        ("order.place", {"security": "SECRET"}),
        ("account.balance", {"timeout": 0}),
        ("account.balance", {"timeout": float("nan")}),
        ("account.balance", {"timeout": "5"}),
        ("account.balance", {"credentials": "key"}),
        ("account.balance", {"params": {"x": 0.1}}),
        ("account.balance", {"params": {"x": Decimal("NaN")}}),
        ("account.balance", {"params": {"signature": "x"}}),
        ("order.place", {"credentials": ApiKey("k" * 20)}),
    ],
)
async def test_bad_requests_are_refused_before_anything_is_sent(method: Any, options: dict[str, Any]) -> None:
    """The outcome is certain: not sent."""
    async with exchange() as simulator, session_to(simulator) as session:
        with pytest.raises(ConfigurationError) as caught:
            session.submit(method, **options)
        assert caught.value.outcome == "not_sent"
        assert [entry.method for entry in simulator.received] == ["session.logon"]
        assert session.in_flight == 0


async def test_an_unknown_method_can_be_sent_when_its_security_is_named() -> None:
    """New methods need no new version of the package; the exchange decides."""
    async with exchange() as simulator, session_to(simulator) as session:
        with pytest.raises(ApiError):
            await session.request("order.dream", {"symbol": "X"}, security="TRADE")
        assert set(requests(simulator, "order.dream")[0].params) == {"symbol", "timestamp"}


# Other venues


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT])
async def test_every_venue_logs_on_and_answers(venue: Any) -> None:
    """The same session on all three."""
    async with exchange(venue) as simulator, session_to(simulator) as session:
        assert session.authenticated
        assert (await session.request("account.status")).status == 200
        assert abs(session.clock_offset) < 1


async def test_a_session_without_credentials_asks_public_questions() -> None:
    """No logon, no key; what needs a key is refused here."""
    async with exchange(SPOT) as simulator, session_to(simulator, None) as session:
        assert not session.authenticated
        assert "serverTime" in (await session.request("time")).result
        with pytest.raises(ConfigurationError, match="no credentials"):
            session.submit("account.status")
        with pytest.raises(ConfigurationError, match="listenKey"):
            await session.start_user_data_stream()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keepalive": FixedInterval}, r"the class FixedInterval \(give an instance of it\)"),
        ({"proxy": "localhost:3128"}, "has no scheme: write http://"),
        ({"proxy": "user:hunter2@proxy.example:3128"}, "has no scheme: write http://"),
        ({"proxy": "proxy.example"}, "has no scheme: write http://"),
        ({"proxy": "ftp://user:hunter2@proxy.example"}, "http, https, socks4"),
        ({"proxy": "http://user:hunter2@proxy.example:99999"}, "http, https, socks4"),
        ({"proxy": "http://"}, "with a host"),
        ({"proxy": None, "ssl": ssl.SSLContext}, "the class SSLContext"),
        ({"name": "a\nb"}, "name"),
        ({"wall_clock": 5}, "wall_clock must be a function"),
        ({"wall_clock": ssl}, "not a module"),
    ],
)
def test_what_was_most_likely_meant_is_told_at_the_door(options: dict[str, Any], says: str) -> None:
    """Without a password that may be in it."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        Session(COIN_M, **options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["http://user:p@h", "https://h:1", "socks5h://h:1080", "http://[::1]:3128", True, None]
)
def test_what_is_a_proxy_is_taken(proxy: Any) -> None:
    assert "user" not in repr(Session(COIN_M, proxy=proxy))


@pytest.mark.parametrize("trusting", ["no certificate", "no host name"])
def test_a_tls_context_that_verifies_nothing_is_warned_about(trusting: str) -> None:
    """It is yours to choose, and anybody could be the exchange."""
    context = ssl.create_default_context()
    Session(COIN_M, ssl=context)  # says nothing: a warning would fail this test
    context.check_hostname = False
    if trusting == "no certificate":
        context.verify_mode = ssl.CERT_NONE
    with pytest.warns(InsecureTransportWarning, match="does not verify") as caught:
        Session(COIN_M, ssl=context)
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]


async def test_a_number_where_a_decimal_text_belongs_is_explained() -> None:
    """The exchange says no more than that the parameter is not valid."""
    async with exchange() as simulator, session_to(simulator) as session:
        with pytest.raises(ApiError, match=r'quantity was sent as a number: .* DECIMAL, .* "1" and not 1') as caught:
            await session.request("order.place", {**LIMIT_ORDER, "quantity": 1})
        assert caught.value.outcome == "rejected"
        with pytest.raises(ApiError) as caught:
            await session.request("order.place", {**LIMIT_ORDER, "side": "UP"})
        assert "DECIMAL" not in str(caught.value)
        for no_number, code in (("abc", -1100), ("", -1105)):
            fault = Fault("error", method="order.place", status=400, code=code, msg="Parameter 'price' was wrong.")
            simulator.inject(fault)
            with pytest.raises(ApiError) as caught:
                await session.request("order.place", {**LIMIT_ORDER, "price": no_number})
            assert caught.value.code == code
            assert "DECIMAL" not in str(caught.value)


async def test_a_request_too_large_hurts_nobody_else() -> None:
    """It is refused before it is sent; what is in flight is answered."""
    async with exchange() as simulator, session_to(simulator) as session:
        future = session.submit("account.balance")
        with pytest.raises(ConfigurationError, match="newClientOrderId"):
            session.submit("order.place", {**LIMIT_ORDER, "newClientOrderId": "x" * (64 << 20)})
        assert (await future).status == 200


async def test_a_query_without_an_answer_is_not_said_to_have_been_executed() -> None:
    """And an order is told what to ask."""
    async with exchange() as simulator, session_to(simulator, request_timeout=0.05) as session:
        simulator.inject(Fault("no_answer", times=2))
        with pytest.raises(RequestTimeout, match="repeating it does no harm") as query:
            await session.request("account.balance")
        assert "executed" not in str(query.value)
        with pytest.raises(
            RequestTimeout,
            match=r"within 0\.05 s; .*may have been executed: before repeating it ask order\.status.*if you gave none",
        ):
            await session.request("order.place", LIMIT_ORDER)
        simulator.inject(Fault("no_answer"))
        with pytest.raises(RequestTimeout, match=r"within 0\.06 s"):
            await session.request("account.balance", timeout=0.06)
        simulator.inject(Fault("drop_after", method="account.position"))
        with pytest.raises(ConnectionLost) as lost:
            await session.request("account.position", timeout=5)
        assert "executed" not in str(lost.value)
        await session.wait_for(SessionState.READY)
        simulator.inject(Fault("no_answer"))
        future = session.submit("account.balance", timeout=5)
        await until(lambda: [entry for entry in simulator.received if entry.method == "account.balance"][1:])
        await session.close()
        with pytest.raises(SessionClosed) as closed:
            await future
        assert "executed" not in str(closed.value)


async def test_now_is_the_time_of_the_exchange() -> None:
    """In Unix seconds, as the answers tell it."""
    async with exchange() as simulator:
        session = Session(COIN_M, ED25519, url=simulator.url, wall_clock=lambda: simulator.clock.time() - 100)
        before = session.now()
        assert before == pytest.approx(simulator.clock.time() - 100, abs=1), "the local clock, until it is told"
        async with session:
            await session.status()
            assert session.now() == pytest.approx(simulator.clock.time(), abs=1)
            assert session.clock_offset == pytest.approx(100, abs=1)
