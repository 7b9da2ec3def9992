"""The states of a session and of a connection, and every legal move between them.

Everything that may change a state stands here, in two literal tables: ``state -> {event: next state}``.
:class:`Machine` is the only code that moves along them. An event that changes nothing in a state leads back to it; one
that is missing there is a defect. No event leads from a final state to another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Generic, TypeVar

__all__ = [
    "LINK_TABLE",
    "SESSION_TABLE",
    "IllegalTransition",
    "LinkEvent",
    "LinkState",
    "Machine",
    "SessionEvent",
    "SessionState",
    "reachable",
]


class SessionState(Enum):
    """What a session is doing. ``state.is_final``: nothing can happen any more.

    ::

        NEW         made, not opened
        CONNECTING  the TCP, TLS and WebSocket handshakes are under way
        LOGGING_ON  connected; session.logon is sent and not yet answered
        READY       requests leave the moment they are submitted
        WAITING     no connection; the reconnect policy's delay runs before the next attempt
        CLOSING     close() was called; the connection is being closed
        CLOSED      closed by its owner
        FAILED      given up: by open(), or by the reconnect policy
    """

    NEW = "new"
    CONNECTING = "connecting"
    LOGGING_ON = "logging on"
    READY = "ready"
    WAITING = "waiting"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether no event leads out of this state."""
        return not SESSION_TABLE[self]


class SessionEvent(Enum):
    """What moves a session from one state to the next."""

    OPEN = "open()"
    CONNECTED = "connected, logon needed"
    SERVE = "ready to serve"
    LOST = "connection or attempt lost"
    RETRY = "delay is over"
    REVOKED = "logon revoked"
    FAIL = "given up"
    CLOSE = "close()"
    CLOSED = "connection closed"


_S, _E = SessionState, SessionEvent

SESSION_TABLE: Final[Mapping[SessionState, Mapping[SessionEvent, SessionState]]] = {
    _S.NEW: {_E.OPEN: _S.CONNECTING, _E.CLOSE: _S.CLOSED},
    _S.CONNECTING: {
        _E.CONNECTED: _S.LOGGING_ON,
        _E.SERVE: _S.READY,
        _E.LOST: _S.WAITING,
        _E.FAIL: _S.FAILED,
        _E.CLOSE: _S.CLOSING,
    },
    _S.LOGGING_ON: {
        _E.CONNECTED: _S.LOGGING_ON,  # the next connection, beside the one in use
        _E.SERVE: _S.READY,
        _E.LOST: _S.WAITING,
        _E.FAIL: _S.FAILED,
        _E.CLOSE: _S.CLOSING,
    },
    _S.READY: {
        _E.CONNECTED: _S.READY,  # the next connection, beside the one in use
        _E.SERVE: _S.READY,  # it takes over
        _E.LOST: _S.WAITING,
        _E.REVOKED: _S.LOGGING_ON,
        _E.FAIL: _S.FAILED,
        _E.CLOSE: _S.CLOSING,
    },
    _S.WAITING: {
        _E.CONNECTED: _S.WAITING,  # the next connection; the one in use was lost meanwhile
        _E.LOST: _S.WAITING,
        _E.RETRY: _S.CONNECTING,
        _E.FAIL: _S.FAILED,
        _E.CLOSE: _S.CLOSING,
    },
    _S.CLOSING: {
        # what the connections still do until they are closed
        _E.CONNECTED: _S.CLOSING,
        _E.SERVE: _S.CLOSING,
        _E.LOST: _S.CLOSING,
        _E.RETRY: _S.CLOSING,
        _E.FAIL: _S.CLOSING,
        _E.CLOSED: _S.CLOSED,
    },
    _S.CLOSED: {},
    _S.FAILED: {},
}


class LinkState(Enum):
    """What one connection is doing."""

    #: the handshakes are under way
    OPENING = "opening"
    #: open; requests may be written
    OPEN = "open"
    #: open, but not for new requests: the last answers are awaited
    DRAINING = "draining"
    #: over; nothing is in flight on it any more
    ENDED = "ended"


class LinkEvent(Enum):
    """What moves a connection from one state to the next."""

    OPENED = "handshake done"
    DRAIN = "replaced or closing"
    END = "connection over"


LINK_TABLE: Final[Mapping[LinkState, Mapping[LinkEvent, LinkState]]] = {
    LinkState.OPENING: {
        LinkEvent.OPENED: LinkState.OPEN,
        LinkEvent.DRAIN: LinkState.OPENING,
        LinkEvent.END: LinkState.ENDED,
    },
    LinkState.OPEN: {LinkEvent.DRAIN: LinkState.DRAINING, LinkEvent.END: LinkState.ENDED},
    LinkState.DRAINING: {LinkEvent.DRAIN: LinkState.DRAINING, LinkEvent.END: LinkState.ENDED},
    LinkState.ENDED: {LinkEvent.DRAIN: LinkState.ENDED},
}

State = TypeVar("State", bound=Enum)
Move = TypeVar("Move", bound=Enum)


class IllegalTransition(RuntimeError):
    """An event came that the table does not know in this state; nothing was changed."""

    def __init__(self, state: Enum, event: Enum) -> None:
        super().__init__(f"{event.name} is not possible while {state.name}")
        self.state = state
        self.event = event


class Machine(Generic[State, Move]):
    """A state, its table, and the one way to change it."""

    __slots__ = ("_on_change", "_table", "state")

    def __init__(
        self,
        table: Mapping[State, Mapping[Move, State]],
        start: State,
        on_change: Callable[[State, State, Any], None] | None = None,
    ) -> None:
        self._table = table
        self._on_change = on_change
        #: Read it anywhere; only :meth:`advance` writes it.
        self.state = start

    def advance(self, event: Move, cause: Exception | None = None) -> State:
        """Move along the table and return the state; call ``on_change(old, new, cause)`` if it is another one.

        Raises :class:`IllegalTransition`, and changes nothing, when the table has no such move.
        """
        old = self.state
        new = self._table[old].get(event)
        if new is None:
            raise IllegalTransition(old, event)
        self.state = new
        if new is not old and self._on_change is not None:
            self._on_change(old, new, cause)
        return new


def reachable(table: Mapping[State, Mapping[Move, State]], start: State, goal: State) -> bool:
    """Tell whether any chain of events leads from ``start`` to ``goal`` (a state reaches itself)."""
    seen: set[State] = set()
    waiting = [start]
    while waiting:
        state = waiting.pop()
        if state is goal:
            return True
        if state not in seen:
            seen.add(state)
            waiting.extend(table[state].values())
    return False
