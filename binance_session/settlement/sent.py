"""When a request may have taken effect, and what an answer that was asked for at some time can tell of it.

Every comparison is between times that the exchange itself has checked, so none depends on a clock of ours. A request
with a ``timestamp`` is taken only while ``timestamp - 1000 < its clock <= timestamp + recvWindow`` (PROTOCOL.md §3,
Timing). So an order was made at most 1 s before its ``timestamp`` as the exchange's clock says. It was made before
``timestamp + recvWindow`` and the documented 10 s that processing may take before the exchange answers -1007
(PROTOCOL.md §2). And what a query was answered, the exchange knew later than 1 s before the query's own ``timestamp``.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Self

from attrs import frozen

from binance_session.errors import ConfigurationError
from binance_session.params import Params

__all__ = ["DEFAULT_WINDOW", "Moment", "Sent"]

#: ms that a timestamp may be ahead of the exchange's clock
_AHEAD: Final = 1_000
#: ms that the exchange may take to process a request that it took
_PROCESSING: Final = 10_000
#: ``recvWindow`` of a request that names none, and the longest one, in ms
DEFAULT_WINDOW: Final = 5_000
_LONGEST_WINDOW: Final = 60_000
#: ms that a time of sending which was written down may be wrong, either way
_NOTED: Final = 5_000
_DAY: Final = 86_400_000
#: a time above is in µs (Spot)
_MICROSECONDS: Final = 10**14


class Moment(Enum):
    """When something was made, seen from a request."""

    BEFORE = "before the request"
    WITHIN = "when the request may have made it"
    AFTER = "after the request can have made anything"
    UNKNOWN = "not told"


@frozen
class Sent:
    """When a request was sent, in ms of the exchange's clock: its ``timestamp``, or two bounds if that is not known."""

    earliest: float
    latest: float
    window: float = DEFAULT_WINDOW

    @classmethod
    def of(cls, params: Params, sent_at: float | None = None, window: float | None = None) -> Self:
        """Return when a request with these parameters was sent.

        ``sent_at`` (Unix s) is asked if they have no ``timestamp``, ``window`` (ms) if they have no ``recvWindow``.
        Raises :class:`ConfigurationError` if neither tells when.
        """
        window = _number(params.get("recvWindow"), "recvWindow") or window or DEFAULT_WINDOW
        stamp = _number(params.get("timestamp"), "timestamp")
        if stamp is not None:
            stamp = stamp / 1000 if stamp >= _MICROSECONDS else stamp
            return cls(stamp, stamp, window)
        if sent_at is None:
            raise ConfigurationError(
                "it is not known when the request was sent: its params have no timestamp. Use"
                " session.settle_order(method, params, sent_at)"
            )
        return cls(sent_at * 1000 - _NOTED, sent_at * 1000 + _NOTED, window)

    @property
    def is_exact(self) -> bool:
        """Whether it is the request's own ``timestamp``."""
        return self.earliest == self.latest

    @property
    def over_at(self) -> float:
        """The ``timestamp`` from which on a query sees all that the request can have done (ms)."""
        return self.latest + self.window + _PROCESSING + _AHEAD

    def is_over(self, asked: float) -> bool:
        """Tell whether a query with this ``timestamp`` (ms) was answered after the request can have done anything."""
        return asked >= self.over_at

    def is_remembered(self, asked: float, days: int) -> bool:
        """Tell whether a query with this ``timestamp`` (ms) was answered before an order is forgotten.

        The exchange forgets it so many ``days`` after it was made.
        """
        return asked + _LONGEST_WINDOW < self.earliest - _AHEAD + days * _DAY

    def moment(self, made: object) -> Moment:
        """Tell when something was made that the exchange says is of this time (ms)."""
        if type(made) not in (int, float):
            return Moment.UNKNOWN
        assert isinstance(made, (int, float))
        made = made / 1000 if made >= _MICROSECONDS else made
        if made < self.earliest - _AHEAD:
            return Moment.BEFORE
        return Moment.WITHIN if made <= self.latest + self.window + _PROCESSING else Moment.AFTER

    def since(self, changed: object) -> bool:
        """Tell whether something changed, at this time (ms), after the request can have been taken."""
        return self.moment(changed) in (Moment.WITHIN, Moment.AFTER)


def _number(value: object, name: str) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise ConfigurationError(f"{name} must be a number of milliseconds")
    return number
