"""One client's WebSocket: ``websockets``' Sans-I/O layer on an asyncio transport."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import uuid
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from binance_session.simulator.clock import Clock
from binance_session.simulator.connections import Connection
from binance_session.simulator.exchange import Exchange
from binance_session.simulator.origins import is_foreign
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
    SendPong,
    SendSplit,
    SendText,
    Wait,
)

__all__ = ["Socket"]

#: bytes of a message from a client
_MAX_SIZE: Final = 1 << 20
#: bytes that may wait for a client that does not read; undocumented, and only to keep the server alive
_UNREAD: Final = 64 << 20
#: seconds for a handshake, and for the client's part of the closing handshake when the simulator is closed
_OPEN_TIMEOUT: Final = 20.0
# RFC 6455 §5.2: FIN and the opcode; behind them the length, in one byte, and no mask
_FINAL_PONG: Final = 0x8A
_PONG_HEADER: Final = 2
_CLOSE_TIMEOUT: Final = 1.0


class _NoFrames(logging.LoggerAdapter[logging.Logger]):
    """A log without websockets' debug lines, which show whole frames: keys and signatures are in them."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        return level > logging.DEBUG and super().isEnabledFor(level)


_log: Final = _NoFrames(logging.getLogger(__name__), {})


class Socket(asyncio.Protocol):
    """One WebSocket, which gives each message to the exchange the moment it is parsed."""

    def __init__(self, exchange: Exchange, clock: Clock, sockets: set[Socket], is_welcome: Callable[[], bool]) -> None:
        """Serve ``exchange``; be in ``sockets`` while there is a TCP connection, which ends at once if unwelcome."""
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.client: Connection | None = None
        self._exchange = exchange
        self._clock = clock
        self._sockets = sockets
        self._is_welcome = is_welcome
        self._protocol = ServerProtocol(max_size=_MAX_SIZE, logger=_log)
        self._gone = asyncio.Event()
        self._handshake: asyncio.Task[None] | None = None
        self._fragments: list[bytes] = []
        # actions that wait until a frame has been written in small pieces
        self._held: deque[Action] | None = None

    # The TCP connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake's request."""
        self.transport = cast("asyncio.Transport", transport)
        self._sockets.add(self)
        self._too_late = self.loop.call_later(_OPEN_TIMEOUT, self.transport.abort)
        if not self._is_welcome():  # accepted just before the server was closed, which would wait for this connection
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer what the library answers by itself, and give the rest to the exchange."""
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        self._flush()
        for event in events:
            if isinstance(event, Request):
                self._handshake = self.loop.create_task(self._answer(event), name="simulator: handshake")
            elif isinstance(event, Frame) and self.client is not None and not self.client.muted:
                self._take(self.client, event)

    def eof_received(self) -> None:
        """Called when the client will send no more; the transport closes by itself afterwards."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the TCP connection is gone."""
        self._too_late.cancel()
        if self._handshake is not None:
            self._handshake.cancel()
        if self.client is not None:
            self._exchange.disconnect(self.client)
        self._sockets.discard(self)
        self._gone.set()

    async def close(self) -> None:
        """Close with 1001, or as soon as that has taken too long; return when the TCP connection is gone."""
        if self._protocol.state is State.CONNECTING:
            self.transport.abort()
        elif self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.GOING_AWAY)
            self._flush()
        timer = self.loop.call_later(_CLOSE_TIMEOUT, self.transport.abort)
        try:
            await self._gone.wait()
        finally:
            timer.cancel()

    # The handshake

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._accept(request)
        except Refusal as refusal:
            response = self._protocol.reject(refusal.status, f"{refusal.message}\n")
            if refusal.data is not None and "retryAfter" in refusal.data:
                wait = refusal.data["retryAfter"] / 1000 - self._clock.time()
                response.headers["Retry-After"] = str(max(1, round(wait)))
        self._too_late.cancel()
        response.headers["x-mbx-uuid"] = str(uuid.uuid4())
        self._protocol.send_response(response)
        self._flush()

    async def _accept(self, request: Request) -> Response:
        """Register the connection with the exchange. Raises :class:`Refusal`."""
        host = request.headers.get("Host", "")
        if any(is_foreign(origin, host, loopback=self._on_loopback) for origin in request.headers.get_all("Origin")):
            return self._protocol.reject(403, "This page is of another host\n")
        peer = self.transport.get_extra_info("peername")
        address = peer[0] if peer else "127.0.0.1"
        for action in self._exchange.before_handshake(address, request.path):
            if isinstance(action, Wait):
                await self._wait(action.seconds)
            elif isinstance(action, Drop):
                self.transport.abort()
        response = self._protocol.accept(request)
        if response.status_code == 101 and not self.transport.is_closing():
            self.client = self._exchange.connect(address, request.path, self.perform)
        return response

    @property
    def _on_loopback(self) -> bool:
        """Whether the server's address of this connection is a loopback address."""
        here = self.transport.get_extra_info("sockname")
        return bool(here) and ipaddress.ip_address(here[0].partition("%")[0]).is_loopback

    async def _wait(self, seconds: float) -> None:
        over = asyncio.Event()
        timer = self._clock.call_at(self._clock.time() + seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    # What comes

    def _take(self, client: Connection, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.CONT:
            if frame.data:  # the length of a message is bounded, the number of its empty fragments is not
                self._fragments.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(self._fragments)
                self._fragments.clear()
                self._receive(client, data)
        elif opcode is Opcode.BINARY:
            self._exchange.binary(client)
        elif opcode is Opcode.PONG:
            self._exchange.pong(client, bytes(frame.data))
        elif opcode is Opcode.PING:
            self._exchange.control_frame(client)

    def _receive(self, client: Connection, data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._exchange.close(client, CloseCode.INVALID_DATA)
            return
        self._exchange.receive(client, text)

    # What goes

    def _flush(self) -> None:
        """Write the library's output; nothing may come between the pieces of a frame, not even its pongs."""
        if self._held is not None:
            return
        muted = self.client is not None and self.client.muted
        for data in self._protocol.data_to_send():
            if muted or self.transport.is_closing():
                continue
            if data:
                if data[0] != _FINAL_PONG or self.client is None or self._pong_is_due(self.client, data):
                    self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()
        if self.transport.get_write_buffer_size() > _UNREAD:
            self.perform(Drop())

    def _pong_is_due(self, client: Connection, frame: bytes) -> bool:
        return self._exchange.pong_due(client, frame[_PONG_HEADER:])

    def perform(self, action: Action) -> None:
        """Perform one action on the socket; after the connection has ended it is dropped."""
        if isinstance(action, Drop):
            if self.client is not None:
                self._exchange.disconnect(self.client)
            self.transport.abort()
        elif self._held is not None:
            self._held.append(action)
        elif self._protocol.state is State.OPEN:
            self._write(action)

    def _write(self, action: Action) -> None:
        protocol = self._protocol
        if isinstance(action, SendText):
            protocol.send_text(action.text.encode())
        elif isinstance(action, SendPing):
            protocol.send_ping(action.data)
            self.loop.call_soon(self._await_pong)
        elif isinstance(action, SendPong):  # not by the library: that one would be late again
            self.transport.write(bytes((_FINAL_PONG, len(action.data))) + action.data)
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
        self._flush()

    def _await_pong(self) -> None:
        if self.client is not None and self.client.open:
            self._exchange.await_pong(self.client)

    def _send_fragments(self, action: SendFragments) -> None:
        data = action.text.encode()
        size = max(1, -(-len(data) // action.pieces))
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        if len(pieces) < 2:
            pieces.append(b"")
        self._protocol.send_text(pieces[0], fin=False)
        self._protocol.send_ping(b"between")
        for piece in pieces[1:-1]:
            self._protocol.send_continuation(piece, fin=False)
        self._protocol.send_continuation(pieces[-1], fin=True)

    def _trickle(self, data: memoryview, size: int) -> None:
        if self.client is None or not self.client.open:
            return
        self.transport.write(data[:size])
        if len(data) > size:
            self.loop.call_soon(self._trickle, data[size:], size)
            return
        held, self._held = self._held, None
        self._flush()
        for action in held or ():
            self.perform(action)
