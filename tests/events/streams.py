"""What tests of user data streams share: a stream on a simulator, events that the exchange sends, and reading them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from binance_session import COIN_M, SPOT, Event, ListenKey, Session, SessionState, UserDataStream, Venue
from binance_session.simulator import Simulator
from binance_session.simulator.connections import Connection
from tests.exchange import ED25519, exchange, session_to

HOUR = 3600.0


class Watched(Session):
    """Keeps what the hooks said."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.states: list[SessionState] = []
        self.keys: list[tuple[str | None, str | None]] = []
        self.unmatched: list[object] = []
        super().__init__(*args, **options)

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        self.states.append(new)

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        self.keys.append((old.value if old else None, new.value if new else None))

    def on_unmatched(self, message: object) -> None:
        self.unmatched.append(message)


def push(simulator: Simulator, number: int) -> int:
    """Have the exchange send an event that names a number."""
    if simulator.venue is SPOT:
        return simulator.push_event("balanceUpdate", d=str(number))
    return simulator.push_event("ACCOUNT_CONFIG_UPDATE", ac={"s": "BTCUSD", "l": number})


def number_of(event: Event) -> Any:
    """Return the number that :func:`push` gave an event; the type of any other."""
    if event.type == "balanceUpdate":
        return int(event.data["d"])
    if event.type == "ACCOUNT_CONFIG_UPDATE":
        return event.data["ac"]["l"]
    return event.type


async def take(events: UserDataStream, count: int) -> list[Any]:
    """Read so many events, and return their numbers or types."""
    return [number_of(await anext(events)) for _ in range(count)]


def sockets(simulator: Simulator) -> list[Connection]:
    """Return the connections that bring events."""
    return [connection for connection in simulator.connections if connection.stream or simulator.venue is SPOT]


@asynccontextmanager
async def streaming(
    venue: Venue = COIN_M, credentials: Any = ED25519, options: dict[str, Any] | None = None, **session_options: Any
) -> AsyncIterator[tuple[Simulator, Watched, UserDataStream]]:
    """Run an exchange, a session and a stream."""
    async with (
        exchange(venue, enforce_limits=False) as simulator,
        session_to(simulator, credentials, kind=Watched, **session_options) as session,
        session.user_data_stream(**(options or {})) as events,
    ):
        yield simulator, session, events
