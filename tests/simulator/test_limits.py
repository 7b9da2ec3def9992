"""Weights, order counts and bans."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from binance_session.simulator import ManualClock, Readings
from binance_session.venues import COIN_M, SPOT
from tests.simulator.client import Client, refused, simulated

#: a minute that has just begun
START = 1_700_000_040.0
MINUTE = 60


def small(weight: int = 20, **changes: Any) -> Any:
    return evolve(COIN_M, weight_per_minute=weight, **changes)


def weight(answer: Any) -> int:
    entry = answer["rateLimits"][-1]
    assert entry["rateLimitType"] == "REQUEST_WEIGHT"
    count = entry["count"]
    assert isinstance(count, int)
    return count


async def test_weights_add_up_as_documented() -> None:
    async with simulated(clock=ManualClock(START)) as simulator, Client.connected(simulator) as client:
        answer = await client.ask("session.status")
        assert answer["rateLimits"] == [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": 2400,
                "count": 7,
            }
        ]
        assert weight(await client.logon()) == 9
        assert weight(await client.timed("account.balance")) == 14
        assert weight(await client.timed("account.balance", x=1)) == 19, "a rejected request counts"
        assert weight(await client.ask("userDataStream.start")) == 20
        async with Client.connected(simulator) as second:
            assert weight(await second.ask("userDataStream.ping", apiKey="ED")) == 26, "an address is counted"


async def test_the_minute_is_the_calendars() -> None:
    clock = ManualClock(START + 59.999)
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        assert weight(await client.ask("session.status")) == 7
        clock.advance(0.001)
        assert weight(await client.ask("session.status")) == 2


async def test_beyond_the_limit_comes_429_until_the_minute_ends() -> None:
    clock = ManualClock(START)
    async with simulated(small(), clock=clock) as simulator, Client.connected(simulator) as client:
        clock.advance(1.5)
        for _ in range(7):
            assert (await client.ask("session.status"))["status"] == 200
        answer = await client.ask("session.status")
        assert "current limit is 20 request weight per 1 MINUTE" in refused(answer, -1003, 429)
        until = int((START + MINUTE) * 1000)
        assert answer["error"]["data"] == {"serverTime": client.now, "retryAfter": until}
        assert len(simulator.executed) == 7
        clock.advance(until / 1000 - clock.time())
        assert (await client.ask("session.status"))["status"] == 200


async def test_who_ignores_429_is_banned_and_dropped() -> None:
    clock = ManualClock(START)
    async with simulated(small(), clock=clock, readings=Readings(ban_after=2)) as simulator:
        lengths = []
        for _ in range(14):
            async with Client.connected(simulator) as client:
                answers = [await client.ask("session.status") for _ in range(7)]
                assert [answer["status"] for answer in answers] == [200] * 7
                for status in (429, 429, 418):
                    answer = await client.ask("session.status")
                    until = answer["error"].get("data", {})["retryAfter"]
                    text = refused(answer, -1003, status)
                assert f"IP banned until {until}" in text
                with pytest.raises(ConnectionClosedError):
                    await client.recv()
                lengths.append(round(until / 1000 - clock.time()))
                with pytest.raises(InvalidStatus) as refusal:
                    async with Client.connected(simulator):
                        pass
                assert refusal.value.response.status_code == 418
                assert refusal.value.response.headers["Retry-After"] == str(lengths[-1])
                clock.advance(lengths[-1] + MINUTE - clock.time() % MINUTE)
        assert lengths[:4] == [120, 240, 480, 960]
        assert lengths[-2:] == [3 * 86400, 3 * 86400]


async def test_a_banned_address_learns_so_on_its_other_connections() -> None:
    clock = ManualClock(START)
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        simulator.exchange.limits.ban("127.0.0.1", clock.time() + 5)
        assert simulator.exchange.limits.is_banned("127.0.0.1", clock.time())
        refused(await client.ask("session.status"), -1003, 418)
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        clock.advance(5)
        async with Client.connected(simulator) as again:
            assert (await again.ask("session.status"))["status"] == 200


async def test_nothing_is_enforced_when_told_so() -> None:
    async with (
        simulated(small(), enforce_limits=False) as simulator,
        Client.connected(simulator) as client,
    ):
        for _ in range(20):
            answer = await client.ask("session.status")
        assert weight(answer) == 45


PLACE = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "100.0"}


async def test_orders_are_counted_for_the_account_in_every_window() -> None:
    clock = ManualClock(START)
    limits = ((2, "SECOND", 10), (3, "MINUTE", 1))
    venue = evolve(COIN_M, order_limits=limits)
    async with simulated(venue, clock=clock) as simulator, Client.connected(simulator) as client:

        async def place(key: str) -> Any:
            return await client.ask_signed("order.place", key, **PLACE, quantity="1")

        for count, key in ((1, "ED"), (2, "HMAC")):
            answer = await place(key)
            assert answer["rateLimits"][:2] == [
                {
                    "rateLimitType": "ORDERS",
                    "interval": "SECOND",
                    "intervalNum": 10,
                    "limit": 2,
                    "count": count,
                },
                {
                    "rateLimitType": "ORDERS",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": 3,
                    "count": count,
                },
            ]
        answer = await place("RSA")
        assert refused(answer, -1015, 429) == "Too many new orders; current limit is 2 orders per 10 SECOND."
        assert answer["error"]["data"]["retryAfter"] == int((START + 10) * 1000)
        clock.advance(10)
        assert (await place("RSA"))["status"] == 200
        answer = await place("RSA")
        assert "3 orders per 1 MINUTE" in refused(answer, -1015, 429), "a free short window does not help"
        clock.advance(50)
        assert (await place("RSA"))["status"] == 200
        assert len([item for item in simulator.executed if item.method == "order.place"]) == 4


async def test_spot_counts_connection_attempts() -> None:
    venue = evolve(SPOT, connection_weight=0)
    async with simulated(venue, clock=ManualClock(START)) as simulator:
        simulator.exchange.limits.traffic("127.0.0.1").attempts.count = 0
        simulator.exchange.limits.traffic("127.0.0.1").attempts.add(299, START)
        async with Client.connected(simulator):
            pass
        with pytest.raises(InvalidStatus) as refusal:
            async with Client.connected(simulator):
                pass
        assert refusal.value.response.status_code == 429
