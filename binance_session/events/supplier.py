"""Keeps one source of events leading the feed, makes the next one ready beside it, and hands over to it.

The base of both suppliers. On futures a source is a stream socket, on Spot a subscription on the API connection; they
differ in how a source is opened, and in what may be doubtful about it. Everything else is here: readers attach and
detach, the first source is waited for, one task keeps a source leading until nobody reads or the session ends.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar

from binance_session.clock import ServerClock
from binance_session.errors import BinanceSessionError, ConnectError, SessionClosed
from binance_session.events.feed import OVERLAP, Feed, Reader
from binance_session.events.source import Source
from binance_session.hooks import Hooks
from binance_session.log import SessionLog, Troubles
from binance_session.reconnect import ReconnectPolicy
from binance_session.stats import Stats

__all__ = ["Supplier"]

S = TypeVar("S", bound=Source)
Supply = Callable[[asyncio.Future[None]], Coroutine[Any, Any, None]]


class Supplier(ABC, Generic[S]):
    """Supplies a feed with events while it has readers; shared by all streams of a session."""

    #: whether reading from the network can be paused without harm to anything else
    can_pause: ClassVar[bool]

    def __init__(
        self, feed: Feed, clock: ServerClock, reconnect: ReconnectPolicy, hooks: Hooks, stats: Stats, log: SessionLog
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._reconnect = reconnect
        self._hooks = hooks
        self._stats = stats
        self._log = log
        # the kinds of trouble that were warned about since a source worked
        self._troubles = Troubles(log)
        # set when something has happened that the task must look at
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # done when the first source brings events, or cannot be had
        self._first: asyncio.Future[None] | None = None
        # what was cancelled or closed, and has not ended yet
        self._ending: set[asyncio.Task[None]] = set()
        # why the session ended, once it has
        self._over: Exception | None = None

    @property
    @abstractmethod
    def is_live(self) -> bool:
        """Whether events come now, as far as is known."""

    @property
    @abstractmethod
    def valid_until(self) -> float | None:
        """Until when the exchange sends events unless asked again, in Unix seconds; ``None``: it does not end."""

    # Readers

    def check_sockets(self, sockets: int) -> None:
        """Raise :class:`ConfigurationError` if a reader cannot have its events from so many sources."""

    async def attach(self, reader: Reader) -> None:
        """Deliver events to ``reader`` from now on; the first reader connects, and gets the error if that fails."""
        self._raise_if_over()
        supply = await self._acquire()
        self._feed.add(reader)
        self._wake.set()
        try:
            await self._begin(supply)
        except BaseException:
            self._remove(reader)
            self._release()
            raise

    async def detach(self, reader: Reader, *, stop: bool) -> None:
        """Deliver no more to ``reader``; after the last one close everything, and ``stop`` the key if asked.

        Nothing of it is left when this is cancelled.
        """
        self._remove(reader)
        try:
            if stop and not self._feed.readers and self._over is None:
                await self._stop()
        finally:
            self._release()
        await self.ended()

    def pause(self, reader: Reader) -> None:
        """Read no more from the network until every reader that asked for it has called :meth:`resume`."""

    def resume(self, reader: Reader) -> None:
        """Read on, unless another reader paused too."""

    def fail(self, error: Exception) -> None:
        """End every reader with ``error``, and everything else: the session is over."""
        self._over = error
        self._end(error)

    async def ended(self) -> None:
        """Return when nothing is left of what was cancelled or closed."""
        while self._ending:
            await asyncio.wait(self._ending)

    def link_promoted(self) -> None:
        """Called when an API connection came into use, or when one in use was logged on anew."""
        self._wake.set()

    # What a source needs, and how it is opened

    @abstractmethod
    async def _acquire(self) -> Supply:
        """Take what a reader needs before it is one; return what the task is to run for the first reader."""

    def _release(self) -> None:
        """Give that back."""

    async def _stop(self) -> None:
        """End it at the exchange, for every client of the account."""

    @abstractmethod
    def _drop(self, source: S) -> None:
        """Close a source, or release what it needs, without waiting for it."""

    @abstractmethod
    def _drop_all(self) -> None:
        """Do so with everything: there is no reader, or no session."""

    # The task

    @property
    def _wants_second(self) -> bool:
        """Whether a reader wants its events from two sources at the same time."""
        return any(reader.sockets > 1 for reader in self._feed.readers)

    def _raise_if_over(self) -> None:
        if self._over is not None:
            raise self._over.with_traceback(None)  # raised again, it would collect tracebacks

    async def _begin(self, supply: Supply) -> None:
        """Return when the first source brings events; start the task that runs ``supply`` if there is none."""
        self._raise_if_over()
        if (first := self._first) is None:
            loop = asyncio.get_running_loop()
            first = self._first = loop.create_future()
            self._task = loop.create_task(self._run(supply, first), name=self._log.task("user data stream"))
        await asyncio.shield(first)

    async def _run(self, supply: Supply, first: asyncio.Future[None]) -> None:
        error: Exception | None = None
        try:
            self._troubles.clear()
            await supply(first)
        except asyncio.CancelledError:
            if self._task is asyncio.current_task():  # not by us, but by a program that cancels all tasks
                self._end(SessionClosed("the user data stream's task was cancelled"))
            raise
        except BinanceSessionError as caught:
            error = caught
        except Exception as caught:
            self._log.exception("the user data stream failed: this is a defect of binance_session")
            error = ConnectError(f"the user data stream failed: {type(caught).__name__}")
        self._end(error)

    def _remove(self, reader: Reader) -> None:
        self._feed.remove(reader)
        self.resume(reader)
        self._wake.set()
        if not self._feed.readers:
            self._tear_down()

    def _end(self, error: Exception | None) -> None:
        if self._first is not None and not self._first.done() and error is not None:
            self._first.set_exception(error)
            self._first.exception()  # marks it as retrieved: perhaps nothing waits for it
        self._feed.end(error)
        self._tear_down()

    def _tear_down(self) -> None:
        """Cancel and drop everything, without waiting for it."""
        self._first = None
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            self._await_end(task)
        self._drop_all()

    def _await_end(self, task: asyncio.Task[None]) -> None:
        """Have :meth:`ended` wait for ``task``."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    # Handing over

    async def _hand_over(self, old: S, new: S) -> bool:
        """Make ``new``, which follows in the feed, lead in place of ``old``, without losing an event.

        Both run side by side for a moment; then ``old`` must show by a ping that nothing is left in it, or what came
        since its last sign of life is a gap. Returns ``False``, and changes nothing, when ``new`` cannot lead.
        """
        await asyncio.sleep(OVERLAP)
        has_brought_all = await old.confirm()
        if not self._can_lead(new, old):
            return False
        if has_brought_all:
            self._feed.take_over()
        else:
            self._succeed(old, new, f"the stream's connection ended: {old.cause or 'no answer to a ping'}")
        self._drop(old)
        return True

    def _can_lead(self, new: S, old: S) -> bool:
        """Tell whether ``new`` can lead in place of ``old``, after both have run side by side."""
        return new.cause is None

    def _succeed(self, old: S, new: S | None, cause: str) -> None:
        """Let ``new``, which follows in the feed, lead in place of ``old``, which has ended."""
        if new is not None and new.brings_since <= old.proven_at:
            self._feed.drop(old, None, cause)
        else:
            self._break_off(old, old.proven_at, cause)

    def _break_off(self, source: S, since: float, cause: str) -> None:
        """End a source in the feed: events since ``since`` (loop time) may be missing."""
        self._feed.drop(source, self._clock.ms_at(since), cause)
