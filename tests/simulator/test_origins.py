"""Web pages: one of another host must not drive a simulator, which listens where every page can connect to."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from binance_session.simulator import Simulator
from binance_session.simulator.origins import is_foreign
from binance_session.venues import COIN_M


@pytest.mark.parametrize(
    ("origin", "host", "foreign"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:9443", False),
        ("http://localhost:3000", "localhost:9443", False),
        ("https://LOCALHOST", "localhost", False),
        ("http://[::1]:1", "[::1]:2", False),
        ("http://bot.localhost", "bot.localhost:1", False),
        ("http://localhost", "127.0.0.1:1", True),
        ("https://evil.example", "127.0.0.1:9443", True),
        ("https://127.0.0.1.evil.example", "127.0.0.1:9443", True),
        ("https://evil.example#127.0.0.1", "127.0.0.1", True),
        ("https://127.0.0.1@evil.example", "127.0.0.1", True),
        ("null", "127.0.0.1:9443", True),
        ("", "127.0.0.1:9443", True),
        ("http://[", "127.0.0.1", True),
        ("http://127.0.0.1", "", True),
        # a name that its owner points here, so that the page looks like this host's own
        ("http://evil.example:9443", "evil.example:9443", True),
    ],
)
def test_on_loopback(origin: str, host: str, foreign: bool) -> None:
    assert is_foreign(origin, host, loopback=True) is foreign


@pytest.mark.parametrize(
    ("origin", "host", "foreign"),
    [("http://simulator:1", "simulator:2", False), ("http://evil.example", "simulator:2", True)],
)
def test_on_a_network(origin: str, host: str, foreign: bool) -> None:
    assert is_foreign(origin, host, loopback=False) is foreign


@pytest.mark.parametrize("path", ["", "/ws/some-listen-key"])
async def test_a_page_of_another_host_is_refused(path: str) -> None:
    async with Simulator(COIN_M) as simulator:
        url = simulator.url if not path else f"{simulator.stream_url}{path}"
        for origin in ("https://evil.example", "null"):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(url, origin=Origin(origin))
            assert refusal.value.response.status_code == 403
        assert simulator.connections == []
        assert simulator.exchange.limits.traffic("127.0.0.1").weight.count == 0


async def test_two_origins_are_not_taken_for_the_better_one() -> None:
    async with Simulator(COIN_M) as simulator:
        headers = [("Origin", "http://127.0.0.1"), ("Origin", "https://evil.example")]
        with pytest.raises(InvalidStatus) as refusal:
            await connect(simulator.url, additional_headers=headers)
        assert refusal.value.response.status_code == 403


async def test_who_is_no_page_of_another_host_is_served() -> None:
    async with Simulator(COIN_M) as simulator:
        for origin in (None, Origin("http://127.0.0.1:3000")):
            async with connect(simulator.url, origin=origin) as socket:
                await socket.send('{"id":1,"method":"session.status"}')
                assert '"status":200' in str(await socket.recv())
