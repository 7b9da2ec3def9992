"""What a feed gets events from: a stream socket, or a subscription on an API connection."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Source"]


class Source(Protocol):
    """One connection that brings events. Times are the event loop's."""

    @property
    def brings_since(self) -> float:
        """The moment from which on it brings everything."""
        ...

    @property
    def proven_at(self) -> float:
        """The last moment up to which all that was sent has certainly arrived."""
        ...

    @property
    def cause(self) -> object:
        """Why the connection ended; ``None`` while it has not."""
        ...

    async def confirm(self) -> bool:
        """Return whether a ping sent now is answered: then all that was sent before the answer has arrived."""
        ...

    def give_up(self, why: str) -> None:
        """End the connection: it works, but not well enough."""
