"""What a settlement wants done next, and what a question concludes from an answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, Protocol

from attrs import field, frozen

from binance_session.errors import ApiError
from binance_session.responses import Event
from binance_session.settlement.fate import Fate

__all__ = ["ARCHIVED", "UNKNOWN_ORDER", "Ask", "More", "Question", "Wait", "number", "same"]

#: "Order does not exist."
UNKNOWN_ORDER: Final = -2013
#: Spot: "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
ARCHIVED: Final = -2026


@frozen
class Ask:
    """Send this query now."""

    method: str
    params: Mapping[str, Any] = field(repr=False)


@frozen
class Wait:
    """Do nothing for so many seconds, or until something is heard."""

    seconds: float


class More(Enum):
    """What is not decided yet."""

    #: ask later
    LATER = "ask later"
    #: ask at once: there is something new to be known
    NOW = "ask now"


class Question(Protocol):
    """What to ask about one request, and what an answer means. Times are in ms of the exchange's clock."""

    @property
    def pending(self) -> str:
        """Why nothing is known yet, for who asked until the time was over."""
        ...

    @property
    def decided(self) -> Fate | None:
        """What is known already, while something is still worth asking for."""
        ...

    def ask(self) -> Ask | None:
        """Return the next query; ``None`` if no method of this API can tell."""
        ...

    def answered(self, ask: Ask, result: Any, asked: float) -> Fate | More:
        """Take the ``result`` of a query that was sent at ``asked``."""
        ...

    def refused(self, ask: Ask, error: ApiError, asked: float) -> Fate | More:
        """Take the error that the order is not known, with which a query was answered."""
        ...

    def heard(self, event: Event) -> Fate | More:
        """Take an event of the account."""
        ...


def number(value: object) -> Decimal | None:
    """Return a DECIMAL as a number; ``None`` for what is none."""
    try:
        return Decimal(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    except InvalidOperation:
        return None


def same(value: object, other: object) -> bool:
    """Tell whether two DECIMALs are the same number."""
    one = number(value)
    return one is not None and one == number(other)
