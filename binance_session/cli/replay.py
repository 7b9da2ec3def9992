"""``binance-session replay``: play what a session's recorder has dumped again, and tell what is otherwise now."""

from __future__ import annotations

import argparse
from typing import Any

from binance_session.masking import shown

__all__ = ["add"]


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "replay",
        help="play what a session's recorder has dumped again",
        description="Play a dump of a FlightRecorder in virtual time: the same calls, and the same exchange. Print"
        " where the session now behaves otherwise. Exit status 1 if it does.",
    )
    parser.add_argument("file", help="the dump")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from binance_session.replaying import replay

    differences = replay(arguments.file)
    for line in str(differences).splitlines():
        print(shown(line))
    return 1 if differences else 0
