"""What proves that a line lives, and when one is given up."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event
from websockets.server import ServerProtocol

from binance_session import ConnectionLost, SessionState
from binance_session.config import ConnectionOptions
from binance_session.simulator import virtual
from binance_session.websocket.connection import Connection
from binance_session.websocket.dialing import dial
from tests.exchange import exchange, session_to, until
from tests.websocket.raw import Collector, frame

pytestmark = pytest.mark.virtual


class Peer(asyncio.Protocol):
    """The other end of one connection: answers pings when and as it is told to, and says what it is told to say."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.protocol = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
        #: seconds until a ping is answered; ``None``: it is not
        self.pong_after: float | None = 0.0
        self.pings = 0
        self.got: list[Event] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            self.got.append(event)
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
                self.transport.write(b"".join(self.protocol.data_to_send()))
            elif isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.pings += 1
                if self.pong_after is not None:
                    loop = asyncio.get_running_loop()
                    loop.call_later(self.pong_after, self.say, Opcode.PONG, bytes(event.data))
        self.protocol.data_to_send()

    def say(self, opcode: Opcode, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(frame(opcode, data))


class Answered(Collector):
    """A receiver to which each message is an answer."""

    def answers(self) -> int:
        return sum(kind == "text" for kind, _ in self.got)


@asynccontextmanager
async def line(receiver: Collector, **options: Any) -> AsyncIterator[tuple[Peer, Connection]]:
    peer = Peer()
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"ping_interval": 10.0, "ping_timeout": 10.0, **options}
    connection = await dial(ConnectionOptions(f"ws://127.0.0.1:{port}", proxy=None, **options), receiver)
    try:
        yield peer, connection
    finally:
        await connection.drop()
        peer.transport.abort()
        server.close()
        await server.wait_closed()


async def ending(receiver: Collector) -> None:
    await until(lambda: any(kind == "end" for kind, _ in receiver.got))


