"""Every error that the package raises, and what each one means for the order.

::

    BinanceSessionError
    ├── ConfigurationError          bad input, refused before anything was sent
    │   └── InsecureTransportError  credentials would have gone over plain ws://
    ├── ConnectError                no connection could be opened
    ├── LogonRejected               the exchange refused session.logon
    ├── SessionRevoked              the key became invalid while logged on
    ├── SessionClosed               the session is over
    ├── EventsOverflow              a user data stream's reader was too slow
    ├── NotSent                     the request never left: safe to repeat
    ├── ConnectionLost              it left, and the connection ended before the answer
    ├── RequestTimeout              it left, and no answer came in time
    ├── ProtocolError               an answer came that cannot be understood
    └── ApiError                    the exchange answered with an error
        ├── RateLimited             too many requests; says how long to wait
        │   └── IpBanned            the address is banned until then
        ├── InvalidTimestamp        the clock is too far off, or the way to the exchange too slow
        ├── ListenKeyNotFound       the listenKey has lapsed
        └── ServerError             the exchange failed inside; the outcome is unknown

An error about a request carries ``request_id``, ``method``, ``params`` and ``outcome``:

``"rejected"``
    The exchange looked at the request and did not execute it.
``"not_sent"``
    Not one byte left this process: repeating the request cannot execute it twice.
``"unknown"``
    It left. If it changes anything, it may have been executed: ask for its result before repeating it. The message
    says how, which depends on the method: ``order.status`` does not know every order. A query may be repeated.

No message and no ``repr`` of these errors contains a secret, a control character, or more than some hundred characters
of the exchange's text: that is masked and cut (:mod:`binance_session.masking`) when it arrives. ``data`` and
``response`` of an :class:`ApiError` are as the exchange sent them.
"""

from __future__ import annotations

import math
import re
import socket
import ssl as ssl_module
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from binance_session.masking import shown
from binance_session.times import unix_seconds

if TYPE_CHECKING:
    from binance_session.responses import Response

__all__ = [
    "ApiError",
    "BinanceSessionError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLost",
    "EventsOverflow",
    "InsecureTransportError",
    "InvalidTimestamp",
    "IpBanned",
    "ListenKeyNotFound",
    "LogonRejected",
    "NotSent",
    "Outcome",
    "ProtocolError",
    "RateLimited",
    "RequestTimeout",
    "ServerError",
    "SessionClosed",
    "SessionRevoked",
    "api_error",
]

Outcome = Literal["rejected", "not_sent", "unknown"]


class BinanceSessionError(Exception):
    """Base of every error of this package.

    ``request_id``, ``method`` and ``outcome`` are ``None`` unless the error is about one
    request. ``request_id`` stays ``None`` for a request that ended before it got an id. ``params`` are those of the
    request as it was sent, or was to be sent, without ``apiKey`` and ``signature``.
    """

    default_outcome: ClassVar[Outcome | None] = None
    #: whether it always concerns a request, even when it names none
    is_about_request: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        request_id: int | None = None,
        method: str | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.method = method
        if outcome is None and (method is not None or self.is_about_request):
            outcome = self.default_outcome
        self.outcome: Outcome | None = outcome
        self.params: dict[str, Any] | None = None
        #: whether the request was signed with another key than its session's
        self.is_of_other_key = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle calls the class with the message alone, which some of these classes do not accept.
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[BinanceSessionError], args: tuple[Any, ...]) -> BinanceSessionError:
    error = kind.__new__(kind)
    error.args = args
    return error


class ConfigurationError(BinanceSessionError, ValueError):
    """The input is wrong: nothing was sent, and repeating it unchanged fails again."""

    is_about_request = True
    default_outcome = "not_sent"


class InsecureTransportError(ConfigurationError):
    """Credentials would have gone over unencrypted ``ws://`` to another machine: nothing was sent."""


