"""Subscriptions that the bot made itself on the API connection (Spot), and the gap when they end.

A subscription belongs to its connection: it ends when that is lost, and when the session moves to another one. The
session does not make it again, because it does not know its credentials (a margin account's listenToken); the bot can,
from ``on_connected``. The hook ``on_event`` gets a gap, unless the bot has subscribed on the next connection before.
Documents: PROTOCOL.md §5.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from binance_session.clock import ServerClock
from binance_session.events.delivery import Delivery
from binance_session.events.subscribedlink import SubscribedLink
from binance_session.responses import Response
from binance_session.venues import Method

__all__ = ["OwnSubscriptions"]

#: seconds that a connection with such a subscription is kept beside the next one, on which it may be made again
_KEPT: Final = 1.0
#: the subscription that ends with the connection's logon
_BY_LOGON: Final = "userDataStream.subscribe"


class OwnSubscriptions:
    """What the bot subscribed to on the session's connections."""

    def __init__(self, links: Collection[SubscribedLink], clock: ServerClock, delivery: Delivery) -> None:
        self._links = links
        self._clock = clock
        self._delivery = delivery
        # since when (ms), why, and how many that were lost have not been made again
        self._gap: tuple[int, str, int] | None = None
        self._changed = asyncio.Event()

    def answered(self, link: SubscribedLink, method: Method, response: Response) -> None:
        """Called when the bot subscribed."""
        if not isinstance(response.result, dict):
            return
        number = response.result.get("subscriptionId")
        link.own[response.request_id] = (method.name, number if type(number) is int else None)
        self._changed.set()
        if self._gap is not None and len(link.own) >= self._gap[2]:
            (since, cause, _), self._gap = self._gap, None
            self._delivery.gap(since, cause, over=True)

    def terminated(self, link: SubscribedLink, number: int | None) -> None:
        """Called when the exchange said that it ended a subscription."""
        for request_id, (_, known) in list(link.own.items()):
            if number is None or known in (None, number):
                del link.own[request_id]

    def logon_revoked(self, link: SubscribedLink, cause: str) -> None:
        """Called when a connection is logged on no more: what depended on the logon has ended."""
        lost = [request_id for request_id, (method, _) in link.own.items() if method == _BY_LOGON]
        for request_id in lost:
            del link.own[request_id]
        if lost:
            self._lost(link, len(lost), cause)

    def ended(self, link: SubscribedLink, cause: str) -> None:
        """Called when a connection has ended, and every subscription on it."""
        lost = len(link.own)
        link.own.clear()
        if lost and max((len(other.own) for other in self._links), default=0) < lost:
            self._lost(link, lost, cause)

    def forget(self) -> None:
        """Forget everything: the session is over."""
        for link in self._links:
            link.own.clear()
        self._gap = None

    async def made_again(self, link: SubscribedLink) -> None:
        """Return when as much is subscribed to on another connection as on this one, or after a while."""
        try:
            async with asyncio.timeout(_KEPT):
                while not any(other is not link and len(other.own) >= len(link.own) for other in self._links):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _lost(self, link: SubscribedLink, count: int, cause: str) -> None:
        since = self._clock.ms_at(link.proven_at)
        if self._gap is not None:
            since, count = min(since, self._gap[0]), max(count, self._gap[2])
        why = f"your own subscription ended: {cause}"
        self._gap = (self._delivery.gap(since, why, over=False).time, why, count)
