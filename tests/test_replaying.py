"""A recording is played again: alike when nothing has changed, and told where something has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from binance_session import (
    SPOT,
    USD_M,
    BinanceSessionError,
    ConfigurationError,
    FlightRecorder,
    Params,
    Session,
    SessionState,
    replay,
)
from binance_session.cli import main
from binance_session.simulator import Fault, Simulator
from binance_session.simulator.virtual import VirtualTimeLoop, run
from tests.exchange import exchange, session_to, until

ORDER: Params = {
    "symbol": "BTCUSD_PERP",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "20000",
    "newClientOrderId": "mine",
}
Story = Callable[[Session, Simulator], Awaitable[None]]


def record(folder: Path, story: Story, *, frames: int = 2000, venue: Any = None, **options: Any) -> Path:
    """Live through a story in virtual time, and return the file of its recording."""

    async def live() -> None:
        loop = VirtualTimeLoop.running()
        loop.network.latency = 0.005
        recorder = FlightRecorder(frames, wall_clock=loop.wall_time)
        arguments = {} if venue is None else {"venue": venue}
        async with exchange(**arguments) as simulator:
            async with session_to(simulator, recorder=recorder, **options) as session:
                await story(session, simulator)
            recorder.dump(folder / "dump")

    run(live)
    return folder / "dump"


async def quiet(session: Session, simulator: Simulator) -> None:
    await session.request("account.balance")
    with pytest.raises(BinanceSessionError):
        await session.request("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})


async def order_lost(session: Session, simulator: Simulator) -> None:
    async with session.user_data_stream() as events:
        simulator.inject(Fault("drop_after", method="order.place"))
        with pytest.raises(BinanceSessionError) as lost:
            await session.request("order.place", ORDER)
        fate = await session.settle(lost.value)
        assert fate.took_effect
        while (await anext(events)).type != "ORDER_TRADE_UPDATE":
            pass
    await until(lambda: session.health().ready)
    await session.request("order.cancel", {"symbol": "BTCUSD_PERP", "origClientOrderId": "mine"})


async def unanswered(session: Session, simulator: Simulator) -> None:
    simulator.inject(Fault("no_answer", method="account.balance"))
    with pytest.raises(BinanceSessionError):
        await session.request("account.balance", timeout=3.0)


async def key_lost(session: Session, simulator: Simulator) -> None:
    async with session.user_data_stream() as events:
        simulator.expire_listen_keys()
        while not (await anext(events)).is_gap:
            pass
        await asyncio.sleep(5)
        simulator.transfer("BTC", "1")
        await anext(events)
        next(each for each in simulator.connections if each.stream).drop()
        await asyncio.sleep(5)


async def a_day(session: Session, simulator: Simulator) -> None:
    async with session.user_data_stream():
        await asyncio.sleep(86_400)
        await session.request("account.balance")


async def connections_refused(session: Session, simulator: Simulator) -> None:
    simulator.inject(Fault("drop_handshake", times=2))
    simulator.connections[0].drop()
    await session.wait_for(SessionState.WAITING)
    await until(lambda: session.health().ready)


async def revoked(session: Session, simulator: Simulator) -> None:
    simulator.connections[0].send({"id": None, "status": 401, "error": {"code": -2015, "msg": "revoked"}})
    await asyncio.sleep(1)


@pytest.mark.parametrize("story", [quiet, order_lost, unanswered, key_lost, a_day, connections_refused, revoked])
def test_an_unchanged_session_behaves_as_it_did(story: Story, tmp_path: Path) -> None:
    differences = replay(record(tmp_path, story))
    assert not differences, str(differences)
    assert str(differences) == "the session behaves as it did"


@pytest.mark.parametrize("venue", [USD_M, SPOT])
def test_of_other_venues(venue: Any, tmp_path: Path) -> None:
    async def story(session: Session, simulator: Simulator) -> None:
        async with session.user_data_stream() as events:
            simulator.transfer("BTC" if venue is SPOT else "USDT", "1")
            await anext(events)
            simulator.connections[0].drop()
            await asyncio.sleep(1)
            await until(lambda: session.health().ready)

    differences = replay(record(tmp_path, story, venue=venue))
    assert not differences, str(differences)


def test_what_a_session_now_does_otherwise_is_told(tmp_path: Path) -> None:
    dump = record(tmp_path, order_lost)

    class Changed(Session):
        def prepare(self, method: str, params: Params) -> Params:
            return {**params, "price": "1"} if method == "order.place" else params

    told = str(replay(dump, session_class=Changed))
    assert 'sent order.place {"newClientOrderId": "mine", "price": "20000"' in told
    assert '"price": "1"' in told


def test_a_request_that_ends_later_is_told(tmp_path: Path) -> None:
    async def story(session: Session, simulator: Simulator) -> None:
        simulator.inject(Fault("no_answer", method="account.balance"))
        with pytest.raises(BinanceSessionError):
            await session.request("account.balance")
        await asyncio.sleep(20)

    dump = record(tmp_path, story)
    assert not replay(dump)
    (difference,) = replay(dump, request_timeout=15.0)
    assert difference.then == "account.balance ended: unknown after 10.000 s"
    assert difference.now == "after 15.000 s"


def test_what_is_not_asked_any_more_is_told(tmp_path: Path) -> None:
    from binance_session import NoKeepalive

    told = str(replay(record(tmp_path, a_day), keepalive=NoKeepalive()))
    assert "sent userDataStream.ping {}, and not now" in told
    assert "a gap was told, and not then" in told


def test_a_recording_that_does_not_reach_back(tmp_path: Path) -> None:
    async def story(session: Session, simulator: Simulator) -> None:
        async with session.user_data_stream():
            for _ in range(30):
                await session.request("account.balance")
                await asyncio.sleep(60)
            with pytest.raises(BinanceSessionError):
                await session.request("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})

    dump = record(tmp_path, story, frames=20)
    assert json.loads(dump.read_text().splitlines()[0])["since"] is not None
    differences = replay(dump)
    assert not differences, str(differences)


def test_on_a_real_clock(tmp_path: Path) -> None:
    async def live() -> None:
        recorder = FlightRecorder()
        async with exchange() as simulator, session_to(simulator, recorder=recorder) as session:
            await order_lost(session, simulator)
        recorder.dump(tmp_path / "dump")

    asyncio.run(live())
    differences = replay(tmp_path / "dump")
    assert not differences, str(differences)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = record(tmp_path, unanswered)
    assert main(["replay", str(dump)]) == 0
    assert capsys.readouterr().out == "the session behaves as it did\n"
    dump.write_text(dump.read_text().replace('"unknown"', '"answered"'))
    assert main(["replay", str(dump)]) == 1
    assert "account.balance ended: answered, and not now" in capsys.readouterr().out


def test_what_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text('{"recording": "binance_session", "format": 1, "venue": "COIN-M"}\n')
    with pytest.raises(ConfigurationError, match="nothing is recorded"):
        replay(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        replay(tmp_path / "none")
