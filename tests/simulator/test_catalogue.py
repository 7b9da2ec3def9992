"""Every method of the futures' catalogues with the documents' example parameters: a result, or what is documented."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session.venues import COIN_M, COIN_M_TESTNET, USD_M, USD_M_TESTNET, Auth, Venue
from tests.simulator.client import Client, refused, simulated

CODES = {-5000, -1020}

# The parameters of the documents' examples without what proves the sender; symbols and numbers as the simulator has
# them. A code is what the example is answered on an account on which nothing has happened yet.
SHARED: dict[str, tuple[dict[str, Any], int | None]] = {
    "session.logon": ({}, None),
    "session.status": ({}, None),
    "session.logout": ({}, None),
    "userDataStream.start": ({}, None),
    "userDataStream.ping": ({}, None),
    "userDataStream.stop": ({}, None),
    "account.balance": ({}, None),
    "account.status": ({}, None),
}
COIN = "BTCUSD_PERP"
EXAMPLES: dict[str, dict[str, tuple[dict[str, Any], int | None]]] = {
    "COIN-M": {
        **SHARED,
        "order.place": (
            {
                "positionSide": "BOTH",
                "price": "43187.0",
                "quantity": "1",
                "side": "BUY",
                "symbol": COIN,
                "timeInForce": "GTC",
                "type": "LIMIT",
            },
            None,
        ),
        "order.modify": (
            {"orderId": 1, "price": "43769.1", "quantity": "11", "side": "BUY", "symbol": COIN},
            None,
        ),
        "order.status": ({"orderId": 1, "symbol": COIN}, None),
        "order.cancel": ({"orderId": 1, "symbol": COIN}, None),
        "account.position": ({"pair": "BTCUSD"}, None),
    },
    "USD-M": {
        **SHARED,
        "ping": ({}, None),
        "time": ({}, None),
        "depth": ({"symbol": "BTCUSDT"}, None),
        "ticker.price": ({"symbol": "BTCUSDT"}, None),
        "ticker.book": ({"symbol": "BTCUSDT"}, None),
        "order.place": (
            {
                "positionSide": "BOTH",
                "price": "43187.00",
                "quantity": "0.1",
                "side": "BUY",
                "symbol": "BTCUSDT",
                "timeInForce": "GTC",
                "type": "LIMIT",
            },
            None,
        ),
        "order.modify": (
            {
                "orderId": 1,
                "origType": "LIMIT",
                "price": "43769.1",
                "quantity": "0.11",
                "side": "BUY",
                "symbol": "BTCUSDT",
            },
            None,
        ),
        "order.status": ({"orderId": 1, "symbol": "BTCUSDT"}, None),
        "order.cancel": ({"orderId": 1, "symbol": "BTCUSDT"}, None),
        "algoOrder.place": (
            {
                "algoType": "CONDITIONAL",
                "symbol": "BTCUSDT",
                "side": "SELL",
                "type": "TAKE_PROFIT",
                "timeInForce": "GTC",
                "quantity": "0.01",
                "price": "70000",
                "triggerPrice": "70000",
            },
            None,
        ),
        "algoOrder.cancel": ({"algoId": 1_000_000_000_000_001}, None),
        "account.position": ({"symbol": "BTCUSDT"}, None),
        "v2/account.balance": ({}, None),
        "v2/account.status": ({}, None),
        "v2/account.position": ({"symbol": "BTCUSDT"}, None),
    },
}


@pytest.mark.parametrize("by", ["ED", "HMAC"])
@pytest.mark.parametrize("venue", [COIN_M, COIN_M_TESTNET, USD_M, USD_M_TESTNET], ids=lambda venue: venue.name)
async def test_every_method_with_its_example(venue: Venue, by: str) -> None:
    examples = EXAMPLES[venue.name.removesuffix(" testnet")]
    assert venue.methods.keys() <= examples.keys(), "every method has an example"
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        for name, (params, code) in examples.items():
            auth = venue.method(name).auth
            if auth is Auth.NOTHING:
                answer = await client.ask(name, **params)
            elif auth is Auth.KEY:
                answer = await client.ask(name, apiKey=by, **params)
            else:
                answer = await client.ask_signed(name, by, **params)
            if name == "session.logon" and by != "ED":
                code = -4056
            if code is not None:
                refused(answer, code)
            else:
                assert answer["status"] == 200, (name, answer)
                assert "result" in answer


@pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
async def test_no_method_is_unknown(venue: Venue) -> None:
    async with simulated(venue, enforce_limits=False) as simulator, Client.connected(simulator) as client:
        for name in venue.methods:
            answer = await client.ask(name)
            assert answer.get("error", {}).get("code") not in CODES, answer


@pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
@pytest.mark.parametrize("name", ["userDataStream.subscribe", "userDataStream.unsubscribe", "exchangeInfo", "klines"])
async def test_methods_of_spot_are_invalid_on_futures(venue: Venue, name: str) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        assert refused(await client.ask(name), -5000) == f"Method v1/{name} is invalid"
