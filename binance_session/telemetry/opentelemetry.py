"""Metrics for OpenTelemetry (extra ``[opentelemetry]``): observable instruments, by the API package alone.

Which SDK exports them, and when they are read, is the application's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from binance_session.telemetry.measures import COUNTERS, GAUGES, Measure, latencies, sessions_of

__all__ = ["instrument"]

_SHARES: Final = ((0.5, "0.5"), (0.99, "0.99"), (0.999, "0.999"))


def instrument(session_or_manager: Any, meter: Meter | None = None) -> None:
    """Make instruments that observe a session, or all sessions of a manager, whenever they are read.

    ``meter``: the global provider's unless given. Attributes are ``binance.session`` and ``binance.venue``; names are
    those of the Prometheus metrics with dots (``binance.session.in.flight``). Raises :class:`ConfigurationError` for
    what is neither a session nor a manager.
    """
    sessions_of(session_or_manager)
    meter = get_meter("binance_session") if meter is None else meter
    for measure in GAUGES:
        meter.create_observable_gauge(
            _name(measure), [_callback(session_or_manager, measure)], description=measure.help
        )
    for measure in COUNTERS:
        meter.create_observable_counter(
            _name(measure), [_callback(session_or_manager, measure)], description=measure.help
        )
    meter.create_observable_gauge(
        "binance.session.request.duration",
        [_durations(session_or_manager)],
        unit="s",
        description="Percentiles of how long requests take (with timings=True)",
    )


def _name(measure: Measure) -> str:
    return measure.name.replace("_", ".")


def _callback(source: Any, measure: Measure) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for name, session in sessions_of(source).items():
            own = {"binance.session": name, "binance.venue": session.venue.name}
            for labels, value in measure.values(session):
                yield Observation(value, {**own, **{f"binance.{key}": text for key, text in labels.items()}})

    return observe


def _durations(source: Any) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for name, session in sessions_of(source).items():
            for method, histogram in latencies(session).items():
                for share, text in _SHARES:
                    attributes = {
                        "binance.session": name,
                        "binance.venue": session.venue.name,
                        "rpc.method": method,
                        "quantile": text,
                    }
                    yield Observation(histogram.percentile(share), attributes)

    return observe
