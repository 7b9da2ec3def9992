"""What goes wrong: kinds of trouble, by name, and the task that makes one after the other.

A trouble is a function of the world. It tells the world how long nothing can be expected (``bad_for``), so that the
invariants about what must work in spite of it know when to look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from binance_session.simulator import Fault
from binance_session.simulator.virtual import VirtualConnection as Line
from tests.simulation.lines import ONE_WAY
from tests.simulation.world import World

__all__ = [
    "TROUBLES",
    "Trouble",
    "half_open_lines",
    "inject",
    "lines_of",
    "make_trouble",
    "recovery_time",
    "times_of",
]

Trouble = Callable[[World], None]

#: Every kind of trouble, by name, and how often it is chosen.
TROUBLES: Final[dict[str, tuple[Trouble, int]]] = {}


def trouble(weight: int = 3) -> Callable[[Trouble], Trouble]:
    """Register a kind of trouble under its function's name."""

    def register(function: Trouble) -> Trouble:
        TROUBLES[function.__name__] = (function, weight)
        return function

    return register


async def make_trouble(world: World) -> None:
    """Make trouble until cancelled."""
    kinds = _kinds(world)
    weights = [weight for _, (_, weight) in kinds]
    while True:
        await asyncio.sleep(world.random.expovariate(1 / world.recipe.peace))
        for _ in range(world.random.choice([1, 1, 1, 2, 3])):
            ((name, (function, _)),) = world.random.choices(kinds, weights)
            world.trace("trouble", name)
            world.troubles[name] += 1
            function(world)
            if world.news is not None:
                world.went_wrong(name)
            await asyncio.sleep(world.random.choice([0.0, 0.0, world.random.expovariate(1 / 20)]))


def _kinds(world: World) -> list[tuple[str, tuple[Trouble, int]]]:
    """Return the kinds of trouble that this story has."""
    from tests.simulation.networktroubles import NETWORK_TROUBLES

    network = NETWORK_TROUBLES if world.recipe.network else {}
    if world.recipe.streams is None:
        return [*TROUBLES.items(), *network.items()]
    from tests.simulation.streamtroubles import HARMLESS, STREAM_TROUBLES, strikes_spot

    kinds = [(name, (function, weight)) for name, (function, weight) in [*TROUBLES.items(), *network.items()]]
    kinds += [(name, (function, 3 * weight)) for name, (function, weight) in STREAM_TROUBLES.items()]
    if world.recipe.streams.calm_waters:
        kinds = [(name, kind) for name, kind in kinds if name in HARMLESS]
    is_spot = not world.recipe.venue.has_listen_key
    return [(name, kind) for name, kind in kinds if not is_spot or strikes_spot(name)]


# The network


def lines_of(world: World, *, streams: bool) -> list[Line]:
    """Return the connections to the stream's host, or to the API's."""
    return [line for line in _lines(world) if world.loop.is_stream(line) is streams]


def _lines(world: World) -> list[Line]:
    return [line for line in world.loop.network.connections if not line.client.is_closing()]


def recovery_time(world: World) -> float:
    """Return the seconds that a session may take to find out about a loss, and to be back."""
    options = world.recipe.options
    return 2.0 * float(options["open_timeout"] + options["request_timeout"] + options["close_timeout"]) + 60.0


@trouble(6)
def cut(world: World) -> None:
    """Every connection is reset; what was on its way is gone."""
    for line in _lines(world):
        line.cut()
    world.bad_for(0.0)


def half_open_lines(world: World, lines: list[Line], *, client_hears: bool, server_hears: bool) -> None:
    """Have nothing arrive any more at one end or both, and see that the session finds out."""
    options = world.recipe.options
    interval, timeout = options["ping_interval"], options["ping_timeout"]
    opening = options["open_timeout"] + options["close_timeout"]
    for line in lines:
        if world.recipe.streams is None and not world.recipe.network:
            line.half_open(client_hears=client_hears, server_hears=server_hears)
        else:  # what was lost is lost: no end hears again
            line.half_open(
                client_hears=client_hears and line.client.hears, server_hears=server_hears and line.server.hears
            )
        if interval is None:
            # Nothing of the session's looks at it: the network tells in the end.
            world.bad_for(2000.0)
            world.later(world.random.uniform(1, 1500), line.cut)
        else:
            longest = interval + timeout
            if client_hears and not server_hears:
                # Data may come, and prove only one of the ways; what is under way already may be a large message.
                longest = interval + max(ONE_WAY, timeout) + max(0.0, line.server._due - world.loop.time())
            world.bad_for(longest + 5)
            late = 1.0 + 4 * line.latency
            wait = max(interval + timeout, opening)
            world.later(wait + late, _must_be_gone, world, line, interval + timeout, max(0.0, longest - wait))


