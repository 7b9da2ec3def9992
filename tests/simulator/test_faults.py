"""Each fault, as a client meets it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.frames import CloseCode

from binance_session.simulator import FAULTS, Fault, ManualClock
from binance_session.simulator.behaviours import Kind
from binance_session.venues import COIN_M
from tests.simulator.client import Client, refused, simulated

STATUS = "session.status"


def executed(simulator: Any) -> list[str]:
    return [item.method for item in simulator.executed]


async def test_no_answer() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("no_answer"))
        await client.send(STATUS)
        assert (await client.ask(STATUS))["id"] == 2
        assert executed(simulator) == [STATUS, STATUS]


async def test_late_answer() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("late_answer", delay=0.5))
        await client.send(STATUS)
        assert (await client.ask(STATUS))["id"] == 2
        assert executed(simulator) == [STATUS, STATUS]
        clock.advance(0.4)
        assert (await client.ask(STATUS))["id"] == 3
        clock.advance(0.1)
        late = await client.recv()
        assert late["id"] == 1
        assert late["result"]["serverTime"] == client.now - 500


async def test_duplicate_answer() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("duplicate_answer"))
        assert await client.ask(STATUS) == await client.recv()
        assert executed(simulator) == [STATUS]


async def test_unknown_id() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("unknown_id"))
        stray = await client.ask(STATUS)
        answer = await client.recv()
        assert (stray["id"], answer["id"]) == ("nobody-asked-this", 1)
        assert stray["result"] == answer["result"]


async def test_string_id() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("string_id"))
        assert (await client.ask(STATUS))["id"] == "1"
        assert (await client.recv())["id"] == 1


@pytest.mark.parametrize(
    ("fault", "first"),
    [
        (Fault("malformed"), '{"id":1,"status":'),
        (Fault("malformed", text="<html>"), "<html>"),
        (Fault("not_an_object"), "[1]"),
        (Fault("not_an_object", text="null"), "null"),
        (Fault("binary_frame"), b"\x00\x01"),
        (Fault("nested", depth=1000), "[" * 1000 + "]" * 1000),
    ],
)
async def test_something_else_comes_before_the_answer(fault: Fault, first: str | bytes) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(fault)
        await client.send(STATUS)
        assert await client.socket.recv() == first
        assert (await client.recv())["id"] == 1


async def test_huge() -> None:
    async with simulated() as simulator:
        async with Client.connected(simulator) as client:
            simulator.inject(Fault("huge", size=100_000))
            await client.send(STATUS)
            text = await client.socket.recv()
            assert len(text) == 100_000
            assert list(json.loads(text)) == ["huge"]
            assert (await client.recv())["id"] == 1
        async with Client.connected(simulator, max_size=10_000) as client:
            simulator.inject(Fault("huge", size=100_000))
            await client.send(STATUS)
            with pytest.raises(ConnectionClosedError) as closed:
                await client.recv()
            assert closed.value.sent is not None
            assert closed.value.sent.code == CloseCode.MESSAGE_TOO_BIG


async def test_fragmented() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("fragmented", pieces=4))
        await client.send(STATUS)
        pieces = [piece async for piece in client.socket.recv_streaming()]
        assert len(pieces) == 4
        assert json.loads("".join(str(piece) for piece in pieces))["id"] == 1


class Segments(asyncio.Protocol):
    """Keeps what arrives at once apart, and waits for a text to have come so many times."""

    def __init__(self, last: bytes, times: int) -> None:
        self.segments: list[bytes] = []
        self.complete = asyncio.Event()
        self._last, self._times = last, times

    def data_received(self, data: bytes) -> None:
        self.segments.append(data)
        if b"".join(self.segments).count(self._last) == self._times:
            self.complete.set()


async def segments(fault: Fault, last: bytes, times: int = 1) -> list[bytes]:
    """Return what a raw TCP client receives for one struck request, as it arrives."""
    handshake = (
        "GET /ws-dapi/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with simulated() as simulator:
        simulator.inject(fault)
        host, port = simulator.url.removeprefix("ws://").partition("/")[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(handshake.encode())
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
        received = Segments(last, times)
        writer.transport.set_protocol(received)
        request = b'{"id":1,"method":"session.status"}'
        # A mask of zeros leaves the payload as it is.
        writer.write(bytes([0x81, 0x80 | len(request)]) + bytes(4) + request)
        await received.complete.wait()
        writer.transport.abort()
        return received.segments


async def test_merged() -> None:
    assert len(await segments(Fault("merged"), b"unknownEvent", 2)) == 1


async def test_split() -> None:
    received = await segments(Fault("split", size=10), b"]}")
    assert len(received) > 3
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("split", size=1))
        await client.send(STATUS)
        await client.send(STATUS)
        await client.socket.ping()
        assert [(await client.recv())["id"] for _ in range(2)] == [1, 2]
        assert (await client.ask(STATUS))["id"] == 3


@pytest.mark.parametrize(("name", "count"), [("drop_before", 0), ("drop_after", 1)])
async def test_drop(name: str, count: int) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault(name))
        await client.send(STATUS)
        await client.send(STATUS)
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd is None
        assert executed(simulator) == [STATUS] * count
        assert simulator.connections == []


@pytest.mark.parametrize("count", [0, 1])
async def test_close(count: int) -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("close", code=1012, reason="restart", executed=bool(count)))
        await client.send(STATUS)
        await client.send(STATUS)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "restart")
        assert executed(simulator) == [STATUS] * count


async def test_error() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("error"))
        refused(await client.ask(STATUS), -1007, 500)
        assert executed(simulator) == []
        simulator.inject(Fault("error", status=429, code=-1003, msg="Slow down", data={"retryAfter": 1}, executed=True))
        answer = await client.ask(STATUS)
        assert answer["error"] == {"code": -1003, "msg": "Slow down", "data": {"retryAfter": 1}}
        assert executed(simulator) == [STATUS]


async def test_faults_of_the_logon() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        for name in ("reject_logon", "ignore_logon", "late_logon"):
            simulator.inject(Fault(name))
        assert (await client.ask(STATUS))["status"] == 200, "other methods are not struck"
        refused(await client.ask_signed("session.logon"), -2015, 401)
        await client.send("session.logon", **client.signed())
        await client.send("session.logon", **client.signed())
        assert (await client.ask(STATUS))["result"]["apiKey"] is None
        clock.advance(1)
        answer = await client.recv()
        assert (answer["id"], answer["result"]["apiKey"]) == (4, "ED")
        assert (await client.ask(STATUS))["result"]["apiKey"] == "ED"


async def test_revoke() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.inject(Fault("revoke", method="account.balance"))
        answer = await client.timed("account.balance")
        assert answer["id"] is None
        refused(answer, -2015, 401)
        refused(await client.timed("account.balance"), -1102)
        assert executed(simulator) == ["session.logon"]


async def test_server_shutdown() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("server_shutdown"))
        assert await client.ask(STATUS) == {"event": {"e": "serverShutdown", "E": client.now}}
        assert (await client.recv())["id"] == 1


async def test_faults_of_listen_keys() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("missing_listen_key"))
        answer = await client.ask("userDataStream.start", apiKey="ED")
        assert (answer["status"], answer["result"]) == (200, {})
        key = (await client.ask("userDataStream.start", apiKey="ED"))["result"]["listenKey"]
        simulator.inject(Fault("wrong_listen_key", listen_key="other"))
        answer = await client.ask("userDataStream.ping", apiKey="ED")
        assert answer["result"] == {"listenKey": "other"}
        assert (await client.ask("userDataStream.ping", apiKey="ED"))["result"] == {"listenKey": key}
        async with connect(f"{simulator.stream_url}/ws/{key}") as stream:
            simulator.inject(Fault("expired_listen_key", push=True))
            refused(await client.ask("userDataStream.ping", apiKey="ED"), -1125)
            assert json.loads(await stream.recv())["e"] == "listenKeyExpired"
        refused(await client.ask("userDataStream.ping", apiKey="ED"), -1125)
        await client.ask("userDataStream.start", apiKey="ED")
        simulator.inject(Fault("expired_listen_key"))
        refused(await client.ask("userDataStream.ping", apiKey="ED"), -1125)


async def test_a_fault_on_a_refused_request_changes_nothing_else() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        simulator.inject(Fault("missing_listen_key"))
        refused(await client.ask("userDataStream.start"), -1102)


async def test_a_fault_strikes_whom_it_is_meant_for() -> None:
    async with (
        simulated() as simulator,
        Client.connected(simulator) as first,
        Client.connected(simulator) as second,
    ):
        error: dict[str, Any] = {"status": 503, "code": -1008}
        by_connection = simulator.inject(Fault("error", connection=simulator.connections[1], **error))
        assert (await first.ask(STATUS))["status"] == 200
        refused(await second.ask(STATUS), -1008, 503)
        assert (await second.ask(STATUS))["status"] == 200
        assert (by_connection.seen, by_connection.struck) == (1, 1)

        await first.logon()
        simulator.inject(Fault("error", key="ED", **error))
        assert (await second.ask("userDataStream.start", apiKey="HMAC"))["status"] == 200
        refused(await first.ask("userDataStream.start"), -1008, 503)

        struck = first.last_id + 2
        simulator.inject(Fault("error", when=lambda request: request.id == struck, **error))
        assert (await first.ask(STATUS))["status"] == 200
        refused(await first.ask(STATUS), -1008, 503)


async def test_a_fault_strikes_as_often_as_it_is_meant_to() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:

        async def statuses(count: int) -> list[int]:
            return [(await client.ask(STATUS))["status"] for _ in range(count)]

        simulator.inject(Fault("error", nth=2, times=2))
        assert await statuses(5) == [200, 500, 500, 200, 200]
        injected = simulator.inject(Fault("error", times=None))
        assert await statuses(3) == [500, 500, 500]
        injected.remove()
        injected.remove()
        assert await statuses(1) == [200]
        simulator.inject(Fault("error", status=501))
        simulator.inject(Fault("error", status=502))
        assert await statuses(3) == [501, 502, 200]
        simulator.inject(Fault("error", times=None))
        simulator.exchange.faults.clear()
        assert await statuses(1) == [200]


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"no fault 'lightning'; there are .*drop_after"):
        Fault("lightning")
    with pytest.raises(ValueError, match=r"no fault 'late_anwser'.*did you mean 'late_answer'\?"):
        Fault("late_anwser")
    with pytest.raises(ValueError, match=r"a method 'order.plcae'.*did you mean 'order.place'\?"):
        Fault("error", method="order.plcae")
    with pytest.raises(ValueError, match="would never strike"):
        Fault("error", method="something else")
    assert Fault("error", method="v2/account.status").method == "v2/account.status"
    with pytest.raises(ValueError, match="late_answer has no option delya; its options: delay"):
        Fault("late_answer", delya=1)
    with pytest.raises(ValueError, match="drop_after has no option delay; its options: none"):
        Fault("drop_after", delay=1)
    with pytest.raises(ValueError, match="count from 1"):
        Fault("error", nth=0)
    with pytest.raises(ValueError, match="count from 1"):
        Fault("error", times=0)


def test_every_fault_says_what_it_does() -> None:
    for name, registered in FAULTS.items():
        assert registered.behaviour.__doc__, name


def test_a_fault_does_not_show_a_key() -> None:
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    assert key not in repr(Fault("error", key=key))


async def test_a_fault_that_would_never_strike_is_refused() -> None:
    """Or the test that it is for passes without it."""
    async with simulated(COIN_M) as simulator:
        with pytest.raises(ValueError, match=r"method 'order\.plcae'"):
            simulator.inject(Fault("no_answer", method="order.plcae"))
        with pytest.raises(ValueError, match=r"COIN-M has no event 'ORDER_TRADE_UPDTAE': did you mean 'ORDER_TRADE_"):
            simulator.inject(Fault("lose_event", event="ORDER_TRADE_UPDTAE"))
        for method in ("v2/account.status", "allOrders"):  # another venue's, as in a test that is for all of them
            simulator.inject(Fault("no_answer", method=method))
        simulator.inject(Fault("lose_event", event="OF_THE_TEST_ITSELF"))


async def test_refuse_handshake() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator:
        retry = int(clock.time() * 1000) + 5000
        simulator.inject(Fault("refuse_handshake", status=429, retry_after=retry))
        simulator.inject(Fault("refuse_handshake", when=lambda handshake: "/ws/" in handshake.target))
        with pytest.raises(InvalidStatus) as refusal:
            await connect(simulator.url, process_exception=lambda exception: exception)
        assert refusal.value.response.status_code == 429
        assert refusal.value.response.headers["Retry-After"] == "5"
        assert simulator.exchange.limits.traffic("127.0.0.1").weight.count == 0
        async with Client.connected(simulator) as client:
            assert (await client.ask(STATUS))["status"] == 200
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{simulator.stream_url}/ws/x")
        assert refusal.value.response.status_code == 503
    with pytest.raises(ValueError, match="handshakes"):
        Fault("refuse_handshake", method=STATUS)


async def test_drop_handshake() -> None:
    async with simulated() as simulator:
        simulator.inject(Fault("drop_handshake"))
        with pytest.raises((InvalidMessage, ConnectionError)):
            await connect(simulator.url)
        assert simulator.connections == []
        async with Client.connected(simulator) as client:
            assert (await client.ask(STATUS))["status"] == 200


async def test_slow_handshake() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator:
        arrived = asyncio.Event()

        def when(_handshake: object) -> bool:
            arrived.set()
            return True

        simulator.inject(Fault("slow_handshake", delay=30.0, when=when))
        opening = asyncio.ensure_future(connect(simulator.url).__aenter__())
        await arrived.wait()
        async with Client.connected(simulator) as client:
            assert (await client.ask(STATUS))["status"] == 200, "the other does not wait"
        clock.advance(29)
        assert not opening.done()
        clock.advance(1)
        async with await opening as socket:
            await socket.send('{"id":1,"method":"session.status"}')
            assert json.loads(await socket.recv())["status"] == 200


async def test_a_client_that_gives_up_a_slow_handshake_leaves_nothing() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator:
        simulator.inject(Fault("slow_handshake"))
        with pytest.raises(TimeoutError):
            await connect(simulator.url, open_timeout=0.05)
        clock.advance(1)
    assert clock.pending == 0


REQUEST_FAULTS = sorted(name for name, registered in FAULTS.items() if registered.kind is Kind.REQUEST)


@pytest.mark.parametrize("name", REQUEST_FAULTS)
async def test_every_fault_leaves_a_server_that_serves(name: str) -> None:
    async with simulated(COIN_M) as simulator:
        async with Client.connected(simulator) as client:
            simulator.inject(Fault(name, method="userDataStream.start"))
            await client.send("userDataStream.start", apiKey="ED")
        async with Client.connected(simulator) as client:
            assert (await client.ask("userDataStream.start", apiKey="ED"))["status"] == 200
