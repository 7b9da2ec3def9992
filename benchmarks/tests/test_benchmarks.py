"""The benchmarks run, and give every figure that they promise. How fast anything is, is not tested here."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect

from benchmarks import counts, figures
from benchmarks.__main__ import main
from benchmarks.clients import BARE, KINDS, OURS, OURS_PLAIN, OURS_TOGETHER, READER, usable
from benchmarks.environment import FASTEST_LOOP, LOOPS, PLAIN_LOOPS, has
from benchmarks.harness import Contestant, Metric, compare, measure, percentile
from benchmarks.imports import HEAVY
from benchmarks.latency import Latencies
from benchmarks.peers import PEERS
from benchmarks.roundtrip import _Runner, _without, label, serving
from benchmarks.server import Answerer, frame
from benchmarks.worker import Worker
from benchmarks.workload import PACKAGES

pytestmark = pytest.mark.timeout(300)

SESSIONS = [f"binance_session ({decoder})" for decoder in PACKAGES]
AGAIN = "the reference, measured again"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def run(benchmark: str, file: Path, size: int, *options: str) -> list[dict[str, Any]]:
    """Run two rounds of one benchmark, and return the sections that it wrote as JSON."""
    main([benchmark, "--rounds", "2", "--size", str(size), "--json", str(file), *options])
    document: dict[str, Any] = json.loads(file.read_text())
    assert set(document) == {"environment", "benchmarks"}
    assert {"python", "system", "cpu", "packages"} <= set(document["environment"])
    assert list(document["benchmarks"]) == [benchmark]
    sections: list[dict[str, Any]] = document["benchmarks"][benchmark]["sections"]
    for table in of_kind(sections, "table"):
        for row in table["rows"]:
            assert len(row["rounds"]) == 2
            assert min(row["rounds"]) > 0
        assert table["rows"][0]["ratio"] == 1
        assert table["rows"][1]["name"] == AGAIN
        assert table["warnings"], "two rounds conclude nothing"
    return sections


def of_kind(sections: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [section for section in sections if section["kind"] == kind]


def cells(sheet: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the rows of a sheet by their names."""
    return {row[0]: row[1:] for row in sheet["rows"]}


def text_of(figure: Path) -> str:
    """Return what a figure says; where none can be drawn, the test ends here."""
    if not has("matplotlib"):
        assert not figure.exists()
        pytest.skip("figures are drawn with the extra [bench]; the rest of this test passed")
    return "".join(ElementTree.parse(figure).getroot().itertext())


@pytest.mark.long
def test_dispatch_measures_both_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both directions of both requests, each with its reference lines and with this package."""
    tables = run("dispatch", tmp_path / "dispatch.json", 3)
    assert [(table["metric"], table["title"].split(":")[0]) for table in tables] == [
        ("submit", "userDataStream.ping"),
        ("resolve", "userDataStream.ping"),
        ("submit", "order.place"),
        ("resolve", "order.place"),
    ]
    for table in tables:
        names = [row["name"] for row in table["rows"]]
        assert names[0] in ("json.dumps + Frame.serialize", "json.loads + dict.pop + set_result")
        assert names[-len(SESSIONS) :] == SESSIONS
    printed = capsys.readouterr().out
    for text in [*[table["title"] for table in tables], *SESSIONS, "websockets parses the frame, no more"]:
        assert text in printed
    assert f"written to {tmp_path}" in printed


@pytest.mark.long
def test_roundtrip_measures_every_client_on_every_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Latency and CPU, for each event loop and each client, against a server in another process; then the figures."""
    for name in [name for name in KINDS if name not in (READER, BARE, *SESSIONS)]:
        monkeypatch.delitem(KINDS, name)  # peers take long to start
    sections = run("roundtrip", tmp_path / "roundtrip.json", 3, "--figures", str(tmp_path))
    tables = of_kind(sections, "table")
    assert [table["metric"] for table in tables] == ["p50", "p99", "p999", "cpu"]
    for table in tables:
        del table["rows"][1]  # the reference again
        assert [row["name"] for row in table["rows"]] == [f"{loop:8}{name}" for loop in PLAIN_LOOPS for name in KINDS]
        assert {row["loop"] for row in table["rows"]} == set(PLAIN_LOOPS)
    together, ratios = of_kind(sections, "sheet")
    assert set(together["curves"]) == set(cells(together))
    assert any("bare asyncio.Protocol" in row for row in cells(ratios)) == ("msgspec" in PACKAGES)
    printed = capsys.readouterr().out
    for table in tables:
        assert table["title"] in printed
    for name in ("peers", "latency"):
        assert f"drawn: {tmp_path / name}.svg" in printed or not has("matplotlib")
        assert OURS_PLAIN in text_of(tmp_path / f"{name}.svg")


