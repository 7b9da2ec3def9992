"""The WebSocket itself: bytes in whatever pieces, TLS, redirects, proxies, and ends of every kind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import re
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode, Opcode
from websockets.uri import parse_uri

from binance_session import COIN_M, SPOT, ConnectError, ConnectionLost, Session, SessionState
from binance_session.config import ConnectionOptions
from binance_session.simulator import virtual
from binance_session.websocket.connection import Connection
from binance_session.websocket.dialing import _default_tls, dial
from tests.certificates import Authority
from tests.exchange import exchange, session_to, until
from tests.websocket.raw import Collector, Recorder, connected, frame

TEXT, BINARY, CONT, PING, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.CLOSE


async def test_many_frames_in_one_segment_are_all_dispatched_in_order() -> None:
    """A burst of answers needs no turn of the event loop for each."""
    async with connected() as (raw, collector, _):
        raw.write(b"".join(frame(TEXT, b"%d" % number) for number in range(200)))
        await until(lambda: len(collector.got) == 200)
        assert collector.got == [("text", b"%d" % number) for number in range(200)]


async def test_fragments_with_pings_between_make_one_message() -> None:
    """The ping is answered, the message whole; an empty fragment is no message."""
    async with connected() as (raw, collector, _):
        raw.write(
            frame(TEXT, b"on", fin=False)
            + frame(PING, b"p")
            + frame(CONT, b"", fin=False)
            + frame(PING, b"q")
            + frame(CONT, b"e")
            + frame(TEXT, b"two")
            + frame(BINARY, b"\x00", fin=False)
            + frame(CONT, b"\x01")
            + frame(TEXT, b"")
        )
        await until(lambda: len(collector.got) == 4)
        assert collector.got == [("text", b"one"), ("text", b"two"), ("binary", b"\x00\x01"), ("text", b"")]


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(st.text(max_size=150).map(str.encode), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 400), max_size=12),
    fragments=st.integers(1, 4),
)
def test_the_network_may_cut_the_bytes_anywhere(messages: list[bytes], cuts: list[int], fragments: int) -> None:
    """However segments and fragments fall, the same messages arrive."""
    wire = b""
    for message in messages:
        size = max(1, -(-len(message) // fragments))
        pieces = [message[start : start + size] for start in range(0, len(message), size)] or [b""]
        for index, piece in enumerate(pieces):
            wire += frame(CONT if index else TEXT, piece, fin=index == len(pieces) - 1)

    async def run() -> None:
        async with connected() as (_, collector, connection):
            rest, sizes = wire, iter(cuts)
            while rest:
                size = next(sizes, len(rest))
                connection.data_received(rest[:size])
                rest = rest[size:]
            assert collector.got == [("text", message) for message in messages]

    asyncio.run(run())


FRAMES = st.one_of(
    st.builds(lambda data: frame(TEXT, data), st.binary(max_size=200)),
    st.builds(lambda data: frame(TEXT, data, fin=False), st.binary(max_size=20)),
    st.builds(lambda data, fin: frame(CONT, data, fin), st.binary(max_size=20), st.booleans()),
    st.builds(lambda data, fin: frame(BINARY, data, fin), st.binary(max_size=20), st.booleans()),
    st.builds(lambda data: frame(PING, data), st.binary(max_size=20)),
    st.builds(lambda data: frame(Opcode.PONG, data), st.binary(max_size=20)),
    st.just(frame(CLOSE, struct.pack("!H", 1001) + b"bye")),
    st.just(b"\x81\x7f" + struct.pack("!Q", 33 << 20)),
    st.just(b"\x81\x85abcdefghi"),
    st.binary(max_size=12),
)


@settings(max_examples=300, deadline=None)
@example([frame(TEXT, b"x"), b"\x08\x05\0\0\0\0", frame(TEXT, b"")], [5])
@given(st.lists(FRAMES, min_size=1, max_size=12), st.lists(st.integers(1, 60), max_size=20))
def test_frames_found_here_are_those_that_the_library_finds(frames: list[bytes], cuts: list[int]) -> None:
    """Any frames, good or bad, in any segments: what is handed on is the same as when the library parses all of it."""

    async def received(scanning: bool) -> list[tuple[str, bytes | str]]:
        async with connected() as (_, collector, connection):
            assert connection._scanning
            connection._scanning = scanning
            rest, sizes = b"".join(frames), iter(cuts)
            while rest:
                size = next(sizes, len(rest))
                connection.data_received(rest[:size])
                rest = rest[size:]
            return list(collector.got)

    async def run() -> None:
        here, there = await received(True), await received(False)
        if here and "1007" in str(here[-1][1]):  # found frame by frame here, after the whole read there
            here[-1] = there[-1] = ("end", "for one reason or the other")
        assert here == there

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(CLOSE, struct.pack("!H", 1001) + b"bye"), "1001.*going away.*bye"),
        (frame(CLOSE, b""), "1005"),
        (frame(CONT, b"x"), "1002.*unexpected continuation"),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), "1002.*expected a continuation"),
        (b"\x8f\x00", "1002.*invalid opcode"),
        (b"\xc1\x00", "1002.*reserved bits"),
        (b"\x81\x80\x00\x00\x00\x00", "1002.*incorrect masking"),
        (b"\x81\x7f" + struct.pack("!Q", 33 << 20), "1009"),
    ],
)
async def test_the_end_is_told_once_with_its_reason(data: bytes, words: str) -> None:
    """A close frame, nonsense, too much: told at once, while the TCP connection is still open."""
    async with connected() as (raw, collector, connection):
        raw.write(frame(TEXT, b"before") + data + frame(TEXT, b"after"))
        await until(lambda: len(collector.got) == 2)
        assert not raw.writer.transport.is_closing()
        kind, reason = collector.got[1]
        assert (collector.got[0], kind) == (("text", b"before"), "end")
        assert re.search(words, str(reason)), reason
        await connection.drop()
        assert len(collector.got) == 2


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
async def test_what_is_written_is_what_the_other_side_reads(size: int, compression: str | None) -> None:
    """Frames of every length, masked as a client's must be; read by the library's own server."""
    got: list[Any] = []

    async def serve_one(websocket: ServerConnection) -> None:
        got.extend([await websocket.recv(), await websocket.recv()])

    message = ("é{" * size)[:size].encode()[:size].decode(errors="ignore")
    async with serve(serve_one, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = await dial(
            ConnectionOptions(f"ws://127.0.0.1:{port}", proxy=None, compression=compression), Collector()
        )
        assert connection._scanning == (compression is None)
        connection.write(message.encode())
        connection.write(b"after")
        await until(lambda: len(got) == 2)
        assert got == [message, "after"]
        await connection.close_surely(5.0)


@pytest.mark.parametrize("how", ["eof", "abort"])
async def test_an_end_without_a_word(how: str) -> None:
    """FIN or RST: told as what it was."""
    async with connected() as (raw, collector, _):
        if how == "eof":
            raw.writer.write_eof()
        else:
            raw.writer.transport.abort()
        await until(lambda: collector.got)
        assert [kind for kind, _ in collector.got] == ["end"]


async def test_answers_that_come_after_our_close_frame_are_still_taken() -> None:
    """The other side may have sent them before it read ours."""
    async with connected() as (raw, collector, connection):
        closing = asyncio.ensure_future(connection.close_surely(5.0))
        await asyncio.sleep(0)
        raw.write(frame(TEXT, b"late") + frame(CLOSE, struct.pack("!H", CloseCode.NORMAL_CLOSURE)))
        await until(lambda: len(collector.got) == 2)
        assert collector.got[0] == ("text", b"late")
        raw.writer.close()
        await closing


@pytest.mark.virtual
async def test_a_peer_that_stops_reading_is_found_although_its_buffer_is_full() -> None:
    """The ping itself cannot leave: that counts as unanswered too."""
    async with exchange() as simulator:
        session = session_to(simulator, ping_interval=5, ping_timeout=3, request_timeout=3600, max_in_flight=10**6)
        await session.open()
        loop = virtual.VirtualTimeLoop.running()
        loop.network.connections[0].half_open()
        big = {"symbol": "x" * 100_000}
        futures = [session.submit("account.balance", big) for _ in range(20)]
        began = loop.time()
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert loop.time() - began <= 8.1
        assert all(isinstance(result, ConnectionLost) for result in results)
        await session.wait_for(SessionState.READY)
        await session.close()


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


async def test_tls(authority: Authority) -> None:
    """A certificate that is good is accepted, and the connection works; a drop in it is found."""
    async with exchange(ssl=authority.server_context()) as simulator:
        assert simulator.url.startswith("wss://")
        async with session_to(simulator, ssl=authority.client_context()) as session:
            assert session.authenticated
            waiting = session.submit("account.balance")
            simulator.connections[0].drop()
            with pytest.raises(ConnectionLost):
                await waiting
            await session.wait_for(SessionState.READY)
            assert (await session.request("account.balance")).status == 200


async def test_the_default_certificates_are_read_once(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each connection, as asyncio does: that stops the event loop for tens of milliseconds."""
    trusting = authority.client_context()
    made: list[ssl.SSLContext] = []

    def create_default_context() -> ssl.SSLContext:
        made.append(trusting)
        return trusting

    _default_tls.cache_clear()
    server = authority.server_context()
    monkeypatch.setattr("ssl.create_default_context", create_default_context)
    async with exchange(ssl=server) as simulator, session_to(simulator) as session:
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(SessionState.READY)
        async with session_to(simulator):
            assert made == [trusting]
    _default_tls.cache_clear()  # the next test trusts what the system trusts


