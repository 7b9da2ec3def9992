"""When to try again: the number of the next attempt, its delay, and the floors that no policy goes below."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session import ConnectError, ConnectionLost, LogonRejected, Session
from binance_session.connections.attempts import Attempts
from binance_session.errors import ApiError
from binance_session.hooks import Hooks
from binance_session.log import session_log
from binance_session.stats import Stats

LOST = ConnectionLost("lost", outcome=None)


class Policy:
    """Answers with ``delay``, or with the number of the attempt; keeps what it was asked."""

    def __init__(self, delay: Any = "attempt") -> None:
        self.delay = delay
        self.asked: list[tuple[int, Exception | None]] = []

    def next_delay(self, attempt: int, cause: Exception | None) -> Any:
        self.asked.append((attempt, cause))
        return attempt if self.delay == "attempt" else self.delay


def attempts_by(policy: Policy, count: int = 0) -> Attempts:
    hooks = Hooks(object.__new__(Session), Stats(), session_log("test"))
    return Attempts(policy, hooks, count=count)


def refused() -> LogonRejected:
    return LogonRejected(ApiError(400, -2015, "no", None))


@pytest.mark.parametrize(
    ("count", "lasted", "asked"),
    [
        (0, [0.0], [1]),
        (0, [0.0, 0.0, 0.0], [1, 2, 3]),
        (1, [0.0, 0.0], [2, 3]),
        (1, [10.0], [1]),
        (0, [0.0, 9.9, 10.0, 0.0], [1, 2, 1, 2]),
    ],
)
def test_the_number_of_an_attempt(count: int, lasted: list[float], asked: list[int]) -> None:
    """It grows with each failure in a row; a connection that lasted ten seconds makes the next one the first."""
    policy = Policy()
    attempts = attempts_by(policy, count)
    assert [attempts.failed(LOST, lasted=seconds) for seconds in lasted] == asked
    assert policy.asked == [(number, LOST) for number in asked]
    assert attempts.count == asked[-1]


@pytest.mark.parametrize(
    ("answer", "cause", "delay"),
    [
        (0.25, LOST, 0.25),
        (None, LOST, None),
        (0.25, ConnectError("busy", status=429, retry_after=7.0), 7.0),
        (8.0, ConnectError("busy", status=429, retry_after=7.0), 8.0),
        (None, ConnectError("busy", status=429, retry_after=7.0), None),
        (0.25, ConnectError("refused"), 0.25),
        (0.0, refused(), 1.0),
        (3.0, refused(), 3.0),
        (None, refused(), None),
        (-1.0, LOST, 0.0),  # no delay: the default policy's stands in
    ],
)
def test_the_delay_of_an_attempt(answer: float | None, cause: Exception, delay: float | None) -> None:
    """The policy's, but not before the server wants it, and not at once after a refused logon."""
    assert attempts_by(Policy(answer)).failed(cause) == delay


def test_a_refused_logon_gets_its_number_in_a_row() -> None:
    attempts = attempts_by(Policy())
    errors = [refused() for _ in range(4)]
    attempts.failed(errors[0])
    attempts.failed(ConnectError("no network"))
    attempts.failed(errors[1])
    attempts.refusals = 0  # a logon was accepted
    attempts.failed(errors[2])
    attempts.reset()
    attempts.failed(errors[3])
    assert [error.refusals for error in errors] == [1, 2, 1, 1]


@pytest.mark.parametrize(("count", "first"), [(0, 1), (1, 2)])
def test_after_a_reset_it_counts_from_its_start(count: int, first: int) -> None:
    attempts = attempts_by(Policy(), count)
    assert [attempts.failed(LOST), attempts.failed(LOST)] == [first, first + 1]
    attempts.reset()
    assert attempts.failed(LOST) == first


def test_what_is_repeated_soon_waits_and_what_lasted_does_not() -> None:
    policy = Policy()
    attempts = attempts_by(policy)
    assert [attempts.repeated(LOST, lasted=seconds) for seconds in (60.0, 0.0, 9.9, 10.0, 0.0)] == [0, 1, 2, 0, 1]
    assert [number for number, _ in policy.asked] == [1, 2, 1]
