"""The future that another thread waits for, without the lock that such futures have.

The futures of ``concurrent.futures`` are made for any number of threads on both sides. Each has a condition with a
lock, which every call takes and the garbage collector visits: a third of all that a request from another thread would
cost. Here one thread gives the answer, the event loop's, and what is left to decide between threads is decided by
single operations of built-in types, which are atomic.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any, Final, Literal

from binance_session.responses import Response

__all__ = ["Answer", "AnyFuture"]

_log: Final = logging.getLogger("binance_session")

_TAKEN: Final = "taken"
_CANCELLED: Final = "cancelled"
#: guards what nearly no future needs: becoming one like any other
_rare: Final = threading.RLock()


class Answer(Future[Response]):
    """A future of ``concurrent.futures`` that any thread may wait for and one thread ends.

    Callbacks on a thread that runs an event loop are called by that loop, in a turn of their own: an answer is given
    inside its reception, where what they do would happen in the middle of something.
    """

    __slots__ = ("_error", "_fate", "_is_done", "_is_whole", "_response", "_to_tell")

    _error: BaseException | None
    _response: Response

    def __init__(self) -> None:
        # Not the base's, which makes the lock: see __getattr__().
        self._is_done = self._is_whole = False
        # Who comes first writes into it whether the request is taken or cancelled.
        self._fate: dict[Literal["is"], str] = {}
        # Whoever adds to it looks at _is_done afterwards, and whoever is done looks into it afterwards.
        self._to_tell: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        state = "finished" if self._is_done else "running" if self._fate else "pending"
        return f"<{type(self).__name__} {_CANCELLED if self.cancelled() else state}>"

    # What the thread that asked calls

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
        """Return the response or raise the error, once there is one; wait ``timeout`` seconds at most."""
        if not self._is_done:
            self._wait(timeout)
        if self._error is None:
            return self._response
        try:
            raise self._error
        finally:
            del self  # its error's traceback refers to this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error, or ``None``, once the request has ended; wait ``timeout`` seconds at most."""
        if not self._is_done:
            self._wait(timeout)
        if self.cancelled():
            raise CancelledError
        return self._error

    def add_done_callback(self, fn: Callable[[Future[Response]], object]) -> None:
        """Have ``fn`` called with the future when it is done, or now if it is."""
        self._tell(functools.partial(self._call, fn))

    # What the thread that answers calls

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

    # Between the two

    def _finish(self) -> None:
        self._is_done = True
        if self._to_tell:
            self._tell_all()

    def _tell(self, tell: Callable[[], object]) -> None:
        self._to_tell.append(tell)
        if self._is_done:
            self._tell_all()

    def _tell_all(self) -> None:
        """Tell those that are to be told, each once, whoever else is doing the same."""
        while self._to_tell:
            try:
                tell = self._to_tell.pop(0)
            except IndexError:
                return
            tell()

    def _wait(self, timeout: float | None) -> None:
        lock = threading.Lock()
        lock.acquire()
        self._tell(lock.release)
        is_told = False
        try:
            is_told = lock.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        finally:
            if not is_told:
                with contextlib.suppress(ValueError):
                    self._to_tell.remove(lock.release)
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
            with contextlib.suppress(Exception):  # somebody's log handler may raise, and others are to be told
                _log.exception("the callback %r raised", fn)

    # For those who look inside

    def __getattr__(self, name: str) -> Any:
        """Become a future like any other when one of its parts is looked for, as wait() and as_completed() do."""
        with _rare:
            becomes_whole, self._is_whole = not self._is_whole, True
            if becomes_whole:
                super().__init__()
        if becomes_whole:
            self._tell(self._end_base)
        return self.__getattribute__(name)

    def _end_base(self) -> None:
        if self.cancelled():
            super().cancel()
            super().set_running_or_notify_cancel()
        elif self._error is not None:
            super().set_exception(self._error)
        else:
            super().set_result(self._response)


#: what the answer to a request may be put into: a future of the loop, or of another thread
AnyFuture = asyncio.Future[Response] | Answer
