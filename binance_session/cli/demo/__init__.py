"""``binance-session demo``: what the library does, shown on a simulated exchange, with nothing to prepare."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any, Final

from binance_session.cli.terminal import Terminal
from binance_session.errors import BinanceSessionError
from binance_session.masking import shown

__all__ = ["add"]

#: seconds after which something hangs that should not
_TIMEOUT: Final = 30.0


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="see a session live, on a simulated exchange",
        description="Start a simulated exchange and live through it: logon, keepalive, lost answers, cut connections,"
        " a whole day, a failover. Needs no key and no network. Exit status 0 if everything that it claims held.",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from binance_session.cli.demo import day, failover, live
    from binance_session.cli.demo.stage import Stage

    started = time.perf_counter()
    terminal = Terminal()
    stage = Stage(terminal)
    terminal.line(f"{terminal.bold('binance-session demo')}  COIN-M, on a simulated exchange")
    try:
        asyncio.run(_within_time(live.play(stage)))
        day.play(stage)
        failover.play(stage)
    except (BinanceSessionError, TimeoutError, OSError, RuntimeError) as error:
        stage.claim(f"the demo was played to its end, but {type(error).__name__}: {shown(str(error))}", holds=False)
    stage.heading("What was claimed, counted from what the simulator received")
    good = stage.end()
    terminal.line()
    took = time.perf_counter() - started
    if good:
        terminal.line(terminal.good(f"All of it held. {took:.1f} s."))
        return 0
    terminal.line(terminal.bad(f"Not all of it held. {took:.1f} s."))
    return 1


async def _within_time(play: Any) -> None:
    async with asyncio.timeout(_TIMEOUT):
        await play
