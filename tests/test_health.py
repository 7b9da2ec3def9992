"""health(): what it says in each state, that it never lies about a line that is dead, and who is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from attrs import evolve

from binance_session import ConnectError, Health, IpBanned, Session, SessionState
from binance_session.health import answer, asgi, health_of, longest_silence
from binance_session.simulator import Fault
from binance_session.venues import COIN_M
from tests.exchange import exchange, session_to, until

GOOD = {
    "last_frame_age": 1.0,
    "longest_silence": 85.0,
    "held_back": "",
    "events_live": None,
    "ping_rtt": 0.1,
    "listen_key_left": None,
    "backlog": 0,
    "clock_offset": 0.0,
}


def health(state: SessionState, **changed: Any) -> Health:
    return health_of(state, **{**GOOD, **changed})


@pytest.mark.parametrize(
    ("state", "live", "ready", "reason"),
    [
        (SessionState.NEW, True, False, "the session was not opened"),
        (SessionState.CONNECTING, True, False, "is connecting"),
        (SessionState.LOGGING_ON, True, False, "is logging on"),
        (SessionState.READY, True, True, ""),
        (SessionState.WAITING, True, False, "no connection"),
        (SessionState.CLOSING, True, False, "being closed"),
        (SessionState.CLOSED, False, False, "was closed"),
        (SessionState.FAILED, False, False, "make a new one"),
    ],
)
def test_each_state(state: SessionState, live: bool, ready: bool, reason: str) -> None:
    """Only what has ended is not live: a restart is no help to a session that reconnects by itself."""
    told = health(state)
    assert (told.live, told.ready) == (live, ready)
    assert reason in "; ".join(told.reasons)
    assert bool(told.reasons) == (not ready)


@pytest.mark.parametrize(
    ("changed", "live", "reason"),
    [
        ({"last_frame_age": 86.0}, False, "no frame has come for 86 s"),
        ({"last_frame_age": 85.0}, True, ""),
        ({"held_back": "this address is banned for another 9 s"}, True, "banned"),
        ({"events_live": False}, True, "events do not come"),
        ({"events_live": True}, True, ""),
    ],
)
def test_what_is_wrong_although_it_is_ready(changed: dict[str, Any], live: bool, reason: str) -> None:
    told = health(SessionState.READY, **changed)
    assert (told.live, told.ready) == (live, not reason)
    assert reason in "; ".join(told.reasons)


def test_how_long_a_line_may_be_silent() -> None:
    """Longer than the session itself takes to cut a dead one, with its pings or, without them, the server's."""
    assert longest_silence(10.0, 10.0, 180.0) == 85.0
    assert longest_silence(10.0, None, 180.0) == 75.0
    assert longest_silence(None, 10.0, 180.0) == 515.0


@pytest.mark.virtual
async def test_a_day_of_a_quiet_account() -> None:
    """Nothing happens on it: every hour it is live and ready, by its pings."""
    async with exchange() as simulator, session_to(simulator) as session, session.user_data_stream() as events:
        assert session.health().ping_rtt is None
        for _ in range(24):
            await asyncio.sleep(3600)
            told = session.health()
            assert (told.live, told.ready, told.reasons) == (True, True, ())
            assert told.last_frame_age is not None
            assert told.last_frame_age < 20
            assert told.ping_rtt is not None
            assert told.listen_key_left is not None
            assert 0 < told.listen_key_left <= 3600
            assert (told.events_live, told.backlog) == (True, 0)
        assert events.is_live


@pytest.mark.virtual
async def test_a_dead_line_is_not_called_alive_for_long() -> None:
    """Half open: the TCP connection stays and nothing comes. Within the pings' time it is not READY any more."""
    async with exchange() as simulator, session_to(simulator, reconnect=Never()) as session:
        simulator.connections[0].mute()
        await until(lambda: not session.health().ready)
        told = session.health()
        assert told.reasons
        await until(lambda: session.state is SessionState.FAILED)
        assert not session.health().live


class Never:
    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return None


