"""What the demo prints: headings, rows, frames, and the claims that it checks at the end."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from binance_session.cli.terminal import Terminal, wrapped

__all__ = ["Claim", "Stage"]

_LABEL: Final = 18
_INDENT: Final = "   "


@frozen
class Claim:
    """A statement about the library, and whether it held in this run."""

    text: str
    holds: bool


class Stage:
    """Prints the demo on a terminal and collects its claims."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.claims: list[Claim] = []
        self._width = terminal.width - 2 * len(_INDENT)

    def claim(self, text: str, *, holds: bool) -> None:
        """Make a claim, for the summary."""
        self.claims.append(Claim(text, holds))

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.terminal.line()
        for line in wrapped(text, self.terminal.width):
            self.terminal.line(self.terminal.bold(line))
        self.terminal.line()

    def say(self, text: str) -> None:
        """Say a sentence or two."""
        for line in wrapped(text, self._width):
            self.terminal.line(_INDENT + line)

    def row(self, label: str, text: str) -> None:
        """Show one fact under its name; what is too long for a line goes on below."""
        lines = wrapped(text, self._width - _LABEL) or [""]
        for name, line in zip([label] + [""] * len(lines), lines, strict=False):
            self.terminal.line(f"{_INDENT}{self.terminal.dim(name.ljust(_LABEL))}{line}")

    def picture(self, label: str, text: str) -> None:
        """Show a line as it is, which may be in colour."""
        self.terminal.line(f"{_INDENT}{self.terminal.dim(label.ljust(_LABEL))}{text}")

    def frame(self, text: str) -> None:
        """Show a message as it went over the wire; a long one is broken before its parameters, not shortened."""
        head, params, tail = text.partition('"params":')
        lines = [text] if len(text) <= self._width else [head, *wrapped(params + tail, self._width)]
        for number, line in enumerate(lines):
            self.terminal.line(f"{_INDENT}{self.terminal.dim(' ' if number else '→')} {line}")

    def end(self) -> bool:
        """Show which claims hold, and return whether all do."""
        for claim in self.claims:
            mark = self.terminal.good("✓") if claim.holds else self.terminal.bad("✗")
            first, *rest = wrapped(claim.text if claim.holds else f"NOT TRUE: {claim.text}", self._width - 2)
            self.terminal.line(f"{_INDENT}{mark} {first}")
            for line in rest:
                self.terminal.line(f"{_INDENT}  {line}")
        return all(claim.holds for claim in self.claims)
