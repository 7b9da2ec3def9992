"""What a request may say about waiting: refused at the door if it makes no sense."""

from __future__ import annotations

import asyncio

import pytest

from binance_session import ConfigurationError, RateLimited, SessionState
from binance_session.simulator import Fault
from tests.exchange import exchange, requests, session_to, until

READY = SessionState.READY


@pytest.mark.parametrize("ready", [True, False])
async def test_an_impossible_on_unready_is_refused_also_while_ready(ready: bool) -> None:
    """Not only in the outage, when it matters."""
    async with exchange() as simulator:
        session = session_to(simulator)
        if ready:
            await session.open()
        with pytest.raises(ConfigurationError, match="on_unready"):
            session.submit("account.balance", on_unready="maybe")  # type: ignore[arg-type]
        await session.close()


@pytest.mark.virtual
async def test_nonsense_where_a_time_should_be() -> None:
    """retryAfter, serverTime, limits beyond all numbers: the answer still reaches its caller."""
    async with exchange() as simulator, session_to(simulator, weight_reserve=0.1) as session:
        huge = 10**400
        for error in (
            {"code": -1003, "msg": "m", "data": {"retryAfter": huge, "serverTime": huge}},
            {"code": -1003, "msg": "banned until 9999999999999", "data": "no"},
        ):
            simulator.inject(Fault("no_answer", method="account.balance"))
            future = session.submit("account.balance", timeout=500, on_unready="wait")
            await until(lambda: requests(simulator, "account.balance"))
            request_id = requests(simulator, "account.balance")[-1].message["id"]  # type: ignore[index]
            limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": huge, "count": huge}]
            simulator.connections[0].send({"id": request_id, "status": 429, "error": error, "rateLimits": limits})
            with pytest.raises(RateLimited):
                await future
            simulator.received.clear()
            await asyncio.sleep(300)
            if "banned" in str(error["msg"]):
                break
        assert session.state is READY
