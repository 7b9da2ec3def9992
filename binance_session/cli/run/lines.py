"""An event as a line of JSON."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

from binance_session.masking import Secrets, masked
from binance_session.responses import Event

__all__ = ["Ids", "Lines", "line_of", "text_of"]

Ids = Literal["text", "number"]

#: A reader whose numbers are all IEEE 754 doubles (JavaScript, jq) rounds some of the integers above it.
_EXACT: Final = 2**53
#: the last listenKeys whose value is masked: an event may name one that is over
_KEYS: Final = 16
#: characters of a secret that are looked for; a longer one opens nothing without them
_LONGEST: Final = 1000
_NAME: Final = '"listenKey":'
#: The texts and numbers of JSON as it is written here, without white space; within a text a quote is escaped.
_TOKEN: Final = re.compile(rf'({_NAME})?("[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9.eE+-]*+)')
_LONG: Final = re.compile("[0-9]{16}")
_SECRET: Final = re.compile(r"[!#-\[\]-~]{16,}")
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
        # A shorter one is an apiKey of a simulator, which may be a part of the bot's own order ids; one with other
        # characters is no key that a session takes.
        if _SECRET.fullmatch(secret) is None:
            return
        self._hidden.append(secret[:_LONGEST])
        # Another thread may be writing a line with the one before: that is not changed.
        secrets = Secrets(*self._hidden)
        secrets.mask("")
        self.secrets = secrets

    def answer(self, message: Mapping[str, Any]) -> bytes:
        """Return the line of something that is no event."""
        return text_of(message, self.secrets, self._ids)

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
    return text_of({"type": event.type, "time": event.time, "gap": event.is_gap, "data": event.data}, secrets, ids)


def text_of(message: Mapping[str, Any], secrets: Secrets | None, ids: Ids) -> bytes:
    """Return a message as a line of JSON; see :func:`line_of`."""
    secrets = secrets or Secrets()
    # The text is changed and not the event: an event of 30 MB that was copied piece by piece would keep the
    # interpreter, and with it the session, busy for many seconds.
    text = _encode(message)
    as_text = ids == "text" and _LONG.search(text) is not None
    hidden = secrets if secrets.mask(text) != text else None
    if as_text or hidden is not None or _NAME in text:
        text = _TOKEN.sub(lambda found: _fitting(found, hidden, as_text), text)
    return text.encode() + b"\n"


def _fitting(found: re.Match[str], hidden: Secrets | None, as_text: bool) -> str:
    """Return what is written for a text or a number, and the name before it if that is ``listenKey``."""
    name, token = found.groups()
    if name is not None:  # with a listenKey, also another session's, anybody can read the account's events
        return str(name) + _encode(masked(json.loads(token) if token[0] == '"' else token))
    if token[0] == '"':
        if hidden is None or hidden.mask(token) == token:
            return str(token)
        return _encode(hidden.mask(json.loads(token)))
    if as_text and token.lstrip("-").isdigit() and not -_EXACT <= int(token) <= _EXACT:
        return f'"{token}"'
    return found[0]
