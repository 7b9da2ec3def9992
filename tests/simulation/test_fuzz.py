"""Nonsense from the wire: mutated frames and texts, and requests that end in every possible way.

What an exchange (or whatever stands between) sends may be anything. Nothing of it may raise inside the session, and
after it the session still answers. Seeded: a failure names its seed. ``python -m tests.simulation.test_fuzz`` runs a
million messages and 300,000 streams of frames; an ordinary test run as many as fit into some seconds.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gc
import hashlib
import itertools
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from binance_session import COIN_M, BinanceSessionError, Event
from binance_session.clock import ServerClock
from binance_session.config import ConnectionOptions
from binance_session.connections.link import Link
from binance_session.errors import SessionClosed
from binance_session.log import session_log
from binance_session.masking import Secrets
from binance_session.requests.encoding import RequestEncoder
from binance_session.requests.router import Router
from binance_session.responses import Response
from binance_session.simulator import Fault, virtual
from binance_session.state import LinkEvent
from binance_session.stats import Stats
from binance_session.websocket.connection import Connection
from tests.exchange import ED25519, exchange, session_to

#: seconds that an ordinary test run spends on each kind of fuzzing
_BUDGET: Final = 6.0
_BALANCE: Final = COIN_M.method("account.balance")
_STATUS: Final = COIN_M.method("session.status")

_SEEDS: Final = [
    '{"id":1,"status":200,"result":[{"asset":"BTC"}],"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","count":5}]}',
    '{"id":1,"status":200,"result":{"apiKey":"k","authorizedSince":1,"serverTime":1767225600000}}',
    '{"id":1,"status":400,"error":{"code":-1021,"msg":"Timestamp","data":{"serverTime":1767225600000}}}',
    '{"id":1,"status":429,"error":{"code":-1003,"msg":"until 1767225600000.","data":{"retryAfter":1767225600000}}}',
    '{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}}',
    '{"event":{"e":"serverShutdown","E":1767225600000}}',
    '{"subscriptionId":0,"event":{"e":"executionReport","E":"1767225600000","s":"BTCUSDT"}}',
    '{"event":{"e":"listenKeyExpired","E":1576653824250,"listenKey":"WsCMN0a4"}}',
]
_TOKENS: Final = [
    "null", "true", "0", "-1", "1e999", "-1e999", "1.5", "9" * 30, "9" * 400, "9" * 5000, "9223372036854775808",
    '""', '"\\ud800"', '"1"', "[]", "{}", "[[]]", '{"a":1}', "NaN", "Infinity", "00", '"\\u0000"', '{"code":1e999}',
    '{"code":true,"msg":1,"data":[]}', '{"e":"x","E":1e999}', '{"e":"x","E":null}', '{"e":1}', '{"e":"","E":{}}',
    '{"retryAfter":1e999}', '{"serverTime":' + "9" * 400 + "}", "200", "401", "418", "500", "-2015", "-1193", "-1125",
]  # fmt: skip
_BYTES: Final = [
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b'"',
    b"\\",
    b",",
    b":",
    b"[",
    b"]",
]


class Owner:
    """Takes what a link tells upwards."""

    def __init__(self) -> None:
        self.ended = 0

    def link_ended(self, link: Link, cause: object) -> None:
        self.ended += 1

    def __getattr__(self, name: str) -> Callable[..., None]:
        def ignore(*args: Any, **_: Any) -> None:
            for argument in args:
                if isinstance(argument, (Event, BinanceSessionError)):
                    repr(argument), str(argument)

        return ignore


class Writer:
    """Stands in for a connection: takes what is written."""

    writable = True
    transport: Any = None

    def write(self, data: bytes) -> None:
        pass


def make_link() -> Link:
    """Return an open link without a network."""
    clock = ServerClock(lambda: 1_767_225_600.0)
    link = Link(
        Owner(),  # type: ignore[arg-type]
        ConnectionOptions("ws://127.0.0.1"),
        RequestEncoder(ED25519, None, clock),
        itertools.count(1),
        clock,
        Stats(),
        session_log("test"),
        timeout=1e9,
        max_in_flight=10_000,
        venue=COIN_M,
        secrets=Secrets(ED25519.api_key),
        make_router=functools.partial(Router, on_response=_look_at),
    )
    link._connection = Writer()  # type: ignore[assignment]
    link._machine.advance(LinkEvent.OPENED)
    return link


def _look_at(response: Response) -> None:
    """Do with a response what a bot might."""
    repr(response), hash(response.status), response.rate_limits


def mutate_text(random: Random) -> bytes:
    """Return a message that may be anything but is often nearly right."""
    text = random.choice(_SEEDS)
    if random.random() < 0.7:
        message = json.loads(text)
        holder: Any = message
        while isinstance(holder, (dict, list)) and holder and random.random() < 0.5:
            key = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
            if not isinstance(holder[key], (dict, list)) or not holder[key]:
                break
            holder = holder[key]
        where = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
        holder[where] = "@@"
        text = json.dumps(message).replace('"@@"', random.choice(_TOKENS), 1)
        if random.random() < 0.3:
            name, value = random.choice(["id", "x", "status"]), random.choice(_TOKENS)
            text = text.replace("{", f'{{"{name}":{value},', 1)
    data = bytearray(text, "utf-8")
    for _ in range(random.choice([0, 0, 1, 1, 2, 8])):
        at = random.randrange(len(data) + 1)
        kind = random.random()
        if kind < 0.3 and data:
            data[at % len(data)] = random.randrange(256)
        elif kind < 0.6:
            data[at:at] = random.choice(_BYTES)
        elif kind < 0.8:
            del data[at : at + random.randrange(1, 9)]
        elif kind < 0.9:
            del data[at:]
        else:
            data += data[: at or 1]
    if random.random() < 0.001:
        deep = random.choice([200, 990, 5000])
        data = bytearray(b'{"id":1,"x":' + b"[" * deep + b"]" * deep + b"}")
    return bytes(data)


async def fuzz_texts(seed: int, *, count: int | None = None, seconds: float | None = None) -> int:
    """Give a link mutated messages while requests are in flight; return how many."""
    random = Random(seed)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    link = make_link()
    began, done = time.monotonic(), 0
    futures: list[asyncio.Future[Response]] = []
    while (count is None or done < count) and (seconds is None or done % 256 or time.monotonic() - began < seconds):
        if done % 16 == 0:
            futures = [link.submit(random.choice((_BALANCE, _STATUS))) for _ in range(2)]
            wanted = int(next(reversed(link.router._pending)))
        data = (
            mutate_text(random)
            .replace(b'"id": 1', b'"id": %d' % wanted, 1)
            .replace(b'"id":1,', b'"id":%d,' % wanted, 1)
        )
        try:
            link.message_received(data)
        except BaseException as error:
            raise AssertionError(f"seed {seed}, message {done}: {data[:300]!r}") from error
        done += 1
        if done % 16 == 0:
            await asyncio.sleep(0)  # for the callbacks of the futures
            assert not complaints, f"seed {seed}, before message {done}: {complaints[0]}"
            link.router.end_all(
                lambda request_id, method: SessionClosed("over", request_id=request_id, method=method.name)
            )
            for future in futures:
                told = future.exception()
                assert told is None or isinstance(told, BinanceSessionError)
                if told is not None:
                    str(told), repr(told), getattr(told, "retry_at", None)
            link.authenticated = random.random() < 0.5
            assert link.is_open
    future = link.submit(_BALANCE)
    link.message_received(b'{"id":%d,"status":200,"result":"still here"}' % link.router._last_id)
    assert future.result().result == "still here"
    link.router.end_all(lambda request_id, method: SessionClosed("over"), quietly=True)
    return done


class Pipe(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None: ...
    def writelines(self, list_of_data: Any) -> None: ...
    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None: ...


class Ear:
    """A receiver that counts, and checks that it is told of the end once."""

    def __init__(self) -> None:
        self.messages = 0
        self.after_the_end = 0
        self.ends = 0
        self.reason = ""

    def message_received(self, data: bytes | bytearray) -> None:
        self.messages += 1
        self.after_the_end += self.ends > 0

    binary_received = message_received

    def connection_ending(self, reason: str) -> None:
        self.ends += 1
        self.reason = reason

    def answers(self) -> int:
        return self.messages


def make_connection(ear: Ear) -> Connection:
    """Return a connection behind its handshake, on a transport that goes nowhere."""
    protocol = ClientProtocol(parse_uri("ws://127.0.0.1/"), max_size=1 << 16)
    connection = Connection(protocol, ear, max_size=1 << 16)
    connection.connection_made(Pipe())
    request = protocol.connect()
    connection.data_received(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept_key(request.headers["Sec-WebSocket-Key"]).encode()
        + b"\r\n\r\n"
    )
    return connection


def accept_key(key: str) -> str:
    """Return what a server answers to a handshake's key (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return base64.b64encode(digest).decode()


