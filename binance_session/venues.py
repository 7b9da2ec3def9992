"""The exchanges' doors: URLs, limits, and what each method needs.

Everything here is a table. Sources: PROTOCOL.md §1 (addresses, heartbeat, lifetime), §3 (security types),
§4 to §6 (methods and weights), §8 (limits).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any, Final

from attrs import evolve, field, frozen

from binance_session.errors import ConfigurationError

__all__ = [
    "COIN_M",
    "COIN_M_TESTNET",
    "SPOT",
    "SPOT_TESTNET",
    "USD_M",
    "USD_M_TESTNET",
    "Auth",
    "Method",
    "Security",
    "Venue",
    "Weight",
]


class Security(StrEnum):
    """The documents' security type of a method."""

    NONE = "NONE"
    USER_STREAM = "USER_STREAM"
    USER_DATA = "USER_DATA"
    TRADE = "TRADE"


class Auth(Enum):
    """What a request carries to prove who sends it."""

    #: nothing, ever
    NOTHING = "nothing"
    #: ``apiKey``; nothing once the connection is logged on
    KEY = "key"
    #: ``apiKey``, ``timestamp`` and ``signature``; ``timestamp`` alone once logged on
    SIGNED = "signed"
    #: ``apiKey``, ``timestamp`` and ``signature``, logged on or not
    ALWAYS_SIGNED = "always signed"
    #: nothing, but the connection must be logged on
    SESSION = "session"


@frozen
class Weight:
    """How much of the address's request weight a call uses.

    ``default`` unless a rule applies: ``without`` names a parameter whose absence costs ``without_cost``;
    ``by_limit`` lists (highest ``limit``, cost) in rising order.
    """

    default: int
    without: str | None = None
    without_cost: int = 0
    by_limit: tuple[tuple[int, int], ...] = ()
    default_limit: int = 100

    def of(self, params: Mapping[str, Any]) -> int:
        """Return the weight of a call with these parameters."""
        if self.without is not None and self.without not in params and f"{self.without}s" not in params:
            return self.without_cost
        if self.by_limit:
            limit = params.get("limit", self.default_limit)
            for highest, cost in self.by_limit:
                if isinstance(limit, int) and limit <= highest:
                    return cost
            return self.by_limit[-1][1]
        return self.default


@frozen
class Method:
    """One method of a venue's catalogue: its name, its security type, and what it costs.

    ``orders`` is how many orders it adds to the account's ORDERS count.
    """

    name: str
    security: Security
    weight: Weight
    auth: Auth
    orders: int = 0
    #: whether it is parked only when asked for (an attribute, because every request asks)
    is_trade: bool = field(init=False)
    #: whether its answer tells about the connection: who is logged on, what time it is there, what it brings
    is_about_session: bool = field(init=False)

    #: whether it may use the reserve of request weight: what takes risk off, and what keeps the session alive
    is_urgent: bool = field(init=False)

    @is_urgent.default
    def _is_urgent(self) -> bool:
        name = self.name.rpartition("/")[2]
        return name.endswith((".cancel", ".cancelAll")) or name.startswith(("session.", "userDataStream."))

    @is_trade.default
    def _is_trade(self) -> bool:
        return self.security is Security.TRADE

    @is_about_session.default
    def _is_about_session(self) -> bool:
        name = self.name.rpartition("/")[2]  # without the version
        return name in ("session.logon", "session.status", "session.logout", "time") or self.subscribes

    @property
    def subscribes(self) -> bool:
        """Whether it has the account's events come on the connection (Spot)."""
        return self.name.rpartition("/")[2].startswith("userDataStream.subscribe")


_VERSION: Final = re.compile(r"v\d+/")


