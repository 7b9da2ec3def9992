"""What the order methods of futures and Spot share: finding, checking, filling."""

from __future__ import annotations

import re
import secrets
from decimal import Decimal
from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import Symbol
from binance_session.simulator.orders import Order
from binance_session.simulator.refusals import Refusal, malformed, mandatory, not_required
from binance_session.simulator.state import Call

__all__ = [
    "check_client_id",
    "check_digits",
    "choice",
    "client_order_id",
    "find_order",
    "marketable",
    "needs",
    "new_order",
]

_CLIENT_ID_PATTERN: Final = "^[.A-Z:/a-z0-9_-]{1,36}$"
_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)


def choice(call: Call, name: str, choices: tuple[str, ...], refusal: tuple[int, str]) -> Any:
    """Return a parameter if it is absent or one of ``choices``; refuse it with (code, message) if it is another."""
    value = call.params.get(name)
    if value is not None and value not in choices:
        raise Refusal(400, *refusal)
    return value


def needs(call: Call, needed: tuple[str, ...], forbidden: tuple[str, ...] = ()) -> None:
    """Check what an order of this type must have (-1102) and must not have (-1106)."""
    for name in needed:
        if name not in call.params:
            raise mandatory(name)
    for name in forbidden:
        if name in call.params:
            raise not_required(name)


def check_digits(symbol: Symbol, **numbers: Decimal | None) -> None:
    """Refuse a price or quantity with more digits than the symbol has (-1111)."""
    for name, value in numbers.items():
        if value is None:
            continue
        digits = symbol.price_digits if name.lower().endswith("price") else symbol.quantity_digits
        if value != round(value, digits):
            raise Refusal(400, -1111, f"Parameter '{name}' has too much precision.")


def client_order_id(call: Call) -> str:
    """Return the client's name for a new order, or make one up; refuses one that is malformed (-1100)."""
    name = call.params.get("newClientOrderId")
    if name is None:
        return secrets.token_urlsafe(16)[:22]
    check_client_id(call, "newClientOrderId")
    return str(name)


def check_client_id(call: Call, name: str) -> None:
    """Refuse a client's own id that is malformed (-1100)."""
    value = call.params.get(name)
    if value is not None and _CLIENT_ID.fullmatch(value) is None:
        raise malformed(name, _CLIENT_ID_PATTERN)


def find_order(call: Call, *, code: int, message: str) -> Order:
    """Return the order that ``orderId`` or ``origClientOrderId`` names, or refuse with the code and message given."""
    params = call.params
    symbol = call.state.market.symbol(params["symbol"])
    if "orderId" not in params and "origClientOrderId" not in params:
        raise Refusal(
            400,
            -1102,
            "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
        )
    order = call.account.find(symbol.name, params.get("orderId"), params.get("origClientOrderId"))
    if order is None:
        raise Refusal(400, code, message)
    return order


def new_order(call: Call, symbol: Symbol, name: str, quantity: Decimal) -> Order:
    """Return a new order made from the request, in no account's books yet."""
    params = call.params
    state = call.state
    state.last_order_id += 1
    now = call.now_ms
    return Order(
        state.last_order_id,
        name,
        symbol.name,
        params["side"],
        params["type"],
        quantity,
        params.get("price", Decimal(0)),
        params.get("timeInForce", "GTC"),
        now,
        now,
        sent=params,
    )


def marketable(order: Order, price: Decimal) -> bool:
    """Return whether an order can be filled at once at the market's price."""
    if order.type == "MARKET":
        return True
    return order.price >= price if order.side == "BUY" else order.price <= price


def duplicate(account: Account, symbol: str, name: str) -> bool:
    """Return whether an open order of the account has this client order id."""
    order = account.find(symbol, None, name)
    return order is not None and order.is_open
