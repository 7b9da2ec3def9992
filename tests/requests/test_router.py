"""Which future waits for which id: every way in which a request can end, and what is left afterwards (nothing)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from binance_session import (
    COIN_M,
    ApiError,
    BinanceSessionError,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
    Response,
    Stats,
)
from binance_session.clock import ServerClock
from binance_session.masking import Secrets
from binance_session.requests.answer import AnyFuture
from binance_session.requests.decoding import decode
from binance_session.requests.refusals import Refusals
from binance_session.requests.router import Router
from binance_session.simulator import Fault
from binance_session.venues import Method
from tests.exchange import exchange, session_to

PING = COIN_M.methods["userDataStream.ping"]
ORDER = COIN_M.methods["order.place"]
ERRORS = Refusals(Secrets(), ServerClock(time.time), explains_503=True)


class Clock:
    """The part of an event loop that a router uses, on a clock that a test moves."""

    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[Response]:
        return self.loop.create_future()

    def call_at(self, when: float, callback: Any) -> Timer:
        timer = Timer(when, callback)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.armed if timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            self.now = max(self.now, timer.at)
            timer.done = True
            timer.callback()
        self.now = end

    @property
    def armed(self) -> list[Timer]:
        self.timers = [timer for timer in self.timers if not timer.done]
        return self.timers


class Timer:
    def __init__(self, at: float, callback: Any) -> None:
        self.at, self.callback, self.done = at, callback, False

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.done = True


@pytest.fixture(autouse=True, scope="module")
def _loop() -> Iterator[None]:
    Clock.loop = asyncio.new_event_loop()
    yield
    Clock.loop.close()


def make(**hooks: Any) -> tuple[Clock, Router, Stats]:
    clock, stats = Clock(), Stats()
    return clock, Router(clock, 10.0, stats, ERRORS.error, **hooks), stats  # type: ignore[arg-type]


def answer(request_id: object, body: str = '"status":200,"result":{"a":1}') -> Any:
    return decode(f'{{"id":{request_id},{body}}}'.encode())


def lost(request_id: int, method: Method) -> BinanceSessionError:
    return ConnectionLost("gone", request_id=request_id, method=method.name)


def test_answers_in_any_order_reach_their_own_futures() -> None:
    """The id decides, not the order."""
    _, router, _ = make()
    futures = {request_id: router.register(request_id, PING) for request_id in (1, 2, 3)}
    for request_id in (2, 3, 1):
        assert router.resolve(answer(request_id, f'"status":200,"result":{request_id}'))
    assert [futures[request_id].result().result for request_id in (1, 2, 3)] == [1, 2, 3]
    assert router.answered == 3
    assert len(router) == 0


@pytest.mark.parametrize("other", ['"1"', "true", "1.0", "2", "null", "-1", "0", "[1]", '{"a":1}', str(2**70)])
def test_only_the_very_id_matches(other: str) -> None:
    """Text that reads like the id, a number that equals it, another number: none of them is an answer."""
    _, router, _ = make()
    future = router.register(1, PING)
    assert not router.resolve(answer(other))
    assert not future.done()
    assert router.resolve(answer(1))


def test_a_second_answer_a_late_one_and_an_unknown_one_hurt_nobody() -> None:
    """They are told apart in the counts: an id that was given out is late, one that was not is unknown."""
    clock, router, stats = make()
    answered, forgotten = router.register(1, PING), router.register(2, PING)
    assert router.resolve(answer(1))
    assert not router.resolve(answer(1))
    clock.advance(11)
    assert not router.resolve(answer(2))
    assert not router.resolve(answer(3))
    assert answered.result().result == {"a": 1}
    assert isinstance(forgotten.exception(), RequestTimeout)
    assert (router.answered, stats.timed_out, stats.late, stats.unknown) == (1, 1, 2, 1)


def test_the_answer_to_a_cancelled_call_is_late() -> None:
    """Cancelling forgets the request: it is not in flight any more, and its answer is nobody's."""
    _, router, stats = make()
    router.register(1, PING).cancel()
    assert len(router) == 0
    assert not router.resolve(answer(1))
    router.register(2, PING).cancel()
    assert not router.resolve(answer(2))
    assert stats.late == 2


