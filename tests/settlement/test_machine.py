"""When to ask, and when it is over: the machine without a session."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session import ApiError, ConnectionLost, NotSent, RateLimited, RequestTimeout
from binance_session.settlement.fate import Fate, no, unsure, yes
from binance_session.settlement.steps import Ask, Wait
from tests.settlement.asking import (
    ALGO,
    ORDER,
    OVER,
    REPLACEMENT,
    SHOWN,
    Asking,
    T,
    algo_update,
    report,
    shown,
    unknown,
)

LOST = ConnectionLost("gone", method="order.status")


def test_an_order_that_stands_is_known_at_once() -> None:
    asking = Asking("COIN-M")
    fate = asking.run(lambda ask, at: SHOWN)
    assert (fate.took_effect, fate.order, fate.evidence, fate.asked) == (True, SHOWN, "order.status", 1)
    assert fate.elapsed == pytest.approx(0.01)


def test_an_order_that_is_not_there_is_asked_for_until_it_cannot_come_any_more() -> None:
    """At growing distances, and then at once."""
    asking = Asking("USD-M")
    fate = asking.run(lambda ask, at: unknown())
    assert (fate.took_effect, fate.evidence) == (False, "-2013 after recvWindow + 10 s")
    left = [at for _, _, at in asking.asked]
    assert left[:6] == pytest.approx([100, 610, 1620, 3630, 7640, 15650])
    assert left[-1] == pytest.approx(OVER, abs=5)
    assert left[-1] >= OVER
    assert fate.asked == len(left) == 7


def test_an_order_that_comes_late_is_found() -> None:
    asking = Asking("USD-M")
    fate = asking.run(lambda ask, at: shown(time=T + 12_000) if at > 12_000 else unknown())
    assert fate.took_effect is True


@pytest.mark.parametrize("venue", ["COIN-M", "USD-M", "Spot"])
def test_a_longer_window_is_waited_out(venue: str) -> None:
    params = {**ORDER, "recvWindow": 60_000}
    asking = Asking(venue, params=params, within=100.0)
    fate = asking.run(lambda ask, at: [] if ask.method == "allOrders" else unknown())
    assert fate.took_effect is False
    assert asking.asked[-1][2] >= 71_000
    within = Asking(venue, params=params).run(lambda ask, at: unknown())
    assert within.took_effect is None
    assert within.evidence.startswith("-2013 before recvWindow + 10 s were over")
    assert "it may be executed for 40.9 s" in within.evidence


def test_what_is_settled_long_after_is_asked_once() -> None:
    asking = Asking("Spot", later=3_600_000)
    fate = asking.run(lambda ask, at: [] if ask.method == "allOrders" else unknown())
    assert fate.took_effect is False
    assert [method for method, _, _ in asking.asked] == ["order.status", "allOrders"]
    assert fate.elapsed < 1


@pytest.mark.parametrize(
    "error", [LOST, RequestTimeout("no answer"), ApiError(500, -1000, "no"), ApiError(400, -1102, "what?"), OSError()]
)
def test_what_is_not_answered_is_asked_again_and_says_nothing(error: Exception) -> None:
    asking = Asking("COIN-M")
    fate = asking.run(lambda ask, at: error)
    assert fate.took_effect is None
    assert fate.evidence.startswith(f"the exchange could not be asked: {type(error).__name__}")
    assert fate.elapsed == pytest.approx(30.0, abs=0.1)
    assert 6 <= fate.asked <= 10
    healed = Asking("COIN-M").run(lambda ask, at: unknown() if at > 20_000 else error)
    assert healed.took_effect is False


def test_a_query_that_does_not_leave_is_tried_every_second_and_not_counted() -> None:
    asking = Asking("COIN-M")
    fate = asking.run(lambda ask, at: NotSent("not ready") if at < 10_000 else SHOWN)
    assert fate.took_effect is True
    assert fate.asked == 1
    assert 10 <= len(asking.asked) <= 12


def test_a_rate_limit_is_waited_out() -> None:
    asking = Asking("COIN-M")
    data = {"retryAfter": T + 9_000, "serverTime": T}
    error = RateLimited(429, -1003, "too many", data)
    fate = asking.run(lambda ask, at: error if len(asking.asked) == 1 else SHOWN)
    assert fate.took_effect is True
    assert [at for _, _, at in asking.asked] == pytest.approx([100, 9_110])


def test_an_event_settles_while_a_query_is_out() -> None:
    asking = Asking("USD-M")
    assert isinstance(asking.step(), Ask)
    assert isinstance(asking.step(), Wait)
    asking.hear(report("USD-M"))
    fate = asking.step()
    assert isinstance(fate, Fate)
    assert (fate.took_effect, fate.evidence) == (True, "event ORDER_TRADE_UPDATE")
    asking.tell(unknown())  # comes too late to say anything
    assert asking.step() == fate


def test_what_is_heard_of_is_asked_for_soon_but_not_all_the_time() -> None:
    asking = Asking("USD-M", later=5_000)
    assert isinstance(asking.step(), Ask)
    fill = report("USD-M", x="TRADE", X="PARTIALLY_FILLED")
    asking.hear(fill)
    asking.tell(unknown())
    wait = asking.step()
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(0.5)
    asking.pass_time(0.5)
    assert isinstance(asking.step(), Ask)
    asking.pass_time(0.2)
    asking.tell(unknown())
    assert asking.step() != wait, "the distance grows"
    asking.hear(fill)
    wait = asking.step()
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(0.3)


def test_the_late_answer_settles() -> None:
    for answer, expected in (({"orderId": 7}, True), (ApiError(400, -2010, "no"), False)):
        asking = Asking("USD-M")
        assert isinstance(asking.step(), Ask)
        asking.machine.late(answer)
        fate = asking.step()
        assert isinstance(fate, Fate)
        assert fate.took_effect is expected
    asking = Asking("USD-M")
    asking.machine.late(ApiError(500, -1007, "Timeout", outcome="unknown"))
    assert isinstance(asking.step(), Ask), "it says nothing"


def test_of_an_algo_order_nothing_is_asked_and_nothing_denied() -> None:
    asking = Asking("USD-M", "algoOrder.place", ALGO)
    wait = asking.step()
    assert wait == Wait(30.0)
    asking.pass_time(30.0)
    fate = asking.step()
    assert isinstance(fate, Fate)
    assert (fate.took_effect, fate.asked) == (None, 0)
    assert "REST GET /fapi/v1/algoOrder" in fate.evidence
    heard = Asking("USD-M", "algoOrder.place", ALGO)
    heard.hear(algo_update())
    fate = heard.step()
    assert isinstance(fate, Fate)
    assert fate.took_effect is True


def test_nobody_waits_for_what_cannot_be_heard() -> None:
    fate = Asking("USD-M", "algoOrder.place", ALGO).step(hears=False)
    assert isinstance(fate, Fate)
    assert fate.took_effect is None
    assert fate.elapsed == 0


def test_a_replacement_whose_old_order_cannot_be_asked_for_is_known_all_the_same() -> None:
    fate = Asking("Spot", "order.cancelReplace", REPLACEMENT).run(
        lambda ask, at: SHOWN if ask.params.get("origClientOrderId") == "mine" else LOST
    )
    assert fate.took_effect is True
    assert fate.order == {"new": SHOWN, "cancelled": None}
    assert fate.elapsed == pytest.approx(30.0, abs=0.1)


def test_a_query_from_before_says_nothing_however_late_its_answer_comes() -> None:
    """What counts is when it left."""
    asking = Asking("COIN-M", later=OVER - 10)
    assert isinstance(asking.step(), Ask)
    asking.pass_time(5.0)
    asking.tell(unknown())
    assert isinstance(asking.step(), Wait)


@pytest.mark.parametrize(
    ("fate", "text"),
    [
        (
            yes("order.status", SHOWN).after(1, 0.0213),
            "<Fate: the request took effect, and its order is NEW (order.status; asked once, 0.021 s)>",
        ),
        (
            no("-2013 after recvWindow + 10 s").after(7, 16.01),
            "<Fate: the request did not take effect (-2013 after recvWindow + 10 s; asked 7 times, 16.010 s)>",
        ),
        (
            unsure("no event of it came").after(0, 30),
            "<Fate: it is not known whether the request took effect (no event of it came; nothing was asked, 30.0",
        ),
        (yes("event", {"X": "FILLED"}), "<Fate: the request took effect, and its order is FILLED (event; nothing was"),
        (yes("x", {"status": "a\nb"}), "<Fate: the request took effect, and its order is a\\nb (x; nothing was"),
    ],
)
def test_a_fate_reads_as_a_sentence(fate: Fate, text: str) -> None:
    assert repr(fate).startswith(text)


def test_a_fate_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"look at fate\.took_effect"):
        assert unsure("nothing is known")


@pytest.mark.parametrize("told", [None, [], [1, 2], "text", [{"a": 1}, {"b": 2}]])
def test_an_order_is_a_dict_or_nothing(told: Any) -> None:
    assert yes("x", told).order is None
    assert yes("x", [{"orderId": 1}]).order == {"orderId": 1}
