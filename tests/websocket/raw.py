"""A server of raw bytes, and what a connection to it receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from binance_session.config import ConnectionOptions
from binance_session.websocket.connection import Connection
from binance_session.websocket.dialing import dial


class Collector:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes | str]] = []

    def message_received(self, data: bytes | bytearray) -> None:
        self.got.append(("text", bytes(data)))

    def binary_received(self, data: bytes | bytearray) -> None:
        self.got.append(("binary", bytes(data)))

    def connection_ending(self, reason: str) -> None:
        self.got.append(("end", reason))

    def answers(self) -> int:
        return 0


class RawServer:
    """Does the handshake of one client, then writes whatever bytes it is told and keeps what it reads."""

    def __init__(self) -> None:
        self.port = 0
        self.writer: asyncio.StreamWriter
        self.protocol = ServerProtocol()
        self.ready = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        protocol = self.protocol
        while data := await reader.read(65536):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                    self._flush()
                    self.ready.set()
        writer.close()

    def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)

    def write(self, data: bytes) -> None:
        self.writer.write(data)


@asynccontextmanager
async def raw_server() -> AsyncIterator[RawServer]:
    raw = RawServer()
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[RawServer, Collector, Connection]]:
    collector = Collector()
    async with raw_server() as raw:
        connection = await dial(ConnectionOptions(f"ws://127.0.0.1:{raw.port}", proxy=None, **options), collector)
        await raw.ready.wait()
        yield raw, collector, connection
        await connection.drop()
        raw.writer.transport.abort()


def frame(opcode: Opcode, data: bytes | bytearray | memoryview, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


class Recorder:
    """Stands before a connection's transport, whose ``write`` not every loop lets be replaced, and keeps its writes."""

    def __init__(self, connection: Connection) -> None:
        self._transport = connection.transport
        self.writes: list[list[str]] = []
        connection.transport = connection._writer.transport = self  # type: ignore[assignment]

    def write(self, data: bytes) -> None:
        self.writes.append(list(_messages(bytes(data))))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _messages(data: bytes) -> Any:
    """Yield the payload of each masked text frame below 64 KiB, and the name of any other."""
    while data:
        length, begin = data[1] & 0x7F, 6
        if length == 126:
            length, begin = int.from_bytes(data[2:4], "big"), 8
        mask, payload = data[begin - 4 : begin], data[begin : begin + length]
        text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        yield text.decode() if data[0] & 0x0F == Opcode.TEXT else Opcode(data[0] & 0x0F).name
        data = data[begin + length :]
