"""A router and what it tells of each request, for the sessions that want it; others use the plain one.

``on_request`` and ``on_done`` of a subclass are called from here, and with ``timings`` each answer is stamped and its
latency counted.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Self

from attrs import define, field, frozen

from binance_session.errors import BinanceSessionError
from binance_session.hooks import Hooks
from binance_session.latency import Histogram, Timing
from binance_session.recorder import FlightRecorder
from binance_session.requests.answer import AnyFuture
from binance_session.requests.decoding import Envelope
from binance_session.requests.router import Router
from binance_session.responses import Response
from binance_session.venues import Method

__all__ = ["ObservedRouter", "Observer"]

OnRequest = Callable[[str, int], None]
OnDone = Callable[[str, int, str, float], None]


@define(eq=False)
class Observer:
    """What is wanted to be known of a session's requests, and the latencies that were seen."""

    on_request: OnRequest | None
    on_done: OnDone | None
    times: bool
    recorder: FlightRecorder | None = None
    #: whether hooks see the answers, which are called in the context of who submitted the request
    keeps_context: bool = False
    histograms: dict[str, Histogram] = field(factory=dict)
    #: the last answer, for the rateLimits in it
    last: Response | None = field(default=None, repr=False)

    @classmethod
    def of(cls, hooks: Hooks, times: bool, recorder: FlightRecorder | None) -> Self:
        """Return what a session's hooks, ``timings`` and recorder want."""
        asked = (hooks.on_response, hooks.on_rate_limit, hooks.on_done, hooks.on_request)
        return cls(hooks.on_request, hooks.on_done, times, recorder, any(hook is not None for hook in asked))

    @property
    def is_wanted(self) -> bool:
        """Whether anything is."""
        return self.times or self.keeps_context or (self.on_request, self.on_done, self.recorder) != (None, None, None)


@frozen(eq=False)
class _Timed(Response):
    """A response with its moments."""

    _moments: Timing | None = field(default=None, repr=False, alias="moments")

    @property
    def timing(self) -> Timing | None:
        return self._moments


def _nothing(_response: Response) -> None:
    """Stand for a hook: with one, each answer takes the way on which it can be stamped."""


class ObservedRouter(Router):
    """A router that tells its observer of each request's beginning and end."""

    __slots__ = ("_contexts", "_observer", "_received", "_times")

    def __init__(self, *arguments: Any, observer: Observer, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._observer = observer
        # when each request in flight was given to the connection, and written (ns)
        self._times: dict[int, tuple[int, int]] = {}
        self._contexts: dict[int, contextvars.Context] = {}
        self._received = 0
        if observer.times and self._on_response is None:
            self._on_response = _nothing

    def register(
        self,
        request_id: int,
        method: Method,
        timeout: float | None = None,
        vouched: bool = False,
        future: AnyFuture | None = None,
        bound: int = 2**63,
        data: bytes = b"",
    ) -> AnyFuture:
        """Register a request, and tell that it begins."""
        began = perf_counter_ns()
        future = super().register(request_id, method, timeout, vouched, future, bound, data)
        observer = self._observer
        if observer.times:
            self._times[request_id] = (began, began)
        if observer.keeps_context:
            self._contexts[request_id] = contextvars.copy_context()
            future.add_done_callback(lambda _: self._contexts.pop(request_id, None))
        name = method.name
        if observer.on_done is not None:
            done = observer.on_done

            def ended(future: Any) -> None:
                done(name, request_id, _outcome(future), (perf_counter_ns() - began) / 1e9)

            future.add_done_callback(ended)
        if (recorder := observer.recorder) is not None:
            recorder.sent(data)
            future.add_done_callback(lambda future: recorder.ended(name, request_id, _outcome(future)))
        if observer.times:
            future.add_done_callback(lambda _: self._times.pop(request_id, None))
        if observer.on_request is not None:
            observer.on_request(name, request_id)
        return future

    def written(self) -> None:
        """Take the moment at which the last request had been written."""
        if self._observer.times and (times := self._times.get(self.last_id)) is not None:
            self._times[self.last_id] = (times[0], perf_counter_ns())

    def resolve(self, envelope: Envelope) -> bool:
        """End the future that waits for an answer; see :meth:`Router.resolve`."""
        self._received = perf_counter_ns()
        return super().resolve(envelope)

    def _show(self, method: Method, response: Response, future: AnyFuture) -> None:
        context = self._contexts.pop(response.request_id, None)
        if context is None:
            self._show_timed(method, response, future)
        else:
            context.run(self._show_timed, method, response, future)

    def _refuse(self, future: AnyFuture, error: BinanceSessionError, vouched: bool) -> None:
        context = None if error.request_id is None else self._contexts.pop(error.request_id, None)
        if context is None:
            super()._refuse(future, error, vouched)
        else:
            context.run(super()._refuse, future, error, vouched)

    def _show_timed(self, method: Method, response: Response, future: AnyFuture) -> None:
        times = self._times.get(response.request_id)
        if times is None:
            super()._show(method, response, future)
            return
        queued, written = times
        histogram = self._observer.histograms.get(method.name)
        if histogram is None:
            histogram = self._observer.histograms[method.name] = Histogram()
        histogram.add(self._received - queued)
        self._observer.last = response
        stamped = _Timed(
            response.request_id,
            response.method,
            response.status,
            response.result,
            response._limits,  # noqa: SLF001 - a copy of it
            Timing(queued, written, self._received, perf_counter_ns()),
        )
        super()._show(method, stamped, future)


def _outcome(future: Any) -> str:
    """Return in a word how a request ended."""
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is None:
        return "answered"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return getattr(error, "outcome", None) or "unknown"
