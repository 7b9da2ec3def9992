"""verify finds out which reading of the simulator is set: that is what proves that its probes can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from binance_session.cli import main
from binance_session.cli.simulate.options import readings_of
from binance_session.cli.verify.probe import Verdict
from binance_session.simulator import Readings
from binance_session.simulator.described import readings
from tests.cli.verify.exam import findings, recorded, report, with_verdict

#: that would have to be banned for
NEVER_ASKED = {"ban_after"}
#: where each can be told; the others on COIN-M
VENUE = {
    "usd_m_path": "usd-m",
    "usd_m_query": "usd-m",
    "algo_triggered": "usd-m",
    "events_come": "spot",
    "cancelled_name": "spot",
    "deprecated_oco_counts": "spot",
    "no_reference_price": "spot",
    "subscription_expiry": "spot",
}
ASKED = {each.name: each for each in readings() if each.name not in NEVER_ASKED}
EITHER_WAY = [(name, choice) for name, each in ASKED.items() for choice in each.choices or (1, 2, 3)]


@pytest.mark.parametrize(("name", "value"), EITHER_WAY)
def test_each_reading_is_found_out_either_way(name: str, value: Any) -> None:
    set_to = {name: value}
    found = report(recorded(VENUE.get(name, "coin-m"), readings=set_to))
    assert found.readings[name] == value
    assert found.comparison.found == ()  # the simulator, set to what was seen, behaves alike
    assert found.status == (0 if value == getattr(Readings(), name) else 1) or name == "usd_m_path"


def test_a_reading_that_is_the_default_differs_in_nothing() -> None:
    for venue in ("coin-m", "coin-m-testnet", "usd-m", "usd-m-testnet", "spot", "spot-testnet"):
        recording = recorded(venue)
        assert with_verdict(recording, Verdict.DIFFERS, Verdict.UNTOLD) == {}, venue
        assert report(recording).status == 0


@pytest.mark.parametrize("key", ["HMAC", "RSA", "apiKey", "none"])
@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_every_kind_of_key_can_be_asked_with(venue: str, key: str) -> None:
    can_sign = key in ("HMAC", "RSA")
    asked = ("orders", "stop", "slow") if can_sign else ("slow",)
    found = report(recorded(venue, key=key, asked=asked))
    assert [each for each in found.findings if each.verdict in (Verdict.DIFFERS, Verdict.UNTOLD)] == []
    assert found.status == 0
    assert (
        "logon-refused" in {each.probe.name for each in found.findings if each.verdict is Verdict.ASSUMED}
    ) == can_sign


def test_several_readings_at_once() -> None:
    set_to = {"ping_without_key": "created", "expired_pushes": 2, "expiry_closes_stream": True, "int_text": False}
    found = report(recorded("coin-m", readings=set_to)).readings
    assert {name: found[name] for name in set_to} == set_to


def test_what_was_seen_is_what_simulate_is_set_to(tmp_path: Path) -> None:
    """--as-readings prints what --readings takes."""
    set_to: dict[str, Any] = {"revoked_closes": True, "unknown_stream": "refused", "expired_pushes": 2}
    seen = report(recorded("coin-m", readings=set_to)).readings
    path = tmp_path / "readings.json"
    path.write_text(json.dumps(seen))
    assert readings_of([], str(path)) == Readings(**set_to)
    assert readings_of(["revoked_closes=false"], str(path)) == Readings(**{**set_to, "revoked_closes": False})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "no object of JSON"),
        ("{", "no object of JSON"),
        ('{"revoked_close": true}', "did you mean 'revoked_closes'?"),
        ('{"revoked_closes": "maybe"}', "must be true | false"),
        ('{"expired_pushes": -1}', "a number from 0"),
    ],
)
def test_a_file_that_is_none(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "readings.json"
    path.write_text(text)
    assert main(["simulate", "--readings", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--readings", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_testnet_serves_both_forms_of_usd_m() -> None:
    recording = recorded("usd-m-testnet")
    assert findings(recording)["stream-path"].verdict is Verdict.ASSUMED
    assert "usd_m_path" not in report(recording).readings
