"""Events from the API connection: the supplier on Spot, where a subscription belongs to its connection.

Subscribes on every connection that comes into use, and keeps the one before open until the new subscription has taken
over; on the standby connection too, if a reader wants its events from two.

Documents: PROTOCOL.md §5.4 (methods, ``eventStreamTerminated``), §2 (``subscriptionId``).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any, Final

from binance_session.clock import ServerClock
from binance_session.connections.attempts import HEALTHY, Attempts
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
    SessionRevoked,
)
from binance_session.events.delivery import Delivery
from binance_session.events.feed import Feed, SecondOwner
from binance_session.events.ownsubscriptions import OwnSubscriptions
from binance_session.events.second import Second
from binance_session.events.subscribedlink import SubscribedLink
from binance_session.events.supplier import Supplier, Supply
from binance_session.hooks import Hooks
from binance_session.log import SessionLog
from binance_session.reconnect import ReconnectPolicy
from binance_session.responses import Event, Response
from binance_session.state import SessionState
from binance_session.stats import Stats
from binance_session.venues import Method, Venue

__all__ = ["Subscription"]

#: seconds for which a connection on which we cannot subscribe is waited to be replaced
_AVOIDED: Final = 60.0
#: seconds after each refusal of a subscription that was accepted before; after one more it is final
_REFUSED: Final = (2.0, 8.0, 30.0, 80.0)
#: the connection's logon is gone; the session logs on again (PROTOCOL.md §9)
_NOT_LOGGED_ON: Final = frozenset({-1193, -2015})


class Subscription(Supplier[SubscribedLink], LinkWatcher):
    """Supplies a feed from the API connection while it has readers."""

    can_pause = False
    valid_until = None

    def __init__(
        self,
        supervisor: Supervisor,
        venue: Venue,
        feed: Feed,
        delivery: Delivery,
        clock: ServerClock,
        reconnect: ReconnectPolicy,
        hooks: Hooks,
        stats: Stats,
        timeout: float,
        log: SessionLog,
    ) -> None:
        """``timeout`` is what a request may take, in seconds."""
        super().__init__(feed, clock, reconnect, hooks, stats, log)
        self._supervisor = supervisor
        self._venue = venue
        self._delivery = delivery
        self._timeout = timeout
        # the connections that concern us, until they have ended
        self._links: dict[Link, SubscribedLink] = {}
        self._own = OwnSubscriptions(self._links.values(), clock, delivery)
        # the ids of the requests under way that subscribe for the session's own streams
        self._asked: set[int] = set()
        # at a subscription: the first attempt on a connection follows on none
        self._attempts = Attempts(reconnect, hooks, count=1)
        # on the standby connection
        self._second: Second[SubscribedLink] = Second(
            feed, self._open_second, self._drop, Attempts(reconnect, hooks), self._wake, self._await_end, log
        )
        # how many subscriptions were refused in a row
        self._refusals = 0
        supervisor.watcher = self
        supervisor.on_promoted = supervisor.on_standby = self.link_promoted

    @property
    def is_live(self) -> bool:
        """Whether a connection that works is subscribed."""
        return self._feed.is_live and any(subscribed.is_needed for subscribed in self._links.values())

    # Readers

    def check_sockets(self, sockets: int) -> None:
        """Raise :class:`ConfigurationError` if a reader cannot have its events from so many sources."""
        if sockets > 1 and not self._supervisor.has_standby:
            raise ConfigurationError(
                f"sockets=2 needs standby=True on {self._venue.name}, where events come on API connections"
            )

    async def _acquire(self) -> Supply:
        return self._supply

    async def _begin(self, supply: Supply) -> None:
        if self._supervisor.state is SessionState.NEW:
            raise NotSent("the session is not open; nothing was subscribed to: open it first")
        try:
            # its connection, and the answer, or one connection more
            async with asyncio.timeout(3 * self._timeout) as within:
                await self._supervisor.wait_for(SessionState.READY)
                self._raise_if_over()  # something else that waited for READY may have closed the session
                self._supervisor.throttle.refuse_to_open()
                await super()._begin(supply)
        except TimeoutError:
            if not within.expired():
                raise
            raise NotSent(f"no connection took the subscription within {3 * self._timeout:g} s") from None

    def fail(self, error: Exception) -> None:
        """End every reader with ``error``: the session is over."""
        self._own.forget()
        super().fail(error)

    def _drop_all(self) -> None:
        in_use = (self._supervisor.serving, self._supervisor.standby)
        self._second.give_up()
        for subscribed in list(self._links.values()):
            if subscribed.early is not None:
                subscribed.is_suspect = True  # the request may have arrived
                self._abandon(subscribed)
            was_subscribed, subscribed.is_subscribed = subscribed.is_subscribed, False
            if was_subscribed and subscribed.link in in_use and self._over is None:
                self._unsubscribe(subscribed)
            subscribed.release()

    def _unsubscribe(self, subscribed: SubscribedLink) -> None:
        """Ask for no more events; the answer is not waited for, and does not matter."""
        if subscribed.number is None or not self._supervisor.throttle.may_send:
            return
        with contextlib.suppress(BinanceSessionError):
            method = self._venue.method("userDataStream.unsubscribe")
            future = subscribed.link.submit(method, {"subscriptionId": subscribed.number})
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    # What the supervisor and its links report

    def answered(self, link: Link, method: Method, response: Response) -> None:
        """Called when a request to subscribe was answered on a connection, the session's or the bot's own."""
        if response.request_id not in self._asked:
            self._own.answered(self._on(link), method, response)

    def logon_revoked(self, link: Link) -> None:
        """Called when a connection is logged on no more; whether that ends the subscription, no document says."""
        subscribed = self._links.get(link)
        if subscribed is None:
            return
        self._own.logon_revoked(subscribed, "the logon was revoked")
        self._second.give_up()  # one key has logged both connections on
        if subscribed.is_subscribed:
            subscribed.is_suspect = True
            since = self._clock.ms_at(link.proven_at)
            self._lost(subscribed, since, "the logon was revoked, and with it the subscription")

    def link_ended(self, link: Link) -> None:
        """Called when a connection has ended."""
        subscribed = self._links.get(link)
        if subscribed is not None:
            if subscribed is self._feed.leading and (second := self._second.take()) is not None:
                self._succeed(subscribed, second, str(link.cause))
            self._lost(subscribed, self._clock.ms_at(link.proven_at), str(link.cause))
            has_moved = self._supervisor.serving not in (None, link)
            self._own.ended(subscribed, "the session moved to another connection" if has_moved else str(link.cause))
            del self._links[link]
        self._wake.set()

    def event_received(self, link: Link, event: Event) -> bool:
        """Called when a connection brought an event; returns whether it is one of the session's subscription."""
        subscribed = self._links.get(link)
        if subscribed is None:
            return False
        is_ours = subscribed.is_subscribed and (
            subscribed.number is None or event.subscription_id in (None, subscribed.number)
        )
        has_ended = event.type == "eventStreamTerminated"
        if has_ended and not (subscribed.is_subscribed and event.subscription_id in (None, subscribed.number)):
            self._own.terminated(subscribed, event.subscription_id)
        if subscribed.early is not None:
            subscribed.early.append(event)
            return True
        if not is_ours:
            return False
        try:
            self._feed.event(subscribed, event)
        except Exception as error:
            self._feed.failed(error)
        if has_ended:
            since = event.time or self._clock.ms_at(link.proven_at)
            if subscribed is self._feed.leading and (second := self._second.take()) is not None:
                self._succeed(subscribed, second, "the exchange ended the subscription")
            self._lost(subscribed, since, "the exchange ended the subscription")
            self._wake.set()
        return True

    def event_unreadable(self, link: Link) -> None:
        """Called when a connection brought an event that cannot be decoded: perhaps one of the session's."""
        subscribed = self._links.get(link)
        if subscribed is not None and subscribed is self._feed.leading:
            self._feed.unreadable()

    async def released(self, link: Link) -> None:
        """Return when the events of a connection that was replaced are not needed any more."""
        subscribed = self._links.get(link)
        if subscribed is None:
            return
        if subscribed.own:
            await self._own.made_again(subscribed)
        if subscribed.is_needed:
            if subscribed.released is None:
                subscribed.released = asyncio.get_running_loop().create_future()
            await asyncio.shield(subscribed.released)

    def _on(self, link: Link) -> SubscribedLink:
        """Return what is known of the subscriptions on a connection."""
        subscribed = self._links.get(link)
        if subscribed is None:
            subscribed = self._links[link] = SubscribedLink(link)
        return subscribed

    def _lost(self, subscribed: SubscribedLink, since: int, cause: str) -> None:
        """End a connection's subscription: events since ``since`` (ms) may be missing."""
        if subscribed.early is not None:
            self._abandon(subscribed)
        following = self._feed.following
        # one that is being subscribed on brings nothing before that is answered
        self._feed.drop(subscribed, since, cause, has_successor=following is None or following.early is None)
        subscribed.is_subscribed = False
        subscribed.release()

    # Subscriptions

    async def _supply(self, first: asyncio.Future[None]) -> None:
        """Subscribe on the connection in use, whichever it is, and let it lead the feed."""
        loop = asyncio.get_running_loop()
        ended_at = -math.inf  # the last attempt
        self._attempts.reset()
        self._second.reset()
        self._refusals = 0
        while True:
            self._wake.clear()
            link = self._supervisor.serving  # none while it logs on again: then it will be promoted again
            subscribed = None if link is None else self._on(link)
            if subscribed is None or subscribed.is_subscribed or subscribed.is_avoided:
                if subscribed is not None and subscribed.is_subscribed and self._feed.leading is None:
                    self._let_lead(subscribed)
                self._tend_second(subscribed)
                await self._another_link(subscribed)
                continue
            if subscribed.early is not None:  # it was the standby connection until now
                await self._second.settled()
            if not subscribed.is_subscribed:
                self._second.give_up()
            if link is not self._supervisor.serving or subscribed.is_subscribed:
                continue
            if loop.time() - ended_at >= HEALTHY:
                self._attempts.reset()
            else:
                await self._pause()
            try:
                number = await self._subscribe(subscribed)
            except BinanceSessionError as error:
                if not await self._try_again(subscribed, error, first):
                    continue
            else:
                self._refusals = 0
                self._troubles.clear()
                await self._lead(subscribed, number)
                if subscribed.cause is None and not first.done():
                    first.set_result(None)
            ended_at = loop.time()

    async def _another_link(self, subscribed: SubscribedLink | None) -> None:
        """Return when something has happened; use a connection that is avoided after all if it is not replaced."""
        loop = asyncio.get_running_loop()
        is_avoided = subscribed is not None and subscribed.is_avoided
        until = loop.time() + _AVOIDED if is_avoided else self._second.due_at
        try:
            async with asyncio.timeout_at(until if loop.time() < until < math.inf else None):
                await self._wake.wait()
        except TimeoutError:
            if subscribed is not None:
                subscribed.is_avoided = False

    async def _pause(self) -> None:
        """Wait as the policy says before the next attempt."""
        cause = ConnectionLost("the subscription did not last", outcome=None)
        delay = self._attempts.failed(cause)
        if delay is None:
            raise cause
        if delay > 0:
            await asyncio.sleep(delay)

    async def _try_again(
        self, subscribed: SubscribedLink, error: BinanceSessionError, first: asyncio.Future[None]
    ) -> bool:
        """Return whether an attempt that failed counts as one; raise ``error`` when no other attempt is made."""
        self._abandon(subscribed)
        is_refused = error.outcome == "rejected"
        may_pass = self._may_pass(error)
        if is_refused and subscribed.is_suspect and not may_pass:
            # There is one subscription for each account and connection; another connection has none yet.
            subscribed.is_avoided = True
            self._supervisor.replace(subscribed.link)
            return False
        if error.outcome == "unknown":
            subscribed.is_suspect = True
        if not first.done():
            if subscribed.cause is None:
                raise error
            return True
        if not may_pass and not (is_refused and self._refusals < len(_REFUSED)):
            raise error
        self._troubles.log(error, "no user data stream (attempt %d): %s", self._attempts.count, error)
        if not may_pass:
            # It was accepted once, so it may be again; but a key that is dead is not tried again and again.
            await asyncio.sleep(_REFUSED[self._refusals])
            self._refusals += 1
        return True

    def _may_pass(self, error: BinanceSessionError) -> bool:
        """Tell whether the next attempt may succeed, on this connection or another."""
        if isinstance(error, ApiError):
            logon_is_gone = error.code in _NOT_LOGGED_ON and self._supervisor.logs_on
            return logon_is_gone or error.is_passing or isinstance(error, (InvalidTimestamp, RateLimited))
        # ConfigurationError: it signed before, and a remote signer may be back soon
        return isinstance(
            error, (ConfigurationError, ConnectionLost, NotSent, ProtocolError, RequestTimeout, SessionRevoked)
        )

    async def _subscribe(self, subscribed: SubscribedLink, beside: SecondOwner | None = None) -> int | None:
        """Return the number of a new subscription; ``None`` if the exchange did not tell it."""
        link = subscribed.link
        await self._supervisor.throttle.wait()
        if link.cause is not None:
            raise link.cause.with_traceback(None)
        subscribed.early = []
        self._feed.follow(subscribed, beside)
        name = "userDataStream.subscribe" if link.authenticated else "userDataStream.subscribe.signature"
        future = link.submit(self._venue.method(name))
        request_id = link.router.last_id
        self._asked.add(request_id)
        try:
            result: Any = (await future).result
        finally:
            self._asked.discard(request_id)
        number = result.get("subscriptionId") if isinstance(result, dict) else None
        return number if type(number) is int else None

    async def _lead(self, subscribed: SubscribedLink, number: int | None) -> None:
        """Let a new subscription lead the feed; with an old one beside it, nothing is lost."""
        if subscribed.cause is not None:
            return
        old = self._feed.leading
        self._subscribed(subscribed, number)
        if old is None or not old.is_needed:
            self._feed.take_over()
        else:
            await self._hand_over(old, subscribed)

    def _subscribed(self, subscribed: SubscribedLink, number: int | None) -> None:
        """Take in that there is a subscription on a connection."""
        self._stats.stream_connections += 1
        subscribed.is_subscribed, subscribed.number = True, number
        subscribed.subscribed_at = asyncio.get_running_loop().time()
        subscribed.is_needed = True
        self._deliver_early(subscribed)

    def _let_lead(self, subscribed: SubscribedLink) -> None:
        """Let a subscription lead that was made beside another one, which was lost before it was ready."""
        if self._second.take() is not subscribed:
            self._second.give_up()
            self._feed.follow(subscribed)
        subscribed.is_needed = True
        self._feed.take_over()

    # The standby connection

    def _tend_second(self, subscribed: SubscribedLink | None) -> None:
        """Keep a subscription on the standby connection too, if a reader wants that."""
        second, standby = self._second.source, self._supervisor.standby
        if not self._wants_second or subscribed is None or subscribed is not self._feed.leading:
            self._second.give_up()
        elif standby is not None:
            if second is not None and second.link is not standby:
                self._second.replace()
            self._second.tend(asyncio.get_running_loop().time())

    async def _open_second(self, beside: SecondOwner) -> SubscribedLink:
        link = self._supervisor.standby
        if link is None:
            raise NotSent("there is no standby connection")
        subscribed = self._on(link)
        if subscribed.is_subscribed:
            self._feed.follow(subscribed, beside)
            subscribed.is_needed = True
            return subscribed
        try:
            number = await self._subscribe(subscribed, beside)
        except BaseException as error:
            if subscribed.early is not None:
                self._abandon(subscribed)
                is_rejected = isinstance(error, BinanceSessionError) and error.outcome == "rejected"
                if is_rejected and subscribed.is_suspect:
                    self._supervisor.replace(link)  # another connection has no subscription yet
                subscribed.is_suspect = not is_rejected
            raise
        if subscribed.cause is not None:
            raise ConnectionLost(f"the standby connection ended: {subscribed.cause}", outcome=None)
        self._subscribed(subscribed, number)
        return subscribed

    def _can_lead(self, new: SubscribedLink, old: SubscribedLink) -> bool:
        return new.is_needed

    def _drop(self, source: SubscribedLink) -> None:
        source.release()

    def _abandon(self, subscribed: SubscribedLink) -> None:
        """Let a connection that a subscription was asked for on bring nothing."""
        self._feed.abandon(subscribed)
        self._deliver_early(subscribed)

    def _deliver_early(self, subscribed: SubscribedLink) -> None:
        """Deliver what came before the request to subscribe was answered; what is not ours goes to the hook alone."""
        early, subscribed.early = subscribed.early, None
        for event in early or ():
            if not self.event_received(subscribed.link, event):
                self._delivery.event(event)
