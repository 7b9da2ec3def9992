"""Writing to a pipe that somebody else is to read, and may not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Final

__all__ = ["Writer", "watch_reader"]

#: lines of a log that wait before the next are dropped
_PATIENCE: Final = 1000


class Writer:
    """Writes to a file descriptor in a thread of its own: a reader that does not read blocks that, and nothing else."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: SimpleQueue[tuple[bytes | Callable[[], bytes], Future[None]] | None] = SimpleQueue()
        # A daemon: a write that blocks for ever must not keep the process alive.
        self._thread = Thread(target=self._run, name="binance-session writer", daemon=True)
        self._thread.start()

    async def write(self, data: bytes | Callable[[], bytes]) -> None:
        """Return when the system has taken all of ``data``; raise :class:`OSError` if it does not.

        What is called for its data is called in the writer's thread: what takes long there holds up nothing else.
        """
        await asyncio.wrap_future(self._put(data))

    def post(self, data: bytes) -> None:
        """Have ``data`` written some time, or dropped if too much waits already."""
        if self._waiting.qsize() < _PATIENCE:
            self._put(data)

    def _put(self, data: bytes | Callable[[], bytes]) -> Future[None]:
        future: Future[None] = Future()
        self._waiting.put((data, future))
        return future

    def close(self, timeout: float) -> None:
        """Give what waits ``timeout`` seconds to be written."""
        self._waiting.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (entry := self._waiting.get()) is not None:
            data, future = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                self._write(data if isinstance(data, bytes) else data())
            except Exception as error:  # whatever it is, somebody waits to hear of it
                future.set_exception(error)
            else:
                future.set_result(None)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # another process that shares the pipe made it so
                select.select([], [self._descriptor], [])


def watch_reader(descriptor: int, gone: Callable[[], object]) -> None:
    """Call ``gone`` on the running event loop when nobody reads what is written to ``descriptor`` any more.

    Without it that is learned from the next write, which may be hours away. Where the system cannot tell, nothing is
    called.
    """
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are told unasked

    def watch() -> None:
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll()):
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(gone)

    Thread(target=watch, name="binance-session watch", daemon=True).start()
