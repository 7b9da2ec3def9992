"""What the simulator says of itself: every fault and reading is told, and docs/simulator.md tells the same."""

from __future__ import annotations

import re

from attrs import fields

from binance_session.simulator import FAULTS, Readings
from binance_session.simulator.described import faults, methods, readings
from binance_session.venues import COIN_M, SPOT, USD_M
from tests.lists import PATH, lists


def test_the_lists_are_up_to_date() -> None:
    """If this fails: ``python -m tests.lists``."""
    assert lists() in PATH.read_text()


def test_every_fault_and_reading_is_told_on_one_line() -> None:
    assert {each.name for each in faults()} == set(FAULTS)
    assert [each.name for each in readings()] == [each.name for each in fields(Readings)]
    for text in [*(each.text for each in faults()), *(each.text for each in readings())]:
        assert re.fullmatch(r"[^\n`]+\.", text)


def test_a_reading_is_read_as_it_is_shown() -> None:
    for each in readings():
        assert each.read(each.shown_default) == each.default
        assert Readings(**{each.name: each.read(each.shown_default)}) == Readings()


def test_methods_are_those_of_the_catalogue() -> None:
    for venue in (COIN_M, USD_M, SPOT):
        played, missing = methods(venue)
        assert {*played, *missing} == {name for name in venue.methods if "/" not in name}
        assert "order.place" in played
