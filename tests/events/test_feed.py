"""The merging of two sources into one stream of events: in order, once each, with every gap named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

import binance_session.events.feed as feed_module
from binance_session import Event, EventsOverflow, Session, Stats
from binance_session.clock import ServerClock
from binance_session.events.delivery import Delivery
from binance_session.events.feed import Feed
from binance_session.hooks import Hooks
from binance_session.log import session_log


@define
class Kept:
    """A reader that keeps what it gets."""

    events: list[Event] = field(factory=list)
    errors: list[Exception | None] = field(factory=list)
    backlog: int = 0
    sockets: int = 1

    def put(self, event: Event) -> None:
        self.events.append(event)

    def end(self, error: Exception | None) -> None:
        self.errors.append(error)

    @property
    def numbers(self) -> list[Any]:
        return ["gap" if event.is_gap else event.data["n"] for event in self.events]


def feed_at(wall: Callable[[], float], stats: Stats) -> Feed:
    clock, log = ServerClock(wall), session_log("test")
    hooks = Hooks(object.__new__(Session), stats, log)
    return Feed(clock, Delivery(clock, hooks, stats, log), log)


def make_feed(now: float = 1_700_000_000.0) -> tuple[Feed, Kept, Stats]:
    stats = Stats()
    feed = feed_at(lambda: now, stats)
    reader = Kept()
    feed.add(reader)
    return feed, reader, stats


def event(number: int, **fields: Any) -> Event:
    return Event("ORDER_TRADE_UPDATE", 1_700_000_000_000, {"e": "ORDER_TRADE_UPDATE", "n": number, **fields})


@pytest.mark.virtual
async def test_what_both_bring_is_delivered_once_and_in_order() -> None:
    feed, reader, stats = make_feed()
    feed.follow("old")
    feed.take_over()
    feed.event("old", event(1))
    feed.follow("new")
    feed.event("old", event(2))  # on its way before the new one was there
    feed.event("new", event(3))  # the new one is faster
    feed.event("old", event(3))
    feed.event("old", event(4))
    feed.event("new", event(5))
    assert reader.numbers == [1, 2, 3, 4]
    feed.take_over()
    feed.event("new", event(4))  # a copy that is late
    feed.event("old", event(6))  # what it still says is heeded no more
    feed.event("new", event(6))
    assert reader.numbers == [1, 2, 3, 4, 5, 6]
    assert stats.events == 6
    assert stats.gaps == 0


@pytest.mark.virtual
async def test_copies_are_told_by_what_they_say_and_not_by_how_it_is_written() -> None:
    """A number in one, text in the other; another order of the fields; the same thing twice is two events."""
    feed, reader, _ = make_feed()
    feed.follow("old")
    feed.take_over()
    feed.follow("new")
    written: list[dict[str, Any]] = [{"n": 1, "E": 7}, {"E": "7", "n": 1}]
    for _ in range(2):
        feed.event("old", Event("x", 7, written[0]))
    for _ in range(3):
        feed.event("new", Event("x", 7, written[1]))
    feed.take_over()
    assert reader.numbers == [1, 1, 1]


@pytest.mark.virtual
async def test_a_gap_comes_before_the_first_event_after_it() -> None:
    feed, reader, stats = make_feed()
    feed.follow("old")
    feed.take_over()
    feed.event("old", event(1))
    feed.drop("old", 1_699_999_990_000, "cut")
    feed.event("old", event(2))
    feed.follow("new")
    assert reader.numbers == [1]
    feed.event("new", event(3))  # it lives, so it leads
    assert reader.numbers == [1, "gap", 3]
    gap = reader.events[1]
    assert gap.data == {"cause": "cut", "since": 1_699_999_990_000, "until": 1_700_000_000_000, "over": True}
    assert gap.time == 1_700_000_000_000
    assert stats.gaps == 1


@pytest.mark.virtual
async def test_a_gap_that_lasts_is_told_while_it_lasts_and_when_it_is_over() -> None:
    loop = asyncio.get_running_loop()
    stats = Stats()
    feed = feed_at(loop.time, stats)
    reader = Kept()
    feed.add(reader)
    feed.follow("old")
    feed.take_over()
    began = int(loop.time() * 1000)
    feed.drop("old", began, "cut")
    await asyncio.sleep(0.9)
    assert reader.numbers == []
    assert not feed.is_live
    await asyncio.sleep(29.1)
    assert reader.numbers == ["gap"]
    feed.follow("new")
    feed.take_over()
    first, second = (gap.data for gap in reader.events)
    assert first["since"] == began
    assert not first["over"]
    assert second["over"]
    assert feed.is_live
    assert first["until"] == second["since"]
    assert second["until"] - began == pytest.approx(30_000, abs=2)


@pytest.mark.virtual
async def test_a_source_that_breaks_off_in_a_handover_leaves_the_other() -> None:
    for dies, expected in (("old", [1, "gap", 2, 3]), ("new", [1, 3])):
        feed, reader, _ = make_feed()
        feed.follow("old")
        feed.take_over()
        feed.event("old", event(1))
        feed.follow("new")
        feed.event("new", event(2))
        feed.drop(dies, 0, "cut")
        feed.event("new" if dies == "old" else "old", event(3))
        assert reader.numbers == expected
        feed.remove(reader)


@given(
    before=st.integers(0, 5),
    both=st.integers(0, 12),
    order=st.randoms(use_true_random=False),
    dies=st.booleans(),
)
def test_any_interleaving_gives_the_same_stream(before: int, both: int, order: Any, dies: bool) -> None:
    """Two sources that run side by side, each in its own order, however they interleave and whichever is faster.

    The old one leads until all that was sent has arrived on it; or it dies somewhere, and then there is one gap, and
    nothing that only the new one brought is missing.
    """

    async def run() -> None:
        feed, reader, stats = make_feed()
        feed.follow("old")
        feed.take_over()
        for number in range(before):
            feed.event("old", event(number))
        feed.follow("new")
        # What is on its way when the new one opens comes on the old one alone.
        opened_at = before + order.randint(0, both)
        old = list(range(before, before + both))
        new = list(range(opened_at, before + both + 3))
        death = order.randint(0, len(old)) if dies else None
        handed_over = False
        while old or new:
            if not handed_over and (len(old) == both - (death or 0) if dies else not old):
                handed_over = True
                if dies:
                    feed.drop("old", 0, "cut")
                    old = []
                else:
                    feed.take_over()
                continue
            source = order.choice([name for name, left in (("old", old), ("new", new)) if left])
            # the exchange sends no more on the old one once it was let go; the last three come on the new one alone
            feed.event(source, event((old if source == "old" else new).pop(0)))
        if not handed_over:
            feed.drop("old", 0, "cut") if dies else feed.take_over()
        numbers = [number for number in reader.numbers if number != "gap"]
        assert numbers == sorted(set(numbers)), "twice, or out of order"
        assert stats.gaps == dies
        if dies:
            assert set(range(opened_at, before + both + 3)) <= set(numbers)
        else:
            assert numbers == list(range(before + both + 3))
        feed.remove(reader)

    asyncio.run(run())


@pytest.mark.virtual
async def test_an_expiry_that_is_told_twice_is_delivered_once() -> None:
    feed, reader, _ = make_feed()
    feed.follow("old")
    feed.take_over()
    said = {"e": "listenKeyExpired", "n": 1, "E": 5, "listenKey": "k"}
    feed.event("old", Event("listenKeyExpired", 5, said))
    feed.event("old", Event("listenKeyExpired", 5, said))
    feed.event("old", Event("listenKeyExpired", 6, {**said, "n": 2, "E": 6}))
    assert reader.numbers == [1, 2]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.virtual
async def test_an_event_may_be_nested_deeper_than_can_be_written_as_json() -> None:
    """Copies are told all the same, and what differs at its deepest point is another event."""
    feed, reader, stats = make_feed()
    feed.follow("old")
    feed.take_over()
    feed.follow("new")
    feed.event("old", event(1, deep=nested(20_000), other={"b": 1, "a": [True, None, 1.5, 10**5000, "x"]}))
    feed.event("old", event(2, deep=nested(20_001)))
    feed.event("new", event(1, other={"a": [True, None, 1.5, 10**5000, "x"], "b": 1}, deep=nested(20_000)))
    feed.event("new", event(2, deep=nested(20_001)))
    feed.event("new", event(3, deep=nested(20_002)))
    feed.take_over()
    assert reader.numbers == [1, 2, 3]
    assert stats.gaps == 0


@pytest.mark.virtual
@pytest.mark.parametrize("bound", ["bytes", "number", "number that only the old one brings"])
async def test_a_handover_holds_back_no_more_than_its_bounds(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the new source leads, and what the old one did not bring may be missing: a gap, and nothing twice."""
    monkeypatch.setattr(feed_module, "HELD_EVENTS", 10**6 if bound == "bytes" else 100)
    feed, reader, _ = make_feed()
    feed.follow("old")
    feed.take_over()
    feed.follow("new")
    feed.event("old", event(0))
    brings = "old" if "old" in bound else "new"
    for number in range(1, 200):
        feed.event(brings, evolve(event(number), _size=2**21 if bound == "bytes" else 100))
    assert feed.leading == "new"
    assert feed._copies.held_bytes == feed._copies.held == feed._queue_bytes == 0
    feed.event("new", event(0))  # a copy
    feed.event("new", event(999))
    numbers = reader.numbers
    assert numbers.count("gap") == 1
    assert [number for number in numbers if number != "gap"] == sorted(set(numbers) - {"gap"})
    assert numbers[-1] == 999
    assert len(numbers) > (15 if bound == "bytes" else 100)
    assert feed.is_live


