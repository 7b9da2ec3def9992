"""What makes the hot path fast changes nothing that anybody can see."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import weakref
from enum import StrEnum
from typing import Any

import attrs
import pytest
from websockets.frames import Opcode

from binance_session import COIN_M, SPOT, BinanceSessionError, ConfigurationError, HmacKey, NotSent, Response, Stats
from binance_session.clock import ServerClock
from binance_session.credentials import Credentials
from binance_session.params import text
from binance_session.requests.encoding import RequestEncoder
from binance_session.requests.router import Router
from binance_session.responses import answered
from binance_session.websocket import frames
from tests.websocket.raw import connected, frame

ORDER = COIN_M.methods["order.place"]
LOGON = COIN_M.methods["session.logon"]
FIELDS = (7, "order.place", 200, {"orderId": 1}, None)


class Name(StrEnum):
    SYMBOL = "symbol"


class Text(str):
    """Not the exact type, so not what may pass by its type."""

    def __str__(self) -> str:
        return "something else"


def encode(method: str, params: Any, key: Credentials | None = None) -> dict[str, Any]:
    """Return a request of a logged-on connection, or one that ``key`` signs."""
    encoder = RequestEncoder(None, 5000, ServerClock(lambda: 1.0))
    message: dict[str, Any] = json.loads(encoder.encode(1, SPOT.method(method), params, True, key))
    return message


# Requests


def test_a_name_or_value_of_a_kind_of_text_is_not_taken_for_text() -> None:
    """The check by exact type lets through what is exactly ``str``; the rest goes the long way, as it always did."""
    with pytest.raises(ConfigurationError, match="name of a parameter must be"):
        encode("depth", {Name.SYMBOL: "BTCUSDT"})
    assert encode("depth", {"symbol": Name.SYMBOL, "limit": 5})["params"] == {"symbol": "symbol", "limit": 5}
    assert encode("depth", {"symbol": Text("BTCUSDT")})["params"] == {"symbol": str(Text("BTCUSDT"))}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "value"), [("", "x"), ("apiKey", "x"), ("x", 0.5), ("x", None), ("x", 2**63), (5, "x"), ("x", "\ud800")]
)
def test_one_bad_parameter_is_found_wherever_it_is(name: Any, value: Any, place: int) -> None:
    """First, in the middle, last; among texts."""
    params: list[tuple[Any, Any]] = [("a", "1"), ("b", "2")]
    params.insert(place, (name, value))
    with pytest.raises(ConfigurationError):
        encode("order.place", dict(params))


def test_nothing_but_what_belongs_is_written() -> None:
    """No empty ``params``, no ``recvWindow`` where no ``timestamp`` is; the signature last."""
    assert encode("time", {}) == {"id": 1, "method": "time"}
    assert encode("depth", {"a": "b"})["params"] == {"a": "b"}
    assert encode("order.place", {"a": "b"})["params"] == {"a": "b", "timestamp": 1000, "recvWindow": 5000}
    signed = encode("order.place", {"recvWindow": 9}, HmacKey("K" * 20, "s" * 20))["params"]
    assert list(signed) == ["recvWindow", "apiKey", "timestamp", "signature"]
    assert signed["recvWindow"] == 9


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), True, False, ["A", "B"], [], [1, True]])
def test_the_text_that_is_signed_is_the_json_that_is_written(value: Any) -> None:
    """Also of integers, which do not go through a JSON encoder, and of booleans, which are integers."""
    assert text(value) == json.dumps(value, separators=(",", ":"))


# Answers


def test_a_response_made_for_an_answer_is_like_any_other() -> None:
    """Its fields are set past the frozen class's own ``__init__``; nobody can tell."""
    response = answered(*FIELDS)
    usual = Response(*FIELDS)
    assert type(response) is Response
    assert response == usual
    assert repr(response) == repr(usual)
    assert attrs.asdict(response) == attrs.asdict(usual)
    assert attrs.evolve(response, status=400) == Response(7, "order.place", 400, {"orderId": 1})
    assert copy.deepcopy(response) == pickle.loads(pickle.dumps(response)) == usual
    assert weakref.ref(response)() is response
    assert response.rate_limits == ()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        response.status = 400  # type: ignore[misc]
    with pytest.raises(TypeError):
        hash(response)  # as that of its result


async def test_every_length_is_found_wherever_its_frame_is_cut() -> None:
    """Around each size of header, with the cut in the header, behind it and before the last byte."""
    for size in (0, 1, 125, 126, 127, 255, 256, 65535, 65536):
        whole = frame(Opcode.TEXT, b"x" * size)
        for cut in {1, 2, 3, 4, 5, 9, 10, 11, len(whole) - 1}:
            if cut >= len(whole):
                continue
            async with connected() as (_, collector, connection):
                connection.data_received(whole + whole[:cut])
                connection.data_received(whole[cut:] + whole)
                assert collector.got == [("text", b"x" * size)] * 3


@pytest.mark.parametrize(("size", "ends"), [(100, False), (101, True), (130, True), (70_000, True)])
async def test_a_message_beyond_the_limit_is_not_handed_on(size: int, ends: bool) -> None:
    """Whatever its header's size, whole or only begun."""
    whole = frame(Opcode.TEXT, b"x" * size)
    for data in (whole, whole[:-1]):
        async with connected(max_size=100) as (_, collector, connection):
            connection.data_received(data)
            kinds = [kind for kind, _ in collector.got]
            assert kinds == (["end"] if ends else ["text"] if data is whole else [])


# What is shared by many


async def test_every_frame_has_a_mask_of_its_own_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched for many frames at once, each used once, and not by two connections (RFC 6455 §5.3)."""
    fetched = bytearray()

    def urandom(size: int) -> bytes:
        data = os.urandom(size)
        fetched.extend(data)
        return data

    monkeypatch.setattr(frames, "urandom", urandom)
    masks = []
    async with connected() as (_, _, one), connected() as (_, _, other):
        assert not fetched, "nothing is fetched for a connection that writes nothing"
        for connection in (one, other):
            written: list[bytes] = []
            monkeypatch.setattr(connection._writer, "_send", written.append)
            for _ in range(200):
                connection.write(b"{}")
            masks += [data[2:6] for data in written]
            assert all(bytes(a ^ b for a, b in zip(data[6:], data[2:4], strict=True)) == b"{}" for data in written)
            monkeypatch.undo()
            monkeypatch.setattr(frames, "urandom", urandom)
    groups = [bytes(fetched[start : start + 4]) for start in range(0, len(fetched), 4)]
    assert set(masks) <= set(groups)
    assert len(set(masks)) == len(masks) == 400


async def test_a_full_router_takes_nothing_but_what_is_about_the_connection() -> None:
    """And what it refuses leaves no trace."""
    router = Router(asyncio.get_running_loop(), 10.0, Stats(), lambda *_: NotSent("never"))
    waiting = [router.register(number, ORDER, bound=2) for number in (1, 2)]
    with pytest.raises(NotSent, match="2 requests are in flight") as caught:
        router.register(3, ORDER, bound=2)
    assert caught.value.method == "order.place"
    assert len(router) == 2
    router.register(4, LOGON, bound=2)
    assert len(router) == 3
    waiting[0].cancel()
    waiting[1].cancel()
    router.register(5, ORDER, bound=2)
    assert len(router) == 2
    for future in router.futures():
        future.cancel()
    router.end_all(lambda number, method: BinanceSessionError("over"))
