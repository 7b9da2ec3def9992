"""The exchange's ways to say no: status, code and text, as documented (PROTOCOL.md §9 and the error tables)."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = [
    "Refusal",
    "bad_signature",
    "invalid",
    "key_refused",
    "malformed",
    "mandatory",
    "not_required",
    "unknown_operation",
]

_VERSIONED: Final = re.compile(r"v[0-9]+/", re.ASCII)


class Refusal(Exception):
    """A request is answered with this error instead of a result.

    ``status`` is as in HTTP, ``code`` and ``message`` are Binance's, ``data`` is ``error.data`` or ``None``.
    ``took_effect`` tells that a part of the request was executed all the same.
    """

    def __init__(
        self, status: int, code: int, message: str, data: dict[str, Any] | None = None, *, took_effect: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.data = data
        self.took_effect = took_effect

    def error(self) -> dict[str, Any]:
        """Return the ``error`` object of the answer."""
        error: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def mandatory(name: str) -> Refusal:
    """Return the -1102 for a parameter that must be there and is not, or is not readable."""
    return Refusal(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def malformed(name: str, legal: str) -> Refusal:
    """Return the -1100 for a value outside the pattern ``legal``."""
    return Refusal(400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def invalid(name: str) -> Refusal:
    """Return the -1130 for an optional parameter whose value is of the wrong type or not among the choices."""
    return Refusal(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def not_required(name: str) -> Refusal:
    """Return the -1106 for a known parameter where it does not belong."""
    return Refusal(400, -1106, f"Parameter '{name}' sent when not required.")


def bad_signature() -> Refusal:
    """Return the -1022 for a signature that does not fit the request and the key."""
    return Refusal(400, -1022, "Signature for this request is not valid.")


def key_refused() -> Refusal:
    """Return the -2015 for a key that is unknown, revoked, used from elsewhere, or not allowed to do this."""
    return Refusal(401, -2015, "Invalid API-key, IP, or permissions for action.")


def unknown_operation(method: str, *, futures: bool) -> Refusal:
    """Return what a method that does not exist is answered: -1020 on Spot, on futures -5000 with its version."""
    if futures:
        name = method if _VERSIONED.match(method) else f"v1/{method}"
        return Refusal(400, -5000, f"Method {name} is invalid")
    return Refusal(400, -1020, "This operation is not supported.")
