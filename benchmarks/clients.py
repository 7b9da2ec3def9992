"""The clients whose round trips are compared: this package's session, and reference lines.

Another library joins by a class with these four methods and a line in :func:`clients`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from benchmarks.workload import ORDER, PACKAGES, make_session

__all__ = ["Client", "clients"]

_METHOD, _PARAMS = ORDER


class Client(Protocol):
    """What is measured, connected to the answering server. All methods run on one event loop."""

    async def open(self, url: str) -> None:
        """Connect, and log on if the client can."""

    async def one(self) -> None:
        """Send one order and return when its answer is here, decoded."""

    async def many(self, count: int) -> None:
        """Send ``count`` orders without waiting in between and return when the last answer is here, decoded.

        The server answers in order, so the last answer is the end of all.
        """

    async def close(self) -> None:
        """Leave no task and no socket behind."""


class BareProtocol(asyncio.Protocol):
    """Writes a ready-made frame and parses nothing: the event loop, the kernel and the server, no client at all.

    It knows how long an answer is and waits for that many bytes.
    """

    def __init__(self) -> None:
        message = {"id": 1, "method": _METHOD, "params": {**_PARAMS, "timestamp": 1733740063619}}
        self._frame: Final = Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)
        self._length = 0
        self._missing = 0
        self._done: asyncio.Future[None] | None = None
        self._first = b""

    async def open(self, url: str) -> None:
        self._loop = asyncio.get_running_loop()
        parts = urlsplit(url)
        transport, _ = await self._loop.create_connection(lambda: self, parts.hostname or "", parts.port or 0)
        self._transport = transport
        await self._exchange(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await self._exchange(self._frame)
        self._length = len(self._first)

    async def _exchange(self, data: bytes) -> None:
        """Send something, wait for one read, and keep what it brought."""
        self._missing = 1
        self._done = self._loop.create_future()
        self._transport.write(data)
        await self._done

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing <= 0 and self._done is not None:
            if not self._length:
                self._first = data
            self._done.set_result(None)
            self._done = None

    async def one(self) -> None:
        self._missing = self._length
        self._done = self._loop.create_future()
        self._transport.write(self._frame)
        await self._done

    async def many(self, count: int) -> None:
        self._missing = self._length * count
        self._done = done = self._loop.create_future()
        write, frame = self._transport.write, self._frame
        for _ in range(count):
            write(frame)
        await done

    async def close(self) -> None:
        self._transport.close()
        await asyncio.sleep(0)


class ReaderTask:
    """``websockets`` as its documentation shows it: ``send``, a task that reads, ``json``, and a dict of futures."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def open(self, url: str) -> None:
        self._connection = await connect(url, proxy=None, compression=None, ping_interval=None)
        self._task = asyncio.create_task(self._read(self._connection))

    async def _read(self, connection: ClientConnection) -> None:
        async for text in connection:
            message = json.loads(text)
            self._pending.pop(message["id"]).set_result(message)

    async def _send(self) -> asyncio.Future[dict[str, Any]]:
        request_id = next(self._ids)
        params = {**_PARAMS, "timestamp": int(time.time() * 1000)}
        future = self._pending[request_id] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({"id": request_id, "method": _METHOD, "params": params}))
        return future

    async def one(self) -> None:
        await (await self._send())

    async def many(self, count: int) -> None:
        futures = [await self._send() for _ in range(count)]
        await futures[-1]

    async def close(self) -> None:
        await self._connection.close()
        await self._task


class OurSession:
    """This package, logged on, with one of its JSON decoders."""

    def __init__(self, decoder: str) -> None:
        self._decoder = decoder

    async def open(self, url: str) -> None:
        self._session = make_session(self._decoder, url)
        await self._session.open()

    async def one(self) -> None:
        await self._session.request(_METHOD, _PARAMS)

    async def many(self, count: int) -> None:
        submit = self._session.submit
        futures = [submit(_METHOD, _PARAMS) for _ in range(count)]
        await futures[-1]

    async def close(self) -> None:
        await self._session.close()


def clients() -> dict[str, tuple[str, Callable[[], Client]]]:
    """Return name -> (JSON decoder, what makes one); the first is the reference."""
    found: dict[str, tuple[str, Callable[[], Client]]] = {
        "websockets + json + reader task": ("json", ReaderTask),
        "bare asyncio.Protocol, nothing parsed": ("none", BareProtocol),
    }
    for decoder in PACKAGES:
        found[f"binance_session ({decoder})"] = (decoder, lambda decoder=decoder: OurSession(decoder))  # type: ignore[misc]
    return found
