"""A method and its params to the bytes of one request: what it carries, and what is signed.

Documents: PROTOCOL.md §2 (envelope), §3 (security types, payload), §4 (what a logon makes unnecessary).
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from attrs import define

from binance_session.clock import ServerClock
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, ConfigurationError
from binance_session.masking import shown
from binance_session.params import Params, clean, clean_value, text
from binance_session.venues import Auth, Method

try:
    import msgspec
except ImportError:  # the extra [speed] is not installed
    msgspec = None  # type: ignore[assignment, unused-ignore]

__all__ = ["RequestEncoder", "Unsigned"]

#: these belong to the session: it knows the key, the time, and whether they are needed
_RESERVED: Final = {
    "apiKey": "the session writes it where it is needed; to use another key for one request pass credentials=",
    "signature": "the session signs what needs it; to use another key for one request pass credentials=",
    "timestamp": "the session stamps a request when it leaves, with the exchange's time; recvWindow= may be passed",
}
#: Bytes of one request. No request of the documents comes near; the exchange would end the connection over one that is
#: too large (1009), and the outcome of everything in flight on it would be unknown.
_LARGEST: Final = 256 * 1024
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**63 - 1
# bound once: on Python 3.11 each look at an Enum's member takes 0.1 µs of a request
_NOTHING, _SIGNED, _ALWAYS_SIGNED, _SESSION = Auth.NOTHING, Auth.SIGNED, Auth.ALWAYS_SIGNED, Auth.SESSION

_to_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@define
class _PlainMessage:
    id: int
    method: str
    params: dict[str, Any]


def _dumps_plainly(message: _PlainMessage) -> bytes:
    fields: dict[str, Any] = {"id": message.id, "method": message.method}
    if message.params:
        fields["params"] = message.params
    return _to_json(fields).encode()


def _fast_message() -> Any:
    """Return a class that msgspec makes and writes in 0.1 µs less than a dict, without ``params`` if there are none."""
    fields: list[Any] = [("id", int), ("method", str), ("params", dict, msgspec.field(default_factory=dict))]
    return msgspec.defstruct("Message", fields, omit_defaults=True, gc=False)


_Message: Callable[[int, str, dict[str, Any]], Any] = _PlainMessage if msgspec is None else _fast_message()
_dumps: Callable[[Any], bytes] = _dumps_plainly if msgspec is None else msgspec.json.Encoder().encode


class Unsigned(Exception):
    """Raised by :meth:`RequestEncoder.encode` for a request whose signature must be awaited."""

    def __init__(self, params: dict[str, Any], credentials: Credentials, signature: Awaitable[object]) -> None:
        super().__init__("this request waits for its signature")
        #: those of the request, whole but for the signature
        self.params = params
        self._credentials = credentials
        self._signature = signature

    def give_up(self) -> None:
        """Await no signature."""
        if inspect.iscoroutine(self._signature):
            self._signature.close()
        elif isinstance(self._signature, asyncio.Future):
            self._signature.cancel()

    async def signature(self) -> str:
        """Return the signature when the signer has made it; raise :class:`ConfigurationError` if it fails."""
        try:
            signature = await self._signature
        except TimeoutError:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _failed(self._credentials, error) from error
        except Exception as error:
            raise _failed(self._credentials, error) from error
        if not isinstance(signature, str):
            raise _no_text(self._credentials, signature)
        return signature


class RequestEncoder:
    """Writes the requests of one session."""

    __slots__ = ("_clock", "_credentials", "_recv_window")

    def __init__(self, credentials: Credentials | None, recv_window: int | None, clock: ServerClock) -> None:
        self._credentials = credentials
        self._recv_window = recv_window
        self._clock = clock

    def encode(
        self,
        request_id: int,
        method: Method,
        params: Params | None,
        authenticated: bool,
        credentials: Credentials | None = None,
    ) -> bytes:
        """Return the request as JSON bytes.

        ``authenticated`` tells whether the connection it will leave on is logged on; ``credentials`` signs this one
        with another key. Raises :class:`ConfigurationError` for a parameter that cannot be written exactly or
        belongs to the session, when the request is larger than 256 KiB, and when the method needs what the credentials
        cannot give.
        """
        ready: dict[str, Any] = {} if params is None else _checked(params)
        try:
            auth = method.auth
            signer = None
            if (not authenticated or credentials is not None or auth is _ALWAYS_SIGNED) and auth is not _NOTHING:
                signer = self._identify(method, ready, credentials)
            if auth is _SIGNED or auth is _ALWAYS_SIGNED:
                ready["timestamp"] = int(self._clock.now() * 1000)  # now_ms(), which is a call more: 0.1 µs
                if self._recv_window is not None and "recvWindow" not in ready:
                    ready["recvWindow"] = self._recv_window
                if signer is not None:
                    _sign(ready, signer)
            data = _dumps(_Message(request_id, method.name, ready))
            if len(data) > _LARGEST:
                raise _too_large(len(data), ready)
            return data
        except UnicodeEncodeError:
            raise _not_unicode(ready) from None

    def encode_signed(self, request_id: int, method: Method, params: dict[str, Any]) -> bytes:
        """Return a request with these params, which are whole, as JSON bytes."""
        data = _dumps(_Message(request_id, method.name, params))
        if len(data) > _LARGEST:
            raise _too_large(len(data), params)
        return data

    def check(
        self, method: Method, params: Params | None, authenticated: bool, credentials: Credentials | None = None
    ) -> dict[str, Any]:
        """Return a copy of ``params`` in wire form, for a request that is encoded later.

        Raises what :meth:`encode` would; it signs nothing, so a signature that cannot be had is found later.
        """
        ready: dict[str, Any] = {} if params is None else _checked(params)
        whole = ready.copy()
        try:
            auth = method.auth
            if (not authenticated or credentials is not None or auth is _ALWAYS_SIGNED) and auth is not _NOTHING:
                self._identify(method, whole, credentials)
            data = _dumps(_Message(0, method.name, whole))
        except UnicodeEncodeError:
            raise _not_unicode(ready) from None
        if len(data) > _LARGEST:
            raise _too_large(len(data), whole)
        return ready

    def _identify(self, method: Method, params: dict[str, Any], other: Credentials | None) -> Credentials:
        """Add to ``params`` who sends them, and return the credentials that can prove it."""
        if method.auth is _SESSION:
            raise ConfigurationError(
                f"{method.name} works only on a logged-on connection, and this one is not", method=method.name
            )
        credentials = other if other is not None else self._credentials
        if credentials is None:
            raise ConfigurationError(
                f"{method.name} needs an apiKey, and this session has no credentials", method=method.name
            )
        params["apiKey"] = _text_of(credentials, lambda: credentials.api_key)
        return credentials


def _not_unicode(params: dict[str, Any]) -> ConfigurationError:
    clean(params)  # says which parameter it is
    return ConfigurationError("the request is not valid Unicode text and cannot be written as UTF-8")


def _too_large(size: int, params: dict[str, Any]) -> ConfigurationError:
    largest = max(params, key=lambda name: len(str(params[name])), default="")
    return ConfigurationError(
        f"the request has {size} bytes and was not sent, for the exchange ends a connection over one that is too large:"
        f" {_LARGEST} are taken, and parameter {shown(largest, 100)!r} is the largest"
    )


def _sign(params: dict[str, Any], credentials: Credentials) -> None:
    payload = "&".join([f"{name}={text(params[name])}" for name in sorted(params)])
    signature = _asked(credentials, lambda: credentials.sign(payload))
    if inspect.isawaitable(signature):
        raise Unsigned(params, credentials, signature)
    params["signature"] = _text(credentials, signature)


def _text_of(credentials: Credentials, ask: Callable[[], object]) -> str:
    """Return what somebody's credentials answer, which may be their own code, if it is text."""
    return _text(credentials, _asked(credentials, ask))


