"""What an answer to a question means, method by method: a table."""

from __future__ import annotations

from typing import Any

import pytest

from binance_session import COIN_M, SPOT, USD_M, ApiError, ConfigurationError, Event
from binance_session.settlement.fate import Fate
from binance_session.settlement.questions import client_id_of, known_by_its_answer, question_of
from binance_session.settlement.sent import Moment, Sent
from binance_session.settlement.steps import Ask, More
from tests.settlement.asking import (
    ALGO,
    DAY,
    ORDER,
    OVER,
    REPLACEMENT,
    SHOWN,
    VENUES,
    T,
    algo_update,
    question,
    report,
    shown,
    unknown,
)

#: ms after the request at which a query left: so early that it says nothing for good, and late enough
EARLY, LATE = OVER - 1, OVER
FUTURES = ("COIN-M", "USD-M")
BY_NAME = {"symbol": "BTCUSDT", "origClientOrderId": "mine", "timestamp": T}
BY_NUMBER = {"symbol": "BTCUSDT", "orderId": 7, "timestamp": T}
LATER, NOW = More.LATER, More.NOW


def verdict(found: Fate | More) -> Any:
    return found if isinstance(found, More) else found.took_effect


def ask(venue: str, method: str, params: dict[str, Any], answer: Any, at: float) -> Fate | More:
    """Return what the answer to the first query means, which left ``at`` ms after the request."""
    asked, _ = question(venue, method, params)
    query = asked.ask()
    assert query is not None
    if isinstance(answer, ApiError):
        return asked.refused(query, answer, T + at)
    return asked.answered(query, answer, T + at)


# When


@pytest.mark.parametrize(
    ("made", "moment"),
    [
        (T - 1_001, Moment.BEFORE),
        (T - 1_000, Moment.WITHIN),  # a timestamp may be 1 s ahead of the exchange
        (T + 15_000, Moment.WITHIN),
        (T + 15_001, Moment.AFTER),
        (T * 1000, Moment.WITHIN),  # in µs, as Spot may tell it
        ("soon", Moment.UNKNOWN),
        (None, Moment.UNKNOWN),
        (True, Moment.UNKNOWN),
    ],
)
def test_when_something_was_made(made: object, moment: Moment) -> None:
    assert Sent.of({"timestamp": T}).moment(made) is moment


@pytest.mark.parametrize(
    ("params", "sent_at", "window", "over"),
    [
        ({"timestamp": T}, None, None, T + 16_000),
        ({"timestamp": T, "recvWindow": 60_000}, None, None, T + 71_000),
        ({"timestamp": T, "recvWindow": "6000.346"}, None, None, T + 17_000.346),
        ({"timestamp": T}, None, 1_000, T + 12_000),
        ({"timestamp": T, "recvWindow": 5_000}, None, 1_000, T + 16_000),
        ({"timestamp": T * 1000}, None, None, T + 16_000),
        ({"timestamp": T}, T / 1000 - 99, None, T + 16_000),
        ({}, T / 1000, None, T + 21_000),  # what was written down may be 5 s wrong
    ],
)
def test_when_it_can_do_nothing_any_more(
    params: dict[str, Any], sent_at: float | None, window: float | None, over: float
) -> None:
    sent = Sent.of(params, sent_at, window)
    assert sent.over_at == pytest.approx(over)
    assert not sent.is_over(over - 1)
    assert sent.is_over(over + 1)


def test_a_time_that_was_written_down_is_wide_on_both_sides() -> None:
    sent = Sent.of({}, T / 1000)
    assert [sent.moment(T + off) for off in (-6_001, -6_000, 20_000, 20_001)] == [
        Moment.BEFORE,
        Moment.WITHIN,
        Moment.WITHIN,
        Moment.AFTER,
    ]


@pytest.mark.parametrize("params", [{}, {"timestamp": "soon"}, {"timestamp": T, "recvWindow": -1}, {"timestamp": True}])
def test_a_request_of_no_known_time_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Sent.of(params)


