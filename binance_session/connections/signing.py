"""Requests whose signature is awaited: a remote signer's. They are written when it has come, in their order."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define

from binance_session.errors import BinanceSessionError, ConfigurationError, NotSent
from binance_session.params import Params
from binance_session.requests.answer import AnyFuture
from binance_session.requests.encoding import Unsigned
from binance_session.requests.sent import carrying
from binance_session.venues import Method

__all__ = ["Signed", "Signing"]


@define(eq=False)
class Signed:
    """A request that waits to be written: ``params`` are whole once it ``is_ready``."""

    method: Method
    params: dict[str, Any]
    future: AnyFuture
    #: loop time at which its time is over
    deadline: float
    vouched: bool
    #: that of who submitted it
    context: contextvars.Context
    is_ready: bool = False


class Signing:
    """The requests of one link that wait for their signatures, or for one before them."""

    __slots__ = ("_bound", "_is_open", "_task_name", "_tasks", "_waiting", "_write")

    def __init__(
        self, write: Callable[[Signed], None], is_open: Callable[[], bool], bound: int, task_name: str
    ) -> None:
        """Let ``bound`` wait while ``is_open()``; ``write`` writes one, or raises :class:`BinanceSessionError`."""
        self._write = write
        self._is_open = is_open
        self._bound = bound
        self._task_name = task_name
        self._waiting: deque[Signed] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def futures(self) -> list[AnyFuture]:
        """Return the futures of those that wait."""
        return [each.future for each in self._waiting if not each.future.done()]

    def add(
        self, method: Method, unsigned: Unsigned, timeout: float, vouched: bool, future: AnyFuture | None
    ) -> AnyFuture:
        """Return the future of a request that is written when its signature has come.

        It ends with :class:`NotSent` if that takes ``timeout`` seconds, and with :class:`ConfigurationError` if the
        signer raises or answers no text. Raises :class:`NotSent` when none may wait now.
        """
        if not self._is_open() or len(self._waiting) >= self._bound:
            unsigned.give_up()
            why = f"{self._bound} requests wait to be signed" if self._is_open() else "the connection is going away"
            raise carrying(NotSent(f"{why}; the request was not sent", method=method.name), _shown(unsigned.params))
        loop = asyncio.get_running_loop()
        if future is None:
            future = loop.create_future()
        request = Signed(method, unsigned.params, future, loop.time() + timeout, vouched, contextvars.copy_context())
        self._waiting.append(request)
        task = loop.create_task(self._sign(request, unsigned, timeout), name=self._task_name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: unsigned.give_up())  # it may never have begun
        return future

    async def _sign(self, request: Signed, unsigned: Unsigned, timeout: float) -> None:
        name = request.method.name
        try:
            async with asyncio.timeout(timeout) as limit:
                request.params["signature"] = await unsigned.signature()
        except TimeoutError:
            said = f"{name} was not signed within {timeout:g} s and was not sent"
            if not limit.expired():  # the signer's own
                said = f"{name} could not be signed (TimeoutError) and was not sent"
            self._fail(request, NotSent(said, method=name))
        except ConfigurationError as error:
            error.method = name
            self._fail(request, error)
        else:
            request.is_ready = True
        self._write_ready()

    def _write_ready(self) -> None:
        while self._waiting and (self._waiting[0].is_ready or self._waiting[0].future.done()):
            request = self._waiting.popleft()
            if request.future.done():  # cancelled, or too late
                continue
            try:
                request.context.run(self._write, request)
            except BinanceSessionError as error:
                self._fail(request, error)

    def _fail(self, request: Signed, error: BinanceSessionError) -> None:
        if not request.future.done():
            request.future.set_exception(carrying(error, _shown(request.params)))

    def end(self, why: str, *, quietly: bool = False) -> None:
        """End what waits with :class:`NotSent`: nothing of it was sent. ``quietly`` as in :meth:`Router.end_all`."""
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            if not request.future.done():
                name = request.method.name
                self._fail(request, NotSent(f"{why} before {name} was signed; it was not sent", method=name))
                if quietly:
                    request.future.cancel()
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Return when no signer is awaited any more."""
        if self._tasks:
            await asyncio.wait(self._tasks)


def _shown(params: dict[str, Any]) -> Params:
    return {name: value for name, value in params.items() if name not in ("apiKey", "signature")}
