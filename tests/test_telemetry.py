"""Metrics: what a scrape says is what the session knows, for one session and for many."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import binance_session
from binance_session import BinanceSessionError, ConfigurationError, SessionManager
from binance_session.simulator import Fault
from binance_session.telemetry.measures import BOUNDS, COUNTERS, GAUGES, LATENCY
from binance_session.telemetry.opentelemetry import instrument
from binance_session.telemetry.prometheus import Collector
from tests.cli.program import running
from tests.exchange import exchange, session_to
from tests.test_manager import accounts, manager


def scraped(source: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of a scrape as Prometheus reads it, by name and labels."""
    registry = CollectorRegistry()
    registry.register(Collector(source))
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def of(samples: Any, name: str, **labels: str) -> list[float]:
    return [value for (known, has), value in samples.items() if known == name and labels.items() <= dict(has).items()]


async def test_a_scrape_says_what_the_session_knows() -> None:
    async with exchange() as simulator, session_to(simulator, timings=True, name="alice") as session:
        async with session.user_data_stream():
            for _ in range(5):
                await session.request("account.balance")
            with pytest.raises(BinanceSessionError):
                await session.request("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})
            simulator.inject(Fault("no_answer", method="account.position"))
            with pytest.raises(BinanceSessionError):
                await session.request("account.position", timeout=0.1)
            samples = scraped(session)
        stats = session.stats
        assert of(samples, "binance_session_state", state="ready") == [1.0]
        assert sum(of(samples, "binance_session_state")) == 1.0
        assert of(samples, "binance_session_ready") == of(samples, "binance_session_live") == [1.0]
        assert of(samples, "binance_session_events_live") == [1.0]
        assert of(samples, "binance_session_requests_total", outcome="answered") == [stats.answered]
        assert of(samples, "binance_session_requests_total", outcome="refused") == [1.0]
        assert of(samples, "binance_session_requests_total", outcome="timed_out") == [1.0]
        assert 3590 < of(samples, "binance_session_listen_key_seconds")[0] <= 3600
        assert of(samples, "binance_session_limit", limit="REQUEST_WEIGHT") == [2400.0]
        assert of(samples, "binance_session_limit_used", limit="REQUEST_WEIGHT")[0] > 25
        assert of(samples, f"{LATENCY}_count", method="account.balance") == [5.0]
        assert of(samples, f"{LATENCY}_bucket", method="account.balance", le="+Inf") == [5.0]
        buckets = [of(samples, f"{LATENCY}_bucket", method="account.balance", le=str(bound))[0] for bound in BOUNDS]
        assert buckets == sorted(buckets)
        assert all(("session", "alice") in labels and ("venue", "COIN-M") in labels for _, labels in samples)


async def test_without_timings_and_without_a_stream_those_are_absent() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        samples = scraped(session)
        assert of(samples, f"{LATENCY}_count") == of(samples, "binance_session_limit") == []
        assert of(samples, "binance_session_events_live") == of(samples, "binance_session_listen_key_seconds") == []


async def test_every_measure_is_in_a_scrape() -> None:
    async with exchange() as simulator, session_to(simulator, timings=True, standby=True) as session:
        async with session.user_data_stream():
            await session.request("account.balance")
            names = {name for name, _ in scraped(session)}
        waits_for_a_ping = {"binance_session_ping_round_trip_seconds"}
        wanted = {each.name for each in GAUGES} | {f"{each.name}_total" for each in COUNTERS}
        assert wanted - names <= waits_for_a_ping


async def test_many_accounts_and_those_that_come_later() -> None:
    async with accounts(names=("alice", "bob", "carol", "dave")) as (simulator, _), manager(simulator) as many:
        samples = scraped(many)
        assert len(of(samples, "binance_session_ready")) == 3
        assert of(samples, "binance_session_ready", session="COIN-M bob") == [1.0]
        await many.remove("bob")
        assert of(scraped(many), "binance_session_ready", session="COIN-M bob") == []


@pytest.mark.parametrize("source", ["session", 3, object(), {"alice": 1}])
def test_what_is_no_session_is_refused(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="a session or a manager"):
        Collector(source)
    with pytest.raises(ConfigurationError, match="a session or a manager"):
        instrument(source)


async def test_opentelemetry_reads_the_same() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    async with exchange() as simulator, session_to(simulator, timings=True, name="alice") as session:
        instrument(session, provider.get_meter("test"))
        await session.request("account.balance")
        data: Any = reader.get_metrics_data()
        [scope] = data.resource_metrics[0].scope_metrics
        found = {metric.name: metric.data.data_points for metric in scope.metrics}
        states = {point.attributes["binance.state"]: point.value for point in found["binance.session.state"]}
        assert states["ready"] == 1.0
        answered = [p for p in found["binance.session.requests"] if p.attributes["binance.outcome"] == "answered"]
        assert [point.value for point in answered] == [session.stats.answered]
        assert {point.attributes["binance.session"] for point in answered} == {"alice"}
        duration = found["binance.session.request.duration"]
        assert {point.attributes["rpc.method"] for point in duration} == {"session.logon", "account.balance"}
    provider.shutdown()


async def test_a_manager_for_opentelemetry() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    async with exchange() as simulator:
        instrument(SessionManager(simulator.venue), provider.get_meter("test"))
        assert reader.get_metrics_data() is None or reader.get_metrics_data()
    provider.shutdown()


# The dashboard, and the command


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    path = Path(binance_session.__file__).parent / "telemetry" / "grafana.json"
    board = json.loads(path.read_text())
    known = {each.name for each in GAUGES} | {f"{each.name}_total" for each in COUNTERS} | {f"{LATENCY}_bucket"}
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"binance_session_\w+", target["expr"])
    }
    assert asked <= known
    assert len(board["panels"]) >= 10
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_run_serves_metrics() -> None:
    with running("run", "--simulate", "--metrics", "127.0.0.1:0") as program:
        assert program.stderr is not None
        port = next(int(found[1]) for line in program.stderr if (found := re.search(r"metrics .* port (\d+)", line)))
        next(line for line in program.stderr if "events from here on" in line)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    assert re.search(r'binance_session_ready\{session="COIN-M 1",venue="COIN-M"\} 1\.0', text)
    assert "binance_session_request_duration_seconds_bucket" in text