# order.place


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    ("answer", "at", "expected"),
    [
        (SHOWN, 0, True),
        (shown(time=T - 900), 0, True),
        (shown(status="FILLED", executedQty="0.01"), 0, True),
        (shown(status="CANCELED"), LATE, True),
        (shown(status="EXPIRED"), 0, True),
        (shown(status="REJECTED"), 0, False),
        (shown(origQty="0.0100000"), 0, True),
        # another order
        (shown(side="SELL"), EARLY, LATER),
        (shown(origQty="0.02"), EARLY, LATER),
        (shown(time=T - 1_001), EARLY, LATER),
        (shown(time=T + 15_001), EARLY, LATER),
        (shown(time="soon"), EARLY, LATER),
        # an older one that holds the id: another is refused
        (shown(time=T - DAY), LATE, False),
        (shown(time=T - DAY, status="PARTIALLY_FILLED"), LATE, False),
        # nothing there
        (unknown(), 0, LATER),
        (unknown(), EARLY, LATER),
        ("nonsense", LATE, LATER),
        (None, LATE, LATER),
    ],
)
def test_a_placement(venue: str, answer: Any, at: float, expected: Any) -> None:
    assert verdict(ask(venue, "order.place", ORDER, answer, at)) is expected


@pytest.mark.parametrize("venue", FUTURES)
@pytest.mark.parametrize(
    ("answer", "at", "expected"),
    [
        (unknown(), LATE, False),
        (unknown(), 3 * DAY - 61_001, False),
        (unknown(), 3 * DAY - 61_000, None),  # one that was cancelled or expired unfilled is forgotten then
        # another answers, and this one may have been closed before that was made
        (shown(side="SELL"), LATE, None),
        (shown(origQty="0.02"), LATE, None),
        (shown(time=T + DAY), LATE, None),
        (shown(time=T - DAY, status="FILLED"), LATE, None),
        (shown(time=T - DAY, status="CANCELED"), LATE, None),
    ],
)
def test_a_placement_on_futures(venue: str, answer: Any, at: float, expected: Any) -> None:
    assert verdict(ask(venue, "order.place", ORDER, answer, at)) is expected


def test_a_placement_of_which_only_the_second_of_sending_is_known_is_not_called_a_duplicate() -> None:
    """An order that seems older may be this one."""
    params = {name: value for name, value in ORDER.items() if name != "timestamp"}
    asked, _ = question("USD-M", "order.place", params, T / 1000)
    query = asked.ask()
    assert query is not None
    assert verdict(asked.answered(query, shown(time=T - 7_000), T + DAY)) is None


def test_a_market_order_by_its_worth_is_known_by_that() -> None:
    params = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quoteOrderQty": "100",
        "newClientOrderId": "mine",
        "timestamp": T,
    }
    for worth, expected in (("100.00", True), ("99", LATER)):
        answer = shown(origQty="0.005", origQuoteOrderQty=worth, status="FILLED")
        assert verdict(ask("Spot", "order.place", params, answer, 0)) is expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], False),
        ([shown(clientOrderId="other", side="SELL")], False),
        ([shown(clientOrderId="other", status="FILLED")], False),  # of no other name unless cancelled or amended
        ([shown(clientOrderId="other", status="CANCELED", time=T - 2_000)], False),
        ([shown(clientOrderId="other", status="CANCELED", time=T + 16_000)], False),
        ([shown(clientOrderId="other", status="CANCELED", origQty="0.02")], False),
        ([shown(clientOrderId="other", status="CANCELED")], None),
        ([shown(clientOrderId="other", status="FILLED", origQty="0.005")], None),  # amended
        ([shown(clientOrderId="other"), SHOWN], True),
        ([shown(status="REJECTED")], False),
        ([shown(clientOrderId="other", side="SELL")] * 1000, None),  # more than one answer shows
        (["nonsense"], None),
        ("nonsense", LATER),
    ],
)
def test_a_spot_order_may_have_another_name_since(rows: Any, expected: Any) -> None:
    """-2013 is not enough: what was cancelled or amended is looked for among all orders of the symbol."""
    asked, _ = question("Spot", "order.place", ORDER)
    first = asked.ask()
    assert first is not None
    assert asked.refused(first, unknown(), T + EARLY) is LATER
    assert asked.ask() == first
    assert asked.refused(first, unknown(), T + LATE) is NOW
    second = asked.ask()
    assert second == Ask("allOrders", {"symbol": "BTCUSDT", "startTime": T - 1_000, "limit": 1_000})
    assert verdict(asked.answered(second, rows, T + LATE)) is expected


