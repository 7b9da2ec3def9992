"""One stream, one fault, and then nothing but good days: does the stream say that it is well?

Every combination of a venue, a keepalive policy, what the exchange's documents leave open, a latency and a fault. A
stream is looked at every few seconds: when all has been well for a minute, it is live and the last gap told is over; it
is never said to be live while one is not; and it is not silent for long without having said so.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any, Final

from attrs import define, field, frozen

from binance_session import (
    COIN_M,
    SPOT,
    USD_M,
    AdaptiveKeepalive,
    Event,
    ExponentialBackoff,
    FixedInterval,
    KeepalivePolicy,
    NoKeepalive,
    Session,
    UserDataStream,
    Venue,
)
from binance_session.simulator import Fault, Readings, Simulator, virtual
from tests.exchange import ED25519, exchange, session_to

__all__ = ["FAULTS", "POLICIES", "READINGS", "Combination", "combinations", "live"]

_HOUR: Final = 3600.0
#: seconds between two looks at a stream
_LOOK: Final = 7.0
#: seconds of well-being after which a stream says so, and after which it has told a gap that lasts
_WELL: Final = 60.0
_TOLD: Final = 3.0

POLICIES: Final[dict[str, Callable[[Random], KeepalivePolicy]]] = {
    "adaptive": lambda random: AdaptiveKeepalive(random=random.random),
    "every minute": lambda random: FixedInterval(60.0),
    "every half hour": lambda random: FixedInterval(1800.0),
    "just before the end": lambda random: FixedInterval(3590.0),
    "none": lambda random: NoKeepalive(),
}
READINGS: Final[dict[str, Readings]] = {
    "as documented": Readings(),
    "told twice, and closed": Readings(expired_pushes=2, expiry_closes_stream=True),
    "a stop is not told": Readings(stop_pushes_expired=False, unknown_stream="refused"),
    "a ping makes a key": Readings(ping_without_key="created", listen_key_per="key", unknown_stream="refused"),
}
LATENCIES: Final = (0.0, 0.02, 0.3, 1.5)


@define
class Story:
    """What a fault works on. It sees to its own end: when the call returns all is well again."""

    simulator: Simulator
    session: Session
    random: Random

    @property
    def network(self) -> Any:
        return virtual.VirtualTimeLoop.running().network

    async def during(self, seconds: float, *faults: Fault) -> None:
        """Have faults strike for so long."""
        injected = [self.simulator.inject(fault) for fault in faults]
        await asyncio.sleep(seconds)
        for each in injected:
            each.remove()

    def cut(self, *, stream: bool) -> None:
        """Reset connections."""
        for connection in list(self.simulator.connections):
            if bool(connection.stream) is stream or self.simulator.venue is SPOT:
                connection.drop()


FAULTS: Final[dict[str, Callable[[Story], Awaitable[object]]]] = {}


def fault(function: Callable[[Story], Awaitable[object]]) -> Callable[[Story], Awaitable[object]]:
    """Register a fault by its name."""
    FAULTS[function.__name__] = function
    return function


def _error(method: str, **options: Any) -> Fault:
    return Fault("error", method=method, times=None, **{"status": 503, "code": -1008, "msg": "x", **options})


@fault
async def none(story: Story) -> None:
    """Nothing goes wrong."""


@fault
async def pings_refused(story: Story) -> None:
    """More than an hour of refused pings, and starts that would work."""
    await story.during(3700.0, _error("userDataStream.ping"))


@fault
async def pings_unanswered(story: Story) -> None:
    await story.during(3700.0, Fault("no_answer", method="userDataStream.ping", times=None))


@fault
async def pings_and_starts_refused(story: Story) -> None:
    await story.during(2 * _HOUR, _error("userDataStream.ping"), _error("userDataStream.start"))


@fault
async def the_last_ping_refused(story: Story) -> None:
    """The trouble is over before the key lapses, and the policy knows of it."""
    await story.during(3000.0, _error("userDataStream.ping"))


@fault
async def expiry_is_told_and_starts_refused(story: Story) -> None:
    story.simulator.expire_listen_keys()
    await story.during(1000.0, _error("userDataStream.start"))


@fault
async def expiry_is_told(story: Story) -> None:
    story.simulator.expire_listen_keys()


@fault
async def expiry_is_not_told(story: Story) -> None:
    story.simulator.expire_listen_keys(tell=False)


@fault
async def expiry_is_told_without_a_name(story: Story) -> None:
    injected = story.simulator.inject(Fault("nameless_expiry"))
    story.simulator.expire_listen_keys()
    injected.remove()


@fault
async def expiry_is_lost(story: Story) -> None:
    """Of whatever lapses in the next hours, nobody is told."""
    await story.during(2 * _HOUR, Fault("lose_event", event="listenKeyExpired", times=None))


@fault
async def expiry_is_lost_and_pings_refused(story: Story) -> None:
    lost = Fault("lose_event", event="listenKeyExpired", times=None)
    await story.during(2 * _HOUR, lost, _error("userDataStream.ping"), _error("userDataStream.start"))


@fault
async def expiry_again_and_again(story: Story) -> None:
    for _ in range(5):
        story.simulator.expire_listen_keys()
        await asyncio.sleep(story.random.uniform(0.0, 4.0))


@fault
async def kept_elsewhere(story: Story) -> None:
    """Nothing of ours gets through, and another client keeps the key alive."""
    refusals = [_error("userDataStream.ping"), _error("userDataStream.start")]
    injected = [story.simulator.inject(each) for each in refusals]
    keys = story.simulator.exchange.state.listen_keys
    for _ in range(6):
        for key in keys.all_of(story.simulator.exchange.account):
            keys.extend(key)
        await asyncio.sleep(1200.0)
    for each in injected:
        each.remove()


@fault
async def stopped_elsewhere(story: Story) -> None:
    story.simulator.stop_listen_keys()


@fault
async def stream_cut(story: Story) -> None:
    for _ in range(3):
        story.cut(stream=True)
        await asyncio.sleep(story.random.choice([0.0, 0.5, 20.0]))


@fault
async def stream_cut_and_key_gone(story: Story) -> None:
    story.simulator.expire_listen_keys(tell=False)
    story.cut(stream=True)


@fault
async def stream_half_open(story: Story) -> None:
    injected = story.simulator.inject(Fault("half_open", event="ACCOUNT_CONFIG_UPDATE"))
    story.simulator.push_event("ACCOUNT_CONFIG_UPDATE", ac={"s": "BTCUSD", "l": -1})
    await asyncio.sleep(50.0)  # longer than a lost connection takes to be found
    injected.remove()


async def _refused(story: Story, **options: Any) -> None:
    refusal = Fault("refuse_handshake", stream=True, times=None, **options)
    story.cut(stream=True)
    await story.during(story.random.choice([60.0, 1000.0, 5000.0]), refusal)


@fault
async def stream_refused_400(story: Story) -> None:
    await _refused(story, status=400)


@fault
async def stream_refused_403(story: Story) -> None:
    await _refused(story, status=403)


@fault
async def stream_redirected(story: Story) -> None:
    await _refused(story, status=302)


@fault
async def stream_refused_503(story: Story) -> None:
    await _refused(story, status=503)


@fault
async def stream_refused_and_key_gone(story: Story) -> None:
    story.simulator.expire_listen_keys(tell=False)
    await _refused(story, status=403)


@fault
async def api_away(story: Story) -> None:
    """For hours; the stream's socket works on."""
    story.cut(stream=False)
    await story.during(2 * _HOUR, Fault("refuse_handshake", stream=False, times=None, status=503))


