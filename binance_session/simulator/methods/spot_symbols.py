"""Which of Spot's symbols a request is about: one, several, or all of a status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from binance_session.simulator.market import Symbol
from binance_session.simulator.refusals import Refusal, invalid
from binance_session.simulator.state import Call

__all__ = ["each", "one"]

_STATUSES = ("TRADING", "HALT", "BREAK", "CANCEL_ONLY")


def _status(call: Call) -> str | None:
    status: str | None = call.params.get("symbolStatus")
    if status is not None and status not in _STATUSES:
        raise Refusal(400, -1122, "Invalid symbolStatus.")
    return status


def one(call: Call) -> Symbol:
    """Return the symbol that a request names; refuses one that is not of the ``symbolStatus`` wanted (-1220)."""
    symbol = call.state.market.symbol(call.params["symbol"])
    if _status(call) not in (None, symbol.status):
        raise Refusal(400, -1220, "The symbol's status does not match the requested symbolStatus.")
    return symbol


def each(call: Call, answer: Callable[[Symbol], Any], *, needed: bool = False) -> Any:
    """Answer for the ``symbol``, or in a list for several ``symbols`` or, unless some are ``needed``, for all.

    Of several those with another status than the ``symbolStatus`` wanted are left out.
    """
    if "symbol" in call.params and "symbols" in call.params:
        raise Refusal(400, -1128, "Combination of optional parameters invalid.")
    if "symbol" in call.params:
        return answer(one(call))
    market, status = call.state.market, _status(call)
    if "symbols" in call.params:
        names = call.params["symbols"]
        if not names:
            raise invalid("symbols")
        symbols = [market.symbol(name) for name in names]
        if len(set(names)) < len(names):
            raise Refusal(400, -1151, "Symbol is present multiple times in the list.")
    elif needed:
        raise Refusal(400, -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")
    else:
        symbols = list(market.symbols.values())
    return [answer(symbol) for symbol in symbols if status in (None, symbol.status)]