@pytest.mark.parametrize("kind", [{"type": "MARKET"}, {"timeInForce": "IOC"}, {"timeInForce": "FOK"}])
def test_a_spot_order_that_never_rests_keeps_its_name(kind: dict[str, str]) -> None:
    assert verdict(ask("Spot", "order.place", {**ORDER, **kind}, unknown(), LATE)) is False


def test_a_spot_order_that_was_archived_or_may_be_forgotten_is_not_denied() -> None:
    assert verdict(ask("Spot", "order.place", ORDER, unknown(-2026), LATE)) is None
    assert verdict(ask("Spot", "order.place", ORDER, unknown(), 90 * DAY)) is None
    assert verdict(ask("Spot", "sor.order.place", {**ORDER, "type": "MARKET"}, unknown(), LATE)) is False


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"c": "other"}, LATER),
        ({"s": "ETHUSDT"}, LATER),
        # of this name, but not to be told from an older one
        ({"S": "SELL"}, NOW),
        ({"q": "2"}, NOW),
        ({"T": T - 2_000, "O": T - 2_000}, NOW),
        ({"T": T + DAY, "O": T + DAY}, NOW),
    ],
)
def test_events_of_a_placement(venue: str, change: dict[str, Any], expected: Any) -> None:
    asked, _ = question(venue, "order.place", ORDER)
    assert verdict(asked.heard(report(venue, **change))) is expected


def test_only_spot_tells_in_a_fill_when_the_order_was_made() -> None:
    """A futures fill may be that of an older order of the same name."""
    for venue, expected in (("USD-M", NOW), ("Spot", True)):
        asked, _ = question(venue, "order.place", ORDER)
        assert verdict(asked.heard(report(venue, x="TRADE", X="FILLED", T=T + 500))) is expected


def test_an_order_that_the_engine_did_not_process_did_not_take_effect() -> None:
    asked, _ = question("Spot", "order.place", ORDER)
    assert verdict(asked.heard(report("Spot", x="REJECTED", X="REJECTED"))) is False


# order.cancel


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("params", [BY_NAME, BY_NUMBER])
@pytest.mark.parametrize(
    ("answer", "at", "expected"),
    [
        (shown(status="CANCELED"), 0, True),
        (shown(status="CANCELED", time=T - 9 * DAY), 0, True),
        (shown(status="FILLED"), 0, False),
        (shown(status="EXPIRED"), EARLY, LATER),
        (shown(status="EXPIRED"), LATE, False),
        (SHOWN, EARLY, LATER),
        (SHOWN, LATE, False),
        (shown(status="PARTIALLY_FILLED"), LATE, False),
        (unknown(), EARLY, LATER),
        (unknown(), LATE, None),  # forgotten once cancelled, or known by the name of its cancellation
    ],
)
def test_a_cancellation(venue: str, params: dict[str, Any], answer: Any, at: float, expected: Any) -> None:
    found = ask(venue, "order.cancel", params, answer, at)
    assert verdict(found) is expected
    if isinstance(found, Fate) and expected is not None:
        assert found.order == answer, "the last state"


def test_a_later_order_of_the_same_name_is_not_the_one_that_was_to_be_cancelled() -> None:
    newer = shown(time=T + 15_001)
    assert verdict(ask("USD-M", "order.cancel", BY_NAME, newer, EARLY)) is LATER
    assert verdict(ask("USD-M", "order.cancel", BY_NAME, newer, LATE)) is None
    assert verdict(ask("USD-M", "order.cancel", BY_NUMBER, newer, LATE)) is False, "a number is never used again"


