"""Spot's public methods: the order book, trades, candles, tickers, and how symbols are traded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import BlockTrade, ManualClock, PriceRange, Readings, Reference, Symbol
from binance_session.venues import SPOT
from tests.simulator.client import Client, refused, simulated
from tests.simulator.spotday import BOTH, BTC, BUY, SELL

MINUTE = 60_000
#: 2023-11-14 22:13:20 UTC, a Tuesday
START = 1_700_000_000


async def test_trades() -> None:
    clock = ManualClock(START)
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert (await client.ask("trades.recent", symbol=BTC))["result"] == []
        await client.timed("order.place", **BUY, price="60000")
        clock.advance(1)
        await client.timed("order.place", **SELL, price="61000", newClientOrderId="rests")
        simulator.fill(BTC, "rests", "0.5")
        first, second = rows = (await client.ask("trades.recent", symbol=BTC))["result"]
        assert (first["price"], first["qty"], first["quoteQty"]) == (
            "60000.00000000",
            "1.00000000",
            "60000.00000000",
        )
        assert (first["isBuyerMaker"], second["isBuyerMaker"]) == (False, False), "both bought from a resting order"
        assert (await client.ask("trades.recent", symbol=BTC, limit=1))["result"] == [second]
        assert (await client.ask("trades.historical", symbol=BTC))["result"] == rows
        since = {"fromId": second["id"]}
        assert (await client.ask("trades.historical", symbol=BTC, **since))["result"] == [second]
        assert (await client.ask("trades.recent", symbol="ETHUSDT"))["result"] == []
        one, two = both = (await client.ask("trades.aggregate", symbol=BTC))["result"]
        assert (one["a"], one["f"], one["l"], one["T"]) == (first["id"], first["id"], first["id"], first["time"])
        assert (await client.ask("trades.aggregate", symbol=BTC, **since))["result"] == [two]
        assert (await client.ask("trades.aggregate", symbol=BTC, startTime=two["T"]))["result"] == [two]
        assert (await client.ask("trades.aggregate", symbol=BTC, endTime=one["T"]))["result"] == [one]
        assert (await client.ask("trades.aggregate", symbol=BTC, limit=1))["result"] == both[1:]
        refused(await client.ask("trades.aggregate", symbol=BTC, fromId=1, startTime=1), -1128)
        refused(await client.ask("trades.recent", symbol=BTC, limit=0), -1130)
        assert (await client.ask("avgPrice", symbol=BTC))["result"]["closeTime"] == second["time"]
        mine = (await client.timed("myTrades", symbol=BTC))["result"]
        assert [(row["id"], row["isBuyer"], row["isMaker"]) for row in mine] == [
            (first["id"], True, False),
            (second["id"], False, True),
        ]


async def test_block_trades_are_those_that_were_put_there() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        assert (await client.ask("blockTrades.historical", symbol=BTC, fromId=0))["result"] == []
        trades = [BlockTrade(number, Decimal(60000), Decimal(2), client.now) for number in (1, 2, 3)]
        simulator.exchange.market.block_trades[BTC] = trades
        rows = (await client.ask("blockTrades.historical", symbol=BTC, fromId=2, limit=1))["result"]
        assert [(row["id"], row["quoteQty"]) for row in rows] == [(2, "120000.00000000")]
        refused(await client.ask("blockTrades.historical", symbol=BTC), -1102)


@pytest.mark.parametrize(
    ("interval", "zone", "opens", "length"),
    [
        ("1s", "0", "2023-11-14T22:13:20", 1),
        ("1m", "0", "2023-11-14T22:13:00", 60),
        ("4h", "0", "2023-11-14T20:00:00", 4 * 3600),
        ("1d", "0", "2023-11-14T00:00:00", 86400),
        ("1d", "8", "2023-11-14T16:00:00", 86400),
        ("1d", "-1:00", "2023-11-14T01:00:00", 86400),
        ("1d", "05:45", "2023-11-14T18:15:00", 86400),
        ("1w", "0", "2023-11-13T00:00:00", 7 * 86400),
        ("1M", "0", "2023-11-01T00:00:00", 30 * 86400),
    ],
)
async def test_when_candles_open(interval: str, zone: str, opens: str, length: int) -> None:
    from datetime import datetime

    expected = int(datetime.fromisoformat(f"{opens}+00:00").timestamp() * 1000)
    async with simulated(SPOT, clock=ManualClock(START)) as simulator, Client.connected(simulator) as client:
        rows = (await client.ask("klines", symbol=BTC, interval=interval, timeZone=zone, limit=2))["result"]
        assert [rows[-1][0], rows[-1][6]] == [expected, expected + length * 1000 - 1]
        assert rows[0][6] == expected - 1, "one after the other"
        asked = {"symbol": BTC, "interval": interval, "timeZone": zone, "startTime": rows[0][0]}
        assert (await client.ask("klines", **asked))["result"] == rows
        assert (await client.ask("uiKlines", **asked))["result"] == rows
        assert (await client.ask("klines", **asked, endTime=rows[0][6]))["result"] == rows[:1]
        assert (await client.ask("klines", **{**asked, "startTime": rows[0][0] + 1}))["result"] == rows[1:]


async def test_what_candles_show() -> None:
    clock = ManualClock(START - START % 60)
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        clock.advance(60)
        for price in ("61000", "58000", "59000"):
            simulator.set_price(BTC, price)
        await client.timed("order.place", **BUY, price="59000")
        await client.timed("order.place", **SELL, price="59000")
        clock.advance(60)
        rows = (await client.ask("klines", symbol=BTC, interval="1m", limit=3))["result"]
        assert [row[1:5] for row in rows] == [
            ["60000.00000000"] * 4,
            ["60000.00000000", "61000.00000000", "58000.00000000", "59000.00000000"],
            ["59000.00000000"] * 4,
        ]
        assert [row[8] for row in rows] == [0, 2, 0]
        assert rows[1][5:6] + rows[1][7:8] + rows[1][9:] == [
            "2.00000000",
            "118000.00000000",
            "1.00000000",
            "59000.00000000",
            "0",
        ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"interval": "7m"}, -1120),
        ({"timeZone": "15"}, -1130),
        ({"timeZone": "-12:30"}, -1130),
        ({"timeZone": "5:75"}, -1130),
        ({"timeZone": "east"}, -1130),
        ({"limit": 0}, -1130),
        ({"symbol": "NOSUCH"}, -1121),
    ],
)
async def test_candles_that_there_are_not(change: dict[str, Any], code: int) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        refused(await client.ask("klines", **{"symbol": BTC, "interval": "1m", **change}), code)


@pytest.mark.parametrize("interval", ["1s", "1M"])
@pytest.mark.parametrize("times", [{"startTime": 2**62}, {"endTime": -5}, {"startTime": 5, "endTime": 4}])
async def test_times_without_candles(interval: str, times: dict[str, int]) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        assert (await client.ask("klines", symbol=BTC, interval=interval, **times))["result"] == []
        early = await client.ask("klines", symbol=BTC, interval=interval, startTime=-(2**62), limit=1)
        assert early["result"][0][0] == 0


async def test_tickers() -> None:
    clock = ManualClock(START)
    async with simulated(SPOT, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.set_price(BTC, "66000")
        await client.timed("order.place", **BUY, price="66000")
        clock.advance(3600)
        day = (await client.ask("ticker.24hr", symbol=BTC))["result"]
        assert (day["openPrice"], day["lastPrice"], day["priceChange"], day["priceChangePercent"]) == (
            "60000.00000000",
            "66000.00000000",
            "6000.00000000",
            "10.000",
        )
        assert (day["weightedAvgPrice"], day["count"], day["lastQty"]) == ("66000.00000000", 1, "1.00000000")
        assert (day["bidPrice"], day["closeTime"] - day["openTime"]) == ("65999.99000000", 86_400_000)
        hour = (await client.ask("ticker", symbol=BTC, windowSize="5m"))["result"]
        assert (hour["openPrice"], hour["count"], hour["firstId"]) == ("66000.00000000", 0, -1)
        assert (hour["openTime"] % MINUTE, hour["closeTime"]) == (0, client.now)
        trading = (await client.ask("ticker.tradingDay", symbol=BTC, timeZone="0"))["result"]
        assert (trading["openTime"] % 86_400_000, trading["closeTime"] - trading["openTime"]) == (0, 86_399_999)
        mini = (await client.ask("ticker.24hr", symbols=BOTH, type="MINI"))["result"]
        assert [row["symbol"] for row in mini] == BOTH
        assert "priceChange" not in mini[0]
        assert len((await client.ask("ticker.24hr"))["result"]) == 4


@pytest.mark.parametrize("method", ["ticker.24hr", "ticker.tradingDay", "ticker", "ticker.price", "ticker.book"])
async def test_which_symbols(method: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        market = simulator.exchange.market
        market.add(Symbol("OLDUSDT", "OLD", "USDT", price_digits=8, quantity_digits=8, status="HALT"), "1")
        for params, code in (
            ({"symbol": BTC, "symbols": BOTH}, -1128),
            ({"symbols": [BTC, BTC]}, -1151),
            ({"symbols": []}, -1130),
            ({"symbols": ["NOSUCH"]}, -1121),
            ({"symbol": BTC, "symbolStatus": "SOME"}, -1122),
            ({"symbol": BTC, "symbolStatus": "HALT"}, -1220),
        ):
            refused(await client.ask(method, **params), code)
        rows = (await client.ask(method, symbols=[BTC, "OLDUSDT"], symbolStatus="TRADING"))["result"]
        assert [row["symbol"] for row in rows] == [BTC]
        assert (await client.ask(method, symbol="OLDUSDT", symbolStatus="HALT"))["status"] == 200
        answer = await client.ask(method)
        if method in ("ticker.tradingDay", "ticker"):
            refused(answer, -1102)
        else:
            assert len(answer["result"]) == 5


@pytest.mark.parametrize("size", ["0m", "60m", "24h", "8d", "1w", "1d 2h", "m"])
async def test_windows_that_there_are_not(size: str) -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        refused(await client.ask("ticker", symbol=BTC, windowSize=size), -1130)
        refused(await client.ask("ticker", symbol=BTC, type="MAXI"), -1139)


async def test_the_levels_of_a_cheap_symbol_are_above_nothing() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        book = (await client.ask("depth", symbol="BNBBTC", limit=5000))["result"]
        assert (len(book["bids"]), len(book["asks"])) == (5000, 5000)
        assert all(Decimal(price) > 0 for price, _ in book["bids"])
        simulator.set_price("BNBBTC", "0.000003")
        assert len((await client.ask("depth", symbol="BNBBTC"))["result"]["bids"]) == 2
        refused(await client.ask("depth", symbol=BTC, limit=0), -1130)
        refused(await client.ask("depth", symbol=BTC, symbolStatus="BREAK"), -1220)


async def test_how_symbols_are_traded() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        for params, code in (
            ({"symbol": BTC, "permissions": ["SPOT"]}, -1128),
            ({"symbol": BTC, "symbolStatus": "TRADING"}, -1128),
            ({"symbols": BOTH, "symbol": BTC}, -1128),
        ):
            refused(await client.ask("exchangeInfo", **params), code)
        info = (await client.ask("exchangeInfo", permissions="SPOT", showPermissionSets=False))["result"]
        assert [symbol["permissionSets"] for symbol in info["symbols"]] == [[]] * 4
        assert (await client.ask("exchangeInfo", permissions=["MARGIN"]))["result"]["symbols"] == []
        assert (await client.ask("exchangeInfo", symbolStatus="BREAK"))["result"]["symbols"] == []
        kinds = [limit["rateLimitType"] for limit in info["rateLimits"]]
        assert kinds == ["REQUEST_WEIGHT", "ORDERS", "ORDERS", "CONNECTIONS"]
        halted = Symbol("OLDUSDT", "OLD", "USDT", price_digits=8, quantity_digits=8, status="HALT")
        simulator.exchange.market.add(halted, "1")
        await client.logon()
        order = {**BUY, "symbol": "OLDUSDT", "price": "1"}
        assert refused(await client.timed("order.place", **order), -2010) == "Market is closed."


async def test_execution_rules() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        rules = (await client.ask("executionRules", symbol=BTC))["result"]
        assert rules == {"symbolRules": [{"symbol": BTC, "rules": []}]}
        simulator.exchange.market.price_ranges[BTC] = PriceRange(Decimal(2), Decimal("0.5"), Decimal(3), Decimal(0))
        [row] = (await client.ask("executionRules", symbol=BTC))["result"]["symbolRules"]
        assert row["rules"] == [
            {
                "ruleType": "PRICE_RANGE",
                "bidLimitMultUp": "2.0000",
                "bidLimitMultDown": "0.5000",
                "askLimitMultUp": "3.0000",
                "askLimitMultDown": "0.0000",
            }
        ]
        assert len((await client.ask("executionRules"))["result"]["symbolRules"]) == 4
        refused(await client.ask("executionRules", symbol=BTC, symbolStatus="TRADING"), -1128)


@pytest.mark.parametrize("reading", ["error", "result"])
async def test_a_reference_price_that_was_never_set(reading: Any) -> None:
    readings = Readings(no_reference_price=reading)
    async with simulated(SPOT, readings=readings) as simulator, Client.connected(simulator) as client:
        answer = await client.ask("referencePrice", symbol=BTC)
        if reading == "error":
            refused(answer, -2043)
        else:
            assert (answer["status"], answer["result"]["code"]) == (200, -2043)
        refused(await client.ask("referencePrice.calculation", symbol=BTC), -2043)


async def test_reference_prices() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        references = simulator.exchange.market.references
        references[BTC] = Reference(Decimal("59000.5"), 1234)
        references["ETHUSDT"] = Reference(None, 1234, external=42)
        assert (await client.ask("referencePrice", symbol=BTC))["result"] == {
            "symbol": BTC,
            "referencePrice": "59000.50000000",
            "timestamp": 1234,
        }
        assert (await client.ask("referencePrice", symbol="ETHUSDT"))["result"]["referencePrice"] is None
        mean = (await client.ask("referencePrice.calculation", symbol=BTC))["result"]
        assert mean == {"symbol": BTC, "calculationType": "ARITHMETIC_MEAN", "bucketCount": 10, "bucketWidthMs": 1000}
        other = (await client.ask("referencePrice.calculation", symbol="ETHUSDT", symbolStatus="TRADING"))["result"]
        assert other == {"symbol": "ETHUSDT", "calculationType": "EXTERNAL", "externalCalculationId": 42}
        refused(await client.ask("referencePrice.calculation", symbol=BTC, symbolStatus="HALT"), -1220)
