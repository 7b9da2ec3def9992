"""Making the next link ready beside the one in use, which is due to end: its 24 hours, or ``serverShutdown``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from binance_session.connections.attempts import Attempts
from binance_session.connections.link import Link
from binance_session.connections.links import Links
from binance_session.errors import BinanceSessionError, ConnectError, LogonRejected
from binance_session.log import SessionLog, Troubles

__all__ = ["Rollover"]


class Rollover:
    """The successor of one link. If none can be had, the link is used to its last moment."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Link]],
        links: Links,
        attempts: Attempts,
        hasty: Attempts,
        after: float | None,
        began: float,
        wake: Callable[[], None],
        troubles: Troubles,
        log: SessionLog,
    ) -> None:
        """Begin ``after`` seconds (or up to a tenth less) after loop time ``began``, with what ``connect`` opens.

        ``attempts`` counts those at a successor, ``hasty`` the links in a row that the exchange announced to end soon
        after they began. ``wake`` is called when the successor is ready, or has failed.
        """
        self._connect = connect
        self._links = links
        self._attempts = attempts
        self._hasty = hasty
        self._wake = wake
        self._troubles = troubles
        self._log = log
        self._task: asyncio.Task[Link] | None = None
        self._began = began
        #: loop time of the next attempt
        self.due = math.inf if after is None else self._began + after * attempts.chance(0.9, 1.0)
        #: loop time at which a successor's logon was refused last
        self.refused_at = -math.inf

    @property
    def is_under_way(self) -> bool:
        """Whether a successor is being made ready."""
        return self._task is not None

    def announced(self) -> None:
        """Called when the link's end is announced: attempt a successor soon."""
        if self._attempts.refusals and self.due < math.inf:
            return  # the next logon is due already, when it may be
        # An exchange that announces the end of each new connection is not dialled without end.
        wait = self._hasty.repeated(ConnectError("shutdown announced"), lasted=_now() - self._began)
        self.due = min(self.due, _now() + (wait or 0.0))

    def begin(self) -> None:
        """Attempt a successor."""
        self.due = math.inf
        self._task = asyncio.get_running_loop().create_task(self._open(), name=self._log.task("rollover"))
        self._task.add_done_callback(lambda _: self._wake())

    async def _open(self) -> Link:
        """Return a link that answers; one that would not outlive its logon does not replace one that works."""
        link = await self._connect()
        try:
            if await link.confirm():
                return link
        except BaseException:
            await self._links.end(link)
            raise
        await self._links.end(link)
        raise ConnectError(f"the second connection ended at once: {link.cause}")

    def result(self) -> Link | None:
        """Return the successor, once it is ready; when it failed, the next attempt becomes due."""
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        try:
            return self._alive(task.result())
        except BinanceSessionError as error:
            if isinstance(error, LogonRejected):
                self.refused_at = _now()
            delay = self._attempts.failed(error)
            if delay is None:  # until there is another reason for one
                self.due = math.inf
                self._attempts.reset()
            else:
                self.due = _now() + delay
            self._troubles.log(error, "no second connection (%s); the first is used on", error)
            return None

    async def last_chance(self) -> Link | None:
        """Return the successor that is being made ready although the link is lost; ``None`` if there is none.

        Raises :class:`LogonRejected` when its logon was refused.
        """
        if self._task is None:
            return None
        try:
            successor = await self._task
            self._task = None  # it is used, or ended, by now
            return self._alive(successor)
        except BinanceSessionError as error:
            self._log.warning("no second connection (%s), and the first is gone", error)
            if isinstance(error, LogonRejected):
                raise
            return None

    def _alive(self, successor: Link) -> Link:
        """Return ``successor``, unless it has ended since it answered."""
        if successor.cause is None:
            return successor
        self._links.in_background(self._links.end(successor), "end")
        raise ConnectError(f"the second connection ended at once: {successor.cause}")

    async def abandon(self) -> None:
        """Give up the successor that is being made ready, or is ready and was not taken, if there is one."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            self._links.in_background(self._links.end(task.result()), "end")


def _now() -> float:
    return asyncio.get_running_loop().time()
