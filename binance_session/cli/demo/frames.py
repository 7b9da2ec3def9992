"""What the simulator received, to be looked at: who proved itself in which frame, and frames fit to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from binance_session.credentials import masked
from binance_session.simulator import Received

__all__ = ["carrying_a_key", "of_method", "shown"]

_PROOFS: Final = ("apiKey", "signature")
_SECRETS: Final = (*_PROOFS, "listenKey")


def of_method(frames: Iterable[Received], method: str) -> list[Received]:
    """Return the requests of one method."""
    return [frame for frame in frames if frame.method == method]


def carrying_a_key(frames: Iterable[Received]) -> list[Received]:
    """Return the frames with an apiKey or a signature, wherever in them it stands."""
    return [frame for frame in frames if any(name in frame.text for name in _PROOFS)]


def shown(frame: Received) -> str:
    """Return a frame's text exactly as it was sent, but for its secrets, which are masked."""
    text = frame.text
    for name in _SECRETS:
        secret = frame.params.get(name)
        if isinstance(secret, str):
            text = text.replace(secret, masked(secret))
    return text
