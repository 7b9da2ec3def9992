"""One API connection, as far as subscriptions on it are concerned (Spot)."""

from __future__ import annotations

import asyncio

from binance_session.connections.link import Link
from binance_session.events.feed import OVERLAP
from binance_session.responses import Event

__all__ = ["SubscribedLink"]


class SubscribedLink:
    """What is known of the subscriptions on one connection: the one for the session's streams, and the bot's own."""

    __slots__ = (
        "early",
        "is_avoided",
        "is_needed",
        "is_subscribed",
        "is_suspect",
        "link",
        "number",
        "own",
        "released",
        "subscribed_at",
    )

    def __init__(self, link: Link) -> None:
        self.link = link
        #: whether there is a subscription for the session's streams, and its number if the exchange told it
        self.is_subscribed = False
        self.number: int | None = None
        #: when that was known
        self.subscribed_at = 0.0
        #: whether its events are needed: those of one connection, or of two during a handover
        self.is_needed = False
        #: what came since a subscription was asked for, until that is answered; ``None``: none is asked for
        self.early: list[Event] | None = None
        #: whether there may be a subscription whose number is not known, because its answer was lost
        self.is_suspect = False
        #: whether it is to be replaced, and not to be subscribed on until it is known that it cannot be
        self.is_avoided = False
        #: done when its events are not needed any more, if the supervisor waits for that
        self.released: asyncio.Future[None] | None = None
        #: the bot's own subscriptions: by the id of the request, the method, and the number if the exchange told it
        self.own: dict[int, tuple[str, int | None]] = {}

    @property
    def brings_since(self) -> float:
        """The moment (loop time) from which on it brings everything."""
        return self.subscribed_at + OVERLAP

    @property
    def proven_at(self) -> float:
        """The last moment (loop time) up to which all that was sent has certainly arrived."""
        return self.link.proven_at

    @property
    def cause(self) -> object:
        """Why the connection ended; ``None`` while it has not."""
        return self.link.cause

    async def confirm(self) -> bool:
        """Return whether a ping sent now is answered: then all that was sent before the answer has arrived."""
        return await self.link.confirm()

    def give_up(self, why: str) -> None:
        """Have the connection end if it does not answer very soon: it brings answers as well."""
        self.link.check()

    def release(self) -> None:
        """Need its events no more."""
        self.is_needed = False
        if self.released is not None:
            if not self.released.done():
                self.released.set_result(None)
            self.released = None