def test_a_spot_cancellation_is_asked_for_by_its_own_name_too() -> None:
    asked, _ = question("Spot", "order.cancel", {**BY_NAME, "newClientOrderId": "away"})
    first = asked.ask()
    assert first == Ask("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})
    assert asked.refused(first, unknown(), T) is NOW
    second = asked.ask()
    assert second == Ask("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "away"})
    assert asked.refused(second, unknown(), T) is LATER
    assert asked.ask() == first
    assert asked.refused(first, unknown(), T) is NOW
    found = asked.answered(second, shown(clientOrderId="away", status="CANCELED"), T)
    assert verdict(found) is True


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"x": "CANCELED", "X": "CANCELED"}, True),
        ({"x": "CANCELED", "X": "CANCELED", "T": T - 2_000}, NOW),  # an older one's, told late
        ({"x": "TRADE", "X": "FILLED"}, NOW),
        ({"i": 8, "c": "other", "x": "CANCELED", "X": "CANCELED"}, LATER),
        ({"s": "ETHUSDT", "X": "CANCELED"}, LATER),
    ],
)
def test_events_of_a_cancellation(venue: str, change: dict[str, Any], expected: Any) -> None:
    for params in (BY_NAME, BY_NUMBER):
        asked, _ = question(venue, "order.cancel", params)
        assert verdict(asked.heard(report(venue, **change))) is expected


def test_a_spot_cancellation_has_a_name_of_its_own_in_events() -> None:
    asked, _ = question("Spot", "order.cancel", BY_NAME)
    event = report("Spot", c="away", C="mine", x="CANCELED", X="CANCELED")
    assert verdict(asked.heard(event)) is True


# order.modify

CHANGED = {**BY_NUMBER, "side": "BUY", "quantity": "0.02", "price": "21000"}


@pytest.mark.parametrize("venue", FUTURES)
@pytest.mark.parametrize(
    ("answer", "at", "expected"),
    [
        (shown(origQty="0.020", price="21000.0", updateTime=T), 0, True),
        # so before: refused with -5027
        (shown(origQty="0.020", price="21000.0", updateTime=T - 5_000), EARLY, LATER),
        (shown(origQty="0.020", price="21000.0", updateTime=T - 5_000), LATE, False),
        (SHOWN, EARLY, LATER),
        (SHOWN, LATE, False),
        (shown(status="FILLED"), LATE, False),
        (shown(status="CANCELED"), LATE, False),
        # may be what the modification does
        (shown(status="CANCELED", executedQty="0.02"), LATE, None),
        (shown(status="CANCELED", timeInForce="GTX"), LATE, None),
        (unknown(), EARLY, LATER),
        (unknown(), LATE, None),
    ],
)
def test_a_modification(venue: str, answer: Any, at: float, expected: Any) -> None:
    assert verdict(ask(venue, "order.modify", CHANGED, answer, at)) is expected


def test_a_price_that_the_exchange_chooses_is_not_compared() -> None:
    params = {**CHANGED, "priceMatch": "OPPONENT"}
    answer = shown(origQty="0.02", price="1", updateTime=T)
    assert verdict(ask("USD-M", "order.modify", params, answer, 0)) is True


@pytest.mark.parametrize(
    ("params", "change", "expected"),
    [
        (CHANGED, {"x": "AMENDMENT", "q": "0.02", "p": "21000"}, True),
        (CHANGED, {"x": "AMENDMENT", "q": "0.03", "p": "21000"}, NOW),
        (CHANGED, {"x": "AMENDMENT", "q": "0.02", "p": "21000", "T": T - 2_000}, NOW),
        ({**CHANGED, "modifyId": 5}, {"x": "AMENDMENT", "q": "0.02", "p": "21000", "M": "4"}, NOW),
        ({**CHANGED, "modifyId": 5}, {"x": "AMENDMENT", "q": "1", "p": "1", "M": "5"}, True),
        (CHANGED, {"x": "TRADE", "X": "FILLED"}, NOW),
    ],
)
def test_events_of_a_modification(params: dict[str, Any], change: dict[str, Any], expected: Any) -> None:
    asked, _ = question("USD-M", "order.modify", params)
    assert verdict(asked.heard(report("USD-M", **change))) is expected


# Spot: order.cancelReplace, order.amend.keepPriority, openOrders.cancelAll


