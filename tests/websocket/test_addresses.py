"""From a name to a socket: look-ups aside, a second address beside a silent first, and the way out."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from binance_session import COIN_M, USD_M, ConfigurationError, ConnectError, Session, SessionState
from binance_session.simulator import virtual
from binance_session.websocket.addresses import AddressInfo, connect_first, look_up
from tests.exchange import exchange, session_to

NAME = "exchange.invalid"


def info(address: str, family: int = socket.AF_INET) -> AddressInfo:
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80))


@pytest.mark.virtual
async def test_a_silent_address_does_not_keep_the_next_waiting() -> None:
    """However many are silent: a quarter of a second for each."""
    async with exchange() as simulator:
        network = virtual.VirtualTimeLoop.running().network
        network.names[NAME] = ("192.0.2.1", "192.0.2.2", "127.0.0.1")
        network.black_holes = {"192.0.2.1", "192.0.2.2"}
        loop = asyncio.get_running_loop()
        async with session_to(simulator, None, url=simulator.url.replace("127.0.0.1", NAME)) as session:
            assert session.state is SessionState.READY
            assert loop.time() == pytest.approx(0.5, abs=0.01)


@pytest.mark.virtual
async def test_a_refused_address_is_followed_by_the_next_at_once() -> None:
    async with exchange() as simulator:
        network = virtual.VirtualTimeLoop.running().network
        network.names[NAME] = ("192.0.2.1", "127.0.0.1")
        async with session_to(simulator, None, url=simulator.url.replace("127.0.0.1", NAME)):
            assert asyncio.get_running_loop().time() < 0.01
        network.names[NAME] = ("192.0.2.1", "192.0.2.2")
        with pytest.raises(ConnectError, match="nothing listens"):
            await session_to(simulator, None, url=simulator.url.replace("127.0.0.1", NAME)).open()


async def test_the_next_address_is_another_on_every_loop() -> None:
    """A loop's own look-up, which tells of both whatever it is asked, is not asked again for one of them."""
    async with exchange() as simulator:
        port = int(simulator.url.split(":")[2].split("/")[0])
        found = [(*info("")[:4], (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

        async def getaddrinfo(*_: Any, **__: Any) -> Any:
            return found

        asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        async with session_to(simulator, None, url=simulator.url.replace("127.0.0.1", NAME)) as session:
            assert session.state is SessionState.READY
        found.pop()
        with pytest.raises(ConnectError, match="nothing accepts connections"):
            await session_to(simulator, None, url=simulator.url.replace("127.0.0.1", NAME)).open()


async def test_what_lost_the_race_is_closed() -> None:
    """Also when it connects in the same moment, or the caller gives up."""
    made: list[socket.socket] = []

    async def connect(entry: AddressInfo) -> socket.socket:
        sock = socket.socket()
        made.append(sock)
        if entry[4][0] == "silent":
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                sock.close()
                raise
        return sock

    won = await connect_first([info("silent"), info("good"), info("late")], connect)
    assert [sock.fileno() == -1 for sock in made] == [True, False]
    won.close()
    made.clear()
    task = asyncio.create_task(connect_first([info("silent"), info("silent")], connect))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(sock.fileno() == -1 for sock in made)


async def test_the_kinds_of_address_come_by_turns() -> None:
    """RFC 8305 §4: where one kind leads nowhere, the second attempt is of the other."""
    six, four = socket.AF_INET6, socket.AF_INET
    found = [info("a", six), info("b", six), info("c", six), info("d", four), info("e", four)]

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        return found

    loop = asyncio.get_running_loop()
    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
    assert [entry[4][0] for entry in await look_up(NAME, 80, None, None)] == ["a", "d", "b", "e", "c"]
    assert [entry[4][0] for entry in await look_up(NAME, 80, "ipv4", None)] == ["d", "e"]
    assert [entry[4][0] for entry in await look_up(NAME, 80, None, "::1")] == ["a", "b", "c"]
    found[:] = found[:3]
    with pytest.raises(OSError, match="no ipv4 address"):
        await look_up(NAME, 80, "ipv4", None)


async def test_a_look_up_takes_none_of_the_bots_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default executor's may all be busy; and a cancelled look-up is waited for by nobody."""
    asked = threading.Event()
    answer = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        asked.set()
        answer.wait(30)
        return [info("127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "run_in_executor", None)
    looking = asyncio.create_task(look_up(NAME, 80, None, None))
    while not asked.is_set():
        await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    looking = asyncio.create_task(look_up(NAME, 80, None, None))
    answer.set()
    assert await looking == [info("127.0.0.1")]


def test_a_resolver_that_hangs_does_not_keep_the_process_alive() -> None:
    """After close() the program ends, although the name's look-up never will."""
    program = """
        import asyncio, socket, time
        from binance_session import USD_M, ConnectError, Session

        socket.getaddrinfo = lambda *_, **__: time.sleep(600)

        async def main():
            session = Session(USD_M, url="ws://exchange.invalid/ws-fapi/v1", open_timeout=0.2)
            try:
                await session.open()
            except ConnectError as error:
                print(error)
            await session.close()

        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, "no connection within 0.2 s"), done.stderr


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), OSError("no resolver"), socket.gaierror(-3)])
async def test_a_look_up_that_fails_is_a_failed_attempt(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ConnectError, match=r"no connection: .") as caught:
        await Session(USD_M, url="ws://exchange.invalid/ws-fapi/v1").open()
    assert caught.value.retryable


# The way out


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[Any]]]:
    """A server that notes who came, and hangs up."""
    peers: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append((writer.get_extra_info("peername"), await reader.readuntil(b"\r\n\r\n")))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], peers
    finally:
        server.close()
        await server.wait_closed()


async def test_a_connection_leaves_from_the_address_that_was_given() -> None:
    async with listening() as (port, peers):
        for local_addr in ("127.0.0.5", "127.0.0.6", None):
            session = Session(USD_M, url=f"ws://127.0.0.1:{port}/x", local_addr=local_addr)
            with pytest.raises(ConnectError):
                await session.open()
        assert [peer[0] for peer, _ in peers] == ["127.0.0.5", "127.0.0.6", "127.0.0.1"]
        with pytest.raises(ConnectError, match=r"local_addr 192\.0\.2\.77 is no address of this machine"):
            await Session(USD_M, url=f"ws://127.0.0.1:{port}/x", local_addr="192.0.2.77").open()


async def test_headers_are_sent_with_each_handshake() -> None:
    """They may replace the User-Agent, and their values are in no repr."""
    async with listening() as (port, peers):
        headers = {"X-Gateway-Token": "tok-123456", "User-Agent": "bot/1"}
        session = Session(USD_M, url=f"ws://127.0.0.1:{port}/x", headers=headers)
        with pytest.raises(ConnectError):
            await session.open()
        head = peers[0][1].decode()
        assert "X-Gateway-Token: tok-123456\r\n" in head
        assert head.count("User-Agent") == 1
        assert "User-Agent: bot/1\r\n" in head


async def test_only_addresses_of_the_family_are_used() -> None:
    async with listening() as (port, peers):
        with pytest.raises(ConnectError, match="the host has no ipv6 address, and family"):
            await Session(USD_M, url=f"ws://127.0.0.1:{port}/x", family="ipv6").open()
        with pytest.raises(ConnectError, match="the host has no ipv6 address, and local_addr"):
            await Session(USD_M, url=f"ws://127.0.0.1:{port}/x", local_addr="::1").open()
        assert peers == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"local_addr": "eth0"}, "local_addr must be an IP address"),
        ({"local_addr": ("127.0.0.1", 0)}, "local_addr must be an IP address"),
        ({"local_addr": "::1", "family": "ipv4"}, "no ipv4 address"),
        ({"family": 4}, "family must be"),
        ({"headers": [("a", "b")]}, "headers must be a mapping"),
        ({"headers": {"Host": "elsewhere"}}, "Host belongs to the WebSocket's handshake"),
        ({"headers": {"Sec-WebSocket-Key": "x"}}, "belongs to the WebSocket's handshake"),
        ({"headers": {"X-A": "secret\r\nHost: elsewhere"}}, "value of X-A"),
        ({"headers": {"X A": "b"}}, "is not the name of a header"),
        ({"name": "two\nlines"}, "name must be"),
        ({"name": ""}, "name must be"),
    ],
)
def test_a_way_out_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Session(USD_M, **options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", ".example.com", "x" * 70 + ".com"])
async def test_a_host_that_is_no_name(host: str) -> None:
    """Not worth retrying, and no defect of ours."""
    with pytest.raises(ConnectError) as caught:
        await Session(COIN_M, url=f"wss://{host}/", proxy=None).open()
    assert not caught.value.retryable