class ConnectError(BinanceSessionError, ConnectionError):
    """No connection could be opened; the cause is chained. No request was sent.

    ``status`` is the HTTP status when the server answered the handshake with one.
    ``retryable`` tells whether ``open(patience=...)`` tries again: not after a bad certificate or an HTTP 4xx
    other than 429 and 418, which hardly pass by themselves. A session that was READY once tries again after every
    error.
    ``retry_after`` is how many seconds the server asked to wait, if it did: at most 300, except for a ban (418).
    """

    default_outcome = "not_sent"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after


class LogonRejected(BinanceSessionError):
    """The exchange refused ``session.logon``. The reconnect policy decides whether the session tries again.

    ``error`` is the :class:`ApiError` that the exchange answered, also chained as the cause; ``code`` and ``status``
    are copied from it. ``refusals`` is how many logons were refused in a row, this one included.
    """

    default_outcome = "rejected"

    def __init__(self, error: ApiError) -> None:
        super().__init__(
            f"the exchange refused session.logon: {error.message or '(no text)'} (code {error.code},"
            f" status {error.status}). {_LOGON_CAUSES.get(error.code, _ANY_LOGON_CAUSE)}",
            request_id=error.request_id,
            method=error.method,
        )
        self.error = error
        self.code = error.code
        self.status = error.status
        self.refusals = 1


_ANY_LOGON_CAUSE: Final = (
    "Check that the key is an Ed25519 key, that its public key is registered under this apiKey, that the IP address of"
    " this machine is allowed, and that its clock is right."
)
#: the likeliest cause by the exchange's code (PROTOCOL.md §9)
_LOGON_CAUSES: Final[Mapping[int, str]] = {
    -1022: "Most likely the public key registered under this apiKey does not belong to the private key.",
    -2014: "Most likely what was given as the apiKey is something else: check what was pasted.",
    -2015: "Check that the apiKey belongs to this venue (a testnet has its own) and was not deleted, that the IP"
    " address of this machine is allowed, and that the public key registered under it belongs to the private key.",
}


class SessionRevoked(BinanceSessionError):
    """The key became invalid while the session was logged on (deleted; addresses or permissions changed).

    Raised, with outcome ``"unknown"``, for each request that was in flight under the session's logon: the exchange
    names no request in this message, and no document says whether it answers the others (PROTOCOL.md §2, §11.3). So
    any of them may have been executed.
    """

    default_outcome = "unknown"


class SessionClosed(BinanceSessionError):
    """The session has ended, and this request with it.

    ``outcome`` is ``"not_sent"`` for a request that had not left and ``"unknown"`` for one that had.
    When the session ended by itself, the reason is chained as the cause.
    """

    default_outcome = "not_sent"


class EventsOverflow(BinanceSessionError):
    """The reader of a user data stream was too slow: its buffer was full, and the events that came then were dropped.

    Not about a request. Raised after all buffered events have been read.
    """


class NotSent(BinanceSessionError):
    """The request never left this process: repeating it cannot execute it twice."""

    is_about_request = True
    default_outcome = "not_sent"


class ConnectionLost(BinanceSessionError, ConnectionError):
    """The request was written and the connection ended before its answer: the outcome is unknown.

    Written means handed to the operating system. Whether it left the system's buffers cannot be known afterwards, so
    the outcome is unknown even if it never left the machine.
    """

    default_outcome = "unknown"


class RequestTimeout(BinanceSessionError, TimeoutError):
    """The request was written and no answer came in time: the outcome is unknown."""

    default_outcome = "unknown"


class ProtocolError(BinanceSessionError):
    """The exchange's answer to this request cannot be understood: the outcome is unknown."""

    default_outcome = "unknown"


