"""The README keeps its word: every snippet runs, every command exists, and says what the text says it does."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^\$ (.*)$", README, re.MULTILINE)

EXPECTED = [
    # what the front door promises: one logon with a key, then nothing
    (
        r"READY True \w+\n\[ApiError\(.*\n"
        r"session\.logon \['apiKey', 'signature', 'timestamp'\]\n"
        r"userDataStream\.start \[\]\n"
        r"account\.balance \['timestamp'\]\n"
        r"order\.cancel \['orderId', 'symbol', 'timestamp'\]\n"
    ),
    r"",
    r"",
    r"",
    r"filled: mine-1\nmissed something\? .*\nposition: 1\nfilled: mine-2\n",
    r"balanceUpdate\noutboundAccountPosition\n",
    (
        r"NEW -> CONNECTING \nCONNECTING -> LOGGING_ON \nsession\.logon 200\nLOGGING_ON -> READY \n"
        r"READY -> WAITING because .*\nWAITING -> CONNECTING \nCONNECTING -> LOGGING_ON \nsession\.logon 200\n"
        r"LOGGING_ON -> READY \nREADY -> CLOSING \nCLOSING -> CLOSED \n"
    ),
    r"unknown, so asked: FILLED\n",
    r"\d\d pings, 2 connections\n",
    r"NEW 49000.0\nNEW 49100.0\nNEW 49200.0\n",
]


@pytest.mark.parametrize(("snippet", "expected"), list(zip(SNIPPETS, EXPECTED, strict=True)))
def test_a_snippet_runs_and_prints_what_is_said(snippet: str, expected: str) -> None:
    """As a program of its own, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(expected, done.stdout), done.stdout


def test_the_first_screen_shows_code() -> None:
    """What it is, then a command, then a program, within some forty lines."""
    assert README.splitlines().index("```python") < 16
    assert README[: README.index("```python")].count("\n\n") <= 4


def test_commands() -> None:
    """The two that set everything up are the ones that .ci/run executes; the third is run here."""
    install, simulate, test = COMMANDS
    assert install == "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/binance-session demo"
    assert test.endswith("&& .venv/bin/python -m pytest")
    ci = (ROOT / ".ci" / "run").read_text()
    assert "binance-session demo" in ci
    assert "-m pytest" in ci
    program, *arguments = shlex.split(simulate)
    assert program == "binance-session"
    with subprocess.Popen(
        [sys.executable, "-m", "binance_session", *arguments], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        assert first["url"].startswith("ws://127.0.0.1:")
        assert first["stream_url"].startswith("ws://127.0.0.1:")
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0


def test_every_command_of_the_table_exists() -> None:
    """And the program's own help names no other."""
    named = set(re.findall(r"^\| `binance-session (\w+)`", README, re.MULTILINE))
    help_text = subprocess.run(
        [sys.executable, "-m", "binance_session", "--help"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert named == set(re.findall(r"^    (\w+) ", help_text, re.MULTILINE))


def test_every_error_has_its_row() -> None:
    """The table of outcomes leaves none out that a caller may get."""
    from binance_session import errors

    abstract = {"BinanceSessionError", "InsecureTransportError"}
    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    table = README[README.index("## Errors and outcomes") : README.index("## What goes wrong")]
    missing = {name for name in raised - abstract if f"`{name}`" not in table}
    assert missing == set()


def test_every_fault_of_the_table_has_its_test() -> None:
    """A link to a test that is gone, or was renamed, fails here."""
    rows = re.findall(r"\| \[([^]]+)\]\((tests/[\w/]+\.py)\) \|$", README, re.MULTILINE)
    assert len(rows) >= 25
    for title, path in rows:
        assert f"def test_{title.replace(' ', '_')}(" in (ROOT / path).read_text(), title
