"""The way through a proxy: real tunnels, with and without TLS, and proxies that refuse or speak something else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from binance_session import COIN_M, USD_M, ConnectError, Session
from binance_session.config import ConnectionOptions
from binance_session.connections.addresslimits import AddressLimits
from binance_session.websocket.dialing import way_out
from binance_session.websocket.proxies import chosen_proxy
from tests.certificates import Authority
from tests.exchange import exchange, session_to

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


class Proxy:
    """Opens tunnels by CONNECT or SOCKS5, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.peers: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername")[0])
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = self.asked[-1].split(b" ")[1].decode().rpartition(":")
        await self._tunnel(reader, writer, host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername")[0])
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        writer.write(b"\x05\x02" if 2 in methods else b"\x05\x00")
        if 2 in methods:
            name = await reader.readexactly((await reader.readexactly(2))[1])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            self.asked.append(name + b":" + password)
            writer.write(b"\x01\x00")
        kind = (await reader.readexactly(4))[3]
        host = (
            ".".join(map(str, await reader.readexactly(4)))
            if kind == 1
            else (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        )
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append(f"{host}:{port}".encode())
        await self._tunnel(reader, writer, host, port, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, opened: bytes
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(opened)
        ways = [self._copy(reader, back), self._copy(there, writer)]
        self._tasks.update(map(asyncio.ensure_future, ways))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def ended(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("kind", ["http", "https", "socks5h"])
async def test_a_session_lives_behind_a_proxy(
    kind: str, is_encrypted: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connects, asks, loses the connection and comes back, each time through the tunnel, which has a password."""
    proxy = Proxy()
    trusting = authority.client_context()
    monkeypatch.setattr("ssl.create_default_context", lambda: trusting)
    async with (
        exchange(USD_M, ssl=authority.server_context() if is_encrypted else None) as simulator,
        serving(
            proxy.socks if kind == "socks5h" else proxy.http, authority.server_context() if kind == "https" else None
        ) as port,
    ):
        url = f"{kind}://us%65r:p%40ss@127.0.0.1:{port}"
        options: dict[str, Any] = {"ssl": trusting} if is_encrypted else {}
        async with session_to(simulator, None, proxy=url, stream_url=None, **options) as session:
            assert (await session.request("time")).status == 200
            simulator.connections[0].drop()
            while session.stats.connections < 2:
                await asyncio.sleep(0)
            assert (await session.request("time")).status == 200
        await proxy.ended()
    host = simulator._host
    if kind == "socks5h":
        assert proxy.asked[:2] == [b"user:p@ss", f"{host}:{simulator._port}".encode()]
        assert len(proxy.asked) == 4
    else:
        token = base64.b64encode(b"user:p@ss")
        assert len(proxy.asked) == 2
        for head in proxy.asked:
            assert head.startswith(f"CONNECT {host}:{simulator._port} HTTP/1.1\r\n".encode())
            assert b"Proxy-Authorization: Basic " + token in head


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_the_way_to_the_proxy_leaves_from_the_local_address(kind: str) -> None:
    proxy = Proxy()
    async with exchange(USD_M) as simulator, serving(proxy.http if kind == "http" else proxy.socks) as port:
        url = f"{kind}://127.0.0.1:{port}"
        async with session_to(simulator, None, proxy=url, stream_url=None, local_addr="127.0.0.9"):
            assert proxy.peers == ["127.0.0.9"]
        await proxy.ended()


@pytest.mark.parametrize("kind", ["http", "socks5h"])
async def test_a_proxys_second_address_is_tried_when_the_first_leads_nowhere(kind: str) -> None:
    """As for the exchange's own addresses."""
    proxy = Proxy()

    async def getaddrinfo(*names: Any, **_: Any) -> Any:
        host, port = names
        assert host == "proxy.invalid"
        addresses = (socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for family, address in addresses]

    async with exchange(USD_M) as simulator, serving(proxy.http if kind == "http" else proxy.socks) as port:
        asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        url = f"{kind}://proxy.invalid:{port}"
        async with session_to(simulator, None, proxy=url, stream_url=None) as session:
            assert (await session.request("time")).status == 200
        await proxy.ended()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP 407.*refuses the name and the password"),
        (b"HTTP/1.1 503 Out of order\r\nRetry-After: 9\r\n\r\n", "HTTP 503"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n", "not HTTP"),
        (b"x" * 70_000, "no end"),
        (b"", "ended the connection"),
    ],
)
async def test_a_proxy_that_opens_no_way_is_a_failed_attempt(answer: bytes, words: str) -> None:
    """It may open one the next time; and its password is in no message."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if answer:
            await reader.read()  # until the client hangs up
        writer.close()

    async with serving(serve) as port:
        session = Session(COIN_M, url="wss://exchange.invalid/x", proxy=f"http://u:s3cret@127.0.0.1:{port}")
        with pytest.raises(ConnectError, match=words) as caught:
            await session.open()
        assert caught.value.retryable
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in repr(caught.value.__cause__)


async def test_a_proxy_that_wants_a_password_and_was_given_none_says_so() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        await reader.read()
        writer.close()

    async with serving(serve) as port:
        session = Session(COIN_M, url="wss://exchange.invalid/x", proxy=f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectError, match="it wants a name and a password"):
            await session.open()


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_proxy_that_is_dead_or_mute_is_named(kind: str) -> None:
    """Nobody is to look for the fault at the exchange."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with serving(mute) as port:
        options: dict[str, Any] = {"proxy": f"{kind}://127.0.0.1:{port}", "open_timeout": 0.2}
        with pytest.raises(ConnectError, match=r"within 0\.2 s: the proxy is silent"):
            await Session(COIN_M, url="wss://exchange.invalid/x", **options).open()
    with pytest.raises(ConnectError, match="the proxy cannot be reached"):
        await Session(COIN_M, url="wss://exchange.invalid/x", **options).open()


def test_which_proxy_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The WebSocket's own, then SOCKS, then that for HTTPS; none for hosts that are excepted."""
    for name in ("wss_proxy", "ws_proxy", "socks_proxy", "https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def chosen(secure: bool = True) -> str | None:
        return chosen_proxy(True, "exchange.invalid", 443, secure=secure)

    assert chosen() is None
    for name, plain in (("all_proxy", True), ("https_proxy", True), ("socks_proxy", True), ("wss_proxy", False)):
        monkeypatch.setenv(name, f"http://{name.replace('_', '-')}:1")
        expected = f"{'socks5h' if name.startswith('socks') else 'http'}://{name.replace('_', '-')}:1"
        assert chosen() == expected
        assert (chosen(secure=False) == expected) is plain
    monkeypatch.setenv("no_proxy", "exchange.invalid")
    assert chosen() is None
    assert chosen_proxy("http://given:1", "exchange.invalid", 443, secure=True) == "http://given:1"
    assert chosen_proxy(None, "elsewhere.invalid", 443, secure=True) is None


async def test_what_is_counted_by_address_is_counted_for_each_way_out() -> None:
    """A proxy, a local address, a family: the exchange sees another address for each."""
    loop = asyncio.get_running_loop()
    url = "wss://ways-out.invalid/x"
    ways = [
        way_out(ConnectionOptions(url, proxy=proxy, local_addr=local_addr, family=family))  # type: ignore[arg-type]
        for proxy, local_addr, family in (
            (None, None, None),
            ("http://a:secret@proxy.invalid:1", None, None),
            ("http://proxy.invalid:2", None, None),
            (None, "127.0.0.5", None),
            (None, None, "ipv6"),
        )
    ]
    hosts = [AddressLimits.of(url, loop, way) for way in ways]
    assert len(set(map(id, hosts))) == len(ways)
    assert (
        AddressLimits.of(url, loop, way_out(ConnectionOptions(url, proxy="http://b:other@proxy.invalid:1"))) is hosts[1]
    )
    assert not any("secret" in way for way in ways)
