"""A day on Spot on which every method is called and every kind of order and event occurs."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from binance_session.simulator import Account, BlockTrade, PriceRange, Reference, Simulator
from tests.simulator.client import RSA, Client

BTC = "BTCUSDT"
BOTH = [BTC, "ETHUSDT"]
LIMIT = {"symbol": BTC, "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
BUY = {**LIMIT, "side": "BUY"}
SELL = {**LIMIT, "side": "SELL"}
#: an OCO above and below the price of 60000
SELL_PAIR = {
    "symbol": BTC,
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "61000",
    "belowType": "STOP_LOSS_LIMIT",
    "belowPrice": "58900",
    "belowStopPrice": "59000",
    "belowTimeInForce": "GTC",
}
WORKING = {
    "symbol": BTC,
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "59500",
    "workingQuantity": "1",
    "workingTimeInForce": "GTC",
}
PENDING = {"pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": "62000", "pendingTimeInForce": "GTC"}
PENDING_PAIR = {
    "pendingSide": "SELL",
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": "62000",
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": "58000",
}


class Day:
    """The answers of a day by method, and its events by type."""

    def __init__(self, simulator: Simulator, client: Client) -> None:
        self.simulator = simulator
        self.client = client
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.last_id = 0

    @property
    def events(self) -> dict[str, list[dict[str, Any]]]:
        found = defaultdict(list)
        for entry in self.simulator.pushed:
            found[str(entry.type)].append(dict(entry.event))
        return found

    async def ask(self, method: str, **params: Any) -> Any:
        """Send a request under an id of the SDKs' kind, keep the answer, and return its result."""
        await self.client.send(method, **params)
        answer = await self.client.recv()
        self.answers[method].append({**answer, "id": str(answer["id"])})
        assert answer["status"] == 200, (method, params, answer)
        return answer["result"]

    async def timed(self, method: str, **params: Any) -> Any:
        return await self.ask(method, timestamp=self.client.now, **params)

    async def the_market(self) -> None:
        market, now = self.simulator.exchange.market, self.client.now
        market.price_ranges[BTC] = PriceRange(Decimal(2), Decimal("0.5"), Decimal(2), Decimal("0.5"))
        market.references[BTC] = Reference(Decimal(60000), now)
        market.references["ETHUSDT"] = Reference(None, now, external=42)
        market.block_trades[BTC] = [BlockTrade(7, Decimal(60000), Decimal(3), now)]
        for method in ("ping", "time", "exchangeInfo"):
            await self.ask(method)
        for method in ("depth", "avgPrice", "referencePrice", "referencePrice.calculation", "executionRules"):
            await self.ask(method, symbol=BTC)
        await self.ask("referencePrice", symbol="ETHUSDT")
        await self.ask("referencePrice.calculation", symbol="ETHUSDT")
        await self.ask("executionRules", symbols=BOTH)
        await self.ask("blockTrades.historical", symbol=BTC, fromId=0)
        for method in ("ticker.24hr", "ticker.tradingDay", "ticker"):
            for kind in ("FULL", "MINI"):
                await self.ask(method, symbol=BTC, type=kind)
                await self.ask(method, symbols=BOTH, type=kind)
        for method in ("ticker.price", "ticker.book"):
            await self.ask(method, symbol=BTC)
            await self.ask(method, symbols=BOTH)

    async def the_session(self) -> None:
        other = Account("other", {"BTC": Decimal(1)})
        self.simulator.add_key("RSA", public_key=RSA.public_key(), account=other)
        await self.ask("session.logon", **self.client.signed())
        await self.ask("session.status")
        number = (await self.ask("userDataStream.subscribe"))["subscriptionId"]
        await self.ask("session.subscriptions")
        await self.ask("userDataStream.unsubscribe", subscriptionId=number)
        assert (await self.client.recv())["event"]["e"] == "eventStreamTerminated"
        number = (await self.ask("userDataStream.subscribe.signature", **self.client.signed("RSA")))["subscriptionId"]
        await self.ask("userDataStream.unsubscribe", subscriptionId=number)
        await self.client.recv()
        token = self.simulator.create_listen_token(other)
        await self.ask("userDataStream.subscribe.listenToken", listenToken=token)

    async def single_orders(self) -> None:
        simulator = self.simulator
        await self.timed("order.test", **BUY, price="59000")
        await self.timed("order.test", **BUY, price="59000", computeCommissionRates=True)
        for kind in ("ACK", "RESULT", "FULL"):
            await self.timed("order.place", **BUY, price="60000", newOrderRespType=kind)
        labels = {"strategyId": 37, "strategyType": 1_000_000, "icebergQty": "0.1"}
        await self.timed("order.place", **BUY, **labels, price="59000", newClientOrderId="iceberg")
        simulator.fill(BTC, "iceberg", "0.25")
        pegs = {"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": 2}
        await self.timed("order.place", **SELL, **pegs, newClientOrderId="pegged")
        stop = {"symbol": BTC, "side": "SELL", "quantity": "1", "type": "STOP_LOSS"}
        trailing = {"stopPrice": "59000", "trailingDelta": 100, "newOrderRespType": "RESULT"}
        await self.timed("order.place", **stop, **trailing)
        await self.timed("order.place", **{**BUY, "timeInForce": "IOC"}, price="50000")
        for method in ("order.status", "order.cancel"):
            await self.timed(method, symbol=BTC, origClientOrderId="iceberg")
        await self.timed("order.cancel", symbol=BTC, origClientOrderId="pegged")
        # two that would trade with each other
        await self.timed("order.place", **SELL, price="61000", newClientOrderId="maker")
        mode = {"selfTradePreventionMode": "DECREMENT"}
        await self.timed("order.place", **{**BUY, "quantity": "2"}, **mode, price="59000", newClientOrderId="taker")
        simulator.let_meet(BTC, "maker", "taker")
        await self.timed("order.cancel", symbol=BTC, origClientOrderId="taker")
        found = await self.timed("order.status", symbol=BTC, origClientOrderId="maker")
        await self.timed("myPreventedMatches", symbol=BTC, orderId=found["orderId"])

    async def changes(self) -> None:
        await self.timed("order.place", **BUY, price="59000", newClientOrderId="old")
        replacing = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old"}
        await self.timed("order.cancelReplace", **BUY, **replacing, price="58000", newClientOrderId="new")
        name = {"origClientOrderId": "new", "newClientOrderId": "newer"}
        amended = (await self.timed("order.amend.keepPriority", symbol=BTC, newQty="0.5", **name))["amendedOrder"]
        await self.timed("order.amendments", symbol=BTC, orderId=amended["orderId"])

    async def routed_orders(self) -> None:
        order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5"}
        await self.timed("sor.order.test", **order, price="60000")
        await self.timed("sor.order.test", **order, price="60000", computeCommissionRates=True)
        await self.timed("sor.order.place", **order, price="60000")
        await self.timed("sor.order.place", **order, price="50000", newClientOrderId="routed")
        await self.timed("order.cancel", symbol=BTC, origClientOrderId="routed")
        await self.timed("myAllocations", symbol=BTC)

    async def lists(self) -> None:
        deprecated = {"symbol": BTC, "side": "SELL", "quantity": "1", "price": "61000", "stopPrice": "59000"}
        stop = {"stopLimitPrice": "58900", "stopLimitTimeInForce": "GTC"}
        old = await self.timed("orderList.place", **deprecated, **stop, newOrderRespType="RESULT")
        await self.timed("order.cancel", symbol=BTC, orderId=old["orders"][0]["orderId"])
        await self.timed("orderList.place", **deprecated)
        pair = await self.timed("orderList.place.oco", **SELL_PAIR)
        await self.timed("orderList.place.oto", **WORKING, **PENDING, pendingQuantity="1", pendingClientOrderId="later")
        await self.timed("orderList.place.otoco", **WORKING, **PENDING_PAIR, pendingQuantity="1")
        await self.timed("orderList.place.opo", **WORKING, **PENDING)
        await self.timed("orderList.place.opoco", **WORKING, **PENDING_PAIR)
        await self.timed("order.amend.keepPriority", symbol=BTC, newQty="0.5", origClientOrderId="later")
        await self.timed("orderList.status", orderListId=pair["orderListId"])
        await self.timed("openOrderLists.status")
        await self.timed("orderList.cancel", symbol=BTC, orderListId=pair["orderListId"])
        await self.timed("allOrderLists")
        await self.timed("openOrders.status", symbol=BTC)
        self.simulator.set_price(BTC, "59400")
        await self.timed("openOrders.cancelAll", symbol=BTC)
        await self.timed("allOrders", symbol=BTC)

    async def the_evening(self) -> None:
        for method in ("trades.recent", "trades.historical", "trades.aggregate"):
            await self.ask(method, symbol=BTC)
        for method in ("klines", "uiKlines"):
            await self.ask(method, symbol=BTC, interval="1h", limit=3)
        await self.ask("ticker.24hr", symbol=BTC)
        await self.timed("myTrades", symbol=BTC)
        for method in ("account.status", "account.rateLimits.orders"):
            await self.timed(method)
        for method in ("account.commission", "myFilters"):
            await self.timed(method, symbol=BTC)
        self.simulator.transfer("BTC", "1")
        self.simulator.push_event("externalLockUpdate")
        await self.ask("session.logout")


async def spot_day(simulator: Simulator, client: Client) -> Day:
    """Live through the day, and return what was answered and told."""
    day = Day(simulator, client)
    await day.the_market()
    await day.the_session()
    await day.single_orders()
    await day.changes()
    await day.routed_orders()
    await day.lists()
    await day.the_evening()
    return day


#: what an order's report may have: each field of the documents' table of conditional fields
CONDITIONAL = """
    icebergQty preventedMatchId preventedQuantity stopPrice strategyId strategyType trailingDelta trailingTime usedSor
    workingFloor pegPriceType pegOffsetType pegOffsetValue peggedPrice expiryReason
"""


#: the same of the execution report
CONDITIONAL_EVENT = "d D j J v A B u U Cs pl pL pY W b a k uS gP gOT gOV gp eR"
