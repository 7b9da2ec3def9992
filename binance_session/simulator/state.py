"""What the exchange remembers, in one place for those who answer requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock, Timer
from binance_session.simulator.connections import AccountSubscription, Connection
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.limits import Limits
from binance_session.simulator.listenkeys import ListenKeyRecord, ListenKeys
from binance_session.simulator.market import Market
from binance_session.simulator.product import Product
from binance_session.simulator.readings import Readings
from binance_session.venues import Venue

__all__ = ["Call", "ListenToken", "Notice", "State"]


@frozen
class Notice:
    """A user data event that is to be sent once its cause has been dealt with.

    To all listeners of the account, or to one Spot subscription of one connection, which may have ended.
    """

    account: Account
    event: Mapping[str, Any]
    connection: Connection | None = None
    subscription: int = 0


def _ignore(_key: ListenKeyRecord) -> None:
    """Do nothing: the default until a callback for the end of listenKeys is set."""


def _nothing() -> None:
    """Do nothing: the default until a function that sends notices is set."""


@frozen
class ListenToken:
    """What REST gives out (``POST /sapi/v1/userListenToken``): ``expires`` is in Unix seconds."""

    account: Account
    expires: float


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
    #: algo orders are counted from where the exchange's are of late, far from the orders' ids
    last_algo_id: int = 1_000_000_000_000_000
    last_execution_id: int = 0
    last_list_id: int = 0
    #: what is to be sent to the accounts' listeners
    notices: list[Notice] = field(factory=list)
    on_listen_key_end: Callable[[ListenKeyRecord], None] = _ignore
    #: sends the notices, for what happens without a request
    deliver: Callable[[], None] = _nothing
    #: by their values: what Spot's subscriptions may be made with
    listen_tokens: dict[str, ListenToken] = field(factory=dict, repr=False)
    #: whether events without a listener are kept in the record
    keeps_record: bool = True
    _timers: set[Timer] = field(factory=set, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.listen_keys = ListenKeys(
            self.clock,
            self.venue.listen_key_lifetime,
            lambda key: self.on_listen_key_end(key),
            stop_ends=self.readings.stop_pushes_expired,
        )

    @property
    def now_ms(self) -> int:
        """The exchange's time in Unix ms."""
        return int(self.clock.time() * 1000)

    def later(self, when: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` at a time (Unix seconds), and send the events that it causes."""

        def due() -> None:
            self._timers.discard(timer)
            callback()
            self.deliver()

        timer = self.clock.call_at(when, due)
        self._timers.add(timer)

    def forget_timers(self) -> None:
        """Cancel all timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def wants_events(self, account: Account) -> bool:
        """Return whether an account has a listener, or a record is kept; else its events need not be made."""
        return self.keeps_record or any(
            connection.streams or any(True for _ in connection.subscriptions_of(account))
            for connection in self.connections.values()
        )

    def tell(self, account: Account, event: Mapping[str, Any]) -> None:
        """Queue an event for all listeners of an account; it is sent when the current request has been answered."""
        self.notices.append(Notice(account, event))

    def tell_terminated(self, connection: Connection, subscription: AccountSubscription) -> None:
        """Queue ``eventStreamTerminated`` for a subscription that has ended (Spot)."""
        event = {"e": "eventStreamTerminated", "E": self.now_ms}
        self.notices.append(Notice(subscription.account, event, connection, subscription.id))


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
    #: whether it turned out that the request costs no weight
    costs_nothing: bool = False

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
