"""When all has been well for a minute, a stream is live and the last gap that was told is over."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

from binance_session.events.feed import Feed
from binance_session.events.listenkey import ListenKeyKeeper
from binance_session.events.sockets import StreamSockets
from tests.simulation.well import FAULTS, Combination, combinations, tell

_ALL: Final = list(combinations())
#: each fault with something of everything else; the first few in every run
_SAMPLE: Final = [Random(name).choice([each for each in _ALL if each.fault == name]) for name in FAULTS]
_BRIEF: Final = ("pings_refused", "expiry_is_lost", "stream_refused_403", "told_to_go", "subscriptions_refused")
_MORE: Final = Random(43).sample(_ALL, 100)


@pytest.mark.parametrize(
    "combination",
    [pytest.param(each, marks=() if each.fault in _BRIEF else pytest.mark.long, id=str(each)) for each in _SAMPLE],
)
def test_a_stream_that_is_well_says_so(combination: Combination) -> None:
    assert tell(combination, 0) == []


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_so_it_does_whatever_comes_together(part: int) -> None:
    assert {str(each): tell(each, 1) for each in _MORE[part::10]} == {str(each): [] for each in _MORE[part::10]}


def _one(policy: str, fault: str) -> Combination:
    return next(
        each
        for each in _ALL
        if (each.policy, each.fault, each.latency) == (policy, fault, 0.02) and each.readings == "as documented"
    )


@pytest.mark.parametrize(
    ("kind", "name", "replacement", "policy", "fault"),
    [
        (Feed, "dismiss", lambda self: setattr(self, "_suspicion", None), "none", "kept_elsewhere"),
        (Feed, "withdraw", lambda self: None, "adaptive", "pings_refused"),
        (StreamSockets, "_has_not_lapsed", lambda self: None, "every minute", "kept_elsewhere"),
        (Feed, "_deliver_so_far", lambda self: None, "adaptive", "expiry_is_told_and_starts_refused"),
        (ListenKeyKeeper, "doubt", lambda self: None, "none", "expiry_is_lost"),
    ],
    ids=[
        "told to be open, and never over",
        "suspected for ever",
        "alive, and still suspected",
        "not told",
        "not asked for",
    ],
)
def test_one_that_does_not_is_found(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str, replacement: Callable[..., Any], policy: str, fault: str
) -> None:
    monkeypatch.setattr(kind, name, replacement)
    assert tell(_one(policy, fault), 0)
