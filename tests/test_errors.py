"""The error tree, and which of its classes an error answer becomes."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import re
import socket
import ssl
from typing import Any

import pytest

from binance_session import errors
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    InsecureTransportError,
    InvalidTimestamp,
    IpBanned,
    ListenKeyNotFound,
    LogonRejected,
    NotSent,
    ProtocolError,
    RateLimited,
    RequestTimeout,
    ServerError,
    SessionClosed,
    SessionRevoked,
    api_error,
    why,
)

UNKNOWN = "if it changes anything it may have been executed: ask for its result before repeating it"
BANNED = "Way too much request weight used; IP banned until 1659146400000. Please use WebSocket Streams."


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "outcome"),
    [
        # PROTOCOL.md §2, §9
        (400, -1102, "Mandatory parameter 'price' was not sent.", ApiError, "rejected"),
        (400, -1022, "Signature for this request is not valid.", ApiError, "rejected"),
        (400, -2010, "Account has insufficient balance.", ApiError, "rejected"),
        (400, -4120, "Use the algo order API.", ApiError, "rejected"),
        (400, -2028, "HMAC-SHA-256 API key is not supported.", ApiError, "rejected"),
        (400, -1193, "WebSocket session not authenticated.", ApiError, "rejected"),
        (401, -2015, "Invalid API-key, IP, or permissions for action.", ApiError, "rejected"),
        (401, -2014, "API-key format invalid.", ApiError, "rejected"),
        (403, 0, "Forbidden", ApiError, "rejected"),
        (409, -2022, "Order cancel-replace partially failed.", ApiError, "unknown"),
        (400, -1021, "Timestamp for this request is outside of the recvWindow.", InvalidTimestamp, "rejected"),
        (400, -4188, "Timestamp outside of the ME recvWindow", InvalidTimestamp, "rejected"),
        (400, -1125, "This listenKey does not exist.", ListenKeyNotFound, "rejected"),
        (429, -1003, "Too much request weight used.", RateLimited, "rejected"),
        (429, -1015, "Too many new orders.", RateLimited, "rejected"),
        (400, -1015, "Too many new orders.", RateLimited, "rejected"),
        (429, -9999, "a code of tomorrow", RateLimited, "rejected"),
        (418, -1003, BANNED, IpBanned, "rejected"),
        (408, -1007, "Timeout waiting for response from backend server.", ServerError, "unknown"),
        (408, -9999, "a code of tomorrow", ServerError, "unknown"),
        (500, -1000, "An unknown error occurred.", ServerError, "unknown"),
        (504, -9999, "a code of tomorrow", ServerError, "unknown"),
        (400, -1006, "An unexpected response was received. Execution status unknown.", ServerError, "unknown"),
        (400, -1007, "Send status unknown; execution status unknown.", ServerError, "unknown"),
        # a 503 of futures: the message decides
        (503, -1000, "Unknown error, please check your request or try again later.", ServerError, "unknown"),
        (503, -1001, "Service Unavailable.", ApiError, "rejected"),
        (503, -1001, "Internal error; unable to process your request. Please try again.", ApiError, "rejected"),
        (503, -1008, "Server is currently overloaded with other requests.", ApiError, "rejected"),
        # the same words without the 503 promise nothing
        (500, -1001, "Internal error; unable to process your request. Please try again.", ServerError, "unknown"),
    ],
)
def test_an_error_answer_becomes_the_class_that_fits(
    status: int, code: int, message: str, kind: type[ApiError], outcome: str
) -> None:
    """The class says what to do, the outcome says whether the order may be in the book."""
    error = api_error(status, code, message, {"x": 1}, request_id=7, method="order.place")
    assert type(error) is kind
    assert error.outcome == outcome
    assert (error.status, error.code, error.message, error.data) == (status, code, message, {"x": 1})
    assert (error.request_id, error.method) == (7, "order.place")


@pytest.mark.parametrize(
    ("message", "data", "retry_at"),
    [
        ("Too much request weight used.", {"serverTime": 1, "retryAfter": 1659146400500}, 1659146400.5),
        (BANNED, None, 1659146400.0),
        (BANNED, {"serverTime": 1}, 1659146400.0),
        (BANNED, {"retryAfter": 1659146500000}, 1659146500.0),
        (BANNED, {"retryAfter": True}, 1659146400.0),
        (BANNED, {"retryAfter": "soon"}, 1659146400.0),
        (BANNED, ["retryAfter"], 1659146400.0),
        ("Too many requests.", None, None),
        ("banned until further notice", {}, None),
    ],
)
def test_a_limit_says_when_to_come_back(message: str, data: Any, retry_at: float | None) -> None:
    """retryAfter in Unix seconds, else the time in the text, else unknown (PROTOCOL.md §8)."""
    for status, kind in ((429, RateLimited), (418, IpBanned)):
        error = api_error(status, -1003, message, data)
        assert isinstance(error, kind)
        assert error.retry_at == retry_at


def test_a_limit_says_how_long_to_wait_in_words() -> None:
    """In seconds, and as a time that people can read; nothing where the exchange told nothing."""
    told = api_error(418, -1003, "banned", {"retryAfter": 1767225720000}, now=1767225600.0)
    assert str(told).endswith("; wait 120 s (until 2026-01-01T00:02:00Z)")
    assert "wait" not in str(api_error(429, -1003, "Too many requests."))
    assert "wait" not in str(api_error(429, -1003, "Over.", {"retryAfter": 1767225600000}, now=1767225601.0))


def test_a_clock_that_is_off_says_that_the_request_may_be_repeated() -> None:
    assert "it can be repeated" in str(
        api_error(400, -1021, "Timestamp outside of the recvWindow.", method="order.place")
    )


def test_a_tls_error_without_a_reason_is_told_as_it_is() -> None:
    assert "handshake" in why(ssl.SSLError("handshake"))


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (BinanceSessionError, None),
        (ConfigurationError, "not_sent"),
        (InsecureTransportError, "not_sent"),
        (ConnectError, None),
        (SessionRevoked, "unknown"),
        (SessionClosed, "not_sent"),
        (NotSent, "not_sent"),
        (ConnectionLost, "unknown"),
        (RequestTimeout, "unknown"),
        (ProtocolError, "unknown"),
    ],
)
def test_every_class_knows_its_outcome(kind: type[BinanceSessionError], outcome: str | None) -> None:
    """A caller can rely on the attribute, and its text is the message."""
    about_a_request: dict[str, Any] = {} if kind is ConnectError else {"method": "order.place"}
    error = kind("what happened", **about_a_request)
    assert error.outcome == outcome
    assert error.request_id is None
    assert str(error) == "what happened"
    assert repr(error) == f"{kind.__name__}('what happened')"
    if outcome in ("unknown", None):
        assert kind("about no request").outcome is None


def test_the_outcome_of_one_request_can_be_another() -> None:
    """A closed session knows whether this request had left."""
    error = SessionClosed("closed", request_id=3, method="order.place", outcome="unknown")
    assert (error.request_id, error.method, error.outcome) == (3, "order.place", "unknown")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            api_error(400, -1102, "Mandatory parameter.", method="order.place"),
            "order.place: Mandatory parameter. (code -1102, status 400); this request was not executed",
        ),
        (
            api_error(500, -1007, "Timeout."),
            f"Timeout. (code -1007, status 500); {UNKNOWN}",
        ),
    ],
)
def test_the_text_says_what_it_means_for_the_order(error: ApiError, expected: str) -> None:
    """Who reads only the log line knows whether to repeat."""
    assert str(error) == expected


def test_a_refused_logon_says_what_to_check() -> None:
    """The exchange's words come first, its error is at hand."""
    refusal = api_error(401, -2015, "Invalid API-key.", request_id=1, method="session.logon")
    error = LogonRejected(refusal)
    assert error.error is refusal
    assert (error.code, error.status, error.request_id, error.method) == (-2015, 401, 1, "session.logon")
    assert error.outcome == "rejected"
    assert str(error).startswith("the exchange refused session.logon: Invalid API-key. (code -2015, status 401)")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (-1022, "does not belong to the private key"),
        (-2014, "pasted"),
        (-2015, "address of this machine is allowed"),
        (-4056, "is an Ed25519 key"),
    ],
)
def test_a_refused_logon_names_the_likeliest_cause(code: int, says: str) -> None:
    error = LogonRejected(api_error(400, code, ""))
    assert says in str(error)
    assert f"(no text) (code {code}, status 400)" in str(error)