def _must_be_gone(world: World, line: Line, silence: float, more: float) -> None:
    """See that a half-open line is gone, after ``more`` seconds if it was not silent."""
    unread = world.recipe.streams is not None and world.recipe.streams.pauses and world.loop.is_stream(line)
    if more and not line.client.is_closing() and world.loop.time() - line.client.heard_at < silence:
        world.later(more, _must_be_gone, world, line, silence, 0.0)
        return
    if not line.client.is_closing() and not unread:
        world.complain(f"{line!r} is half open, and in use after ping_interval + ping_timeout")
    line.cut()


@trouble()
def half_open(world: World) -> None:
    """Nothing arrives any more, in either direction."""
    half_open_lines(world, _lines(world), client_hears=False, server_hears=False)


@trouble(2)
def deaf_client(world: World) -> None:
    """What the exchange sends does not arrive."""
    half_open_lines(world, _lines(world), client_hears=False, server_hears=True)


@trouble(2)
def deaf_exchange(world: World) -> None:
    """What the session sends does not arrive."""
    half_open_lines(world, _lines(world), client_hears=True, server_hears=False)


@trouble()
def slow_link(world: World) -> None:
    """Everything takes up to five seconds each way, for a while."""
    latency = world.random.choice([0.3, 1.0, 5.0])
    length = world.random.uniform(1, 900)
    world.loop.network.latency = latency
    for line in _lines(world):
        line.latency = latency
    world.bad_for(length + 15)
    world.later(length, world.calm_network)


@trouble(2)
def split_segments(world: World) -> None:
    """Bytes arrive in small pieces, for a while."""
    size = world.random.choice([1, 7, 100])
    world.loop.network.segment_size = size
    for line in _lines(world):
        line.segment_size = size
    world.later(world.random.uniform(1, 600), world.calm_network)


@trouble(2)
def merged_segments(world: World) -> None:
    """What is on its way arrives in one piece, and it is on its way for long."""
    world.loop.network.merge = True
    world.loop.network.latency = 0.5
    for line in _lines(world):
        line.merge, line.latency = True, 0.5
    length = world.random.uniform(1, 600)
    world.bad_for(length + 5)
    world.later(length, world.calm_network)


@trouble()
def exchange_down(world: World) -> None:
    """Connections are reset, and new ones refused, for a while."""
    length = 10 ** world.random.uniform(0, 4)
    world.loop.network.refuses_connects = True
    for line in _lines(world):
        line.cut()
    world.bad_for(length + recovery_time(world))
    world.later(length, world.calm_network)
    if length > 700 and world.recipe.reconnect == "backoff":
        before = world.loop.attempts_in_all
        world.later(600.0, _not_hammered, world, before)


def _not_hammered(world: World, before: int) -> None:
    attempts = world.loop.attempts_in_all - before
    if world.loop.network.refuses_connects and attempts > 150:
        world.complain(f"{attempts} attempts to connect in 10 minutes in which none could succeed")


@trouble()
def dead_router(world: World) -> None:
    """Nothing arrives, and attempts to connect get no answer, for a while."""
    length = 10 ** world.random.uniform(0, 3)
    world.loop.network.drops_connects = True
    world.bad_for(length + recovery_time(world))
    world.later(length, world.calm_network)
    half_open_lines(world, _lines(world), client_hears=False, server_hears=False)


# The exchange


def inject(world: World, fault: Fault, *, harmless: bool = False, most: float = 600.0) -> None:
    """Put a fault to work, for a while at most."""
    injected = world.simulator.inject(fault)
    world.injected.append(injected)
    length = world.random.uniform(1, most)
    if not harmless:
        world.bad_for(length + recovery_time(world))

    def remove() -> None:
        injected.remove()
        if injected in world.injected:
            world.injected.remove(injected)

    world.later(length, remove)


def _method(world: World) -> str | None:
    """Return which method a fault is to strike, ``None``: any."""
    method = world.random.choice([None, None, "order.place", "order.place", "order.cancel", "userDataStream.ping"])
    return method if method is None or method in world.recipe.venue.methods else None  # Spot has no listenKey


