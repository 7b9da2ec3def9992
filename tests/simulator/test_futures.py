"""Orders, balances and positions of COIN-M and USD-M."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import ManualClock
from binance_session.venues import COIN_M, USD_M, Venue
from tests.simulator.client import Client, refused, simulated

LIMIT = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "2"}
COIN = {"symbol": "BTCUSD_PERP"}
USD = {"symbol": "BTCUSDT"}

# The fields of the documents' examples, in their order.
PLACED_COIN = """
    orderId symbol pair status clientOrderId price origQty executedQty cumQty timeInForce type reduceOnly closePosition
    side positionSide stopPrice workingType priceProtect origType updateTime
"""
PLACED_USD = """
    orderId symbol status clientOrderId price origQty executedQty cumQty timeInForce type reduceOnly closePosition side
    positionSide stopPrice workingType priceProtect origType priceMatch selfTradePreventionMode
    goodTillDate updateTime
"""


@pytest.mark.parametrize(
    ("venue", "symbol", "fields"),
    [(COIN_M, COIN, PLACED_COIN), (USD_M, USD, PLACED_USD)],
    ids=["COIN-M", "USD-M"],
)
async def test_the_life_of_an_order(venue: Venue, symbol: dict[str, str], fields: str) -> None:
    clock = ManualClock()
    async with simulated(venue, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        name = {"newClientOrderId": "mine"}
        placed = (await client.timed("order.place", **symbol, **LIMIT, price="59000.0", **name))["result"]
        assert list(placed) == fields.split()
        assert (placed["status"], placed["clientOrderId"], placed["updateTime"]) == (
            "NEW",
            "mine",
            client.now,
        )
        assert Decimal(placed["price"]) == 59000
        assert Decimal(placed["origQty"]) == 2
        by_id = {**symbol, "orderId": placed["orderId"]}
        by_name = {**symbol, "origClientOrderId": "mine"}
        shown = (await client.timed("order.status", **by_id))["result"]
        assert shown == (await client.timed("order.status", **by_name))["result"]
        assert shown["time"] == placed["updateTime"]
        assert "avgPrice" in shown

        clock.advance(1)
        side = {"side": "BUY"}
        modified = await client.timed("order.modify", **by_id, **side, price="58000.0", quantity="3")
        assert Decimal(modified["result"]["price"]) == 58000
        same = await client.timed("order.modify", **by_id, **side, price="58000.0", quantity="3")
        refused(same, -5027)
        assert "price" in refused(await client.timed("order.modify", **by_id, **side, quantity="3"), -1102)

        cancelled = (await client.timed("order.cancel", **by_name))["result"]
        assert (cancelled["status"], cancelled["updateTime"]) == ("CANCELED", client.now)
        refused(await client.timed("order.cancel", **by_name), -2011)
        refused(await client.timed("order.modify", **by_id, **side, price="1.0", quantity="1"), -2013)
        assert (await client.timed("order.status", **by_id))["result"]["status"] == "CANCELED"


async def test_orders_that_are_not_there() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("order.status", **COIN, orderId=7), -2013)
        refused(await client.timed("order.cancel", **COIN, origClientOrderId="x"), -2011)
        assert "'orderId'" in refused(await client.timed("order.status", **COIN), -1102)
        placed = await client.timed("order.place", **COIN, **LIMIT, price="59000.0")
        other = {"symbol": "ETHUSD_PERP", "orderId": placed["result"]["orderId"]}
        refused(await client.timed("order.status", **other), -2013)


async def test_a_client_order_id_is_unique_among_open_orders() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        order = {**COIN, **LIMIT, "price": "59000.0", "newClientOrderId": "mine"}
        first = (await client.timed("order.place", **order))["result"]["orderId"]
        refused(await client.timed("order.place", **order), -4116)
        await client.timed("order.cancel", **COIN, orderId=first)
        assert (await client.timed("order.place", **order))["result"]["orderId"] == first + 1
        placed = [item.id for item in simulator.executed if item.method == "order.place"]
        assert placed == [2, 5]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"type": "MARKET"}, "FILLED"),
        ({"price": "60000.0", "timeInForce": "GTC"}, "FILLED"),
        ({"price": "59999.9", "timeInForce": "GTC"}, "NEW"),
        ({"price": "59999.9", "timeInForce": "IOC"}, "EXPIRED"),
        ({"price": "59999.9", "timeInForce": "FOK"}, "EXPIRED"),
        ({"price": "59999.9", "timeInForce": "GTX"}, "NEW"),
        ({"price": "60000.0", "timeInForce": "GTX"}, "EXPIRED"),
    ],
)
async def test_what_becomes_of_an_order_against_a_price_that_stands_still(order: dict[str, str], status: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        order = {"side": "BUY", "quantity": "2", "type": "LIMIT", **COIN, **order}
        result = (await client.timed("order.place", **order, newOrderRespType="RESULT"))["result"]
        assert result["status"] == status
        acknowledged = (await client.timed("order.place", **order))["result"]
        assert acknowledged["status"] == "NEW", "an ACK does not know yet"
        shown = await client.timed("order.status", **COIN, orderId=acknowledged["orderId"])
        assert shown["result"]["status"] == status
        position = (await client.timed("account.position", pair="BTCUSD"))["result"][0]
        assert position["positionAmt"] == ("4" if status == "FILLED" else "0")


async def position(client: Client, **params: Any) -> dict[str, Any]:
    rows = (await client.timed("account.position", **params))["result"]
    assert isinstance(rows, list)
    row = rows[0]
    assert isinstance(row, dict)
    return row


async def wallet(client: Client, asset: str) -> Decimal:
    rows = (await client.timed("account.balance"))["result"]
    return next(Decimal(row["balance"]) for row in rows if row["asset"] == asset)


@pytest.mark.parametrize(("side", "sign"), [("BUY", 1), ("SELL", -1)])
async def test_a_coin_margined_position_earns_coins(side: str, sign: int) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        back = "SELL" if side == "BUY" else "BUY"
        market = {**COIN, "type": "MARKET"}
        await client.timed("order.place", **market, side=side, quantity="600")
        row = await position(client)
        assert (row["positionAmt"], row["entryPrice"]) == (str(600 * sign), "60000.00000000")
        simulator.exchange.market.prices["BTCUSD_PERP"] = Decimal(75000)
        # 600 contracts of 100 USD: 1 BTC at 60000, 0.8 BTC at 75000
        assert Decimal((await position(client))["unRealizedProfit"]) == sign * Decimal("0.2")
        refused(await client.timed("order.place", **market, side=side, quantity="1", reduceOnly=True), -2022)
        await client.timed("order.place", **market, side=back, quantity="300", reduceOnly=True)
        assert await wallet(client, "BTC") == 10 + sign * Decimal("0.1")
        await client.timed("order.place", **market, side=back, quantity="400")
        row = await position(client)
        assert (row["positionAmt"], row["entryPrice"]) == (str(-100 * sign), "75000.00000000")
        assert await wallet(client, "BTC") == 10 + sign * Decimal("0.2")


@pytest.mark.parametrize(("side", "sign"), [("BUY", 1), ("SELL", -1)])
async def test_a_usd_margined_position_earns_dollars(side: str, sign: int) -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        back = "SELL" if side == "BUY" else "BUY"
        market = {**USD, "type": "MARKET"}
        await client.timed("order.place", **market, side=side, quantity="1")
        simulator.exchange.market.prices["BTCUSDT"] = Decimal(66000)
        await client.timed("order.place", **market, side=side, quantity="1")
        row = await position(client, symbol="BTCUSDT")
        assert Decimal(row["entryPrice"]) == 63000
        assert Decimal(row["unRealizedProfit"]) == sign * 6000
        status = (await client.timed("account.status"))["result"]
        assert Decimal(status["totalUnrealizedProfit"]) == sign * 6000
        await client.timed("order.place", **market, side=back, quantity="2", reduceOnly="true")
        assert await wallet(client, "USDT") == 1_000_000 + sign * 6000
        assert Decimal((await position(client, symbol="BTCUSDT"))["entryPrice"]) == 0


async def test_the_margin_must_suffice() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        # 10 BTC at 60000 and leverage 20 are 120000 contracts
        order = {**COIN, "side": "BUY", "type": "MARKET"}
        refused(await client.timed("order.place", **order, quantity="120001"), -2019)
        assert (await client.timed("order.place", **order, quantity="120000"))["status"] == 200
        refused(await client.timed("order.place", **order, quantity="1"), -2019)
        assert (await client.timed("order.place", **{**order, "side": "SELL"}, quantity="1"))["status"] == 200


async def test_account_answers_have_the_documented_fields() -> None:
    balance = {"accountAlias", "asset", "balance", "crossWalletBalance", "crossUnPnl", "availableBalance", "updateTime"}
    for venue, more in ((COIN_M, {"withdrawAvailable"}), (USD_M, {"maxWithdrawAmount", "marginAvailable"})):
        async with simulated(venue) as simulator, Client.connected(simulator) as client:
            await client.logon()
            rows = (await client.timed("account.balance"))["result"]
            assert {row["asset"] for row in rows} == ({"BTC", "ETH"} if venue is COIN_M else {"USDT"})
            assert set(rows[0]) == balance | more
            status = (await client.timed("account.status"))["result"]
            assert {"feeTier", "canTrade", "canDeposit", "canWithdraw", "updateTime", "assets"} <= set(status)
            assert len(status["positions"]) == len(simulator.exchange.market.symbols)
            refused(await client.timed("account.position", symbol="NOSUCH"), -1121 if venue is USD_M else -1104)


async def test_hedge_mode_is_not_played() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        order = {**COIN, **LIMIT, "price": "1.0"}
        refused(await client.timed("order.place", **order, positionSide="LONG"), -4061)
        refused(await client.timed("order.place", **order, positionSide="UP"), -4060)


async def test_usd_m_market_data() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        assert (await client.ask("time"))["result"] == {"serverTime": client.now}
        price = (await client.ask("ticker.price", **USD))["result"]
        assert price == {"symbol": "BTCUSDT", "price": "60000.00", "time": client.now}
        assert len((await client.ask("ticker.price"))["result"]) == 2
        book = (await client.ask("ticker.book", **USD))["result"]
        assert Decimal(book["bidPrice"]) < 60000 < Decimal(book["askPrice"])
        depth = (await client.ask("depth", **USD, limit=5))["result"]
        assert len(depth["bids"]) == len(depth["asks"]) == 5
        assert depth["bids"][0] == ["59999.99", "1.000"]
        refused(await client.ask("depth", **USD, limit=7), -1130)
