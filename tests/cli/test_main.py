"""The program as a whole: its help, its exit statuses, its manners."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import NoReturn

import pytest

from binance_session.cli import keygen, main
from tests.cli.program import COMMAND, TIMEOUT, environment, run

COMMANDS = ("demo", "run", "check", "keygen", "simulate")
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}


def test_the_installed_command_is_main() -> None:
    (command,) = entry_points(group="console_scripts", name="binance-session")
    assert command.load() is main


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for command in COMMANDS:
        assert command in result.stdout


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([command, "--help"] if command else ["--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 61, 72, 80, 120])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_the_terminal_and_breaks_no_name(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    wide = help_of(command, capsys)
    monkeypatch.setenv("COLUMNS", str(width))
    narrow = help_of(command, capsys)
    assert max(map(len, narrow.splitlines())) <= width
    names = re.findall(r"--[a-z-]+|[a-z]+_[a-z]+|coin-m-testnet|binance-session", wide)
    for name in set(names):
        assert narrow.count(name) == wide.count(name)
    assert narrow.isascii()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_where_only_ascii_is_known(command: str) -> None:
    result = run(command, "--help", **ASCII)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"binance-session {command}" in capsys.readouterr().out


def test_help_does_not_load_the_simulator_nor_the_key_library() -> None:
    program = (
        "import sys\n"
        "from binance_session.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = [name for name in sys.modules if name.startswith(('binance_session.simulator', 'cryptography'))]\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"binance-session {version('binance-session')}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check", "--venue", "nowhere"], ["simulate", "--port", "x"]])
def test_bad_usage_is_exit_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: binance-session" in capsys.readouterr().err


def test_an_interrupt_ends_a_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(keygen, "_run", interrupted)
    assert main(["keygen"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_crash() -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(TIMEOUT) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
@pytest.mark.parametrize("arguments", [["--help"], ["keygen"], ["check", "--url", "ws://127.0.0.1:1"]])
def test_output_that_cannot_be_written_is_no_crash(arguments: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(PYTHONPATH=os.getcwd()),
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 1
    assert "cannot be written: No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_mistake_is_told_on_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--api-key-file", "no\nsuch\x1b[2Jfile"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("binance-session check: ")
    assert shown.removesuffix("\n").isprintable()