def times_of(world: World) -> int:
    """Return how often a fault strikes."""
    return world.random.choice([1, 1, 1, 2, 5])


def _strike(name: str, weight: int = 2, *, harmless: bool = False, **options: Callable[[World], Any]) -> None:
    """Register a trouble that strikes requests with a fault; ``options`` are drawn anew each time."""

    def strike(world: World) -> None:
        drawn = {option: draw(world) for option, draw in options.items()}
        inject(world, Fault(name, method=_method(world), times=times_of(world), **drawn), harmless=harmless)

    strike.__doc__ = f"The simulator's fault ``{name}``."
    TROUBLES[name] = (strike, weight)


_strike("no_answer", 4)
_strike("late_answer", 4, delay=lambda world: world.random.choice([0.01, 3.0, 11.0, 61.0]))
_strike("duplicate_answer", harmless=True)
_strike("unknown_id", harmless=True, id=lambda world: world.random.choice(["nobody", 10**9, -1, 0, 2**63 - 1]))
_strike("string_id", harmless=True)
_strike("malformed", harmless=True, text=lambda world: world.random.choice(['{"id":1,"status":', "", "NaN", "{}{}"]))
_strike("not_an_object", harmless=True, text=lambda world: world.random.choice(["[1]", "1", "null", '"text"']))
_strike("binary_frame", harmless=True)
_strike("nested", 1, harmless=True, depth=lambda world: 20_000)
_strike("fragmented", harmless=True, pieces=lambda world: world.random.choice([2, 9]))
_strike("merged", harmless=True)
_strike("split", 1, harmless=True)
_strike("drop_before", 4)
_strike("drop_after", 4)
_strike(
    "close",
    3,
    code=lambda world: world.random.choice([1000, 1001, 1008, 1012]),
    executed=lambda world: world.random.random() < 0.5,
)
_strike("revoke", 2)
_strike("server_shutdown", 2)


def _error(name: str, weight: int, status: int, code: int, msg: str, *, may_execute: bool = False) -> None:
    """Register a trouble in which requests are answered with an error."""

    def strike(world: World) -> None:
        executed = may_execute and world.random.random() < 0.5
        fault = Fault(
            "error", method=_method(world), times=times_of(world), status=status, code=code, msg=msg, executed=executed
        )
        inject(world, fault)

    strike.__doc__ = f"Requests are answered with {status} and {code}."
    TROUBLES[name] = (strike, weight)


_UNKNOWN: Final = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
_error("error_1007", 3, 500, -1007, _UNKNOWN, may_execute=True)
_error("error_1006", 2, 400, -1006, "An unexpected response was received from the message bus.", may_execute=True)
_error(
    "error_503_unknown", 2, 503, -1000, "Unknown error, please check your request or try again later.", may_execute=True
)
_error("error_503_failed", 2, 503, -1000, "Service Unavailable.")
_error("error_1008", 1, 503, -1008, "Server is currently overloaded with other requests.")
_error("error_1021", 2, 400, -1021, "Timestamp for this request is outside of the recvWindow.")
_error("error_403", 1, 403, -1000, "Forbidden")
_error("error_400", 2, 400, -2010, "New order rejected.")


@trouble(2)
def error_429(world: World) -> None:
    """Requests are answered with 429 and a ``retryAfter``."""
    until = int((world.simulator.clock.time() + world.random.uniform(1, 60)) * 1000)
    data = {"retryAfter": until, "serverTime": world.simulator.exchange.state.now_ms}
    message = "Too many requests."
    inject(
        world,
        Fault("error", method=_method(world), times=times_of(world), status=429, code=-1003, msg=message, data=data),
    )
    world.bad_for(700.0)


@trouble(1)
def ban(world: World) -> None:
    """The address is banned for some minutes."""
    length = world.random.uniform(10, 400)
    world.simulator.exchange.limits.ban("127.0.0.1", world.simulator.clock.time() + length)
    world.bad_for(length + recovery_time(world))


# The logon


@trouble(2)
def logon_fails(world: World) -> None:
    """``session.logon`` is answered with an error inside the exchange, once or some times; connections are reset."""
    inject(
        world,
        Fault("error", method="session.logon", times=times_of(world), status=500, code=-1000, msg="An unknown error."),
    )
    cut(world)


@trouble(1)
def logon_refused(world: World) -> None:
    """``session.logon`` is refused for good; connections are reset."""
    inject(world, Fault("reject_logon"))
    cut(world)