@frozen
class Venue:
    """One exchange API: where it is, what it offers, and its limits.

    ``stream_url`` is the base of the event socket, ``None`` where events arrive on the API socket itself (Spot).
    ``stream_path`` goes behind it, with the listenKey for ``{key}``. Times are in seconds.
    """

    name: str
    url: str
    stream_url: str | None
    methods: Mapping[str, Method] = field(repr=False)
    #: how a USER_STREAM method proves itself here: futures want the key only, Spot a signature
    user_stream_auth: Auth = Auth.KEY
    has_logon: bool = True
    has_listen_key: bool = True
    listen_key_lifetime: float = 3600.0
    lifetime: float = 86400.0
    server_ping_interval: float = 180.0
    pong_timeout: float = 600.0
    connection_weight: int = 5
    weight_per_minute: int = 2400
    #: (limit, interval as in ``rateLimits``, number of intervals) of the account's order counts
    order_limits: tuple[tuple[int, str, int], ...] = ((300, "SECOND", 10), (1200, "MINUTE", 1))
    max_recv_window: int = 60_000
    testnet: bool = False
    stream_path: str = "/ws/{key}"

    def method(self, name: str, security: str | None = None) -> Method:
        """Return the catalogue's entry for ``name``, which may carry a version (``v2/account.status``).

        A method that the catalogue does not know needs its ``security`` named, since guessing could send an order
        unsigned or a key to where none belongs. Raises :class:`ConfigurationError` without it, for
        a security type that does not exist, and for a name that is no text.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"a method is a non-empty string, not {name!r}")
        if security is not None:
            try:
                kind = Security(security)
            except ValueError:
                names = ", ".join(Security)
                raise ConfigurationError(f"security must be one of {names}, not {security!r}", method=name) from None
            return Method(name, kind, Weight(1), self._auth(kind))
        known = self.methods.get(name)
        if known is None:
            versioned = _VERSION.match(name)
            known = self.methods.get(name[versioned.end() :]) if versioned else None
            if known is None:
                raise ConfigurationError(
                    f"{self.name} has no method {name!r} in its catalogue; if it is new, say what it needs:"
                    " security='NONE', 'USER_STREAM', 'USER_DATA' or 'TRADE'",
                    method=name,
                )
            known = evolve(known, name=name)
        return known

    def _auth(self, security: Security) -> Auth:
        if security is Security.NONE:
            return Auth.NOTHING
        if security is Security.USER_STREAM:
            return self.user_stream_auth
        return Auth.SIGNED


def _catalogue(user_stream: Auth, *methods: tuple[Any, ...]) -> dict[str, Method]:
    """Build a catalogue from rows (name, security, weight[, orders[, auth]])."""
    auths = {
        Security.NONE: Auth.NOTHING,
        Security.USER_STREAM: user_stream,
        Security.USER_DATA: Auth.SIGNED,
        Security.TRADE: Auth.SIGNED,
    }
    catalogue = {}
    for name, security, weight, *more in methods:
        cost = weight if isinstance(weight, Weight) else Weight(weight)
        orders = more[0] if more else 0
        auth = more[1] if len(more) > 1 else auths[security]
        catalogue[name] = Method(name, security, cost, auth, orders)
    return catalogue


_NONE, _STREAM, _DATA, _TRADE = Security

_SESSION: Final = (
    ("session.logon", _DATA, 2, 0, Auth.ALWAYS_SIGNED),
    ("session.status", _NONE, 2),
    ("session.logout", _NONE, 2),
)
_LISTEN_KEY: Final = (
    ("userDataStream.start", _STREAM, 1),
    ("userDataStream.ping", _STREAM, 1),
    ("userDataStream.stop", _STREAM, 1),
)

_COIN_M_METHODS: Final = _catalogue(
    Auth.KEY,
    *_SESSION,
    *_LISTEN_KEY,
    ("order.place", _TRADE, 0, 1),
    ("order.modify", _TRADE, 1, 1),
    ("order.cancel", _TRADE, 1),
    ("order.status", _DATA, 1),
    ("account.balance", _DATA, 5),
    ("account.status", _DATA, 5),
    ("account.position", _DATA, 5),
)

_USD_M_METHODS: Final = _catalogue(
    Auth.KEY,
    *_SESSION,
    *_LISTEN_KEY,
    ("ping", _NONE, 1),
    ("time", _NONE, 1),
    ("depth", _NONE, Weight(10, by_limit=((50, 2), (100, 5), (500, 10), (1000, 20)), default_limit=500)),
    ("ticker.price", _NONE, Weight(1, without="symbol", without_cost=2)),
    ("ticker.book", _NONE, Weight(2, without="symbol", without_cost=5)),
    ("order.place", _TRADE, 0, 1),
    ("order.modify", _TRADE, 0, 1),
    ("order.cancel", _TRADE, 1),
    ("order.status", _DATA, 1),
    ("algoOrder.place", _TRADE, 0, 1),
    ("algoOrder.cancel", _TRADE, 1),
    ("account.status", _DATA, 5),
    ("account.balance", _DATA, 5),
    ("account.position", _DATA, 5),
)

_TICKERS: Final = Weight(2, without="symbol", without_cost=4)

_SPOT_METHODS: Final = _catalogue(
    Auth.SIGNED,
    *_SESSION,
    ("session.subscriptions", _NONE, 2),
    ("userDataStream.subscribe", _STREAM, 2, 0, Auth.SESSION),
    ("userDataStream.subscribe.signature", _STREAM, 2, 0, Auth.ALWAYS_SIGNED),
    ("userDataStream.unsubscribe", _NONE, 2),
    ("ping", _NONE, 1),
    ("time", _NONE, 1),
    ("exchangeInfo", _NONE, 20),
    ("executionRules", _NONE, Weight(2, without="symbol", without_cost=40)),
    ("depth", _NONE, Weight(5, by_limit=((100, 5), (500, 25), (1000, 50), (5000, 250)))),
    ("trades.recent", _NONE, 25),
    ("trades.historical", _NONE, 25),
    ("blockTrades.historical", _NONE, 25),
    ("trades.aggregate", _NONE, 4),
    ("klines", _NONE, 2),
    ("uiKlines", _NONE, 2),
    ("avgPrice", _NONE, 2),
    ("ticker.24hr", _NONE, Weight(2, without="symbol", without_cost=80)),
    ("ticker.tradingDay", _NONE, 4),
    ("ticker", _NONE, 4),
    ("ticker.price", _NONE, _TICKERS),
    ("ticker.book", _NONE, _TICKERS),
    ("referencePrice", _NONE, 2),
    ("referencePrice.calculation", _NONE, 2),
    ("order.place", _TRADE, 1, 1),
    ("order.test", _TRADE, Weight(20, without="computeCommissionRates", without_cost=1)),
    ("order.cancel", _TRADE, 1),
    ("order.cancelReplace", _TRADE, 1, 1),
    ("order.amend.keepPriority", _TRADE, 4),
    ("openOrders.cancelAll", _TRADE, 1),
    ("orderList.place", _TRADE, 1, 2),
    ("orderList.place.oco", _TRADE, 1, 2),
    ("orderList.place.oto", _TRADE, 1, 2),
    ("orderList.place.otoco", _TRADE, 1, 3),
    ("orderList.place.opo", _TRADE, 1, 2),
    ("orderList.place.opoco", _TRADE, 1, 3),
    ("orderList.cancel", _TRADE, 1),
    ("sor.order.place", _TRADE, 1, 1),
    ("sor.order.test", _TRADE, Weight(20, without="computeCommissionRates", without_cost=1)),
    ("account.status", _DATA, 20),
    ("order.status", _DATA, 4),
    ("openOrders.status", _DATA, Weight(6, without="symbol", without_cost=80)),
    ("allOrders", _DATA, 20),
    ("orderList.status", _DATA, 4),
    ("openOrderLists.status", _DATA, 6),
    ("allOrderLists", _DATA, 20),
    ("myTrades", _DATA, Weight(5, without="orderId", without_cost=20)),
    ("account.rateLimits.orders", _DATA, 40),
    ("myPreventedMatches", _DATA, Weight(2, without="preventedMatchId", without_cost=20)),
    ("myAllocations", _DATA, 20),
    ("account.commission", _DATA, 20),
    ("order.amendments", _DATA, 4),
    ("myFilters", _DATA, 40),
)

COIN_M: Final = Venue(
    "COIN-M",
    "wss://ws-dapi.binance.com/ws-dapi/v1",
    "wss://dstream.binance.com",
    _COIN_M_METHODS,
)
COIN_M_TESTNET: Final = evolve(
    COIN_M,
    name="COIN-M testnet",
    url="wss://testnet.binancefuture.com/ws-dapi/v1",
    stream_url="wss://dstream.binancefuture.com",
    testnet=True,
)
USD_M: Final = Venue(
    "USD-M",
    "wss://ws-fapi.binance.com/ws-fapi/v1",
    # /private: unrouted sockets have been silent since 2026-04-23 (PROTOCOL.md §1.2)
    "wss://fstream.binance.com/private",
    _USD_M_METHODS,
    # without `events`, which is an allow list; the path form is said to be silent in production (PROTOCOL.md §1.2)
    stream_path="/ws?listenKey={key}",
)
USD_M_TESTNET: Final = evolve(
    USD_M,
    name="USD-M testnet",
    url="wss://testnet.binancefuture.com/ws-fapi/v1",
    # the documents name two hosts for this one (PROTOCOL.md §1.2); this is what clients use today
    stream_url="wss://fstream.binancefuture.com/private",
    testnet=True,
)
SPOT: Final = Venue(
    "Spot",
    "wss://ws-api.binance.com:443/ws-api/v3",
    None,
    _SPOT_METHODS,
    user_stream_auth=Auth.SIGNED,
    has_listen_key=False,
    server_ping_interval=20.0,
    pong_timeout=60.0,
    connection_weight=2,
    weight_per_minute=6000,
    order_limits=((50, "SECOND", 10), (160_000, "DAY", 1)),
)
SPOT_TESTNET: Final = evolve(
    SPOT, name="Spot testnet", url="wss://ws-api.testnet.binance.vision/ws-api/v3", testnet=True
)
