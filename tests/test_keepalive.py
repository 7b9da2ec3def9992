"""When pings are sent: every promise of the policies, checked against a loop in plain arithmetic."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session.errors import ConfigurationError
from binance_session.keepalive import (
    AdaptiveKeepalive,
    FixedInterval,
    KeepalivePolicy,
    KeepaliveStatus,
    NoKeepalive,
)

HOUR = 3600.0
REQUEST_TIMEOUT = 10.0

anything = st.floats() | st.none()
jitter = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)
ping_time = st.floats(min_value=0.0, max_value=REQUEST_TIMEOUT)
statuses = st.builds(
    KeepaliveStatus,
    now=st.floats(),
    valid_until=anything,
    last_success=anything,
    consecutive_failures=st.integers(min_value=0, max_value=10**9),
    last_error=st.integers() | st.none(),
    round_trip=anything,
)


@attrs.frozen
class Ping:
    """One ping of a simulated loop, in seconds after the key's start."""

    start: float
    end: float
    answered: bool


def pings_of_one_key(
    policy: KeepalivePolicy,
    works: Callable[[float], bool],
    duration: Callable[[], float],
    until: float = HOUR,
) -> list[Ping]:
    """Ping as a session does, on a key that starts at 0, to the first success or to the end of its life."""
    pings: list[Ping] = []
    now, failures = 0.0, 0
    while True:
        delay = policy.next_delay(
            KeepaliveStatus(
                now=now,
                valid_until=HOUR,
                last_success=0.0,
                consecutive_failures=failures,
                last_error=0 if failures else None,
                round_trip=0.1,
            )
        )
        assert delay is not None
        start = now + delay
        if start >= until:
            return pings
        now = start + duration()
        pings.append(Ping(start, now, works(start)))
        if pings[-1].answered:
            return pings
        failures += 1
        assert failures < 2_000, "a storm of pings"


def rescued(pings: list[Ping]) -> bool:
    return any(ping.answered and ping.end <= HOUR for ping in pings)


@given(back_at=st.floats(min_value=0.0, max_value=HOUR - 30.0), data=st.data())
def test_a_network_that_works_again_30_s_before_the_end_saves_the_key(back_at: float, data: st.DataObject) -> None:
    """However long the outage, whatever the pings took, one is answered before the key lapses."""
    policy = AdaptiveKeepalive(random=random.Random(data.draw(st.integers())).random)
    durations = random.Random(data.draw(st.integers()))
    slow = data.draw(ping_time)
    pings = pings_of_one_key(policy, lambda at: at >= back_at, lambda: durations.uniform(slow, REQUEST_TIMEOUT))
    assert rescued(pings)


@given(
    begins=st.floats(min_value=HOUR * 5 / 12, max_value=HOUR - 60.0),
    draws=st.lists(jitter, min_size=1, max_size=20),
    took=st.lists(ping_time, min_size=1, max_size=20),
)
def test_any_60_good_seconds_after_the_first_ping_save_the_key(
    begins: float, draws: list[float], took: list[float]
) -> None:
    """A single minute of working network, anywhere in the last 35 minutes of the key, is used."""
    jitters, times = Cycle(draws), Cycle(took)
    pings = pings_of_one_key(AdaptiveKeepalive(random=jitters), lambda at: begins <= at < begins + 60.0, times)
    assert rescued(pings)
    assert pings[-1].end <= begins + 60.0


class Cycle:
    """Give the same numbers over and over."""

    def __init__(self, numbers: list[float]) -> None:
        self.numbers, self.calls = numbers, 0

    def __call__(self) -> float:
        self.calls += 1
        return self.numbers[self.calls % len(self.numbers)]


@given(
    min_interval=st.floats(min_value=0.1, max_value=60.0),
    draws=st.lists(jitter, min_size=1, max_size=20),
    took=st.lists(ping_time, min_size=1, max_size=20),
)
def test_pings_never_come_more_often_than_stated(min_interval: float, draws: list[float], took: list[float]) -> None:
    """From the end of a ping to the next lie min_interval seconds, beyond the key's end too."""
    policy = AdaptiveKeepalive(min_interval, random=Cycle(draws))
    pings = pings_of_one_key(policy, lambda at: False, Cycle(took), until=HOUR + 600.0)
    ends = [0.0] + [ping.end for ping in pings]
    assert all(ping.start - end >= min_interval - 1e-6 for end, ping in zip(ends, pings, strict=False))


