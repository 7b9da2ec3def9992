"""Keeps one link ready: connects, logs on, replaces what was lost, gives up when nothing can heal.

The only writer of the session's state. Its task is the only one that waits for the network's fate; policies tell
it when, never how.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

from binance_session.credentials import Credentials
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    LogonRejected,
    NotSent,
    RateLimited,
    ServerError,
    SessionClosed,
    SessionRevoked,
)
from binance_session.hooks import Hooks
from binance_session.link import Link, LinkOwner
from binance_session.params import Params
from binance_session.parking import Parking
from binance_session.reconnect import AttemptBudget, ReconnectPolicy
from binance_session.responses import Event, Response
from binance_session.state import SESSION_TABLE, Machine, SessionEvent, SessionState, reachable
from binance_session.stats import Stats
from binance_session.venues import Method

__all__ = ["Supervisor"]

_log: Final = logging.getLogger("binance_session")
_E: Final = SessionEvent
#: seconds that a connection must have been READY for its loss to be no reason to wait
_HEALTHY: Final = 10.0


class Supervisor(LinkOwner):
    """Runs one session's connections."""

    def __init__(
        self,
        make_link: Callable[[Supervisor], Link],
        logon: Method | None,
        reconnect: ReconnectPolicy,
        hooks: Hooks,
        stats: Stats,
        parking: Parking,
    ) -> None:
        """Connect with ``make_link``; log each connection on with the method ``logon``, if there is one."""
        self._make_link = make_link
        self._logon = logon
        self._reconnect = reconnect
        self._hooks = hooks
        self._stats = stats
        self._budget = AttemptBudget()
        self._machine = Machine(SESSION_TABLE, SessionState.NEW, self._changed)
        self._waiters: list[tuple[SessionState, asyncio.Future[None]]] = []
        self._parking = parking
        self._links: list[Link] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        #: the link that takes requests; ``None`` unless READY
        self.link: Link | None = None
        #: the connection in use, ready or not
        self._current: Link | None = None
        self._ready_since = math.inf
        #: why the session failed, once it has
        self.failure: Exception | None = None

    # State

    @property
    def state(self) -> SessionState:
        """The session's state."""
        return self._machine.state

    @property
    def authenticated(self) -> bool:
        """Whether the connection in use is logged on."""
        return self._current is not None and self._current.authenticated

    @property
    def in_flight(self) -> int:
        """How many requests were written and have not ended."""
        return sum(len(link.router) for link in self._links)

    def _changed(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        level = logging.WARNING if cause is not None else logging.INFO
        _log.log(level, "session %s -> %s%s", old.value, new.value, f": {cause}" if cause is not None else "")
        waiters, self._waiters = self._waiters, []
        for goal, future in waiters:
            if future.done():
                continue
            if goal is new:
                future.set_result(None)
            elif not reachable(SESSION_TABLE, new, goal):
                future.set_exception(self.failure or self._ended(f"the session is {new.value}"))
            else:
                self._waiters.append((goal, future))
        if self._hooks.on_state_change is not None:
            self._hooks.on_state_change(old, new, cause)

    async def wait_for(self, goal: SessionState) -> None:
        """Return when the state is ``goal``; raise at once when it never can be, or the session's failure."""
        if self.state is goal:
            return
        if not reachable(SESSION_TABLE, self.state, goal):
            raise self.failure or self._ended(f"the session is {self.state.value} and will never be {goal.value}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (goal, future)
        self._waiters.append(waiter)
        try:
            await future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _ended(self, what: str, method: str | None = None) -> BinanceSessionError:
        """Return the error for what can no longer be had."""
        if self.failure is None:
            return SessionClosed(f"{what}; make a new Session", method=method)
        error = SessionClosed(f"{what}, because {self.failure}", method=method)
        error.__cause__ = self.failure
        return error

    # Requests that cannot leave now

    def unready(
        self, method: Method, params: Params | None, credentials: Credentials | None, timeout: float, wait: bool
    ) -> asyncio.Future[Response]:
        """Park a request until the session is READY if it may ``wait``, else raise what it must be told."""
        state = self.state
        if state.is_final or state is SessionState.CLOSING:
            raise self._ended(f"the session is {state.value}; {method.name} was not sent", method.name)
        if state is SessionState.NEW:
            raise NotSent(f"the session is not open; {method.name} was not sent: open it first", method=method.name)
        if not wait:
            raise NotSent(
                f'the session is {state.value}; {method.name} was not sent (on_unready="wait" would have it wait)',
                method=method.name,
            )
        return self._parking.park(method, params, credentials, timeout)

    # What links tell

    def link_ended(self, link: Link, cause: ConnectionLost) -> None:
        """Take the link out of use at once, so that nothing more is written to it."""
        if link is self.link:
            self.link = None
            self._machine.advance(_E.LOST, cause)
        self._wake.set()

    def logon_revoked(self, link: Link) -> None:
        """Hold requests back until the link is logged on again."""
        if link is self.link:
            self.link = None
            self._machine.advance(_E.REVOKED, SessionRevoked("the exchange revoked the logon", outcome=None))
        self._wake.set()

    def event_received(self, event: Event) -> None:
        """Pass an event to the hook."""
        if self._hooks.on_event is not None:
            self._hooks.on_event(event)

    def message_unmatched(self, message: object) -> None:
        """Pass a message that is nobody's to the hook."""
        if self._hooks.on_unmatched is not None:
            self._hooks.on_unmatched(message)

    # Life

    async def open(self) -> None:
        """Connect; return when READY, raise why that cannot be."""
        if self._machine.can(_E.OPEN):
            self._machine.advance(_E.OPEN)
            self._task = asyncio.get_running_loop().create_task(self._run(), name="binance_session supervisor")
        await self.wait_for(SessionState.READY)

    async def close(self) -> None:
        """End everything pending at once, then close the connection; return when nothing is left."""
        if self._machine.can(_E.CLOSE):
            self.link = None
            self._machine.advance(_E.CLOSE)
            self._end_pending(None)
            if self._task is not None:
                self._task.cancel()  # now, not a turn later: by then it would have moved on
                self._closing = asyncio.get_running_loop().create_task(
                    self._shut_down(self._task), name="binance_session close"
                )
        last = self._closing or self._task
        if last is not None:
            await asyncio.wait([last])

    async def _shut_down(self, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        self._machine.advance(_E.CLOSED)

    def _end_pending(self, cause: Exception | None) -> None:
        """End what is in flight and what is parked: the session is over."""
        why = "closed" if cause is None else f"ended, because {cause}"

        def left(request_id: int, method: str) -> SessionClosed:
            error = SessionClosed(
                f"the session was {why} before {method} (request {request_id}) was answered: it may have been"
                " executed; ask before repeating it",
                request_id=request_id,
                method=method,
                outcome="unknown",
            )
            error.__cause__ = cause
            return error

        def waiting(method: str) -> SessionClosed:
            error = SessionClosed(f"the session was {why}; {method} was not sent", method=method)
            error.__cause__ = cause
            return error

        by_owner = cause is None  # who knows that it is over, and need not be told for each request
        for link in self._links:
            link.end_requests(left, quietly=by_owner)
        self._parking.end_all(waiting, quietly=by_owner)

    async def _run(self) -> None:
        """Keep a link ready until the session is closed or cannot go on."""
        loop = asyncio.get_running_loop()
        attempt = 0
        try:
            while True:
                self._ready_since = math.inf
                cause = await self._live()
                if not self._stats.connections or not _heals(cause):
                    self._fail(cause)
                    return
                if self.state is not SessionState.WAITING:
                    self._machine.advance(_E.LOST, cause)
                attempt = 1 if loop.time() - self._ready_since >= _HEALTHY else attempt + 1
                delay = self._reconnect.next_delay(attempt, cause)
                if delay is None:
                    self._fail(cause)
                    return
                if self._hooks.on_reconnecting is not None:
                    self._hooks.on_reconnecting(attempt, delay, cause)
                await asyncio.sleep(delay)
                self._machine.advance(_E.RETRY)
        except Exception as error:
            _log.exception("the session's supervisor failed: this is a defect of binance_session, or of a policy")
            self._fail(error)

    def _fail(self, cause: Exception) -> None:
        self.failure = cause
        self._end_pending(cause)
        self._machine.advance(_E.FAIL, cause)

    async def _live(self) -> BinanceSessionError:
        """Live through one connection, from dialling it to its end; return what ended it."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._budget.delay(loop.time()))
        self._budget.spend(loop.time())
        link = self._make_link(self)
        self._links.append(link)
        self._current = link
        try:
            await link.open()
            if self._logon is not None:
                self._machine.advance(_E.CONNECTED)
                await self._log_on(link, self._logon)
            self._ready_since = loop.time()
            self._stats.connections += 1
            while link.cause is None:
                self._wake.clear()
                self._ready(link)
                await self._wake.wait()
                if link.cause is None and self._logon is not None:
                    await self._log_on_again(link, self._logon)
            return link.cause
        except BinanceSessionError as error:
            return error
        finally:
            self.link = None
            await link.close()
            self._current = None
            self._links.remove(link)

    def _ready(self, link: Link) -> None:
        self.link = link
        self._machine.advance(_E.SERVE)
        if self.link is link:
            self._parking.send_all(link)

    async def _log_on(self, link: Link, method: Method) -> None:
        """Send ``session.logon`` and wait for its answer."""
        try:
            await link.submit(method)
        except (ConfigurationError, RateLimited):
            raise
        except ApiError as error:
            if not isinstance(error, ServerError):
                raise LogonRejected(error) from error
            raise ConnectError(f"connected, but session.logon failed: {error}") from error
        except BinanceSessionError as error:
            raise ConnectError(f"connected, but session.logon was not answered: {error}") from error

    async def _log_on_again(self, link: Link, method: Method) -> None:
        """Log on once more after a revocation; a key that is refused is not tried again."""
        try:
            await self._log_on(link, method)
        except LogonRejected as error:
            raise SessionRevoked(
                f"the exchange revoked the logon and refused a new one: {error.error.message} (code {error.code})",
                outcome=None,
            ) from error


def _heals(cause: Exception) -> bool:
    """Tell whether another attempt can succeed without anybody changing anything."""
    if isinstance(cause, ConnectError):
        return cause.retryable
    return not isinstance(cause, (LogonRejected, SessionRevoked, ConfigurationError))
