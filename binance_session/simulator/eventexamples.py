"""Events by name, with the fields of the documents' examples: those that nothing here causes, and the rest too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.futuresevents import Fill, account_update, algo_update, order_trade_update, trade_lite
from binance_session.simulator.orders import Order
from binance_session.simulator.product import Product
from binance_session.simulator.spotevents import balance_update, execution_report, outbound_account_position
from binance_session.simulator.state import State
from binance_session.simulator.stoporders import AlgoOrder, Trigger

__all__ = ["event_named", "event_names"]

Event = dict[str, Any]
Maker = Callable[[State, Account], Event]


def _order(state: State) -> Order:
    symbol = next(iter(state.market.symbols.values()))
    price = state.market.prices[symbol.name]
    now = state.now_ms
    order = Order(8886774, "TEST", symbol.name, "SELL", "LIMIT", Decimal(1), price, "GTC", now, now)
    order.working_since = now
    return order


def _symbol(state: State) -> str:
    return next(iter(state.market.symbols))


def _trade_lite(state: State, _account: Account) -> Event:
    order = _order(state)
    order.status, order.executed, order.average = "FILLED", order.quantity, order.price
    return trade_lite(state, order, Fill(state.last_trade_id, order.quantity, order.price))


def _account_update(state: State, account: Account) -> Event:
    symbol = state.market.symbol(_symbol(state))
    return account_update(state, account, "ORDER", symbol.asset, symbol=symbol)


def _config(state: State, account: Account) -> Event:
    return {"ac": {"s": _symbol(state), "l": account.leverage}}


def _margin_call(state: State, _account: Account) -> Event:
    position = {
        "s": _symbol(state),
        "ps": "LONG",
        "pa": "132",
        "mt": "CROSSED",
        "iw": "0",
        "mp": "9187.17127",
        "up": "-1.166074",
        "mm": "1.614445",
    }
    return {"cw": "3.16812045", "p": [position]}


def _strategy(state: State, _account: Account) -> Event:
    su = {"si": 176054594, "st": "GRID", "ss": "NEW", "s": _symbol(state), "ut": state.now_ms, "c": 8007}
    return {"su": su}


def _grid(state: State, _account: Account) -> Event:
    return {
        "gu": {
            "si": 176057039,
            "st": "GRID",
            "ss": "WORKING",
            "s": _symbol(state),
            "r": "-0.00300716",
            "up": "16720",
            "uq": "-0.001",
            "uf": "-0.00300716",
            "mp": "0.0",
            "ut": state.now_ms,
        }
    }


def _algo(state: State, _account: Account) -> Event:
    now = state.now_ms
    stop = Decimal(750)
    # the documents' example was rejected after it had become an order
    algo = AlgoOrder(
        2148719,
        "Q5xaq5EGKgXXa0fD7fs0Ip",
        _symbol(state),
        "SELL",
        "TAKE_PROFIT",
        Decimal("0.01"),
        stop,
        Trigger("TAKE_PROFIT", "SELL", stop, stop),
        "GTC",
        now,
        now,
    )
    algo.status, algo.reason, algo.order = "CANCELED", "Reduce Only reject", _order(state)
    algo.sent = {"selfTradePreventionMode": "EXPIRE_MAKER"}
    return algo_update(state, algo)


def _trigger_reject(state: State, _account: Account) -> Event:
    reason = (
        "Due to the order could not be filled immediately, the FOK order has been rejected."
        " The order will not be recorded in the order history"
    )
    return {"or": {"s": _symbol(state), "i": 155618472834, "r": reason}}


def _expired(state: State, account: Account) -> Event:
    keys = state.listen_keys.all_of(account)
    return {"listenKey": keys[0].value if keys else "WsCMN0a4KHUPTQuX6IUnqEZfB1inxmv1qR4kbf1LuEjur5VdbzqvyxqG9TSjVVxv"}


def _list_status(state: State, _account: Account) -> Event:
    symbol = _symbol(state)
    return {
        "s": symbol,
        "g": 2,
        "c": "OCO",
        "l": "EXEC_STARTED",
        "L": "EXECUTING",
        "r": "NONE",
        "C": "F4QN4G8DlFATFlIUQ0cjdD",
        "T": state.now_ms,
        "O": [
            {"s": symbol, "i": 17, "c": "AJYsMjErWJesZvqlJCTUgL"},
            {"s": symbol, "i": 18, "c": "bfYPSQdLoqAJeNrOr9adzq"},
        ],
    }


def _external_lock(state: State, _account: Account) -> Event:
    return {"a": "NEO", "d": "10.00000000", "T": state.now_ms}


def _nothing(_state: State, _account: Account) -> Event:
    return {}


_FUTURES: Final[dict[str, Maker]] = {
    "ORDER_TRADE_UPDATE": lambda state, account: order_trade_update(state, account, _order(state), "NEW"),
    "ACCOUNT_UPDATE": _account_update,
    "ACCOUNT_CONFIG_UPDATE": _config,
    "MARGIN_CALL": _margin_call,
    "STRATEGY_UPDATE": _strategy,
    "GRID_UPDATE": _grid,
    "listenKeyExpired": _expired,
}
_EVENTS: Final[dict[Product, dict[str, Maker]]] = {
    Product.COIN_M: _FUTURES,
    Product.USD_M: {
        **_FUTURES,
        "TRADE_LITE": _trade_lite,
        "ALGO_UPDATE": _algo,
        "CONDITIONAL_ORDER_TRIGGER_REJECT": _trigger_reject,
    },
    Product.SPOT: {
        "executionReport": lambda state, _account: execution_report(state, _order(state), "NEW"),
        "outboundAccountPosition": lambda state, account: outbound_account_position(state, account, account.balances),
        "balanceUpdate": lambda state, _account: balance_update(state, "BTC", Decimal(100)),
        "listStatus": _list_status,
        "externalLockUpdate": _external_lock,
        "eventStreamTerminated": _nothing,
    },
}
#: Futures events whose example has no transaction time.
_NO_T: Final = frozenset({"MARGIN_CALL", "listenKeyExpired"})
#: Fields that the documents show in a second example, and those of the first in whose place they are.
_INSTEAD_OF: Final = {"ai": "ac"}
#: Futures events that name the account's alias on COIN-M.
_WITH_ALIAS: Final = frozenset({"MARGIN_CALL"})


def event_names(product: Product) -> list[str]:
    """Return the types of all events of a product."""
    return sorted(_EVENTS[product])


def event_named(state: State, account: Account, name: str, fields: Mapping[str, Any]) -> Event:
    """Return an event of this type as of now, with some fields changed; objects in it are changed field by field.

    Raises :class:`ValueError` if the product has no such event.
    """
    make = _EVENTS[state.product].get(name)
    if make is None:
        raise ValueError(f"there is no event {name!r} here; there are {', '.join(event_names(state.product))}")
    event: Event = {"e": name, "E": state.now_ms}
    if state.product.futures and name not in _NO_T:
        event["T"] = state.now_ms
    if state.product is Product.COIN_M and name in _WITH_ALIAS:
        event["i"] = account.alias
    example = make(state, account)
    for name, other in _INSTEAD_OF.items():
        if name in fields:
            del example[other]
    return _changed({**event, **example}, fields)


def _changed(event: Event, fields: Mapping[str, Any]) -> Event:
    changed = dict(event)
    for name, value in fields.items():
        old = changed.get(name)
        changed[name] = _changed(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return changed
