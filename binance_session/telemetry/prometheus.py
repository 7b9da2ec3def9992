"""Metrics for Prometheus (extra ``[prometheus]``): a custom collector, which reads a session when it is scraped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector as _Collector

from binance_session.session import Session
from binance_session.telemetry.measures import BOUNDS, COUNTERS, GAUGES, LATENCY, latencies, sessions_of

__all__ = ["Collector"]

_LABELS = ("session", "venue")


class Collector(_Collector):
    """The metrics of a session, or of all sessions of a manager.

    ::

        prometheus_client.REGISTRY.register(Collector(session))

    Sessions that a manager gets later are told of too. Nothing is counted here: what is scraped is what the session
    knows. Raises :class:`ConfigurationError` for what is neither.
    """

    def __init__(self, session_or_manager: Any) -> None:
        sessions_of(session_or_manager)
        self._source = session_or_manager

    def describe(self) -> Iterable[Any]:
        """Return nothing, so that registering does not scrape."""
        return []

    def collect(self) -> Iterable[Any]:
        """Yield every metric, with its values as of now."""
        sessions = sessions_of(self._source)
        for measures, family in ((GAUGES, GaugeMetricFamily), (COUNTERS, CounterMetricFamily)):
            for measure in measures:
                metric = family(measure.name, measure.help, labels=(*_LABELS, *measure.labels))
                for session in sessions.values():
                    for labels, value in measure.values(session):
                        metric.add_metric((*_of(session), *(labels[name] for name in measure.labels)), value)
                yield metric
        yield _durations(sessions)


def _of(session: Session) -> tuple[str, str]:
    return session.name, session.venue.name


def _durations(sessions: Mapping[str, Session]) -> HistogramMetricFamily:
    about = "From the moment at which a request was given to its connection to its answer (with timings=True)"
    metric = HistogramMetricFamily(LATENCY, about, labels=(*_LABELS, "method"))
    for session in sessions.values():
        for method, histogram in latencies(session).items():
            buckets = [(str(bound), float(count)) for bound, count in histogram.cumulative(BOUNDS)]
            buckets.append(("+Inf", float(histogram.count)))
            metric.add_metric((*_of(session), method), buckets, sum_value=histogram.total / 1e9)
    return metric
