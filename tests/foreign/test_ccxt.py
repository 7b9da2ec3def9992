"""ccxt, unchanged: ``pytest -m sdk tests/foreign/test_ccxt.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import fields

from binance_session.cli.simulate.options import readings_of
from binance_session.simulator import Readings, Simulator
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.foreign.exchange import MARKS, PRIVATE, SECRET, base, executed, foreign
from tests.foreign.listed import exchange_info
from tests.foreign.rest import rest
from tests.simulator.client import KEYS

ccxt = pytest.importorskip("ccxt.pro")

pytestmark = MARKS

#: For each venue: the class, its word for the product, a symbol, an amount and a price at which it rests.
KINDS: dict[str, tuple[str, str, str, float, float]] = {
    SPOT.name: ("binance", "spot", "BTC/USDT", 0.5, 59000),
    USD_M.name: ("binanceusdm", "linear", "BTC/USDT:USDT", 0.5, 59000),
    COIN_M.name: ("binancecoinm", "inverse", "BTC/USD:BTC", 2, 59000),
}


def here(urls: dict[str, Any], rest_url: str, websocket_url: str) -> dict[str, Any]:
    """Every URL that the client knows, with the same path on this machine: nothing may go elsewhere."""
    moved: dict[str, Any] = {}
    for name, url in urls.items():
        if isinstance(url, dict):
            moved[name] = here(url, rest_url, websocket_url)
        else:
            moved[name] = (websocket_url if url.startswith("ws") else rest_url) + urlsplit(url).path
    return moved


@asynccontextmanager
async def client(venue: Venue, key: str, **options: Any) -> AsyncIterator[tuple[Simulator, Any]]:
    """A simulator, and the client with one of the keys."""
    kind, product, *_ = KINDS[venue.name]
    async with (
        foreign(venue, **options) as simulator,
        rest(simulator, {"exchangeInfo": exchange_info(simulator)}) as at,
    ):
        settings = {
            "apiKey": key,
            "secret": SECRET if key == "HMAC" else PRIVATE[key],
            "urls": {"api": here(getattr(ccxt, kind)().urls["api"], at, base(simulator))},
            "options": {
                "fetchMarkets": {"types": [product]},
                "fetchCurrencies": False,
                "fetchMargins": False,
                "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
            },
        }
        exchange = getattr(ccxt, kind)(settings)
        try:
            yield simulator, exchange
        finally:
            await exchange.close()


async def walk(venue: Venue, key: str, **options: Any) -> None:
    *_, symbol, amount, price = KINDS[venue.name]
    async with client(venue, key, **options) as (simulator, exchange):
        await exchange.load_markets()
        watched = asyncio.ensure_future(exchange.watch_orders(symbol))
        while not any(each.streams or each.subscriptions for each in simulator.connections):
            await asyncio.sleep(0.001)
        placed = await exchange.create_order_ws(symbol, "limit", "buy", amount, price)
        assert (placed["status"], placed["amount"], placed["price"]) == ("open", amount, price)
        [event] = await asyncio.wait_for(watched, 10)
        assert (event["id"], event["status"]) == (placed["id"], "open")
        shown = await exchange.fetch_order_ws(placed["id"], symbol)
        assert (shown["status"], shown["amount"]) == ("open", amount)
        cancelled = await exchange.cancel_order_ws(placed["id"], symbol)
        assert cancelled["status"] == "canceled"
        assert (await exchange.fetch_balance_ws())["info"]
        with pytest.raises(ccxt.BaseError):
            await exchange.cancel_order_ws(placed["id"], symbol)
        if venue is not SPOT:
            await exchange.keep_alive_listen_key({"type": "swap"})
            assert "userDataStream.ping" in executed(simulator)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("venue", [USD_M, COIN_M], ids=lambda venue: venue.name)
async def test_futures(venue: Venue, key: str) -> None:
    await walk(venue, key)


@pytest.mark.skipif(not hasattr(fields(Readings), "decimal_numbers"), reason="the client sends decimals as numbers")
@pytest.mark.parametrize("key", KEYS)
async def test_spot(key: str) -> None:
    await walk(SPOT, key, readings=readings_of(["decimal_numbers=accepted"]))
