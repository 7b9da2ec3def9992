"""Interleaved rounds, medians, spreads, ratios; a table and its JSON.

Every contestant runs one short slice per round, in an order that rotates from round to round, so that whatever else
the machine does meets all of them alike. The reference runs twice per round, and the ratio of those two runs, which
should be 1, shows how much of any other ratio is noise.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, Final

from attrs import field, frozen

from benchmarks.report import Sheet

__all__ = ["Contestant", "Metric", "Row", "Table", "compare", "measure", "median_of", "per_operation", "percentile"]

#: fewer rounds than this conclude nothing
FEWEST_ROUNDS: Final = 5
#: a ratio whose middle half is wider than this part of it is marked
WIDEST: Final = 0.10
#: the reference against itself may be off by this much
FARTHEST: Final = 0.05

AGAIN: Final = "the reference, measured again"

median_of = median


@frozen
class Metric:
    """One figure that a slice yields: its key, the table's title for it, and its unit."""

    key: str
    title: str
    unit: str = "µs"


@frozen
class Contestant:
    """Something to measure: ``run(n)`` does one slice of ``n`` operations and returns a figure for each metric's key.

    ``facts`` go to the JSON and say what cannot be seen from the name: the decoder, the event loop.
    """

    name: str
    run: Callable[[int], Mapping[str, float]]
    facts: Mapping[str, str] = field(factory=dict)


@frozen
class Row:
    """One contestant's figures of one metric, one per round, and the reference's of the same rounds."""

    name: str
    rounds: tuple[float, ...]
    reference: tuple[float, ...]
    facts: Mapping[str, str] = field(factory=dict)

    @property
    def value(self) -> float:
        """The median round."""
        return median(self.rounds)

    @property
    def spread(self) -> float:
        """The width of the middle half of the rounds, as a part of their median."""
        return _spread(self.rounds)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The figure over the reference's, within each round."""
        return tuple([mine / theirs for mine, theirs in zip(self.rounds, self.reference, strict=True)])

    @property
    def ratio(self) -> float:
        """The median of the ratios within each round."""
        return median(self.ratios)

    @property
    def ratio_spread(self) -> float:
        """The width of the middle half of the ratios, as a part of their median."""
        return _spread(self.ratios)

    @property
    def is_noisy(self) -> bool:
        """Whether the ratio moved too much from round to round to be taken at its word."""
        return self.ratio_spread > WIDEST


@frozen
class Table:
    """The rows of one metric; the first is the reference, the second the reference measured again."""

    metric: Metric
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row | None:
        """Return the row of this name, if there is one."""
        return next((row for row in self.rows if row.name == name), None)

    def warnings(self) -> list[str]:
        """Return what keeps this table from being conclusive; nothing, on a quiet machine."""
        found = []
        rounds = len(self.rows[0].rounds)
        if rounds < FEWEST_ROUNDS:
            found.append(f"{rounds} round(s) conclude nothing: run at least {FEWEST_ROUNDS}")
            return found
        off = self.rows[1].ratio - 1
        if abs(off) > FARTHEST:
            found.append(f"the reference differed from itself by {off:+.0%}: trust no difference of that size")
        noisy = [row.name for row in self.rows if row.is_noisy]
        if noisy:
            which = ", ".join(noisy) if len(noisy) < len(self.rows) - 1 else "every row"
            found.append(f"too noisy to conclude, ratio moved by more than {WIDEST:.0%}: {which}")
        return found

    def as_text(self) -> str:
        """Return the table for a terminal."""
        width = max(len(row.name) for row in self.rows)
        rounds = len(self.rows[0].rounds)
        lines = [
            f"{self.metric.title} ({self.metric.unit}, median of {rounds} rounds; ±: middle half of the rounds)",
            f"  {'':{width}}  {self.metric.unit:>8}  {'±':>5}  {'ratio':>6}  {'±':>5}",
        ]
        for row in self.rows:
            mark = " ?" if row.is_noisy or rounds < FEWEST_ROUNDS else ""
            lines.append(
                f"  {row.name:{width}}  {row.value:8.2f}  {row.spread / 2:5.0%}  {row.ratio:6.2f}"
                f"  {row.ratio_spread / 2:5.0%}{mark}"
            )
        lines += [f"  ! {warning}" for warning in self.warnings()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the table with every round, for a file."""
        return {
            "kind": "table",
            "metric": self.metric.key,
            "title": self.metric.title,
            "unit": self.metric.unit,
            "warnings": self.warnings(),
            "rows": [
                {
                    "name": row.name,
                    **row.facts,
                    "median": row.value,
                    "spread": row.spread,
                    "ratio": row.ratio,
                    "ratio_spread": row.ratio_spread,
                    "rounds": list(row.rounds),
                }
                for row in self.rows
            ],
        }


def measure(
    metrics: Sequence[Metric], contestants: Sequence[Contestant], *, rounds: int, size: int
) -> tuple[Table, ...]:
    """Run ``rounds`` slices of ``size`` operations each, interleaved, after one round that does not count.

    The first contestant is the reference. Rubbish is collected before each slice, and the collector is on during it,
    as it is in a bot.
    """
    runs = [contestants[0], Contestant(AGAIN, contestants[0].run, contestants[0].facts), *contestants[1:]]
    figures: list[list[Mapping[str, float]]] = [[] for _ in runs]
    for number in range(-1, rounds):
        for place in range(len(runs)):
            index = (place + number) % len(runs)
            gc.collect()
            figure = runs[index].run(size)
            if number >= 0:
                figures[index].append(figure)
    tables = []
    for metric in metrics:
        columns = [tuple([figure[metric.key] for figure in column]) for column in figures]
        rows = [Row(run.name, column, columns[0], run.facts) for run, column in zip(runs, columns, strict=True)]
        tables.append(Table(metric, tuple(rows)))
    return tuple(tables)


def compare(title: str, pairs: Sequence[tuple[Table, str, str]]) -> Sheet:
    """Return a sheet of ratios, each the first row's figure of a table over the second's within each round.

    A pair whose rows were not both measured is left out.
    """
    rows: list[tuple[str | float | None, ...]] = []
    noisy = []
    for table, name, other in pairs:
        mine, theirs = table.row(name), table.row(other)
        if mine is None or theirs is None:
            continue
        both = Row(name, mine.rounds, theirs.rounds)
        label = f"{table.metric.key}: {' '.join(name.split())} / {' '.join(other.split())}"
        rows.append((label, both.ratio, both.ratio_spread / 2, mine.value, theirs.value))
        if both.is_noisy:
            noisy.append(label)
    notes = [f"too noisy to conclude: {label}" for label in noisy]
    if pairs and len(pairs[0][0].rows[0].rounds) < FEWEST_ROUNDS:
        notes = [f"fewer than {FEWEST_ROUNDS} rounds conclude nothing"]
    return Sheet(title, ("", "ratio", "±", "the one", "the other"), tuple(rows), tuple(notes))


def per_operation(size: int, **seconds: float) -> dict[str, float]:
    """Return the seconds that ``size`` operations took as microseconds of one."""
    return {key: value / size * 1e6 for key, value in seconds.items()}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of 100 of the values do not exceed; 0 percent is the smallest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100 - 1e-9) - 1)]


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / median(values)
