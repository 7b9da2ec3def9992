"""A second source beside the one that leads: it brings everything too, and leads in the turn in which that is lost.

What is lost with the first is no gap, if the second was there a moment before the first last proved that it worked.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from binance_session.connections.attempts import Attempts
from binance_session.errors import BinanceSessionError, ConnectionLost
from binance_session.events.feed import OVERLAP, Feed, SecondOwner
from binance_session.events.source import Source
from binance_session.log import SessionLog, Troubles

__all__ = ["Second"]

S = TypeVar("S", bound=Source)


class Second(SecondOwner, Generic[S]):
    """Keeps one source beside the leading one, while that is asked for. Times are the event loop's."""

    def __init__(
        self,
        feed: Feed,
        open_source: Callable[[SecondOwner], Awaitable[S]],
        drop: Callable[[S], None],
        attempts: Attempts,
        wake: asyncio.Event,
        await_end: Callable[[asyncio.Task[None]], None],
        log: SessionLog,
    ) -> None:
        """``open_source`` returns a source that follows in the feed; ``drop`` closes one.

        ``wake`` is set when the owner must look again; what is cancelled is given to ``await_end``.
        """
        self._feed = feed
        self._open_source = open_source
        self._drop = drop
        self._attempts = attempts
        self._wake = wake
        self._await_end = await_end
        self._log = log
        self._troubles = Troubles(log)
        self._source: S | None = None
        self._opened_at = 0.0
        self._opening: asyncio.Task[None] | None = None
        # questions to the leading source
        self._proving: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        #: when the next attempt may be made
        self.due_at = 0.0
        feed.on_lag = self._leading_lags

    @property
    def source(self) -> S | None:
        """The second source, if it works and follows."""
        source = self._source
        return source if source is not None and source.cause is None and self._feed.following is source else None

    @property
    def proven_at(self) -> float:
        """The loop time up to which all that was sent on it has certainly arrived."""
        return -math.inf if self._source is None else self._source.proven_at

    def tend(self, now: float) -> None:
        """See that there is one beside the leading source, or will be when the policy says."""
        if self._source is not None and self.source is None:
            why = self._source.cause or "it brings no events any more"
            cause = ConnectionLost(f"the second connection of the stream ended: {why}", outcome=None)
            self._retry(cause, now, lasted=now - self._opened_at)
            self._let_go()
        if self._source is None and self._opening is None and now >= self.due_at:
            self._opening = asyncio.get_running_loop().create_task(
                self._open(), name=self._log.task("second source of events")
            )

    def take(self) -> S | None:
        """Return the source, which leads from now on, if it works; another is opened beside it."""
        source = self.source
        if source is not None:
            self._source, self.due_at = None, 0.0
        return source

    def replace(self, pause: float = 0.0) -> None:
        """Close the source because it is due to end; the next one is opened after ``pause`` seconds."""
        self.due_at = _now() + pause
        self._let_go()

    def give_up(self) -> None:
        """Close what there is, also what is only being opened."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            self._await_end(opening)
            self._feed.abandon(self._feed.following)
        self._let_go()
        for question in (self._proving, self._asking):
            if question is not None:
                question.cancel()
                self._await_end(question)
        self._proving = self._asking = None

    async def settled(self) -> None:
        """Return when none is being opened."""
        if self._opening is not None:
            await asyncio.wait([self._opening])

    def reset(self) -> None:
        """Forget the failures: all begins anew."""
        self._attempts.reset()
        self._troubles.clear()
        self.due_at = 0.0

    def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._feed.abandon(source)
            self._drop(source)

    async def _open(self) -> None:
        try:
            source = await self._open_source(self)
            self._source, self._opened_at = source, _now()
            self._troubles.clear()
            if self._proving is None:
                self._proving = self._question(self._prove())
        except BinanceSessionError as error:
            self._troubles.log(error, "no second source of events (%s); the first is not affected", error)
            self._retry(error, _now())
        except Exception:
            self._log.exception("there is no second source of events any more: this is a defect of binance_session")
            self.due_at = math.inf
        finally:
            if self._opening is asyncio.current_task():
                self._opening = None
                self._wake.set()

    def _retry(self, cause: Exception, now: float, lasted: float = 0.0) -> None:
        delay = self._attempts.failed(cause, lasted=lasted)
        self.due_at = math.inf if delay is None else now + delay

    # Questions to the leading source

    def _question(self, question: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(
            question, name=self._log.task("question to the first source of events")
        )

    async def _prove(self) -> None:
        """Ping the leading source once the second brings everything: what it brought until then is complete.

        Otherwise, where pings are rare, a loss days later would be a gap that begins before the second one was there.
        """
        while (
            (source := self.source) is not None
            and (leading := self._feed.leading) is not None
            and leading.proven_at < source.brings_since
        ):
            await asyncio.sleep(max(OVERLAP, source.brings_since - _now()))
            await leading.confirm()
        self._proving = None

    def _leading_lags(self) -> None:
        if self._asking is None:
            self._asking = self._question(self._ask(self._feed.leading))

    async def _ask(self, leading: Source) -> None:
        """Find out whether the leading source is lost, or will not bring what it has not brought."""
        asked_at = _now()
        has_brought_all = await leading.confirm()
        self._asking = None
        if self._feed.leading is not leading:
            return
        if has_brought_all:
            self._feed.deliver_overdue(asked_at - OVERLAP)
        elif self.source is not None:
            leading.give_up("it brought no event that the second connection brought, and answered no ping")

    # What the feed reports

    def too_far_apart(self, behind: Source) -> None:
        """Called when a source is so far behind the other that no more is held for it."""
        behind.give_up("it fell too far behind the other connection of the stream")


def _now() -> float:
    return asyncio.get_running_loop().time()
