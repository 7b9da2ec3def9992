"""Events from stream sockets: the supplier on futures, where a listenKey opens a connection of its own.

Keeps a socket open on the current key, and a second one beside it while that takes over. The API connection and the
stream socket fail independently: a lost socket needs only the key, a lost API connection leaves the socket alone.
Documents: PROTOCOL.md §1.2 (addresses), §1.3 (24 hours), §5.3 (a socket outlives its key, and is silent then).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import Callable

from binance_session.clock import ServerClock
from binance_session.config import ConnectionOptions
from binance_session.connections.attempts import HEALTHY, Attempts
from binance_session.connections.throttle import Throttle
from binance_session.errors import ConnectError
from binance_session.events.feed import EXPIRED, OVERLAP, Feed, Reader, SecondOwner
from binance_session.events.keydoubts import Advice, KeyDoubts, KeyFacts
from binance_session.events.listenkey import ListenKeyKeeper
from binance_session.events.second import Second
from binance_session.events.socket import StreamSocket, StreamSocketOwner
from binance_session.events.supplier import Supplier, Supply
from binance_session.hooks import Hooks
from binance_session.log import SessionLog
from binance_session.reconnect import ReconnectPolicy
from binance_session.responses import Event, ListenKey
from binance_session.stats import Stats
from binance_session.websocket.dialing import way_out

__all__ = ["StreamSockets"]


class StreamSockets(Supplier[StreamSocket], StreamSocketOwner):
    """Supplies a feed from stream sockets while it has readers."""

    can_pause = True

    def __init__(
        self,
        options: ConnectionOptions,
        keeper: ListenKeyKeeper,
        feed: Feed,
        clock: ServerClock,
        reconnect: ReconnectPolicy,
        hooks: Hooks,
        stats: Stats,
        rollover_after: float | None,
        path: str,
        log: SessionLog,
        make_socket: Callable[..., StreamSocket] = StreamSocket,
    ) -> None:
        """Connect to ``options.url`` and ``path`` behind it, in which ``{key}`` stands for the listenKey.

        Each socket is replaced after ``rollover_after`` seconds, or up to a tenth earlier.
        """
        super().__init__(feed, clock, reconnect, hooks, stats, log)
        self._options = options
        self._path = path
        self._make_socket = make_socket
        self._keeper = keeper
        self._rollover_after = rollover_after
        self._throttle = Throttle(clock, None, lambda: None)
        self._joined = False
        self._sockets: list[StreamSocket] = []
        self._pausing: set[Reader] = set()
        self._doubts = KeyDoubts()
        # attempts: at a socket, at a rollover, and at one that the exchange asked for by an announcement
        self._attempts = Attempts(reconnect, hooks)
        self._rollovers = Attempts(reconnect, hooks, count=1)
        self._announced = Attempts(reconnect, hooks)
        self._second: Second[StreamSocket] = Second(
            feed, self._open_second, self._drop, Attempts(reconnect, hooks), self._wake, self._await_end, log
        )
        # what the next attempt at a socket follows on
        self._cause = ConnectError("the stream's connection ended")
        # how often the API connection came into use, and this and the listenKey at the last attempt at a socket
        self._promotions = 0
        self._tried: tuple[int, str | None] = (0, None)
        keeper.on_change = self._key_changed
        feed.is_paused = lambda: bool(self._pausing)

    @property
    def is_live(self) -> bool:
        """Whether a socket leads that is open, on the current key, which is not known or supposed to have ended."""
        leading, key = self._feed.leading, self._keeper.key
        return (
            self._feed.is_live
            and isinstance(leading, StreamSocket)
            and leading.cause is None
            and leading.expired_at is None
            and key is not None
            and leading.key == key.value
        )

    @property
    def valid_until(self) -> float | None:
        """When the listenKey lapses, in Unix seconds."""
        key = self._keeper.key
        return None if key is None else key.valid_until

    # Readers

    async def _acquire(self) -> Supply:
        return functools.partial(self._supply, await self._keeper.acquire())

    def _release(self) -> None:
        self._keeper.release()

    async def _stop(self) -> None:
        await self._keeper.stop(unless_used=True)

    def pause(self, reader: Reader) -> None:
        """Read no more from the sockets until every reader that asked for it has called :meth:`resume`."""
        self._pausing.add(reader)
        for socket in self._sockets:
            socket.pause()

    def resume(self, reader: Reader) -> None:
        """Read on, unless another reader paused too."""
        if reader in self._pausing:
            self._pausing.discard(reader)
            if not self._pausing:
                self._feed.resume()
                for socket in list(self._sockets):
                    if not self._pausing:  # what the one before had read may have been enough again
                        socket.resume()
                self._wake.set()

    # What sockets, the key and the API connection report

    def event_received(self, socket: StreamSocket, event: Event) -> None:
        """Called when a socket brought an event; ``listenKeyExpired`` and ``serverShutdown`` concern the socket."""
        if event.type != EXPIRED and self._doubts.is_disproved_by(socket.key, event.time):
            self._has_not_lapsed()
        try:
            self._feed.event(socket, event)
        except Exception as error:
            self._feed.failed(error)
        if socket not in self._sockets:  # a reader closed it
            return
        if event.type == EXPIRED:
            self._expired(socket, event)
        elif event.type == "serverShutdown":
            socket.is_retiring = True
            self._wake.set()

    def _expired(self, socket: StreamSocket, event: Event) -> None:
        named = event.data.get("listenKey")
        if socket.expired_at is not None or (isinstance(named, str) and named != socket.key):
            return
        for other in self._sockets:  # it ends for all of them, whichever is told
            if other.key == socket.key and other.expired_at is None:
                other.expired_at = _now()
                other.over.set()
                if other is self._feed.leading and other.proven_at < socket.brings_since and other is not socket:
                    self._feed.open_gap(self._clock.ms_at(other.proven_at), "the listenKey expired")
        alive_ms = self._clock.ms_at(self._doubts.alive_at)
        since = self._doubts.expired(socket.key, event.time, alive_ms, self._clock.now_ms())
        if since is not None:
            self._feed.withdraw()  # it is certain now
            self._feed.open_gap(since, "the listenKey expired")
        self._keeper.expired(socket.key)

    def event_unreadable(self, socket: StreamSocket) -> None:
        """Called when a socket brought an event that cannot be decoded."""
        if socket is self._feed.leading:
            self._feed.unreadable()

    def message_unmatched(self, message: object) -> None:
        """Called when a socket brought a message that is no event."""
        if type(message) is not dict:
            self._stats.malformed += 1
        if self._hooks.on_unmatched is not None:
            self._hooks.on_unmatched(message)

    def socket_ended(self, socket: StreamSocket) -> None:
        """Called when a socket's connection has ended: another one is needed."""
        self._wake.set()

    def link_promoted(self) -> None:
        """Called when an API connection came into use: the network works, so a lost socket need not wait."""
        self._promotions += 1
        super().link_promoted()

    def _key_changed(self) -> None:
        key = self._keeper.key
        if key is not None and self._doubts.renewed(self._facts(key), _now()):
            self._has_not_lapsed()
        self._wake.set()

    def _has_not_lapsed(self) -> None:
        self._doubts.has_not_lapsed()
        self._feed.dismiss()

    def _facts(self, key: ListenKey) -> KeyFacts:
        return KeyFacts(key.value, self._keeper.alive_at, self._keeper.lapses_at)

    def _check(self) -> None:
        for socket in self._sockets:
            socket.check()

    # Sockets

    async def _supply(self, key: ListenKey, first: asyncio.Future[None]) -> None:
        """Open a socket on ``key``, and keep one on the current key leading the feed until there is none."""
        if not self._joined:
            self._joined = True
            self._throttle.use(self._options.url, way_out(self._options))
            self._throttle.join(None if self._options.ping_interval is None else self._check)
        self._throttle.refuse_to_open()
        self._doubts = KeyDoubts()
        for attempts in (self._attempts, self._rollovers, self._announced, self._second):
            attempts.reset()
        self._use(key)
        socket = await self._open(key.value)
        self._feed.take_over()
        first.set_result(None)
        self._tried = self._circumstances()
        await self._keep_open(socket)

    async def _keep_open(self, socket: StreamSocket | None) -> None:
        """Keep a socket on the current key leading the feed; return when the key was given up."""
        while (key := self._keeper.key) is not None:
            self._wake.clear()
            if socket is not None:
                socket = self._still_open(socket, key)
            facts = self._facts(key)
            advice = self._doubts.advise(socket, facts, _now())
            if Advice.REPLACE in advice:
                socket = await self._replace(socket, key)
                continue
            if Advice.TRUST in advice and self._feed.leading is not socket:
                self._feed.take_over()
            if Advice.ASK in advice:
                self._keeper.doubt()
            if socket is not None and Advice.SUSPECT in advice:
                self._suspect(socket, facts)
                continue
            if socket is not None and Advice.USE in advice:
                self._bring_forward(socket)
                if _now() >= socket.rollover_at and not self._pausing:
                    socket = await self._roll_over(socket, key)
                    continue
                if self._feed.leading is socket:  # not while its key is doubtful: it follows then
                    self._tend_second(facts)
            await self._something_happens(socket, facts)

    def _still_open(self, socket: StreamSocket, key: ListenKey) -> StreamSocket | None:
        """Return ``socket`` unless it has ended; take in, once, that another must take its place."""
        is_stale = self._doubts.is_stale(socket, self._facts(key))
        if not socket.is_superseded and (socket.cause is not None or is_stale):
            socket.is_superseded = True
            if _now() - socket.opened_at >= HEALTHY:
                self._attempts.reset()
            if is_stale:
                self._cause = ConnectError("the listenKey changed")
        if socket.cause is None:
            return socket
        self._cause = ConnectError(f"the stream's connection ended: {socket.cause}")
        second = self._take_second(key)
        self._succeed(socket, second, str(self._cause))
        self._drop(socket)
        return second

    async def _replace(self, old: StreamSocket | None, key: ListenKey) -> StreamSocket | None:
        """Return a socket on the current key, opened when the policy allows it; ``old`` when it cannot be had."""
        self._second.give_up()
        self._use(key)
        await self._pause()
        current = self._keeper.key
        if current is None:
            return old
        self._use(current)
        self._tried = self._circumstances()
        try:
            fresh = await self._open(current.value)
        except ConnectError as error:
            # The address and the key were right once: whatever is said against them now may pass.
            self._troubles.log(error, "no user data stream (attempt %d): %s", self._attempts.count, error)
            self._cause = error
            self._keeper.doubt()  # a refusal may mean that the key is gone
            return old
        if old is not None:
            # An expiry that came this way came last. Otherwise it is unknown how long nothing has come.
            since = old.proven_at if old.expired_at is None else _now()
            self._break_off(old, since, "the listenKey changed")
            self._drop(old)
        return fresh

    async def _pause(self) -> None:
        """Wait as the policy says, or until the API connection came into use or the listenKey changed meanwhile."""
        delay = self._attempts.failed(self._cause)
        if delay is None:
            raise self._cause
        until = _now() + delay
        while _now() < until and self._circumstances() == self._tried:
            self._wake.clear()
            await self._woken(until)

    def _circumstances(self) -> tuple[int, str | None]:
        key = self._keeper.key
        return self._promotions, None if key is None else key.value

    def _suspect(self, socket: StreamSocket, key: KeyFacts) -> None:
        """Suspect a gap: the key of a socket should have lapsed, although the exchange did not say so."""
        since, cause = self._doubts.suspect(key, socket.proven_at, self._clock.ms_at(_now()))
        self._feed.suspect(self._clock.ms_at(since), cause)

    def _bring_forward(self, socket: StreamSocket) -> None:
        """Roll a socket over soon that the exchange announced to end; not without end if it does so with each one."""
        if socket.is_retiring and not socket.is_brought_forward:
            socket.is_brought_forward = True
            lasted = _now() - socket.opened_at
            wait = self._announced.repeated(ConnectError("shutdown announced"), lasted=lasted)
            socket.rollover_at = min(socket.rollover_at, _now() + (wait or 0.0))

    async def _something_happens(self, socket: StreamSocket | None, key: KeyFacts) -> None:
        """Return when something has happened, or when it is time for the next step."""
        moments = [key.lapses_at, self._doubts.untold_at(key)]
        if socket is not None:
            moments += [socket.rollover_at, self._second.due_at]
        if (second := self._second.source) is not None:
            moments.append(second.rollover_at)
        await self._woken(min((moment for moment in moments if moment > _now()), default=math.inf))

    async def _woken(self, at: float) -> None:
        """Return at a loop time, or when something has happened."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at if at < math.inf else None):
                await self._wake.wait()

    async def _open(self, key: str, beside: SecondOwner | None = None) -> StreamSocket:
        """Return a new socket that follows in the feed; raise :class:`ConnectError`."""
        await self._throttle.wait_to_dial()
        socket = self._make_socket(key, self._options, self, self._path, self._keeper.secrets, self._log)
        self._sockets.append(socket)
        self._feed.follow(socket, beside)
        began = _now()
        try:
            await socket.open()
        except BaseException as error:
            if isinstance(error, ConnectError) and error.status in (418, 429) and error.retry_after is not None:
                self._throttle.hold(error.retry_after, is_ban=error.status == 418)
            # It may have brought an event, and so have led, before it ended.
            self._break_off(socket, began, f"no user data stream: {error}")
            self._drop(socket)
            raise
        if self._rollover_after is not None:
            socket.rollover_at = _now() + self._rollover_after * self._attempts.chance(0.9, 1.0)
        self._stats.stream_connections += 1
        self._troubles.clear()
        self._key_changed()
        if self._pausing:
            socket.pause()
        return socket

    # The second socket

    def _tend_second(self, key: KeyFacts) -> None:
        """Keep a second socket beside the one that leads, if a reader wants that."""
        second = self._second.source
        if not self._wants_second:
            self._second.give_up()
            return
        if second is not None and self._doubts.is_stale(second, key):
            self._second.replace()
        elif second is not None and second.is_retiring:
            lasted = _now() - second.opened_at
            self._second.replace(self._announced.repeated(ConnectError("shutdown announced"), lasted=lasted) or 0.0)
        elif second is not None and _now() >= second.rollover_at:
            self._second.replace()
        self._second.tend(_now())

    async def _open_second(self, beside: SecondOwner) -> StreamSocket:
        key = self._keeper.key
        if key is None:
            raise ConnectError("the listenKey was given up meanwhile")
        second = await self._open(key.value, beside)
        if self._rollover_after is not None and isinstance(first := self._feed.leading, StreamSocket):
            # Half a life after or before the first one, so that they are not replaced at about the same time.
            apart = abs(second.rollover_at - first.rollover_at)
            if apart < self._rollover_after / 4:
                second.rollover_at -= self._rollover_after / 2
        return second

    def _take_second(self, key: ListenKey) -> StreamSocket | None:
        """Return the second socket, to lead from now on, if it works and is on ``key``; close it otherwise."""
        second = self._second.source
        if second is not None and (second.expired_at is not None or self._doubts.is_stale(second, self._facts(key))):
            second = None
        if second is None:
            self._second.give_up()
            return None
        return self._second.take()

    # Rollover

    async def _roll_over(self, old: StreamSocket, key: ListenKey) -> StreamSocket:
        """Put another socket in the place of one that works, and lose nothing; return the one to use from now on.

        The second one, if there is one and it is not due to end itself. Without another one the old one is used on, and
        another attempt is made later.
        """
        second = self._second.source
        if second is not None and second.is_retiring:
            self._second.give_up()
        try:
            fresh = self._take_second(key) or await self._open_beside(old, key)
            if not await self._hand_over(old, fresh):
                self._feed.abandon(fresh)
                self._drop(fresh)
                raise ConnectError(f"it ended at once: {fresh.cause or 'the listenKey expired'}")
        except ConnectError as error:
            self._troubles.log(error, "no second stream connection; the first is used on: %s", error)
            delay = self._rollovers.failed(error)
            old.rollover_at = math.inf if delay is None else _now() + max(delay, OVERLAP)
            return old
        self._rollovers.reset()
        self._log.info("the next stream connection takes over")
        return fresh

    async def _open_beside(self, old: StreamSocket, key: ListenKey) -> StreamSocket:
        """Return a new socket that is to take the place of ``old``; raise :class:`ConnectError`, also if that ends."""
        loop = asyncio.get_running_loop()
        opening = loop.create_task(self._open(key.value), name=self._log.task("stream rollover"))
        over = loop.create_task(old.over.wait(), name=self._log.task("stream rollover"))
        try:
            await asyncio.wait([opening, over], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                raise ConnectError(f"the first ended meanwhile: {old.cause or 'the listenKey expired'}")
            return opening.result()
        finally:
            for task in (opening, over):
                task.cancel()
            await asyncio.wait([opening, over])

    def _can_lead(self, new: StreamSocket, old: StreamSocket) -> bool:
        return new.cause is None and old.expired_at is None

    def _use(self, key: ListenKey) -> None:
        """Take ``key`` for the next socket; one before it may have been gone for a while."""
        since = self._doubts.use(self._facts(key))
        if since is not None and not self._feed.confirm():
            self._feed.open_gap(self._clock.ms_at(since), "the listenKey changed")

    def _drop(self, source: StreamSocket) -> None:
        """Close a socket, without waiting for it."""
        if source in self._sockets:
            self._sockets.remove(source)
            self._await_end(
                asyncio.get_running_loop().create_task(source.close(), name=self._log.task("stream socket's end"))
            )

    def _drop_all(self) -> None:
        if self._joined:
            self._joined = False
            self._throttle.leave()
        self._pausing.clear()
        self._second.give_up()
        for socket in list(self._sockets):
            self._drop(socket)


def _now() -> float:
    return asyncio.get_running_loop().time()
