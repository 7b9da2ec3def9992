"""The session of the demo."""

from __future__ import annotations

import asyncio
from typing import Any

from binance_session.keepalive import KeepaliveStatus
from binance_session.session import Session
from binance_session.state import SessionState

__all__ = ["ObservedSession"]


class ObservedSession(Session):
    """A session that records the calls of its hooks; a bot would feed its log or its metrics here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: each state that was entered
        self.states: list[SessionState] = []
        #: the status after each keepalive ping
        self.keepalives: list[KeepaliveStatus] = []
        #: set when an answer comes after its request has ended
        self.late_answer = asyncio.Event()
        #: set when the standby connection was put to use
        self.failed_over = asyncio.Event()

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        """Called when the state has changed: records it."""
        self.states.append(new)

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        """Called after each keepalive ping: records its status."""
        self.keepalives.append(status)

    def on_failover(self, cause: Exception) -> None:
        """Called when the standby connection is used: sets ``failed_over``."""
        self.failed_over.set()

    def on_unmatched(self, message: object) -> None:
        """Called when a message matches no request: sets ``late_answer``."""
        self.late_answer.set()
