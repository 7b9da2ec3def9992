"""Hooks of a subclass that are not what they should be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import COIN_M, ConfigurationError, FixedInterval, NotSent, Response, Session, SessionState
from tests.exchange import exchange, requests, session_to

READY = SessionState.READY


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


def test_hooks_that_hide_that_they_are_async() -> None:
    """An async generator is refused; a coroutine from a plain method is closed, and said."""

    class Generator(Session):
        async def on_event(self, event: Any) -> Any:
            yield event

    with pytest.raises(ConfigurationError, match="on_event"):
        Generator(COIN_M)

    class Wrapped(Session):
        def on_state_change(self, *change: Any) -> Any:
            return self.wait_for(READY)

    async def run() -> int:
        session = Wrapped(COIN_M)
        await session.close()
        return session.stats.hook_errors

    assert asyncio.run(run()) == 1


async def test_prepare_that_forgets_to_return() -> None:
    """An order without its params is not sent; and the caller's own dict is not handed out to be changed."""

    class Bot(Session):
        def prepare(self, method: str, params: Any) -> Any:
            params["side"] = "SELL"

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        order = dict(ORDER)
        with pytest.raises(ConfigurationError, match="returned None"):
            session.submit("order.place", order)
        assert order == ORDER
        assert requests(simulator, "order.place") == []


@pytest.mark.virtual
async def test_prepare_that_raises_a_cancellation_ends_no_pings() -> None:
    """The keepalive's pings do not come by it."""

    class Bot(Session):
        away = 0

        def prepare(self, method: str, params: Any) -> Any:
            if self.away:
                self.away -= 1
                raise asyncio.CancelledError
            return params

    async with exchange() as simulator, session_to(simulator, kind=Bot, keepalive=FixedInterval(60)) as session:
        await session.start_user_data_stream()
        session.away = 2
        await asyncio.sleep(400)
        assert session.away == 2
        assert len(requests(simulator, "userDataStream.ping")) >= 5


async def test_submit_may_be_overridden() -> None:
    """What a bot sends comes by it, from wherever; what the session sends by itself does not."""
    seen: list[str] = []

    class Counting(Session):
        def submit(self, method: str, params: Any = None, **options: Any) -> asyncio.Future[Response]:
            if method == "account.position":
                raise NotSent("not by this bot")
            seen.append(method)
            return super().submit(method, params, **options)

    async with exchange() as simulator, session_to(simulator, kind=Counting) as session:
        await session.start_user_data_stream()
        await session.request("account.balance")
        await asyncio.to_thread(lambda: session.submit_threadsafe("account.status").result(10))
        with pytest.raises(NotSent, match="not by this bot"):
            await session.request("account.position")
        order = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "1000"}
        assert (await session.place({**order, "timeInForce": "GTC", "newClientOrderId": "mine"})).took_effect
    assert seen == ["account.balance", "account.status", "order.place"]
