"""The command line: ``binance-session``, one file for each of its commands.

Each command's module has ``add(commands)``, which describes it to argparse, and imports what is heavy only when it
runs: ``--help`` must not wait for a simulator.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from binance_session.cli import check, demo, keygen, replay, run, show, simulate, verify
from binance_session.cli.configfile import with_config
from binance_session.cli.help import CommandParser, Parser
from binance_session.errors import ConfigurationError
from binance_session.masking import shown

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 success, 1 failure, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the console cannot show must not fail
    program = "binance-session"
    try:
        try:
            parser, commands = _parser()
            arguments = parser.parse_args(with_config(sys.argv[1:] if argv is None else argv, commands))
        except SystemExit:  # argparse has printed the help
            _flush()
            raise
        program += f" {arguments.command}"
        if sys.stdout is None:
            raise ConfigurationError("standard output is closed: there is nowhere to write to")
        _silence_log()
        status: int = arguments.run(arguments)
        _flush()
    except ConfigurationError as error:
        _complain(f"{program}: {error}")
        return 2
    except OSError as error:
        # The interpreter flushes stdout once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # the reader went away (`| head`)
            _complain(f"{program}: standard output cannot be written: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _complain(text: str) -> None:
    """Print an error on one line; it may contain text from outside."""
    if sys.stderr is not None:
        print(shown(text), file=sys.stderr)


def _parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """Return the parser, and those of the commands by their names."""
    parser = Parser(
        prog="binance-session",
        description="One long-lived, authenticated Binance WebSocket API session: see it, try it, check a key.",
        epilog="Each command explains itself with --help. Exit status: 0 it went well, 1 it did not, 2 it was asked"
        " wrongly.",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {importlib.metadata.version('binance-session')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=CommandParser)
    for command in (demo, run, check, verify, keygen, simulate, show, replay):
        command.add(commands)
    return parser, commands.choices


def _silence_log() -> None:
    """Keep the library's warnings off stderr, logging's default: the commands report what matters themselves."""
    log = logging.getLogger("binance_session")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
