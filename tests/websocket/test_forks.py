"""A forked child has the parent's session in its memory, and must not use it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from binance_session import ConfigurationError, Session, SessionState
from binance_session.websocket.forks import watch
from tests.exchange import exchange, session_to

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")


def refusals(session: Session) -> list[str]:
    """Use a session in every way; return what each use was refused with."""

    async def awaited(name: str, *arguments: object) -> None:
        await getattr(session, name)(*arguments)

    async def submit() -> None:
        session.submit("account.balance")

    async def stream() -> None:
        async with session.user_data_stream():
            pass

    uses: list[Callable[[], object]] = [
        lambda: session.submit("account.balance"),
        lambda: session.submit_threadsafe("account.balance"),
        lambda: asyncio.run(submit()),
        lambda: asyncio.run(stream()),
        lambda: asyncio.run(awaited("request", "account.balance")),
        lambda: asyncio.run(awaited("open")),
        lambda: asyncio.run(awaited("close")),
        lambda: asyncio.run(awaited("wait_for", session.state)),
        lambda: asyncio.run(awaited("status")),
        lambda: asyncio.run(awaited("start_user_data_stream")),
    ]
    told = []
    for use in uses:
        try:
            use()
        except ConfigurationError as error:
            told.append(str(error))
    return told + ["accepted"] * (len(uses) - len(told))


def child(session: Session, out: Any) -> None:
    told = refusals(session)
    # What runs on there all the same, a clean-up or a collector, must not reach the parent's connection either.
    link = session._admission.link
    assert link is not None
    assert link._connection is not None
    with contextlib.suppress(OSError, RuntimeError):
        link._connection.transport.write(b"no frame at all")
        link._connection.transport.close()
    out.put(told)


async def test_every_use_in_a_forked_child_is_refused_and_the_parent_goes_on() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        context = multiprocessing.get_context("fork")
        out = context.Queue()
        process = context.Process(target=child, args=(session, out))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that threads and forks do not go together
            process.start()
        told = await asyncio.to_thread(out.get, True, 20)
        await asyncio.to_thread(process.join)
        assert all("this process was forked" in text for text in told), told
        assert len(told) == 10
        assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1


async def test_a_coroutine_that_goes_on_in_a_forked_child_is_refused_in_words() -> None:
    """There asyncio itself knows of no running loop. What only looks answers as in the parent."""
    async with exchange() as simulator, session_to(simulator) as session:
        stream = session.user_data_stream()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if not process:
            refused = 0
            try:
                uses: list[Callable[[], Coroutine[Any, Any, object]]] = [
                    session.open,
                    session.close,
                    session.__aenter__,
                    lambda: session.__aexit__(None, None, None),
                    lambda: session.wait_for(SessionState.READY),
                    session.start_user_data_stream,
                    stream.__aenter__,
                    lambda: stream.__aexit__(None, None, None),
                    lambda: session.request("account.balance"),
                ]
                for use in uses:
                    try:
                        await use()
                    except ConfigurationError as error:
                        refused += "this process was forked" in str(error)
                answers = session.state is SessionState.READY and session.stats.connections == 1 and session.now() > 0
                os._exit(0 if refused == 9 and answers else 1 + refused)
            finally:
                os._exit(99)
        _, ended = await asyncio.to_thread(os.waitpid, process, 0)
        assert os.waitstatus_to_exitcode(ended) == 0
        assert (await session.request("account.balance")).status == 200


class Watched:
    told = False

    def tell(self) -> None:
        self.told = True

    def fail(self) -> None:
        raise RuntimeError("a transport that does not like this thread")


def test_one_that_cannot_be_told_does_not_keep_the_others_from_it() -> None:
    first, second = Watched(), Watched()
    watch(first, Watched.fail)
    watch(second, Watched.tell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if not process:
        os._exit(not second.told)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert not second.told


async def test_a_fork_in_another_thread_is_found_out_too() -> None:
    """Where the transport answers its own thread only (aiofastnet), what was asked of it before is used."""
    async with exchange() as simulator, session_to(simulator) as session:
        link = session._admission.link
        assert link is not None
        connection = link._connection
        assert connection is not None

        class Elsewhere:
            def get_extra_info(self, name: str) -> object:
                raise RuntimeError("called from a wrong thread")

        def fork() -> int:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                process = os.fork()
            if not process:
                with contextlib.suppress(OSError):
                    os.write(connection._socket.fileno(), b"no frame at all")
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

        transport, connection.transport = connection.transport, Elsewhere()  # type: ignore[assignment]
        try:
            assert await asyncio.to_thread(fork) == 0
        finally:
            connection.transport = transport
        assert (await session.request("account.balance")).status == 200
        assert session.stats.connections == 1
