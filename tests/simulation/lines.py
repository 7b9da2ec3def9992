"""What each connection of the client brought, and when: whether it was right to give it up, or to go on with it.

Seen from the network, without asking the session: bytes that arrived, and what the exchange wrote that proves that
the way to it works too (a pong, an answer).
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from websockets.protocol import State

from binance_session.simulator.connections import Connection
from binance_session.simulator.wire import Action, SendPong, SendText
from binance_session.websocket.connection import Connection as WebSocket

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["ONE_WAY", "Lines"]

#: seconds for which data may arrive while nothing shows that what is written arrives
ONE_WAY: Final = 60.0
#: seconds within which a pong must come, or anything else: where one was asked for out of doubt, and without pings
_IN_DOUBT: Final = 2.0
_SERVER_PINGS: Final = 10.0
#: seconds by which a timer may be late, and by which times may be rounded
_SLACK: Final = 0.1
_ROUNDED: Final = 0.002
_PONG_HEADER: Final = 2


class Lines:
    """Watches every connection of a story."""

    def __init__(self, world: World) -> None:
        self._world = world
        # when the exchange wrote what proves both ways, and up to where that came in all that it wrote
        self._proofs: WeakKeyDictionary[Any, deque[tuple[float, int]]] = WeakKeyDictionary()
        # the exchange's end of each connection
        self._servers: dict[int, Any] = {}
        exchange = world.simulator.exchange
        self._connect, self._pong_due = exchange.connect, exchange.pong_due
        exchange.connect = self._connected  # type: ignore[method-assign]
        exchange.pong_due = self._ponged  # type: ignore[method-assign]

    @property
    def longest_silence(self) -> float:
        """Seconds for which nothing may come before a line is given up."""
        interval, timeout = self._pings
        if interval is None:
            return 2.5 * self._world.recipe.venue.server_ping_interval + _SERVER_PINGS
        return interval + timeout

    @property
    def _pings(self) -> tuple[float | None, float]:
        options = self._world.recipe.options
        return options["ping_interval"], options["ping_timeout"] or 0.0

    # What comes

    def opened(self, end: Any) -> None:
        """Watch the client's end of a connection from its beginning."""
        end.abort = functools.partial(self._aborted, end)
        self._look_later(end, self.longest_silence)

    def _look_later(self, end: Any, seconds: float) -> None:
        self._world.loop.call_later(seconds + _SLACK, self._look, end)

    def _look(self, end: Any) -> None:
        """See whether a line on which nothing comes is still in use."""
        if end.is_closing():
            return
        websocket = end.get_protocol()
        # who does not read does not hear what has come
        silence = self._world.loop.time() - max(end.heard_at, end.resumed_at)
        longest = self.longest_silence
        is_judged = websocket.liveness._task is not None and websocket._protocol.state is State.OPEN
        is_in_use = is_judged and end.is_reading()
        if silence < longest or not is_in_use:
            self._look_later(end, max(longest - silence, _SLACK) if is_in_use else longest)
            return
        self._world.complain(f"nothing has come on {end!r} for {silence:.3f} s, and it is in use")
        type(end).abort(end)

    def _connected(self, address: str, target: str, perform: Callable[[Action], None]) -> Connection:
        connection = self._connect(address, target, perform)
        server = perform.__self__.transport  # type: ignore[attr-defined]

        def watched(action: Action) -> None:
            before = server.wrote
            perform(action)
            is_proof = isinstance(action, SendPong) or (isinstance(action, SendText) and _is_answer(action.text))
            if is_proof and server.wrote > before:
                self._proven(server, server.wrote)

        connection.perform_on_wire = watched
        self._servers[connection.number] = server
        return connection

    def _ponged(self, connection: Connection, data: bytes) -> bool:
        due = self._pong_due(connection, data)
        if due:
            server = self._servers[connection.number]
            self._proven(server, server.wrote + _PONG_HEADER + len(data))
        return due

    def _proven(self, server: Any, upto: int) -> None:
        proofs = self._proofs.setdefault(server.peer, deque(maxlen=200))
        proofs.append((self._world.loop.time(), upto))

    # What is given up

    def _aborted(self, end: Any) -> None:
        websocket = end.get_protocol()
        if (
            isinstance(websocket, WebSocket)
            and websocket.liveness._task is not None
            and websocket._protocol.state is State.OPEN
            and not end.is_closing()
        ):
            self._gave_up(end, str(websocket._cause))
        type(end).abort(end)

    def _gave_up(self, end: Any, why: str) -> None:
        """See whether a line that the session ends without a word has not brought what proves that it works."""
        world, now = self._world, self._world.loop.time()
        world.trace("network", f"{end!r} is given up: {why}")
        interval, timeout = self._pings
        patience = _SERVER_PINGS if interval is None else min(_IN_DOUBT, timeout)
        silence = now - end.heard_at
        proven = [at for at, upto in self._proofs.get(end, ()) if upto <= end.heard]
        if silence < patience - _ROUNDED and proven and now - proven[-1] < ONE_WAY - _ROUNDED:
            world.complain(
                f"{end!r} was given up ({why}) although bytes came {silence:.3f} s ago, and a pong or an answer"
                f" that was sent {now - proven[-1]:.3f} s ago"
            )


def _is_answer(text: str) -> bool:
    return text.startswith('{"id":') and not text.startswith('{"id":null')


class Dials:
    """Sees that a silent address does not keep the next one waiting."""

    #: seconds for which the first address is silent before the second is tried (RFC 8305 §5)
    _HEAD_START: Final = 0.25

    def __init__(self, loop: asyncio.AbstractEventLoop, complain: Callable[[str], object]) -> None:
        self._loop = loop
        self._complain = complain
        # when dials began and when they tried an address that is silent, by port, until the next one was tried
        self._silent: dict[Any, deque[tuple[float, float]]] = {}
        #: how many attempts at silent addresses there were
        self.count = 0

    def tries(self, port: Any) -> float:
        """Take note of an attempt at an address; return when the dial began that it belongs to."""
        now, waiting = self._loop.time(), self._silent.get(port)
        if not waiting:
            return now
        began, tried = waiting.popleft()
        self._check(now - tried)
        return began

    def is_silent(self, port: Any, began: float) -> tuple[float, float]:
        """Take note that the address is one that is silent; return what tells the attempt from others."""
        self.count += 1
        attempt = (began, self._loop.time())
        self._silent.setdefault(port, deque()).append(attempt)
        return attempt

    def gives_up(self, port: Any, attempt: tuple[float, float]) -> None:
        """Take note that an attempt at a silent address was given up: had the next one been tried in time?"""
        waiting = self._silent.get(port)
        if waiting and attempt in waiting:
            waiting.remove(attempt)
            self._check(self._loop.time() - attempt[1])

    def _check(self, waited: float) -> None:
        if waited > self._HEAD_START + _ROUNDED:
            self._complain(f"a silent address kept the next one waiting for {waited:.3f} s")
