"""unicorn-binance-websocket-api, unchanged: ``pytest -m sdk tests/foreign/test_unicorn.py``."""

from __future__ import annotations

import asyncio
import queue
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from binance_session.simulator import Simulator
from binance_session.venues import SPOT, USD_M
from tests.foreign.exchange import MARKS, SECRET, base, foreign

unicorn = pytest.importorskip("unicorn_binance_websocket_api")

pytestmark = MARKS


def next_message(messages: queue.Queue[Any], *marks: str) -> Any:
    """Return the next of them that contains one of the marks."""
    while True:
        message = messages.get(timeout=10)
        if any(mark in str(message) for mark in marks):
            return message


async def walk(simulator: Simulator, exchange: str) -> list[Any]:
    """An order, its query and its cancellation; return the order's events. The client waits in a thread of its own.

    Answers are taken from the stream. The client's own way, ``return_response=True``, begins to wait only after it has
    sent the request, and never ends if the answer was faster.
    """

    def run() -> list[Any]:
        manager = unicorn.BinanceWebSocketApiManager(
            exchange=exchange,
            websocket_api_base_uri=simulator.url,
            websocket_base_uri=f"{base(simulator)}/",
            warn_on_update=False,
        )
        try:
            keys = {"api_key": "HMAC", "api_secret": SECRET, "output": "dict"}
            answers: queue.Queue[Any] = queue.Queue()
            events: queue.Queue[Any] = queue.Queue()
            requests = manager.create_stream(api=True, process_stream_data=answers.put, **keys)
            assert manager.wait_till_stream_has_started(requests, timeout=10)

            def ask(call: Callable[..., Any], **params: Any) -> Any:
                request_id = str(uuid.uuid4())
                call(stream_id=requests, request_id=request_id, **params)
                return next_message(answers, request_id)["result"]

            calls, listen_key = manager.api.spot, None
            if exchange == "binance.com-futures":
                calls = manager.api.futures
                listen_key = ask(calls.get_listen_key)["listenKey"]
            manager.create_stream(["arr"], ["!userData"], listen_key=listen_key, process_stream_data=events.put, **keys)
            end = time.monotonic() + 10
            while not any(each.streams or each.subscriptions for each in simulator.connections):
                assert time.monotonic() < end, "the client does not listen to its stream"
                time.sleep(0.001)
            order = {"symbol": "BTCUSDT", "side": "BUY", "order_type": "LIMIT", "time_in_force": "GTC"}
            placed = ask(calls.create_order, **order, quantity=0.5, price=59000.5)
            assert placed["status"] == "NEW"
            which = {"symbol": "BTCUSDT", "order_id": placed["orderId"]}
            assert ask(calls.get_order, **which)["status"] == "NEW"
            assert ask(calls.cancel_order, **which)["status"] == "CANCELED"
            return [next_message(events, "executionReport", "ORDER_TRADE_UPDATE") for _ in range(2)]
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
