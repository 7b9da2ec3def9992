"""What each method of each venue needs and costs, and how to find out whether a request was executed.

Everything here is a table. Sources: PROTOCOL.md §3 (security types), §4 to §6 (methods and weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any, Final, Literal

from attrs import field, frozen

__all__ = ["COIN_M_METHODS", "SPOT_METHODS", "USD_M_METHODS", "Auth", "Method", "Security", "SecurityName", "Weight"]


#: a security type as it is typed in a call
SecurityName = Literal["NONE", "USER_STREAM", "USER_DATA", "TRADE"]


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
    """How much of the address's request weight a call uses: ``default`` unless a rule applies.

    ``without`` names a parameter whose absence costs ``without_cost``, ``if_true`` one that costs ``if_true_cost`` when
    it is true. ``by_limit`` lists (highest ``limit``, cost) in rising order. With ``symbols``, ``by_symbols`` lists
    (highest number of them, cost) in rising order, or each one costs ``per_symbol``, up to ``most`` together.
    """

    default: int
    without: str | None = None
    without_cost: int = 0
    by_limit: tuple[tuple[int, int], ...] = ()
    default_limit: int = 100
    if_true: str | None = None
    if_true_cost: int = 0
    by_symbols: tuple[tuple[int, int], ...] = ()
    per_symbol: int = 0
    most: int = 0

    def of(self, params: Mapping[str, Any]) -> int:
        """Return the weight of a call with these parameters."""
        if (self.by_symbols or self.per_symbol) and "symbols" in params:
            number = _number_of(params["symbols"])
            if self.by_symbols:
                return _step(self.by_symbols, number)
            return min(self.per_symbol * max(number, 1), self.most)
        if self.if_true is not None and params.get(self.if_true) in _TRUE:
            return self.if_true_cost
        if self.without is not None and self.without not in params:
            return self.without_cost
        if self.by_limit:
            return _step(self.by_limit, params.get("limit", self.default_limit))
        return self.default


#: how a boolean parameter is written when it is true (PROTOCOL.md §2)
_TRUE: Final = (True, "true", "TRUE")


def _number_of(symbols: Any) -> int:
    """Return how many symbols a parameter names: a list, or the text of one."""
    if isinstance(symbols, str):
        return symbols.count(",") + 1
    return len(symbols) if isinstance(symbols, (list, tuple)) else 1


def _step(steps: tuple[tuple[int, int], ...], value: Any) -> int:
    """Return the cost of the first step that is as high as the value, or of the last."""
    for highest, cost in steps:
        if isinstance(value, int) and value <= highest:
            return cost
    return steps[-1][1]


@frozen
class Method:
    """One method of a venue's catalogue: its name, its security type, and what it costs.

    ``orders`` is how many orders it adds to the account's ORDERS count. ``free_if_done``: its weight is
    charged only when it fails (Spot, since 2026-04-02; PROTOCOL.md §6).
    """

    name: str
    security: Security
    weight: Weight
    auth: Auth
    orders: int = 0
    free_if_done: bool = False
    #: whether it waits for READY only when asked to (an attribute, because every request reads it)
    is_trade: bool = field(init=False)
    #: whether its answer is about the connection: who is logged on, the server's time, the subscriptions
    is_about_session: bool = field(init=False)

    #: whether it changes something at the exchange, so that it matters whether it was executed
    changes_anything: bool = field(init=False)
    #: whether it may use the reserved request weight: what reduces risk, and what keeps the session alive
    is_urgent: bool = field(init=False)

    @is_urgent.default
    def _is_urgent(self) -> bool:
        name = self.name.rpartition("/")[2]
        return name.endswith((".cancel", ".cancelAll")) or name.startswith(("session.", "userDataStream."))

    @changes_anything.default
    def _changes_anything(self) -> bool:
        return self.security is Security.TRADE and self.name.rpartition("/")[2] not in _TESTS

    @property
    def query(self) -> str | None:
        """The method that tells whether a request of this one was executed; ``None`` if this API has none."""
        return _QUERIES.get(self.name.rpartition("/")[2], (None, ""))[0]

    @property
    def if_unknown(self) -> str:
        """What an unknown outcome means for a request of this method, and what to ask: the end of a sentence."""
        if not self.changes_anything:
            return "repeating it does no harm"
        query, how = _QUERIES.get(self.name.rpartition("/")[2], (None, _UNKNOWN_QUERY))
        return f"it may have been executed: before repeating it ask {f'{query} {how}' if query else how}"

    @is_trade.default
    def _is_trade(self) -> bool:
        return self.security is Security.TRADE

    @is_about_session.default
    def _is_about_session(self) -> bool:
        name = self.name.rpartition("/")[2]  # without the version
        return name in ("session.logon", "session.status", "session.logout", "time") or self.subscribes

    @property
    def subscribes(self) -> bool:
        """Whether it subscribes the connection to the account's events (Spot)."""
        return self.name.rpartition("/")[2].startswith("userDataStream.subscribe")


