"""run: when it gives up, in virtual time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

from binance_session import SPOT, Event
from binance_session.cli.run import sidecar as module
from binance_session.cli.run.sidecar import Refused, Sidecar
from binance_session.simulator import Fault
from tests.exchange import ED25519, HMAC, exchange, requests

KEYS = [ED25519, HMAC]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Return what gives sessions a simulator's clock."""

    def follow(simulator: Any) -> None:
        kind = functools.partial(module._Session, wall_clock=simulator.clock.time)
        monkeypatch.setattr(module, "_Session", kind)

    return follow


async def until(condition: Callable[[], object]) -> None:
    """Return within half a second of ``condition``'s holding."""
    while not condition():
        await asyncio.sleep(0.5)


def sidecar(simulator: Any, key: Any, events: list[Event]) -> Sidecar:
    """Return one that keeps its events in a list."""

    async def write(event: Event) -> None:
        events.append(event)

    return Sidecar(
        simulator.venue,
        key,
        write,
        url=simulator.url,
        stream_url=simulator.stream_url,
        buffer=100,
        stop_on_exit=False,
        hide=lambda _: None,
    )


@pytest.mark.virtual
@pytest.mark.parametrize("how", ["reconnect", "revoked"])
async def test_a_dead_key_ends_it_when_the_default_policy_gives_up(how: str, clock: Any) -> None:
    """Five logons in some two minutes, and no session after that."""
    events: list[Event] = []
    async with exchange() as simulator:
        clock(simulator)
        running = asyncio.ensure_future(sidecar(simulator, ED25519, events).run())
        await until(lambda: events)
        simulator.revoke(ED25519.api_key)
        began = simulator.clock.time()
        if how == "reconnect":
            (api,) = [each for each in simulator.connections if not each.stream]
            api.drop()
        with pytest.raises(Refused, match=r"-2015|revoked"):
            await running
        if how == "reconnect":
            assert 100 < simulator.clock.time() - began < 140
        assert len(requests(simulator, "session.logon")) == 6


@pytest.mark.virtual
@pytest.mark.parametrize("key", KEYS, ids=["ed25519", "hmac"])
async def test_a_key_that_was_never_right_ends_it_at_once(key: Any, clock: Any) -> None:
    """One logon, or one listenKey that was asked for."""
    async with exchange() as simulator:
        clock(simulator)
        simulator.revoke(key.api_key)
        with pytest.raises(Refused, match="-2015"):
            await sidecar(simulator, key, []).run()
        method = "session.logon" if key is ED25519 else "userDataStream.start"
        assert len(requests(simulator, method)) == 1


@pytest.mark.virtual
async def test_an_exchange_that_is_away_at_the_start_is_waited_for(clock: Any) -> None:
    """However long, by one session."""
    events: list[Event] = []
    async with exchange(SPOT) as simulator:
        clock(simulator)
        simulator.inject(Fault("refuse_handshake", status=503, times=200))
        running = asyncio.ensure_future(sidecar(simulator, ED25519, events).run())
        await until(lambda: events)
        assert [event.type for event in events] == ["gap"]
        assert len(requests(simulator, "session.logon")) == 1
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.virtual
async def test_a_listen_key_that_is_refused_in_passing_is_asked_for_again(clock: Any) -> None:
    """A key that was taken once has the time of a refused logon; one that stays refused ends it then."""
    events: list[Event] = []
    async with exchange() as simulator:
        clock(simulator)
        running = asyncio.ensure_future(sidecar(simulator, HMAC, events).run())
        await until(lambda: events)
        for refused in (3, 4):
            seen = len(events)
            simulator.inject(Fault("error", method="userDataStream.start", status=401, code=-2015, times=refused))
            for _ in range(200):  # more than the buffer holds: the stream is opened again
                simulator.exchange.push({"e": "ACCOUNT_UPDATE", "E": 1})
            await until(lambda: any(event.is_gap for event in events[seen:]))  # noqa: B023
        simulator.revoke(HMAC.api_key)
        for _ in range(200):
            simulator.exchange.push({"e": "ACCOUNT_UPDATE", "E": 1})
        with pytest.raises(Refused, match="-2015"):
            await running
        assert len(requests(simulator, "userDataStream.start")) == 1 + 4 + 5 + 5
