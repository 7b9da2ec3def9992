"""unicorn-binance-websocket-api, unchanged: ``pytest -m sdk tests/foreign/test_unicorn.py``."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from binance_session.simulator import Simulator
from binance_session.venues import SPOT, USD_M
from tests.foreign.exchange import MARKS, SECRET, base, foreign

unicorn = pytest.importorskip("unicorn_binance_websocket_api")

pytestmark = MARKS


async def walk(simulator: Simulator, exchange: str) -> list[Any]:
    """An order, its query and its cancellation; return the order's events. The client waits in a thread of its own."""

    def run() -> list[Any]:
        manager = unicorn.BinanceWebSocketApiManager(
            exchange=exchange,
            websocket_api_base_uri=simulator.url,
            websocket_base_uri=f"{base(simulator)}/",
            warn_on_update=False,
        )
        try:
            keys = {"api_key": "HMAC", "api_secret": SECRET, "output": "dict"}
            requests = manager.create_stream(api=True, **keys)
            assert manager.wait_till_stream_has_started(requests)
            known = {"stream_id": requests, "return_response": True}
            calls, listen_key = manager.api.spot, None
            if exchange == "binance.com-futures":
                calls = manager.api.futures
                listen_key = calls.get_listen_key(**known)["result"]["listenKey"]
            manager.create_stream(["arr"], ["!userData"], listen_key=listen_key, **keys)
            while not any(each.streams or each.subscriptions for each in simulator.connections):
                time.sleep(0.001)
            order = {"symbol": "BTCUSDT", "side": "BUY", "order_type": "LIMIT", "time_in_force": "GTC"}
            _, answer = calls.create_order(**order, quantity=0.5, price=59000.5, **known)
            placed = answer["result"]
            assert placed["status"] == "NEW"
            which = {"symbol": "BTCUSDT", "order_id": placed["orderId"], **known}
            assert calls.get_order(**which)["result"]["status"] == "NEW"
            assert calls.cancel_order(**which)["result"]["status"] == "CANCELED"
            told: list[Any] = []
            while len(told) < 2:
                event = manager.pop_stream_data_from_stream_buffer()
                if not event:
                    time.sleep(0.001)
                elif "executionReport" in str(event) or "ORDER_TRADE_UPDATE" in str(event):
                    told.append(event)
            return told
        finally:
            manager.stop_manager()

    return await asyncio.to_thread(run)


async def test_usd_m() -> None:
    async with foreign(USD_M) as simulator:
        events = await walk(simulator, "binance.com-futures")
        assert [event["o"]["X"] for event in events] == ["NEW", "CANCELED"]


async def test_spot() -> None:
    async with foreign(SPOT) as simulator:
        events = await walk(simulator, "binance.com")
        assert [event["event"]["X"] for event in events] == ["NEW", "CANCELED"]
