"""What the exchange remembers, in one place for those who answer requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock
from binance_session.simulator.connections import Connection
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.limits import Limits
from binance_session.simulator.listenkeys import ListenKeyRecord, ListenKeys
from binance_session.simulator.market import Market
from binance_session.simulator.product import Product
from binance_session.simulator.readings import Readings
from binance_session.venues import Venue

__all__ = ["Call", "State"]


@define(eq=False)
class State:
    """The exchange's memory: keys, accounts, prices, listenKeys, counters, and who is connected."""

    venue: Venue
    product: Product
    readings: Readings
    clock: Clock
    account: Account
    market: Market
    limits: Limits
    listen_keys: ListenKeys = field(init=False)
    keys: dict[str, ApiKeyRecord] = field(factory=dict)
    connections: dict[int, Connection] = field(factory=dict)
    last_order_id: int = 0
    last_trade_id: int = 0

    def __attrs_post_init__(self) -> None:
        self.listen_keys = ListenKeys(
            self.clock,
            self.venue.listen_key_lifetime,
            self._listen_key_ended,
            stop_ends=self.readings.stop_pushes_expired,
        )

    @property
    def now_ms(self) -> int:
        """The exchange's time in Unix ms."""
        return int(self.clock.time() * 1000)

    def push(self, account: Account, event: Mapping[str, Any]) -> int:
        """Send a user data event to whoever listens to an account, and return to how many.

        Futures: the stream sockets whose listenKey is active. Spot: the API sockets that subscribed, with their
        ``subscriptionId`` (PROTOCOL.md §1.2, §5.4).
        """
        reached = 0
        for connection in list(self.connections.values()):
            if connection.stream:
                key = connection.listen_key
                if key is not None and key.account is account and self.listen_keys.get(key.value) is key:
                    connection.send(event)
                    reached += 1
            else:
                for subscription in connection.subscriptions_of(account):
                    connection.send({"subscriptionId": subscription.id, "event": event})
                    reached += 1
        return reached

    def _listen_key_ended(self, key: ListenKeyRecord) -> None:
        event = {"e": "listenKeyExpired", "E": self.now_ms, "listenKey": key.value}
        for connection in list(self.connections.values()):
            if connection.listen_key is key:
                for _ in range(self.readings.expired_pushes):
                    connection.send(event)
                if self.readings.expiry_closes_stream:
                    connection.close(1000)


@define(eq=False)
class Call:
    """One request that passed every rule and is to be executed.

    ``params`` are the checked values (see :func:`~binance_session.simulator.rules.check_params`), ``sent`` what came
    in the frame. ``key`` and ``account`` are whose request it is; methods without security have no ``key``.
    """

    state: State
    connection: Connection
    method: str
    params: Mapping[str, Any]
    sent: Mapping[str, Any]
    key: ApiKeyRecord | None
    #: what is to be sent after the answer
    afterwards: list[dict[str, Any]] = field(factory=list)

    @property
    def account(self) -> Account:
        """The account of the request's key."""
        if self.key is None:
            raise RuntimeError(f"{self.method} has no account")
        return self.key.account

    @property
    def now_ms(self) -> int:
        """The exchange's time in Unix ms."""
        return self.state.now_ms
