"""How long things take: what a session tells of its requests and its connection."""

from __future__ import annotations

from attrs import evolve

from binance_session.connections.admission import Admission
from binance_session.latency import Latency, Phases
from binance_session.requests.observed import Observer

__all__ = ["NumberMethods"]


class NumberMethods:
    """The methods of :class:`~binance_session.Session` that tell how long things take."""

    _admission: Admission
    observer: Observer

    def latency(self) -> dict[str, Latency]:
        """Return how long requests of each method took, as far as they were answered; {} without ``timings=True``."""
        return {method: histogram.summary() for method, histogram in self.observer.histograms.items()}

    @property
    def phases(self) -> Phases | None:
        """How long it took to make the connection in use; ``None`` while there is none."""
        link = self._admission.serving
        return None if link is None else evolve(link.phases)
