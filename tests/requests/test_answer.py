"""The future of another thread: all that one of ``concurrent.futures`` does, whoever comes first."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from binance_session import NotSent, Response
from binance_session.requests.answer import Answer

RESPONSE = Response(1, "ping", 200, {})


def taken() -> Answer:
    answer = Answer()
    assert answer.set_running_or_notify_cancel()
    return answer


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """Return what the calls return, begun at the same moment in a thread each."""
    start = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        start.wait()
        return call()

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(10) for future in [pool.submit(one, call) for call in calls]]


def state(future: concurrent.futures.Future[Any]) -> tuple[bool, bool, bool]:
    return future.running(), future.done(), future.cancelled()


@pytest.mark.parametrize("kind", [concurrent.futures.Future, Answer])
def test_its_states_are_those_of_the_usual_future(kind: type[concurrent.futures.Future[Any]]) -> None:
    future, other, cancelled = kind(), kind(), kind()
    assert state(future) == (False, False, False)
    assert future.set_running_or_notify_cancel()
    assert state(future) == (True, False, False)
    assert not future.cancel()
    future.set_result(RESPONSE)
    assert state(future) == (False, True, False)
    assert not future.cancel()
    assert future.result(0) is RESPONSE
    assert future.exception(0) is None
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_result(RESPONSE)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_exception(NotSent("late"))

    assert other.set_running_or_notify_cancel()
    other.set_exception(error := NotSent("not sent"))
    assert state(other) == (False, True, False)
    assert other.exception(0) is error
    with pytest.raises(NotSent):
        other.result(0)

    assert cancelled.cancel()
    assert cancelled.cancel()
    assert not cancelled.set_running_or_notify_cancel()
    assert state(cancelled) == (False, True, True)
    for look in (cancelled.result, cancelled.exception):
        with pytest.raises(concurrent.futures.CancelledError):
            look(0)


def test_repr_says_what_it_is() -> None:
    answer, cancelled = Answer(), Answer()
    assert repr(answer) == "<Answer pending>"
    answer.set_running_or_notify_cancel()
    assert repr(answer) == "<Answer running>"
    answer.set_result(RESPONSE)
    assert repr(answer) == "<Answer finished>"
    cancelled.cancel()
    assert repr(cancelled) == "<Answer cancelled>"


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_who_stops_waiting_leaves_nothing(timeout: float) -> None:
    answer = taken()
    for look in (answer.result, answer.exception):
        with pytest.raises(TimeoutError):
            look(timeout)
    assert answer._to_call == []


def test_all_who_wait_are_told() -> None:
    answer = taken()

    def end() -> None:
        while len(answer._to_call) < 3:
            pass
        answer.set_result(RESPONSE)

    assert in_threads(answer.result, answer.result, answer.exception, end) == [RESPONSE, RESPONSE, None, None]


def test_it_is_taken_or_cancelled_and_never_both() -> None:
    """Two that cancel and one that takes, at the same moment."""
    for _ in range(300):
        answer = Answer()
        took, *cancelled = in_threads(answer.set_running_or_notify_cancel, answer.cancel, answer.cancel)
        assert cancelled == [not took, not took]
        assert state(answer) == (took, not took, not took)


def test_who_begins_to_wait_while_it_ends_is_told() -> None:
    for _ in range(300):
        answer = taken()
        told: list[Any] = []
        results = in_threads(
            lambda answer=answer: answer.result(10),  # type: ignore[misc]
            lambda answer=answer: answer.set_result(RESPONSE),  # type: ignore[misc]
            lambda answer=answer, told=told: answer.add_done_callback(told.append),  # type: ignore[misc]
            lambda answer=answer: concurrent.futures.wait([answer], 10).done,  # type: ignore[misc]
        )
        assert results == [RESPONSE, None, None, {answer}]
        assert told == [answer]
        assert answer._to_call == []


def test_callbacks_in_a_thread_without_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    """In their order, each once and at once; what one raises is logged and hurts nobody."""
    answer, told = Answer(), list[Any]()

    def broken(_: object) -> None:
        raise IndexError("mine")

    answer.add_done_callback(lambda future: told.append((1, future)))
    answer.add_done_callback(broken)
    answer.add_done_callback(lambda future: told.append((2, future)))
    with caplog.at_level(logging.ERROR, logger="binance_session"):
        assert answer.cancel()
    assert told == [(1, answer), (2, answer)]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [IndexError]
    answer.add_done_callback(lambda future: told.append((3, future)))
    assert told[2:] == [(3, answer)]


async def test_callbacks_on_a_loop_have_a_turn_of_their_own() -> None:
    answer, told = taken(), list[Any]()
    answer.add_done_callback(told.append)
    answer.set_result(RESPONSE)
    answer.add_done_callback(told.append)
    assert told == []
    await asyncio.sleep(0)
    assert told == [answer, answer]


@pytest.mark.virtual  # a loop of asyncio's: others refuse nothing
async def test_a_callback_that_the_loop_refuses_does_not_stop_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def callback(_: object) -> None:
        pass

    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    answer, told = taken(), list[Any]()
    answer.add_done_callback(callback)
    answer.add_done_callback(told.append)
    with caplog.at_level(logging.ERROR, logger="binance_session"):
        answer.set_result(RESPONSE)
    loop.set_debug(False)
    await asyncio.sleep(0)
    assert told == [answer]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [TypeError]


async def test_asyncio_wraps_it() -> None:
    good, bad, cancelled = taken(), taken(), Answer()
    futures = [asyncio.wrap_future(answer) for answer in (good, bad, cancelled)]
    cancelled.cancel()
    bad.set_exception(NotSent("not sent"))
    await asyncio.to_thread(good.set_result, RESPONSE)
    assert await futures[0] is RESPONSE
    with pytest.raises(NotSent):
        await futures[1]
    with pytest.raises(asyncio.CancelledError):
        await futures[2]


def test_wait_and_as_completed_know_it() -> None:
    """Those that have ended, that end meanwhile, and those that do not; also with something of the user's in them."""
    ended, failed, cancelled, usual, never = taken(), taken(), Answer(), concurrent.futures.Future[Any](), taken()
    ended.mine = 1  # type: ignore[attr-defined]
    ended.set_result(RESPONSE)
    later = taken()
    later.mine = 2  # type: ignore[attr-defined]
    group = [ended, failed, cancelled, usual, never, later]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waits = pool.submit(concurrent.futures.wait, group, 10, concurrent.futures.FIRST_EXCEPTION)
        while not later._is_whole:
            pass
        cancelled.cancel()
        later.set_result(RESPONSE)
        usual.set_result(None)
        failed.set_exception(NotSent("not sent"))
        done, not_done = waits.result(10)
    assert done == {ended, failed, cancelled, usual, later}
    assert not_done == {never}
    assert set(concurrent.futures.as_completed(done, 10)) == done
    with pytest.raises(TimeoutError):
        list(concurrent.futures.as_completed([never], 0))
    never.set_result(RESPONSE)
    assert list(concurrent.futures.as_completed([never], 0)) == [never]


def test_what_is_not_there_is_not_there() -> None:
    answer = Answer()
    assert not hasattr(answer, "nothing")
    with pytest.raises(AttributeError, match="nothing"):
        answer.nothing  # noqa: B018


def test_an_error_that_was_raised_is_no_cycle() -> None:
    """It would keep the answer until the collector comes."""
    gc.collect()
    gc.disable()
    try:
        answer = taken()
        gone = weakref.ref(answer)
        answer.set_exception(NotSent("not sent"))
        with pytest.raises(NotSent):
            answer.result(0)
        del answer
        assert gone() is None
    finally:
        gc.enable()
