"""What is measured of a session, by name: the one list that every exporter reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from attrs import asdict, frozen

from binance_session.errors import ConfigurationError
from binance_session.latency import Histogram
from binance_session.masking import kind_of
from binance_session.session import Session
from binance_session.state import SessionState

__all__ = ["BOUNDS", "COUNTERS", "GAUGES", "LATENCY", "Measure", "latencies", "sessions_of"]

#: seconds: the buckets of exported latencies
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATENCY: Final = "binance_session_request_duration_seconds"

Values = Iterator[tuple[Mapping[str, str], float]]


@frozen
class Measure:
    """One metric: its name, what it tells, the names of its labels, and its values of one session by those."""

    name: str
    help: str
    values: Callable[[Session], Values]
    labels: tuple[str, ...] = ()


def sessions_of(source: Any) -> Mapping[str, Session]:
    """Return the sessions of a session, a manager, or a blocking one of either, by the names that metrics have.

    Raises :class:`ConfigurationError` for anything else.
    """
    source = getattr(source, "session", getattr(source, "manager", source))
    if isinstance(source, Session):
        return {source.name: source}
    if source is None:  # between two sessions
        return {}
    try:
        return {source[name].name: source[name] for name in source}
    except (TypeError, AttributeError, KeyError):
        raise ConfigurationError(f"give a session or a manager of many, not {kind_of(source)}") from None


def latencies(session: Session) -> Mapping[str, Histogram]:
    """Return the distributions of how long requests took, by method; {} without ``timings=True``."""
    return dict(session.observer.histograms)


def _one(value: float | None) -> Values:
    if value is not None:
        yield {}, float(value)


def _states(session: Session) -> Values:
    for state in SessionState:
        yield {"state": state.value}, float(session.state is state)


def _phases(session: Session) -> Values:
    phases = session.phases
    for name, seconds in {} if phases is None else asdict(phases).items():
        if seconds is not None:
            yield {"phase": name}, seconds


def _weight(session: Session, field: str) -> Values:
    last = session.observer.last
    for limit in () if last is None else last.rate_limits:
        interval = f"{limit.interval_num} {limit.interval}"
        yield {"limit": limit.type, "interval": interval}, float(getattr(limit, field))


def _stats(*fields: tuple[str, str]) -> Callable[[Session], Values]:
    def values(session: Session) -> Values:
        stats = session.stats
        for value, field in fields:
            yield {"outcome": value}, float(getattr(stats, field))

    return values


def _stat(field: str) -> Callable[[Session], Values]:
    return lambda session: _one(getattr(session.stats, field))


GAUGES: Final = (
    Measure("binance_session_state", "1 for the state that the session is in", _states, ("state",)),
    Measure(
        "binance_session_live",
        "Whether the session goes on by itself: 0 where only a restart helps",
        lambda session: _one(session.health().live),
    ),
    Measure(
        "binance_session_ready",
        "Whether a request would leave now, and the account's events come",
        lambda session: _one(session.health().ready),
    ),
    Measure(
        "binance_session_events_live",
        "Whether the account's events come; absent while no stream is open",
        lambda session: _one(session.health().events_live),
    ),
    Measure("binance_session_in_flight", "Requests that were written and have not ended", lambda s: _one(s.in_flight)),
    Measure(
        "binance_session_event_backlog",
        "Events that wait to be read",
        lambda session: _one(session.health().backlog),
    ),
    Measure(
        "binance_session_listen_key_seconds",
        "Seconds until the listenKey lapses",
        lambda session: _one(session.health().listen_key_left),
    ),
    Measure(
        "binance_session_clock_offset_seconds",
        "The exchange's clock minus the local one",
        lambda session: _one(session.clock_offset),
    ),
    Measure(
        "binance_session_last_frame_age_seconds",
        "Seconds since a frame is known to have come",
        lambda session: _one(session.health().last_frame_age),
    ),
    Measure(
        "binance_session_ping_round_trip_seconds",
        "The round trip of the last ping",
        lambda session: _one(session.health().ping_rtt),
    ),
    Measure(
        "binance_session_connect_seconds",
        "How long each phase of making the connection in use took: name, tcp, tls, upgrade, logon",
        _phases,
        ("phase",),
    ),
    Measure("binance_session_standby_ready", "Whether a standby connection is ready", lambda s: _one(s.standby_ready)),
    Measure(
        "binance_session_limit_used",
        "What of a limit is used, by the last answer (with timings=True)",
        lambda session: _weight(session, "count"),
        ("limit", "interval"),
    ),
    Measure(
        "binance_session_limit",
        "A limit of the exchange, by the last answer (with timings=True)",
        lambda session: _weight(session, "limit"),
        ("limit", "interval"),
    ),
)
COUNTERS: Final = (
    Measure(
        "binance_session_requests",
        "Requests that ended, by how",
        _stats(("answered", "answered"), ("refused", "refused"), ("timed_out", "timed_out"), ("lost", "lost")),
        ("outcome",),
    ),
    Measure("binance_session_late_answers", "Answers to requests that had ended", _stat("late")),
    Measure("binance_session_unknown_answers", "Answers to ids that were never given out", _stat("unknown")),
    Measure("binance_session_malformed_messages", "Messages that were no JSON object", _stat("malformed")),
    Measure("binance_session_events", "Events that were passed on", _stat("events")),
    Measure("binance_session_gaps", "Times that events may have been missed", _stat("gaps")),
    Measure("binance_session_connections", "Connections that became ready", _stat("connections")),
    Measure("binance_session_stream_connections", "Connections for events", _stat("stream_connections")),
    Measure("binance_session_failovers", "Times that a standby connection took over", _stat("failovers")),
    Measure(
        "binance_session_keepalive_pings",
        "Pings of the listenKey, by how they ended",
        _stats(("answered", "pings"), ("failed", "failed_pings")),
        ("outcome",),
    ),
    Measure("binance_session_hook_errors", "Exceptions raised by hooks and policies", _stat("hook_errors")),
)
