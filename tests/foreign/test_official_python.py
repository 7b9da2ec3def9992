"""Binance's own Python clients, unchanged: ``pytest -m sdk tests/foreign/test_official_python.py``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from binance_session.simulator import Exchange, ManualClock, Simulator
from binance_session.simulator.eventexamples import event_names
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.foreign.exchange import MARKS, PRIVATE, base, executed, foreign
from tests.simulator.client import KEYS, SECRET, sign_hmac

common = pytest.importorskip("binance_common.configuration")
signature = pytest.importorskip("binance_common.signature")
coin_futures = pytest.importorskip("binance_sdk_derivatives_trading_coin_futures.derivatives_trading_coin_futures")
usds_futures = pytest.importorskip("binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures")
spot = pytest.importorskip("binance_sdk_spot.spot")

pytestmark = MARKS


@asynccontextmanager
async def sdk(kind: Any, venue: Venue, key: str) -> AsyncIterator[tuple[Simulator, Any, Any]]:
    """A simulator, an official client with one of the keys, and its connection to the API."""
    proof = {"api_secret": SECRET} if key == "HMAC" else {"private_key": PRIVATE[key]}
    async with foreign(venue) as simulator:
        client = kind(
            config_ws_api=common.ConfigurationWebSocketAPI(api_key=key, stream_url=simulator.url, **proof),
            config_ws_streams=common.ConfigurationWebSocketStreams(stream_url=base(simulator)),
        )
        connection = await client.websocket_api.create_connection()
        try:
            yield simulator, client, connection
        finally:
            await connection.close_connection(close_session=True)


@asynccontextmanager
async def user_data(client: Any, listen_key: str) -> AsyncIterator[asyncio.Queue[Any]]:
    """The events of a futures account, as the client's models."""
    streams = await client.websocket_streams.create_connection()
    events: asyncio.Queue[Any] = asyncio.Queue()
    (await streams.user_data(listen_key)).on("message", events.put_nowait)
    try:
        yield events
    finally:
        await streams.close_connection(close_session=True)


async def next_order(events: asyncio.Queue[Any]) -> tuple[str, int]:
    event = (await asyncio.wait_for(events.get(), 10)).actual_instance
    assert event.o.additional_properties == {}
    return event.o.X, event.o.i


async def logon(connection: Any, key: str) -> None:
    """Log on, for which futures' client has no method of its own; it goes on signing each request."""
    if key == "ED":
        signer = signature.Signers.get_signer(PRIVATE[key], None)
        message = {"method": "session.logon", "params": {}}
        answer = await connection.send_signed_message(message, signer, session_logon=True)
        assert answer.data()["result"]["apiKey"] == "ED"


@pytest.mark.parametrize("key", KEYS)
async def test_coin_m(key: str) -> None:
    kind = coin_futures.DerivativesTradingCoinFutures
    async with sdk(kind, COIN_M, key) as (simulator, client, connection):
        await logon(connection, key)
        started = (await connection.start_user_data_stream()).data()
        listen_key = started.result.listen_key
        assert (await connection.keepalive_user_data_stream()).data().result.listen_key == listen_key

        async with user_data(client, listen_key) as events:
            reply = await connection.new_order(
                symbol="BTCUSD_PERP",
                side="BUY",
                type="LIMIT",
                quantity=2.0,
                price=59000.5,
                time_in_force="GTC",
                recv_window=4000,
            )
            assert await next_order(events) == ("NEW", reply.data().result.order_id)
        assert (await connection.close_user_data_stream()).data().status == 200

        assert [limit.rateLimitType for limit in reply.rate_limits] == [
            "ORDERS",
            "ORDERS",
            "REQUEST_WEIGHT",
        ]
        order = reply.data().result
        assert (order.status, order.price, order.orig_qty) == ("NEW", "59000.5", "2")
        assert order.additional_properties == {}, "every field is one that the client's model knows"
        which = {"symbol": "BTCUSD_PERP", "order_id": order.order_id}
        modified = await connection.modify_order(**which, side="BUY", quantity=3.0, price=58000.0)
        assert modified.data().result.orig_qty == "3"
        shown = (await connection.query_order(**which)).data().result
        assert (shown.orig_qty, shown.additional_properties) == ("3", {})
        assert (await connection.cancel_order(**which)).data().result.status == "CANCELED"

        balance = (await connection.futures_account_balance()).data().result[0]
        assert (balance.asset, balance.balance, balance.additional_properties) == ("BTC", "10.00000000", {})
        account = (await connection.account_information()).data().result
        assert account.additional_properties == {}
        assert account.assets[0].additional_properties == account.positions[0].additional_properties == {}
        position = (await connection.position_information(pair="BTCUSD")).data().result[0]
        assert (position.symbol, position.additional_properties) == ("BTCUSD_PERP", {})

        answered = [item.method for item in simulator.received if not item.connection.stream]
        assert executed(simulator) == answered


