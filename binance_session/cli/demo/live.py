"""The first three parts of the demo: a session over a real WebSocket on this machine, its misfortunes, its speed."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from binance_session.cli.demo.frames import carrying_a_key, of_method, shown
from binance_session.cli.demo.player import ObservedSession
from binance_session.cli.demo.stage import Stage
from binance_session.cli.throwaway import throwaway_key
from binance_session.credentials import masked
from binance_session.errors import ApiError, BinanceSessionError, ConnectionLost, NotSent, RequestTimeout
from binance_session.responses import Response
from binance_session.simulator import Fault, Simulator
from binance_session.state import SessionState
from binance_session.venues import COIN_M

__all__ = ["play"]

_SYMBOL: Final = "BTCUSD_PERP"
#: seconds to wait for an answer that will not come
_SHORT: Final = 0.15
#: seconds within which a caller must get the error of a cut connection
_AT_ONCE: Final = 1.0
_NO_ORDER: Final = "no such order"
_ROUND_TRIPS: Final = 5000
_QUANTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
_READY: Final = SessionState.READY


async def play(stage: Stage) -> None:
    """Play the three parts."""
    # Limits are off, because the last part sends more within a second than the exchange allows in a minute.
    async with Simulator(COIN_M, enforce_limits=False) as simulator:
        key = throwaway_key(simulator)
        session = ObservedSession(COIN_M, key, url=simulator.url, stream_url=simulator.stream_url)
        try:
            await _log_on(stage, session, simulator, masked(key.api_key))
            stage.heading("2  What networks do to it")
            await _answer_lost(stage, session, simulator)
            await _answer_late(stage, session, simulator)
            await _connection_lost(stage, session, simulator, executed=False)
            await _connection_lost(stage, session, simulator, executed=True)
            await _speed(stage, session)
        finally:
            await session.close()
        logons = of_method(simulator.received, "session.logon")
        with_key = carrying_a_key(simulator.received)
        stage.claim(
            f"{len(simulator.received):,} requests, {len(with_key)} with a key: the logons of"
            f" {len(logons)} connections",
            holds=with_key == logons and len(logons) == 3,
        )
    left = asyncio.all_tasks() - {asyncio.current_task()}
    stage.claim(
        f"the session is closed, and {len(left)} tasks are left behind", holds=not left and session.states[-1].is_final
    )


async def _log_on(stage: Stage, session: ObservedSession, simulator: Simulator, api_key: str) -> None:
    stage.heading("1  A session over a real WebSocket")
    stage.row("simulator", simulator.url)
    stage.row("key", f"Ed25519, made for this run; apiKey {api_key}")
    started = time.perf_counter()
    await session.open()
    took = time.perf_counter() - started
    states = " → ".join(["new", *(state.value for state in session.states)])
    stage.row("open()", f"{states}, in {_ms(took)}")
    listen_key = await session.start_user_data_stream()
    stage.row("listenKey", f"{masked(listen_key.value)}, kept alive from now on")
    await session.ping_user_data_stream()

    stage.terminal.line()
    stage.say("What the simulator received, secrets masked with …, and nothing else changed:")
    stage.terminal.line()
    for frame in simulator.received:
        stage.frame(shown(frame))
    stage.terminal.line()
    stage.say("The connection is logged on, so the ping needs no apiKey and no signature, and carries none.")
    pings = of_method(simulator.received, "userDataStream.ping")
    stage.claim(
        "logged on with an Ed25519 signature; the ping was exactly the frame shown, without a key",
        holds=session.authenticated
        and [frame.message for frame in pings] == [{"id": 3, "method": "userDataStream.ping"}],
    )


# Misfortunes


async def _answer_lost(stage: Stage, session: ObservedSession, simulator: Simulator) -> None:
    simulator.inject(Fault("no_answer", method="order.place"))
    error, took = await _place(session, "lost", _SHORT)
    stage.row("answer lost", f"order.place   {_told(error)}, after {_ms(took)}")
    assert isinstance(error, BinanceSessionError)
    fate = await session.settle(error)
    status = None if fate.order is None else fate.order["status"]
    stage.row("", f"settle()      {status}, says {fate.evidence}: it took effect, and must not be sent again")
    stage.claim(
        "answer lost: told that the outcome is unknown; settle() found that the order had been filled",
        holds=_is_unknown(error, RequestTimeout) and fate.took_effect is True and status == "FILLED",
    )


async def _answer_late(stage: Stage, session: ObservedSession, simulator: Simulator) -> None:
    before = session.stats.late
    session.late_answer.clear()
    simulator.inject(Fault("late_answer", method="order.place", delay=2 * _SHORT))
    error, took = await _place(session, "late", _SHORT)
    stage.row("answer late", f"order.place   {_told(error)}, after {_ms(took)}")
    await session.late_answer.wait()
    late = session.stats.late - before
    stage.row("", f"its answer    came after the timeout: counted as late ({late}), otherwise ignored")
    started = time.perf_counter()
    await session.request("account.balance")
    stage.row("", f"the next      answered after {_ms(time.perf_counter() - started)}")
    stage.claim(
        f"answer late: told that the outcome is unknown; {late} counted late, and the next one answered",
        holds=_is_unknown(error, RequestTimeout) and late == 1,
    )


async def _connection_lost(stage: Stage, session: ObservedSession, simulator: Simulator, *, executed: bool) -> None:
    """Cut the TCP connection under an order, before or after the exchange executed it: the client cannot know."""
    when = "after" if executed else "before"
    simulator.inject(Fault(f"drop_{when}", method="order.place"))
    error, told = await _place(session, f"cut-{when}", 10.0)
    lost = time.perf_counter()
    unsent, _ = await _place(session, f"unsent-{when}", 10.0)
    await session.wait_for(_READY)
    ready = time.perf_counter() - lost
    fates = [await _fate(session, f"cut-{when}"), await _fate(session, f"unsent-{when}")]

    stage.row("connection cut", f"order.place   {_told(error)}, after {_ms(told)}")
    stage.row(f"{when} execution", f"another one   {_told(unsent)}: no connection to write it to")
    stage.row("", f"session       READY again by itself, and logged on, after {_ms(ready)}")
    stage.row("", f"order.status  {fates[0]} for the first, {fates[1]} for the other")
    stage.claim(
        f"cut {when} execution: told within {_ms(told)}; a second order never left; READY within {_ms(ready)}",
        holds=_is_unknown(error, ConnectionLost)
        and told < _AT_ONCE
        and isinstance(unsent, NotSent)
        and fates == ["FILLED" if executed else _NO_ORDER, _NO_ORDER]
        and session.authenticated,
    )


async def _place(session: ObservedSession, name: str, timeout: float) -> tuple[Response | BinanceSessionError, float]:
    """Buy one contract; return what the caller was told, and after how many seconds."""
    order = {"symbol": _SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1", "newClientOrderId": name}
    started = time.perf_counter()
    told: Response | BinanceSessionError
    try:
        told = await session.request("order.place", order, timeout=timeout)
    except BinanceSessionError as error:
        told = error
    return told, time.perf_counter() - started


async def _fate(session: ObservedSession, name: str) -> str:
    """Ask what became of an order."""
    try:
        reply = await session.request("order.status", {"symbol": _SYMBOL, "origClientOrderId": name})
    except ApiError as error:
        return _NO_ORDER if error.code == -2013 else str(error)
    return str(reply.result["status"])


def _told(what: Response | BinanceSessionError) -> str:
    if isinstance(what, Response):
        return "answered"
    return f"{type(what).__name__}, outcome {str(what.outcome).replace('_', ' ')}"


def _is_unknown(what: Response | BinanceSessionError, kind: type[BinanceSessionError]) -> bool:
    return isinstance(what, kind) and what.outcome == "unknown"


# Speed


async def _speed(stage: Stage, session: ObservedSession) -> None:
    stage.heading(f"3  Its speed: {_ROUND_TRIPS:,} requests over loopback, one after the other")
    times = []
    answered = session.stats.answered
    for _ in range(_ROUND_TRIPS):
        started = time.perf_counter()
        await session.request("session.status")
        times.append(time.perf_counter() - started)
    times.sort()
    figures = [f"{name} {1e6 * times[int(part * len(times))]:.0f} µs" for name, part in _QUANTILES]
    stage.row("round trip", "    ".join(figures))
    stage.row("", "client and simulator share this thread: the figures are for both")
    answered = session.stats.answered - answered
    stage.claim(f"{answered:,} of {_ROUND_TRIPS:,} requests were answered", holds=answered == _ROUND_TRIPS)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
