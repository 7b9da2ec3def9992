"""The session of the demo."""

from __future__ import annotations

import asyncio
from typing import Any

from binance_session.keepalive import KeepaliveStatus
from binance_session.session import Session
from binance_session.state import SessionState

__all__ = ["ObservedSession"]


class ObservedSession(Session):
    """A session that notes what its hooks are told; a bot would feed its log or its metrics here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: each state that was entered
        self.states: list[SessionState] = []
        #: what the keepalive loop told after each of its pings
        self.keepalives: list[KeepaliveStatus] = []
        #: set when an answer comes that nobody waits for any more
        self.nobodys_answer = asyncio.Event()

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        """Note the state."""
        self.states.append(new)

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        """Note how the ping went."""
        self.keepalives.append(status)

    def on_unmatched(self, message: object) -> None:
        """Note that something came for nobody."""
        self.nobodys_answer.set()
