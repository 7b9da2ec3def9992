"""Orders, balances and positions of COIN-M and USD-M futures (PROTOCOL.md §6).

One-way position mode, cross margin, one leverage for an account. The market's price does not move by itself: an order
is filled whole when it arrives (or is modified), or it rests until somebody moves the price.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account, Order, Position
from binance_session.simulator.market import Symbol, text
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.orders import (
    check_digits,
    choice,
    client_order_id,
    duplicate,
    find_order,
    marketable,
    needs,
    new_order,
)
from binance_session.simulator.orderevents import account_update, order_trade_update, trade_lite
from binance_session.simulator.product import Product
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call, State

__all__ = ["FUTURES", "fill_resting"]

FUTURES = Table()

_ZERO: Final = Decimal(0)
_ALGO_TYPES: Final = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
_TYPES: Final = ("LIMIT", "MARKET", *_ALGO_TYPES)
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
_PLACE_OPTIONAL: Final = (
    "positionSide timeInForce quantity reduceOnly price newClientOrderId stopPrice closePosition activationPrice"
    " callbackRate workingType priceProtect newOrderRespType priceMatch selfTradePreventionMode goodTillDate"
)


def _value(symbol: Symbol, quantity: Decimal, price: Decimal) -> Decimal:
    """Return what a quantity is worth: in coins on COIN-M, in the quote asset on USD-M."""
    if symbol.contract_size:
        return quantity * symbol.contract_size / price
    return quantity * price


def _order(state: State, order: Order, *, placement: bool = False) -> dict[str, Any]:
    symbol = state.market.symbol(order.symbol)
    price, quantity = symbol.price_digits, symbol.quantity_digits
    sent = order.sent
    coin = state.product is Product.COIN_M
    answer: dict[str, Any] = {"orderId": order.order_id, "symbol": order.symbol}
    if coin:
        answer["pair"] = symbol.pair
    answer |= {
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": text(order.price, price),
        "avgPrice": text(order.average, price),
        "origQty": text(order.quantity, quantity),
        "executedQty": text(order.executed, quantity),
        "cumQty": text(order.executed, quantity),
        ("cumBase" if coin else "cumQuote"): text(order.value, 8 if coin else 5),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": sent.get("reduceOnly", False),
        "closePosition": sent.get("closePosition", False),
        "side": order.side,
        "positionSide": sent.get("positionSide", "BOTH"),
        "stopPrice": text(sent.get("stopPrice", _ZERO), price),
        "workingType": sent.get("workingType", "CONTRACT_PRICE"),
        "priceProtect": sent.get("priceProtect", False),
        "origType": order.type,
    }
    if placement and coin:
        # Gone from the replies to placements since the two futures were integrated (CMUM).
        del answer["avgPrice"], answer["cumBase"]
    if not coin or not placement:
        answer["priceMatch"] = sent.get("priceMatch", "NONE")
        answer["selfTradePreventionMode"] = sent.get("selfTradePreventionMode", "NONE")
    if not coin:
        answer["goodTillDate"] = sent.get("goodTillDate", 0)
    if not placement:
        answer["time"] = order.time
    answer["updateTime"] = order.update_time
    return answer


def _fill(
    state: State, account: Account, order: Order, symbol: Symbol, *, maker: bool, quantity: Decimal | None = None
) -> None:
    """Fill an order, or ``quantity`` of it."""
    quantity = order.remaining if quantity is None else quantity
    price = order.price if maker else state.market.prices[symbol.name]
    position = account.positions.setdefault(symbol.name, Position())
    signed = quantity if order.side == "BUY" else -quantity
    closing = min(abs(signed), abs(position.amount)) if position.amount * signed < 0 else _ZERO
    gain = _ZERO
    if closing:
        gain = _value(symbol, closing, position.entry) - _value(symbol, closing, price)
        if not symbol.contract_size:
            gain = -gain
        if position.amount < 0:
            gain = -gain
        account.balances[symbol.asset] = account.balances.get(symbol.asset, _ZERO) + gain
    amount = position.amount + signed
    if amount == 0:
        position.entry = _ZERO
    elif closing and abs(amount) + closing != abs(position.amount):
        position.entry = price
    elif not closing:
        position.entry = (position.entry * abs(position.amount) + price * abs(signed)) / abs(amount)
    position.amount = amount
    position.realized += gain
    position.update_time = account.update_time = order.update_time = state.now_ms
    state.last_trade_id += 1
    order.take(quantity, price, _value(symbol, quantity, price), state.last_trade_id)
    # a coin's value is in the coin: dividing gives its price the other way round
    size = symbol.contract_size
    order.average = order.executed * size / order.value if size else order.value / order.executed
    if order.executed == quantity:
        order.average = price
    if not state.wants_events(account):
        return
    # No document says in which order these come; this is how the exchange is seen to send them.
    if state.product is Product.USD_M:
        state.tell(account, trade_lite(state, order, maker=maker))
    unrealized = _unrealized(state, symbol, position)
    state.tell(account, account_update(state, account, "ORDER", symbol.asset, symbol=symbol, unrealized=unrealized))
    state.tell(account, order_trade_update(state, account, order, "TRADE", realized=gain, maker=maker))


def _tell(state: State, account: Account, order: Order, execution: str) -> None:
    if state.wants_events(account):
        state.tell(account, order_trade_update(state, account, order, execution))


def _match(call: Call, order: Order, symbol: Symbol) -> None:
    state, account = call.state, call.account
    now = marketable(order, state.market.prices[symbol.name])
    if order.time_in_force == "GTX" and order.type == "LIMIT":
        expires = now
    elif now:
        _fill(state, account, order, symbol, maker=False)
        return
    else:
        expires = order.time_in_force in ("IOC", "FOK")
    if expires:
        order.status = "EXPIRED"
        _tell(state, account, order, "EXPIRED")


def fill_part(state: State, account: Account, order: Order, symbol: Symbol, quantity: Decimal) -> None:
    """Fill a part of a resting order, at its own price."""
    _fill(state, account, order, symbol, maker=True, quantity=quantity)


def fill_resting(state: State, account: Account, symbol: Symbol) -> None:
    """Fill the account's orders that the market's price has reached, each at its own price."""
    for order in list(account.open_orders(symbol.name)):
        if marketable(order, state.market.prices[symbol.name]):
            _fill(state, account, order, symbol, maker=True)


def _unrealized(state: State, symbol: Symbol, position: Position) -> Decimal:
    if not position.amount:
        return _ZERO
    price = state.market.prices[symbol.name]
    gain = _value(symbol, position.amount, price) - _value(symbol, position.amount, position.entry)
    return -gain if symbol.contract_size else gain


def _margin(state: State, account: Account, symbol: Symbol) -> Decimal:
    position = account.positions.get(symbol.name, Position())
    price = state.market.prices[symbol.name]
    return abs(_value(symbol, position.amount, price)) / account.leverage


def _asset_margin(state: State, account: Account, asset: str) -> Decimal:
    return sum(
        (
            _margin(state, account, symbol)
            for symbol in map(state.market.symbol, account.positions)
            if symbol.asset == asset
        ),
        _ZERO,
    )


def _asset_pnl(state: State, account: Account, asset: str) -> Decimal:
    return sum(
        (
            _unrealized(state, symbol, account.positions[symbol.name])
            for symbol in map(state.market.symbol, account.positions)
            if symbol.asset == asset
        ),
        _ZERO,
    )


def _wallets(state: State, account: Account) -> list[tuple[str, Decimal]]:
    """Return what the account owns of each asset that is margin for something here."""
    assets = {symbol.asset for symbol in state.market.symbols.values()}
    return [(asset, amount) for asset, amount in account.balances.items() if asset in assets]


@FUTURES.method("order.place", "symbol side type", _PLACE_OPTIONAL)
def place(call: Call) -> dict[str, Any]:
    """Take an order: a MARKET order, or a LIMIT order that crosses the market's price, is filled at that price."""
    params, state, account = call.params, call.state, call.account
    symbol = state.market.symbol(params["symbol"])
    choice(call, "side", ("BUY", "SELL"), (-1117, "Invalid side."))
    choice(call, "type", _TYPES, (-1116, "Invalid orderType."))
    choice(call, "timeInForce", ("GTC", "IOC", "FOK", "GTX", "GTD"), (-1115, "Invalid timeInForce."))
    choice(call, "newOrderRespType", ("ACK", "RESULT"), (-1136, "Invalid newOrderRespType."))
    choice(call, "workingType", ("MARK_PRICE", "CONTRACT_PRICE"), (-4081, "Invalid working type."))
    if choice(call, "positionSide", ("BOTH", "LONG", "SHORT"), (-4060, "Invalid position side.")) in (
        "LONG",
        "SHORT",
    ):
        raise Refusal(400, -4061, "Order's position side does not match user's setting.")
    if params["type"] in _ALGO_TYPES:
        raise Refusal(
            400,
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    if params["type"] == "LIMIT":
        price_or_match = ("price",) if "priceMatch" not in params else ()
        needs(call, ("timeInForce", "quantity", *price_or_match), ("stopPrice",))
    else:
        needs(call, ("quantity",), ("timeInForce", "price", "stopPrice"))
    check_digits(symbol, price=params.get("price"), quantity=params["quantity"])
    if params["quantity"] <= 0:
        raise Refusal(400, -4003, "Quantity less than or equal to zero.")
    if params["type"] == "LIMIT" and params.get("price", 1) <= 0:
        raise Refusal(400, -4001, "Price less than 0.")
    name = client_order_id(call)
    if duplicate(account, symbol.name, name):
        raise Refusal(400, -4116, "ClientOrderId is duplicated.")
    position = account.positions.get(symbol.name, Position())
    signed = params["quantity"] if params["side"] == "BUY" else -params["quantity"]
    reduces = position.amount * signed < 0 and abs(signed) <= abs(position.amount)
    if params.get("reduceOnly") and not reduces:
        raise Refusal(400, -2022, "ReduceOnly Order is rejected.")
    if not reduces:
        margin = (
            _value(symbol, params["quantity"], params.get("price", state.market.prices[symbol.name])) / account.leverage
        )
        used = _asset_margin(state, account, symbol.asset)
        if margin + used > account.balances.get(symbol.asset, _ZERO):
            raise Refusal(400, -2019, "Margin is insufficient.")
    state.limits.charge_orders(account, 1, state.clock.time())
    order = new_order(call, symbol, name, params["quantity"])
    if "priceMatch" in params:
        order.price = state.market.prices[symbol.name]
    account.add(order)
    _tell(state, account, order, "NEW")
    if params.get("newOrderRespType") == "RESULT":
        _match(call, order, symbol)
        return _order(state, order, placement=True)
    # An ACK is written before the order meets the market.
    answer = _order(state, order, placement=True)
    _match(call, order, symbol)
    return answer


@FUTURES.method("order.modify", "symbol side quantity price", "orderId origClientOrderId origType priceMatch modifyId")
def modify(call: Call) -> dict[str, Any]:
    """Change the price and quantity of a resting LIMIT order."""
    state, params = call.state, call.params
    order = find_order(call, code=-2013, message="Order does not exist.")
    symbol = state.market.symbol(order.symbol)
    choice(call, "side", ("BUY", "SELL"), (-1117, "Invalid side."))
    if not order.is_open or order.type != "LIMIT" or order.side != params["side"]:
        raise Refusal(400, -2013, "Order does not exist.")
    check_digits(symbol, price=params["price"], quantity=params["quantity"])
    if params["quantity"] <= 0:
        raise Refusal(400, -4003, "Quantity less than or equal to zero.")
    if (order.price, order.quantity) == (params["price"], params["quantity"]):
        raise Refusal(400, -5027, "No need to modify the order.")
    state.limits.charge_orders(call.account, 1, state.clock.time())
    order.price, order.quantity = params["price"], params["quantity"]
    order.update_time = call.now_ms
    _tell(state, call.account, order, "AMENDMENT")
    answer = _order(state, order, placement=True)
    if "modifyId" in params:
        answer["modifyId"] = params["modifyId"]
    _match(call, order, symbol)
    return answer


@FUTURES.method("order.cancel", "symbol", "orderId origClientOrderId")
def cancel(call: Call) -> dict[str, Any]:
    """Cancel a resting order."""
    order = find_order(call, code=-2011, message="Unknown order sent.")
    if not order.is_open:
        raise Refusal(400, -2011, "Unknown order sent.")
    order.status = "CANCELED"
    order.update_time = call.now_ms
    _tell(call.state, call.account, order, "CANCELED")
    return _order(call.state, order, placement=True)


@FUTURES.method("order.status", "symbol", "orderId origClientOrderId")
def order_status(call: Call) -> dict[str, Any]:
    """Tell what became of an order."""
    return _order(call.state, find_order(call, code=-2013, message="Order does not exist."))


@FUTURES.method("account.balance")
def balance(call: Call) -> list[dict[str, Any]]:
    """List the wallet of each asset."""
    state, account = call.state, call.account
    coin = state.product is Product.COIN_M
    answer = []
    for asset, amount in _wallets(state, account):
        pnl = _asset_pnl(state, account, asset)
        available = max(amount + pnl - _asset_margin(state, account, asset), _ZERO)
        row: dict[str, Any] = {"accountAlias": account.alias, "asset": asset, "balance": text(amount)}
        if coin:
            row["withdrawAvailable"] = text(available)
        row |= {
            "crossWalletBalance": text(amount),
            "crossUnPnl": text(pnl),
            "availableBalance": text(available),
        }
        if not coin:
            row |= {"maxWithdrawAmount": text(available), "marginAvailable": True}
        row["updateTime"] = account.update_time
        answer.append(row)
    return answer


def _positions(state: State, account: Account) -> list[dict[str, Any]]:
    answer = []
    for symbol in state.market.symbols.values():
        position = account.positions.get(symbol.name, Position())
        margin = text(_margin(state, account, symbol))
        answer.append(
            {
                "symbol": symbol.name,
                "positionAmt": text(position.amount, symbol.quantity_digits),
                "initialMargin": margin,
                "maintMargin": text(_margin(state, account, symbol) / 5),
                "unrealizedProfit": text(_unrealized(state, symbol, position)),
                "positionInitialMargin": margin,
                "openOrderInitialMargin": "0",
                "leverage": str(account.leverage),
                "isolated": False,
                "positionSide": "BOTH",
                "entryPrice": text(position.entry, 8),
                "breakEvenPrice": text(position.entry, 8),
                "maxQty": "50",
                "notionalValue": text(_value(symbol, position.amount, state.market.prices[symbol.name]), 8),
                "updateTime": position.update_time,
            }
        )
    return answer


@FUTURES.method("account.status")
def account_status(call: Call) -> dict[str, Any]:
    """Show the account: its assets and its positions."""
    state, account = call.state, call.account
    assets = []
    for asset, amount in _wallets(state, account):
        pnl, margin = _asset_pnl(state, account, asset), _asset_margin(state, account, asset)
        available = text(max(amount + pnl - margin, _ZERO))
        assets.append(
            {
                "asset": asset,
                "walletBalance": text(amount),
                "unrealizedProfit": text(pnl),
                "marginBalance": text(amount + pnl),
                "maintMargin": text(margin / 5),
                "initialMargin": text(margin),
                "positionInitialMargin": text(margin),
                "openOrderInitialMargin": "0.00000000",
                "maxWithdrawAmount": available,
                "crossWalletBalance": text(amount),
                "crossUnPnl": text(pnl),
                "availableBalance": available,
                "updateTime": account.update_time,
            }
        )
    answer: dict[str, Any] = {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": account.update_time,
    }
    if state.product is Product.USD_M:
        usdt: dict[str, Any] = next((row for row in assets if row["asset"] == "USDT"), {})
        answer |= {"multiAssetsMargin": False, "tradeGroupId": -1}
        for total, name in _TOTALS:
            answer[total] = usdt.get(name, "0.00000000")
    answer["assets"] = assets
    answer["positions"] = _positions(state, account)
    return answer


@FUTURES.method("account.position", optional="symbol marginAsset pair")
def position_information(call: Call) -> list[dict[str, Any]]:
    """List the positions."""
    state, account, params = call.state, call.account, call.params
    wanted = state.market.symbol(params["symbol"]).name if "symbol" in params else None
    answer = []
    for symbol in state.market.symbols.values():
        if wanted not in (None, symbol.name):
            continue
        if params.get("pair", symbol.pair) != symbol.pair:
            continue
        if params.get("marginAsset", symbol.asset) != symbol.asset:
            continue
        position = account.positions.get(symbol.name, Position())
        row: dict[str, Any] = {
            "symbol": symbol.name,
            "positionAmt": text(position.amount, symbol.quantity_digits),
            "entryPrice": text(position.entry, 8),
            "breakEvenPrice": text(position.entry, 8),
            "markPrice": text(state.market.prices[symbol.name], 8),
            "unRealizedProfit": text(_unrealized(state, symbol, position)),
            "liquidationPrice": "0",
            "leverage": str(account.leverage),
            "marginType": "cross",
            "isolatedMargin": "0.00000000",
            "isAutoAddMargin": "false",
            "positionSide": "BOTH",
        }
        notional = text(_value(symbol, position.amount, state.market.prices[symbol.name]), 8)
        if state.product is Product.COIN_M:
            row |= {"maxQty": "50", "notionalValue": notional}
        else:
            row |= {"maxNotionalValue": "20000000", "notional": notional}
        row |= {"isolatedWallet": "0", "updateTime": position.update_time}
        answer.append(row)
    return answer
