"""Spot's order book, trades, candles and tickers (PROTOCOL.md §6).

Only the simulator's own accounts trade here; an order book has its levels all the same.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.candles import INTERVALS, Candle, candle, offset_of, openings
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.marketdata import best, level
from binance_session.simulator.methods.spot_queries import limit_of
from binance_session.simulator.methods.spot_symbols import each, one
from binance_session.simulator.refusals import Refusal, invalid
from binance_session.simulator.state import Call
from binance_session.simulator.trades import Trade

__all__ = ["SPOT_MARKET"]

SPOT_MARKET = Table()

_MINUTE: Final = 60_000
_DAY: Final = 1440 * _MINUTE
_DEEPEST: Final = 5000
#: windowSize: minutes 1 to 59, hours 1 to 23, days 1 to 7
_WINDOW: Final = re.compile(r"([1-9]|[1-5][0-9])(m)|([1-9]|1[0-9]|2[0-3])(h)|([1-7])(d)", re.ASCII)
_UNITS: Final = {"m": _MINUTE, "h": 60 * _MINUTE, "d": _DAY}
_ZERO: Final = Decimal(0)


@SPOT_MARKET.method("depth", "symbol", "limit symbolStatus")
def depth(call: Call) -> dict[str, Any]:
    """Show an order book of evenly spaced levels around the price."""
    symbol = one(call)
    limit = call.params.get("limit", 100)
    if limit < 1:
        raise invalid("limit")
    market, levels = call.state.market, range(1, min(limit, _DEEPEST) + 1)
    return {
        "lastUpdateId": call.now_ms,
        "bids": [level(call, symbol, -steps) for steps in levels if market.level(symbol, -steps) > 0],
        "asks": [level(call, symbol, steps) for steps in levels],
    }


@SPOT_MARKET.method("avgPrice", "symbol")
def average_price(call: Call) -> dict[str, Any]:
    """Show the average price, which is the price; ``closeTime`` is when it was last traded at, or now."""
    symbol = one(call)
    trades = call.state.market.trades[symbol.name]
    return {
        "mins": 5,
        "price": text(call.state.market.prices[symbol.name]),
        "closeTime": trades[-1].time if trades else call.now_ms,
    }


# -- trades


def _buyer_made(trade: Trade) -> bool:
    return trade.is_buyer is trade.is_maker


def _trade(trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "quoteQty": text(trade.value),
        "time": trade.time,
        "isBuyerMaker": _buyer_made(trade),
        "isBestMatch": True,
    }


@SPOT_MARKET.method("trades.recent", "symbol", "limit")
def recent_trades(call: Call) -> list[dict[str, Any]]:
    """List the newest trades, oldest first."""
    trades = list(call.state.market.trades[one(call).name])
    return [_trade(trade) for trade in trades[-limit_of(call) :]]


@SPOT_MARKET.method("trades.historical", "symbol", "fromId limit")
def historical_trades(call: Call) -> list[dict[str, Any]]:
    """List trades from an id on, or the newest."""
    trades = list(call.state.market.trades[one(call).name])
    limit, first = limit_of(call), call.params.get("fromId")
    if first is None:
        return [_trade(trade) for trade in trades[-limit:]]
    return [_trade(trade) for trade in trades if trade.id >= first][:limit]


@SPOT_MARKET.method("trades.aggregate", "symbol", "fromId startTime endTime limit")
def aggregate_trades(call: Call) -> list[dict[str, Any]]:
    """List aggregate trades, each of which is one trade here."""
    params, symbol, limit = call.params, one(call), limit_of(call)
    first, timed = params.get("fromId"), "startTime" in params or "endTime" in params
    if first is not None and timed:
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")
    trades = [
        trade
        for trade in call.state.market.trades[symbol.name]
        if (first is None or trade.id >= first)
        and params.get("startTime", trade.time) <= trade.time <= params.get("endTime", trade.time)
    ]
    chosen = trades[:limit] if first is not None or "startTime" in params else trades[-limit:]
    return [
        {
            "a": trade.id,
            "p": text(trade.price),
            "q": text(trade.quantity),
            "f": trade.id,
            "l": trade.id,
            "T": trade.time,
            "m": _buyer_made(trade),
            "M": True,
        }
        for trade in chosen
    ]


@SPOT_MARKET.method("blockTrades.historical", "symbol fromId", "limit")
def block_trades(call: Call) -> list[dict[str, Any]]:
    """List block trades from an id on: those that were put into ``Market.block_trades``."""
    symbol, first = one(call), call.params["fromId"]
    rows = [
        {
            "id": trade.id,
            "price": text(trade.price),
            "qty": text(trade.quantity),
            "quoteQty": text(trade.price * trade.quantity),
            "time": trade.time,
            "isBuyerMaker": trade.is_buyer_maker,
        }
        for trade in call.state.market.block_trades.get(symbol.name, [])
        if trade.id >= first
    ]
    return rows[: limit_of(call)]


# -- candles


def _offset(call: Call) -> int:
    offset = offset_of(call.params.get("timeZone", "0"))
    if offset is None:
        raise invalid("timeZone")
    return offset


@SPOT_MARKET.method("klines", "symbol interval", "startTime endTime timeZone limit")
def klines(call: Call) -> list[list[Any]]:
    """List candles, oldest first."""
    symbol, params, now = one(call), call.params, call.now_ms
    if params["interval"] not in INTERVALS:
        raise Refusal(400, -1120, "Invalid interval.")
    end = min(params.get("endTime", now), now)
    spans = openings(params["interval"], params.get("startTime"), end, limit_of(call), _offset(call))
    return [_kline(candle(call.state.market, symbol, *span)) for span in spans]


SPOT_MARKET.method("uiKlines", "symbol interval", "startTime endTime timeZone limit")(klines)


def _kline(shown: Candle) -> list[Any]:
    return [
        shown.opens,
        text(shown.open),
        text(shown.high),
        text(shown.low),
        text(shown.close),
        text(shown.volume),
        shown.closes,
        text(shown.value),
        shown.trades,
        text(shown.taker_volume),
        text(shown.taker_value),
        "0",
    ]


# -- tickers


def _statistics(call: Call, symbol: Symbol, opens: int, closes: int, *, day: bool = False) -> dict[str, Any]:
    """Return a symbol's price change statistics; with ``day`` those that only ``ticker.24hr`` has are among them."""
    kind = call.params.get("type", "FULL")
    if kind not in ("FULL", "MINI"):
        raise Refusal(400, -1139, "Invalid ticker type.")
    shown = candle(call.state.market, symbol, opens, closes)
    answer: dict[str, Any] = {"symbol": symbol.name}
    if kind == "FULL":
        change = shown.close - shown.open
        average = shown.value / shown.volume if shown.volume else _ZERO
        answer |= {
            "priceChange": text(change),
            "priceChangePercent": text(change / shown.open * 100, 3),
            "weightedAvgPrice": text(average),
        }
        if day:
            answer |= _best_and_last(call, symbol, shown)
    answer |= {
        "openPrice": text(shown.open),
        "highPrice": text(shown.high),
        "lowPrice": text(shown.low),
    }
    if "lastPrice" not in answer:
        answer["lastPrice"] = text(shown.close)
    return answer | {
        "volume": text(shown.volume),
        "quoteVolume": text(shown.value),
        "openTime": opens,
        "closeTime": closes,
        "firstId": shown.first_id,
        "lastId": shown.last_id,
        "count": shown.trades,
    }


