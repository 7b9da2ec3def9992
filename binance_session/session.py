"""The session: what a bot holds and an integrator subclasses."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import ssl as ssl_module
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from attrs import evolve

from binance_session.checks import (
    check_can_log_on,
    check_choice,
    check_clock,
    check_count,
    check_credentials,
    check_headers,
    check_keepalive,
    check_name,
    check_number,
    check_patience,
    check_policy,
    check_proxy,
    check_recv_window,
    check_rollover,
    check_tls,
    check_url,
    check_way_out,
    decide_logon,
    insecure,
    is_exposed,
)
from binance_session.clock import ServerClock
from binance_session.connections.link import Link
from binance_session.connections.supervisor import Supervisor
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, ConfigurationError, NotSent, SessionClosed, why
from binance_session.events.feed import Feed
from binance_session.events.listenkey import ListenKeyKeeper
from binance_session.events.ownsubscriptions import OwnSubscriptions
from binance_session.events.sockets import StreamSockets
from binance_session.events.stream import OnFull, UserDataStream
from binance_session.events.subscription import Subscription
from binance_session.hooks import Hooks
from binance_session.keepalive import AdaptiveKeepalive, KeepalivePolicy, KeepaliveStatus
from binance_session.log import session_log
from binance_session.masking import kind_of, secrets_of
from binance_session.params import Params, clean
from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy
from binance_session.requests.answer import Answer
from binance_session.requests.encoding import RequestEncoder
from binance_session.requests.sent import carrying
from binance_session.requests.threads import Handoff
from binance_session.requests.waiting import Parking
from binance_session.responses import Event, ListenKey, RateLimit, Response, SessionStatus
from binance_session.settlement.fate import Fate
from binance_session.settlement.settler import Settler
from binance_session.settlement.unsettled import Unsettled
from binance_session.state import SessionState
from binance_session.stats import Stats
from binance_session.venues import Method, Venue
from binance_session.websocket.dialing import Transport
from binance_session.websocket.forks import watch

__all__ = ["Session"]

OnUnready = Literal["auto", "wait", "fail"]
Logon = Literal["auto", True, False]

_ON_UNREADY: Final = ("auto", "wait", "fail")
_SMALLEST_MAX_SIZE: Final = 64 * 2**10
#: stands for the event loop of a session that a forked child has inherited
_INHERITED: Final = object()
#: tells apart the sessions of a process that were given no name
_numbers: Final = itertools.count(1)


class Session:
    """One long-lived session with a Binance WebSocket API.

    ::

        async with Session(COIN_M, key) as session:
            reply = await session.request("account.balance")

    ``venue`` names the exchange, ``credentials`` the key (``None``: public methods only). Keyword parameters:

    ``logon`` (``"auto"``)
        ``"auto"``: log on when the key can (Ed25519) and the venue offers it. ``True``: demand it. ``False``: never;
        each request then carries ``apiKey`` and a signature where it needs them.
    ``keepalive`` (:class:`AdaptiveKeepalive`)
        When to send ``userDataStream.ping``, while the session owns a listenKey.
    ``reconnect`` (:class:`ExponentialBackoff`)
        When to dial again after a connection was lost, or its logon refused. The session does not retry the first
        connection without ``open(patience=...)``: ``open()`` says at once why it failed.
    ``request_timeout`` (10)
        Seconds from ``submit`` until :class:`RequestTimeout`.
    ``recv_window`` (``None``)
        Milliseconds, sent on signed requests when set. ``None``: the exchange's default, 5000.
    ``on_unready`` (``"auto"``)
        What a request does while the session is not READY. ``"wait"``: it waits, at most for its timeout, and is signed
        and stamped when it leaves. ``"fail"``: :class:`NotSent` at once. ``"auto"``: wait, but TRADE methods fail,
        because an order must not leave seconds late by surprise.
    ``max_in_flight`` (10,000)
        A request beyond this many raises :class:`NotSent`.
    ``url``, ``stream_url`` (the venue's)
        A simulator or a gateway instead of the venue. ``stream_url`` is the address without ``/ws`` and the listenKey:
        the session adds them. With a ``url`` alone there is no user data stream on futures. Spot has no ``stream_url``.
    ``ssl`` (``None``)
        An :class:`ssl.SSLContext`. ``None``: the system's certificates, which the process reads once, at its first
        connection. A context that does not verify who answers causes an :class:`InsecureTransportWarning`.
    ``proxy`` (``True``)
        The URL of a proxy (``http``, ``https``, ``socks4``, ``socks4a``, ``socks5``, ``socks5h``). ``True``: the one of
        the environment (``https_proxy`` and so on), if there is one. ``None``: no proxy.
    ``local_addr``, ``family`` (``None``)
        The way out: the local address to connect from; ``"ipv4"`` or ``"ipv6"`` to use only addresses of that
        kind. With a proxy they concern the connection to the proxy. What the exchange counts by address (request
        weight, bans, attempts) is counted for each way out.
    ``headers`` (``None``)
        More headers for the WebSocket's handshakes: a mapping of names to texts.
    ``open_timeout`` (10)
        Seconds for a connection: TCP, proxy, TLS and the WebSocket's handshake together. The logon has
        ``request_timeout`` on top. ``None``: no limit.
    ``close_timeout`` (5)
        Seconds for the closing handshake. ``None``: no limit.
    ``ping_interval``, ``ping_timeout`` (10, 10)
        Seconds between ping frames, and until one must be answered. A dead connection is found within
        ``ping_interval + ping_timeout`` after its last byte. With ``ping_interval=None`` the session sends no pings; it
        then takes a connection for dead when the server's own pings (every 3 minutes, on Spot every 20 s) stay away.
    ``max_size`` (32 MiB)
        Bytes of the largest message taken, at least 64 KiB; a larger one ends the connection. It bounds what a peer
        that means harm can make the session hold; the answers of some queries have megabytes.
    ``compression`` (``None``)
        ``"deflate"`` asks for compression; it costs latency.
    ``coalesce`` (``False``)
        Whether requests that are submitted in one turn of the event loop leave together: the first at once, before
        ``submit()`` returns, the others in one write at the end of the turn. For baskets of orders it costs less CPU,
        above all over TLS; whoever keeps the loop busy after submitting delays all but the first.
    ``rollover_after`` (82,800: 23 hours)
        Seconds (or up to a tenth less, so that a fleet does not move together) after which the session replaces a
        connection, at most the exchange's 24 hours. The next one is open and logged on before the first is closed, and
        the first is closed when its last answer has come. ``serverShutdown`` has the same effect. ``None``: never.
    ``weight_reserve`` (``None``)
        The share (such as 0.1) of the address's request weight that is kept for what must not wait: cancels, pings, the
        logon. What else would use it waits for the next minute, or is refused, as after a 429. ``None``: no reserve.
        Where answers do not tell the weight (``returnRateLimits=false``), the session counts what it sends, and asks
        ``session.status`` for the address's count once in a while.
    ``wall_clock`` (``time.time``)
        Unix time in seconds; a simulation passes its own.
    ``name`` (``None``)
        What log records and the names of tasks call the session. ``None``: the venue and a number.

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
    ) -> None:
        if not isinstance(venue, Venue):
            raise ConfigurationError(f"venue must be a Venue such as COIN_M, not {kind_of(venue)}")
        check_credentials(credentials)
        self._logs_on = decide_logon(logon, venue, credentials)
        check_number("request_timeout", request_timeout)
        for option, seconds in (
            ("open_timeout", open_timeout),
            ("close_timeout", close_timeout),
            ("ping_interval", ping_interval),
            ("ping_timeout", ping_timeout),
            ("rollover_after", rollover_after),
        ):
            if seconds is not None:
                check_number(option, seconds)
        check_recv_window(recv_window, venue)
        check_choice("on_unready", on_unready, _ON_UNREADY)
        check_count("max_in_flight", max_in_flight, least=1)
        check_count("max_size", max_size, least=_SMALLEST_MAX_SIZE)
        if weight_reserve is not None:
            check_number("weight_reserve", weight_reserve, unit="")
            if weight_reserve >= 1:
                raise ConfigurationError(f"weight_reserve must be a share below 1, not {weight_reserve!r}")
        check_choice("compression", compression, (None, "deflate"))
        check_choice("coalesce", coalesce, (False, True))
        for option, policy in (("keepalive", keepalive), ("reconnect", reconnect)):
            check_policy(option, policy)
        check_proxy(proxy)
        check_tls(ssl)
        check_keepalive(keepalive, venue)
        check_rollover(rollover_after)
        check_way_out(local_addr, family)
        check_headers(headers)
        check_name(name)
        check_clock(wall_clock)

        self.venue = venue
        #: what log records and the names of tasks call the session
        self.name = name or f"{venue.name} {next(_numbers)}"
        self._log = session_log(self.name)
        transport = Transport(
            venue.url if url is None else url,
            ssl,
            proxy,
            open_timeout,
            close_timeout,
            ping_interval,
            ping_timeout,
            max_size,
            compression,
            venue.server_ping_interval,
            coalesce,
            local_addr,
            family,
            tuple((headers or {}).items()),
            self.name,
        )
        check_url("url", transport.url, ssl)
        self._exposed = is_exposed(transport.url, proxy)
        self._by_proxy = isinstance(proxy, str)
        if credentials is not None and self._exposed:
            raise insecure("url", by_proxy=self._by_proxy)
        if stream_url is None and url is None:  # who talks to a simulator must not send its listenKey to Binance
            stream_url = venue.stream_url
        if stream_url is not None:
            check_url("stream_url", stream_url, None)
            if not venue.has_listen_key:
                raise ConfigurationError(
                    f"{venue.name} has no stream_url: its events arrive on the connection to url. Leave stream_url out"
                )
            if is_exposed(stream_url, proxy):  # a listenKey goes into its path
                raise insecure("stream_url", by_proxy=self._by_proxy)
        if proxy is True and urlsplit(transport.url).scheme == "ws":
            # a plain connection to this machine must not take its way through another one
            transport = evolve(transport, proxy=None)

        self._credentials = credentials
        #: by value, what is masked in the exchange's texts
        self._secrets = secrets_of(credentials, transport.url, stream_url, proxy, headers)
        self._loop: object = None
        self._handoff: Handoff | None = None
        # whether what a subclass makes of a request need not be asked for
        self._submits_plainly = False
        self._keeps_reserve = weight_reserve is not None
        self._methods = venue.methods
        self._on_unready: OnUnready = on_unready
        self._request_timeout = float(request_timeout)
        self._stats = Stats()
        self._hooks = Hooks(self, Session, self._stats, self._log)
        self._clock = ServerClock(wall_clock, warn=self._log.warning)
        self._encoder = RequestEncoder(credentials, recv_window, self._clock)
        self._unsettled = Unsettled(credentials, self._stats)
        ids = itertools.count(1)
        self._supervisor = Supervisor(
            functools.partial(self._make_link, transport, ids, max_in_flight),
            venue.method("session.logon") if self._logs_on else None,
            reconnect,
            self._hooks,
            self._stats,
            Parking(max_in_flight),
            self._clock,
            self._log,
            transport,
            rollover_after,
            weight_reserve,
            on_failed=self._failed,
        )
        self._listen_key = ListenKeyKeeper(
            self.request,
            keepalive,
            venue.listen_key_lifetime,
            self._clock,
            self._hooks,
            self._stats,
            self._log,
            self._secrets,
        )
        self._feed = Feed(self._clock, self._hooks, self._stats, self._log)
        self._settler = Settler(venue, self._clock, self._feed, self._unsettled, recv_window, self._ask)
        self._events: StreamSockets | Subscription | None = None
        self._own_subscriptions: OwnSubscriptions | None = None
        if venue.has_listen_key and stream_url is not None:
            is_secure = urlsplit(stream_url).scheme == "wss"
            self._events = StreamSockets(
                evolve(transport, url=stream_url, ssl=ssl if is_secure else None, proxy=proxy if is_secure else None),
                self._listen_key,
                self._feed,
                self._clock,
                reconnect,
                self._hooks,
                self._stats,
                rollover_after,
                venue.stream_path,
                self._log,
            )
            self._supervisor.watcher = self._events.promotions
        elif not venue.has_listen_key:
            self._own_subscriptions = OwnSubscriptions(self._clock, self._hooks, self._stats, self._log)
            self._events = Subscription(
                self._supervisor,
                venue,
                self._feed,
                self._clock,
                reconnect,
                self._hooks,
                self._stats,
                self._request_timeout,
                self._own_subscriptions,
                self._log,
            )

    def _make_link(self, transport: Transport, ids: Iterator[int], max_in_flight: int, supervisor: Supervisor) -> Link:
        self._clock.run_on(asyncio.get_running_loop().time)
        return Link(
            supervisor,
            transport,
            self._encoder,
            ids,
            self._clock,
            self._stats,
            self._log,
            status=self.venue.method("session.status"),
            timeout=self._request_timeout,
            max_in_flight=max_in_flight,
            secrets=self._secrets,
            explains_503=self.venue.explains_503,
            on_subscription=None if self._own_subscriptions is None else self._own_subscriptions.answered,
            outcomes=self._unsettled,
            on_response=_on_response(self._hooks, supervisor.gate.limits_told if self._keeps_reserve else None),
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
            self._submits_plainly = (
                getattr(self.submit, "__func__", None) is Session.submit and self._hooks.prepare is None
            )
            self._handoff = Handoff(self._loop, self._submit_for, lambda: self._supervisor.link)
        self._demand_loop()
        try:
            await self._supervisor.open(patience)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """End everything pending with :class:`SessionClosed` at once, then close the connection.

        Returns when no task, timer or socket is left. May be called at any time, again, and concurrently. The
        listenKey is not stopped: that would end it for every other client of the account.
        """
        self._demand_loop()
        over = "the session was closed"
        self._end_all(over, SessionClosed(f"{over}, and its user data streams with it"))
        await self._supervisor.close()
        if self._events is not None:
            await self._events.ended()

    def _failed(self, failure: Exception) -> None:
        error = SessionClosed(f"the session ended, and its user data streams with it, because {why(failure)}")
        error.__cause__ = failure
        self._end_all(f"the session ended, because {why(failure)}", error)

    def _end_all(self, why: str, error: SessionClosed) -> None:
        """End what the session holds beside its connections: what threads hand over, the streams, the listenKey."""
        if self._handoff is not None:
            self._handoff.end(why)
        if self._events is not None:
            self._events.fail(error)
        self._listen_key.release()
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
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                await self._supervisor.wait_for(state)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TimeoutError(
                f"the session is {self.state.name}: it did not become {state.name} within {timeout:g} s"
            ) from None

    def _inherited(self) -> None:
        """Called in a forked child: the session is the parent's, and no loop here is its own."""
        self._loop = _INHERITED
        self._handoff = None

    def _demand_loop(self) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:  # in a forked child also inside a coroutine that goes on there
            running = None
        if self._loop is not None and running is not self._loop:
            raise self._wrong_loop(None)

    def _wrong_loop(self, method: str | None) -> ConfigurationError:
        if self._loop is _INHERITED:
            return ConfigurationError(
                "this process was forked, and the session belongs to its parent, whose connections it shares: make a"
                " new Session here",
                method=method,
            )
        return ConfigurationError(
            "a session is used on the event loop, and so in the thread, on which it was opened; from another thread"
            " use session.submit_threadsafe(...)",
            method=method,
        )

    # Requests

    def submit(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: str | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
    ) -> asyncio.Future[Response]:
        """Write a request to the socket before returning, and return the future of its answer.

        With ``coalesce``, all but the first of a turn of the event loop are written when the turn ends.

        The future ends exactly once: with a :class:`Response`, or with an error whose ``outcome`` says what is known
        (see :mod:`binance_session.errors`). Cancelling it forgets the request; it does not unsend it.

        ``params`` values are ``str``, ``int``, ``bool``, ``Decimal``, or lists of them. ``security`` is needed for a
        method that the venue's catalogue does not know. ``credentials`` signs this request with another key.
        ``timeout`` (s) and ``on_unready`` stand in for the session's.

        Raises, with nothing sent: :class:`ConfigurationError` for bad input, :class:`NotSent` when the request cannot
        leave now and is not to wait, :class:`SessionClosed` when the session is over.
        """
        try:  # here and not in a function of its own, whose call would take a hundredth of a request
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self._loop and self._loop is not None:
            raise self._wrong_loop(method)
        spec = self._methods.get(method) if security is None and type(method) is str else None
        if spec is None:
            spec = self.venue.method(method, security)
        if timeout is not None:
            check_number("timeout", timeout, method)
        if on_unready is not None:
            check_choice("on_unready", on_unready, _ON_UNREADY)
        if credentials is not None:
            check_credentials(credentials)
            self._secrets.add_key(credentials)
            if self._exposed:
                raise insecure("url", method, by_proxy=self._by_proxy)
            if spec.name.endswith("session.logon"):
                raise ConfigurationError("the connection is logged on with the session's own key", method=method)
        if self._hooks.prepare is not None:
            params = self._hooks.prepare(method, dict(params) if params is not None else {})
            if params is None:
                raise ConfigurationError("prepare() returned None: it returns the params to send", method=method)
        link = self._supervisor.link
        if link is not None:
            return link.submit(spec, params, credentials, timeout)
        try:
            return self._submit_unready(spec, params, credentials, timeout, on_unready)
        except Exception as error:
            carrying(error, params)
            raise

    def _submit_unready(
        self,
        method: Method,
        params: Params | None,
        credentials: Credentials | None,
        timeout: float | None,
        on_unready: OnUnready | None,
    ) -> asyncio.Future[Response]:
        mode = on_unready or self._on_unready
        wait = mode == "wait" or (mode == "auto" and not method.is_trade)

        def checked() -> Params | None:
            # Written once for nothing: what is wrong with it must be said now, not when it leaves.
            self._encoder.encode(0, method, params, self._logs_on or self.authenticated, credentials)
            return None if params is None else clean(params)  # theirs may change meanwhile

        return self._supervisor.unready(
            method, params, credentials, timeout or self._request_timeout, wait=wait, checked=checked
        )

    async def request(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: str | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
    ) -> Response:
        """Submit a request and wait for its answer; see :meth:`submit` for the parameters and the errors."""
        return await self.submit(
            method, params, security=security, credentials=credentials, timeout=timeout, on_unready=on_unready
        )

    # Requests whose outcome is unknown

    async def place(self, params: Params, method: str = "order.place", within: float = 30.0) -> Fate:
        """Send an order, or another request that changes something, and return what became of it, whatever happens.

        An order without a client id is given one. ``within`` are the seconds that :meth:`settle` may take if the
        outcome is unknown. Raises :class:`ConfigurationError` for bad input, and :class:`SessionClosed` when the
        session is over; that may carry an order with an unknown outcome, to be settled in another session.
        """
        self._check_within(within)
        return await self._settler.place(self.request, method, params, within)

    async def settle(
        self, error: BinanceSessionError, within: float = 30.0, *, credentials: Credentials | None = None
    ) -> Fate:
        """Find out what became of the request that ended with ``error``, within so many seconds.

        The exchange is asked, the events of an open user data stream are heard, and the late answer to the request
        itself counts. Nothing is ever sent again. That a request did not take effect is said only when the exchange
        was asked after it could be executed any more: ``recvWindow`` + 10 s after it was sent, 16 s by default. What
        may be known of which method is in the documentation: "What is known about an order".

        The error may be of another session of the same account, or be unpickled after a restart. ``credentials`` asks
        with another key, for a request that was signed with that.

        Raises :class:`ConfigurationError` for an error that is about no request, of a request that changes nothing, or
        has no identity to ask by.
        """
        self._check_within(within)
        return await self._settler.settle(error, within, credentials)

    async def settle_order(
        self,
        method: str,
        params: Params,
        sent_at: float | None = None,
        within: float = 30.0,
        *,
        credentials: Credentials | None = None,
    ) -> Fate:
        """Find out what became of a request by what was written down of it; as :meth:`settle`.

        ``params`` are those that were sent. Without a ``timestamp`` in them ``sent_at`` tells when that was: Unix
        seconds of the exchange's clock (:meth:`now`), right within 5 s. Without a ``recvWindow`` this session's is
        taken.
        """
        self._check_within(within)
        if sent_at is not None:
            check_number("sent_at", sent_at)
        return await self._settler.settle_order(method, params, sent_at, within, credentials)

    @property
    def unsettled(self) -> tuple[BinanceSessionError, ...]:
        """The errors of requests with an unknown outcome that were not settled, oldest first; at most 1,000."""
        return self._unsettled.errors

    def _check_within(self, within: float) -> None:
        check_number("within", within)
        self._demand_loop()

    def _ask(
        self, method: Method, params: Params, timeout: float, credentials: Credentials | None
    ) -> asyncio.Future[Response]:
        """Send a query of the session's own now, or raise why not."""
        link = self._supervisor.link
        if link is not None:
            return link.submit(method, params, credentials, timeout)
        return self._submit_unready(method, params, credentials, timeout, "fail")

    def submit_threadsafe(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: str | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
    ) -> concurrent.futures.Future[Response]:
        """Submit a request from any thread; see :meth:`submit` for the parameters.

        The future ends as that of :meth:`submit` does, and with what :meth:`submit` raises. Cancelling it is possible
        until the event loop has taken the request, and then it was not sent; afterwards ``cancel()`` returns ``False``.
        Requests of one thread leave in their order. ``params`` may be changed afterwards, but for lists in it. The
        callbacks of the future are called on the event loop, in a turn of their own. Waiting for the result on the
        event loop's own thread would wait for ever, and so would waiting for an event loop that was stopped and never
        run again while the session was open.

        Raises, with nothing sent: :class:`NotSent` when the session was not opened, and :class:`SessionClosed` when its
        event loop is closed.
        """
        if self._loop is _INHERITED:
            raise self._wrong_loop(method)
        if self._handoff is None:
            raise NotSent(f"the session is not open; {method} was not sent: open it first", method=method)
        # Theirs may change before the loop comes to it. What is no mapping is refused there.
        copied = params
        if type(params) is dict:
            copied = params.copy()
        elif params is not None and isinstance(params, Mapping):
            copied = dict(params)
        options: dict[str, Any] | None = None
        if security is not None or credentials is not None or on_unready is not None:
            options = {"security": security, "credentials": credentials, "on_unready": on_unready}
        return self._handoff.give(method, copied, timeout, options)

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
        link = self._supervisor.link
        spec = self._methods.get(method) if options is None and type(method) is str else None
        if link is None or spec is None or not self._submits_plainly:
            return self.submit(method, params, timeout=timeout, **options or {})
        if timeout is not None:
            check_number("timeout", timeout, method)
        link.submit(spec, params, None, timeout, answer)
        return None

    # The connection's logon

    async def logon(self) -> SessionStatus:
        """Log the connection on, or on again; later requests carry no key.

        With ``logon=False`` this holds for the connection that there is: the next one carries keys again.
        Raises :class:`ConfigurationError` when the key cannot log on and :class:`ApiError` when the exchange refuses.
        """
        check_can_log_on(self.venue, self._credentials)
        return SessionStatus.from_result((await self.request("session.logon")).result)

    async def logout(self) -> SessionStatus:
        """Log the connection out; later requests carry key and signature again.

        That holds for the connection that there is: a session that logs on does so on the next one.
        """
        return SessionStatus.from_result((await self.request("session.logout")).result)

    async def status(self) -> SessionStatus:
        """Ask the exchange who is logged on on this connection."""
        return SessionStatus.from_result((await self.request("session.status")).result)

    # The user data stream

    def user_data_stream(
        self,
        *,
        buffer: int = 10_000,
        on_full: OnFull = "fail",
        callback: Callable[[Event], object] | None = None,
        stop_on_exit: bool = False,
    ) -> UserDataStream:
        """Return the account's events: ``async with`` opens the stream, ``async for`` reads it.

        Futures: the listenKey is started and kept alive while a stream is open, and its socket replaced when it is
        lost, when the key changes and ahead of the exchange's 24 hours. Spot: the session subscribes on each of its
        connections. Several streams share one socket, and each gets all events. When something may have been
        missed, an event with ``is_gap`` says so before the next one (see :class:`UserDataStream`).

        ``buffer``
            How many events may wait to be read. 0: none is kept, for who uses the hook ``on_event``. They may take
            about 4 KiB of memory each, or 32 MiB together if that is more; whichever bound is reached first counts.
        ``on_full``
            What happens when one more comes. ``"fail"``: the iteration ends with :class:`EventsOverflow`. ``"pause"``:
            nothing is read from the network, for no stream of the session, until half of them are read. The
            exchange may in the end cut a connection that is not read, which is a gap. Not on Spot, where answers
            come the same way.
        ``callback``
            Called with each event inside the reception of its bytes; nothing is buffered, and the iteration brings
            nothing until the stream ends. A plain function; what it raises is logged and counted in
            ``stats.hook_errors``.
        ``stop_on_exit``
            Send ``userDataStream.stop`` when the last stream of the session is left. It ends the key **for every
            client of the account**; without it the key is no longer pinged, and lapses by itself.

        On Spot the exchange takes one subscription for each account and connection, so it refuses this one to a bot
        that subscribed by itself.

        Raises :class:`ConfigurationError` for what cannot be.
        """
        if self._events is None:
            raise ConfigurationError(
                "the session has no stream_url: you gave url= but not stream_url=. Give both (of a simulator:"
                " simulator.stream_url)"
            )
        return UserDataStream(
            self._events,
            self._stats,
            buffer=buffer,
            on_full=on_full,
            callback=callback,
            stop_on_exit=stop_on_exit,
            demand_loop=self._demand_loop,
            log=self._log,
        )

    async def start_user_data_stream(self) -> ListenKey:
        """Start the account's listenKey, or extend the active one, and keep it alive by the policy from now on.

        Raises :class:`ConfigurationError` where the venue has no listenKeys (Spot).
        """
        self._demand_listen_key()
        return await self._listen_key.start()

    async def ping_user_data_stream(self) -> ListenKey:
        """Extend the listenKey to 60 minutes from now; the policy counts from this ping.

        Raises :class:`ListenKeyNotFound` when it has lapsed; the session then starts a new one if it owned it.
        """
        self._demand_listen_key()
        return await self._listen_key.ping()

    async def stop_user_data_stream(self) -> None:
        """End the listenKey, **for every client of the account**, and stop pinging."""
        self._demand_listen_key()
        await self._listen_key.stop()

    def _demand_listen_key(self) -> None:
        self._demand_loop()
        if not self.venue.has_listen_key:
            raise ConfigurationError(
                f"{self.venue.name} has no listenKeys: session.user_data_stream() brings its events without one"
            )

    # Attributes

    @property
    def state(self) -> SessionState:
        """What the session is doing."""
        return self._supervisor.state

    @property
    def authenticated(self) -> bool:
        """Whether the connection is logged on, as far as the exchange's answers tell."""
        return self._supervisor.authenticated

    @property
    def listen_key(self) -> ListenKey | None:
        """The listenKey that the session keeps alive, if it owns one."""
        return self._listen_key.key

    @property
    def in_flight(self) -> int:
        """How many requests were written and have not ended; takes time in proportion to them."""
        return self._supervisor.in_flight

    @property
    def clock_offset(self) -> float:
        """The exchange's clock minus the local one, in seconds; 0.0 until an answer told."""
        return self._clock.offset

    def now(self) -> float:
        """Return the exchange's time in Unix seconds, as well as the session knows it."""
        return self._clock.now()

    @property
    def stats(self) -> Stats:
        """A copy of the session's counters."""
        return evolve(self._stats, event_backlog=max((reader.backlog for reader in self._feed.readers), default=0))

    # Hooks. Plain methods, called on the event loop; an exception is logged and counted in stats.hook_errors.
    # Those on the way of an answer run before the caller gets it, so what they take is latency. The reader of
    # their signatures is the integrator: parameters unused here are the point.

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        """Called after each change of state; ``cause`` is what lost or ended it, ``None`` if nothing went wrong."""

    def on_response(self, response: Response) -> None:
        """Called with each answer, error answers included, before its future ends."""

    def on_event(self, event: Event) -> None:
        """Called with each event, gaps included, before a user data stream gets it.

        Events come while a user data stream is open; ``serverShutdown``, and on Spot what you subscribed to
        yourself, always. Such a subscription ends with its connection: that is a gap too.
        """

    def on_unmatched(self, message: object) -> None:
        """Called with each message that is nobody's: decoded JSON, or the text or bytes that are none."""

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        """Called after each ping of the keepalive policy, successful or not."""

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        """Called when the session gets, changes or gives up its listenKey; not when it is merely extended."""

    def on_connected(self, first: bool) -> None:
        """Called when a connection comes into use, before it takes the first request; ``first``: of the session.

        That is after ``open()``, after each reconnect, and in each rollover before the old connection is given up.
        What belongs to a connection (a subscription of your own, say) is made again from here: ``submit()`` writes to
        the new connection. The state is READY. In a rollover the old connection goes on bringing its events for two
        seconds, and until what is submitted here is answered; what both bring comes twice.
        """

    def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
        """Called before each new attempt to connect, with the seconds until it starts and what made it needed.

        Those of ``open(patience=...)`` too: ``attempt`` 2 is the first that follows on one that failed.
        """

    def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
        """Called with the ``rateLimits`` of each answer that carries some."""

    def prepare(self, method: str, params: Params) -> Params:
        """Return the params to send instead of ``params``.

        An exception here reaches the caller of ``submit()`` or ``request()`` as it is, and nothing is sent.
        """
        return params


def _on_response(
    hooks: Hooks, limits_told: Callable[[tuple[RateLimit, ...]], None] | None
) -> Callable[[Response], None] | None:
    """Join what sees every answer; ``None`` when nothing does."""
    on_response = hooks.on_response
    on_rate_limit = hooks.on_rate_limit
    if limits_told is None and on_rate_limit is None:
        return on_response

    def all_of_them(response: Response) -> None:
        if on_response is not None:
            on_response(response)
        limits = response.rate_limits
        if limits_told is not None:
            limits_told(limits)  # also when there are none
        if limits and on_rate_limit is not None:
            on_rate_limit(limits)

    return all_of_them
