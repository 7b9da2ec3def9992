"""Virtual time and the network in memory: what a test that runs on them may rely on."""

from __future__ import annotations

import asyncio
import errno
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from binance_session.simulator.virtual import Network, Stuck, VirtualConnection, VirtualTimeLoop, run

NEW_YEAR = 1_767_225_600.0


def now() -> float:
    return asyncio.get_running_loop().time()


def network() -> Network:
    return VirtualTimeLoop.running().network


# Time.


def test_a_sleep_passes_without_waiting() -> None:
    """A week goes by between two lines, to the second."""

    async def main() -> float:
        await asyncio.sleep(6 * 86_400)
        return now()

    started = time.monotonic()
    assert run(main) == 6 * 86_400
    assert time.monotonic() - started < 1.0


def test_timers_run_in_the_order_of_their_times() -> None:
    """What is due earlier runs earlier, and the clock shows each its own time."""
    seen: list[tuple[float, str]] = []

    async def later(delay: float, name: str) -> None:
        await asyncio.sleep(delay)
        seen.append((now(), name))

    async def main() -> None:
        await asyncio.gather(later(3.5, "third"), later(0.25, "first"), later(1.0, "second"))

    run(main)
    assert seen == [(0.25, "first"), (1.0, "second"), (3.5, "third")]


def test_time_stands_still_while_code_runs() -> None:
    """However long a computation takes, no virtual time passes."""

    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    assert run(main) == 0.0


@pytest.mark.parametrize("days", [1, 365, 36_500])
def test_timers_fire_however_late_it_is(days: int) -> None:
    """After a century a millisecond still ends."""

    async def main() -> float:
        await asyncio.sleep(days * 86_400)
        await asyncio.sleep(0.001)
        return now()

    assert run(main, limit=4e9) == pytest.approx(days * 86_400 + 0.001, abs=1e-5)


def test_the_wall_clock_starts_where_it_is_told() -> None:
    """Virtual Unix time is the start plus what has passed."""

    async def main() -> float:
        await asyncio.sleep(90)
        return VirtualTimeLoop.running().wall_time()

    assert run(main) == NEW_YEAR + 90
    assert run(main, start=1000.0) == 1090.0


def test_a_timeout_ends_a_wait_at_its_time() -> None:
    """asyncio.timeout counts virtual seconds."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return now()

    assert run(main) == 30.0


def test_waiting_for_what_cannot_come_is_an_error() -> None:
    """Instead of hanging, the loop names the tasks that wait."""

    async def wait_for_godot() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match=r"nothing will ever happen[\s\S]*wait_for_godot"):
        run(wait_for_godot)


def test_waiting_beyond_the_limit_is_an_error() -> None:
    """A heartbeat cannot keep a forgotten wait going for ever, nor can its clean-up be lost."""
    cleaned = []

    async def main() -> None:
        try:
            for _ in range(1000):
                await asyncio.sleep(20)
        finally:
            await asyncio.sleep(60)
            cleaned.append(now())

    with pytest.raises(Stuck, match="after 3600 virtual seconds"):
        run(main, limit=3600)
    assert cleaned == [3660.0]


def test_what_would_need_a_thread_runs_in_place() -> None:
    """to_thread gives the result, or the exception, at once."""

    async def main() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(sum, [1, 2, 3])

    assert run(main) == 6


def test_call_soon_threadsafe_works() -> None:
    """Libraries that wake the loop this way find it awake."""

    async def main() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon_threadsafe(event.set)
        await event.wait()

    run(main)


def test_another_loop_is_told_apart() -> None:
    """Code that needs virtual time says so on a real loop."""

    async def main() -> None:
        VirtualTimeLoop.running()

    with pytest.raises(RuntimeError, match="VirtualTimeLoop"):
        asyncio.run(main())


# run().


def test_run_takes_a_coroutine_and_returns_its_result() -> None:
    """A coroutine, or the function that makes one."""

    async def main(answer: int = 42) -> int:
        return answer

    assert run(main) == 42
    assert run(main(43)) == 43


def test_run_lets_the_main_task_fail() -> None:
    """Its exception is the one that is seen, whatever else was left behind."""

    async def main() -> None:
        await asyncio.start_server(lambda *_: None, "localhost", 0)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main)


def test_run_cancels_what_is_left_and_closes_generators() -> None:
    """Tasks and generators that outlive the main task get to clean up."""
    ended = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def main() -> tuple[VirtualTimeLoop, Any, Any]:
        task = asyncio.create_task(forever())
        generator = numbers()
        await anext(generator)
        return VirtualTimeLoop.running(), task, generator

    loop, task, _ = run(main)
    assert sorted(ended) == ["generator", "task"]
    assert task.cancelled()
    assert loop.is_closed()


def test_run_reports_an_exception_that_nobody_handled() -> None:
    """A callback's failure fails the run."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="not handled") as caught:
        run(main)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_run_reports_a_server_that_still_listens() -> None:
    """A forgotten server is named."""

    async def main() -> None:
        await asyncio.start_server(lambda *_: None, "localhost", 7777)

    with pytest.raises(RuntimeError, match=r"left open: <Server at 127\.0\.0\.1:7777>"):
        run(main)


