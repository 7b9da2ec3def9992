"""Subscriptions that the bot made itself on the API connection (Spot), and the gap that their end is.

A subscription belongs to its connection: it ends when that is lost, and when the session moves to another one. Nobody
here makes it again, for nobody here knows its credentials (a margin account's listenToken); the bot can, from
``on_connected``. What ``on_event`` is told is a gap, unless the bot has subscribed on the next connection before.
Documents: PROTOCOL.md §5.4.
"""

from __future__ import annotations

import asyncio
from typing import Final

from binance_session.clock import ServerClock
from binance_session.connections.link import Link
from binance_session.hooks import Hooks
from binance_session.log import SessionLog
from binance_session.responses import Event, Response
from binance_session.stats import Stats
from binance_session.venues import Method

__all__ = ["OwnSubscriptions"]

#: seconds that a connection with such a subscription is kept beside the next one, on which it may be made again
_KEPT: Final = 1.0
#: the subscription that ends with the connection's logon
_BY_LOGON: Final = "userDataStream.subscribe"


class OwnSubscriptions:
    """What the bot subscribed to, by connection."""

    def __init__(self, clock: ServerClock, hooks: Hooks, stats: Stats, log: SessionLog) -> None:
        self._clock = clock
        self._hooks = hooks
        self._stats = stats
        self._log = log
        # by the id of the request: which method, and the subscription's number if it was told
        self._made: dict[Link, dict[int, tuple[str, int | None]]] = {}
        #: the id of a request that subscribes for the session's own streams
        self.not_own = 0
        # since when (ms), why, and how many that were lost have not been made again
        self._gap: tuple[int, str, int] | None = None
        self._changed = asyncio.Event()

    def answered(self, link: Link, method: Method, response: Response) -> None:
        """Take note of a subscription, if it is the bot's."""
        if response.request_id == self.not_own or not isinstance(response.result, dict):
            return
        number = response.result.get("subscriptionId")
        made = self._made.setdefault(link, {})
        made[response.request_id] = (method.name, number if type(number) is int else None)
        self._changed.set()
        if self._gap is not None and len(made) >= self._gap[2]:
            (since, cause, _), self._gap = self._gap, None
            self._tell(since, cause, over=True)

    def terminated(self, link: Link, number: int | None) -> None:
        """Take note that the exchange ended a subscription, which it said."""
        made = self._made.get(link, {})
        for request_id, (_, known) in list(made.items()):
            if number is None or known in (None, number):
                del made[request_id]

    def logon_revoked(self, link: Link, cause: str) -> None:
        """Take note that what hung on a logon is gone."""
        made = self._made.get(link, {})
        lost = [request_id for request_id, (method, _) in made.items() if method == _BY_LOGON]
        for request_id in lost:
            del made[request_id]
        if lost:
            self._lost(link, len(lost), cause)

    def ended(self, link: Link, cause: str) -> None:
        """Take note that a connection is over, and all that was subscribed to on it."""
        lost = len(self._made.pop(link, ()))
        if lost and max(map(len, self._made.values()), default=0) < lost:
            self._lost(link, lost, cause)

    def forget(self) -> None:
        """Tell nothing any more: the session is over."""
        self._made.clear()
        self._gap = None

    async def made_again(self, link: Link) -> None:
        """Return when as much is subscribed to on another connection as on this one, or after a while."""
        try:
            async with asyncio.timeout(_KEPT):
                while not any(other is not link and self._count(other) >= self._count(link) for other in self._made):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def has_any(self, link: Link) -> bool:
        """Whether the bot subscribed on this connection."""
        return self._count(link) > 0

    def _count(self, link: Link) -> int:
        return len(self._made.get(link, ()))

    def _lost(self, link: Link, count: int, cause: str) -> None:
        since = self._clock.ms_at(link.proven_at)
        if self._gap is not None:
            since, count = min(since, self._gap[0]), max(count, self._gap[2])
        why = f"your own subscription ended: {cause}"
        self._gap = (self._tell(since, why, over=False), why, count)

    def _tell(self, since: int, cause: str, *, over: bool) -> int:
        until = max(since, self._clock.now_ms())
        self._stats.gaps += 1
        self._log.warning("user data events may have been missed for %.3f s: %s", (until - since) / 1000, cause)
        if self._hooks.on_event is not None:
            data = {"cause": cause, "since": since, "until": until, "over": over}
            self._hooks.on_event(Event("gap", until, data, is_gap=True))
        return until