async def keep_saying(peer: Peer, every: float, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        peer.say(Opcode.TEXT, b"{}")
        await asyncio.sleep(every)


@pytest.mark.parametrize("kind", [Collector, Answered])
async def test_a_line_on_which_nothing_comes_is_cut_in_time(kind: Callable[[], Collector]) -> None:
    """Within ping_interval + ping_timeout of the last byte, whenever that came, an answer or not."""
    moments = [0.0, 3.0, 9.9, 10.1, 15.0, 19.9, 40.0] + [65.0, 71.0, 75.0] * (kind is Answered)
    for last_byte in moments:
        receiver = kind()
        async with line(receiver) as (peer, _):
            loop = asyncio.get_running_loop()
            peer.pong_after = None
            await keep_saying(peer, 1.0, last_byte)
            peer.say(Opcode.TEXT, b"{}")
            said = loop.time()
            await ending(receiver)
            assert loop.time() - said <= 20.01, last_byte
            assert "no pong within 10 s" in str(receiver.got[-1][1])


@pytest.mark.parametrize("ping_timeout", [1.0, 10.0, 35.0])
@pytest.mark.parametrize("last_answer", [0.5, 10.5, 11.5, 19.5, 29.5, 44.0])
async def test_answers_without_pongs_delay_no_verdict(ping_timeout: float, last_answer: float) -> None:
    """They proved life when they came: silence is counted from the last of them."""
    receiver = Answered()
    async with line(receiver, ping_timeout=ping_timeout) as (peer, _):
        loop = asyncio.get_running_loop()
        peer.pong_after = None
        await keep_saying(peer, 0.4, last_answer)
        said = loop.time()
        await ending(receiver)
        assert loop.time() - said <= 10.0 + ping_timeout + 0.01


@pytest.mark.parametrize("receiver", [Collector, Answered])
async def test_late_pongs_beside_data_are_no_reason_to_cut(receiver: Callable[[], Collector]) -> None:
    """15 s late, for an hour: the line lives all the same."""
    collector = receiver()
    async with line(collector) as (peer, connection):
        peer.pong_after = 15.0
        await keep_saying(peer, 1.0, 3600.0)
        assert connection.writable
        assert peer.pings > 100


async def test_answers_prove_the_way_there_although_no_pong_ever_comes() -> None:
    async with line(Answered()) as (peer, connection):
        peer.pong_after = None
        await keep_saying(peer, 1.0, 3600.0)
        assert connection.writable


async def test_data_that_come_while_nothing_of_ours_arrives_are_given_up_after_a_minute() -> None:
    """Events flow, and neither a pong nor an answer comes: what is written goes nowhere."""
    receiver = Collector()
    async with line(receiver) as (peer, connection):
        await keep_saying(peer, 1.0, 300.0)
        assert connection.writable
        peer.pong_after = None
        began = asyncio.get_running_loop().time()
        saying = asyncio.create_task(keep_saying(peer, 1.0, 200.0))
        await ending(receiver)
        assert 60.0 <= asyncio.get_running_loop().time() - began <= 81.0
        assert "nothing written here has been answered" in str(receiver.got[-1][1])
        await saying


async def test_a_large_answer_over_a_slow_line_is_waited_for() -> None:
    """30 MB at 200 kB/s: its bytes arrive all the time, and the pong behind them late."""
    receiver = Collector()
    async with line(receiver) as (peer, connection):
        (carrier,) = virtual.VirtualTimeLoop.running().network.connections
        carrier.bandwidth, carrier.segment_size = 200_000.0, 20_000
        whole = b"x" * 30_000_000
        peer.say(Opcode.TEXT, whole)
        await until(lambda: receiver.got)
        assert receiver.got == [("text", whole)]
        assert asyncio.get_running_loop().time() > 140.0
        carrier.bandwidth = None
        await asyncio.sleep(60.0)
        assert connection.writable


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_so_is_one_in_fragments_or_compressed(compression: str | None) -> None:
    """Nothing but the message itself comes for minutes, whatever its frames are."""
    receiver = Collector()
    async with line(receiver, compression=compression) as (peer, _):
        (carrier,) = virtual.VirtualTimeLoop.running().network.connections
        carrier.bandwidth, carrier.segment_size = 10_000.0, 1_000
        whole = "".join(Random(1).choices("0123456789abcdef", k=4_000_000)).encode()
        parts = [whole[start : start + 20_000] for start in range(0, len(whole), 20_000)]
        if compression is None:
            peer.protocol.send_text(parts[0], fin=False)
            for part in parts[1:-1]:
                peer.protocol.send_continuation(part, fin=False)
            peer.protocol.send_continuation(parts[-1], fin=True)
        else:
            peer.protocol.send_text(whole)
        peer.transport.write(b"".join(peer.protocol.data_to_send()))
        await until(lambda: receiver.got)
        assert receiver.got == [("text", whole)]
        assert asyncio.get_running_loop().time() > 180.0
        carrier.bandwidth = None
        await asyncio.sleep(60.0)


async def test_a_large_answer_that_does_not_get_on_is_not_waited_for() -> None:
    """Its bytes come one by one, and nothing says that what is written here arrives."""
    receiver = Collector()
    async with line(receiver) as (peer, _):
        peer.pong_after = None
        peer.transport.write(frame(Opcode.TEXT, b"x" * 1_000_000)[:200_000])
        began = asyncio.get_running_loop().time()
        while not receiver.got and asyncio.get_running_loop().time() < began + 600:
            peer.transport.write(b"x")
            await asyncio.sleep(5.0)
        assert "nothing written here has been answered" in str(receiver.got[-1][1])


async def test_a_line_without_pings_of_ours_is_judged_by_the_servers() -> None:
    """The server's pings stay away: it is asked, and lives if anything comes at all."""
    for talks in (True, False):
        receiver = Collector()
        async with line(receiver, ping_interval=None, server_ping_interval=20.0) as (peer, connection):
            peer.pong_after = None
            if talks:
                await keep_saying(peer, 1.0, 55.0)
                assert connection.writable
            else:
                await ending(receiver)
                assert asyncio.get_running_loop().time() <= 130.0
                assert "the server has not pinged for 50 s" in str(receiver.got[-1][1])


async def test_pings_of_a_peer_that_does_not_read_are_not_answered_without_end() -> None:
    """One pong is kept: the most recent ping's (RFC 6455 §5.5.3)."""
    async with line(Collector(), ping_interval=None) as (peer, connection):
        (carrier,) = virtual.VirtualTimeLoop.running().network.connections
        peer.transport.pause_reading()
        for number in range(20_000):
            peer.say(Opcode.PING, struct.pack("!I", number) * 30)
            if number % 1000 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        assert carrier.client.get_write_buffer_size() < 200_000
        peer.got.clear()
        peer.transport.resume_reading()
        await asyncio.sleep(1.0)
        pongs = [bytes(event.data) for event in peer.got if isinstance(event, Frame)]
        assert pongs[-1] == struct.pack("!I", 19_999) * 30
        assert len(pongs) < 5000
        assert connection.writable


async def test_a_session_outlives_a_slow_line() -> None:
    """Its requests are answered late, and the connection is the same."""
    async with exchange() as simulator, session_to(simulator, request_timeout=60.0) as session:
        for carrier in virtual.VirtualTimeLoop.running().network.connections:
            carrier.bandwidth, carrier.segment_size = 500.0, 100
        await asyncio.gather(*[session.request("account.status") for _ in range(5)])
        assert (session.state, session.stats.connections) == (SessionState.READY, 1)


async def test_requests_on_a_line_that_carries_one_way_only_end() -> None:
    """They time out each by itself; the line is given up within a minute or so, and they are told."""
    async with exchange() as simulator, session_to(simulator, request_timeout=3600.0) as session:
        (carrier,) = virtual.VirtualTimeLoop.running().network.connections
        carrier.half_open(client_hears=True)
        waiting = session.submit("account.balance")
        with pytest.raises(ConnectionLost):
            await waiting
        await session.wait_for(SessionState.READY)
        assert asyncio.get_running_loop().time() <= 21.0
