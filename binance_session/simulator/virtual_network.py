"""A network in memory: transports joined pairwise, and the faults of a real one, by name.

Of an event loop it needs no more than timers. On the loop of :mod:`binance_session.simulator.virtual` latency
costs no real time and every run is alike.

Faults are set on the network, for connections to come, or on one :class:`VirtualConnection`, at any time.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from binance_session.simulator.virtual_connection import Address, LineSettings, VirtualConnection

__all__ = ["Network", "ProtocolFactory"]

ProtocolFactory = Callable[[], asyncio.BaseProtocol]

_ANY_HOST: Final = "0.0.0.0"  # noqa: S104
_LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 49_152


class Network(LineSettings):
    """The network of one loop: who listens, who is connected, and how the lines behave.

    ``latency`` (seconds one way), ``bandwidth`` (bytes/s), ``segment_size`` (bytes) and ``merge`` are the settings of
    connections to come; they are explained, and can be changed later, at :class:`VirtualConnection`. While
    ``drops_connects`` is true an attempt to connect gets no answer at all, as behind a dead router; while
    ``refuses_connects`` is, it is refused, as by a machine whose server is down; while ``bad_certificates`` is, TLS
    ends with :class:`ssl.SSLCertVerificationError`, as behind a portal. ``black_holes`` are addresses at which attempts
    get no answer. What is connected already is not touched by any of them. ``names`` gives a host several addresses,
    in the order in which a look-up tells them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.drops_connects = False
        self.refuses_connects = False
        self.bad_certificates = False
        self.black_holes: set[str] = set()
        self.names: dict[str, tuple[str, ...]] = {}
        #: every connection with an end that is not closed, oldest first
        self.connections: list[VirtualConnection] = []
        self._servers: dict[Address, _Server] = {}
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
        """Return a port that was not used before."""
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
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nothing listens at {host}:{port}")
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
        connection = VirtualConnection(self.loop, here, there, partial(self._ended, server))
        connection.copy_settings(self)
        self.connections.append(connection)
        server.connections.append(connection)
        # The server first: it must know of the connection before the first bytes.
        connection.server.begin(server_protocol)
        connection.client.begin(protocol)
        try:
            await asyncio.sleep(0)  # until connection_made has been called on both
        except asyncio.CancelledError:
            connection.client.abort()
            raise
        return connection.client, protocol

    def _ended(self, server: _Server, connection: VirtualConnection, end: asyncio.Transport) -> None:
        if connection.client.has_ended and connection.server.has_ended:
            self.connections.remove(connection)
        if end is connection.server:
            server.detach(connection)


def _bad_certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
    error.verify_code, error.verify_message = 18, "self-signed certificate"  # as only the ssl module does by itself
    return error


class _ListeningSocket:
    """Stands for the server's socket in ``sockets``; it only has a name."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        return self._address


class _Server(asyncio.AbstractServer):
    """What ``create_server`` returns. ``wait_closed`` waits for its connections too, on every Python."""

    def __init__(
        self,
        network: Network,
        register: dict[Address, _Server],
        factory: ProtocolFactory,
        addresses: tuple[Address, ...],
        *,
        secure: bool,
    ) -> None:
        self.factory = factory
        self.secure = secure
        self.connections: list[VirtualConnection] = []
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

    def detach(self, connection: VirtualConnection) -> None:
        self.connections.remove(connection)
        self._check_gone()

    def _check_gone(self) -> None:
        if self._closed and not self.connections:
            self._all_gone.set()
