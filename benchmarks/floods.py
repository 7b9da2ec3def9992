"""How long the event loop stands still while a peer floods a connection with frames that carry nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from statistics import median
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.environment import LOOPS, PLAIN_LOOPS
from benchmarks.report import Notes, Plan, Section, Sheet
from binance_session.config import ConnectionOptions
from binance_session.websocket.dialing import dial

__all__ = ["run"]

#: what each flood is made of: RFC 6455 frames without a payload, or nearly
_FLOODS: Final = {
    "empty messages": b"\x81\x00",
    "messages of two bytes": b"\x81\x02{}",
    "pings": b"\x89\x00",
    "empty fragments": b"\x00\x00",
}
_BEGIN: Final = {"empty fragments": b"\x01\x00"}
_LAST: Final = b'\x81\x06"last"'


class _Peer:
    """A server in a thread of its own, which accepts one client, floods it, and says so at the end."""

    def __init__(self, flood: str, size: int) -> None:
        frame = _FLOODS[flood]
        end = b"\x80\x00" if flood in _BEGIN else b""
        self._data = _BEGIN.get(flood, b"") + frame * (size // len(frame)) + end + _LAST
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            key = next(
                line.split(b":")[1].strip() for line in head.split(b"\r\n") if b"sec-websocket-key" in line.lower()
            )
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
            )
            threading.Thread(target=self._swallow, args=(client.dup(),)).start()
            client.sendall(self._data)
            client.shutdown(socket.SHUT_WR)

    def _swallow(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while client.recv(1 << 20):
                pass

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


class _Ours:
    """A receiver that waits for the last message."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    def message_received(self, data: bytes | bytearray) -> None:
        if data == b'"last"':
            self.done.set()

    def binary_received(self, data: bytes | bytearray) -> None:
        """Do nothing."""

    def connection_ending(self, reason: str) -> None:
        self.done.set()

    def answers(self) -> int:
        return 0


async def _by_us(port: int) -> None:
    receiver = _Ours()
    connection = await dial(ConnectionOptions(f"ws://127.0.0.1:{port}", proxy=None, ping_interval=None), receiver)
    await receiver.done.wait()
    await connection.drop()


async def _by_websockets(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}", proxy=None, ping_interval=None, compression=None) as connection:
        try:
            while await connection.recv() != '"last"':
                pass
        except ConnectionClosed:
            return


async def _longest_stall(take: Coroutine[Any, Any, None]) -> tuple[float, float]:
    """Return the longest time between two turns of the loop, and how long it took, in ms."""
    done = asyncio.ensure_future(take)
    longest, began = 0.0, time.perf_counter()
    last = began
    while not done.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await done
    return longest * 1e3, (last - began) * 1e3


def run(plan: Plan) -> Sequence[Section]:
    """Flood each client in each way on each loop, ``size`` KiB a time; medians of the rounds."""
    clients: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
        "binance_session": _by_us,
        "websockets": _by_websockets,
    }
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for _ in range(plan.rounds):
        for loop in PLAIN_LOOPS:
            for flood in _FLOODS:
                for client, take in clients.items():
                    peer = _Peer(flood, plan.size * 1024)
                    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                        stall = runner.run(_longest_stall(take(peer.port)))
                    peer.close()
                    found.setdefault((loop, flood, client), []).append(stall)
    rows = tuple(
        (f"{loop:8}{flood}: {client}", median(stall for stall, _ in rounds), median(took for _, took in rounds))
        for (loop, flood, client), rounds in found.items()
    )
    sheet = Sheet(
        "how long the loop stands still in a flood", ("flood and client", "longest stall, ms", "in all, ms"), rows
    )
    return [
        sheet,
        Notes((f"{plan.size} KiB of frames, from a server in another thread of this process, in one write",)),
    ]
