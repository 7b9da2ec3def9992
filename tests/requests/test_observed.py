"""Each request's beginning and its end, its moments, and the distribution of them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session import (
    BinanceSessionError,
    ConfigurationError,
    RateLimit,
    Response,
    Session,
    SessionState,
)
from binance_session.latency import Histogram, Latency, upper_bound
from binance_session.simulator import Fault
from tests.exchange import exchange, session_to


class Observed(Session):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: list[tuple[Any, ...]] = []

    def on_request(self, method: str, request_id: int) -> None:
        self.told.append(("request", method, request_id))

    def on_done(self, method: str, request_id: int, outcome: str, elapsed: float) -> None:
        assert elapsed >= 0
        self.told.append(("done", method, request_id, outcome))


def ends(session: Observed) -> dict[str, str]:
    return {entry[1]: entry[3] for entry in session.told if entry[0] == "done"}


@pytest.mark.virtual
async def test_whatever_its_end_each_request_has_one() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Observed) as session:
        await session.request("account.balance")
        with pytest.raises(BinanceSessionError):
            await session.request("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})
        simulator.inject(Fault("no_answer", method="account.position", times=None))
        with pytest.raises(BinanceSessionError):
            await session.request("account.position", timeout=0.5)
        cancelled = session.submit("session.status")
        cancelled.cancel()
        simulator.inject(Fault("drop_after", method="order.cancel"))
        with pytest.raises(BinanceSessionError):
            await session.request("order.cancel", {"symbol": "BTCUSD_PERP", "orderId": 1})
        await asyncio.sleep(1)
        assert ends(session) == {
            "session.logon": "answered",
            "account.balance": "answered",
            "order.status": "rejected",
            "account.position": "unknown",
            "session.status": "cancelled",
            "order.cancel": "unknown",
        }
    begun = [entry[2] for entry in session.told if entry[0] == "request"]
    ended = [entry[2] for entry in session.told if entry[0] == "done"]
    assert sorted(begun) == sorted(ended) == sorted(set(begun))
    for number in begun:
        assert session.told.index(("request", *_of(session, number))) < next(
            place for place, entry in enumerate(session.told) if entry[0] == "done" and entry[2] == number
        )


def _of(session: Observed, number: int) -> tuple[str, int]:
    return next((entry[1], entry[2]) for entry in session.told if entry[2] == number)


@pytest.mark.virtual
async def test_what_never_left_is_not_told_of() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Observed, max_in_flight=1) as session:
        simulator.inject(Fault("no_answer", method="account.balance"))
        session.submit("account.balance").cancel()
        with pytest.raises(ConfigurationError):
            session.submit("account.balance", {"price": 0.1})  # type: ignore[dict-item]
        before = len(session.told)
        await asyncio.sleep(0)
        assert [entry[0] for entry in session.told[before:]] == ["done"]


@pytest.mark.virtual
async def test_a_hook_that_raises_costs_nothing_but_a_line(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Session):
        def on_request(self, method: str, request_id: int) -> None:
            raise ValueError("clumsy")

        def on_done(self, method: str, request_id: int, outcome: str, elapsed: float) -> None:
            raise ValueError("clumsy")

    async with exchange() as simulator, session_to(simulator, kind=Clumsy) as session:
        assert (await session.request("account.balance")).result
        await asyncio.sleep(0)
        assert session.stats.hook_errors == 4


async def test_from_a_thread_too() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Observed, timings=True) as session:
        reply = await asyncio.to_thread(lambda: session.submit_threadsafe("account.balance").result(10))
        assert reply.timing is not None
        assert ends(session)["account.balance"] == "answered"


# Moments


async def test_the_moments_of_a_request_are_in_their_order() -> None:
    async with exchange() as simulator, session_to(simulator, timings=True) as session:
        for _ in range(20):
            reply = await session.request("account.balance")
            timing = reply.timing
            assert timing is not None
            assert timing.queued <= timing.written < timing.received <= timing.ended
            assert reply.result
            assert reply.rate_limits
        told = session.latency()
        assert set(told) == {"session.logon", "account.balance"}
        assert told["account.balance"].count == 20
        assert 0 < told["account.balance"].p50 <= told["account.balance"].p99 <= told["account.balance"].max < 10


@pytest.mark.virtual
async def test_without_timings_there_are_none() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        assert (await session.request("account.balance")).timing is None
        assert session.latency() == {}
        with pytest.raises(ConfigurationError, match="timings"):
            session_to(simulator, timings="yes")


@pytest.mark.virtual
async def test_nothing_is_kept_of_requests_that_ended() -> None:
    async with exchange() as simulator, session_to(simulator, timings=True) as session:
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        unanswered = [session.submit("account.balance", timeout=0.5) for _ in range(5)]
        session.submit("account.balance").cancel()
        await asyncio.wait(unanswered)
        assert all(isinstance(future.exception(), BinanceSessionError) for future in unanswered)
        router: Any = session._admission.link.router  # type: ignore[union-attr]
        assert router._times == {}


# The distribution


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=300))
def test_a_percentile_is_never_too_low_and_at_most_an_eighth_too_high(durations: list[int]) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    ordered = sorted(durations)
    for share in (0.5, 0.99, 0.999, 1.0):
        exact = ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
        told = histogram.percentile(share)
        assert told >= exact / 1e9 or exact > 4.3e12
        assert told <= max(exact * 1.125, 8192) / 1e9 + 2e-6 or exact > 4.3e12
    assert histogram.summary().count == len(durations)
    assert histogram.summary().max == max(durations) / 1e9


def test_an_empty_one() -> None:
    assert Histogram().summary() == Latency(0, 0.0, 0.0, 0.0, 0.0)


def test_the_bounds_rise_and_the_cumulative_counts_are_true() -> None:
    bounds = [upper_bound(bucket) for bucket in range(200)]
    assert bounds == sorted(set(bounds))
    histogram = Histogram()
    for duration in (1_000, 50_000, 900_000, 30_000_000):
        histogram.add(duration)
    assert histogram.cumulative((1e-5, 1e-3, 1e-1, 10.0)) == [(1e-5, 1), (1e-3, 3), (1e-1, 4), (10.0, 4)]
    assert histogram.total == 30_951_000


# Contexts

TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("TRACE", default="nobody's")


class Traced(Session):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: list[tuple[str, str]] = []

    def on_request(self, method: str, request_id: int) -> None:
        self.told.append(("request", TRACE.get()))

    def on_response(self, response: Response) -> None:
        self.told.append((str(response.status), TRACE.get()))

    def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
        self.told.append(("limit", TRACE.get()))

    def on_done(self, method: str, request_id: int, outcome: str, elapsed: float) -> None:
        self.told.append((outcome, TRACE.get()))


async def test_the_hooks_of_an_answer_see_the_context_of_who_submitted_it() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Traced) as session:
        session.told.clear()

        async def ask(trace: str, method: str, **params: Any) -> None:
            TRACE.set(trace)
            await asyncio.wait([session.submit(method, params)])
            await asyncio.sleep(0)

        await asyncio.gather(
            asyncio.create_task(ask("good", "account.balance")),
            asyncio.create_task(ask("bad", "order.status", symbol="BTCUSD_PERP", orderId=1)),
        )
        assert [each for each in session.told if each[1] == "good"] == [
            ("request", "good"), ("200", "good"), ("limit", "good"), ("answered", "good")
        ]  # fmt: skip
        assert [each[0] for each in session.told if each[1] == "bad"] == ["request", "400", "limit", "rejected"]
        assert TRACE.get() == "nobody's"


async def test_the_context_of_another_thread() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Traced) as session:
        session.told.clear()

        def ask() -> None:
            TRACE.set("thread")
            session.submit_threadsafe("account.balance").result(10)

        thread = threading.Thread(target=ask)
        thread.start()
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.01)
        assert [each[0] for each in session.told if each[1] == "thread"][:3] == ["request", "200", "limit"]


@pytest.mark.virtual
async def test_the_context_of_what_had_to_wait() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Traced) as session:
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        session.told.clear()
        TRACE.set("waiting")
        future = session.submit("account.balance")
        TRACE.set("later")
        await future
        assert ("200", "waiting") in session.told


@pytest.mark.virtual
async def test_no_context_is_kept_behind_a_request() -> None:
    async with exchange() as simulator, session_to(simulator, kind=Traced) as session:
        simulator.inject(Fault("no_answer", method="account.position", times=None))
        for _ in range(3):
            await session.request("account.balance")
            with pytest.raises(BinanceSessionError):
                await session.request("account.position", timeout=0.5)
        link = session._admission.link
        assert link is not None
        await asyncio.sleep(0)
        assert link.router._contexts == {}  # type: ignore[attr-defined]


# Phases


async def test_how_long_a_connection_took() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        phases = session.phases
        assert phases is not None
        assert phases.tls is None
        for seconds in (phases.name, phases.tcp, phases.upgrade, phases.logon):
            assert seconds is not None
            assert 0 <= seconds < 10
    assert session.phases is None
