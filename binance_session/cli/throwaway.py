"""A key that lives as long as a simulator does."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from binance_session.credentials import Ed25519Key

if TYPE_CHECKING:
    from binance_session.simulator import Simulator

__all__ = ["throwaway_key"]


def throwaway_key(simulator: Simulator) -> Ed25519Key:
    """Make an Ed25519 key and an apiKey for this run, and register the public half with the simulator."""
    api_key = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(64))
    key = Ed25519Key.generate(api_key=api_key)
    simulator.add_key(api_key, public_key=key.public_pem())
    return key
