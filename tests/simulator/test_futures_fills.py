"""Orders of COIN-M and USD-M that are filled in parts, and modified meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.venues import COIN_M, USD_M, Venue
from tests.simulator.client import Client, refused, simulated

VENUES = pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)


def which(venue: Venue) -> dict[str, str]:
    return {"symbol": "BTCUSD_PERP" if venue is COIN_M else "BTCUSDT"}


def limit(venue: Venue, **change: Any) -> dict[str, Any]:
    plain = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "4", "price": "50000"}
    return {**which(venue), **plain, "newClientOrderId": "mine", **change}


async def shown(client: Client, venue: Venue) -> dict[str, Any]:
    result = (await client.timed("order.status", **which(venue), origClientOrderId="mine"))["result"]
    assert isinstance(result, dict)
    return result


@VENUES
async def test_an_order_is_filled_in_parts(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **limit(venue))
        symbol = which(venue)["symbol"]
        simulator.pushed.clear()
        simulator.fill(symbol, "mine", "1")
        order = await shown(client, venue)
        assert order["status"] == "PARTIALLY_FILLED"
        assert [Decimal(order[name]) for name in ("executedQty", "avgPrice")] == [1, 50000]
        modified = await client.timed(
            "order.modify", **which(venue), side="BUY", quantity="3", price="40000", origClientOrderId="mine"
        )
        assert modified["result"]["status"] == "PARTIALLY_FILLED"
        simulator.set_price(symbol, "40000")
        order = await shown(client, venue)
        assert order["status"] == "FILLED"
        assert Decimal(order["executedQty"]) == 3
        # Contracts of COIN-M are worth dollars: what they cost is counted in coins, and so is their average price.
        average = 3 / (1 / Decimal(50000) + 2 / Decimal(40000)) if venue is COIN_M else Decimal(130000) / 3
        assert Decimal(order["avgPrice"]) == round(average, 1 if venue is COIN_M else 2)
        trades = [entry.event["o"] for entry in simulator.pushed if entry.event.get("o", {}).get("x") == "TRADE"]
        assert [o["X"] for o in trades] == ["PARTIALLY_FILLED", "FILLED"]
        assert [[Decimal(o[name]) for name in "lzL"] for o in trades] == [[1, 1, 50000], [2, 3, 40000]]
        assert all(o["m"] for o in trades)


@VENUES
async def test_what_cannot_be_filled_is_said(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **limit(venue))
        symbol = which(venue)["symbol"]
        for arguments in (
            ("NOSUCH", "mine", "1"),
            (symbol, "yours", "1"),
            (symbol, "mine", "5"),
            (symbol, "mine", "0"),
            (symbol, "mine", "-1"),
            (symbol, "mine", "0.00001"),
            (symbol, "mine", "all"),
            (symbol, "mine", "NaN"),
        ):
            with pytest.raises(ValueError, match=r"."):
                simulator.fill(*arguments)
        simulator.fill(symbol, "mine", "4")
        with pytest.raises(ValueError, match="no open order"):
            simulator.fill(symbol, "mine", "1")


@VENUES
async def test_a_modification_to_what_is_filled_already_cancels(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **limit(venue))
        simulator.fill(which(venue)["symbol"], "mine", "2")
        change = {**which(venue), "side": "BUY", "price": "49000", "origClientOrderId": "mine"}
        assert (await client.timed("order.modify", **change, quantity="2"))["result"]["status"] == "CANCELED"
        assert simulator.pushed[-1].event["o"]["x"] == "CANCELED"

        await client.timed("order.place", **limit(venue, timeInForce="GTX"))
        change["price"] = "60000"
        assert (await client.timed("order.modify", **change, quantity="4"))["result"]["status"] == "CANCELED"


@VENUES
async def test_a_modification_has_a_name_and_usd_m_checks_reduce_only(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **limit(venue))
        change = {**which(venue), "side": "BUY", "quantity": "4", "origClientOrderId": "mine"}
        answer = (await client.timed("order.modify", **change, price="49000", modifyId=12))["result"]
        assert answer["modifyId"] == 12
        assert list(answer).index("modifyId") == list(answer).index("clientOrderId") + 1
        assert simulator.pushed[-1].event["o"]["M"] == "12"
        assert "modifyId" not in (await client.timed("order.modify", **change, price="48000"))["result"]
        assert "M" not in simulator.pushed[-1].event["o"]

        reduced = await client.timed("order.modify", **change, price="47000", reduceOnly=True)
        if venue is COIN_M:
            refused(reduced, -1104)
            return
        assert refused(reduced, -5047) == "The original order is not a reduce-only order"
        assert Decimal((await shown(client, venue))["price"]) == 48000, "nothing else has happened"
        assert (await client.timed("order.modify", **change, price="47000", reduceOnly=False))["status"] == 200
        buy = {**which(venue), "side": "BUY", "type": "MARKET", "quantity": "1"}
        assert (await client.timed("order.place", **buy))["status"] == 200
        sell = limit(venue, side="SELL", quantity="1", price="70000", reduceOnly=True, newClientOrderId="less")
        assert (await client.timed("order.place", **sell))["status"] == 200
        change = {**which(venue), "side": "SELL", "quantity": "1", "price": "71000", "origClientOrderId": "less"}
        assert (await client.timed("order.modify", **change, reduceOnly=True))["status"] == 200


@VENUES
@pytest.mark.parametrize(("key", "text"), [("HMAC", "HMAC_SHA256"), ("RSA", "RSA")])
async def test_a_logon_wants_ed25519(venue: Venue, key: str, text: str) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        answer = await client.ask_signed("session.logon", key)
        assert refused(answer, -4056) == f"{text} API key is not supported."


@VENUES
async def test_a_funding_fee_is_charged_and_told(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.exchange.charge_funding(which(venue)["symbol"], "-0.5")
        change = simulator.pushed[-1].event["a"]
        assert (change["m"], change["S"], change["P"]) == ("FUNDING_FEE", which(venue)["symbol"], [])
        assert Decimal(change["B"][0]["bc"]) == Decimal("-0.5")


async def test_the_second_versions_of_usd_m_tell_of_what_is_there() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.timed("v2/account.position"))["result"] == []
        assert (await client.timed("v2/account.status"))["result"]["positions"] == []
        await client.timed("order.place", **limit(USD_M))
        [row] = (await client.timed("v2/account.position"))["result"]
        assert (row["symbol"], row["marginAsset"]) == ("BTCUSDT", "USDT")
        assert (await client.timed("v2/account.position", symbol="ETHUSDT"))["result"] == []
        status = (await client.timed("v2/account.status"))["result"]
        assert "feeTier" not in status
        assert [row["symbol"] for row in status["positions"]] == ["BTCUSDT"]
        assert len((await client.timed("account.status"))["result"]["positions"]) == 2
        first, second = (await client.timed("account.balance")), (await client.timed("v2/account.balance"))
        assert first["result"] == second["result"]
