"""Requests of one turn of the event loop that leave together: what leaves when, and that nothing is lost in between."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from websockets.frames import CloseCode, Opcode

from binance_session import COIN_M, ConfigurationError, Session
from binance_session.websocket.connection import Connection
from tests.exchange import exchange, requests, session_to, until
from tests.websocket.raw import Collector, Recorder, connected, frame

ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET"}


async def test_the_first_of_a_turn_leaves_at_once_and_the_others_together_at_its_end() -> None:
    """Turn by turn; each message whole, in its order."""
    async with connected(coalesce=True) as (_, _, connection):
        recorder = Recorder(connection)
        for turn in ("a", "b"):
            recorder.writes.clear()
            for number in range(5):
                connection.write(f"{turn}{number}".encode())
            assert recorder.writes == [[f"{turn}0"]]
            await asyncio.sleep(0)
            assert recorder.writes == [[f"{turn}0"], [f"{turn}{number}" for number in range(1, 5)]]
        recorder.writes.clear()
        connection.write(b"alone")
        assert recorder.writes == [["alone"]]
        await asyncio.sleep(0)
        assert recorder.writes == [["alone"]]


@pytest.mark.parametrize(("coalesce", "arrived"), [(False, 3), (True, 1)])
async def test_what_has_left_is_in_the_peers_buffers_before_the_loop_turns(coalesce: bool, arrived: int) -> None:
    """Unless asked to coalesce, each message leaves before ``write`` returns: the operating system has it."""
    async with connected(coalesce=coalesce) as (raw, _, connection):
        fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
        peer = raw.writer.get_extra_info("socket").fileno()
        for _ in range(3):
            connection.write(b"0123456789")
        (waiting,) = struct.unpack("i", fcntl.ioctl(peer, termios.FIONREAD, b"    "))
        assert waiting == arrived * (6 + 10)


class Talker(Collector):
    """Writes three messages for each that it gets, while it gets it."""

    connection: Connection

    def message_received(self, data: bytes | bytearray) -> None:
        super().message_received(data)
        for number in range(3):
            self.connection.write(bytes(data) + str(number).encode())


@pytest.mark.parametrize(
    "end",
    [frame(Opcode.CLOSE, struct.pack("!H", CloseCode.NORMAL_CLOSURE)), b"\x81\x80masked"],
    ids=["close", "masked"],
)
async def test_what_is_held_leaves_before_the_frame_that_ends_all_writing(end: bytes) -> None:
    """The peer's last frame lies behind a message, in the same read: what that made us say comes before our close."""
    async with connected(coalesce=True) as (raw, _, connection):
        talker = Talker()
        talker.connection, connection._receiver = connection, talker
        recorder = Recorder(connection)
        raw.write(frame(Opcode.TEXT, b"m") + end)
        await until(lambda: "CLOSE" in _flat(recorder.writes))
        assert _flat(recorder.writes) == ["m0", "m1", "m2", "CLOSE"]


async def test_what_is_held_leaves_before_our_own_close_frame() -> None:
    """When the connection is closed in the same turn."""
    async with connected(coalesce=True) as (raw, _, connection):
        recorder = Recorder(connection)

        async def peer() -> None:
            await until(lambda: "CLOSE" in _flat(recorder.writes))
            raw.writer.close()

        closing = asyncio.ensure_future(peer())
        connection.write(b"first")
        connection.write(b"second")
        await connection.close_surely(5.0)
        assert _flat(recorder.writes) == ["first", "second", "CLOSE"]
        await closing


def _flat(writes: list[list[str]]) -> list[str]:
    return [message for write in writes for message in write]


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_basket_is_answered_and_one_that_the_session_is_closed_upon_has_left(compression: Any) -> None:
    """All of it reaches the exchange, in its order, also when ``close()`` follows in the same turn."""
    async with exchange(COIN_M) as simulator:
        session = session_to(simulator, coalesce=True, compression=compression)
        await session.open()
        basket = [session.submit("order.place", {**ORDER, "quantity": str(1 + number)}) for number in range(20)]
        replies = await asyncio.gather(*basket)
        assert [reply.result["origQty"] for reply in replies] == [str(1 + number) for number in range(20)]
        lost = [session.submit("order.place", {**ORDER, "quantity": str(100 + number)}) for number in range(20)]
        await session.close()
        quantities = [entry.params["quantity"] for entry in requests(simulator, "order.place")]
        assert quantities == [str(1 + number) for number in range(20)] + [str(100 + number) for number in range(20)]
        outcomes = await asyncio.gather(*lost, return_exceptions=True)
        assert {getattr(outcome, "outcome", None) for outcome in outcomes} == {"unknown"}


async def test_what_is_held_goes_nowhere_when_the_connection_was_cut_in_the_same_turn() -> None:
    """And nobody complains; to the caller, whose request was in flight, its outcome is unknown."""
    async with connected(coalesce=True) as (_, collector, connection):
        recorder = Recorder(connection)
        connection.write(b"first")
        connection.write(b"second")
        await connection.drop()
        assert _flat(recorder.writes) == ["first"]
        assert [kind for kind, _ in collector.got] == ["end"]


def test_coalesce_is_true_or_false() -> None:
    """And off unless asked for: what ``submit()`` promises holds for every request."""
    with pytest.raises(ConfigurationError, match="coalesce"):
        Session(COIN_M, coalesce="yes")  # type: ignore[arg-type]
