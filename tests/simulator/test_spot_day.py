"""Every method of Spot's catalogue is played, and every event occurs."""

from __future__ import annotations

import pytest

from binance_session.simulator.eventexamples import event_names
from binance_session.simulator.methods.table import methods_of
from binance_session.simulator.product import Product
from binance_session.venues import SPOT
from tests.simulator.client import Client, simulated
from tests.simulator.spotday import CONDITIONAL, CONDITIONAL_EVENT, spot_day


async def test_every_method_of_the_catalogue_is_played() -> None:
    assert set(SPOT.methods) <= set(methods_of(Product.SPOT))
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        day = await spot_day(simulator, client)
        assert set(day.answers) == set(SPOT.methods)
        assert set(day.events) == set(event_names(Product.SPOT))


async def test_every_conditional_field_occurs() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        day = await spot_day(simulator, client)
        shown = set[str]()
        for method in ("order.place", "order.status", "order.cancel", "sor.order.place", "allOrders"):
            for answer in day.answers[method]:
                rows = answer["result"] if isinstance(answer["result"], list) else [answer["result"]]
                shown.update(*rows)
        assert [name for name in CONDITIONAL.split() if name not in shown] == []
        told = set[str]().union(*day.events["executionReport"])
        assert [name for name in CONDITIONAL_EVENT.split() if name not in told] == []


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
async def test_at_the_end_of_the_day_nothing_is_held(asset: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await spot_day(simulator, client)
        assert not list(simulator.exchange.account.open_orders())
        assert simulator.exchange.account.locked[asset] == 0
