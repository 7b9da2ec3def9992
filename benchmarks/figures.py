"""The figures, drawn by matplotlib from what a run wrote as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import OURS_HMAC, OURS_TASKS, OURS_TOGETHER
from benchmarks.peers import SDK_BARELY, SDK_HMAC

__all__ = ["FOLDER", "draw"]

#: where they are kept
FOLDER: Final = Path(__file__).resolve().parent / "figures"
_OURS: Final = "binance_session"
#: clients that are measured in one more way than a drawing has room for
_VARIANTS: Final = (OURS_HMAC, OURS_TASKS, OURS_TOGETHER, SDK_BARELY, SDK_HMAC)
#: inches
_WIDTH: Final = 9.0
#: text stays text, and the same data gives the same file
_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "binance_session",
    "font.family": "sans-serif",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.4,
    "legend.frameon": False,
}
_PERCENTILES: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
Section = Mapping[str, Any]
Curve = Sequence[tuple[float, float]]


def draw(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw every figure that the document's benchmarks have the data of, into ``folder``; return the files.

    Raises :class:`ImportError` without matplotlib, which is in the extra ``[bench]``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    environment = document["environment"]
    written = []
    for name, (benchmark, plot) in _FIGURES.items():
        if benchmark in document["benchmarks"]:
            with rc_context(_STYLE):
                figure = Figure(layout="constrained")
                plot(document["benchmarks"][benchmark]["sections"], figure)
                figure.supxlabel(f"{environment['python']}, {environment['cpu']}", fontsize="small", color="grey")
                written.append(folder / f"{name}.svg")
                figure.savefig(written[-1], metadata={"Date": None})
    return written


def _table(sections: Sequence[Section], metric: str) -> Section:
    return next(section for section in sections if section.get("metric") == metric)


def _holding(sections: Sequence[Section], fact: str) -> Section:
    return next(section for section in sections if fact in section)


def _bars(
    figure: Any, title: str, groups: Mapping[str, Sequence[tuple[str, float]]], ours: Callable[[str], bool]
) -> None:
    """Draw horizontal bars, from zero, one plot for each group."""
    count = sum(map(len, groups.values())) + 2 * len(groups)
    figure.set_size_inches(_WIDTH, 1 + 0.25 * count)
    figure.suptitle(title)
    heights = [len(rows) + 1 for rows in groups.values()]
    plots = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, rows) in zip(plots, groups.items(), strict=True):
        colours = ["tab:blue" if ours(name) else "silver" for name, _ in rows]
        drawn = axes.barh(range(len(rows)), [value for _, value in rows], color=colours)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.bar_label(drawn, fmt="%.3g", padding=4)
        axes.margins(x=0.1)
        axes.invert_yaxis()
        axes.set_title(group)
        axes.grid(visible=False)


def _lines(figure: Any, title: str, charts: Sequence[tuple[str, str, Mapping[str, Curve]]]) -> Sequence[Any]:
    """Draw lines, one plot for each (label of x, label of y, curves by their names); return the plots."""
    figure.set_size_inches(_WIDTH, 4.0 * len(charts) + 0.5)
    figure.suptitle(title)
    plots: Sequence[Any] = figure.subplots(len(charts), squeeze=False)[:, 0]
    for axes, (x_label, y_label, curves) in zip(plots, charts, strict=True):
        for name, curve in curves.items():
            axes.plot(*zip(*curve, strict=True), marker=".", label=name)
        axes.set_xlabel(x_label)
        axes.set_title(y_label, fontsize="medium")
        if len(curves) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return plots


def _peers(sections: Sequence[Section], figure: Any) -> None:
    groups: dict[str, list[tuple[str, float]]] = {}
    for row in _table(sections, "cpu")["rows"]:
        # A client's row begins with its loop; that of the reference, measured again, does not.
        if (name := row["name"].removeprefix(f"{row['loop']:8}")) != row["name"]:
            groups.setdefault(row["loop"], []).append((name, row["median"]))
    title = "CPU of the client for each order, 100 in flight (µs; less is better)"
    _bars(figure, title, groups, lambda name: name.startswith(_OURS))


def _latency(sections: Sequence[Section], figure: Any) -> None:
    curves = _holding(sections, "curves")["curves"]
    loop = "uvloop" if any(name.startswith("uvloop") for name in curves) else "asyncio"
    by_client = {name.removeprefix(f"{loop:8}"): curve for name, curve in curves.items() if name.startswith(loop)}
    for variant in _VARIANTS:
        by_client.pop(variant, None)
    highest = max(percent for curve in by_client.values() for percent, _ in curve)
    shown = [percent for percent in _PERCENTILES if percent <= highest]

    def place(percent: float) -> float:
        return -math.log10(1 - percent / 100)

    placed = {
        name: [(place(percent), micros) for percent, micros in curve if percent <= shown[-1]]
        for name, curve in by_client.items()
    }
    label = "µs for one order and its answer, one after the other"
    (axes,) = _lines(figure, f"Latency distribution, {loop}", [("percentile", label, placed)])
    axes.set_yscale("log")
    axes.set_xticks([place(percent) for percent in shown], [f"{percent:g}" for percent in shown])


def _inflight(sections: Sequence[Section], figure: Any) -> None:
    rows = _table(sections, "cpu")["rows"]
    curve = sorted({int(row["in_flight"]): row["median"] for row in rows}.items())
    label = "µs of CPU for a request and its answer"
    (axes,) = _lines(
        figure, "What one more request costs while others wait", [("requests in flight", label, {_OURS: curve})]
    )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)


def _sessions(sections: Sequence[Section], figure: Any) -> None:
    nothing, *looks = _holding(sections, "looks")["looks"]
    count = "sessions in one process"
    cpu = [(look["sessions"], look["cpu"] * 1e3) for look in looks]
    charts = [(count, "ms of CPU in an idle second, all together", {"CPU": cpu})]
    if nothing["resident"] is not None:
        memory = [(look["sessions"], (look["resident"] - nothing["resident"]) / 2**20) for look in looks]
        charts.append((count, "MiB of memory, all together", {"memory": memory}))
    for axes in _lines(figure, "Idle sessions that keep their listenKeys alive, without TLS", charts):
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)


def _account(sections: Sequence[Section], figure: Any) -> None:
    section = _holding(sections, "parts")
    title = f"Where the {section['whole']:.1f} µs of CPU time of an order go"
    rows = list(section["parts"].items())
    _bars(figure, title, {"": rows}, lambda name: name.startswith(("request", "answer")))


_Plot = Callable[[Sequence[Section], Any], None]
#: file -> (benchmark, what draws it)
_FIGURES: Final[dict[str, tuple[str, _Plot]]] = {
    "peers": ("roundtrip", _peers),
    "latency": ("roundtrip", _latency),
    "inflight": ("inflight", _inflight),
    "sessions": ("fleet", _sessions),
    "account": ("account", _account),
}