def test_a_failure_to_connect_tells_whether_to_try_again() -> None:
    """By default it can heal."""
    assert (ConnectError("x").status, ConnectError("x").retryable) == (None, True)
    error = ConnectError("no such page", status=404, retryable=False)
    assert (error.status, error.retryable) == (404, False)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConfigurationError, ValueError),
        (ConnectError, ConnectionError),
        (ConnectionLost, ConnectionError),
        (RequestTimeout, TimeoutError),
    ],
)
def test_errors_are_python_errors_too(kind: type[Exception], builtin: type[Exception]) -> None:
    """Code that catches the built-in class catches ours."""
    assert issubclass(kind, builtin)


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    """The drawing at the top of the module names every class, under its parent, in order, and no other."""
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:  |$)", line)
        if found and (found["branch"] or found["name"] == "BinanceSessionError"):
            depth = len(found["branch"]) // 4
            path[depth:] = [found["name"]]
            drawn[found["name"]] = path[depth - 1] if depth else None
    real = {
        name: kind.__bases__[0].__name__ if kind is not BinanceSessionError else None
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, BinanceSessionError)
    }
    assert drawn == real
    assert set(errors.__all__) == set(real) | {"Outcome", "api_error"}


@pytest.mark.parametrize(
    "error",
    [
        NotSent("x", request_id=1, method="order.place"),
        ConnectError("x", status=503, retryable=False),
        ConnectionLost("x", request_id=1),
        RequestTimeout("x", method="order.place"),
        LogonRejected(api_error(401, -2015, "Invalid API-key.")),
        api_error(418, -1003, BANNED, {"retryAfter": 1659146400000}, request_id=4, method="order.place"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: BinanceSessionError) -> None:
    """They cross a process boundary with all they know."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert {name: str(value) for name, value in vars(copy).items()} == {
        name: str(value) for name, value in vars(error).items()
    }


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "outcome"),
    [
        (503, -1001, "Service Unavailable.", ServerError, "unknown"),
        (503, -1001, "Internal error; unable to process your request. Please try again.", ServerError, "unknown"),
        (503, -1008, "Server is currently overloaded with other requests.", ServerError, "unknown"),
        (429, -1008, "Server is currently overloaded with other requests.", RateLimited, "rejected"),
        (400, -1008, "Server is currently overloaded with other requests.", ApiError, "rejected"),
    ],
)
def test_on_spot_no_text_makes_a_5xx_certain(
    status: int, code: int, message: str, kind: type[ApiError], outcome: str
) -> None:
    """Spot's document knows only one meaning of 5xx: execution status unknown (PROTOCOL.md §2)."""
    error = api_error(status, code, message, futures=False)
    assert type(error) is kind
    assert error.outcome == outcome


@pytest.mark.parametrize(
    ("data", "message", "now", "retry_in"),
    [
        ({"retryAfter": 1_764_115_230_000, "serverTime": 1_764_115_200_000}, "", 5.0, 30.0),
        ({"retryAfter": 1_764_115_230_000_000, "serverTime": 1_764_115_200_000_000}, "", 5.0, 30.0),
        ({"retryAfter": 1_764_115_230_000}, "", 1_764_115_229.0, 1.0),
        ({"retryAfter": 1_764_115_230_000}, "", 1_764_115_299.0, 0.0),
        (None, "IP banned until 1764115230000000.", 1_764_115_220.0, 10.0),
        (None, "IP banned until 17641152300001.", 1_764_115_220.0, None),
        ({"retryAfter": 30}, "", 1_764_115_220.0, None),
        ({"retryAfter": 30_000}, "", 1_764_115_220.0, None),
        ({"retryAfter": 10**400}, "", 1_764_115_220.0, None),
    ],
)
def test_a_limit_says_in_how_many_seconds_to_come_back(
    data: Any, message: str, now: float, retry_in: float | None
) -> None:
    """By the exchange's clock, and never at a time in 1970."""
    error = api_error(429, -1003, message, data, now=now)
    assert isinstance(error, RateLimited)
    assert error.retry_in == (None if retry_in is None else pytest.approx(retry_in))
    assert error.retry_at is None or error.retry_at > 1e9
    assert pickle.loads(pickle.dumps(error)).retry_in == error.retry_in


class _Silent(Exception):
    def __str__(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("error", "tls", "says"),
    [
        (_Silent(), False, "_Silent"),
        (TimeoutError(), False, "no answer in time (TimeoutError)"),
        (EOFError(), False, "closed the connection"),
        (EOFError(), True, "does the port speak TLS"),
        (ConnectionResetError(104, "Connection reset by peer"), True, "does the port speak TLS"),
        (ConnectionResetError(104, "Connection reset by peer"), False, "Connection reset by peer"),
        (ConnectionRefusedError(111, "Connect call failed"), False, "nothing accepts connections"),
        (socket.gaierror(-2, "Name or service not known"), False, "cannot be resolved"),
        (OSError("no connection: "), False, "no connection"),
        (ssl.SSLError(), True, "does the port speak TLS"),
        (ssl.SSLCertVerificationError("it is expired"), True, "it is expired"),
        (RuntimeError("a\x1b[2J\nb"), False, "a\\x1b[2J\\nb"),
    ],
)
def test_a_reason_always_says_something(error: Exception, tls: bool, says: str) -> None:
    """On one line, the likeliest cause first, and nothing that ends with a colon."""
    text = why(error, tls=tls)
    assert says in text
    assert text.isprintable()
    assert not text.endswith(":")


def test_an_error_without_words_is_explained_by_what_caused_it() -> None:
    error = _Silent()
    error.__cause__ = TimeoutError()
    assert why(error) == "_Silent, because of no answer in time (TimeoutError)"


async def test_a_port_that_does_not_speak_tls_is_called_that() -> None:
    """Whatever OpenSSL calls it in its version."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(OSError) as caught:  # noqa: PT011, what it is differs
        await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
    assert "does not speak TLS" in why(caught.value, tls=True)
    server.close()
    await server.wait_closed()
