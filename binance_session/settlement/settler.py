"""Settles the requests of a session: sends the queries, and listens to the account's events and to late answers.

Everything runs in the coroutine that waits for the :class:`Fate`: there is no task that could be left.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Protocol

from binance_session.clock import ServerClock
from binance_session.credentials import Credentials
from binance_session.errors import (
    BinanceSessionError,
    ConfigurationError,
    RequestTimeout,
    SessionClosed,
    SessionRevoked,
)
from binance_session.masking import kind_of
from binance_session.params import Params, clean
from binance_session.responses import Event, Response
from binance_session.settlement.algo import ALGO_UPDATE
from binance_session.settlement.fate import Fate, no, unsure, yes
from binance_session.settlement.machine import Settlement
from binance_session.settlement.questions import client_id_of, known_by_its_answer, question_of
from binance_session.settlement.sent import Sent
from binance_session.settlement.steps import Ask, Question
from binance_session.settlement.unsettled import NOTHING, Record, Unsettled
from binance_session.venues import Method, Venue

__all__ = ["Settler"]

#: seconds that a query may take; the time for all of it may be shorter
_QUERY: Final = 5.0
_SHORTEST: Final = 0.05
#: a Unix time above is none in seconds
_SECONDS: Final = 1e11
#: how many events of algo orders are kept: no query tells of these, and what was settled too late is in none of them
_RECENT: Final = 256

#: sends a query: method, params, credentials, timeout (s)
Send = Callable[[Method, Params, Credentials | None, float], asyncio.Future[Response]]


class Events(Protocol):
    """Where the account's events pass by."""

    watchers: tuple[Callable[[Event], None], ...]


class _Urgent(Method):
    """A query that may use the reserve of request weight."""

    def __init__(self, method: Method) -> None:
        super().__init__(method.name, method.security, method.weight, method.auth, method.orders, method.free_if_done)
        object.__setattr__(self, "is_urgent", True)


