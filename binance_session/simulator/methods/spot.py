"""Orders and balances of Spot (PROTOCOL.md §6). An order is filled whole when it arrives, or it rests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account, Order
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
from binance_session.simulator.orderevents import execution_report, outbound_account_position
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call, State

__all__ = ["SPOT_ORDERS", "fill_resting"]

SPOT_ORDERS = Table()

_ZERO: Final = Decimal(0)
_STOP_TYPES: Final = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_TYPES: Final = ("LIMIT", "MARKET", "LIMIT_MAKER", *_STOP_TYPES)
_PLACE_OPTIONAL: Final = (
    "timeInForce price quantity quoteOrderQty newClientOrderId newOrderRespType stopPrice trailingDelta icebergQty"
    " strategyId strategyType selfTradePreventionMode pegPriceType pegOffsetType pegOffsetValue"
)
_UNKNOWN_ORDER: Final = (-2011, "Unknown order sent.")


def _order(order: Order, *, listing: bool = False) -> dict[str, Any]:
    sent = order.sent
    answer: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
    }
    if not listing:
        answer["transactTime"] = order.update_time
    answer |= {
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "origQuoteOrderQty": text(sent.get("quoteOrderQty", _ZERO)),
        "cummulativeQuoteQty": text(order.value),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }
    for name in ("stopPrice", "icebergQty"):
        if name in sent or listing:
            answer[name] = text(sent.get(name, _ZERO))
    for name in ("trailingDelta", "strategyId", "strategyType"):
        if name in sent:
            answer[name] = sent[name]
    if listing:
        answer |= {"time": order.time, "updateTime": order.update_time, "isWorking": True}
    answer["workingTime"] = order.time
    answer["selfTradePreventionMode"] = sent.get("selfTradePreventionMode", "NONE")
    return answer


def _held(order: Order, symbol: Symbol) -> tuple[str, Decimal]:
    """Return which asset a resting order holds, and how much of it."""
    return _cost(order, symbol, order.price)


def _cost(order: Order, symbol: Symbol, price: Decimal) -> tuple[str, Decimal]:
    """Return which asset a fill at this price takes, and how much of it."""
    if order.side == "BUY":
        return symbol.quote, order.quantity * price
    return symbol.base, order.quantity


def _hold(account: Account, order: Order, symbol: Symbol, sign: int) -> None:
    asset, amount = _held(order, symbol)
    account.locked[asset] = account.locked.get(asset, _ZERO) + sign * amount


def _afford(account: Account, asset: str, amount: Decimal) -> None:
    if account.free(asset) < amount:
        raise Refusal(400, -2010, "Account has insufficient balance for requested action.")


def _fill(state: State, account: Account, order: Order, symbol: Symbol) -> list[dict[str, Any]]:
    """Fill an order whole, at its own price if it rested and at the market's if not; return its ``fills``."""
    price = order.price if order.order_id in account.orders else state.market.prices[symbol.name]
    value = order.quantity * price
    paid, got = (symbol.quote, symbol.base) if order.side == "BUY" else (symbol.base, symbol.quote)
    cost, gain = (value, order.quantity) if order.side == "BUY" else (order.quantity, value)
    account.balances[paid] = account.balances.get(paid, _ZERO) - cost
    account.balances[got] = account.balances.get(got, _ZERO) + gain
    account.update_time = order.update_time = state.now_ms
    state.last_trade_id += 1
    order.status = "FILLED"
    order.executed, order.value, order.average = order.quantity, value, price
    return [
        {
            "price": text(price),
            "qty": text(order.quantity),
            "commission": text(_ZERO),
            "commissionAsset": got,
            "tradeId": state.last_trade_id,
        }
    ]


def _tell(state: State, account: Account, order: Order, execution: str, **more: Any) -> None:
    if state.wants_events(account):
        state.tell(account, execution_report(state, order, execution, **more))


def _tell_balances(state: State, account: Account, symbol: Symbol) -> None:
    account.update_time = state.now_ms
    if state.wants_events(account):
        state.tell(account, outbound_account_position(state, account, (symbol.base, symbol.quote)))