@fault
async def everything_away(story: Story) -> None:
    story.cut(stream=False)
    story.cut(stream=True)
    await story.during(
        story.random.choice([100.0, 2 * _HOUR]),
        Fault("refuse_handshake", stream=False, times=None, status=503),
        Fault("refuse_handshake", stream=True, times=None, status=403),
    )


@fault
async def told_to_go(story: Story) -> None:
    """serverShutdown on the stream's sockets, also on new ones, and the end of each."""
    for _ in range(3):
        for connection in story.simulator.connections:
            if connection.stream:
                connection.send({"e": "serverShutdown", "E": int(story.simulator.clock.time() * 1000)})
        await asyncio.sleep(story.random.choice([0.5, 3.0, 30.0]))
        if story.random.random() < 0.5:
            story.cut(stream=True)


_SPOT_FAULTS: Final = ("none", "stream_cut", "everything_away", "subscriptions_refused", "subscriptions_end")


@fault
async def subscriptions_end(story: Story) -> None:
    """Spot: the exchange ends each subscription, and says so."""
    exchange = story.simulator.exchange
    for connection in exchange.connections:
        for number in list(connection.subscriptions):
            exchange.state.tell_terminated(connection, connection.subscriptions.pop(number))
    exchange._user_data.deliver()


@fault
async def subscriptions_refused(story: Story) -> None:
    """Spot: the next connection's subscription is refused for a while."""
    refusal = _error("userDataStream.subscribe", status=500, code=-1000)
    story.cut(stream=True)
    await story.during(200.0, refusal)