@pytest.mark.parametrize("old", [shown(status="CANCELED"), unknown()])
def test_a_replacement_is_known_by_the_new_order_and_tells_of_the_old(old: Any) -> None:
    for answer, expected in ((SHOWN, True), (shown(status="REJECTED"), False)):
        asked, _ = question("Spot", "order.cancelReplace", REPLACEMENT)
        first = asked.ask()
        assert first == Ask("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})
        assert asked.answered(first, answer, T) is NOW
        second = asked.ask()
        assert second == Ask("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "old"})
        assert asked.decided is not None
        assert asked.decided.took_effect is expected, "for when the old one cannot be asked for in time"
        found = asked.refused(second, old, T) if isinstance(old, ApiError) else asked.answered(second, old, T)
        assert isinstance(found, Fate)
        assert found.took_effect is expected
        assert found.order == {"new": answer, "cancelled": None if isinstance(old, ApiError) else old}


def test_a_replacement_is_heard_of() -> None:
    asked, _ = question("Spot", "order.cancelReplace", REPLACEMENT)
    assert asked.heard(report("Spot")) is NOW
    assert asked.decided is not None
    assert asked.decided.took_effect is True


@pytest.mark.parametrize(
    ("cancelled", "placed", "expected"),
    [("FAILURE", "SUCCESS", True), ("SUCCESS", "FAILURE", False), ("SUCCESS", "NOT_ATTEMPTED", False)],
)
def test_a_replacement_that_succeeded_partly_says_so_itself(cancelled: str, placed: str, expected: bool) -> None:
    data = {"cancelResult": cancelled, "newOrderResult": placed}
    error = ApiError(409, -2021, "Order cancel-replace partially failed.", data, outcome="unknown")
    found = known_by_its_answer("order.cancelReplace", error)
    assert found is not None
    assert (found.took_effect, found.order) == (expected, data)
    assert known_by_its_answer("order.place", error) is None


AMENDED = {**BY_NUMBER, "newQty": "0.005"}


@pytest.mark.parametrize(
    ("rows", "at", "expected"),
    [
        ([{"newQty": "0.00500", "time": T}], 0, True),
        ([{"newQty": "0.00500", "time": T - 2_000}], LATE, False),
        ([{"newQty": "0.00600", "time": T}], LATE, False),
        ([], EARLY, LATER),
        ([], LATE, False),
        ("nonsense", LATE, LATER),
    ],
)
def test_an_amendment(rows: Any, at: float, expected: Any) -> None:
    assert verdict(ask("Spot", "order.amend.keepPriority", AMENDED, rows, at)) is expected


def test_an_amendment_by_name_asks_for_the_number_first() -> None:
    params = {**BY_NAME, "newQty": "0.005", "newClientOrderId": "smaller"}
    asked, _ = question("Spot", "order.amend.keepPriority", params)
    first = asked.ask()
    assert first == Ask("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "smaller"})
    assert asked.refused(first, unknown(), T) is NOW
    second = asked.ask()
    assert second == Ask("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})
    assert asked.refused(second, unknown(), T + EARLY) is LATER
    assert asked.answered(first, SHOWN, T) is NOW
    third = asked.ask()
    assert third == Ask("order.amendments", {"symbol": "BTCUSDT", "orderId": 7})
    row = {"newQty": "0.005", "time": T, "newClientOrderId": "other"}
    assert asked.answered(third, [row], T) is LATER
    assert verdict(asked.answered(third, [{**row, "newClientOrderId": "smaller"}], T)) is True


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"x": "REPLACED", "q": "0.005"}, True),
        ({"x": "REPLACED", "q": "0.006"}, NOW),
        ({"x": "REPLACED", "q": "0.005", "T": T - 2_000}, NOW),
        ({"x": "TRADE"}, NOW),
        ({"x": "REPLACED", "q": "0.005", "i": 8}, LATER),
        ({"x": "REPLACED", "q": "0.005", "s": "ETHUSDT"}, LATER),
    ],
)
def test_events_of_an_amendment(change: dict[str, Any], expected: Any) -> None:
    asked, _ = question("Spot", "order.amend.keepPriority", AMENDED)
    assert verdict(asked.heard(report("Spot", **change))) is expected


