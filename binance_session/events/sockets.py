"""Events from stream sockets: the source on futures, where a listenKey opens a connection of its own.

Keeps a socket open on the current key, and a second one beside it while that takes over. The API connection and the
stream socket fail independently: a lost socket needs only the key, a lost API connection leaves the socket alone.
Documents: PROTOCOL.md §1.2 (addresses), §1.3 (24 hours), §5.3 (a socket outlives its key, and is silent then).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from random import uniform
from typing import Final

from binance_session.clock import ServerClock
from binance_session.config import ConnectionOptions
from binance_session.connections.link import Link, LinkWatcher
from binance_session.connections.throttle import Throttle
from binance_session.errors import BinanceSessionError, ConnectError, SessionClosed
from binance_session.events.feed import EXPIRED, Feed, Reader
from binance_session.events.listenkey import ListenKeyKeeper
from binance_session.events.socket import EventSocket, EventSocketOwner
from binance_session.events.stream import EventSource
from binance_session.hooks import Hooks
from binance_session.log import SessionLog, session_log
from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy
from binance_session.responses import Event, ListenKey
from binance_session.stats import Stats
from binance_session.websocket.dialing import way_out

__all__ = ["OVERLAP", "StreamSockets"]

_FALLBACK: Final = ExponentialBackoff()
#: seconds for which the new source and the old one run side by side, so that what is late on one is not lost
OVERLAP: Final = 1.0
#: seconds within which the old one must then show that nothing is left in it
_EMPTIED: Final = 5.0
#: seconds that a socket must have been open for its loss to be no reason to wait
_HEALTHY: Final = 10.0
#: ms
_HOUR: Final = 3_600_000
#: Seconds after a listenKey should have lapsed until it is asked for, whatever the keepalive policy: nobody else would
#: find out that it has, and who keeps it alive elsewhere sees no gap. The exchange's own word usually comes first.
_UNTOLD: Final = 0.5
#: seconds for which a listenKey is believed to be alive after it was said to be, until that was asked again
_FRESH: Final = 10.0


class Promotions(LinkWatcher):
    """Counts how often the API connection came into use: then the network works again."""

    def __init__(self, on_promoted: Callable[[], None]) -> None:
        self.count = 0
        self._on_promoted = on_promoted

    def link_promoted(self, link: Link) -> None:
        """Count, and tell."""
        self.count += 1
        self._on_promoted()

    def link_ended(self, link: Link) -> None:
        """Events come another way."""

    def logon_revoked(self, link: Link) -> None:
        """Likewise."""

    def event_received(self, link: Link, event: Event) -> bool:
        """Likewise."""
        return False

    def event_unreadable(self, link: Link) -> None:
        """Likewise."""

    async def let_go_of(self, link: Link) -> None:
        """Likewise."""


class StreamSockets(EventSource, EventSocketOwner):
    """Supplies a feed from stream sockets while anybody reads it."""

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
        path: str = "/ws/{key}",
        log: SessionLog | None = None,
    ) -> None:
        """Connect to ``options.url`` and ``path`` behind it, in which ``{key}`` stands for the listenKey.

        Each socket is replaced after ``rollover_after`` seconds, or up to a tenth earlier.
        """
        self._options = options
        self._path = path
        self._log = log or session_log("session")
        self._keeper = keeper
        self._feed = feed
        self._clock = clock
        self._reconnect = reconnect
        self._hooks = hooks
        self._stats = stats
        self._rollover_after = rollover_after
        self._throttle = Throttle(clock, None, lambda: None)
        self._joined = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # done when the first socket stands, or cannot be had
        self._first: asyncio.Future[None] | None = None
        self._sockets: list[EventSocket] = []
        # what was told to end, and has not yet
        self._ending: set[asyncio.Task[None]] = set()
        self._pausing: set[Reader] = set()
        # The key of the last socket, and when it was last known to live (loop time); whether the exchange told that it
        # ended; and when it should have lapsed (ms), while that is all that is known.
        self._key = ""
        self._key_alive_at = 0.0
        self._key_ended = False
        self._key_lapsed: int | None = None
        # the kinds of trouble that were told since a socket was open
        self._warned: set[tuple[object, ...]] = set()
        self._over: Exception | None = None
        #: to be told of the API connection, for a lost socket need not wait when that is back
        self.promotions = Promotions(self._wake.set)
        keeper.on_change = self._key_changed
        feed.is_paused = lambda: bool(self._pausing)

    @property
    def is_live(self) -> bool:
        """Whether a socket leads that is open, on the current key, which is not known or supposed to have ended."""
        leading, key = self._feed.leading, self._keeper.key
        return (
            self._feed.is_live
            and isinstance(leading, EventSocket)
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

    async def attach(self, reader: Reader) -> None:
        """Add a reader; the first one starts the key and opens the socket, and gets the error if that fails."""
        if self._over is not None:
            raise self._over.with_traceback(None)
        key = await self._keeper.use()
        self._feed.add(reader)
        try:
            if self._over is not None:
                raise self._over.with_traceback(None)
            if (first := self._first) is None:
                loop = asyncio.get_running_loop()
                first = self._first = loop.create_future()
                self._task = loop.create_task(self._run(first, key), name=self._log.task("user data stream"))
            await asyncio.shield(first)
        except BaseException:
            self._remove(reader)
            self._keeper.let_go()
            raise

    def _join(self) -> None:
        if not self._joined:
            self._joined = True
            self._throttle.use(self._options.url, way_out(self._options))
            self._throttle.join(None if self._options.ping_interval is None else self._check)

    async def detach(self, reader: Reader, *, stop: bool) -> None:
        """Remove a reader; after the last one close the socket, and let go of the key."""
        self._remove(reader)
        try:
            if stop and not self._feed.readers and self._over is None:
                await self._keeper.stop(unless_used=True)
        finally:
            self._keeper.let_go()
        await self.ended()

    def _remove(self, reader: Reader) -> None:
        self._feed.remove(reader)
        self.resume(reader)
        if not self._feed.readers:
            self._tear_down()

    def pause(self, reader: Reader) -> None:
        """Read no more from the sockets until every reader that asked for it has asked to resume."""
        self._pausing.add(reader)
        for socket in self._sockets:
            socket.pause()

    def resume(self, reader: Reader) -> None:
        """Take back :meth:`pause`."""
        if reader in self._pausing:
            self._pausing.discard(reader)
            if not self._pausing:
                self._feed.resume()
                for socket in list(self._sockets):
                    if not self._pausing:  # what the one before had read may have been enough again
                        socket.resume()
                self._wake.set()

    def fail(self, error: Exception) -> None:
        """End every reader with ``error``, and everything else: the session is over."""
        self._over = error
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_exception(error or ConnectError("the listenKey was given up"))
            self._first.exception()  # whoever waits has it
        self._feed.end(error)
        self._tear_down()

    async def ended(self) -> None:
        """Return when nothing is left of what was told to end."""
        while self._ending:
            await asyncio.wait(self._ending)

    def _tear_down(self) -> None:
        """Have everything end, without waiting for it."""
        if self._joined:
            self._joined = False
            self._throttle.leave()
        self._pausing.clear()
        self._first = None
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            self._see_to_its_end(task)
        for socket in list(self._sockets):
            self._drop(socket)

    # What sockets and the key tell

    def event_received(self, socket: EventSocket, event: Event) -> None:
        """Pass an event on; see to what ``listenKeyExpired`` and ``serverShutdown`` ask for."""
        lapsed = self._key_lapsed if event.type != EXPIRED and socket.key == self._key else None
        if lapsed is not None and event.time > lapsed:
            self._has_not_lapsed()
        try:
            self._feed.event(socket, event)
        except Exception as error:
            self._feed.lost(error)
        if socket not in self._sockets:  # a reader had it closed
            return
        if event.type == EXPIRED:
            self._expired(socket, event)
        elif event.type == "serverShutdown":
            socket.is_retiring = True
            self._wake.set()

    def _expired(self, socket: EventSocket, event: Event) -> None:
        named = event.data.get("listenKey")
        if socket.expired_at is not None or (isinstance(named, str) and named != socket.key):
            return
        socket.expired_at = _now()
        socket.over.set()
        if socket.key == self._key and not self._key_ended:
            alive_at = self._clock.ms_at(self._key_alive_at)
            is_plausible = alive_at - _HOUR <= event.time <= self._clock.now_ms()
            self._key_ended = True
            self._key_lapsed = None
            self._feed.withdraw()  # it is certain now
            self._feed.open_gap(event.time if is_plausible else alive_at, "the listenKey expired")
        self._keeper.expired(socket.key)

    def event_unreadable(self, socket: EventSocket) -> None:
        """Tell that an event is missing."""
        if socket is self._feed.leading:
            self._feed.unreadable()

    def message_unmatched(self, message: object) -> None:
        """Pass a message that is no event to the hook."""
        if type(message) is not dict:
            self._stats.malformed += 1
        if self._hooks.on_unmatched is not None:
            self._hooks.on_unmatched(message)

    def socket_ended(self, socket: EventSocket) -> None:
        """See to another one."""
        self._wake.set()

    def _key_changed(self) -> None:
        key = self._keeper.key
        if key is not None and key.value == self._key:
            self._key_alive_at = self._keeper.alive_at
            if self._key_lapsed is not None and self._keeper.lapses_at > _now():
                self._has_not_lapsed()  # what has lapsed does not come back
        self._wake.set()

    def _has_not_lapsed(self) -> None:
        self._key_lapsed = None
        self._feed.dismiss()

    def _check(self) -> None:
        for socket in self._sockets:
            socket.check()

    # Sockets

    async def _run(self, first: asyncio.Future[None], key: ListenKey) -> None:
        error: Exception | None = None
        try:
            self._join()
            self._throttle.refuse_to_open()
            self._key, self._key_ended, self._key_lapsed = "", False, None
            self._warned.clear()
            self._change_key(key)
            socket = await self._open(key.value)
            self._feed.take_over()
            first.set_result(None)
            await self._keep_open(socket)
        except asyncio.CancelledError:
            if self._task is asyncio.current_task():  # by somebody who ends all tasks
                self._end(SessionClosed("the user data stream's task was cancelled"))
            raise
        except BinanceSessionError as caught:
            error = caught
        except Exception as caught:
            self._log.exception("the user data stream failed: this is a defect of binance_session")
            error = ConnectError(f"the user data stream failed: {type(caught).__name__}")
        self._end(error)

    async def _keep_open(self, socket: EventSocket | None) -> None:
        """Have a socket on the current key lead the feed; return when there is no key any more."""
        cause: BinanceSessionError = ConnectError("the stream's connection ended")
        attempt = rollovers = hasty = 0
        lapse_seen, well, due = -1.0, True, self._due()
        retiring: EventSocket | None = None
        tried = (self.promotions.count, _value(self._keeper.key))
        while (key := self._keeper.key) is not None:
            self._wake.clear()
            if socket is not None and well and (socket.cause is not None or self._is_stale(socket, key)):
                well = False
                attempt = 0 if _now() - socket.opened_at >= _HEALTHY else attempt
            if socket is not None and socket.cause is not None:
                cause = ConnectError(f"the stream's connection ended: {socket.cause}")
                self._break_off(socket, socket.proven_at, str(cause))
                socket = None
            lapses_at = self._keeper.lapses_at
            lapsed = lapses_at <= _now()
            if socket is None or self._is_stale(socket, key):
                if not lapsed:
                    attempt += 1
                    self._change_key(key)
                    await self._pause_before(attempt, cause, tried)
                    if (key := self._keeper.key) is None:
                        break
                    self._change_key(key)
                    tried = (self.promotions.count, key.value)
                    try:
                        fresh = await self._open(key.value)
                    except ConnectError as error:
                        # The address and the key were right once: whatever is said against them now, it may pass.
                        self._tell_trouble(f"no user data stream (attempt {attempt})", error)
                        cause = error
                        self._keeper.doubt()  # a refusal may mean that
                        continue
                    if socket is not None:
                        # An expiry that came this way came last. Else nobody knows how long nothing has come.
                        since = socket.proven_at if socket.expired_at is None else _now()
                        self._break_off(socket, since, "the listenKey changed")
                    socket, due, well = fresh, self._due(), True
                    continue
                self._keeper.doubt()
            elif not lapsed:
                if self._keeper.alive_at >= socket.opened_at - _FRESH:
                    self._feed.take_over()
                if self._keeper.alive_at < socket.opened_at:
                    self._keeper.doubt()  # a key may end before its socket stands, and who is not there is not told
                if socket.is_retiring and socket is not retiring:
                    retiring = socket
                    # An exchange that tells each new connection to go is not dialled without end.
                    hasty = hasty + 1 if _now() - socket.opened_at < _HEALTHY else 0
                    wait = self._next_delay(hasty, ConnectError("shutdown announced")) if hasty else 0.0
                    due = min(due, _now() + (wait or 0.0))
                if _now() >= due and not self._pausing:
                    socket, due, rollovers = await self._roll_over(socket, key, rollovers)
                    continue
            elif socket.expired_at is None and lapse_seen != self._keeper.alive_at:
                lapse_seen = self._keeper.alive_at
                self._lapse(socket)
                continue
            elif socket.expired_at is None and _now() >= lapses_at + _UNTOLD:
                self._keeper.doubt()
            waits_for = [moment for moment in (due, lapses_at, lapses_at + _UNTOLD) if moment > _now()]
            await self._woken(min(waits_for, default=math.inf))

    def _lapse(self, socket: EventSocket) -> None:
        """Take note that the key of a socket should have lapsed, although the exchange did not say so."""
        self._key_lapsed = self._clock.ms_at(_now())
        self._feed.suspect(
            self._clock.ms_at(min(self._key_alive_at, socket.proven_at)),
            "the listenKey was found to be gone"
            if self._keeper.lapses_at <= 0.0
            else "the listenKey should have lapsed: no ping got through",
        )

    def _tell_trouble(self, what: str, error: ConnectError) -> None:
        """Log what stands in the way: loudly when its kind is new, for it may last."""
        kind = (type(error), error.status, type(error.__cause__))
        level = logging.INFO if kind in self._warned else logging.WARNING
        self._warned.add(kind)
        self._log.log(level, "%s: %s", what, error)

    def _next_delay(self, attempt: int, cause: BinanceSessionError) -> float | None:
        return self._hooks.ask(self._reconnect, _FALLBACK, attempt, cause)

    def _is_stale(self, socket: EventSocket, key: ListenKey) -> bool:
        return socket.key != key.value or (socket.expired_at is not None and self._keeper.alive_at > socket.expired_at)

    def _due(self) -> float:
        if self._rollover_after is None:
            return math.inf
        return _now() + self._rollover_after * uniform(0.9, 1.0)

    async def _woken(self, at: float) -> None:
        """Return at a loop time, or when something has happened."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at if at < math.inf else None):
                await self._wake.wait()

    async def _pause_before(self, attempt: int, cause: BinanceSessionError, tried: tuple[int, str | None]) -> None:
        """Wait as the policy says, or until the network, or the key, is another than when it was ``tried`` last."""
        delay = self._next_delay(attempt, cause)
        if delay is None:
            raise cause
        if isinstance(cause, ConnectError) and attempt > 1:
            delay = max(delay, cause.retry_after or 0.0)
        until = _now() + delay
        while _now() < until and (self.promotions.count, _value(self._keeper.key)) == tried:
            self._wake.clear()
            await self._woken(until)

    async def _open(self, key: str) -> EventSocket:
        """Return a new socket that follows in the feed; raise :class:`ConnectError`."""
        await self._throttle.wait_to_dial()
        socket = EventSocket(key, self._options, self, self._path, self._keeper.secrets, self._log)
        self._sockets.append(socket)
        self._feed.follow(socket)
        began = self._clock.ms_at(_now())
        try:
            await socket.open()
        except BaseException as error:
            if isinstance(error, ConnectError) and error.status in (418, 429) and error.retry_after is not None:
                self._throttle.hold(error.retry_after, is_ban=error.status == 418)
            # It may have brought an event, and so have led, before it ended.
            self._feed.break_off(socket, began, f"no user data stream: {error}")
            self._drop(socket)
            raise
        self._stats.stream_connections += 1
        self._warned.clear()
        self._key_changed()
        if self._pausing:
            socket.pause()
        return socket

    async def _roll_over(self, old: EventSocket, key: ListenKey, attempt: int) -> tuple[EventSocket, float, int]:
        """Put a new socket in the place of one that works, losing nothing; return it, and when it is due itself.

        Without a new one, the old one is used on: return that, and when to try again.
        """
        opening = asyncio.get_running_loop().create_task(self._open(key.value), name=self._log.task("stream rollover"))
        trouble = asyncio.get_running_loop().create_task(old.over.wait(), name=self._log.task("stream rollover"))
        try:
            await asyncio.wait([opening, trouble], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                raise ConnectError(f"the first ended meanwhile: {old.cause or 'the listenKey expired'}")
            fresh = opening.result()
            await asyncio.sleep(OVERLAP)
            emptied = await old.confirm(_EMPTIED)
            if fresh.cause is not None or old.expired_at is not None:
                self._feed.leave(fresh)
                self._drop(fresh)
                raise ConnectError(f"it ended at once: {fresh.cause or 'the listenKey expired'}")
        except ConnectError as error:
            self._tell_trouble("no second stream connection; the first is used on", error)
            delay = self._next_delay(attempt + 2, error)
            return old, math.inf if delay is None else _now() + max(delay, OVERLAP), attempt + 1
        finally:
            for task in (opening, trouble):
                task.cancel()
            await asyncio.wait([opening, trouble])
        if emptied:
            self._log.info("the next stream connection takes over")
            self._feed.take_over()
            self._drop(old)
        else:
            why = f"the stream's connection ended: {old.cause or 'no answer to a ping'}"
            self._break_off(old, old.proven_at, why)
        return fresh, self._due(), 0

    def _change_key(self, key: ListenKey) -> None:
        """Take note of the key that the next socket is opened with; one before it may have been dead for a while.

        However many sockets were lost meanwhile: pings show that a line works, and not that its key does.
        """
        if key.value != self._key or self._key_ended:
            if self._key and not self._key_ended and not self._feed.confirm():
                self._feed.open_gap(self._clock.ms_at(self._key_alive_at), "the listenKey changed")
            self._key, self._key_ended, self._key_lapsed = key.value, False, None
            self._key_alive_at = self._keeper.alive_at

    def _break_off(self, socket: EventSocket, since: float, cause: str) -> None:
        """Let go of a socket from which events may be missing since a loop time."""
        self._feed.break_off(socket, self._clock.ms_at(since), cause)
        self._drop(socket)

    def _drop(self, socket: EventSocket) -> None:
        """Close a socket, without waiting for it."""
        if socket in self._sockets:
            self._sockets.remove(socket)
            self._see_to_its_end(
                asyncio.get_running_loop().create_task(socket.close(), name=self._log.task("stream socket's end"))
            )

    def _see_to_its_end(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _value(key: ListenKey | None) -> str | None:
    return None if key is None else key.value


def _now() -> float:
    return asyncio.get_running_loop().time()
