"""The clients whose round trips are compared: this package's session, reference lines, and the peers.

Another library joins by a class with the methods of :class:`~benchmarks.kinds.Client` and a line in ``PEERS``.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import time
from os import urandom
from struct import Struct
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from benchmarks.environment import has
from benchmarks.kinds import Kind
from benchmarks.peers import PEERS
from benchmarks.workload import ORDER, make_session

__all__ = [
    "BARE",
    "HANDMADE",
    "KINDS",
    "OURS",
    "OURS_HMAC",
    "OURS_PLAIN",
    "OURS_TASKS",
    "OURS_TOGETHER",
    "READER",
    "usable",
]

_METHOD, _PARAMS = ORDER
#: of a masked frame of 126 to 65,535 bytes
_HEADER: Final = Struct("!BBH")


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


class HandmadeLoop(BareProtocol):
    """The least that a Python client can do on such a protocol: JSON by msgspec, a mask, and a dict of futures.

    No checks, no deadlines, no states; it finds only frames of the one size of header that these answers have.
    """

    def __init__(self) -> None:
        super().__init__()
        msgspec = importlib.import_module("msgspec")
        self._encode, self._decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
        self._mask = importlib.import_module("websockets.speedups").apply_mask
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._rest = b""

    async def open(self, url: str) -> None:
        await super().open(url)
        self.data_received = self._receive  # type: ignore[method-assign]
        self._transport.set_protocol(self)  # looks the method up, where that is done once

    def _receive(self, data: bytes) -> None:
        data = self._rest + data
        start, size = 0, len(data)
        while size - start >= 4 and size >= (end := start + 4 + (data[start + 2] << 8 | data[start + 3])):
            message = self._decode(data[start + 4 : end])
            self._pending.pop(message["id"]).set_result(message)
            start = end
        self._rest = data[start:]

    def _submit(self) -> asyncio.Future[Any]:
        request_id = next(self._ids)
        params = {**_PARAMS, "timestamp": int(time.time() * 1000)}
        data = self._encode({"id": request_id, "method": _METHOD, "params": params})
        future = self._pending[request_id] = self._loop.create_future()
        mask = urandom(4)
        self._transport.write(_HEADER.pack(0x81, 0x80 | 126, len(data)) + mask + self._mask(data, mask))
        return future

    async def one(self) -> None:
        await self._submit()

    async def many(self, count: int) -> None:
        for future in [self._submit() for _ in range(count)]:
            await future


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
        for future in futures:
            await future

    async def close(self) -> None:
        await self._connection.close()
        await self._task


class OurSession:
    """This package with one of its JSON decoders: logged on, unless each request is to be ``signed`` with HMAC."""

    def __init__(self, decoder: str, *, signed: bool = False, **options: Any) -> None:
        self._decoder = decoder
        self._signed = signed
        self._options = options

    async def open(self, url: str) -> None:
        self._session = make_session(self._decoder, url, signed=self._signed, **self._options)
        await self._session.open()

    async def one(self) -> None:
        await self._session.request(_METHOD, _PARAMS)

    async def many(self, count: int) -> None:
        submit = self._session.submit
        futures = [submit(_METHOD, _PARAMS) for _ in range(count)]
        for future in futures:
            await future

    async def close(self) -> None:
        await self._session.close()


class OurTasks(OurSession):
    """The same, each caller a task of its own that awaits ``request()``, which is how the peers must be called."""

    async def many(self, count: int) -> None:
        request = self._session.request
        await asyncio.gather(*[request(_METHOD, _PARAMS) for _ in range(count)])


READER: Final = "websockets + json + reader task"
BARE: Final = "bare asyncio.Protocol, nothing parsed"
HANDMADE: Final = "asyncio.Protocol + msgspec, by hand"
OURS: Final = "binance_session (msgspec)"
OURS_TOGETHER: Final = "binance_session (msgspec), coalesce"
OURS_TASKS: Final = "binance_session (msgspec), a task each"
OURS_HMAC: Final = "binance_session (msgspec), HMAC"
OURS_PLAIN: Final = "binance_session (json)"
#: name -> kind; the first is the reference
KINDS: Final[dict[str, Kind]] = {
    READER: Kind(ReaderTask),
    BARE: Kind(BareProtocol, decoder="none"),
    HANDMADE: Kind(
        HandmadeLoop, ("msgspec", "websockets.speedups"), "msgspec", about="no session, no WebSocket library"
    ),
    OURS: Kind(lambda: OurSession("msgspec"), ("msgspec",), "msgspec"),
    OURS_TOGETHER: Kind(
        lambda: OurSession("msgspec", coalesce=True),
        ("msgspec",),
        "msgspec",
        about="the first order of a turn of the loop is written at once, the others in one write at its end",
    ),
    OURS_TASKS: Kind(lambda: OurTasks("msgspec"), ("msgspec",), "msgspec"),
    OURS_HMAC: Kind(lambda: OurSession("msgspec", signed=True), ("msgspec",), "msgspec"),
    OURS_PLAIN: Kind(lambda: OurSession("json")),
    **PEERS,
}


def usable() -> tuple[dict[str, Kind], list[str]]:
    """Return the kinds that can be measured here, and a line about each that cannot."""
    found: dict[str, Kind] = {}
    left_out = []
    for name, kind in KINDS.items():
        missing = [package for package in kind.needs if not has(package)]
        if missing:
            left_out.append(f"{name} is left out: {', '.join(missing)} not installed")
        else:
            found[name] = kind
    return found, left_out
