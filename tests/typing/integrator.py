"""What an integrator writes, as type checkers see it: this file is checked, never run.

A line that must not pass says so with an ignore comment of both checkers, each of which complains about a comment that
it does not need: what is refused today cannot become allowed unseen.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, assert_type

from binance_session import (
    COIN_M,
    SPOT,
    USD_M_TESTNET,
    AdaptiveKeepalive,
    ApiError,
    BinanceSessionError,
    Differences,
    Ed25519Key,
    Event,
    ExponentialBackoff,
    Fate,
    FixedInterval,
    Health,
    HmacKey,
    KeepalivePolicy,
    KeepaliveStatus,
    ListenKey,
    NoKeepalive,
    RateLimit,
    ReconnectPolicy,
    Response,
    Session,
    SessionManager,
    SessionState,
    SessionStatus,
    Stats,
    Venue,
    replay,
)
from binance_session.blocking import BlockingSession, BlockingSessionManager
from binance_session.credentials import Credentials
from binance_session.health import asgi
from binance_session.latency import Phases, Timing
from binance_session.params import Params


class Bot(Session):
    """Overrides every hook, and adds to the constructor."""

    def __init__(self, venue: Venue, credentials: Credentials, *, label: str, standby: bool = True) -> None:
        super().__init__(venue, credentials, name=label, standby=standby, rollover_after=None)
        self.fills: list[Mapping[str, Any]] = []

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        assert_type(old.is_final, bool)

    def on_response(self, response: Response) -> None:
        assert_type(response.rate_limits, tuple[RateLimit, ...])

    def on_event(self, event: Event) -> None:
        if not event.is_gap:
            self.fills.append(event.data)

    def on_unmatched(self, message: object) -> None: ...

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        assert_type(status.valid_until, float | None)

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None: ...

    def on_connected(self, first: bool) -> None:
        assert_type(self.submit("ticker.price"), asyncio.Future[Response])

    def on_failover(self, cause: Exception) -> None: ...

    def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None: ...

    def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
        for limit in limits:
            assert_type(limit.limit, int)

    def prepare(self, method: str, params: Params) -> Params:
        return {**params, "newOrderRespType": "RESULT"} if method == "order.place" else params


class Narrower(Session):
    """Hooks with the wrong types are found by the checker."""

    def on_event(self, event: str) -> None: ...  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]

    async def on_response(self, response: Response) -> None: ...  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]


class EveryTwentyMinutes:
    """A keepalive policy without a base class."""

    def next_delay(self, status: KeepaliveStatus) -> float | None:
        return 5.0 if status.consecutive_failures else 1200.0


class ThreeTimes:
    """A reconnect policy without a base class."""

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return 1.0 if attempt <= 3 else None


class Vault:
    """Credentials that keep their key elsewhere."""

    @property
    def api_key(self) -> str:
        return "from the vault"

    @property
    def can_logon(self) -> bool:
        return True

    def sign(self, payload: str) -> str:
        return payload[::-1]


class NoPolicy:
    def next_delay(self, when: str) -> str:
        return when


def policies() -> list[Session]:
    keepalive: KeepalivePolicy = EveryTwentyMinutes()
    reconnect: ReconnectPolicy = ThreeTimes()
    keepalives: list[KeepalivePolicy] = [keepalive, AdaptiveKeepalive(), FixedInterval(1200.0), NoKeepalive()]
    reconnects: list[ReconnectPolicy] = [reconnect, ExponentialBackoff(initial=0.5)]
    credentials: list[Credentials] = [Vault(), HmacKey("key", "secret"), Ed25519Key.generate(api_key="key")]
    Session(COIN_M, keepalive=NoPolicy())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Session(COIN_M, reconnect=NoPolicy())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Session(COIN_M, object())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Session(COIN_M, logon="sometimes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Session("coin-m")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Session(SPOT, on_unready="queue")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return [
        Session(USD_M_TESTNET, one, keepalive=keepalives[0], reconnect=reconnects[0], ssl=ssl.create_default_context())
        for one in credentials
    ]


async def requests(bot: Bot) -> None:
    price = Decimal("50000.5")
    order: Params = {"symbol": "BTCUSD_PERP", "side": "BUY", "quantity": 1, "price": price, "reduceOnly": False}
    reply = assert_type(await bot.request("order.place", order, timeout=2.0), Response)
    assert_type(reply.result["status"], Any)
    assert_type(await bot.request("order.status", {"orderId": 1}, race=True, on_unready="wait"), Response)
    assert_type(bot.submit_threadsafe("order.place", order), concurrent.futures.Future[Response])
    assert_type(await bot.logon(), SessionStatus)
    assert_type(await bot.start_user_data_stream(), ListenKey)
    assert_type(bot.stats, Stats)
    await bot.wait_for(SessionState.READY, timeout=1.0)
    await bot.wait_for("READY")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await bot.request(17)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await bot.request("order.place", {"price": 0.1})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    await bot.request("order.new", security="NOBODY")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(Venue.named("coin-m"), Venue)
    await bot.request("order.place", ["BTCUSD_PERP"])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def events(bot: Bot) -> None:
    async with bot.user_data_stream(buffer=100, on_full="pause") as stream:
        async for event in stream:
            assert_type(event, Event)
            assert_type(event.is_gap, bool)
    bot.user_data_stream(callback=lambda event: assert_type(event, Event))
    bot.user_data_stream(on_full="drop")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def outcomes(bot: Bot) -> Fate:
    try:
        await bot.request("order.place", {"symbol": "BTCUSD_PERP"})
    except ApiError as error:
        assert_type(error.code, int)
    except BinanceSessionError as error:
        assert_type(error.outcome, Literal["rejected", "not_sent", "unknown"] | None)
        fate = await bot.settle(error, within=10.0)
        assert_type(fate.took_effect, bool | None)
    return await bot.place({"symbol": "BTCUSD_PERP"})


class Accounts(SessionManager[Session]):
    def on_account_failed(self, name: str, cause: BinanceSessionError) -> None:
        assert_type(self.failures[name], BinanceSessionError)


class Plain(Session):
    pass


async def many(key: Credentials) -> None:
    async with Accounts(COIN_M, {"alice": key, "bob": (SPOT, key)}, weight_reserve=0.1) as accounts:
        assert_type(accounts["alice"], Session)
        assert_type(accounts.health()["alice"], Health)
        async for name, event in accounts.events(buffer=10):
            assert_type((name, event), tuple[str, Event])
    others = SessionManager(COIN_M, {"alice": key}, session_class=Plain)
    assert_type(others["alice"], Plain)
    assert_type(await others.replace_key("alice", key), Plain)
    assert_type(SessionManager(COIN_M)["alice"], Session)
    SessionManager(COIN_M, {"alice": "key"})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    await others["alice"].close(drain=2.0)
    asgi(others)
    asgi(others["alice"])


def without_asyncio(key: Credentials) -> None:
    with BlockingSession(COIN_M, key, session_class=Plain, standby=True) as session:
        assert_type(session.request("account.balance"), Response)
        assert_type(session.submit("account.balance"), concurrent.futures.Future[Response])
        for event in session.events(buffer=10):
            assert_type(event, Event)
    with BlockingSessionManager(COIN_M, {"alice": key}) as accounts:
        assert_type(accounts["alice"], BlockingSession)


async def numbers(bot: Bot) -> None:
    assert_type((await bot.request("account.balance")).timing, Timing | None)
    assert_type(bot.latency()["account.balance"].p99, float)
    assert_type(bot.phases, Phases | None)


def bug_report() -> None:
    differences = replay("dump.jsonl", session_class=Bot, request_timeout=5.0)
    assert_type(differences, Differences)
    for difference in differences:
        assert_type(difference.then, str | None)


class RemoteKey:
    api_key = "key"
    can_logon = True

    async def sign(self, payload: str) -> str:
        return payload


def remote() -> Session:
    return Session(COIN_M, RemoteKey())