@pytest.mark.virtual
async def test_a_session_that_reconnects_is_live_and_says_why_it_is_not_ready() -> None:
    async with exchange() as simulator, session_to(simulator) as session, session.user_data_stream():
        simulator.inject(Fault("refuse_handshake", times=3))
        simulator.connections[0].drop()
        await until(lambda: session.state is SessionState.WAITING)
        told = session.health()
        assert (told.live, told.ready) == (True, False)
        assert told.last_frame_age is None
        await until(lambda: session.health().ready)


@pytest.mark.virtual
async def test_events_that_do_not_come_and_a_ban() -> None:
    async with exchange() as simulator, session_to(simulator) as session, session.user_data_stream():
        simulator.inject(Fault("refuse_handshake", stream=True, times=3))
        next(each for each in simulator.connections if each.stream).drop()
        await until(lambda: session.health().events_live is False)
        assert session.health().reasons == ("the account's events do not come at the moment",)
        await until(lambda: session.health().ready)
        now = simulator.clock.time()
        banned: dict[str, Any] = {"status": 418, "code": -1003, "data": {"retryAfter": int((now + 120) * 1000)}}
        simulator.inject(Fault("error", method="order.status", **banned))
        with pytest.raises(IpBanned):
            await session.request("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})
        assert any("banned for another 1" in reason for reason in session.health().reasons)


async def test_it_can_be_asked_before_and_after_and_from_no_loop() -> None:
    async with exchange(COIN_M) as simulator:
        session: Session = session_to(simulator)
        before = await asyncio.to_thread(session.health)
        assert (before.live, before.ready) == (True, False)
        async with session:
            assert session.health().ready
        after = await asyncio.to_thread(session.health)
        assert (after.live, after.reasons) == (False, ("the session was closed",))


async def test_one_that_was_refused() -> None:
    async with exchange() as simulator:
        session = session_to(simulator, url=simulator.url + "/elsewhere")
        with pytest.raises(ConnectError):
            await session.open()
        assert not session.health().live


# ASGI


class Fixed:
    def __init__(self, told: Any) -> None:
        self.told = told

    def health(self) -> Any:
        return self.told


WELL = health(SessionState.READY)
WAITS = health(SessionState.WAITING)
OVER = health(SessionState.CLOSED)


@pytest.mark.parametrize(
    ("told", "live", "ready"),
    [
        (WELL, 200, 200),
        (WAITS, 200, 503),
        (OVER, 503, 503),
        ({"a": WELL, "b": WAITS}, 200, 503),
        ({"a": WELL, "b": OVER}, 200, 503),  # a restart would hurt a
        ({"a": OVER, "b": OVER}, 503, 503),
        ({}, 200, 200),
    ],
)
async def test_the_two_paths(told: Any, live: int, ready: int) -> None:
    assert (await ask(Fixed(told), "/livez"))[0] == live
    assert (await ask(Fixed(told), "/readyz"))[0] == ready


async def ask(healthy: Any, path: str, method: str = "GET") -> tuple[int, bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await asgi(healthy)({"type": "http", "method": method, "path": path}, receive, send)
    start, body = sent
    length = dict(start["headers"])[b"content-length"]
    assert method == "HEAD" or int(length) == len(body["body"])
    return start["status"], body["body"]


async def test_the_body_says_why() -> None:
    status, body = await ask(Fixed(WAITS), "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"] == list(WAITS.reasons)
    _, body = await ask(Fixed({"alice": WAITS}), "/readyz")
    assert json.loads(body)["alice"]["live"] is True


async def test_other_paths_and_methods() -> None:
    assert (await ask(Fixed(WELL), "/"))[0] == 404
    assert (await ask(Fixed(WELL), "/livez", "POST"))[0] == 405
    assert await ask(Fixed(WELL), "/livez", "HEAD") == (200, b"")
    with pytest.raises(ValueError, match="answers HTTP"):
        await asgi(Fixed(WELL))({"type": "websocket"}, None, None)  # type: ignore[arg-type]


async def test_lifespan() -> None:
    coming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await asgi(Fixed(WELL))({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_numbers_are_json() -> None:
    status, body = answer(Fixed(evolve(WELL, events_live=None)), "GET", "/livez")
    assert status == 200
    assert set(json.loads(body)) == {
        *("live", "ready", "reasons", "last_frame_age", "ping_rtt", "listen_key_left", "events_live", "backlog"),
        "clock_offset",
    }
