"""session.logon, session.status, session.logout, and the end of a session."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.exceptions import ConnectionClosed

from binance_session.simulator import ManualClock, Readings
from binance_session.venues import COIN_M, SPOT, USD_M
from tests.simulator.client import ED25519, Client, refused, sign_ed25519, simulated

REVOKED = {
    "id": None,
    "status": 401,
    "error": {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
}


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)
async def test_the_life_of_a_session(venue: Any) -> None:
    clock = ManualClock()
    async with simulated(venue, clock=clock) as simulator, Client.connected(simulator) as client:
        connected = client.now
        clock.advance(1)
        off = {
            "apiKey": None,
            "authorizedSince": None,
            "connectedSince": connected,
            "returnRateLimits": True,
            "serverTime": client.now,
        }
        on = {**off, "apiKey": "ED", "authorizedSince": client.now}
        if venue is SPOT:
            off["userDataStream"] = on["userDataStream"] = False
        assert (await client.ask("session.status"))["result"] == off
        assert (await client.ask("session.logout"))["result"] == off
        assert (await client.logon())["result"] == on
        assert simulator.connections[0].authenticated_key == "ED"
        assert (await client.ask("session.status"))["result"] == on
        assert (await client.timed("account.status"))["status"] == 200
        assert (await client.ask("session.logout"))["result"] == off
        refused(await client.timed("account.status"), -1102)


async def test_a_session_belongs_to_one_connection() -> None:
    async with (
        simulated() as simulator,
        Client.connected(simulator) as first,
        Client.connected(simulator) as second,
    ):
        await first.logon()
        refused(await second.timed("account.balance"), -1102)
        assert (await first.timed("account.balance"))["status"] == 200


@pytest.mark.parametrize(("venue", "code"), [(COIN_M, -4056), (SPOT, -2028)])
@pytest.mark.parametrize("key", ["HMAC", "RSA"])
async def test_only_ed25519_keys_log_on(venue: Any, code: int, key: str) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        refused(await client.ask_signed("session.logon", key), code)
        assert (await client.ask("session.status"))["result"]["apiKey"] is None


async def test_a_logon_is_always_signed() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert "apiKey" in refused(await client.timed("session.logon"), -1102)
        refused(await client.ask("session.logon", **{**client.signed(), "timestamp": client.now - 1}), -1022)
        assert simulator.connections[0].authenticated_key == "ED", "a refused logon changes nothing"


async def test_a_second_logon_changes_the_key() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.add_key("ED-2", public_key=ED25519.public_key(), permissions=["TRADE"])
        await client.logon()
        params = {"apiKey": "ED-2", "timestamp": client.now}
        signature = sign_ed25519(f"apiKey=ED-2&timestamp={client.now}")
        answer = await client.ask("session.logon", **params, signature=signature)
        assert answer["result"]["apiKey"] == "ED-2"
        refused(await client.timed("account.balance"), -2015, 401)


async def test_an_ad_hoc_key_is_verified_although_logged_on() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.ask_signed("account.balance", "HMAC"))["status"] == 200
        forged = {**client.signed("HMAC"), "signature": "0" * 64}
        refused(await client.ask("account.balance", **forged), -1022)
        refused(await client.timed("account.balance", apiKey="ED"), -1102)
        refused(await client.timed("account.balance", signature="0" * 64), -1102)
        assert simulator.connections[0].authenticated_key == "ED"


async def test_a_revoked_session_is_told_once_without_an_id() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.revoke("ED")
        assert await client.timed("account.balance") == REVOKED
        assert [item.method for item in simulator.executed] == ["session.logon"]
        assert (await client.ask("session.status"))["result"]["apiKey"] is None
        refused(await client.timed("account.balance"), -1102)
        refused(await client.ask_signed("session.logon"), -2015, 401)
        simulator.restore("ED")
        await client.logon()


async def test_a_request_with_a_key_of_its_own_survives_the_revocation() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.revoke("ED")
        assert (await client.ask_signed("account.balance", "HMAC"))["status"] == 200
        assert await client.ask("session.status") == REVOKED


async def test_the_revocation_may_come_in_addition_and_close() -> None:
    readings = Readings(revoked_answer="added", revoked_closes=True)
    async with simulated(readings=readings) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.revoke("ED")
        assert await client.timed("account.balance") == REVOKED
        answer = await client.recv()
        assert answer["id"] == client.last_id
        refused(answer, -2015, 401)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_another_key_under_the_same_name_revokes_the_first() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.add_key("ED", public_key=Ed25519PrivateKey.generate().public_key())
        assert await client.timed("account.balance") == REVOKED
        refused(await client.ask_signed("session.logon"), -1022)


async def test_rate_limits_are_shown_unless_asked_away() -> None:
    async with simulated() as simulator:
        async with Client.connected(simulator) as client:
            assert "rateLimits" in await client.ask("session.status")
            assert "rateLimits" not in await client.ask("session.status", returnRateLimits=False)
        async with Client.connected(simulator, "?returnRateLimits=false") as client:
            answer = await client.ask("session.status")
            assert "rateLimits" not in answer
            assert answer["result"]["returnRateLimits"] is False
            shown = await client.ask("session.status", returnRateLimits=True)
            # two handshakes at 5, four requests at 2: hiding does not stop counting
            assert shown["rateLimits"][0]["count"] == 18


async def test_return_rate_limits_is_signed_like_any_parameter() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        params = client.signed("HMAC")
        refused(await client.ask("account.balance", **params, returnRateLimits=False), -1022)
