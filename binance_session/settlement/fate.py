"""What is known about a request: the value that callers get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from attrs import evolve, field, frozen

from binance_session.errors import BinanceSessionError
from binance_session.masking import shown

__all__ = ["Fate", "no", "unsure", "yes"]

_TIMES: Final = {0: "nothing was asked", 1: "asked once", 2: "asked twice"}
_VERDICTS: Final = {
    True: "the request took effect",
    False: "the request did not take effect",
    None: "it is not known whether the request took effect",
}


@frozen
class Fate:
    """What became of a request.

    ``took_effect``
        Whether the exchange did what was asked. Of a placement: whether it took the order, whatever became of it
        since. Of a cancellation: whether the order is cancelled; of a modification: whether the order is as it was to
        become. ``None``: that cannot be known, or could not within the time.
    ``order``
        The newest that the exchange said of the order, as it said it, if it did.
    ``error``
        The error with which the request was refused, if it was, or which kept it from being sent.
    ``evidence``
        What this rests on, such as ``"order.status"`` or ``"event ORDER_TRADE_UPDATE"``; if nothing is known, why.
    ``asked``, ``elapsed``
        How many queries were sent for it, and how long it took (s).

    It has no truth value, because ``None`` is no ``False``: look at ``took_effect``.
    """

    took_effect: bool | None
    order: Mapping[str, Any] | None = field(default=None, repr=False)
    error: BinanceSessionError | None = None
    evidence: str = ""
    asked: int = 0
    elapsed: float = 0.0

    def __bool__(self) -> NoReturn:
        raise TypeError("a Fate is neither true nor false, for it may be unknown: look at fate.took_effect")

    def __repr__(self) -> str:
        status = None if self.order is None else self.order.get("status", self.order.get("X"))
        known = f", and its order is {shown(status, 30)}" if isinstance(status, str) else ""
        asked = _TIMES.get(self.asked, f"asked {self.asked} times")
        return f"<Fate: {_VERDICTS[self.took_effect]}{known} ({shown(self.evidence)}; {asked}, {self.elapsed:.3f} s)>"

    def after(self, asked: int, elapsed: float) -> Fate:
        """Return the same, known after so many queries and seconds."""
        return evolve(self, asked=asked, elapsed=elapsed)


def yes(evidence: str, order: object = None) -> Fate:
    """Return that the request took effect."""
    return Fate(True, _order(order), None, evidence)


def no(evidence: str, order: object = None, error: BinanceSessionError | None = None) -> Fate:
    """Return that it did not."""
    return Fate(False, _order(order), error, evidence)


def unsure(evidence: str, order: object = None) -> Fate:
    """Return that it cannot be known."""
    return Fate(None, _order(order), None, evidence)


def _order(told: object) -> Mapping[str, Any] | None:
    """Return what the exchange said of an order; ``sor.order.place`` answers a list of one."""
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    return told if isinstance(told, dict) else None