@pytest.mark.parametrize("is_left", [False, True])
async def test_the_end_of_a_lost_connection_takes_no_task_if_nothing_is_left_of_it(
    authority: Authority, *, is_left: bool
) -> None:
    """It would run before the next connection is made. What takes a while, such as TLS's farewell, goes on beside."""

    class Watched(Session):
        ending: bool | None = None
        links = 0

        def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
            self.ending = f"{self.name}: end" in {task.get_name() for task in asyncio.all_tasks()}
            self.links = len(self._supervisor.links)

    client, server = (authority.client_context(), authority.server_context()) if is_left else (None, None)
    async with (
        exchange(ssl=server) as simulator,
        session_to(simulator, kind=Watched, ssl=client) as session,
    ):
        if is_left:
            simulator.connections[0].close()
        else:
            simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(SessionState.READY)
        assert session.ending is is_left
        assert session.links == int(is_left)
        await until(lambda: len(session._supervisor.links) == 1)


async def test_two_dials_at_a_time_do_not_mix_up_their_receivers() -> None:
    """One transport, which keeps what dials: each connection brings its messages to its own receiver."""
    first, second = Collector(), Collector()

    async def greet(connection: ServerConnection) -> None:
        await connection.send(await connection.recv())
        await connection.wait_closed()

    async with serve(greet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        transport = ConnectionOptions(f"ws://127.0.0.1:{port}", proxy=None)
        connections = await asyncio.gather(dial(transport, first), dial(transport, second))
        for connection, data in zip(connections, (b"for the first", b"for the second"), strict=True):
            connection.write(data)
        await until(lambda: first.got and second.got)
        assert (first.got, second.got) == ([("text", b"for the first")], [("text", b"for the second")])
        for connection in connections:
            await connection.close_surely(1.0)


async def test_a_dead_line_under_tls_is_found(authority: Authority) -> None:
    """Something between the two stops passing bytes on, and says nothing."""
    async with exchange(ssl=authority.server_context()) as simulator, middlebox(simulator.url) as (port, passing):
        session = session_to(
            simulator,
            url=f"wss://127.0.0.1:{port}/ws-dapi/v1",
            ssl=authority.client_context(),
            ping_interval=0.1,
            ping_timeout=0.3,
            close_timeout=0.1,
        )
        async with session:
            passing.clear()
            waiting = session.submit("account.balance")
            with pytest.raises(ConnectionLost, match="no pong"):
                await waiting
            passing.set()
            await session.wait_for(SessionState.READY)
            assert (await session.request("account.balance")).status == 200


@asynccontextmanager
async def middlebox(url: str) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Pass the bytes of each connection on, as long as the event is set."""
    passing = asyncio.Event()
    passing.set()
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await passing.wait()
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(url)
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        tasks.update({asyncio.ensure_future(copy(reader, back)), asyncio.ensure_future(copy(there, writer))})

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], passing
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.mark.parametrize(
    ("host", "expired", "trusted", "words"),
    [
        ("127.0.0.1", False, False, "self.signed|unable to get"),
        ("127.0.0.1", True, True, "expired"),
        ("192.0.2.1", False, True, "IP address mismatch"),
    ],
)
async def test_a_bad_certificate_is_refused_and_not_retried(
    authority: Authority, host: str, expired: bool, trusted: bool, words: str
) -> None:
    """Unknown issuer, expired, wrong host: nothing is sent, and the reason is named."""
    async with exchange(ssl=authority.server_context(host, expired=expired)) as simulator:
        context = authority.client_context() if trusted else None
        session = session_to(simulator, ssl=context)
        with pytest.raises(ConnectError, match=words) as caught:
            await session.open()
        assert not caught.value.retryable
        assert simulator.received == []


# Where a connection goes


@asynccontextmanager
async def http_server(answer: Callable[[bytes], Awaitable[bytes]]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer every request with some bytes, and keep what was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await answer(asked[-1]))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        await server.wait_closed()


async def test_a_redirect_is_not_followed() -> None:
    """Credentials go to the address that was given, or nowhere."""
    async with exchange() as simulator:

        async def redirect(_: bytes) -> bytes:
            return f"HTTP/1.1 302 Found\r\nLocation: {simulator.url}\r\nContent-Length: 0\r\n\r\n".encode()

        async with http_server(redirect) as (port, _):
            with pytest.raises(ConnectError, match="HTTP 302"):
                await session_to(simulator, url=f"ws://127.0.0.1:{port}").open()
        assert simulator.received == []
        assert simulator.connections == []


@pytest.mark.parametrize(
    ("answer", "status", "retryable"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", 429, True),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, False),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, True),
        (b"this is no HTTP\r\n\r\n", None, True),
        (b"", None, True),
    ],
)
async def test_a_handshake_that_fails(answer: bytes, status: int | None, retryable: bool) -> None:
    """Whatever is at that address: a ConnectError that says what it said, and whether trying again can help."""

    async def reply(_: bytes) -> bytes:
        return answer

    async with http_server(reply) as (port, _):
        with pytest.raises(ConnectError) as caught:
            await Session(COIN_M, url=f"ws://127.0.0.1:{port}").open()
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


async def test_a_proxy_is_used_when_it_is_given() -> None:
    """CONNECT to the exchange's host; without TLS only when no credentials are at stake."""

    async def refuse(_: bytes) -> bytes:
        return b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"

    async with http_server(refuse) as (port, asked):
        proxy = f"http://127.0.0.1:{port}"
        for session in (
            Session(COIN_M, proxy=proxy, url="wss://exchange.invalid:1234/x"),
            Session(SPOT, proxy=proxy, url="ws://exchange.invalid:1234/x"),
        ):
            with pytest.raises(ConnectError):
                await session.open()
        assert [line.split(b"\r\n")[0] for line in asked] == [b"CONNECT exchange.invalid:1234 HTTP/1.1"] * 2


async def test_the_environments_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain connection to a simulator must not show its keys to a proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    async with exchange() as simulator, session_to(simulator) as session:
        assert session.authenticated


@pytest.mark.virtual
async def test_an_address_that_does_not_answer() -> None:
    """open_timeout bounds TCP, TLS and the handshake together."""
    async with exchange() as simulator:
        virtual.VirtualTimeLoop.running().network.latency = 60.0
        session = session_to(simulator, open_timeout=3)
        began = asyncio.get_running_loop().time()
        with pytest.raises(ConnectError, match="within 3 s"):
            await session.open()
        assert asyncio.get_running_loop().time() - began == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize(
    "end",
    [frame(Opcode.CLOSE, struct.pack("!H", CloseCode.NORMAL_CLOSURE)), b"\x81\x80masked"],
    ids=["close", "masked"],
)
async def test_a_transport_is_closed_once(end: bytes) -> None:
    """By whoever comes first, the receiver or the library: asyncio's over TLS could not be aborted otherwise."""

    class HangsUp(Collector):
        connection: Connection

        def connection_ending(self, reason: str) -> None:
            super().connection_ending(reason)
            self.connection.hang_up()

    class CountsCloses(Recorder):
        closes = 0

        def can_write_eof(self) -> bool:
            return False  # as over TLS

        def close(self) -> None:
            self.closes += 1
            self._transport.close()

    async with connected() as (raw, _, connection):
        receiver = HangsUp()
        receiver.connection, connection._receiver = connection, receiver
        recorder = CountsCloses(connection)
        raw.write(end)
        await until(lambda: receiver.got)
        connection.eof_received()
        await until(lambda: connection.is_gone)
        assert recorder.closes == 1


async def test_what_is_held_goes_out_at_once_and_in_order() -> None:
    async with connected() as (_, _, connection):
        recorder = Recorder(connection)
        for messages in (["1", "2", "3"], []):
            connection.hold()
            for message in messages:
                connection.write(message.encode())
            assert recorder.writes == []
            connection.release()
            assert recorder.writes == ([messages] if messages else [])
            recorder.writes.clear()
        connection.write(b"4")
        assert recorder.writes == [["4"]]


async def test_what_an_extension_changes_is_held_too() -> None:
    """Only the library can make such a frame."""
    async with connected() as (_, _, connection):
        recorder = Recorder(connection)
        connection.hold()
        connection._writer.makes_frames = False  # as when an extension was agreed upon
        connection.write(b"1")
        assert recorder.writes == []
        connection.release()
        assert recorder.writes == [["1"]]


async def test_what_is_held_is_not_written_to_a_connection_that_is_over() -> None:
    """uvloop would raise; that it did not arrive is told by the end of the connection."""
    async with connected() as (_, collector, connection):
        recorder = Recorder(connection)
        connection.hold()
        connection.write(b"1")
        connection.transport.abort()
        connection.release()
        assert recorder.writes == []
        await until(lambda: collector.got)


# The handshake's answer, and what comes with it


@asynccontextmanager
async def shaking_hands(connection: Connection, protocol: ClientProtocol) -> AsyncIterator[bytes]:
    """Begin the handshake of a connection that goes nowhere; yield the answer that accepts it."""
    request = protocol.connect()
    handshake = asyncio.ensure_future(connection.shake_hands(request))
    await asyncio.sleep(0)
    digest = hashlib.sha1(f"{request.headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode())
    yield (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(digest.digest())
    )
    await handshake


class Pipe(asyncio.Transport):
    """A transport that goes nowhere, and keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def bare(receiver: Any, **options: Any) -> tuple[Connection, ClientProtocol, Pipe]:
    protocol = ClientProtocol(parse_uri("ws://127.0.0.1/"), max_size=options.get("max_size"))
    connection, pipe = Connection(protocol, receiver, **options), Pipe()
    connection.connection_made(pipe)
    return connection, protocol, pipe


@settings(max_examples=200, deadline=None)
@given(
    messages=st.lists(st.sampled_from(["", "{}", "\r\n\r\n", "\r\n\r\n" + "x" * 40, "é" * 300]), max_size=4),
    cuts=st.lists(st.integers(1, 200), max_size=10),
)
def test_frames_are_found_from_the_byte_behind_the_handshakes_answer(messages: list[str], cuts: list[int]) -> None:
    """In one read with it or cut anywhere, also before its last LF; a payload may look like the end of its head."""

    async def run() -> None:
        collector = Collector()
        connection, protocol, _ = bare(collector)
        async with shaking_hands(connection, protocol) as answer:
            rest = answer + b"".join(frame(TEXT, message.encode()) for message in messages)
            sizes = iter(cuts)
            while rest:
                size = next(sizes, len(rest))
                connection.data_received(rest[:size])
                rest = rest[size:]
            assert collector.got == [("text", message.encode()) for message in messages]
            assert connection._scanning, "frames are found here, not by the slower library"
        connection.connection_lost(None)

    asyncio.run(run())


@pytest.mark.parametrize("cut", [1, 30, 10_000])
async def test_what_is_only_informational_is_no_answer(cut: int) -> None:
    """A 1xx before the answer proper says nothing (RFC 9110 §15.2)."""
    collector = Collector()
    connection, protocol, _ = bare(collector)
    async with shaking_hands(connection, protocol) as answer:
        before = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        rest = before + answer + frame(TEXT, b"{}")
        while rest:
            connection.data_received(rest[:cut])
            rest = rest[cut:]
        assert collector.got == [("text", b"{}")]
    connection.connection_lost(None)


async def test_a_head_without_end_is_refused() -> None:
    connection, protocol, _ = bare(Collector())
    handshake = asyncio.ensure_future(connection.shake_hands(protocol.connect()))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 20_000)
    with pytest.raises(InvalidHandshake):
        await handshake
    connection.connection_lost(None)


@pytest.mark.parametrize("body", [b"\r\n\r\n" * 1000, b"busy" * 1000])
@pytest.mark.parametrize("cut", [10, 100, 10_000])
async def test_the_body_of_a_refusal_may_look_like_anything(body: bytes, cut: int) -> None:
    """A thousand ends of heads in it: none of them is one. And it may come in pieces."""
    connection, protocol, _ = bare(Collector())
    handshake = asyncio.ensure_future(connection.shake_hands(protocol.connect()))
    await asyncio.sleep(0)
    rest = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    while rest:
        connection.data_received(rest[:cut])
        rest = rest[cut:]
    with pytest.raises(InvalidStatus):
        await handshake
    connection.connection_lost(None)


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("bad", [b'{"a":"\xff"}', b"\xed\xa0\x80", b"\xc3", b"x" * 5000 + b"\x80"])
async def test_text_that_is_not_utf_8_ends_the_connection(bad: bytes, fragments: int) -> None:
    """With 1007 (RFC 6455 §8.1), whatever decodes the JSON, and wherever the bad byte stands."""
    async with connected() as (raw, collector, _):
        if fragments == 1:
            raw.write(frame(TEXT, b"{}") + frame(TEXT, bad) + frame(TEXT, b"{}"))
        else:
            raw.write(frame(TEXT, b"{}") + frame(TEXT, bad[:1], fin=False) + frame(CONT, bad[1:]) + frame(TEXT, b"{}"))
        await until(lambda: len(collector.got) == 2)
        assert collector.got[0] == ("text", b"{}")
        assert "1007 (invalid data)" in str(collector.got[1][1])


# Floods


@pytest.mark.parametrize(
    "flood",
    [frame(TEXT, b"{}"), frame(PING, b""), frame(CONT, b"", fin=False)],
    ids=["messages", "pings", "empty fragments"],
)
async def test_the_loop_has_its_turns_in_a_flood(flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much one read brings: it is taken in pieces, in order, and nothing is read meanwhile."""
    monkeypatch.setattr("binance_session.websocket.intake._SLICE", 0.0)
    collector = Collector()
    connection, protocol, pipe = bare(collector)
    async with shaking_hands(connection, protocol) as answer:
        connection.data_received(answer)
    begin = frame(TEXT, b"", fin=False) if flood[0] == 0 else b""
    end = frame(CONT, b"") if begin else b""
    data = begin + flood * (200_000 // len(flood)) + end + frame(TEXT, b"last")
    connection.get_buffer(-1)[: len(data)] = data
    connection.buffer_updated(len(data))
    turns = 0
    while collector.got[-1:] != [("text", b"last")]:
        assert not pipe.reading
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 20
    await asyncio.sleep(0)
    assert pipe.reading
    assert len(collector.got) == (200_000 // len(flood) if flood[0] == 0x81 else 1 if begin else 0) + 1
    connection.connection_lost(None)


async def test_a_flood_that_is_cut_off_was_received_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before the end of the connection is handed on before that is told."""
    monkeypatch.setattr("binance_session.websocket.intake._SLICE", 0.0)
    collector = Collector()
    connection, protocol, _ = bare(collector)
    async with shaking_hands(connection, protocol) as answer:
        connection.data_received(answer)
    data = frame(TEXT, b"{}") * 10_000
    connection.get_buffer(-1)[: len(data)] = data
    connection.buffer_updated(len(data))
    connection.connection_lost(ConnectionResetError("cut"))
    assert len(collector.got) == 10_001
    assert collector.got[-1] == ("end", "ConnectionResetError: cut")


# Whatever raises, the receiver learns that the connection is over


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError("out of order")


@pytest.mark.parametrize(
    ("what", "happens"),
    [
        ("_receiver.message_received", lambda c: c.data_received(frame(TEXT, b"{}"))),
        ("_receiver.binary_received", lambda c: c.data_received(frame(BINARY, b"{}"))),
        ("_protocol.receive_data", lambda c: c.data_received(frame(PING, b"{}"))),
        ("_protocol.events_received", lambda c: c.data_received(frame(PING, b"{}"))),
        ("_protocol.data_to_send", lambda c: c.data_received(frame(PING, b"{}"))),
        ("transport.write", lambda c: c.data_received(frame(PING, b"{}"))),
        ("_protocol.receive_eof", lambda c: c.eof_received()),
        ("_take", lambda c: c.data_received(frame(CLOSE, b""))),
        ("_notice_end", lambda c: c.data_received(frame(CLOSE, b""))),
        ("transport.close", lambda c: c.eof_received()),
        ("_intake.work_off", lambda c: c.connection_lost(None)),
        ("liveness.stop", lambda c: c.connection_lost(None)),
    ],
)
async def test_whatever_raises_the_end_is_told(
    what: str, happens: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a callback of the connection, in the library, in the transport: once, logged, and the transport goes."""
    collector = Collector()
    connection, protocol, pipe = bare(collector)
    async with shaking_hands(connection, protocol) as answer:
        connection.data_received(answer)
    *path, name = what.split(".")
    monkeypatch.setattr(connection if not path else getattr(connection, path[0]), name, _raise)
    happens(connection)
    assert [kind for kind, _ in collector.got] == ["end"]
    assert pipe.closed
    assert not connection.writable
    assert "out of order" in caplog.text
    connection.connection_lost(None)
    await connection.drop()
    assert len(collector.got) == 1


class Speechless(OSError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"), [(Speechless(), "Speechless"), (ConnectionResetError(), "ConnectionResetError")]
)
async def test_an_end_that_cannot_be_put_into_words_is_told(error: OSError, words: str) -> None:
    """Nor does anything end with a colon behind which nothing comes."""
    collector = Collector()
    connection, protocol, _ = bare(collector)
    async with shaking_hands(connection, protocol) as answer:
        connection.data_received(answer)
    connection.connection_lost(error)
    assert collector.got == [("end", words)]
    assert connection.is_gone


@pytest.mark.parametrize("kind", [RuntimeError, asyncio.CancelledError])
async def test_a_log_handler_that_raises_keeps_no_dead_connection(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks is given up, whatever becomes of the line about it; so is what judges whether the line lives."""

    class Handler(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise kind("handler")

    monkeypatch.setattr(logging.getLogger("binance_session"), "handlers", [Handler()])
    collector = Collector()
    connection, protocol, pipe = bare(collector, ping_interval=0.001)
    monkeypatch.setattr(connection.liveness, "_why_dead", _raise)
    async with shaking_hands(connection, protocol) as answer:
        connection.data_received(answer)
    await until(lambda: collector.got)
    assert collector.got == [("end", "RuntimeError in binance_session")]
    assert pipe.closed
    connection.connection_lost(None)


async def test_a_receiver_that_cannot_take_the_end_keeps_nothing_alive(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Collector):
        connection_ending = _raise

    connection, protocol, _ = bare(Broken())
    async with shaking_hands(connection, protocol) as answer:
        connection.data_received(answer)
    connection.connection_lost(None)
    await connection.drop()
    assert connection.is_gone
    assert "out of order" in caplog.text


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:{port}/ws/{key}", "ws://127.0.0.1:{port}/ws/{key}#x", "wss://{key}../"]
)
async def test_no_error_of_a_dial_holds_the_address(url: str) -> None:
    """Nor does anything that is chained to it: a stream's address holds a listenKey, which a server may say back."""
    key = "listenKey" * 7

    async def reply(request: bytes) -> bytes:
        return b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + request[:90]

    async with http_server(reply) as (port, _):
        with pytest.raises(ConnectError) as caught:
            await dial(ConnectionOptions(url.format(port=port, key=key), proxy=None), Collector())
    assert key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.long
async def test_a_bot_that_computes_for_seconds_keeps_its_connection() -> None:
    """The pong lies in the socket when the timer is due: it counts."""
    async with exchange() as simulator, session_to(simulator, ping_interval=0.3, ping_timeout=0.2) as session:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            await asyncio.sleep(0.31)
            until_then = loop.time() + 0.4
            while loop.time() < until_then:
                pass
        assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1
