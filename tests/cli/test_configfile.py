"""--config: a file's options are those of the command line, which wins; what is no option is refused by its name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import binance_session
from binance_session.cli import _parser, main
from binance_session.cli.configfile import with_config
from tests.cli.program import running

_, COMMANDS = _parser()


def words(tmp_path: Path, text: str, *argv: str) -> list[str]:
    (tmp_path / "bot.toml").write_text(text)
    return with_config([*argv, "--config", str(tmp_path / "bot.toml")], COMMANDS)[:-2]


def test_the_top_is_for_every_command_that_has_it_and_a_table_for_its_own(tmp_path: Path) -> None:
    text = 'venue = "spot"\nbuffer = 5\n[run]\nquiet = true\nstop-on-exit = false\n[simulate]\nport = 99\n'
    assert sorted(words(tmp_path, text, "run")) == sorted(["run", "--quiet", "--venue=spot", "--buffer=5"])
    assert sorted(words(tmp_path, text, "simulate")) == sorted(["simulate", "--port=99", "--venue=spot"])
    assert words(tmp_path, text, "check") == ["check", "--venue=spot"]


def test_a_table_stands_in_for_the_top_and_the_command_line_for_both(tmp_path: Path) -> None:
    text = 'venue = "spot"\n[check]\nvenue = "usd-m"\n'
    parser, _ = _parser()
    given = words(tmp_path, text, "check", "--venue", "coin-m")
    assert parser.parse_args(given).venue == "coin-m"
    assert parser.parse_args(words(tmp_path, text, "check")).venue == "usd-m"
    assert parser.parse_args(words(tmp_path, text, "run")).venue == "spot"


def test_lists_repeat_an_option(tmp_path: Path) -> None:
    text = '[simulate]\nreading = ["revoked_closes=true", "expired_pushes=2"]\n'
    parser, _ = _parser()
    assert parser.parse_args(words(tmp_path, text, "simulate")).reading == ["revoked_closes=true", "expired_pushes=2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('vnue = "spot"', "no option or command for 'vnue': did you mean 'venue'?"),
        ("[rum]\nquiet = true", "table [rum]: did you mean 'run'?"),
        ("[run]\nqiet = true", "for 'qiet': did you mean 'quiet'?"),
        ("[simulate]\nprot = 1", "for 'prot': did you mean 'port'?"),
        ("venue = ", "is no TOML"),
        ("venue = 2026-01-01", "must be a text, a number, true or false"),
    ],
)
def test_what_is_no_option_is_refused(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bot.toml").write_text(text)
    assert main(["run", "--config", str(tmp_path / "bot.toml")]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"--config={tmp_path / 'none'}"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["check", "--config"])


def test_a_value_that_cannot_be_is_refused_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bot.toml").write_text('venue = "kraken"')
    with pytest.raises(SystemExit):
        main(["check", "--config", str(tmp_path / "bot.toml")])
    assert "invalid choice" in capsys.readouterr().err


def test_the_file_of_the_documentation(tmp_path: Path) -> None:
    page = (Path(binance_session.__file__).parent / "docs" / "command-line.md").read_text()
    [text] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    parser, _ = _parser()
    arguments = parser.parse_args(words(tmp_path, text, "run"))
    assert (arguments.venue, arguments.health, arguments.quiet) == ("coin-m", "127.0.0.1:8080", True)
    assert parser.parse_args(words(tmp_path, text, "simulate")).reading


def test_a_program_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "bot.toml").write_text('venue = "usd-m"\n[simulate]\njson = true\n')
    with running("simulate", "--config", str(tmp_path / "bot.toml")) as program:
        assert program.stdout is not None
        assert json.loads(program.stdout.readline())["url"].endswith("/ws-fapi/v1")