def test_run_reports_a_connection_that_nobody_closed() -> None:
    """A forgotten connection is named, one whose closing is under way is not."""

    async def main(close: bool) -> None:
        client, _, server = await pair()
        server.close()
        if close:
            client.transport.close()

    async def pair() -> tuple[Recorder, Recorder, asyncio.AbstractServer]:
        accepted = Recorder()
        server = await asyncio.get_running_loop().create_server(lambda: accepted, "localhost", 7777)
        _, client = await asyncio.get_running_loop().create_connection(Recorder, "localhost", 7777)
        assert isinstance(client, Recorder)
        return client, accepted, server

    run(main(close=True))
    with pytest.raises(RuntimeError, match=r"left open: <Connection 127\.0\.0\.1:\d+ to 127\.0\.0\.1:7777>"):
        run(main(close=False))


# Connections, seen by a plain protocol.


class Recorder(asyncio.Protocol):
    """Write down what the transport calls, and when."""

    transport: asyncio.Transport

    def __init__(self, keep_open: bool = False) -> None:
        self.keep_open = keep_open
        self.calls: list[tuple[float, Any]] = []

    def note(self, what: Any) -> None:
        self.calls.append((now(), what))

    @property
    def seen(self) -> list[Any]:
        return [what for _, what in self.calls]

    @property
    def received(self) -> bytes:
        return b"".join(what for what in self.seen if isinstance(what, bytes))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.note(data)

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note("lost" if exc is None else exc)


@asynccontextmanager
async def joined(
    keep_open: bool = False, server: Callable[[], Recorder] | None = None
) -> AsyncIterator[tuple[Recorder, Recorder, VirtualConnection]]:
    """Give the protocols of a client and of a server that are connected, and the line between them."""
    loop = asyncio.get_running_loop()
    accepted = server() if server else Recorder(keep_open)
    listener = await loop.create_server(lambda: accepted, "localhost", 7777)
    _, client = await loop.create_connection(lambda: Recorder(keep_open), "localhost", 7777)
    assert isinstance(client, Recorder)
    try:
        yield client, accepted, network().connections[-1]
    finally:
        client.transport.abort()
        accepted.transport.abort()
        listener.close()
        await listener.wait_closed()


def test_bytes_arrive_in_order_after_the_latency() -> None:
    """Each write arrives on its own, so many seconds later, both ways."""

    async def main() -> None:
        network().latency = 0.05
        async with joined() as (client, server, _):
            assert now() == pytest.approx(0.1)  # one round trip to connect
            client.transport.write(b"one")
            client.transport.writelines([b"tw", bytearray(b"o")])
            await asyncio.sleep(0.02)
            server.transport.write(memoryview(b"three"))
            await asyncio.sleep(1)
            assert server.seen == [b"one", b"two"]
            assert server.calls[0][0] == pytest.approx(0.15)
            assert client.seen == [b"three"]
            assert client.calls[0][0] == pytest.approx(0.17)

    run(main)


