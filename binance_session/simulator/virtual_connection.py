"""One connection in memory: two asyncio transports joined to each other, and the faults of a real connection."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

__all__ = ["Address", "LineSettings", "VirtualConnection"]

#: IP address and port
Address = tuple[str, int]


class LineSettings:
    """How bytes pass over a connection. The settings can be changed at any time.

    ``latency``
        Seconds from a write to its arrival. Writes never overtake each other.
    ``bandwidth``
        Bytes/s that pass; ``None``: no limit. With a ``segment_size`` a long write arrives piece by piece.
    ``segment_size``
        Writes are cut into pieces of so many bytes, which arrive one by one; ``None``: they are not cut.
    ``merge``
        A write joins what the same end has under way, and arrives with it in one piece; without effect
        while ``segment_size`` is set.
    """

    def __init__(self) -> None:
        self.latency = 0.0
        self.bandwidth: float | None = None
        self.segment_size: int | None = None
        self.merge = False

    def copy_settings(self, other: LineSettings) -> None:
        """Take over the settings of another."""
        self.latency = other.latency
        self.bandwidth = other.bandwidth
        self.segment_size = other.segment_size
        self.merge = other.merge


class VirtualConnection(LineSettings):
    """One connection in memory, its two ends, and the faults that can be injected into it.

    ``client`` and ``server`` are the transports of the two ends. ``ended`` is called with the connection and an end
    when the protocol of that end has lost the connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        here: Address,
        there: Address,
        ended: Callable[[VirtualConnection, asyncio.Transport], None],
    ) -> None:
        super().__init__()
        self.loop: Final = loop
        self.client: Final = _End(self, here, there)
        self.server: Final = _End(self, there, here)
        self.client.peer, self.server.peer = self.server, self.client
        self.ended = ended

    @property
    def is_open(self) -> bool:
        """Whether neither end has begun to close."""
        return not (self.client.is_closing() or self.server.is_closing())

    def cut(self) -> None:
        """Reset the connection: both ends lose it now, and what was under way is gone."""
        self.client.lose(_reset())
        self.server.lose(_reset())

    def half_open(self, *, client_hears: bool = False, server_hears: bool = False) -> None:
        """Discard all that goes to an end that does not hear, what is under way included; neither end notices."""
        self.client.hears, self.server.hears = client_hears, server_hears

    def __repr__(self) -> str:
        client, server = (end.get_extra_info("sockname") for end in (self.client, self.server))
        return f"<Connection {client[0]}:{client[1]} to {server[0]}:{server[1]}>"


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


# What travels: bytes, the end of them, or a reset.
_Parcel = bytes | ConnectionResetError | None