@pytest.mark.parametrize(
    ("rows", "at", "expected"),
    [
        ([], EARLY, LATER),  # it could still cancel what is opened next
        ([], LATE, True),
        ([shown(time=T - 2_000)], LATE, False),
        ([shown(time=T)], LATE, True),  # opened since
        ("nonsense", LATE, LATER),
    ],
)
def test_cancelling_everything(rows: Any, at: float, expected: Any) -> None:
    assert verdict(ask("Spot", "openOrders.cancelAll", {"symbol": "BTCUSDT", "timestamp": T}, rows, at)) is expected


# Spot: order lists

LIST = {"symbol": "BTCUSDT", "listClientOrderId": "pair", "timestamp": T}
SHOWN_LIST = {
    "orderListId": 3,
    "listOrderStatus": "EXECUTING",
    "listClientOrderId": "pair",
    "transactionTime": T + 20,
    "symbol": "BTCUSDT",
    "orders": [{"orderId": 7}, {"orderId": 8}],
}
LISTS = ["", ".oco", ".oto", ".otoco", ".opo", ".opoco"]


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    ("answer", "at", "expected"),
    [
        (SHOWN_LIST, 0, True),
        ({**SHOWN_LIST, "listOrderStatus": "ALL_DONE"}, 0, True),
        ({**SHOWN_LIST, "symbol": "ETHUSDT"}, EARLY, LATER),
        ({**SHOWN_LIST, "transactionTime": T - 2_000}, EARLY, LATER),
        ({**SHOWN_LIST, "transactionTime": T - 2_000}, LATE, False),
        ({**SHOWN_LIST, "transactionTime": T - 2_000, "listOrderStatus": "ALL_DONE"}, LATE, None),
        (unknown(), EARLY, LATER),
        (unknown(), LATE, False),
        (unknown(), 91 * DAY, None),
        (unknown(-2026), LATE, None),
    ],
)
def test_a_list(kind: str, answer: Any, at: float, expected: Any) -> None:
    assert verdict(ask("Spot", f"orderList.place{kind}", LIST, answer, at)) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"l": "ALL_DONE"}, NOW),
        ({"T": T - 2_000}, NOW),
        ({"C": "other"}, LATER),
        ({"s": "ETHUSDT"}, LATER),
    ],
)
def test_events_of_a_list(change: dict[str, Any], expected: Any) -> None:
    asked, _ = question("Spot", "orderList.place.oco", LIST)
    data = {"s": "BTCUSDT", "C": "pair", "l": "EXEC_STARTED", "T": T, **change}
    assert verdict(asked.heard(Event("listStatus", T, data))) is expected
    assert asked.heard(report("Spot")) is LATER


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["CANCELED", "CANCELED"], True),
        (["CANCELED", "EXPIRED"], True),
        (["FILLED", "CANCELED"], False),
        (["EXPIRED", "EXPIRED"], False),
    ],
)
def test_a_list_that_was_to_be_cancelled_is_known_by_its_orders(statuses: list[str], expected: bool) -> None:
    asked, _ = question("Spot", "orderList.cancel", {"symbol": "BTCUSDT", "orderListId": 3, "timestamp": T})
    first = asked.ask()
    assert first == Ask("orderList.status", {"orderListId": 3})
    assert asked.answered(first, SHOWN_LIST, T + EARLY) is LATER
    assert verdict(asked.answered(first, SHOWN_LIST, T + LATE)) is False
    assert asked.answered(first, {**SHOWN_LIST, "listOrderStatus": "ALL_DONE"}, T) is NOW
    found: Any = None
    for order_id, status in zip((7, 8), statuses, strict=True):
        query = asked.ask()
        assert query == Ask("order.status", {"symbol": "BTCUSDT", "orderId": order_id})
        found = asked.answered(query, shown(orderId=order_id, status=status), T)
    assert verdict(found) is expected


def test_a_list_by_name_may_be_unknown_or_another() -> None:
    params = {"symbol": "BTCUSDT", "listClientOrderId": "pair", "timestamp": T}
    newer = {**SHOWN_LIST, "transactionTime": T + 15_001}
    for answer in (unknown(), newer):
        assert verdict(ask("Spot", "orderList.cancel", params, answer, EARLY)) is LATER
        assert verdict(ask("Spot", "orderList.cancel", params, answer, LATE)) is None