def test_a_shorter_latency_overtakes_nothing() -> None:
    """Bytes stay in order when the line gets faster."""

    async def main() -> None:
        async with joined() as (client, server, line):
            line.latency = 1.0
            client.transport.write(b"slow ")
            line.latency = 0.0
            client.transport.write(b"fast ")
            await asyncio.sleep(0.5)
            client.transport.write(b"last")
            assert server.received == b""
            await asyncio.sleep(1)
            assert server.received == b"slow fast last"

    run(main)


def test_writes_can_be_cut_into_segments() -> None:
    """A receiver sees bytes, not writes."""

    async def main() -> None:
        network().segment_size = 3
        async with joined() as (client, server, line):
            client.transport.write(b"abcdefgh")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            line.segment_size = None
            client.transport.write(b"ijklm")
            await asyncio.sleep(1)
            assert server.seen == [b"abc", b"def", b"gh", b"ijklm"]

    run(main)


def test_writes_can_be_merged() -> None:
    """What is written while something is on its way arrives with it."""

    async def main() -> None:
        network().latency = 0.1
        network().merge = True
        async with joined() as (client, server, _):
            for data in (b"a", b"b", b"c"):
                client.transport.write(data)
            await asyncio.sleep(0.5)
            client.transport.write(b"d")
            client.transport.close()
            await asyncio.sleep(0.5)
            assert server.seen == [b"abc", b"d", "eof", "lost"]

    run(main)


def test_close_delivers_everything_first() -> None:
    """Who closes loses the connection; the peer gets the bytes, then the end."""

    async def main() -> None:
        network().latency = 0.1
        async with joined() as (client, server, line):
            client.transport.write(b"goodbye")
            client.transport.close()
            assert client.transport.is_closing()
            client.transport.write(b"never")
            await asyncio.sleep(1)
            assert client.seen == ["lost"]
            assert server.seen == [b"goodbye", "eof", "lost"]
            assert line not in network().connections

    run(main)


def test_one_direction_can_be_closed() -> None:
    """After write_eof() the peer may go on talking, if its protocol wants to."""

    async def main() -> None:
        async with joined(keep_open=True) as (client, server, _):
            assert client.transport.can_write_eof()
            client.transport.write(b"question")
            client.transport.write_eof()
            with pytest.raises(RuntimeError, match="write_eof"):
                client.transport.write(b"more")
            await asyncio.sleep(1)
            assert server.seen == [b"question", "eof"]
            server.transport.write(b"answer")
            server.transport.close()
            await asyncio.sleep(1)
            assert client.seen == [b"answer", "eof"]

    run(main)


def test_abort_resets_the_peer() -> None:
    """Who aborts just loses the connection; the peer loses it with ConnectionResetError."""

    async def main() -> None:
        async with joined() as (client, server, _):
            client.transport.abort()
            await asyncio.sleep(1)
            assert client.seen == ["lost"]
            assert [type(what) for what in server.seen] == [ConnectionResetError]

    run(main)


def test_cut_resets_both_ends_and_loses_what_was_on_its_way() -> None:
    """A cut is seen at once, on both sides."""

    async def main() -> None:
        network().latency = 0.1
        async with joined() as (client, server, line):
            client.transport.write(b"gone")
            line.cut()
            line.cut()
            cut_at = now()
            await asyncio.sleep(1)
            for protocol in (client, server):
                [(at, error)] = protocol.calls
                assert at == cut_at
                assert isinstance(error, ConnectionResetError)
                assert error.errno == errno.ECONNRESET
            assert network().connections == []

    run(main)


def test_bytes_for_a_closed_end_are_answered_with_a_reset() -> None:
    """Talking to somebody who hung up ends the connection, as it does on a real network."""

    async def main() -> None:
        async with joined(keep_open=True) as (client, server, _):
            client.transport.close()
            await asyncio.sleep(1)
            server.transport.write(b"hello?")
            await asyncio.sleep(1)
            assert server.seen[0] == "eof"
            assert isinstance(server.seen[1], ConnectionResetError)

    run(main)


