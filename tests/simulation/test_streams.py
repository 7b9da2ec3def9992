"""Stories about user data streams: what readers saw and their gaps account for all that the exchange sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from binance_session import Event
from binance_session.connections.standby import Standby
from binance_session.events.copies import Copies
from binance_session.events.listenkey import ListenKeyKeeper
from binance_session.events.second import Second
from binance_session.events.sockets import StreamSockets
from binance_session.events.stream import UserDataStream
from binance_session.events.subscription import Subscription
from tests.simulation.networktroubles import NETWORK_TROUBLES
from tests.simulation.recipe import Pace, Recipe
from tests.simulation.streamtroubles import STREAM_TROUBLES
from tests.simulation.world import Result, tell

pytestmark = pytest.mark.long

_HERE: Final = Path(__file__).parent
#: fresh when they were chosen, fixed since: (first seed, how many, pace)
_FRESH: Final[tuple[tuple[int, int, Pace], ...]] = (
    (400, 3, "calm"),
    (500, 2, "medium"),
    (608, 10, "dense"),
    # with two connections
    (408, 2, "calm"),
    (507, 2, "medium"),
    (716, 2, "dense"),
    (727, 2, "dense"),
)
_STORIES: Final = [(seed, pace) for first, count, pace in _FRESH for seed in range(first, first + count)]
_told: dict[tuple[int, str], Result] = {}


def _regressions() -> list[Any]:
    cases = []
    for line in (_HERE / "streamseeds.txt").read_text().splitlines():
        facts, _, what = line.partition("#")
        if facts.strip():
            seed, pace = facts.split()
            cases.append(pytest.param(int(seed), pace, id=f"{seed}: {what.strip()}"))
    return cases


@pytest.mark.parametrize(("seed", "pace"), _regressions())
def test_what_was_found_once(seed: int, pace: Pace) -> None:
    """A story that once broke a rule keeps to all of them."""
    assert tell(seed, pace=pace, streams=True).breaches == []


@pytest.mark.parametrize(
    ("seed", "pace"),
    [pytest.param(seed, pace, marks=() if seed in (400, 500, 608) else pytest.mark.long) for seed, pace in _STORIES],
)
def test_a_story_breaks_no_rule(seed: int, pace: Pace) -> None:
    """Replay: ``python -m tests.simulation --streams --network --seed SEED --pace PACE -v``."""
    result = _told[seed, pace] = tell(seed, pace=pace, streams=True, network=True)
    assert result.breaches == []


@pytest.mark.long
def test_every_kind_of_trouble_struck() -> None:
    """Not one kind of trouble is only there by name; there are readers in calm waters too, on every venue."""
    if len(_told) < len(_STORIES):
        pytest.skip("only some of the stories were told")
    struck: Counter[str] = sum((result.troubles for result in _told.values()), Counter())
    assert {*STREAM_TROUBLES, *NETWORK_TROUBLES} <= set(struck)
    recipes = [result.recipe for result in _told.values()]
    assert {recipe.venue.name for recipe in recipes} == {"COIN-M", "USD-M", "Spot"}
    assert any(recipe.streams is not None and recipe.streams.calm_waters for recipe in recipes)
    assert sum(result.events for result in _told.values()) > 20_000
    assert sum(result.gaps for result in _told.values()) > 250


def test_the_same_seed_tells_the_same_story() -> None:
    """Line by line."""
    lines = tell(604, pace="dense", streams=True).lines
    assert tell(604, pace="dense", streams=True).lines == lines


def test_readers_change_no_other_story() -> None:
    """A seed tells what it told before there were any."""
    assert Recipe.draw(5).streams is None
    assert Recipe.draw(5, streams=True).streams is not None


# A broken stream is found out: each of these breaks one promise on purpose, and some story must tell.


def _found(what: str, seeds: Iterable[int], pace: Pace = "dense") -> bool:
    return any(what in breach for seed in seeds for breach in tell(seed, pace=pace, streams=True).breaches)


def test_a_gap_that_nobody_is_told_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst lie."""
    put = UserDataStream.put
    monkeypatch.setattr(UserDataStream, "put", lambda self, event: None if event.is_gap else put(self, event))
    assert _found("and gaps: []", range(604, 606))


