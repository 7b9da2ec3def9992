"""Making a link: connected, and logged on if the session logs on."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

from binance_session.connections.lifecycle import Lifecycle
from binance_session.connections.link import Link
from binance_session.connections.links import Links
from binance_session.connections.logon import log_on
from binance_session.connections.throttle import Throttle
from binance_session.errors import BinanceSessionError, ConnectError
from binance_session.log import SessionLog
from binance_session.state import SessionEvent
from binance_session.stats import Stats
from binance_session.venues import Method

__all__ = ["Connector"]

_E: Final = SessionEvent


class Connector:
    """Makes the links of one session."""

    def __init__(
        self,
        make_link: Callable[[], Link],
        logon: Method | None,
        links: Links,
        throttle: Throttle,
        lifecycle: Lifecycle,
        stats: Stats,
        log: SessionLog,
    ) -> None:
        """Open what ``make_link`` makes; log each link on with the method ``logon``, if given."""
        self._make_link = make_link
        self.logon = logon
        self._links = links
        self._throttle = throttle
        self._lifecycle = lifecycle
        self._stats = stats
        self._log = log
        #: whether the session was READY once
        self.was_ready = False
        #: loop time until which a session that was never READY waits for an exchange that wants no connection
        self.may_wait_until = -math.inf

    async def connect(self, *, beside: bool = False) -> Link:
        """Return a new link, open and logged on if the session logs on; raise why there is none.

        ``beside``: the session does not wait for it, and its state does not tell of it.
        """
        await self._throttle.wait_to_dial(self._patience_ends)
        link = self._make_link()
        self._links.add(link)
        try:
            await self._open(link)
            if self.logon is not None:
                if not beside:
                    self._lifecycle.advance(_E.CONNECTED)
                await self.log_on(link, self.logon)
                if not link.authenticated:
                    raise ConnectError(f"logged on, and at once not any more: {link.cause or 'revoked'}")
        except BaseException as error:
            if isinstance(error, ConnectError) and error.status in (418, 429) and error.retry_after is not None:
                self._throttle.hold(error.retry_after, is_ban=error.status == 418)
            await self._links.end(link)
            raise
        self._stats.connections += 1
        self._log.connection = self._stats.connections
        return link

    async def _open(self, link: Link) -> None:
        """Open a link; whatever goes wrong in it is a connection that could not be had."""
        try:
            await link.open()
        except BinanceSessionError:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # a resolver's own cancellation, not this task's
            raise ConnectError("no connection: the attempt was cancelled") from error
        except (OSError, RuntimeError) as error:  # a resolver's, a thread's, a proxy library's
            raise ConnectError(f"no connection: {str(error) or type(error).__name__}") from error
        except Exception as error:
            if not self.was_ready:
                raise
            wrapped = ConnectError(f"no connection: {type(error).__name__}")
            wrapped.__cause__ = error
            if self._lifecycle.troubles.level(wrapped) == logging.WARNING:
                self._log.exception("a connection could not be attempted: this is a defect of binance_session")
            raise wrapped from error

    async def log_on(self, link: Link, method: Method) -> None:
        """Log ``link`` on; raises as :func:`~binance_session.connections.logon.log_on`."""
        began = asyncio.get_running_loop().time()
        await log_on(link, method, self._throttle, until=self._patience_ends, was_ready=self.was_ready)
        link.phases.logon = asyncio.get_running_loop().time() - began

    @property
    def _patience_ends(self) -> float:
        """The loop time at which a session that was never READY stops waiting until it may send."""
        return math.inf if self.was_ready else self.may_wait_until