def test_half_open_swallows_everything_and_tells_nobody() -> None:
    """Bytes, ends and resets vanish, also those on their way; only the end that closes notices."""

    async def main() -> None:
        network().latency = 0.1
        async with joined() as (client, server, line):
            client.transport.write(b"on its way")
            line.half_open()
            server.transport.write(b"into the void" * 100_000)
            client.transport.write(b"too")
            await asyncio.sleep(1)
            client.transport.close()
            await asyncio.sleep(3600)
            assert client.seen == ["lost"]
            assert server.seen == ["pause", "resume"]
            assert not server.transport.is_closing()

    run(main)


def test_half_open_can_be_one_way() -> None:
    """One end still hears the other."""

    async def main() -> None:
        async with joined() as (client, server, line):
            line.half_open(client_hears=True)
            client.transport.write(b"unheard")
            server.transport.write(b"heard")
            await asyncio.sleep(1)
            assert client.seen == [b"heard"]
            assert server.seen == []

    run(main)


def test_a_reader_that_pauses_gets_nothing_until_it_resumes() -> None:
    """Paused bytes wait, in order, and so does the end."""

    async def main() -> None:
        async with joined() as (client, server, _):
            server.transport.pause_reading()
            assert not server.transport.is_reading()
            client.transport.write(b"a")
            client.transport.write(b"b")
            client.transport.close()
            await asyncio.sleep(1)
            assert server.seen == []
            server.transport.resume_reading()
            await asyncio.sleep(1)
            assert server.seen == [b"a", b"b", "eof", "lost"]

    run(main)


def test_a_writer_is_paused_when_the_reader_does_not_keep_up() -> None:
    """Beyond what kernels buffer the write buffer fills, and pauses and resumes the writer at its limits."""

    async def main() -> None:
        async with joined() as (client, server, _):
            server.transport.pause_reading()
            client.transport.set_write_buffer_limits(high=1000)
            assert client.transport.get_write_buffer_limits() == (250, 1000)
            client.transport.write(b"k" * 256 * 1024)
            assert client.transport.get_write_buffer_size() == 0
            client.transport.write(b"x" * 1000)
            assert client.seen == []
            client.transport.write(b"x")
            assert client.transport.get_write_buffer_size() == 1001
            assert client.seen == ["pause"]
            client.transport.close()
            await asyncio.sleep(1)
            assert client.seen == ["pause"]  # not lost: there is something to flush
            server.transport.resume_reading()
            await asyncio.sleep(1)
            assert client.seen == ["pause", "lost"]
            assert len(server.received) == 256 * 1024 + 1001

    run(main)


def test_a_writer_resumes_when_the_buffer_has_drained() -> None:
    """resume_writing() comes once the buffer is below its low mark."""

    async def main() -> None:
        async with joined() as (client, server, _):
            server.transport.pause_reading()
            client.transport.write(b"x" * 400 * 1024)
            assert client.seen == ["pause"]
            server.transport.resume_reading()
            await asyncio.sleep(1)
            assert client.seen == ["pause", "resume"]
            assert client.transport.get_write_buffer_size() == 0
            with pytest.raises(ValueError, match="high"):
                client.transport.set_write_buffer_limits(high=1, low=2)

    run(main)


