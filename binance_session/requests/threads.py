"""Requests from other threads: handed over without a lock, many with one wake-up of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from binance_session.errors import SessionClosed
from binance_session.params import Params
from binance_session.requests.answer import Answer
from binance_session.responses import Response

__all__ = ["Handoff"]

#: requests written before the loop has its turn again: a flood of them must not keep answers waiting
_AT_ONCE: Final = 64

# (method, params, timeout, the other parameters of Session.submit by name if there are any)
_Request = tuple[str, Params | None, float | None, dict[str, Any] | None]


class Holding(Protocol):
    """A connection that can keep what is written to it for a moment."""

    def hold(self) -> None:
        """Keep the requests written from now on until :meth:`release`, in this same turn of the loop."""

    def release(self) -> None:
        """Write those requests to the socket, all at once."""


class Handoff:
    """Takes requests in any thread, and submits them on the event loop in the order in which they came."""

    __slots__ = ("_link", "_loop", "_over", "_submit", "_waiting", "_woken")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        submit: Callable[
            [Answer, str, Params | None, float | None, dict[str, Any] | None], asyncio.Future[Response] | None
        ],
        link: Callable[[], Holding | None],
    ) -> None:
        """Hand over to ``submit`` on ``loop``: it ends the answer, or returns the future that tells how.

        What it writes to ``link()`` meanwhile goes to the socket at once.
        """
        self._loop = loop
        self._submit = submit
        self._link = link
        self._waiting: deque[tuple[Answer, _Request]] = deque()
        self._woken = False
        # why the session takes no more, once it is over
        self._over = ""

    def give(self, method: str, params: Params | None, timeout: float | None, options: dict[str, Any] | None) -> Answer:
        """Hand a request over; raise :class:`SessionClosed` if the loop is closed.

        After :meth:`end` the answer ends with it at once.
        """
        answer = Answer()
        self._waiting.append((answer, (method, params, timeout, options)))
        # Whoever finds it set has appended before the loop clears it, and so before the loop looks.
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError:
                self._refuse_all()
                raise self._refusal(method) from None
        elif self._loop.is_closed():  # and will not come to what it was woken for
            self._refuse_all()
            raise self._refusal(method)
        # Whoever finds it not set has appended before end() sets it, and so before end() looks.
        if self._over:
            self._refuse_all()
        return answer

    def end(self, why: str) -> None:
        """Refuse what waits and what is still to come, because the session is over: so may be its loop, any moment."""
        self._over = self._over or why
        self._refuse_all()

    def _refuse_all(self) -> None:
        """End what nobody will take any more, also what was given when the loop was about to be closed."""
        with contextlib.suppress(IndexError):
            while True:
                answer, (method, *_) = self._waiting.popleft()
                if answer.set_running_or_notify_cancel():
                    answer.set_exception(self._refusal(method))

    def _refusal(self, method: str) -> SessionClosed:
        why = "the session's event loop is closed" if self._loop.is_closed() else self._over
        return SessionClosed(f"{why}; {method} was not sent", method=method)

    def _take(self) -> None:
        waiting, submit = self._waiting, self._submit
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
                if not answer.set_running_or_notify_cancel():
                    continue
                try:
                    future = submit(answer, *request)
                except BaseException as error:
                    answer.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    if future is not None:
                        future.add_done_callback(functools.partial(_hand_back, answer))
        finally:
            self._woken = False
            if waiting:
                self._woken = True
                self._loop.call_soon(self._take)
            if link is not None:
                link.release()


def _hand_back(answer: Answer, future: asyncio.Future[Response]) -> None:
    if future.cancelled():
        answer.set_exception(asyncio.CancelledError())
    elif (error := future.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(future.result())
