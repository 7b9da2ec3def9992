"""Times in µs, for the connections of Spot that ask for them with ``timeUnit=MICROSECOND`` (PROTOCOL.md §1.3).

The exchange keeps its times in ms, so the digits behind those are zeros.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from attrs import evolve

from binance_session.simulator.wire import Action, SendFragments, SendMerged, SendSplit, SendText

__all__ = ["in_microseconds"]

_NAMES: Final = """
    E O T W D u timestamp trailingTime serverTime authorizedSince connectedSince time updateTime workingTime
    transactTime transactionTime openTime closeTime retryAfter
"""
#: a time under one of these names, or one in a candlestick, which has no names
_TIME: Final = re.compile(rf'(?:(?<=[\[,])|"(?:{"|".join(_NAMES.split())})":)[0-9]{{13}}(?=[,\]}}])')


def in_microseconds(perform: Callable[[Action], None]) -> Callable[[Action], None]:
    """Return a function that performs actions on a socket with the times of all messages in µs."""

    def performed(action: Action) -> None:
        if isinstance(action, (SendText, SendFragments, SendSplit)):
            action = evolve(action, text=_converted(action.text))
        elif isinstance(action, SendMerged):
            action = evolve(action, texts=tuple(map(_converted, action.texts)))
        perform(action)

    return performed


def _converted(text: str) -> str:
    return _TIME.sub(lambda found: f"{found[0]}000", text)