def test_a_protocol_that_fails_loses_its_connection() -> None:
    """An exception in data_received() is reported, and resets the connection."""

    class Broken(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("broken")

    async def main() -> None:
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with joined(server=Broken) as (client, server, _):
            client.transport.write(b"x")
            await asyncio.sleep(1)
            assert "data_received" in reported[0]["message"]
            assert [type(what) for what in server.seen] == [LookupError]
            assert [type(what) for what in client.seen] == [ConnectionResetError]

    run(main)


def test_a_transport_knows_its_addresses_and_its_protocol() -> None:
    """The two ends name each other; there is no socket to get hold of."""

    async def main() -> None:
        async with joined() as (client, server, _):
            ours, theirs = client.transport, server.transport
            assert ours.get_extra_info("peername") == ("127.0.0.1", 7777)
            assert ours.get_extra_info("sockname") == theirs.get_extra_info("peername")
            assert ours.get_extra_info("socket") is None
            assert ours.get_extra_info("cipher", "none") == "none"
            assert ours.get_protocol() is client
            replacement = Recorder()
            theirs.set_protocol(replacement)
            ours.write(b"x")
            await asyncio.sleep(1)
            assert (server.seen, replacement.seen) == ([], [b"x"])
            with pytest.raises(TypeError, match="bytes"):
                ours.write("text")  # type: ignore[arg-type]
            theirs.set_protocol(server)

    run(main)


def test_a_protocol_that_brings_its_own_buffer_gets_what_it_has_room_for() -> None:
    """Read after read, and no more once it paused reading; one that fails loses its connection, as any other."""

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(4)
            self.seen: list[bytes] = []
            self.transport: Any = None

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.seen.append(bytes(self.buffer[:nbytes]))
            if b"!" in self.seen[-1]:
                self.transport.pause_reading()
            if b"?" in self.seen[-1]:
                raise LookupError("what?")

    async def main() -> None:
        reported = list[Any]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with joined() as (client, server, _):
            buffered = Buffered()
            buffered.transport = server.transport
            server.transport.set_protocol(buffered)
            client.transport.write(b"012345678")
            client.transport.write(b"9ab!cdef")
            await asyncio.sleep(1)
            assert buffered.seen == [b"0123", b"4567", b"8", b"9ab!"]
            server.transport.resume_reading()
            await asyncio.sleep(1)
            assert buffered.seen[4:] == [b"cdef"]
            client.transport.write(b"?")
            await asyncio.sleep(1)
            assert "buffer_updated" in reported[0]["message"]
            assert [type(what) for what in client.seen] == [ConnectionResetError]

    run(main)


def test_asyncio_streams_work() -> None:
    """The network serves any protocol, asyncio's own streams too."""

    async def main() -> bytes:
        async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read()).upper())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(upper, "localhost", 7777):
            reader, writer = await asyncio.open_connection("localhost", 7777)
            writer.write(b"quiet")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert run(main) == b"QUIET"


# Who can be reached.


def test_nobody_listens() -> None:
    """A connection to nobody is refused, after one round trip, also once a server has closed."""

    async def main() -> None:
        network().latency = 0.25
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionRefusedError, match="nothing listens at localhost:7777"):
            await loop.create_connection(Recorder, "localhost", 7777)
        assert now() == 0.5
        server = await loop.create_server(Recorder, "localhost", 7777, start_serving=False)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Recorder, "localhost", 7777)
        await server.start_serving()
        assert server.is_serving()
        server.close()
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Recorder, "localhost", 7777)

    run(main)


def test_a_dead_router_answers_nothing() -> None:
    """An attempt to connect hangs until whoever makes it loses patience."""

    async def main() -> None:
        network().drops_connects = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.get_running_loop().create_connection(Recorder, "localhost", 7777)
        assert now() == 10

    run(main)


def test_a_bad_certificate_ends_tls() -> None:
    """With the ssl module's own error, and what the session reads in it; without TLS nothing is looked at."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure = await loop.create_server(Recorder, "localhost", 7777, ssl=server)
        plain = await loop.create_server(Recorder, "localhost", 7778)
        transport, _ = await loop.create_connection(Recorder, "localhost", 7777, ssl=client)
        network().bad_certificates = True
        with pytest.raises(ssl.SSLCertVerificationError) as refusal:
            await loop.create_connection(Recorder, "localhost", 7777, ssl=client)
        assert refusal.value.verify_message == "self-signed certificate"
        assert not transport.is_closing()
        other, _ = await loop.create_connection(Recorder, "localhost", 7778)
        for client_end in (transport, other):
            client_end.abort()
        for listener in (secure, plain):
            listener.close()
            await listener.wait_closed()

    run(main)


def test_a_server_that_is_down_refuses() -> None:
    """At once, whoever listens; what is connected already goes on."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "localhost", 7777)
        transport, _ = await loop.create_connection(Recorder, "localhost", 7777)
        network().refuses_connects = True
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Recorder, "localhost", 7777)
        assert now() == 0
        assert not transport.is_closing()
        network().refuses_connects = False
        again, _ = await loop.create_connection(Recorder, "localhost", 7777)
        for connected in (transport, again):
            connected.abort()
        server.close()
        await server.wait_closed()

    run(main)


