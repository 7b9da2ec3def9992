"""USD-M's algo orders: what they need, what triggers them, what becomes of them, and what is told of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session import ApiError
from binance_session.simulator import ManualClock, Readings, Simulator
from binance_session.venues import COIN_M, USD_M
from tests.exchange import exchange, session_to
from tests.simulator.algo import STOP
from tests.simulator.client import Client, refused, simulated

TRAIL = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "TRAILING_STOP_MARKET",
    "quantity": "1",
    "callbackRate": "1",
}
# The fields of the documents' examples, in their order; activatePrice and callbackRate as REST has them.
PLACED = """
    algoId clientAlgoId algoType orderType symbol side positionSide timeInForce quantity algoStatus triggerPrice price
    icebergQuantity selfTradePreventionMode workingType priceMatch closePosition priceProtect reduceOnly createTime
    updateTime triggerTime goodTillDate
"""
UPDATE = "caid aid at o s S ps f q X ai ap aq act tp p V wt pm cp pP R tt gtd rm ia"


def without(params: dict[str, str], *names: str, **change: Any) -> dict[str, Any]:
    return {name: value for name, value in {**params, **change}.items() if name not in names}


def told(simulator: Simulator) -> list[tuple[Any, ...]]:
    """Return the events since last asked: type and status, of fills the execution type too."""
    events = [entry.event for entry in simulator.pushed]
    simulator.pushed.clear()
    return [(event["e"], event["o"]["X"]) for event in events if event["e"] in ("ALGO_UPDATE", "ORDER_TRADE_UPDATE")]


async def long(client: Client, quantity: str = "2") -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": quantity}
    assert (await client.timed("order.place", **order))["status"] == 200
    client.simulator.pushed.clear()


async def held(client: Client) -> Decimal:
    [row] = (await client.timed("account.position", symbol="BTCUSDT"))["result"]
    return Decimal(row["positionAmt"])


async def test_a_stop_waits_is_triggered_and_sells() -> None:
    clock = ManualClock()
    async with simulated(USD_M, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await long(client)
        answer = await client.timed("algoOrder.place", **STOP, clientAlgoId="stop-1")
        placed = answer["result"]
        assert list(placed) == PLACED.split()
        assert (placed["algoStatus"], placed["clientAlgoId"], placed["createTime"]) == ("NEW", "stop-1", client.now)
        assert [limit["count"] for limit in answer["rateLimits"]][:2] == [2, 2], "it counts as an order"
        [new] = [entry.event for entry in simulator.pushed]
        assert list(new["o"]) == [name for name in UPDATE.split() if name not in ("ap", "aq", "act", "rm")]
        assert told(simulator) == [("ALGO_UPDATE", "NEW")]
        refused(await client.timed("order.status", symbol="BTCUSDT", origClientOrderId="stop-1"), -2013)

        simulator.set_price("BTCUSDT", "59000.01")
        assert told(simulator) == []
        clock.advance(1)
        simulator.set_price("BTCUSDT", "59000")
        events = [entry.event for entry in simulator.pushed if entry.type != "ACCOUNT_UPDATE"]
        assert told(simulator) == [
            ("ALGO_UPDATE", "TRIGGERING"),
            ("ORDER_TRADE_UPDATE", "NEW"),
            ("ORDER_TRADE_UPDATE", "FILLED"),
            ("ALGO_UPDATE", "TRIGGERED"),
            ("ALGO_UPDATE", "FINISHED"),
        ]
        assert await held(client) == 1
        triggering, order, _lite, _filled, _triggered, finished = events
        assert (triggering["o"]["ai"], triggering["o"]["tt"]) == ("", client.now)
        told_of = order["o"]
        assert (told_of["c"], told_of["o"], told_of["ot"]) == ("stop-1", "MARKET", "STOP_MARKET")
        assert (told_of["si"], told_of["ss"]) == (placed["algoId"], -1)
        assert Decimal(told_of["sp"]) == 59000
        assert list(finished["o"]) == [name for name in UPDATE.split() if name != "rm"]
        assert (finished["o"]["ai"], finished["o"]["act"]) == (str(told_of["i"]), "MARKET")
        assert Decimal(finished["o"]["ap"]) == 59000
        shown = (await client.timed("order.status", symbol="BTCUSDT", origClientOrderId="stop-1"))["result"]
        assert (shown["status"], shown["origType"], shown["type"]) == ("FILLED", "STOP_MARKET", "MARKET")
        refused(await client.timed("algoOrder.cancel", clientAlgoId="stop-1"), -2011)


async def test_a_session_places_a_stop_and_hears_what_becomes_of_it() -> None:
    async with (
        exchange(USD_M) as simulator,
        session_to(simulator) as session,
        session.user_data_stream() as events,
    ):
        with pytest.raises(ApiError) as refusal:
            await session.request("order.place", without(STOP, "algoType", "triggerPrice", stopPrice="59000"))
        assert refusal.value.code == -4120
        reply = await session.request("algoOrder.place", {**STOP, "clientAlgoId": "mine"})
        assert reply.result["algoStatus"] == "NEW"
        simulator.set_price("BTCUSDT", "59000")
        heard = [await anext(events) for _ in range(8)]
        assert [event.type for event in heard] == [
            "ALGO_UPDATE",
            "ALGO_UPDATE",
            "ORDER_TRADE_UPDATE",
            "TRADE_LITE",
            "ACCOUNT_UPDATE",
            "ORDER_TRADE_UPDATE",
            "ALGO_UPDATE",
            "ALGO_UPDATE",
        ]
        assert [event.data["o"]["X"] for event in heard if event.type == "ALGO_UPDATE"] == [
            "NEW",
            "TRIGGERING",
            "TRIGGERED",
            "FINISHED",
        ]


async def test_a_reading_tells_of_the_trigger_first() -> None:
    readings = Readings(algo_triggered="before")
    async with simulated(USD_M, readings=readings) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await long(client)
        await client.timed("algoOrder.place", **STOP)
        simulator.set_price("BTCUSDT", "59000")
        events = told(simulator)[-5:]
        assert events == [
            ("ALGO_UPDATE", "TRIGGERING"),
            ("ALGO_UPDATE", "TRIGGERED"),
            ("ORDER_TRADE_UPDATE", "NEW"),
            ("ORDER_TRADE_UPDATE", "FILLED"),
            ("ALGO_UPDATE", "FINISHED"),
        ]


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "not_yet", "now"),
    [
        ("STOP_MARKET", "SELL", "59000", "59000.01", "58999"),
        ("STOP_MARKET", "BUY", "61000", "60999.99", "61000"),
        ("TAKE_PROFIT_MARKET", "SELL", "61000", "60999.99", "61001"),
        ("TAKE_PROFIT_MARKET", "BUY", "59000", "59000.01", "59000"),
    ],
)
async def test_what_triggers(kind: str, side: str, trigger: str, not_yet: str, now: str) -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        params = {**STOP, "type": kind, "side": side, "triggerPrice": trigger}
        assert (await client.timed("algoOrder.place", **params))["status"] == 200
        simulator.set_price("BTCUSDT", not_yet)
        assert await held(client) == 0
        simulator.set_price("BTCUSDT", now)
        assert await held(client) == (1 if side == "BUY" else -1)
        simulator.set_price("BTCUSDT", not_yet)
        simulator.set_price("BTCUSDT", now)
        assert abs(await held(client)) == 1, "once"
        refused(await client.timed("algoOrder.place", **{**params, "triggerPrice": now}), -2021)


async def test_a_limit_behind_a_trigger_rests_and_may_be_filled_or_cancelled() -> None:
    limit = {**STOP, "type": "STOP", "price": "58500"}
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        # The market has gone below the limit before the order came: there it rests, and is filled when it is back.
        for name, ending in (("a", "FILLED"), ("b", "CANCELED")):
            simulator.set_price("BTCUSDT", "60000")
            await client.timed("algoOrder.place", **limit, clientAlgoId=name)
            simulator.set_price("BTCUSDT", "58000")
            assert told(simulator)[-1] == ("ALGO_UPDATE", "TRIGGERED")
            which = {"symbol": "BTCUSDT", "origClientOrderId": name}
            assert (await client.timed("order.status", **which))["result"]["status"] == "NEW"
            if ending == "FILLED":
                simulator.set_price("BTCUSDT", "58500")
            else:
                assert (await client.timed("order.cancel", **which))["status"] == 200
            assert told(simulator) == [("ORDER_TRADE_UPDATE", ending), ("ALGO_UPDATE", "FINISHED")]


async def test_a_trailing_stop_is_told_of_twice_and_follows_the_price() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await long(client)
        placed = (await client.timed("algoOrder.place", **TRAIL, activatePrice="61000"))["result"]
        assert list(placed) == [*PLACED.split()[:19], "activatePrice", "callbackRate", *PLACED.split()[19:]]
        assert (placed["activatePrice"], placed["callbackRate"]) == ("61000.00", "1")
        simulator.set_price("BTCUSDT", "59000")  # more than one percent down, but not active yet
        assert [entry.event["o"]["ia"] for entry in simulator.pushed] == [False]
        simulator.set_price("BTCUSDT", "61000")
        simulator.set_price("BTCUSDT", "62000")
        assert [entry.event["o"]["ia"] for entry in simulator.pushed] == [False, True]
        assert told(simulator) == [("ALGO_UPDATE", "NEW")] * 2
        simulator.set_price("BTCUSDT", "61380.01")
        assert told(simulator) == []
        simulator.set_price("BTCUSDT", "61380")
        orders = [entry.event["o"] for entry in simulator.pushed if entry.type == "ORDER_TRADE_UPDATE"]
        assert Decimal(orders[0]["sp"]) == 61380
        assert (orders[0]["AP"], orders[0]["cr"]) == ("0", "0")
        assert told(simulator)[-1] == ("ALGO_UPDATE", "FINISHED")
        assert await held(client) == 1

        # Without a price to start from it starts at once, and the two are told together.
        await client.timed("algoOrder.place", **TRAIL)
        assert [entry.event["o"]["ia"] for entry in simulator.pushed] == [False, True]
        refused(await client.timed("algoOrder.place", **TRAIL, activatePrice="61000"), -2021)
        buy = {**TRAIL, "side": "BUY"}
        refused(await client.timed("algoOrder.place", **buy, activatePrice="62000"), -2021)
        assert (await client.timed("algoOrder.place", **buy, activatePrice="60000"))["status"] == 200


async def test_what_closes_a_position_expires_with_it() -> None:
    close = without(STOP, "quantity", closePosition=True)
    profit = {**close, "type": "TAKE_PROFIT_MARKET", "triggerPrice": "61000"}
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("algoOrder.place", **close), -4509)
        await long(client)
        placed = (await client.timed("algoOrder.place", **close))["result"]
        assert (placed["closePosition"], placed["reduceOnly"], placed["timeInForce"]) == (True, True, "GTE_GTC")
        assert Decimal(placed["quantity"]) == 0
        refused(await client.timed("algoOrder.place", **close), -4130)
        assert (await client.timed("algoOrder.place", **profit))["status"] == 200
        simulator.pushed.clear()
        simulator.set_price("BTCUSDT", "58000")
        assert await held(client) == 0, "all of it"
        statuses = [status for kind, status in told(simulator) if kind == "ALGO_UPDATE"]
        assert sorted(statuses) == ["EXPIRED", "FINISHED", "TRIGGERED", "TRIGGERING"]

        # It expires also when somebody else closes the position.
        simulator.set_price("BTCUSDT", "60000")
        await long(client, "1")
        await client.timed("algoOrder.place", **close)
        sell = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "1"}
        await client.timed("order.place", **sell)
        assert told(simulator)[-1] == ("ALGO_UPDATE", "EXPIRED")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"reduceOnly": True}, "Reduce Only reject"), ({"quantity": "1000000"}, "Margin is insufficient.")],
)
async def test_nothing_is_checked_before_the_trigger(change: dict[str, Any], reason: str) -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.timed("algoOrder.place", **{**STOP, **change}))["result"]["algoStatus"] == "NEW"
        simulator.set_price("BTCUSDT", "59000")
        assert simulator.pushed[-1].event["o"]["rm"] == reason
        assert told(simulator) == [("ALGO_UPDATE", status) for status in ("NEW", "TRIGGERING", "REJECTED")]
        assert await held(client) == 0


async def test_a_reduce_only_stop_sells_no_more_than_there_is() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await long(client, "1")
        await client.timed("algoOrder.place", **{**STOP, "quantity": "5"}, reduceOnly="true")
        simulator.set_price("BTCUSDT", "59000")
        assert await held(client) == 0


async def test_a_cancellation_by_either_name() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        first = (await client.timed("algoOrder.place", **STOP, clientAlgoId="mine"))["result"]["algoId"]
        refused(await client.timed("algoOrder.place", **STOP, clientAlgoId="mine"), -4116)
        second = (await client.timed("algoOrder.place", **STOP))["result"]["algoId"]
        answer = (await client.timed("algoOrder.cancel", clientAlgoId="mine"))["result"]
        assert answer == {"algoId": first, "clientAlgoId": "mine", "code": "200", "msg": "success"}
        assert (await client.timed("algoOrder.cancel", algoId=second))["result"]["algoId"] == second
        assert told(simulator) == [("ALGO_UPDATE", status) for status in ("NEW", "NEW", "CANCELED", "CANCELED")]
        refused(await client.timed("algoOrder.cancel", clientAlgoId="mine"), -2011)
        refused(await client.timed("algoOrder.cancel", algoId=7), -2011)
        assert "clientalgoid" in refused(await client.timed("algoOrder.cancel"), -1102)
        assert (await client.timed("algoOrder.place", **STOP, clientAlgoId="mine"))["status"] == 200


async def test_a_gtd_order_expires_at_its_date_to_the_second() -> None:
    clock = ManualClock()
    async with simulated(USD_M, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        date = client.now + 700_999
        gtd = {"timeInForce": "GTD", "goodTillDate": date}
        limit = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "59000"}
        assert (await client.timed("algoOrder.place", **STOP, **gtd))["result"]["goodTillDate"] == date
        assert (await client.timed("order.place", **limit, **gtd))["result"]["goodTillDate"] == date
        told(simulator)
        clock.advance(699.9)
        assert told(simulator) == []
        clock.advance(0.1)
        assert told(simulator) == [("ALGO_UPDATE", "EXPIRED"), ("ORDER_TRADE_UPDATE", "EXPIRED")]
        for wrong in ({"timeInForce": "GTD"}, {"timeInForce": "GTC", "goodTillDate": date}):
            answer = await client.timed("algoOrder.place", **STOP, **wrong)
            assert answer["error"]["code"] in (-1102, -1106)
        soon = {"timeInForce": "GTD", "goodTillDate": client.now + 600_000}
        refused(await client.timed("algoOrder.place", **STOP, **soon), -5040)
        refused(await client.timed("order.place", **limit, **soon), -5040)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (without(STOP, "algoType"), -1102),
        ({**STOP, "algoType": "VP"}, -1130),
        ({**STOP, "type": "LIMIT"}, -1116),
        ({**STOP, "side": "BOTH"}, -1117),
        ({**STOP, "symbol": "NOSUCH"}, -1121),
        ({**STOP, "timeInForce": "RPI"}, -1115),
        ({**STOP, "workingType": "LAST"}, -4031),
        ({**STOP, "positionSide": "LONG"}, -4061),
        ({**STOP, "priceMatch": "QUEUE"}, -5038),
        ({**STOP, "type": "STOP", "priceMatch": "BEST"}, -5037),
        ({**STOP, "selfTradePreventionMode": "ALL"}, -5039),
        ({**STOP, "newOrderRespType": "FULL"}, -1136),
        (without(STOP, "triggerPrice"), -1102),
        (without(STOP, "quantity"), -1102),
        ({**STOP, "type": "STOP"}, -1102),
        ({**STOP, "type": "STOP", "price": "1", "priceMatch": "QUEUE"}, -1106),
        ({**STOP, "price": "58000"}, -1106),
        ({**STOP, "callbackRate": "1"}, -1106),
        ({**STOP, "stopPrice": "58000"}, -1104),
        ({**STOP, "triggerPrice": "0"}, -4006),
        ({**STOP, "triggerPrice": "58000.001"}, -1111),
        ({**STOP, "quantity": "0"}, -4003),
        ({**STOP, "quantity": "0.0001"}, -1111),
        ({**STOP, "clientAlgoId": "a b"}, -1100),
        ({**STOP, "clientAlgoId": "x" * 37}, -4015),
        ({**STOP, "closePosition": True}, -4137),
        (without(STOP, "quantity", closePosition=True, reduceOnly=True), -1106),
        (without(TRAIL, "quantity", closePosition=True), -4136),
        (without(TRAIL, "callbackRate"), -1102),
        ({**TRAIL, "callbackRate": "0.09"}, -2007),
        ({**TRAIL, "callbackRate": "20.1"}, -2007),
        ({**TRAIL, "triggerPrice": "1"}, -1106),
        ({**TRAIL, "activatePrice": "0"}, -4135),
    ],
)
async def test_what_is_refused(params: dict[str, Any], code: int) -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("algoOrder.place", **params), code)
        assert not simulator.exchange.account.algo_orders
        good = {**TRAIL, "callbackRate": "20"}
        assert (await client.timed("algoOrder.place", **good))["status"] == 200, "20 percent since 2026-10-23"


async def test_coin_m_has_no_algo_orders_on_this_api() -> None:
    async with simulated(COIN_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        message = refused(await client.timed("algoOrder.place", **STOP), -5000)
        assert message == "Method v1/algoOrder.place is invalid"
