"""The benchmarks run, and give every figure that they promise. How fast anything is, is not tested here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.environment import LOOPS
from benchmarks.harness import Contestant, Metric, measure, percentile
from benchmarks.server import Answerer, frame
from benchmarks.workload import PACKAGES

SESSIONS = [f"binance_session ({decoder})" for decoder in PACKAGES]
CLIENTS = ["websockets + json + reader task", "bare asyncio.Protocol, nothing parsed", *SESSIONS]
AGAIN = "the reference, measured again"


def run(benchmark: str, file: Path, size: int) -> dict[str, Any]:
    main([benchmark, "--rounds", "2", "--size", str(size), "--json", str(file)])
    document: dict[str, Any] = json.loads(file.read_text())
    assert set(document) == {"environment", "benchmarks"}
    assert {"python", "system", "cpu", "packages"} <= set(document["environment"])
    assert list(document["benchmarks"]) == [benchmark]
    tables: dict[str, Any] = {table["title"]: table for table in document["benchmarks"][benchmark]["tables"]}
    for table in tables.values():
        for row in table["rows"]:
            assert len(row["rounds"]) == 2
            assert min(row["rounds"]) > 0
        assert table["rows"][0]["ratio"] == 1
        assert table["rows"][1]["name"] == AGAIN
        assert table["warnings"], "two rounds conclude nothing"
    return tables


def test_dispatch_measures_both_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both directions of both requests, each with its reference lines and with this package."""
    tables = run("dispatch", tmp_path / "dispatch.json", 3)
    assert [(table["metric"], title.split(":")[0]) for title, table in tables.items()] == [
        ("submit", "userDataStream.ping"),
        ("resolve", "userDataStream.ping"),
        ("submit", "order.place"),
        ("resolve", "order.place"),
    ]
    for table in tables.values():
        names = [row["name"] for row in table["rows"]]
        assert names[0] in ("json.dumps + Frame.serialize", "json.loads + dict.pop + set_result")
        assert names[-len(SESSIONS) :] == SESSIONS
    printed = capsys.readouterr().out
    for text in [*tables, *SESSIONS, "websockets parses the frame, no more", f"written to {tmp_path}"]:
        assert text in printed


def test_roundtrip_measures_every_client_on_every_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Latency and CPU, for each event loop and each client, against a server in another process."""
    tables = run("roundtrip", tmp_path / "roundtrip.json", 3)
    assert [table["metric"] for table in tables.values()] == ["p50", "p99", "cpu"]
    for table in tables.values():
        del table["rows"][1]  # the reference again
        assert [row["name"] for row in table["rows"]] == [f"{loop:8}{name}" for loop in LOOPS for name in CLIENTS]
        assert {row["loop"] for row in table["rows"]} == set(LOOPS)
    printed = capsys.readouterr().out
    for title in tables:
        assert title in printed


def test_without_a_file_no_json_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["dispatch", "--rounds", "1", "--size", "1"])
    assert list(tmp_path.iterdir()) == []
    assert "written" not in capsys.readouterr().out


def test_rounds_are_interleaved_and_compared_within_themselves() -> None:
    """A machine that becomes ten times slower half way changes the figures, not the ratio."""
    order: list[str] = []
    pace = 1.0

    def contestant(name: str, cost: float) -> Contestant:
        def slice_of(size: int) -> Mapping[str, float]:
            nonlocal pace
            pace = 10.0 if len(order) >= 15 else 1.0
            order.append(name)
            return {"cost": cost * size * pace}

        return Contestant(name, slice_of, {"loop": "none"})

    (table,) = measure(
        [Metric("cost", "cost", "s")], [contestant("reference", 2.0), contestant("other", 3.0)], rounds=8, size=5
    )
    assert len(order) == 3 * (1 + 8), "one round does not count, and the reference runs twice"
    assert all(order[start : start + 3].count("other") == 1 for start in range(0, len(order), 3))
    assert len({tuple(order[start : start + 3]) for start in range(0, len(order), 3)}) == 3, "the order rotates"
    reference, again, other = table.rows
    assert (reference.ratio, again.ratio, other.ratio) == (1, 1, 1.5)
    assert other.ratio_spread == 0
    assert other.spread > 0
    assert table.warnings() == []
    assert "other" in table.as_text()
    assert table.as_json()["rows"][2]["loop"] == "none"


def test_noise_is_said() -> None:
    """A reference that differs from itself, and a ratio that moves, are both reported."""
    figures = iter([1.0] * 3 + [1.0, 1.5, 2.0, 1.6, 9.0, 1.0, 3.0, 1.0, 1.4] * 10)

    def slice_of(size: int) -> Mapping[str, float]:
        return {"cost": next(figures)}

    contestants = [Contestant("reference", slice_of), Contestant("other", slice_of)]
    (table,) = measure([Metric("cost", "cost")], contestants, rounds=9, size=1)
    assert [warning.split(" ")[0] for warning in table.warnings()] == ["the", "too"]
    assert " ?" in table.as_text()


def test_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([3.0], 99) == 3


@pytest.mark.parametrize(
    ("size", "step"),
    [(0, 1), (125, 1), (126, 1), (300, 7), (65535, 10_000), (65536, 10_000), (65536, 100_000)],
)
def test_the_server_finds_frames_however_they_come(size: int, step: int) -> None:
    """A ping frame of any length is echoed, in whatever pieces it is read."""
    server = Answerer()
    assert server.feed(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: a\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    payload, ping = bytes(size), 9
    header = bytearray(frame(ping, payload)[: -size or None])
    header[1] |= 0x80
    data = bytes(header) + b"\0\0\0\0" + payload
    answers = b"".join([server.feed(data[start : start + step]) for start in range(0, len(data), step)])
    assert answers == frame(10, payload)