def test_an_address_is_taken_once() -> None:
    """Two servers cannot share an address, and a closed one gives it back."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = await loop.create_server(Recorder, ["localhost", "exchange.example"], 7777)
        with pytest.raises(OSError, match="in use") as caught:
            await loop.create_server(Recorder, "exchange.example", 7777)
        assert caught.value.errno == errno.EADDRINUSE
        first.close()
        with pytest.raises(RuntimeError, match="closed"):
            await first.start_serving()
        second = await loop.create_server(Recorder, "exchange.example", 7777)
        second.close()

    run(main)


def test_port_0_is_a_free_port_and_no_host_is_every_host() -> None:
    """A server learns its port from its sockets, and hears every name."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Recorder, None, 0) for _ in range(2)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        assert len(set(ports)) == 2
        for host in ("localhost", "::1", "10.1.2.3", "exchange.example"):
            transport, _ = await loop.create_connection(Recorder, host, ports[1])
            transport.close()
        for server in servers:
            server.close()
            await server.wait_closed()
            assert server.sockets == ()

    run(main)


def test_names_have_addresses() -> None:
    """getaddrinfo() answers in memory: the same address for the same name, another for another."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        names = ("exchange.example", "stream.example", "EXCHANGE.example", "localhost", "192.0.2.7")
        return [str((await loop.getaddrinfo(name, 443))[0][4][0]) for name in names]

    assert run(main) == ["198.18.0.1", "198.18.0.2", "198.18.0.1", "127.0.0.1", "192.0.2.7"]


def test_both_sides_must_agree_on_tls() -> None:
    """A client that speaks TLS reaches only a server that does, though nothing is encrypted."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server = await loop.create_server(Recorder, "exchange.example", 443, ssl=context)
        transport, _ = await loop.create_connection(Recorder, "exchange.example", 443, ssl=True)
        transport.close()
        with pytest.raises(ConnectionResetError, match="TLS"):
            await loop.create_connection(Recorder, "exchange.example", 443)
        server.close()

    run(main)


def test_real_sockets_are_refused() -> None:
    """What cannot work in memory says so."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for attempt in (
            loop.create_connection(Recorder, sock=object()),
            loop.create_connection(Recorder, "localhost"),
            loop.create_server(Recorder, sock=object()),
        ):
            with pytest.raises(ValueError, match="socket"):
                await attempt

    run(main)


def test_a_client_that_is_cancelled_while_connecting_leaves_nothing() -> None:
    """The server's end of a connection that nobody took is reset."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepted, is_accepted = Recorder(), asyncio.Event()

        def accept() -> Recorder:
            is_accepted.set()
            return accepted

        server = await loop.create_server(accept, "localhost", 7777)
        task = asyncio.create_task(loop.create_connection(Recorder, "localhost", 7777))
        await is_accepted.wait()
        task.cancel()
        await asyncio.wait([task])
        server.close()
        await server.wait_closed()
        assert [type(what) for what in accepted.seen] == [ConnectionResetError]

    run(main)


