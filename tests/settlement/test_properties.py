"""Whatever happens at an exchange and on the way to it, nothing wrong is said of a request.

A model of one order: when its request leaves, whether and when it arrives, is executed, closed and renamed; what
clocks, networks and other users of the same id do meanwhile. The settlement asks the model, and its verdict is compared
with what happened. Mutants of the rules are each found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from attrs import define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_session import ApiError, Event, RequestTimeout
from binance_session.settlement import orders, sent
from binance_session.settlement.fate import Fate
from binance_session.settlement.machine import Settlement
from binance_session.settlement.sent import Sent
from binance_session.settlement.steps import Ask, Wait
from tests.settlement.asking import ORDER, T, question, report, shown, unknown

#: seconds
_DAY = 86_400.0


@frozen
class World:
    """What will happen. Times in seconds of the exchange's clock since the request's ``timestamp``, or since then."""

    spot: bool
    window: float
    #: the exchange's clock minus the one that stamps
    clock: float
    #: seconds from leaving to arriving, and from there to being executed; ``None``: it does not arrive, or is refused
    way: float | None
    processing: float | None
    #: seconds after its execution at which it is cancelled (under another name, on Spot) or filled
    closes_after: float | None
    closes_as: str
    #: when another order of this id was made, and closed if it was: an older one, perhaps of another side
    older: float | None
    older_closes: float | None
    older_side: str
    #: which of two orders of one name ``order.status`` shows, of which no document tells
    shows_older: bool
    #: seconds from sending to settling, and within which
    later: float
    within: float
    #: seconds that each query takes there and back, by turns; a negative one is not answered
    queries: list[tuple[float, float]]
    #: seconds after its execution at which its event is heard, and at which its late answer comes
    event: float | None
    answer: float | None

    @property
    def arrives(self) -> float | None:
        return None if self.way is None else self.clock + self.way

    @property
    def older_is_open_at(self) -> Callable[[float], bool]:
        older, closes = self.older, self.older_closes
        return lambda now: older is not None and older <= now and (closes is None or now < closes)

    @property
    def executed(self) -> float | None:
        """When the exchange made the order, if it did, by its own rules."""
        if self.arrives is None or self.processing is None:
            return None
        taken = -1.0 < self.arrives <= self.window
        made = self.arrives + self.processing
        return made if taken and not self.older_is_open_at(made) else None


def drawn(random: Random) -> World:
    """Draw what will happen."""

    def way() -> float:
        return random.choice([random.uniform(0, 0.3), random.uniform(0, 0.3), random.uniform(0, 20)])

    def seconds() -> float:
        return random.choice([random.uniform(0, 0.1), random.uniform(0, 30)])

    def perhaps(value: float) -> float | None:
        return None if random.random() < 0.4 else value

    window = random.choice([1.0, 5.0, 5.0, 60.0])
    older = perhaps(-random.choice([random.uniform(1.1, 60), random.uniform(60, 4 * _DAY)]))
    return World(
        spot=random.random() < 0.5,
        window=window,
        clock=random.choice([random.uniform(-0.99, 0.5), random.uniform(-0.99, 3.0)]),
        way=random.choice([None, way(), way(), window * random.uniform(0.8, 1.0)]),
        processing=random.choice([None, 0.01, random.uniform(0, 9.99), random.uniform(9, 9.99)]),
        closes_after=perhaps(seconds()),
        closes_as=random.choice(["CANCELED", "FILLED", "EXPIRED"]),
        older=older,
        older_closes=None if older is None else perhaps(random.uniform(older, random.choice([0.0, 40.0]))),
        older_side=random.choice(["BUY", "SELL"]),
        shows_older=random.random() < 0.3,
        later=random.choice([0.1, random.uniform(0, 30), random.uniform(0, 30), random.uniform(0, 5 * _DAY)]),
        within=random.choice([1.0, 30.0, 30.0, 90.0]),
        queries=[(way(), random.choice([way(), way(), way(), -1.0])) for _ in range(random.randint(1, 4))],
        event=perhaps(seconds()),
        answer=perhaps(seconds()),
    )


worlds = st.randoms(use_true_random=False).map(drawn)


@define
class Exchange:
    """Answers what is asked, from what has happened until then."""

    world: World

    def order(self, now: float) -> dict[str, Any] | None:
        """Return the order as it is now, if it is there."""
        world, made = self.world, self.world.executed
        if made is None or made > now:
            return None
        closed = world.closes_after is not None and made + world.closes_after <= now
        status = world.closes_as if closed else "NEW"
        name = "its cancellation" if world.spot and status == "CANCELED" else "mine"
        return shown(time=T + made * 1000, status=status, clientOrderId=name)

    def older(self, now: float) -> dict[str, Any] | None:
        world = self.world
        if world.older is None:
            return None
        status = "NEW" if world.older_is_open_at(now) else "CANCELED"
        name = "its cancellation" if world.spot and status == "CANCELED" else "mine"
        return shown(time=T + world.older * 1000, status=status, side=world.older_side, clientOrderId=name, orderId=1)

    def answer(self, ask: Ask, now: float) -> Any:
        """Return the answer to a query that is looked at now; an error for what is not there or forgotten."""
        found = [order for order in (self.order(now), self.older(now)) if order is not None]
        if ask.method == "allOrders":
            return [order for order in found if order["time"] >= ask.params["startTime"]]
        assert ask.params["origClientOrderId"] == "mine"
        found = [order for order in found if order["clientOrderId"] == "mine"]
        if not self.world.spot:  # "created time + 3 days"
            forgets = T + (now - 3 * _DAY) * 1000
            found = [row for row in found if row["status"] not in ("CANCELED", "EXPIRED") or row["time"] >= forgets]
        return found[-1 if self.world.shows_older else 0] if found else unknown()


def settle(world: World) -> tuple[Fate, float]:
    """Return what is said at the end, and how long after the ``timestamp`` that is, by the exchange's clock."""
    params = {**ORDER, "recvWindow": int(world.window * 1000)}
    venue = "Spot" if world.spot else "USD-M"
    asked, times = question(venue, "order.place", params)
    exchange = Exchange(world)
    time, machine = 0.0, Settlement("order.place", asked, times, world.within, 0.0)
    made = world.executed
    news: list[tuple[float, Any]] = []  # by the time of the settlement
    if made is not None:
        start = world.clock + world.later
        if world.event is not None and made + world.event >= start:
            stamp = T + int(made * 1000)
            event = report(venue, T=stamp, O=stamp)
            news.append((made + world.event - start, event))
        if world.answer is not None and made + world.answer >= start:
            news.append((made + world.answer - start, {"orderId": 7}))
    news.sort(key=lambda item: item[0])
    coming: tuple[float, Any] | None = None  # the answer to the query that is out
    for number in range(1000):
        stamped = T + (time + world.later) * 1000
        now = time + world.later + world.clock  # the exchange's clock, since the timestamp
        step = machine.next(time, stamped)
        if isinstance(step, Fate):
            return step, now
        if isinstance(step, Ask):
            there, back = world.queries[number % len(world.queries)]
            seen = now + there
            if not (now - world.clock) - 1.0 < seen <= (now - world.clock) + 5.0:
                answer: Any = ApiError(400, -1021, "Timestamp for this request is outside of the recvWindow.")
            else:
                answer = exchange.answer(step, seen)
            if back < 0:
                answer, there, back = RequestTimeout("no answer"), 5.0, 0.0
            coming = (time + there + back, answer)
            continue
        assert isinstance(step, Wait)
        moments = [time + step.seconds]
        moments += [news[0][0]] if news else []
        moments += [coming[0]] if coming else []
        time = max(time, min(moments))
        stamped = T + (time + world.later) * 1000
        while news and news[0][0] <= time:
            _, what = news.pop(0)
            if isinstance(what, Event):
                machine.heard(what, time)
            else:
                machine.late(what)
        if coming is not None and coming[0] <= time:
            (_, answer), coming = coming, None
            if isinstance(answer, Exception):
                machine.failed(answer, time, stamped)
            else:
                machine.answered(answer, time, stamped)
    raise AssertionError("it never ends")


