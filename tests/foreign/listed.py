"""``exchangeInfo`` as REST tells it, as far as clients need it to know what is traded."""

from __future__ import annotations

from typing import Any

from binance_session.simulator import Simulator, Symbol

__all__ = ["exchange_info"]


def exchange_info(simulator: Simulator) -> dict[str, Any]:
    """Return what the simulator's market lists."""
    futures = simulator.venue.stream_url is not None
    market = simulator.exchange.market
    listed = [_futures(symbol) if futures else _spot(symbol) for symbol in market.symbols.values()]
    return {
        "timezone": "UTC",
        "serverTime": simulator.exchange.state.now_ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": listed,
    }


def _filters(symbol: Symbol) -> list[dict[str, str]]:
    tick, step = f"{10**-symbol.price_digits:.8f}", f"{10**-symbol.quantity_digits:.8f}"
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "100000", "stepSize": step},
    ]


def _spot(symbol: Symbol) -> dict[str, Any]:
    return {
        "symbol": symbol.name,
        "status": "TRADING",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "filters": _filters(symbol),
    }


def _futures(symbol: Symbol) -> dict[str, Any]:
    perpetual = "_" not in symbol.name or symbol.name.endswith("_PERP")
    return {
        "symbol": symbol.name,
        "pair": symbol.pair,
        "contractType": "PERPETUAL" if perpetual else "CURRENT_QUARTER",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "contractStatus": "TRADING",
        "contractSize": int(symbol.contract_size),
        "baseAsset": symbol.base,
        "quoteAsset": symbol.quote,
        "marginAsset": symbol.asset,
        "pricePrecision": symbol.price_digits,
        "quantityPrecision": symbol.quantity_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "filters": _filters(symbol),
    }
