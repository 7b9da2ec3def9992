"""The exchange's time from its answers: within the bounds that they set, and never dangerously early."""

from __future__ import annotations

import time
from collections.abc import Callable
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


@given(st.floats(-86_000, 86_000), st.floats(0, 1.0), st.floats(0, 1))
def test_a_quick_answer_gives_the_offset_to_half_its_round_trip(
    offset: float, round_trip: float, stamped: float
) -> None:
    """Wherever in between the exchange read its clock."""
    measured = clock()
    server_time = NOW + offset + stamped * round_trip
    measured.learn(int(server_time * 1000), NOW, NOW + round_trip)
    assert measured.offset == pytest.approx(offset, abs=round_trip / 2 + 0.002)


@given(st.floats(-86_000, 86_000), st.floats(0, 30.0), st.floats(0, 1))
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


class Clocks:
    """A local clock and a server's, each to be moved by hand, and what was said about them."""

    def __init__(self) -> None:
        self.wall, self.monotonic = NOW, 100.0
        self.said: list[str] = []
        self.clock = ServerClock(lambda: self.wall, lambda: self.monotonic, self.said.append)

    def told(self, offset: float, took: float = 0.1) -> bool:
        """Ask the server, whose clock is off by this much, and take some time over it."""
        sent = self.monotonic
        self.monotonic += took
        self.wall += took
        return self.clock.learn(int((self.wall + offset) * 1000), sent, self.monotonic)


@pytest.mark.parametrize("days", [-400, -30, -1.01, 1.01, 30, 365 * 20])
def test_a_clock_more_than_a_day_away_is_never_believed_and_said_once(days: float) -> None:
    """Whoever answers could have orders signed for next month, and keep them until then."""
    clocks = Clocks()
    for _ in range(3):
        assert not clocks.told(days * 86_400)
        assert abs(clocks.clock.now() - clocks.wall) < 1
    assert len(clocks.said) == 1
    assert "clock" in clocks.said[0]
    assert not clocks.told(3)
    assert clocks.clock.offset == pytest.approx(3, abs=0.1)
    clocks.told(days * 86_400)
    assert clocks.clock.offset == pytest.approx(3, abs=0.1)
    assert len(clocks.said) == 2


def test_a_local_clock_that_is_hours_off_is_put_right_by_one_answer() -> None:
    """A wrong time zone, a clock that nobody set: what the session learns the time for."""
    clocks = Clocks()
    assert not clocks.told(7 * 3600)
    assert clocks.clock.offset == pytest.approx(7 * 3600, abs=0.1)
    assert clocks.said == []


def test_a_jump_is_believed_when_a_later_answer_says_the_same() -> None:
    """One answer alone moves nothing by more than a minute; the first of them asks for another."""
    clocks = Clocks()
    clocks.told(0)
    assert clocks.told(3600)
    assert clocks.clock.offset == pytest.approx(0, abs=0.1)
    assert not clocks.told(3600)
    assert clocks.clock.offset == pytest.approx(3600, abs=0.1)
    assert len(clocks.said) == 2
    assert all("clock" in line for line in clocks.said)


def test_answers_that_contradict_each_other_are_not_believed_nor_asked_for_without_end() -> None:
    """Nor is one that was asked for before the first had come: both may be of the same moment."""
    clocks = Clocks()
    clocks.told(0)
    asked = [clocks.told(offset) for offset in (3600, -3600, 7200, -7200)]
    assert asked == [True, False, False, False]
    assert clocks.clock.offset == pytest.approx(0, abs=0.1)
    at = int((clocks.wall - 7200) * 1000)
    clocks.clock.learn(at, clocks.monotonic - 1, clocks.monotonic)
    assert clocks.clock.offset == pytest.approx(0, abs=0.1)
    clocks.told(0)
    assert clocks.told(3600), "asked again, once the clock was plausible in between"


def test_after_a_sleep_of_the_machine_one_answer_is_enough() -> None:
    """The monotonic clock stood still; the local clock and the exchange agree on what time it is."""
    clocks = Clocks()
    clocks.told(2)
    clocks.wall += 8 * 3600
    assert not clocks.told(2)
    assert clocks.clock.offset == pytest.approx(2, abs=0.1)


def test_a_step_of_the_local_clock_by_weeks_does_not_cost_what_was_learned() -> None:
    """What the exchange says agrees with what it said before."""
    clocks = Clocks()
    clocks.told(2)
    clocks.wall += 30 * 86_400
    assert not clocks.told(2 - 30 * 86_400)
    assert clocks.clock.now() == pytest.approx(clocks.wall - 30 * 86_400 + 2, abs=0.1)
    assert clocks.said == []


@given(st.lists(st.floats(-1e9, 1e9) | st.floats(-100, 100), max_size=30))
def test_whatever_is_told_the_time_stays_within_a_day(offsets: list[float]) -> None:
    clocks = Clocks()
    for offset in offsets:
        clocks.told(offset)
        assert abs(clocks.clock.offset) <= 86_400 + 1


def test_microseconds_are_understood_by_their_magnitude() -> None:
    """Spot with timeUnit=MICROSECOND."""
    measured = clock()
    measured.learn(int((NOW + 30) * 1_000_000), NOW, NOW)
    assert measured.offset == pytest.approx(30, abs=0.001)


def test_a_simulation_without_a_wall_clock_is_believed_whatever_the_year() -> None:
    """The machine's clock says nothing about virtual time; where it is the loop's, or was given, it does."""
    year = 365 * 86_400

    def learned(clock: ServerClock, loop_time: Callable[[], float]) -> float:
        clock.run_on(loop_time)
        clock.learn(int((time.time() + year) * 1000), loop_time(), loop_time())
        return clock.offset

    assert learned(ServerClock(time.time), lambda: 5.0) == pytest.approx(year, abs=5)
    elsewhere = ServerClock(time.time)
    moment = [5.0]
    elsewhere.run_on(lambda: moment[0])
    began = elsewhere.now()
    moment[0] += 86_400.0
    assert elsewhere.now() - began == pytest.approx(86_400.0, abs=0.001)
    elsewhere.learn(int((began + 86_410.0) * 1000), moment[0], moment[0])
    moment[0] += 86_400.0
    assert elsewhere.offset == pytest.approx(10.0, abs=0.01), "the local clock goes as the event loop's does"
    assert learned(ServerClock(time.time), time.monotonic) == 0.0
    assert learned(ServerClock(lambda: time.time()), lambda: 5.0) == 0.0
