"""Self-trade prevention on Spot: two orders of one account meet and do not trade.

The market that is played has one price and takes any quantity, so that no order ever gets as far as another of its
account: two orders meet only by ``Exchange.let_meet``. Document: the STP page of the Spot documentation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.market import Symbol
from binance_session.simulator.methods import spot_matching as matching
from binance_session.simulator.orders import Order
from binance_session.simulator.state import State
from binance_session.simulator.trades import PreventedMatch

__all__ = ["prevent"]

#: mode -> whether the maker and the taker lose all that is left of them; both lose what they share if neither does
_ENDS: Final = {
    "EXPIRE_MAKER": (True, False),
    "EXPIRE_TAKER": (False, True),
    "EXPIRE_BOTH": (True, True),
    "DECREMENT": (False, False),
    "TRANSFER": (False, False),
}


def prevent(state: State, account: Account, maker: Order, taker: Order, symbol: Symbol) -> PreventedMatch:
    """Let two open orders of an account meet, and do what the taker's mode says.

    Raises :class:`ValueError` if they would not meet, or may trade with each other.
    """
    mode = taker.sent.get("selfTradePreventionMode", "NONE")
    if mode not in _ENDS:
        raise ValueError(f"the taker's selfTradePreventionMode is {mode}: nothing is prevented")
    if maker.side == taker.side or min(maker.working_since, taker.working_since) < 0:
        raise ValueError("two orders meet that are on the book, one on each side of it")
    maker_ends, taker_ends = _ENDS[mode]
    shared = min(maker.remaining, taker.remaining)
    lost = [
        (order, order.remaining if ends else shared)
        for order, ends in ((maker, maker_ends), (taker, taker_ends))
        if ends or not (maker_ends or taker_ends)
    ]
    by_order = dict(zip(("maker", "taker"), (_lost(lost, maker), _lost(lost, taker)), strict=True))
    match = PreventedMatch(
        len(account.prevented_matches),
        symbol.name,
        taker.order_id,
        maker.order_id,
        mode,
        maker.price,
        by_order["maker"],
        by_order["taker"],
        state.now_ms,
    )
    account.prevented_matches.append(match)
    for order, amount in lost:
        matching.lose(state, account, order, symbol, amount, match)
    matching.tell_balances(state, account, symbol)
    return match


def _lost(lost: list[tuple[Order, Decimal]], order: Order) -> Decimal | None:
    return next((amount for loser, amount in lost if loser is order), None)
