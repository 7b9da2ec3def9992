"""When to connect again: back-off with full jitter."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session.errors import ApiError, ConfigurationError, LogonRejected
from binance_session.reconnect import (
    ExponentialBackoff,
    ReconnectPolicy,
    after_refused_logon,
    bounded_retry_after,
)

jitter = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_the_first_attempt_is_immediate(draw: float) -> None:
    """A connection that was healthy is replaced without a wait."""
    assert ExponentialBackoff(random=lambda: draw).next_delay(1, OSError()) == 0.0


@pytest.mark.parametrize(
    ("attempt", "ceiling"),
    [(2, 0.1), (3, 0.2), (4, 0.4), (10, 25.6), (11, 30.0), (12, 30.0), (10**6, 30.0), (10**400, 30.0)],
)
def test_the_ceiling_doubles_up_to_the_maximum(attempt: int, ceiling: float) -> None:
    """Attempt n waits up to initial * 2**(n-2) seconds; no count is too large."""
    assert ExponentialBackoff(random=lambda: 0.0).next_delay(attempt, None) == 0.0
    assert ExponentialBackoff(random=lambda: 0.5).next_delay(attempt, None) == pytest.approx(ceiling / 2)
    assert ExponentialBackoff(random=lambda: 1.0).next_delay(attempt, None) == pytest.approx(ceiling)


@given(
    attempt=st.integers(),
    draw=jitter,
    initial=st.floats(0.0, 1e3),
    extra=st.floats(0.0, 1e6),
    factor=st.floats(1.0, 1e9),
)
def test_every_delay_is_within_the_maximum(
    attempt: int, draw: float, initial: float, extra: float, factor: float
) -> None:
    """It never gives up, and never waits longer than it was told."""
    maximum = initial + extra
    delay = ExponentialBackoff(initial, maximum, factor, random=lambda: draw).next_delay(attempt, None)
    assert delay is not None
    assert 0.0 <= delay <= maximum


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_a_refused_logon_is_asked_for_four_times_more(draw: float) -> None:
    """At growing distances of a second at least, in some two minutes, whatever was attempted before."""
    policy, delays = ExponentialBackoff(0.0, 0.0, random=lambda: draw), list[float]()
    for refusals in range(1, 10):
        refused = LogonRejected(ApiError(401, -2015, "Invalid API-key."))
        refused.refusals = refusals
        delay = policy.next_delay(1000, refused)
        assert delay == after_refused_logon(refusals, lambda: draw)
        if delay is None:
            break
        delays.append(delay)
    assert len(delays) == 4
    assert delays == sorted(delays)
    assert delays[0] >= 1
    assert 100 < sum(delays) < 130


@pytest.mark.parametrize(
    ("seconds", "is_ban", "heeded"),
    [
        (-5.0, False, 0.0),
        (0.0, False, 0.0),
        (math.nan, False, 0.0),
        (math.nan, True, 0.0),
        (12.5, False, 12.5),
        (300.0, False, 300.0),
        (75_600.0, False, 300.0),
        (math.inf, False, 300.0),
        (75_600.0, True, 75_600.0),
        (1e9, True, 259_200.0),
        (math.inf, True, 259_200.0),
    ],
)
def test_what_a_server_may_ask_for(seconds: float, is_ban: bool, heeded: float) -> None:
    """Five minutes, and for a ban the three days that are documented."""
    assert bounded_retry_after(seconds, is_ban=is_ban) == heeded


def test_a_thousand_sessions_do_not_dial_together() -> None:
    """After a common outage the attempts fill the whole interval."""
    dice = random.Random(3)
    delays = [ExponentialBackoff(random=dice.random).next_delay(20, None) or 0.0 for _ in range(1000)]
    counts = [sum(low <= delay < low + 1.0 for delay in delays) for low in range(30)]
    assert sum(counts) == 1000
    assert all(10 <= count <= 70 for count in counts)


@pytest.mark.parametrize(
    "settings",
    [
        {"initial": -0.1},
        {"initial": math.nan},
        {"initial": "1"},
        {"initial": True},
        {"maximum": math.inf},
        {"maximum": 0.01},
        {"factor": 0.5},
        {"random": 0.5},
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    """A mistake in the configuration is told when it is made, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        ExponentialBackoff(**settings)


def test_any_object_with_the_method_is_a_policy() -> None:
    """No base class is needed."""

    class GiveUpAfterThree:
        def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
            return 1.0 if attempt <= 3 else None

    assert isinstance(GiveUpAfterThree(), ReconnectPolicy)
    assert isinstance(ExponentialBackoff(), ReconnectPolicy)
    assert not isinstance(object(), ReconnectPolicy)


def test_the_default_is_an_immutable_value() -> None:
    """One policy can be the default of every session, and shows its settings."""
    policy = ExponentialBackoff()
    assert policy == ExponentialBackoff(0.1, 30.0, 2.0)
    assert repr(policy) == "ExponentialBackoff(initial=0.1, maximum=30.0, factor=2.0)"
    with pytest.raises(AttributeError):
        policy.initial = 1.0  # type: ignore[misc]