@given(draw=jitter, valid_for=st.floats(min_value=-HOUR, max_value=10 * HOUR))
def test_right_after_a_success_no_key_is_pinged_within_min_interval(draw: float, valid_for: float) -> None:
    """A caller whose valid_until is wrong, or past, gets no storm of pings."""
    policy = AdaptiveKeepalive(2.0, random=lambda: draw)
    for valid_until in (None, 1000.0 + valid_for):
        delay = policy.next_delay(KeepaliveStatus(1000.0, valid_until, last_success=1000.0))
        assert delay is not None
        assert delay >= 2.0


@given(status=statuses, draw=jitter)
def test_every_delay_is_finite_and_not_negative(status: KeepaliveStatus, draw: float) -> None:
    """No input, NaN and infinities included, stops the pings or gives a time that cannot be slept."""
    for policy in (AdaptiveKeepalive(random=lambda: draw), FixedInterval(7)):
        delay = policy.next_delay(status)
        assert type(delay) is float
        assert math.isfinite(delay)
        assert 0.0 <= delay <= 25 * 60


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf])
def test_a_clock_that_makes_no_sense_causes_no_storm(nonsense: float) -> None:
    """Where no time can be computed, the pings come min_interval apart."""
    for failures in (0, 1):
        status = KeepaliveStatus(nonsense, nonsense, nonsense, consecutive_failures=failures)
        assert AdaptiveKeepalive(5.0).next_delay(status) == 5.0


def test_a_healthy_key_is_pinged_between_15_and_25_minutes() -> None:
    """The next ping comes after 15 to 25 minutes of the hour, wherever the jitter falls."""
    status = KeepaliveStatus(5000.0, 5000.0 + HOUR, last_success=5000.0)
    assert AdaptiveKeepalive(random=lambda: 0.0).next_delay(status) == pytest.approx(900.0)
    assert AdaptiveKeepalive(random=lambda: 1.0).next_delay(status) == pytest.approx(1500.0)


def test_asking_again_does_not_put_the_ping_off() -> None:
    """A session that reconnects and asks every minute still pings on time."""
    policy = AdaptiveKeepalive()
    for now in range(0, 1500, 60):
        delay = policy.next_delay(KeepaliveStatus(float(now), HOUR, last_success=0.0))
        assert delay is not None
        assert now + delay <= 1500.0


def test_a_shorter_life_is_respected() -> None:
    """A key that lives 10 minutes is pinged well inside 10 minutes."""
    status = KeepaliveStatus(0.0, 600.0, last_success=0.0)
    assert AdaptiveKeepalive(random=lambda: 1.0).next_delay(status) == pytest.approx(250.0)


def test_an_overdue_key_is_pinged_at_once() -> None:
    """After a suspended laptop wakes up, the ping does not wait."""
    status = KeepaliveStatus(HOUR + 5.0, HOUR, last_success=0.0)
    assert AdaptiveKeepalive().next_delay(status) == 0.0


def test_a_key_whose_last_ping_is_unknown_is_timed_by_its_end() -> None:
    """With only valid_until known, the hour is counted back from it."""
    policy = AdaptiveKeepalive(random=lambda: 0.0)
    assert policy.next_delay(KeepaliveStatus(0.0, HOUR)) == pytest.approx(900.0)
    assert policy.next_delay(KeepaliveStatus(0.0, 60.0)) == 0.0


def test_a_key_of_which_nothing_is_known_is_pinged_soon() -> None:
    """A ping is the way to learn something."""
    assert AdaptiveKeepalive(3.0).next_delay(KeepaliveStatus(0.0)) == 3.0


@given(draw=jitter)
def test_after_a_failure_it_comes_back_within_seconds(draw: float) -> None:
    """The first five retries come at once, then after 2, 4, 8 and 16 seconds at most."""
    policy = AdaptiveKeepalive(random=lambda: draw)
    for failures, at_most in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0)):
        delay = policy.next_delay(KeepaliveStatus(1500.0, HOUR, 0.0, failures, 0))
        assert delay is not None
        assert delay <= at_most


