"""The caller: a bot that trades, asks, cancels, loses patience, logs out and in, closes, and opens again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Final

from attrs import define

from binance_session import (
    AdaptiveKeepalive,
    BinanceSessionError,
    ConfigurationError,
    ExponentialBackoff,
    FixedInterval,
    KeepaliveStatus,
    ListenKey,
    LogonRejected,
    NoKeepalive,
    Response,
    Session,
    SessionState,
)
from binance_session.params import Params
from tests.simulation.invariants import Call, SessionRecord, check_move, leftovers
from tests.simulation.readers import Readers
from tests.simulation.settling import Settling
from tests.simulation.world import FIXED_INTERVAL, HookError, World

__all__ = ["Bot"]

#: the clock, the traffic, trouble inside the exchange: nothing that is wrong with a key
_HEALING: Final = (-1021, -1003, -1006, -1007, -1008)
#: refused logons in a row that mean that the key is dead
_REFUSALS: Final = 5
_FINAL: Final = (SessionState.CLOSED, SessionState.FAILED)


@define
class _BrokenPolicy:
    """Raises, answers nonsense, or is right, as it happens."""

    random: Random
    right: Any

    def next_delay(self, *situation: Any) -> Any:
        chance = self.random.random()
        if chance < 0.3:
            raise HookError
        if chance < 0.5:
            return self.random.choice([-1.0, float("nan"), float("inf"), "soon", []])
        return self.right.next_delay(*situation)


@define
class _Every:
    seconds: float

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return self.seconds


@define
class _Recorded:
    """Another policy, and what it was asked about when it gave up."""

    policy: Any
    given_up_on: list[Exception | None]

    def next_delay(self, attempt: int, cause: Exception | None) -> Any:
        delay = self.policy.next_delay(attempt, cause)
        if delay is None:
            self.given_up_on.append(cause)
        return delay


@define
class _Quitter:
    """Gives up after so many attempts."""

    attempts: int

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return None if attempt > self.attempts else 1.0


def _may_end(world: World, record: SessionRecord, cause: Exception | None, refusal: Any) -> bool:
    """Tell whether a session that was READY may end by itself: its policy gave up, with a reason.

    The package's own policy has but one: a logon that was refused as often as a dead key's is.
    """
    refused = isinstance(refusal, LogonRejected) and refusal.refusals >= _REFUSALS
    if world.recipe.reconnect == "quits":
        return any(each is cause or each is refusal for each in record.given_up_on)
    return refused


class Plain(Session):
    """A session with no hook overridden but the one that the trace and the table need."""

    record: SessionRecord
    world: World

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        record, world = self.record, self.world
        check_move(record, old, new, world.complain)
        record.state = new
        because = f" because {type(cause).__name__}: {cause}" if cause is not None else ""
        world.trace(f"session{record.number}", f"{old.name} -> {new.name}{because}")
        if new is SessionState.WAITING and world.loop.time() < world.must_stay_ready_until:
            world.complain(f"session {record.number} has no connection although its standby stood")
        if new is SessionState.READY:
            record.was_ready = True
            record.ready_count += 1
        world.inspect()
        if new is SessionState.FAILED:
            record.over = world.loop.time()
            refusal = cause if isinstance(cause, LogonRejected) else getattr(cause, "__cause__", None)
            if record.was_ready and not _may_end(world, record, cause, refusal):
                world.complain(f"session {record.number} was READY, and ended although nobody gave up: {cause}")
            if isinstance(refusal, LogonRejected) and refusal.code in _HEALING:
                world.complain(f"session {record.number} ended because of what heals: {cause}")


class Hooked(Plain):
    """A session with every hook overridden, which may raise."""

    def _stumble(self) -> None:
        if self.world.recipe.broken_hooks and self.world.random.random() < 0.1:
            raise HookError

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        super().on_state_change(old, new, cause)
        self._stumble()

    def on_response(self, response: Response) -> None:
        record = self.record
        if response.method == "session.logon" and response.status == 401:
            asked = any(call.method == "session.logon" for call in self.world.ledger.open.values())
            if not asked:
                record.refused_at = self.world.loop.time()
        self._stumble()

    def on_event(self, event: Any) -> None:
        self.world.trace(f"session{self.record.number}", f"event {event.type}")
        self._stumble()

    def on_unmatched(self, message: object) -> None:
        self._stumble()

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        if status.consecutive_failures:
            self.world.trace(f"session{self.record.number}", f"{status.consecutive_failures} pings failed")
        self._stumble()

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        self.world.trace(
            f"session{self.record.number}", "a new listenKey" if new is not None else "no listenKey any more"
        )
        for key in (old, new):
            if key is not None and key.value not in self.world.log.secrets:
                self.world.log.secrets.append(key.value)
        self._stumble()

    def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
        self.world.trace(f"session{self.record.number}", f"attempt {attempt} in {delay:.3f} s")
        self._stumble()

    def on_rate_limit(self, limits: Any) -> None:
        self._stumble()

    def prepare(self, method: str, params: Params) -> Params:
        self._stumble()
        return params


class Bot:
    """Lives in the world until its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(f"bot {world.recipe.seed}")
        self._orders = 0
        self._errands: set[asyncio.Task[None]] = set()
        names = [name for name in dir(self) if name.startswith("_do_")]
        self._deeds: list[Callable[[SessionRecord], Awaitable[None]]] = [getattr(self, name) for name in names]
        self._weights = [_WEIGHTS[name] for name in names]
        if world.recipe.streams is not None and world.recipe.streams.calm_waters:
            self._weights = [_WEIGHTS[name] if name in _QUIET else 0 for name in names]
        self._readers = Readers(world)
        self.settling = Settling(world)
        self._session: SessionRecord | None = None

    async def live(self) -> None:
        """Open sessions and use them until the story's time is over."""
        world = self.world
        while world.loop.time() < world.end:
            record = await self._open()
            while record.session.state not in _FINAL and world.loop.time() < world.end:
                await asyncio.sleep(self.random.expovariate(1 / world.recipe.think))
                world.inspect()
                unready = record.session.state is not SessionState.READY
                if self.random.random() < world.recipe.restless * (10 if unready else 1):
                    break
                (deed,) = self.random.choices(self._deeds, self._weights)
                await self._errand(deed, record)
            if world.loop.time() < world.end:
                await self._close(record)
                await asyncio.sleep(self.random.expovariate(1 / min(3600.0, world.recipe.think)))

    async def end(self) -> None:
        """Wait for what is still under way, close, and see that nothing is left."""
        await asyncio.sleep(400)
        if self._errands:
            self.world.complain(f"{len(self._errands)} calls never ended")
        if self._session is not None:
            await self._close(self._session)
        await asyncio.sleep(0)
        self.settling.check()

    # Sessions

    async def _open(self) -> SessionRecord:
        world, recipe, random = self.world, self.world.recipe, self.random
        if world.credentials is not None and not world.valid_key():
            world.new_key()
        kind = Plain if recipe.plain else Hooked
        adaptive = AdaptiveKeepalive(random=random.random)
        keepalive: Any = {
            "adaptive": adaptive,
            "fixed": FixedInterval(FIXED_INTERVAL),
            "none": NoKeepalive(),
            "broken": _BrokenPolicy(random, adaptive),
        }[recipe.keepalive]
        backoff = ExponentialBackoff(random=random.random)
        reconnect: Any = {
            "backoff": backoff,
            "eager": _Every(0.0),
            "broken": _BrokenPolicy(random, backoff),
            "quits": _Quitter(8),
        }[recipe.reconnect]
        number = len(world.records) + 1
        given_up_on: list[Exception | None] = []
        session = kind(
            recipe.venue,
            world.credentials,
            url=f"{world.api_url}?session={number}",
            stream_url=world.stream_url,
            logon=False if recipe.key == "unlogged" else "auto",
            keepalive=keepalive,
            reconnect=_Recorded(reconnect, given_up_on),
            wall_clock=world.wall_clock,
            proxy=None,  # to look for one in the environment at each dial takes an eighth of a story
            **recipe.options,
        )
        logs_on = recipe.key == "ed25519"
        record = SessionRecord(number, session, logs_on, world.credentials.api_key if world.credentials else None)
        record.given_up_on = given_up_on
        session.record, session.world = record, world
        world.records[number] = self._session = record
        self._session = record
        world.loop.attempts.clear()
        options = recipe.options
        # a logon, and at worst the time that it asks for after -1021, and another
        longest = options["open_timeout"] + 3 * options["request_timeout"] + options["close_timeout"] + 1.0
        began = world.loop.time()
        opening = world.loop.create_task(session.open(), name="bot opens")
        ended: list[float] = []
        opening.add_done_callback(lambda _: ended.append(world.loop.time()))
        if random.random() < 0.05:
            await asyncio.sleep(random.choice([0.0, 0.0, random.uniform(0, 12)]))
            opening.cancel()
        await asyncio.wait([opening])
        await asyncio.sleep(0)
        took = ended[0] - began
        # an eager policy uses up the attempts of the address, and the next session waits for them too
        if recipe.reconnect != "eager" and took > longest + 12 * recipe.latency + (
            options["close_timeout"] if opening.cancelled() else 0
        ):
            world.complain(f"open() of session {number} took {took:.3f} s")
        if opening.cancelled():
            world.trace("bot", f"open() of session {number} cancelled")
            if session.state not in _FINAL:
                world.complain(f"session {number} is {session.state.name} after open() was cancelled")
        elif (error := opening.exception()) is not None:
            world.trace("bot", f"open() of session {number}: {type(error).__name__}: {error}")
            if not isinstance(error, BinanceSessionError):
                world.complain(f"open() raised {type(error).__name__}: {error}")
        elif recipe.keeps_listen_key:
            await self._errand(self._do_start_stream, record)
        if recipe.streams is not None:
            self._readers.begin(record)
        self.settling.opened(record)
        return record

    async def _close(self, record: SessionRecord) -> None:
        world, session = self.world, record.session
        began, close_timeout = world.loop.time(), world.recipe.options["close_timeout"]
        if self.random.random() < 0.3:  # what has just left, or waits, must be told too
            await self._errand(self._do_burst, record, wait=False)
        world.trace("bot", f"closes session {record.number} ({session.state.name})")
        if self.random.random() < 0.2:
            closing = world.loop.create_task(session.close())
            await asyncio.sleep(self.random.choice([0.0, self.random.uniform(0, close_timeout)]))
            closing.cancel()
            await asyncio.wait([closing])
        await asyncio.gather(*(session.close() for _ in range(self.random.choice([1, 1, 1, 3]))))
        now = world.loop.time()
        record.over = now if record.over is None else record.over
        if now - began > close_timeout + 1.0 + 8 * world.recipe.latency:
            world.complain(f"close() of session {record.number} took {now - began:.3f} s")
        if session.state not in _FINAL:
            world.complain(f"session {record.number} is {session.state.name} after close()")
        for what in leftovers(world.loop, record.number):
            world.complain(f"after close() of session {record.number}: {what}")
        if session.in_flight:
            world.complain(f"after close() of session {record.number}: {session.in_flight} in flight")
        await asyncio.sleep(0)  # for the callbacks of futures that have ended
        for call in world.ledger.open.values():
            if call.session == record.number and not call.gave_up:
                world.complain(f"{call} is open after close()")
        if world.recipe.streams is not None:
            await self._readers.end(record)

    # Deeds

    async def _errand(
        self, deed: Callable[[SessionRecord], Awaitable[None]], record: SessionRecord, *, wait: bool | None = None
    ) -> None:
        """Do something, and wait for its end or not; at least begin it."""

        task = self._begin(deed, record)
        if self.random.random() < 0.5 if wait is None else wait:
            await asyncio.wait([task], timeout=400)
        else:
            await asyncio.sleep(0)

    def _begin(self, deed: Callable[[SessionRecord], Awaitable[None]], record: SessionRecord) -> asyncio.Task[None]:
        async def run() -> None:
            await deed(record)

        task = self.world.loop.create_task(run(), name="bot errand")
        self._errands.add(task)
        task.add_done_callback(self._errand_done)
        return task

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.complain(f"an errand ended with {type(error).__name__}: {error}")

    def _submit(
        self, record: SessionRecord, method: str, params: dict[str, Any] | None = None, name: str | None = None
    ) -> asyncio.Future[Response] | None:
        """Submit a call with whatever options, and follow it; ``None`` if it was refused at the door."""
        random, world = self.random, self.world
        options: dict[str, Any] = {}
        timeout = random.choice([None, None, None, 0.05, 1.0, 60.0])
        if timeout is not None:
            options["timeout"] = timeout
        on_unready = random.choice([None, None, "wait", "fail", "auto"])
        if on_unready is not None:
            options["on_unready"] = on_unready
        if world.credentials is not None and random.random() < 0.05:
            options["credentials"] = world.guest_key()
        self.settling.submits(method)
        call = world.ledger.call(
            record.number, method, name, timeout if timeout is not None else world.recipe.options["request_timeout"]
        )
        try:
            future = record.session.submit(method, params, **options)
        except HookError:
            world.ledger.end(call, "not_sent", None, "HookError")
            return None
        except Exception as error:
            world.ledger.end_with(call, error)
            return None
        world.ledger.follow(call, future)
        self.settling.follow(record, call, future, params, "credentials" in options)
        if random.random() < 0.06:
            world.loop.call_later(random.choice([0.0, 0.0, random.uniform(0, 3)]), self._cancel, call, future)
        return future

    def _cancel(self, call: Call, future: asyncio.Future[Response]) -> None:
        if not future.done():
            call.gave_up = True
            future.cancel()

    def _order(self) -> tuple[dict[str, Any], str]:
        self._orders += 1
        name = f"order-{self._orders}"
        spot = self.world.recipe.venue.stream_url is None
        params = {
            "symbol": self._symbol,
            "side": self.random.choice(["BUY", "SELL"]),
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "1" if not spot else "0.001",
            "price": "20000.0",
            "newClientOrderId": name,
        }
        return params, name

    @property
    def _symbol(self) -> str:
        return "BTCUSD_PERP" if self.world.recipe.venue.name == "COIN-M" else "BTCUSDT"

    async def _do_order(self, record: SessionRecord) -> None:
        params, name = self._order()
        future = self._submit(record, "order.place", params, name)
        if future is not None:
            await asyncio.wait([future])

    async def _do_burst(self, record: SessionRecord) -> None:
        futures = []
        for _ in range(self.random.randint(2, 8)):
            if self.random.random() < 0.5:
                params, name = self._order()
                futures.append(self._submit(record, "order.place", params, name))
            else:
                futures.append(self._submit(record, "account.balance" if self._has_balance else "account.status"))
        waiting = [future for future in futures if future is not None]
        if waiting:
            await asyncio.wait(waiting)

    @property
    def _has_balance(self) -> bool:
        return "account.balance" in self.world.recipe.venue.methods

    async def _do_flood(self, record: SessionRecord) -> None:
        """More weight than the exchange allows in a minute."""
        if self.random.random() < 0.7:
            return
        self.world.bad_for(400.0)
        for _ in range(self.random.choice([100, 500])):
            self._submit(record, "account.status")
        await asyncio.sleep(0)

    async def _do_cancel(self, record: SessionRecord) -> None:
        name = f"order-{self.random.randint(1, self._orders + 1)}"
        future = self._submit(record, "order.cancel", {"symbol": self._symbol, "origClientOrderId": name})
        if future is not None:
            await asyncio.wait([future])

    async def _do_query(self, record: SessionRecord) -> None:
        name = f"order-{self.random.randint(1, self._orders + 1)}"
        future = self._submit(record, "order.status", {"symbol": self._symbol, "origClientOrderId": name})
        if future is not None:
            await asyncio.wait([future])

    async def _do_nonsense(self, record: SessionRecord) -> None:
        """Bad input is told at once, in any state, and is nothing that left."""
        params: Any = self.random.choice([{"price": 0.1}, {"apiKey": "mine"}, {"x": float("nan")}, {"x": "\ud800"}])
        try:
            future = record.session.submit("order.place", params, on_unready="wait")
        except (ConfigurationError, HookError):
            return
        except BinanceSessionError as error:
            if error.outcome != "not_sent":
                self.world.complain(f"nonsense was told {error.outcome}")
            return
        self.world.complain(f"nonsense was taken: {params}")
        await asyncio.wait([future])

    async def _ask(self, record: SessionRecord, method: str, ask: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        """Call one of the session's own methods; return whether it was answered."""
        ledger = self.world.ledger
        call = ledger.call(record.number, method, None, self.world.recipe.options["request_timeout"])
        try:
            await ask()
        except HookError:
            ledger.end(call, "not_sent", None, "HookError")
        except BinanceSessionError as error:
            ledger.end_with(call, error)
        else:
            ledger.end(call, "answered", None)
            return True
        return False

    async def _do_status(self, record: SessionRecord) -> None:
        await self._ask(record, "session.status", record.session.status)

    async def _do_logout(self, record: SessionRecord) -> None:
        """Log out, ask something that must now prove itself, and log on again."""
        if not record.logs_on:
            return
        self.world.wire.logs_out(record.number)
        self.world.stream_bad_for(200.0)  # on Spot, it ends the subscription
        await self._ask(record, "session.logout", record.session.logout)
        await self._do_query(record)
        await asyncio.sleep(self.random.expovariate(1 / 30))
        record.bot_logs_on_until = self.world.loop.time() + 2 * self.world.recipe.options["request_timeout"]
        if await self._ask(record, "session.logon", record.session.logon):
            self.world.wire.logged_on_again(record.number)
        await self._do_query(record)

    async def _do_start_stream(self, record: SessionRecord) -> None:
        if self.world.recipe.keeps_listen_key:
            await self._ask(record, "userDataStream.start", record.session.start_user_data_stream)

    async def _do_ping_stream(self, record: SessionRecord) -> None:
        if record.session.listen_key is not None:
            await self._ask(record, "userDataStream.ping", record.session.ping_user_data_stream)

    async def _do_stop_stream(self, record: SessionRecord) -> None:
        if record.session.listen_key is not None and self.world.recipe.keeps_listen_key:
            record.stops_asked += 1
            self.world.stream_bad_for(600.0)
            await self._ask(record, "userDataStream.stop", record.session.stop_user_data_stream)
            await asyncio.sleep(self.random.uniform(0, 300))
            await self._do_start_stream(record)

    def talk(self, seconds: float) -> None:
        """Ask something every few seconds, for so long."""
        until = self.world.loop.time() + seconds

        async def ask(record: SessionRecord) -> None:
            while self.world.loop.time() < until and record.over is None:
                if record.session.state is SessionState.READY:
                    self._submit(record, "order.status", {"symbol": self._symbol, "origClientOrderId": "order-1"})
                await asyncio.sleep(self.random.uniform(0.5, 6.0))

        if (record := self.world.current) is not None:
            self._begin(ask, record)

    async def _do_wait(self, record: SessionRecord) -> None:
        """Wait for a state, with a bound."""
        timeout = self.random.choice([0.5, 100.0])
        began = self.world.loop.time()
        with contextlib.suppress(BinanceSessionError, TimeoutError):
            await record.session.wait_for(self.random.choice(list(SessionState)), timeout)
        if self.world.loop.time() - began > timeout + 0.01:
            self.world.complain("wait_for() took longer than its timeout")


_WEIGHTS: Final = {
    "_do_order": 30,
    "_do_burst": 8,
    "_do_flood": 1,
    "_do_cancel": 8,
    "_do_query": 10,
    "_do_nonsense": 2,
    "_do_status": 3,
    "_do_logout": 2,
    "_do_start_stream": 3,
    "_do_ping_stream": 3,
    "_do_stop_stream": 1,
    "_do_wait": 3,
}
#: what brings no trouble by itself
_QUIET: Final = frozenset({"_do_order", "_do_burst", "_do_cancel", "_do_query", "_do_status"})
