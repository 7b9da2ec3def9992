"""From the cut of the TCP connection to READY, beside what cannot be had for less.

The server cuts the connection when it reads a certain request, and remembers when: just before it told its own event
loop to. The clock stops in the hook that hears of READY. So the figure holds the news' way to us, what the session does
about it, the new connection, its handshakes and the logon. Beside it, in the same rounds, on the same event loop: one
connect, one WebSocket handshake and one signed round trip, by ``websockets`` and by hand; and by ``websockets`` also
from the cut of a connection on, with the news' way and the dead connection in it, as in ours.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from benchmarks.certificates import make_certificate
from benchmarks.environment import FASTEST_LOOP, LOOPS
from benchmarks.harness import Contestant, Metric, Table, compare, measure, median_of
from benchmarks.inflight import DECODER
from benchmarks.report import Plan, Section
from benchmarks.roundtrip import serving
from benchmarks.server import CUT, WHEN
from benchmarks.workload import make_session

__all__ = ["PER_ADDRESS", "AtOnce", "run"]

_LIBRARY: Final = "websockets: connect, handshake, signed round trip"
_BY_HAND: Final = "by hand: connect, handshake, signed round trip"
_AGAIN: Final = "websockets: cut, connect, handshake, signed round trip"
_OURS: Final = "binance_session: cut to READY"
#: attempts to connect to one address that a session allows itself in five minutes
PER_ADDRESS: Final = 300


@frozen
class AtOnce:
    """A reconnect policy that never waits: these connections are too young for the session to call them healthy."""

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return 0.0."""
        return 0.0


class _Logon:
    """Signed ``session.logon`` requests."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._ids = itertools.count(1)

    def next(self) -> bytes:
        """Return the next one as JSON."""
        now = int(time.time() * 1000)
        signature = base64.b64encode(self._key.sign(f"apiKey=benchmark&timestamp={now}".encode())).decode()
        params = {"apiKey": "benchmark", "timestamp": now, "signature": signature}
        return json.dumps({"id": next(self._ids), "method": "session.logon", "params": params}).encode()


class _Handmade(asyncio.Protocol):
    """Writes an upgrade request and then one message, and waits for a read after each."""

    def __init__(self) -> None:
        self._read: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        if self._read is not None:
            self._read.set_result(data)
            self._read = None

    async def exchange(self, transport: asyncio.Transport, data: bytes) -> bytes:
        """Write, and return what the next read brings."""
        read: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._read = read
        transport.write(data)
        return await read


class _Bare:
    """Connects, shakes hands, asks one signed question; ``run`` returns the median of some."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, tls: ssl.SSLContext | None) -> None:
        self._loop, self._url, self._tls = loop, url, tls
        self._logon = _Logon()

    def by_library(self, size: int) -> Mapping[str, float]:
        """Have ``websockets`` do it."""
        return self._loop.run_until_complete(_median(size, self._by_library))

    def by_hand(self, size: int) -> Mapping[str, float]:
        """Do it with a protocol of our own."""
        return self._loop.run_until_complete(_median(size, self._by_hand))

    def again_by_library(self, size: int) -> Mapping[str, float]:
        """Have ``websockets`` do it after a cut, from which the time counts."""
        return self._loop.run_until_complete(_median(size, self._again_by_library))

    async def _connected(self) -> ClientConnection:
        websocket = await connect(self._url, ssl=self._tls, proxy=None, compression=None, ping_interval=None)
        await websocket.send(self._logon.next(), text=True)
        json.loads(await websocket.recv())
        return websocket

    async def _by_library(self) -> float:
        start = time.perf_counter()
        websocket = await self._connected()
        took = time.perf_counter() - start
        await websocket.close()
        return took

    async def _again_by_library(self) -> float:
        websocket = await self._connected()
        await websocket.send(json.dumps({"id": 1, "method": CUT}))
        with contextlib.suppress(ConnectionClosed):
            await websocket.recv()
        websocket = await self._connected()
        ready_at = time.perf_counter_ns()
        await websocket.send(json.dumps({"id": 2, "method": WHEN}))
        cut_at = json.loads(await websocket.recv())["result"]["at"]
        await websocket.close()
        return float(ready_at - cut_at) / 1e9

    async def _by_hand(self) -> float:
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or 0
        start = time.perf_counter()
        transport, protocol = await asyncio.get_running_loop().create_connection(_Handmade, host, port, ssl=self._tls)
        upgrade = (
            f"GET {parts.path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await protocol.exchange(transport, upgrade.encode())
        await protocol.exchange(transport, Frame(Opcode.TEXT, self._logon.next()).serialize(mask=True))
        took = time.perf_counter() - start
        transport.close()
        await asyncio.sleep(0)
        return took


class _Watched:
    """Hooks that tell when the session became READY."""

    ready: asyncio.Future[int] | None = None

    def on_state_change(self, old: Any, new: Any, cause: Exception | None) -> None:
        if self.ready is not None and new.name == "READY":
            self.ready.set_result(time.perf_counter_ns())
            self.ready = None


class _Ours:
    """A session that is cut off and comes back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, tls: ssl.SSLContext | None) -> None:
        self._loop = loop
        self._session = make_session(DECODER, url, mixin=_Watched, ssl=tls, proxy=None, reconnect=AtOnce())
        loop.run_until_complete(self._session.open())

    def close(self) -> None:
        self._loop.run_until_complete(self._session.close())

    def run(self, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(_median(size, self._cut))

    async def _cut(self) -> float:
        ready = self._session.ready = self._loop.create_future()
        lost = self._session.submit(CUT, security="NONE")
        ready_at = await ready
        assert lost.exception() is not None
        cut_at = (await self._session.request(WHEN, security="NONE")).result["at"]
        return float(ready_at - cut_at) / 1e9


async def _median(size: int, once: Callable[[], Awaitable[float]]) -> Mapping[str, float]:
    return {"ready": median_of([await once() for _ in range(size)]) * 1e3}


def run(plan: Plan) -> Sequence[Section]:
    """Measure plain and over TLS."""
    if (plan.rounds + 1) * plan.size >= PER_ADDRESS:
        raise SystemExit(f"reconnect: fewer than {PER_ADDRESS} in all, or the session's own budget makes it wait")
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "server.pem"
        context = make_certificate(pem)
        with serving() as plain, serving("--tls", str(pem), scheme="wss") as secure:
            tables = [_measure(plan, "plain", plain, None), _measure(plan, "TLS", secure, context)]
    pairs = [(table, _OURS, other) for table in tables for other in (_LIBRARY, _BY_HAND, _AGAIN)]
    return [*tables, compare("the ratios to read: plain, then over TLS", pairs)]


def _measure(plan: Plan, name: str, url: str, tls: ssl.SSLContext | None) -> Table:
    loop = LOOPS[FASTEST_LOOP]()
    try:
        ours, bare = _Ours(loop, url, tls), _Bare(loop, url, tls)
        contestants = [
            Contestant(_LIBRARY, bare.by_library),
            Contestant(_BY_HAND, bare.by_hand),
            Contestant(_AGAIN, bare.again_by_library),
            Contestant(_OURS, ours.run),
        ]
        metric = Metric("ready", f"{name}, {FASTEST_LOOP}: until requests can be sent", "ms")
        (table,) = measure([metric], contestants, rounds=plan.rounds, size=plan.size)
        ours.close()
    finally:
        loop.close()
    return table
