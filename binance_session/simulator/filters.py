"""Spot's filters: what orders must keep to, as ``exchangeInfo`` and ``myFilters`` show it.

Documents: the filters page of the Spot documentation; the figures are those of the examples where there are some.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.refusals import Refusal

__all__ = ["ASSET_FILTERS", "EXCHANGE_FILTERS", "check_filters", "check_number_of_orders", "symbol_filters"]

_LARGEST: Final = Decimal(100_000_000)
_TRAILING: Final = (1, 2000)
_ORDERS: Final = 1000
_LISTS: Final = 20
AMENDMENTS: Final = 10

EXCHANGE_FILTERS: Final = [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": _ORDERS}]
ASSET_FILTERS: Final = [{"filterType": "MAX_ASSET", "asset": "JPY", "limit": "1000000.00000000"}]


def symbol_filters(symbol: Symbol) -> list[dict[str, Any]]:
    """Return the filters of a symbol."""
    price, quantity = (Decimal(1).scaleb(-digits) for digits in (symbol.price_digits, symbol.quantity_digits))
    lowest, highest = _TRAILING
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text(price),
            "maxPrice": text(_LARGEST),
            "tickSize": text(price),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": text(quantity),
            "maxQty": text(_LARGEST),
            "stepSize": text(quantity),
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": lowest,
            "maxTrailingAboveDelta": highest,
            "minTrailingBelowDelta": lowest,
            "maxTrailingBelowDelta": highest,
        },
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": _LISTS},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": AMENDMENTS},
    ]


def failed(name: str) -> Refusal:
    """Return the -1013 for a filter that an order does not pass."""
    return Refusal(400, -1013, f"Filter failure: {name}")


def check_filters(params: Mapping[str, Any]) -> None:
    """Refuse prices, quantities and trailing deltas that are out of bounds (-1013)."""
    for name, kind in (("price", "PRICE_FILTER"), ("stopPrice", "PRICE_FILTER"), ("quantity", "LOT_SIZE")):
        if params.get(name, _LARGEST) > _LARGEST:
            raise failed(kind)
    if not _TRAILING[0] <= params.get("trailingDelta", _TRAILING[0]) <= _TRAILING[1]:
        raise failed("TRAILING_DELTA")


def check_number_of_orders(account: Account, symbol: Symbol, orders: int) -> None:
    """Refuse more open orders or order lists than there may be (-1013); ``orders`` is how many come together."""
    if sum(1 for _ in account.open_orders()) + orders > _ORDERS:
        raise failed("EXCHANGE_MAX_NUM_ORDERS")
    if orders > 1:
        lists = sum(1 for item in account.lists.values() if item.is_open and item.symbol == symbol.name)
        if lists >= _LISTS:
            raise failed("MAX_NUM_ORDER_LISTS")
