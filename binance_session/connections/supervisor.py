"""Keeps one link ready: connects, logs on, replaces what was lost, gives up when the policy does.

An address and a key that were right once are not wrong because they fail now: after the first READY the policy alone
decides whether another attempt is made. Its task is the only one that waits for the network; policies tell it when,
never how.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import Callable
from typing import Final, NoReturn

from binance_session.config import ConnectionOptions
from binance_session.connections.admission import Admission
from binance_session.connections.attempts import AFTER_REFUSED_LOGON, Attempts
from binance_session.connections.connector import Connector
from binance_session.connections.lifecycle import Lifecycle
from binance_session.connections.link import Link, LinkOwner, LinkWatcher
from binance_session.connections.links import Links
from binance_session.connections.rollover import Rollover
from binance_session.connections.standby import Standby
from binance_session.errors import (
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    LogonRejected,
    RateLimited,
    SessionClosed,
    SessionRevoked,
)
from binance_session.hooks import Hooks
from binance_session.jsontext import readable
from binance_session.log import SessionLog
from binance_session.reconnect import ReconnectPolicy
from binance_session.responses import Event
from binance_session.state import SessionEvent, SessionState
from binance_session.stats import Stats
from binance_session.venues import Method
from binance_session.websocket.dialing import way_out

__all__ = ["Supervisor"]

_E: Final = SessionEvent


class Supervisor(LinkOwner):
    """Runs one session's connections."""

    def __init__(
        self,
        make_link: Callable[[Supervisor], Link],
        logon: Method | None,
        reconnect: ReconnectPolicy,
        lifecycle: Lifecycle,
        admission: Admission,
        options: ConnectionOptions,
        rollover_after: float | None,
        hooks: Hooks,
        stats: Stats,
        log: SessionLog,
        on_failed: Callable[[Exception], None],
        *,
        has_standby: bool = False,
    ) -> None:
        """Connect by ``options`` with ``make_link``; log each connection on with the method ``logon``, if given.

        While the exchange wants none, the first connection waits for its ``open_timeout`` at most. A connection is
        replaced after ``rollover_after`` seconds, or up to a tenth earlier. ``on_failed`` is called when the session
        ends by itself, with the reason.
        """
        self._reconnect = reconnect
        self._lifecycle = lifecycle
        self._admission = admission
        self._options = options
        self._rollover_after = rollover_after
        self._hooks = hooks
        self._stats = stats
        self._log = log
        self._on_failed = on_failed
        #: all links that are not gone yet
        self.links = Links(log)
        self._connector = Connector(
            functools.partial(make_link, self), logon, self.links, admission.throttle, lifecycle, stats, log
        )
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        #: what may be sent to the address
        self.throttle = admission.throttle
        #: called with links and their events, where the account's events come over the API connection
        self.watcher: LinkWatcher | None = None
        #: called when a link takes the requests from now on, or when one that did was logged on anew
        self.on_promoted: Callable[[], None] = lambda: None
        #: called when a standby link is ready
        self.on_standby: Callable[[], None] = lambda: None
        #: delivers an event that the watcher does not
        self.on_event: Callable[[Event], None] = lambda event: None
        #: whether the session keeps a standby link
        self.has_standby = has_standby
        self._standby: Standby | None = None
        if has_standby:
            self._standby = Standby(
                functools.partial(self._connector.connect, beside=True),
                functools.partial(lifecycle.wait_for, SessionState.READY),
                self.links,
                Attempts(reconnect, hooks),
                rollover_after,
                lambda: self.on_standby(),
                log,
            )
        # the link that the task serves, and the one that took over from it
        self._served: Link | None = None
        self._successor: Link | None = None
        # in a row: connections that the exchange announced to end, and logons revoked, when they had hardly begun
        self._hasty = Attempts(reconnect, hooks)
        self._relogons = Attempts(reconnect, hooks)
        # whether the logon was revoked and none was given since
        self._revoked = False
        # loop time until which open() may make another attempt
        self._may_try_until = -math.inf

    @property
    def state(self) -> SessionState:
        """The session's state."""
        return self._lifecycle.state

    @property
    def logs_on(self) -> bool:
        """Whether the session logs its connections on."""
        return self._connector.logon is not None

    @property
    def serving(self) -> Link | None:
        """The link in use, also while the exchange wants no requests; ``None`` unless READY."""
        return self._admission.serving

    @property
    def standby(self) -> Link | None:
        """The standby link, if it could take over now."""
        return None if self._standby is None else self._standby.link

    async def wait_for(self, goal: SessionState) -> None:
        """As :meth:`Lifecycle.wait_for`."""
        await self._lifecycle.wait_for(goal)

    # What links tell

    def link_ended(self, link: Link, cause: ConnectionLost) -> None:
        """Take the link out of use at once, so that nothing more is written to it."""
        if self._admission.uses(link):
            standby = None
            # not again before the task has followed
            if self._standby is not None and self._served is link and self.state is SessionState.READY:
                standby = self._standby.take(link)
            if standby is None:
                self._admission.stop()
                if self.state is SessionState.READY:
                    self._lifecycle.advance(_E.LOST, cause)
            else:
                self._fail_over(standby, cause)
        elif self._standby is not None:
            self._standby.link_ended(link)
        if self.watcher is not None:
            self.watcher.link_ended(link)
        self._wake.set()

    def _fail_over(self, standby: Link, cause: ConnectionLost) -> None:
        """Use the standby link from now on, in place of one that was lost; the task follows in its next turn."""
        self._successor = standby
        self._stats.failovers += 1
        self._log.warning("the standby connection is used from now on: %s", cause)
        self._admission.use(standby)
        if self._hooks.on_failover is not None:
            self._hooks.on_failover(cause)
        self._announce(standby, first=False)

    def logon_revoked(self, link: Link) -> None:
        """Hold requests back until the link is logged on again."""
        if self.watcher is not None:
            self.watcher.logon_revoked(link)
        if self._standby is not None and self._connector.logon is not None:
            self._standby.logon_revoked()
        if self._admission.uses(link) and self._connector.logon is not None and self.state is SessionState.READY:
            self._admission.stop()
            self._revoked = True
            self._lifecycle.advance(_E.REVOKED, SessionRevoked("the exchange revoked the logon", outcome=None))
            self._wake.set()

    def replace(self, link: Link) -> None:
        """Replace a link by another, as in a planned rollover."""
        link.is_retiring = True
        if self._standby is not None:
            self._standby.replace(link)
        self._wake.set()

    def rate_limited(self, error: RateLimited) -> None:
        """Hold requests back, in this session and others at the same address."""
        self.throttle.rate_limited(error)

    def may_send(self) -> bool:
        """Tell whether anything may be sent."""
        return self.throttle.may_send

    def event_received(self, link: Link, event: Event) -> None:
        """Pass an event to the hook; ``serverShutdown`` asks for another connection (PROTOCOL.md §2)."""
        if event.type == "serverShutdown":
            self.replace(link)
        elif self.watcher is not None and self.watcher.event_received(link, event):
            return
        self.on_event(event)

    def event_unreadable(self, link: Link) -> None:
        """Pass it on to the watcher of the events."""
        if self.watcher is not None:
            self.watcher.event_unreadable(link)

    def message_unmatched(self, data: bytes | bytearray, *, is_text: bool) -> None:
        """Pass a message that belongs to no request to the hook, as readable as it can be made."""
        if self._hooks.on_unmatched is not None:
            self._hooks.on_unmatched(readable(data) if is_text else bytes(data))

    # Life

    async def open(self, patience: float | None) -> None:
        """Connect; return when READY, raise why that cannot be.

        ``patience``: for how many seconds another attempt may be made when one failed; ``None``: there is but one.
        """
        if self.state is SessionState.NEW:
            loop = asyncio.get_running_loop()
            if patience is not None:
                self._may_try_until = loop.time() + patience
            timeout = self._options.open_timeout
            self._connector.may_wait_until = max(
                self._may_try_until, math.inf if timeout is None else loop.time() + timeout
            )
            self.throttle.use(self._options.url, way_out(self._options))
            self._lifecycle.advance(_E.OPEN)
            if not self._lifecycle.is_over:  # by a hook
                self._task = loop.create_task(self._run(), name=self._log.task("supervisor"))
        await self._lifecycle.wait_for(SessionState.READY)

    async def close(self) -> None:
        """End everything pending at once, then close the connection; return when nothing is left."""
        if not self._lifecycle.is_over:
            self._admission.stop()
            self._lifecycle.advance(_E.CLOSE)
            self._end_pending(None)
            if self._task is not None:
                self._task.cancel()  # now, not a turn later: by then it would have moved on
                self._closing = asyncio.get_running_loop().create_task(
                    self._shut_down(self._task), name=self._log.task("close")
                )
            elif self.state is SessionState.CLOSING:
                self._lifecycle.advance(_E.CLOSED)
        last = self._closing or self._task
        if last is not None:
            await asyncio.wait([last])

    async def _shut_down(self, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        await self.links.end_all()  # if it was cancelled while it cleaned up
        self._lifecycle.advance(_E.CLOSED)

    def _end_pending(self, cause: Exception | None) -> None:
        """End what is in flight and what waits: the session is over."""
        why = "closed" if cause is None else f"ended, because {cause}"

        def left(request_id: int, method: Method) -> SessionClosed:
            error = SessionClosed(
                f"the session was {why} before {method.name} (request {request_id}) was answered; {method.if_unknown}",
                request_id=request_id,
                method=method.name,
                outcome="unknown",
            )
            error.__cause__ = cause
            return error

        def waiting(method: str) -> SessionClosed:
            error = SessionClosed(f"the session was {why}; {method} was not sent", method=method)
            error.__cause__ = cause
            return error

        by_owner = cause is None  # who called close(), and needs no warning for each request
        unknown = self.links.end_requests(left, quietly=by_owner)
        self._stats.lost += unknown
        if unknown:
            self._log.warning("the session was %s with %d requests in flight: their outcome is unknown", why, unknown)
        self._admission.end_waiting(waiting, quietly=by_owner)

    async def _run(self) -> None:
        """Keep a link ready until the session is closed or cannot go on; leave nothing behind."""
        self.throttle.join(None if self._options.ping_interval is None else self.links.check)
        failure: Exception | None = None
        cancelled = False
        try:
            await self._keep_ready()
        except asyncio.CancelledError:
            if self.state is SessionState.CLOSING:
                raise
            cancelled = True  # by code that cancels all tasks: the session must not look alive without its own
            failure = SessionClosed("the session's task was cancelled")
        except BinanceSessionError as error:
            failure = error
        except Exception as error:
            self._log.exception("the session's supervisor failed: this is a defect of binance_session")
            failure = error
        finally:
            self._lifecycle.failure = failure
            if failure is not None:
                self._end_pending(failure)
            self._admission.stop()
            self.throttle.leave()
            await self.links.end_all()
        self._end_pending(failure)
        assert failure is not None
        self._on_failed(failure)
        self._lifecycle.advance(_E.FAIL, failure)
        if cancelled:
            raise asyncio.CancelledError

    async def _keep_ready(self) -> NoReturn:
        """Serve on one link after the other; raise what the policy would not try again after."""
        loop = asyncio.get_running_loop()
        attempts = Attempts(self._reconnect, self._hooks)
        attempts.count = 1  # that of open()
        link: Link | None = None
        while True:
            ready_since = math.inf
            try:
                link = None if self._standby is None else self._standby.take()
                link = link or await self._connector.connect()
                attempts.refusals = 0
                if not self._connector.was_ready:
                    attempts.reset()
                self._promote(link)
                while True:
                    ready_since = loop.time()
                    successor = await self._serve(link)
                    replaced, link = link, successor
                    try:
                        if not self._admission.uses(link):  # the standby is used already
                            self._log.info("the next connection takes over; the last answers on the one before follow")
                            self._promote(link)
                    finally:
                        self._drain(replaced, link)
            except BinanceSessionError as error:
                cause = error
            if link is not None:
                if link.cause is None:  # not logged on any more: what needs no logon may still be answered
                    self._drain(link, None)
                else:
                    self.links.end_soon(link)  # nothing new waits for what is over
                link = None
            if not self._connector.was_ready and not self._may_open_after(cause):
                if self._may_try_until > -math.inf and isinstance(cause, ConnectError) and not cause.retryable:
                    cause.args = (f"{cause}; this is not tried again, whatever the patience",)
                raise cause
            delay = attempts.failed(cause, lasted=loop.time() - ready_since)
            self._lifecycle.advance(_E.LOST, cause)
            if delay is None or (not self._connector.was_ready and loop.time() + delay > self._may_try_until):
                raise self._last_word(cause)
            if self._hooks.on_reconnecting is not None:
                self._hooks.on_reconnecting(attempts.count, delay, cause)
            if delay > 0:
                await asyncio.sleep(delay)
            self._lifecycle.advance(_E.RETRY)

    def _may_open_after(self, cause: Exception) -> bool:
        """Tell whether a session that was never READY may try again after ``cause``."""
        if self._may_try_until == -math.inf or isinstance(cause, ConfigurationError):
            return False
        if isinstance(cause, RateLimited) and cause.outcome == "not_sent":
            return False  # the wait would be too long
        return not isinstance(cause, ConnectError) or cause.retryable

    def _last_word(self, cause: BinanceSessionError) -> BinanceSessionError:
        """Return the reason for which the session ends when no attempt follows on ``cause``."""
        if not isinstance(cause, LogonRejected):
            return cause
        given_up = f"given up after {cause.refusals} refused logons in a row"
        if not self._revoked:
            if cause.refusals > 1:
                cause.args = (f"{str(cause).removesuffix('.')}; {given_up}",)
            return cause
        revoked = SessionRevoked(
            f"the exchange revoked the logon and refused a new one: {cause.error.message} (code {cause.code});"
            f" {given_up}",
            outcome=None,
        )
        revoked.__cause__ = cause
        return revoked

    def _promote(self, link: Link) -> None:
        """Send requests over a new ``link`` from now on."""
        if link.cause is not None:
            raise link.cause
        first = not self._connector.was_ready
        self._connector.was_ready = True
        self._be_ready(link)
        self._announce(link, first=first)
        if self._standby is not None:
            if first:
                self.links.in_background(self._standby.keep(), "standby")
            self._standby.promoted()

    def _announce(self, link: Link, *, first: bool) -> None:
        """Call the hook for a link that came into use, then send over it what waits."""
        if self._hooks.on_connected is not None and self._leads(link):
            self._hooks.on_connected(first)
        self._put_to_use(link)

    def _be_ready(self, link: Link) -> None:
        """Be READY with ``link``."""
        self._admission.use(link)
        self._revoked = False
        self._lifecycle.troubles.clear()
        if self.state is SessionState.WAITING:  # the link before was lost while this one was being prepared
            self._lifecycle.advance(_E.RETRY)
        self._lifecycle.advance(_E.SERVE)

    def _leads(self, link: Link) -> bool:
        """Tell whether ``link`` is in use; a hook may have ended that."""
        return self._admission.uses(link) and self.state is SessionState.READY

    def _put_to_use(self, link: Link) -> None:
        """Send what waits, and call the watcher of the links."""
        if self._leads(link):
            self._admission.send_waiting(link)
            self.on_promoted()

    async def _serve(self, link: Link) -> Link:
        """Use ``link`` until another is ready to take over, and return that; raise what ended it before."""
        loop = asyncio.get_running_loop()
        logged_on = loop.time()
        self._served = link
        rollover = Rollover(
            self._connector.connect,
            self.links,
            Attempts(self._reconnect, self._hooks, count=1),
            self._hasty,
            self._rollover_after,
            link.opened_at,
            self._wake.set,
            self._lifecycle.troubles,
            self._log,
        )
        try:
            while link.cause is None:
                self._wake.clear()
                if (successor := rollover.result()) is not None:
                    return successor
                if self.state is SessionState.LOGGING_ON and self._connector.logon is not None:
                    await self._pause_before_logon(loop.time() - logged_on, rollover.refused_at)
                    await self._connector.log_on(link, self._connector.logon)
                    logged_on = loop.time()
                    if link.authenticated:
                        self._be_ready(link)
                        self._put_to_use(link)
                elif link.is_retiring and not rollover.is_under_way:
                    link.is_retiring = False
                    rollover.announced()
                elif loop.time() >= rollover.due:
                    rollover.begin()
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(rollover.due if rollover.due < math.inf else None):
                            await self._wake.wait()
            successor, self._successor = self._successor, None
            if successor is None:
                successor = await rollover.last_chance()
            if successor is None:
                raise link.cause
            return successor
        finally:
            await rollover.abandon()

    async def _pause_before_logon(self, lasted: float, refused_at: float) -> None:
        """Wait before the logon that follows on a revoked one, which ``lasted`` so long; give up if the policy does.

        A logon that is revoked as soon as it is given is not asked for without end, nor within a second of another
        connection's that was refused.
        """
        cause = SessionRevoked("revoked again")
        delay = self._relogons.repeated(cause, lasted=lasted)
        if delay is None:
            raise cause
        if self._relogons.count > 1:
            delay = max(delay, AFTER_REFUSED_LOGON)
        await asyncio.sleep(max(delay, refused_at + AFTER_REFUSED_LOGON - asyncio.get_running_loop().time()))

    def _drain(self, link: Link, successor: Link | None) -> None:
        """Close a link that is not used any more, once its last answer has come or timed out."""
        makes_again = self._hooks.on_connected is not None
        self.links.drain(link, successor if makes_again else None, self.watcher)
