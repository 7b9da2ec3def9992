"""The catalogues against the documents: security types, weights, addresses (PROTOCOL.md §1, §3, §6, §8)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from binance_session import (
    COIN_M,
    COIN_M_TESTNET,
    SPOT,
    SPOT_TESTNET,
    USD_M,
    USD_M_TESTNET,
    ConfigurationError,
    Venue,
)
from binance_session.venues import Auth, Security, Weight

FUTURES = [COIN_M, COIN_M_TESTNET, USD_M, USD_M_TESTNET]
VENUES = [*FUTURES, SPOT, SPOT_TESTNET]

every_venue = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: str(venue.name))
every_futures_venue = pytest.mark.parametrize("venue", FUTURES, ids=lambda venue: str(venue.name))

TABLE = """
COIN-M order.place               TRADE        signed           0
COIN-M order.modify              TRADE        signed           1
COIN-M order.cancel              TRADE        signed           1
COIN-M order.status              USER_DATA    signed           1
COIN-M account.balance           USER_DATA    signed           5
COIN-M account.status            USER_DATA    signed           5
COIN-M account.position          USER_DATA    signed           5
COIN-M userDataStream.start      USER_STREAM  key              1
COIN-M userDataStream.ping       USER_STREAM  key              1
COIN-M userDataStream.stop       USER_STREAM  key              1
COIN-M session.logon             USER_DATA    always signed    2
COIN-M session.status            NONE         nothing          2
COIN-M session.logout            NONE         nothing          2
USD-M  order.place               TRADE        signed           0
USD-M  order.modify              TRADE        signed           0
USD-M  order.cancel              TRADE        signed           1
USD-M  order.status              USER_DATA    signed           1
USD-M  algoOrder.place           TRADE        signed           0
USD-M  algoOrder.cancel          TRADE        signed           1
USD-M  account.status            USER_DATA    signed           5
USD-M  account.balance           USER_DATA    signed           5
USD-M  account.position          USER_DATA    signed           5
USD-M  time                      NONE         nothing          1
USD-M  userDataStream.start      USER_STREAM  key              1
USD-M  userDataStream.ping       USER_STREAM  key              1
USD-M  userDataStream.stop       USER_STREAM  key              1
USD-M  session.logon             USER_DATA    always signed    2
Spot   ping                      NONE         nothing          1
Spot   time                      NONE         nothing          1
Spot   exchangeInfo              NONE         nothing          20
Spot   trades.recent             NONE         nothing          25
Spot   trades.aggregate          NONE         nothing          4
Spot   klines                    NONE         nothing          2
Spot   session.subscriptions     NONE         nothing          2
Spot   session.logon             USER_DATA    always signed    2
Spot   userDataStream.subscribe  USER_STREAM  session          2
Spot   userDataStream.subscribe.signature USER_STREAM always_signed 2
Spot   userDataStream.unsubscribe NONE        nothing          2
Spot   order.place               TRADE        signed           1
Spot   order.cancel              TRADE        signed           1
Spot   order.cancelReplace       TRADE        signed           1
Spot   order.amend.keepPriority  TRADE        signed           4
Spot   openOrders.cancelAll      TRADE        signed           1
Spot   orderList.place.otoco     TRADE        signed           1
Spot   sor.order.place           TRADE        signed           1
Spot   account.status            USER_DATA    signed           20
Spot   order.status              USER_DATA    signed           4
Spot   allOrders                 USER_DATA    signed           20
Spot   openOrderLists.status     USER_DATA    signed           6
Spot   account.rateLimits.orders USER_DATA    signed           40
Spot   account.commission        USER_DATA    signed           20
Spot   myFilters                 USER_DATA    signed           40
"""
ROWS = [line.replace("always signed", "always_signed").split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_method_is_as_documented(row: list[str]) -> None:
    """Security type, what it carries, and what it costs."""
    venue_name, name, security, auth, weight = row
    [venue] = [venue for venue in VENUES if venue.name == venue_name]
    method = venue.method(name)
    assert method.name == name
    assert method.security == security
    assert method.auth.value == auth.replace("_", " ")
    assert method.weight.of({"symbol": "BTCUSDT"}) == int(weight)
    assert method.is_trade is (security == "TRADE")


@pytest.mark.parametrize(
    ("venue", "name", "params", "weight"),
    [
        (USD_M, "depth", {"symbol": "BTCUSDT"}, 10),
        (USD_M, "depth", {"symbol": "BTCUSDT", "limit": 5}, 2),
        (USD_M, "depth", {"symbol": "BTCUSDT", "limit": 50}, 2),
        (USD_M, "depth", {"symbol": "BTCUSDT", "limit": 100}, 5),
        (USD_M, "depth", {"symbol": "BTCUSDT", "limit": 500}, 10),
        (USD_M, "depth", {"symbol": "BTCUSDT", "limit": 1000}, 20),
        (USD_M, "ticker.price", {"symbol": "BTCUSDT"}, 1),
        (USD_M, "ticker.price", {}, 2),
        (USD_M, "ticker.book", {"symbol": "BTCUSDT"}, 2),
        (USD_M, "ticker.book", {}, 5),
        (SPOT, "depth", {"symbol": "BTCUSDT"}, 5),
        (SPOT, "depth", {"symbol": "BTCUSDT", "limit": 100}, 5),
        (SPOT, "depth", {"symbol": "BTCUSDT", "limit": 101}, 25),
        (SPOT, "depth", {"symbol": "BTCUSDT", "limit": 1000}, 50),
        (SPOT, "depth", {"symbol": "BTCUSDT", "limit": 5000}, 250),
        (SPOT, "depth", {"symbol": "BTCUSDT", "limit": 99_999}, 250),
        (SPOT, "depth", {"symbol": "BTCUSDT", "limit": "many"}, 250),
        (SPOT, "ticker.24hr", {"symbol": "BTCUSDT"}, 2),
        (SPOT, "ticker.24hr", {}, 80),
        (SPOT, "ticker.24hr", {"symbols": ["BTCUSDT"] * 20}, 2),
        (SPOT, "ticker.24hr", {"symbols": ["BTCUSDT"] * 21}, 40),
        (SPOT, "ticker.24hr", {"symbols": ["BTCUSDT"] * 101}, 80),
        (SPOT, "ticker.price", {"symbols": ["BTCUSDT"]}, 4),
        (SPOT, "ticker.book", {"symbols": '["BTCUSDT"]'}, 4),
        (SPOT, "ticker", {"symbol": "BTCUSDT"}, 4),
        (SPOT, "ticker", {"symbols": ["BTCUSDT", "ETHUSDT"]}, 8),
        (SPOT, "ticker", {"symbols": '["BTCUSDT","ETHUSDT","BNBBTC"]'}, 12),
        (SPOT, "ticker.tradingDay", {"symbols": ["BTCUSDT"] * 51}, 200),
        (SPOT, "ticker.tradingDay", {"symbols": 7}, 4),
        (SPOT, "executionRules", {"symbol": "BTCUSDT"}, 2),
        (SPOT, "executionRules", {"symbols": ["BTCUSDT"] * 3}, 6),
        (SPOT, "executionRules", {"symbols": ["BTCUSDT"] * 30}, 40),
        (SPOT, "executionRules", {"symbols": []}, 2),
        (SPOT, "executionRules", {"symbolStatus": "TRADING"}, 40),
        (SPOT, "executionRules", {}, 40),
        (SPOT, "ticker.price", {"symbol": "BTCUSDT"}, 2),
        (SPOT, "ticker.price", {}, 4),
        (SPOT, "openOrders.status", {"symbol": "BTCUSDT"}, 6),
        (SPOT, "openOrders.status", {}, 80),
        (SPOT, "myTrades", {"symbol": "BTCUSDT", "orderId": 1}, 5),
        (SPOT, "myTrades", {"symbol": "BTCUSDT"}, 20),
        (SPOT, "myPreventedMatches", {"symbol": "BTCUSDT", "preventedMatchId": 1}, 2),
        (SPOT, "myPreventedMatches", {"symbol": "BTCUSDT", "orderId": 1}, 20),
        (SPOT, "order.test", {}, 1),
        (SPOT, "order.test", {"computeCommissionRates": True}, 20),
        (SPOT, "order.test", {"computeCommissionRates": "true"}, 20),
        (SPOT, "sor.order.test", {"computeCommissionRates": False}, 1),
    ],
)
def test_weights_that_depend_on_the_parameters(venue: Venue, name: str, params: dict[str, Any], weight: int) -> None:
    """Some calls cost more without a symbol, or with a deeper book."""
    assert venue.method(name).weight.of(params) == weight


def test_what_is_free_when_it_succeeds() -> None:
    """Spot's requests that place or cancel, by the change log of 2026-03-27; nothing on futures."""
    free = {name for name, method in SPOT.methods.items() if method.free_if_done}
    placing = {name for name, method in SPOT.methods.items() if method.orders}
    assert free == placing | {"order.cancel", "openOrders.cancelAll", "orderList.cancel"}
    assert "order.amend.keepPriority" not in free
    assert SPOT.method("v3/order.place").free_if_done
    for venue in (COIN_M, USD_M):
        assert not [name for name, method in venue.methods.items() if method.free_if_done]


