"""An event loop on which a day takes milliseconds, with a network in memory.

:class:`VirtualTimeLoop` is an asyncio event loop whose clock stands still while code runs and jumps to the
next timer when nothing is left to do. Its :class:`Network` carries the bytes of ``create_connection`` and
``create_server`` between transports in memory, so that a client and a server live in one loop, without
sockets or threads. The order of events depends on the program alone: two runs are alike.

::

    async def main() -> None:
        async with serve(handler, "exchange.example", 80):
            async with connect("ws://exchange.example") as websocket:
                await asyncio.sleep(86_400)
                VirtualTimeLoop.running().network.connections[0].cut()

    run(main)

Faults are set on the network, for connections to come, or on one :class:`VirtualConnection`, at any time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from binance_session.simulator.virtual_connection import VirtualConnection
from binance_session.simulator.virtual_network import Network, ProtocolFactory

__all__ = ["Network", "Stuck", "VirtualConnection", "VirtualTimeLoop", "run"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

#: 2026-01-01T00:00:00Z, in Unix seconds
_NEW_YEAR: Final = 1_767_225_600.0
_WEEK: Final = 7 * 86_400.0
#: for the cleaning up after the limit has been reached, in seconds
_GRACE: Final = 3600.0


class Stuck(RuntimeError):
    """The main task waits for something that cannot come any more, or not before the loop's time limit."""


class _JumpingSelector:
    """Stands where the event loop expects a selector; it advances the time instead of waiting."""

    def __init__(self, limit: float) -> None:
        self.now = 0.0
        self.limit = limit

    def select(self, timeout: float | None) -> list[Any]:
        """Pass ``timeout`` seconds; it is ``None`` when nothing is ready and no timer is pending."""
        if timeout is None:
            raise Stuck(f"nothing will ever happen: {_waiting()}")
        if timeout > 0:
            if self.now + timeout > self.limit:
                limit, self.limit = self.limit, self.limit + _GRACE
                raise Stuck(f"the main task is not done after {limit:.0f} virtual seconds: {_waiting()}")
            self.now += timeout
        return []


def _waiting() -> str:
    tasks = sorted(repr(task) for task in asyncio.all_tasks())
    return "\n".join([f"{len(tasks)} task(s) wait", *tasks])


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An asyncio event loop in virtual time; see the module.

    ``start`` is the Unix time of its beginning, for :meth:`wall_time`; ``limit`` is how many virtual seconds
    it may live. Where a real loop would wait for ever, or beyond the limit, it raises :class:`Stuck`. What
    would need a thread runs at once and in place (``run_in_executor``, ``asyncio.to_thread``).
    """

    def __init__(self, *, start: float = _NEW_YEAR, limit: float = _WEEK) -> None:
        super().__init__()
        self._start = start
        # The name under which BaseEventLoop looks for what to wait on.
        self._selector = _JumpingSelector(limit)
        # Timers this near to each other run together. It must exceed the spacing of floats at the largest
        # time that is reached, else a timer could be due and never run.
        self._clock_resolution = 1e-6
        #: the network of this loop
        self.network = Network(self)
        # what sockets stand for between sock_connect() and create_connection()
        self._reached: WeakKeyDictionary[socket.socket, tuple[str, int]] = WeakKeyDictionary()

    @classmethod
    def running(cls) -> VirtualTimeLoop:
        """Return the running loop; raise :class:`RuntimeError` if it is of another kind."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, cls):
            raise RuntimeError("the running event loop is not a VirtualTimeLoop")
        return loop

    def time(self) -> float:
        """Return the virtual seconds since the loop's beginning."""
        return self._selector.now

    def wall_time(self) -> float:
        """Return the virtual time of day, in Unix seconds."""
        return self._start + self._selector.now

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: BaseEventLoop hands over what the clock selected, which is nothing."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread is there to be woken up from."""

    def run_in_executor(self, executor: Any, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Call ``func`` now, in this thread, and return its outcome as a future."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return the addresses of a host; every name exists, and has one address unless it was given several."""
        name = host.decode() if isinstance(host, bytes) else host or ""
        addresses = self.network.names.get(name) or (self.network.address(name),)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port or 0)))
            for address in addresses
        ]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Reach what listens at ``address`` in memory: the socket stands for the way there, and carries nothing."""
        host, port = address
        await self.network.reach(host, port)
        self._reached[sock] = (host, port)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: bool | ssl_module.SSLContext | None = None,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect in memory to what listens at ``host`` and ``port``, or to what ``sock_connect`` has reached.

        Raises :class:`ConnectionRefusedError` when nothing does, and :class:`ValueError` for any other socket. ``ssl``
        must be given on both sides or on neither, else it raises
        :class:`ConnectionResetError`, but nothing is encrypted and no certificate is looked at
        (``Network.bad_certificates`` has them refused). The other options have no effect.
        """
        if sock is not None and sock in self._reached:
            host, port = self._reached.pop(sock)
            sock.close()
            return await self.network.join(protocol_factory, host, port, secure=bool(ssl))
        if sock is not None or host is None or port is None:
            raise ValueError("a connection in memory needs a host and a port, and takes no other socket")
        return await self.network.connect(protocol_factory, host, port, secure=bool(ssl))

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        ssl: ssl_module.SSLContext | None = None,
        sock: socket.socket | None = None,
        start_serving: bool = True,
        **options: Any,
    ) -> asyncio.AbstractServer:
        """Listen in memory at ``host`` (``None``: every host) and ``port`` (0 or ``None``: a free one).

        Raises :class:`OSError` (``EADDRINUSE``) when another server does, and :class:`ValueError` for a
        socket. ``ssl`` only tells which clients are welcome; see :meth:`create_connection`.
        """
        if sock is not None:
            raise ValueError("a server in memory takes no socket")
        hosts = [host] if host is None or isinstance(host, str) else host
        server = self.network.serve(protocol_factory, hosts, port or 0, secure=bool(ssl))
        if start_serving:
            await server.start_serving()
        return server


def run(
    main: Callable[[], Coroutine[Any, Any, _T]] | Coroutine[Any, Any, _T],
    *,
    start: float = _NEW_YEAR,
    limit: float = _WEEK,
) -> _T:
    """Run a coroutine, or the function that makes it, in virtual time; return what it returns.

    Like :func:`asyncio.run` it cancels the tasks that remain, closes the asynchronous generators and the
    loop. Then it makes sure that nothing went unnoticed: it raises :class:`RuntimeError` for an exception
    that was not handled (in a callback, or in a task that was not awaited), for a server that still listens,
    and for a connection that neither end began to close. It raises :class:`Stuck` when the coroutine waits
    for something that cannot come, or for more than ``limit`` virtual seconds. ``start`` is the Unix time at the
    beginning.
    """
    loop = VirtualTimeLoop(start=start, limit=limit)
    unhandled: list[dict[str, Any]] = []

    def handler(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        unhandled.append(context)
        loop.default_exception_handler(context)

    loop.set_exception_handler(handler)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main() if callable(main) else main)
    if unhandled:
        first = unhandled[0]
        raise RuntimeError(f"not handled: {first['message']}") from first.get("exception")
    left = [*loop.network.servers, *(line for line in loop.network.connections if line.is_open)]
    if left:
        raise RuntimeError(f"left open: {', '.join(map(repr, left))}")
    return result
