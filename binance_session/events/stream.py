"""What a bot iterates over: the account's events, buffered up to a bound that the bot chooses."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal, Self

from binance_session.checks import check_choice, check_count
from binance_session.errors import BinanceSessionError, ConfigurationError, EventsOverflow
from binance_session.events.feed import Reader
from binance_session.events.supplier import Supplier
from binance_session.log import SessionLog, session_log
from binance_session.masking import kind_of
from binance_session.recorder import FlightRecorder
from binance_session.responses import Event, size_of
from binance_session.stats import Stats

__all__ = ["OnFull", "UserDataStream"]

OnFull = Literal["fail", "pause"]

#: Bytes of memory that events which wait unread may take: this much for each that the buffer is for, or the second
#: number if that is more. An order's event takes some 3 KiB.
_EVENT_BYTES: Final = 4096
_LEAST_BYTES: Final = 32 * 2**20


class UserDataStream(Reader):
    """The account's events: ``async with`` opens the stream, ``async for`` gets them one by one.

    ::

        async with session.user_data_stream() as events:
            async for event in events:
                ...

    Made by :meth:`Session.user_data_stream`. An event with ``is_gap`` says that events may have been missed between
    ``data["since"]`` and ``data["until"]`` (ms of the exchange's clock), because of ``data["cause"]``: ask the exchange
    what became of orders and positions. One that lasts longer than a second comes twice: then, with ``data["over"]``
    false, and when it is over.

    Iteration ends when the listenKey was stopped by this session. It raises :class:`SessionClosed` when the session is
    over, :class:`EventsOverflow` when the reader was too slow, and :class:`ConnectError` or :class:`ApiError` when the
    stream is not available any more; events that came before are read first.
    """

    def __init__(
        self,
        supplier: Supplier[Any],
        stats: Stats,
        *,
        buffer: int,
        sockets: Literal[1, 2] = 1,
        on_full: OnFull,
        callback: Callable[[Event], object] | None,
        stop_on_exit: bool,
        demand_loop: Callable[[], None],
        log: SessionLog | None = None,
        recorder: FlightRecorder | None = None,
    ) -> None:
        check_count("buffer", buffer, least=0)
        check_choice("on_full", on_full, ("fail", "pause"))
        check_choice("sockets", sockets, (1, 2))
        supplier.check_sockets(sockets)
        if on_full == "pause" and not supplier.can_pause:
            raise ConfigurationError(
                'on_full="pause" is not available here: events come on the connection that brings the answers'
            )
        if callback is not None and not callable(callback):
            raise ConfigurationError(f"callback must be a function that takes an Event, not {kind_of(callback)}")
        if inspect.iscoroutinefunction(callback):
            raise ConfigurationError("callback must be a plain function that takes an Event, not async")
        self.sockets: int = sockets
        self._supplier = supplier
        self._stats = stats
        self._bound = buffer
        self._pauses = on_full == "pause"
        self._callback = callback
        self._keeps = callback is None and buffer > 0
        self._stop_on_exit = stop_on_exit
        self._demand_loop = demand_loop
        self._log = log or session_log("session")
        self._recorder = recorder
        self._most_bytes = max(_LEAST_BYTES, buffer * _EVENT_BYTES)
        self._bytes = 0
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._was_entered = False
        self._is_over = False
        self._error: Exception | None = None
        self._paused = False
        #: the most events that ever waited here
        self.high_water = 0

    @property
    def backlog(self) -> int:
        """How many events wait to be read."""
        return len(self._events)

    @property
    def is_live(self) -> bool:
        """Whether events come now, as far as is known: false at once when the connection or the listenKey is lost."""
        return not self._is_over and self._supplier.is_live

    @property
    def valid_until(self) -> float | None:
        """When the listenKey lapses unless it is renewed, in Unix seconds; ``None`` where there is none (Spot)."""
        return self._supplier.valid_until

    async def __aenter__(self) -> Self:
        """Start the listenKey and connect, or subscribe, if no other stream of the session has.

        Raises what the request for that does (:class:`ApiError`, :class:`NotSent`, ...) and :class:`ConnectError`;
        nothing is tried again yet.
        """
        if self._was_entered:
            raise ConfigurationError("a user data stream is opened once; ask the session for another")
        self._demand_loop()
        self._was_entered = True
        if self._recorder is not None:
            options = {"buffer": self._bound, "sockets": self.sockets, "stop_on_exit": self._stop_on_exit}
            self._recorder.stream(self, options)
        try:
            await self._supplier.attach(self)
        except BaseException:
            self._is_over = True
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._demand_loop()
        if self._recorder is not None:
            self._recorder.stream(self, None)
        self.end(None)
        self._events.clear()
        self._bytes = 0
        try:
            await self._supplier.detach(self, stop=self._stop_on_exit)
        except BinanceSessionError as failure:
            if kind is None:
                raise
            self._log.warning("the listenKey could not be stopped: %s", failure)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not self._was_entered:
            raise ConfigurationError("a user data stream is opened by `async with` before it is iterated over")
        if self._bound == 0 and self._callback is None:
            raise ConfigurationError("buffer=0 keeps no events to iterate over: the hook on_event gets them")
        self._demand_loop()
        while not self._events:
            if self._error is not None:
                raise self._error.with_traceback(None)  # raised again, it would collect tracebacks
            if self._is_over:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise ConfigurationError("this stream has a reader already; open another one for the other")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._events.popleft()
        self._bytes -= size_of(event)
        if self._paused and len(self._events) <= self._bound // 2 and self._bytes <= self._most_bytes // 2:
            self._paused = False
            self._supplier.resume(self)
        return event

    # What the feed calls

    def put(self, event: Event) -> None:
        """Hand an event to the callback, or keep it until it is read."""
        if self._is_over:
            return
        if self._callback is not None:
            try:
                answer = self._callback(event)
                if inspect.iscoroutine(answer):
                    answer.close()
                    raise TypeError("the callback returned a coroutine, but it must be a plain function")
            except (Exception, asyncio.CancelledError):
                self._stats.hook_errors += 1
                self._log.exception("the callback of a user data stream raised; the stream goes on")
        elif self._keeps:
            self._keep(event)

    def _keep(self, event: Event) -> None:
        events = self._events
        # one that is alone is kept, whatever its size
        is_too_large = bool(events) and self._bytes + size_of(event) > self._most_bytes
        if not self._pauses and (len(events) >= self._bound or is_too_large):
            bound = "buffer" if len(events) >= self._bound else f"and no more than {self._most_bytes >> 20} MiB"
            self.end(
                EventsOverflow(
                    f"{len(events)} events waited unread ({bound}) when the next one came: it is lost, and so is every"
                    " later one. Ask the exchange what became of orders and positions, and open the stream again. Read"
                    ' faster, take a larger buffer, or on_full="pause"'
                )
            )
            return
        events.append(event)
        self._bytes += size_of(event)
        backlog = len(events)
        if backlog > self.high_water:
            self.high_water = backlog
            self._stats.event_backlog_peak = max(self._stats.event_backlog_peak, backlog)
        if self._pauses and not self._paused and (backlog >= self._bound or self._bytes >= self._most_bytes):
            self._paused = True
            self._supplier.pause(self)
        self._wake()

    def end(self, error: Exception | None) -> None:
        """End the iteration once what waits has been read: by ``error``, if given."""
        if not self._is_over:
            self._is_over = True
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
