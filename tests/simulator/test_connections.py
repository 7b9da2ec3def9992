"""Handshakes, pings, the 24 hours, the end; and the server as such."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from binance_session.simulator import LoopClock, ManualClock, Simulator, virtual
from binance_session.simulator import socket as sockets
from binance_session.venues import COIN_M, SPOT, USD_M
from tests.simulator.client import Client, add_keys, simulated

STATUS = "session.status"


@pytest.mark.parametrize(
    ("venue", "path", "stream"),
    [(COIN_M, "/ws-dapi/v1", ""), (USD_M, "/ws-fapi/v1", "/private"), (SPOT, "/ws-api/v3", None)],
)
async def test_addresses(venue: Any, path: str, stream: str | None) -> None:
    async with Simulator(venue) as simulator:
        assert simulator.url.startswith("ws://127.0.0.1:")
        assert simulator.url.endswith(path)
        base = simulator.url.removesuffix(path)
        assert simulator.stream_url == (None if stream is None else base + stream)
        for wrong in ("/", "/ws-dapi/v2", path + "/", "/wss"):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(base + wrong)
            assert refusal.value.response.status_code == 404
        async with connect(simulator.url) as socket:
            assert socket.response is not None
            assert socket.response.headers["x-mbx-uuid"]


async def test_a_simulator_that_does_not_run_has_no_address() -> None:
    simulator = Simulator(COIN_M)
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url
    await simulator.close()
    async with simulator:
        with pytest.raises(RuntimeError, match="is running"):
            await simulator.start()
    await simulator.close()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.stream_url


async def test_it_can_be_started_again_at_the_same_address() -> None:
    async with Simulator(COIN_M) as simulator:
        url = simulator.url
    async with simulator, connect(url):
        assert simulator.url == url


@pytest.mark.parametrize(("venue", "interval"), [(COIN_M, 180), (SPOT, 20)], ids=["COIN-M", "Spot"])
async def test_pings_come_by_the_clock_and_are_answered(venue: Any, interval: int) -> None:
    clock = ManualClock()
    async with simulated(venue, clock=clock) as simulator, Client.connected(simulator) as client:
        [connection] = simulator.connections
        clock.advance(interval - 1)
        assert not connection.pings
        clock.advance(1)
        assert list(connection.pings) == [str(client.now).encode()]
        await client.ask(STATUS)
        await client.ask(STATUS)
        assert not connection.pings
        clock.advance(venue.pong_timeout)
        assert (await client.ask(STATUS))["status"] == 200


async def test_who_does_not_answer_pings_is_closed() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        # A client that is too busy to read: its library answers no ping.
        client.socket.transport.pause_reading()
        clock.advance(180)
        await asyncio.sleep(0)  # the turn of the loop after which the time runs
        clock.advance(599)
        assert not simulator.connections[0].closing
        clock.advance(1)
        assert simulator.connections[0].closing
        clock.advance(10)
        assert simulator.connections == []
        client.socket.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_ping_frames_are_limited_on_futures() -> None:
    for venue, closes in ((COIN_M, True), (SPOT, False)):
        async with simulated(venue) as simulator, Client.connected(simulator) as client:
            for _ in range(5):
                await client.socket.ping()
            assert (await client.ask(STATUS))["status"] == 200
            await client.socket.ping()
            if closes:
                with pytest.raises(ConnectionClosedError) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008
            else:
                assert (await client.ask(STATUS))["status"] == 200


async def test_a_connection_lives_24_hours() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        clock.advance(86_399)
        assert (await client.ask(STATUS))["status"] == 200
        clock.advance(1)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


async def test_text_that_is_not_utf_8_closes_the_connection() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
        assert not simulator.received


async def test_requests_on_a_stream_socket_are_refused() -> None:
    async with simulated() as simulator, connect(f"{simulator.stream_url}/ws/nothing") as stream:
        await stream.send('{"method":"order.place","params":["x"],"id":3}')
        assert json.loads(await stream.recv()) == {"error": {"code": 2, "msg": "Invalid request"}, "id": 3}


async def test_the_server_side_of_a_connection() -> None:
    async with simulated() as simulator, Client.connected(simulator, "?returnRateLimits=false") as client:
        [connection] = simulator.connections
        assert (connection.number, connection.address) == (1, "127.0.0.1")
        connection.send_text("anything")
        assert await client.socket.recv() == "anything"
        connection.close(4000, "bye")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "bye")
        await client.socket.wait_closed()
        async with Client.connected(simulator) as second:
            assert simulator.connections[-1].number == 2
            simulator.connections[-1].drop()
            with pytest.raises(ConnectionClosedError) as dropped:
                await second.recv()
            assert dropped.value.rcvd is None
        assert simulator.connections == []
        connection.send_text("too late")
        connection.drop()


async def test_broadcast_shutdown_reaches_api_sockets_only() -> None:
    async with (
        simulated() as simulator,
        Client.connected(simulator) as first,
        Client.connected(simulator) as second,
        connect(f"{simulator.stream_url}/ws/nothing") as stream,
    ):
        simulator.broadcast_shutdown()
        for client in (first, second):
            assert await client.recv() == {"event": {"e": "serverShutdown", "E": client.now}}
        simulator.connections[-1].send_text("the first on the stream")
        assert await stream.recv() == "the first on the stream"


async def test_what_was_received_is_recorded_in_order_and_bounded() -> None:
    clock = ManualClock()
    async with simulated(clock=clock, record=2) as simulator, Client.connected(simulator) as client:
        await client.ask(STATUS)
        clock.advance(1)
        await client.socket.send("no json")
        await client.recv()
        await client.ask("userDataStream.start", apiKey="ED")
        first, second = simulator.received
        assert (first.text, first.message, first.method, first.params) == ("no json", None, None, {})
        assert first.time == clock.time()
        assert first.connection is simulator.connections[0]
        assert second.message == {"id": 2, "method": "userDataStream.start", "params": {"apiKey": "ED"}}
        assert (second.method, second.params) == ("userDataStream.start", {"apiKey": "ED"})
        assert [item.id for item in simulator.executed] == [1, 2]


async def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.INFO)  # the test's own client
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    async with simulated() as simulator, Client.connected(simulator) as client:
        record = simulator.add_key(key, secret="s3cret-s3cret-s3cret")
        listen_key = (await client.ask("userDataStream.start", apiKey=key))["result"]["listenKey"]
        async with connect(f"{simulator.stream_url}/ws/{listen_key}") as stream:
            signed = client.signed("HMAC")
            await client.ask("account.balance", **signed)
            await client.logon()
            shown = [
                repr(item)
                for item in (
                    record,
                    *simulator.connections,
                    *simulator.received,
                    *simulator.executed,
                    simulator.exchange.state.listen_keys.get(listen_key),
                    simulator.exchange.account,
                )
            ]
            await stream.close()
    text = "\n".join([*shown, caplog.text])
    for secret in (key, "s3cret", listen_key, signed["signature"]):
        assert secret not in text


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


async def test_tls(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path)
    async with simulated(ssl=server) as simulator:
        assert simulator.url.startswith("wss://")
        assert str(simulator.stream_url).startswith("wss://")
        url = simulator.url.replace("127.0.0.1", "localhost")
        async with connect(url, host="127.0.0.1", ssl=trusting) as socket:
            await socket.send('{"id":1,"method":"session.status"}')
            assert json.loads(await socket.recv())["status"] == 200


async def test_closing_leaves_nothing_behind() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator:
        client = await connect(simulator.url)
        await client.send('{"id":1,"method":"userDataStream.start","params":{"apiKey":"ED"}}')
        key = json.loads(await client.recv())["result"]["listenKey"]
        stream = await connect(f"{simulator.stream_url}/ws/{key}")
        assert clock.pending
    assert clock.pending == 0
    for socket in (client, stream):
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    with pytest.raises(OSError, match=r".*"):
        await connect(f"ws://127.0.0.1:{simulator._port}/ws-dapi/v1")


def test_a_day_in_virtual_time() -> None:
    async def main() -> None:
        async with Simulator(COIN_M, clock=LoopClock()) as simulator:
            add_keys(simulator)
            began = simulator.clock.time()
            assert began == virtual.VirtualTimeLoop.running().wall_time()
            async with Client.connected(simulator, ping_interval=None) as client:
                await client.logon()
                await client.ask("userDataStream.start")
                for _ in range(23):
                    await asyncio.sleep(3599)
                    assert (await client.ask("userDataStream.ping"))["status"] == 200
                await asyncio.sleep(3600)
                assert (await client.ask("userDataStream.ping"))["error"]["code"] == -1125
                with pytest.raises(ConnectionClosed):
                    await client.recv()
                assert simulator.clock.time() == pytest.approx(began + 86_400, abs=1)

    virtual.run(main)


async def test_many_requests_are_quick() -> None:
    async with (
        simulated(enforce_limits=False, record=100) as simulator,
        Client.connected(simulator) as client,
    ):
        await client.logon()
        before = asyncio.get_running_loop().time()
        for number in range(2000):
            await client.socket.send(f'{{"id":{number},"method":"userDataStream.ping"}}')
        for number in range(2000):
            assert json.loads(await client.socket.recv())["id"] == number
        assert asyncio.get_running_loop().time() - before < 5
        assert len(simulator.received) == 100


async def test_a_client_that_does_not_read_is_cut_before_it_takes_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_UNREAD", 1 << 20)
    async with simulated() as simulator:
        reader, writer = await asyncio.open_connection(*simulator.url.split("/")[2].split(":"))
        try:
            writer.write(
                b"GET /ws-dapi/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            (connection,) = simulator.connections
            sent = 0
            while simulator.connections:
                connection.send_text("x" * 100_000)
                sent += 100_000
                assert sent < 100 << 20
                await asyncio.sleep(0)
            assert sent > 1 << 20
            async with Client.connected(simulator) as client:
                assert (await client.ask(STATUS))["status"] == 200
        finally:
            writer.transport.abort()


async def test_a_client_that_reads_slowly_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read does not count, however much it is in all."""
    monkeypatch.setattr(sockets, "_UNREAD", 1 << 20)
    async with simulated() as simulator, Client.connected(simulator) as client:
        (connection,) = simulator.connections
        for _ in range(30):
            connection.send_text("1" * 100_000)
            assert len(await client.socket.recv()) == 100_000


async def test_a_message_in_endless_empty_fragments_takes_no_memory() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        request = json.dumps({"id": 1, "method": STATUS})

        async def pieces() -> AsyncIterator[str]:
            yield request[:10]
            for _ in range(1000):
                yield ""
            (socket,) = simulator._sockets
            assert len(socket._fragments) <= 1
            yield request[10:]

        await client.socket.send(pieces())
        assert (await client.recv())["status"] == 200
