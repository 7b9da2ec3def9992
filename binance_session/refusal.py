"""The error that an answer becomes which is not a good one.

Here, and nowhere else, the exchange's words are masked and cut, and the error learns what it means for this method.
Documents: PROTOCOL.md §2 (status, ``error``), §9 (codes).
"""

from __future__ import annotations

from typing import Any

from binance_session.clock import ServerClock
from binance_session.errors import ApiError, BinanceSessionError, ProtocolError, api_error
from binance_session.masking import Secrets
from binance_session.responses import MISSING, Envelope, Response
from binance_session.venues import Method

__all__ = ["Refusals"]


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
        return api_error(
            status,
            code if abs(code) < 10**12 else 0,
            self.clean(error.get("msg")),
            error.get("data"),
            Response(request_id, method.name, status, error, envelope.limits),
            request_id=request_id,
            method=method.name,
            advice=method.if_unknown,
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