@pytest.mark.long
def test_encrypted_measures_on_every_transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client over TLS, its certificate verified, on each loop and on aiofastnet's transports if they are there."""
    for name in PEERS:
        monkeypatch.delitem(KINDS, name)
    sections = run("encrypted", tmp_path / "encrypted.json", 3)
    p50, cpu = of_kind(sections, "table")
    clients = [READER, OURS, OURS_TOGETHER] if "msgspec" in PACKAGES else [READER]
    for table in (p50, cpu):
        assert "over TLS" in table["title"]
        del table["rows"][1]  # the reference again
        assert [row["name"] for row in table["rows"]] == [label(loop, name) for loop in LOOPS for name in clients]


def test_a_peer_that_is_not_installed_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.clients.has", lambda package: package != "ccxt")
    found, left_out = usable()
    assert set(KINDS) - set(found) == {"ccxt pro, HMAC"}
    assert left_out == ["ccxt pro, HMAC is left out: ccxt not installed"]


def test_a_client_that_fails_on_the_way_is_given_up_and_not_the_run() -> None:
    class Failing:
        def run(self, size: int) -> dict[str, Any]:
            raise RuntimeError("an answer was lost")

    class Steady:
        def run(self, size: int) -> dict[str, Any]:
            return {"latencies": [1000] * size, "cpu": 1.0}

    runners = {"steady": _Runner(cast("Worker", Steady())), "failing": _Runner(cast("Worker", Failing()))}
    contestants = [Contestant(name, runner.run) for name, runner in runners.items()]
    tables = measure([Metric("p50", "p50"), Metric("cpu", "cpu")], contestants, rounds=2, size=3)
    assert runners["failing"].failure == "an answer was lost"
    for table in _without(tables, ["failing"]):
        assert [row.name for row in table.rows] == ["steady", AGAIN]
        assert table.rows[0].value == 1
    with pytest.raises(RuntimeError, match="reference"):
        _without(tables, ["steady"])


@pytest.mark.long
def test_every_peer_that_is_installed_places_its_orders() -> None:
    peers = [name for name in usable()[0] if name in PEERS]
    if not peers:
        pytest.skip("no peer is installed: that takes the extra [bench]")
    with serving() as url:
        workers = {name: Worker(name, FASTEST_LOOP, url) for name in peers}
        try:
            assert {name: worker.ready() for name, worker in workers.items()} == dict.fromkeys(peers)
            for worker in workers.values():
                figures_of_one = worker.run(2)
                assert len(figures_of_one["latencies"]) == 2
                assert figures_of_one["cpu"] > 0
        finally:
            for worker in workers.values():
                worker.close()


@pytest.mark.long
def test_inflight_measures_every_depth(tmp_path: Path) -> None:
    """The cost with few and with many in flight, and what those hold; all of it is given back."""
    table, ratio, memory = run("inflight", tmp_path / "inflight.json", 20, "--figures", str(tmp_path))
    assert [row["in_flight"] for row in table["rows"]] == ["10", "10", "100", "1000"]
    assert len(ratio["rows"]) == 1
    held = {name: row[0] for name, row in cells(memory).items()}
    assert held["in flight"] > 100
    assert held["and after as many again, ten at a time"] < held["in flight"] / 10
    assert "requests in flight" in text_of(tmp_path / "inflight.svg")


