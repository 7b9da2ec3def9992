"""A real session on a network that exists in memory only: no socket, no server's process, no noise of either.

What the session writes is answered by the :class:`~benchmarks.server.Answerer` in the loop's next turn, or collected in
a list while a benchmark looks on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from benchmarks.server import Answerer
from benchmarks.workload import make_session

__all__ = ["URL", "MemorySession", "Request", "answers"]

#: where nobody listens, nor needs to
URL: Final = "ws://127.0.0.1:9/ws-dapi/v1"
#: (method, params)
Request = tuple[str, dict[str, Any]]
_T = TypeVar("_T")


class Wire(asyncio.Transport):
    """A transport with the answering server at its other end, or a list that keeps what is written."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self.protocol = protocol
        self._answerer = Answerer()
        self._closed = False
        self.written: list[Any] = []
        self._sink: Callable[[bytes | bytearray | memoryview], None] = self._serve

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sink(data)

    def serve(self) -> None:
        """Have the server answer what is written from now on."""
        self._sink = self._serve

    def record(self) -> list[bytes]:
        """Keep what is written from now on, unanswered; return where."""
        self.written = []
        self._sink = self.written.append
        return self.written

    def drop(self) -> None:
        """Forget what is written from now on."""
        self._sink = _forget

    def _serve(self, data: bytes | bytearray | memoryview) -> None:
        if reply := self._answerer.feed(bytes(data)):
            self._loop.call_soon(self.protocol.data_received, reply)
        if self._answerer.closing:
            self.abort()

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def _forget(data: object) -> None:
    """Stand where the socket would be."""


class MemoryLoop(asyncio.SelectorEventLoop):
    """An event loop whose connections lead nowhere."""

    wire: Wire

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Do nothing: it leads nowhere."""

    async def create_connection(  # type: ignore[override]  # of all the ways to connect, the one that is used
        self, protocol_factory: Callable[[], asyncio.Protocol], *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        kwargs["sock"].close()
        protocol = protocol_factory()
        self.wire = Wire(self, protocol)
        protocol.connection_made(self.wire)
        return self.wire, protocol


class MemorySession:
    """An open session on a loop of its own; ``options`` are the session's."""

    def __init__(self, decoder: str, **options: Any) -> None:
        self.loop = MemoryLoop()
        self.session = make_session(decoder, URL, **options)
        self.loop.run_until_complete(self.session.open())

    @property
    def wire(self) -> Wire:
        """The transport in use."""
        return self.loop.wire

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the session's loop."""
        return self.loop.run_until_complete(main)

    def close(self) -> None:
        """Close the session and its loop."""
        self.wire.serve()
        self.run(self.session.close())
        self.loop.close()


def answers(written: Sequence[bytes]) -> list[bytes]:
    """Return the frame that answers each of the frames that a session wrote."""
    server = Answerer()
    server.feed(b"\r\n\r\n")
    return [server.feed(data) for data in written]
