"""Requests from other threads: in order, each ended once, and the truth about each."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from binance_session import COIN_M, ApiError, ConfigurationError, NotSent, RequestTimeout, Session, SessionClosed
from binance_session.simulator import Fault
from tests.exchange import ED25519, exchange, requests, session_to

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


def cancel(index: int) -> dict[str, Any]:
    return {"symbol": "BTCUSD_PERP", "orderId": index}


async def test_answers_and_errors_reach_the_thread() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        reply = await in_thread(lambda: session.submit_threadsafe("account.balance").result(10))
        assert reply.result
        with pytest.raises(ApiError):
            await in_thread(lambda: session.submit_threadsafe("order.cancel", cancel(1)).result(10))
        with pytest.raises(ConfigurationError, match="float"):
            await in_thread(lambda: session.submit_threadsafe("order.cancel", {"symbol": 0.1}).result(10))
        simulator.inject(Fault("no_answer", method="account.balance"))
        with pytest.raises(RequestTimeout):
            await in_thread(lambda: session.submit_threadsafe("account.balance", timeout=0.05).result(10))


async def test_many_threads_each_in_its_order() -> None:
    """Every request is answered once, and those of one thread leave in the order in which it gave them."""
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        start = threading.Barrier(4)

        def ask(thread: int) -> int:
            start.wait()
            futures = [session.submit_threadsafe("order.cancel", cancel(thread * 1000 + i)) for i in range(200)]
            return sum(isinstance(future.exception(10), ApiError) for future in futures)

        answered = await asyncio.gather(*[in_thread(lambda thread=thread: ask(thread)) for thread in range(4)])  # type: ignore[misc]
        assert answered == [200] * 4
        ids = [entry.params["orderId"] for entry in requests(simulator, "order.cancel")]
        assert len(ids) == 800
        for thread in range(4):
            mine = [number for number in ids if number // 1000 == thread]
            assert mine == sorted(mine)


async def test_many_requests_wake_the_loop_once() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        loop = asyncio.get_running_loop()
        woken = 0
        call_soon_threadsafe = loop.call_soon_threadsafe

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal woken
            woken += 1
            return call_soon_threadsafe(*args, **options)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
        # given by this thread, so that the loop cannot take any of them meanwhile
        futures = [session.submit_threadsafe("account.balance") for _ in range(50)]
        del loop.call_soon_threadsafe
        assert woken == 1
        await asyncio.gather(*map(asyncio.wrap_future, futures))


async def test_cancelled_before_the_loop_takes_it_it_is_not_sent() -> None:
    """And afterwards it cannot be cancelled: what was sent was sent."""
    async with exchange() as simulator, session_to(simulator) as session:
        first = session.submit_threadsafe("account.balance")
        assert first.cancel()
        second = session.submit_threadsafe("account.balance")
        await asyncio.sleep(0)
        assert not second.cancel()
        assert (await asyncio.wrap_future(second)).result
        assert len(requests(simulator, "account.balance")) == 1


async def test_params_are_those_at_the_time() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        params = cancel(1)
        future = session.submit_threadsafe("order.cancel", params)
        params["orderId"] = 2
        await asyncio.gather(asyncio.wrap_future(future), return_exceptions=True)
        assert [entry.params["orderId"] for entry in requests(simulator, "order.cancel")] == [1]


async def test_outside_of_the_sessions_life() -> None:
    session = Session(COIN_M, ED25519)
    with pytest.raises(NotSent, match="not open"):
        session.submit_threadsafe("account.balance")
    async with exchange() as simulator:
        session = session_to(simulator)
        await session.open()
        left = session.submit_threadsafe("account.balance")
        await session.close()
        error = left.exception(0)
        assert isinstance(error, SessionClosed)
        with pytest.raises(SessionClosed):
            await asyncio.wrap_future(session.submit_threadsafe("account.balance"))


def test_when_the_event_loop_is_closed() -> None:
    async def main() -> Session:
        async with exchange() as simulator, session_to(simulator) as session:
            return session

    session = asyncio.run(main())
    with pytest.raises(SessionClosed, match="event loop is closed"):
        session.submit_threadsafe("account.balance")


async def test_a_cancelled_request_is_no_hanging_thread() -> None:
    """Whoever cancels the loop's own future from within (a hook, say) ends the thread's too."""
    futures: list[asyncio.Future[Any]] = []

    class Kept(Session):
        def submit(self, *args: Any, **options: Any) -> Any:
            future = super().submit(*args, **options)
            futures.append(future)
            return future

    async with exchange() as simulator, session_to(simulator, kind=Kept) as session:
        simulator.inject(Fault("no_answer", method="account.balance"))
        future = session.submit_threadsafe("account.balance")
        await asyncio.sleep(0)
        futures[-1].cancel()
        with pytest.raises((concurrent.futures.CancelledError, asyncio.CancelledError)):
            await in_thread(lambda: future.result(10))
