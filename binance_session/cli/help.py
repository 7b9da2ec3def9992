"""What ``--help`` says, on lines that fit the terminal."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

from binance_session.cli.terminal import columns, wrapped

__all__ = ["CommandParser", "Parser"]

#: a line's indentation, what it is about, and what is said of that
_LINE: Final = re.compile(r"( *)((?:\S+ {2,})?)(.*)", re.DOTALL)


class _Layout(argparse.HelpFormatter):
    """Keeps the lines of a text as they are, but for those that are too long; breaks no option's name."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{**options, "width": columns() - 2})

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join([line for paragraph in text.splitlines() for line in _laid_out(paragraph, width)])


class Parser(argparse.ArgumentParser):
    """A parser whose help has this layout."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Layout, **options})


class CommandParser(Parser):
    """The parser of a command, whose options are listed once and not again in its usage line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"usage": "%(prog)s [OPTION ...]", **options})
        self.add_argument("--config", metavar="FILE", help="a TOML file with options, as docs/command-line.md shows it")


def _laid_out(line: str, width: int) -> list[str]:
    found = _LINE.fullmatch(line)
    assert found is not None
    indent, term, text = found.groups()
    lines = wrapped(text, width - len(indent) - len(term)) or [""]
    return [f"{indent}{term}{lines[0]}", *(f"{' ' * len(indent + term)}{line}" for line in lines[1:])]