def test_deadlines_of_different_lengths_end_on_time() -> None:
    """A short timeout does not wait behind a long one, whichever came first; nothing ends early."""
    clock, router, _ = make()
    timeouts = [None, 60.0, 0.5, None, 0.01]
    futures = [router.register(number, PING, timeout) for number, timeout in enumerate(timeouts, start=1)]
    ends: dict[int, float] = {}
    while clock.armed:
        clock.advance(0.001)
        for number, future in enumerate(futures):
            if future.done() and number not in ends:
                ends[number] = clock.now - 1000
                assert isinstance(future.exception(), RequestTimeout)
    assert ends == pytest.approx({0: 10.0, 1: 60.0, 2: 0.5, 3: 10.0, 4: 0.01}, abs=0.0021)


def test_one_timer_serves_all_and_none_is_left() -> None:
    """However many wait; and when the last request has ended with its connection no timer is armed."""
    clock, router, _ = make()
    futures = [router.register(number, PING, None if number % 2 else 5.0 + number) for number in range(1, 1001)]
    assert len(clock.armed) == 1
    assert router.end_all(lost) == 1000
    assert clock.armed == []
    assert all(isinstance(future.exception(), ConnectionLost) for future in futures)


def test_answered_requests_do_not_pile_up_as_deadlines() -> None:
    """A hundred thousand answered requests with timeouts of their own leave a bounded heap behind."""
    _, router, _ = make()
    for number in range(1, 100_001):
        router.register(number, PING, 3600.0)
        router.resolve(answer(number))
    assert len(router._odd_deadlines) < 200


def test_losing_the_logon_ends_only_what_it_vouched_for() -> None:
    """A request that carried its own key, or needed none, is untouched by the revocation of the connection's."""
    _, router, _ = make()
    vouched, own = router.register(1, PING, vouched=True), router.register(2, ORDER)
    assert router.end_all(lost, vouched_only=True) == 1
    assert isinstance(vouched.exception(), ConnectionLost)
    assert not own.done()
    assert router.resolve(answer(2))


@pytest.mark.parametrize(
    ("body", "kind", "outcome"),
    [
        ('"status":400,"error":{"code":-1102,"msg":"Mandatory parameter missing."}', ApiError, "rejected"),
        ('"status":400,"error":{"code":-1102,"msg":5}', ApiError, "rejected"),
        ('"status":400,"error":{"code":"x","msg":"m"}', ProtocolError, "unknown"),
        ('"status":400,"error":{}', ProtocolError, "unknown"),
        ('"status":200,"result":{},"error":{"code":-1,"msg":"m"}', ProtocolError, "unknown"),
        ('"status":400,"result":{},"error":{"code":-1,"msg":"m"}', ProtocolError, "unknown"),
        ('"status":302,"error":{"code":-1,"msg":"m"}', ProtocolError, "unknown"),
        ('"status":200', ProtocolError, "unknown"),
        ('"status":200,"error":null', ProtocolError, "unknown"),
        ('"status":400,"result":{}', ProtocolError, "unknown"),
        ('"result":{}', ProtocolError, "unknown"),
        ('"status":"200","result":{}', ProtocolError, "unknown"),
        ('"status":400,"error":"no"', ProtocolError, "unknown"),
        ('"error":{"code":-1102,"msg":"m"}', ProtocolError, "unknown"),
    ],
)
def test_an_answer_that_is_not_good_is_an_error_with_the_truth(
    body: str, kind: type[BinanceSessionError], outcome: str
) -> None:
    """What the exchange refused is rejected; what it answered without sense is unknown; the reader lives on."""
    _, router, stats = make()
    future = router.register(1, ORDER)
    assert router.resolve(answer(1, body))
    error = future.exception()
    assert type(error) is kind
    assert (error.request_id, error.method, error.outcome) == (1, "order.place", outcome)
    assert stats.refused == 1
    assert len(router) == 0