class Settler:
    """Settles the requests of one session."""

    def __init__(
        self,
        venue: Venue,
        clock: ServerClock,
        events: Events,
        is_heard: Callable[[], bool],
        unsettled: Unsettled,
        recv_window: float | None,
        send: Send,
    ) -> None:
        """Ask by ``send``, which sends a query now or raises why not; ``recv_window`` (ms) is the session's.

        ``is_heard`` tells whether the account's events come at all: whether a user data stream is open.
        """
        self._venue = venue
        self._is_spot = not venue.has_listen_key
        self._clock = clock
        self._events = events
        self._is_heard = is_heard
        self._unsettled = unsettled
        self._window = recv_window
        self._send = send
        self._urgent: dict[str, Method] = {}
        self._is_over = False
        # what wakes those who wait
        self._wakers: set[Callable[[], None]] = set()
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        if "algoOrder.place" in venue.methods:
            events.watchers += (self._keep,)

    def _keep(self, event: Event) -> None:
        if event.type == ALGO_UPDATE:
            self._recent.append(event)

    def end(self) -> None:
        """End everything under way, because the session is over."""
        self._is_over = True
        for wake in list(self._wakers):
            wake()

    def _demand_session(self) -> None:
        if self._is_over:
            raise SessionClosed("the session is over: settle this in another session of the same account")

    async def place(
        self,
        request: Callable[[str, Params], Awaitable[Response]],
        method: str,
        params: Params,
        within: float,
    ) -> Fate:
        """Send by ``request``, and settle what ends with an unknown outcome."""
        spec = self._venue.method(method)
        params = clean(params)
        name = client_id_of(method)
        if name is not None and name not in params:
            params[name] = secrets.token_hex(16)
        now = self._clock.now_ms()
        asked = question_of(spec, params, Sent(now, now), is_spot=self._is_spot)  # raises if it could not be settled
        begun = asyncio.get_running_loop().time()
        try:
            response = await request(method, params)
        except (ConfigurationError, SessionClosed):
            raise
        except BinanceSessionError as error:
            if error.outcome is None:
                raise
            fate = await self.settle(error, within, None)
        else:
            fate = asked if isinstance(asked, Fate) else yes("answer", response.result)
        return fate.after(fate.asked, asyncio.get_running_loop().time() - begun)

    async def settle(self, error: object, within: float, credentials: Credentials | None) -> Fate:
        """Find out what became of the request that ended with this error."""
        if not isinstance(error, BinanceSessionError) or error.outcome is None or error.method is None:
            raise ConfigurationError(
                f"what is settled is an error about one request, not {kind_of(error)} about none"
                if isinstance(error, BinanceSessionError)
                else f"what is settled is the error of a request, not {kind_of(error)}"
            )
        if error.outcome == "not_sent":
            return no("not sent", None, error)
        if (fate := known_by_its_answer(error.method, error)) is not None:
            self._unsettled.settled(error)
            return fate
        self._demand_session()
        record = self._unsettled.find(error)
        method = self._venue.method(error.method) if record is None else record.method
        if error.params is None:
            raise ConfigurationError(
                "the error does not carry the params of its request: use session.settle_order(method, params, sent_at)",
                method=error.method,
            )
        if error.is_of_other_key and credentials is None:
            raise ConfigurationError(
                f"{error.method} was signed with another key than the session's: pass that as credentials=",
                method=error.method,
            )
        sent = Sent.of(error.params, None, self._window)
        question = question_of(method, error.params, sent, is_spot=self._is_spot)
        if isinstance(question, Fate):
            return question
        settlement = Settlement(method.name, question, sent, within, asyncio.get_running_loop().time())
        fate = await self._run(
            settlement, question, credentials, record, awaits_answer=isinstance(error, (RequestTimeout, SessionRevoked))
        )
        if fate.took_effect is not None:
            self._unsettled.settled(error)
        return fate

    async def settle_order(
        self, method: str, params: Params, sent_at: float | None, within: float, credentials: Credentials | None
    ) -> Fate:
        """Find out what became of a request of which these are written down."""
        self._demand_session()
        if sent_at is not None and sent_at > _SECONDS:
            raise ConfigurationError(f"sent_at must be Unix seconds, not milliseconds: {sent_at!r}")
        params = clean(params)
        sent = Sent.of(params, sent_at, self._window)
        question = question_of(self._venue.method(method), params, sent, is_spot=self._is_spot)
        if isinstance(question, Fate):
            return question
        settlement = Settlement(method, question, sent, within, asyncio.get_running_loop().time())
        return await self._run(settlement, question, credentials)

    async def _run(
        self,
        settlement: Settlement,
        question: Question,
        credentials: Credentials | None,
        record: Record | None = None,
        *,
        awaits_answer: bool = False,
    ) -> Fate:
        """Do what the settlement wants until it knows, or its time or the session is over.

        ``record`` is what is kept of the request; with ``awaits_answer`` its late answer may still come.
        """
        loop = asyncio.get_running_loop()
        query: asyncio.Future[Response] | None = None
        awake = asyncio.Event()
        try:
            with self._listening(settlement, record, awake.set):
                while True:
                    awake.clear()
                    time, now = loop.time(), self._clock.now_ms()
                    if query is not None and query.done():
                        _take(settlement, query, time, now)
                        query = None
                    hears = self._is_heard() or (awaits_answer and record is not None)
                    step = settlement.next(time, now, hears=hears)
                    if isinstance(step, Fate):
                        return step
                    if self._is_over:
                        fate = unsure(f"the session is over; {question.pending}")
                        return fate.after(settlement.asked, settlement.elapsed(time))
                    if isinstance(step, Ask):
                        query = self._ask(settlement, step, credentials, time, now)
                        if query is not None:
                            query.add_done_callback(lambda _: awake.set())
                        continue
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(step.seconds):
                            await awake.wait()
        finally:
            if query is not None and not query.cancel() and not query.cancelled():
                query.exception()  # nobody else looks at it

    @contextlib.contextmanager
    def _listening(self, settlement: Settlement, record: Record | None, wake: Callable[[], None]) -> Iterator[None]:
        """Pass on to ``settlement`` what comes without being asked for, and call ``wake`` then."""
        loop = asyncio.get_running_loop()

        def heard(event: Event) -> None:
            settlement.heard(event, loop.time())
            wake()

        def answered() -> None:
            if record is not None and record.answer is not NOTHING:
                settlement.late(record.answer)
                wake()

        for event in self._recent:
            settlement.heard(event, loop.time())
        answered()
        listeners = [] if record is None else record.listeners
        listeners.append(answered)
        self._events.watchers += (heard,)
        self._wakers.add(wake)
        try:
            yield
        finally:
            listeners.remove(answered)
            self._events.watchers = tuple([watcher for watcher in self._events.watchers if watcher is not heard])
            self._wakers.discard(wake)

    def _ask(
        self, settlement: Settlement, step: Ask, credentials: Credentials | None, time: float, now: float
    ) -> asyncio.Future[Response] | None:
        timeout = max(_SHORTEST, min(_QUERY, settlement.left(time)))
        try:
            return self._send(self._urgently(step.method), step.params, credentials, timeout)
        except Exception as error:  # also what somebody's credentials raise
            settlement.failed(error, time, now)
            return None

    def _urgently(self, method: str) -> Method:
        found = self._urgent.get(method)
        if found is None:
            found = self._urgent[method] = _Urgent(self._venue.method(method))
        return found


def _take(settlement: Settlement, query: asyncio.Future[Any], time: float, now: float) -> None:
    """Pass on to a settlement how its query ended."""
    if query.cancelled():
        settlement.failed(RuntimeError("the query was cancelled"), time, now)
    elif (error := query.exception()) is not None:
        settlement.failed(error if isinstance(error, Exception) else RuntimeError(str(error)), time, now)
    else:
        settlement.answered(query.result().result, time, now)
