"""The command line: ``binance-session``, one file for each of its commands.

Each command's module has ``add(commands)``, which describes it to argparse, and imports what is heavy only when it
runs: ``--help`` must not wait for a simulator.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import sys
from collections.abc import Sequence

from binance_session.cli import check, demo, keygen, run, simulate
from binance_session.errors import ConfigurationError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 it went well, 1 it did not, 2 it was asked wrongly."""
    arguments = _parser().parse_args(argv)
    _silence_log()
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except ConfigurationError as error:
        print(f"binance-session {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader went away (`| head`). The interpreter flushes stdout once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="binance-session",
        description="One long-lived, authenticated Binance WebSocket API session: see it, try it, check a key.",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {importlib.metadata.version('binance-session')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (demo, run, check, keygen, simulate):
        command.add(commands)
    return parser


def _silence_log() -> None:
    """Keep the library's warnings off stderr, where logging puts them unless told: commands say it in their words."""
    log = logging.getLogger("binance_session")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
