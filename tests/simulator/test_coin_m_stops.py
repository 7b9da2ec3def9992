"""COIN-M's stop orders, which a notice says are refused, and which the SDKs still document: a reading."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Readings, Simulator
from binance_session.venues import COIN_M, USD_M
from tests.simulator.client import Client, refused, simulated

SYMBOL = "BTCUSD_PERP"
STOP = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "quantity": "5", "stopPrice": "59000"}
TAKEN = Readings(coin_m_stops="taken")


@asynccontextmanager
async def playing() -> AsyncIterator[tuple[Simulator, Client]]:
    """A simulator that takes them, and a client that holds ten contracts."""
    async with simulated(COIN_M, readings=TAKEN) as simulator, Client.connected(simulator) as client:
        await client.logon()
        buy = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "10"}
        assert (await client.timed("order.place", **buy))["status"] == 200
        simulator.pushed.clear()
        yield simulator, client


def told(simulator: Simulator) -> list[tuple[Any, ...]]:
    events = [entry.event["o"] for entry in simulator.pushed if entry.type == "ORDER_TRADE_UPDATE"]
    simulator.pushed.clear()
    return [(o["x"], o["X"], o["o"], o["ot"]) for o in events]


async def held(client: Client) -> Decimal:
    return Decimal((await client.timed("account.position", pair="BTCUSD"))["result"][0]["positionAmt"])


async def test_by_default_and_on_usd_m_they_are_refused() -> None:
    async with simulated(COIN_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("order.place", **STOP), -4120)
    async with simulated(USD_M, readings=TAKEN) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("order.place", **{**STOP, "symbol": "BTCUSDT"}), -4120)


async def test_a_stop_is_an_order_that_waits() -> None:
    async with playing() as (simulator, client):
        placed = (await client.timed("order.place", **STOP, newClientOrderId="stop"))["result"]
        assert (placed["status"], placed["type"], placed["stopPrice"]) == ("NEW", "STOP_MARKET", "59000.0")
        which = {"symbol": SYMBOL, "origClientOrderId": "stop"}
        assert (await client.timed("order.status", **which))["result"]["orderId"] == placed["orderId"]
        refused(await client.timed("order.place", **STOP, newClientOrderId="stop"), -4116)
        with pytest.raises(ValueError, match="waits for its trigger"):
            simulator.fill(SYMBOL, "stop", "1")
        simulator.set_price(SYMBOL, "59000.1")
        assert told(simulator) == [("NEW", "NEW", "STOP_MARKET", "STOP_MARKET")]
        simulator.set_price(SYMBOL, "59000")
        assert told(simulator) == [
            ("EXPIRED", "EXPIRED", "STOP_MARKET", "STOP_MARKET"),
            ("NEW", "NEW", "MARKET", "STOP_MARKET"),
            ("TRADE", "FILLED", "MARKET", "STOP_MARKET"),
        ]
        assert await held(client) == 5
        shown = (await client.timed("order.status", **which))["result"]
        assert (shown["orderId"], shown["type"], shown["origType"]) == (placed["orderId"], "MARKET", "STOP_MARKET")


async def test_a_limit_behind_a_stop_rests() -> None:
    async with playing() as (simulator, client):
        limit = {**STOP, "type": "STOP", "price": "58500", "timeInForce": "GTC"}
        await client.timed("order.place", **limit, newClientOrderId="limit")
        simulator.set_price(SYMBOL, "58000")
        assert [step[:3] for step in told(simulator)][-1] == ("NEW", "NEW", "LIMIT")
        simulator.set_price(SYMBOL, "58500")
        assert [step[:2] for step in told(simulator)] == [("TRADE", "FILLED")]


async def test_a_trailing_stop_names_what_it_was_given() -> None:
    async with playing() as (simulator, client):
        trail = {**STOP, "type": "TRAILING_STOP_MARKET", "callbackRate": "1", "activationPrice": "61000"}
        del trail["stopPrice"]
        refused(await client.timed("order.place", **{**trail, "activationPrice": "59000"}), -2021)
        await client.timed("order.place", **trail)
        [new] = [entry.event["o"] for entry in simulator.pushed]
        assert (new["AP"], new["cr"]) == ("61000.0", "1")
        for price in ("59000", "61000", "62000", "61400"):
            simulator.set_price(SYMBOL, price)
        assert await held(client) == 10
        simulator.set_price(SYMBOL, "61380")
        assert await held(client) == 5


async def test_what_closes_a_position_expires_with_it() -> None:
    close = {"symbol": SYMBOL, "side": "SELL", "closePosition": True}
    async with playing() as (simulator, client):
        refused(
            await client.timed("order.place", **{**STOP, "side": "BUY", "stopPrice": "61000"}, closePosition=True),
            -4137,
        )
        buy = {**close, "side": "BUY", "type": "STOP_MARKET", "stopPrice": "61000"}
        refused(await client.timed("order.place", **buy), -4509)
        await client.timed("order.place", **close, type="STOP_MARKET", stopPrice="59000")
        await client.timed("order.place", **close, type="TAKE_PROFIT_MARKET", stopPrice="61000")
        told(simulator)
        simulator.set_price(SYMBOL, "59000")
        assert await held(client) == 0
        assert told(simulator)[-1] == ("EXPIRED", "EXPIRED", "TAKE_PROFIT_MARKET", "TAKE_PROFIT_MARKET")


async def test_what_cannot_be_done_when_it_is_triggered_stays_expired() -> None:
    async with playing() as (simulator, client):
        await client.timed("order.place", **{**STOP, "quantity": "1000000"})
        await client.timed("order.place", **{**STOP, "side": "BUY", "stopPrice": "61000"}, reduceOnly=True)
        told(simulator)
        simulator.set_price(SYMBOL, "59000")
        simulator.set_price(SYMBOL, "61000")
        assert [step[:2] for step in told(simulator)] == [("EXPIRED", "EXPIRED")] * 2
        assert await held(client) == 10
        assert not list(simulator.exchange.account.open_orders())


async def test_one_is_cancelled_like_any_order() -> None:
    async with playing() as (simulator, client):
        await client.timed("order.place", **STOP, newClientOrderId="stop")
        cancelled = await client.timed("order.cancel", symbol=SYMBOL, origClientOrderId="stop")
        assert cancelled["result"]["status"] == "CANCELED"
        simulator.set_price(SYMBOL, "58000")
        assert await held(client) == 10
