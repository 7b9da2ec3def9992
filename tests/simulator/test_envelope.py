"""What a request must look like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from binance_session.simulator import Readings
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.simulator.client import Client, refused, simulated

STATUS = "session.status"


@pytest.mark.parametrize(
    "text", ["", "x", '{"id":1', "[1]", "1", "null", '"a"', "NaN", r'{"id":"\ud800"}', "[" * 100_000]
)
async def test_what_is_no_json_object_is_refused_without_an_id(text: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(text)
        answer = await client.recv()
        refused(answer, -1135)
        assert answer["id"] is None
        assert (await client.ask(STATUS))["status"] == 200


async def test_a_request_without_id_ends_the_connection() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send('{"method":"session.status"}')
        with pytest.raises(ConnectionClosedError) as closed:
            await client.socket.recv()
        assert closed.value.rcvd is None


@pytest.mark.parametrize(
    "request_id",
    [1, 0, -1, 2**63 - 1, -(2**63), None, "a", "7c3a1f2e-8f52-4b5c-9d0b-2f4b0f2f1a10", "x" * 36, "my_order"],
)
async def test_an_id_comes_back_as_it_was_sent(request_id: Any) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(json.dumps({"id": request_id, "method": STATUS}))
        answer = await client.recv()
        assert answer["status"] == 200
        assert answer["id"] == request_id
        assert type(answer["id"]) is type(request_id)


@pytest.mark.parametrize("request_id", ["", "x" * 37, "a b", "é", 1.5, True, [1], {"a": 1}, 2**63])
async def test_an_id_of_another_form_is_refused(request_id: Any) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(json.dumps({"id": request_id, "method": STATUS}))
        answer = await client.recv()
        assert "'id'" in refused(answer, -1100)
        assert answer["id"] is None


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        ({}, -1102),
        ({"method": None}, -1102),
        ({"method": ""}, -1102),
        ({"method": 1}, -1102),
        ({"method": STATUS, "params": []}, -1102),
        ({"method": STATUS, "params": None}, -1102),
        ({"method": STATUS, "param": {}}, -1101),
        ({"method": STATUS, "jsonrpc": "2.0"}, -1101),
        ({"method": "no.such.method"}, -5000),
        ({"method": "SESSION.STATUS"}, -5000),
    ],
)
async def test_a_faulty_envelope_is_refused_under_its_id(envelope: dict[str, Any], code: int) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(json.dumps({"id": "mine", **envelope}))
        answer = await client.recv()
        refused(answer, code)
        assert answer["id"] == "mine"
        assert answer["rateLimits"]


async def test_a_name_that_comes_twice_is_refused() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send('{"id":1,"method":"session.status","params":{},"params":{}}')
        refused(await client.recv(), -1101)


async def test_a_binary_message_closes_the_connection() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(b'{"id":1,"method":"session.status"}')
        with pytest.raises(ConnectionClosedError) as closed:
            await client.socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


async def test_a_fragmented_request_is_one_request() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(["{", '"id":1,"method":', '"session.status"}'])
        assert (await client.recv())["status"] == 200
        assert [item.method for item in simulator.received] == [STATUS]


PLACE = {
    "symbol": "BTCUSD_PERP",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "50000.0",
    "quantity": "1",
}


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"symbol": None}, -1102, "symbol"),
        ({"symbol": ""}, -1102, "symbol"),
        ({"symbol": 7}, -1102, "symbol"),
        ({"symbol": "NOSUCH"}, -1121, "symbol"),
        ({"side": "buy"}, -1117, "side"),
        ({"type": "limit"}, -1116, "orderType"),
        ({"timeInForce": "GTZ"}, -1115, "timeInForce"),
        ({"timeInForce": None}, -1130, "timeInForce"),
        ({"quantity": 1}, -1130, "quantity"),
        ({"price": 50000.0}, -1130, "price"),
        ({"price": "5e4"}, -1100, "price"),
        ({"price": "-1"}, -1100, "price"),
        ({"price": "50000,0"}, -1100, "price"),
        ({"price": "50000.01"}, -1111, "price"),
        ({"price": ""}, -1105, "price"),
        ({"quantity": "0"}, -4003, "Quantity"),
        ({"newClientOrderId": "a b"}, -1100, "newClientOrderId"),
        ({"newClientOrderId": "x" * 37}, -4015, "36"),
        ({"reduceOnly": "yes"}, -1130, "reduceOnly"),
        ({"Price": "1"}, -1104, "was sent '8'"),
        ({"recvWindow": -1}, -1131, "recvWindow"),
        ({"recvWindow": 60001}, -1131, "60000"),
        ({"recvWindow": 2**70}, -1108, "recvWindow"),
        ({"type": "STOP"}, -4120, "Algo"),
        ({"type": "MARKET"}, -1106, "timeInForce"),
    ],
)
async def test_a_faulty_parameter_is_refused_by_name(change: dict[str, Any], code: int, named: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        params = {**PLACE, **change}
        assert named in refused(await client.timed("order.place", **params), code)
        assert not [item for item in simulator.executed if item.method == "order.place"]
        assert (await client.timed("order.place", **PLACE))["status"] == 200


@pytest.mark.parametrize("missing", ["symbol", "side", "type", "timeInForce", "price", "quantity"])
async def test_a_missing_parameter_is_refused_by_name(missing: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        params = {name: value for name, value in PLACE.items() if name != missing}
        assert f"'{missing}'" in refused(await client.timed("order.place", **params), -1102)


async def test_integers_may_be_text_because_the_official_clients_send_them_so() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        order_id = (await client.timed("order.place", **PLACE))["result"]["orderId"]
        params: dict[str, Any] = {"symbol": "BTCUSD_PERP", "orderId": str(order_id), "recvWindow": "5000"}
        assert (await client.timed("order.status", **params))["result"]["orderId"] == order_id
        refused(await client.ask("order.status", **params, timestamp=str(client.now)), -1102)


async def test_integers_as_text_are_refused_where_the_documents_count() -> None:
    async with (
        simulated(readings=Readings(int_text=False)) as simulator,
        Client.connected(simulator) as client,
    ):
        await client.logon()
        order_id = (await client.timed("order.place", **PLACE))["result"]["orderId"]
        params: dict[str, Any] = {"symbol": "BTCUSD_PERP", "orderId": str(order_id)}
        assert "orderId" in refused(await client.timed("order.status", **params), -1130)
        params["orderId"] = order_id
        assert (await client.timed("order.status", **params))["status"] == 200
        refused(await client.timed("order.status", **params, recvWindow="5000"), -1102)


async def test_booleans_may_be_json_or_text() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        for value in (False, "false"):
            answer = await client.timed("order.place", **PLACE, reduceOnly=value)
            assert answer["result"]["reduceOnly"] is False


@pytest.mark.parametrize("name", ["apiKey", "signature", "timestamp", "recvWindow"])
async def test_a_proof_where_none_is_wanted_is_refused(name: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        assert name in refused(await client.ask(STATUS, **{name: 1}), -1106)


async def test_a_version_may_stand_before_the_method() -> None:
    async with simulated(USD_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.timed("v2/account.balance"))["status"] == 200
        assert (await client.timed("v1/account.balance"))["status"] == 200
        for method in ("v2/account.nothing", "v2/order.status", "v9/account.balance"):
            assert refused(await client.timed(method), -5000) == f"Method {method} is invalid"
        assert refused(await client.ask("no.such.method"), -5000) == "Method v1/no.such.method is invalid"
    async with simulated(COIN_M) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.timed("v1/account.balance"))["status"] == 200
        refused(await client.timed("v2/account.balance"), -5000)
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        assert (await client.ask("v3/time"))["status"] == 200
        assert refused(await client.ask("v9/time"), -1020) == "This operation is not supported."


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)
async def test_every_method_of_the_catalogue_is_answered(venue: Any) -> None:
    async with simulated(venue, enforce_limits=False) as simulator, Client.connected(simulator) as client:
        for method in venue.methods:
            answer = await client.ask(method)
            assert answer["id"] == client.last_id
            assert ("result" in answer) != ("error" in answer)
            known = (-1102, -1193) if venue is SPOT else (-1020, -1102, -1193)
            assert answer["status"] == 200 or answer["error"]["code"] in known, answer


NO_NUMBERS = [
    "1e999",
    "-1e999",
    "1e-999",
    "1e19",
    "1" + "0" * 400,
    "1" + "0" * 5000,
    "NaN",
    "Infinity",
    '"1e999"',
    "[1]",
]


@pytest.mark.parametrize("name", ["recvWindow", "timestamp", "orderId", "returnRateLimits", "symbol"])
@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)
async def test_what_no_number_can_be_gets_an_answer(venue: Venue, name: str) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        for number, value in enumerate(NO_NUMBERS):
            params = {"symbol": '"BTCUSDT"', "orderId": "1", "timestamp": str(client.now), name: value}
            text = ",".join(f'"{key}":{item}' for key, item in params.items())
            await client.socket.send(f'{{"id":{100 + number},"method":"order.status","params":{{{text}}}}}')
            answer = await client.recv()
            assert answer["id"] in (100 + number, None)
            assert answer["status"] == 400, value


@pytest.mark.parametrize("value", [value for value in NO_NUMBERS if not value.startswith('"')])
async def test_an_id_that_no_number_can_be_gets_an_answer(value: str) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.socket.send(f'{{"id":{value},"method":"{STATUS}"}}')
        answer = await client.recv()
        assert (answer["id"], answer["status"]) == (None, 400)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_nested_deeply_ends_nothing(stream: bool) -> None:
    async with simulated() as simulator:
        url = f"{simulator.stream_url}/ws/x" if stream else simulator.url
        for depth in (100, 450, 900, 990, 2000):
            deep = "[" * depth + "]" * depth
            async with connect(url) as socket:
                await socket.send(f'{{"id":1,"method":"{STATUS}","params":{{"symbols":{deep},"apiKey":"ED"}}}}')
                await socket.recv()
                await socket.send(f'{{"id":{deep},"method":"LIST_SUBSCRIPTIONS","params":{deep}}}')
                await socket.recv()
