"""One story: an exchange, a bot, and troubles, on one loop in virtual time."""

from __future__ import annotations

import asyncio
import gc
import logging
import random as global_random
import ssl
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from binance_session import Ed25519Key, HmacKey, SessionState
from binance_session.connections import suspension
from binance_session.credentials import Credentials
from binance_session.simulator import Injected, Simulator
from binance_session.simulator.listenkeys import ListenKeyRecord
from binance_session.simulator.virtual import Stuck
from tests.simulation.invariants import Complaints, Ledger, LogWatch, SessionRecord, SimulationLoop, Wire
from tests.simulation.lines import Dials, Lines
from tests.simulation.news import News
from tests.simulation.recipe import DAY, Recipe
from tests.simulation.tape import Tape
from tests.simulation.trace import Trace

__all__ = ["FIXED_INTERVAL", "HOST", "HookError", "Result", "World", "tell"]

#: seconds of good network and READY session that must be enough for a ping to save a key, beside the timeouts
_MARGIN: Final = 60.0
#: seconds of good network after which a session must be READY, or over
_RECOVERY: Final = 240.0
#: seconds of good network and READY session after which a stream must work, beside the timeouts
_STREAM_RECOVERY: Final = 130.0
#: seconds that a session may take to be back, or over, when its key was found to be dead
_DEAD_KEY: Final = 600.0
#: seconds between the pings of a bot that does not use the adaptive policy
FIXED_INTERVAL: Final = 1200.0
#: the exchange's name, in stories in which it may have several addresses
HOST: Final = "localhost"


class HookError(Exception):
    """What a broken hook or policy raises."""


@frozen
class Result:
    """What came of a story."""

    recipe: Recipe
    breaches: list[str]
    lines: list[str]
    #: virtual seconds that it took
    lived: float
    #: how often each kind of trouble struck
    troubles: Counter[str]
    #: how often callers were told what
    told: Counter[str]
    messages: int
    attempts: int
    #: user data events that the exchange sent, and gaps that readers were told of
    events: int
    gaps: int
    #: how often it was said that a request took effect, that it did not, and that this is not known
    settled: Counter[bool | None]


@define
class _Skewed:
    """The bot's machine's clock: the exchange's, plus an error that steps."""

    exact: Callable[[], float]
    error: float = 0.0

    def __call__(self) -> float:
        return self.exact() + self.error