def test_a_null_result_is_a_result() -> None:
    """``null`` is a value; only an absent result is no answer."""
    _, router, _ = make()
    future = router.register(1, PING)
    router.resolve(answer(1, '"status":200,"result":null'))
    assert future.result().result is None


def test_the_answer_hook_sees_answers_before_their_callers() -> None:
    """Good answers and refused ones; a hook that cancels the call does not break the router."""
    seen: list[tuple[int, int, bool]] = []
    futures: list[AnyFuture] = []

    def on_response(response: Response) -> None:
        seen.append((response.request_id, response.status, futures[response.request_id - 1].done()))
        if response.request_id == 3:
            futures[2].cancel()

    _, router, _ = make(on_response=on_response)
    futures += [router.register(number, PING) for number in (1, 2, 3)]
    router.resolve(answer(1))
    router.resolve(answer(2, '"status":429,"error":{"code":-1003,"msg":"m"}'))
    router.resolve(answer(3))
    assert seen == [(1, 200, False), (2, 429, False), (3, 200, False)]
    assert futures[1].exception() is not None
    assert futures[2].cancelled()


def test_the_bound_does_not_count_cancelled_calls() -> None:
    """A full router has room again when callers went away, without waiting for answers."""
    _, router, _ = make()
    futures = [router.register(number, PING, None if number % 2 else 3.0) for number in range(1, 5)]
    assert router.is_full(4)
    futures[0].cancel()
    futures[1].cancel()
    assert not router.is_full(4)
    assert len(router) == 2


class Life(RuleBasedStateMachine):
    """Any order of requests, answers, cancellations, losses and time: each future ends once and nothing is left."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.router, self.stats = make()
        self.next_id = 1
        self.futures: dict[int, AnyFuture] = {}
        self.deadlines: dict[int, float] = {}
        self.ended: dict[int, str] = {}

    def teardown(self) -> None:
        self.router.end_all(lost)
        assert all(future.done() for future in self.futures.values())
        assert len(self.router._pending) == len(self.router._odd) == len(self.router._odd_deadlines) == 0
        assert self.clock.armed == []
        for future in self.futures.values():
            if not future.cancelled():
                future.exception()

    @rule(timeout=st.none() | st.sampled_from([0.001, 0.5, 3.0, 10.0, 100.0]), vouched=st.booleans())
    def request(self, timeout: float | None, vouched: bool) -> None:
        self.futures[self.next_id] = self.router.register(self.next_id, PING, timeout, vouched)
        self.deadlines[self.next_id] = self.clock.now + (10.0 if timeout is None else timeout)
        self.next_id += 1

    @rule(pick=st.integers(0, 30), good=st.booleans())
    def respond(self, pick: int, good: bool) -> None:
        waiting = pick in self.futures and not self.futures[pick].done()
        body = '"status":200,"result":1' if good else '"status":400,"error":{"code":-1,"msg":""}'
        assert self.router.resolve(answer(pick, body)) == waiting
        if waiting:
            assert (self.futures[pick].exception() is None) == good

    @rule(pick=st.integers(1, 30))
    def cancel(self, pick: int) -> None:
        if pick in self.futures:
            self.futures[pick].cancel()

    @rule(vouched_only=st.booleans())
    def lose(self, vouched_only: bool) -> None:
        self.router.end_all(lost, vouched_only=vouched_only)

    @rule(seconds=st.sampled_from([0.0, 0.0004, 0.4, 2.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def what_waits_is_in_time_and_counted(self) -> None:
        waiting = [key for key, future in self.futures.items() if not future.done()]
        assert all(self.deadlines[key] > self.clock.now - 0.0011 for key in waiting)
        assert len(self.router) == len(waiting)
        assert len(self.clock.armed) <= 1
        assert self.clock.armed or not waiting


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


async def test_cancelled_calls_with_long_timeouts_do_not_pile_up() -> None:
    """Nobody asks in_flight, the bound is far: they are forgotten all the same."""
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        for _ in range(2000):
            session.submit("account.balance", timeout=3600).cancel()
        link = session._admission.link
        assert link is not None
        assert len(link.router._odd) < 200