def _asked(credentials: Credentials, ask: Callable[[], object]) -> object:
    try:
        return ask()
    except (BinanceSessionError, UnicodeEncodeError):
        raise
    except (Exception, asyncio.CancelledError) as error:  # a remote signer's that was cancelled: nobody here was
        raise _failed(credentials, error) from error


def _text(credentials: Credentials, answer: object) -> str:
    if isinstance(answer, str):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    raise _no_text(credentials, answer)


def _failed(credentials: Credentials, error: BaseException) -> ConfigurationError:
    name = type(credentials).__name__
    return ConfigurationError(f"{name} could not give its apiKey or signature ({type(error).__name__})")


def _no_text(credentials: Credentials, answer: object) -> ConfigurationError:
    name, kind = type(credentials).__name__, type(answer).__name__
    return ConfigurationError(f"{name} gave a {kind} for its apiKey or signature: both are str")


def _checked(params: Params) -> dict[str, Any]:
    """Return a copy of ``params`` in wire form; text, which is what most values are, passes by type alone."""
    if type(params) is not dict:
        ready = clean(params)
    else:
        ready = params.copy()
        for name, value in params.items():
            if type(value) is str and type(name) is str:
                continue
            if type(value) is not int or not _MIN_INT <= value <= _MAX_INT:
                ready[name] = clean_value(name, value)
            if type(name) is not str:
                clean(params)  # says which name it is
    # one by one: for four names this is faster than set operations
    if "timestamp" in ready or "apiKey" in ready or "signature" in ready or "" in ready:
        clean(ready)  # says that the empty name is none
        name = next(name for name in _RESERVED if name in ready)
        raise ConfigurationError(f"parameter {name!r}: {_RESERVED[name]}")
    return ready
