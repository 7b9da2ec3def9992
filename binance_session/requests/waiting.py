"""Requests that wait for the session to be READY.

They are signed and stamped when they leave, in the order in which they came, with what is left of their time.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, NotSent
from binance_session.params import Params
from binance_session.requests.sent import carrying
from binance_session.responses import Response
from binance_session.venues import Method

__all__ = ["WaitingRequests"]


class Writer(Protocol):
    """A connection that takes requests."""

    @property
    def is_open(self) -> bool:
        """Whether requests may be written."""
        ...

    def submit(
        self,
        method: Method,
        params: Params | None,
        credentials: Credentials | None,
        timeout: float | None,
        future: asyncio.Future[Response],
    ) -> asyncio.Future[Response]:
        """Write a request for which ``future`` waits."""
        ...


@frozen(eq=False)
class _Waiting:
    method: Method
    params: Params | None
    credentials: Credentials | None
    timer: asyncio.TimerHandle
    #: that of who submitted it
    context: contextvars.Context


class WaitingRequests:
    """The waiting requests of one session, at most ``bound`` of them."""

    __slots__ = ("_bound", "_waiting")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: dict[asyncio.Future[Response], _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self, method: Method, params: Params | None, credentials: Credentials | None, timeout: float
    ) -> asyncio.Future[Response]:
        """Keep a request; its future ends with :class:`NotSent` if it could not leave within ``timeout`` seconds.

        Raises :class:`NotSent` at once when the bound is reached.
        """
        if len(self._waiting) >= self._bound:
            raise carrying(
                NotSent(
                    f"{self._bound} requests wait already (max_in_flight); this one was not sent", method=method.name
                ),
                params,
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Response] = loop.create_future()

        def expire() -> None:
            if not future.done():
                said = f"{method.name} could not leave within {timeout:g} s and was not sent"
                future.set_exception(carrying(NotSent(said, method=method.name), params))

        timer = loop.call_later(timeout, expire)
        self._waiting[future] = _Waiting(method, params, credentials, timer, contextvars.copy_context())
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: asyncio.Future[Response]) -> None:
        request = self._waiting.pop(future, None)
        if request is not None:
            request.timer.cancel()

    def send_all(
        self, link: Writer, may_leave: Callable[[Method], bool], sent: Callable[[Method, Params | None], object]
    ) -> None:
        """Write what waits and ``may_leave``, in order; what is left when ``link`` ends goes on waiting.

        ``sent`` is called with each, and may call this again.
        """
        now = asyncio.get_running_loop().time()
        for future, request in list(self._waiting.items()):
            if (
                future not in self._waiting
                or future.done()
                or request.timer.when() <= now
                or not may_leave(request.method)
            ):
                continue
            try:
                request.context.run(
                    link.submit,
                    request.method,
                    request.params,
                    request.credentials,
                    request.timer.when() - now,
                    future,
                )
            except Exception as error:  # NotSent, or whatever somebody's credentials raise
                if not link.is_open:
                    return
                if not future.done():  # somebody's credentials may have closed the session
                    future.set_exception(carrying(error, request.params))
                self._leave(future)
            else:
                self._leave(future)
                sent(request.method, request.params)

    def end_all(self, error: Callable[[str], BinanceSessionError], *, quietly: bool) -> None:
        """End what waits with ``error(method)`` each; ``quietly`` as in :meth:`Router.end_all`."""
        for future, request in list(self._waiting.items()):
            if not future.done():
                future.set_exception(carrying(error(request.method.name), request.params))
                if quietly:
                    future.cancel()
            self._leave(future)
