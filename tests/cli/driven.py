"""The simulator as a program that a test drives by lines, and a bot's session with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from binance_session import COIN_M, HmacKey, Session, Venue
from tests.cli.program import COMMAND, environment

API_KEY = "driven"
SECRET = "a secret for tests"
KEY = HmacKey(API_KEY, SECRET)
OPTIONS = ("--api-key", API_KEY, "--secret-env", "SECRET")


class Driven:
    """``simulate --json`` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.first = self.read()

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def say(self, line: str | dict[str, Any]) -> Any:
        """Write a line and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line if isinstance(line, str) else json.dumps(line)}\n")
        self.process.stdin.flush()
        return self.read()

    def session(self, venue: Venue = COIN_M, **options: Any) -> Session:
        return Session(venue, KEY, url=self.first["url"], stream_url=self.first["stream_url"], **options)


@contextmanager
def driven(*arguments: str) -> Iterator[Driven]:
    """Start the program, and kill it at the end if it is still there."""
    with subprocess.Popen(
        [*COMMAND, "simulate", "--json", *OPTIONS, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(SECRET=SECRET),
    ) as process:
        try:
            yield Driven(process)
        finally:
            if process.poll() is None:
                process.kill()
