"""Times of the exchange, in ms or in µs."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session.times import milliseconds, unix_seconds


@pytest.mark.parametrize(
    ("value", "seconds", "ms"),
    [
        (1_764_115_200_123, 1_764_115_200.123, 1_764_115_200_123),
        (1_764_115_200_123_456, 1_764_115_200.123456, 1_764_115_200_123),
        (5000, None, 5000),
        (0, None, 0),
        (-1, None, 0),
        (1_764_115_200, None, 1_764_115_200),
        (10**14, None, 0),
        (10**400, None, 0),
        ("1764115200123", None, 1_764_115_200_123),
        ("1764115200123456", None, 1_764_115_200_123),
        ("soon", None, 0),
        ("9" * 5000, None, 0),
        ("\u0661" * 3, None, 111),
        (1e12, None, 0),
        (float("inf"), None, 0),
        (True, None, 0),
        (None, None, 0),
        ([], None, 0),
    ],
)
def test_a_time_is_understood_by_its_magnitude(value: Any, seconds: float | None, ms: int) -> None:
    """And what is no time is none, of whatever type and size."""
    assert unix_seconds(value) == seconds
    assert milliseconds(value) == ms
