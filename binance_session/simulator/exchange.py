"""The exchange without a network: a connection's text in, actions for its socket out.

:class:`Exchange` does not use asyncio. The owner of the sockets calls it for connections, texts, pongs and ends, and
gives each connection a function that performs :mod:`~binance_session.simulator.wire` actions.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from decimal import Decimal
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from binance_session.errors import ConfigurationError
from binance_session.simulator import driving
from binance_session.simulator.accounts import Account
from binance_session.simulator.answering import Answering, Reaction
from binance_session.simulator.behaviours import Occasion, PingOccasion
from binance_session.simulator.clock import Clock
from binance_session.simulator.connections import Connection
from binance_session.simulator.eventexamples import event_named, event_names
from binance_session.simulator.faults import FAULTS, Fault, Faults, Handshake, Injected
from binance_session.simulator.futuresevents import account_update
from binance_session.simulator.keys import ApiKeyRecord, api_key_record
from binance_session.simulator.limits import Limits
from binance_session.simulator.market import Market
from binance_session.simulator.microseconds import in_microseconds
from binance_session.simulator.product import Product
from binance_session.simulator.readings import Readings
from binance_session.simulator.records import Executed, Pushed, Received
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.rules import Request, Unanswerable, decode, is_request_id, read_request
from binance_session.simulator.state import ListenToken, State
from binance_session.simulator.streams import STREAM_MESSAGES, StreamAddress, stream_address, treat_stream_request
from binance_session.simulator.userdata import UserData
from binance_session.simulator.wire import Action
from binance_session.venues import COIN_M, SPOT, USD_M, Venue

if TYPE_CHECKING:
    from binance_session.simulator.keys import PublicKey

__all__ = ["Exchange"]

#: Ping and pong frames a second that a client may send (PROTOCOL.md §1.3); Spot names no limit.
_CONTROL_FRAMES: Final = 5
#: Seconds that a client has to answer the closing handshake; undocumented.
_CLOSE_TIMEOUT: Final = 10.0
#: Seconds that a listenToken is good for at most.
_LONGEST_TOKEN: Final = 86400.0
_API_SOCKET: Final = StreamAddress({}, combined=False, routed=True)


def _has(venue: Venue, method: str) -> bool:
    return method in venue.methods or method.partition("/")[2] in venue.methods


class Exchange:
    """One of Binance's WebSocket APIs, as strict as its documents.

    ``record`` bounds how many entries ``received``, ``executed`` and ``pushed`` keep (the newest); ``None`` keeps all.
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
        self.pushed: MutableSequence[Pushed] = [] if record is None else deque(maxlen=record)
        self.state.keeps_record = record != 0
        self._user_data = UserData(self.state, self.faults, self.pushed)
        self._answering = Answering(self.state, self.executed)
        self._api_path = urlsplit(venue.url).path
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
    def accounts(self) -> list[Account]:
        """Every account that has a key, the shared one first."""
        return list(dict.fromkeys([self.account, *(key.account for key in self.state.keys.values())]))

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
        """Register an API key; see :func:`~binance_session.simulator.keys.api_key_record`.

        An earlier key of the same name is revoked by that, as it is when its permissions are changed.
        """
        record = api_key_record(
            api_key,
            self.account if account is None else account,
            public_key=public_key,
            secret=secret,
            permissions=permissions,
            addresses=addresses,
        )
        if api_key in self.state.keys:
            self.revoke(api_key)
        self.state.keys[api_key] = record
        return record

    def revoke(self, api_key: str) -> None:
        """Make a key invalid: connections logged on with it get the 401 with ``"id": null`` at their next request."""
        self.state.keys[api_key].valid = False

    def restore(self, api_key: str) -> None:
        """Make a revoked key valid again. Connections that were told of the revocation stay logged off."""
        self.state.keys[api_key].valid = True

    # -- connections

    def before_handshake(self, address: str, target: str) -> Iterator[Action]:
        """Return the actions before a handshake is answered: none unless a fault strikes it.

        Iterating over it may raise :class:`Refusal`.
        """
        if not self.faults:
            return iter(())
        fault = self.faults.strike_handshake(Handshake(address, target, urlsplit(target).path != self._api_path))
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
        place = _API_SOCKET
        if stream:
            place = stream_address(target, self.state)
        else:
            self.limits.charge_connection(address, now)
        self._connections_so_far += 1
        if not self.state.product.futures and options.get("timeUnit", [""])[-1].upper() == "MICROSECOND":
            perform = in_microseconds(perform)
        connection = Connection(
            self._connections_so_far,
            address,
            target,
            now,
            self.state.clock,
            perform,
            stream=stream,
            return_rate_limits=options.get("returnRateLimits", ["true"])[-1].lower() != "false",
            streams=dict(place.keys),
            combined=place.combined,
            routed=place.routed,
        )
        self.state.connections[connection.number] = connection
        connection.later(self.venue.server_ping_interval, self._ping, connection)
        connection.later(self.venue.lifetime, self.close, connection, 1001, "24 hours")
        return connection

    def disconnect(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        connection.ended()
        self.state.connections.pop(connection.number, None)

    def close(self, connection: Connection, code: int, reason: str = "") -> None:
        """Begin the closing handshake, and drop the connection if the client does not answer it."""
        connection.close(code, reason)
        connection.later(_CLOSE_TIMEOUT, connection.drop)

    def shut_down(self) -> None:
        """Leave no timer behind."""
        self.state.forget_timers()
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
        """Send a user data event to all who listen to an account; return to how many streams it went."""
        return self._user_data.push(self.account if account is None else account, event)

    def push_event(self, name: str, account: Account | None = None, **fields: Any) -> int:
        """Send an event of this type, by the documents' example, as :meth:`push` does.

        Fields can be changed; those of objects in it one by one: ``push_event("ORDER_TRADE_UPDATE", o={"c": "mine"})``.
        Raises :class:`ValueError` for a type that this product does not have.
        """
        account = self.account if account is None else account
        return self._user_data.push(account, event_named(self.state, account, name, fields))

    def set_price(self, symbol: str, price: Decimal | str) -> None:
        """Move the market: resting orders that the price reaches are filled, each at its own price.

        Then USD-M's algo orders are triggered, and what they become meets the same price.
        (Setting ``market.prices`` fills nothing.) Raises :class:`Refusal` for a symbol that is not listed.
        """
        driving.set_price(self.state, self.accounts, symbol, Decimal(price))
        self._user_data.deliver()

    def fill(self, symbol: str, client_order_id: str, quantity: Decimal | str) -> None:
        """Fill a part of a resting order, at its own price, as if another account had traded with it.

        The order is the open one of this ``newClientOrderId``, of any account. Raises :class:`ValueError` for a
        symbol or an order that there is not, an order that is not on the book (a stop order that waits, a pending one),
        and a quantity that is none, has too many digits, or is more than the order has left.
        """
        driving.fill(self.state, self.accounts, symbol, client_order_id, quantity)
        self._user_data.deliver()

    def let_meet(self, symbol: str, maker: str, taker: str) -> None:
        """Let two resting orders of one account meet, which self-trade prevention keeps from trading (Spot).

        They are named by their ``newClientOrderId``; the taker's ``selfTradePreventionMode`` says what becomes of them.
        Raises :class:`ValueError` for orders that there are not, that would not meet, or that may trade.
        """
        driving.let_meet(self.state, self.accounts, symbol, maker, taker)
        self._user_data.deliver()

    def transfer(self, asset: str, change: Decimal | str, account: Account | None = None) -> None:
        """Add to a balance, or take from it, as a deposit or a withdrawal does, and send its events.

        Spot: ``balanceUpdate`` and ``outboundAccountPosition``. Futures: ``ACCOUNT_UPDATE`` with the reason
        DEPOSIT or WITHDRAW.
        """
        driving.transfer(self.state, self.account if account is None else account, asset, Decimal(change))
        self._user_data.deliver()

    def create_listen_token(self, account: Account | None = None, *, validity: float = 86400.0) -> str:
        """Return a new listenToken of an account, as REST does, for ``userDataStream.subscribe.listenToken`` (Spot).

        It is good for ``validity`` seconds, 24 hours at most; raises :class:`ValueError` for other numbers.
        """
        if not 0 < validity <= _LONGEST_TOKEN:
            raise ValueError(f"a listenToken is good for more than 0 and at most {_LONGEST_TOKEN:.0f} seconds")
        value = b64encode(secrets.token_bytes(52)).decode().rstrip("=")
        expires = self.state.clock.time() + validity
        self.state.listen_tokens[value] = ListenToken(self.account if account is None else account, expires)
        return value

    def charge_funding(self, symbol: str, change: Decimal | str, account: Account | None = None) -> None:
        """Take a position's funding fee from the balance, or pay it in, and send its event (futures).

        Raises :class:`Refusal` for a symbol that is not listed, :class:`ValueError` on Spot.
        """
        state, account, change = self.state, self.account if account is None else account, Decimal(change)
        if not state.product.futures:
            raise ValueError(f"{self.venue.name} has no funding fees")
        traded = self.market.symbol(symbol)
        account.balances[traded.asset] = account.balances.get(traded.asset, Decimal(0)) + change
        account.update_time = state.now_ms
        event = account_update(state, account, "FUNDING_FEE", traded.asset, change=change, symbol=traded)
        state.tell(account, event)
        self._user_data.deliver()

    def expire_listen_keys(self, account: Account | None = None, *, tell: bool = True) -> int:
        """End an account's listenKeys now, as if their time had run out, and return how many there were.

        Unless ``tell`` is false the stream sockets get ``listenKeyExpired``, and are closed if the readings say so.
        """
        keys = self.state.listen_keys.all_of(self.account if account is None else account)
        for key in keys:
            self.state.listen_keys.expire(key, tell=tell)
        return len(keys)

    def stop_listen_keys(self, account: Account | None = None) -> int:
        """End an account's listenKeys as another client's ``userDataStream.stop`` does; return how many there were."""
        keys = self.state.listen_keys.all_of(self.account if account is None else account)
        for key in keys:
            self.state.listen_keys.stop(key)
        return len(keys)

    def pong(self, connection: Connection, payload: bytes) -> None:
        """Handle a pong frame. One that answers no ping counts as a control frame."""
        if not connection.pong(payload):
            self.control_frame(connection)

    def pong_due(self, connection: Connection, data: bytes) -> bool:
        """Return whether a client's ping is to be answered at once; if not, a fault answers it late or never."""
        fault = self.faults.strike_ping(connection) if self.faults else None
        if fault is not None:
            connection.perform(FAULTS[fault.name].behaviour(PingOccasion(data, fault.options)))
        return fault is None

    def control_frame(self, connection: Connection) -> None:
        """Count a ping or pong frame, and close the connection over the limit of 5 a second (futures)."""
        limit = STREAM_MESSAGES if connection.stream else _CONTROL_FRAMES
        if self.state.product.futures and connection.too_many(limit):
            self.close(connection, 1008, "Too many requests")

    def binary(self, connection: Connection) -> None:
        """Close a connection that sent a binary message: requests are text."""
        self.close(connection, 1003)

    def await_pong(self, connection: Connection) -> None:
        """Start the time in which the client must answer the last ping.

        Called by the socket when the ping has been written, so that a client still gets a chance to answer after the
        clock has jumped ahead by hours.
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
        """Put a fault to work.

        Raises :class:`ValueError` for one that would never strike: for a method that neither this nor another venue
        has, and for an event type that looks like a misspelled one.
        """
        if fault.method is not None and not any(_has(venue, fault.method) for venue in (COIN_M, USD_M, SPOT)):
            try:
                self.venue.method(fault.method)
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        names = event_names(self.state.product)
        if fault.event is not None and fault.event not in names:
            meant = get_close_matches(fault.event, names, n=1, cutoff=0.85)
            if meant:
                raise ValueError(f"{self.venue.name} has no event {fault.event!r}: did you mean {meant[0]!r}?")
        return self.faults.inject(fault)

    def receive(self, connection: Connection, text: str) -> None:
        """Handle one text message of a client, and perform the resulting actions on its connection."""
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
            if connection.too_many(STREAM_MESSAGES):
                self.close(connection, 1008, "Too many requests")
                return
            connection.send(treat_stream_request(connection, message, self.state.listen_keys, self.state.readings))
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
                self._treat(connection, request)
                return
        request_id = (known or {}).get("id")
        reaction = Reaction()
        envelope = Request(request_id if is_request_id(request_id) else None, "", {})
        self._answering.refuse(connection, envelope, refusal, reaction)
        connection.perform(reaction.actions())

    def _treat(self, connection: Connection, request: Request) -> None:
        """Execute a request, send its answer and the events that it caused, in the order that the readings say."""
        reaction = Reaction()
        fault = self.faults.strike(request, connection) if self.faults else None
        tell_now = self.state.readings.events_come == "before"

        def execute() -> list[dict[str, Any]]:
            self._answering.execute(connection, request, reaction)
            if tell_now:
                self._user_data.deliver()
            return reaction.messages

        if fault is None:
            execute()
            connection.perform(reaction.actions())
        else:
            occasion = Occasion(request, connection, self.state, fault.options, execute)
            connection.perform(chain(FAULTS[fault.name].behaviour(occasion), reaction.ending))
        # If a behaviour executes the request later, its events are sent at that moment.
        tell_now = True
        self._user_data.deliver()
