"""What a Spot account can ask about its orders and trades, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session.simulator import ManualClock, Readings
from binance_session.venues import SPOT
from tests.simulator.client import Client, refused, simulated
from tests.simulator.spotday import BTC, BUY, SELL_PAIR

DAY = 86_400_000


async def ids(client: Client, method: str, name: str, **params: Any) -> list[int]:
    answer = await client.timed(method, **params)
    assert answer["status"] == 200, answer
    return [row[name] for row in answer["result"]]


async def test_all_orders_by_id_by_time_or_the_newest() -> None:
    clock = ManualClock()
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        times = []
        for _ in range(4):
            times.append(client.now)
            await client.timed("order.place", **BUY, price="59000")
            clock.advance(1)
        clock.advance(60)
        await client.timed("order.cancel", symbol=BTC, orderId=1)

        async def found(**params: Any) -> list[int]:
            return await ids(client, "allOrders", "orderId", symbol=BTC, **params)

        assert await found() == [1, 2, 3, 4]
        assert await found(limit=2) == [3, 4]
        assert await found(orderId=2, limit=2) == [2, 3]
        assert await found(startTime=times[1], endTime=times[2]) == [2, 3], "the first was changed later"
        assert await found(startTime=times[3] + 1) == [1]
        assert await found(endTime=times[1], orderId=3) == [2], "the id is ignored then"
        refused(await client.timed("allOrders", symbol=BTC, startTime=0, endTime=DAY + 1), -1127)
        refused(await client.timed("allOrders", symbol=BTC, limit=0), -1130)
        refused(await client.timed("allOrders", symbol="NOSUCH"), -1121)


async def test_trades_of_the_account() -> None:
    clock = ManualClock()
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        for _ in range(3):
            await client.timed("order.place", **BUY, price="60000")
            clock.advance(1)

        async def found(**params: Any) -> list[int]:
            return await ids(client, "myTrades", "id", symbol=BTC, **params)

        every = await found()
        assert len(every) == 3
        assert await found(limit=1) == every[2:]
        assert await found(fromId=every[1], limit=1) == every[1:2]
        assert await found(orderId=3) == every[2:]
        assert await found(endTime=client.now - 2000) == every[:2]
        for params in ({"orderId": 1, "startTime": 1}, {"fromId": 1, "endTime": 1}):
            refused(await client.timed("myTrades", symbol=BTC, **params), -1128)
            allocations = {name.replace("fromId", "fromAllocationId"): value for name, value in params.items()}
            refused(await client.timed("myAllocations", symbol=BTC, **allocations), -1128)
        refused(await client.timed("myTrades", symbol=BTC, startTime=0, endTime=DAY + 1), -1127)


async def test_allocations() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        for _ in range(3):
            await client.timed("sor.order.place", **BUY, price="60000")

        async def found(**params: Any) -> list[int]:
            return await ids(client, "myAllocations", "orderId", symbol=BTC, **params)

        assert await found() == [1, 2, 3]
        assert await found(limit=1) == [1], "oldest first"
        assert await found(endTime=client.now, limit=1) == [3], "the newest until then"
        assert await found(orderId=2) == [2]
        assert await found(fromAllocationId=3) == [3]


async def test_an_order_by_both_of_its_names() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **BUY, price="59000", newClientOrderId="mine")
        for method in ("order.status", "order.cancel"):
            refused(await client.timed(method, symbol=BTC), -1102)
            refused(await client.timed(method, symbol=BTC, orderId=1, origClientOrderId="other"), -2039)
            found = await client.timed(method, symbol=BTC, orderId=1, origClientOrderId="mine")
            assert found["result"]["orderId"] == 1
        refused(await client.timed("order.status", symbol="ETHUSDT", orderId=1), -2013)


@pytest.mark.parametrize("reading", ["kept", "replaced"])
async def test_the_name_of_a_cancelled_order(reading: Any) -> None:
    readings = Readings(cancelled_name=reading)
    async with simulated(SPOT, readings=readings) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **BUY, price="59000", newClientOrderId="mine")
        cancelled = await client.timed("order.cancel", symbol=BTC, orderId=1, newClientOrderId="why")
        names = (cancelled["result"]["origClientOrderId"], cancelled["result"]["clientOrderId"])
        assert names == ("mine", "why")
        by_name = await client.timed("order.status", symbol=BTC, origClientOrderId="mine")
        shown = (await client.timed("order.status", symbol=BTC, orderId=1))["result"]["clientOrderId"]
        if reading == "kept":
            assert (by_name["status"], shown) == (200, "mine")
        else:
            refused(by_name, -2013)
            assert shown == "why"
        again = await client.timed("order.place", **BUY, price="59000", newClientOrderId="mine")
        assert again["status"] == 200, "it is free for another in either case"
        await client.timed("orderList.place.oco", **SELL_PAIR, aboveClientOrderId="above")
        await client.timed("orderList.cancel", symbol=BTC, orderListId=1)
        found = await client.timed("order.status", symbol=BTC, origClientOrderId="above")
        assert found["status"] == (200 if reading == "kept" else 400)


async def test_so_many_orders_and_no_more() -> None:
    async with simulated(SPOT, enforce_limits=False) as simulator, Client.connected(simulator) as client:
        await client.logon()
        small = {**BUY, "quantity": "0.001", "price": "1000"}
        for _ in range(1000):
            await client.timed("order.place", **small)
        assert "EXCHANGE_MAX_NUM_ORDERS" in refused(await client.timed("order.place", **small), -1013)
        shown = (await client.timed("myFilters", symbol=BTC))["result"]
        assert shown["exchangeFilters"] == [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1000}]
        await client.timed("openOrders.cancelAll", symbol=BTC)
        assert (await client.timed("order.place", **small))["status"] == 200