@given(draw=jitter, failures=st.integers(1, 10**6), nearer=st.floats(1.0, HOUR), farther=st.floats(1.0, HOUR))
def test_retries_grow_more_urgent_as_the_end_nears(draw: float, failures: int, nearer: float, farther: float) -> None:
    """With less life left the wait is never longer."""
    policy = AdaptiveKeepalive(random=lambda: draw)
    nearer, farther = sorted((nearer, farther))
    soon = policy.next_delay(KeepaliveStatus(HOUR - nearer, HOUR, 0.0, failures, 0))
    later = policy.next_delay(KeepaliveStatus(HOUR - farther, HOUR, 0.0, failures, 0))
    assert soon is not None
    assert later is not None
    assert soon <= later
    left = HOUR - (HOUR - nearer)  # as the policy reckons it, to the last bit
    assert soon <= max(1.0, left * (1 / 60))


@pytest.mark.parametrize("valid_until", [None, HOUR])
def test_a_key_that_should_have_lapsed_is_still_tried_about_once_a_minute(valid_until: float | None) -> None:
    """After its end only the exchange knows, and it is asked gently."""
    policy = AdaptiveKeepalive(random=lambda: 1.0)
    assert policy.next_delay(KeepaliveStatus(2 * HOUR, valid_until, 0.0, 100, 0)) == 60.0
    assert policy.next_delay(KeepaliveStatus(2 * HOUR, valid_until, None, 100, 0)) == 60.0


def test_a_thousand_sessions_do_not_ping_together() -> None:
    """Sessions started, or failing, at the same moment spread evenly over the time that is allowed."""
    seeds = random.Random(7)
    for failures, first, last in ((0, 900.0, 1500.0), (6, 16.0, 32.0)):
        status = KeepaliveStatus(0.0, HOUR, 0.0, failures, None)
        policies = [AdaptiveKeepalive(random=random.Random(seeds.random()).random) for _ in range(1000)]
        delays = [policy.next_delay(status) or 0.0 for policy in policies]
        tenths = [int(10 * (delay - first) / (last - first)) for delay in delays]
        assert all(60 <= tenths.count(tenth) <= 150 for tenth in range(10))


def test_a_fixed_interval_is_the_same_after_success_and_failure() -> None:
    """The period asked for is the period given."""
    policy = FixedInterval(90)
    assert policy.next_delay(KeepaliveStatus(0.0, HOUR, 0.0)) == 90.0
    assert policy.next_delay(KeepaliveStatus(7.0, 8.0, 0.0, 3, -1000)) == 90.0


@pytest.mark.parametrize("seconds", [3600, 3600.0, 7200, 86_400])
def test_a_period_that_no_listen_key_would_outlive_is_refused(seconds: float) -> None:
    """They live an hour on every venue."""
    with pytest.raises(ConfigurationError, match="3600"):
        FixedInterval(seconds)
    FixedInterval(3599.5)


def test_no_keepalive_never_pings() -> None:
    """None means no ping, whatever the key's state."""
    assert NoKeepalive().next_delay(KeepaliveStatus(0.0, 0.1)) is None


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "60", None, True])
def test_a_period_that_cannot_be_is_refused(seconds: float) -> None:
    """A mistake in the configuration is told when it is made."""
    with pytest.raises(ConfigurationError, match="seconds"):
        FixedInterval(seconds)
    with pytest.raises(ConfigurationError, match="min_interval"):
        AdaptiveKeepalive(seconds)


def test_a_bound_that_would_let_the_key_lapse_is_refused() -> None:
    """More than a minute between retries could not keep the promise."""
    with pytest.raises(ConfigurationError, match="60"):
        AdaptiveKeepalive(60.5)
    with pytest.raises(ConfigurationError, match="random"):
        AdaptiveKeepalive(random=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [AdaptiveKeepalive, lambda: FixedInterval(1), NoKeepalive])
def test_policies_are_immutable_values(kind: Callable[[], KeepalivePolicy]) -> None:
    """One policy can be the default of every session."""
    assert isinstance(kind(), KeepalivePolicy)
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    for name in ("seconds", "min_interval", "anything"):
        with pytest.raises(AttributeError):
            setattr(kind(), name, 5.0)


def test_any_object_with_the_method_is_a_policy() -> None:
    """No base class is needed."""

    class Mine:
        def next_delay(self, status: KeepaliveStatus) -> float | None:
            return status.now

    assert isinstance(Mine(), KeepalivePolicy)
    assert not isinstance(object(), KeepalivePolicy)


def test_the_repr_shows_settings_only() -> None:
    """The random function would be noise in a log."""
    assert repr(AdaptiveKeepalive()) == "AdaptiveKeepalive(min_interval=1.0)"
