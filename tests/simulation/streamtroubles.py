"""What goes wrong with streams: their sockets, their events, their keys, and one of the exchange's two doors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from binance_session.simulator import Fault
from tests.simulation.troubles import Trouble, half_open_lines, inject, lines_of, recovery_time, times_of
from tests.simulation.world import World

__all__ = ["HARMLESS", "STREAM_TROUBLES", "strikes_spot"]

#: Every kind of trouble that concerns streams, by name, and how often it is chosen.
STREAM_TROUBLES: Final[dict[str, tuple[Trouble, int]]] = {}
#: what needs a stream socket or a listenKey, which Spot does not have
_FUTURES_ONLY: Final[set[str]] = set()
#: seconds that a session may not know of its key's end: the longest pause between two pings, and some
_UNTOLD: Final = 1600.0
#: what must cost nothing at all, not even a gap
HARMLESS: Final = frozenset(
    {
        "split_segments",
        "duplicate_answer",
        "unknown_id",
        "string_id",
        "malformed",
        "not_an_object",
        "binary_frame",
        "fragmented",
        "merged",
        "split",
        "late_event",
        "duplicate_event",
        "text_time",
        "malformed_event",
        "unknown_event",
        "split_event",
        "fragmented_event",
        "merged_event",
    }
)


def strikes_spot(name: str) -> bool:
    """Tell whether a trouble is one that can happen on Spot."""
    return name not in _FUTURES_ONLY


def trouble(weight: int = 3, *, futures_only: bool = True) -> Callable[[Trouble], Trouble]:
    """Register a kind of trouble under its function's name."""

    def register(function: Trouble) -> Trouble:
        STREAM_TROUBLES[function.__name__] = (function, weight)
        if futures_only:
            _FUTURES_ONLY.add(function.__name__)
        return function

    return register


# Events


def _strike(
    name: str,
    weight: int = 2,
    *,
    bad: float | None = None,
    futures_only: bool = False,
    **options: Callable[[World], Any],
) -> None:
    """Register a trouble that strikes events; after ``bad`` seconds (``None``: at once) the stream is well again."""

    def strike(world: World) -> None:
        drawn = {option: draw(world) for option, draw in options.items()}
        most = 600.0
        # nothing else would ever tell of a subscription's end
        when = (lambda event: event["e"] != "eventStreamTerminated") if name == "lose_event" else None
        inject(world, Fault(name, times=times_of(world), when=when, **drawn), harmless=bad is None, most=most)
        if bad is not None:
            world.stream_bad_for(most + bad)
        assert world.news is not None
        world.news.aftermath()

    strike.__doc__ = f"The simulator's fault ``{name}``."
    STREAM_TROUBLES[f"{name}_event" if name == "half_open" else name] = (strike, weight)
    if futures_only:
        _FUTURES_ONLY.add(name)


_strike("lose_event", 1)
_strike("drop_before_event", 3, bad=0.0)
_strike("drop_after_event", 3, bad=0.0)
_strike("close_after_event", 2, bad=0.0, code=lambda world: world.random.choice([1000, 1001, 1008, 1012]))
_strike("late_event", 2, delay=lambda world: world.random.choice([0.01, 0.3, 0.5]))
_strike("duplicate_event", 2, apart=lambda world: world.random.choice([0.0, 0.01, 0.5]))
_strike("text_time", 1)
_strike("malformed_event", 1, text=lambda world: world.random.choice(['{"e":', "", "[1]", "null", '{"e":1}']))
_strike("unknown_event", 1)
_strike("split_event", 1, size=lambda world: world.random.choice([1, 7]))
_strike("fragmented_event", 1, pieces=lambda world: world.random.choice([2, 5]))
_strike("merged_event", 1, wait=lambda world: world.random.choice([0.01, 0.3]))
_strike("stopped_elsewhere", 2, bad=_UNTOLD, futures_only=True)
_strike("expired_early", 3, bad=_UNTOLD, futures_only=True, tell=lambda world: world.random.random() < 0.5)


@trouble(2)
def half_open_event(world: World) -> None:
    """A stream socket falls silent, for both sides, in place of an event."""
    inject(world, Fault("half_open"), harmless=True)
    interval, timeout = world.recipe.options["ping_interval"], world.recipe.options["ping_timeout"]
    silence = 2.6 * world.recipe.venue.server_ping_interval + 15 if interval is None else interval + timeout + 5
    world.stream_bad_for(600.0 + silence)


@trouble(1)
def very_late_event(world: World) -> None:
    """Events are so late that a planned replacement may not have waited for them."""
    delay = world.random.choice([3.0, 20.0])
    inject(world, Fault("late_event", times=times_of(world), delay=delay), most=300.0)
    world.tape.late_until = world.loop.time() + 300.0 + delay
    world.stream_bad_for(300.0 + delay)


# Sockets


@trouble(6)
def cut_stream(world: World) -> None:
    """The stream's connections are reset; the API's are not."""
    for line in lines_of(world, streams=True):
        line.cut()
    world.stream_bad_for(0.0)


