"""Events from the API connection: the source on Spot, where a subscription belongs to its connection.

Subscribes on every connection that comes into use, and keeps the one before open until the new subscription has taken
over. Documents: PROTOCOL.md §5.4 (methods, ``eventStreamTerminated``), §2 (``subscriptionId``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from binance_session.clock import ServerClock
from binance_session.connections.link import Link, LinkWatcher
from binance_session.connections.supervisor import Supervisor
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectionLost,
    InvalidTimestamp,
    NotSent,
    ProtocolError,
    RateLimited,
    RequestTimeout,
    SessionClosed,
    SessionRevoked,
)
from binance_session.events.feed import Feed, Reader
from binance_session.events.ownsubscriptions import OwnSubscriptions
from binance_session.events.sockets import OVERLAP
from binance_session.events.stream import EventSource
from binance_session.hooks import Hooks
from binance_session.log import SessionLog, session_log
from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy
from binance_session.responses import Event
from binance_session.state import SessionState
from binance_session.stats import Stats
from binance_session.venues import Venue

__all__ = ["Subscription"]

_FALLBACK: Final = ExponentialBackoff()
#: seconds for which a connection on which we cannot subscribe is waited to be replaced
_AVOIDED: Final = 60.0
#: seconds that a subscription should last
_HASTY: Final = 10.0
#: seconds after each refusal of a subscription that was taken before; with one more it is believed
_REFUSED: Final = (2.0, 8.0, 30.0, 80.0)
#: the connection's logon is gone; the session sees to another (PROTOCOL.md §9)
_NOT_LOGGED_ON: Final = frozenset({-1193, -2015})


class Subscription(EventSource, LinkWatcher):
    """Supplies a feed from the API connection while anybody reads it."""

    can_pause = False
    valid_until = None

    @property
    def is_live(self) -> bool:
        """Whether a connection that works is subscribed."""
        return self._feed.is_live and bool(self._needed)

    def __init__(
        self,
        supervisor: Supervisor,
        venue: Venue,
        feed: Feed,
        clock: ServerClock,
        reconnect: ReconnectPolicy,
        hooks: Hooks,
        stats: Stats,
        timeout: float,
        own: OwnSubscriptions,
        log: SessionLog | None = None,
    ) -> None:
        """``timeout`` is what a request may take, in seconds; ``own`` is what the bot subscribed to by itself."""
        self._own = own
        self._supervisor = supervisor
        self._venue = venue
        self._feed = feed
        self._clock = clock
        self._reconnect = reconnect
        self._hooks = hooks
        self._stats = stats
        self._timeout = timeout
        self._log = log or session_log("session")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        # the connections that have a subscription, and its number if it was told
        self._numbers: dict[Link, int | None] = {}
        # those of them that are needed, oldest first: one, or two during a handover
        self._needed: list[Link] = []
        # a connection on which there may be a subscription that we do not know, and one that is to be replaced for it
        self._suspect: Link | None = None
        self._avoided: Link | None = None
        # the connection that a subscription is asked of, and what it brought before that was answered
        self._asked: Link | None = None
        self._early: list[Event] = []
        # the kinds of trouble that were warned about since there was a subscription
        self._warned: set[tuple[object, ...]] = set()
        # those who wait until a connection is needed no more
        self._waiting: dict[Link, asyncio.Future[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._over: Exception | None = None
        supervisor.watcher = self

    # Readers

    async def attach(self, reader: Reader) -> None:
        """Add a reader; the first one subscribes, and gets the error if that fails."""
        if self._over is not None:
            raise self._over.with_traceback(None)
        self._feed.add(reader)
        try:
            if self._supervisor.state is SessionState.NEW:
                raise NotSent("the session is not open; nothing was subscribed to: open it first")
            # its connection, and the answer, or one connection more
            async with asyncio.timeout(3 * self._timeout) as within:
                await self._supervisor.wait_for(SessionState.READY)
                if self._over is not None:  # somebody else who waited for that has closed it
                    raise self._over.with_traceback(None)
                self._supervisor.throttle.refuse_to_open()
                if (first := self._first) is None:
                    loop = asyncio.get_running_loop()
                    first = self._first = loop.create_future()
                    self._task = loop.create_task(self._run(first), name=self._log.task("user data stream"))
                await asyncio.shield(first)
        except BaseException as error:
            self._remove(reader)
            if isinstance(error, TimeoutError) and within.expired():
                raise NotSent(f"no connection took the subscription within {3 * self._timeout:g} s") from None
            raise

    async def detach(self, reader: Reader, *, stop: bool) -> None:
        """Remove a reader; after the last one end the subscription, which is nobody else's."""
        self._remove(reader)
        await self.ended()

    def _remove(self, reader: Reader) -> None:
        self._feed.remove(reader)
        if not self._feed.readers:
            self._tear_down()

    def pause(self, reader: Reader) -> None:
        """Not to be had: answers come the same way."""

    def resume(self, reader: Reader) -> None:
        """Likewise."""

    def fail(self, error: Exception) -> None:
        """End every reader with ``error``: the session is over."""
        self._over = error
        self._own.forget()
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self._first is not None and not self._first.done() and error is not None:
            self._first.set_exception(error)
            self._first.exception()  # whoever waits has it
        self._feed.end(error)
        self._tear_down()

    async def ended(self) -> None:
        """Return when nothing is left of what was told to end."""
        while self._ending:
            await asyncio.wait(self._ending)

    def _tear_down(self) -> None:
        self._first = None
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        if self._asked is not None:
            self._suspect = self._asked  # it may have been heard
            self._forsake(self._asked)
        numbers, self._numbers = self._numbers, {}
        self._needed.clear()
        link = self._supervisor.serving
        if self._over is None and link is not None and link in numbers and self._supervisor.throttle.may_send:
            self._unsubscribe(link, numbers[link])
        for link in list(self._waiting):
            self._let_go(link)

    def _unsubscribe(self, link: Link, number: int | None) -> None:
        """Ask for no more events; an answer is not waited for, and nothing hangs on it."""
        if number is None:
            return
        with contextlib.suppress(BinanceSessionError):
            future = link.submit(self._venue.method("userDataStream.unsubscribe"), {"subscriptionId": number})
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    # What the supervisor tells

    def link_promoted(self, link: Link) -> None:
        """Subscribe on a connection that came into use, or that was logged on anew."""
        self._wake.set()

    def logon_revoked(self, link: Link) -> None:
        """Take the subscription for lost; whether it is, no document says."""
        self._own.logon_revoked(link, "the logon was revoked")
        if link in self._numbers:
            self._suspect = link
            self._lose(link, self._clock.ms_at(link.proven_at), "the logon was revoked, and with it the subscription")

    def link_ended(self, link: Link) -> None:
        """Take note that a connection is over."""
        self._lose(link, self._clock.ms_at(link.proven_at), str(link.cause))
        has_moved = self._supervisor.serving not in (None, link)
        self._own.ended(link, "the session moved to another connection" if has_moved else str(link.cause))
        self._wake.set()

    def event_received(self, link: Link, event: Event) -> bool:
        """Take an event if it is one of our subscription's."""
        if event.type == "eventStreamTerminated" and not (
            link in self._numbers and event.subscription_id in (None, self._numbers[link])
        ):
            self._own.terminated(link, event.subscription_id)
        if link is self._asked:
            self._early.append(event)
            return True
        if link not in self._numbers:
            return False
        number = self._numbers[link]
        if number is not None and event.subscription_id not in (None, number):
            return False
        try:
            self._feed.event(link, event)
        except Exception as error:
            self._feed.lost(error)
        if event.type == "eventStreamTerminated":
            self._lose(link, event.time or self._clock.ms_at(link.proven_at), "the exchange ended the subscription")
            self._wake.set()
        return True

    def event_unreadable(self, link: Link) -> None:
        """Tell that an event is missing, if it may have been one of our subscription's."""
        if link is self._feed.leading:
            self._feed.unreadable()

    async def let_go_of(self, link: Link) -> None:
        """Return when a connection that was replaced has nothing more to bring."""
        if self._own.has_any(link):
            await self._own.made_again(link)
        if link in self._needed:
            future = self._waiting.setdefault(link, asyncio.get_running_loop().create_future())
            await asyncio.shield(future)

    def _let_go(self, link: Link) -> None:
        if link in self._needed:
            self._needed.remove(link)
        future = self._waiting.pop(link, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _lose(self, link: Link, since: int, cause: str) -> None:
        """Take note that a connection brings nothing any more, and that events since ``since`` (ms) may be missing."""
        if link is self._asked:
            self._forsake(link)
        self._feed.break_off(link, since, cause)
        self._numbers.pop(link, None)
        self._let_go(link)

    # Subscriptions

    async def _run(self, first: asyncio.Future[None]) -> None:
        error: Exception | None = None
        try:
            await self._keep_subscribed(first)
        except asyncio.CancelledError:
            if self._task is asyncio.current_task():  # by somebody who ends all tasks
                self._end(SessionClosed("the user data stream's task was cancelled"))
            raise
        except BinanceSessionError as caught:
            error = caught
        except Exception as caught:
            self._log.exception("the user data stream failed: this is a defect of binance_session")
            error = caught
        self._end(error)

    async def _keep_subscribed(self, first: asyncio.Future[None]) -> None:
        """Have a subscription on the connection in use lead the feed."""
        loop = asyncio.get_running_loop()
        attempt, since, refusals = 0, -_HASTY, 0
        self._warned.clear()
        while True:
            self._wake.clear()
            link = self._supervisor.serving  # none while it logs on again: then it will be promoted again
            if link is None or link in self._numbers or link is self._avoided:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_AVOIDED if link is not None and link is self._avoided else None):
                        await self._wake.wait()
                        continue
                self._avoided = None  # another connection cannot be had
                continue
            if loop.time() - since >= _HASTY:
                attempt = 0
            attempt += 1
            if attempt > 1:
                await self._pause_before(attempt, ConnectionLost("the subscription did not last", outcome=None))
            try:
                number = await self._subscribe(link)
            except BinanceSessionError as error:
                self._forsake(link)
                if error.outcome == "rejected" and link is self._suspect and not self._may_pass(error):
                    # There is one subscription for each account and connection; another connection has none yet.
                    self._avoided = link
                    self._supervisor.replace(link)
                    continue
                if error.outcome == "unknown":
                    self._suspect = link
                if first.done() and self._may_pass(error):
                    self._tell_trouble(attempt, error)
                elif first.done() and error.outcome == "rejected" and refusals < len(_REFUSED):
                    # It was taken once, so it may be again; but a key that is dead is not hammered.
                    self._tell_trouble(attempt, error)
                    await asyncio.sleep(_REFUSED[refusals])
                    refusals += 1
                elif first.done() or link.cause is None:
                    raise
            else:
                refusals = 0
                self._warned.clear()
                await self._hand_over(link, number)
                if link.cause is None and not first.done():
                    first.set_result(None)
            since = loop.time()

    def _tell_trouble(self, attempt: int, error: BinanceSessionError) -> None:
        """Log what stands in the way: loudly when its kind is new, for it may last."""
        kind = (type(error), getattr(error, "status", None), getattr(error, "code", None), type(error.__cause__))
        level = logging.INFO if kind in self._warned else logging.WARNING
        self._warned.add(kind)
        self._log.log(level, "no user data stream (attempt %d): %s", attempt, error)

    def _may_pass(self, error: BinanceSessionError) -> bool:
        """Tell whether it may go better the next time, on this connection or another."""
        if isinstance(error, ApiError):
            logon_is_gone = error.code in _NOT_LOGGED_ON and self._supervisor.logs_on
            return logon_is_gone or error.is_passing or isinstance(error, (InvalidTimestamp, RateLimited))
        # ConfigurationError: it signed before, and a remote signer may be back soon
        return isinstance(
            error, (ConfigurationError, ConnectionLost, NotSent, ProtocolError, RequestTimeout, SessionRevoked)
        )

    async def _subscribe(self, link: Link) -> int | None:
        """Return the number of the subscription on ``link``; ``None`` if the exchange did not say."""
        await self._supervisor.throttle.wait()
        if link.cause is not None:
            raise link.cause.with_traceback(None)
        self._asked = link
        self._early.clear()
        self._feed.follow(link)
        name = "userDataStream.subscribe" if link.authenticated else "userDataStream.subscribe.signature"
        future = link.submit(self._venue.method(name))
        self._own.not_own = link.router.last_id
        result: Any = (await future).result
        number = result.get("subscriptionId") if isinstance(result, dict) else None
        return number if type(number) is int else None

    async def _hand_over(self, link: Link, number: int | None) -> None:
        """Have the new subscription supply the feed; with an old one beside it, lose nothing."""
        if link.cause is not None:
            return
        self._stats.stream_connections += 1
        old = self._needed[0] if self._needed else None
        self._numbers[link] = number
        self._needed.append(link)
        self._asked = None
        self._replay(link)
        if old is not None:
            await asyncio.sleep(OVERLAP)
            emptied = await old.confirm()
            if link not in self._needed:
                return
            if not emptied and old in self._needed:
                self._feed.break_off(old, self._clock.ms_at(old.proven_at), "the connection did not answer a ping")
            self._let_go(old)
        self._feed.take_over()

    def _forsake(self, link: Link) -> None:
        """Have a connection supply nothing."""
        self._feed.leave(link)
        if link is self._asked:
            self._asked = None
            self._replay(link)

    def _replay(self, link: Link) -> None:
        """Pass on what came before the subscription was answered: what is not ours, to the hook alone."""
        early, self._early = self._early, []
        for event in early:
            if not self.event_received(link, event):
                self._stats.events += 1
                if self._hooks.on_event is not None:
                    self._hooks.on_event(event)

    async def _pause_before(self, attempt: int, cause: BinanceSessionError) -> None:
        delay = self._hooks.ask(self._reconnect, _FALLBACK, attempt, cause)
        if delay is None:
            raise cause
        if delay > 0:
            await asyncio.sleep(delay)
