"""How Spot orders are filled and triggered: in parts, at stop prices, trailing, pegged, routed, prevented."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Exchange, ManualClock, PriceRange, Readings, Reference
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.simulator.client import Client, refused, simulated
from tests.simulator.spotday import BTC, BUY, LIMIT, SELL

ORDERS: dict[str, dict[str, Any]] = {
    "COIN-M": {"symbol": "BTCUSD_PERP", "price": "59000", "quantity": "4"},
    "USD-M": {"symbol": BTC, "price": "59000", "quantity": "4"},
    "Spot": {"symbol": BTC, "price": "59000", "quantity": "4"},
}


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)
async def test_an_order_is_filled_in_parts(venue: Venue) -> None:
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "newClientOrderId": "mine", **ORDERS[venue.name]}
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **order)
        for quantity, status in (("1", "PARTIALLY_FILLED"), ("2", "PARTIALLY_FILLED"), ("1", "FILLED")):
            simulator.pushed.clear()
            simulator.fill(order["symbol"], "mine", quantity)
            shown = (await client.timed("order.status", symbol=order["symbol"], orderId=1))["result"]
            assert shown["status"] == status
            told = [
                entry.event["o"] if venue is not SPOT else entry.event
                for entry in simulator.pushed
                if "o" in entry.event
            ]
            [fill] = [report for report in told if report["x"] == "TRADE"]
            assert (Decimal(fill["l"]), Decimal(fill["L"])) == (Decimal(quantity), Decimal(59000))
            assert fill["X"] == status
            assert fill["m"] is True
        assert Decimal(shown["executedQty"]) == 4
        simulator.set_price(order["symbol"], "50000")
        assert Decimal(shown["executedQty"]) == 4


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)
async def test_what_cannot_be_filled(venue: Venue) -> None:
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "newClientOrderId": "mine", **ORDERS[venue.name]}
    symbol = order["symbol"]
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **order)
        for named, name, quantity, why in (
            ("NOSUCH", "mine", "1", "no symbol"),
            (symbol, "nobody", "1", "no open order"),
            (symbol, "mine", "0", "left to be filled"),
            (symbol, "mine", "-1", "left to be filled"),
            (symbol, "mine", "5", "4 left"),
            (symbol, "mine", "much", "is not a quantity"),
            (symbol, "mine", "NaN", "left to be filled"),
            (symbol, "mine", "0.000000001", "digits"),
        ):
            with pytest.raises(ValueError, match=why):
                simulator.fill(named, name, quantity)
        simulator.fill(symbol, "mine", "4")
        with pytest.raises(ValueError, match="no open order"):
            simulator.fill(symbol, "mine", "1")


async def test_a_part_leaves_the_rest_held() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **BUY, price="59000", newClientOrderId="mine")
        simulator.fill(BTC, "mine", "0.25")
        account = simulator.exchange.account
        assert account.locked["USDT"] == 44_250
        assert account.free("USDT") == 1_000_000 - 59_000
        cancelled = (await client.timed("order.cancel", symbol=BTC, orderId=1))["result"]
        assert (cancelled["executedQty"], cancelled["cummulativeQuoteQty"]) == ("0.25000000", "14750.00000000")
        assert account.locked["USDT"] == 0


async def test_an_order_counts_until_it_trades() -> None:
    async def counts(client: Client) -> list[int]:
        return [row["count"] for row in (await client.timed("account.rateLimits.orders"))["result"]]

    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **BUY, price="60000")
        assert await counts(client) == [0, 0]
        await client.timed("order.place", **BUY, price="59000", newClientOrderId="mine")
        assert await counts(client) == [1, 1]
        simulator.fill(BTC, "mine", "0.5")
        simulator.fill(BTC, "mine", "0.5")
        assert await counts(client) == [0, 0], "once"


STOP = {"symbol": BTC, "quantity": "1"}


@pytest.mark.parametrize(
    ("side", "kind", "stop", "before", "after"),
    [
        ("BUY", "STOP_LOSS", "61000", "60999", "61001"),
        ("SELL", "STOP_LOSS", "59000", "59001", "58999"),
        ("BUY", "TAKE_PROFIT", "59000", "59001", "58999"),
        ("SELL", "TAKE_PROFIT", "61000", "60999", "61001"),
    ],
)
async def test_a_stop_order_waits_for_its_price(side: str, kind: str, stop: str, before: str, after: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        order = {**STOP, "side": side, "type": kind, "stopPrice": stop, "newClientOrderId": "mine"}
        wrong = {"stopPrice": "60000", "newClientOrderId": "wrong"}
        text = refused(await client.timed("order.place", **{**order, **wrong}), -2010)
        assert text == "Order would trigger immediately."
        await client.timed("order.place", **order)
        with pytest.raises(ValueError, match="not on the book"):
            simulator.fill(BTC, "mine", "1")
        simulator.set_price(BTC, before)
        [waiting] = (await client.timed("openOrders.status"))["result"]
        assert (waiting["isWorking"], waiting["workingTime"]) == (False, -1)
        simulator.pushed.clear()
        simulator.set_price(BTC, after)
        done = (await client.timed("order.status", symbol=BTC, origClientOrderId="mine"))["result"]
        assert (done["status"], Decimal(done["cummulativeQuoteQty"])) == ("FILLED", Decimal(after))
        reports = [entry.event for entry in simulator.pushed if entry.type == "executionReport"]
        assert [(event["x"], event["w"], event["m"]) for event in reports] == [
            ("NEW", True, False),
            ("TRADE", False, False),
        ]


@pytest.mark.parametrize(
    ("side", "stop", "steps", "at"),
    [
        # the scenarios of the document on trailing stops: prices, and the last of them triggers
        ("SELL", None, ("42000", "39500", "45500", "42400"), "42315"),
        ("BUY", "44000", ("37000", "44000", "45000", "46000", "42000"), "44100"),
        ("SELL", "39000", ("41500", "39000", "37000", "41000"), "36900"),
    ],
)
async def test_a_trailing_stop(side: str, stop: str | None, steps: tuple[str, ...], at: str) -> None:
    delta = {"44100": 500, "36900": 1000, "42315": 700}[at]
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.set_price(BTC, "40000")
        order = {**STOP, "side": side, "type": "STOP_LOSS", "trailingDelta": delta, "newClientOrderId": "mine"}
        await client.timed("order.place", **order, **({} if stop is None else {"stopPrice": stop}))

        async def shown() -> Any:
            return (await client.timed("order.status", symbol=BTC, orderId=1))["result"]

        assert ((await shown())["trailingTime"] == -1) is (stop is not None)
        for price in steps:
            simulator.set_price(BTC, price)
            assert (await shown())["status"] == "NEW", price
        assert (await shown())["trailingTime"] == client.now
        simulator.set_price(BTC, at)
        assert ((await shown())["status"], Decimal((await shown())["cummulativeQuoteQty"])) == ("FILLED", Decimal(at))


async def test_a_trailing_delta_is_within_its_filter() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        order = {**STOP, "side": "SELL", "type": "STOP_LOSS"}
        assert "TRAILING_DELTA" in refused(await client.timed("order.place", **order, trailingDelta=2001), -1013)
        assert "stopPrice" in refused(await client.timed("order.place", **order), -1102)


async def test_a_stop_that_cannot_be_paid_any_more_expires() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.exchange.account.balances["USDT"] = Decimal(61_000)
        await client.timed("order.place", **STOP, side="BUY", type="STOP_LOSS", stopPrice="61000")
        simulator.set_price(BTC, "62000")
        order = (await client.timed("order.status", symbol=BTC, orderId=1))["result"]
        assert (order["status"], order["expiryReason"]) == ("EXPIRED", "REJECTED")
        assert simulator.exchange.account.locked["USDT"] == 0


@pytest.mark.parametrize(
    ("tif", "reason"), [("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("FOK", "UNFILLED_FOK_ORDER_EXPIRED")]
)
async def test_an_order_tells_why_it_expired(tif: str, reason: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = (await client.timed("order.place", **{**BUY, "timeInForce": tif}, price="59000"))["result"]
        assert (result["status"], result["expiryReason"]) == ("EXPIRED", reason)
        assert simulator.pushed[-1].event["eR"] == reason


async def test_a_price_range_keeps_orders_from_being_filled() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        market = simulator.exchange.market
        up, down = Decimal("1.1"), Decimal("0.9")
        market.price_ranges[BTC] = PriceRange(up, down, up, down)
        market.references[BTC] = Reference(Decimal(50_000), client.now)
        result = (await client.timed("order.place", **BUY, price="60000"))["result"]
        assert (result["status"], result["expiryReason"]) == ("EXPIRED", "EXECUTION_RULE_PRICE_RANGE_EXCEEDED")
        market.references[BTC] = Reference(Decimal(55_000), client.now)
        assert (await client.timed("order.place", **BUY, price="60000"))["result"]["status"] == "FILLED"


@pytest.mark.parametrize(
    ("side", "peg", "price"),
    [
        ("BUY", {"pegPriceType": "PRIMARY_PEG"}, "59999.99"),
        ("SELL", {"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": 4}, "60000.05"),
        ("BUY", {"pegPriceType": "PRIMARY_PEG", "price": "59000"}, "59000"),
        ("SELL", {"pegPriceType": "PRIMARY_PEG", "price": "61000"}, "61000"),
    ],
)
async def test_a_pegged_order_takes_its_price_from_the_book(side: str, peg: dict[str, Any], price: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = (await client.timed("order.place", **LIMIT, side=side, **peg))["result"]
        assert (result["status"], Decimal(result["peggedPrice"])) == ("NEW", Decimal(price))
        assert result["pegPriceType"] == "PRIMARY_PEG"


async def test_a_market_peg_takes() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = (await client.timed("order.place", **SELL, pegPriceType="MARKET_PEG"))["result"]
        assert result["status"] == "FILLED"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pegPriceType": "SOME"}, -1210),
        ({"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "SOME", "pegOffsetValue": 1}, -1211),
        ({"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL"}, -1128),
        ({"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": 101}, -1130),
        ({"pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": 1, "price": "1"}, -1106),
        ({"type": "LIMIT_MAKER", "timeInForce": None, "pegPriceType": "MARKET_PEG"}, -2010),
        ({"type": "MARKET", "timeInForce": None, "pegPriceType": "PRIMARY_PEG"}, -2010),
        ({"price": "59000", "icebergQty": "0.1", "timeInForce": "IOC"}, -1014),
        ({"price": "59000", "icebergQty": "2"}, -2010),
        ({"price": "59000", "strategyType": 999_999}, -1134),
        ({"price": "59000", "selfTradePreventionMode": "SOME"}, -1130),
        ({"price": "100000001"}, -1013),
        ({"price": "59000", "stopPrice": "59000"}, -1106),
    ],
)
async def test_orders_that_are_refused(change: dict[str, Any], code: int) -> None:
    order = {name: value for name, value in {**BUY, **change}.items() if value is not None}
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("order.place", **order), code)
        refused(await client.timed("order.test", **order), code)
        assert not simulator.exchange.account.orders


async def test_a_routed_order_has_allocations() -> None:
    order = {**LIMIT, "side": "BUY", "price": "60500"}
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        [result] = (await client.timed("sor.order.place", **order))["result"]
        [fill] = result["fills"]
        assert (result["usedSor"], result["workingFloor"], result["status"]) == (True, "SOR", "FILLED")
        assert (fill["matchType"], fill["tradeId"], fill["price"]) == ("ONE_PARTY_TRADE_REPORT", -1, "60000.00000000")
        [row] = (await client.timed("myAllocations", symbol=BTC))["result"]
        assert (row["allocationId"], row["orderId"], row["allocationType"]) == (fill["allocId"], 1, "SOR")
        assert (await client.timed("myTrades", symbol=BTC))["result"] == []
        stop = {**STOP, "side": "BUY", "type": "STOP_LOSS"}
        refused(await client.timed("sor.order.place", **stop), -1116)
        refused(await client.timed("sor.order.place", **order, stopPrice="1"), -1104)
        rates = (await client.timed("sor.order.test", **order, computeCommissionRates=True))["result"]
        assert "specialCommissionForOrder" not in rates
        assert (await client.timed("sor.order.test", **order))["result"] == {}


@pytest.mark.parametrize(
    ("mode", "maker", "taker", "lost"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "NEW", ("2.00000000", None)),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH", (None, "3.00000000")),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH", ("2.00000000", "3.00000000")),
        ("DECREMENT", "EXPIRED_IN_MATCH", "NEW", ("2.00000000", "2.00000000")),
    ],
)
async def test_two_orders_of_one_account_do_not_trade(
    mode: str, maker: str, taker: str, lost: tuple[str | None, str | None]
) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **{**SELL, "quantity": "2"}, price="61000", newClientOrderId="maker")
        buy = {**BUY, "quantity": "3", "price": "59000", "newClientOrderId": "taker"}
        await client.timed("order.place", **buy, selfTradePreventionMode=mode)
        simulator.pushed.clear()
        simulator.let_meet(BTC, "maker", "taker")
        assert [order.status for order in simulator.exchange.account.orders.values()] == [maker, taker]
        [match] = (await client.timed("myPreventedMatches", symbol=BTC, preventedMatchId=0))["result"]
        assert (match.get("makerPreventedQuantity"), match.get("takerPreventedQuantity")) == lost
        assert (match["makerOrderId"], match["takerOrderId"], match["price"]) == (1, 2, "61000.00000000")
        events = [entry.event for entry in simulator.pushed if entry.type == "executionReport"]
        assert {event["x"] for event in events} == {"TRADE_PREVENTION"}
        assert [event["B"] for event in events] == [quantity for quantity in lost if quantity is not None]
        held = simulator.exchange.account.locked
        assert held["BTC"] == (0 if maker != "NEW" else 2)
        assert held["USDT"] == (0 if taker != "NEW" else 59_000 * (3 - Decimal(lost[1] or 0)))


async def test_two_orders_that_do_not_meet() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        for name, order in (("buy", BUY), ("buys", BUY), ("sell", SELL)):
            price = "59000" if order is BUY else "61000"
            await client.timed("order.place", **order, price=price, newClientOrderId=name)
        with pytest.raises(ValueError, match="nothing is prevented"):
            simulator.let_meet(BTC, "sell", "buy")
        mode = {"selfTradePreventionMode": "EXPIRE_BOTH"}
        await client.timed("order.place", **BUY, **mode, price="59000", newClientOrderId="taker")
        with pytest.raises(ValueError, match="each side"):
            simulator.let_meet(BTC, "buys", "taker")
        with pytest.raises(ValueError, match="no open order"):
            simulator.let_meet(BTC, "nobody", "taker")
        for params, code in (
            ({}, -1102),
            ({"preventedMatchId": 0, "orderId": 1}, -1128),
        ):
            refused(await client.timed("myPreventedMatches", symbol=BTC, **params), code)
    with pytest.raises(ValueError, match="Spot only"):
        Exchange(USD_M, ManualClock()).let_meet(BTC, "a", "b")


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)
async def test_decimals_may_be_numbers(venue: Venue) -> None:
    order: dict[str, Any] = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", **ORDERS[venue.name]}
    numbers = {**order, "price": 59000.5, "quantity": 4}
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert "price" in refused(await client.timed("order.place", **numbers), -1130)
    readings = Readings(decimal_numbers="accepted")
    async with simulated(venue, readings=readings) as simulator, Client.connected(simulator) as client:
        answer = await client.ask_signed("order.place", **numbers)
        assert Decimal(answer["result"]["price"]) == Decimal("59000.5")
        assert Decimal(answer["result"]["origQty"]) == 4
        await client.logon()
        assert (await client.timed("order.place", **order))["status"] == 200, "texts are taken all the same"
        refused(await client.timed("order.place", **{**numbers, "price": 1e-7}), -1100)
        refused(await client.timed("order.place", **{**numbers, "quantity": True}), -1130)
        refused(await client.timed("order.place", **{**numbers, "quantity": -1}), -1100)
