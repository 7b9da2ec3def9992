"""The server's side of a socket: what ends it, and that nothing stays."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import pytest

from binance_session import COIN_M
from binance_session.simulator import Simulator

KEY: Final = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
REQUEST: Final = b"GET /ws-dapi/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + KEY + b"\r\n"
PLAIN: Final = b"GET /ws-dapi/v1 HTTP/1.1\r\nHost: x\r\n\r\n"


async def opened(simulator: Simulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = simulator.url.removeprefix("ws://").partition("/")[0].rpartition(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.virtual
async def test_close_does_not_wait_for_a_client_that_does_not_answer() -> None:
    async with Simulator(COIN_M) as simulator:
        reader, writer = await opened(simulator)
        writer.write(REQUEST)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        (client,) = simulator.connections
        began = asyncio.get_running_loop().time()
        closing = asyncio.ensure_future(simulator.close())
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe9"  # 1001
        await closing
        assert asyncio.get_running_loop().time() - began == pytest.approx(1)
        assert not client.open
        writer.close()


@pytest.mark.virtual
@pytest.mark.parametrize("sent", [b"", REQUEST[:40]])
async def test_whoever_does_not_ask_is_cut(sent: bytes) -> None:
    async with Simulator(COIN_M) as simulator:
        reader, writer = await opened(simulator)
        writer.write(sent)
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - began == pytest.approx(20)
        writer.close()


@pytest.mark.virtual
async def test_close_ends_what_has_not_asked_yet() -> None:
    async with Simulator(COIN_M) as simulator:
        _, writer = await opened(simulator)
        began = asyncio.get_running_loop().time()
        await simulator.close()
        assert asyncio.get_running_loop().time() == began
        writer.close()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (PLAIN, b"HTTP/1.1 426 "),
        (REQUEST.replace(b"Version: 13", b"Version: 12"), b"HTTP/1.1 400 "),
        (REQUEST.replace(b"/ws-dapi/v1", b"/elsewhere"), b"HTTP/1.1 404 "),
        (b"\x16\x03\x01\r\n\r\n", b""),
    ],
)
async def test_what_is_no_handshake_is_answered_as_http(
    sent: bytes, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """And is no connection to the exchange; nor an error of the server's."""
    async with Simulator(COIN_M) as simulator:
        reader, writer = await opened(simulator)
        writer.write(sent)
        assert (await reader.read())[: len(answer) or None] == answer
        assert simulator.connections == []
        writer.close()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.virtual
@pytest.mark.parametrize("turns", range(1, 6))
async def test_close_while_a_client_connects(turns: int) -> None:
    """However far the loop has got with accepting it, it is not left open."""
    loop = asyncio.get_running_loop()
    async with Simulator(COIN_M) as simulator:
        opening = asyncio.ensure_future(opened(simulator))
        for _ in range(turns):
            await asyncio.sleep(0)
        await simulator.close()
        with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
            reader, writer = await opening
            assert await reader.read() == b""
            writer.close()
        assert loop.time() == 0
