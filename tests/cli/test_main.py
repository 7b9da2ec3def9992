"""The program as a whole: its help, its exit statuses, its manners."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version
from typing import NoReturn

import pytest

from binance_session.cli import keygen, main
from tests.cli.program import COMMAND, TIMEOUT, environment, run


def test_the_installed_command_is_main() -> None:
    (command,) = entry_points(group="console_scripts", name="binance-session")
    assert command.load() is main


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for command in ("demo", "run", "check", "keygen", "simulate"):
        assert command in result.stdout


@pytest.mark.parametrize("command", ["demo", "run", "check", "keygen", "simulate"])
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