def is_wrong(world: World) -> bool:
    fate, now = settle(world)
    made = world.executed
    if fate.took_effect is True:
        return made is None or made > now + 1e-6
    return fate.took_effect is False and made is not None


def is_silent(world: World) -> bool:
    """Tell whether nothing is said although the exchange could be asked in time, and could tell."""
    if any(back < 0 or there + back > 3.0 for there, back in world.queries):
        return False
    if world.within < 30.0 or world.later + world.within < world.window + 25.0 or world.later > 2 * _DAY:
        return False  # too short, or so late that it may be forgotten
    made, closes = world.executed, world.closes_after
    if world.older is not None:
        return False  # of an id that is used again, it depends
    if world.spot and made is not None and closes is not None and world.closes_as == "CANCELED":
        return False  # by another name now
    if not -0.5 < world.clock < 0.5:
        return False
    fate, _ = settle(world)
    return fate.took_effect is None


@settings(max_examples=500)
@given(worlds)
def test_nothing_wrong_is_said(world: World) -> None:
    assert not is_wrong(world)


@settings(max_examples=300)
@given(worlds)
def test_what_can_be_known_is_said(world: World) -> None:
    assert not is_silent(world)


@settings(max_examples=150)
@given(worlds)
def test_it_ends_in_time_and_does_not_ask_too_often(world: World) -> None:
    fate, _ = settle(world)
    assert fate.elapsed <= world.within + 0.001
    assert fate.asked <= 6 + world.within


