"""Text for a person: a little colour on a terminal, plain everywhere else."""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from typing import Final, TextIO

__all__ = ["Terminal", "columns", "wrapped"]

#: what fits on every terminal in use, and what a person likes to read
_NARROWEST: Final = 60
_WIDEST: Final = 100


def columns() -> int:
    """Return how many columns a line may take: those of the terminal, within reason."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns))


def wrapped(text: str, width: int) -> list[str]:
    """Return lines of at most ``width`` characters, none of them ending at a hyphen: names are to be copied."""
    return textwrap.wrap(text, width, break_on_hyphens=False)


class Terminal:
    """Prints lines, at once, to standard output.

    Colour only if that is a terminal and NO_COLOR is unset (https://no-color.org).
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="replace")  # a console that has no "→" shall show "?", not fail
        #: characters that fit on a line
        self.width = columns()
        self._colours = (
            self._stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"
        )

    def line(self, text: str = "") -> None:
        """Print one line."""
        print(text, file=self._stream, flush=True)

    def bold(self, text: str) -> str:
        """Return the text in bold."""
        return self._in("1", text)

    def dim(self, text: str) -> str:
        """Return the text dimmed."""
        return self._in("2", text)

    def good(self, text: str) -> str:
        """Return the text in green."""
        return self._in("32", text)

    def doubtful(self, text: str) -> str:
        """Return the text in yellow."""
        return self._in("33", text)

    def bad(self, text: str) -> str:
        """Return the text in red."""
        return self._in("31", text)

    def _in(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colours and text else text