@pytest.mark.parametrize("key", KEYS)
async def test_usd_m(key: str) -> None:
    kind = usds_futures.DerivativesTradingUsdsFutures
    async with sdk(kind, USD_M, key) as (simulator, client, connection):
        await logon(connection, key)
        listen_key = (await connection.start_user_data_stream()).data().result.listen_key
        assert (await connection.keepalive_user_data_stream()).data().result.listen_key == listen_key
        async with user_data(client, listen_key) as events:
            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
            placed = (await connection.new_order(**order, quantity=0.5, price=59000.5)).data().result
            assert (placed.status, placed.additional_properties) == ("NEW", {})
            assert await next_order(events) == ("NEW", placed.order_id)
            which = {"symbol": "BTCUSDT", "order_id": placed.order_id}
            shown = (await connection.query_order(**which)).data().result
            assert (shown.orig_qty, shown.additional_properties) == ("0.500", {})
            cancelled = (await connection.cancel_order(**which)).data().result
            assert (cancelled.status, cancelled.additional_properties) == ("CANCELED", {})
            assert await next_order(events) == ("CANCELED", placed.order_id)
        for ask in (connection.account_information_v2, connection.futures_account_balance_v2):
            assert (await ask()).data().status == 200
        assert (await connection.order_book(symbol="BTCUSDT")).data().status == 200
        assert (await connection.close_user_data_stream()).data().status == 200
        answered = [item.method for item in simulator.received if not item.connection.stream]
        assert executed(simulator) == answered


@pytest.mark.parametrize("key", KEYS)
async def test_spot(key: str) -> None:
    async with sdk(spot.Spot, SPOT, key) as (simulator, _, connection):
        assert (await connection.ping()).data().status == 200
        assert (await connection.time()).data().result.server_time
        assert len((await connection.depth("BTCUSDT", limit=5)).data().result.bids) == 5

        if key == "ED":
            assert (await connection.session_logon()).data().result.api_key == "ED"
            assert (await connection.session_status()).data().result.authorized_since
        else:
            refusal = (await connection.session_logon()).data()
            assert refusal["error"]["code"] == -2028

        # Once logged on, the client leaves apiKey and signature out of this one too.
        subscribe = "user_data_stream_subscribe" if key == "ED" else "user_data_stream_subscribe_signature"
        stream = (await getattr(connection, subscribe)()).stream
        events: asyncio.Queue[Any] = asyncio.Queue()
        stream.on("message", events.put_nowait)
        order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "time_in_force": "GTC"}
        placed = (await connection.order_place(**order, quantity=0.5, price=70000.0)).data().result
        assert (placed.status, placed.additional_properties) == ("NEW", {})
        report = (await asyncio.wait_for(events.get(), 10)).actual_instance
        assert (report.X, report.i) == ("NEW", placed.order_id)
        [resting] = (await connection.open_orders_status()).data().result
        assert (resting.order_id, resting.additional_properties) == (placed.order_id, {})
        which = {"symbol": "BTCUSDT", "order_id": placed.order_id}
        assert (await connection.order_status(**which)).data().result.status == "NEW"
        cancelled = (await connection.order_cancel(**which)).data().result
        assert (cancelled.status, cancelled.additional_properties) == ("CANCELED", {})
        account = (await connection.account_status()).data().result
        assert (account.balances[0].asset, account.balances[0].free) == ("BTC", "10.00000000")

        if key == "ED":
            sent = simulator.received[-1].params
            assert "apiKey" not in sent
            assert "signature" not in sent
            assert (await connection.session_logout()).data().result.api_key is None


def test_coin_m_events_are_those_of_the_official_models() -> None:
    models = pytest.importorskip("binance_sdk_derivatives_trading_coin_futures.websocket_streams.models")
    known_by_the_union_alone = {"e", "listenKey"}
    for event in events(COIN_M):
        parsed = models.UserDataStreamEventsResponse.from_dict(dict(event)).actual_instance
        assert parsed.additional_properties.keys() <= known_by_the_union_alone, event
        for part in vars(parsed).values():
            assert not getattr(part, "additional_properties", None), event
        shown = parsed.to_dict()
        assert {name: shown.get(name, event[name]) for name in event} == event


def test_spot_events_are_those_of_the_official_models() -> None:
    models = pytest.importorskip("binance_sdk_spot.websocket_api.models")
    for event in events(SPOT):
        parsed = models.UserDataStreamEventsResponse.from_dict(dict(event)).actual_instance
        assert parsed.additional_properties.keys() <= {"e"}, event


def events(venue: Venue) -> list[dict[str, Any]]:
    """Return one event of each type, and those of an order that rests and is filled."""
    exchange = Exchange(venue, ManualClock())
    exchange.add_key("HMAC", secret=SECRET)
    texts: list[Any] = []
    path = "/ws-dapi/v1" if venue is COIN_M else "/ws-api/v3"
    connection = exchange.connect("10.0.0.1", path, texts.append)
    symbol = "BTCUSD_PERP" if venue is COIN_M else "BTCUSDT"
    params: dict[str, Any] = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    params |= {"price": "59000", "quantity": "1", "apiKey": "HMAC", "timestamp": exchange.state.now_ms}
    params["signature"] = sign_hmac("&".join(f"{name}={params[name]}" for name in sorted(params)))
    exchange.receive(connection, json.dumps({"id": 1, "method": "order.place", "params": params}))
    exchange.set_price(symbol, "58000")
    exchange.transfer("BTC", "1")
    assert len(exchange.pushed) >= 4
    for name in event_names(exchange.state.product):
        exchange.push_event(name)
    return [dict(entry.event) for entry in exchange.pushed]


async def test_a_wrong_signature_is_refused() -> None:
    async with sdk(coin_futures.DerivativesTradingCoinFutures, COIN_M, "HMAC") as (simulator, _, connection):
        simulator.add_key("HMAC", secret="another secret")
        answer = (await connection.futures_account_balance()).data()
        assert answer["error"]["code"] == -1022