@trouble(4)
def half_open_stream(world: World) -> None:
    """The stream's connections arrive nowhere any more, in one direction or both."""
    client_hears, server_hears = world.random.choice([(False, False), (False, True), (True, False)])
    before = world.bad_until
    half_open_lines(world, lines_of(world, streams=True), client_hears=client_hears, server_hears=server_hears)
    world.stream_bad_for(max(0.0, world.bad_until - world.loop.time()))
    world.bad_until = before  # the API's connection is well


@trouble(3)
def stream_closes(world: World) -> None:
    """The exchange closes the stream's connections."""
    for connection in world.simulator.connections:
        if connection.stream:
            connection.close(world.random.choice([1000, 1001, 1008, 1012]), "restart")
    world.stream_bad_for(0.0)


def _close_door(world: World, port: int | None, length: float) -> None:
    doors = world.random.choice([world.loop.refusing, world.loop.silent])
    doors.add(port)
    world.later(length, doors.discard, port)


@trouble(3)
def stream_door_closed(world: World) -> None:
    """The stream's host cannot be reached for a while; the API's can."""
    length = 10 ** world.random.uniform(0, 4)
    _close_door(world, world.loop.stream_port, length)
    world.stream_bad_for(length + recovery_time(world))
    cut_stream(world)


@trouble(3)
def api_door_closed(world: World) -> None:
    """The API's host cannot be reached, perhaps for longer than a key lives; the stream's can, and its sockets live."""
    length = world.random.choice([world.random.uniform(1, 1000), world.random.uniform(3000, 12_000)])
    _close_door(world, world.loop.api_port, length)
    world.bad_for(length + recovery_time(world))
    world.stream_bad_for(length + recovery_time(world))
    for line in lines_of(world, streams=False):
        line.cut()


@trouble(3)
def stream_handshake(world: World) -> None:
    """Handshakes of stream sockets are refused, dropped or slow; those that were open are reset."""
    times = times_of(world)
    status = world.random.choice([400, 403, 404, 418, 429, 500, 503])
    fault = world.random.choice(
        [
            Fault("refuse_handshake", stream=True, times=times, status=status),
            Fault("drop_handshake", stream=True, times=times),
            Fault("slow_handshake", stream=True, times=times, delay=world.random.choice([0.5, 2.9, 9.9, 15.0])),
        ]
    )
    before = world.bad_until
    inject(world, fault)
    world.bad_until = before
    world.stream_bad_for(800.0 + recovery_time(world))
    cut_stream(world)


# Keys


@trouble(3)
def key_expires(world: World) -> None:
    """The account's listenKeys expire ahead of time; sockets are told, once or twice, by name or not, or never."""
    name = world.random.choice([None, "doubled_expiry", "nameless_expiry"])
    injected = None if name is None else world.simulator.inject(Fault(name))
    tell = world.random.random() < 0.6
    world.simulator.expire_listen_keys(tell=tell)
    if injected is not None:
        injected.remove()
    world.stream_bad_for(0.0 if tell else _UNTOLD)


@trouble(3)
def key_gone_and_cut(world: World) -> None:
    """Keys end, and nobody is told; but the sockets are lost, which is a reason to ask."""
    world.simulator.expire_listen_keys(tell=False)
    cut_stream(world)


@trouble(2)
def key_stopped(world: World) -> None:
    """Another client stops the account's listenKeys."""
    world.simulator.stop_listen_keys()
    world.stream_bad_for(0.0 if world.recipe.readings.stop_pushes_expired else _UNTOLD)


@trouble(2)
def key_expires_again(world: World) -> None:
    """Keys expire as soon as they are made, some times."""
    for count in range(times_of(world)):
        world.later(count * world.random.uniform(0, 4), world.simulator.expire_listen_keys)
    world.stream_bad_for(60.0)


# Subscriptions (Spot)


@trouble(3, futures_only=False)
def subscription_ends(world: World) -> None:
    """The exchange ends each subscription, and says so."""
    exchange = world.simulator.exchange
    for connection in exchange.connections:
        for number in list(connection.subscriptions):
            exchange.state.tell_terminated(connection, connection.subscriptions.pop(number))
    exchange._user_data.deliver()
    world.stream_bad_for(30.0)


@trouble(3, futures_only=False)
def subscribe_fails(world: World) -> None:
    """The next subscriptions are refused, not answered, or lose their connection."""
    if world.recipe.venue.has_listen_key:
        return
    name = world.random.choice(["no_answer", "late_answer", "drop_before", "drop_after", "error"])
    options: dict[str, Any] = {"error": {"status": 500, "code": -1000, "msg": "An unknown error."}}.get(name, {})
    logs_on = world.recipe.key == "ed25519"
    method = "userDataStream.subscribe" if logs_on else "userDataStream.subscribe.signature"
    inject(world, Fault(name, method=method, times=times_of(world), **options))
    subscription_ends(world)
    world.stream_bad_for(600.0 + recovery_time(world))
