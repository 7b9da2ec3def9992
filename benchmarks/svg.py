"""Charts as SVG text: horizontal bars, and lines on linear or logarithmic axes.

No more than the figures here need. A chart brings its own background and follows the reader's choice of light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from attrs import frozen

__all__ = ["Axis", "Bar", "Series", "bars", "linear", "lines", "logarithmic"]

_WIDTH: Final = 860
_MARGIN: Final = 20
_ROW: Final = 22
#: told apart on white and on black, and by people who see fewer colours
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c", "#7a5195")
_STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .quiet { fill: #59636e }
  .paper { fill: #ffffff }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .bar { fill: #8c959f }
  .ours { fill: #0072b2 }
  .line { fill: none; stroke-width: 2 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .paper { fill: #0d1117 }
    .grid { stroke: #3d444d }
    .bar { fill: #656c76 }
    .ours { fill: #4393c3 }
  }
"""


@frozen
class Bar:
    """A row of a bar chart; one without a value is a heading."""

    label: str
    value: float | None = None
    is_ours: bool = False


@frozen
class Series:
    """A line: its name and its points."""

    name: str
    points: Sequence[tuple[float, float]]


@frozen
class Axis:
    """What an axis shows: ``marks`` are (value, text); ``scale`` maps a value to where it is."""

    label: str
    marks: Sequence[tuple[float, str]]
    scale: Callable[[float], float] = float


def bars(title: str, subtitle: str, rows: Sequence[Bar]) -> str:
    """Return a chart of horizontal bars, from zero."""
    longest = max([row.value for row in rows if row.value is not None], default=1.0) or 1.0
    left, right = 310, 80
    width = _WIDTH - left - right
    parts = _head(title, subtitle)
    top = 70
    for number, row in enumerate(rows):
        y = top + number * _ROW
        if row.value is None:
            parts.append(_text(_MARGIN, y + 15, row.label, "quiet"))
            continue
        length = width * row.value / longest
        kind = "ours" if row.is_ours else "bar"
        parts.append(_text(left - 8, y + 15, row.label, "end"))
        parts.append(f'<rect class="{kind}" x="{left}" y="{y + 3}" width="{length:.1f}" height="{_ROW - 6}" rx="2"/>')
        parts.append(_text(left + length + 6, y + 15, f"{row.value:.3g}", "quiet"))
    return _whole(title, top + len(rows) * _ROW + _MARGIN, parts)


def lines(title: str, subtitle: str, charts: Sequence[tuple[Axis, Axis, Sequence[Series]]]) -> str:
    """Return one chart of lines or several below each other, each with (x axis, y axis, series)."""
    parts = _head(title, subtitle)
    top = 64
    for x_axis, y_axis, series in charts:
        parts += _chart(top, x_axis, y_axis, series)
        top += 340
    return _whole(title, top, parts)


def _chart(top: int, x_axis: Axis, y_axis: Axis, series: Sequence[Series]) -> list[str]:
    left, right, height = 70, 300, 250
    width, begin = _WIDTH - left - right, top + 26
    place_x = _placing(x_axis, left, width)
    place_y = _placing(y_axis, begin + height, -height)
    parts = [_text(_MARGIN, top + 12, y_axis.label, "quiet")]
    for value, text in y_axis.marks:
        y = place_y(value)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, text, "end quiet"))
    for value, text in x_axis.marks:
        parts.append(_text(place_x(value), begin + height + 20, text, "middle quiet"))
    parts.append(_text(left + width / 2, begin + height + 42, x_axis.label, "middle quiet"))
    for number, one in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join([f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in one.points])
        parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        parts += [
            f'<circle cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="2.5" fill="{colour}"/>' for x, y in one.points
        ]
        y = begin + 10 + number * 20
        parts.append(f'<rect x="{left + width + 16}" y="{y - 9}" width="10" height="10" rx="2" fill="{colour}"/>')
        parts.append(_text(left + width + 32, y, one.name, ""))
    return parts


def _placing(axis: Axis, start: float, length: float) -> Callable[[float], float]:
    """Return what maps a value to its coordinate; the first and the last mark are the ends of the axis."""
    low, high = axis.scale(axis.marks[0][0]), axis.scale(axis.marks[-1][0])
    span = (high - low) or 1.0
    return lambda value: start + length * (axis.scale(value) - low) / span


def linear(label: str, highest: float) -> Axis:
    """Return an axis from zero to a round number that is not below ``highest``."""
    step = 10 ** math.floor(math.log10(highest or 1.0))
    step = next(part for part in (step / 5, step / 2, step, 2 * step) if highest / part <= 6)
    count = max(1, math.ceil(highest / step - 1e-9))
    return Axis(label, [(number * step, f"{number * step:g}") for number in range(count + 1)])


def logarithmic(label: str, lowest: float, highest: float) -> Axis:
    """Return an axis that has a mark at each power of ten, or at 1, 2, 5 of each if there are few."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    digits = (1, 2, 5) if last - first < 4 else (1,)
    values = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    begin = max([value for value in values if value <= lowest * (1 + 1e-9)], default=values[0])
    end = min([value for value in values if value >= highest * (1 - 1e-9)], default=values[-1])
    marks = [(value, f"{value:,g}") for value in values if begin <= value <= end]
    return Axis(label, marks, math.log10)


def _head(title: str, subtitle: str) -> list[str]:
    return [_text(_MARGIN, 30, title, "title"), _text(_MARGIN, 50, subtitle, "quiet")]


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _whole(title: str, height: int, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title)}</title>'
    paper = f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="6"/>'
    return "\n".join([begin, f"<style>{_STYLE}</style>", paper, *parts, "</svg>", ""])
