"""User data events and their listeners: every event goes through here (PROTOCOL.md §1.2, §5.3, §5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableSequence
from typing import Any

from binance_session.simulator.accounts import Account
from binance_session.simulator.behaviours import FAULTS
from binance_session.simulator.connections import Connection
from binance_session.simulator.eventfaults import EventOccasion, Wrapping, wrapped
from binance_session.simulator.faults import Faults
from binance_session.simulator.listenkeys import ListenKeyRecord
from binance_session.simulator.records import Pushed
from binance_session.simulator.state import State
from binance_session.simulator.wire import Action, Close, SendText, encode

__all__ = ["UserData"]


class UserData:
    """Sends the events of accounts to their listeners, and keeps a record in ``pushed``."""

    def __init__(self, state: State, faults: Faults, pushed: MutableSequence[Pushed]) -> None:
        self.state = state
        self.pushed = pushed
        self._faults = faults
        self._number = 0
        state.on_listen_key_end = self.key_ended
        state.deliver = self.deliver

    def push(self, account: Account, event: Mapping[str, Any]) -> int:
        """Send an event to all listeners of an account, and return to how many streams it went.

        Futures: each stream socket, for each of its listenKeys that is active. Spot: each API socket that subscribed.
        """
        number = self._next_number()
        bare = None
        struck = []
        listeners = list(self._listeners(account, event.get("e")))
        for connection, wrapping in listeners:
            if wrapping is None and bare is None:
                bare = encode(event)
            actions = self._actions(connection, wrapping, event, account, number, bare)
            if isinstance(actions, tuple):
                connection.in_turn(actions)
            else:  # a fault may send something itself, which is not to come before this event to the others
                struck.append((connection, actions))
        for connection, actions in struck:
            connection.in_turn(actions)
        if not listeners:
            self._record(None, event, account, number)
        return len(listeners)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def deliver(self) -> None:
        """Send the events that requests have caused (the state's ``notices``)."""
        notices, self.state.notices = self.state.notices, []
        for notice in notices:
            if notice.connection is None:
                self.push(notice.account, notice.event)
            else:
                wrapping = ("subscriptionId", notice.subscription)
                self._send(notice.connection, wrapping, notice.event, notice.account, self._next_number())

    def key_ended(self, key: ListenKeyRecord) -> None:
        """Send ``listenKeyExpired`` to a listenKey's stream sockets, and close them, as the readings say."""
        readings = self.state.readings
        event = {"e": "listenKeyExpired", "E": self.state.now_ms, "listenKey": key.value}
        sockets = [
            connection
            for connection in list(self.state.connections.values())
            if connection.hearing and key.value in connection.streams
        ]
        for _ in range(readings.expired_pushes):
            number = self._next_number()
            heard = False
            for connection in sockets:
                allowed = connection.streams.get(key.value)
                if allowed is None or "listenKeyExpired" in allowed:
                    heard = True
                    self._send(connection, _stream(connection, key.value), event, key.account, number)
            if not heard:
                self._record(None, event, key.account, number)
        if readings.expiry_closes_stream:
            for connection in sockets:
                connection.in_turn((Close(1000),))

    def _listeners(self, account: Account, kind: Any) -> Iterator[tuple[Connection, Wrapping]]:
        keys = self.state.listen_keys
        for connection in self.state.connections.values():
            if not connection.hearing:
                continue
            for value, allowed in connection.streams.items():
                key = keys.get(value)
                if key is not None and key.account is account and (allowed is None or kind in allowed):
                    yield connection, _stream(connection, value)
            for subscription in connection.subscriptions_of(account):
                yield connection, ("subscriptionId", subscription.id)

    def _send(
        self, connection: Connection, wrapping: Wrapping, event: Mapping[str, Any], account: Account, number: int
    ) -> None:
        connection.in_turn(self._actions(connection, wrapping, event, account, number))

    def _actions(
        self,
        connection: Connection,
        wrapping: Wrapping,
        event: Mapping[str, Any],
        account: Account,
        number: int,
        text: str | None = None,
    ) -> Iterable[Action]:
        """Record the event, and return what brings it to a connection: a tuple unless a fault strikes it."""
        if connection.muted:
            self._record(connection, event, account, number, "half_open", lost=True)
            return ()
        fault = self._faults.strike_event(event, connection) if self._faults else None
        if fault is None:
            self._record(connection, event, account, number)
            return (SendText(text or encode(wrapped(wrapping, event))),)
        registered = FAULTS[fault.name]
        self._record(connection, event, account, number, fault.name, lost=registered.loses)
        occasion = EventOccasion(event, connection, account, self.state, fault.options, wrapping)
        return registered.behaviour(occasion)

    def _record(
        self,
        connection: Connection | None,
        event: Mapping[str, Any],
        account: Account,
        number: int,
        fault: str | None = None,
        *,
        lost: bool = False,
    ) -> None:
        now = self.state.clock.time()
        self.pushed.append(Pushed(now, connection, event, number, account, fault, lost))


def _stream(connection: Connection, key: str) -> Wrapping:
    return ("stream", key) if connection.combined else None
