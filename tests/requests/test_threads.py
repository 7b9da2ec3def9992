"""Requests from other threads: in order, each ended once, and the truth about each."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections import OrderedDict, UserDict
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from binance_session import (
    COIN_M,
    ApiError,
    ConfigurationError,
    ConnectionLost,
    NotSent,
    RequestTimeout,
    Session,
    SessionClosed,
    SessionState,
)
from binance_session.connections.link import Link
from binance_session.requests.threads import ThreadRequests
from binance_session.simulator import Fault
from tests.exchange import ED25519, exchange, requests, session_to, until
from tests.websocket.raw import Recorder

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


def link_of(session: Session) -> Link:
    link = session._admission.link
    assert link is not None
    return link


def cancel(index: int) -> dict[str, Any]:
    return {"symbol": "BTCUSD_PERP", "orderId": index}


async def test_answers_and_errors_reach_the_thread() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        reply = await in_thread(lambda: session.submit_threadsafe("account.balance").result(10))
        assert reply.result
        with pytest.raises(ApiError):
            await in_thread(lambda: session.submit_threadsafe("order.cancel", cancel(1)).result(10))
        with pytest.raises(ConfigurationError, match="float"):
            await in_thread(lambda: session.submit_threadsafe("order.cancel", {"symbol": 0.1}).result(10))  # type: ignore[dict-item]
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


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict])
async def test_params_are_those_at_the_time(kind: Callable[[Any], Any]) -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        params = kind(cancel(0))
        futures: list[concurrent.futures.Future[Any]] = []
        for index in (1, 2):
            params["orderId"] = index
            futures.append(session.submit_threadsafe("order.cancel", params))
        params["orderId"] = 3
        await ended(futures)
        assert [entry.params["orderId"] for entry in requests(simulator, "order.cancel")] == [1, 2]


async def test_what_is_no_mapping_is_told_by_the_future() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        for params in (["symbol"], 1, "symbol"):
            with pytest.raises(ConfigurationError, match="mapping"):
                await asyncio.wrap_future(session.submit_threadsafe("order.cancel", params))  # type: ignore[arg-type]


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
    assert session._thread_requests is not None
    assert not session._thread_requests._waiting


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


#: makes a task that runs up to its first wait now
EAGER: Any = getattr(asyncio, "eager_task_factory", None)


class GivesUp:
    """A reconnect policy."""

    def next_delay(self, attempt: int, cause: Exception | None) -> None:
        return None


async def given(session: Session, count: int) -> list[concurrent.futures.Future[Any]]:
    """Return the futures of requests that the loop has not come to yet."""
    return [session.submit_threadsafe("order.cancel", cancel(index)) for index in range(count)]


async def ended(futures: list[concurrent.futures.Future[Any]]) -> None:
    await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)


async def test_many_requests_are_one_write_in_their_order() -> None:
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        connection = link_of(session)._connection
        assert connection is not None
        futures = await given(session, 20)
        recorder = Recorder(connection)
        await asyncio.sleep(0)
        assert [len(messages) for messages in recorder.writes] == [20]
        session.submit("order.cancel", cancel(20)).cancel()
        assert [len(messages) for messages in recorder.writes] == [20, 1], "and then each goes by itself again"
        await ended(futures)
        assert [entry.params["orderId"] for entry in requests(simulator, "order.cancel")][:20] == list(range(20))
        assert all(isinstance(future.exception(0), ApiError) for future in futures)


async def test_a_flood_leaves_the_loop_its_turns() -> None:
    async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
        futures = await given(session, 500)
        taken: list[int] = []
        while not taken or taken[-1] < 500:
            await asyncio.sleep(0)
            taken.append(sum(future.running() or future.done() for future in futures))
        assert len(taken) > 3
        assert max(after - before for before, after in zip([0, *taken], taken, strict=False)) <= 100
        await ended(futures)


async def test_a_request_that_ends_the_program_keeps_no_other_waiting() -> None:
    class Leaving(Session):
        def prepare(self, method: str, params: Any) -> Any:
            if params["orderId"] == 1:
                raise asyncio.CancelledError  # of those that are no Exception, the one that a loop survives
            return params

    async with exchange(enforce_limits=False) as simulator, session_to(simulator, kind=Leaving) as session:
        complaints: list[Any] = []
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        futures = await given(session, 3)
        await ended(futures)
        loop.set_exception_handler(handler)
        assert [type(future.exception(0)) for future in futures] == [ApiError, asyncio.CancelledError, ApiError]


async def test_hooks_and_checks_are_those_of_every_request() -> None:
    class Marking(Session):
        def prepare(self, method: str, params: Any) -> Any:
            return {**params, "orderId": 7}

    async with exchange() as simulator, session_to(simulator, kind=Marking) as session:
        await ended(await given(session, 1))
        assert [entry.params["orderId"] for entry in requests(simulator, "order.cancel")] == [7]
    async with exchange() as simulator, session_to(simulator, max_in_flight=1) as plain:
        wrong = [
            plain.submit_threadsafe("account.balance", timeout=-1),
            plain.submit_threadsafe("account.balance", on_unready="never"),  # type: ignore[arg-type]
            plain.submit_threadsafe("no.such.method"),
            plain.submit_threadsafe(["account.balance"]),  # type: ignore[arg-type]
        ]
        one, beyond = [plain.submit_threadsafe("account.balance") for _ in range(2)]
        for future in wrong:
            with pytest.raises(ConfigurationError):
                await asyncio.wrap_future(future)
        with pytest.raises(NotSent, match="max_in_flight"):
            await asyncio.wrap_future(beyond)
        assert (await asyncio.wrap_future(one)).result


async def test_a_lost_connection_ends_it() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("drop_after", method="account.balance"))
        with pytest.raises(ConnectionLost) as caught:
            await in_thread(lambda: session.submit_threadsafe("account.balance").result(10))
        assert caught.value.outcome == "unknown"


async def test_closing_ends_what_is_in_flight() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="account.balance"))
        future = session.submit_threadsafe("account.balance")
        await asyncio.sleep(0)
        assert future.running()
        await session.close()
        error = future.exception(0)
        assert isinstance(error, SessionClosed)
        assert error.outcome == "unknown"


async def test_a_connection_that_is_replaced_waits_for_its_answer() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="account.balance", times=2))
        link = link_of(session)
        threads = session.submit_threadsafe("account.balance", timeout=0.1)
        ours = session.submit("account.balance")
        await asyncio.sleep(0)
        drained = asyncio.create_task(link.drained())
        await ended([threads])
        await asyncio.sleep(0)
        assert not drained.done()
        ours.cancel()
        await drained


async def test_a_parked_request_of_a_thread_leaves_later() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        assert (await in_thread(lambda: session.submit_threadsafe("account.balance").result(10))).result


@pytest.mark.virtual  # so that all three time out at one moment
@pytest.mark.parametrize("error", [ValueError("mine"), asyncio.CancelledError()])
async def test_what_a_callback_does_hurts_nothing(error: BaseException) -> None:
    """It runs when the answer has been dealt with: it may look, ask again and raise what it will."""
    async with exchange() as simulator, session_to(simulator) as session:
        complaints: list[Any] = []
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda loop, context: complaints.append(context["exception"]))
        seen: list[Any] = []

        def callback(future: concurrent.futures.Future[Any]) -> None:
            seen.append((session.in_flight, session.submit("account.balance")))
            raise error

        simulator.inject(Fault("no_answer", method="account.balance", times=3))
        futures = [session.submit_threadsafe("account.balance", timeout=0.05) for _ in range(3)]
        for future in futures:
            future.add_done_callback(callback)
        await ended(futures)
        await asyncio.sleep(0)
        loop.set_exception_handler(handler)
        assert [in_flight for in_flight, _ in seen] == [0, 1, 2]
        assert all(isinstance(future.exception(), RequestTimeout) for future in futures)
        for _, future in seen:
            assert (await future).result
        assert complaints == [error] * 3
        assert session.stats.connections == 1


def test_nobody_waits_for_an_event_loop_that_is_closed() -> None:
    """Neither who asks again, nor who asked when it was about to be; whatever became of the session."""

    def submit(*_: object) -> None:
        raise AssertionError

    loop = asyncio.new_event_loop()
    thread_requests = ThreadRequests(loop, submit, lambda: None)
    left, cancelled = [thread_requests.add("account.balance", None, None, None) for _ in range(2)]
    cancelled.cancel()
    loop.close()
    for _ in range(3):
        with pytest.raises(SessionClosed, match="event loop is closed"):
            thread_requests.add("account.balance", None, None, None)
    assert isinstance(left.exception(0), SessionClosed)
    assert cancelled.cancelled()


async def test_once_the_session_is_over_nobody_waits_for_the_loop() -> None:
    """It may be over, too, before its next turn: a thread that asked meanwhile would wait for ever."""
    async with exchange() as simulator:
        closed, failed = session_to(simulator), session_to(simulator, reconnect=GivesUp())
        await closed.open()
        await failed.open()
        closing = asyncio.ensure_future(closed.close())
        given_before = closed.submit_threadsafe("account.balance")
        await closing
        simulator.connections[0].drop()
        with pytest.raises(ConnectionLost):
            await failed.wait_for(SessionState.CLOSED)
        for session, why in ((closed, "was closed"), (failed, "ended, because the connection ended")):
            future = session.submit_threadsafe("account.balance")
            assert isinstance(future.exception(0), SessionClosed)
            with pytest.raises(SessionClosed, match=f"the session {why}.*account.balance was not sent") as caught:
                future.result(0)
            assert caught.value.outcome == "not_sent"
        assert isinstance(given_before.exception(0), SessionClosed)
        assert not requests(simulator, "account.balance")
        cancelled = closed.submit_threadsafe("account.balance")
        assert not cancelled.cancel()


def test_threads_that_ask_while_the_program_ends_are_all_told() -> None:
    """None of them waits for an answer when the event loop is gone."""

    def ask(session: Session, told: list[str]) -> None:
        with contextlib.suppress(SessionClosed):  # the event loop is closed
            while True:
                error = session.submit_threadsafe("account.balance").exception()
                if isinstance(error, SessionClosed):
                    told.append(error.outcome or "")

    async def main(told: list[str]) -> list[threading.Thread]:
        async with exchange(enforce_limits=False) as simulator, session_to(simulator) as session:
            threads = [threading.Thread(target=ask, args=(session, told), daemon=True) for _ in range(3)]
            for thread in threads:
                thread.start()
            await until(lambda: len(requests(simulator, "account.balance")) > 3)
            return threads

    for _ in range(5):
        told: list[str] = []
        threads = asyncio.run(main(told))
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert set(told) <= {"unknown", "not_sent"}


@pytest.mark.skipif(EAGER is None, reason="Python 3.12 has it")
async def test_a_session_that_a_hook_closes_takes_no_more_of_a_batch() -> None:
    """What was held leaves before the close frame, what follows is not sent, and each is told so."""

    class Closing(Session):
        def prepare(self, method: str, params: Any) -> Any:
            if params["orderId"] == 3:
                self.closing = EAGER(asyncio.get_running_loop(), self.close())
            return params

    async with exchange(enforce_limits=False) as simulator:
        session = session_to(simulator, kind=Closing)
        await session.open()
        futures = await given(session, 6)
        await ended(futures)
        await session.closing
        outcomes = [future.exception(0).outcome for future in futures]  # type: ignore[union-attr]
        assert outcomes == ["unknown"] * 3 + ["not_sent"] * 3
        assert [entry.params["orderId"] for entry in requests(simulator, "order.cancel")] == [0, 1, 2]


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


async def test_another_thread_is_refused_before_anything_is_sent() -> None:
    """Half of it would work, sometimes, with an order at stake."""
    errors: list[BaseException] = []

    async with exchange() as simulator, session_to(simulator) as session:

        def elsewhere() -> None:
            try:
                asyncio.run(session.request("order.place", ORDER))
            except BaseException as error:
                errors.append(error)
            try:
                session.submit("order.place", ORDER)
            except BaseException as error:
                errors.append(error)
            try:
                asyncio.run(session.close())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert [type(error) for error in errors] == [ConfigurationError] * 3
        assert "submit_threadsafe" in str(errors[0])
        assert requests(simulator, "order.place") == []
        loop = asyncio.get_running_loop()
        reply = await asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(session.request("order.place", ORDER), loop).result(10)
        )
        assert reply.status == 200
