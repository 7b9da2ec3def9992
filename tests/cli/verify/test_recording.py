"""The recording: nobody's secrets, readable, and enough to make the report again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from binance_session import ConfigurationError
from binance_session.cli.verify.masks import Masks, without_amounts
from binance_session.cli.verify.recording import Recording, load
from binance_session.simulator import Simulator
from tests.cli.verify.exam import head, recorded, report

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
LISTEN_KEY = "WsCMN0a4KHUPTQuX6IUnqEZfB1inxmv1qR4kbf1LuEjur5VdbzqvyxqG9TSjVVxv"


def written(recording: Recording, path: Path) -> str:
    """Return what the file of a run would be."""
    with path.open("w") as file:
        copy = Recording(recording.head, file=file)
        copy.begin()
        for record in recording.records:
            copy.step = record.step
            copy.clock = lambda at=record.at: at  # type: ignore[misc]
            copy.add(record.line, record.what, record.body, record.label)
    return path.read_text()


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_no_secret_is_recorded(venue: str, tmp_path: Path) -> None:
    simulators: list[Simulator] = []
    recording = recorded(venue, prepare=simulators.append)
    text = "\n".join(json.dumps(asdict(record), ensure_ascii=False) for record in recording.records)
    state = simulators[0].exchange.state
    secrets = {*state.keys, *state.listen_tokens}
    for each in simulators[0].received:
        secrets |= {str(each.params[name]) for name in ("signature", "apiKey", "listenToken") if name in each.params}
    secrets |= {str(each.event["listenKey"]) for each in simulators[0].pushed if "listenKey" in each.event}
    secrets -= {"made" * 16, "no key at all!"}
    assert len(secrets) > 10
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_the_report_can_be_made_again_from_the_file(venue: str, tmp_path: Path) -> None:
    recording = recorded(venue, readings={"ping_without_key": "created", "revoked_closes": True})
    written(recording, tmp_path / "recording")
    again = load(str(tmp_path / "recording"))
    assert again.head == recording.head
    assert report(again).as_json() == report(recording).as_json()


def test_a_person_can_read_it(tmp_path: Path) -> None:
    """One line for each frame, in order, with its time, its step, its connection and what it was."""
    lines = [json.loads(line) for line in written(recorded("coin-m"), tmp_path / "recording").splitlines()]
    assert lines[0]["recording"] == "binance-session verify"
    assert lines[0]["venue"] == "coin-m"
    assert [line["at"] for line in lines[1:]] == sorted(line["at"] for line in lines[1:])
    logon = next(line for line in lines if line.get("label") == "logon" and line["what"] == "sent")
    assert logon["body"]["params"]["apiKey"] == "<apiKey>"
    assert logon["body"]["params"]["signature"] == "<signature>"
    opened = next(line for line in lines if line.get("label") == "stream: path")
    assert opened["body"] == "/ws/<listenKey 1>"


def test_what_an_account_holds_is_not_recorded() -> None:
    bodies = [
        record.body
        for record in recorded("coin-m").records
        if record.what == "received" and record.label == "" and isinstance(record.body, dict)
    ]
    balances = next(body["result"] for body in bodies if isinstance(body.get("result"), list))
    assert set("".join(row["balance"] for row in balances)) <= set("0.")


def test_of_a_long_list_what_differs_in_its_fields_is_kept() -> None:
    recording = Recording(head("coin-m"))
    rows = [{"symbol": f"S{n}", "amount": "1.0"} for n in range(400)] + [{"symbol": "S", "amount": None}]
    kept = recording.add("main", "received", {"id": 1, "result": rows}).body["result"]
    assert kept == [rows[0], rows[-1]]
    short = [1, 2, 3]
    assert recording.add("main", "received", {"id": 1, "result": short}).body["result"] == short


# What is shown of a secret


@given(
    st.recursive(st.text() | st.none() | st.integers(), lambda each: st.lists(each) | st.dictionaries(st.text(), each))
)
def test_a_secret_is_hidden_wherever_it_stands(around: Any) -> None:
    masks = Masks()
    masks.add(API_KEY, "apiKey")
    masks.hide({"result": {"listenKey": LISTEN_KEY}})
    body = {
        "around": around,
        "text": f"x{API_KEY}y and {quote(LISTEN_KEY)}",
        LISTEN_KEY: [API_KEY, {"deep": f"/ws/{LISTEN_KEY}?listenKey={LISTEN_KEY}"}],
        "lower": API_KEY.lower(),
    }
    text = json.dumps(masks.hide(body), ensure_ascii=False)
    assert API_KEY not in text
    assert LISTEN_KEY not in text
    assert API_KEY.lower() not in text.lower()


def test_equal_secrets_stay_equal_and_others_do_not() -> None:
    masks = Masks()
    first, second, third = ({"listenKey": value * 16} for value in ("abcd", "efgh", "abcd"))
    assert masks.hide([first, second, third]) == [
        {"listenKey": "<listenKey 1>"},
        {"listenKey": "<listenKey 2>"},
        {"listenKey": "<listenKey 1>"},
    ]
    assert masks.text("/ws/" + "abcd" * 16) == "/ws/<listenKey 1>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Invalid API-key, IP, or permissions for action, request ip: 203.0.113.7", "request ip: <address>"),
        ("from 2001:db8:0:0:1:2:3:4.", "from <address>."),
        ("a token " + "Ab1" * 30, "a token <token>"),
        ("verify-0123456789abcdef", "verify-0123456789abcdef"),
    ],
)
def test_texts_of_the_exchange(text: str, shown: str) -> None:
    assert shown in Masks().text(text)


def test_other_private_fields() -> None:
    hidden = Masks().hide({"accountAlias": "SgsR", "uid": 354937868, "e": "ORDER_TRADE_UPDATE", "i": "SgsR"})
    assert hidden == {"accountAlias": "<account>", "uid": 0, "e": "ORDER_TRADE_UPDATE", "i": "<account>"}
    assert Masks().hide({"apiKey": None, "listenKey": ""}) == {"apiKey": None, "listenKey": ""}


def test_amounts() -> None:
    assert without_amounts({"a": ["12.50", "-3", "x1", 7, None]}) == {"a": ["00.00", "-0", "x1", 7, None]}


# Files that are none


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no recording"),
        ("{", "not lines of JSON"),
        ("[1]", "no recording"),
        ('{"recording": "of birds"}', "no recording"),
        ('{"recording": "binance-session verify", "format": 99, "version": "9"}', "another version (9)"),
        ('{"recording": "binance-session verify", "format": 1, "asked": []}', "no recording"),
    ],
)
def test_a_file_that_is_no_recording(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ConfigurationError, match="recor") as caught:
        load(str(tmp_path / "file"))
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(str(tmp_path / "none"))


def test_a_recording_that_was_cut_off_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    text = written(recorded("coin-m"), tmp_path / "recording")
    lines = text.splitlines()
    for length in (1, 2, 10, 40, 100):
        (tmp_path / "cut").write_text("\n".join(lines[:length]))
        cut = report(load(str(tmp_path / "cut")))
        assert "differs" not in {str(each.verdict) for each in cut.findings}
        assert cut.status == 3
