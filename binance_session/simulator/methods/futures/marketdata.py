"""USD-M's public methods: time, and prices that stand still (PROTOCOL.md §6). COIN-M has none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.refusals import invalid
from binance_session.simulator.state import Call

__all__ = ["MARKET_DATA"]

MARKET_DATA = Table()

_DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1000)


@MARKET_DATA.method("ping")
def ping(_call: Call) -> dict[str, Any]:
    """Answer, and that is all."""
    return {}


@MARKET_DATA.method("time")
def server_time(call: Call) -> dict[str, Any]:
    """Tell the time."""
    return {"serverTime": call.now_ms}


def _level(call: Call, symbol: Symbol, steps: int) -> list[str]:
    """Return price and quantity of a level of the book, so many ticks above the market's price."""
    tick = Decimal(1).scaleb(-symbol.price_digits)
    price = call.state.market.prices[symbol.name]
    return [text(price + steps * tick, symbol.price_digits), text(Decimal(1), symbol.quantity_digits)]


def _each(call: Call, answer: Any) -> Any:
    """Answer for the symbol that is asked for, or for all."""
    market = call.state.market
    if "symbol" in call.params:
        return answer(market.symbol(call.params["symbol"]))
    return [answer(symbol) for symbol in market.symbols.values()]


@MARKET_DATA.method("depth", "symbol", "limit")
def depth(call: Call) -> dict[str, Any]:
    """Show an order book of evenly spaced levels around the price."""
    symbol = call.state.market.symbol(call.params["symbol"])
    limit = call.params.get("limit", 500)
    if limit not in _DEPTHS:
        raise invalid("limit")
    levels = range(1, limit + 1)
    return {
        "lastUpdateId": call.now_ms,
        "E": call.now_ms,
        "T": call.now_ms,
        "bids": [_level(call, symbol, -steps) for steps in levels],
        "asks": [_level(call, symbol, steps) for steps in levels],
    }


@MARKET_DATA.method("ticker.price", optional="symbol")
def ticker_price(call: Call) -> Any:
    """Show the price of one symbol or of all."""

    def answer(symbol: Symbol) -> dict[str, Any]:
        price = text(call.state.market.prices[symbol.name], symbol.price_digits)
        return {"symbol": symbol.name, "price": price, "time": call.now_ms}

    return _each(call, answer)


@MARKET_DATA.method("ticker.book", optional="symbol")
def ticker_book(call: Call) -> Any:
    """Show the best bid and ask of one symbol or of all."""

    def answer(symbol: Symbol) -> dict[str, Any]:
        bid, ask = _level(call, symbol, -1), _level(call, symbol, 1)
        return {
            "lastUpdateId": call.now_ms,
            "symbol": symbol.name,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
            "time": call.now_ms,
        }

    return _each(call, answer)
