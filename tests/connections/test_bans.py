"""Nothing is sent during a ban, and a ban lasts as long as the exchange says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import COIN_M, IpBanned, RateLimited, Session, SessionState
from binance_session.simulator import Fault
from tests.exchange import HMAC, exchange, requests, session_to, until

READY = SessionState.READY


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


def ban(simulator: Any, seconds: float, **options: Any) -> Fault:
    data = {"retryAfter": int((simulator.clock.time() + seconds) * 1000)}
    return Fault("error", **{"method": "account.balance", "status": 418, "code": -1003, "data": data, **options})


@pytest.mark.virtual
async def test_no_logon_and_no_status_during_a_ban() -> None:
    """A revocation and a -1021 that arrive after the 418 are seen to when the ban is over."""
    async with exchange() as simulator, session_to(simulator, request_timeout=500) as session:
        simulator.inject(Fault("late_answer", method="account.position", delay=1.0))
        simulator.inject(ban(simulator, 200))
        late = session.submit("account.position")
        with pytest.raises(IpBanned):
            await session.request("account.balance")
        began, sent = simulator.clock.time(), len(simulator.received)
        await late
        simulator.connections[0].send({"id": None, "status": 401, "error": {"code": -2015, "msg": "revoked"}})
        await session.wait_for(SessionState.LOGGING_ON)
        await asyncio.sleep(190)
        assert len(simulator.received) == sent
        await session.wait_for(READY)
        assert simulator.clock.time() - began == pytest.approx(200, abs=2)


@pytest.mark.virtual
async def test_a_session_that_is_dialling_when_another_is_banned_does_not_log_on() -> None:
    """The ban is the address's: a handshake that is under way may end, nothing is sent over it before the end."""
    async with exchange() as simulator, session_to(simulator) as first:
        simulator.inject(Fault("slow_handshake", delay=2.0))
        second = session_to(simulator)
        opening = asyncio.ensure_future(second.open())
        await asyncio.sleep(1)
        simulator.inject(ban(simulator, 100))
        with pytest.raises(IpBanned):
            await first.request("account.balance")
        began = simulator.clock.time()
        with pytest.raises(IpBanned) as caught:
            await opening
        assert caught.value.outcome == "not_sent"
        assert simulator.clock.time() - began < 10
        assert len(requests(simulator, "session.logon")) == 1


@pytest.mark.virtual
async def test_open_does_not_wait_for_the_end_of_a_limit() -> None:
    """The logon came too late, the exchange's time was asked for, and that met a 429: said, not waited out."""
    async with exchange() as simulator:
        simulator.inject(Fault("error", method="session.logon", status=400, code=-1021, msg="late"))
        simulator.inject(ban(simulator, 500, method="session.status", status=429))
        began = simulator.clock.time()
        with pytest.raises(RateLimited):
            await session_to(simulator).open()
        assert simulator.clock.time() - began < 10


@pytest.mark.virtual
@pytest.mark.parametrize("off", [600.0, -600.0])
async def test_a_wrong_local_clock_does_not_shorten_a_ban(off: float) -> None:
    """The refusal says both times: their difference is the wait, whatever the clock here thinks."""
    async with exchange() as simulator:
        session = Session(COIN_M, HMAC, logon=False, url=simulator.url, wall_clock=lambda: simulator.clock.time() + off)
        async with session:
            now = int(simulator.clock.time() * 1000)
            data = {"serverTime": now, "retryAfter": now + 30_000}
            simulator.inject(ban(simulator, 0, method="userDataStream.start", data=data))
            with pytest.raises(IpBanned):
                await session.start_user_data_stream()
            began = simulator.clock.time()
            await session.request("userDataStream.start", timeout=100)
            assert simulator.clock.time() - began == pytest.approx(30, abs=0.1)


@pytest.mark.virtual
async def test_a_ban_that_names_no_request_is_a_ban() -> None:
    """``"id": null`` with 418."""
    async with exchange() as simulator, session_to(simulator) as session:
        error = {"code": -1003, "msg": f"banned until {int((simulator.clock.time() + 60) * 1000)}"}
        simulator.connections[0].send({"id": None, "status": 418, "error": error})
        await until(lambda: session._admission.link is None)
        with pytest.raises(RateLimited) as caught:
            session.submit("account.balance")
        assert caught.value.outcome == "not_sent"


@pytest.mark.virtual
async def test_a_503_with_retry_after_concerns_the_next_dial_only() -> None:
    """A rollover that is refused so does not hold back the connection that works."""
    async with exchange() as simulator, session_to(simulator) as session:
        retry = int((simulator.clock.time() + 100) * 1000)
        simulator.inject(Fault("refuse_handshake", status=503, retry_after=retry))
        simulator.broadcast_shutdown()
        await asyncio.sleep(5)
        assert (await session.request("order.place", ORDER)).status == 200
        assert session.stats.connections == 1
        await asyncio.sleep(100)
        assert session.stats.connections == 2
