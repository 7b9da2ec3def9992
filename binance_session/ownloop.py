"""The event loop to which a session is bound: any other one, and a forked child, is refused."""

from __future__ import annotations

import asyncio
from typing import Final

from binance_session.errors import ConfigurationError

__all__ = ["INHERITED", "demand_loop", "wrong_loop"]

#: stands for the event loop of a session that a forked child has inherited
INHERITED: Final = object()


def demand_loop(own: object) -> None:
    """Raise :class:`ConfigurationError` unless ``own`` is the running loop, or ``None``: the session was not opened."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:  # in a forked child also inside a coroutine that goes on there
        running = None
    if own is not None and running is not own:
        raise wrong_loop(own, None)


def wrong_loop(own: object, method: str | None) -> ConfigurationError:
    """Return what to raise for a session of the loop ``own`` that is used elsewhere; ``method`` was not sent."""
    if own is INHERITED:
        return ConfigurationError(
            "this process was forked, and the session belongs to its parent, whose connections it shares: make a"
            " new Session here",
            method=method,
        )
    return ConfigurationError(
        "a session is used on the event loop, and so in the thread, on which it was opened; from another thread"
        " use session.submit_threadsafe(...)",
        method=method,
    )