def frame(random: Random) -> bytes:
    """Return one frame, whole or strange."""
    opcode = random.choice([1, 1, 1, 1, 2, 0, 0, 8, 9, 10, 3, 7, 11, 15])
    if opcode == 8 and random.random() < 0.8:
        opcode = 1
    payload = mutate_text(random)[: random.choice([0, 3, 125, 126, 4000])]
    if opcode == 8:
        payload = random.choice([b"", b"\x03", b"\x03\xe8bye", b"\x03\xed", b"\x00\x00", b"\x03\xe8\xff"])
    first = (
        opcode
        | (0x80 if random.random() < 0.8 else 0)
        | (random.choice([0x40, 0x20, 0x10]) if random.random() < 0.02 else 0)
    )
    masked = 0x80 if random.random() < 0.01 else 0
    size = len(payload) if random.random() < 0.98 else random.choice([0, 126, 1 << 20, 1 << 63])
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 1 << 16:
        head = bytes([first, masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + size.to_bytes(8, "big")
    return head + payload


async def fuzz_frames(seed: int, *, count: int | None = None, seconds: float | None = None) -> tuple[int, int]:
    """Give connections streams of strange frames, cut anywhere; return how many streams, and messages out of them."""
    random = Random(seed)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    began, done, messages = time.monotonic(), 0, 0
    while (count is None or done < count) and (seconds is None or done % 64 or time.monotonic() - began < seconds):
        ear = Ear()
        connection = make_connection(ear)
        stream = bytearray(b"".join(frame(random) for _ in range(random.randint(1, 6))))
        for _ in range(random.choice([0, 0, 0, 1, 4])):
            stream[random.randrange(len(stream))] = random.randrange(256)
        size = random.choice([1, 7, 1 << 20])
        pipe: Any = connection.transport
        try:
            for start in range(0, len(stream), size):
                if pipe.closed:
                    break
                connection.data_received(bytes(stream[start : start + size]))
            connection.eof_received()
            connection.connection_lost(None)
        except BaseException as error:
            raise AssertionError(f"seed {seed}, stream {done}: {bytes(stream[:200])!r}") from error
        assert ear.ends == 1, f"seed {seed}, stream {done}: told of its end {ear.ends} times"
        assert not ear.after_the_end, f"seed {seed}, stream {done}: {ear.after_the_end} messages after the end"
        assert "binance_session" not in ear.reason, f"seed {seed}, stream {done}: {ear.reason}"
        done, messages = done + 1, messages + ear.messages
        if done % 64 == 0:
            await asyncio.sleep(0)
            assert not complaints, f"seed {seed}, before stream {done}: {complaints[0]}"
    await asyncio.sleep(0)
    return done, messages


@pytest.mark.long
async def test_mutated_messages() -> None:
    """Some 100,000 of them in some seconds; the link answers afterwards."""
    done = await fuzz_texts(1, seconds=_BUDGET)
    assert done > 2000


@pytest.mark.long
async def test_mutated_frames() -> None:
    """Streams of frames that break every rule, cut anywhere: the end is told once, nothing raises."""
    done, messages = await fuzz_frames(1, seconds=_BUDGET)
    assert done > 200
    assert messages > done // 4


@pytest.mark.virtual
async def test_a_session_outlives_nonsense() -> None:
    """The whole session between, on a network: thousands of mutated texts, and it answers as before."""
    random = Random(7)
    async with exchange() as simulator, session_to(simulator) as session:
        for number in range(3000):
            data = mutate_text(random)
            try:
                text = data.decode()
            except UnicodeDecodeError:
                continue
            if b"serverShutdown" in data or b"401" in data or b"418" in data or b"429" in data:
                continue  # these mean something, and are believed
            simulator.connections[-1].send_text(text)
            if number % 100 == 0:
                assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1
        assert session.stats.malformed > 500
        assert session.in_flight == 0


_WAYS: Final = ("answered", "refused", "timed out", "cancelled", "lost", "closed", "nonsense")


@pytest.mark.virtual
@pytest.mark.long
async def test_a_hundred_thousand_requests_leave_nothing() -> None:
    """Ended in every possible way: the maps are empty afterwards, and the memory is where it was."""
    link = make_link()
    loop = asyncio.get_running_loop()
    random = Random(3)
    ends: dict[str, int] = dict.fromkeys(_WAYS, 0)

    async def some(count: int) -> None:
        for _ in range(count // 50):
            way = random.choice(_WAYS)
            ends[way] += 50
            timeout = random.choice([None, 0.5, 30.0]) if way != "timed out" else 1.0
            futures = [link.submit(_BALANCE, timeout=timeout) for _ in range(50)]
            last = link.router._last_id
            ids = range(last - 49, last + 1)
            if way == "answered":
                for request_id in ids:
                    link.message_received(b'{"id":%d,"status":200,"result":{}}' % request_id)
            elif way == "refused":
                for request_id in ids:
                    link.message_received(b'{"id":%d,"status":400,"error":{"code":-2010,"msg":"no"}}' % request_id)
            elif way == "nonsense":
                for request_id in ids:
                    link.message_received(b'{"id":%d}' % request_id)
            elif way == "cancelled":
                for future in futures:
                    future.cancel()
            elif way == "timed out":
                await asyncio.sleep(2.0)
            else:
                link.router.end_all(
                    lambda request_id, method: SessionClosed("over", request_id=request_id, method=method.name),
                    quietly=way == "closed",
                )
            for future in futures:
                assert future.done()
                if not future.cancelled():
                    future.exception()
        await asyncio.sleep(40.0)  # what was cancelled is forgotten with its deadline, or when somebody counts
        assert len(link.router) == 0

    link.router.timeout = 10.0
    await some(10_000)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await some(90_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert min(ends.values()) > 5000
    assert not link.router._pending
    assert not link.router._odd
    assert after - before < 100_000, f"{after - before} bytes more after 90,000 requests"
    assert link.router._timer is None
    assert loop.time() > 0


@pytest.mark.virtual
async def test_connections_leave_nothing() -> None:
    """A thousand lost connections and their logons: no link, task or timer more than at the beginning."""
    async with exchange(record=10) as simulator, session_to(simulator) as session:
        network = virtual.VirtualTimeLoop.running().network
        tasks = len(asyncio.all_tasks())
        for number in range(1000):
            if number % 2:
                simulator.inject(Fault("no_answer", method="account.balance"))
                waiting = session.submit("account.balance")
            network.connections[-1].cut()
            await asyncio.sleep(60)
            if number % 2:
                assert waiting.exception() is not None
        assert session.stats.connections == 1001
        assert len(asyncio.all_tasks()) <= tasks
        assert len(session._supervisor.links) == 1
        assert len(network.connections) == 1


if __name__ == "__main__":

    async def _long(messages: int) -> None:
        began = time.process_time()
        for seed, done in enumerate(range(0, messages, 50_000)):
            await fuzz_texts(seed, count=50_000)
            await fuzz_frames(seed, count=15_000)
            print(f"{done + 50_000} messages: {time.process_time() - began:.0f} s of CPU", flush=True)

    asyncio.run(_long(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
    sys.exit(0)
