"""One connection's life: open, log on, serve, drain, end.

A link owns its WebSocket and its router, so that what it lost, and nothing else, ends when it ends. It decides
nothing: when to open the next one, and what a loss means for the session, is the supervisor's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, Protocol, overload

from binance_session.clock import ServerClock
from binance_session.config import ConnectionOptions
from binance_session.connections.signing import Signed, Signing
from binance_session.credentials import Credentials
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    InvalidTimestamp,
    NotSent,
    RateLimited,
    SessionRevoked,
)
from binance_session.jsontext import MalformedMessage, Unreadable
from binance_session.latency import Phases
from binance_session.log import SessionLog
from binance_session.masking import Secrets
from binance_session.params import Params
from binance_session.requests.answer import Answer, AnyFuture, all_ended
from binance_session.requests.decoding import Envelope, decode, event_of, memory_of
from binance_session.requests.encoding import RequestEncoder, Unsigned
from binance_session.requests.refusals import Refusals
from binance_session.requests.router import Router
from binance_session.requests.sent import carrying, params_of
from binance_session.responses import Event, Response, SessionStatus
from binance_session.state import LINK_TABLE, LinkEvent, LinkState, Machine
from binance_session.stats import Stats
from binance_session.venues import Auth, Method, Venue
from binance_session.websocket.connection import Connection
from binance_session.websocket.dialing import dial

__all__ = ["Link", "LinkOwner", "LinkWatcher"]

_OPEN: Final = LinkState.OPEN
_NOTHING: Final = Auth.NOTHING
#: "WebSocket session not authenticated", and "Invalid API-key, IP, or permissions for action" (PROTOCOL.md §9)
_NOT_AUTHENTICATED: Final = -1193
_KEY_REFUSED: Final = -2015
#: bytes of a message in which its first fields stand
_BEGINNING: Final = 200


class LinkOwner(Protocol):
    """What a link calls, inside ``data_received``: quick, and raising nothing."""

    def link_ended(self, link: Link, cause: ConnectionLost) -> None:
        """Called when the connection is over, after everything in flight on it has ended."""

    def logon_revoked(self, link: Link) -> None:
        """Called when the exchange no longer takes this connection for logged on."""

    def rate_limited(self, error: RateLimited) -> None:
        """Called when the exchange takes no requests for a while."""

    def may_send(self) -> bool:
        """Tell whether anything may be sent now."""
        ...

    def event_received(self, link: Link, event: Event) -> None:
        """Called with each event."""

    def event_unreadable(self, link: Link) -> None:
        """Called when an event came that cannot be decoded."""

    def message_unmatched(self, data: bytes | bytearray, *, is_text: bool) -> None:
        """Called with a message that is no event and answers no request that is in flight."""


class LinkWatcher(Protocol):
    """What follows the events of the API connection from one link to the next. Nothing here may raise."""

    def link_ended(self, link: Link) -> None:
        """Called when a link is over."""

    def logon_revoked(self, link: Link) -> None:
        """Called when a link is logged on no more."""

    def event_received(self, link: Link, event: Event) -> bool:
        """Called with each event; returns whether it was wanted."""
        return False

    def event_unreadable(self, link: Link) -> None:
        """Called when an event came that cannot be decoded."""

    async def released(self, link: Link) -> None:
        """Called when a link was replaced; returns when it is not needed any more."""


class Link:
    """One connection to the exchange, and what is in flight on it."""

    __slots__ = (
        "_asked",
        "_bound",
        "_clock",
        "_connection",
        "_encoder",
        "_ids",
        "_log",
        "_lost",
        "_machine",
        "_on_subscription",
        "_options",
        "_owner",
        "_refusals",
        "_secrets",
        "_sent",
        "_signing",
        "_stats",
        "_status",
        "authenticated",
        "is_retiring",
        "opened_at",
        "phases",
        "router",
    )

    def __init__(
        self,
        owner: LinkOwner,
        options: ConnectionOptions,
        encoder: RequestEncoder,
        ids: Iterator[int],
        clock: ServerClock,
        stats: Stats,
        log: SessionLog,
        *,
        venue: Venue,
        timeout: float,
        max_in_flight: int,
        secrets: Secrets,
        on_subscription: Callable[[Link, Method, Response], None] | None = None,
        make_router: Callable[..., Router] = Router,
    ) -> None:
        """Prepare a connection by ``options``; :meth:`open` opens it.

        ``ids`` numbers the requests; ``timeout`` (s) and ``max_in_flight`` bound them, ``secrets`` are masked in what
        the exchange says.
        """
        self._secrets = secrets
        self._refusals = Refusals(secrets, clock, explains_503=venue.explains_503)
        self._on_subscription = on_subscription
        self._owner = owner
        self._options = options
        self._encoder = encoder
        self._ids = ids
        self._clock = clock
        self._stats = stats
        self._log = log
        self._bound = max_in_flight
        self._status = venue.method("session.status")
        self._asked: asyncio.Future[Response] | None = None
        # when each session.* request left, until it is answered
        self._sent: dict[int, float] = {}
        self._signing = Signing(self._write_signed, lambda: self.is_open, max_in_flight, log.task("signer"))
        self._machine = Machine(LINK_TABLE, LinkState.OPENING)
        self._connection: Connection | None = None
        self._lost: ConnectionLost | None = None
        #: whether the exchange holds this connection for logged on, as far as its answers tell
        self.authenticated = False
        #: whether the exchange announced that it will end this connection
        self.is_retiring = False
        #: how long it took to be made
        self.phases = Phases()
        #: the loop time at which it was opened
        self.opened_at = 0.0
        self.router = make_router(
            asyncio.get_running_loop(),
            timeout,
            stats,
            self._refusals.error,
            on_refused=self._refused,
            on_session_answer=self._session_answered,
        )

    @property
    def is_open(self) -> bool:
        """Whether requests may be written."""
        return self._machine.state is _OPEN

    @property
    def cause(self) -> ConnectionLost | None:
        """What ended the connection; ``None`` while it has not ended."""
        return self._lost

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of the connection: :meth:`close` would have nothing to do."""
        return self._connection is not None and self._connection.is_gone

    @property
    def proven_at(self) -> float:
        """Return the loop time up to which all that the exchange sent has certainly arrived."""
        return 0.0 if self._connection is None else self._connection.proven_at

    @property
    def silent_for(self) -> float:
        """Return the seconds since a frame is known to have come; see :class:`Liveness`."""
        return 0.0 if self._connection is None else self._connection.liveness.silent_for

    @property
    def ping_rtt(self) -> float | None:
        """Return the round trip of the last ping, in seconds."""
        return None if self._connection is None else self._connection.liveness.round_trip

    async def open(self) -> None:
        """Connect; raise :class:`ConnectError` if that cannot be had."""
        try:
            connection = await dial(self._options, self, self.phases)
        except ConnectError as error:
            error.args = (self._secrets.clean(str(error)),)  # it may say what the other end said
            raise
        self._connection = connection
        if self._lost is not None:
            raise ConnectError(f"the connection ended at once: {self._lost}") from self._lost
        self._machine.advance(LinkEvent.OPENED)
        self.opened_at = asyncio.get_running_loop().time()

    # Requests

    @overload
    def submit(
        self,
        method: Method,
        params: Params | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        future: asyncio.Future[Response] | None = None,
    ) -> asyncio.Future[Response]: ...

    @overload
    def submit(
        self,
        method: Method,
        params: Params | None,
        credentials: Credentials | None,
        timeout: float | None,
        future: Answer,
    ) -> Answer: ...

    def submit(
        self,
        method: Method,
        params: Params | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        future: AnyFuture | None = None,
    ) -> AnyFuture:
        """Write a request and return its future (``future``, if one waits already).

        Raises :class:`NotSent` when the connection cannot take it and :class:`ConfigurationError` when the
        request cannot be written; in both cases nothing was sent.
        """
        authenticated = self.authenticated
        request_id = next(self._ids)
        try:
            data = self._encoder.encode(request_id, method, params, authenticated, credentials)
        except ConfigurationError as error:
            error.request_id, error.method = request_id, method.name
            carrying(error, params)
            raise
        except Unsigned as unsigned:
            vouched = authenticated and credentials is None
            return self._signing.add(method, unsigned, timeout or self.router.timeout, vouched, future)
        # Looked at after the encoding, which may run somebody's own credentials.
        connection = self._connection
        if connection is None or self._machine.state is not _OPEN or not connection.writable:
            refusal = NotSent("the connection is going away; the request was not sent", method=method.name)
            raise carrying(refusal, params_of(data))
        if future is not None and future.done():
            return future
        vouched = authenticated and credentials is None and method.auth is not _NOTHING
        future = self.router.register(request_id, method, timeout, vouched, future, self._bound, data)
        if method.is_about_session:
            self._sent[request_id] = self._clock.monotonic()
            if method.name.endswith("session.logout"):
                # At once: what is written after it is read after it, and must prove itself again.
                self.authenticated = False
        connection.write(data)
        return future

    def _write_signed(self, request: Signed) -> None:
        """Write a request whose signature has come; raises as :meth:`submit`."""
        method, connection = request.method, self._connection
        if connection is None or self._machine.state is not _OPEN or not connection.writable:
            raise NotSent("the connection is going away; the request was not sent", method=method.name)
        request_id = next(self._ids)
        data = self._encoder.encode_signed(request_id, method, request.params)
        left = request.deadline - asyncio.get_running_loop().time()
        self.router.register(request_id, method, left, request.vouched, request.future, self._bound, data)
        if method.is_about_session:
            self._sent[request_id] = self._clock.monotonic()
        connection.write(data)

    def _session_answered(self, method: Method, response: Response) -> None:
        """Learn from a ``session.*`` answer who is logged on, and what time it is at the exchange."""
        sent = self._sent.pop(response.request_id, None)
        if self._machine.state is LinkState.ENDED:
            return
        if method.subscribes:
            if self._on_subscription is not None:
                self._on_subscription(self, method, response)
            return
        status = SessionStatus.from_result(response.result)
        if sent is not None:
            self._learn(status.server_time, sent, self._clock.monotonic())
        name = method.name.rpartition("/")[2]
        if name == "session.logon":
            self.authenticated = True
        elif name == "session.status" and not status.authenticated:
            self._revoke()

    def _learn(self, server_time: int | None, sent: float, received: float) -> None:
        """Take in the exchange's time, and ask once more for one that is hard to believe."""
        if self._clock.learn(server_time, sent, received):
            asyncio.get_running_loop().call_soon(self.ask_status)

    def _refused(self, error: ApiError, vouched: bool) -> None:
        """See what an error says about the connection, beyond the request that it answers."""
        if isinstance(error, RateLimited):
            if error.server_time is not None:  # it left some time within the timeout
                now = self._clock.monotonic()
                self._learn(int(error.server_time * 1000), now - self.router.timeout, now)
            self._owner.rate_limited(error)
        elif vouched and error.code == _NOT_AUTHENTICATED:
            self._revoke()
        elif isinstance(error, InvalidTimestamp) or (vouched and error.code == _KEY_REFUSED):
            # The answer tells the exchange's time, and whether the logon is gone or only this permission missing.
            self.ask_status()

    def ask_status(self) -> None:
        """Ask ``session.status`` for the session's own sake, unless that is under way."""
        if not self._owner.may_send() or (self._asked is not None and not self._asked.done()):
            return
        try:
            self._asked = self.submit(self._status)
        except NotSent:
            return
        self._asked.add_done_callback(lambda asked: asked.cancelled() or asked.exception())

    def ask_limits(self) -> asyncio.Future[Response]:
        """Ask for the request weight that is used, of which other answers say nothing; cheap, and of no other use."""
        return self.submit(self._status, {"returnRateLimits": True})

    async def status_told(self) -> None:
        """Return when the answer to :meth:`ask_status`, if it is under way, has come or will not come."""
        while self._asked is not None and not self._asked.done():  # it may be asked again at once
            await asyncio.wait([self._asked])

    def hold(self) -> None:
        """Keep the requests written from now on until :meth:`release`, in this same turn of the loop."""
        if self._connection is not None:
            self._connection.hold()

    def release(self) -> None:
        """Write those requests to the socket, all at once."""
        if self._connection is not None:
            self._connection.release()

    # What the connection receives

    def message_received(self, data: bytes | bytearray) -> None:
        """Hand an answer to its future, anything else to its owner."""
        try:
            envelope = decode(data)
        except MalformedMessage as error:
            self._stats.malformed += 1
            self._owner.message_unmatched(data, is_text=True)
            if isinstance(error, Unreadable) and b'"event"' in data[:_BEGINNING]:
                self._owner.event_unreadable(self)
            return
        try:
            if envelope.id is None:
                self._unasked(envelope, data)
            elif not self.router.resolve(envelope):
                self._owner.message_unmatched(data, is_text=True)
        except Exception:  # would end the connection, and with it every other request
            self._log.exception("a message could not be handled: this is a defect of binance_session")

    def _unasked(self, envelope: Envelope, data: bytes | bytearray) -> None:
        event = event_of(envelope.event, envelope.subscription, memory_of(data))
        if event is not None:
            self._owner.event_received(self, event)
            return
        if envelope.status == 401 and self.authenticated:
            self._revoke()
        elif envelope.status in (418, 429):
            limited = self._refusals.unasked(envelope)
            if isinstance(limited, RateLimited):
                self._owner.rate_limited(limited)
        self._owner.message_unmatched(data, is_text=True)

    def _revoke(self) -> None:
        """End what this connection's logon vouched for: its key is not valid any more (PROTOCOL.md §2, §4)."""
        if not self.authenticated:
            return
        self.authenticated = False
        self.router.end_all(
            lambda request_id, method: SessionRevoked(
                f"the exchange revoked this connection's logon while {method.name} (request {request_id}) was in"
                f" flight, and did not say which requests that ended; {method.if_unknown}",
                request_id=request_id,
                method=method.name,
            ),
            vouched_only=True,
        )
        self._owner.logon_revoked(self)

    def binary_received(self, data: bytes | bytearray) -> None:
        """Count a binary message and hand it to the owner: this API speaks text."""
        self._stats.malformed += 1
        self._owner.message_unmatched(data, is_text=False)

    def connection_ending(self, reason: str) -> None:
        """End everything in flight: no answer can come any more."""
        if self._machine.state is LinkState.ENDED:
            return
        self._machine.advance(LinkEvent.END)
        self.authenticated = False
        try:
            reason = self._secrets.clean(reason)  # who closes may say which key was wrong
        except Exception:  # the end must be reported, whatever is wrong with its reason
            self._log.exception("a reason could not be read: this is a defect of binance_session")
            reason = "the exchange ended it"
        self._lost = ConnectionLost(f"the connection ended: {reason}", outcome=None)
        self._signing.end(f"the connection ended ({reason})")
        try:
            self._stats.lost += self.router.end_all(
                lambda request_id, method: ConnectionLost(
                    f"the connection ended before {method.name} (request {request_id}) was answered ({reason});"
                    f" {method.if_unknown}",
                    request_id=request_id,
                    method=method.name,
                )
            )
            if self._connection is not None:
                self._connection.hang_up()
        finally:  # whatever may have raised: nothing more is to be written here
            self._owner.link_ended(self, self._lost)

    def answers(self) -> int:
        """Return how many answers have come on this connection: while they come, what is written arrives."""
        return self.router.answers

    # The end

    def end_requests(self, error: Callable[[int, Method], BinanceSessionError], *, quietly: bool) -> int:
        """Take no more requests, end those in flight with ``error(request_id, method)`` each; return how many."""
        self._machine.advance(LinkEvent.DRAIN)
        self.authenticated = False
        self._signing.end("the connection is closed", quietly=quietly)
        return self.router.end_all(error, quietly=quietly)

    def check(self) -> None:
        """Ping now, and end the connection if the answer does not come very soon."""
        if self._connection is not None:
            self._connection.check()

    async def confirm(self) -> bool:
        """Return whether the connection answers a ping now."""
        timeout = self._options.open_timeout
        return self._connection is not None and await self._connection.confirm(10.0 if timeout is None else timeout)

    async def drained(self) -> None:
        """Take no more requests; return when nothing is in flight any more."""
        self._machine.advance(LinkEvent.DRAIN)
        await self.answered()

    async def answered(self) -> None:
        """Return when all that is in flight now has ended."""
        await all_ended([*self.router.futures(), *self._signing.futures()])

    async def close(self) -> None:
        """Close the connection with a handshake, or without one after ``close_timeout``; return when it is gone."""
        self._signing.end("the connection was closed")
        if self._connection is not None:
            await self._connection.close_surely(self._options.close_timeout)
        await self._signing.ended()
