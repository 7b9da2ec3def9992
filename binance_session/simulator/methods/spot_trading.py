"""How Spot's symbols are traded: ``exchangeInfo``, execution rules, reference prices (PROTOCOL.md §6)."""

from __future__ import annotations

from typing import Any, Final

from binance_session.simulator.filters import symbol_filters
from binance_session.simulator.market import Reference, Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot_rules import STP_MODES
from binance_session.simulator.methods.spot_symbols import each, one
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["SPOT_RULES"]

SPOT_RULES = Table()

_PERMISSION: Final = "SPOT"
_ORDER_TYPES: Final = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
#: what is allowed for every symbol
_ALLOWED: Final = {
    "icebergAllowed": True,
    "ocoAllowed": True,
    "otoAllowed": True,
    "opoAllowed": True,
    "quoteOrderQtyMarketAllowed": True,
    "allowTrailingStop": True,
    "cancelReplaceAllowed": True,
    "amendAllowed": True,
    "pegInstructionsAllowed": True,
    "isSpotTradingAllowed": True,
    "isMarginTradingAllowed": False,
}
_ATTEMPTS: Final = ("CONNECTIONS", "MINUTE", 5, 300)
_NO_PRICE: Final = (-2043, "This symbol doesn't have a reference price.")


def _only_one(call: Call, *names: str) -> None:
    """Refuse two parameters of which one alone can be sent (-1128)."""
    if sum(name in call.params for name in names) > 1:
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")


@SPOT_RULES.method("exchangeInfo", optional="symbol symbols permissions showPermissionSets symbolStatus")
def exchange_info(call: Call) -> dict[str, Any]:
    """Show the limits and the symbols."""
    params, venue = call.params, call.state.venue
    _only_one(call, "symbol", "symbols", "permissions")
    if "symbolStatus" in params and ("symbol" in params or "symbols" in params):
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")
    limits: list[tuple[str, str, int, int]] = [("REQUEST_WEIGHT", "MINUTE", 1, venue.weight_per_minute)]
    limits += [("ORDERS", interval, number, limit) for limit, interval, number in venue.order_limits]
    limits.append(_ATTEMPTS)
    with_sets = params.get("showPermissionSets", True)

    def answer(symbol: Symbol) -> dict[str, Any]:
        return {
            "symbol": symbol.name,
            "status": symbol.status,
            "baseAsset": symbol.base,
            "baseAssetPrecision": 8,
            "quoteAsset": symbol.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(_ORDER_TYPES),
            **_ALLOWED,
            "filters": symbol_filters(symbol),
            "permissions": [],
            "permissionSets": [[_PERMISSION]] if with_sets else [],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": list(STP_MODES),
        }

    symbols = each(call, answer)
    symbols = symbols if isinstance(symbols, list) else [symbols]
    if _PERMISSION not in params.get("permissions", [_PERMISSION]):
        symbols = []
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": [
            {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
            for kind, interval, number, limit in limits
        ],
        "exchangeFilters": [],
        "symbols": symbols,
        "sors": _sors(call),
    }


def _sors(call: Call) -> list[dict[str, Any]]:
    """Return which symbols of one base asset are traded together by smart order routing."""
    together: dict[str, list[str]] = {}
    for symbol in call.state.market.symbols.values():
        together.setdefault(symbol.base, []).append(symbol.name)
    return [{"baseAsset": base, "symbols": names} for base, names in together.items()]


@SPOT_RULES.method("executionRules", optional="symbol symbols symbolStatus")
def execution_rules(call: Call) -> dict[str, Any]:
    """Show the rules that fills are bound by: the price ranges of the market that is played."""
    _only_one(call, "symbol", "symbols", "symbolStatus")
    ranges = call.state.market.price_ranges

    def answer(symbol: Symbol) -> dict[str, Any]:
        rule = ranges.get(symbol.name)
        rules = []
        if rule is not None:
            rules = [
                {
                    "ruleType": "PRICE_RANGE",
                    "bidLimitMultUp": text(rule.bid_up, 4),
                    "bidLimitMultDown": text(rule.bid_down, 4),
                    "askLimitMultUp": text(rule.ask_up, 4),
                    "askLimitMultDown": text(rule.ask_down, 4),
                }
            ]
        return {"symbol": symbol.name, "rules": rules}

    rules = each(call, answer)
    return {"symbolRules": rules if isinstance(rules, list) else [rules]}


@SPOT_RULES.method("referencePrice", "symbol")
def reference_price(call: Call) -> dict[str, Any]:
    """Show the reference price, which is ``null`` if it was set to none, and an error if it never was set."""
    symbol = one(call)
    reference = call.state.market.references.get(symbol.name)
    if reference is None:
        code, message = _NO_PRICE
        if call.state.readings.no_reference_price == "result":
            return {"code": code, "msg": message}
        raise Refusal(400, code, message)
    return {
        "symbol": symbol.name,
        "referencePrice": None if reference.price is None else text(reference.price),
        "timestamp": reference.time,
    }


@SPOT_RULES.method("referencePrice.calculation", "symbol", "symbolStatus")
def reference_calculation(call: Call) -> dict[str, Any]:
    """Tell how the reference price is calculated."""
    symbol = one(call)
    reference: Reference | None = call.state.market.references.get(symbol.name)
    if reference is None:
        raise Refusal(400, *_NO_PRICE)
    if reference.external is not None:
        how = {"calculationType": "EXTERNAL", "externalCalculationId": reference.external}
    else:
        how = {
            "calculationType": "ARITHMETIC_MEAN",
            "bucketCount": reference.buckets,
            "bucketWidthMs": reference.bucket_width,
        }
    return {"symbol": symbol.name, **how}
