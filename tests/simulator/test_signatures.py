"""Signatures, timestamps and who may do what."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from binance_session.simulator import Account, ManualClock, Simulator, Symbol
from binance_session.simulator.rules import decode, signed_text
from binance_session.venues import COIN_M, SPOT
from tests.simulator.client import ED25519, KEYS, RSA, SIGN, Client, refused, simulated

# Published in Binance's web-socket-api.md, "SIGNED request example (HMAC)".
PUBLISHED_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
PUBLISHED_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PUBLISHED: list[dict[str, Any]] = [
    {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "recvWindow": 100,
        "timestamp": 1645423376532,
        "apiKey": PUBLISHED_KEY,
        "signature": "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
    },
    {
        "symbol": "１２３４５６",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1.00000000",
        "price": "0.10000000",
        "recvWindow": 5000,
        "timestamp": 1645423376532,
        "apiKey": PUBLISHED_KEY,
        "signature": "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
    },
]


@pytest.mark.parametrize("params", PUBLISHED, ids=["ascii", "not-ascii"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
async def test_the_published_requests_are_accepted(params: dict[str, Any], ensure_ascii: bool) -> None:
    clock = ManualClock(1645423376.532)
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        simulator.add_key(PUBLISHED_KEY, secret=PUBLISHED_SECRET)
        symbol = Symbol(params["symbol"], "BTC", "USDT", price_digits=8, quantity_digits=8)
        simulator.exchange.market.add(symbol, "60000")
        message = {"id": 1, "method": "order.place", "params": params}
        await client.socket.send(json.dumps(message, ensure_ascii=ensure_ascii))
        assert (await client.recv())["status"] == 200
        message["params"] = {**params, "signature": params["signature"].upper()}
        await client.socket.send(json.dumps(message))
        assert (await client.recv())["status"] == 200, "the case of hex digits does not matter"
        message["params"] = {**params, "price": "0.20000000"}
        await client.socket.send(json.dumps(message))
        refused(await client.recv(), -1022)


@pytest.mark.parametrize("key", KEYS)
async def test_each_algorithm_signs(key: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        assert (await client.ask_signed("account.balance", key))["status"] == 200
        params = client.signed(key)
        for other in KEYS:
            if other != key:
                forged = {**params, "signature": SIGN[other](f"apiKey={key}&timestamp={client.now}")}
                refused(await client.ask("account.balance", **forged), -1022)
        for broken in ("x", "AAAA", "=" * 88, params["signature"][:-4], "é"):
            refused(await client.ask("account.balance", **{**params, "signature": broken}), -1022)
        refused(await client.ask("account.balance", **params, recvWindow=5000), -1022)


async def test_base64_signatures_are_case_sensitive() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        params = client.signed("ED")
        params["signature"] = params["signature"].swapcase()
        refused(await client.ask("account.balance", **params), -1022)


@pytest.mark.parametrize("form", ["text", "bytes", "object"])
@pytest.mark.parametrize("name", ["ED", "RSA"])
async def test_a_public_key_may_be_pem_or_object(form: str, name: str) -> None:
    key = ED25519.public_key() if name == "ED" else RSA.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    given: Any = {"text": pem.decode(), "bytes": pem, "object": key}[form]
    async with Simulator(COIN_M, clock=ManualClock()) as simulator, Client.connected(simulator) as client:
        simulator.add_key(name, public_key=given)
        assert (await client.ask_signed("account.balance", name))["status"] == 200


def test_a_key_that_is_neither_is_refused() -> None:
    simulator = Simulator(COIN_M)
    with pytest.raises(ValueError, match="either public_key"):
        simulator.add_key("K")
    with pytest.raises(ValueError, match="either public_key"):
        simulator.add_key("K", secret="s", public_key=ED25519.public_key())
    with pytest.raises(ValueError, match="Ed25519 or RSA"):
        simulator.add_key("K", public_key=Ed25519PrivateKey.generate())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="non-empty"):
        simulator.add_key("", secret="s")
    with pytest.raises(ValueError, match="WITHDRAW"):
        simulator.add_key("K", secret="s", permissions=["WITHDRAW"])


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ('{"b":1,"a":"x","signature":"s"}', "a=x&b=1"),
        ('{"a":1.10,"b":1e3,"c":-0.0,"d":5000.346}', "a=1.10&b=1e3&c=-0.0&d=5000.346"),
        ('{"a":true,"b":false,"c":null}', "a=true&b=false&c=null"),
        ('{"a":["x","é",1.50],"b":"é&=% "}', 'a=["x","é",1.50]&b=é&=% '),
        ('{"a":"\\u00e9\\n\\""}', 'a=é\n"'),
        (r'{"a":"\ud83d\ude00"}', "a=\U0001f600"),
        ('{"B":1,"a":2,"A":3}', "A=3&B=1&a=2"),
    ],
)
def test_the_signed_text_is_the_literal_text(params: str, text: str) -> None:
    assert signed_text(decode(params)) == text


async def test_signed_methods_need_all_three() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        whole = client.signed()
        for name in ("apiKey", "signature", "timestamp"):
            params = {key: value for key, value in whole.items() if key != name}
            assert name in refused(await client.ask("account.balance", **params), -1102)


async def test_an_unknown_key_is_refused() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        refused(await client.ask("userDataStream.start", apiKey="NOBODY"), -2015, 401)
        refused(await client.ask("userDataStream.start", apiKey="a key"), -2014, 401)
        simulator.revoke("HMAC")
        refused(await client.ask("userDataStream.start", apiKey="HMAC"), -2015, 401)
        simulator.restore("HMAC")
        assert (await client.ask("userDataStream.start", apiKey="HMAC"))["status"] == 200


async def test_permissions_and_addresses_are_checked() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.add_key("ED", public_key=ED25519.public_key(), permissions=["USER_DATA"])
        assert (await client.ask_signed("account.balance"))["status"] == 200
        refused(await client.ask("userDataStream.start", apiKey="ED"), -2015, 401)
        await client.logon()
        refused(await client.timed("order.cancel", symbol="BTCUSD_PERP", orderId=1), -2015, 401)
        simulator.add_key("ED", public_key=ED25519.public_key(), addresses=["10.0.0.1"])
        refused(await client.ask_signed("account.balance"), -2015, 401)


async def test_accounts_are_apart() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.add_key("RSA", public_key=RSA.public_key(), account=Account("other", {"BTC": Decimal(3)}))
        mine = (await client.ask_signed("account.balance", "ED"))["result"]
        theirs = (await client.ask_signed("account.balance", "RSA"))["result"]
        shared = (await client.ask_signed("account.balance", "HMAC"))["result"]
        assert mine == shared
        assert [(row["accountAlias"], row["balance"]) for row in theirs] == [("other", "3.00000000")]


@pytest.mark.parametrize(
    ("offset", "window", "accepted"),
    [
        (0, None, True),
        (999, None, True),
        (1000, None, False),
        (-5000, None, True),
        (-5001, None, False),
        (-5001, 5001, True),
        (-60000, 60000, True),
        (-60001, 60000, False),
        (-1, 0, False),
        (0, 0, True),
    ],
)
async def test_the_timestamp_rule(offset: int, window: int | None, accepted: bool) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        params: dict[str, Any] = {"timestamp": client.now + offset}
        if window is not None:
            params["recvWindow"] = window
        answer = await client.ask_signed("account.balance", **params)
        if accepted:
            assert answer["status"] == 200
        else:
            message = refused(answer, -1021)
            assert ("ahead" in message) == (offset > 0)


async def test_the_timestamp_rule_holds_after_the_logon() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        old = client.now
        assert isinstance(simulator.clock, ManualClock)
        simulator.clock.advance(5.001)
        refused(await client.ask("account.balance", timestamp=old), -1021)
        refused(await client.ask("account.balance"), -1102)
        refused(await client.ask("account.balance", timestamp=-1), -1100)


async def test_spot_takes_microseconds_and_fine_windows_and_futures_do_not() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.ask("account.status", timestamp=client.now * 1000))["status"] == 200
        refused(await client.ask("account.status", timestamp=client.now * 1000 + 1_000_000), -1021)
        assert (await client.timed("account.status", recvWindow=6000.346))["status"] == 200
        refused(await client.timed("account.status", recvWindow=6000.3465), -1111)
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.ask("account.status", timestamp=client.now * 1000), -1100)
        refused(await client.timed("account.status", recvWindow=6000.346), -1102)
