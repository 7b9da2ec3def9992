"""Public methods: time, and prices that stand still (PROTOCOL.md §6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.product import Product
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["MARKET_DATA", "SPOT_MARKET_DATA"]

#: What USD-M and Spot share; COIN-M has none of it.
MARKET_DATA = Table()
SPOT_MARKET_DATA = Table()


@MARKET_DATA.method("ping")
def ping(_call: Call) -> dict[str, Any]:
    """Answer, and that is all."""
    return {}


@MARKET_DATA.method("time")
def server_time(call: Call) -> dict[str, Any]:
    """Tell the time."""
    return {"serverTime": call.now_ms}


def _level(call: Call, symbol: Symbol, steps: int) -> list[str]:
    tick = Decimal(1).scaleb(-min(symbol.price_digits, 2))
    price = call.state.market.prices[symbol.name]
    return [text(price + steps * tick, symbol.price_digits), text(Decimal(1), symbol.quantity_digits)]


def _each(call: Call, answer: Any) -> Any:
    """Answer for the symbol that is asked for, for several, or for all."""
    market = call.state.market
    if "symbol" in call.params:
        return answer(market.symbol(call.params["symbol"]))
    names = call.params.get("symbols", list(market.symbols))
    return [answer(market.symbol(name)) for name in names]


@MARKET_DATA.method("depth", "symbol", "limit symbolStatus")
def depth(call: Call) -> dict[str, Any]:
    """Show an order book of evenly spaced levels around the price."""
    symbol = call.state.market.symbol(call.params["symbol"])
    futures = call.state.product.futures
    limit = call.params.get("limit", 500 if futures else 100)
    if limit < 1 or (futures and limit not in (5, 10, 20, 50, 100, 500, 1000)):
        raise Refusal(400, -1130, "Data sent for parameter 'limit' is not valid.")
    answer: dict[str, Any] = {"lastUpdateId": call.now_ms}
    if futures:
        answer |= {"E": call.now_ms, "T": call.now_ms}
    levels = range(1, min(limit, 5000) + 1)
    answer["bids"] = [_level(call, symbol, -steps) for steps in levels]
    answer["asks"] = [_level(call, symbol, steps) for steps in levels]
    return answer


@MARKET_DATA.method("ticker.price", optional="symbol symbols symbolStatus")
def ticker_price(call: Call) -> Any:
    """Show the price of one symbol or of all."""

    def answer(symbol: Symbol) -> dict[str, Any]:
        row: dict[str, Any] = {
            "symbol": symbol.name,
            "price": text(call.state.market.prices[symbol.name], symbol.price_digits),
        }
        if call.state.product is Product.USD_M:
            row["time"] = call.now_ms
        return row

    return _each(call, answer)


@MARKET_DATA.method("ticker.book", optional="symbol symbols symbolStatus")
def ticker_book(call: Call) -> Any:
    """Show the best bid and ask of one symbol or of all."""

    def answer(symbol: Symbol) -> dict[str, Any]:
        bid, ask = _level(call, symbol, -1), _level(call, symbol, 1)
        row: dict[str, Any] = {
            "symbol": symbol.name,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
        }
        if call.state.product is Product.USD_M:
            row = {"lastUpdateId": call.now_ms, **row, "time": call.now_ms}
        return row

    return _each(call, answer)


@SPOT_MARKET_DATA.method("avgPrice", "symbol")
def average_price(call: Call) -> dict[str, Any]:
    """Show the average price, which is the price."""
    symbol = call.state.market.symbol(call.params["symbol"])
    return {
        "mins": 5,
        "price": text(call.state.market.prices[symbol.name]),
        "closeTime": call.now_ms,
    }


@SPOT_MARKET_DATA.method("exchangeInfo", optional="symbol symbols permissions showPermissionSets symbolStatus")
def exchange_info(call: Call) -> dict[str, Any]:
    """Show the limits and the symbols."""
    venue = call.state.venue
    limits: list[tuple[str, int, str, int]] = [("REQUEST_WEIGHT", venue.weight_per_minute, "MINUTE", 1)]
    limits += [("ORDERS", *limit) for limit in venue.order_limits]

    def answer(symbol: Symbol) -> dict[str, Any]:
        return {
            "symbol": symbol.name,
            "status": "TRADING",
            "baseAsset": symbol.base,
            "baseAssetPrecision": 8,
            "quoteAsset": symbol.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": [
                "LIMIT",
                "LIMIT_MAKER",
                "MARKET",
                "STOP_LOSS",
                "STOP_LOSS_LIMIT",
                "TAKE_PROFIT",
                "TAKE_PROFIT_LIMIT",
            ],
            "icebergAllowed": True,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": False,
            "amendAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }

    symbols = _each(call, answer)
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": [
            {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
            for kind, limit, interval, number in limits
        ],
        "exchangeFilters": [],
        "symbols": symbols if isinstance(symbols, list) else [symbols],
        "sors": [],
    }
