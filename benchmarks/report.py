"""What a benchmark hands back: sections, each of which can be printed and written as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

__all__ = ["Benchmark", "Notes", "Plan", "Section", "Sheet"]


class Section(Protocol):
    """A part of a benchmark's report."""

    def as_text(self) -> str:
        """Return it for a terminal."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return it for a file; ``kind`` tells which class it was."""
        ...


@frozen
class Plan:
    """How much to do: ``rounds`` interleaved rounds of ``size`` operations each; ``long`` asks for the long version."""

    rounds: int
    size: int
    long: bool = False


@frozen
class Benchmark:
    """One name of the command line: what it runs, what it is about, and how much it does unless told otherwise."""

    run: Callable[[Plan], Sequence[Section]]
    about: str
    rounds: int
    size: int


@frozen
class Notes:
    """Lines to read: how something was measured, what was left out and why."""

    lines: tuple[str, ...]

    def as_text(self) -> str:
        """Return the lines."""
        return "\n".join([f"  - {line}" for line in self.lines])

    def as_json(self) -> dict[str, Any]:
        """Return the lines, marked as such."""
        return {"kind": "notes", "lines": list(self.lines)}


@frozen
class Sheet:
    """A plain table: the first column names the row, the others hold numbers (``None``: there is none) or text.

    ``facts`` are figures for the file that the table does not show.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(factory=dict)

    def as_text(self) -> str:
        """Return the table for a terminal."""
        cells = [self.columns, *[tuple([_shown(cell) for cell in row]) for row in self.rows]]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [self.title]
        for row in cells:
            first = f"{row[0]:{widths[0]}}"
            rest = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  " + "  ".join([first, *rest]).rstrip())
        lines += [f"  ({note})" for note in self.notes]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the table for a file, its numbers unrounded."""
        return {
            "kind": "sheet",
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
            **self.facts,
        }


def _shown(cell: str | float | None) -> str:
    """Return a cell as text; numbers with the digits that mean something."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 100 else f"{cell:.2f}"
