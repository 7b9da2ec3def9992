"""The options of a session, checked once, and what they say of one connection."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Callable, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from binance_session.checks import (
    check_choice,
    check_clock,
    check_count,
    check_credentials,
    check_headers,
    check_keepalive,
    check_name,
    check_number,
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
from binance_session.credentials import Credentials
from binance_session.errors import ConfigurationError
from binance_session.keepalive import KeepalivePolicy
from binance_session.masking import kind_of
from binance_session.reconnect import ReconnectPolicy
from binance_session.recorder import FlightRecorder
from binance_session.venues import Method, Venue

__all__ = ["ON_UNREADY", "ConnectionOptions", "Logon", "OnUnready", "SessionOptions"]

OnUnready = Literal["auto", "wait", "fail"]
Logon = Literal["auto", True, False]

ON_UNREADY: Final = ("auto", "wait", "fail")
_SMALLEST_MAX_SIZE: Final = 64 * 2**10


@frozen
class ConnectionOptions:
    """How to reach the exchange. Times in seconds, sizes in bytes; ``None`` switches a timeout off."""

    #: may hold a listenKey or a password
    url: str = field(repr=False)
    ssl: ssl_module.SSLContext | None = None
    #: may hold a password
    proxy: str | Literal[True] | None = field(default=True, repr=False)
    open_timeout: float | None = 10.0
    close_timeout: float | None = 5.0
    ping_interval: float | None = 10.0
    ping_timeout: float | None = 10.0
    max_size: int | None = 32 * 2**20
    compression: str | None = None
    #: how often the server pings, which tells of a dead connection where ``ping_interval`` is ``None``
    server_ping_interval: float | None = None
    #: whether what is written in one turn of the event loop leaves together, all but the first
    coalesce: bool = False
    #: the local address to connect from, and the only kind of address to use
    local_addr: str | None = None
    family: Literal["ipv4", "ipv6"] | None = None
    #: more headers for the handshake; may hold a token
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: what the names of tasks begin with
    name: str = "binance_session"


@frozen(repr=False, eq=False)
class SessionOptions:
    """The parameters of :class:`~binance_session.Session`. Raises as that does.

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
        above all over TLS; a program that keeps the loop busy after submitting delays all but the first.
    ``rollover_after`` (82,800: 23 hours)
        Seconds (or up to a tenth less, so that a fleet does not move together) after which the session replaces a
        connection, at most the exchange's 24 hours. The next one is open and logged on before the first is closed, and
        the first is closed when its last answer has come. ``serverShutdown`` has the same effect. ``None``: never.
    ``standby`` (``False``)
        Whether a second connection stands open, and logged on, beside the one in use. When that is lost, the next
        request leaves on the standby in the same turn of the event loop: the state stays READY, and ``on_failover`` is
        called. What was in flight on the lost one ends as ever, with an unknown outcome. The standby is opened within
        5 s after the first READY, replaced when it is half as old as ``rollover_after`` allows, and opened anew after
        each failover; each time that costs a handshake (request weight 5, on Spot 2; PROTOCOL.md §1.3) and a logon (2).
    ``weight_reserve`` (``None``)
        The share (such as 0.1) of the address's request weight that is kept for what must not wait: cancels, pings, the
        logon. What else would use it waits for the next minute, or is refused, as after a 429. ``None``: no reserve.
        Where answers do not tell the weight (``returnRateLimits=false``), the session counts what it sends, and asks
        ``session.status`` for the address's count once in a while.
    ``wall_clock`` (``time.time``)
        Unix time in seconds; a simulation passes its own.
    ``timings`` (``False``)
        Whether each :class:`Response` has a ``timing``, and :meth:`Session.latency` something to tell. It costs each
        request some microseconds.
    ``recorder`` (``None``)
        A :class:`FlightRecorder` that keeps the last frames, changes of state and outcomes.
    ``name`` (``None``)
        What log records and the names of tasks call the session. ``None``: the venue and a number.
    """

    venue: Venue
    credentials: Credentials | None
    logon: Logon
    keepalive: KeepalivePolicy
    reconnect: ReconnectPolicy
    request_timeout: float
    recv_window: int | None
    on_unready: OnUnready
    max_in_flight: int
    url: str | None
    stream_url: str | None
    ssl: ssl_module.SSLContext | None
    proxy: str | Literal[True] | None
    open_timeout: float | None
    close_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    max_size: int
    compression: Literal["deflate"] | None
    coalesce: bool
    rollover_after: float | None
    weight_reserve: float | None
    wall_clock: Callable[[], float]
    local_addr: str | None
    family: Literal["ipv4", "ipv6"] | None
    headers: Mapping[str, str] | None
    name: str | None
    standby: bool
    timings: bool
    recorder: FlightRecorder | None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.venue, Venue):
            raise ConfigurationError(f"venue must be a Venue such as COIN_M, not {kind_of(self.venue)}")
        check_credentials(self.credentials)
        decide_logon(self.logon, self.venue, self.credentials)
        self._check_numbers()
        check_choice("compression", self.compression, (None, "deflate"))
        check_choice("coalesce", self.coalesce, (False, True))
        check_choice("standby", self.standby, (False, True))
        check_choice("timings", self.timings, (False, True))
        if not isinstance(self.recorder, FlightRecorder | None):
            raise ConfigurationError(f"recorder must be a FlightRecorder, not {kind_of(self.recorder)}")
        for option, policy in (("keepalive", self.keepalive), ("reconnect", self.reconnect)):
            check_policy(option, policy)
        check_proxy(self.proxy)
        check_tls(self.ssl)
        check_keepalive(self.keepalive, self.venue)
        check_rollover(self.rollover_after)
        check_way_out(self.local_addr, self.family)
        check_headers(self.headers)
        check_name(self.name)
        check_clock(self.wall_clock)
        self._check_urls()

    def _check_numbers(self) -> None:
        check_number("request_timeout", self.request_timeout)
        for option in ("open_timeout", "close_timeout", "ping_interval", "ping_timeout", "rollover_after"):
            seconds = getattr(self, option)
            if seconds is not None:
                check_number(option, seconds)
        check_recv_window(self.recv_window, self.venue)
        check_choice("on_unready", self.on_unready, ON_UNREADY)
        check_count("max_in_flight", self.max_in_flight, least=1)
        check_count("max_size", self.max_size, least=_SMALLEST_MAX_SIZE)
        if self.weight_reserve is not None:
            check_number("weight_reserve", self.weight_reserve, unit="")
            if self.weight_reserve >= 1:
                raise ConfigurationError(f"weight_reserve must be a share below 1, not {self.weight_reserve!r}")

    def _check_urls(self) -> None:
        check_url("url", self._url, self.ssl)
        by_proxy = isinstance(self.proxy, str)
        if self.credentials is not None and self.is_exposed:
            raise insecure("url", by_proxy=by_proxy)
        stream_url = self._stream_url
        if stream_url is not None:
            check_url("stream_url", stream_url, None)
            if not self.venue.has_listen_key:
                raise ConfigurationError(
                    f"{self.venue.name} has no stream_url: its events arrive on the connection to url. Leave"
                    " stream_url out"
                )
            if is_exposed(stream_url, self.proxy):  # a listenKey goes into its path
                raise insecure("stream_url", by_proxy=by_proxy)

    @property
    def _url(self) -> str:
        return self.venue.url if self.url is None else self.url

    @property
    def _stream_url(self) -> str | None:
        if self.stream_url is None and self.url is None:  # a simulator's user must not send a listenKey to Binance
            return self.venue.stream_url
        return self.stream_url

    @property
    def logs_on(self) -> bool:
        """Whether the session logs its connections on."""
        return decide_logon(self.logon, self.venue, self.credentials)

    @property
    def is_exposed(self) -> bool:
        """Whether what goes to ``url`` could be read on its way."""
        return is_exposed(self._url, self.proxy)

    def check_other_key(self, method: Method, credentials: Credentials) -> None:
        """Raise :class:`ConfigurationError` unless a request may be signed with these credentials."""
        check_credentials(credentials)
        if self.is_exposed:
            raise insecure("url", method.name, by_proxy=isinstance(self.proxy, str))
        if method.name.endswith("session.logon"):
            raise ConfigurationError("the connection is logged on with the session's own key", method=method.name)

    def connection(self, name: str) -> ConnectionOptions:
        """Return how to connect to the API; ``name`` is the session's."""
        is_plain = urlsplit(self._url).scheme == "ws"
        return ConnectionOptions(
            self._url,
            self.ssl,
            # a plain connection to this machine must not take its way through another one
            None if self.proxy is True and is_plain else self.proxy,
            self.open_timeout,
            self.close_timeout,
            self.ping_interval,
            self.ping_timeout,
            self.max_size,
            self.compression,
            self.venue.server_ping_interval,
            self.coalesce,
            self.local_addr,
            self.family,
            tuple((self.headers or {}).items()),
            name,
        )

    def stream(self, name: str) -> ConnectionOptions | None:
        """Return how to connect to the stream of events; ``None`` where there is none."""
        url = self._stream_url
        if url is None:
            return None
        is_secure = urlsplit(url).scheme == "wss"
        return evolve(
            self.connection(name),
            url=url,
            ssl=self.ssl if is_secure else None,
            proxy=self.proxy if is_secure else None,
        )
