"""Ten years of trouble, in stories that a number tells; and proof that a broken session would be found out."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from binance_session import COIN_M, ConnectionLost, NoKeepalive, ServerError
from binance_session.connections.attempts import Attempts
from binance_session.connections.connector import Connector
from binance_session.connections.lifecycle import Lifecycle
from binance_session.connections.link import Link
from binance_session.events.listenkey import ListenKeyKeeper
from binance_session.requests.encoding import RequestEncoder
from binance_session.requests.router import Router
from binance_session.requests.waiting import WaitingRequests
from binance_session.settlement import settler
from binance_session.settlement.fate import no
from binance_session.settlement.machine import Settlement
from binance_session.settlement.sent import Sent
from tests.simulation.networktroubles import NETWORK_TROUBLES
from tests.simulation.recipe import DAY, Pace, Recipe
from tests.simulation.troubles import TROUBLES
from tests.simulation.world import Result, tell

_YEAR: Final = 365 * DAY
_STATUS: Final = COIN_M.method("session.status")
_HERE: Final = Path(__file__).parent
#: fresh when they were chosen, fixed since: (first seed, how many, pace)
_FRESH: Final[tuple[tuple[int, int, Pace], ...]] = ((100, 18, "calm"), (200, 10, "medium"), (300, 13, "dense"))
_STORIES: Final = [(seed, pace) for first, count, pace in _FRESH for seed in range(first, first + count)]
_told: dict[tuple[int, str], Result] = {}


def _regressions() -> list[Any]:
    cases = []
    for line in (_HERE / "seeds.txt").read_text().splitlines():
        facts, _, what = line.partition("#")
        if facts.strip():
            seed, pace = facts.split()
            cases.append(pytest.param(int(seed), None if pace == "-" else pace, id=f"{seed}: {what.strip()}"))
    return cases


@pytest.mark.parametrize(("seed", "pace"), _regressions())
def test_what_was_found_once(seed: int, pace: Pace | None) -> None:
    """A story that once broke a rule keeps to all of them."""
    assert tell(seed, pace=pace).breaches == []


@pytest.mark.parametrize(
    ("seed", "pace"),
    # the first two of each pace are told in a brief run too
    [pytest.param(seed, pace, marks=() if seed % 100 < 2 else pytest.mark.long) for seed, pace in _STORIES],
)
def test_a_story_breaks_no_rule(seed: int, pace: Pace) -> None:
    """Replay: ``python -m tests.simulation --network --seed SEED --pace PACE -v``."""
    result = _told[seed, pace] = tell(seed, pace=pace, network=True)
    assert result.breaches == []
    assert result.lived >= result.recipe.duration


@pytest.mark.long
def test_it_is_ten_years_and_every_kind_of_trouble() -> None:
    """The stories of the ordinary run add up; not one kind of trouble is only there by name."""
    if len(_told) < len(_STORIES):
        pytest.skip("only some of the stories were told")
    assert sum(result.lived for result in _told.values()) >= 10 * _YEAR
    struck: Counter[str] = sum((result.troubles for result in _told.values()), Counter())
    assert len(TROUBLES) >= 20
    assert set(struck) == {*TROUBLES, *NETWORK_TROUBLES}
    assert all(struck[name] >= 20 for name in NETWORK_TROUBLES)
    told: Counter[str] = sum((result.told for result in _told.values()), Counter())
    for how in ("answered", "cancelled", "rejected", "not_sent", "unknown"):
        assert any(what.split()[0] == how for what in told), how


@pytest.mark.long
def test_the_same_seed_tells_the_same_story(tmp_path: Path) -> None:
    """Byte for byte, also in another process with another hash seed; another seed tells another."""
    seed = 301
    lines = tell(seed, pace="dense").lines
    assert tell(seed, pace="dense").lines == lines
    assert tell(seed + 1, pace="dense").lines != lines
    program = (
        "import hashlib, sys; from tests.simulation.world import tell\n"
        f"print(hashlib.sha256('\\n'.join(tell({seed}, pace='dense').lines).encode()).hexdigest())"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=_HERE.parents[1],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        assert done.stdout.strip() == hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_a_story_is_drawn_before_it_begins() -> None:
    """The recipe is a function of the seed alone."""
    assert Recipe.draw(5) == Recipe.draw(5)
    assert Recipe.draw(5).options != Recipe.draw(6).options
    assert Recipe.draw(5, days=3).duration == 3 * DAY


# A broken session is found out: each of these breaks one promise on purpose, and some story must tell.


def _found(what: str, seeds: range, pace: Pace) -> bool:
    return any(what in breach for seed in seeds for breach in tell(seed, pace=pace).breaches)


@pytest.mark.long
def test_a_lost_order_called_not_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst lie."""
    monkeypatch.setattr(ConnectionLost, "default_outcome", "not_sent")
    assert _found("was told not sent, and arrived", range(300, 310), "dense")