@pytest.mark.virtual
async def test_what_is_held_is_counted_down_again() -> None:
    feed, _, _ = make_feed()
    feed.follow("old")
    feed.take_over()
    for how in (feed.take_over, lambda: feed.abandon("new"), lambda: feed.drop("new", 0, "x")):
        feed.follow("new")
        for number in range(5):
            feed.event("new", evolve(event(number), _size=100))
        feed.event("old", event(0))
        assert (feed._copies.held, feed._copies.held_bytes) == (4, 400)
        how()
        assert (feed._copies.held, feed._copies.held_bytes, feed._queue_bytes) == (0, 0, 0)
        feed.follow("old")
        feed.take_over()


@pytest.mark.virtual
async def test_what_waits_for_a_paused_reader_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers are told that events are missing; the feed goes on for those that come."""
    monkeypatch.setattr(feed_module, "HELD_EVENTS", 100)
    feed, reader, _ = make_feed()
    feed.follow("one")
    feed.take_over()
    feed.is_paused = lambda: True
    feed.follow("two")
    feed.event("two", event(0))
    feed.take_over()
    for number in range(1, 200):
        feed.event("two", event(number))
    assert [type(error) for error in reader.errors] == [EventsOverflow]
    feed.is_paused = lambda: False
    assert feed.is_live
    feed.event("two", event(500))
    assert reader.numbers[-1] == 500


@pytest.mark.virtual
async def test_a_suspicion_that_was_told_is_told_to_be_over() -> None:
    """Whatever becomes of it: dismissed, or certain and then over. One that was dismissed in time is not told."""
    feed, reader, stats = make_feed()
    feed.follow("one")
    feed.take_over()
    feed.suspect(0, "perhaps")
    assert not feed.is_live
    feed.dismiss()
    assert feed.is_live
    assert stats.gaps == 0
    for count in (1, 2):
        feed.suspect(0, "perhaps")
        await asyncio.sleep(2.0)
        if count == 1:
            feed.dismiss()
        else:
            feed.withdraw()
            feed.open_gap(0, "certainly")
            assert not feed.is_live
            feed.close_gap()
        assert feed.is_live
        assert [gap.data["over"] for gap in reader.events] == [False, True] * count


@pytest.mark.virtual
async def test_a_gap_that_is_over_while_something_is_suspected_is_told_in_two_parts() -> None:
    feed, reader, _ = make_feed()
    feed.follow("one")
    feed.take_over()
    feed.suspect(0, "perhaps")
    feed.open_gap(0, "certainly")
    feed.close_gap()
    assert not feed.is_live
    feed.dismiss()
    assert feed.is_live
    assert [gap.data["over"] for gap in reader.events] == [False, True]
