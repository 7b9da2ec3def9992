"""Networks as they are: proof that a session which cannot live with them would be found out.

Each of these breaks one promise on purpose, and some story must tell.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable

import pytest

from binance_session import ConnectError, reconnect
from binance_session.connections.attempts import Attempts
from binance_session.log import Troubles
from binance_session.websocket import addresses, liveness
from binance_session.websocket.liveness import Liveness
from tests.simulation.recipe import Pace, Recipe
from tests.simulation.world import tell

pytestmark = pytest.mark.long


def _found(what: str, seeds: Iterable[int], pace: Pace = "dense", *, streams: bool = False) -> bool:
    return any(
        what in breach for seed in seeds for breach in tell(seed, pace=pace, streams=streams, network=True).breaches
    )


def test_networks_change_no_other_story() -> None:
    """A seed tells without them what it told before there were any."""
    assert not Recipe.draw(5).network
    assert tell(301, pace="dense").troubles.keys().isdisjoint({"slow_line", "portal", "silent_address"})


def test_a_session_that_a_portal_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that was right once is taken for wrong."""
    failed = Attempts.failed

    def gives_up(self: Attempts, cause: Exception, *, lasted: float = 0.0) -> float | None:
        if isinstance(cause, ConnectError) and not cause.retryable:
            return None
        return failed(self, cause, lasted=lasted)

    monkeypatch.setattr(Attempts, "failed", gives_up)
    assert _found("ended although nobody gave up", range(300, 303))


def test_a_session_that_a_portal_silences_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Retry-After: 86400``, and the one who said so is gone in a minute."""
    monkeypatch.setattr(reconnect, "_LONGEST_RETRY_AFTER", math.inf)
    assert _found("although all has been well", range(200, 204), "medium")


async def _never(self: Liveness, timeout: float | None) -> str | None:
    return None


async def _by_the_pong(self: Liveness, timeout: float | None) -> str | None:
    """Judge as ``websockets`` itself does."""
    text, pong = self._ping()
    try:
        await asyncio.wait([pong], timeout=timeout)
        return None if pong.done() else f"no pong within {timeout} s"
    finally:
        self._pings.pop(text, None)


def test_a_dead_line_that_is_used_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Liveness, "_why_dead", _never)
    assert _found("nothing has come on", range(300, 303))


@pytest.mark.parametrize("streams", [False, True])
def test_a_line_that_is_cut_for_late_pongs_is_found(monkeypatch: pytest.MonkeyPatch, streams: bool) -> None:
    monkeypatch.setattr(Liveness, "_why_dead", _by_the_pong)
    assert _found("although bytes came", (600,) if streams else range(300, 303), streams=streams)


def test_a_line_that_works_one_way_and_is_used_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_ONE_WAY", math.inf)
    assert _found("is half open, and in use", range(300, 306))


def test_a_silent_address_that_is_waited_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_HEAD_START", 2.0)
    assert _found("a silent address kept the next one waiting", range(300, 303))


@pytest.mark.parametrize("streams", [False, True], ids=["session", "stream"])
def test_one_that_warns_again_and_again_is_found(monkeypatch: pytest.MonkeyPatch, streams: bool) -> None:
    monkeypatch.setattr(Troubles, "level", lambda self, error: logging.WARNING)
    assert _found("warned about twice", (604, 605) if streams else range(300, 303), streams=streams)
