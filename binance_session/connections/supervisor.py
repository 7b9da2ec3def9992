"""Keeps one link ready: connects, logs on, replaces what was lost, gives up when the policy does.

An address and a key that were right once are not wrong because they fail now: after the first READY the policy alone
decides whether another attempt is made. The only writer of the session's state. Its task is the only one that waits
for the network's fate; policies tell it when, never how.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
from collections.abc import Callable, Coroutine, Hashable
from random import uniform
from typing import Any, Final, NoReturn, Protocol

from binance_session.clock import ServerClock
from binance_session.config import ConnectionOptions
from binance_session.connections.addresslimits import NOT_HELD
from binance_session.connections.link import Link, LinkOwner
from binance_session.connections.throttle import Throttle
from binance_session.credentials import Credentials
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    InvalidTimestamp,
    LogonRejected,
    NotSent,
    RateLimited,
    SessionClosed,
    SessionRevoked,
)
from binance_session.hooks import Hooks
from binance_session.jsontext import readable
from binance_session.log import SessionLog
from binance_session.params import Params
from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy
from binance_session.requests.waiting import WaitingRequests
from binance_session.responses import Event, Response
from binance_session.state import SESSION_TABLE, Machine, SessionEvent, SessionState, reachable
from binance_session.stats import Stats
from binance_session.venues import Method
from binance_session.websocket.dialing import way_out

__all__ = ["LinkWatcher", "Supervisor"]

_E: Final = SessionEvent
#: seconds: what lies at least between two logons of which the first was refused, whatever the policy says
_AFTER_REFUSED_LOGON: Final = 1.0
#: seconds that a connection must have been READY for its loss to be no reason to wait
_HEALTHY: Final = 10.0
#: seconds for which a link that was replaced is kept at least, where ``on_connected`` may have something to make again
_OVERLAP: Final = 2.0
#: stands in for a reconnect policy that breaks
_FALLBACK: Final = ExponentialBackoff()


#: what a request that is not to wait is told
_UNREADY: Final = {
    SessionState.CONNECTING: "there is no connection now (CONNECTING: it is being made)",
    SessionState.LOGGING_ON: "the connection is not logged on now (LOGGING_ON: the logon is not answered yet)",
    SessionState.WAITING: "there is no connection now (WAITING: the next attempt comes soon)",
}


class LinkWatcher(Protocol):
    """Who follows the events of the API connection from one link to the next. Nothing here may raise."""

    def link_promoted(self, link: Link) -> None:
        """Learn that a link takes the requests from now on, or that one that did was logged on anew."""

    def link_ended(self, link: Link) -> None:
        """Learn that a link is over."""

    def logon_revoked(self, link: Link) -> None:
        """Learn that a link is logged on no more."""

    def event_received(self, link: Link, event: Event) -> bool:
        """Take an event, and return whether it was wanted."""
        return False

    def event_unreadable(self, link: Link) -> None:
        """Learn that an event came of which nothing can be made."""

    async def let_go_of(self, link: Link) -> None:
        """Return when a link that was replaced is needed no more."""


class Supervisor(LinkOwner):
    """Runs one session's connections."""

    def __init__(
        self,
        make_link: Callable[[Supervisor], Link],
        logon: Method | None,
        reconnect: ReconnectPolicy,
        hooks: Hooks,
        stats: Stats,
        waiting: WaitingRequests,
        clock: ServerClock,
        log: SessionLog,
        options: ConnectionOptions,
        rollover_after: float | None,
        weight_reserve: float | None,
        on_failed: Callable[[Exception], None],
    ) -> None:
        """Connect by ``options`` with ``make_link``; log each connection on with the method ``logon``, if given.

        While the exchange wants none, the first connection waits for its ``open_timeout`` at most. A connection is
        replaced after ``rollover_after`` seconds, or up to a tenth earlier. ``weight_reserve`` is the share of the
        request weight kept for what must not wait. ``on_failed`` is called when the session ends by itself, with the
        reason.
        """
        self._make_link = make_link
        self._logon = logon
        self._reconnect = reconnect
        self._hooks = hooks
        self._stats = stats
        self._log = log
        self._options = options
        self.throttle = Throttle(clock, weight_reserve, self._throttle_changed, self._check_links)
        self._on_failed = on_failed
        self._rollover_after = rollover_after
        self._machine = Machine(SESSION_TABLE, SessionState.NEW, self._changed)
        self._waiters: list[tuple[SessionState, asyncio.Future[None]]] = []
        self._waiting = waiting
        self._links: list[Link] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        #: the link that takes requests now; ``None`` unless READY, and while the exchange wants none
        self.link: Link | None = None
        #: the link in use: the same, or what it was until requests were held back, the logon revoked, the link lost
        self._serving: Link | None = None
        self._drains: set[asyncio.Task[None]] = set()
        #: told of links and their events, where the account's events come over the API connection
        self.watcher: LinkWatcher | None = None
        # connections in a row that were told to go when they had hardly begun
        self._hasty = 0
        # logons in a row that were revoked when they had hardly been given
        self._relogons = 0
        # whether the logon was revoked and none was given since
        self._revoked = False
        # whether the session was READY once
        self._was_ready = False
        # loop times: until when open() may wait for an exchange that wants none, and make another attempt
        self._may_wait_until = self._may_try_until = -math.inf
        # whether the exchange is being asked for the weight that is used, or does not say
        self._asks_weight = False
        # the kinds of trouble that were warned about since the session was READY
        self._warned: set[Hashable] = set()
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
        return self._serving is not None and self._serving.authenticated

    @property
    def _is_over(self) -> bool:
        return self.state.is_final or self.state is SessionState.CLOSING

    @property
    def logs_on(self) -> bool:
        """Whether the session logs its connections on."""
        return self._logon is not None

    @property
    def serving(self) -> Link | None:
        """The link in use, also while the exchange wants no requests; ``None`` unless READY."""
        serving = self._serving
        return serving if serving is not None and serving.is_open and self.state is SessionState.READY else None

    @property
    def in_flight(self) -> int:
        """How many requests were written and have not ended."""
        return sum(len(link.router) for link in self._links)

    def _changed(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        because = f": {cause}" if cause is not None else ""
        level = logging.INFO if cause is None else logging.WARNING if new.is_final else self._level_for(cause)
        self._log.log(level, "session %s -> %s%s", old.value, new.value, because)
        waiters, self._waiters = self._waiters, []
        for goal, future in waiters:
            if future.done():
                continue
            with contextlib.suppress(RuntimeError):  # its event loop is gone, which is nothing to the others
                if goal is new:
                    future.set_result(None)
                elif not reachable(SESSION_TABLE, new, goal):
                    future.set_exception(self._final_error(f"the session is {new.value}"))
                else:
                    self._waiters.append((goal, future))
        if self._hooks.on_state_change is not None:
            self._hooks.on_state_change(old, new, cause)

    def _level_for(self, cause: Exception) -> int:
        """Return the level for an attempt that failed: each kind of cause is warned about once until READY."""
        kind = (
            type(cause),
            getattr(cause, "status", None),
            getattr(cause, "code", None),
            type(cause.__cause__),
        )
        if kind in self._warned:
            return logging.INFO
        self._warned.add(kind)
        return logging.WARNING

    async def wait_for(self, goal: SessionState) -> None:
        """Return when the state is ``goal``; raise at once when it never can be, or the session's failure."""
        if self.state is goal:
            return
        if not reachable(SESSION_TABLE, self.state, goal):
            if goal is SessionState.NEW and not self._is_over:
                raise ConfigurationError(
                    f"the session is {self.state.name} and will never be NEW again: wait for another state"
                )
            raise self._final_error(f"the session is {self.state.value} and will never be {goal.value}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (goal, future)
        self._waiters.append(waiter)
        try:
            await future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _final_error(self, what: str) -> Exception:
        """Return the error of who waits for a state that will not come."""
        if self.failure is None:
            return self._ended(what)
        return self.failure.with_traceback(None)  # raised more than once, it would collect tracebacks

    def _ended(self, what: str, method: str | None = None) -> BinanceSessionError:
        """Return the error for what can no longer be had."""
        if self.failure is None:
            return SessionClosed(f"{what}; make a new Session", method=method)
        error = SessionClosed(f"{what}, because {self.failure}", method=method)
        error.__cause__ = self.failure
        return error

    # Requests that cannot leave now

    def unready(
        self,
        method: Method,
        params: Params | None,
        credentials: Credentials | None,
        timeout: float,
        *,
        wait: bool,
        checked: Callable[[], Params | None],
    ) -> asyncio.Future[Response]:
        """Park a request until the session is READY if it may ``wait``, else raise what it must be told.

        ``checked`` returns the params as they are now, or raises what is wrong with the request.
        """
        state = self.state
        if self._is_over:
            raise self._ended(f"the session is {state.value}; {method.name} was not sent", method.name)
        if state is SessionState.NEW:
            raise NotSent(f"the session is not open; {method.name} was not sent: open it first", method=method.name)
        hold = self.throttle.hold_for(method)
        if hold is not NOT_HELD:
            if not wait or hold.until - asyncio.get_running_loop().time() > timeout:
                raise self.throttle.refusal(hold, method.name)
        elif state is SessionState.READY and self._serving is not None:
            link = self._serving
            future = link.submit(method, params, credentials, timeout)
            self._sent(link, method, params)
            return future
        if not wait:
            raise NotSent(
                f"{_UNREADY.get(state, f'the session is {state.name}')}; {method.name} was not sent. To let it wait for"
                ' the connection, pass on_unready="wait"',
                method=method.name,
            )
        return self._waiting.add(method, checked(), credentials, timeout)

    # What links tell

    def link_ended(self, link: Link, cause: ConnectionLost) -> None:
        """Take the link out of use at once, so that nothing more is written to it."""
        if link is self._serving:
            self.link = None
            if self.state is SessionState.READY:
                self._machine.advance(_E.LOST, cause)
        if self.watcher is not None:
            self.watcher.link_ended(link)
        self._wake.set()

    def logon_revoked(self, link: Link) -> None:
        """Hold requests back until the link is logged on again."""
        if self.watcher is not None:
            self.watcher.logon_revoked(link)
        if link is self._serving and self._logon is not None and self.state is SessionState.READY:
            self.link = None
            self._revoked = True
            self._machine.advance(_E.REVOKED, SessionRevoked("the exchange revoked the logon", outcome=None))
            self._wake.set()

    def replace(self, link: Link) -> None:
        """Have another link take the place of this one, as in a planned move."""
        link.is_retiring = True
        self._wake.set()

    def rate_limited(self, error: RateLimited) -> None:
        """Hold requests back, of this session and of its neighbours."""
        self.throttle.rate_limited(error)

    def may_send(self) -> bool:
        """Tell whether the exchange wants to hear of us."""
        return self.throttle.may_send

    def _throttle_changed(self) -> None:
        """Send what need not wait any more; have requests pass the gate one by one while some must."""
        self.link = None
        if (serving := self.serving) is not None:
            self._serve_requests(serving)

    def _serve_requests(self, link: Link) -> None:
        self.link = link if self.throttle.is_open else None
        self._waiting.send_all(link, self.throttle.allows, functools.partial(self._sent, link))

    def _sent(self, link: Link, method: Method, params: Params | None) -> None:
        """Have the weight of a request counted, if it is, and ask for the exchange's own count once in a while."""
        if not self.throttle.sent(method, params) or self._asks_weight or not self.throttle.may_send:
            return
        count = self.throttle.count
        assert count is not None
        try:
            asked = link.ask_limits()
        except NotSent:
            return
        self._asks_weight = True
        asked.add_done_callback(functools.partial(self._weight_told, count.asked()))

    def _weight_told(self, moment: tuple[float, int], asked: asyncio.Future[Response]) -> None:
        self._asks_weight = False
        if asked.cancelled() or asked.exception() is not None:
            return
        if self.throttle.weight_told(asked.result().rate_limits, moment):
            return
        self._asks_weight = True  # no more: it would not tell the next time
        self._log.warning(
            "the exchange does not tell the request weight: the reserve is kept by what this session sends, and by the"
            " smallest limit that is documented"
        )

    def _check_links(self) -> None:
        """Check every connection now, instead of at its next ping."""
        for link in self._links:
            link.check()

    def event_received(self, link: Link, event: Event) -> None:
        """Pass an event to the hook; ``serverShutdown`` asks for another connection (PROTOCOL.md §2)."""
        if event.type == "serverShutdown":
            self.replace(link)
        elif self.watcher is not None and self.watcher.event_received(link, event):
            return
        self._stats.events += 1
        if self._hooks.on_event is not None:
            self._hooks.on_event(event)

    def event_unreadable(self, link: Link) -> None:
        """Pass it on to who follows the events."""
        if self.watcher is not None:
            self.watcher.event_unreadable(link)

    def message_unmatched(self, data: bytes | bytearray, *, is_text: bool) -> None:
        """Pass a message that is nobody's to the hook, as readable as it can be made."""
        if self._hooks.on_unmatched is not None:
            self._hooks.on_unmatched(readable(data) if is_text else bytes(data))

    # Life

    async def open(self, patience: float | None) -> None:
        """Connect; return when READY, raise why that cannot be.

        ``patience``: for how many seconds another attempt may be made when one failed; ``None``: there is but one.
        """
        if self._machine.can(_E.OPEN):
            loop = asyncio.get_running_loop()
            if patience is not None:
                self._may_try_until = loop.time() + patience
            timeout = self._options.open_timeout
            self._may_wait_until = max(self._may_try_until, math.inf if timeout is None else loop.time() + timeout)
            self.throttle.use(self._options.url, way_out(self._options))
            self._machine.advance(_E.OPEN)
            if self.state is SessionState.CONNECTING:  # a hook may have closed it
                self._task = loop.create_task(self._run(), name=self._log.task("supervisor"))
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
                    self._shut_down(self._task), name=self._log.task("close")
                )
            elif self._machine.can(_E.CLOSED):
                self._machine.advance(_E.CLOSED)
        last = self._closing or self._task
        if last is not None:
            await asyncio.wait([last])

    async def _shut_down(self, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        for link in list(self._links):  # if it was cancelled while it cleaned up
            await self._end(link)
        self._machine.advance(_E.CLOSED)

    def _end_pending(self, cause: Exception | None) -> None:
        """End what is in flight and what is parked: the session is over."""
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

        by_owner = cause is None  # who knows that it is over, and need not be told for each request
        unknown = sum(link.end_requests(left, quietly=by_owner) for link in self._links)
        self._stats.lost += unknown
        if unknown:
            self._log.warning("the session was %s with %d requests in flight: their outcome is unknown", why, unknown)
        self._waiting.end_all(waiting, quietly=by_owner)

    async def _run(self) -> None:
        """Keep a link ready until the session is closed or cannot go on; leave nothing behind."""
        self.throttle.join(watched=self._options.ping_interval is not None)
        cancelled = False
        try:
            await self._keep_ready()
        except asyncio.CancelledError:
            if self.state is SessionState.CLOSING:
                raise
            cancelled = True  # by somebody who ends all tasks: the session must not look alive without its own
            self.failure = SessionClosed("the session's task was cancelled")
        except BinanceSessionError as error:
            self.failure = error
        except Exception as error:
            self._log.exception("the session's supervisor failed: this is a defect of binance_session")
            self.failure = error
        finally:
            if self.failure is not None:
                self._end_pending(self.failure)
            await self._clean_up()
        self._end_pending(self.failure)
        assert self.failure is not None
        self._on_failed(self.failure)
        if self._machine.can(_E.FAIL):
            self._machine.advance(_E.FAIL, self.failure)
        if cancelled:
            raise asyncio.CancelledError

    async def _clean_up(self) -> None:
        self.link = None
        self.throttle.leave()
        for drain in self._drains:
            drain.cancel()
        if self._drains:
            await asyncio.wait(self._drains)
        for link in list(self._links):
            await self._end(link)

    async def _keep_ready(self) -> NoReturn:
        """Serve on one link after the other; raise what the policy would not try again after."""
        loop = asyncio.get_running_loop()
        attempt, refusals = 1, 0
        link: Link | None = None
        while True:
            ready_since = math.inf
            try:
                link = await self._connect()
                refusals = 0
                if not self._was_ready:
                    attempt = 0
                self._promote(link)
                while True:
                    ready_since = loop.time()
                    successor = await self._serve(link)
                    replaced, link = link, successor
                    self._log.info("the next connection takes over; the one before ends when its last answer has come")
                    try:
                        self._promote(link)
                    finally:
                        self._drain(replaced, link)
            except BinanceSessionError as error:
                cause = error
            if link is not None:
                if link.is_gone:
                    self._links.remove(link)
                elif link.cause is None:  # not logged on any more: what needs no logon may still be answered
                    self._drain(link, None)
                else:
                    self._in_background(self._end(link), "end")  # nothing new waits for what is over
                link = None
            if isinstance(cause, LogonRejected):
                refusals += 1
                cause.refusals = refusals
            if not self._was_ready and not self._may_open_after(cause):
                if self._may_try_until > -math.inf and isinstance(cause, ConnectError) and not cause.retryable:
                    cause.args = (f"{cause}; this is not tried again, whatever the patience",)
                raise cause
            if self._machine.can(_E.LOST):
                self._machine.advance(_E.LOST, cause)
            attempt = 1 if loop.time() - ready_since >= _HEALTHY else attempt + 1
            delay = self._next_delay(attempt, cause)
            if delay is None or (not self._was_ready and loop.time() + delay > self._may_try_until):
                raise self._last_word(cause)
            if self._hooks.on_reconnecting is not None:
                self._hooks.on_reconnecting(attempt, delay, cause)
            if delay > 0:
                await asyncio.sleep(delay)
            self._machine.advance(_E.RETRY)

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

    async def _connect(self) -> Link:
        """Return a new link, open and logged on if the session logs on; raise why there is none."""
        await self.throttle.wait_to_dial(self._patience_ends)
        link = self._make_link(self)
        self._links.append(link)
        try:
            await self._open(link)
            if self._logon is not None:
                if self._machine.can(_E.CONNECTED):
                    self._machine.advance(_E.CONNECTED)
                await self._log_on(link, self._logon)
                if not link.authenticated:
                    raise ConnectError(f"logged on, and at once not any more: {link.cause or 'revoked'}")
        except BaseException as error:
            if isinstance(error, ConnectError) and error.status in (418, 429) and error.retry_after is not None:
                self.throttle.hold(error.retry_after, is_ban=error.status == 418)
            await self._end(link)
            raise
        self._stats.connections += 1
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
            raise ConnectError(
                "no connection: the attempt was cancelled"
            ) from error  # a resolver's, by whoever ended it
        except (OSError, RuntimeError) as error:  # a resolver's, a thread's, a proxy library's
            raise ConnectError(f"no connection: {str(error) or type(error).__name__}") from error
        except Exception as error:
            if not self._was_ready:
                raise
            wrapped = ConnectError(f"no connection: {type(error).__name__}")
            wrapped.__cause__ = error
            if self._level_for(wrapped) == logging.WARNING:
                self._log.exception("a connection could not be attempted: this is a defect of binance_session")
            raise wrapped from error

    @property
    def _patience_ends(self) -> float:
        """The loop time at which a session that was never READY stops waiting for the exchange to listen."""
        return math.inf if self._was_ready else self._may_wait_until

    def _promote(self, link: Link) -> None:
        """Have a new ``link`` take the requests from now on."""
        if link.cause is not None:
            raise link.cause
        first = not self._was_ready
        self._was_ready = True
        self._relieve(link)
        if self._hooks.on_connected is not None and self._leads(link):
            self._hooks.on_connected(first)
        self._put_to_use(link)

    def _relieve(self, link: Link) -> None:
        """Be READY with ``link``."""
        self._serving = link
        self._revoked = False
        self._warned.clear()
        self.link = link if self.throttle.is_open else None
        if self._machine.can(_E.RETRY):  # the link before was lost while this one was being prepared
            self._machine.advance(_E.RETRY)
        if self._machine.can(_E.SERVE):
            self._machine.advance(_E.SERVE)

    def _leads(self, link: Link) -> bool:
        """Tell whether ``link`` is in use; a hook may have seen to it that it is not."""
        return self._serving is link and self.state is SessionState.READY

    def _put_to_use(self, link: Link) -> None:
        """Send what waits, and tell who follows the links."""
        if self._leads(link):
            self._serve_requests(link)
            if self.watcher is not None:
                self.watcher.link_promoted(link)

    async def _serve(self, link: Link) -> Link:
        """Stay with ``link`` until another is ready to take over, and return that; raise what ended it before.

        A connection that is due to end (its 24 hours, ``serverShutdown``) works on while the next is made ready. If the
        next cannot be had, this one is used to its last moment.
        """
        loop = asyncio.get_running_loop()
        began = logged_on = loop.time()
        due = math.inf if self._rollover_after is None else began + self._rollover_after * uniform(0.9, 1.0)
        attempt = refusals = 0
        refused_at = -math.inf
        successor: asyncio.Task[Link] | None = None
        try:
            while link.cause is None:
                self._wake.clear()
                if successor is not None and successor.done():
                    try:
                        return self._alive(successor.result())
                    except BinanceSessionError as error:
                        attempt += 1
                        if isinstance(error, LogonRejected):
                            refusals += 1
                            refused_at = loop.time()
                            error.refusals = refusals
                        delay = self._next_delay(attempt + 1, error)
                        if delay is None:  # until there is another reason for one
                            due, attempt, refusals = math.inf, 0, 0
                        else:
                            due = loop.time() + delay
                        self._log.log(self._level_for(error), "no second connection (%s); the first is used on", error)
                    successor = None
                if self.state is SessionState.LOGGING_ON and self._logon is not None:
                    # A logon that is revoked as soon as it is given is not asked for without end.
                    self._relogons = self._relogons + 1 if loop.time() - logged_on < _HEALTHY else 0
                    await self._pause(self._relogons, SessionRevoked("revoked again"))
                    await asyncio.sleep(refused_at + _AFTER_REFUSED_LOGON - loop.time())
                    await self._log_on(link, self._logon)
                    logged_on = loop.time()
                    if link.authenticated:
                        self._relieve(link)
                        self._put_to_use(link)
                elif link.is_retiring and successor is None:
                    link.is_retiring = False
                    if refusals and due < math.inf:
                        continue  # another logon is asked for already, when it may be
                    # Nor is an exchange that tells each new connection to go dialled without end.
                    self._hasty = self._hasty + 1 if loop.time() - began < _HEALTHY else 0
                    wait = self._next_delay(self._hasty, ConnectError("shutdown announced")) if self._hasty else 0.0
                    due = min(due, loop.time() + (wait or 0.0))
                elif loop.time() >= due and successor is None:
                    due = math.inf
                    successor = loop.create_task(self._successor(), name=self._log.task("rollover"))
                    successor.add_done_callback(lambda _: self._wake.set())
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(due if successor is None and due < math.inf else None):
                            await self._wake.wait()
            if successor is not None:
                try:
                    return self._alive(await successor)
                except BinanceSessionError as error:
                    self._log.warning("no second connection (%s), and the first is gone", error)
                    if isinstance(error, LogonRejected):
                        raise
            raise link.cause
        finally:
            if successor is not None and not successor.done():
                successor.cancel()
                await asyncio.wait([successor])

    async def _successor(self) -> Link:
        """Return a link that can take over; one that would not outlive its logon is not worth one that works."""
        link = await self._connect()
        try:
            if await link.confirm():
                return link
        except BaseException:
            await self._end(link)
            raise
        await self._end(link)
        raise ConnectError(f"the second connection ended at once: {link.cause}")

    def _alive(self, successor: Link) -> Link:
        """Return ``successor``, unless it has ended since it was confirmed."""
        if successor.cause is None:
            return successor
        self._in_background(self._end(successor), "end")
        raise ConnectError(f"the second connection ended at once: {successor.cause}")

    async def _pause(self, attempt: int, cause: BinanceSessionError) -> None:
        """Wait as the policy says before another attempt of a kind that should not be needed; give up if it does."""
        if attempt:
            delay = self._next_delay(attempt, cause)
            if delay is None:
                raise cause
            # a policy that never waits is held to one logon a second, as after a refused one
            await asyncio.sleep(max(delay, _AFTER_REFUSED_LOGON) if attempt > 1 else delay)

    def _drain(self, link: Link, successor: Link | None) -> None:
        """Close a link that is not used any more, once its last answer has come or timed out.

        What ``on_connected`` asked of the ``successor``, at once or a moment later, is answered first: a subscription
        of the bot's own, say, whose events the old link brings until then.
        """

        async def drain() -> None:
            if successor is not None and self._hooks.on_connected is not None:
                await asyncio.sleep(_OVERLAP)
                await successor.answered()
            await link.drained()
            if self.watcher is not None:
                await self.watcher.let_go_of(link)
            await self._end(link)

        self._in_background(drain(), "drain")

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=self._log.task(name))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _end(self, link: Link) -> None:
        """Close a link and forget it."""
        if link is self.link:
            self.link = None
        try:
            await link.close()
        finally:
            if link in self._links:
                self._links.remove(link)

    def _next_delay(self, attempt: int, cause: Exception) -> float | None:
        delay = self._hooks.ask(self._reconnect, _FALLBACK, attempt, cause)
        if delay is None:
            return None
        if isinstance(cause, LogonRejected):
            return max(delay, _AFTER_REFUSED_LOGON)
        if isinstance(cause, ConnectError) and cause.retry_after is not None:
            return max(delay, cause.retry_after)
        return delay

    async def _log_on(self, link: Link, method: Method) -> None:
        """Send ``session.logon`` and wait for its answer."""
        try:
            await self.throttle.wait(self._patience_ends)
            try:
                await link.submit(method)
            except InvalidTimestamp:
                # The link asked for the exchange's time when it saw this; with that, once more.
                await link.status_told()
                await self.throttle.wait(self._patience_ends)
                await link.submit(method)
        except RateLimited:
            raise
        except ConfigurationError as error:
            if not self._was_ready:
                raise
            # It signed before: a remote signer may be back soon.
            raise ConnectError(f"connected, but session.logon could not be signed: {error}") from error
        except InvalidTimestamp as error:  # a slow link or a clock in motion, nothing that is wrong with the key
            raise ConnectError(
                "connected, but session.logon was stamped too late or too early for the exchange: is the clock of this"
                f" machine right? {error}"
            ) from error
        except ApiError as error:
            if not error.is_passing:
                raise LogonRejected(error) from error
            raise ConnectError(f"connected, but session.logon failed: {error}") from error
        except BinanceSessionError as error:
            raise ConnectError(f"connected, but session.logon was not answered: {error}") from error
