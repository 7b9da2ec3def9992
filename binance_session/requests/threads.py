"""Requests from other threads: passed to the event loop without a lock, many with one wake-up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from binance_session.catalogue import SecurityName
from binance_session.config import OnUnready
from binance_session.credentials import Credentials
from binance_session.errors import NotSent, SessionClosed
from binance_session.ownloop import INHERITED, wrong_loop
from binance_session.params import Params
from binance_session.requests.answer import Answer
from binance_session.responses import Response

__all__ = ["ThreadMethods", "ThreadRequests"]

#: requests written in one turn of the event loop: a flood of them must not delay answers
_AT_ONCE: Final = 64

# (method, params, timeout, the other parameters of Session.submit by name if there are any)
_Request = tuple[str, Params | None, float | None, dict[str, Any] | None]


class Holding(Protocol):
    """A connection that can hold what is written to it for a moment."""

    def hold(self) -> None:
        """Hold the requests written from now on until :meth:`release`, in this same turn of the loop."""

    def release(self) -> None:
        """Write those requests to the socket, all at once."""


class ThreadRequests:
    """Takes requests in any thread, and submits them on the event loop in the order in which they came."""

    __slots__ = ("_contexts", "_ended", "_keeps_context", "_link", "_loop", "_scheduled", "_submit", "_waiting")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        submit: Callable[
            [Answer, str, Params | None, float | None, dict[str, Any] | None], asyncio.Future[Response] | None
        ],
        link: Callable[[], Holding | None],
        keeps_context: bool = False,
    ) -> None:
        """Call ``submit`` on ``loop`` with each request: it ends the answer itself, or returns a future that does.

        What it writes to ``link()`` in one turn of the loop leaves together. ``keeps_context``: ``submit`` is called
        in the context of the thread that added the request.
        """
        self._loop = loop
        self._submit = submit
        self._link = link
        self._keeps_context = keeps_context
        self._contexts: dict[Answer, contextvars.Context] = {}
        self._waiting: deque[tuple[Answer, _Request]] = deque()
        # whether the loop is going to call _submit_waiting()
        self._scheduled = False
        # why the session accepts no more requests, once it has ended
        self._ended = ""

    def add(self, method: str, params: Params | None, timeout: float | None, options: dict[str, Any] | None) -> Answer:
        """Submit a request; called in any thread. Raises :class:`SessionClosed` if the event loop is closed.

        ``params`` may be changed afterwards. After :meth:`end` the answer ends with :class:`SessionClosed` at once.
        """
        answer = Answer()
        copied = params
        if type(params) is dict:
            copied = params.copy()
        elif params is not None and isinstance(params, Mapping):  # what is no mapping is refused by ``submit``
            copied = dict(params)
        if self._keeps_context:
            self._contexts[answer] = contextvars.copy_context()
        self._waiting.append((answer, (method, copied, timeout, options)))
        # If it is set, the request was appended before the loop clears it, and so before the loop reads the queue.
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._submit_waiting)
            except RuntimeError:
                self._refuse_all()
                raise self._refusal(method) from None
        elif self._loop.is_closed():  # and will not do what was scheduled
            self._refuse_all()
            raise self._refusal(method)
        # If it is not set, the request was appended before end() sets it, and so before end() reads the queue.
        if self._ended:
            self._refuse_all()
        return answer

    def end(self, why: str) -> None:
        """Refuse what waits and what will be added: the session has ended, and its loop may be closed at any moment."""
        self._ended = self._ended or why
        self._refuse_all()

    def _refuse_all(self) -> None:
        """End everything that waits with an error; the loop may have been closed after it was added."""
        with contextlib.suppress(IndexError):
            while True:
                answer, (method, *_) = self._waiting.popleft()
                self._contexts.pop(answer, None)
                if answer.set_running_or_notify_cancel():
                    answer.set_exception(self._refusal(method))

    def _refusal(self, method: str) -> SessionClosed:
        why = "the session's event loop is closed" if self._loop.is_closed() else self._ended
        return SessionClosed(f"{why}; {method} was not sent", method=method)

    def _submit_waiting(self) -> None:
        waiting, submit, keeps = self._waiting, self._submit, self._keeps_context
        count = min(len(waiting), _AT_ONCE)
        link = self._link() if count > 1 else None
        if link is not None:
            link.hold()
        try:
            for _ in range(count):
                try:
                    answer, request = waiting.popleft()
                except IndexError:  # refused meanwhile
                    break
                context = self._contexts.pop(answer, None) if keeps else None
                if not answer.set_running_or_notify_cancel():
                    continue
                try:
                    future = submit(answer, *request) if context is None else context.run(submit, answer, *request)
                except BaseException as error:
                    answer.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    if future is not None:
                        future.add_done_callback(functools.partial(_copy_outcome, answer))
        finally:
            self._scheduled = False
            if waiting:
                self._scheduled = True
                self._loop.call_soon(self._submit_waiting)
            if link is not None:
                link.release()


def _copy_outcome(answer: Answer, future: asyncio.Future[Response]) -> None:
    if future.cancelled():
        answer.set_exception(asyncio.CancelledError())
    elif (error := future.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(future.result())


class ThreadMethods:
    """What a session has for other threads."""

    _loop: object
    _thread_requests: ThreadRequests | None

    def submit_threadsafe(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: SecurityName | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
    ) -> concurrent.futures.Future[Response]:
        """Submit a request from any thread; see :meth:`submit` for the parameters.

        The future ends as that of :meth:`submit` does, and with what :meth:`submit` raises. Cancelling it is possible
        until the event loop has taken the request, and then it was not sent; afterwards ``cancel()`` returns ``False``.
        Requests of one thread leave in their order. ``params`` may be changed afterwards, but for lists in it. The
        callbacks of the future are called on the event loop, in a turn of their own. Waiting for the result on the
        event loop's own thread would wait for ever, and so would waiting for an event loop that was stopped and never
        run again while the session was open.

        Raises, with nothing sent: :class:`NotSent` when the session was not opened, and :class:`SessionClosed` when its
        event loop is closed.
        """
        if self._loop is INHERITED:
            raise wrong_loop(self._loop, method)
        if self._thread_requests is None:
            raise NotSent(f"the session is not open; {method} was not sent: open it first", method=method)
        options: dict[str, Any] | None = None
        if security is not None or credentials is not None or on_unready is not None:
            options = {"security": security, "credentials": credentials, "on_unready": on_unready}
        return self._thread_requests.add(method, params, timeout, options)
