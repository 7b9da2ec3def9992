"""What becomes of Spot orders: they are held for, filled, triggered, cancelled, and act on the others of their list.

The market has one price, at which it trades any quantity. An order that the price reaches is filled whole, at its own
price if it rested and at the market's if not; parts of it are filled only by ``Exchange.fill``.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import Symbol
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.spotevents import execution_report, list_status, outbound_account_position
from binance_session.simulator.state import State
from binance_session.simulator.trades import PreventedMatch, Trade

__all__ = [
    "admit",
    "afford",
    "cancel",
    "cancel_list",
    "enter",
    "enter_all",
    "expire",
    "fill_part",
    "fill_resting",
    "list_of",
    "lose",
    "need",
    "peg",
    "place_pending",
    "rests",
    "tell",
    "tell_balances",
    "tell_list",
]

STOPS: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
#: once they trade, they take whatever price there is
_AT_ANY_PRICE: Final = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})
_ZERO: Final = Decimal(0)
_BIPS: Final = Decimal(10_000)
_OCO_TRIGGER: Final = "OCO_TRIGGER"
_UNFILLED: Final = {"IOC": "UNFILLED_IOC_QUANTITY_EXPIRED", "FOK": "UNFILLED_FOK_ORDER_EXPIRED"}


# -- telling


def tell(state: State, account: Account, order: Order, execution: str, **more: Any) -> None:
    """Count an execution, and queue the executionReport of what has just happened to an order."""
    state.last_execution_id += 1
    if state.wants_events(account):
        state.tell(account, execution_report(state, order, execution, **more))


def tell_balances(state: State, account: Account, symbol: Symbol) -> None:
    """Queue the balances of a symbol's two assets."""
    account.update_time = state.now_ms
    if state.wants_events(account):
        state.tell(account, outbound_account_position(state, account, (symbol.base, symbol.quote)))


def tell_list(state: State, account: Account, orders: OrderList, status: str) -> None:
    """Queue the listStatus of an order list."""
    if state.wants_events(account):
        state.tell(account, list_status(state, orders, status))


# -- what orders hold


def need(state: State, order: Order, symbol: Symbol) -> tuple[str, Decimal]:
    """Return which asset the rest of an order takes, and how much of it."""
    if order.side == "SELL":
        return symbol.base, order.remaining
    price = state.market.prices[symbol.name]
    if order.type not in _AT_ANY_PRICE:
        if order.type in STOPS or not _crosses(order, price):
            price = order.price or order.sent.get("stopPrice", price)
    elif order.working_since < 0:
        price = order.sent.get("stopPrice", price)
    return symbol.quote, order.remaining * price


def afford(account: Account, asset: str, amount: Decimal) -> None:
    """Refuse what the account cannot pay (-2010)."""
    if account.free(asset) < amount:
        raise Refusal(400, -2010, "Account has insufficient balance for requested action.")


def _hold(account: Account, order: Order, asset: str, amount: Decimal) -> None:
    account.locked[asset] = account.locked.get(asset, _ZERO) + amount - order.held
    order.held = amount


def _release(account: Account, order: Order, symbol: Symbol) -> None:
    _hold(account, order, symbol.quote if order.side == "BUY" else symbol.base, _ZERO)