def fill_resting(state: State, account: Account, symbol: Symbol) -> None:
    """Fill the account's orders that the market's price has reached, each at its own price."""
    for order in list(account.open_orders(symbol.name)):
        if order.type not in _STOP_TYPES and marketable(order, state.market.prices[symbol.name]):
            _hold(account, order, symbol, -1)
            _fill(state, account, order, symbol)
            _tell(state, account, order, "TRADE", maker=True)
            _tell_balances(state, account, symbol)


def _checked(call: Call) -> tuple[Symbol, Decimal]:
    """Check a new order's parameters, and return its symbol and quantity."""
    params = call.params
    symbol = call.state.market.symbol(params["symbol"])
    choice(call, "side", ("BUY", "SELL"), (-1117, "Invalid side."))
    kind = choice(call, "type", _TYPES, (-1116, "Invalid orderType."))
    choice(call, "timeInForce", ("GTC", "IOC", "FOK"), (-1115, "Invalid timeInForce."))
    choice(
        call,
        "newOrderRespType",
        ("ACK", "RESULT", "FULL"),
        (-1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    )
    if kind == "LIMIT":
        needs(call, ("timeInForce", "price", "quantity"), ("stopPrice", "quoteOrderQty"))
    elif kind == "LIMIT_MAKER":
        needs(call, ("price", "quantity"), ("timeInForce", "stopPrice", "quoteOrderQty"))
    elif kind == "MARKET":
        needs(call, (), ("timeInForce", "price", "stopPrice"))
        if ("quantity" in params) == ("quoteOrderQty" in params):
            if "quantity" in params:
                raise Refusal(400, -1128, "Combination of optional parameters invalid.")
            needs(call, ("quantity",))
    else:
        needs(call, ("quantity",), ("quoteOrderQty",))
        if kind.endswith("_LIMIT"):
            needs(call, ("timeInForce", "price"))
        if "stopPrice" not in params and "trailingDelta" not in params:
            needs(call, ("stopPrice",))
    check_digits(symbol, price=params.get("price"), quantity=params.get("quantity"))
    if params.get("quantity", 1) <= 0 or params.get("quoteOrderQty", 1) <= 0:
        raise Refusal(400, -1013, "Invalid quantity.")
    if params.get("price", 1) <= 0:
        raise Refusal(400, -1013, "Invalid price.")
    quantity = params.get("quantity")
    if quantity is None:
        quantity = round(params["quoteOrderQty"] / call.state.market.prices[symbol.name], 8)
    return symbol, quantity


@SPOT_ORDERS.method("order.place", "symbol side type", _PLACE_OPTIONAL)
def place(call: Call) -> dict[str, Any]:
    """Take an order: what can be filled at the market's price is filled at that price, whole."""
    params, state, account = call.params, call.state, call.account
    symbol, quantity = _checked(call)
    name = client_order_id(call)
    if duplicate(account, symbol.name, name):
        raise Refusal(400, -2010, "Duplicate order sent.")
    order = new_order(call, symbol, name, quantity)
    now = order.type not in _STOP_TYPES and marketable(order, state.market.prices[symbol.name])
    if order.type == "LIMIT_MAKER" and now:
        raise Refusal(400, -2010, "Order would immediately match and take.")
    fills: list[dict[str, Any]] = []
    price = state.market.prices[symbol.name] if now else order.price
    _afford(account, *_cost(order, symbol, price))
    state.limits.charge_orders(account, 1, state.clock.time())
    if now:
        _tell(state, account, order, "NEW")
        fills = _fill(state, account, order, symbol)
        _tell(state, account, order, "TRADE")
        _tell_balances(state, account, symbol)
    elif order.time_in_force in ("IOC", "FOK"):
        _tell(state, account, order, "NEW")
        order.status = "EXPIRED"
        _tell(state, account, order, "EXPIRED")
    else:
        _hold(account, order, symbol, 1)
        _tell(state, account, order, "NEW")
        _tell_balances(state, account, symbol)
    account.add(order)
    kind = params.get("newOrderRespType", "FULL" if order.type in ("MARKET", "LIMIT") else "ACK")
    answer = _order(order)
    if kind == "ACK":
        return {name: answer[name] for name in ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")}
    if kind == "FULL":
        answer["fills"] = fills
    return answer


@SPOT_ORDERS.method("order.test", "symbol side type", _PLACE_OPTIONAL + " computeCommissionRates")
def test(call: Call) -> dict[str, Any]:
    """Check a new order without placing it."""
    _checked(call)
    client_order_id(call)
    if not call.params.get("computeCommissionRates"):
        return {}
    rates = {"maker": "0.00000000", "taker": "0.00000000"}
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": rates,
        "taxCommissionForOrder": rates,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": "0.00000000",
        },
    }