def test_a_server_waits_for_its_connections_and_can_end_them() -> None:
    """wait_closed() returns when the last connection is gone, serve_forever() when it is cancelled."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for end in ("close_clients", "abort_clients"):
            server: Any = await loop.create_server(Recorder, "localhost", 7777)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(0)
            await loop.create_connection(Recorder, "localhost", 7777)
            serving.cancel()
            await asyncio.wait([serving])
            closed = asyncio.create_task(server.wait_closed())
            await asyncio.sleep(60)
            assert not closed.done()
            assert server.get_loop() is loop
            getattr(server, end)()
            await closed

    run(main)


# WebSockets over it.


async def echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


@asynccontextmanager
async def websockets_joined(
    ping_interval: float | None = 20.0, close_timeout: float = 10.0
) -> AsyncIterator[tuple[ClientConnection, Server]]:
    """Give a client that is connected to an echoing server."""
    async with (
        serve(echo, "exchange.example", 80, ping_interval=ping_interval, close_timeout=close_timeout) as server,
        connect(
            "ws://exchange.example/path",
            ping_interval=ping_interval,
            close_timeout=close_timeout,
            proxy=None,
        ) as client,
    ):
        yield client, server


@pytest.mark.parametrize("segment_size", [None, 1, 1000])
@pytest.mark.parametrize("latency", [0.0, 0.03])
def test_websockets_talk(segment_size: int | None, latency: float) -> None:
    """Messages of every size come back whole, however the line cuts them."""

    async def main() -> None:
        network().segment_size = segment_size
        network().latency = latency
        async with websockets_joined() as (client, _):
            for message in ("hello", "€" * 5_000, b"\x00\xff"):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "frag", "ments"])
            assert await client.recv() == "in fragments"

    run(main)


def test_a_large_message_is_held_back_by_flow_control() -> None:
    """Megabytes pass a writer that is paused again and again."""

    async def main() -> None:
        async with websockets_joined() as (client, _):
            message = random.Random(1).randbytes(900_000)
            await client.send(message)
            assert await client.recv() == message

    run(main)


def test_the_closing_handshake_completes() -> None:
    """Both sides learn the code and the reason."""

    async def main() -> None:
        async with websockets_joined() as (client, server):
            [accepted] = server.connections
            await accepted.close(1001, "going away")
            with pytest.raises(ConnectionClosedOK) as caught:
                await client.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "going away")
            assert accepted.close_code == 1001

    run(main)


def test_a_half_open_connection_is_found_by_its_pings() -> None:
    """Nothing arrives, and exactly one ping interval and one ping timeout later the client knows."""

    async def main() -> None:
        async with websockets_joined(ping_interval=180.0, close_timeout=5.0) as (client, _):
            await asyncio.sleep(1000)
            network().connections[0].half_open()
            with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
                await client.recv()
            # pings at 180, 360, … 1080 s; the answer to the last never comes, nor does that to the close frame
            assert now() == pytest.approx(1080 + 20 + 5)

    run(main)


def test_a_cut_connection_is_seen_at_once() -> None:
    """No close frame, an error instead, and in no time."""

    async def main() -> None:
        async with websockets_joined() as (client, _):
            network().connections[0].cut()
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert now() == 0.0

    run(main)


def test_a_refused_websocket_is_a_refused_connection() -> None:
    """The library lets the error pass."""

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect("ws://exchange.example", proxy=None)

    run(main)


def test_a_day_costs_well_under_a_second() -> None:
    """24 h with a ping every 20 s, both ways, is a matter of milliseconds."""

    async def main() -> None:
        async with websockets_joined() as (client, _):
            await asyncio.sleep(86_400)
            await client.send("still here")
            assert await client.recv() == "still here"

    started = time.process_time()
    run(main)
    assert time.process_time() - started < 5.0  # a fraction of a second where nothing traces or measures


def test_two_runs_are_alike() -> None:
    """The same program gives the same events at the same times in the same order."""

    def trace() -> list[tuple[float, str]]:
        events: list[tuple[float, str]] = []

        async def answer(websocket: ServerConnection) -> None:
            try:
                await echo(websocket)
            except ConnectionClosedError:
                events.append((now(), "server lost one"))

        async def talk(name: str, dice: random.Random) -> None:
            async with connect("ws://exchange.example", ping_interval=1.0, proxy=None) as client:
                try:
                    for number in range(20):
                        await asyncio.sleep(dice.random())
                        await client.send(f"{name} {number}")
                        events.append((now(), str(await client.recv())))
                except ConnectionClosedError:
                    events.append((now(), f"{name} lost"))
                else:
                    network().connections[0].cut()

        async def main() -> None:
            network().latency = 0.02
            async with serve(answer, "exchange.example", 80):
                await asyncio.gather(*(talk(name, random.Random(name)) for name in "abc"))

        run(main)
        return events

    first = trace()
    assert {"server lost one", "a 3", "b 3", "c 3"} <= {event for _, event in first}
    assert trace() == first