class ApiError(BinanceSessionError):
    """The exchange answered with an error.

    Attributes: ``status`` (as in HTTP), ``code`` (Binance's, negative), ``message`` (its text, with secrets masked, on
    one line and cut to some hundred characters), ``data`` (its ``error.data``, or ``None``) and ``response`` (the
    whole answer). ``outcome`` is ``"rejected"`` unless the exchange itself does not know. ``advice`` says what that
    means for a request of this method. ``now`` is the exchange's time in Unix seconds, as well as it is known.
    """

    default_outcome: ClassVar[Outcome | None] = "rejected"
    is_about_request = True

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        data: Any = None,
        response: Response | None = None,
        *,
        request_id: int | None = None,
        method: str | None = None,
        outcome: Outcome | None = None,
        advice: str | None = None,
        now: float | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, method=method, outcome=outcome)
        self.advice = advice or _ADVICE[self.outcome or "rejected"]
        self.status = status
        self.code = code
        self.message = message
        self.data = data
        self.response = response
        self._now = now if now is not None else time.time()

    @property
    def is_passing(self) -> bool:
        """Whether its cause is trouble at the exchange, and not the request or the key (PROTOCOL.md §9)."""
        return (self.status in (403, 408) and not self.code) or self.status >= 500 or self.code in _EXCHANGE_TROUBLE

    def __str__(self) -> str:
        """Return what the exchange said, and what that means for the request."""
        what = f"{self.method}: " if self.method else ""
        message = self.message or "an error without text"
        if self.outcome == "not_sent":  # the text is the session's own: the exchange was not asked
            return f"{what}{message}; {self.advice}"
        return f"{what}{message} (code {self.code}, status {self.status}); {self.advice}"


_ADVICE: Final[Mapping[Outcome, str]] = {
    "rejected": "this request was not executed",
    "unknown": "if it changes anything it may have been executed: ask for its result before repeating it",
    "not_sent": "it was not sent",
}


class RateLimited(ApiError):
    """Too many requests or orders (status 429, codes -1003 and -1015); nothing was executed.

    ``retry_at`` is when the exchange accepts requests again, in Unix seconds of its clock, ``retry_in`` the same in
    seconds from when this error was made; both ``None`` if it did not say.
    """

    def __str__(self) -> str:
        """Return what the exchange said, what that means for the request, and how long to wait."""
        wait, at = self.retry_in, self.retry_at
        if not wait or at is None:
            return super().__str__()
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.ceil(at)))
        return f"{super().__str__()}; wait {math.ceil(wait)} s (until {until})"

    @property
    def retry_at(self) -> float | None:
        """When requests are accepted again, in Unix seconds (PROTOCOL.md §8: ``retryAfter``, or the text of -1003)."""
        at = unix_seconds(self.data.get("retryAfter")) if isinstance(self.data, Mapping) else None
        if at is None and (found := _BANNED_UNTIL.search(self.message)):
            at = unix_seconds(int(found[1]))
        return at

    @property
    def retry_in(self) -> float | None:
        """Seconds from when this error was made until ``retry_at``, 0.0 if that has passed; ``None`` if unknown.

        By the exchange's clock: as this answer gives it, else as the session knows it, else by the local clock.
        """
        at = self.retry_at
        now = self.server_time
        return None if at is None else max(0.0, at - (self._now if now is None else now))

    @property
    def server_time(self) -> float | None:
        """The exchange's time of this answer in Unix seconds, ``None`` if the answer does not contain it."""
        return unix_seconds(self.data.get("serverTime")) if isinstance(self.data, Mapping) else None


class IpBanned(RateLimited):
    """This IP address is banned until ``retry_at`` (status 418); anything sent before then prolongs the ban."""


class InvalidTimestamp(ApiError):
    """The timestamp was outside ``recvWindow`` or ahead of the exchange (-1021, -4188); nothing was executed."""


class ListenKeyNotFound(ApiError):
    """The listenKey does not exist any more (-1125); start a new one."""


class ServerError(ApiError):
    """The exchange failed inside (status 5xx, -1006, -1007): the request may have been executed."""

    default_outcome = "unknown"


