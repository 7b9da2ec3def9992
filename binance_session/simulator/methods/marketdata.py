"""Public methods: time, and prices that stand still (PROTOCOL.md §6). Spot's own are in ``spot_market``."""

from __future__ import annotations

from typing import Any

from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["CLOCK", "MARKET_DATA", "best", "level"]

#: What USD-M and Spot share; COIN-M has none of it.
CLOCK = Table()
#: USD-M's.
MARKET_DATA = Table()


@CLOCK.method("ping")
def ping(_call: Call) -> dict[str, Any]:
    """Answer, and that is all."""
    return {}


@CLOCK.method("time")
def server_time(call: Call) -> dict[str, Any]:
    """Tell the time."""
    return {"serverTime": call.now_ms}


def level(call: Call, symbol: Symbol, steps: int) -> list[str]:
    """Return a level of the order book: its price, and one as its quantity."""
    price = call.state.market.level(symbol, steps)
    return [text(price, symbol.price_digits), text(1, symbol.quantity_digits)]


def best(call: Call, symbol: Symbol) -> dict[str, Any]:
    """Return the best bid and ask of a symbol."""
    bid, ask = level(call, symbol, -1), level(call, symbol, 1)
    return {"symbol": symbol.name, "bidPrice": bid[0], "bidQty": bid[1], "askPrice": ask[0], "askQty": ask[1]}


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
    if limit not in (5, 10, 20, 50, 100, 500, 1000):
        raise Refusal(400, -1130, "Data sent for parameter 'limit' is not valid.")
    return {
        "lastUpdateId": call.now_ms,
        "E": call.now_ms,
        "T": call.now_ms,
        "bids": [level(call, symbol, -steps) for steps in range(1, limit + 1)],
        "asks": [level(call, symbol, steps) for steps in range(1, limit + 1)],
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
        return {"lastUpdateId": call.now_ms, **best(call, symbol), "time": call.now_ms}

    return _each(call, answer)
