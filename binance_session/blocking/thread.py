"""A thread that runs an event loop, waiting for what runs there, and the end of both at the interpreter's exit."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from weakref import WeakSet

from binance_session.errors import ConfigurationError
from binance_session.ownloop import INHERITED, wrong_loop
from binance_session.websocket.forks import watch

__all__ = ["LoopThread", "OnThread", "wait"]

_T = TypeVar("_T")

#: seconds for which a wait cannot be interrupted, where the system does not interrupt it by itself (Windows)
_TICK: Final = 0.5
#: seconds for a loop to end
_LAST: Final = 5.0


class LoopThread:
    """A thread that runs an event loop; several blocking sessions may share one.

    It starts at the first use and ends with :meth:`close`; it does not keep the interpreter from exiting.
    """

    def __init__(self, name: str = "binance_session") -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_inherited = False
        watch(self, LoopThread._inherited)

    def _inherited(self) -> None:
        """Called in a forked child: the thread is the parent's, and there is none here."""
        self._is_inherited = True
        self._lock = threading.Lock()  # the parent's may have been held

    def check(self) -> None:
        """Raise :class:`ConfigurationError` where waiting would never end: on the loop's thread, or after a fork."""
        self._running()

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop, and return what it returns. A Ctrl-C meanwhile cancels it."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._running())
        except BaseException:
            work.close()
            raise
        return wait(future)

    def _running(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs. Raises :class:`ConfigurationError` where waiting for it would never end."""
        if self._is_inherited:
            raise wrong_loop(INHERITED, None)
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
        if threading.current_thread() is self._thread:
            raise ConfigurationError(
                "a blocking session cannot be waited for on its own event loop, as in a hook or a callback: it would"
                " wait for itself"
            )
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            for task in (left := asyncio.all_tasks(loop)):
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def close(self) -> None:
        """End the thread; may be called again. Sessions on it must be closed before."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._is_inherited:
            return
        with contextlib.suppress(RuntimeError):  # it is closed already
            loop.call_soon_threadsafe(loop.stop)
        if threading.current_thread() is not thread:
            thread.join(_LAST)


def wait(future: concurrent.futures.Future[_T]) -> _T:
    """Return a future's result; a Ctrl-C interrupts that on every system, and cancels the future."""
    try:
        while True:
            try:
                return future.result(_TICK)
            except TimeoutError:
                if future.done():  # it is the future's own
                    raise
    except KeyboardInterrupt:
        future.cancel()
        raise


class OnThread:
    """What lives on a loop's thread, and is opened and closed from any other."""

    def __init__(self, thread: LoopThread, *, owns_thread: bool, is_open: bool = False) -> None:
        self._thread = thread
        self._owns_thread = owns_thread
        self._is_open = is_open
        self._closing = threading.Lock()

    def open(self) -> None:
        """Open it."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError

    def _open_by(self, opening: Coroutine[Any, Any, None]) -> None:
        """Open it by this coroutine, and leave nothing if that fails."""
        self._is_open = True
        remember(self)
        try:
            self._thread.call(opening)
        except BaseException:
            self.close()
            raise

    def _close_by(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Close it by a coroutine, once, and the thread if that is its own."""
        with self._closing:  # the thread must not end while another closes what is on it
            if self._is_open:
                self._thread.call(close())
                self._is_open = False
                forget(self)
            if self._owns_thread:
                self._thread.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


# The exit of the interpreter


# For the whole process, because that is what an exit concerns.
_open: Final[WeakSet[OnThread]] = WeakSet()


def remember(what: OnThread) -> None:
    """Close it at the exit of the interpreter, unless it is forgotten before."""
    if not _open:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _open.add(what)


def forget(what: OnThread) -> None:
    """Do not close it at the exit: it was closed."""
    _open.discard(what)


def _close_all() -> None:
    for session in list(_open):
        with contextlib.suppress(Exception):  # the exit goes on, whatever keeps this one from ending
            session.close()
