"""What a symbol's price and trades were over a time: candles and statistics.

Between two prices that were set the price stood still; before the first it was that of the beginning. Times in ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from attrs import frozen

from binance_session.simulator.market import Market, Symbol
from binance_session.simulator.trades import Trade

__all__ = ["INTERVALS", "Candle", "candle", "offset_of", "openings"]

_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_MONTH: Final = 0
#: interval -> its length in ms; that of a month is not always the same
INTERVALS: Final = {
    "1s": 1000,
    **{f"{number}m": number * _MINUTE for number in (1, 3, 5, 15, 30)},
    **{f"{number}h": number * _HOUR for number in (1, 2, 4, 6, 8, 12)},
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
    "1M": _MONTH,
}
#: weeks begin on Mondays, and the first of January 1970 was a Thursday
_FIRST_MONDAY: Final = 4 * _DAY
_OFFSET: Final = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?", re.ASCII)
_WEST, _EAST = -12 * _HOUR, 14 * _HOUR
_ZERO: Final = Decimal(0)


@frozen
class Candle:
    """A symbol over a time, of which ``closes`` is the last ms. ``first_id`` and ``last_id`` are -1 without a trade."""

    opens: int
    closes: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal
    taker_volume: Decimal
    taker_value: Decimal
    trades: int
    first_id: int
    last_id: int


def offset_of(time_zone: str) -> int | None:
    """Return how far a ``timeZone`` such as ``-1:00``, ``05:45`` or ``8`` is ahead of UTC; ``None`` if it is none."""
    found = _OFFSET.fullmatch(time_zone)
    if found is None:
        return None
    sign, hours, minutes = found.groups("0")
    offset = int(hours) * _HOUR + int(minutes) * _MINUTE
    offset = -offset if sign == "-" else offset
    return offset if _WEST <= offset <= _EAST and int(minutes) < 60 else None


def openings(interval: str, start: int | None, end: int, limit: int, offset: int) -> list[tuple[int, int]]:
    """Return the (first ms, last ms) of at most ``limit`` intervals that open from ``start`` to ``end``.

    Without ``start`` they are the last that open by ``end``.
    """
    if end < 0 or (start is not None and start > end):
        return []
    if start is None:
        spans: list[tuple[int, int]] = []
        opens = _opening(interval, end, offset)
        while len(spans) < limit and opens >= 0:
            spans.append((opens, _next(interval, opens, offset) - 1))
            opens = _opening(interval, opens - 1, offset)
        return spans[::-1]
    return list(_forward(interval, max(start, 0), end, limit, offset))


def _forward(interval: str, start: int, end: int, limit: int, offset: int) -> Iterator[tuple[int, int]]:
    opens = _opening(interval, start, offset)
    if opens < start:
        opens = _next(interval, opens, offset)
    for _ in range(limit):
        if opens > end:
            return
        following = _next(interval, opens, offset)
        yield opens, following - 1
        opens = following


def _opening(interval: str, time: int, offset: int) -> int:
    """Return when the interval began that a time is in."""
    local = time + offset
    length = INTERVALS[interval]
    if length == _MONTH:
        day = datetime.fromtimestamp(local / 1000, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp() * 1000) - offset
    shift = _FIRST_MONDAY if interval == "1w" else 0
    return (local - shift) // length * length + shift - offset


def _next(interval: str, opens: int, offset: int) -> int:
    length = INTERVALS[interval]
    return opens + length if length else _opening(interval, opens + 32 * _DAY, offset)


def candle(market: Market, symbol: Symbol, opens: int, closes: int) -> Candle:
    """Return what a symbol did from one ms to another."""
    first = market.opening[symbol.name]
    prices = []
    for time, price in market.moves[symbol.name]:
        if time < opens:
            first = price
        elif time <= closes:
            prices.append(price)
    if not market.moves[symbol.name]:
        first = market.prices[symbol.name]  # it may have been changed without a word
    prices.insert(0, first)
    trades: list[Trade] = [trade for trade in market.trades[symbol.name] if opens <= trade.time <= closes]
    taken = [trade for trade in trades if trade.is_buyer is not trade.is_maker]  # the taker bought
    return Candle(
        opens,
        closes,
        first,
        max(prices),
        min(prices),
        prices[-1],
        sum((trade.quantity for trade in trades), _ZERO),
        sum((trade.value for trade in trades), _ZERO),
        sum((trade.quantity for trade in taken), _ZERO),
        sum((trade.value for trade in taken), _ZERO),
        len(trades),
        trades[0].id if trades else -1,
        trades[-1].id if trades else -1,
    )
