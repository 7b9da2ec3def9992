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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from benchmarks.environment import has
from benchmarks.harness import Contestant, Metric, Table, measure, per_operation
from benchmarks.report import Plan, Section
from benchmarks.server import answer, frame
from benchmarks.wire import URL, MemorySession, Request, answers
from benchmarks.workload import ORDER, PACKAGES, PING

__all__ = ["run"]


class _Ours:
    """A session whose requests and answers are timed."""

    def __init__(self, decoder: str) -> None:
        self._memory = MemorySession(decoder)
        self.close = self._memory.close

    def run(self, request: Request, size: int) -> Mapping[str, float]:
        return self._memory.run(self._slice(request, size))

    async def _slice(self, request: Request, size: int) -> Mapping[str, float]:
        method, params = request
        submit, wire = self._memory.session.submit, self._memory.wire
        written = wire.record()
        futures: list[asyncio.Future[Any]] = []
        keep = futures.append
        start = time.process_time()
        for _ in range(size):
            keep(submit(method, params))
        submitted = time.process_time() - start
        replies = answers(written)
        receive = wire.protocol.data_received
        start = time.process_time()
        for reply in replies:
            receive(reply)
        resolved = time.process_time() - start
        assert len(written) == size, "a request is one write"
        assert all(future.result().status == 200 for future in futures)
        return per_operation(size, submit=submitted, resolve=resolved)


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
    return per_operation(size, submit=time.process_time() - start)


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
    return per_operation(size, resolve=elapsed)


def _parse_only(request: Request, size: int) -> Mapping[str, float]:
    """Let websockets parse the frames, and do nothing with them."""
    protocol = ClientProtocol(parse_uri(URL), state=State.OPEN)
    text = answer(b'{"id":1,"method":"%b"}' % request[0].encode())
    data = frame(Opcode.TEXT, text)
    start = time.process_time()
    for _ in range(size):
        protocol.receive_data(data)
        protocol.events_received()
    return per_operation(size, resolve=time.process_time() - start)


def _plain_json(message: Any) -> bytes:
    return json.dumps(message).encode()


def run(plan: Plan) -> Sequence[Section]:
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
            tables += measure([submit], [*writers, *ours], rounds=plan.rounds, size=plan.size)
            tables += measure([resolve], [*readers, *ours], rounds=plan.rounds, size=plan.size)
    finally:
        for session in sessions.values():
            session.close()
    return tables
