"""The part of the demo with two connections: the one in use is lost, and the next request leaves on the other.

In virtual time, so that a round trip takes what the network takes, and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import frozen

from binance_session.cli.demo.player import ObservedSession
from binance_session.cli.demo.stage import Stage
from binance_session.cli.throwaway import throwaway_key
from binance_session.simulator import LoopClock, Simulator
from binance_session.simulator.virtual import VirtualTimeLoop, run
from binance_session.state import SessionState
from binance_session.venues import COIN_M

__all__ = ["play"]

#: seconds one way
_LATENCY: Final = 0.02
#: seconds after which the standby connection is there
_SETTLED: Final = 30.0


@frozen
class _Record:
    """What became of it. Times in seconds."""

    #: until the first request after the loss was answered
    answered_within: float
    states: list[SessionState]
    failovers: int
    gaps: int


async def _live_through_it() -> _Record:
    loop = VirtualTimeLoop.running()
    loop.network.latency = _LATENCY
    async with Simulator(COIN_M, clock=LoopClock(start=loop.wall_time())) as simulator:
        session = ObservedSession(
            COIN_M,
            throwaway_key(simulator),
            url=simulator.url,
            stream_url=simulator.stream_url,
            wall_clock=loop.wall_time,
            standby=True,
        )
        async with session, session.user_data_stream(sockets=2):
            await asyncio.sleep(_SETTLED)
            session.states.clear()
            for first in (True, False):  # the API connection in use, and the socket that leads
                lines = [line for line in simulator.connections if bool(line.stream) is not first]
                min(lines, key=lambda line: line.number).drop()
            await session.failed_over.wait()
            lost_at = loop.time()
            await session.request("account.balance")
            answered_within = loop.time() - lost_at
            await asyncio.sleep(_SETTLED)
            stats = session.stats
            return _Record(answered_within, list(session.states), stats.failovers, stats.gaps)


def play(stage: Stage) -> None:
    """Lose a connection of each pair, and make the claim about it."""
    record = run(_live_through_it, limit=3 * _SETTLED)
    stage.heading("5  Two connections of each kind, and the first of each is cut")
    stage.row(
        "standby=True", f"the next request is answered {1000 * record.answered_within:.0f} ms after the loss is known"
    )
    stage.row("", "one round trip; the state stays READY")
    stage.row("sockets=2", f"{record.gaps} gaps in the account's events")
    stage.claim(
        f"{record.failovers} failover: no reconnect was waited for, and no event was missed",
        holds=record.failovers == 1
        and not record.states
        and not record.gaps
        and record.answered_within < 2.01 * _LATENCY,
    )
