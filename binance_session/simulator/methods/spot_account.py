"""Balances, commissions, order counts and filters of a Spot account (PROTOCOL.md §6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.filters import ASSET_FILTERS, EXCHANGE_FILTERS, symbol_filters
from binance_session.simulator.market import text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.spot import DISCOUNT, order_symbol
from binance_session.simulator.state import Call

__all__ = ["SPOT_ACCOUNT"]

SPOT_ACCOUNT = Table()

_ZERO: Final = Decimal(0)
#: there are no commissions here
_RATES: Final = dict.fromkeys(("maker", "taker", "buyer", "seller"), text(_ZERO))


@SPOT_ACCOUNT.method("account.status", optional="omitZeroBalances")
def account_status(call: Call) -> dict[str, Any]:
    """Show the account and its balances."""
    account = call.account
    balances = [
        {
            "asset": asset,
            "free": text(account.free(asset)),
            "locked": text(account.locked.get(asset, _ZERO)),
        }
        for asset, amount in account.balances.items()
        if amount or not call.params.get("omitZeroBalances")
    ]
    return {
        "makerCommission": 0,
        "takerCommission": 0,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "commissionRates": _RATES,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.update_time,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": 354937868,
    }


@SPOT_ACCOUNT.method("account.commission", "symbol")
def commission(call: Call) -> dict[str, Any]:
    """Show the commission rates of a symbol."""
    return {
        "symbol": order_symbol(call).name,
        "standardCommission": _RATES,
        "specialCommission": _RATES,
        "taxCommission": _RATES,
        "discount": DISCOUNT,
    }


@SPOT_ACCOUNT.method("account.rateLimits.orders")
def order_counts(call: Call) -> list[dict[str, Any]]:
    """Show the account's counts of orders that have not traded."""
    counters = call.state.limits.orders(call.account, call.state.clock.time())
    return [counter.entry() for counter in counters]


@SPOT_ACCOUNT.method("myFilters", "symbol")
def my_filters(call: Call) -> dict[str, Any]:
    """Show the filters that the account's orders of a symbol must pass."""
    return {
        "exchangeFilters": EXCHANGE_FILTERS,
        "symbolFilters": symbol_filters(order_symbol(call)),
        "assetFilters": ASSET_FILTERS,
    }
