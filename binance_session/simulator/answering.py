"""One request through all the rules to its answer: revocation, weight, parameters, signature, permission, effect."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableSequence
from typing import Any, Final, NoReturn

from attrs import define, field

from binance_session.errors import ConfigurationError
from binance_session.simulator.clock import DrivenClock
from binance_session.simulator.connections import Connection
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.methods.table import methods_of
from binance_session.simulator.records import Executed
from binance_session.simulator.refusals import (
    Refusal,
    bad_signature,
    key_refused,
    mandatory,
    unknown_operation,
)
from binance_session.simulator.rules import AUTH_PARAMS, Request, check_params, check_timestamp, signed_text
from binance_session.simulator.state import Call, State
from binance_session.simulator.wire import Action, Close, Drop, say
from binance_session.venues import Auth, Method, Security

__all__ = ["Answering", "Reaction"]

_PROOF: Final[dict[Auth, frozenset[str]]] = {
    Auth.NOTHING: frozenset(),
    Auth.KEY: frozenset({"apiKey"}),
    Auth.SIGNED: AUTH_PARAMS,
    Auth.ALWAYS_SIGNED: AUTH_PARAMS,
    Auth.SESSION: frozenset(),
}
_API_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@define(eq=False)
class Reaction:
    """What a request led to: messages to send, the answer first, and how the connection ends, if it does."""

    messages: list[dict[str, Any]] = field(factory=list)
    ending: list[Action] = field(factory=list)
    key: ApiKeyRecord | None = None
    #: whether its weight is taken back
    costs_nothing: bool = False

    def actions(self) -> list[Action]:
        """Return what the connection is to do."""
        return [*(say(message) for message in self.messages), *self.ending]


class Answering:
    """Answers requests from the exchange's memory.

    An entry is appended to ``executed`` for every request that takes effect.
    """

    def __init__(self, state: State, executed: MutableSequence[Executed]) -> None:
        self.state = state
        self._executed = executed
        self._methods = methods_of(state.product)

    def refuse(self, connection: Connection, request: Request, refusal: Refusal, reaction: Reaction) -> None:
        """Put an error answer to a message that is no proper request into ``reaction``."""
        self._add(connection, request, None, reaction, lambda: _raise(refusal))

    def execute(self, connection: Connection, request: Request, reaction: Reaction) -> None:
        """Treat a request by all the rules, and put what is to be sent for it into ``reaction``."""
        try:
            method = self.state.venue.method(request.method)
        except ConfigurationError:
            self._add(connection, request, None, reaction, lambda: _raise(self._unknown(request)))
            return
        if self._session_is_over(connection, request):
            reaction.messages.append({"id": None, "status": 401, "error": key_refused().error()})
            if self.state.readings.revoked_closes:
                reaction.ending.append(Close(1008))
            if self.state.readings.revoked_answer == "replaced":
                return
            self._add(connection, request, method, reaction, lambda: _raise(key_refused()))
            return
        self._add(connection, request, method, reaction, lambda: self._result(connection, request, method, reaction))

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

    def _add(
        self,
        connection: Connection,
        request: Request,
        method: Method | None,
        reaction: Reaction,
        execute: Callable[[], Any],
    ) -> None:
        """Charge a request's weight, execute it, and add its answer to ``reaction``."""
        cost = 1 if method is None else method.weight.of(request.params)
        message: dict[str, Any]
        try:
            self.state.limits.charge(connection.address, cost, self.state.clock.time())
            message = {"id": request.id, "status": 200, "result": execute()}
            if reaction.costs_nothing:
                self.state.limits.refund(connection.address, cost)
        except Refusal as refusal:
            message = {"id": request.id, "status": refusal.status, "error": refusal.error()}
            if refusal.status == 418:
                reaction.ending.append(Drop())
        wanted = request.params.get("returnRateLimits")
        if wanted if isinstance(wanted, bool) else connection.return_rate_limits:
            message["rateLimits"] = self._rate_limits(connection, method, reaction.key)
        reaction.messages.append(message)

    def _rate_limits(
        self, connection: Connection, method: Method | None, key: ApiKeyRecord | None
    ) -> list[dict[str, Any]]:
        limits = []
        if method is not None and method.orders and key is not None:
            orders = self.state.limits.orders(key.account, self.state.clock.time())
            limits += [counter.entry() for counter in orders]
        limits.append(self.state.limits.traffic(connection.address).weight.entry())
        return limits

    def _result(self, connection: Connection, request: Request, method: Method, reaction: Reaction) -> Any:
        state = self.state
        entry = self._methods.find(request.method, state.product)
        if entry is None:
            raise self._unknown(request)
        values = check_params(
            request.params,
            entry.shape,
            self._proof(method),
            int_text=state.readings.int_text,
            fine_window=not state.product.futures,
            decimal_numbers=state.readings.decimal_numbers == "accepted",
        )
        key = self._authenticate(connection, request, method, values)
        reaction.key = key
        call = Call(state, connection, request.method, values, request.params, key)
        try:
            result = entry.answer(call)
        except Refusal as refusal:
            if refusal.took_effect:
                self._executed.append(Executed(request.id, connection, request.method, request.params))
            raise
        self._executed.append(Executed(request.id, connection, request.method, request.params))
        reaction.costs_nothing = method.free_if_done or call.costs_nothing
        return result

    def _unknown(self, request: Request) -> Refusal:
        return unknown_operation(request.method, futures=self.state.product.futures)

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
        clock, longest = self.state.clock, self.state.venue.max_recv_window
        microseconds = not self.state.product.futures
        try:
            check_timestamp(values, clock.time(), longest, microseconds=microseconds)
        except Refusal:
            # When this clock was moved ahead, a client may still use its own, which was not.
            if not isinstance(clock, DrivenClock) or not clock.ahead:
                raise
            check_timestamp(values, clock.time() - clock.ahead, longest, microseconds=microseconds)

    def _permitted(self, key: ApiKeyRecord, connection: Connection, method: Method) -> ApiKeyRecord:
        # session.logon asks for a signature, not for a permission.
        security = Security.NONE if method.name == "session.logon" else method.security
        if not key.may(security, connection.address):
            raise key_refused()
        return key

    def _proof(self, method: Method) -> frozenset[str]:
        """Return the parameters that a method takes as a proof of who asks."""
        if method.auth is Auth.KEY and self.state.readings.unasked_signature == "ignored":
            return AUTH_PARAMS
        return _PROOF[method.auth]


def _raise(refusal: Refusal) -> NoReturn:
    raise refusal
