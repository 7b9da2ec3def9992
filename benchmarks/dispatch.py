"""In one process, without a socket: submit -> bytes, and bytes -> resolved future.

A real session is opened through a network that exists in memory only. Then requests are submitted while a list stands
where the socket would be, and their answers are given to ``data_received`` one by one, as they come when one request
follows the other. Times are CPU time of the process.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from benchmarks.environment import has
from benchmarks.harness import Contestant, Metric, Table, measure
from benchmarks.server import Answerer, answer, frame
from benchmarks.workload import ORDER, PACKAGES, PING, make_session

__all__ = ["run"]

_URL: Final = "ws://127.0.0.1:9/ws-dapi/v1"
Request = tuple[str, dict[str, Any]]


class _Wire(asyncio.Transport):
    """A transport with the answering server at its other end, or a list that keeps what is written."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self.protocol = protocol
        self._answerer = Answerer()
        self._closed = False
        self.written: list[bytes] = []
        self.serve()

    def serve(self) -> None:
        """Have the server answer what is written from now on."""
        self.write = self._serve  # type: ignore[method-assign]

    def record(self) -> list[bytes]:
        """Keep what is written from now on, unanswered; return where."""
        self.written = []
        self.write = self.written.append  # type: ignore[method-assign, assignment]
        return self.written

    def _serve(self, data: bytes | bytearray | memoryview) -> None:
        if reply := self._answerer.feed(bytes(data)):
            self._loop.call_soon(self.protocol.data_received, reply)
        if self._answerer.closing:
            self.abort()

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class _MemoryLoop(asyncio.SelectorEventLoop):
    """An event loop whose connections lead nowhere."""

    wire: _Wire

    async def create_connection(  # type: ignore[override]  # of all the ways to connect, the one that is used
        self, protocol_factory: Callable[[], asyncio.Protocol], *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        protocol = protocol_factory()
        self.wire = _Wire(self, protocol)
        protocol.connection_made(self.wire)
        return self.wire, protocol


class _Ours:
    """A session on a loop of its own."""

    def __init__(self, decoder: str) -> None:
        self._loop = _MemoryLoop()
        self._session = make_session(decoder, _URL)
        self._loop.run_until_complete(self._session.open())

    def close(self) -> None:
        self._loop.wire.serve()
        self._loop.run_until_complete(self._session.close())
        self._loop.close()

    def run(self, request: Request, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(self._slice(request, size))

    async def _slice(self, request: Request, size: int) -> Mapping[str, float]:
        method, params = request
        submit, wire = self._session.submit, self._loop.wire
        written = wire.record()
        futures: list[asyncio.Future[Any]] = []
        keep = futures.append
        start = time.process_time()
        for _ in range(size):
            keep(submit(method, params))
        submitted = time.process_time() - start
        server = Answerer()
        server.feed(b"\r\n\r\n")
        replies = [server.feed(data) for data in written]
        receive = wire.protocol.data_received
        start = time.process_time()
        for reply in replies:
            receive(reply)
        resolved = time.process_time() - start
        assert len(written) == size, "a request is one write"
        assert all(future.result().status == 200 for future in futures)
        return _per_request(size, submit=submitted, resolve=resolved)


def _per_request(size: int, **seconds: float) -> dict[str, float]:
    return {key: value / size * 1e6 for key, value in seconds.items()}


# Reference lines: the least that can be called the same job, without the checks, the states and the deadlines.


def _write_plainly(encode: Callable[[Any], bytes], request: Request, size: int) -> Mapping[str, float]:
    method, params = request
    written: list[bytes] = []
    write = written.append
    start = time.process_time()
    for number in range(1, size + 1):
        message: dict[str, Any] = {"id": number, "method": method}
        if params:
            message["params"] = {**params, "timestamp": int(time.time() * 1000)}
        write(Frame(Opcode.TEXT, encode(message)).serialize(mask=True))
    return _per_request(size, submit=time.process_time() - start)


def _read_plainly(decode: Callable[[bytes], Any], request: Request, size: int) -> Mapping[str, float]:
    texts, pending, loop = [], {}, asyncio.new_event_loop()
    for number in range(1, size + 1):
        texts.append(answer(b'{"id":%d,"method":"%b"}' % (number, request[0].encode())))
        pending[number] = loop.create_future()
    start = time.process_time()
    for text in texts:
        message = decode(text)
        pending.pop(message["id"]).set_result(message)
    elapsed = time.process_time() - start
    loop.close()
    return _per_request(size, resolve=elapsed)


def _parse_only(request: Request, size: int) -> Mapping[str, float]:
    """Let websockets parse the frames, and do nothing with them."""
    protocol = ClientProtocol(parse_uri(_URL), state=State.OPEN)
    text = answer(b'{"id":1,"method":"%b"}' % request[0].encode())
    data = frame(Opcode.TEXT, text)
    start = time.process_time()
    for _ in range(size):
        protocol.receive_data(data)
        protocol.events_received()
    return _per_request(size, resolve=time.process_time() - start)


def _plain_json(message: Any) -> bytes:
    return json.dumps(message).encode()


def run(rounds: int, size: int) -> list[Table]:
    """Measure both directions, for a request without params and for one with."""
    sessions = {decoder: _Ours(decoder) for decoder in PACKAGES}
    tables: list[Table] = []
    try:
        for request in (PING, ORDER):
            call = functools.partial
            name = request[0]
            bytes_out = len(frame(Opcode.TEXT, answer(b'{"id":1,"method":"%b"}' % name.encode())))
            writers = [
                Contestant("json.dumps + Frame.serialize", call(_write_plainly, _plain_json, request)),
            ]
            readers = [
                Contestant("json.loads + dict.pop + set_result", call(_read_plainly, json.loads, request)),
                Contestant("websockets parses the frame, no more", call(_parse_only, request)),
            ]
            if has("msgspec"):
                msgspec = importlib.import_module("msgspec")
                writers.append(
                    Contestant("msgspec + Frame.serialize", call(_write_plainly, msgspec.json.encode, request))
                )
                readers.append(
                    Contestant("msgspec + dict.pop + set_result", call(_read_plainly, msgspec.json.decode, request))
                )
            ours = [
                Contestant(f"binance_session ({decoder})", call(session.run, request), {"decoder": decoder})
                for decoder, session in sessions.items()
            ]
            submit = Metric("submit", f"{name}: submit -> bytes, CPU per request")
            resolve = Metric("resolve", f"{name}: bytes ({bytes_out}) -> resolved future, CPU per answer")
            tables += measure([submit], [*writers, *ours], rounds=rounds, size=size)
            tables += measure([resolve], [*readers, *ours], rounds=rounds, size=size)
    finally:
        for session in sessions.values():
            session.close()
    return tables
