"""The exchange without a network: a connection's text in, actions for its socket out.

:class:`Exchange` knows no asyncio. Whoever owns the sockets tells it of connections, texts, pongs and ends, and gives
each connection a function that performs :mod:`~binance_session.simulator.wire` actions.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import parse_qs, urlsplit

from attrs import define, field, frozen

from binance_session.errors import ConfigurationError
from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock
from binance_session.simulator.connections import Connection
from binance_session.simulator.faults import FAULTS, Fault, Faults, Handshake, Injected, Occasion, say
from binance_session.simulator.keys import ApiKeyRecord, api_key_record
from binance_session.simulator.limits import Limits
from binance_session.simulator.market import Market
from binance_session.simulator.methods.table import methods_of
from binance_session.simulator.product import Product
from binance_session.simulator.readings import Readings
from binance_session.simulator.refusals import (
    Refusal,
    bad_signature,
    key_refused,
    mandatory,
    unknown_operation,
)
from binance_session.simulator.rules import (
    AUTH_PARAMS,
    Request,
    Unanswerable,
    check_params,
    check_timestamp,
    decode,
    is_request_id,
    read_request,
    signed_text,
)
from binance_session.simulator.state import Call, State
from binance_session.simulator.wire import Action, Close, Drop
from binance_session.venues import Auth, Method, Security, Venue

if TYPE_CHECKING:
    from binance_session.simulator.keys import PublicKey

__all__ = ["Exchange", "Executed", "Received"]

_PROOF: Final[dict[Auth, frozenset[str]]] = {
    Auth.NOTHING: frozenset(),
    Auth.KEY: frozenset({"apiKey"}),
    Auth.SIGNED: AUTH_PARAMS,
    Auth.ALWAYS_SIGNED: AUTH_PARAMS,
    Auth.SESSION: frozenset(),
}
_API_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
#: Ping and pong frames a second that a client may send (PROTOCOL.md §1.3); Spot names no limit.
_CONTROL_FRAMES: Final = 5
#: Seconds that a client has to answer the closing handshake; undocumented.
_CLOSE_TIMEOUT: Final = 10.0


@frozen
class Received:
    """A text message that a client sent: when (Unix seconds), over which connection, the text and the decoded object.

    ``message`` is ``None`` if the text is no JSON object. Texts hold keys and signatures: they are not in the ``repr``.
    """

    time: float
    connection: Connection
    text: str = field(repr=False)
    message: dict[str, Any] | None = field(repr=False)

    @property
    def method(self) -> Any:
        """The ``method`` of the request, or ``None``."""
        return None if self.message is None else self.message.get("method")

    @property
    def params(self) -> Mapping[str, Any]:
        """The ``params`` of the request; empty if it has none."""
        params = {} if self.message is None else self.message.get("params")
        return params if isinstance(params, dict) else {}


@frozen
class Executed:
    """A request that took effect, whatever its client was told."""

    id: int | str | None
    connection: Connection
    method: str
    params: Mapping[str, Any] = field(repr=False)


class Exchange:
    """One of Binance's WebSocket APIs, as strict as its documents.

    ``record`` bounds how many entries ``received`` and ``executed`` keep (the newest); ``None`` keeps all.
    ``enforce_limits=False`` counts weights and orders but refuses nothing. What the documents leave open is in
    ``readings``.

    Attributes: ``received`` (every text message, in order), ``executed`` (every request that took effect),
    ``faults``, ``account`` (shared by all keys unless they bring their own), ``market``, ``limits``.
    """

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        *,
        readings: Readings | None = None,
        enforce_limits: bool = True,
        record: int | None = None,
    ) -> None:
        readings = Readings() if readings is None else readings
        product = Product.of(venue)
        self.state = State(
            venue,
            product,
            readings,
            clock,
            Account(),
            Market(product),
            Limits(venue, enforce=enforce_limits, ban_after=readings.ban_after),
        )
        self.faults = Faults()
        self.received: MutableSequence[Received] = [] if record is None else deque(maxlen=record)
        self.executed: MutableSequence[Executed] = [] if record is None else deque(maxlen=record)
        self._methods = methods_of(product)
        self._api_path = urlsplit(venue.url).path
        self._stream_path = None if venue.stream_url is None else urlsplit(venue.stream_url).path + "/ws"
        self._connections_so_far = 0

    @property
    def venue(self) -> Venue:
        """The venue that this exchange plays."""
        return self.state.venue

    @property
    def account(self) -> Account:
        """The account of every key that was given no other."""
        return self.state.account

    @property
    def market(self) -> Market:
        """The symbols and their prices."""
        return self.state.market

    @property
    def limits(self) -> Limits:
        """The counters of weights and orders."""
        return self.state.limits

    @property
    def connections(self) -> list[Connection]:
        """The live connections, oldest first."""
        return list(self.state.connections.values())

    # -- keys

    def add_key(
        self,
        api_key: str,
        *,
        public_key: PublicKey | None = None,
        secret: str | None = None,
        permissions: Iterable[str] | None = None,
        account: Account | None = None,
        addresses: Iterable[str] | None = None,
    ) -> ApiKeyRecord:
        """Register an API key, or replace it; see :func:`~binance_session.simulator.keys.api_key_record`."""
        record = api_key_record(
            api_key,
            self.account if account is None else account,
            public_key=public_key,
            secret=secret,
            permissions=permissions,
            addresses=addresses,
        )
        self.state.keys[api_key] = record
        return record

    def revoke(self, api_key: str) -> None:
        """Make a key invalid: connections logged on with it get the 401 with ``"id": null`` at their next request."""
        self.state.keys[api_key].valid = False

    def restore(self, api_key: str) -> None:
        """Make a revoked key valid again. Connections that were told of the revocation stay logged off."""
        self.state.keys[api_key].valid = True

    # -- connections

    def knock(self, address: str, target: str) -> Iterator[Action]:
        """Return what is to happen before a handshake is answered, which is nothing unless a fault strikes it.

        Iterating over it may raise :class:`Refusal`.
        """
        fault = self.faults.strike_handshake(Handshake(address, target)) if self.faults else None
        return iter(()) if fault is None else FAULTS[fault.name].behaviour(fault.options)

    def connect(self, address: str, target: str, perform: Callable[[Action], None]) -> Connection:
        """Accept a handshake for ``target`` (path and query) from an IP address, and return the connection.

        Raises :class:`Refusal`, whose ``status`` is the HTTP status of the handshake's answer: 404 for a path that is
        not here, 429 and 418 by the limits, 403 for a stream that does not exist if the readings say so.
        """
        url = urlsplit(target)
        now = self.state.clock.time()
        stream = url.path != self._api_path
        options = parse_qs(url.query)
        listen_key = None
        if stream:
            value = self._listen_key(url.path, options)
            listen_key = self.state.listen_keys.get(value)
            if listen_key is None and self.state.readings.unknown_stream == "refused":
                raise Refusal(403, -1125, "This listenKey does not exist.")
        else:
            self.limits.charge_connection(address, now)
        self._connections_so_far += 1
        connection = Connection(
            self._connections_so_far,
            address,
            target,
            now,
            self.state.clock,
            perform,
            stream=stream,
            return_rate_limits=options.get("returnRateLimits", ["true"])[-1].lower() != "false",
            listen_key=listen_key,
        )
        self.state.connections[connection.number] = connection
        connection.later(self.venue.server_ping_interval, self._ping, connection)
        connection.later(self.venue.lifetime, self.close, connection, 1001, "24 hours")
        return connection

    def _listen_key(self, path: str, options: Mapping[str, list[str]]) -> str:
        if self._stream_path is not None:
            if path == self._stream_path and "listenKey" in options:
                return options["listenKey"][-1]
            if path.startswith(self._stream_path + "/"):
                return path[len(self._stream_path) + 1 :]
        raise Refusal(404, -1000, "Not Found")

    def disconnect(self, connection: Connection) -> None:
        """Take note that a connection is gone."""
        connection.ended()
        self.state.connections.pop(connection.number, None)

    def close(self, connection: Connection, code: int, reason: str = "") -> None:
        """Begin the closing handshake, and drop the connection if the client does not answer it."""
        connection.close(code, reason)
        connection.later(_CLOSE_TIMEOUT, connection.drop)

    def shut_down(self) -> None:
        """Leave no timer behind."""
        for connection in self.connections:
            self.disconnect(connection)
        self.state.listen_keys.close()

    def broadcast_shutdown(self) -> None:
        """Send the event ``serverShutdown`` to every API connection (PROTOCOL.md §2)."""
        event = {"event": {"e": "serverShutdown", "E": self.state.now_ms}}
        for connection in self.connections:
            if not connection.stream:
                connection.send(event)

    def push(self, event: Mapping[str, Any], account: Account | None = None) -> int:
        """Send a user data event to all who listen to an account; return to how many connections it went."""
        return self.state.push(self.account if account is None else account, event)

    def pong(self, connection: Connection, payload: bytes) -> None:
        """Take note of a pong frame. One that answers no ping counts as a control frame."""
        if not connection.pong(payload):
            self.control_frame(connection)

    def control_frame(self, connection: Connection) -> None:
        """Count a ping or pong frame, and close the connection over the limit of 5 a second (futures)."""
        if self.state.product.futures and connection.too_many_control_frames(_CONTROL_FRAMES):
            self.close(connection, 1008, "Too many requests")

    def binary(self, connection: Connection) -> None:
        """Close a connection that sent a binary message: requests are text."""
        self.close(connection, 1003)

    def await_pong(self, connection: Connection) -> None:
        """Let the time run in which the client must answer the last ping.

        Whoever owns the socket says when, once the ping is on its way: a clock that jumps ahead by hours must not
        blame a client that was not given a moment to answer.
        """
        if connection.pings:
            sent = max(connection.pings.values())
            connection.later(self.venue.pong_timeout, self._check_pong, connection, sent)

    def _ping(self, connection: Connection) -> None:
        connection.ping()
        connection.later(self.venue.server_ping_interval, self._ping, connection)

    def _check_pong(self, connection: Connection, sent: float) -> None:
        if any(at <= sent for at in connection.pings.values()):
            self.close(connection, 1008, "Pong timeout")

    # -- requests

    def inject(self, fault: Fault) -> Injected:
        """Put a fault to work."""
        return self.faults.inject(fault)

    def receive(self, connection: Connection, text: str) -> None:
        """Treat one text message of a client, and perform on its connection what follows."""
        if not connection.open or connection.closing:
            return
        message: Any = None
        refusal: Refusal | None = None
        try:
            message = decode(text)
        except Refusal as caught:
            refusal = caught
        known = message if type(message) is dict else None
        self.received.append(Received(self.state.clock.time(), connection, text, known))
        if connection.stream:
            connection.send({"error": {"code": 2, "msg": "Invalid request"}, "id": (known or {}).get("id")})
            return
        if refusal is None:
            try:
                request = read_request(message)
            except Unanswerable:
                connection.drop()
                return
            except Refusal as caught:
                refusal = caught
            else:
                connection.perform(self._treat(connection, request))
                return
        request_id = (known or {}).get("id")
        outcome = _Outcome()
        envelope = Request(request_id if is_request_id(request_id) else None, "", {})
        self._answer(connection, envelope, None, outcome, lambda: _raise(refusal))
        connection.perform(outcome.actions())

    def _treat(self, connection: Connection, request: Request) -> Iterable[Action]:
        outcome = _Outcome()
        fault = self.faults.strike(request, connection) if self.faults else None
        if fault is None:
            self._execute(connection, request, outcome)
            return outcome.actions()

        def execute() -> list[dict[str, Any]]:
            self._execute(connection, request, outcome)
            return outcome.messages

        occasion = Occasion(request, connection, self.state, fault.options, execute)
        return chain(FAULTS[fault.name].behaviour(occasion), outcome.ending)

    def _execute(self, connection: Connection, request: Request, outcome: _Outcome) -> None:
        """Treat a request by all the rules, and put what is to be sent for it into ``outcome``."""
        try:
            method = self.venue.method(request.method)
        except ConfigurationError:
            self._answer(connection, request, None, outcome, lambda: _raise(unknown_operation()))
            return
        if self._session_is_over(connection, request):
            outcome.messages.append({"id": None, "status": 401, "error": key_refused().error()})
            if self.state.readings.revoked_closes:
                outcome.ending.append(Close(1008))
            if self.state.readings.revoked_answer == "replaced":
                return
            self._answer(connection, request, method, outcome, lambda: _raise(key_refused()))
            return
        self._answer(connection, request, method, outcome, lambda: self._result(connection, request, method, outcome))

    def _session_is_over(self, connection: Connection, request: Request) -> bool:
        """End the logon if its key became invalid, and return whether that happened (PROTOCOL.md §2).

        Requests that bring their own key go on: they do not use the logon.
        """
        key = connection.key
        if key is None or key.may(Security.NONE, connection.address) or "apiKey" in request.params:
            return False
        connection.key = None
        connection.authorized_since = None
        connection.subscriptions = {
            number: item for number, item in connection.subscriptions.items() if not item.by_logon
        }
        return True

    def _answer(
        self,
        connection: Connection,
        request: Request,
        method: Method | None,
        outcome: _Outcome,
        execute: Callable[[], Any],
    ) -> None:
        """Charge a request's weight, execute it, and add its answer to ``outcome``."""
        cost = 1 if method is None else method.weight.of(request.params)
        message: dict[str, Any]
        try:
            self.limits.charge(connection.address, cost, self.state.clock.time())
            message = {"id": request.id, "status": 200, "result": execute()}
        except Refusal as refusal:
            message = {"id": request.id, "status": refusal.status, "error": refusal.error()}
            if refusal.status == 418:
                outcome.ending.append(Drop())
        wanted = request.params.get("returnRateLimits")
        if wanted if isinstance(wanted, bool) else connection.return_rate_limits:
            message["rateLimits"] = self._rate_limits(connection, method, outcome.key)
        outcome.messages.append(message)
        if outcome.call is not None:
            outcome.messages += outcome.call.afterwards

    def _rate_limits(
        self, connection: Connection, method: Method | None, key: ApiKeyRecord | None
    ) -> list[dict[str, Any]]:
        limits = []
        if method is not None and method.orders and key is not None:
            orders = self.limits.orders(key.account, self.state.clock.time())
            limits += [counter.entry() for counter in orders]
        limits.append(self.limits.traffic(connection.address).weight.entry())
        return limits

    def _result(self, connection: Connection, request: Request, method: Method, outcome: _Outcome) -> Any:
        state = self.state
        entry = self._methods.get(request.method) or self._methods.get(request.method.partition("/")[2])
        if entry is None:
            raise unknown_operation()
        values = check_params(
            request.params,
            entry.shape,
            _PROOF[method.auth],
            int_text=state.readings.int_text,
            fine_window=not state.product.futures,
        )
        key = self._authenticate(connection, request, method, values)
        outcome.key = key
        outcome.call = Call(state, connection, request.method, values, request.params, key)
        result = entry.answer(outcome.call)
        self.executed.append(Executed(request.id, connection, request.method, request.params))
        return result

    def _authenticate(
        self, connection: Connection, request: Request, method: Method, values: Mapping[str, Any]
    ) -> ApiKeyRecord | None:
        """Return whose request it is, or refuse it (PROTOCOL.md §3, §4)."""
        auth = method.auth
        if auth is Auth.NOTHING:
            return None
        session = connection.key
        if auth is Auth.SESSION:
            if session is None:
                raise Refusal(400, -1193, "WebSocket session not authenticated.")
            return self._permitted(session, connection, method)
        own = auth is Auth.ALWAYS_SIGNED or "apiKey" in values or "signature" in values or session is None
        if not own and session is not None:
            if auth is Auth.SIGNED:
                self._check_time(values)
            return self._permitted(session, connection, method)
        if "apiKey" not in values:
            raise mandatory("apiKey")
        if auth is not Auth.KEY and "signature" not in values:
            raise mandatory("signature")
        key = self.state.keys.get(values["apiKey"])
        if key is None:
            if _API_KEY.fullmatch(values["apiKey"]) is None:
                raise Refusal(401, -2014, "API-key format invalid.")
            raise key_refused()
        if auth is not Auth.KEY:
            self._check_time(values)
            if not key.verify(signed_text(request.params), values["signature"]):
                raise bad_signature()
        return self._permitted(key, connection, method)

    def _check_time(self, values: Mapping[str, Any]) -> None:
        if "timestamp" not in values:
            raise mandatory("timestamp")
        check_timestamp(
            values,
            self.state.clock.time(),
            self.venue.max_recv_window,
            microseconds=not self.state.product.futures,
        )

    def _permitted(self, key: ApiKeyRecord, connection: Connection, method: Method) -> ApiKeyRecord:
        # session.logon asks for a signature, not for a permission.
        security = Security.NONE if method.name == "session.logon" else method.security
        if not key.may(security, connection.address):
            raise key_refused()
        return key


@define(eq=False)
class _Outcome:
    """What a request led to: messages to send, the answer first, and how the connection ends, if it does."""

    messages: list[dict[str, Any]] = field(factory=list)
    ending: list[Action] = field(factory=list)
    key: ApiKeyRecord | None = None
    call: Call | None = None

    def actions(self) -> list[Action]:
        return [*(say(message) for message in self.messages), *self.ending]


def _raise(refusal: Refusal) -> NoReturn:
    raise refusal
