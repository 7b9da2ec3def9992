"""Spot's ``order.cancelReplace`` and ``order.amend.keepPriority``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Simulator
from binance_session.venues import SPOT
from tests.simulator.client import Client, refused, simulated
from tests.simulator.spotday import BTC, BUY, PENDING, SELL_PAIR, WORKING

OLD = {**BUY, "price": "59000", "newClientOrderId": "old"}
NEW = {**BUY, "price": "58000", "newClientOrderId": "new", "cancelOrigClientOrderId": "old"}
#: what makes the cancellation fail, the new order, both
NO_OLD = {"cancelOrigClientOrderId": "nobody"}
NO_NEW = {"type": "LIMIT_MAKER", "price": "60500", "timeInForce": None}


async def replace(client: Client, mode: str | None, **change: Any) -> Any:
    params = {**NEW, "cancelReplaceMode": mode, **change}
    return await client.timed(
        "order.cancelReplace", **{name: value for name, value in params.items() if value is not None}
    )


def statuses(simulator: Simulator) -> list[str]:
    return [order.status for order in simulator.exchange.account.orders.values()]


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
async def test_one_order_for_another(mode: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        answer = await replace(client, mode, cancelNewClientOrderId="why")
        result = answer["result"]
        assert answer["status"] == 200
        assert (result["cancelResult"], result["newOrderResult"]) == ("SUCCESS", "SUCCESS")
        assert (result["cancelResponse"]["clientOrderId"], result["cancelResponse"]["status"]) == ("why", "CANCELED")
        assert (result["newOrderResponse"]["status"], result["newOrderResponse"]["fills"]) == ("NEW", [])
        assert simulator.exchange.account.locked["USDT"] == 58_000
        reports = [entry.event for entry in simulator.pushed if entry.type == "executionReport"]
        assert [(event["x"], event["c"], event["C"]) for event in reports[1:]] == [
            ("CANCELED", "why", "old"),
            ("NEW", "new", ""),
        ]


@pytest.mark.parametrize(
    ("mode", "change", "status", "code", "results"),
    [
        ("STOP_ON_FAILURE", NO_OLD, 400, -2022, ("FAILURE", "NOT_ATTEMPTED")),
        ("STOP_ON_FAILURE", NO_NEW, 409, -2021, ("SUCCESS", "FAILURE")),
        ("STOP_ON_FAILURE", {**NO_OLD, **NO_NEW}, 400, -2022, ("FAILURE", "NOT_ATTEMPTED")),
        ("ALLOW_FAILURE", NO_OLD, 409, -2021, ("FAILURE", "SUCCESS")),
        ("ALLOW_FAILURE", NO_NEW, 409, -2021, ("SUCCESS", "FAILURE")),
        ("ALLOW_FAILURE", {**NO_OLD, **NO_NEW}, 400, -2022, ("FAILURE", "FAILURE")),
    ],
)
async def test_one_may_succeed_without_the_other(
    mode: str, change: dict[str, Any], status: int, code: int, results: tuple[str, str]
) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        simulator.executed.clear()
        answer = await replace(client, mode, **change)
        refused(answer, code, status)
        data = answer["error"]["data"]
        assert (data["cancelResult"], data["newOrderResult"]) == results
        for result, response, error in (
            (results[0], data["cancelResponse"], {"code": -2011, "msg": "Unknown order sent."}),
            (
                results[1],
                data["newOrderResponse"],
                {"code": -2010, "msg": "Order would immediately match and take."},
            ),
        ):
            if result == "SUCCESS":
                assert "orderId" in response
            else:
                assert response == (error if result == "FAILURE" else None)
        assert statuses(simulator)[0] == ("CANCELED" if results[0] == "SUCCESS" else "NEW")
        assert statuses(simulator)[1:] == (["NEW"] if results[1] == "SUCCESS" else [])
        assert len(simulator.executed) == ("SUCCESS" in results), "what took effect in part is on record"
        assert (await client.timed("account.rateLimits.orders"))["result"][0]["count"] == 2, "attempted or not"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cancelReplaceMode": "PERHAPS"}, -1130),
        ({"cancelReplaceMode": None}, -1102),
        ({"cancelOrigClientOrderId": None}, -1102),
        ({"cancelRestrictions": "SOME"}, -1145),
        ({"orderRateLimitExceededMode": "PERHAPS"}, -1130),
        ({"quantity": "0"}, -1013),
        ({"price": None}, -1102),
        ({"side": "HOLD"}, -1117),
    ],
)
async def test_what_is_wrong_in_itself_cancels_nothing(change: dict[str, Any], code: int) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        mode = change.get("cancelReplaceMode", "ALLOW_FAILURE")
        answer = await replace(client, mode, **{name: change[name] for name in change if name != "cancelReplaceMode"})
        refused(answer, code)
        assert statuses(simulator) == ["NEW"]


async def test_restrictions_are_those_of_a_cancellation() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        only = {"cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
        answer = await replace(client, "STOP_ON_FAILURE", **only)
        refused(answer, -2022)
        text = "Order was not canceled due to cancel restrictions."
        assert answer["error"]["data"]["cancelResponse"] == {"code": -2011, "msg": text}
        simulator.fill(BTC, "old", "0.5")
        assert (await replace(client, "STOP_ON_FAILURE", **only))["status"] == 200
        await client.timed("order.place", **OLD)
        simulator.fill(BTC, "old", "0.5")
        refused(await client.timed("order.cancel", symbol=BTC, orderId=3, cancelRestrictions="ONLY_NEW"), -2011)


@pytest.mark.parametrize(
    ("mode", "exceeded", "change", "status", "code", "old"),
    [
        ("ALLOW_FAILURE", None, {}, 429, -1015, "NEW"),
        ("STOP_ON_FAILURE", "DO_NOTHING", {}, 429, -1015, "NEW"),
        ("STOP_ON_FAILURE", "CANCEL_ONLY", {}, 409, -2021, "CANCELED"),
        ("ALLOW_FAILURE", "CANCEL_ONLY", {}, 409, -2021, "CANCELED"),
        ("STOP_ON_FAILURE", "CANCEL_ONLY", NO_OLD, 429, -2022, "NEW"),
        ("ALLOW_FAILURE", "CANCEL_ONLY", NO_OLD, 400, -2022, "NEW"),
    ],
)
async def test_too_many_orders(
    mode: str, exceeded: str | None, change: dict[str, str], status: int, code: int, old: str
) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        limits, now = simulator.exchange.limits, simulator.clock.time()
        limits.charge_orders(simulator.exchange.account, 49, now)
        answer = await replace(client, mode, orderRateLimitExceededMode=exceeded, **change)
        refused(answer, code, status)
        assert statuses(simulator) == [old]
        if code == -2021:
            assert answer["error"]["data"]["newOrderResponse"]["code"] == -1015


async def test_an_order_of_a_list_takes_its_list_with_it() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("orderList.place.oco", **SELL_PAIR, aboveClientOrderId="old")
        answer = await replace(client, "STOP_ON_FAILURE")
        assert answer["result"]["cancelResponse"]["listOrderStatus"] == "ALL_DONE"
        assert statuses(simulator) == ["CANCELED", "CANCELED", "NEW"]


async def amend(client: Client, quantity: str, **more: Any) -> Any:
    params = {"symbol": BTC, "origClientOrderId": "old", "newQty": quantity, **more}
    return await client.timed("order.amend.keepPriority", **params)


async def test_an_order_is_made_smaller() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        result = (await amend(client, "0.75", newClientOrderId="smaller"))["result"]
        amended = result["amendedOrder"]
        assert (amended["origClientOrderId"], amended["clientOrderId"]) == ("old", "smaller")
        assert (amended["qty"], amended["status"], amended["orderId"]) == ("0.75000000", "NEW", 1)
        assert "listStatus" not in result
        assert simulator.exchange.account.locked["USDT"] == Decimal("0.75") * 59_000
        [replaced] = [entry.event for entry in simulator.pushed if entry.event.get("x") == "REPLACED"]
        assert (replaced["c"], replaced["C"], replaced["q"]) == ("smaller", "old", "0.75000000")
        assert replaced["I"] == result["executionId"]
        refused(await amend(client, "0.5"), -2038)
        again = (await amend(client, "0.5", origClientOrderId="smaller", newClientOrderId="smaller"))["result"]
        rows = (await client.timed("order.amendments", symbol=BTC, orderId=1))["result"]
        assert [(row["origQty"], row["newQty"]) for row in rows] == [
            ("1.00000000", "0.75000000"),
            ("0.75000000", "0.50000000"),
        ]
        later = {"fromExecutionId": again["executionId"]}
        assert (await client.timed("order.amendments", symbol=BTC, orderId=1, **later))["result"] == rows[1:]
        assert (await client.timed("order.amendments", symbol=BTC, orderId=1, limit=1))["result"] == rows[:1]
        assert (await client.timed("order.amendments", symbol=BTC, orderId=2))["result"] == []
        simulator.set_price(BTC, "59000")
        assert simulator.exchange.account.balances["BTC"] == Decimal("10.5")


@pytest.mark.parametrize(
    ("quantity", "code"),
    [("1", -2038), ("1.1", -2038), ("0", -1013), ("0.123456789", -1111)],
)
async def test_an_order_can_only_become_smaller(quantity: str, code: int) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        refused(await amend(client, quantity), code)
        refused(await amend(client, "0.5", origClientOrderId="nobody"), -2038)
        refused(await client.timed("order.amend.keepPriority", symbol=BTC, newQty="0.5"), -1102)
        refused(await amend(client, "0.5", orderId=1, origClientOrderId="other"), -2039)
        await client.timed("order.place", **{**OLD, "newClientOrderId": "other"})
        refused(await amend(client, "0.5", newClientOrderId="other"), -2038)
        assert not simulator.exchange.account.amendments


async def test_an_order_is_amended_so_often_and_no_more() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        for tenths in range(9, -1, -1):
            assert (await amend(client, f"0.{tenths}1", newClientOrderId="old"))["status"] == 200
        assert "MAX_NUM_ORDER_AMENDS" in refused(await amend(client, "0.001"), -1013)


async def test_an_order_that_has_been_filled_as_far_expires() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **OLD)
        simulator.fill(BTC, "old", "0.5")
        answer = await amend(client, "0.5")
        assert answer["result"]["amendedOrder"]["status"] == "EXPIRED"
        assert simulator.exchange.account.locked["USDT"] == 0


async def test_amending_one_of_a_pair_amends_both() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("orderList.place.oco", **SELL_PAIR, aboveClientOrderId="old")
        simulator.pushed.clear()
        result = (await amend(client, "0.5", newClientOrderId="smaller"))["result"]
        assert result["listStatus"]["orders"][0]["clientOrderId"] == "smaller"
        rows = (await client.timed("openOrders.status"))["result"]
        assert [row["origQty"] for row in rows] == ["0.50000000", "0.50000000"]
        assert simulator.exchange.account.locked["BTC"] == Decimal("0.5")
        assert [entry.event["l"] for entry in simulator.pushed if entry.type == "listStatus"] == ["UPDATED"]
        simulator.pushed.clear()
        await amend(client, "0.25", origClientOrderId="smaller", newClientOrderId="smaller")
        assert not [entry for entry in simulator.pushed if entry.type == "listStatus"], "no name has changed"


async def test_a_pending_order_is_amended_for_itself() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        name = {"pendingClientOrderId": "old"}
        await client.timed("orderList.place.oto", **WORKING, **PENDING, **name, pendingQuantity="1")
        result = (await amend(client, "0.5"))["result"]
        assert (result["amendedOrder"]["status"], result["amendedOrder"]["workingTime"]) == ("PENDING_NEW", -1)
        assert [order.quantity for order in simulator.exchange.account.orders.values()] == [1, Decimal("0.5")]
        assert simulator.exchange.account.locked.get("BTC", 0) == 0