@pytest.mark.parametrize(
    ("venue", "name", "orders"),
    [
        (COIN_M, "order.place", 1),
        (COIN_M, "order.modify", 1),
        (COIN_M, "order.cancel", 0),
        (USD_M, "order.modify", 1),
        (SPOT, "order.place", 1),
        (SPOT, "order.amend.keepPriority", 0),
        (SPOT, "order.test", 0),
        (SPOT, "orderList.place.oco", 2),
        (SPOT, "orderList.place.opoco", 3),
    ],
)
def test_what_counts_as_an_order(venue: Venue, name: str, orders: int) -> None:
    """The account's ORDERS count grows by so many."""
    assert venue.method(name).orders == orders


@pytest.mark.parametrize(
    ("venue", "url", "stream_url"),
    [
        (COIN_M, "wss://ws-dapi.binance.com/ws-dapi/v1", "wss://dstream.binance.com"),
        (COIN_M_TESTNET, "wss://testnet.binancefuture.com/ws-dapi/v1", "wss://dstream.binancefuture.com"),
        (USD_M, "wss://ws-fapi.binance.com/ws-fapi/v1", "wss://fstream.binance.com/private"),
        (USD_M_TESTNET, "wss://testnet.binancefuture.com/ws-fapi/v1", "wss://fstream.binancefuture.com/private"),
        (SPOT, "wss://ws-api.binance.com:443/ws-api/v3", None),
        (SPOT_TESTNET, "wss://ws-api.testnet.binance.vision/ws-api/v3", None),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_addresses_are_the_documented_ones(venue: Venue, url: str, stream_url: str | None) -> None:
    """A wrong address is a session that never works (PROTOCOL.md §1.1, §1.2)."""
    assert (venue.url, venue.stream_url) == (url, stream_url)
    assert venue.testnet is ("testnet" in venue.name)


@every_futures_venue
def test_futures_keep_a_stream_alive_with_the_key_alone(venue: Venue) -> None:
    """apiKey and nothing else on userDataStream.*, a listenKey of an hour, a ping every 3 minutes (§1.3, §3, §5.1)."""
    assert venue.user_stream_auth is Auth.KEY
    assert venue.has_listen_key
    assert venue.listen_key_lifetime == 3600.0
    assert (venue.server_ping_interval, venue.pong_timeout) == (180.0, 600.0)
    assert (venue.connection_weight, venue.weight_per_minute) == (5, 2400)
    assert venue.order_limits == ((300, "SECOND", 10), (1200, "MINUTE", 1))


@pytest.mark.parametrize("venue", [SPOT, SPOT_TESTNET])
def test_spot_has_no_listen_key(venue: Venue) -> None:
    """Its events come over the API socket, to whoever signs or is logged on (§5.4)."""
    assert not venue.has_listen_key
    assert "userDataStream.ping" not in venue.methods
    assert venue.user_stream_auth is Auth.SIGNED
    assert (venue.server_ping_interval, venue.pong_timeout) == (20.0, 60.0)
    assert (venue.connection_weight, venue.weight_per_minute) == (2, 6000)


@every_venue
def test_what_holds_everywhere(venue: Venue) -> None:
    """A day of life, a minute of recvWindow at most, the session methods, and names that are their own keys."""
    assert venue.has_logon
    assert venue.lifetime == 86_400.0
    assert venue.max_recv_window == 60_000
    assert {"session.logon", "session.status", "session.logout"} <= venue.methods.keys()
    assert all(name == method.name for name, method in venue.methods.items())
    assert venue.url.startswith("wss://")


def test_every_security_type_says_what_it_carries() -> None:
    """In no catalogue is a TRADE or USER_DATA method unsigned, or a NONE method given a key."""
    allowed = {
        Security.NONE: {Auth.NOTHING},
        Security.USER_STREAM: {Auth.KEY, Auth.SESSION, Auth.ALWAYS_SIGNED},
        Security.USER_DATA: {Auth.SIGNED, Auth.ALWAYS_SIGNED},
        Security.TRADE: {Auth.SIGNED},
    }
    seen: dict[Security, set[Auth]] = {}
    for venue in VENUES:
        for method in venue.methods.values():
            seen.setdefault(method.security, set()).add(method.auth)
    assert seen == allowed


@pytest.mark.parametrize("name", ["v2/account.status", "v12/account.status", "v1/order.place"])
def test_a_version_prefix_changes_the_name_only(name: str) -> None:
    """A versioned method needs and costs what the plain one does, and is sent as it was asked for."""
    versioned, plain = USD_M.method(name), USD_M.method(name.partition("/")[2])
    assert versioned.name == name
    assert attrs.evolve(versioned, name=plain.name) == plain


@pytest.mark.parametrize(
    ("name", "expected"),
    [("session.status", True), ("v3/session.status", True), ("v3/time", True), ("order.place", False)],
)
def test_answers_about_the_connection_are_known(name: str, expected: bool) -> None:
    """Also under a version, the answers of session.* and time tell about the connection."""
    assert SPOT.method(name).is_about_session is expected


@pytest.mark.parametrize("name", ["order.replace", "Order.place", "v2/order.replace", "x/order.place", "v/ping", "v2/"])
@every_venue
def test_an_unknown_method_is_refused(venue: Venue, name: str) -> None:
    """Guessing could send an order unsigned, so the error asks for the security type."""
    with pytest.raises(ConfigurationError, match="security=") as caught:
        venue.method(name)
    assert caught.value.method == name
    assert venue.name in str(caught.value)
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize(
    ("venue", "security", "auth"),
    [
        (COIN_M, "NONE", Auth.NOTHING),
        (COIN_M, "USER_STREAM", Auth.KEY),
        (COIN_M, "USER_DATA", Auth.SIGNED),
        (COIN_M, "TRADE", Auth.SIGNED),
        (SPOT, "USER_STREAM", Auth.SIGNED),
        (SPOT, Security.TRADE, Auth.SIGNED),
    ],
)
def test_a_method_of_tomorrow_can_be_called(venue: Venue, security: Any, auth: Auth) -> None:
    """Its security type, when given, decides what it carries."""
    method = venue.method("order.tomorrow", security)
    assert (method.name, method.security, method.auth) == ("order.tomorrow", security, auth)
    assert method.weight.of({}) == 1
    assert method.is_trade is (security == "TRADE")


@pytest.mark.parametrize("security", ["trade", "SIGNED", "", 5, []])
def test_a_security_type_that_does_not_exist_is_refused(security: Any) -> None:
    """The error lists those that do."""
    with pytest.raises(ConfigurationError, match="NONE, USER_STREAM, USER_DATA, TRADE"):
        COIN_M.method("order.tomorrow", security)


@pytest.mark.parametrize("name", ["", None, 5, b"ping"])
def test_a_method_is_text(name: Any) -> None:
    """Anything else is a mistake that is told."""
    with pytest.raises(ConfigurationError, match="non-empty string"):
        COIN_M.method(name)


def test_a_venue_of_ones_own_is_a_changed_copy() -> None:
    """Venues are values: a gateway's address is an evolve() away, and shows no catalogue in its repr."""
    mine = attrs.evolve(COIN_M, url="wss://gateway.example/ws")
    assert mine.method("order.place") == COIN_M.method("order.place")
    assert "order.place" not in repr(mine)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        COIN_M.url = "wss://elsewhere.example"  # type: ignore[misc]
    assert Weight(3).of({}) == 3


@every_venue
def test_every_method_says_what_to_ask_when_its_outcome_is_unknown(venue: Venue) -> None:
    """What changes something names a query of this very venue, or says that there is none; a query is repeated."""
    for method in venue.methods.values():
        if not method.changes_anything:
            assert "may have been executed" not in method.if_unknown
            assert "repeating it does no harm" in method.if_unknown
            assert method.query is None
            continue
        assert "may have been executed" in method.if_unknown
        if method.query is None:
            assert method.name.startswith("algoOrder.")
            assert "/fapi/v1/algoOrder" in method.if_unknown
        else:
            assert not venue.methods[method.query].changes_anything
            assert f"ask {method.query}" in method.if_unknown


def test_an_algo_order_is_not_asked_for_by_order_status() -> None:
    """It says -2013 of one that stands, and who believes that places it twice."""
    method = USD_M.method("v1/algoOrder.place")
    assert method.query is None
    assert "ask order.status" not in method.if_unknown


def test_of_a_trade_method_that_nobody_knows_the_documents_are_to_be_asked() -> None:
    assert "documents" in USD_M.method("order.invent", "TRADE").if_unknown
    assert USD_M.method("order.look", "USER_DATA").if_unknown == "repeating it does no harm"
    assert not SPOT.methods["order.test"].changes_anything


@pytest.mark.parametrize(
    ("venue", "name", "says"),
    [
        (COIN_M, "order.plcae", "did you mean 'order.place'?"),
        (COIN_M, "v1/order.plcae", "did you mean 'order.place'?"),
        (COIN_M, "Order.Place", "did you mean 'order.place'?"),
        (COIN_M, "userdatastream.ping", "did you mean 'userDataStream.ping'?"),
        (COIN_M, "account.commission", "it is a method of Spot"),
        (COIN_M, "ticker.price", "it is a method of USD-M and Spot"),
        (SPOT, "userDataStream.start", "it is a method of COIN-M and USD-M"),
        (COIN_M, "something else", "If the exchange has it, name its security type"),
        (COIN_M, "\x1b[2J" * 5000, "If the exchange has it, name its security type"),
    ],
)
def test_an_unknown_method_is_told_what_was_meant(venue: Venue, name: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        venue.method(name)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_method_that_is_no_text_is_not_shown() -> None:
    """It may be what belongs into another parameter."""
    with pytest.raises(ConfigurationError, match="not a dict"):
        COIN_M.method({"secret": "hunter2"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        ("coin-m", COIN_M),
        ("COIN-M", COIN_M),
        ("usd-m", USD_M),
        ("spot", SPOT),
        ("Spot testnet", SPOT_TESTNET),
        ("coin-m-testnet", COIN_M_TESTNET),
        ("usd-m-testnet", USD_M_TESTNET),
    ],
)
def test_a_venue_by_its_name(name: str, venue: Venue) -> None:
    assert Venue.named(name) is venue
    assert Venue.named(venue.name) is venue


@pytest.mark.parametrize(
    ("name", "said"),
    [("coinm", "did you mean 'coin-m'?"), ("kraken", "there are coin-m, "), ("", "there are coin-m"), (3, "an int")],
)
def test_a_venue_that_there_is_not(name: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Venue.named(name)
    assert said in str(caught.value)


@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT])
def test_the_methods_can_be_read(venue: Venue) -> None:
    lines = venue.table().splitlines()
    assert [line.split()[0] for line in lines] == list(venue.methods)
    for line in lines:
        name, security, weight = line.split()
        assert venue.methods[name].security == security
        assert int(weight.rstrip("+")) == venue.methods[name].weight.default
    assert any(line.endswith("+") for line in SPOT.table().splitlines())
