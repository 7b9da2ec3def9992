"""Spot subscriptions that a listenToken vouches for (margin accounts)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from binance_session.masking import Secrets
from binance_session.simulator import Account, Exchange, ManualClock, Readings
from binance_session.venues import SPOT, Auth
from tests.simulator.client import Client, refused, simulated

SUBSCRIBE = "userDataStream.subscribe.listenToken"
EVENT = {"e": "outboundAccountPosition"}


def test_the_token_is_the_proof() -> None:
    method = SPOT.method(SUBSCRIBE)
    assert (method.security, method.auth, method.weight.of({})) == ("NONE", Auth.NOTHING, 2)
    assert method.subscribes


@pytest.mark.parametrize(("reading", "unit"), [("milliseconds", 1000), ("microseconds", 1_000_000)])
async def test_a_token_brings_the_events_of_its_account_without_a_logon(reading: Any, unit: int) -> None:
    readings = Readings(subscription_expiry=reading)
    async with simulated(SPOT, readings=readings) as simulator, Client.connected(simulator) as client:
        margin = Account("margin")
        token = simulator.create_listen_token(margin, validity=60)
        result = (await client.ask(SUBSCRIBE, listenToken=token))["result"]
        assert result == {"subscriptionId": 0, "expirationTime": int((simulator.clock.time() + 60) * unit)}
        assert simulator.push(EVENT, margin) == 1
        assert await client.recv() == {"subscriptionId": 0, "event": EVENT}
        assert simulator.push(EVENT) == 0


async def test_a_bad_token_is_refused() -> None:
    clock = ManualClock()
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        token = simulator.create_listen_token(validity=60)
        refused(await client.ask(SUBSCRIBE, listenToken="somebody's"), -1209)
        refused(await client.ask(SUBSCRIBE), -1102)
        refused(await client.ask(SUBSCRIBE, listenToken=token, apiKey="ED"), -1106)
        clock.advance(60)
        refused(await client.ask(SUBSCRIBE, listenToken=token), -1209)


async def test_a_subscription_ends_with_its_token() -> None:
    clock = ManualClock()
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.ask(SUBSCRIBE, listenToken=simulator.create_listen_token(validity=60))
        clock.advance(60)
        assert await client.recv() == {
            "subscriptionId": 0,
            "event": {"e": "eventStreamTerminated", "E": client.now},
        }
        assert (await client.ask("session.subscriptions"))["result"] == []
        assert simulator.push(EVENT) == 0


async def test_another_token_makes_it_last_longer() -> None:
    clock = ManualClock()
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.ask(SUBSCRIBE, listenToken=simulator.create_listen_token(validity=60))
        clock.advance(30)
        again = simulator.create_listen_token(validity=60)
        result = (await client.ask(SUBSCRIBE, listenToken=again))["result"]
        assert result == {"subscriptionId": 0, "expirationTime": client.now + 60_000}
        clock.advance(59)
        assert (await client.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
        clock.advance(1)
        assert (await client.recv())["event"]["e"] == "eventStreamTerminated"


async def test_one_subscription_for_an_account() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.ask("userDataStream.subscribe")
        refused(await client.ask(SUBSCRIBE, listenToken=simulator.create_listen_token()), -2035)
        await client.ask("userDataStream.unsubscribe")
        await client.recv()
        await client.ask(SUBSCRIBE, listenToken=simulator.create_listen_token())
        refused(await client.ask("userDataStream.subscribe"), -2035)
        await client.ask("userDataStream.unsubscribe", subscriptionId=1)
        assert (await client.recv())["subscriptionId"] == 1


async def test_an_ended_subscription_is_not_ended_again_when_its_token_runs_out() -> None:
    clock = ManualClock()
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.ask(SUBSCRIBE, listenToken=simulator.create_listen_token(validity=60))
        await client.ask("userDataStream.unsubscribe")
        await client.recv()
        clock.advance(60)
        assert (await client.ask("ping"))["result"] == {}
        assert [entry.type for entry in simulator.pushed] == ["eventStreamTerminated"]


def test_a_token_looks_like_the_documents_example() -> None:
    token = Exchange(SPOT, ManualClock()).create_listen_token()
    assert re.fullmatch(r"[A-Za-z0-9+/]{70}", token)
    assert token not in Secrets().clean(f"no such token: {token}"), "it is masked wherever the exchange repeats it"


@pytest.mark.parametrize("validity", [0, -1, 86_401])
def test_how_long_a_token_is_good_for(validity: float) -> None:
    with pytest.raises(ValueError, match="86400"):
        Exchange(SPOT, ManualClock()).create_listen_token(validity=validity)


async def test_ids_run_out() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.connections[0].next_subscription = 65_535
        refused(await client.ask("userDataStream.subscribe"), -2042)