@frozen
class Combination:
    """One cell of the matrix."""

    venue: Venue = field(repr=lambda venue: venue.name)
    policy: str
    readings: str
    latency: float
    fault: str

    def __str__(self) -> str:
        return f"{self.venue.name}, {self.policy}, {self.readings}, {self.latency:g} s, {self.fault}"


def combinations() -> Iterator[Combination]:
    """Return every cell."""
    futures = [name for name in FAULTS if not name.startswith("subscriptions")]
    for venue, policy, readings, latency, name in itertools.product(
        (COIN_M, USD_M), POLICIES, READINGS, LATENCIES, futures
    ):
        yield Combination(venue, policy, readings, latency, name)
    for latency, name in itertools.product(LATENCIES, _SPOT_FAULTS):
        yield Combination(SPOT, "adaptive", "as documented", latency, name)


@define
class _Watch:
    """Looks at a stream."""

    events: UserDataStream | None = None
    #: loop times since which the stream is not live, or all is well
    silent_since: float | None = None
    well_since: float | None = None
    #: whether the last gap that was told is over, and whether there was one
    over: bool = True
    breaches: list[str] = field(factory=list)
    seen: list[Event] = field(factory=list)

    def saw(self, event: Event) -> None:
        self.seen.append(event)
        if event.is_gap:
            self.over = event.data["over"]
            self.silent_since = None if self.over else self.silent_since  # it was live, between two looks

    async def look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK)
            if self.events is None:
                continue
            now = loop.time()
            if self.events.is_live:
                self.silent_since = None
                if not self.over:
                    self._complain("is live, and the last gap that was told is not over")
                continue
            if self.silent_since is None:
                self.silent_since = now
            if now - self.silent_since > _TOLD and self.over:
                self._complain("is not live, and nobody was told")
            if self.well_since is not None and now - max(self.well_since, self.silent_since) > _WELL:
                self._complain("is not live although all has been well for a minute")

    def _complain(self, what: str) -> None:
        if len(self.breaches) < 3:
            self.breaches.append(f"{asyncio.get_running_loop().time():.0f} s: the stream {what}")


async def live(combination: Combination, seed: int) -> list[str]:
    """Live a combination through, and return what was wrong."""
    random = Random(f"{combination} {seed}")
    virtual.VirtualTimeLoop.running().network.latency = combination.latency
    watch = _Watch()
    looking = asyncio.ensure_future(watch.look())
    readings = READINGS[combination.readings]
    async with (
        exchange(combination.venue, readings=readings, enforce_limits=False) as simulator,
        session_to(
            simulator,
            ED25519,
            keepalive=POLICIES[combination.policy](random),
            reconnect=ExponentialBackoff(random=random.random),
            rollover_after=random.choice([None, 3000.0]),
            ping_interval=30.0,
        ) as session,
        session.user_data_stream(callback=watch.saw) as events,
    ):
        watch.events = events
        await asyncio.sleep(random.choice([1.0, random.uniform(0.0, 3600.0)]))
        await FAULTS[combination.fault](Story(simulator, session, random))
        watch.well_since = asyncio.get_running_loop().time()
        # a key that ended and of which nobody was told is found out by the next ping, at last when it should lapse
        await asyncio.sleep(random.choice([2 * _HOUR, 2 * _HOUR, 8 * _HOUR]) + _WELL)
        for _ in range(100):  # not in the moment in which a key lapses
            if events.is_live:
                break
            await asyncio.sleep(1.0)
        before = len(watch.seen)
        if combination.venue is SPOT:
            simulator.push_event("balanceUpdate", d="1")
        else:
            simulator.push_event("ACCOUNT_CONFIG_UPDATE", ac={"s": "BTCUSD", "l": 1})
        await asyncio.sleep(2 * combination.latency + 1.0)
        if not any(not event.is_gap for event in watch.seen[before:]):
            watch.breaches.append("at the end: an event did not come")
        if not events.is_live or not watch.over:
            watch.breaches.append(f"at the end: live {events.is_live}, over {watch.over}")
        watch.events = None
    looking.cancel()
    await asyncio.wait([looking])
    return watch.breaches


def tell(combination: Combination, seed: int) -> list[str]:
    """Live a combination through on a loop of its own."""
    found: list[str] = []

    async def main() -> None:
        found.extend(await live(combination, seed))

    logger = logging.getLogger("binance_session")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        virtual.run(main)
    finally:
        logger.setLevel(level)
    return found
