"""A simulated exchange with a key of each kind, and sessions that talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar, overload

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from binance_session import COIN_M, ApiKey, Ed25519Key, HmacKey, RsaKey, Session, Venue
from binance_session.credentials import Credentials
from binance_session.simulator import Received, Simulator
from binance_session.simulator.virtual import VirtualTimeLoop

S = TypeVar("S", bound=Session)

ED25519 = Ed25519Key("ed25519-" + "k" * 56, Ed25519PrivateKey.generate())
HMAC = HmacKey("hmac-" + "k" * 59, "hmac-secret-" + "s" * 52)
PLAIN = ApiKey(HMAC.api_key)


@cache
def rsa_key() -> RsaKey:
    """Return an RSA key; made once, because that takes a while."""
    return RsaKey("rsa-" + "k" * 60, generate_private_key(65537, 2048))


@asynccontextmanager
async def exchange(venue: Venue = COIN_M, **options: Any) -> AsyncIterator[Simulator]:
    """Run a simulator that knows the keys of this module."""
    async with Simulator(venue, **options) as simulator:
        simulator.add_key(ED25519.api_key, public_key=ED25519.private_key.public_key())
        simulator.add_key(HMAC.api_key, secret=HMAC.secret)
        yield simulator


@overload
def session_to(simulator: Simulator, credentials: Credentials | None = ..., *, kind: type[S], **options: Any) -> S: ...
@overload
def session_to(simulator: Simulator, credentials: Credentials | None = ..., **options: Any) -> Session: ...
def session_to(
    simulator: Simulator,
    credentials: Credentials | None = ED25519,
    *,
    kind: type[Any] = Session,
    **options: Any,
) -> Any:
    """Return a session of the class ``kind`` with the simulator's venue, address and clock."""
    options.setdefault("url", simulator.url)
    options.setdefault("stream_url", simulator.stream_url)
    return kind(simulator.venue, credentials, wall_clock=simulator.clock.time, **options)


def requests(simulator: Simulator, method: str | None = None) -> list[Received]:
    """Return what the exchange received, of one method if it is named."""
    return [entry for entry in simulator.received if method is None or entry.method == method]


async def until(condition: Callable[[], object]) -> None:
    """Return once ``condition`` holds; the test's timeout bounds the wait."""
    virtual = isinstance(asyncio.get_running_loop(), VirtualTimeLoop)  # where time stands still while something runs
    step = 0.001 if virtual else 0
    while not condition():
        await asyncio.sleep(step)
        step = min(step * 1.01, 0.008)  # what takes hours is not looked for each millisecond
