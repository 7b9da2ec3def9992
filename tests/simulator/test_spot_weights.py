"""What Spot's requests cost the simulator's clients: nothing for an order that is taken."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session.venues import SPOT
from tests.simulator.client import Client, simulated
from tests.simulator.spotday import BTC, BUY, SELL_PAIR

LIMIT = {**BUY, "price": "59000"}
NOBODY = {"symbol": BTC, "origClientOrderId": "nobody"}


def weight(answer: Any) -> int:
    [count] = [limit["count"] for limit in answer["rateLimits"] if limit["rateLimitType"] == "REQUEST_WEIGHT"]
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize(
    ("method", "right", "wrong"),
    [
        ("order.place", LIMIT, {**LIMIT, "quantity": "1000"}),
        ("sor.order.place", LIMIT, {**LIMIT, "quantity": "1000"}),
        ("order.cancel", {"symbol": BTC, "origClientOrderId": "mine"}, NOBODY),
        ("openOrders.cancelAll", {"symbol": BTC}, {"symbol": "ETHUSDT"}),
        (
            "order.cancelReplace",
            {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "mine"},
            {**LIMIT, "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": "nobody"},
        ),
        ("orderList.place.oco", SELL_PAIR, {**SELL_PAIR, "quantity": "1000"}),
        ("orderList.cancel", {"symbol": BTC, "listClientOrderId": "list"}, {"symbol": BTC, "orderListId": 99}),
    ],
)
async def test_what_succeeds_is_free(method: str, right: dict[str, Any], wrong: dict[str, Any]) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **LIMIT, newClientOrderId="mine")
        await client.timed("orderList.place.oco", **SELL_PAIR, listClientOrderId="list")
        before = weight(await client.ask("ping"))
        failed = await client.timed(method, **wrong)
        assert (failed["status"] == 200, weight(failed)) == (False, before + 1)
        done = await client.timed(method, **right)
        assert (done["status"], weight(done)) == (200, before + 1)


async def test_an_amendment_costs_unless_the_order_ends_by_it() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **LIMIT, newClientOrderId="mine")
        amend = {"symbol": BTC, "origClientOrderId": "mine", "newClientOrderId": "mine"}
        before = weight(await client.ask("ping"))
        assert weight(await client.timed("order.amend.keepPriority", **amend, newQty="0.75")) == before + 4
        simulator.fill(BTC, "mine", "0.5")
        assert weight(await client.timed("order.amend.keepPriority", **amend, newQty="0.5")) == before + 4


async def test_queries_cost_what_they_are_documented_to_cost() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        before = weight(await client.ask("ping"))
        for method, params, cost in (
            ("ticker", {"symbols": [BTC, "ETHUSDT"]}, 8),
            ("ticker.24hr", {"symbols": [BTC, "ETHUSDT"]}, 2),
            ("ticker.24hr", {}, 80),
            ("ticker.price", {"symbols": [BTC]}, 4),
            ("executionRules", {"symbols": [BTC, "ETHUSDT"]}, 4),
            ("executionRules", {}, 40),
        ):
            after = weight(await client.ask(method, **params))
            assert after - before == cost, (method, params)
            before = after
        test = weight(await client.timed("order.test", **LIMIT, computeCommissionRates=False))
        assert test - before == 1
        assert weight(await client.timed("order.test", **LIMIT, computeCommissionRates=True)) - test == 20


async def test_a_client_that_only_trades_never_meets_the_limit() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        used = simulator.exchange.limits.traffic("127.0.0.1").weight
        used.count = used.limit - 1
        for _ in range(3):
            assert (await client.timed("order.place", **LIMIT))["status"] == 200
        assert (await client.timed("order.status", **NOBODY))["status"] == 429
