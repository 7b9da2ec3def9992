"""What goes wrong on networks as they are: slow lines, late pongs, portals, bad certificates, silent addresses.

The stories that have these are told over TLS, to a host with a name. A line of seeds.txt tells one without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from binance_session.simulator import Fault
from tests.simulation.lines import ONE_WAY
from tests.simulation.troubles import (
    Trouble,
    cut,
    half_open_lines,
    inject,
    lines_of,
    recovery_time,
    times_of,
)
from tests.simulation.world import HOST, World

__all__ = ["NETWORK_TROUBLES"]

#: Every kind of trouble of this sort, by name, and how often it is chosen.
NETWORK_TROUBLES: Final[dict[str, tuple[Trouble, int]]] = {}

#: seconds: the longest wait that a server in trouble may ask for
_LONGEST_RETRY_AFTER: Final = 300.0
#: seconds in which a refused logon is asked for four times more, at most
_LOGONS: Final = 125.0
#: addresses set aside for documentation (RFC 5737): nobody answers there
_SILENT: Final = ("192.0.2.1", "192.0.2.2")
_HERE: Final = "127.0.0.1"


def trouble(weight: int) -> Callable[[Trouble], Trouble]:
    """Register a kind of trouble under its function's name."""

    def register(function: Trouble) -> Trouble:
        NETWORK_TROUBLES[function.__name__] = (function, weight)
        return function

    return register


def _both_bad_for(world: World, seconds: float) -> None:
    world.bad_for(seconds)
    world.stream_bad_for(seconds)


def _length(world: World, most: float) -> float:
    """Return the seconds for which a trouble lasts, while the bot and the exchange have something to say."""
    length = world.random.uniform(5.0, most)
    world.converse(length)
    return length


@trouble(5)
def slow_line(world: World) -> None:
    """Few bytes pass in a second, and a large answer takes its time."""
    network = world.loop.network
    bandwidth = world.random.choice([2_000.0, 20_000.0, 200_000.0])
    network.bandwidth, network.segment_size = bandwidth, 1400
    for line in network.connections:
        line.bandwidth, line.segment_size = bandwidth, 1400
    length = _length(world, 120.0)
    size = int(bandwidth * world.random.choice([1.0, 15.0, 40.0, 90.0]))
    inject(world, Fault("huge", size=min(size, 1 << 20), times=world.random.choice([1, 1, 2])), harmless=True, most=200)
    _both_bad_for(world, length + recovery_time(world))

    def mend() -> None:
        world.calm_network()
        # what was written before takes as long as it would have
        due = max((end._due for line in network.connections for end in (line.client, line.server)), default=0.0)
        _both_bad_for(world, max(0.0, due - world.loop.time()) + recovery_time(world))

    world.later(length, mend)


@trouble(5)
def late_pongs(world: World) -> None:
    """Pongs come late, and all else at once."""
    delay = world.random.choice([0.5, 1.5, 3.0, 11.0, 25.0, 50.0])
    length = _length(world, 120.0)
    _pongs(world, Fault("late_pong", delay=delay, times=None), length)


@trouble(4)
def no_pongs(world: World) -> None:
    """Pongs do not come, and all else does."""
    length = _length(world, 120.0)
    _pongs(world, Fault("no_pong", times=None), length)


def _pongs(world: World, fault: Fault, length: float) -> None:
    injected = world.simulator.inject(fault)
    world.injected.append(injected)
    _both_bad_for(world, length + recovery_time(world))
    world.later(length, injected.remove)


@trouble(5)
def portal(world: World) -> None:
    """Something in between answers every handshake, and may ask for a day's patience; connections are reset."""
    status = world.random.choice([302, 400, 401, 403, 404, 407, 451, 503])
    asks = world.random.choice([None, None, None, 1.0, 86_400.0])
    retry_after = None if asks is None else int((world.simulator.clock.time() + asks) * 1000)
    fault = Fault("refuse_handshake", status=status, retry_after=retry_after, times=world.random.choice([1, 3, None]))
    inject(world, fault, most=world.random.choice([10.0, 100.0, 400.0]))
    _both_bad_for(world, max(0.0, world.bad_until - world.loop.time()) + (_LONGEST_RETRY_AFTER if asks else 0.0))
    cut(world)


@trouble(4)
def bad_certificate(world: World) -> None:
    """The certificate is not the exchange's, for a while; connections are reset."""
    world.loop.network.bad_certificates = True
    length = 10 ** world.random.uniform(0, 2.5)
    _both_bad_for(world, length + recovery_time(world))
    world.later(length, world.calm_network)
    cut(world)


@trouble(5)
def logon_refused_in_passing(world: World) -> None:
    """``session.logon`` is refused some times, and then is not; connections are reset."""
    status, code = world.random.choice(
        [(401, -2015), (401, -2014), (400, -1022), (400, -1109), (400, 239999), (403, 0), (400, -1034)]
    )
    times = world.random.choice([1, 1, 2, 3, 4])
    inject(world, Fault("reject_logon", times=times, status=status, code=code, msg="Not now."))
    _both_bad_for(world, max(0.0, world.bad_until - world.loop.time()) + _LOGONS)
    if world.random.random() < 0.3:
        world.simulator.broadcast_shutdown()
    else:
        cut(world)


@trouble(5)
def silent_address(world: World) -> None:
    """The host's first address is silent, or the first two, for a while; connections are reset."""
    network = world.loop.network
    network.names[HOST] = (*_SILENT[: world.random.choice([1, 1, 2])], _HERE)
    network.black_holes = set(_SILENT)
    world.later(10 ** world.random.uniform(0, 4), network.names.pop, HOST, None)
    for _ in range(times_of(world)):
        world.later(world.random.choice([0.0, world.random.uniform(0, 100)]), cut, world)
    cut(world)


@trouble(4)
def deaf_exchange_that_talks(world: World) -> None:
    """What the session sends does not arrive, and data come: over a line that works in one direction only."""
    interval, timeout = world.recipe.options["ping_interval"], world.recipe.options["ping_timeout"]
    streams = world.recipe.streams is not None and world.random.random() < 0.5
    lines = lines_of(world, streams=streams)
    before = world.bad_until
    half_open_lines(world, lines, client_hears=True, server_hears=False)
    length = ONE_WAY + 30.0 + (interval + timeout if interval is not None and interval < 60 else 0.0)
    world.converse(length, asks=False)
    if streams:
        world.stream_bad_for(max(0.0, world.bad_until - world.loop.time()) + 5.0)
        world.bad_until = before


@trouble(2)
def deaf_client_that_talks(world: World) -> None:
    """What the exchange sends does not arrive, and the session goes on asking."""
    half_open_lines(world, lines_of(world, streams=False), client_hears=False, server_hears=True)
    world.converse(30.0)
