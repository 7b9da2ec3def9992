"""Order lists of Spot: which order of a list ends or starts which."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Readings, Simulator
from binance_session.venues import SPOT
from tests.simulator.client import Client, refused, simulated
from tests.simulator.spotday import BTC, PENDING, PENDING_PAIR, SELL_PAIR, WORKING

DEPRECATED = {"symbol": BTC, "side": "SELL", "quantity": "1", "price": "61000", "stopPrice": "59000"}


async def place(client: Client, kind: str, **params: Any) -> Any:
    answer = await client.timed(f"orderList.place{kind}", **params)
    assert answer["status"] == 200, answer
    return answer["result"]


async def states(client: Client) -> list[str]:
    """The status of every order, by id."""
    orders = (await client.timed("allOrders", symbol=BTC))["result"]
    return [order["status"] for order in orders]


async def list_state(client: Client, number: int = 1) -> tuple[str, str]:
    found = (await client.timed("orderList.status", orderListId=number))["result"]
    return found["listStatusType"], found["listOrderStatus"]


def told(simulator: Simulator) -> list[tuple[Any, ...]]:
    """What was told since: reports as (x, X, order id, why it expired), and statuses of lists."""
    steps: list[tuple[Any, ...]] = []
    for entry in simulator.pushed:
        event = entry.event
        if event["e"] == "executionReport":
            steps.append((event["x"], event["X"], event["i"], event.get("eR")))
        elif event["e"] == "listStatus":
            steps.append((event["l"], event["L"]))
    simulator.pushed.clear()
    return steps


async def test_the_fill_of_one_order_ends_the_other() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = await place(client, ".oco", **SELL_PAIR)
        assert [row["type"] for row in result["orderReports"]] == ["LIMIT_MAKER", "STOP_LOSS_LIMIT"]
        assert [row["workingTime"] for row in result["orderReports"]] == [client.now, -1]
        assert (result["contingencyType"], result["listStatusType"], result["listOrderStatus"]) == (
            "OCO",
            "EXEC_STARTED",
            "EXECUTING",
        )
        assert told(simulator) == [
            ("EXEC_STARTED", "EXECUTING"),
            ("NEW", "NEW", 1, None),
            ("NEW", "NEW", 2, None),
        ]
        assert simulator.exchange.account.locked["BTC"] == 1, "one of them is ever filled"
        simulator.set_price(BTC, "61000")
        assert told(simulator) == [
            ("TRADE", "FILLED", 1, None),
            ("EXPIRED", "EXPIRED", 2, "OCO_TRIGGER"),
            ("ALL_DONE", "ALL_DONE"),
        ]
        assert await states(client) == ["FILLED", "EXPIRED"]
        assert await list_state(client) == ("ALL_DONE", "ALL_DONE")
        assert simulator.exchange.account.locked["BTC"] == 0
        assert (await client.timed("openOrderLists.status"))["result"] == []


async def test_a_part_of_one_order_ends_the_other_and_the_rest_stays() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oco", **SELL_PAIR, aboveClientOrderId="above")
        simulator.fill(BTC, "above", "0.25")
        assert await states(client) == ["PARTIALLY_FILLED", "EXPIRED"]
        assert await list_state(client) == ("EXEC_STARTED", "EXECUTING")
        assert simulator.exchange.account.locked["BTC"] == Decimal("0.75")
        simulator.fill(BTC, "above", "0.75")
        assert await list_state(client) == ("ALL_DONE", "ALL_DONE")
        assert simulator.exchange.account.locked["BTC"] == 0


async def test_a_stop_price_that_is_reached_ends_the_other() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oco", **{**SELL_PAIR, "belowPrice": "59500"})
        told(simulator)
        simulator.set_price(BTC, "58950")
        assert told(simulator) == [
            ("EXPIRED", "EXPIRED", 1, "OCO_TRIGGER"),
            ("NEW", "NEW", 2, None),
        ], "it has a price of its own, at which it rests now"
        [shown] = (await client.timed("openOrders.status", symbol=BTC))["result"]
        assert (shown["isWorking"], shown["workingTime"]) == (True, client.now)
        simulator.set_price(BTC, "59500")
        assert told(simulator) == [("TRADE", "FILLED", 2, None), ("ALL_DONE", "ALL_DONE")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aboveType": "MARKET"}, -1158),
        ({"belowType": "LIMIT_MAKER", "belowStopPrice": None, "belowTimeInForce": None}, -1168),
        ({"side": "BUY"}, -1165),
        ({"aboveType": "STOP_LOSS", "abovePrice": None, "aboveStopPrice": "61000"}, -1197),
        ({"belowType": "TAKE_PROFIT_LIMIT"}, -1199),
        ({"belowStopPrice": "60500"}, -2010),
        ({"abovePrice": "59000"}, -2010),
        ({"belowStopPrice": None}, -1102),
        ({"belowIcebergQty": "0.1", "belowTimeInForce": "IOC"}, -1160),
        ({"aboveStrategyType": 1}, -1134),
        ({"quantity": "11"}, -2010),
        ({"aboveClientOrderId": "same", "belowClientOrderId": "same"}, -2010),
        ({"newOrderRespType": "LOUD"}, -1130),
        ({"price": "1"}, -1104),
        ({"listClientOrderId": "no spaces please"}, -1100),
    ],
)
async def test_a_pair_that_is_none(change: dict[str, Any], code: int) -> None:
    params = {name: value for name, value in {**SELL_PAIR, **change}.items() if value is not None}
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("orderList.place.oco", **params), code)
        account = simulator.exchange.account
        assert not account.orders
        assert not account.lists
        assert not simulator.pushed
        counts = (await client.timed("account.rateLimits.orders"))["result"]
        assert [row["count"] for row in counts] == [0, 0]


async def test_a_buying_pair_has_its_own_sides() -> None:
    pair = {
        "symbol": BTC,
        "side": "BUY",
        "quantity": "1",
        "aboveType": "STOP_LOSS",
        "aboveStopPrice": "61000",
        "belowType": "LIMIT_MAKER",
        "belowPrice": "59000",
    }
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        swapped = {"aboveType": "TAKE_PROFIT", "belowType": "STOP_LOSS", "belowStopPrice": "59000"}
        del (other := {**pair, **swapped})["belowPrice"]
        refused(await client.timed("orderList.place.oco", **other), -1198)
        await place(client, ".oco", **pair)
        assert simulator.exchange.account.locked["USDT"] == 61_000, "what the dearer of the two would cost"
        simulator.set_price(BTC, "61500")
        assert await states(client) == ["FILLED", "EXPIRED"]
        assert simulator.exchange.account.balances["USDT"] == 1_000_000 - 61_500, "a stop takes the market's price"
        assert simulator.exchange.account.locked["USDT"] == 0


async def test_a_pending_order_enters_once_the_working_one_is_filled() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = await place(client, ".oto", **WORKING, **PENDING, pendingQuantity="1", workingClientOrderId="first")
        assert [row["status"] for row in result["orderReports"]] == ["NEW", "PENDING_NEW"]
        assert simulator.exchange.account.locked.get("BTC", 0) == 0, "a pending order holds nothing"
        simulator.fill(BTC, "first", "0.5")
        assert await states(client) == ["PARTIALLY_FILLED", "PENDING_NEW"]
        told(simulator)
        simulator.fill(BTC, "first", "0.5")
        assert told(simulator) == [("TRADE", "FILLED", 1, None), ("NEW", "NEW", 2, None)]
        assert simulator.exchange.account.locked["BTC"] == 1
        simulator.set_price(BTC, "62000")
        assert told(simulator) == [("TRADE", "FILLED", 2, None), ("ALL_DONE", "ALL_DONE")]


async def test_the_answer_shows_a_pending_order_as_it_was_before_the_working_one_was_filled() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        working = {**WORKING, "workingPrice": "60000"}
        market = {"pendingType": "MARKET", "pendingSide": "SELL", "pendingQuantity": "1"}
        result = await place(client, ".oto", **working, **market, newOrderRespType="FULL")
        assert [row["status"] for row in result["orderReports"]] == ["FILLED", "PENDING_NEW"]
        assert [len(row["fills"]) for row in result["orderReports"]] == [1, 0]
        assert result["listOrderStatus"] == "EXECUTING"
        assert await states(client) == ["FILLED", "FILLED"]
        assert await list_state(client) == ("ALL_DONE", "ALL_DONE")
        assert simulator.exchange.account.balances["USDT"] == 1_000_000


async def test_a_working_order_that_expires_takes_the_pending_one_with_it() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oto", **{**WORKING, "workingTimeInForce": "IOC"}, **PENDING, pendingQuantity="1")
        assert told(simulator)[-3:] == [
            ("EXPIRED", "EXPIRED", 1, "UNFILLED_IOC_QUANTITY_EXPIRED"),
            ("EXPIRED", "EXPIRED", 2, "OTO_PHASE_ONE_EXPIRED"),
            ("ALL_DONE", "ALL_DONE"),
        ]
        assert simulator.exchange.account.locked.get("USDT", 0) == 0


async def test_a_pending_order_that_is_not_taken_when_its_time_comes_expires() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oto", **WORKING, **PENDING, pendingQuantity="20")
        simulator.set_price(BTC, "59500")
        assert told(simulator)[-2:] == [("EXPIRED", "EXPIRED", 2, "REJECTED"), ("ALL_DONE", "ALL_DONE")]
        order = (await client.timed("order.status", symbol=BTC, orderId=2))["result"]
        assert (order["status"], order["expiryReason"], order["isWorking"]) == ("EXPIRED", "REJECTED", False)


async def test_a_working_order_triggers_a_pair() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        result = await place(client, ".otoco", **WORKING, **PENDING_PAIR, pendingQuantity="1")
        assert [row["status"] for row in result["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
        assert result["contingencyType"] == "OTO"
        simulator.set_price(BTC, "59400")
        assert await states(client) == ["FILLED", "NEW", "NEW"]
        assert simulator.exchange.account.locked["BTC"] == 1
        simulator.set_price(BTC, "57900")
        assert await states(client) == ["FILLED", "EXPIRED", "FILLED"]
        assert await list_state(client) == ("ALL_DONE", "ALL_DONE")
        assert simulator.exchange.account.locked["BTC"] == 0


async def test_what_was_bought_is_what_is_sold() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.exchange.account.balances["BTC"] = Decimal(0)
        result = await place(client, ".opo", **WORKING, **PENDING, workingClientOrderId="first")
        assert ["origQty" in row for row in result["orderReports"]] == [True, False]
        simulator.fill(BTC, "first", "0.4")
        assert simulator.exchange.account.locked["BTC"] == Decimal("0.4"), "it waits for the order that sells it"
        name = {"origClientOrderId": result["orders"][1]["clientOrderId"]}
        refused(await client.timed("order.amend.keepPriority", symbol=BTC, newQty="0.1", **name), -2038)
        simulator.fill(BTC, "first", "0.6")
        [order] = (await client.timed("openOrders.status"))["result"]
        assert (order["side"], order["origQty"]) == ("SELL", "1.00000000")
        assert simulator.exchange.account.locked["BTC"] == 1
        simulator.set_price(BTC, "62000")
        assert simulator.exchange.account.balances["BTC"] == 0


async def test_a_cancelled_list_gives_back_what_was_bought() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".opoco", **WORKING, **PENDING_PAIR, workingClientOrderId="first", listClientOrderId="all")
        simulator.fill(BTC, "first", "0.4")
        result = (await client.timed("orderList.cancel", symbol=BTC, listClientOrderId="all"))["result"]
        assert [row["status"] for row in result["orderReports"]] == ["CANCELED"] * 3
        assert "origClientOrderId" not in result["orderReports"][0]
        account = simulator.exchange.account
        assert (account.free("BTC"), account.free("USDT")) == (Decimal("10.4"), 1_000_000 - Decimal("0.4") * 59_500)
        refused(await client.timed("orderList.cancel", symbol=BTC, listClientOrderId="all"), -2011)


@pytest.mark.parametrize(("change", "code"), [({"workingSide": "SELL"}, -1222), ({"pendingSide": "BUY"}, -1223)])
@pytest.mark.parametrize(("kind", "pending"), [(".opo", PENDING), (".opoco", PENDING_PAIR)])
async def test_the_sides_of_a_list_that_sells_what_it_bought(
    kind: str, pending: dict[str, str], change: dict[str, str], code: int
) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed(f"orderList.place{kind}", **{**WORKING, **pending, **change}), code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"workingType": "MARKET"}, -1116),
        ({"workingTimeInForce": None}, -1102),
        ({"pendingPrice": None}, -1102),
        ({"pendingStopPrice": "61000"}, -1106),
        ({"workingStopPrice": "61000"}, -1104),
        ({"workingQuantity": "20"}, -2010),
    ],
)
async def test_a_pair_of_orders_one_after_the_other_that_is_refused(change: dict[str, Any], code: int) -> None:
    params = {**WORKING, **PENDING, "pendingQuantity": "1", **change}
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        answer = await client.timed(
            "orderList.place.oto", **{name: value for name, value in params.items() if value is not None}
        )
        refused(answer, code)
        assert not simulator.exchange.account.lists


@pytest.mark.parametrize("order", [1, 2])
async def test_cancelling_one_order_cancels_its_list(order: int) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oto", **WORKING, **PENDING, pendingQuantity="1")
        told(simulator)
        result = (await client.timed("order.cancel", symbol=BTC, orderId=order, newClientOrderId="why"))["result"]
        assert (result["listStatusType"], result["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
        assert [row["clientOrderId"] for row in result["orderReports"]] == ["why", "why"]
        assert told(simulator) == [
            ("CANCELED", "CANCELED", 1, None),
            ("CANCELED", "CANCELED", 2, None),
            ("ALL_DONE", "ALL_DONE"),
        ]
        assert simulator.exchange.account.locked["USDT"] == 0


async def test_all_orders_of_a_symbol_are_cancelled_with_their_lists() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oco", **SELL_PAIR)
        buy = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "50000", "quantity": "1"}
        await client.timed("order.place", **buy)
        rows = (await client.timed("openOrders.cancelAll", symbol=BTC))["result"]
        assert ["orderReports" in row for row in rows] == [True, False]
        assert await states(client) == ["CANCELED"] * 3


@pytest.mark.parametrize("counts", [1, 2])
async def test_the_deprecated_pair(counts: Any) -> None:
    readings = Readings(deprecated_oco_counts=counts)
    async with simulated(SPOT, readings=readings) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("orderList.place", **{**DEPRECATED, "stopPrice": "61500"}), -2010)
        answer = await client.timed("orderList.place", **DEPRECATED, stopClientOrderId="stop")
        assert [row["type"] for row in answer["result"]["orderReports"]] == ["STOP_LOSS", "LIMIT_MAKER"]
        assert [row["fills"] for row in answer["result"]["orderReports"]] == [[], []], "FULL is its default"
        assert [row["count"] for row in answer["rateLimits"] if row["rateLimitType"] == "ORDERS"] == [counts, counts]
        refused(await client.timed("orderList.place", **DEPRECATED, stopClientOrderId="stop"), -2010)
        stop = {"stopLimitPrice": "58900"}
        assert "stopLimitTimeInForce" in refused(await client.timed("orderList.place", **DEPRECATED, **stop), -1102)
        simulator.set_price(BTC, "58900")
        assert await states(client) == ["FILLED", "EXPIRED"]


async def test_a_name_of_a_list_is_free_again_once_it_is_done() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await place(client, ".oco", **SELL_PAIR, listClientOrderId="mine")
        refused(await client.timed("orderList.place.oco", **SELL_PAIR, listClientOrderId="mine"), -2010)
        await client.timed("orderList.cancel", symbol=BTC, orderListId=1)
        again = await place(client, ".oco", **SELL_PAIR, listClientOrderId="mine")
        assert again["orderListId"] == 2
        found = (await client.timed("orderList.status", origClientOrderId="mine", orderListId=1))["result"]
        assert found["orderListId"] == 2, "the name prevails"
        refused(await client.timed("orderList.status"), -1102)
        refused(await client.timed("orderList.status", orderListId=9), -2013)
        refused(await client.timed("orderList.cancel", symbol=BTC), -1102)
        refused(await client.timed("orderList.cancel", symbol="ETHUSDT", orderListId=2), -2011)
        refused(await client.timed("orderList.cancel", symbol=BTC, orderListId=2, listClientOrderId="other"), -2039)
        rows = (await client.timed("allOrderLists", fromId=2))["result"]
        assert [row["orderListId"] for row in rows] == [2]
        day = {"startTime": client.now, "endTime": client.now}
        assert len((await client.timed("allOrderLists", **day))["result"]) == 2
        assert len((await client.timed("allOrderLists", limit=1))["result"]) == 1
        refused(await client.timed("allOrderLists", startTime=0, endTime=90_000_000), -1127)


async def test_so_many_lists_and_no_more() -> None:
    async with simulated(SPOT, enforce_limits=False) as simulator, Client.connected(simulator) as client:
        await client.logon()
        small = {**SELL_PAIR, "quantity": "0.01"}
        for _ in range(20):
            await place(client, ".oco", **small)
        text = refused(await client.timed("orderList.place.oco", **small), -1013)
        assert text == "Filter failure: MAX_NUM_ORDER_LISTS"
