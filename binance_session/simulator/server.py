"""The exchange on real sockets: a thin layer over ``websockets``."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl as tls
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, MutableSequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State

from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock, LoopClock
from binance_session.simulator.connections import Connection
from binance_session.simulator.exchange import Exchange, Executed, Pushed, Received
from binance_session.simulator.faults import Fault, Injected
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.origins import is_foreign
from binance_session.simulator.readings import Readings
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.wire import (
    Action,
    Close,
    Drop,
    Mute,
    SendBinary,
    SendFragments,
    SendMerged,
    SendPing,
    SendSplit,
    SendText,
    Wait,
)
from binance_session.venues import Venue

if TYPE_CHECKING:
    from binance_session.simulator.keys import PublicKey

__all__ = ["Simulator"]


class _NoFrames(logging.LoggerAdapter[logging.Logger]):
    """A log without websockets' debug lines, which show whole frames: keys and signatures are in them."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        return level > logging.DEBUG and super().isEnabledFor(level)


_log: Final = _NoFrames(logging.getLogger(__name__), {})
_CONTROL: Final = (Opcode.PING, Opcode.PONG)
#: bytes that may wait for a client that does not read; undocumented, and only to keep the server alive
_UNREAD: Final = 64 << 20


class _Socket(ServerConnection):
    """One WebSocket, which gives each message to the exchange the moment it is parsed."""

    client: Connection | None = None
    exchange: Exchange
    _fragments: list[bytes]
    #: actions that wait until a frame has been written in small pieces
    _held: deque[Action] | None = None

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can have connected to where it did."""
        address = self.local_address
        return address is not None and ipaddress.ip_address(address[0].partition("%")[0]).is_loopback

    async def accept(self, exchange: Exchange, clock: Clock, target: str) -> None:
        """Register the connection with the exchange. Raises :class:`Refusal`."""
        peer = self.remote_address
        address = peer[0] if peer else "127.0.0.1"
        for action in exchange.knock(address, target):
            if isinstance(action, Wait):
                await self._wait(clock, action.seconds)
            elif isinstance(action, Drop):
                self.transport.abort()
        self._fragments = []
        self.exchange = exchange
        if not self.transport.is_closing():
            self.client = exchange.connect(address, target, self.perform)

    async def _wait(self, clock: Clock, seconds: float) -> None:
        over = asyncio.Event()
        timer = clock.call_at(clock.time() + seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    def process_event(self, event: Event) -> None:
        client = self.client
        if client is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        if client.muted:
            return
        opcode = event.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.CONT:
            if event.data:  # the length of a message is bounded, the number of its empty fragments is not
                self._fragments.append(bytes(event.data))
            if event.fin:
                data = b"".join(self._fragments)
                self._fragments.clear()
                self._receive(client, data)
        elif opcode is Opcode.BINARY:
            self.exchange.binary(client)
        elif opcode is Opcode.PONG:
            self.exchange.pong(client, bytes(event.data))
        elif opcode is Opcode.PING:
            self.exchange.control_frame(client)

    def _receive(self, client: Connection, data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.exchange.close(client, CloseCode.INVALID_DATA)
            return
        self.exchange.receive(client, text)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            self.exchange.disconnect(self.client)
        super().connection_lost(exc)

    def send_data(self) -> None:
        # Nothing may come between the pieces of a frame, not even the library's own pongs.
        if self.client is not None and self.client.muted:
            self.protocol.data_to_send()
        elif self._held is None:
            super().send_data()
            if self.transport.get_write_buffer_size() > _UNREAD:
                self.perform(Drop())

    def perform(self, action: Action) -> None:
        """Do one thing to the socket; what comes too late for that is lost, as it would be on the way."""
        if isinstance(action, Drop):
            if self.client is not None:
                self.exchange.disconnect(self.client)
            self.transport.abort()
        elif self._held is not None:
            self._held.append(action)
        elif self.protocol.state is State.OPEN:
            self._write(action)

    def _write(self, action: Action) -> None:
        protocol = self.protocol
        if isinstance(action, SendText):
            protocol.send_text(action.text.encode())
        elif isinstance(action, SendPing):
            protocol.send_ping(action.data)
            self.loop.call_soon(self._await_pong)
        elif isinstance(action, SendBinary):
            protocol.send_binary(action.data)
        elif isinstance(action, SendFragments):
            self._send_fragments(action)
        elif isinstance(action, SendMerged):
            for text in action.texts:
                protocol.send_text(text.encode())
            self.transport.write(b"".join(protocol.data_to_send()))
        elif isinstance(action, SendSplit):
            protocol.send_text(action.text.encode())
            self._held = deque()
            self._trickle(memoryview(b"".join(protocol.data_to_send())), action.size)
        elif isinstance(action, Mute):
            if self.client is not None:
                self.client.muted = True
        elif isinstance(action, Close):
            protocol.send_close(action.code, action.reason)
            if self.client is not None:
                self.client.closing = True
        self.send_data()

    def _await_pong(self) -> None:
        if self.client is not None and self.client.open:
            self.exchange.await_pong(self.client)

    def _send_fragments(self, action: SendFragments) -> None:
        data = action.text.encode()
        size = max(1, -(-len(data) // action.pieces))
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        if len(pieces) < 2:
            pieces.append(b"")
        self.protocol.send_text(pieces[0], fin=False)
        self.protocol.send_ping(b"between")
        for piece in pieces[1:-1]:
            self.protocol.send_continuation(piece, fin=False)
        self.protocol.send_continuation(pieces[-1], fin=True)

    def _trickle(self, data: memoryview, size: int) -> None:
        if self.client is None or not self.client.open:
            return
        self.transport.write(data[:size])
        if len(data) > size:
            self.loop.call_soon(self._trickle, data[size:], size)
            return
        held, self._held = self._held, None
        self.send_data()
        for action in held or ():
            self.perform(action)


class Simulator:
    """An exchange on a real WebSocket server, for clients in any language.

    ::

        async with Simulator(COIN_M) as simulator:
            simulator.add_key("API-KEY", public_key=pem)
            ...  # connect to simulator.url

    ``port=0`` takes a free one; ``ssl`` is a server's context and makes the URLs ``wss://``. ``clock`` is a
    :class:`LoopClock` unless given. ``readings`` settles what the documents leave open, ``enforce_limits=False``
    counts weights and orders without refusing anything, and ``record`` bounds how many entries
    ``received``, ``executed`` and ``pushed`` keep. ``exchange`` is the exchange itself, for whatever has no short cut
    here.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        ssl: tls.SSLContext | None = None,
        readings: Readings | None = None,
        enforce_limits: bool = True,
        record: int | None = None,
    ) -> None:
        self.venue = venue
        self.clock: Clock = LoopClock() if clock is None else clock
        self.exchange = Exchange(venue, self.clock, readings=readings, enforce_limits=enforce_limits, record=record)
        self._host = host
        self._port = port
        self._ssl = ssl
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises :class:`OSError` if the address is taken, :class:`RuntimeError` if it listens already."""
        if self._server is not None:
            raise RuntimeError("the simulator is running")
        self._server = await serve(
            self._serve,
            self._host,
            self._port,
            ssl=self._ssl,
            create_connection=_Socket,
            process_request=self._handshake,
            process_response=_name,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            open_timeout=20,
            max_size=1 << 20,
            logger=_log,
            server_header=None,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Close every connection with 1001, stop listening, and leave nothing behind. Doing so twice does nothing."""
        server, self._server = self._server, None
        for connection in self.connections:
            if connection.muted:
                connection.drop()
        if server is not None:
            server.close()
            await server.wait_closed()
        self.exchange.shut_down()

    @property
    def url(self) -> str:
        """Where the API is: ``ws://127.0.0.1:PORT/ws-dapi/v1``."""
        return self._base + urlsplit(self.venue.url).path

    @property
    def stream_url(self) -> str | None:
        """Base of the stream socket, with ``Venue.stream_path`` behind it; ``None`` for Spot."""
        if self.venue.stream_url is None:
            return None
        return self._base + urlsplit(self.venue.stream_url).path

    @property
    def _base(self) -> str:
        if self._server is None:
            raise RuntimeError("the simulator is not running")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'ws' if self._ssl is None else 'wss'}://{host}:{self._port}"

    @property
    def received(self) -> MutableSequence[Received]:
        """Every text message from clients, in order."""
        return self.exchange.received

    @property
    def executed(self) -> MutableSequence[Executed]:
        """Every request that took effect, in order, whatever its client was told."""
        return self.exchange.executed

    @property
    def pushed(self) -> MutableSequence[Pushed]:
        """Every user data event, in order, once for each stream that it was sent to, or once for nobody."""
        return self.exchange.pushed

    @property
    def connections(self) -> list[Connection]:
        """The live connections, oldest first."""
        return self.exchange.connections

    def add_key(
        self,
        api_key: str,
        *,
        public_key: PublicKey | None = None,
        secret: str | None = None,
        permissions: Iterable[str] | None = None,
        account: Account | None = None,
        addresses: Iterable[str] | None = None,
    ) -> ApiKeyRecord:
        """Register an API key: ``public_key`` (Ed25519 or RSA, told by the key itself) or ``secret`` (HMAC).

        All permissions and the shared account unless given. Raises :class:`ValueError` for a key that is neither.
        """
        return self.exchange.add_key(
            api_key,
            public_key=public_key,
            secret=secret,
            permissions=permissions,
            account=account,
            addresses=addresses,
        )

    def revoke(self, api_key: str) -> None:
        """Make a key invalid; sessions that are logged on with it learn so at their next request."""
        self.exchange.revoke(api_key)

    def restore(self, api_key: str) -> None:
        """Make a revoked key valid again."""
        self.exchange.restore(api_key)

    def inject(self, fault: Fault) -> Injected:
        """Put a fault to work, and return a handle that counts and removes it."""
        return self.exchange.inject(fault)

    def broadcast_shutdown(self) -> None:
        """Send the event ``serverShutdown`` to every API socket."""
        self.exchange.broadcast_shutdown()

    def push(self, event: Mapping[str, Any], account: Account | None = None) -> int:
        """Send a user data event to all who listen to an account; return to how many streams it went."""
        return self.exchange.push(event, account)

    def push_event(self, name: str, account: Account | None = None, **fields: Any) -> int:
        """Send an event by its type, with the fields of the documents' example, some of them changed.

        Returns to how many streams it went; raises :class:`ValueError` for a type that the product does not have.
        """
        return self.exchange.push_event(name, account, **fields)

    def set_price(self, symbol: str, price: Decimal | str) -> None:
        """Move the market: resting orders that the price reaches are filled, each at its own price."""
        self.exchange.set_price(symbol, price)

    def transfer(self, asset: str, change: Decimal | str, account: Account | None = None) -> None:
        """Change a balance as a deposit or a withdrawal does, and tell of it."""
        self.exchange.transfer(asset, change, account)

    def expire_listen_keys(self, account: Account | None = None, *, tell: bool = True) -> int:
        """End an account's listenKeys as if their time had run out, with a word to the sockets or without."""
        return self.exchange.expire_listen_keys(account, tell=tell)

    def stop_listen_keys(self, account: Account | None = None) -> int:
        """End an account's listenKeys as another client's ``userDataStream.stop`` does."""
        return self.exchange.stop_listen_keys(account)

    async def _handshake(self, socket: ServerConnection, request: Request) -> Response | None:
        if not isinstance(socket, _Socket):
            raise TypeError(f"not a connection of this server: {type(socket).__name__}")
        if any(
            is_foreign(origin, request.headers.get("Host", ""), loopback=socket.on_loopback)
            for origin in request.headers.get_all("Origin")
        ):
            return socket.respond(403, "This page is of another host\n")
        try:
            await socket.accept(self.exchange, self.clock, request.path)
        except Refusal as refusal:
            response = socket.respond(refusal.status, f"{refusal.message}\n")
            if refusal.data is not None and "retryAfter" in refusal.data:
                wait = refusal.data["retryAfter"] / 1000 - self.clock.time()
                response.headers["Retry-After"] = str(max(1, round(wait)))
            return response
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        await socket.wait_closed()


def _name(_socket: ServerConnection, _request: Request, response: Response) -> None:
    headers: Headers = response.headers
    headers["x-mbx-uuid"] = str(uuid.uuid4())
