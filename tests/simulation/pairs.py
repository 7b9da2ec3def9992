"""One of two connections that bring events is lost while the other stands: nobody may be told of a gap."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from binance_session.simulator.connections import Connection
from tests.simulation.world import World

__all__ = ["Pairs"]

#: seconds for which both must have stood, and all been well
_STOOD: Final = 90.0
#: seconds in which a gap would be told because of it
_TOLD: Final = 5.0


class Pairs:
    """Cuts one of two, now and then, in a story whose readers want both."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"pairs {world.recipe.seed}")
        self.struck = 0

    async def live(self, mean: float) -> None:
        """Strike every ``mean`` seconds or so until cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / mean))
            self._strike()

    def _strike(self) -> None:
        world = self._world
        now = world.loop.time()
        pair = self._pair()
        # what has yet to be well again may make a gap of it
        if pair is None or now - world.stream_bad_since < _STOOD or world.tape.is_paused:
            return
        one = self._random.choice(pair)
        world.trace("pairs", f"{one!r} is lost")
        if self._random.random() < 0.5:
            one.drop()
        else:
            one.close(1001, "restart")
        if not one.stream:  # an API connection, with its standby beside it: no request is refused for it
            world.bad_for(0.0)
            world.must_stay_ready_until = now + _TOLD
        world.tape.covered_until = now + _TOLD
        self.struck += 1
        assert world.news is not None
        world.news.aftermath()

    def _pair(self) -> tuple[Connection, Connection] | None:
        """Return the two connections that bring the events of one session, if both have stood for long."""
        world = self._world
        readers = [reader for reader in world.tape.listening if reader.sockets == 2]
        if not readers or any(world.loop.time() - reader.since < _STOOD for reader in readers):
            return None
        is_spot = not world.recipe.venue.has_listen_key
        bringing = [
            connection
            for connection in world.simulator.connections
            if (connection.subscriptions if is_spot else connection.stream)
        ]
        if len(bringing) != 2 or any(one.muted or one.closing for one in bringing):
            return None
        at = world.simulator.exchange.state.clock.time()
        if any(at - one.connected_since < _STOOD for one in bringing):
            return None
        first, second = bringing
        return first, second