def rests(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    """Let an order hold what the rest of it takes; of a pair, of which one is ever filled, the dearer one does."""
    asset, amount = need(state, order, symbol)
    orders = list_of(account, order)
    if orders is not None and order in orders.pair:
        [other] = [leg for leg in orders.pair if leg is not order]
        if other.is_open and other.held >= amount:
            amount = _ZERO
        elif other.is_open:
            _release(account, other, symbol)
    _hold(account, order, asset, amount)


def list_of(account: Account, order: Order) -> OrderList | None:
    """Return the list that an order belongs to, if it does."""
    return account.lists.get(order.list_id)


# -- entering the book


def _crosses(order: Order, price: Decimal) -> bool:
    if order.type in _AT_ANY_PRICE:
        return True
    return order.price >= price if order.side == "BUY" else order.price <= price


def _stops(order: Order, price: Decimal) -> bool:
    """Return whether the price has reached an order's ``stopPrice``."""
    above = (order.side == "BUY") is order.type.startswith("STOP_LOSS")
    stop: Decimal = order.sent["stopPrice"]
    return price >= stop if above else price <= stop


def peg(state: State, order: Order, symbol: Symbol) -> None:
    """Give a pegged order its price: a level of the book, but nothing worse than its own limit."""
    sent = order.sent
    if "pegPriceType" not in sent:
        return
    level = sent.get("pegOffsetValue", 0) + 1
    bids = (order.side == "BUY") is (sent["pegPriceType"] == "PRIMARY_PEG")
    price = state.market.level(symbol, -level if bids else level)
    if "price" in sent:
        price = min(price, sent["price"]) if order.side == "BUY" else max(price, sent["price"])
    order.price = price


def admit(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    """Refuse an order that the matching engine would not take (-2010): by its price, its name, or what it costs."""
    price = state.market.prices[symbol.name]
    same = account.find(symbol.name, None, order.client_order_id)
    if same is not None and same is not order and same.is_open:
        raise Refusal(400, -2010, "Duplicate order sent.")
    if order.type == "LIMIT_MAKER" and _crosses(order, price):
        raise Refusal(400, -2010, "Order would immediately match and take.")
    if order.type in STOPS and "trailingDelta" not in order.sent and _stops(order, price):
        raise Refusal(400, -2010, "Order would trigger immediately.")
    afford(account, *need(state, order, symbol))


def enter(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    """Let an admitted order meet the market: it is filled, it rests, it waits for its stop price, or it expires."""
    account.add(order)
    order.update_time = state.now_ms
    if order.type in STOPS:
        rests(state, account, order, symbol)
        if "trailingDelta" in order.sent and "stopPrice" not in order.sent:
            _track(state, order, state.market.prices[symbol.name])
        tell(state, account, order, "NEW")
        tell_balances(state, account, symbol)
    else:
        _work(state, account, order, symbol)


def _work(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    """Put an order on the book."""
    order.working_since = order.update_time = state.now_ms
    price = state.market.prices[symbol.name]
    if _crosses(order, price):
        tell(state, account, order, "NEW")
        if not state.market.may_trade(symbol, order.side, price):
            expire(state, account, order, symbol, "EXECUTION_RULE_PRICE_RANGE_EXCEEDED")
            return
        _fill(state, account, order, symbol, order.remaining, price, maker=False)
    elif order.time_in_force in _UNFILLED:
        tell(state, account, order, "NEW")
        expire(state, account, order, symbol, _UNFILLED[order.time_in_force])
    else:
        rests(state, account, order, symbol)
        tell(state, account, order, "NEW")
        tell_balances(state, account, symbol)


def enter_all(state: State, account: Account, orders: Iterable[Order], symbol: Symbol) -> None:
    """Enter admitted orders one after the other; what the one does may have ended the next."""
    for order in orders:
        if order.is_open:
            enter(state, account, order, symbol)


def place_pending(state: State, account: Account, order: Order) -> None:
    """Enter an order that waits until the working order of its list is filled."""
    order.status = "PENDING_NEW"
    account.add(order)
    tell(state, account, order, "NEW")


# -- fills


def _fill(
    state: State,
    account: Account,
    order: Order,
    symbol: Symbol,
    quantity: Decimal,
    price: Decimal,
    *,
    maker: bool,
) -> None:
    value = quantity * price
    buys = order.side == "BUY"
    paid, got = (symbol.quote, symbol.base) if buys else (symbol.base, symbol.quote)
    cost, gain = (value, quantity) if buys else (quantity, value)
    account.balances[paid] = account.balances.get(paid, _ZERO) - cost
    account.balances[got] = account.balances.get(got, _ZERO) + gain
    order.update_time = state.now_ms
    if not order.executed:
        state.limits.uncharge_orders(account, 1, state.clock.time())
    state.last_trade_id += 1
    order.take(quantity, price, value, state.last_trade_id)
    order.average = order.value / order.executed
    trade = Trade(
        state.last_trade_id,
        symbol.name,
        order.order_id,
        order.list_id,
        price,
        quantity,
        state.now_ms,
        is_buyer=buys,
        is_maker=maker,
        commission_asset=got,
        sor=order.sor,
    )
    account.trades.append(trade)
    state.market.traded(trade)
    _release(account, order, symbol)
    orders = list_of(account, order)
    if orders is not None and orders.pays and order is orders.orders[0]:
        orders.locked += quantity
        account.locked[got] = account.locked.get(got, _ZERO) + quantity
    tell(state, account, order, "TRADE", maker=maker)
    if orders is not None:
        _act_on_list(state, account, orders, order, symbol)
    if order.is_open:
        rests(state, account, order, symbol)
    tell_balances(state, account, symbol)


def fill_part(state: State, account: Account, order: Order, symbol: Symbol, quantity: Decimal) -> None:
    """Fill a part of a resting order, at its own price. Raises :class:`ValueError` for one that is not on the book."""
    if order.working_since < 0:
        raise ValueError(f"the order is not on the book: it is {order.status} and waits")
    _fill(state, account, order, symbol, quantity, order.price, maker=True)


def fill_resting(state: State, account: Account, symbol: Symbol) -> None:
    """Trigger and fill the account's orders that the market's price has reached; what rested gets its own price."""
    price = state.market.prices[symbol.name]
    for order in list(account.open_orders(symbol.name)):
        if not order.is_open or order.status == "PENDING_NEW":
            continue  # one before it may have ended it
        if order.working_since < 0:
            if _triggers(state, order, price):
                _trigger(state, account, order, symbol)
        elif _crosses(order, price):
            _fill(state, account, order, symbol, order.remaining, order.price, maker=True)


# -- stop orders


def _track(state: State, order: Order, price: Decimal) -> None:
    order.mark, order.tracking_since = price, state.now_ms


def _triggers(state: State, order: Order, price: Decimal) -> bool:
    """Return whether a stop order's time has come; a trailing one takes note of the price."""
    if "trailingDelta" not in order.sent:
        return _stops(order, price)
    if order.mark is None:
        if _stops(order, price):
            _track(state, order, price)
        return False
    delta = Decimal(order.sent["trailingDelta"]) / _BIPS
    if order.side == "BUY":
        order.mark = min(order.mark, price)
        return price >= order.mark * (1 + delta)
    order.mark = max(order.mark, price)
    return price <= order.mark * (1 - delta)


def _trigger(state: State, account: Account, order: Order, symbol: Symbol) -> None:
    orders = list_of(account, order)
    if orders is not None:
        _end_other(state, account, orders, order, symbol)
    _release(account, order, symbol)
    order.working_since = order.update_time = state.now_ms
    peg(state, order, symbol)
    try:
        afford(account, *need(state, order, symbol))
    except Refusal:
        expire(state, account, order, symbol, "REJECTED")
    else:
        _work(state, account, order, symbol)
    if order.status == "EXPIRED":
        tell_balances(state, account, symbol)


# -- ends


def expire(state: State, account: Account, order: Order, symbol: Symbol, reason: str) -> None:
    """End an order by the rules, and let that act on its list."""
    order.status, order.expiry = "EXPIRED", reason
    order.update_time = state.now_ms
    _release(account, order, symbol)
    tell(state, account, order, "EXPIRED")
    orders = list_of(account, order)
    if orders is not None:
        _act_on_list(state, account, orders, order, symbol)


def lose(
    state: State, account: Account, order: Order, symbol: Symbol, quantity: Decimal, match: PreventedMatch
) -> None:
    """Take a quantity from an order that self-trade prevention kept from trading; one that has no more is over."""
    order.prevented += quantity
    order.prevented_match, order.update_time = match.id, state.now_ms
    _release(account, order, symbol)
    if order.remaining > 0:
        rests(state, account, order, symbol)
    else:
        order.status = "EXPIRED_IN_MATCH"
    tell(state, account, order, "TRADE_PREVENTION", prevented=match)
    orders = list_of(account, order)
    if orders is not None and not order.is_open:
        _act_on_list(state, account, orders, order, symbol)


def cancel(state: State, account: Account, order: Order, symbol: Symbol, name: str) -> None:
    """Cancel an order; ``name`` is the client's name for the cancellation. Its list is not changed."""
    _release(account, order, symbol)
    order.status = "CANCELED"
    order.update_time = state.now_ms
    tell(state, account, order, "CANCELED", old_name=order.client_order_id, name=name)


def cancel_list(state: State, account: Account, orders: OrderList, symbol: Symbol, name: str) -> None:
    """Cancel all that is open of a list."""
    for order in orders.orders:
        if order.is_open:
            cancel(state, account, order, symbol, name)
    _close_list(state, account, orders, symbol)


# -- order lists


def _act_on_list(state: State, account: Account, orders: OrderList, order: Order, symbol: Symbol) -> None:
    """Let what happened to one order of a list act on the others."""
    if order in orders.pair:
        if order.expiry != _OCO_TRIGGER:
            _end_other(state, account, orders, order, symbol)
    elif order is not orders.orders[0]:
        pass  # a single pending order acts on no other
    elif order.status == "FILLED":
        _activate(state, account, orders, symbol)
    elif not order.is_open:
        for pending in orders.pending:
            if pending.is_open:
                pending.status, pending.expiry = "EXPIRED", "OTO_PHASE_ONE_EXPIRED"
                pending.update_time = state.now_ms
                tell(state, account, pending, "EXPIRED")
    if not any(order.is_open for order in orders.orders):
        _close_list(state, account, orders, symbol)


def _end_other(state: State, account: Account, orders: OrderList, order: Order, symbol: Symbol) -> None:
    """End the other order of a pair, since this one trades, works or has ended."""
    for other in orders.pair:
        if other is not order and other.is_open:
            expire(state, account, other, symbol, _OCO_TRIGGER)


def _activate(state: State, account: Account, orders: OrderList, symbol: Symbol) -> None:
    """Place the pending orders of a list whose working order has been filled."""
    bought = orders.locked
    _unlock(account, orders, symbol)
    for order in orders.pending:
        order.status = "NEW"
        if orders.pays:
            order.quantity = bought.quantize(Decimal(1).scaleb(-symbol.quantity_digits), ROUND_DOWN)
    for order in orders.pending:
        if order.is_open:
            try:
                admit(state, account, order, symbol)
            except Refusal:
                expire(state, account, order, symbol, "REJECTED")
    enter_all(state, account, orders.pending, symbol)


def _unlock(account: Account, orders: OrderList, symbol: Symbol) -> None:
    account.locked[symbol.base] = account.locked.get(symbol.base, _ZERO) - orders.locked
    orders.locked = _ZERO


def _close_list(state: State, account: Account, orders: OrderList, symbol: Symbol) -> None:
    if orders.is_open:
        _unlock(account, orders, symbol)
        orders.status, orders.time = "ALL_DONE", state.now_ms
        tell_list(state, account, orders, "ALL_DONE")
