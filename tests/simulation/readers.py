"""The bot's readers: they open user data streams, read fast or slowly or not at all, leave, and come back."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from binance_session import BinanceSessionError, EventsOverflow, SessionClosed, SessionState
from tests.simulation.invariants import SessionRecord
from tests.simulation.tape import Listening
from tests.simulation.world import HookError, World

__all__ = ["Readers"]

_FINAL: Final = (SessionState.CLOSED, SessionState.FAILED)
_KINDS: Final = ("plain", "plain", "plain", "callback", "slow", "pause", "hook", "stop")


class Readers:
    """The readers of one bot, session after session."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        # how many are in a stream of the session in use, or on their way in or out
        self._inside = 0

    def begin(self, record: SessionRecord) -> None:
        """Have readers use a session until it is over."""
        streams = self._world.recipe.streams
        assert streams is not None
        for number in range(streams.readers):
            random = Random(f"reader {self._world.recipe.seed} {record.number} {number}")
            task = self._world.loop.create_task(self._use(record, random), name="reader")
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._world.complain(f"a reader ended with {type(error).__name__}: {error}")

    async def end(self, record: SessionRecord) -> None:
        """See that every reader has learned that the session is over."""
        for _ in range(20):
            await asyncio.sleep(0)
        for listening in self._world.tape.listening:
            if listening.is_quick:
                self._world.complain(f"{listening} was not told that the session is over")
        if self._tasks:
            _, pending = await asyncio.wait(list(self._tasks), timeout=20_000.0)
            for task in pending:
                self._world.complain(f"{task.get_name()} still reads although session {record.number} is over")
                task.cancel()

    async def _use(self, record: SessionRecord, random: Random) -> None:
        streams, session = self._world.recipe.streams, record.session
        assert streams is not None
        await asyncio.sleep(random.choice([0.0, random.expovariate(1 / streams.away)]))
        while session.state not in _FINAL:
            task = self._world.loop.create_task(self._listen(record, random), name="listening")
            if random.random() < 0.2:
                seconds = random.choice([0.0, 0.0, random.uniform(0, 2), random.expovariate(1 / streams.stay)])
                await asyncio.wait([task], timeout=seconds)
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            self._left(record)
            if session.state not in _FINAL:
                await asyncio.sleep(random.expovariate(1 / streams.away))

    def _plan(self, random: Random, listening: Listening) -> tuple[str, dict[str, Any]]:
        streams, is_spot = self._world.recipe.streams, not self._world.recipe.venue.has_listen_key
        assert streams is not None
        kind = random.choice(_KINDS)
        options: dict[str, Any] = {}
        if streams.sockets == 2 and listening.number % 4:
            options["sockets"] = listening.sockets = 2
        if kind == "callback":
            options["callback"] = listening.saw
        elif kind == "hook":
            options["buffer"] = 0
        elif kind == "pause" and streams.pauses and not is_spot:
            options.update(buffer=random.randint(1, 20), on_full="pause")
            listening.pauses = True
        elif kind in ("slow", "pause"):
            kind = "slow"
            options["buffer"] = random.randint(1, 30)
        elif kind == "stop" and (is_spot or random.random() < 0.5):
            kind = "plain"
        elif kind == "stop":
            options["stop_on_exit"] = True
        listening.is_quick = kind in ("plain", "callback", "stop")
        return kind, options

    async def _listen(self, record: SessionRecord, random: Random) -> None:
        """Open one stream, and read it until it ends or time is up."""
        world = self._world
        self._count += 1
        listening = Listening(self._count, record, world, is_quick=True, pauses=False)
        kind, options = self._plan(random, listening)
        streams = world.recipe.streams
        assert streams is not None
        bound = options.get("buffer", 10_000)
        reads_in = random.choice([0.1, 1.0, 5.0, 5.0 if streams.calm_waters else 60.0])
        stay = random.expovariate(1 / streams.stay)
        record.listens_until = float("inf")
        self._inside += 1
        left_at: float | None = None
        try:
            async with record.session.user_data_stream(**options) as events:
                world.tape.attach(listening)
                listening.events = events
                world.trace(str(listening), f"reads: {kind}")
                told = False
                try:
                    async with asyncio.timeout(stay):
                        async for event in events:
                            if kind == "callback":
                                world.complain(f"{listening} has a callback, and got an event to read")
                            if kind == "hook":
                                world.complain(f"{listening} has no buffer, and got an event")
                            listening.saw(event)
                            if events.backlog > bound + (0 if kind != "pause" else 1000):
                                world.complain(f"{listening} has {events.backlog} events waiting, of {bound}")
                            if not listening.is_quick:
                                await asyncio.sleep(random.expovariate(1 / reads_in))
                        told = True
                        world.trace(str(listening), "is told that the stream has ended")
                        if not record.stops_asked:
                            world.complain(f"{listening} was told of an end that nobody asked for")
                except TimeoutError:
                    world.trace(str(listening), "leaves")
                except BinanceSessionError as error:
                    told = True
                    world.trace(str(listening), f"is told {type(error).__name__}: {error}")
                    if isinstance(error, EventsOverflow) and kind != "slow":
                        world.complain(f"{listening} was told of an overflow: {error}")
                    if record.session.state in _FINAL and not isinstance(error, (SessionClosed, EventsOverflow)):
                        world.trace(str(listening), "…although the session is over")
                finally:
                    world.tape.detach(listening, told=told)
                    if listening.pauses:
                        world.stream_bad_for(60.0)
                    if options.get("stop_on_exit"):
                        record.stops_asked += 1
                        world.stream_bad_for(60.0)
                    left_at = world.loop.time()
        except BinanceSessionError as error:
            world.trace(
                str(listening), f"{'leaving' if left_at is not None else 'entering'}: {type(error).__name__}: {error}"
            )
        except HookError:
            world.trace(str(listening), "stumbles")
        finally:
            self._inside -= 1
            if not self._inside:
                record.listens_until = world.loop.time()
            if left_at is not None:
                took = world.loop.time() - left_at
                recipe = world.recipe
                longest = recipe.options["close_timeout"] + 1.0 + 8 * recipe.latency
                if options.get("stop_on_exit"):
                    longest += recipe.options["request_timeout"]
                if took > longest and world.loop.time() > world.bad_until:
                    world.complain(f"{listening} took {took:.3f} s to leave")

    def _left(self, record: SessionRecord) -> None:
        """See that nothing is there for nobody."""
        world = self._world
        if self._inside or not world.recipe.venue.has_listen_key:
            return
        if record.session.listen_key is not None and not world.recipe.keeps_listen_key:
            world.complain(f"nobody reads, and session {record.number} has a listenKey")
        world.loop.call_later(world.recipe.options["close_timeout"] + 0.5, self._nothing_left, record)

    def _nothing_left(self, record: SessionRecord) -> None:
        world = self._world
        if self._inside or world.loop.time() < record.listens_until + world.recipe.options["close_timeout"]:
            return
        for line in world.loop.network.connections:
            if world.loop.is_stream(line) and not line.client.is_lost:
                world.complain(f"nobody reads, and {line!r} is open")