def _best_and_last(call: Call, symbol: Symbol, shown: Candle) -> dict[str, Any]:
    trades = call.state.market.trades[symbol.name]
    book = best(call, symbol)
    del book["symbol"]
    return {
        "prevClosePrice": text(shown.open),
        "lastPrice": text(shown.close),
        "lastQty": text(trades[-1].quantity if trades else _ZERO),
        **book,
    }


@SPOT_MARKET.method("ticker.24hr", optional="symbol symbols type symbolStatus")
def ticker_day(call: Call) -> Any:
    """Show what prices did in the last 24 hours."""
    now = call.now_ms
    return each(call, lambda symbol: _statistics(call, symbol, now - _DAY, now, day=True))


@SPOT_MARKET.method("ticker.tradingDay", optional="symbol symbols timeZone type symbolStatus")
def ticker_trading_day(call: Call) -> Any:
    """Show what prices did on this day, which begins at midnight in a time zone."""
    [(opens, closes)] = openings("1d", None, call.now_ms, 1, _offset(call))
    return each(call, lambda symbol: _statistics(call, symbol, opens, closes), needed=True)


@SPOT_MARKET.method("ticker", optional="symbol symbols type windowSize symbolStatus")
def ticker(call: Call) -> Any:
    """Show what prices did in a window that begins with a minute."""
    found = _WINDOW.fullmatch(call.params.get("windowSize", "1d"))
    if found is None:
        raise invalid("windowSize")
    number, unit = (group for group in found.groups() if group is not None)
    opens = (call.now_ms - int(number) * _UNITS[unit]) // _MINUTE * _MINUTE
    return each(call, lambda symbol: _statistics(call, symbol, opens, call.now_ms), needed=True)


@SPOT_MARKET.method("ticker.price", optional="symbol symbols symbolStatus")
def ticker_price(call: Call) -> Any:
    """Show the price of one symbol, of several, or of all."""
    prices = call.state.market.prices
    return each(call, lambda symbol: {"symbol": symbol.name, "price": text(prices[symbol.name], symbol.price_digits)})


@SPOT_MARKET.method("ticker.book", optional="symbol symbols symbolStatus")
def ticker_book(call: Call) -> Any:
    """Show the best bid and ask of one symbol, of several, or of all."""
    return each(call, lambda symbol: best(call, symbol))
