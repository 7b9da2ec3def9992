"""``run --metrics``: the metrics of the session in use, for Prometheus to scrape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from binance_session.errors import ConfigurationError
from binance_session.telemetry.prometheus import Collector

__all__ = ["serve_metrics"]


def serve_metrics(sidecar: Any, host: str, port: int) -> tuple[Callable[[], None], int]:
    """Serve in a thread; return what ends that, and the port. Raises :class:`ConfigurationError` if it cannot."""
    registry = CollectorRegistry()
    registry.register(Collector(sidecar))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(f"--metrics: cannot listen on {host}:{port}: {error.strerror or error}") from None

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close, int(server.server_address[1])