@pytest.mark.long
def test_collector_counts_what_it_visits(tmp_path: Path) -> None:
    sheet, table = run("collector", tmp_path / "collector.json", 10)
    in_flight, kept = cells(sheet)["all"]
    assert 1 <= in_flight <= 3, "the future, and what the router keeps of it"
    assert 1 <= kept <= 3
    assert [row["in_flight"] for row in table["rows"]] == ["0", "0", "1000"]


@pytest.mark.long
@pytest.mark.parametrize("long", [False, True])
def test_endurance_looks_at_every_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, long: bool) -> None:
    monkeypatch.setattr("benchmarks.endurance._LONG", 1000)
    windows, summary = run("endurance", tmp_path / "endurance.json", 200, *(["--long"] if long else []))
    assert list(cells(windows)) == (
        ["to request 500", "to request 1,000"] if long else ["to request 200", "to request 400"]
    )
    drift, left = [row[0] for row in cells(summary).values()]
    assert drift > 0
    assert left < 50


@pytest.mark.long
def test_fleet_looks_at_idle_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions in a process of their own, and the spread of their pings in virtual time."""
    monkeypatch.setattr("benchmarks.fleet._ROUND", 0.05)
    idle, spread, _ = run("fleet", tmp_path / "fleet.json", 12, "--figures", str(tmp_path))
    assert list(cells(idle)) == ["10 sessions", "12 sessions"]
    assert [look["sessions"] for look in idle["looks"]] == [0, 10, 12]
    assert cells(idle)["12 sessions"][-1] > 1, "a session is more than a KiB"
    assert cells(spread)["by a session in an hour"][0] >= 1
    assert "sessions in one process" in text_of(tmp_path / "sessions.svg")


@pytest.mark.long
def test_imports_are_timed_in_fresh_interpreters(tmp_path: Path) -> None:
    """And bring along nothing that is heavy."""
    wall, cpu, ratios, along = run("imports", tmp_path / "imports.json", 1)
    assert (wall["metric"], cpu["metric"]) == ("wall", "cpu")
    assert len(ratios["rows"]) == 4
    brought = {name: row[0] for name, row in cells(along).items()}
    assert all(f"of {package}" in brought for package in HEAVY)
    assert brought["of binance_session"] > 10
    assert brought["of binance_session.simulator"] == brought["of binance_session.cli"] == 0
    assert brought["ssl.SSLContext objects"] == 0


@pytest.mark.long
def test_reconnect_is_measured_plain_and_over_tls(tmp_path: Path) -> None:
    plain, secure, ratios = run("reconnect", tmp_path / "reconnect.json", 1)
    assert plain["title"].startswith(f"plain, {FASTEST_LOOP}")
    assert secure["title"].startswith("TLS")
    for table in (plain, secure):
        assert [row["name"].split(":")[0] for row in table["rows"]] == [
            "websockets",
            AGAIN,
            "by hand",
            "websockets",
            "binance_session",
        ]
    assert len(ratios["rows"]) == 6


@pytest.mark.long
def test_failover_is_measured_plain_and_over_tls(tmp_path: Path) -> None:
    *tables, ratios = run("failover", tmp_path / "failover.json", 1)
    assert [table["metric"] for table in tables] == ["known", "cut"] * 2
    for table in tables:
        names = [row["name"] for row in table["rows"]]
        assert names == ["a round trip, nothing lost", AGAIN, "lost, with a standby", "lost, without one"]
    assert len(ratios["rows"]) == 8


def test_a_reconnect_benchmark_that_would_wait_for_its_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="fewer than 300"):
        run("reconnect", tmp_path / "reconnect.json", 100)


def test_the_server_tells_when_it_cut() -> None:
    """Whichever connection that was: it is asked on the next one."""
    with serving() as url:

        async def cut_and_ask() -> tuple[int, int, int]:
            async with connect(url, proxy=None) as cut:
                asked_at = time.perf_counter_ns()
                await cut.send(json.dumps({"id": 1, "method": "benchmark.cut"}))
                await cut.wait_closed()
                lost_at = time.perf_counter_ns()
            async with connect(url, proxy=None) as other:
                await other.send(json.dumps({"id": 2, "method": "benchmark.when"}))
                return asked_at, json.loads(await other.recv())["result"]["at"], lost_at

        asked_at, cut_at, lost_at = asyncio.run(cut_and_ask())
    assert asked_at < cut_at < lost_at


@pytest.mark.long
def test_rollover_is_measured_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.rollover._EVERY", 0.01)
    p50, p999, ratios, together = run("rollover", tmp_path / "rollover.json", 100)
    assert (p50["metric"], p999["metric"]) == ("p50", "p999")
    assert len(ratios["rows"]) == 2
    assert together["rollovers"] > 0
    assert together["lost"] == 0


@pytest.mark.long
def test_threads_measure_the_method(tmp_path: Path) -> None:
    *tables, ratios = run("threads", tmp_path / "threads.json", 8)
    assert [table["metric"] for table in tables] == ["throughput", "cpu", "apart", "shared"]
    assert len(ratios["rows"]) == 3 * len(PLAIN_LOOPS) + 4


@pytest.mark.long
def test_the_account_adds_up_the_parts(tmp_path: Path) -> None:
    table, account = run("account", tmp_path / "account.json", 50, "--figures", str(tmp_path))
    assert table["rows"][0]["name"] == "an order over a socket, whole"
    rows = cells(account)
    assert rows["the parts together"][0] == pytest.approx(sum(account["parts"].values()))
    assert "answer: decode the JSON" in text_of(tmp_path / "account.svg")


@pytest.mark.parametrize("decoder", list(PACKAGES))
def test_no_count_of_the_hot_path_grows(decoder: str) -> None:
    """Bytecodes and memory of every step, against the file; ``python -m benchmarks counts --write`` renews it."""
    kept = counts.expected().get(decoder)
    if kept is None:
        pytest.skip(f"counts.json has no entry for Python {VERSION} with {decoder}")
    assert counts.grown(counts.count(decoder), kept) == []


def test_each_decoder_has_a_copy_of_the_package_of_its_own() -> None:
    """With the JSON library that it is named after, whatever is installed."""
    for decoder, package in PACKAGES.items():
        found = package.Session.__init__.__globals__["Link"].submit.__globals__["decode"].__globals__["msgspec"]
        assert (found is not None) == (decoder == "msgspec")
    assert len({package.Session for package in PACKAGES.values()}) == len(PACKAGES)


@pytest.mark.long
def test_counts_are_the_same_every_time() -> None:
    assert counts.grown(counts.count("json"), counts.count("json")) == []


def test_a_count_that_grew_is_named() -> None:
    """By more than a tenth, and by something that can be counted."""
    kept = {"step": {"bytecodes": 100.0, "blocks": 1.0, "peak": 0.0}}
    assert counts.grown({"step": {"bytecodes": 110.0, "blocks": 1.4, "peak": 0.0}}, kept) == []
    assert counts.grown({"step": {"bytecodes": 111.0, "blocks": 2.0}}, kept) == [
        "step: bytecodes grew from 100 to 111",
        "step: blocks grew from 1 to 2",
    ]
    assert counts.grown({"new": {"bytecodes": 1.0}}, kept) == ["new: bytecodes is not in the file"]


def test_counts_are_written_for_this_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside those of other versions, which stay."""
    monkeypatch.setattr(counts, "FILE", tmp_path / "counts.json")
    monkeypatch.setattr(counts, "count", lambda decoder: {"step": {"bytecodes": 100.0}})
    counts.FILE.write_text('{"3.999": {"json": {}}}')
    assert counts.expected() == {}
    sections = run("counts", tmp_path / "run.json", 1)
    assert sections[0]["notes"] == [f"counts.json has no entry for Python {VERSION} with {next(iter(PACKAGES))}"]
    sections = run("counts", tmp_path / "run.json", 1, "--write")
    assert [sheet["notes"] for sheet in of_kind(sections, "sheet")] == [[] for _ in PACKAGES]
    assert set(counts.expected()) == set(PACKAGES)
    assert list(json.loads(counts.FILE.read_text())) == [VERSION, "3.999"]
    with pytest.raises(SystemExit):
        main(["dispatch", "--write"])


