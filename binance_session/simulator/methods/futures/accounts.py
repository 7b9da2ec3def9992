"""account.balance, account.status and account.position of COIN-M and USD-M, and USD-M's second versions of them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account, Position
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.futures.margins import (
    asset_margin,
    asset_pnl,
    margin,
    unrealized,
    value,
    wallets,
)
from binance_session.simulator.product import Product
from binance_session.simulator.state import Call, State

__all__ = ["ACCOUNTS", "COIN_M_ACCOUNTS", "USD_M_ACCOUNTS"]

ACCOUNTS = Table()
COIN_M_ACCOUNTS = Table()
USD_M_ACCOUNTS = Table()

_ZERO: Final = Decimal(0)
#: USD-M's account-wide fields, and the asset's fields that they sum up.
_TOTALS: Final = (
    ("totalInitialMargin", "initialMargin"),
    ("totalMaintMargin", "maintMargin"),
    ("totalWalletBalance", "walletBalance"),
    ("totalUnrealizedProfit", "unrealizedProfit"),
    ("totalMarginBalance", "marginBalance"),
    ("totalPositionInitialMargin", "positionInitialMargin"),
    ("totalOpenOrderInitialMargin", "openOrderInitialMargin"),
    ("totalCrossWalletBalance", "crossWalletBalance"),
    ("totalCrossUnPnl", "crossUnPnl"),
    ("availableBalance", "availableBalance"),
    ("maxWithdrawAmount", "maxWithdrawAmount"),
)
_BALANCE: Final = {
    Product.COIN_M: (
        "accountAlias asset balance withdrawAvailable crossWalletBalance crossUnPnl availableBalance updateTime"
    ),
    Product.USD_M: (
        "accountAlias asset balance crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount marginAvailable"
        " updateTime"
    ),
}
#: the rows of ``assets`` in ``account.status``
_ASSET: Final = {
    Product.COIN_M: (
        "asset walletBalance unrealizedProfit marginBalance maintMargin initialMargin positionInitialMargin"
        " openOrderInitialMargin maxWithdrawAmount crossWalletBalance crossUnPnl availableBalance updateTime"
    ),
    Product.USD_M: (
        "asset walletBalance unrealizedProfit marginBalance maintMargin initialMargin positionInitialMargin"
        " openOrderInitialMargin crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount marginAvailable"
        " updateTime"
    ),
}
#: the rows of ``positions`` in ``account.status``, by product and version
_ACCOUNT_POSITION: Final = {
    (Product.COIN_M, 1): (
        "symbol positionAmt initialMargin maintMargin unrealizedProfit positionInitialMargin openOrderInitialMargin"
        " leverage isolated positionSide entryPrice breakEvenPrice maxQty notionalValue isolatedWallet updateTime"
    ),
    (Product.USD_M, 1): (
        "symbol initialMargin maintMargin unrealizedProfit positionInitialMargin openOrderInitialMargin leverage"
        " isolated entryPrice breakEvenPrice maxNotional bidNotional askNotional positionSide positionAmt updateTime"
    ),
    (Product.USD_M, 2): (
        "symbol positionSide positionAmt unrealizedProfit isolatedMargin notional isolatedWallet initialMargin"
        " maintMargin updateTime"
    ),
}
#: the rows of ``account.position``, by product and version
_POSITION: Final = {
    (Product.COIN_M, 1): (
        "symbol positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice leverage maxQty"
        " marginType isolatedMargin isAutoAddMargin positionSide notionalValue isolatedWallet updateTime"
    ),
    (Product.USD_M, 1): (
        "entryPrice breakEvenPrice marginType isAutoAddMargin isolatedMargin leverage liquidationPrice markPrice"
        " maxNotionalValue positionAmt notional isolatedWallet symbol unRealizedProfit positionSide updateTime"
    ),
    (Product.USD_M, 2): (
        "symbol positionSide positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice"
        " isolatedMargin notional marginAsset isolatedWallet initialMargin maintMargin positionInitialMargin"
        " openOrderInitialMargin adl bidNotional askNotional updateTime"
    ),
}


def _asset(state: State, account: Account, asset: str, amount: Decimal) -> dict[str, Any]:
    """Return everything that can be told of an asset."""
    pnl, needed = asset_pnl(state, account, asset), asset_margin(state, account, asset)
    available = text(max(amount + pnl - needed, _ZERO))
    return {
        "accountAlias": account.alias,
        "asset": asset,
        "balance": text(amount),
        "walletBalance": text(amount),
        "unrealizedProfit": text(pnl),
        "marginBalance": text(amount + pnl),
        "maintMargin": text(needed / 5),
        "initialMargin": text(needed),
        "positionInitialMargin": text(needed),
        "openOrderInitialMargin": text(_ZERO),
        "maxWithdrawAmount": available,
        "withdrawAvailable": available,
        "crossWalletBalance": text(amount),
        "crossUnPnl": text(pnl),
        "availableBalance": available,
        "marginAvailable": True,
        "updateTime": account.update_time,
    }


def _position(state: State, account: Account, symbol: Symbol) -> dict[str, Any]:
    """Return everything that can be told of a position."""
    position = account.positions.get(symbol.name, Position())
    price = state.market.prices[symbol.name]
    needed = margin(state, account, symbol)
    notional = text(value(symbol, position.amount, price))
    pnl = text(unrealized(state, symbol, position))
    return {
        "symbol": symbol.name,
        "positionSide": "BOTH",
        "positionAmt": text(position.amount, symbol.quantity_digits),
        "entryPrice": text(position.entry),
        "breakEvenPrice": text(position.entry),
        "markPrice": text(price),
        "unrealizedProfit": pnl,
        "unRealizedProfit": pnl,
        "liquidationPrice": "0",
        "leverage": str(account.leverage),
        "isolated": False,
        "marginType": "cross",
        "isAutoAddMargin": "false",
        "isolatedMargin": text(_ZERO),
        "isolatedWallet": "0",
        "marginAsset": symbol.asset,
        "notional": notional,
        "notionalValue": notional,
        "initialMargin": text(needed),
        "maintMargin": text(needed / 5),
        "positionInitialMargin": text(needed),
        "openOrderInitialMargin": "0",
        "maxQty": "50",
        "maxNotional": "20000000",
        "maxNotionalValue": "20000000",
        "bidNotional": "0",
        "askNotional": "0",
        "adl": 0,
        "updateTime": position.update_time,
    }


def _chosen(values: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: values[name] for name in names.split()}


@ACCOUNTS.method("account.balance")
@USD_M_ACCOUNTS.method("v2/account.balance")
def balance(call: Call) -> list[dict[str, Any]]:
    """List the wallet of each asset."""
    state, account = call.state, call.account
    names = _BALANCE[state.product]
    return [_chosen(_asset(state, account, asset, amount), names) for asset, amount in wallets(state, account)]


@ACCOUNTS.method("account.status")
def account_status(call: Call) -> dict[str, Any]:
    """Show the account: its assets and its positions."""
    answer: dict[str, Any] = {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": call.account.update_time,
    }
    if call.state.product is Product.USD_M:
        answer |= {"multiAssetsMargin": False, "tradeGroupId": -1}
    return answer | _holdings(call, version=1)


@USD_M_ACCOUNTS.method("v2/account.status")
def account_status_2(call: Call) -> dict[str, Any]:
    """Show the assets, and the positions of symbols in which there is one or an open order."""
    return _holdings(call, version=2)


def _holdings(call: Call, *, version: int) -> dict[str, Any]:
    state, account = call.state, call.account
    assets = [_asset(state, account, asset, amount) for asset, amount in wallets(state, account)]
    answer: dict[str, Any] = {}
    if state.product is Product.USD_M:
        usdt: dict[str, Any] = next((row for row in assets if row["asset"] == "USDT"), {})
        answer = {total: usdt.get(name, text(_ZERO)) for total, name in _TOTALS}
    symbols = _concerned(call) if version == 2 else state.market.symbols.values()
    answer["assets"] = [_chosen(row, _ASSET[state.product]) for row in assets]
    answer["positions"] = [
        _chosen(_position(state, account, symbol), _ACCOUNT_POSITION[state.product, version]) for symbol in symbols
    ]
    return answer


def _concerned(call: Call) -> Iterator[Symbol]:
    """Yield the symbols in which the account has a position or an open order."""
    ordered = {order.symbol for order in call.account.open_orders()}
    for symbol in call.state.market.symbols.values():
        if symbol.name in ordered or call.account.positions.get(symbol.name, Position()).amount:
            yield symbol


@COIN_M_ACCOUNTS.method("account.position", optional="marginAsset pair")
@USD_M_ACCOUNTS.method("account.position", optional="symbol")
def positions(call: Call) -> list[dict[str, Any]]:
    """List the positions, also where there is none."""
    return _rows(call, list(call.state.market.symbols.values()), version=1)


@USD_M_ACCOUNTS.method("v2/account.position", optional="symbol")
def positions_2(call: Call) -> list[dict[str, Any]]:
    """List the positions of symbols in which there is one or an open order."""
    return _rows(call, list(_concerned(call)), version=2)


def _rows(call: Call, symbols: list[Symbol], *, version: int) -> list[dict[str, Any]]:
    state, params = call.state, call.params
    wanted = state.market.symbol(params["symbol"]).name if "symbol" in params else None
    return [
        _chosen(_position(state, call.account, symbol), _POSITION[state.product, version])
        for symbol in symbols
        if wanted in (None, symbol.name)
        and params.get("pair", symbol.pair) == symbol.pair
        and params.get("marginAsset", symbol.asset) == symbol.asset
    ]
