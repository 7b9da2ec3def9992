"""An event's line: valid JSON whatever the event is, exact for every reader, and without a listenKey."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_session.cli.run.lines import Ids, Lines
from binance_session.responses import Event

KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"


def no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read(line: bytes) -> dict[str, Any]:
    """Return what a strict reader makes of one line."""
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    message: dict[str, Any] = json.loads(line, parse_constant=no_constant)
    assert list(message) == ["type", "time", "gap", "data"]
    return message


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("exact", [0, -1, 2**53, -(2**53), 1736996475556])
def test_an_integer_that_every_reader_gets_right_is_a_number(exact: int) -> None:
    assert read(Lines().line(Event("X", 1, {"i": exact})))["data"] == {"i": exact}


@pytest.mark.parametrize("beyond", [2**53 + 1, -(2**53) - 1, 8389766145050669870, 10**30])
def test_an_integer_beyond_is_text_unless_numbers_are_asked_for(beyond: int) -> None:
    event = Event("X", 1, {"o": {"i": beyond, "list": [beyond]}})
    assert read(Lines().line(event))["data"] == {"o": {"i": str(beyond), "list": [str(beyond)]}}
    assert read(Lines("number").line(event))["data"] == event.data


def test_what_is_no_integer_stays_as_it_is() -> None:
    data: dict[str, Any] = {
        "a": True,
        "b": None,
        "c": 0.1,
        "d": 1e22,
        "e": "123456789012345678901",
        "f": [],
        "g": {},
        "h": False,
    }
    assert read(Lines().line(Event("X", 1, data)))["data"] == data


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("ids", ["text", "number"])
def test_a_number_that_json_does_not_have_is_told_as_a_gap(number: float, ids: Ids) -> None:
    lines = Lines(ids)
    lines.line(Event("X", 5, {}))
    told = read(lines.line(Event("ACCOUNT_UPDATE", 7, {"x": [number]})))
    assert (told["type"], told["time"], told["gap"]) == ("malformed", 7, True)
    assert (told["data"]["since"], told["data"]["until"]) == (5, 7)
    assert "ACCOUNT_UPDATE" in told["data"]["cause"]
    assert read(lines.line(Event("X", 8, {})))["type"] == "X"


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"k": value}], ids=["lists", "dicts"])
def test_an_event_nested_too_deeply_is_told_as_a_gap(wrap: Any) -> None:
    lines = Lines()
    lines.line(Event("X", 5, {}))
    value: Any = 1
    for _ in range(100_000):
        value = wrap([value])
    told = read(lines.line(Event("X", 0, {"x": value})))
    assert (told["type"], told["gap"], told["data"]["since"], told["data"]["until"]) == ("malformed", True, 5, 5)
    assert "nested too deeply" in told["data"]["cause"]
    while isinstance(value, (list, dict)):  # or the interpreter frees it by recursion
        value = value[0] if isinstance(value, list) else value["k"]


def test_at_no_depth_an_event_is_lost_or_written_wrongly() -> None:
    lines = Lines()
    for depth in range(0, 1000, 25):
        event = Event("X", 1, {"x": nested(depth)})
        told = read(lines.line(event))
        assert told["data"] == event.data or (told["type"] == "malformed" and told["gap"]), depth


def test_integers_too_long_to_be_written_are_told_as_a_gap() -> None:
    told = read(Lines().line(Event("X", 1, {"x": 10**5000})))
    assert (told["type"], told["gap"]) == ("malformed", True)


def test_a_type_from_outside_does_not_steer_a_terminal_in_the_cause() -> None:
    told = read(Lines().line(Event("\x1b[2J\n" + "x" * 10_000, 1, {"x": float("inf")})))
    assert told["data"]["cause"].isprintable()
    assert len(told["data"]["cause"]) < 500


@pytest.mark.parametrize(
    "data",
    [
        {"listenKey": KEY},
        {"key": KEY},
        {"o": {"listenKey": KEY}},
        {"o": [{"stream": f"wss://dstream.binance.com/ws/{KEY}?x=1"}]},
        {KEY: 1},
        {"o": {f"a{KEY}": [KEY]}},
        {"x": urllib.parse.quote(KEY)},
        {"x": "".join(f"%{ord(each):02X}" for each in KEY)},
        {"x": json.dumps({"k": KEY})},
        {"x": KEY.upper()},
    ],
)
def test_a_listen_key_is_masked_by_its_value_wherever_it_stands(data: dict[str, Any]) -> None:
    lines = Lines()
    lines.hide(KEY)
    line = lines.line(Event("X", 1, data))
    read(line)
    shown = urllib.parse.unquote(line.decode())
    assert KEY.lower() not in shown.lower()


def test_a_listen_key_as_the_type_is_masked() -> None:
    lines = Lines()
    lines.hide(KEY)
    assert read(lines.line(Event(KEY, 1, {"e": KEY, "x": 1})))["type"] == "pqia…a1"
    assert KEY not in lines.line(Event(KEY, 1, {"x": float("nan")})).decode()


@pytest.mark.parametrize("value", [KEY, '\ud800→\n"' * 10, 1234567890123456789, 1.5])
def test_what_is_called_a_listen_key_is_masked_also_if_it_is_not_ours(value: Any) -> None:
    line = Lines().line(Event("X", 1, {"o": {"listenKey": value}}))
    assert len(read(line)["data"]["o"]["listenKey"]) <= 20


@pytest.mark.parametrize("key", ["1234567890123456", "u00e9abcdefghijklmnop", "':9,'x':aaaaaaaaaaaa"])
def test_a_listen_key_that_looks_like_json_breaks_no_line(key: str) -> None:
    lines = Lines()
    lines.hide(key)
    data = {"E": 1234567890123456, "a": "\u00e9abcdefghijklmnop", "x": "aaaaaaaaaaaa", key: [key], "c": "\\" * 41}
    told = read(lines.line(Event("X", 1, data)))
    assert told["type"] == "X"
    assert (told["data"]["E"], told["data"]["a"]) == (1234567890123456, "\u00e9abcdefghijklmnop")
    assert len(told["data"]) == 5
    assert key not in json.dumps([list(told["data"]), list(told["data"].values())[3]])


@pytest.mark.parametrize("key", ['"' * 40, "\\" * 40, "\ud800" * 40, "\x1b\n" * 20, "x" * 1_000_000])
def test_what_can_be_no_listen_key_holds_nothing_up(key: str) -> None:
    lines = Lines()
    lines.hide(key)
    told = read(lines.line(Event("X", 1, {"k": [key, "%", "\u2028"], "i": 2**60})))
    assert told["data"]["i"] == str(2**60)


def test_a_text_that_looks_like_a_long_number_or_a_name_stays() -> None:
    data = {"c": "1234567890123456789", 'a"listenKey': [1], "d": '"listenKey":"x"', "e": "\\", "f": [2**60]}
    assert read(Lines().line(Event("X", 1, data)))["data"] == {**data, "f": [str(2**60)]}


def test_former_listen_keys_are_masked_too() -> None:
    lines = Lines()
    keys = [f"{number:02}{KEY}" for number in range(8)]
    for key in keys:
        lines.hide(key)
    line = lines.line(Event("X", 1, {"keys": keys})).decode()
    assert not any(key in line for key in keys)


def test_a_short_api_key_does_not_spoil_what_looks_like_it() -> None:
    lines = Lines()
    lines.hide("rehearsal")
    assert read(lines.line(Event("X", 1, {"c": "rehearsal-1"})))["data"] == {"c": "rehearsal-1"}


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=5,
    ),
    st.text(),
)
def test_whatever_the_event_is_there_is_one_valid_line(data: dict[str, Any], kind: str) -> None:
    lines = Lines("number")
    lines.hide(KEY)
    told = read(lines.line(Event(kind, 0, data)))
    if told["type"] != "malformed":
        assert {**data, "listenKey": 0} == {**told["data"], "listenKey": 0}
