"""Orders, balances, subscriptions and prices of Spot."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Account
from binance_session.venues import SPOT
from tests.simulator.client import RSA, Client, refused, simulated

BUY = {"symbol": "BTCUSDT", "side": "BUY"}
LIMIT = {**BUY, "type": "LIMIT", "timeInForce": "GTC", "price": "50000.00", "quantity": "2"}


async def balances(client: Client) -> dict[str, Any]:
    rows = (await client.timed("account.status"))["result"]["balances"]
    return {row["asset"]: (Decimal(row["free"]), Decimal(row["locked"])) for row in rows}


async def test_a_resting_order_holds_what_it_would_pay() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        placed = (await client.timed("order.place", **LIMIT, newClientOrderId="mine"))["result"]
        assert (placed["status"], placed["fills"], placed["orderListId"]) == ("NEW", [], -1)
        assert placed["transactTime"] == placed["workingTime"] == client.now
        assert (await balances(client))["USDT"] == (900_000, 100_000)
        [shown] = (await client.timed("openOrders.status"))["result"]
        assert shown == (await client.timed("order.status", symbol="BTCUSDT", orderId=1))["result"]
        assert "transactTime" not in shown
        refused(await client.timed("order.place", **LIMIT, newClientOrderId="mine"), -2010)
        cancelled = (await client.timed("order.cancel", symbol="BTCUSDT", orderId=1))["result"]
        assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "mine")
        assert cancelled["clientOrderId"] != "mine"
        assert (await balances(client))["USDT"] == (1_000_000, 0)
        refused(await client.timed("order.cancel", symbol="BTCUSDT", orderId=1), -2011)
        [order] = (await client.timed("allOrders", symbol="BTCUSDT"))["result"]
        assert order["status"] == "CANCELED"


@pytest.mark.parametrize("amount", [{"quantity": "0.5"}, {"quoteOrderQty": "30000"}])
async def test_a_market_order_is_filled_at_the_price(amount: dict[str, str]) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = (await client.timed("order.place", **BUY, type="MARKET", **amount))["result"]
        assert (result["status"], result["executedQty"]) == ("FILLED", "0.50000000")
        assert result["cummulativeQuoteQty"] == "30000.00000000"
        [fill] = result["fills"]
        assert (fill["price"], fill["qty"]) == ("60000.00000000", "0.50000000")
        assert await balances(client) == {
            "BTC": (Decimal("10.5"), 0),
            "ETH": (100, 0),
            "BNB": (100, 0),
            "USDT": (970_000, 0),
        }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": "LIMIT_MAKER", "timeInForce": None}, -1130),
        ({"type": "MARKET"}, -1106),
        ({"type": "STOP_LOSS_LIMIT"}, -1102),
        ({"type": "OTHER"}, -1116),
        ({"side": "HOLD"}, -1117),
        ({"timeInForce": "GTX"}, -1115),
        ({"newOrderRespType": "LOUD"}, -1130),
        ({"quantity": "0"}, -1013),
        ({"price": "0"}, -1013),
        ({"price": "0.123456789"}, -1111),
        ({"quantity": "21"}, -2010),
        ({"positionSide": "BOTH"}, -1104),
    ],
)
async def test_faulty_orders(change: dict[str, Any], code: int) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("order.place", **{**LIMIT, **change}), code)
        assert (await balances(client))["USDT"] == (1_000_000, 0)
        assert not simulator.exchange.account.orders


async def test_a_maker_order_does_not_take() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        order = {**BUY, "type": "LIMIT_MAKER", "quantity": "1"}
        refused(await client.timed("order.place", **order, price="60000"), -2010)
        result = (await client.timed("order.place", **order, price="59999"))["result"]
        assert list(result) == ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]


async def test_a_test_order_places_nothing() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.timed("order.test", **LIMIT))["result"] == {}
        rates = (await client.timed("order.test", **LIMIT, computeCommissionRates=True))["result"]
        assert "standardCommissionForOrder" in rates
        refused(await client.timed("order.test", **{**LIMIT, "side": "HOLD"}), -1117)
        assert not simulator.exchange.account.orders


async def test_all_orders_of_a_symbol_are_cancelled_together() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("openOrders.cancelAll", symbol="BTCUSDT"), -2011)
        for _ in range(3):
            await client.timed("order.place", **LIMIT)
        sell = {"symbol": "ETHUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
        await client.timed("order.place", **sell, price="4000", quantity="5")
        rows = (await client.timed("openOrders.cancelAll", symbol="BTCUSDT"))["result"]
        assert [row["orderId"] for row in rows] == [1, 2, 3]
        [left] = (await client.timed("openOrders.status"))["result"]
        assert left["orderId"] == 4
        assert (await balances(client))["ETH"] == (95, 5)


async def test_order_counts_are_shown() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **LIMIT)
        counts = (await client.timed("account.rateLimits.orders"))["result"]
        assert [(row["interval"], row["intervalNum"], row["limit"], row["count"]) for row in counts] == [
            ("SECOND", 10, 50, 1),
            ("DAY", 1, 160_000, 1),
        ]


async def test_events_reach_who_subscribed() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        event = {"e": "outboundAccountPosition"}
        assert simulator.push(event) == 0
        refused(await client.ask("userDataStream.subscribe"), -1193)
        await client.logon()
        assert (await client.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        assert (await client.ask("session.status"))["result"]["userDataStream"] is True
        refused(await client.ask("userDataStream.subscribe"), -2035)
        other = Account("other", {"BTC": Decimal(1)})
        simulator.add_key("RSA", public_key=RSA.public_key(), account=other)
        signed = await client.ask_signed("userDataStream.subscribe.signature", "RSA")
        assert signed["result"] == {"subscriptionId": 1}
        listed = (await client.ask("session.subscriptions"))["result"]
        assert listed == [{"subscriptionId": 0}, {"subscriptionId": 1}]

        assert simulator.push(event) == 1
        assert await client.recv() == {"subscriptionId": 0, "event": event}
        assert simulator.push(event, other) == 1
        assert await client.recv() == {"subscriptionId": 1, "event": event}

        ended = {"e": "eventStreamTerminated", "E": client.now}
        still = (await client.ask("session.logout"))["result"]["userDataStream"]
        assert still is True, "the one by a signature is left"
        assert await client.recv() == {"subscriptionId": 0, "event": ended}
        assert simulator.push(event) == 0
        refused(await client.ask("userDataStream.unsubscribe", subscriptionId=0), -2036)
        assert (await client.ask("userDataStream.unsubscribe"))["result"] == {}
        assert await client.recv() == {"subscriptionId": 1, "event": ended}
        assert (await client.ask("session.subscriptions"))["result"] == []


async def test_market_data() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        assert (await client.ask("ping"))["result"] == {}
        assert (await client.ask("time"))["result"] == {"serverTime": client.now}
        assert (await client.ask("avgPrice", symbol="BTCUSDT"))["result"]["price"] == "60000.00000000"
        both = (await client.ask("ticker.price", symbols=["BTCUSDT", "ETHUSDT"]))["result"]
        assert [row["symbol"] for row in both] == ["BTCUSDT", "ETHUSDT"]
        info = (await client.ask("exchangeInfo", symbol="BNBBTC"))["result"]
        assert [row["symbol"] for row in info["symbols"]] == ["BNBBTC"]
        assert info["rateLimits"][0]["limit"] == 6000
        assert len((await client.ask("exchangeInfo"))["result"]["symbols"]) == 4
        assert len((await client.ask("depth", symbol="BTCUSDT"))["result"]["bids"]) == 100
        refused(await client.ask("ticker.price", symbol="NOSUCH"), -1121)


async def test_a_stop_order_rests() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        stop = {**BUY, "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "price": "61000", "quantity": "1"}
        assert "stopPrice" in refused(await client.timed("order.place", **stop), -1102)
        result = (await client.timed("order.place", **stop, stopPrice="60500"))["result"]
        assert "status" not in result, "an ACK is the default of stop orders"
        [shown] = (await client.timed("openOrders.status", symbol="BTCUSDT"))["result"]
        assert (shown["status"], shown["stopPrice"]) == ("NEW", "60500.00000000")


async def test_an_order_that_must_be_filled_at_once_expires() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = (await client.timed("order.place", **{**LIMIT, "timeInForce": "IOC"}))["result"]
        assert (result["status"], result["fills"]) == ("EXPIRED", [])
        assert (await balances(client))["USDT"] == (1_000_000, 0)


async def test_cancel_restrictions() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **LIMIT)
        which = {"symbol": "BTCUSDT", "orderId": 1}
        for restriction, code in (("SOME", -1145), ("ONLY_PARTIALLY_FILLED", -2011)):
            refused(await client.timed("order.cancel", **which, cancelRestrictions=restriction), code)
        assert (await client.timed("order.cancel", **which, cancelRestrictions="ONLY_NEW"))["status"] == 200


async def test_a_list_may_be_a_text_of_json() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        rows = (await client.ask("ticker.price", symbols='["BTCUSDT"]'))["result"]
        assert [row["symbol"] for row in rows] == ["BTCUSDT"]
        refused(await client.ask("ticker.price", symbols="BTCUSDT"), -1135)
        refused(await client.ask("ticker.price", symbols='{"a":1}'), -1130)
        refused(await client.ask("ticker.price", symbols=7), -1130)
