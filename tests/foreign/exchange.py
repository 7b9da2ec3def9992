"""A simulator for clients that others wrote: three keys of one account, and where everything is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from binance_session.simulator import Simulator
from binance_session.venues import Venue
from tests.simulator.client import ED25519, RSA, SECRET, add_keys

__all__ = ["MARKS", "PRIVATE", "SECRET", "base", "executed", "foreign", "pem"]

#: What every file of such tests puts into ``pytestmark``.
MARKS = [
    pytest.mark.sdk,
    # Clients leave it to the end of the program to close what they opened.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


def pem(key: Any) -> str:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert isinstance(text, str)
    return text


#: The private keys, by their apiKey.
PRIVATE = {"ED": pem(ED25519), "RSA": pem(RSA)}


@asynccontextmanager
async def foreign(venue: Venue, **options: Any) -> AsyncIterator[Simulator]:
    """A simulator that knows the keys ED, RSA and HMAC; what a client leaves running is ended with it."""
    before = asyncio.all_tasks()
    async with Simulator(venue, **options) as simulator:
        add_keys(simulator)
        try:
            yield simulator
        finally:
            left = asyncio.all_tasks() - before - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def base(simulator: Simulator) -> str:
    """Where the simulator is, without a path."""
    url = urlsplit(simulator.url)
    return f"{url.scheme}://{url.netloc}"


def executed(simulator: Simulator) -> list[str]:
    """The methods that took effect, in order."""
    return [each.method for each in simulator.executed]
