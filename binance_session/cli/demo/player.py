"""The key and the session of the demo."""

from __future__ import annotations

import asyncio
import secrets
import string
from typing import Any

from binance_session.credentials import Ed25519Key
from binance_session.keepalive import KeepaliveStatus
from binance_session.session import Session
from binance_session.simulator import Simulator
from binance_session.state import SessionState

__all__ = ["ObservedSession", "throwaway_key"]


def throwaway_key(simulator: Simulator) -> Ed25519Key:
    """Make an Ed25519 key and an apiKey for this run, and register the public half with the simulator."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private_key = Ed25519PrivateKey.generate()
    api_key = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(64))
    simulator.add_key(api_key, public_key=private_key.public_key())
    return Ed25519Key(api_key, private_key)


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
