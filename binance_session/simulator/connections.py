"""One client's connection, as the exchange sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import define, field

from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock, Timer
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.wire import Action, Close, Drop, Mute, SendPing, SendText, Wait, say

__all__ = ["AccountSubscription", "Connection"]


@define(eq=False)
class AccountSubscription:
    """A Spot user data subscription of a connection (PROTOCOL.md §5.4).

    By the logon, by its own signature, or by a listenToken, which ends at ``expires`` (Unix seconds).
    """

    id: int
    account: Account
    by_logon: bool = False
    expires: float | None = None


@define(eq=False)
class Connection:
    """A live connection of a client to the API socket or to a stream socket.

    ``number`` counts connections from 1, ``path`` is what the client asked for, ``connected_since`` is in Unix
    seconds. ``key`` is the API key it is logged on with.

    ``stream`` tells the two kinds of socket apart. The ``streams`` of a stream socket are its listenKeys, active or
    not, each with the event types that it lets pass (``None``: all); ``combined`` tells whether events are wrapped in
    ``{"stream", "data"}``. One that is not ``routed`` gets no events.
    """

    number: int
    address: str
    path: str = field(repr=False)
    connected_since: float
    clock: Clock = field(repr=False)
    perform_on_wire: Callable[[Action], None] = field(repr=False)
    stream: bool = False
    return_rate_limits: bool = True
    key: ApiKeyRecord | None = None
    authorized_since: float | None = None
    streams: dict[str, frozenset[str] | None] = field(factory=dict, repr=False)
    combined: bool = False
    routed: bool = True
    subscriptions: dict[int, AccountSubscription] = field(factory=dict, repr=False)
    next_subscription: int = 0
    open: bool = True
    closing: bool = False
    #: whether it is half-open: see :class:`~binance_session.simulator.wire.Mute`
    muted: bool = False
    pings: dict[bytes, float] = field(factory=dict, repr=False)
    _timers: set[Timer] = field(factory=set, repr=False)
    _control_frames: tuple[int, int] = (0, 0)
    # actions to perform one after the other, and the texts of those that only send text
    _turns: deque[tuple[Iterator[Action], list[str] | None]] = field(factory=deque, repr=False)

    @property
    def authenticated_key(self) -> str | None:
        """The apiKey of the logon, or ``None``."""
        return None if self.key is None else self.key.api_key

    @property
    def hearing(self) -> bool:
        """Whether user data events can be sent to it."""
        return self.open and not self.closing and self.routed

    def send_text(self, text: str) -> None:
        """Send one text message, whatever it is."""
        self.perform((SendText(text),))

    def send(self, message: Any) -> None:
        """Send one message as JSON."""
        self.perform((say(message),))

    def drop(self) -> None:
        """Abort the TCP connection at once."""
        self.perform((Drop(),))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake."""
        self.perform((Close(code, reason),))

    def mute(self) -> None:
        """Send nothing and ignore what comes from now on, but keep the TCP connection: it is half-open."""
        self.perform((Mute(),))

    def perform(self, actions: Iterable[Action]) -> None:
        """Do things to the connection in order; a :class:`Wait` puts off what follows it, on the exchange's clock."""
        actions = iter(actions)
        for action in actions:
            if not self.open:
                return
            if type(action) is Wait:
                self.later(action.seconds, lambda rest: self.perform(rest), actions)
                return
            self.perform_on_wire(action)

    def in_turn(self, actions: Iterable[Action]) -> None:
        """Do things as :meth:`perform` does, but not before all that was given here earlier is done.

        Events go this way: those behind a late one are late too, so that their order never changes.
        """
        texts = [action.text for action in actions if type(action) is SendText] if type(actions) is tuple else []
        plain = type(actions) is tuple and len(texts) == len(actions)
        self._turns.append((iter(actions), texts if plain else None))
        if len(self._turns) == 1:
            self._take_turns()

    def waiting_texts(self) -> list[str]:
        """Take the texts of the events that wait behind the one that is under way, up to one that is more than text."""
        texts: list[str] = []
        under_way = self._turns.popleft()
        while self._turns and (waiting := self._turns[0][1]) is not None:
            texts += waiting
            self._turns.popleft()
        self._turns.appendleft(under_way)
        return texts

    def _take_turns(self) -> None:
        while self._turns:
            for action in self._turns[0][0]:
                if not self.open:
                    return
                if type(action) is Wait:
                    self.later(action.seconds, self._take_turns)
                    return
                self.perform_on_wire(action)
            if self._turns:
                self._turns.popleft()

    def later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` after so many seconds of the exchange's clock, unless the connection has ended."""

        def due() -> None:
            self._timers.discard(timer)
            callback(*args)

        timer = self.clock.call_at(self.clock.time() + seconds, due)
        self._timers.add(timer)
        return timer

    def ended(self) -> None:
        """Mark the connection as ended, and cancel its timers and pending actions."""
        self.open = False
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._turns.clear()

    def ping(self) -> None:
        """Send a ping frame whose payload is the time in ms, as the exchange does, and remember it."""
        payload = str(int(self.clock.time() * 1000)).encode()
        self.pings[payload] = self.clock.time()
        self.perform((SendPing(payload),))

    def pong(self, payload: bytes) -> bool:
        """Handle a pong. Return whether it answers a ping: the one whose payload it copies, and all before."""
        sent = self.pings.get(payload)
        if sent is None:
            return False
        self.pings = {ping: at for ping, at in self.pings.items() if at > sent}
        return True

    def too_many(self, limit: int) -> bool:
        """Count a ping or pong frame, or a message to a stream socket; return whether it is one too many.

        ``limit`` is how many may come in one second.
        """
        second = int(self.clock.time())
        count = self._control_frames[1] + 1 if self._control_frames[0] == second else 1
        self._control_frames = (second, count)
        return count > limit

    def subscriptions_of(self, account: object) -> Iterator[AccountSubscription]:
        """Yield the subscriptions through which an account's events go (Spot)."""
        for subscription in self.subscriptions.values():
            if subscription.account is account:
                yield subscription
