"""A network in memory: transports joined pairwise, and the faults of a real one, by name.

Of an event loop it needs no more than timers. On the loop of :mod:`binance_session.simulator.virtual` latency
costs no real time and every run is alike.

Faults are set on the network, for connections to come, or on one :class:`Connection`, at any time.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

__all__ = ["Connection", "Network", "ProtocolFactory"]

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
_Address = tuple[str, int]

_ANY_HOST: Final = "0.0.0.0"  # noqa: S104
_LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 49_152


class Network:
    """The network of one loop: who listens, who is connected, and how the lines behave.

    ``latency`` (seconds one way), ``bandwidth`` (bytes/s), ``segment_size`` (bytes) and ``merge`` are the settings of
    connections to come; they are explained, and can be changed later, at :class:`Connection`. While
    ``drops_connects`` is true an attempt to connect gets no answer at all, as behind a dead router; while
    ``refuses_connects`` is, it is refused, as by a machine whose server is down; while ``bad_certificates`` is, TLS
    ends with :class:`ssl.SSLCertVerificationError`, as behind a portal. ``black_holes`` are addresses at which attempts
    get no answer. What is connected already is not touched by any of them. ``names`` gives a host several addresses,
    in the order in which a look-up tells them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.latency = 0.0
        self.bandwidth: float | None = None
        self.segment_size: int | None = None
        self.merge = False
        self.drops_connects = False
        self.refuses_connects = False
        self.bad_certificates = False
        self.black_holes: set[str] = set()
        self.names: dict[str, tuple[str, ...]] = {}
        #: every connection with an end that is not closed, oldest first
        self.connections: list[Connection] = []
        self._servers: dict[_Address, _Server] = {}
        self._addresses: dict[str, str] = {}
        self._last_port = _FIRST_PORT - 1

    @property
    def servers(self) -> list[asyncio.AbstractServer]:
        """Every server that listens."""
        return list(dict.fromkeys(self._servers.values()))

    def address(self, host: str | None) -> str:
        """Return the IP address of ``host``: its own if it is one, else one made up at the first question."""
        if not host:
            return _ANY_HOST
        if host in ("localhost", "::1"):
            return _LOOPBACK
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            # 198.18.0.0/15 is set aside for tests (RFC 2544).
            made_up = ipaddress.ip_address("198.18.0.1") + len(self._addresses)
            return self._addresses.setdefault(host.lower(), str(made_up))

    def free_port(self) -> int:
        """Return a port that nobody has been given yet."""
        self._last_port += 1
        return self._last_port

    def serve(
        self, factory: ProtocolFactory, hosts: Iterable[str | None], port: int, *, secure: bool
    ) -> asyncio.AbstractServer:
        """Return a server that does not listen yet; ``port`` 0 stands for a free one."""
        port = port or self.free_port()
        addresses = dict.fromkeys((self.address(host), port) for host in hosts)
        return _Server(self, self._servers, factory, tuple(addresses), secure=secure)

    async def connect(
        self, factory: ProtocolFactory, host: str, port: int, *, secure: bool
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Join a new client to the server at ``host`` and ``port``, one round trip from now."""
        await self.reach(host, port)
        return await self.join(factory, host, port, secure=secure)

    async def reach(self, host: str, port: int) -> None:
        """Return after one round trip, if a server listens at ``host`` and ``port``."""
        await asyncio.sleep(2 * self.latency)
        if self.drops_connects or self.address(host) in self.black_holes:
            await self.loop.create_future()
        self._server(host, port)

    def _server(self, host: str, port: int) -> _Server:
        server = self._servers.get((self.address(host), port)) or self._servers.get((_ANY_HOST, port))
        if server is None or self.refuses_connects:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host}:{port}")
        return server

    async def join(
        self, factory: ProtocolFactory, host: str, port: int, *, secure: bool
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Join a new client to the server at ``host`` and ``port``, which it has reached."""
        there = (self.address(host), port)
        server = self._server(host, port)
        if server.secure != secure:
            raise ConnectionResetError(errno.ECONNRESET, f"only one side of {host}:{port} speaks TLS")
        if secure and self.bad_certificates:
            raise _bad_certificate()
        here = (_LOOPBACK if there[0] == _LOOPBACK else "198.19.0.1", self.free_port())
        protocol, server_protocol = factory(), server.factory()
        connection = Connection(self, server, here, there)
        self.connections.append(connection)
        # The server first: it must know of the connection before the first bytes.
        connection.server.begin(server_protocol)
        connection.client.begin(protocol)
        try:
            await asyncio.sleep(0)  # until connection_made has been called on both
        except asyncio.CancelledError:
            connection.client.abort()
            raise
        return connection.client, protocol


class Connection:
    """One connection in memory, its two ends, and the faults that can be done to it.

    Attributes, to be changed at any time:

    ``latency``
        Seconds from a write to its arrival. The order of what is on its way never changes.
    ``bandwidth``
        Bytes/s that pass; ``None``: as many as there are. With a ``segment_size`` a long write trickles in.
    ``segment_size``
        Writes are cut into pieces of so many bytes, which arrive one by one; ``None``: they are not.
    ``merge``
        A write joins what the same end has on its way, and arrives with it, in one piece; without effect
        while ``segment_size`` is set.

    ``client`` and ``server`` are the transports of the two ends.
    """

    def __init__(self, network: Network, server: _Server, here: _Address, there: _Address) -> None:
        self.latency = network.latency
        self.bandwidth = network.bandwidth
        self.segment_size = network.segment_size
        self.merge = network.merge
        self.loop: Final = network.loop
        self.client: Final = _End(self, here, there)
        self.server: Final = _End(self, there, here)
        self.client.peer, self.server.peer = self.server, self.client
        self._network = network
        self._server = server
        self._ends_left = 2
        server.connections.append(self)

    @property
    def is_open(self) -> bool:
        """Whether neither end has begun to close."""
        return not (self.client.is_closing() or self.server.is_closing())

    def cut(self) -> None:
        """Reset the connection: both ends lose it now, and what was on its way is gone."""
        self.client.lose(_reset())
        self.server.lose(_reset())

    def half_open(self, *, client_hears: bool = False, server_hears: bool = False) -> None:
        """Let all that goes to an end that hears nothing vanish, what is on its way included; tell nobody."""
        self.client.hears, self.server.hears = client_hears, server_hears

    def __repr__(self) -> str:
        client, server = (end.get_extra_info("sockname") for end in (self.client, self.server))
        return f"<Connection {client[0]}:{client[1]} to {server[0]}:{server[1]}>"

    def ended(self, end: asyncio.Transport) -> None:
        """Take note that the protocol of an end has lost the connection."""
        self._ends_left -= 1
        if self._ends_left == 0:
            self._network.connections.remove(self)
        if end is self.server:
            self._server.detach(self)


def _bad_certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
    error.verify_code, error.verify_message = 18, "self-signed certificate"  # as only the ssl module does by itself
    return error


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

    def __init__(self, connection: Connection, sockname: _Address, peername: _Address) -> None:
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
            self._connection.ended(self)


class _ListeningSocket:
    """What remains of a socket when there is none: its name."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM

    def __init__(self, address: _Address) -> None:
        self._address = address

    def getsockname(self) -> _Address:
        return self._address


class _Server(asyncio.AbstractServer):
    """What ``create_server`` returns. ``wait_closed`` waits for its connections too, on every Python."""

    def __init__(
        self,
        network: Network,
        register: dict[_Address, _Server],
        factory: ProtocolFactory,
        addresses: tuple[_Address, ...],
        *,
        secure: bool,
    ) -> None:
        self.factory = factory
        self.secure = secure
        self.connections: list[Connection] = []
        self._network = network
        self._register = register
        self._addresses = addresses
        self._closed = False
        self._all_gone = asyncio.Event()

    @property
    def sockets(self) -> tuple[_ListeningSocket, ...]:
        return () if self._closed else tuple(map(_ListeningSocket, self._addresses))

    def __repr__(self) -> str:
        return f"<Server at {', '.join(f'{host}:{port}' for host, port in self._addresses)}>"

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop

    def is_serving(self) -> bool:
        return self in self._register.values()

    async def start_serving(self) -> None:
        if self._closed:
            raise RuntimeError("the server is closed")
        for address in self._addresses:
            if self._register.get(address, self) is not self:
                raise OSError(errno.EADDRINUSE, f"address {address} is already in use")
        self._register.update(dict.fromkeys(self._addresses, self))

    async def serve_forever(self) -> None:
        await self.start_serving()
        try:
            await self._network.loop.create_future()
        finally:
            self.close()

    def close(self) -> None:
        if self.is_serving():
            for address in self._addresses:
                del self._register[address]
        self._closed = True
        self._check_gone()

    def close_clients(self) -> None:
        for connection in list(self.connections):
            connection.server.close()

    def abort_clients(self) -> None:
        for connection in list(self.connections):
            connection.server.abort()

    async def wait_closed(self) -> None:
        await self._all_gone.wait()

    def detach(self, connection: Connection) -> None:
        self.connections.remove(connection)
        self._check_gone()

    def _check_gone(self) -> None:
        if self._closed and not self.connections:
            self._all_gone.set()
