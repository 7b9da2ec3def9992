"""A second link, open and logged on beside the one in use, which takes over in the turn in which that is lost."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Final

from binance_session.connections.attempts import Attempts
from binance_session.connections.link import Link
from binance_session.connections.links import Links
from binance_session.errors import BinanceSessionError, ConnectError, SessionRevoked
from binance_session.log import SessionLog, Troubles

__all__ = ["Standby"]

#: seconds within which the first one is opened after the session is READY, so that a fleet does not dial twice at once
_SPREAD: Final = 5.0
#: seconds after a loss in which no other is opened: that would take the processor from the first requests after it
_LULL: Final = 0.1


class Standby:
    """Keeps the standby link of one session, and replaces it when it is lost, taken, or half as old as a link may be.

    At half that age, so that it and the link in use are never due to end together.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Link]],
        until_ready: Callable[[], Awaitable[None]],
        links: Links,
        attempts: Attempts,
        after: float | None,
        on_ready: Callable[[], None],
        log: SessionLog,
    ) -> None:
        """Open links by ``connect`` while the session is READY, which ``until_ready`` waits for.

        ``attempts`` counts those at a standby link; ``after``: seconds after which a link is replaced.
        ``on_ready`` is called when one is ready.
        """
        self._connect = connect
        self._until_ready = until_ready
        self._links = links
        self._attempts = attempts
        self._on_ready = on_ready
        self._age = None if after is None else after / 2
        self._log = log
        self._troubles = Troubles(log)
        self._link: Link | None = None
        # why another link is needed, and for how many seconds the lost one had lasted; ``None``: nothing was lost
        self._lost: tuple[BinanceSessionError, float] | None = None
        self._wake = asyncio.Event()

    @property
    def link(self) -> Link | None:
        """The link, if it could take over now."""
        link = self._link
        return link if link is not None and link.is_open else None

    def take(self, instead_of: Link | None = None) -> Link | None:
        """Return the link, which is in use from now on, if there is one; another is made ready.

        When the policy says so, if it is used ``instead_of`` one that was lost.
        """
        link = self.link
        if link is not None:
            self._link = None
            self._record_loss(instead_of)
            self._wake.set()
        return link

    def _record_loss(self, lost: Link | None, cause: BinanceSessionError | None = None) -> None:
        cause = cause or (None if lost is None else lost.cause)
        if lost is not None and cause is not None:
            self._lost = cause, _now() - lost.opened_at

    def link_ended(self, link: Link) -> None:
        """Called when a link of the session has ended."""
        if link is self._link:
            self._give_up(link)

    def logon_revoked(self) -> None:
        """Called when the logon of this link, or of the one in use, was revoked: both were given to one key."""
        if self._link is not None:
            self._give_up(self._link, SessionRevoked("the exchange revoked the logon", outcome=None))

    def replace(self, link: Link) -> None:
        """Called when the exchange announced that ``link`` will end."""
        if link is self._link:
            self._wake.set()

    def _give_up(self, link: Link, cause: BinanceSessionError | None = None) -> None:
        self._link = None
        self._record_loss(link, cause)
        self._links.end_soon(link)
        self._wake.set()

    def promoted(self) -> None:
        """Called when a link came into use: a reason to try again for a policy that had given up."""
        self._wake.set()

    async def keep(self) -> None:
        """Keep a link ready until the session is over."""
        try:
            await self._keep()
        except Exception:
            self._log.exception("there is no standby connection any more: this is a defect of binance_session")

    async def _keep(self) -> None:
        delay: float | None = self._attempts.chance(0, _SPREAD)
        while True:
            if delay is None:  # the policy gave up; the link in use is another reason to try when it was replaced
                await self._wake.wait()
                self._attempts.reset()
                delay = 0.0
            await asyncio.sleep(delay)
            try:
                await self._until_ready()
            except BinanceSessionError:  # it never will be
                return
            self._wake.clear()
            try:
                link = await self._connect()
            except BinanceSessionError as error:
                delay = self._attempts.failed(error)
                self._troubles.log(error, "no standby connection (%s); the one in use is not affected", error)
                continue
            self._troubles.clear()
            self._attempts.refusals = 0
            self._lost = None
            old, self._link = self._link, link
            if old is not None:
                self._links.drain(old, None, None)
            self._log.info("the standby connection is ready")
            self._on_ready()
            await self._replaced(link)
            delay = self._pause_after(link)

    def _pause_after(self, link: Link) -> float | None:
        """Return the seconds until the next link may be opened; ``None`` if the policy gives up."""
        lost, self._lost = self._lost, None
        if lost is not None:
            cause, lasted = lost
            delay = self._attempts.failed(cause, lasted=lasted)
            return None if delay is None else max(delay, _LULL)
        if self._link is link and link.is_retiring:
            # An exchange that announces the end of each new connection is not dialled without end.
            return self._attempts.repeated(ConnectError("shutdown announced"), lasted=_now() - link.opened_at)
        return 0.0

    async def _replaced(self, link: Link) -> None:
        """Return when another link is needed."""
        due = math.inf if self._age is None else link.opened_at + self._age * self._attempts.chance(0.9, 1.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due if due < math.inf else None):
                while self._link is link and not link.is_retiring:
                    self._wake.clear()
                    await self._wake.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
