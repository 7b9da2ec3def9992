"""The account of events: what the exchange sent, what each reader saw, and whether gaps account for the difference.

A reader that is attached must see each event in the exchange's order and once, or be told a gap that lies at its
place in the order and spans its time, or be told an error. Exempt is what nobody can notice: an event that the exchange
loses by itself, or sends so late that another socket has long taken over.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from binance_session import Event, UserDataStream
from binance_session.simulator import Pushed
from tests.simulation.invariants import SessionRecord

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Listening", "Tape"]

#: seconds by which a gap's bounds may be wrong, beside the error of the session's clock
_CLOCK_SLACK: Final = 1.0
#: seconds in which an event comes when all is well
_PROMPT: Final = 3.0
#: what a fault brings beside the events, and what tells one socket of its own end: no event of the account
_NO_EVENTS: Final = frozenset({"unknownEvent", "eventStreamTerminated"})
_WAITS: Final = frozenset({"late_event", "merged_event", "duplicate_event", "doubled_expiry"})
#: seconds in which others may wait behind one that does, and ms that they wait at most
_LONGEST_WAIT: Final = 10.0
_LATE: Final = 10_000.0
_EXPIRED: Final = "listenKeyExpired"


@define(eq=False)
class Sent:
    """One event of the account. ``at`` is loop time, ``ms`` the exchange's."""

    number: int
    at: float
    ms: int
    kind: str
    text: str
    #: whether nobody can notice that it is missing
    exempt: bool = False
    #: how often one socket brings it
    copies: int = 1
    #: whether it may have waited for its turn behind a late one, longer than a ping
    late: bool = False
    #: whether one connection did not bring it, and went on
    is_lost_on_one: bool = False
    #: whether a key's end came in its place, so that it belongs behind that
    behind_expiry: bool = False

    def __str__(self) -> str:
        return f"event {self.number} ({self.kind})"


@define(eq=False)
class _Gap:
    since: int
    until: int
    #: ms by which both may be wrong
    slack: float

    def spans(self, sent: Sent) -> bool:
        slack = self.slack + (_LATE if sent.late else 0.0)
        return self.since - slack <= sent.ms <= self.until + slack


def text_of(event: Any) -> str:
    """Return what an event says, the same for every form in which it comes."""
    if event["e"] == _EXPIRED:  # its listenKey may be left out
        return f"{_EXPIRED} {event['E']}"
    return json.dumps({**event, "E": int(event.get("E", 0) or 0)}, sort_keys=True)