class _End(asyncio.Transport):
    """One end of a connection, as asyncio's selector loop would give it to a protocol.

    Bytes are "unsent" until the peer's protocol has them. The first ``_WINDOW`` of them are taken to be in the
    buffers of the two kernels; only what exceeds it waits in the write buffer.
    """

    _WINDOW: Final = 256 * 1024

    def __init__(self, connection: VirtualConnection, sockname: Address, peername: Address) -> None:
        super().__init__({"sockname": sockname, "peername": peername, "socket": None})
        self._connection = connection
        self._protocol: asyncio.Protocol | asyncio.BufferedProtocol = asyncio.Protocol()
        self._flying: deque[_Parcel] = deque()
        self._due = 0.0
        self._arrived: deque[bytes | None] = deque()
        self._unsent = 0
        self._reading = True
        self._eof_written = False
        self._closing = False
        self._writing_paused = False
        self._low, self._high = 16 * 1024, 64 * 1024
        #: the other end
        self.peer: _End = self
        #: whether what the peer sends arrives here
        self.hears = True
        #: when bytes last arrived (loop time), how many have, and how many were written
        self.heard_at = connection.loop.time()
        self.heard = self.wrote = 0
        #: when its protocol last began to read again (loop time)
        self.resumed_at = 0.0
        #: whether the protocol has lost the connection, or will before anything else happens
        self.is_lost = False
        #: whether the protocol has been told of it
        self.has_ended = False

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "closing" if self._closing else "open"
        return f"<{type(self).__name__} {self.get_extra_info('sockname')} {state}>"

    # The transport, as a protocol sees it.

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol | asyncio.BufferedProtocol", protocol)

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self.resumed_at = self._connection.loop.time()
        self._connection.loop.call_soon(self.deliver)

    def get_write_buffer_size(self) -> int:
        return max(0, self._unsent - self._WINDOW)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._low, self._high = low, high
        self._watch_buffer()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        if self._closing or not data:
            return
        if self._eof_written:
            raise RuntimeError("cannot write after write_eof()")
        whole = bytes(data)
        self._unsent += len(whole)
        self.wrote += len(whole)
        size = self._connection.segment_size
        last = self._flying[-1] if self._flying else None
        if size is not None:
            for start in range(0, len(whole), size):
                self._send(whole[start : start + size])
        elif self._connection.merge and isinstance(last, bytes):
            self._flying[-1] = last + whole
        else:
            self._send(whole)
        self._watch_buffer()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._eof_written:
            self._eof_written = True
            self._send(None)

    def close(self) -> None:
        if not self._closing:
            self.write_eof()
            self._stop_reading()
            self._watch_buffer()

    def abort(self) -> None:
        if not self.is_lost:
            self._send(_reset())
            self.lose(None)

    # The way to the other end.

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        self.set_protocol(protocol)
        self._connection.loop.call_soon(protocol.connection_made, self)

    def _send(self, parcel: _Parcel) -> None:
        loop = self._connection.loop
        self._flying.append(parcel)
        # Never before what was sent earlier, however the latency has changed.
        self._due = max(self._due, loop.time() + self._connection.latency)
        if self._connection.bandwidth is not None and isinstance(parcel, bytes):
            self._due += len(parcel) / self._connection.bandwidth
        if self._due > loop.time():
            loop.call_at(self._due, self.land)
        else:
            loop.call_soon(self.land)

    def land(self) -> None:
        if not self._flying:
            return  # the connection was cut meanwhile
        parcel = self._flying.popleft()
        if self.peer.hears:
            self.peer.arrive(parcel)
        elif isinstance(parcel, bytes):
            self.sent(len(parcel))

    def sent(self, size: int) -> None:
        self._unsent -= size
        self._watch_buffer()

    def _watch_buffer(self) -> None:
        waiting = self.get_write_buffer_size()
        if self._closing:
            if not waiting:
                self.lose(None)
        elif not self._writing_paused and waiting > self._high:
            self._writing_paused = True
            self._call(self._protocol.pause_writing)
        elif self._writing_paused and waiting <= self._low:
            self._writing_paused = False
            self._call(self._protocol.resume_writing)

    # What comes from the other end.

    def arrive(self, parcel: _Parcel) -> None:
        if isinstance(parcel, ConnectionResetError):
            self.lose(parcel)
        elif not self._closing:
            if parcel is not None:
                self.heard_at = self._connection.loop.time()
                self.heard += len(parcel)
            self._arrived.append(parcel)
            self.deliver()
        elif parcel is not None and not self.peer.is_lost:
            self._send(_reset())  # what a kernel answers to bytes for a closed socket

    def deliver(self) -> None:
        while self._arrived and self.is_reading():
            data = self._arrived.popleft()
            if data is None:
                if not self._call(self._protocol.eof_received):
                    self.close()
            elif isinstance(self._protocol, asyncio.BufferedProtocol):
                self._fill(self._protocol, data)
            else:
                self.peer.sent(len(data))
                self._call(self._protocol.data_received, data)

    def _fill(self, protocol: asyncio.BufferedProtocol, data: bytes) -> None:
        """Put as much into the protocol's buffer as it has room for; the rest is for its next read."""
        buffer = self._call(protocol.get_buffer, -1)
        if self.is_lost:
            return
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        if count < len(data):
            self._arrived.appendleft(data[count:])
        self.peer.sent(count)
        self._call(protocol.buffer_updated, count)

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Exception as error:
            self._connection.loop.call_exception_handler(
                {
                    "message": f"protocol.{method.__name__}() failed",
                    "exception": error,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
            if not self.is_lost:
                self._send(_reset())
                self.lose(error)

    def _stop_reading(self) -> None:
        self._closing = True
        unread = sum(len(data) for data in self._arrived if data is not None)
        self._arrived.clear()
        if unread:
            self.peer.sent(unread)

    def lose(self, error: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = self._eof_written = True
        self._stop_reading()
        if error is not None:
            self._flying = deque([parcel for parcel in self._flying if isinstance(parcel, Exception)])
        self._connection.loop.call_soon(self._tell_protocol, error)

    def _tell_protocol(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self.has_ended = True
            self._connection.ended(self._connection, self)
