"""The future that another thread waits for, without the lock of ``concurrent.futures``.

The futures of ``concurrent.futures`` allow any number of threads on both sides: each has a condition with a lock, which
every call takes and the garbage collector visits. With such a future a request from another thread takes 1.4 times as
long. Here only the event loop's thread sets the answer, and what threads may decide at the same moment is decided by
single operations of built-in types, which are atomic.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any, Final, Literal

from binance_session.responses import Response

__all__ = ["Answer", "AnyFuture", "all_ended"]

_log: Final = logging.getLogger("binance_session")

_TAKEN: Final = "taken"
_CANCELLED: Final = "cancelled"
#: guards becoming a future like any other, which is rarely needed
_rare: Final = threading.RLock()


class Answer(Future[Response]):
    """A future of ``concurrent.futures`` that any thread may wait for and only the event loop's thread ends.

    On a thread that runs an event loop, callbacks are called by that loop in a turn of their own: the future ends while
    a message is being received, and a callback must not run in the middle of that.
    """

    __slots__ = ("_error", "_fate", "_is_done", "_is_whole", "_response", "_to_call")

    _error: BaseException | None
    _response: Response

    def __init__(self) -> None:
        # The base's __init__, which makes the lock, is called when it is needed: see __getattr__().
        self._is_done = self._is_whole = False
        # The first to write into it decides whether the request is taken or cancelled.
        self._fate: dict[Literal["is"], str] = {}
        # Called when it is done. Adding comes before reading _is_done, and setting _is_done before reading this.
        self._to_call: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        state = "finished" if self._is_done else "running" if self._fate else "pending"
        return f"<{type(self).__name__} {_CANCELLED if self.cancelled() else state}>"

    # Called by the thread that submitted the request

    def cancel(self) -> bool:
        """Cancel the request, unless it was taken; return whether it is cancelled."""
        if self._fate.setdefault("is", _CANCELLED) is not _CANCELLED:
            return False
        self._error = CancelledError()
        self._finish()
        return True

    def cancelled(self) -> bool:
        """Return whether the request was cancelled."""
        return self._fate.get("is") is _CANCELLED

    def running(self) -> bool:
        """Return whether the request was taken and has not ended."""
        return not self._is_done and self._fate.get("is") is _TAKEN

    def done(self) -> bool:
        """Return whether the request has ended."""
        return self._is_done

    def result(self, timeout: float | None = None) -> Response:
        """Wait at most ``timeout`` seconds for the response and return it, or raise the request's error."""
        if not self._is_done:
            self._wait(timeout)
        if self._error is None:
            return self._response
        try:
            raise self._error
        finally:
            del self  # its error's traceback refers to this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait at most ``timeout`` seconds for the end of the request; return its error, or ``None``."""
        if not self._is_done:
            self._wait(timeout)
        if self.cancelled():
            raise CancelledError
        return self._error

    def add_done_callback(self, fn: Callable[[Future[Response]], object]) -> None:
        """Call ``fn`` with the future when it is done, or now if it is."""
        self._call_at_end(functools.partial(self._call, fn))

    # Called by the event loop's thread

    def set_running_or_notify_cancel(self) -> bool:
        """Take the request, unless it is cancelled; return whether it is taken."""
        return self._fate.setdefault("is", _TAKEN) is _TAKEN

    def set_result(self, result: Response) -> None:
        """End the request with its response."""
        if self._is_done:
            raise InvalidStateError(f"{self!r} has ended")
        self._response = result
        self._error = None
        self._finish()

    def set_exception(self, exception: BaseException | None) -> None:
        """End the request with an error."""
        if self._is_done:
            raise InvalidStateError(f"{self!r} has ended")
        self._error = exception
        self._finish()

    # Between the threads

    def _finish(self) -> None:
        self._is_done = True
        if self._to_call:
            self._call_all()

    def _call_at_end(self, call: Callable[[], object]) -> None:
        self._to_call.append(call)
        if self._is_done:
            self._call_all()

    def _call_all(self) -> None:
        """Call each waiter once, although two threads may do so at the same time."""
        while self._to_call:
            try:
                call = self._to_call.pop(0)
            except IndexError:
                return
            call()

    def _wait(self, timeout: float | None) -> None:
        lock = threading.Lock()
        lock.acquire()
        self._call_at_end(lock.release)
        is_released = False
        try:
            is_released = lock.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        finally:
            if not is_released:
                with contextlib.suppress(ValueError):
                    self._to_call.remove(lock.release)
        if not self._is_done:
            raise TimeoutError

    def _call(self, fn: Callable[[Future[Response]], object]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        try:
            if loop is None:
                fn(self)
            else:
                loop.call_soon(fn, self)  # in asyncio's debug mode this may raise as well
        except Exception:
            with contextlib.suppress(Exception):  # a log handler may raise, and the other callbacks must be called
                _log.exception("the callback %r raised", fn)

    # For what reads the attributes of the base, as wait() and as_completed() do

    def __getattr__(self, name: str) -> Any:
        """Become a future like any other when an attribute of the base is read."""
        with _rare:
            becomes_whole, self._is_whole = not self._is_whole, True
            if becomes_whole:
                super().__init__()
        if becomes_whole:
            self._call_at_end(self._end_base)
        return self.__getattribute__(name)

    def _end_base(self) -> None:
        if self.cancelled():
            super().cancel()
            super().set_running_or_notify_cancel()
        elif self._error is not None:
            super().set_exception(self._error)
        else:
            super().set_result(self._response)


#: a future that the answer to a request may end: of the event loop, or of another thread
AnyFuture = asyncio.Future[Response] | Answer


async def all_ended(futures: Sequence[AnyFuture]) -> None:
    """Return when all of these have ended."""
    left = len(futures)
    if not left:
        return
    ended = asyncio.get_running_loop().create_future()

    def one_ended(_: object) -> None:
        nonlocal left
        left -= 1
        if not left and not ended.done():
            ended.set_result(None)

    for future in futures:
        future.add_done_callback(one_ended)
    await ended
