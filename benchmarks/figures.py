"""The figures, drawn from what a run wrote as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import OURS_HMAC, OURS_TASKS, OURS_TOGETHER
from benchmarks.peers import SDK_BARELY, SDK_HMAC
from benchmarks.svg import Axis, Bar, Series, bars, linear, lines, logarithmic

__all__ = ["FOLDER", "draw"]

#: where they are kept
FOLDER: Final = Path(__file__).resolve().parent / "figures"
_OURS: Final = "binance_session"
#: clients that are measured in one more way than a drawing has room for
_VARIANTS: Final = (OURS_HMAC, OURS_TASKS, OURS_TOGETHER, SDK_BARELY, SDK_HMAC)
Section = Mapping[str, Any]


def draw(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw every figure that the document's benchmarks have the data of, into ``folder``; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (benchmark, figure) in _FIGURES.items():
        if benchmark in document["benchmarks"]:
            file = folder / f"{name}.svg"
            sections = document["benchmarks"][benchmark]["sections"]
            file.write_text(figure(sections, _measured_on(document)), encoding="utf-8")
            written.append(file)
    return written


def _measured_on(document: Mapping[str, Any]) -> str:
    environment = document["environment"]
    return f"{environment['python']}, {environment['cpu']}"


def _table(sections: Sequence[Section], metric: str) -> Section:
    return next(section for section in sections if section.get("metric") == metric)


def _holding(sections: Sequence[Section], fact: str) -> Section:
    return next(section for section in sections if fact in section)


def _peers(sections: Sequence[Section], where: str) -> str:
    rows: list[Bar] = []
    table = _table(sections, "cpu")
    for loop in dict.fromkeys(row["loop"] for row in table["rows"]):
        rows.append(Bar(loop))
        # A client's row begins with its loop; that of the reference, measured again, does not.
        rows += [
            Bar(name, row["median"], name.startswith(_OURS))
            for row in table["rows"]
            if row["loop"] == loop and (name := row["name"].removeprefix(f"{loop:8}")) and row["name"] != name
        ]
    return bars("CPU of the client for each order, 100 in flight (µs; less is better)", where, rows)


def _latency(sections: Sequence[Section], where: str) -> str:
    curves = _holding(sections, "curves")["curves"]
    loop = "uvloop" if any(name.startswith("uvloop") for name in curves) else "asyncio"
    series = [
        Series(name.removeprefix(f"{loop:8}"), curve)
        for name, curve in curves.items()
        if name.startswith(loop) and name.removeprefix(f"{loop:8}") not in _VARIANTS
    ]
    heights = [value for one in series for _, value in one.points]
    percents = [percent for one in series for percent, _ in one.points]
    marks = [(0.0, "0"), (50.0, "50"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99")]
    shown = [mark for mark in marks if mark[0] <= max(percents)]
    chart = (
        Axis("percentile", shown, lambda percent: -math.log10(1 - percent / 100)),
        logarithmic("µs for one order and its answer, one after the other", min(heights), max(heights)),
        [Series(one.name, [point for point in one.points if point[0] <= shown[-1][0]]) for one in series],
    )
    return lines(f"Latency distribution, {loop}", where, [chart])


def _inflight(sections: Sequence[Section], where: str) -> str:
    rows = {row["name"]: row for row in _table(sections, "cpu")["rows"]}
    points = {int(row["in_flight"]): row["median"] for row in rows.values()}
    curve = sorted(points.items())
    chart = (
        logarithmic("requests in flight", curve[0][0], curve[-1][0]),
        linear("µs of CPU for a request and its answer", max(points.values())),
        [Series("binance_session", curve)],
    )
    return lines("What one more request costs while others wait", where, [chart])


def _sessions(sections: Sequence[Section], where: str) -> str:
    nothing, *looks = _holding(sections, "looks")["looks"]
    cpu = [(look["sessions"], look["cpu"] * 1e3) for look in looks]
    counts = logarithmic("sessions in one process", looks[0]["sessions"], looks[-1]["sessions"])
    charts = [
        (counts, linear("ms of CPU in an idle second, all together", max(y for _, y in cpu)), [Series("CPU", cpu)])
    ]
    if nothing["resident"] is not None:
        memory = [(look["sessions"], (look["resident"] - nothing["resident"]) / 2**20) for look in looks]
        charts.append(
            (counts, linear("MiB of memory, all together", max(y for _, y in memory)), [Series("memory", memory)])
        )
    return lines("Idle sessions that keep their listenKeys alive, without TLS", where, charts)


def _account(sections: Sequence[Section], where: str) -> str:
    section = _holding(sections, "parts")
    rows = [Bar(name, micros, name.startswith(("request", "answer"))) for name, micros in section["parts"].items()]
    return bars(f"Where the {section['whole']:.1f} µs of CPU time of an order go", where, rows)


_Figure = Callable[[Sequence[Section], str], str]
#: file -> (benchmark, what draws it)
_FIGURES: Final[dict[str, tuple[str, _Figure]]] = {
    "peers": ("roundtrip", _peers),
    "latency": ("roundtrip", _latency),
    "inflight": ("inflight", _inflight),
    "sessions": ("fleet", _sessions),
    "account": ("account", _account),
}