class Tape(list[Pushed]):
    """Stands in for the exchange's record of what it sent, and tells it to whoever listens. Nothing is kept."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._last: Sent | None = None
        self._recent: deque[Sent] = deque()
        self._by_text: dict[str, list[Sent]] = {}
        self.listening: list[Listening] = []
        self.sent = 0
        self.gaps = 0
        # until when a fault may wait for its turn behind a late event, and end the key later than its event says
        self._in_turn_until = 0.0
        #: loop time until which readers of two connections may be told of no gap: one was cut, the other stood
        self.covered_until = 0.0
        #: loop time until which the exchange may be so late that nobody can tell
        self.late_until = 0.0

    def append(self, entry: Pushed) -> None:
        """Write down an event on its way to one socket, or to nobody."""
        world = self._world
        if entry.account is not world.simulator.exchange.account:
            return
        sent = self._last
        if sent is None or sent.number != entry.number:
            now = world.loop.time()
            sent = self._last = Sent(entry.number, now, int(entry.time * 1000), entry.type, text_of(entry.event))
            sent.exempt = entry.type in _NO_EVENTS or now <= self.late_until
            sent.late = now < self._in_turn_until
            self.sent += 1
            self._recent.append(sent)
            self._by_text.setdefault(sent.text, []).append(sent)
            if len(self._recent) > 20_000:
                old = self._recent.popleft()
                self._by_text.pop(old.text, None)
            for listening in self.listening:
                listening.pending.append(sent)
            if now - world.stream_bad_since > world.stream_recovery and self.listening:
                prompt = _PROMPT + (_LONGEST_WAIT if sent.late else 0.0)
                world.later(prompt + 8 * world.recipe.latency, self._must_have_come, sent)
        if entry.fault == "lose_event" or (entry.type == _EXPIRED and entry.connection is None):
            sent.exempt = True  # a key's end is told to its sockets, and to nobody if it has none
            sent.is_lost_on_one = True
        elif entry.fault in ("expired_early", "stopped_elsewhere"):
            sent.behind_expiry = True
            sent.exempt = sent.exempt or sent.late
        elif entry.fault in ("duplicate_event", "doubled_expiry"):
            sent.copies = 2
        if entry.fault in _WAITS:
            self._in_turn_until = world.loop.time() + _LONGEST_WAIT

    def find(self, text: str) -> list[Sent]:
        """Return the events that say this: one, or some of the same millisecond."""
        return self._by_text.get(text, [])

    def attach(self, listening: Listening) -> None:
        """Take note that a reader gets events from now on."""
        listening.since = self._world.loop.time()
        self.listening.append(listening)

    def detach(self, listening: Listening, *, told: bool) -> None:
        """Take note that a reader gets no more; ``told``: an error said so, which accounts for all that is missing."""
        if listening in self.listening:
            self.listening.remove(listening)
            if not told:
                listening.look()

    def look(self) -> None:
        """See whether some reader should have been told of a gap by now."""
        for listening in self.listening:
            listening.look()

    def _must_have_come(self, sent: Sent) -> None:
        world = self._world
        if sent.exempt or self.is_paused:
            return
        for listening in self.listening:
            is_well = listening.well_since <= sent.at - world.stream_recovery
            if is_well and listening.is_quick and sent in listening.pending and listening.since <= sent.at:
                world.complain(f"{listening} has not got {sent} although all has been well for long")

    @property
    def is_paused(self) -> bool:
        """Whether somebody may hold back what is read from the network, for every reader."""
        return any(listening.pauses for listening in self.listening)


@define(eq=False)
class Listening:
    """One reader of one user data stream, and what it saw."""

    number: int
    record: SessionRecord
    world: World
    #: whether it reads at once what comes
    is_quick: bool
    pauses: bool
    #: from how many connections at the same time it wants its events
    sockets: int = 1
    since: float = 0.0
    #: what was sent since it was attached, and it has not seen yet
    pending: deque[Sent] = field(factory=deque)
    #: the gaps that it was told of since the last event
    _told: list[_Gap] = field(factory=list)
    #: what it reads from
    events: UserDataStream | None = None
    #: whether the last gap that it was told of is over
    _is_over: bool = True
    #: loop times since which the stream is not live, and is live although a gap is not over
    _dark_since: float | None = None
    _owing_since: float | None = None
    _position: int = 0
    _last_text: str = ""
    _seen: dict[int, int] = field(factory=dict)

    def __str__(self) -> str:
        return f"reader {self.number} of session {self.record.number}"

    @property
    def well_since(self) -> float:
        """Loop time since which nothing is wrong, and the session is READY."""
        ready_since = self.record.ready_since
        return float("inf") if ready_since is None else max(self.world.stream_bad_since, ready_since)

    def saw(self, event: Event) -> None:
        """Account for an event, or a gap."""
        world = self.world
        if event.is_gap:
            self._saw_gap(event)
            return
        if event.type in _NO_EVENTS:
            return
        said = self._which(text_of(event.data))
        if said is None:
            world.complain(f"{self} saw a {event.type} that was not sent: {event.data}")
            return
        times = self._seen[said.number] = self._seen.get(said.number, 0) + 1
        if times > (1 if said.kind == _EXPIRED else said.copies):
            world.complain(f"{self} saw {said} {times} times")
        if said.number < self._position and said.text != self._last_text:
            # what one connection did not bring, or brought very late, comes by the other one
            if not said.behind_expiry and not (world.has_pairs and (said.is_lost_on_one or said.exempt or said.late)):
                world.complain(f"{self} saw {said} after event {self._position}")
            if said in self.pending:
                self.pending.remove(said)
            return
        self._position, self._last_text = max(self._position, said.number), said.text
        behind: list[Sent] = []
        missed: list[Sent] = []
        while self.pending and self.pending[0].number <= said.number:
            sent = self.pending.popleft()
            if sent.text == said.text or self._is_accounted_for(sent):
                continue
            (behind if sent.behind_expiry and said.kind == _EXPIRED else missed).append(sent)
        if missed:
            some = ", ".join(f"{sent} of {sent.ms}" for sent in missed[:3])
            world.complain(f"{self} saw {said} without {len(missed)} before it ({some}), and gaps: {self._told}")
        self.pending.extendleft(reversed(behind))
        # one that was told before an event of its own time concerns what follows too
        self._told = [gap for gap in self._told if gap.until + (gap.slack if world.has_pairs else 0) >= said.ms]

    def _which(self, text: str) -> Sent | None:
        """Return the event that was seen: of some that say the same, the first that was not."""
        same = self.world.tape.find(text)
        fresh = [sent for sent in same if sent.number not in self._seen]
        while len(fresh) > 1 and self._is_accounted_for(fresh[0]):
            fresh.pop(0)
        if fresh:
            return fresh[0]
        for sent in same:
            if self._seen[sent.number] < sent.copies:
                return sent
        return same[-1] if same else None

    def _is_accounted_for(self, sent: Sent) -> bool:
        return sent.exempt or any(gap.spans(sent) for gap in self._told)

    def _saw_gap(self, event: Event) -> None:
        world = self.world
        world.tape.gaps += 1
        since, until = event.data["since"], event.data["until"]
        slack = 1000 * (_CLOCK_SLACK + world.clock_error(self.record))
        now = world.simulator.exchange.state.now_ms
        world.trace(str(self), f"gap of {(until - since) / 1000:.3f} s: {event.data['cause']}")
        if until < since:
            world.complain(f"{self} was told of a gap that ends before it begins: {since} to {until}")
        if self.is_quick and not -slack <= now - until <= slack:
            world.complain(f"{self} was told of a gap until {until} at {now}")
        streams = world.recipe.streams
        if streams is not None and streams.calm_waters:
            world.complain(f"{self} was told of a gap although nothing went wrong: {event.data['cause']}")
        is_of_connection = not any(word in event.data["cause"] for word in ("listenKey", "logon", "handled", "read"))
        if self.sockets == 2 and is_of_connection and world.loop.time() < world.tape.covered_until:
            world.complain(f"{self} was told of a gap although the other connection stood: {event.data['cause']}")
        self._told.append(_Gap(since, until, slack))
        self._is_over = event.data["over"]

    def _look_whether_it_is_live(self, events: UserDataStream) -> None:
        """See that a stream that is well says so, and that its gaps are over then."""
        now, recovery = self.world.loop.time(), self.world.live_recovery
        is_live = events.is_live
        self._dark_since = None if is_live else now if self._dark_since is None else self._dark_since
        is_owing = is_live and not self._is_over
        self._owing_since = None if not is_owing else now if self._owing_since is None else self._owing_since
        if self._dark_since is not None and now - max(self._dark_since, self.well_since) > recovery:
            self.world.complain(f"{self} has a stream that is not live although all has been well for {recovery:.0f} s")
            self._dark_since = now
        if self._owing_since is not None and now - self._owing_since > _PROMPT:
            self.world.complain(f"{self} has a stream that is live, and was told of a gap that is not over")
            self._owing_since = now

    def look(self) -> None:
        """See whether what it has not seen should have been told as a gap."""
        world = self.world
        if not self.is_quick or world.tape.is_paused:
            return
        if self.events is not None:
            self._look_whether_it_is_live(self.events)
        bad, now = self.well_since, world.loop.time()
        for sent in self.pending:
            if now - max(sent.at, bad) <= world.stream_recovery:
                break
            if not self._is_accounted_for(sent):
                world.complain(
                    f"{self} has neither seen {sent} of {now - sent.at:.0f} s ago, nor been told of a gap"
                    f" there, although all has been well for {now - bad:.0f} s"
                )
                self.pending.clear()
                break
