"""Counting the request weight of what is sent."""

from __future__ import annotations

from binance_session.connections.weight import WeightCount


def test_what_is_sent_is_counted_by_the_minute() -> None:
    """The exchange's calendar decides."""
    count = WeightCount()
    for now in (0.0, 30.0, 59.9):
        count.sent(5, now)
    assert count.used == 15
    count.sent(2, 60.0)
    assert count.used == 2


def test_when_to_ask() -> None:
    """With the first request of a minute, and after each twentieth of the limit."""
    count = WeightCount()
    count.sent(1, 0.0)
    assert count.is_due
    count.told(100, 6000, count.asked(), 0.1)
    assert not count.is_due
    count.sent(299, 1.0)
    assert not count.is_due
    count.sent(1, 1.0)
    assert count.is_due
    count.asked()
    assert not count.is_due
    count.sent(1, 60.0)
    assert count.is_due


def test_what_the_exchange_says_is_right_and_what_was_sent_since_comes_on_top() -> None:
    """Also where it counts less than was reckoned; an answer about another minute says nothing of this one."""
    count = WeightCount()
    count.sent(50, 0.0)
    asked = count.asked()
    count.sent(7, 0.1)
    count.told(20, 2400, asked, 0.2)
    assert count.used == 27
    asked = count.asked()
    count.sent(5, 60.0)
    count.told(1000, 2400, asked, 60.1)
    assert count.used == 5
    asked = count.asked()
    count.told(1000, 2400, asked, 120.0)
    assert count.used == 5
