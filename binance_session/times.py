"""Points in time as the exchange writes them: in ms, or in µs if ``timeUnit=MICROSECOND`` was asked for.

The magnitude tells which: a time of this century has 13 digits in ms and 16 in µs.
Documents: PROTOCOL.md §3 (``timestamp``, ``timeUnit`` on Spot), §8 (``retryAfter``).
"""

from __future__ import annotations

from typing import Final

__all__ = ["milliseconds", "unix_seconds"]

_MS: Final = range(10**12, 10**13)
_US: Final = range(10**15, 10**16)
#: larger numbers are not times in ms
_NO_MS: Final = 10**14


def unix_seconds(value: object) -> float | None:
    """Return a time in Unix seconds; ``None`` unless it is a time between the years 2001 and 2286 in ms or µs."""
    if type(value) is not int:
        return None
    if value in _MS:
        return value / 1e3
    return value / 1e6 if value in _US else None


def milliseconds(value: object) -> int:
    """Return a time, a number or its text (PROTOCOL.md §5.3), in whole ms; 0 for anything else.

    A small number is kept: an event may have any time.
    """
    if isinstance(value, str) and len(value) <= 20 and value.isdecimal():
        value = int(value)
    if type(value) is not int:
        return 0
    if value in _US:
        return value // 1000
    return value if 0 <= value < _NO_MS else 0
