"""Where the demo is told: headings, rows, frames, and the claims that it will be held to."""

from __future__ import annotations

import textwrap
from typing import Final

from attrs import frozen

from binance_session.cli.terminal import Terminal

__all__ = ["Claim", "Stage"]

_LABEL: Final = 18
_WIDTH: Final = 100
_INDENT: Final = "   "


@frozen
class Claim:
    """Something that the demo says of the library, and whether this run bears it out."""

    text: str
    holds: bool


class Stage:
    """Tells the demo on a terminal and collects its claims."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.claims: list[Claim] = []

    def claim(self, text: str, *, holds: bool) -> None:
        """Make a claim, for the summary."""
        self.claims.append(Claim(text, holds))

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.terminal.line()
        self.terminal.line(self.terminal.bold(text))
        self.terminal.line()

    def say(self, text: str) -> None:
        """Say a sentence or two."""
        for line in textwrap.wrap(text, _WIDTH - 2 * len(_INDENT)):
            self.terminal.line(_INDENT + line)

    def row(self, label: str, text: str) -> None:
        """Show one fact under its name; what is too long for a line goes on below."""
        lines = textwrap.wrap(text, _WIDTH - _LABEL - 2 * len(_INDENT)) or [""]
        for name, line in zip([label] + [""] * len(lines), lines, strict=False):
            self.terminal.line(f"{_INDENT}{self.terminal.dim(name.ljust(_LABEL))}{line}")

    def picture(self, label: str, text: str) -> None:
        """Show a line as it is, which may be in colour."""
        self.terminal.line(f"{_INDENT}{self.terminal.dim(label.ljust(_LABEL))}{text}")

    def frame(self, text: str) -> None:
        """Show a message as it went over the wire; a long one is broken before its parameters, not shortened."""
        head, params, tail = text.partition('"params":')
        lines = [text] if len(text) <= _WIDTH - 2 * len(_INDENT) else [head, params + tail]
        for mark, line in zip("→ ", lines, strict=False):
            self.terminal.line(f"{_INDENT}{self.terminal.dim(mark)} {line}")

    def end(self) -> bool:
        """Show which claims hold, and return whether all do."""
        for claim in self.claims:
            mark = self.terminal.good("✓") if claim.holds else self.terminal.bad("✗ NOT TRUE:")
            first, *rest = textwrap.wrap(claim.text, _WIDTH - 2 * len(_INDENT))
            self.terminal.line(f"{_INDENT}{mark} {first}")
            for line in rest:
                self.terminal.line(f"{_INDENT}  {line}")
        return all(claim.holds for claim in self.claims)
