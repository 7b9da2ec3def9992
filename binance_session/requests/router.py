"""Which future waits for which id, and until when.

One map and nothing else between an answer and its future: no lock, no queue, no task. Everything runs on the event
loop's thread. A router belongs to one connection, so that losing the connection ends exactly what went over it.

Deadlines: requests with the usual timeout expire in the order in which they came, which is the order of the map, so
the map is their FIFO. The few with another timeout live in a second map and a heap. One timer serves them all.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import sys
from collections.abc import Callable
from typing import Any, Final

from binance_session.errors import ApiError, BinanceSessionError, NotSent, RequestTimeout
from binance_session.requests.answer import AnyFuture
from binance_session.requests.decoding import MISSING, Envelope
from binance_session.requests.sent import Outcomes, carrying, params_of
from binance_session.responses import Response, answered
from binance_session.stats import Stats
from binance_session.venues import Method

__all__ = ["Router"]

#: requests that expire within this many seconds of each other expire together
_TOGETHER: Final = 0.001
#: a heap of deadlines is rebuilt when it holds this many more than there are requests
_SLACK: Final = 64
_NEVER: Final = math.inf

# (future, method, deadline in loop time, whether the connection's logon vouches for it, the request as it was written)
_Entry = tuple[AnyFuture, Method, float, bool, bytes]


class Router:
    """The requests in flight on one connection."""

    __slots__ = (
        "_error",
        "_last_id",
        "_loop",
        "_odd",
        "_odd_deadlines",
        "_on_refused",
        "_on_response",
        "_on_session_answer",
        "_others",
        "_outcomes",
        "_pending",
        "_purge_at",
        "_stats",
        "_timer",
        "_wake_at",
        "answered",
        "timeout",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        stats: Stats,
        error: Callable[[int, Method, Envelope], BinanceSessionError],
        *,
        on_response: Callable[[Response], None] | None = None,
        on_refused: Callable[[ApiError, bool], None] | None = None,
        on_session_answer: Callable[[Method, Response], None] | None = None,
        outcomes: Outcomes | None = None,
    ) -> None:
        """Serve ``loop``; ``timeout`` is the usual seconds that an answer may take.

        ``error`` returns what the future of a request ends with whose answer is not a good one.

        ``on_response`` gets each answer before its future ends; ``on_refused`` gets, after that, each error of the
        exchange and whether the connection's logon vouched for the request; ``on_session_answer`` gets, before, each
        answer that is about the connection itself. ``outcomes`` follows requests beyond their end.
        """
        self._loop = loop
        self.timeout = timeout
        self._stats = stats
        self._error = error
        self._on_response = on_response
        self._on_refused = on_refused
        self._on_session_answer = on_session_answer
        self._outcomes = outcomes
        #: how many answers with a result reached their futures
        self.answered = 0
        # how many other answers came: refusals, and late ones
        self._others = 0
        self._pending: dict[int, _Entry] = {}
        self._odd: dict[int, _Entry] = {}
        self._odd_deadlines: list[tuple[float, int, float]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = _NEVER
        self._purge_at = _SLACK
        self._last_id = 0

    @property
    def last_id(self) -> int:
        """The id of the last request that was registered."""
        return self._last_id

    def register(
        self,
        request_id: int,
        method: Method,
        timeout: float | None = None,
        vouched: bool = False,
        future: AnyFuture | None = None,
        bound: int = sys.maxsize,
        data: bytes = b"",
    ) -> AnyFuture:
        """Return the future of a request that is about to be written (``future``, if one waits already).

        Raises :class:`NotSent` when ``bound`` requests are in flight, unless this one is about the connection itself.

        ``data`` is what is written, kept for the error about it.

        ``vouched``: the request carries no key, the connection's logon stands for it. The future ends with a
        :class:`Response`, with what ``error`` makes of an error answer, with
        :class:`RequestTimeout` after ``timeout`` seconds (``None``: the usual), or with the error given to
        :meth:`end_all`.
        """
        if len(self._pending) + len(self._odd) >= bound and not method.is_about_session and self.is_full(bound):
            raise carrying(
                NotSent(
                    f"{bound} requests are in flight already (max_in_flight); this one was not sent", method=method.name
                ),
                params_of(data),
            )
        if future is None:
            future = self._loop.create_future()
        self._last_id = request_id
        if timeout is None:
            deadline = self._loop.time() + self.timeout
            self._pending[request_id] = (future, method, deadline, vouched, data)
        else:
            deadline = self._loop.time() + timeout
            self._odd[request_id] = (future, method, deadline, vouched, data)
            heapq.heappush(self._odd_deadlines, (deadline, request_id, timeout))
            if len(self._odd) > self._purge_at:
                self._purge_at = 2 * len(self) + _SLACK  # counting forgets those that were cancelled
            if len(self._odd_deadlines) > 2 * len(self._odd) + _SLACK:
                self._forget_deadlines()
        if deadline < self._wake_at:
            self._wake(deadline)
        return future

    def _forget_deadlines(self) -> None:
        """Keep the deadlines of what is in flight; not in :meth:`register`, where it would cost a closure each time."""
        self._odd_deadlines = [entry for entry in self._odd_deadlines if entry[1] in self._odd]
        heapq.heapify(self._odd_deadlines)

    @property
    def answers(self) -> int:
        """How many answers to requests of this router have come."""
        return self.answered + self._others

    def resolve(self, envelope: Envelope) -> bool:
        """End the future that waits for this answer; return whether there was one.

        An answer nobody waits for is counted as ``late`` when its id was given out (timed out, cancelled, answered
        before) and as ``unknown`` otherwise.
        """
        request_id: Any = envelope.id
        entry = self._pending.pop(request_id, None)
        if entry is None and (entry := self._odd.pop(request_id, None)) is None:
            if request_id is not None and 0 < request_id <= self._last_id:
                self._stats.late += 1
                self._others += 1
                self._answered_late(request_id, envelope)
            else:
                self._stats.unknown += 1
            return False
        future, method, _, vouched, data = entry
        if future.done():
            self._stats.late += 1
            self._others += 1
            return False
        if envelope.status == 200 and envelope.error is None and envelope.result is not MISSING:
            self.answered += 1
            response = answered(request_id, method.name, 200, envelope.result, envelope.limits)
            if self._on_response is None and not method.is_about_session:
                future.set_result(response)
            else:
                self._show(method, response, future)
        else:
            self._refuse(future, self._failed(self._error(request_id, method, envelope), method, data), vouched)
        return True

    def _answered_late(self, request_id: int, envelope: Envelope) -> None:
        outcomes = self._outcomes
        method = None if outcomes is None else outcomes.awaited(request_id)
        if outcomes is None or method is None:
            return
        if envelope.status == 200 and envelope.error is None and envelope.result is not MISSING:
            outcomes.answered_late(request_id, envelope.result)
        else:
            outcomes.answered_late(request_id, self._error(request_id, method, envelope))

    def _failed(self, error: BinanceSessionError, method: Method, data: bytes) -> BinanceSessionError:
        """Return the error that the request which was written as ``data`` ends with, once all is in it."""
        if self._outcomes is not None:
            self._outcomes.failed(error, method, data)
        else:
            carrying(error, params_of(data))
        return error

    def _show(self, method: Method, response: Response, future: AnyFuture) -> None:
        """End a future after those have seen its answer who asked to."""
        try:
            if method.is_about_session and self._on_session_answer is not None:
                self._on_session_answer(method, response)
            if self._on_response is not None:
                self._on_response(response)
        finally:
            if not future.done():  # the hook may have cancelled the call
                future.set_result(response)

    def _refuse(self, future: AnyFuture, error: BinanceSessionError, vouched: bool) -> None:
        self._stats.refused += 1
        self._others += 1
        try:
            if isinstance(error, ApiError) and error.response is not None and self._on_response is not None:
                self._on_response(error.response)
        finally:
            if not future.done():
                future.set_exception(error)
        if isinstance(error, ApiError) and self._on_refused is not None:
            self._on_refused(error, vouched)

    def futures(self) -> list[AnyFuture]:
        """Return the futures of what is in flight."""
        return [entry[0] for requests in (self._pending, self._odd) for entry in requests.values()]

    def end_all(
        self,
        error: Callable[[int, Method], BinanceSessionError],
        *,
        vouched_only: bool = False,
        quietly: bool = False,
    ) -> int:
        """End what is in flight with ``error(request_id, method)`` each; return how many that were.

        ``vouched_only``: only what the connection's logon vouched for. ``quietly``: asyncio does not complain about
        those that nobody looks at.
        """
        ended = 0
        for requests in (self._pending, self._odd):
            doomed = [key for key, entry in requests.items() if entry[3]] if vouched_only else list(requests)
            for request_id in doomed:
                future, method, _, _, data = requests.pop(request_id)
                if not future.done():
                    future.set_exception(self._failed(error(request_id, method), method, data))
                    if quietly:
                        future.cancel()  # too late to change anything but the complaint
                    ended += 1
        if not self._pending and not self._odd:
            self._odd_deadlines.clear()
            self._wake(_NEVER)
        return ended

    def __len__(self) -> int:
        """Return how many requests are in flight, those not counted whose caller cancelled them."""
        for requests in (self._pending, self._odd):
            for request_id in [key for key, entry in requests.items() if entry[0].done()]:
                del requests[request_id]
        return len(self._pending) + len(self._odd)

    def is_full(self, bound: int) -> bool:
        """Tell whether ``bound`` requests are in flight."""
        return len(self) >= bound

    def _sweep(self) -> None:
        due = self._loop.time() + _TOGETHER
        expired = []
        for request_id, entry in self._pending.items():
            if entry[2] > due:
                break
            expired.append((request_id, self.timeout))
        self._expire(self._pending, expired)
        expired = []
        while self._odd_deadlines and self._odd_deadlines[0][0] <= due:
            _, request_id, timeout = heapq.heappop(self._odd_deadlines)
            if request_id in self._odd:
                expired.append((request_id, timeout))
        self._expire(self._odd, expired)
        self._wake(
            min(
                next(iter(self._pending.values()))[2] if self._pending else _NEVER,
                self._odd_deadlines[0][0] if self._odd else _NEVER,
            )
        )

    def _expire(self, requests: dict[int, _Entry], expired: list[tuple[int, float]]) -> None:
        for request_id, timeout in expired:
            future, method, _, _, data = requests.pop(request_id)
            if not future.done():
                self._stats.timed_out += 1
                error = RequestTimeout(
                    f"{method.name} (request {request_id}) was sent and not answered within {round(timeout, 2):g}"
                    f" s; {method.if_unknown}",
                    request_id=request_id,
                    method=method.name,
                )
                future.set_exception(self._failed(error, method, data))

    def _wake(self, when: float) -> None:
        """Have the one timer sweep at ``when``, and at no other time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when == _NEVER else self._loop.call_at(when, self._sweep)
        self._wake_at = when
