"""The events of many sessions in one iteration: bounded for each account, with a gap where one is due."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Final

from attrs import define, field

from binance_session.errors import BinanceSessionError, SessionClosed, why
from binance_session.reconnect import ExponentialBackoff
from binance_session.responses import Event
from binance_session.session import Session

__all__ = ["MergedEvents"]

#: seconds for which both sessions of an account bring its events when one follows on the other
_OVERLAP: Final = 2.0
#: seconds for the next session's stream to be opened, before that session takes over without it
_PATIENCE: Final = 30.0
_log: Final = logging.getLogger("binance_session")


@define(eq=False)
class _Source:
    """One session's events on their way: a task reads them, and gives them on when there is room."""

    name: str
    session: Session
    task: asyncio.Task[None] | None = None
    #: done when its stream has been opened
    is_open: asyncio.Future[None] | None = None
    #: kept here until it takes over; ``None``: given on at once
    held: deque[Event] | None = None
    #: what it brought while another is about to take over
    brought: Counter[str] | None = field(default=None)


class MergedEvents:
    """Reads the streams of sessions as they come and go, and gives their events one by one."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._sources: dict[str, _Source] = {}
        # one place: what does not fit waits in its own session's stream, whose buffer is the bound
        self._queue: asyncio.Queue[tuple[str, Event] | None] = asyncio.Queue(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False

    # Sessions

    def follow(self, name: str, session: Session) -> None:
        """Read a session's events from now on, unless its account is followed already."""
        if name not in self._sources and not self._is_over:
            self._sources[name] = self._start(_Source(name, session))

    def leave(self, name: str, session: Session) -> None:
        """Read a session's events no more."""
        source = self._sources.get(name)
        if source is not None and source.session is session:
            del self._sources[name]
            self._cancel(source)

    async def taken_over(self, name: str, session: Session) -> None:
        """Go on with another session of an account, without a gap and with each event once."""
        old = self._sources.get(name)
        if old is None or self._is_over:
            self.follow(name, session)
            return
        new = self._start(_Source(name, session, held=deque(maxlen=self._buffer)))
        old.brought = Counter()
        assert new.is_open is not None
        assert new.held is not None
        await asyncio.wait([new.is_open], timeout=_PATIENCE)
        await asyncio.sleep(_OVERLAP)
        if self._sources.get(name) is not old:  # it was removed meanwhile
            self._cancel(new)
            return
        self._sources[name] = new
        self._cancel(old)
        brought = old.brought
        while new.held:
            event = new.held.popleft()
            text = _text(event)
            if brought[text]:
                brought[text] -= 1
            else:
                await self._queue.put((name, event))
        new.held = None

    def _start(self, source: _Source) -> _Source:
        loop = asyncio.get_running_loop()
        source.is_open = loop.create_future()
        source.task = loop.create_task(self._read(source), name=f"{source.session.name}: events")
        self._tasks.add(source.task)
        source.task.add_done_callback(self._tasks.discard)
        return source

    def _cancel(self, source: _Source) -> None:
        if source.task is not None:
            source.task.cancel()
        if source.is_open is not None and not source.is_open.done():
            source.is_open.set_result(None)

    async def _read(self, source: _Source) -> None:
        """Give on a session's events until it ends; open its stream again whatever ends that."""
        session, backoff, attempt = source.session, ExponentialBackoff(), 0
        cause, since = "", 0
        while True:
            try:
                async with session.user_data_stream(buffer=self._buffer) as events:
                    attempt = 0
                    if source.is_open is not None and not source.is_open.done():
                        source.is_open.set_result(None)
                    if cause:
                        now = round(session.now() * 1000)
                        data = {"cause": cause, "since": since, "until": now, "over": True}
                        await self._give(source, Event("gap", now, data, is_gap=True))
                        cause = ""
                    async for event in events:
                        since = event.time
                        await self._give(source, event)
                    cause = "the stream ended"
            except SessionClosed:
                break
            except BinanceSessionError as error:
                cause = str(error)
                since = since or round(session.now() * 1000)
                _log.warning("[%s] no user data stream: %s", session.name, why(error))
            attempt += 1
            await asyncio.sleep(backoff.next_delay(attempt, None) or 0.0)
        if source.is_open is not None and not source.is_open.done():
            source.is_open.set_result(None)

    async def _give(self, source: _Source, event: Event) -> None:
        if source.held is not None:
            source.held.append(event)
            return
        if source.brought is not None:
            source.brought[_text(event)] += 1
        await self._queue.put((source.name, event))

    # The iteration

    def __aiter__(self) -> AsyncIterator[tuple[str, Event]]:
        return self

    async def __anext__(self) -> tuple[str, Event]:
        if self._is_over and self._queue.empty():
            raise StopAsyncIteration
        item = await self._queue.get()
        if item is None:
            raise StopAsyncIteration
        return item

    def end(self) -> None:
        """End the iteration, and read nothing more."""
        self._is_over = True
        self._sources.clear()
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.QueueFull):  # else the reader sees it when it has read that
            self._queue.put_nowait(None)

    async def ended(self) -> None:
        """Return when no task is left."""
        if self._tasks:
            await asyncio.wait(self._tasks)


def _text(event: Event) -> str:
    return json.dumps(event.data, sort_keys=True, default=str)
