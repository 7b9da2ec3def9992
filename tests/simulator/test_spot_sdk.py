"""Binance's own Python client walks through every method of Spot, unchanged: ``-m sdk``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session.simulator import Reference, Simulator
from binance_session.venues import SPOT
from tests.simulator.client import SECRET, add_keys
from tests.simulator.spotday import BOTH, BTC

common = pytest.importorskip("binance_common.configuration")
spot = pytest.importorskip("binance_sdk_spot.spot")

pytestmark = [
    pytest.mark.sdk,
    # The client leaves it to the end of the program to close what it opened.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.5}
WORKING = {
    "symbol": BTC,
    "working_type": "LIMIT",
    "working_side": "BUY",
    "working_price": 59000.0,
    "working_quantity": 1.0,
    "working_time_in_force": "GTC",
}
ABOVE = {"above_type": "LIMIT_MAKER", "above_price": 61000.0}
BELOW = {"below_type": "STOP_LOSS", "below_stop_price": 58000.0}
PAIR = {"pending_side": "SELL", **{f"pending_{name}": value for name, value in {**ABOVE, **BELOW}.items()}}
#: the client's methods and what they are given, one after the other
WALK: list[tuple[str, dict[str, Any]]] = [
    ("ping", {}),
    ("time", {}),
    ("exchange_info", {"symbol": BTC}),
    ("exchange_info", {"symbols": BOTH}),
    ("execution_rules", {"symbols": BOTH}),
    ("depth", {"symbol": BTC, "limit": 3}),
    ("avg_price", {"symbol": BTC}),
    ("klines", {"symbol": BTC, "interval": "1h", "limit": 3}),
    ("ui_klines", {"symbol": BTC, "interval": "1d"}),
    ("ticker24hr", {"symbol": BTC}),
    ("ticker24hr", {"symbols": BOTH}),
    ("ticker", {"symbol": BTC, "window_size": "7d"}),
    ("ticker_trading_day", {"symbols": BOTH}),
    ("ticker_price", {"symbols": BOTH}),
    ("ticker_book", {"symbol": BTC}),
    ("reference_price", {"symbol": BTC}),
    ("reference_price_calculation", {"symbol": BTC}),
    ("order_test", {**LIMIT, "price": 59000.0, "compute_commission_rates": True}),
    ("order_place", {**LIMIT, "price": 60000.0}),
    ("order_place", {**LIMIT, "price": 59000.0, "new_client_order_id": "mine"}),
    (
        "order_amend_keep_priority",
        {"symbol": BTC, "new_qty": 0.25, "orig_client_order_id": "mine", "new_client_order_id": "mine"},
    ),
    ("order_amendments", {"symbol": BTC, "order_id": 2}),
    (
        "order_cancel_replace",
        {**LIMIT, "price": 58000.0, "cancel_replace_mode": "STOP_ON_FAILURE", "cancel_orig_client_order_id": "mine"},
    ),
    ("order_status", {"symbol": BTC, "order_id": 3}),
    ("order_cancel", {"symbol": BTC, "order_id": 3}),
    ("order_list_place_oco", {"symbol": BTC, "side": "SELL", "quantity": 1.0, **ABOVE, **BELOW}),
    ("order_list_place_oto", {**WORKING, "pending_type": "MARKET", "pending_side": "SELL", "pending_quantity": 1.0}),
    ("order_list_place_otoco", {**WORKING, **PAIR, "pending_quantity": 1.0}),
    ("order_list_place_opo", {**WORKING, "pending_type": "MARKET", "pending_side": "SELL"}),
    ("order_list_place_opoco", {**WORKING, **PAIR}),
    (
        "order_list_place",
        {
            "symbol": BTC,
            "side": "SELL",
            "price": 61000.0,
            "quantity": 1.0,
            "stop_price": 59000.0,
            "trailing_delta": 10,
        },
    ),
    ("order_list_status", {"order_list_id": 1}),
    ("open_order_lists_status", {}),
    ("order_list_cancel", {"symbol": BTC, "order_list_id": 1}),
    ("all_order_lists", {}),
    ("open_orders_status", {"symbol": BTC}),
    ("open_orders_cancel_all", {"symbol": BTC}),
    ("all_orders", {"symbol": BTC}),
    ("sor_order_test", {**LIMIT, "price": 59000.0, "compute_commission_rates": True}),
    ("sor_order_place", {**LIMIT, "price": 61000.0}),
    ("my_allocations", {"symbol": BTC}),
    ("my_trades", {"symbol": BTC}),
    ("my_prevented_matches", {"symbol": BTC, "order_id": 1}),
    ("my_filters", {"symbol": BTC}),
    ("trades_recent", {"symbol": BTC}),
    ("trades_historical", {"symbol": BTC}),
    ("trades_aggregate", {"symbol": BTC}),
    ("block_trades_historical", {"symbol": BTC, "from_id": 1}),
    ("account_status", {}),
    ("account_commission", {"symbol": BTC}),
    ("account_rate_limits_orders", {}),
]


async def test_every_method_through_the_official_client() -> None:
    async with Simulator(SPOT) as simulator:
        add_keys(simulator)
        simulator.exchange.market.references[BTC] = Reference(simulator.exchange.market.prices[BTC], 1)
        configuration = common.ConfigurationWebSocketAPI(api_key="HMAC", api_secret=SECRET, stream_url=simulator.url)
        before = asyncio.all_tasks()
        connection = await spot.Spot(config_ws_api=configuration).websocket_api.create_connection()
        try:
            for name, params in WALK:
                answer = (await getattr(connection, name)(**params)).data()
                assert not (isinstance(answer, dict) and "error" in answer), (name, answer)
            played = {request.method for request in simulator.executed}
            by_session = {name for name in SPOT.methods if name.startswith(("session.", "userDataStream."))}
            assert set(SPOT.methods) - by_session == played
        finally:
            await connection.close_connection(close_session=True)
            for task in asyncio.all_tasks() - before:
                task.cancel()
