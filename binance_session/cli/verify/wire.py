"""One WebSocket, as plain as it can be: every frame is seen, and a pong can be withheld.

A session's own connection hides what it deals with (pings, fragments, extensions); here that is what is asked about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from binance_session.config import ConnectionOptions
from binance_session.websocket.dialing import DiscreetLogger, reach

__all__ = ["Wire", "open_wire"]

# RFC 6455 §5.2: FIN and the opcode
_FINAL_PONG: Final = 0x8A
#: seconds for the closing handshake
_CLOSE_TIMEOUT: Final = 2.0


class Wire(asyncio.Protocol):
    """A client's WebSocket that hands each message, ping and end to functions.

    ``heard(kind, data)`` is called for "text", "binary", "ping" and "close"; ``ended(code, reason)`` once when the TCP
    connection is gone. While ``answers_pings`` is false no pong is sent.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        heard: Callable[[str, bytes], None],
        ended: Callable[[int | None, str], None],
    ) -> None:
        self.answers_pings = True
        self.transport: asyncio.Transport
        loop = asyncio.get_running_loop()
        self.response: asyncio.Future[Response | None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._protocol = protocol
        self._heard = heard
        self._ended = ended
        self._fragments = bytearray()
        self._kind = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake's request."""
        self.transport = cast("asyncio.Transport", transport)
        request = self._protocol.connect()
        request.headers["User-Agent"] = "binance_session verify"
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand on every frame."""
        self._protocol.receive_data(data)
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self.response.set_result(event)
            elif isinstance(event, Frame):
                self._take(event)

    def eof_received(self) -> None:
        """Called when nothing more will come."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the TCP connection is gone."""
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()
        if not self.response.done():
            self.response.set_result(None)
        if not self._gone.done():
            self._gone.set_result(None)
            code = self._protocol.close_code
            self._ended(None if code == CloseCode.ABNORMAL_CLOSURE else code, self._protocol.close_reason or "")

    def _take(self, frame: Frame) -> None:
        opcode, data = frame.opcode, bytes(frame.data)
        if opcode is Opcode.PING:
            self._heard("ping", data)
        elif opcode is Opcode.CLOSE:
            self._heard("close", data)
        elif opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if opcode is not Opcode.CONT:
                self._kind = "text" if opcode is Opcode.TEXT else "binary"
            self._fragments += data
            if frame.fin:
                message, self._fragments = bytes(self._fragments), bytearray()
                self._heard(self._kind, message)

    @property
    def is_gone(self) -> bool:
        """Whether the TCP connection has ended."""
        return self._gone.done()

    def send(self, text: str) -> bool:
        """Send one text message, and return whether there was still a connection to send it on."""
        if self._protocol.state is not State.OPEN or self.transport.is_closing():
            return False
        self._protocol.send_text(text.encode())
        self._flush()
        return True

    async def close(self) -> None:
        """End the connection; it is aborted if the other side does not answer."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        else:
            self.transport.abort()
        timer = asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self.transport.abort)
        try:
            await self._gone
        finally:
            timer.cancel()

    def drop(self) -> None:
        """End the TCP connection at once."""
        self.transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self.transport.is_closing():
                continue
            if not data:
                if self.transport.can_write_eof():
                    self.transport.write_eof()
                else:
                    self.transport.close()
            elif data[0] != _FINAL_PONG or self.answers_pings:
                self.transport.write(data)


async def open_wire(
    options: ConnectionOptions,
    heard: Callable[[str, bytes], None],
    ended: Callable[[int | None, str], None],
) -> tuple[Wire, Response]:
    """Open a connection, and return it with the handshake's answer, which may be a refusal.

    Raises what kept it from being opened: :class:`OSError`, :class:`TimeoutError`, ``InvalidHandshake``.
    """
    extensions = [ClientPerMessageDeflateFactory()] if options.compression == "deflate" else None
    protocol = ClientProtocol(
        parse_uri(options.url),
        extensions=extensions,
        max_size=options.max_size,
        logger=DiscreetLogger(logging.getLogger("binance_session.websocket"), {}),
    )
    wire: Wire | None = None
    try:
        async with asyncio.timeout(options.open_timeout):
            wire = await reach(options, lambda: Wire(protocol, heard, ended))
            response = await wire.response
            if response is None:
                raise protocol.handshake_exc or ConnectionError("the connection ended during the handshake")
            if response.status_code == 101 and protocol.handshake_exc is not None:
                raise protocol.handshake_exc
            if response.status_code != 101:
                wire.drop()
            return wire, response
    except BaseException:
        if wire is not None:
            wire.drop()
        raise
