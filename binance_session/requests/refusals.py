"""The error that an answer becomes which is not a good one.

Here, and nowhere else, the exchange's words are masked and cut, and the error learns what it means for this method.
Documents: PROTOCOL.md §2 (status, ``error``), §9 (codes).
"""

from __future__ import annotations

import re
from typing import Any, Final

from binance_session.clock import ServerClock
from binance_session.errors import ApiError, BinanceSessionError, ProtocolError, api_error
from binance_session.masking import Secrets
from binance_session.requests.decoding import MISSING, Envelope
from binance_session.responses import Response
from binance_session.venues import Method

__all__ = ["Refusals"]


#: parameters that the documents call DECIMAL: the exchange takes their text, as in "0.1"
_DECIMAL: Final = frozenset(
    {
        "aboveStopPrice", "activatePrice", "activationPrice", "belowStopPrice", "callbackRate", "icebergQty",
        "pendingPrice", "pendingQuantity", "pendingStopPrice", "price", "quantity", "quoteOrderQty", "stopLimitPrice",
        "stopPrice", "triggerPrice", "workingPrice", "workingQuantity",
    }
)  # fmt: skip
#: the exchange's code for a number where a text belongs; a text that is no number gets another code
_MALFORMED: Final = (-1102, -1130)
_NAMED: Final = re.compile(r"[Pp]arameter '(\w{1,40})'")


def _hint(code: int, message: str) -> str | None:
    """Return what is most likely wrong with a parameter that the exchange names, where that can be known."""
    found = _NAMED.search(message) if code in _MALFORMED else None
    if found is None or found[1] not in _DECIMAL:
        return None
    return f'if {found[1]} was sent as a number: it is a DECIMAL, which is written as text or Decimal, "1" and not 1'


class Refusals:
    """Makes the errors of one session's answers."""

    __slots__ = ("_clock", "_explains_503", "_secrets")

    def __init__(self, secrets: Secrets, clock: ServerClock, *, explains_503: bool) -> None:
        """Mask ``secrets``; ``explains_503``: the text of a 503 tells whether the request failed (futures)."""
        self._secrets = secrets
        self._clock = clock
        self._explains_503 = explains_503

    def clean(self, text: object) -> str:
        """Return a text of the exchange as it may be shown; nothing for what is no text."""
        return self._secrets.clean(text) if isinstance(text, str) else ""

    def error(self, request_id: int, method: Method, envelope: Envelope) -> BinanceSessionError:
        """Return the error for the answer to a request."""
        error: Any = envelope.error
        status = envelope.status
        code = error.get("code") if type(error) is dict else None
        if type(code) is not int or not 400 <= status <= 599 or envelope.result is not MISSING:
            return ProtocolError(
                f"{method.name} (request {request_id}) was answered with neither a result nor an error that can be"
                f" understood (status {status if -1000 < status < 1000 else 'out of range'}); {method.if_unknown}",
                request_id=request_id,
                method=method.name,
            )
        message = self.clean(error.get("msg"))
        return api_error(
            status,
            code if abs(code) < 10**12 else 0,
            message,
            error.get("data"),
            Response(request_id, method.name, status, error, envelope.limits),
            request_id=request_id,
            method=method.name,
            advice=method.if_unknown,
            hint=_hint(code, message),
            now=self._clock.now(),
            futures=self._explains_503,
        )

    def unasked(self, envelope: Envelope) -> ApiError | None:
        """Return the error that a message without an id tells, ``None`` if it tells none."""
        error: Any = envelope.error
        if type(error) is not dict or not 400 <= envelope.status <= 599:
            return None
        return api_error(
            envelope.status,
            0,
            self.clean(error.get("msg")),
            error.get("data"),
            now=self._clock.now(),
            futures=self._explains_503,
        )