@pytest.mark.long
def test_without_a_file_no_json_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["dispatch", "--rounds", "1", "--size", "1"])
    assert list(tmp_path.iterdir()) == []
    assert "written" not in capsys.readouterr().out


@pytest.mark.long
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


@pytest.mark.long
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
    values = [float(value) for value in range(1, 1001)]
    assert percentile(values, 50) == 500
    assert percentile(values, 99) == 990
    assert percentile(values, 99.9) == 999
    assert percentile(values, 100) == 1000
    assert percentile(values, 0) == 1
    assert percentile([3.0], 99) == 3


@pytest.mark.parametrize("installed", [True, False])
def test_latencies_tell_percentiles_with_a_histogram_and_without(
    monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    if not installed:
        monkeypatch.setattr("benchmarks.latency.has", lambda package: False)
    latencies = Latencies()
    latencies.add(range(1000, 1_001_000, 1000))
    assert latencies.count == 1000
    assert latencies.at(50) == pytest.approx(500, rel=0.002)
    assert latencies.at(100) == pytest.approx(1000, rel=0.002)
    curve = dict(latencies.curve())
    assert curve[99.9] == pytest.approx(999, rel=0.002)
    assert 99.95 not in curve, "a thousand samples do not tell"


@pytest.mark.long
def test_ratios_are_compared_within_the_rounds() -> None:
    """Of the rows that were both measured; a table that was too short says so."""
    contestants = [
        Contestant("reference", lambda size: {"cost": 2.0}),
        Contestant("other", lambda size: {"cost": 1.0}),
    ]
    (table,) = measure([Metric("cost", "cost")], contestants, rounds=5, size=1)
    pairs = [(table, "other", "reference"), (table, "other", "nobody")]
    sheet = compare("ratios", pairs)
    assert sheet.rows == (("cost: other / reference", 0.5, 0.0, 1.0, 2.0),)
    assert sheet.notes == ()
    (table,) = measure([Metric("cost", "cost")], contestants, rounds=2, size=1)
    assert compare("ratios", [(table, "other", "reference")]).notes == ("fewer than 5 rounds conclude nothing",)


@pytest.mark.long
def test_without_the_package_that_draws_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.__main__.has", lambda package: package != "matplotlib")
    main(["dispatch", "--rounds", "1", "--size", "1", "--figures", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()
    assert "extra [bench]" in capsys.readouterr().out


def test_figures_without_their_data_are_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the figures need the extra [bench]")
    environment = {"python": "CPython", "cpu": "some"}
    assert figures.draw({"environment": environment, "benchmarks": {}}, tmp_path / "new") == []


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


def test_many_accounts_are_opened_and_their_events_counted(tmp_path: Path) -> None:
    sheet, _ = run("accounts", tmp_path / "accounts.json", 4)
    assert sheet["title"].startswith("4 accounts in one SessionManager")
    assert all(sheet[name] >= 0 for name in ("opened", "live", "memory", "idle", "events", "cpu"))
    assert sheet["live"] >= sheet["opened"] > 0
    assert sheet["events"] > 0
