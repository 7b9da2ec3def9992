"""The session: what a bot holds and an integrator subclasses."""

from __future__ import annotations

import asyncio
import functools
import itertools
import ssl as ssl_module
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

from attrs import evolve

from binance_session.catalogue import SecurityName
from binance_session.checks import check_choice, check_number, check_patience
from binance_session.clock import ServerClock
from binance_session.config import ON_UNREADY, ConnectionOptions, Logon, OnUnready, SessionOptions
from binance_session.connections.admission import Admission
from binance_session.connections.lifecycle import Lifecycle
from binance_session.connections.link import Link
from binance_session.connections.logon import LogonMethods
from binance_session.connections.numbers import NumberMethods
from binance_session.connections.observedlink import link_maker
from binance_session.connections.supervisor import Supervisor
from binance_session.credentials import Credentials
from binance_session.errors import ConfigurationError, SessionClosed, why
from binance_session.events.subscription import Subscription
from binance_session.events.userdata import UserData, UserDataMethods
from binance_session.health import Health, health_of, longest_silence
from binance_session.hooks import Hooks, SessionHooks
from binance_session.keepalive import AdaptiveKeepalive, KeepalivePolicy
from binance_session.log import session_log
from binance_session.masking import secrets_of
from binance_session.ownloop import INHERITED, demand_loop, wrong_loop
from binance_session.params import Params
from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy
from binance_session.recorder import FlightRecorder
from binance_session.requests.answer import Answer
from binance_session.requests.encoding import RequestEncoder
from binance_session.requests.observed import Observer
from binance_session.requests.racing import check_race
from binance_session.requests.router import Router
from binance_session.requests.threads import ThreadMethods, ThreadRequests
from binance_session.responses import Response
from binance_session.settings import SettingsMethods
from binance_session.settlement.methods import SettlementMethods
from binance_session.settlement.settler import Settler
from binance_session.settlement.unsettled import Unsettled
from binance_session.state import SessionState
from binance_session.stats import Stats
from binance_session.venues import Venue
from binance_session.websocket.forks import watch

__all__ = ["Session"]

#: tells apart the sessions of a process that were given no name
_numbers: Final = itertools.count(1)


