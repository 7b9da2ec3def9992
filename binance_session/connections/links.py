"""All links of one session that are not gone yet, and the tasks that end them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from binance_session.connections.link import Link, LinkWatcher
from binance_session.errors import BinanceSessionError
from binance_session.log import SessionLog
from binance_session.venues import Method

__all__ = ["Links"]

#: seconds for which a link that was replaced is kept at least, where ``on_connected`` may have something to make again
_OVERLAP: Final = 2.0


class Links:
    """The links from their making until they are closed."""

    __slots__ = ("_answered", "_links", "_log", "_tasks")

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self._links: list[Link] = []
        self._tasks: set[asyncio.Task[None]] = set()
        # how many answers came on links that are gone
        self._answered = 0

    def __len__(self) -> int:
        return len(self._links)

    @property
    def in_flight(self) -> int:
        """How many requests were written and have not ended."""
        return sum(len(link.router) for link in self._links)

    @property
    def answered(self) -> int:
        """How many answers with a result reached their futures, on all links that there ever were."""
        return self._answered + sum(link.router.answered for link in self._links)

    def add(self, link: Link) -> None:
        """Keep a new link until it is closed."""
        self._links.append(link)

    def check(self) -> None:
        """Check every connection now, instead of at its next ping."""
        for link in self._links:
            link.check()

    def end_requests(self, error: Callable[[int, Method], BinanceSessionError], *, quietly: bool) -> int:
        """End what is in flight with ``error(request_id, method)``; return how many requests that were."""
        return sum(link.end_requests(error, quietly=quietly) for link in self._links)

    async def all_answered(self) -> None:
        """Return when all that is in flight now has ended."""
        await asyncio.gather(*[link.answered() for link in self._links])

    async def end(self, link: Link) -> None:
        """Close a link and forget it."""
        try:
            await link.close()
        finally:
            self._forget(link)

    def end_soon(self, link: Link) -> None:
        """Close a link and forget it, without waiting for that."""
        if link.is_gone:
            self._forget(link)
        else:
            self.in_background(self.end(link), "end")

    def _forget(self, link: Link) -> None:
        if link in self._links:
            self._links.remove(link)
            self._answered += link.router.answered

    def drain(self, link: Link, successor: Link | None, watcher: LinkWatcher | None) -> None:
        """Close a link once its last answer has come or timed out, and ``watcher`` needs it no more.

        What ``on_connected`` asked of the ``successor``, at once or a moment later, is answered first: a subscription
        of the bot's own, say, whose events the old link brings until then.
        """

        async def drain() -> None:
            if successor is not None:
                await asyncio.sleep(_OVERLAP)
                await successor.answered()
            await link.drained()
            if watcher is not None:
                await watcher.released(link)
            await self.end(link)

        self.in_background(drain(), "drain")

    def in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what ends a link, until :meth:`end_all`."""
        task = asyncio.get_running_loop().create_task(work, name=self._log.task(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end_all(self) -> None:
        """Close every link; return when nothing is left of them."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*[self.end(link) for link in self._links])