# USD-M: algo orders


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"caid": "other"}, LATER),
        ({"S": "BUY"}, LATER),
        ({"q": "2"}, LATER),
        ({"s": "ETHUSDT"}, LATER),
        ({"T": T - 2_000}, LATER),
        ({"T": T + 15_001}, LATER),
        ({"ia": True}, LATER),  # a trailing stop is NEW a second time
        ({"X": "TRIGGERED"}, LATER),  # an older one's, perhaps
        ({"X": "CANCELED"}, LATER),
    ],
)
def test_an_algo_order_is_known_by_its_first_event_alone(change: dict[str, Any], expected: Any) -> None:
    asked, _ = question("USD-M", "algoOrder.place", ALGO)
    assert asked.ask() is None
    assert verdict(asked.heard(algo_update(**change))) is expected
    assert "REST" in asked.pending


@pytest.mark.parametrize("params", [{"algoId": 9}, {"algoId": "9"}, {"clientAlgoId": "stop"}])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"X": "CANCELED"}, True),
        ({"X": "FINISHED"}, False),
        ({"X": "TRIGGERED"}, False),
        ({"X": "EXPIRED"}, False),
        ({"X": "REJECTED"}, False),
        ({"X": "TRIGGERING"}, LATER),  # it may stay so for good
        ({"X": "CANCELED", "T": T - 2_000}, LATER),
        ({"X": "CANCELED", "aid": 8, "caid": "other"}, LATER),
    ],
)
def test_a_cancellation_of_an_algo_order(params: dict[str, Any], change: dict[str, Any], expected: Any) -> None:
    asked, _ = question("USD-M", "algoOrder.cancel", {**params, "timestamp": T})
    assert asked.ask() is None
    assert verdict(asked.heard(algo_update(**change))) is expected
    assert asked.heard(report("USD-M")) is LATER


# What can be asked


def test_every_method_that_changes_something_can_be_settled() -> None:
    for venue in (COIN_M, USD_M, SPOT):
        for method in venue.methods.values():
            if method.name.endswith("order.test"):
                continue
            with pytest.raises(ConfigurationError) as caught:
                question_of(method, {}, Sent.of({"timestamp": T}), is_spot=venue is SPOT)
            expected = "has no identity to ask by" if method.changes_anything else "changes nothing"
            assert expected in str(caught.value), method.name
            assert caught.value.method == method.name


@pytest.mark.parametrize("method", ["order.test", "sor.order.test"])
def test_a_test_order_places_nothing(method: str) -> None:
    found = question_of(SPOT.methods[method], {}, Sent.of({"timestamp": T}), is_spot=True)
    assert isinstance(found, Fate)
    assert found.took_effect is False


def test_a_method_of_a_version_is_the_method() -> None:
    assert question_of(SPOT.method("v3/order.place"), ORDER, Sent.of(ORDER), is_spot=True)
    assert client_id_of("v3/order.place") == "newClientOrderId"
    assert client_id_of("orderList.place.oco") == "listClientOrderId"
    assert client_id_of("algoOrder.place") == "clientAlgoId"
    assert client_id_of("order.cancel") is None


def test_a_method_that_nobody_knows_is_refused() -> None:
    method = SPOT.method("order.something", "TRADE")
    with pytest.raises(ConfigurationError, match=r"not known what to ask about order\.something"):
        question_of(method, ORDER, Sent.of(ORDER), is_spot=True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"orderId": 7}, True),
        ([{"orderId": 7}], True),  # sor.order.place
        (ApiError(400, -2010, "New order rejected."), False),
        (ApiError(500, -1007, "Timeout", outcome="unknown"), None),
        (ConfigurationError("no"), None),
    ],
)
def test_the_answer_itself_however_late(answer: Any, expected: bool | None) -> None:
    found = known_by_its_answer("order.place", answer)
    assert (None if found is None else found.took_effect) is expected
    if expected:
        assert found is not None
        assert found.order == {"orderId": 7}
    elif expected is False:
        assert found is not None
        assert found.error is answer
