"""How two messages differ: fields that are missing, extra, of another type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session.cli.verify.shapes import compare, distinct, shape_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.decimals(allow_nan=False, places=2).map(str),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from("abc"), each, max_size=3),
    max_leaves=12,
)


def differences(exchange: Any, simulator: Any) -> list[tuple[str, str]]:
    return [(each.path, each.kind) for each in compare(shape_of(exchange), shape_of(simulator))]


@given(JSON)
def test_a_message_does_not_differ_from_itself(message: Any) -> None:
    assert differences(message, message) == []


@given(JSON, JSON)
def test_the_order_of_a_list_does_not_matter(one: Any, other: Any) -> None:
    assert shape_of([one, other]) == shape_of([other, one])


@given(st.dictionaries(st.sampled_from("abcd"), JSON, min_size=1), st.data())
def test_a_field_that_is_taken_away_is_missed_and_one_that_is_added_is_seen(message: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(message)))
    less = {key: value for key, value in message.items() if key != name}
    assert differences(less, message) == [(name, "missing")]
    assert differences(message, less) == [(name, "extra")]


@pytest.mark.parametrize(
    ("exchange", "simulator", "found"),
    [
        ({"a": 1}, {"a": "1"}, [("a", "type")]),
        ({"a": "x"}, {"a": "1.5"}, [("a", "type")]),
        ({"a": ""}, {"a": "1.5"}, [("a", "type")]),
        ({"a": "123"}, {"a": "order-1"}, []),  # a text may happen to be a number
        ({"a": None}, {"a": 1}, [("a", "type")]),
        ({"a": 1.5}, {"a": 1}, [("a", "type")]),
        ({"a": True}, {"a": 1}, [("a", "type")]),
        ({"a": []}, {"a": [{"b": 1}]}, []),  # an empty list says nothing of its items
        ({"a": [{"b": 1}, {"b": None}]}, {"a": [{"b": 2}]}, [("a[].b", "type")]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"c": 3}]}, [("a[].c", "missing")]),
        ([], {}, [("", "type")]),
    ],
)
def test_what_differs(exchange: Any, simulator: Any, found: list[tuple[str, str]]) -> None:
    assert differences(exchange, simulator) == found


@given(st.lists(JSON))
def test_the_first_of_each_shape_is_kept(items: list[Any]) -> None:
    kept = distinct(items)
    assert len(kept) <= len(items)
    assert {repr(shape_of(item)) for item in kept} == {repr(shape_of(item)) for item in items} or shape_of(
        kept
    ) == shape_of(items)
    assert distinct(kept) == kept
