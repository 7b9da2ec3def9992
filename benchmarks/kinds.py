"""What a client must be able to do in order to be measured, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import frozen

__all__ = ["Client", "Kind"]


class Client(Protocol):
    """What is measured, connected to the answering server. All methods run on one event loop."""

    async def open(self, url: str) -> None:
        """Connect, and log on if the client can."""

    async def one(self) -> None:
        """Send one order and return when its answer is here, decoded."""

    async def many(self, count: int) -> None:
        """Send ``count`` orders without waiting in between and return when every caller has its answer, decoded."""

    async def close(self) -> None:
        """Leave no task and no socket behind."""


@frozen
class Kind:
    """A kind of client: what makes one, the packages that it needs, and what a reader should know of it.

    A kind with a loop of its own ignores the loop that it is given, and is measured once.
    """

    make: Callable[[], Client]
    needs: tuple[str, ...] = ()
    decoder: str = "json"
    own_loop: bool = False
    about: str = ""
