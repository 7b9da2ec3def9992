"""An event as a line of JSON."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final, Literal

from binance_session.masking import Secrets, masked
from binance_session.responses import Event

__all__ = ["Ids", "Lines", "line_of"]

Ids = Literal["text", "number"]

#: A reader whose numbers are all IEEE 754 doubles (JavaScript, jq) rounds some of the integers above it.
_EXACT: Final = 2**53
#: the last listenKeys whose value is masked: an event may name one that is over
_KEYS: Final = 16
_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Lines:
    """Makes lines of events, and remembers what must not be shown in them.

    ``ids`` is how integers beyond 2**53 are written: ``"text"``, so that every reader gets each digit, or ``"number"``.
    """

    def __init__(self, ids: Ids = "text") -> None:
        self._ids: Ids = ids
        self._hidden: deque[str] = deque(maxlen=_KEYS)
        #: what is masked by its value
        self.secrets = Secrets()
        # up to when (ms) everything was written
        self._complete_until = 0

    def hide(self, secret: str) -> None:
        """Mask this value from now on, wherever in an event it stands."""
        if len(secret) < 16:  # an apiKey of a simulator, which may be a part of the bot's own order ids
            return
        self._hidden.append(secret)
        # Another thread may be writing a line with the one before: that is not changed.
        secrets = Secrets(*self._hidden)
        secrets.mask("")
        self.secrets = secrets

    def line(self, event: Event) -> bytes:
        """Return the event's line; where it has none, one of the type ``malformed`` that says so. Raises nothing."""
        since = self._complete_until
        self._complete_until = max(since, event.time)
        try:
            return line_of(event, self.secrets, ids=self._ids)
        except RecursionError:
            why = "nested too deeply to be written"
        except Exception as error:  # whatever it is, it must neither end the program nor lose the event unsaid
            why = f"no JSON can be made of it ({type(error).__name__}: {self.secrets.clean(str(error))})"
        kind = self.secrets.clean(event.type, 100)
        data = {"cause": f"an event {kind}: {why}", "since": since, "until": self._complete_until}
        return line_of(Event("malformed", event.time, data, is_gap=True))


def line_of(event: Event, secrets: Secrets | None = None, *, ids: Ids = "text") -> bytes:
    """Return ``{"type", "time", "gap", "data"}`` in this order, as one line of ASCII, with each listenKey masked.

    ``secrets`` are masked by their value in every text and name. Raises :class:`ValueError` for a number that JSON
    does not have, and :class:`RecursionError` for an event that is nested too deeply.
    """
    fit = _Fitting(secrets or Secrets(), ids).fit
    message = {"type": fit(event.type), "time": event.time, "gap": event.is_gap, "data": fit(event.data)}
    return _encode(message).encode() + b"\n"


class _Fitting:
    """Replaces what must not be written as it came."""

    def __init__(self, secrets: Secrets, ids: Ids) -> None:
        self._mask = secrets.mask
        self._as_text = ids == "text"

    def fit(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self._mask(value)
        if kind is int:
            return str(value) if self._as_text and not -_EXACT <= value <= _EXACT else value
        if kind is list:
            return [self.fit(item) for item in value]
        if kind is dict:
            # whoever has a listenKey can read the account's events, also one that is not this session's
            return {
                self._mask(name): masked(str(item)) if name == "listenKey" else self.fit(item)
                for name, item in value.items()
            }
        return value