#: TRADE methods that only check whether an order would be accepted
_TESTS: Final = frozenset({"order.test", "sor.order.test"})
_UNKNOWN_QUERY: Final = "for its result as Binance's documents of this method describe"
_BY_ORDER: Final = (
    "(origClientOrderId is your newClientOrderId; if you gave none, look at the account's events and open orders)"
)
_BY_LIST: Final = "(origClientOrderId is your listClientOrderId; if you gave none, ask openOrderLists.status)"
#: USD-M: ``order.status`` answers -2013 for an algo order, although the order exists
_ALGO: Final = (
    "REST GET /fapi/v1/algoOrder (with your clientAlgoId), or wait for the event ALGO_UPDATE: this API has no method"
    " that shows algo orders, and order.status answers -2013 although the order is live"
)
#: method -> the method that tells whether it was executed, if there is one, and how it is asked
_QUERIES: Final[Mapping[str, tuple[str | None, str]]] = {
    "order.place": ("order.status", _BY_ORDER),
    "order.modify": ("order.status", "(does it show the change?)"),
    "order.cancel": ("order.status", "(is it still live?)"),
    "algoOrder.place": (None, _ALGO),
    "algoOrder.cancel": (None, _ALGO),
    "order.cancelReplace": ("order.status", "for both, the old order and the new"),
    "order.amend.keepPriority": ("order.amendments", "or order.status"),
    "openOrders.cancelAll": ("openOrders.status", "(what is still live?)"),
    "orderList.place": ("orderList.status", _BY_LIST),
    "orderList.place.oco": ("orderList.status", _BY_LIST),
    "orderList.place.oto": ("orderList.status", _BY_LIST),
    "orderList.place.otoco": ("orderList.status", _BY_LIST),
    "orderList.place.opo": ("orderList.status", _BY_LIST),
    "orderList.place.opoco": ("orderList.status", _BY_LIST),
    "orderList.cancel": ("orderList.status", "(is it still live?)"),
    "sor.order.place": ("order.status", _BY_ORDER),
}


def _catalogue(
    user_stream: Auth, *methods: tuple[Any, ...], free_if_done: frozenset[str] = frozenset()
) -> dict[str, Method]:
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
        catalogue[name] = Method(name, security, cost, auth, orders, name in free_if_done)
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

COIN_M_METHODS: Final = _catalogue(
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

USD_M_METHODS: Final = _catalogue(
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

_TICKERS: Final = Weight(2, without="symbol", without_cost=4, by_symbols=((1, 4),))
_STATISTICS: Final = Weight(4, per_symbol=4, most=200)
_TESTING: Final = Weight(1, if_true="computeCommissionRates", if_true_cost=20)
#: `order.amend.keepPriority` is none of them: it is free only if the order expires by it
_FREE_IF_DONE: Final = frozenset(
    {
        "order.place",
        "sor.order.place",
        "order.cancel",
        "openOrders.cancelAll",
        "order.cancelReplace",
        "orderList.place",
        "orderList.place.oco",
        "orderList.place.oto",
        "orderList.place.otoco",
        "orderList.place.opo",
        "orderList.place.opoco",
        "orderList.cancel",
    }
)

SPOT_METHODS: Final = _catalogue(
    Auth.SIGNED,
    *_SESSION,
    ("session.subscriptions", _NONE, 2),
    ("userDataStream.subscribe", _STREAM, 2, 0, Auth.SESSION),
    ("userDataStream.subscribe.signature", _STREAM, 2, 0, Auth.ALWAYS_SIGNED),
    # Margin, on the Spot host: the token, which REST gives out, is the proof
    ("userDataStream.subscribe.listenToken", _NONE, 2),
    ("userDataStream.unsubscribe", _NONE, 2),
    ("ping", _NONE, 1),
    ("time", _NONE, 1),
    ("exchangeInfo", _NONE, 20),
    ("executionRules", _NONE, Weight(2, without="symbol", without_cost=40, per_symbol=2, most=40)),
    ("depth", _NONE, Weight(5, by_limit=((100, 5), (500, 25), (1000, 50), (5000, 250)))),
    ("trades.recent", _NONE, 25),
    ("trades.historical", _NONE, 25),
    ("blockTrades.historical", _NONE, 25),
    ("trades.aggregate", _NONE, 4),
    ("klines", _NONE, 2),
    ("uiKlines", _NONE, 2),
    ("avgPrice", _NONE, 2),
    (
        "ticker.24hr",
        _NONE,
        Weight(2, without="symbol", without_cost=80, by_symbols=((20, 2), (100, 40), (101, 80))),
    ),
    ("ticker.tradingDay", _NONE, _STATISTICS),
    ("ticker", _NONE, _STATISTICS),
    ("ticker.price", _NONE, _TICKERS),
    ("ticker.book", _NONE, _TICKERS),
    ("referencePrice", _NONE, 2),
    ("referencePrice.calculation", _NONE, 2),
    ("order.place", _TRADE, 1, 1),
    ("order.test", _TRADE, _TESTING),
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
    ("sor.order.test", _TRADE, _TESTING),
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
    free_if_done=_FREE_IF_DONE,
)