def test_a_gap_that_begins_too_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and leaves out what was on its way."""
    put = UserDataStream.put

    def late(self: UserDataStream, event: Event) -> None:
        if event.is_gap:
            event = Event("gap", event.time, {**event.data, "since": event.data["until"]}, is_gap=True)
        put(self, event)

    monkeypatch.setattr(UserDataStream, "put", late)
    assert _found("and gaps: [_Gap", range(500, 502), "medium")


def test_copies_that_are_not_removed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sockets bring an event while one takes over."""
    monkeypatch.setattr(Copies, "led", lambda self, event, now, *, is_followed: None)
    assert _found("2 times", range(500, 502), "medium")


def test_breaking_before_making_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planned replacement that closes the old socket first."""
    roll_over = StreamSockets._roll_over

    async def rough(self: StreamSockets, old: Any, *rest: Any) -> Any:
        await old.close()
        return await roll_over(self, old, *rest)

    monkeypatch.setattr(StreamSockets, "_roll_over", rough)
    assert _found("although nothing went wrong", range(611, 613))


def test_a_second_connection_that_is_not_used_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and when the first is lost another one is opened."""
    monkeypatch.setattr(Second, "take", lambda self: None)
    assert _found("although the other connection stood", range(507, 509), "medium")


def test_a_standby_that_is_not_used_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands, and the session reconnects."""
    monkeypatch.setattr(Standby, "take", lambda self, instead_of=None: None)
    assert _found("although its standby stood", (507,), "medium")


def test_what_only_the_second_brought_and_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first was lost with it."""
    hand_over = Copies.hand_over

    def forget(self: Copies, until: float) -> list[Event]:
        hand_over(self, until)
        return []

    monkeypatch.setattr(Copies, "hand_over", forget)
    assert _found("and gaps: []", (717, 728, 750))


def test_an_expiry_that_is_ignored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is open and silent."""
    monkeypatch.setattr(ListenKeyKeeper, "expired", lambda self, value: None)
    assert _found("although all has been well", (501, 526), "medium")


def test_a_key_that_is_not_verified_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket was lost, and its key had ended before."""
    monkeypatch.setattr(ListenKeyKeeper, "doubt", lambda self: None)
    assert _found("although all has been well", range(501, 503), "medium")


def test_events_that_are_dropped_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer that makes room in silence."""
    keep = UserDataStream._keep

    def drop(self: UserDataStream, event: Event) -> None:
        if len(self._events) >= self._bound and not self._pauses:
            self._events.popleft()
        keep(self, event)

    monkeypatch.setattr(UserDataStream, "_keep", drop)
    assert _found("and gaps: []", range(608, 610))


def test_an_order_that_is_not_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is read from the wrong end."""
    anext_ = UserDataStream.__anext__

    async def backwards(self: UserDataStream) -> Event:
        self._events.reverse()
        event = await anext_(self)
        self._events.reverse()
        return event

    monkeypatch.setattr(UserDataStream, "__anext__", backwards)
    assert _found(" after event ", range(608, 610))


def test_a_stop_that_nobody_asked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the key for every client of the account."""
    detach = StreamSockets.detach

    async def tidy(self: StreamSockets, reader: Any, *, stop: bool) -> None:
        await detach(self, reader, stop=True)

    monkeypatch.setattr(StreamSockets, "detach", tidy)
    assert _found("and nobody asked for that", range(613, 615))


def test_a_key_that_is_kept_for_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings that go on when the last reader has left."""
    monkeypatch.setattr(ListenKeyKeeper, "release", lambda self: None)
    assert _found("nobody reads", range(613, 615))


def test_a_socket_that_is_left_open_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is let go of, and not closed."""

    def forget(self: StreamSockets, socket: Any) -> None:
        if socket in self._sockets:
            self._sockets.remove(socket)
            socket._closed = True

    monkeypatch.setattr(StreamSockets, "_drop", forget)
    assert _found("connection <Connection", range(604, 606))


def test_a_connection_without_a_subscription_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spot: the next connection is nobody's."""
    monkeypatch.setattr(Subscription, "link_promoted", lambda self: None)
    assert _found("although all has been well", range(500, 502), "medium")
