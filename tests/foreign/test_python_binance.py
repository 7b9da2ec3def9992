"""python-binance, unchanged: ``pytest -m sdk tests/foreign/test_python_binance.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from binance_session.simulator import Simulator
from binance_session.venues import SPOT, USD_M, Venue
from tests.foreign.exchange import MARKS, PRIVATE, SECRET, base, executed, foreign
from tests.foreign.rest import rest
from tests.simulator.client import KEYS

binance = pytest.importorskip("binance")

pytestmark = MARKS


@pytest.fixture(autouse=True)
def _soon_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes the client waits for this many seconds, in which it listens for one more message."""
    monkeypatch.setattr("binance.ws.reconnecting_websocket.ReconnectingWebsocket.TIMEOUT", 1)


@asynccontextmanager
async def client(venue: Venue, key: str, folder: Path) -> AsyncIterator[tuple[Simulator, Any, Any]]:
    """A simulator, the client with one of the keys, and its manager of streams. Classes tell the client the URLs."""
    async with foreign(venue) as simulator, rest(simulator) as rest_url:

        class Client(binance.AsyncClient):  # type: ignore[misc, name-defined]
            API_URL = f"{rest_url}/api"
            FUTURES_URL = f"{rest_url}/fapi"
            WS_API_URL = WS_FUTURES_URL = simulator.url

        class Manager(binance.BinanceSocketManager):  # type: ignore[misc, name-defined]
            STREAM_URL = FSTREAM_URL = f"{base(simulator)}/"

        proof: dict[str, Any] = {"api_secret": SECRET}
        if key != "HMAC":
            (folder / "key.pem").write_text(PRIVATE[key])
            proof = {"private_key": folder / "key.pem"}
        connected = await Client.create(key, **proof)
        try:
            yield simulator, connected, Manager(connected)
        finally:
            await connected.ws_future.close()
            await connected.close_connection()


@pytest.mark.parametrize("key", KEYS)
async def test_spot(key: str, tmp_path: Path) -> None:
    async with client(SPOT, key, tmp_path) as (simulator, connected, manager):
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        async with manager.user_socket() as events:
            placed = await connected.ws_create_order(**order, quantity="0.5", price="59000")
            event = await asyncio.wait_for(events.recv(), 10)
            assert (event["e"], event["X"], event["c"]) == ("executionReport", "NEW", placed["clientOrderId"])
            which = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
            assert (await connected.ws_get_order(**which))["status"] == "NEW"
            assert (await connected.ws_cancel_order(**which))["status"] == "CANCELED"
            while (event := await asyncio.wait_for(events.recv(), 10))["e"] != "executionReport":
                pass
            assert event["X"] == "CANCELED"
        with pytest.raises(binance.exceptions.BinanceAPIException, match=r"-1013|-1111|-2010"):
            await connected.ws_create_order(**order, quantity="0", price="59000")
        assert executed(simulator)[-1] == "userDataStream.unsubscribe"


async def test_usd_m(tmp_path: Path) -> None:
    """With HMAC alone: for futures the client percent-encodes a signature, which spoils the base64 of other keys."""
    async with client(USD_M, "HMAC", tmp_path) as (simulator, connected, manager):
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        async with manager.futures_user_socket() as events:
            placed = await connected.ws_futures_create_order(**order, quantity="0.5", price="59000")
            event = await asyncio.wait_for(events.recv(), 10)
            assert (event["o"]["X"], event["o"]["c"]) == ("NEW", placed["clientOrderId"])
            which = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
            assert (await connected.ws_futures_get_order(**which))["status"] == "NEW"
            assert (await connected.ws_futures_v2_account_balance())[0]["asset"] == "USDT"
            await connected.futures_stream_keepalive(await connected.futures_stream_get_listen_key())
            assert (await connected.ws_futures_cancel_order(**which))["status"] == "CANCELED"
            assert (await asyncio.wait_for(events.recv(), 10))["o"]["X"] == "CANCELED"
        assert "userDataStream.ping" in executed(simulator)