def _cancel(call: Call, order: Order, name: str | None = None) -> dict[str, Any]:
    symbol = call.state.market.symbol(order.symbol)
    _hold(call.account, order, symbol, -1)
    order.status = "CANCELED"
    order.update_time = call.now_ms
    _tell(call.state, call.account, order, "CANCELED", cancel_name=name)
    _tell_balances(call.state, call.account, symbol)
    answer = _order(order)
    answer.pop("workingTime")
    return {
        "symbol": answer.pop("symbol"),
        "origClientOrderId": order.client_order_id,
        "orderId": answer.pop("orderId"),
        "orderListId": answer.pop("orderListId"),
        **answer,
        "clientOrderId": name or order.client_order_id,
    }


@SPOT_ORDERS.method("order.cancel", "symbol", "orderId origClientOrderId newClientOrderId cancelRestrictions")
def cancel(call: Call) -> dict[str, Any]:
    """Cancel a resting order."""
    choice(
        call,
        "cancelRestrictions",
        ("ONLY_NEW", "ONLY_PARTIALLY_FILLED"),
        (-1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`."),
    )
    order = find_order(call, code=-2011, message="Unknown order sent.")
    if not order.is_open:
        raise Refusal(400, *_UNKNOWN_ORDER)
    if call.params.get("cancelRestrictions") == "ONLY_PARTIALLY_FILLED":
        raise Refusal(400, -2011, "Order was not canceled due to cancel restrictions.")
    return _cancel(call, order, client_order_id(call))


@SPOT_ORDERS.method("openOrders.cancelAll", "symbol")
def cancel_all(call: Call) -> list[dict[str, Any]]:
    """Cancel every resting order of a symbol."""
    symbol = call.state.market.symbol(call.params["symbol"])
    orders = list(call.account.open_orders(symbol.name))
    if not orders:
        raise Refusal(400, *_UNKNOWN_ORDER)
    name = client_order_id(call)
    return [_cancel(call, order, name) for order in orders]


@SPOT_ORDERS.method("order.status", "symbol", "orderId origClientOrderId")
def order_status(call: Call) -> dict[str, Any]:
    """Tell what became of an order."""
    return _order(find_order(call, code=-2013, message="Order does not exist."), listing=True)


@SPOT_ORDERS.method("openOrders.status", optional="symbol")
def open_orders(call: Call) -> list[dict[str, Any]]:
    """List the resting orders."""
    name = call.state.market.symbol(call.params["symbol"]).name if "symbol" in call.params else None
    return [_order(order, listing=True) for order in call.account.open_orders(name)]


@SPOT_ORDERS.method("allOrders", "symbol", "orderId startTime endTime limit")
def all_orders(call: Call) -> list[dict[str, Any]]:
    """List the orders of a symbol, whatever became of them."""
    symbol = call.state.market.symbol(call.params["symbol"])
    limit = min(call.params.get("limit", 500), 1000)
    first = call.params.get("orderId", 0)
    orders = [
        order
        for order in call.account.orders.values()
        if order.symbol == symbol.name
        and order.order_id >= first
        and call.params.get("startTime", 0) <= order.time <= call.params.get("endTime", order.time)
    ]
    return [_order(order, listing=True) for order in (orders[:limit] if first else orders[-limit:])]


@SPOT_ORDERS.method("account.status", optional="omitZeroBalances")
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
        "commissionRates": {
            "maker": "0.00000000",
            "taker": "0.00000000",
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.update_time,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": 354937868,
    }


@SPOT_ORDERS.method("account.rateLimits.orders")
def order_counts(call: Call) -> list[dict[str, Any]]:
    """Show the account's order counts. A filled order is not taken off again here, as it is on the exchange."""
    counters = call.state.limits.orders(call.account, call.state.clock.time())
    return [counter.entry() for counter in counters]
