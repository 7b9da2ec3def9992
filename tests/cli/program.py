"""The real program, in a process of its own, where every warning is an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = (sys.executable, "-W", "error", "-m", "binance_session")
TIMEOUT = 40


def environment(**extra: str) -> dict[str, str]:
    """Return an environment without the variables that change what the program does."""
    ours = ("BINANCE_", "COLUMNS", "NO_COLOR", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONUTF8": "1", **extra}


def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        check=False,
    )


@contextmanager
def running(*arguments: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program, and kill it at the end if it is still there.

    A shell that starts something in the background has it ignore SIGINT, and so would its children: not this one.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        started = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(**extra),
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with started as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
