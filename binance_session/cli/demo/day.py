"""The last part of the demo: a day in the life of a session, in virtual time.

The same session and the same simulator as over real sockets, on an event loop whose clock jumps, with a network in
memory. Half an hour of refused pings and a cut connection are thrown in.
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from random import Random
from typing import Final

from attrs import frozen

from binance_session.cli.demo.frames import carrying_a_key, of_method
from binance_session.cli.demo.player import ObservedSession
from binance_session.cli.demo.stage import Stage
from binance_session.cli.throwaway import throwaway_key
from binance_session.keepalive import AdaptiveKeepalive
from binance_session.simulator import Fault, LoopClock, Received, Simulator
from binance_session.simulator.virtual import VirtualTimeLoop, run
from binance_session.state import SessionState
from binance_session.venues import COIN_M

__all__ = ["play"]

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_REFUSED_FROM: Final = 1 * _HOUR
_REFUSED_UNTIL: Final = 1.5 * _HOUR
_CUT_AT: Final = 12 * _HOUR
#: seconds one way, about as far as the exchange is
_LATENCY: Final = 0.02
#: columns on which the picture has three characters for each hour
_WIDE: Final = 100
_LEVELS: Final = "▁▂▃▄▅▆▇█"


@frozen
class _Record:
    """What is left of the day. Times are seconds since its midnight."""

    received: list[Received]
    pings: list[float]
    refused: list[float]
    #: when the exchange began or extended the listenKey's hour
    extensions: list[float]
    same_key: bool
    reconnected_within: float
    state: SessionState
    authenticated: bool


async def _live_through_it() -> _Record:
    loop = VirtualTimeLoop.running()
    loop.network.latency = _LATENCY
    midnight = loop.wall_time()
    async with Simulator(COIN_M, clock=LoopClock(start=midnight)) as simulator:
        session = ObservedSession(
            COIN_M,
            throwaway_key(simulator),
            url=simulator.url,
            stream_url=simulator.stream_url,
            keepalive=AdaptiveKeepalive(random=Random(24).random),
            wall_clock=loop.wall_time,
        )
        async with session:
            first = await session.start_user_data_stream()
            await _sleep_until(_REFUSED_FROM)
            busy = Fault("error", method="userDataStream.ping", times=None, status=503, code=-1008, msg="Server busy.")
            trouble = simulator.inject(busy)
            await _sleep_until(_REFUSED_UNTIL)
            trouble.remove()
            await _sleep_until(_CUT_AT)
            loop.network.connections[0].cut()
            await session.wait_for(SessionState.WAITING)
            await session.wait_for(SessionState.READY)
            reconnected_within = loop.time() - _CUT_AT
            await _sleep_until(_DAY)
            last, state, authenticated = session.listen_key, session.state, session.authenticated
        executed = {request.id for request in simulator.executed}
        pings = of_method(simulator.received, "userDataStream.ping")
        starts = of_method(simulator.received, "userDataStream.start")
        return _Record(
            received=list(simulator.received),
            pings=[frame.time - midnight for frame in pings],
            refused=[frame.time - midnight for frame in pings if _id(frame) not in executed],
            extensions=sorted(frame.time - midnight for frame in (*starts, *pings) if _id(frame) in executed),
            same_key=last is not None and last.value == first.value,
            reconnected_within=reconnected_within,
            state=state,
            authenticated=authenticated,
        )


def _id(frame: Received) -> object:
    return None if frame.message is None else frame.message.get("id")


async def _sleep_until(when: float) -> None:
    await asyncio.sleep(when - asyncio.get_running_loop().time())


def play(stage: Stage) -> None:
    """Live through the day, draw it, and make the claims about it."""
    started = time.perf_counter()
    day = run(_live_through_it, limit=_DAY + _HOUR)
    took = time.perf_counter() - started
    stage.heading(f"4  A day in its life: 24 hours on a clock that jumps, in {took:.1f} s")
    _draw(stage, day)
    _make_claims(stage, day)


def _make_claims(stage: Stage, day: _Record) -> None:
    with_key = carrying_a_key(day.received)
    pings_with_key = of_method(with_key, "userDataStream.ping")
    logons = of_method(day.received, "session.logon")
    starts = of_method(day.received, "userDataStream.start")
    left = _least_left(day.extensions, 0, _DAY)
    stage.claim(
        f"24 hours: {len(day.pings)} pings, {len(pings_with_key)} with a key; the {len(with_key)} frames with one were"
        f" the {len(logons)} logons",
        holds=not pings_with_key and with_key == logons and len(day.pings) >= _DAY / (25 * 60),
    )
    stage.claim(
        f"the listenKey never lapsed: it always had {int(left / 60)} minutes left, although {len(day.refused)} pings"
        " were refused",
        holds=left > 0 and day.same_key and len(starts) == 1 and len(day.refused) > 1,
    )
    stage.claim(
        f"the connection cut at noon was replaced within {day.reconnected_within:.2f} s, and the day ended"
        f" {day.state.name}",
        holds=day.reconnected_within < 6.5 * _LATENCY
        and day.state is SessionState.READY
        and day.authenticated
        and len(logons) == 2,
    )


# The picture: 24 hours, three characters each, or one where three do not fit


def _draw(stage: Stage, day: _Record) -> None:
    terminal = stage.terminal
    each = 3 if terminal.width >= _WIDE else 1
    length = _HOUR / each
    cells = [number * length for number in range(24 * each)]
    pings, connection, life = "", "", ""
    for cell in cells:
        sent, refused = _within(day.pings, cell, length), _within(day.refused, cell, length)
        pings += terminal.bad("✗") if refused else terminal.good("•") if sent else terminal.dim("·")
        connection += terminal.bad("✗") if cell <= _CUT_AT < cell + length else terminal.dim("─")
        left = _least_left(day.extensions, cell, cell + length)
        level = _LEVELS[max(0, min(7, int(left / _HOUR * 8)))]
        life += terminal.bad(level) if left < _HOUR / 6 else level
    hours = "".join(f"{hour:<3d}" for hour in range(0, 24, 3 // each)).rstrip()
    stage.picture("hour", terminal.dim(hours))
    stage.picture("connection", connection)
    stage.picture("pings", pings)
    stage.picture("listenKey's life", life)
    terminal.line()
    legend = [f"{terminal.good('•')} answered  {terminal.bad('✗')} refused  · none due", "█ an hour to live  ▁ minutes"]
    for line in ["    ".join(legend)] if each > 1 else legend:
        stage.picture("", line)
    terminal.line()
    comeback = next((when for when in day.extensions if when > _REFUSED_UNTIL), _DAY)
    stage.row("00:00", "the listenKey is started, to be pinged every 15 to 25 minutes from now on")
    stage.row("01:00 to 01:30", f"the exchange refuses every ping; the policy tries {len(day.refused)} times")
    stage.row("", f"{comeback - _REFUSED_UNTIL:.0f} s after the trouble is over, the next one extends the key")
    stage.row(
        "12:00", f"the connection is cut; logged on again after three round trips, {day.reconnected_within:.2f} s"
    )
    stage.row("24:00", f"still {day.state.name}, after {len(day.pings)} pings of one listenKey")


def _within(times: list[float], cell: float, length: float) -> int:
    return sum(cell <= when < cell + length for when in times)


def _least_left(extensions: list[float], begin: float, end: float) -> float:
    """Return the fewest seconds that the listenKey had to live at any time from its start, in a stretch of the day."""
    moments = [*extensions, _DAY]
    lows = [
        _HOUR - (min(later, end) - earlier) for earlier, later in pairwise(moments) if later > begin and earlier < end
    ]
    return min(lows, default=0.0)