# PROTOCOL.md §2 and §9: the texts of a 503 that mean "100 % failure" on futures.
_FAILED_503: Final = (
    "service unavailable",
    "internal error; unable to process your request",
)
# -1000 and -1001 report an internal failure; no status with them says that the request was not executed.
_OUTCOME_UNKNOWN_CODES: Final = frozenset({-1000, -1001, -1006, -1007})
# throttled, maintenance (in three spellings), too many connections
_EXCHANGE_TROUBLE: Final = _OUTCOME_UNKNOWN_CODES | {-1008, -1016, -1109, 239999, -1034}
#: in ms or µs, as ``retryAfter``
_BANNED_UNTIL: Final = re.compile(r"banned until (\d{13}|\d{16})(?!\d)")


def api_error(
    status: int,
    code: int,
    message: str,
    data: Any = None,
    response: Response | None = None,
    *,
    request_id: int | None = None,
    method: str | None = None,
    advice: str | None = None,
    hint: str | None = None,
    now: float | None = None,
    futures: bool = True,
) -> ApiError:
    """Return the error of the tree above that fits an error answer (PROTOCOL.md §2, §9).

    ``message`` and ``data`` go into it as they are. ``advice`` says what an unknown outcome means for a request of this
    method, ``hint`` what is most likely wrong with a request that was rejected, ``now`` is the exchange's time (Unix
    s) as well as it is known. ``futures``: the text of a 503 tells whether the request failed; on Spot the outcome of
    every 5xx is unknown.
    """
    outcome: Outcome | None = None
    if status == 418:
        kind: type[ApiError] = IpBanned
    elif status == 429 or code in (-1003, -1015):
        kind = RateLimited
    elif code in (-1021, -4188):
        kind = InvalidTimestamp
    elif code == -1125:
        kind = ListenKeyNotFound
    elif (futures or status < 500) and (code == -1008 or (status == 503 and message.lower().startswith(_FAILED_503))):
        kind = ApiError
    elif status >= 500 or status == 408 or code in _OUTCOME_UNKNOWN_CODES:
        kind = ServerError
    else:
        kind = ApiError
        if status == 409:  # a part of it succeeded; `data` says which
            outcome = "unknown"
    if kind is InvalidTimestamp:
        hint = "it can be repeated: the session is asking for the exchange's time"
    if (outcome or kind.default_outcome) != "unknown":
        advice = f"{_ADVICE['rejected']}; {hint}" if hint is not None else None
    return kind(
        status,
        code,
        message,
        data,
        response,
        request_id=request_id,
        method=method,
        outcome=outcome,
        advice=advice,
        now=now,
    )


#: OpenSSL's names for an answer that is not TLS
_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE"}
)


def why(error: BaseException, *, tls: bool = False) -> str:
    """Return why a connection failed or was lost: the error's own text, and the likeliest cause. Never empty.

    ``tls``: the connection was to use TLS, so that a peer that closes it at once most likely does not. The text may
    contain a secret if the error's own text does: pass it to :meth:`Secrets.clean`.
    """
    text = shown(str(error)).strip().rstrip(":").rstrip()
    name = type(error).__name__
    if isinstance(error, ssl_module.SSLCertVerificationError):
        said = shown(getattr(error, "verify_message", ""))  # missing from one that was not raised by the ssl module
        return f"the certificate is not accepted: {said or text or name}"
    if isinstance(error, ssl_module.SSLError) and getattr(error, "reason", None) in _NO_TLS:
        return (
            f"this port does not speak TLS: is it the right port, or should the URL begin with ws://? ({error.reason})"
        )
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved: is it spelled right, and is the network up? ({text or name})"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing accepts connections at that address and port ({text or name})"
    if tls and isinstance(error, (ssl_module.SSLError, ConnectionResetError, EOFError)):
        return f"the server closed the connection during the TLS handshake: does the port speak TLS? ({text or name})"
    if isinstance(error, EOFError):
        return f"the other side closed the connection ({text or name})"
    if isinstance(error, TimeoutError):
        return f"no answer in time ({text or name})"
    if not text:
        cause = error.__cause__ or error.__context__
        return name if cause is None else f"{name}, because of {why(cause, tls=tls)}"
    return text