@pytest.mark.long
def test_an_order_sent_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helpful retry."""
    submit = Link.submit

    def twice(self: Link, method: Any, *rest: Any) -> Any:
        if method.name == "order.place":
            submit(self, method, *rest[:3]).add_done_callback(lambda future: future.cancelled() or future.exception())
        return submit(self, method, *rest)

    monkeypatch.setattr(Link, "submit", twice)
    assert _found("arrived 2 times", range(300, 310), "dense")


@pytest.mark.long
def test_a_future_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that forgets deadlines."""
    monkeypatch.setattr(Router, "_expire", lambda self, requests, expired: [requests.pop(key) for key in expired])
    assert _found("after its deadline", range(300, 310), "dense")


@pytest.mark.long
def test_a_key_on_a_logged_on_connection_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The promise that this package is about."""
    encode = RequestEncoder.encode

    def always(
        self: RequestEncoder, request_id: int, method: Any, params: Any, authenticated: bool, *rest: Any
    ) -> bytes:
        return encode(self, request_id, method, params, False, *rest)

    monkeypatch.setattr(RequestEncoder, "encode", always)
    assert _found("carries apiKey and signature after the logon", range(300, 310), "dense")


@pytest.mark.long
def test_a_request_before_the_logon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that hands its link out too early."""
    log_on = Connector.log_on

    async def eagerly(self: Connector, link: Link, method: Any) -> None:
        link.submit(_STATUS).add_done_callback(lambda future: future.cancelled() or future.exception())
        await log_on(self, link, method)

    monkeypatch.setattr(Connector, "log_on", eagerly)
    assert _found("before a logon", range(300, 305), "dense")


@pytest.mark.long
def test_a_listen_key_that_nobody_pings_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that forgets its policy."""
    monkeypatch.setattr(ListenKeyKeeper, "_next_delay", lambda self, status: NoKeepalive().next_delay(status))
    assert _found("the listenKey lapsed", range(200, 212), "medium")


@pytest.mark.long
def test_a_session_that_does_not_come_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delay that nobody asked for."""
    monkeypatch.setattr(Attempts, "failed", lambda self, cause, *, lasted=0.0: 5000.0)
    assert _found("although all has been well", range(200, 212), "medium")


@pytest.mark.long
def test_what_is_left_after_close_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keepalive task that outlives its session."""
    monkeypatch.setattr(ListenKeyKeeper, "abandon", lambda self: self._set(None))
    assert _found(": keepalive", range(300, 303), "dense")


@pytest.mark.long
def test_a_parked_request_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing without telling who waits."""
    monkeypatch.setattr(WaitingRequests, "end_all", lambda self, error, *, quietly: None)
    assert _found("is open after close()", range(300, 309), "dense")


@pytest.mark.long
def test_a_state_out_of_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """READY, told without LOGGING_ON."""
    changed = Lifecycle._changed

    def skipping(self: Lifecycle, old: Any, new: Any, cause: Any) -> None:
        if new.name != "LOGGING_ON":
            changed(self, old, new, cause)

    monkeypatch.setattr(Lifecycle, "_changed", skipping)
    assert _found("-> READY while CONNECTING", range(300, 303), "dense")


@pytest.mark.long
def test_every_end_of_an_unknown_order_is_reached() -> None:
    """In few stories already: that it took effect, that it did not, and that this is not known."""
    settled: Counter[bool | None] = sum((tell(seed, pace="dense").settled for seed in range(300, 306)), Counter())
    assert min(settled[True], settled[False], settled[None]) > 5


@pytest.mark.long
def test_an_order_that_is_denied_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that does not wait until the request can do nothing any more."""
    monkeypatch.setattr(Sent, "over_at", property(lambda self: self.latest))
    assert _found("was said not to have taken effect, and did", range(300, 330), "dense")


@pytest.mark.long
def test_a_settlement_that_goes_by_the_local_clock_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange's clock is minutes away from the bot's, now and then."""
    next_step = Settlement.next

    def locally(self: Settlement, time: float, now: float, *, hears: bool = True) -> Any:
        return next_step(self, time, now + 120_000, hears=hears)

    monkeypatch.setattr(Settlement, "next", locally)
    assert _found("was said not to have taken effect, and did", range(300, 330), "dense")


@pytest.mark.long
def test_an_error_that_is_taken_for_a_refusal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """-1007 is no word against the order."""
    monkeypatch.setattr(
        settler, "known_by_its_answer", lambda method, answer: no("?") if isinstance(answer, ServerError) else None
    )
    assert _found("was said not to have taken effect, and did", range(300, 330), "dense")