# Mutants


def found(broken: Callable[[World], bool] = is_wrong) -> bool:
    """Tell whether a world is found in which a broken rule says something wrong."""
    return any(broken(drawn(Random(seed))) for seed in range(20_000))


def test_no_rule_is_broken_in_as_many_worlds_as_a_mutant_may_take() -> None:
    worlds = [drawn(Random(seed)) for seed in range(3_000)]
    assert not [world for world in worlds if is_wrong(world) or is_silent(world)]
    said = Counter(settle(world)[0].took_effect for world in worlds)
    assert min(said[True], said[False], said[None]) > 300, "all of it happens"


def test_a_window_that_is_not_waited_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sent, "over_at", property(lambda self: self.latest + 11_000))
    assert found()


def test_processing_that_is_not_waited_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sent, "over_at", property(lambda self: self.latest + self.window + 1_000))
    assert found()


def test_a_clock_that_is_taken_for_exact_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``timestamp`` may be up to a second ahead of the exchange's clock."""
    monkeypatch.setattr(sent, "_AHEAD", 0)
    assert found()


def test_an_answer_that_counts_by_when_it_came_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The query was answered from before the order."""
    failed = Settlement.failed

    def hastily(self: Settlement, error: Exception, time: float, now: float) -> None:
        self._asked_at = now
        failed(self, error, time, now)

    monkeypatch.setattr(Settlement, "failed", hastily)
    assert found()


def test_a_first_word_that_is_believed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sent, "is_over", lambda self, asked: True)
    assert found()


def test_a_forgotten_order_that_is_denied_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sent, "is_remembered", lambda self, asked, days: True)
    assert found()


def test_an_id_that_was_used_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any order that answers to the name is taken for this one."""
    monkeypatch.setattr(Sent, "moment", lambda self, made: sent.Moment.WITHIN)
    assert found()


def test_a_spot_order_that_is_denied_without_a_look_at_all_orders_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was cancelled may have another name."""
    wanted = orders.Wanted("BTCUSDT", "mine", "BUY", "0.01", None, rests=False)
    monkeypatch.setattr(orders.Wanted, "of", lambda params, name: wanted)
    assert found()


def test_another_order_of_this_name_that_is_taken_for_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name and side, whenever it was made."""
    monkeypatch.setattr(sent, "_AHEAD", 10**9)
    assert found()


def test_a_rename_that_is_not_thought_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders.Placed, "_may_be_renamed", lambda self, row: False)
    assert found()


def test_a_closed_older_order_that_proves_a_duplicate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that is open still has held the id all the time."""
    monkeypatch.setattr(orders, "OPEN", frozenset({"NEW", "CANCELED", "FILLED"}))
    assert found()


def test_a_settlement_that_never_says_no_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sent, "is_over", lambda self, asked: False)
    assert found(is_silent)
