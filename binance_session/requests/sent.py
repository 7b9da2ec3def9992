"""What a request carried, for the error about it: its parameters, without those that prove who sent it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

from binance_session.errors import BinanceSessionError
from binance_session.params import Params
from binance_session.venues import Method

__all__ = ["Outcomes", "carrying", "params_of"]

E = TypeVar("E", bound=BaseException)

#: parameters that are or hold a secret
_PROOF: Final = frozenset({"apiKey", "signature"})


class Outcomes(Protocol):
    """What follows requests beyond the end of their futures."""

    def failed(self, error: BinanceSessionError, method: Method, data: bytes) -> None:
        """Called with each error before a future ends with it; ``data`` is the request as it was written."""

    def awaited(self, request_id: int) -> Method | None:
        """Return the method of a request whose late answer is wanted; ``None`` if it is not."""
        ...

    def answered_late(self, request_id: int, answer: object) -> None:
        """Called with the late answer to such a request: its ``result``, or the error."""


def params_of(data: bytes) -> dict[str, Any]:
    """Return the parameters of a request as it was written, all of them: secrets too."""
    params = json.loads(data).get("params", {}) if data else {}
    return params if isinstance(params, dict) else {}


def carrying(error: E, params: Params | None) -> E:
    """Return the error with the parameters of its request, unless it has them."""
    if isinstance(error, BinanceSessionError) and error.params is None:
        given = params if isinstance(params, Mapping) else {}
        error.params = {name: value for name, value in given.items() if name not in _PROOF}
    return error