@trouble(2)
def logon_ignored(world: World) -> None:
    """``session.logon`` is not answered; connections are reset."""
    inject(world, Fault("ignore_logon", times=times_of(world)))
    cut(world)


@trouble(2)
def logon_late(world: World) -> None:
    """``session.logon`` is answered late, perhaps too late; connections are reset."""
    inject(world, Fault("late_logon", delay=world.random.choice([0.5, 2.0, 9.99, 10.01, 40.0]), times=times_of(world)))
    cut(world)


@trouble(2)
def logon_lost(world: World) -> None:
    """The connection goes while the answer to ``session.logon`` is awaited."""
    inject(
        world, Fault(world.random.choice(["drop_before", "drop_after"]), method="session.logon", times=times_of(world))
    )
    cut(world)


@trouble(2)
def key_revoked(world: World) -> None:
    """The key becomes invalid: for some seconds, or for good."""
    if world.credentials is None:
        return
    key = world.credentials.api_key
    world.simulator.revoke(key)
    if world.random.random() < 0.5 or world.recipe.key != "ed25519":
        # Without a logon nothing tells the session that it is over: its calls are refused, and that is all.
        length = world.random.choice([0.01, 1.0, 100.0, 2000.0])
        world.bad_for(length + recovery_time(world))
        world.later(length, world.simulator.restore, key)
    else:
        world.bad_for(0.0)  # and until the bot has another: see World.inspect


# The handshake


@trouble(2)
def handshake_refused(world: World) -> None:
    """The handshake is answered with an HTTP status that may heal; connections are reset."""
    status = world.random.choice([500, 502, 503, 429])
    inject(world, Fault("refuse_handshake", status=status, times=times_of(world)))
    cut(world)


@trouble(1)
def handshake_forbidden(world: World) -> None:
    """The handshake is answered with an HTTP status that does not heal; connections are reset."""
    inject(world, Fault("refuse_handshake", status=world.random.choice([403, 404, 418])))
    cut(world)


@trouble(2)
def handshake_slow(world: World) -> None:
    """The handshake's answer is late, perhaps too late; connections are reset."""
    inject(world, Fault("slow_handshake", delay=world.random.choice([0.5, 2.9, 9.9, 15.0]), times=times_of(world)))
    cut(world)


@trouble(2)
def handshake_dropped(world: World) -> None:
    """The connection is reset in place of the handshake's answer."""
    inject(world, Fault("drop_handshake", times=times_of(world)))
    cut(world)


# The end of a connection


@trouble(3)
def shutdown_announced(world: World) -> None:
    """``serverShutdown`` to everybody, and the end of those connections a while later, or not."""
    world.simulator.broadcast_shutdown()
    if world.random.random() < 0.7:
        connections = world.simulator.connections

        def end() -> None:
            for connection in connections:
                if connection.open:
                    connection.close(1012, "restart")

        world.bad_for(30.0)
        world.later(world.random.choice([0.0, 0.1, 5.0, 20.0]), end)


@trouble(3)
def exchange_closes(world: World) -> None:
    """The exchange closes every connection, as at the end of the 24 hours."""
    for connection in world.simulator.connections:
        connection.close(1001, "24 hours")


# The listenKey


@trouble(2)
def listen_key_gone(world: World) -> None:
    """The account's listenKeys are gone: somebody stopped them, or the exchange forgot."""
    keys = world.simulator.exchange.state.listen_keys
    for key in list(keys._by_value.values()):
        keys.expire(key, tell=world.random.random() < 0.5)
    world.stream_bad_for(1600.0)  # the longest pause between two pings, and some


@trouble(1)
def listen_key_strange(world: World) -> None:
    """``userDataStream.start`` is answered without a key, or ``userDataStream.ping`` with another."""
    name = world.random.choice(["missing_listen_key", "wrong_listen_key"])
    if world.recipe.venue.has_listen_key:
        inject(world, Fault(name))
    world.stream_bad_for(2200.0)  # a wrong key is believed until the next ping


# The clock


@trouble(2)
def clock_step(world: World) -> None:
    """The clock of the bot's machine steps, and is set right after a while."""
    clock = world.wall_clock
    clock.error = world.random.choice([-1, 1]) * 10 ** world.random.uniform(-1, 4)
    world.worst_clock_error = max(world.worst_clock_error, abs(clock.error))
    length = world.random.uniform(1, 4000)
    world.bad_for(length + recovery_time(world))

    def mend() -> None:
        clock.error = 0.0

    world.later(length, mend)
