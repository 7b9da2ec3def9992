"""The exchange's time from its answers: within the bounds that they set, and never dangerously early."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session.clock import ServerClock

NOW = 1_700_000_000.0


def clock() -> ServerClock:
    return ServerClock(lambda: NOW, lambda: NOW)


def test_the_local_clock_is_believed_until_an_answer_says_otherwise() -> None:
    """No measurement: no offset."""
    assert clock().offset == 0.0
    assert clock().now_ms() == int(NOW * 1000)


@given(st.floats(-1e6, 1e6), st.floats(0, 1.0), st.floats(0, 1))
def test_a_quick_answer_gives_the_offset_to_half_its_round_trip(
    offset: float, round_trip: float, stamped: float
) -> None:
    """Wherever in between the exchange read its clock."""
    measured = clock()
    server_time = NOW + offset + stamped * round_trip
    measured.learn(int(server_time * 1000), NOW, NOW + round_trip)
    assert measured.offset == pytest.approx(offset, abs=round_trip / 2 + 0.002)


@given(st.floats(-1e6, 1e6), st.floats(0, 30.0), st.floats(0, 1))
def test_however_slow_an_answer_the_clock_is_not_put_a_second_early(
    offset: float, round_trip: float, stamped: float
) -> None:
    """A timestamp more than 1000 ms ahead is refused whatever the recvWindow (PROTOCOL.md §3)."""
    measured = clock()
    measured.learn(int((NOW + offset + stamped * round_trip) * 1000), NOW, NOW + round_trip)
    before = abs(offset) if measured.offset == 0.0 else 0.0
    assert measured.offset - offset <= max(0.502, before)


def test_a_slow_answer_does_not_spoil_a_good_measurement_but_a_jump_is_noticed() -> None:
    """Consistent with what is known: nothing to learn. Contradicting it: the clock moved."""
    measured = clock()
    measured.learn(int((NOW + 5.05) * 1000), NOW, NOW + 0.1)
    assert measured.offset == pytest.approx(5.0, abs=0.01)
    measured.learn(int((NOW + 6) * 1000), NOW, NOW + 4)
    assert measured.offset == pytest.approx(5.0, abs=0.01)
    measured.learn(int((NOW - 60) * 1000), NOW, NOW + 4)
    assert measured.offset == pytest.approx(-63.5, abs=0.01)


def test_a_step_of_the_local_clock_moves_nothing() -> None:
    """NTP or somebody's hand sets it; the exchange's time goes on, and the offset tells what happened."""
    wall, monotonic = NOW, 50.0
    measured = ServerClock(lambda: wall, lambda: monotonic)
    measured.learn(int((NOW + 3) * 1000), monotonic, monotonic)
    wall += 3600
    monotonic += 10
    assert measured.now() == pytest.approx(NOW + 13, abs=0.002)
    assert measured.offset == pytest.approx(13 - 3600, abs=0.002)


@pytest.mark.parametrize("server_time", [None, "1700000000000", 1.7e12, True, 0, -1, 10**18, 10**400])
def test_what_is_no_time_is_ignored(server_time: Any) -> None:
    """The field is optional, and nobody promised its type."""
    measured = clock()
    measured.learn(server_time, NOW, NOW)
    measured.learn(int(NOW * 1000) + 9000, NOW + 1, NOW)
    assert measured.offset == 0.0