class Session(
    LogonMethods, ThreadMethods, UserDataMethods, SettlementMethods, SettingsMethods, NumberMethods, SessionHooks
):
    """One long-lived session with a Binance WebSocket API.

    ::

        async with Session(COIN_M, key) as session:
            reply = await session.request("account.balance")

    ``venue`` names the exchange, ``credentials`` the key (``None``: public methods only). The keyword parameters, each
    described in full in :class:`~binance_session.config.SessionOptions`; times in seconds:

    - what it does: ``logon`` (log each connection on: ``"auto"`` when the key can), ``keepalive`` and ``reconnect``
      (policies), ``request_timeout``, ``recv_window`` (ms), ``on_unready`` (what a request does while the session is
      not READY), ``max_in_flight``, ``rollover_after``, ``standby``, ``weight_reserve``, ``coalesce``, ``wall_clock``,
      ``timings``, ``recorder``, ``name``
    - where to: ``url``, ``stream_url``, ``ssl``, ``proxy``, ``local_addr``, ``family``, ``headers``
    - the WebSocket: ``open_timeout``, ``close_timeout``, ``ping_interval``, ``ping_timeout``, ``max_size`` (bytes),
      ``compression``

    Raises :class:`ConfigurationError` for what cannot be right, and :class:`InsecureTransportError` when credentials
    would go over ``ws://`` to another machine. A session is bound to the event loop on which it was opened, is used
    from that loop's thread only, and cannot be opened again once it was closed.
    """

    def __init__(
        self,
        venue: Venue,
        credentials: Credentials | None = None,
        *,
        logon: Logon = "auto",
        keepalive: KeepalivePolicy = AdaptiveKeepalive(),  # noqa: B008, immutable
        reconnect: ReconnectPolicy = ExponentialBackoff(),  # noqa: B008, immutable
        request_timeout: float = 10.0,
        recv_window: int | None = None,
        on_unready: OnUnready = "auto",
        max_in_flight: int = 10_000,
        url: str | None = None,
        stream_url: str | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
        open_timeout: float | None = 10.0,
        close_timeout: float | None = 5.0,
        ping_interval: float | None = 10.0,
        ping_timeout: float | None = 10.0,
        max_size: int = 32 * 2**20,
        compression: Literal["deflate"] | None = None,
        coalesce: bool = False,
        rollover_after: float | None = 82_800.0,
        weight_reserve: float | None = None,
        wall_clock: Callable[[], float] = time.time,
        local_addr: str | None = None,
        family: Literal["ipv4", "ipv6"] | None = None,
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
        standby: bool = False,
        timings: bool = False,
        recorder: FlightRecorder | None = None,
    ) -> None:
        # fmt: off
        options = SessionOptions(
            venue, credentials, logon, keepalive, reconnect, request_timeout, recv_window, on_unready, max_in_flight,
            url, stream_url, ssl, proxy, open_timeout, close_timeout, ping_interval, ping_timeout, max_size,
            compression, coalesce, rollover_after, weight_reserve, wall_clock, local_addr, family, headers,
            name, standby, timings, recorder,
        )
        # fmt: on
        self.venue = venue
        #: what log records and the names of tasks call the session
        self.name = name or f"{venue.name} {next(_numbers)}"
        self._options = options
        self._log = session_log(self.name)
        connection_options, stream_options = options.connection(self.name), options.stream(self.name)
        self._credentials = credentials
        #: by value, what is masked in the exchange's texts
        self._secrets = secrets_of(
            credentials, connection_options.url, None if stream_options is None else stream_options.url, proxy, headers
        )
        self._loop: object = None
        self._thread_requests: ThreadRequests | None = None
        # whether what a subclass makes of a request need not be asked for
        self._submits_plainly = False
        self._methods = venue.methods
        self._stats = Stats()
        self._hooks = Hooks(self, self._stats, self._log)
        #: what is seen of each request, for metrics
        self.observer = Observer.of(self._hooks, timings, recorder)
        if recorder is not None:
            recorder.attach(self, options, self._secrets, self._hooks)
        # that of a subclass; on the way of every request
        self._prepare = self._hooks.prepare
        self._clock = ServerClock(wall_clock, warn=self._log.warning)
        self._encoder = RequestEncoder(credentials, recv_window, self._clock)
        self._unsettled = Unsettled(credentials, self._stats)
        self._lifecycle = Lifecycle(self._hooks, self._log)
        self._admission = Admission(
            self._lifecycle,
            self._encoder,
            self._clock,
            self._log,
            weight_reserve=weight_reserve,
            max_in_flight=max_in_flight,
            on_unready=on_unready,
            timeout=float(self._options.request_timeout),
            logs_on=options.logs_on,
        )
        self._supervisor = Supervisor(
            functools.partial(self._make_link, connection_options, itertools.count(1)),
            venue.method("session.logon") if options.logs_on else None,
            reconnect,
            self._lifecycle,
            self._admission,
            connection_options,
            rollover_after,
            self._hooks,
            self._stats,
            self._log,
            on_failed=self._failed,
            has_standby=standby,
        )
        self._user_data = UserData(
            options,
            stream_options,
            self._supervisor,
            self._request_own,
            self._clock,
            self._hooks,
            self._stats,
            self._log,
            self._secrets,
        )
        self._settler = Settler(
            venue,
            self._clock,
            self._user_data.delivery,
            self._user_data.is_heard,
            self._unsettled,
            recv_window,
            functools.partial(self._admission.submit, on_unready="fail"),
        )

    def _make_link(self, connection_options: ConnectionOptions, ids: Iterator[int], supervisor: Supervisor) -> Link:
        self._clock.run_on(asyncio.get_running_loop().time)
        supplier = self._user_data.supplier
        reserves = self._options.weight_reserve is not None
        on_response = self._hooks.answer_hook(self._admission.throttle.limits_told if reserves else None)
        return link_maker(self.observer)(
            supervisor,
            connection_options,
            self._encoder,
            ids,
            self._clock,
            self._stats,
            self._log,
            venue=self.venue,
            timeout=float(self._options.request_timeout),
            max_in_flight=self._options.max_in_flight,
            secrets=self._secrets,
            on_subscription=supplier.answered if isinstance(supplier, Subscription) else None,
            make_router=functools.partial(Router, outcomes=self._unsettled, on_response=on_response),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.venue.name} {self.state.value}>"

    # Life

    async def open(self, patience: float | None = None) -> None:
        """Connect, and log on if the session does; return when READY.

        ``patience``
            Seconds for which it is tried again if it fails, when the ``reconnect`` policy says; ``math.inf``: for
            ever. An attempt that was begun in time may end later. ``None``: one attempt. A :class:`ConnectError` that
            is not ``retryable`` is not tried again: a bad certificate, a redirect, HTTP 4xx (but 429 and 418 are). A
            refused logon is asked for again as after a lost connection: slowly, and some times only.

        While it is known that this address is held back (a 429 or a ban that a neighbour met), it waits for
        ``open_timeout`` or ``patience`` seconds at most, whichever is longer.

        Raises :class:`ConnectError` when there is no connection, :class:`LogonRejected` when the exchange refuses the
        logon, :class:`RateLimited` when this address is held back for longer, :class:`SessionClosed` when the session
        was closed. Cancelling it closes the session. A second call waits for what the first began.
        """
        if patience is not None:
            check_patience(patience)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            watch(self, Session._inherited)
            self._submits_plainly = getattr(self.submit, "__func__", None) is Session.submit and self._prepare is None
            keeps = self.observer.keeps_context
            self._thread_requests = ThreadRequests(self._loop, self._submit_for, lambda: self._admission.link, keeps)
        self._demand_loop()
        try:
            await self._supervisor.open(patience)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self, drain: float | None = None) -> None:
        """End everything pending with :class:`SessionClosed` at once, then close the connection.

        With ``drain`` requests in flight first have so many seconds to be answered; new ones are refused meanwhile.
        Returns when no task, timer or socket is left. May be called at any time, again, and concurrently. The
        listenKey is not stopped: that would end it for every other client of the account.
        """
        self._demand_loop()
        if drain is not None:
            check_number("drain", drain)
            self._admission.refuse_new()
            try:
                async with asyncio.timeout(drain):
                    await self._supervisor.links.all_answered()
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                await self.close()
                raise
        over = "the session was closed"
        self._end_all(over, SessionClosed(f"{over}, and its user data streams with it"))
        await self._supervisor.close()
        await self._user_data.ended()

    def _failed(self, failure: Exception) -> None:
        error = SessionClosed(f"the session ended, and its user data streams with it, because {why(failure)}")
        error.__cause__ = failure
        self._end_all(f"the session ended, because {why(failure)}", error)

    def _end_all(self, why: str, error: SessionClosed) -> None:
        """End what the session holds beside its connections: what threads hand over, the streams, the listenKey."""
        if self._thread_requests is not None:
            self._thread_requests.end(why)
        self._user_data.end(error)
        self._settler.end()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def wait_for(self, state: SessionState, timeout: float | None = None) -> None:
        """Return when the session's state is ``state``.

        A session learns of a lost connection a moment after it happens. Until then its state is READY, and
        ``wait_for(READY)`` returns at once: to wait for a reconnect, wait for WAITING first.

        Raises at once when it never can be (the error that ended the session, or :class:`SessionClosed`;
        :class:`ConfigurationError` for NEW), and the built-in ``TimeoutError`` after ``timeout`` seconds.
        """
        if not isinstance(state, SessionState):
            raise ConfigurationError(f"state must be a SessionState, not {state!r}")
        if timeout is not None:
            check_number("timeout", timeout)
        self._demand_loop()
        await self._lifecycle.wait_for(state, timeout)

    def _inherited(self) -> None:
        """Called in a forked child: the session is the parent's, and no loop here is its own."""
        self._loop = INHERITED
        self._thread_requests = None

    def _demand_loop(self) -> None:
        demand_loop(self._loop)

    # Requests

    def submit(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: SecurityName | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
        race: bool = False,
    ) -> asyncio.Future[Response]:
        """Write a request to the socket before returning, and return the future of its answer.

        With ``coalesce``, all but the first of a turn of the event loop are written when the turn ends.

        The future ends exactly once: with a :class:`Response`, or with an error whose ``outcome`` says what is known
        (see :mod:`binance_session.errors`). Cancelling it forgets the request; it does not unsend it.

        ``params`` values are ``str``, ``int``, ``bool``, ``Decimal``, or lists of them. ``security`` is needed for a
        method that the venue's catalogue does not know. ``credentials`` signs this request with another key.
        ``timeout`` (s) and ``on_unready`` stand in for the session's.

        ``race`` writes it on the standby connection too; the first answer that is no error ends the future, the other
        is only counted. It uses the request weight twice. Only with ``standby=True``, and for what may be executed
        twice: queries, ``userDataStream.ping``, a cancellation by id.

        Raises, with nothing sent: :class:`ConfigurationError` for bad input, :class:`NotSent` when the request cannot
        leave now and is not to wait, :class:`SessionClosed` when the session is over.
        """
        try:  # here and not in a function of its own, whose call would take a hundredth of a request
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self._loop and self._loop is not None:
            raise wrong_loop(self._loop, method)
        try:
            spec = self._methods.get(method) if security is None else None
        except TypeError:  # no text, and not even hashable
            spec = None
        if spec is None:
            spec = self.venue.method(method, security)
        if timeout is not None:
            check_number("timeout", timeout, method)
        if credentials is not None:
            self._options.check_other_key(spec, credentials)
            self._secrets.add_key(credentials)
        if self._prepare is not None:
            params = self._prepared(method, params)
        if on_unready is not None or race:
            check_choice("on_unready", on_unready, (None, *ON_UNREADY))
            if race:
                check_race(race, spec, params, has_standby=self._options.standby)
                standby, settled = self._supervisor.standby, self._unsettled.settled
                return self._admission.race(standby, spec, params, credentials, timeout, on_unready, settled)
        link = self._admission.link
        if link is not None:
            return link.submit(spec, params, credentials, timeout)
        return self._admission.submit(spec, params, credentials, timeout, on_unready)

    def _prepared(self, method: str, params: Params | None) -> Params:
        assert self._prepare is not None
        prepared = self._prepare(method, dict(params) if params is not None else {})
        if prepared is None:
            raise ConfigurationError("prepare() returned None: it returns the params to send", method=method)
        return prepared

    async def request(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: SecurityName | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
        race: bool = False,
    ) -> Response:
        """Submit a request and wait for its answer; see :meth:`submit` for the parameters and the errors."""
        return await self.submit(
            method,
            params,
            security=security,
            credentials=credentials,
            timeout=timeout,
            on_unready=on_unready,
            race=race,
        )

    async def _request_own(self, method: str, *, on_unready: Literal["wait"] | None = None) -> Response:
        """Send a request of the session's own: neither ``prepare`` nor what a subclass makes of ``submit`` sees it."""
        spec = self.venue.method(method)
        link = self._admission.link
        if link is not None:
            return await link.submit(spec)
        return await self._admission.submit(spec, None, None, None, on_unready)

    def _submit_for(
        self,
        answer: Answer,
        method: str,
        params: Params | None,
        timeout: float | None,
        options: dict[str, Any] | None,
    ) -> asyncio.Future[Response] | None:
        """Submit what another thread gave; return the future of what does not end in ``answer`` directly.

        Directly goes what leaves as it is and now; everything else goes the way of every request.
        """
        link = self._admission.link
        spec = self._methods.get(method) if options is None and type(method) is str else None
        if link is None or spec is None or not self._submits_plainly:
            return self.submit(method, params, timeout=timeout, **options or {})
        if timeout is not None:
            check_number("timeout", timeout, method)
        link.submit(spec, params, None, timeout, answer)
        return None

    # Attributes

    @property
    def state(self) -> SessionState:
        """What the session is doing."""
        return self._lifecycle.state

    @property
    def authenticated(self) -> bool:
        """Whether the connection is logged on, as far as the exchange's answers tell."""
        return self._admission.authenticated

    @property
    def standby_ready(self) -> bool:
        """Whether a standby connection is open, and logged on if the session logs on, to take over at once."""
        return self._supervisor.standby is not None

    @property
    def in_flight(self) -> int:
        """How many requests were written and have not ended; takes time in proportion to them."""
        return self._supervisor.links.in_flight

    @property
    def clock_offset(self) -> float:
        """The exchange's clock minus the local one, in seconds; 0.0 until an answer told."""
        return self._clock.offset

    def now(self) -> float:
        """Return the exchange's time in Unix seconds, as well as the session knows it."""
        return self._clock.now()

    def health(self) -> Health:
        """Return how the session is, in numbers and in sentences: no I/O, and possible in every state."""
        link, key, own, loop = self._supervisor.serving, self.listen_key, self._options, self._loop
        return health_of(
            self.state,
            last_frame_age=None if link is None else link.silent_for,
            longest_silence=longest_silence(own.ping_interval, own.ping_timeout, self.venue.server_ping_interval),
            held_back=self._admission.throttle.held(loop.time()) if isinstance(loop, asyncio.AbstractEventLoop) else "",
            events_live=self._user_data.is_live,
            ping_rtt=None if link is None else link.ping_rtt,
            listen_key_left=None if key is None else key.valid_until - self.now(),
            backlog=self._user_data.backlog,
            clock_offset=self.clock_offset,
        )

    @property
    def stats(self) -> Stats:
        """A copy of the session's counters."""
        return evolve(self._stats, answered=self._supervisor.links.answered, event_backlog=self._user_data.backlog)