class World:
    """What the bot and the troubles share."""

    def __init__(self, recipe: Recipe, loop: SimulationLoop, simulator: Simulator, trace: Trace) -> None:
        self.recipe = recipe
        self.loop = loop
        self.simulator = simulator
        self.trace = trace
        self.complain = Complaints(trace)
        self.random = Random(f"story {recipe.seed}")
        self.records: dict[int, SessionRecord] = {}
        self.ledger = Ledger(loop, trace, self.complain)
        self.wire = Wire(loop, simulator, self.records, self.complain)
        simulator.exchange.received = self.wire
        self.log = LogWatch(self.complain)
        self.log.expects_errors = recipe.broken_hooks or "broken" in (recipe.keepalive, recipe.reconnect)
        self.wall_clock = _Skewed(simulator.clock.time)
        self.troubles: Counter[str] = Counter()
        self.settled: Counter[bool | None] = Counter()
        self.injected: list[Injected] = []
        self.news: News | None = None
        self.keys = 0
        self.credentials: Credentials | None = None
        #: loop time until which something is, or may be, wrong with the network or the exchange
        self.bad_until = 0.0
        self._stream_bad_until = 0.0
        #: loop time until which no session may wait for a connection: one of two was cut, the other stands
        self.must_stay_ready_until = 0.0
        #: the largest error that the clock of the bot's machine had so far, in seconds
        self.worst_clock_error = 0.0
        self.end = recipe.duration
        self.tape = Tape(self)
        if recipe.streams is not None:
            simulator.exchange._user_data.pushed = self.tape
            self.wire.keys_are_for_readers = not recipe.keeps_listen_key
            self.wire.longest_wait = recipe.options["request_timeout"]
        #: in stories about networks: every connection, as the network sees it
        self.lines: Lines | None = None
        if recipe.network:
            self.lines = loop.lines = Lines(self)
            loop.dials = Dials(loop, self.complain)
        self.log.episode = self._episode
        #: asks things for some seconds
        self.talks: Callable[[float], object] = lambda seconds: None
        self._timers: list[asyncio.TimerHandle] = []
        self._watch_listen_keys()

    def later(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        """Do something later, unless the story has ended."""
        self._timers = [timer for timer in self._timers if not timer.cancelled() and timer.when() > self.loop.time()]
        self._timers.append(self.loop.call_later(seconds, what, *args))

    def quiet(self) -> None:
        """End every trouble: what was to happen later does not, faults and the network's moods are gone."""
        for timer in self._timers:
            timer.cancel()
        for injected in self.injected:
            injected.remove()
        self.injected.clear()
        self.calm_network()

    def calm_network(self) -> None:
        """Have the network work as it should."""
        network = self.loop.network
        network.latency, network.segment_size, network.merge = self.recipe.latency, None, False
        network.drops_connects = network.refuses_connects = network.bad_certificates = False
        network.bandwidth = None
        self.loop.refusing.clear()
        self.loop.silent.clear()
        for line in network.connections:
            line.latency, line.segment_size, line.merge = self.recipe.latency, None, False
            line.bandwidth = None

    def converse(self, seconds: float, *, asks: bool = True) -> None:
        """Have the bot and the exchange say something every few seconds, for so long; or only the exchange."""
        if asks:
            self.talks(seconds)
        at = 0.0
        while at < seconds:
            self.later(at, self._push)
            at += self.random.uniform(0.5, 8.0)

    def _push(self) -> None:
        if self.news is not None:
            self.news.happen()
        for connection in self.simulator.connections:
            if not connection.stream:
                connection.send({"event": {"e": "unknownEvent", "E": 0}})

    def _episode(self) -> object:
        """Return what changes when something came right, so that its kind of trouble is worth another warning."""
        self.wire.absorb()
        record = self.records.get(len(self.records))
        if record is None:
            return None
        stats = record.session.stats
        return (
            record.number,
            record.ready_count,
            stats.connections,
            stats.stream_connections,
            self.wire.subscriptions,
        )

    @property
    def api_url(self) -> str:
        """Where the API is: by name, in stories in which that may have several addresses."""
        return self._named(self.simulator.url)

    def _named(self, url: str) -> str:
        return url.replace("127.0.0.1", HOST) if self.recipe.network else url

    @property
    def stream_url(self) -> str | None:
        """Where the streams are: a door of their own in stories about them."""
        url = None if self.simulator.stream_url is None else self._named(self.simulator.stream_url)
        if url is None or self.recipe.streams is None:
            return url
        self.loop.api_port = urlsplit(url).port
        self.loop.stream_port = self.loop.stream_port or self.loop.network.free_port()
        return url.replace(f":{self.loop.api_port}", f":{self.loop.stream_port}")

    @property
    def has_pairs(self) -> bool:
        """Whether readers have their events from two connections."""
        return self.recipe.streams is not None and self.recipe.streams.sockets == 2

    def stream_bad_for(self, seconds: float) -> None:
        """Take note that nothing can be expected of streams for so long."""
        self.tape.covered_until = 0.0
        self._stream_bad_until = max(self._stream_bad_until, self.loop.time() + seconds)

    def went_wrong(self, trouble: str) -> None:
        """Take note of a trouble, and have events come at once."""
        from tests.simulation.streamtroubles import HARMLESS

        if trouble not in HARMLESS:
            self.stream_bad_for(0.0)
        if self.news is not None:
            self.news.aftermath()

    @property
    def stream_bad_since(self) -> float:
        """Loop time since which all is well, also with streams."""
        return max(self._stream_bad_until, self.bad_until)

    @property
    def stream_recovery(self) -> float:
        """Seconds of good network and READY session after which a stream must work, and every gap have been told."""
        recipe = self.recipe
        slow = FIXED_INTERVAL if recipe.keepalive == "fixed" else 0.0
        if recipe.keepalive == "none" or (slow and recipe.broken_hooks):
            return float("inf")
        eager = 300.0 if recipe.reconnect != "backoff" else 0.0
        return _STREAM_RECOVERY + slow + eager + 4 * float(recipe.options["request_timeout"])

    @property
    def live_recovery(self) -> float:
        """Seconds of good network and READY session after which a stream says that it is live, whatever the policy."""
        eager = 300.0 if self.recipe.reconnect != "backoff" else 0.0
        return _STREAM_RECOVERY + eager + 4 * float(self.recipe.options["request_timeout"])

    def clock_error(self, record: SessionRecord) -> float:
        """Return by how many seconds a session's idea of the exchange's time may be wrong now."""
        now = record.session._clock.now() - self.simulator.clock.time()
        return max(abs(now), self.worst_clock_error)

    def bad_for(self, seconds: float) -> None:
        """Take note that nothing can be expected for so long."""
        self.must_stay_ready_until = 0.0
        self.bad_until = max(self.bad_until, self.loop.time() + seconds)

    def new_key(self) -> None:
        """Give the bot a key of the kind that the story says, valid at the exchange."""
        self.keys += 1
        name = f"story-key-{self.keys:04}-" + "k" * 48
        if self.recipe.key == "hmac":
            self.simulator.add_key(name, secret="s" * 64)
            self.credentials = HmacKey(name, "s" * 64)
        elif self.recipe.key != "none":
            private = Ed25519PrivateKey.from_private_bytes(self.random.randbytes(32))
            self.simulator.add_key(name, public_key=private.public_key())
            self.credentials = Ed25519Key(name, private)
        self.log.secrets.append(name)

    def guest_key(self) -> Credentials:
        """Return a second key of the account, for single calls."""
        if self.wire.guest_key is None:
            self.wire.guest_key = "guest-key-" + "g" * 50
            self.simulator.add_key(self.wire.guest_key, secret="t" * 64)
            self.log.secrets.append(self.wire.guest_key)
        return HmacKey(self.wire.guest_key, "t" * 64)

    def valid_key(self) -> bool:
        """Whether the exchange takes the bot's key."""
        if self.credentials is None:
            return False
        return self.simulator.exchange.state.keys[self.credentials.api_key].valid

    @property
    def current(self) -> SessionRecord | None:
        """The session that the bot uses now, if one is not over."""
        record = self.records.get(len(self.records))
        return record if record is not None and record.over is None else None

    # What is looked at again and again

    def inspect(self) -> None:
        """Check what must hold at any moment."""
        self.wire.absorb()
        self.ledger.check_deadlines()
        now = self.loop.time()
        traffic = self.simulator.exchange.limits.traffic("127.0.0.1")
        banned_for = traffic.banned_until - self.simulator.clock.time()
        if banned_for > 0 or traffic.refusals:
            self.bad_for(max(60.0, banned_for) + 60.0)
        if (span := self.loop.attempted_too_often()) is not None:
            self.complain(f"more than 300 attempts to connect in 5 minutes: 301 in {span:.3f} s")
        if self.credentials is not None and not self.valid_key():
            self.bad_for(_DEAD_KEY)  # no session with this key is ever well again
        self.tape.look()
        record = self.current
        if record is None:
            return
        state = record.session.state
        if state is SessionState.READY:
            since = record.unready_since
            if self.recipe.network and since is not None and (took := now - max(since, self.bad_until)) > _RECOVERY:
                self.complain(f"session {record.number} was READY only after all had been well for {took:.0f} s")
            record.unready_since = None
            record.ready_since = record.ready_since if record.ready_since is not None else now
        else:
            record.ready_since = None
            since = record.unready_since
            if since is None:
                record.unready_since = now
            elif min(now - since, now - self.bad_until) > _RECOVERY and not state.is_final:
                self.complain(
                    f"session {record.number} is {state.name} although all has been well for {_RECOVERY:.0f} s"
                )
                record.unready_since = now

    def _watch_listen_keys(self) -> None:
        keys = self.simulator.exchange.state.listen_keys
        expire = keys.expire

        def expired(key: ListenKeyRecord, *, tell: bool = True) -> None:
            if key.expires_at <= self.simulator.clock.time():
                self._listen_key_lapsed(key)
            expire(key, tell=tell)

        keys.expire = expired  # type: ignore[method-assign]

    def _listen_key_lapsed(self, key: ListenKeyRecord) -> None:
        """The key's 60 minutes are over: was there a chance to ping?"""
        record, now = self.current, self.loop.time()
        self.trace("exchange", "a listenKey lapsed")
        if record is None or self.recipe.keepalive in ("none", "broken"):
            return
        owned = record.session.listen_key
        if owned is None or owned.value != key.value:
            return
        self.inspect()
        needed = _MARGIN + 2 * self.recipe.options["request_timeout"]
        if self.recipe.keepalive == "fixed":
            if self.recipe.broken_hooks:  # three in a row that raise, and nothing is left of the hour
                return
            needed += FIXED_INTERVAL
        ready_since, bad_until = record.ready_since, self.bad_until
        if ready_since is not None and now - max(ready_since, bad_until) > needed:
            self.complain(
                f"the listenKey lapsed, READY for {now - ready_since:.0f} s, well for {now - bad_until:.0f} s"
            )


def tell(
    seed: int,
    days: float | None = None,
    *,
    pace: Any = None,
    streams: bool = False,
    network: bool = False,
    echo: Callable[[str], object] | None = None,
) -> Result:
    """Live one story from its beginning to its end, and return what came of it."""
    recipe = Recipe.draw(seed, days, pace, streams=streams, network=network)
    loop = SimulationLoop(limit=recipe.duration * 1.5 + 10 * DAY)
    trace = Trace(loop.time, echo)
    swallowed: list[str] = []
    worlds: list[World] = []

    def swallow(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        trace("BREACH", text := f"the loop's exception handler: {_describe(context)}")
        swallowed.append(f"{trace.stamp()} {text}")

    loop.set_exception_handler(swallow)
    before = global_random.getstate()
    global_random.seed(seed)
    look_every, suspension._TICK = suspension._TICK, recipe.look_every  # type: ignore[misc]
    collects = gc.isenabled()
    gc.disable()  # what nobody looked at complains when it is collected: at the end, and not at any moment
    loggers = [logging.getLogger("binance_session"), logging.getLogger("binance_session.simulator")]
    levels = [logger.level for logger in loggers]
    propagate = loggers[0].propagate
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            loggers[0].setLevel(logging.WARNING)
            loggers[1].setLevel(logging.CRITICAL + 1)
            loggers[0].propagate = False
            try:
                runner.run(_live(recipe, loop, trace, loggers[0], worlds))
            except Stuck as error:
                swallowed.append(f"{trace.stamp()} stuck: {str(error)[:300]}")
            gc.collect()
        gc.collect()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        loggers[0].propagate = propagate
        global_random.setstate(before)
        suspension._TICK = look_every  # type: ignore[misc]
        if collects:
            gc.enable()
    (world,) = worlds
    left = [*loop.network.servers, *(line for line in loop.network.connections if line.is_open)]
    for item in left:
        world.complain(f"left open: {item!r}")
    return Result(
        recipe,
        [*swallowed, *world.complain],
        trace.lines,
        loop.time(),
        world.troubles,
        world.ledger.told,
        world.wire.messages,
        loop.attempts_in_all,
        world.tape.sent,
        world.tape.gaps,
        world.settled,
    )


def _describe(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context['message']}{f': {type(error).__name__}: {error}' if error is not None else ''}"


async def _live(
    recipe: Recipe, loop: SimulationLoop, trace: Trace, logger: logging.Logger, worlds: list[World]
) -> None:
    from tests.simulation.bot import Bot
    from tests.simulation.pairs import Pairs
    from tests.simulation.troubles import make_trouble

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if recipe.network else None
    async with Simulator(recipe.venue, readings=recipe.readings, ssl=tls) as simulator:
        world = World(recipe, loop, simulator, trace)
        worlds.append(world)
        loop.network.latency = recipe.latency
        logger.addHandler(world.log)
        world.news = News(world) if recipe.streams is not None else None
        others = [loop.create_task(make_trouble(world), name="troubles")]
        if world.news is not None and recipe.streams is not None:
            others.append(loop.create_task(world.news.live(recipe.streams.quiet), name="news"))
            if world.has_pairs:
                others.append(loop.create_task(Pairs(world).live(recipe.peace), name="pairs"))
        try:
            world.new_key()
            bot = Bot(world)
            world.talks = bot.talk
            await bot.live()
            for other in others:
                other.cancel()
            await asyncio.wait(others)
            for other in others:
                if not other.cancelled() and (error := other.exception()) is not None:
                    raise error
            world.quiet()
            await asyncio.sleep(300)
            if world.news is not None:
                await _last_news(world, world.news)
            await bot.end()
            world.inspect()
            world.ledger.settle(world.wire)
            for line in loop.network.connections:
                line.cut()  # those that only the exchange still believes in
        finally:
            logger.removeHandler(world.log)
            for other in others:
                other.cancel()


async def _last_news(world: World, news: News) -> None:
    """See that every reader who is still there is reached, once all has been well for long."""
    if world.stream_recovery < DAY and world.stream_bad_since < world.loop.time() + DAY:
        await asyncio.sleep(max(0.0, world.stream_bad_since + world.stream_recovery + 1 - world.loop.time()))
    for _ in range(3):
        news.happen()
        await asyncio.sleep(60)
    world.tape.look()
