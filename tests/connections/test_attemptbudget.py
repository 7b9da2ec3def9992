"""How many connections an address allows in five minutes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session.connections.addresslimits import AttemptBudget


def test_the_budget_lets_300_attempts_pass_and_holds_the_next() -> None:
    """Spot allows 300 attempts in 5 minutes: the 301st waits until the first is 5 minutes old."""
    budget = AttemptBudget()
    for second in range(300):
        assert budget.delay(second / 10) == 0.0
        budget.spend(second / 10)
    assert budget.delay(30.0) == pytest.approx(270.0)
    assert budget.delay(299.0) == pytest.approx(1.0)
    assert budget.delay(300.0) == 0.0


@given(
    limit=st.integers(1, 8),
    window=st.floats(0.5, 100.0),
    pauses=st.lists(st.floats(0.0, 50.0), min_size=1, max_size=100),
)
def test_who_waits_as_told_never_exceeds_the_limit(limit: int, window: float, pauses: list[float]) -> None:
    """No window ever holds more than the limit, and nobody waits longer than one window."""
    budget, now, attempts = AttemptBudget(limit, window), 0.0, list[float]()
    for pause in pauses:
        now += pause
        delay = budget.delay(now)
        assert 0.0 <= delay <= window + 1e-9
        if sum(at > now - window - 1e-6 for at in attempts) < limit:
            assert delay == 0.0
        now += delay
        budget.spend(now)
        attempts.append(now)
    for first, beyond in zip(attempts, attempts[limit:], strict=False):
        assert beyond - first >= window - 1e-6


def test_attempts_made_against_the_advice_count_too() -> None:
    """A forced attempt moves the next allowed one back."""
    budget = AttemptBudget(2, 10.0)
    for now in (0.0, 1.0, 2.0):
        budget.spend(now)
    assert budget.delay(3.0) == pytest.approx(8.0)
