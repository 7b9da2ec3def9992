"""``binance-session check``: what works with this key, from this machine, and what does not."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from attrs import evolve, field, frozen
from websockets.exceptions import InvalidMessage

from binance_session.checks import check_number, check_url
from binance_session.cli.keys import add_key_options, checked_credentials
from binance_session.cli.terminal import Terminal, wrapped
from binance_session.cli.venues import VENUES, add_venue_option, symbol_of
from binance_session.credentials import ApiKey, Credentials, Ed25519Key, HmacKey, RsaKey
from binance_session.errors import ApiError, BinanceSessionError, ConnectError, RateLimited
from binance_session.masking import Secrets, masked, shown
from binance_session.venues import Venue

if TYPE_CHECKING:
    from binance_session.session import Session

__all__ = ["Finding", "add", "connect_advice", "examine"]

Status = Literal["ok", "warning", "failed", "skipped"]

#: seconds: the exchange's time is further than this from the session's estimate only if it was not accepted
_UNBELIEVED: Final = 60.0
#: seconds: a clock that is further off gets a warning
_CLOCK_WARNING: Final = 0.5
#: seconds that a timestamp may be ahead of the exchange, and behind it by the default recvWindow
_CLOCK_AHEAD: Final = 1.0
_CLOCK_BEHIND: Final = 5.0
_ROUND_TRIPS: Final = 10
_CLOCK_ADVICE: Final = "let the system synchronize its clock (Linux: timedatectl set-ntp true; Windows: w32tm /resync)"
#: columns before a finding's text, and columns left free behind it
_MARGIN: Final = 24
_RIGHT: Final = 2
#: "Unknown order sent" and "Order does not exist": the key is allowed to trade, and there was nothing to cancel
_NO_SUCH_ORDER: Final = (-2011, -2013)
_NOT_ALLOWED: Final = (-2014, -2015)

_ADVICE: Final[Mapping[int, str]] = {
    -1021: _CLOCK_ADVICE,
    -1022: "the private key (or secret) does not belong to what is registered under this apiKey",
    -2014: "this is not an apiKey: was something else pasted?",
    -2015: "look at this key under API Management: does it exist on this venue, is this machine's IP address allowed,"
    " does it have the permission?",
    -4056: "only an Ed25519 key can log on: make one with binance-session keygen",
}


@frozen
class Finding:
    """The result of one check: a text, advice, and numbers.

    The exchange's own text may be in it: control characters and line breaks are escaped.
    """

    name: str
    status: Status
    text: str = field(converter=shown)
    advice: str = ""
    numbers: Mapping[str, float] = field(factory=dict)


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="say what works with a key, and what does not",
        description="Connect, log on, and report what works and what does not. Nothing is bought, sold or stopped: the"
        " user data stream is started or extended, and permission to trade is tried by cancelling an order that does"
        " not exist. Exit status 0 if all that a session needs works.",
    )
    add_venue_option(parser)
    parser.add_argument("--url", help="instead of the venue's: a simulator, a gateway")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="for each answer (default: 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    add_key_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    venue = VENUES[arguments.venue]
    url = venue.url if arguments.url is None else arguments.url
    check_url("--url", url, None)
    check_number("--timeout", arguments.timeout)
    key, warnings = checked_credentials(arguments)
    report = _Report(Terminal(), venue, _shown(url), quiet=arguments.json)
    for warning in warnings:
        report.add(Finding("key file", "warning", warning))
    asyncio.run(_examine_at(url, venue, key, arguments.timeout, report.add))
    return report.end(has_key=key is not None)


async def _examine_at(
    url: str, venue: Venue, key: Credentials | None, timeout: float, tell: Callable[[Finding], None]
) -> None:
    from binance_session.session import Session

    # Without a logon of its own, so that the clock is known before the first signature; and no second connection,
    # because what ended the first one is the answer.
    session = Session(
        venue, key, url=url, logon=False, request_timeout=timeout, open_timeout=timeout, reconnect=_Never()
    )
    await examine(session, key, tell, url=url)


class _Never:
    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return None


# The checks


async def examine(session: Session, key: Credentials | None, tell: Callable[[Finding], None], *, url: str = "") -> None:
    """Open a session (made with ``logon=False``), check it with ``key``, close it; call ``tell`` with each finding.

    ``url`` is where the session connects to; the advice depends on it.
    """
    hidden = Secrets(None if key is None else key.api_key)

    def say(finding: Finding) -> None:
        tell(evolve(finding, text=hidden.clean(finding.text)))

    started = time.perf_counter()
    try:
        await session.open()
    except BinanceSessionError as error:
        say(Finding("connection", "failed", str(error), connect_advice(error, url)))
        return
    try:
        took = _ms(time.perf_counter() - started)
        say(Finding("connection", "ok", f"open within {took:.0f} ms", numbers={"handshake_ms": took}))
        say(await _clock(session))
        if key is not None:
            say(_kind(key))
            say(await _logon(session, key))
            say(await _reading(session, key))
            say(await _user_stream(session, key, hidden))
            say(await _trading(session, key))
        say(await _latency(session))
    finally:
        await session.close()


async def _clock(session: Session) -> Finding:
    try:
        status = await session.status()
    except BinanceSessionError as error:
        return _refused("clock", error)
    if status.server_time is None:
        return Finding("clock", "warning", "the exchange's answer does not contain its time")
    offset = session.clock_offset
    if abs(unbelieved := status.server_time / 1000 - session.now()) > _UNBELIEVED:
        offset += unbelieved  # the session does not follow a clock that is more than a day away
    ahead = -offset
    numbers = {"offset_ms": _ms(offset)}
    side = "ahead of" if ahead > 0 else "behind"
    text = f"{_ms(abs(ahead)):.0f} ms {side} the exchange"
    if abs(ahead) <= _CLOCK_WARNING:
        return Finding("clock", "ok", text, numbers=numbers)
    if ahead >= _CLOCK_AHEAD or -ahead >= _CLOCK_BEHIND:
        return Finding("clock", "failed", f"{text}: signed requests will be refused", _CLOCK_ADVICE, numbers)
    return Finding(
        "clock", "warning", f"{text}: close to the limit beyond which requests are refused", _CLOCK_ADVICE, numbers
    )


def _kind(key: Credentials) -> Finding:
    hint = f"apiKey {masked(key.api_key)}"
    kinds: tuple[tuple[type, str], ...] = (
        (Ed25519Key, "Ed25519: can log on"),
        (RsaKey, "RSA: cannot log on; each request carries the apiKey and a signature"),
        (HmacKey, "HMAC: cannot log on; each request carries the apiKey and a signature"),
        (ApiKey, "an apiKey alone: signs nothing (add --key-file, --secret-env or --secret-file)"),
    )
    text = next(text for kind, text in kinds if isinstance(key, kind))
    return Finding("key", "ok", f"{text} ({hint})")


async def _logon(session: Session, key: Credentials) -> Finding:
    if not (key.can_logon and session.venue.has_logon):
        return Finding("logon", "skipped", "this kind of key cannot log on; binance-session keygen makes one that can")
    try:
        status = await session.logon()
    except BinanceSessionError as error:
        return _refused("logon", error)
    if not status.authenticated:
        return Finding("logon", "failed", "the exchange answered, but the connection is not logged on")
    return Finding("logon", "ok", "accepted: requests need neither apiKey nor signature from here on")


async def _reading(session: Session, key: Credentials) -> Finding:
    if isinstance(key, ApiKey):
        return Finding("reading", "skipped", "needs a signature")
    method = "account.balance" if "account.balance" in session.venue.methods else "account.status"
    try:
        await session.request(method)
    except BinanceSessionError as error:
        return _refused("reading", error)
    return Finding("reading", "ok", f"{method} was answered")


async def _user_stream(session: Session, key: Credentials, hidden: Secrets) -> Finding:
    if session.venue.has_listen_key:
        method, meaning = "userDataStream.start", "was answered with the account's listenKey, good for an hour"
    elif isinstance(key, ApiKey):
        return Finding("user stream", "skipped", "needs a signature")
    else:
        method = "userDataStream.subscribe" if session.authenticated else "userDataStream.subscribe.signature"
        meaning = "was accepted, for this connection"
    try:
        reply = await session.request(method)
    except BinanceSessionError as error:
        return _refused("user stream", error)
    listen_key = reply.result.get("listenKey") if isinstance(reply.result, dict) else None
    if isinstance(listen_key, str) and listen_key.isalnum():
        hidden.add(listen_key[:1000])
    return Finding("user stream", "ok", f"{method} {meaning}")


async def _trading(session: Session, key: Credentials) -> Finding:
    """Check whether the key may trade, by cancelling an order that does not exist."""
    if isinstance(key, ApiKey):
        return Finding("trading", "skipped", "needs a signature")
    symbol = symbol_of(session.venue)
    unused_id = f"check-{secrets.token_hex(12)}"
    try:
        await session.request("order.cancel", {"symbol": symbol, "origClientOrderId": unused_id})
    except ApiError as error:
        if error.code in _NO_SUCH_ORDER:
            return Finding("trading", "ok", "allowed, as far as can be told without placing an order")
        if error.code in _NOT_ALLOWED:
            return Finding("trading", "warning", "not allowed: orders sent with this key will be refused")
        return Finding("trading", "warning", f"not known: {_words(error)}")
    except BinanceSessionError as error:
        return Finding("trading", "warning", f"not known: {error}")
    return Finding(
        "trading", "warning", "not known: the exchange answered that it cancelled an order that does not exist"
    )


async def _latency(session: Session) -> Finding:
    times = []
    try:
        for _ in range(_ROUND_TRIPS):
            started = time.perf_counter()
            await session.status()
            times.append(_ms(time.perf_counter() - started))
    except BinanceSessionError as error:
        return _refused("latency", error)
    times.sort()
    median, worst = times[len(times) // 2], times[-1]
    return Finding(
        "latency",
        "ok",
        f"{len(times)} round trips: median {median:.1f} ms, worst {worst:.1f} ms",
        numbers={"median_ms": median, "worst_ms": worst},
    )


# In words


def _refused(name: str, error: BinanceSessionError) -> Finding:
    if not isinstance(error, ApiError):
        return Finding(name, "failed", str(error))
    advice = "too many requests from this address: wait before trying again" if isinstance(error, RateLimited) else ""
    return Finding(name, "failed", f"refused: {_words(error)}", advice or _ADVICE.get(error.code, ""))


def _words(error: ApiError) -> str:
    return f"{error.message} (code {error.code}, status {error.status})"


def connect_advice(error: BinanceSessionError, url: str = "") -> str:
    """Return advice for a connection to ``url`` that could not be opened, "" if there is none."""
    status = error.status if isinstance(error, ConnectError) else None
    if status is not None:
        return next((advice for statuses, advice in _HTTP_ADVICE if status in statuses), "")
    for cause in _causes(error):
        if isinstance(cause, _NO_WEBSOCKET) and not isinstance(cause, (TimeoutError, ConnectionRefusedError)):
            return _NO_TLS if url.startswith("wss:") else _OTHER_SERVER
        for kind, advice in _CAUSE_ADVICE:
            if isinstance(cause, kind):
                return advice
    return ""


_NO_TLS: Final = "is the port right? a simulator's URL begins with ws://"
_OTHER_SERVER: Final = "no WebSocket server seems to listen there: if it wants TLS, its URL begins with wss://"
_HTTP_ADVICE: Final[tuple[tuple[Container[int], str], ...]] = (
    ((418, 429), "wait before trying again"),
    ((403, 451), "try it from another address"),
    ((404,), "compare the URL with the venue's"),
    ((407,), "a proxy on the way asks for a name and a password"),
    (
        (400,),
        "the server does not accept the WebSocket handshake: is the port right? with TLS the URL begins with wss://",
    ),
    (range(500, 600), "the server has a problem: try again later"),
    (range(200, 400), "a web server answered, or the logon page of a network: compare the URL with the venue's"),
)
#: errors when the peer does not speak TLS or WebSocket
_NO_WEBSOCKET: Final = (ConnectionError, EOFError, InvalidMessage)
#: the first that matches is shown; it does not repeat the error's own text
_CAUSE_ADVICE: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        ssl.SSLCertVerificationError,
        "the certificate is not accepted: are the host and this machine's clock right? does a proxy intercept TLS?",
    ),
    (ssl.SSLError, _NO_TLS),
    (socket.gaierror, ""),
    (ConnectionRefusedError, "are host and port right?"),
    (TimeoutError, "are host and port right? does a firewall keep connections out?"),
    (OSError, "this address cannot be reached: is the network up?"),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an error, the deepest first: it is the most exact."""
    chain: list[BaseException] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and cause not in chain:
        chain.append(cause)
        if isinstance(cause, BaseExceptionGroup):
            chain.extend(cause.exceptions)
        cause = cause.__cause__ or cause.__context__
    yield from reversed(chain)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _shown(url: str) -> str:
    """Return a URL without the parts that may be secret."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "…"
    return shown(f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


class _Report:
    """The findings, printed as they come or as one object at the end, and the verdict."""

    def __init__(self, terminal: Terminal, venue: Venue, url: str, *, quiet: bool) -> None:
        self._terminal = terminal
        self._venue = venue
        self._url = url
        self._quiet = quiet
        self._findings: list[Finding] = []
        self._marks = {
            "ok": terminal.good("ok     "),
            "warning": terminal.doubtful("warning"),
            "failed": terminal.bad("failed "),
            "skipped": terminal.dim("-      "),
        }

    def add(self, finding: Finding) -> None:
        """Add a finding; before the first one, print what is checked."""
        if not self._quiet:
            if not self._findings:
                self._terminal.line(f"{self._terminal.bold(self._venue.name)}  {self._url}\n")
            width = self._terminal.width - _MARGIN - _RIGHT
            lines = wrapped(finding.text, width) or [""]
            self._terminal.line(f"  {self._marks[finding.status]}  {finding.name:<13}{lines[0]}")
            for line in lines[1:]:
                self._terminal.line(f"{'':{_MARGIN}}{line}")
            if finding.advice not in {earlier.advice for earlier in self._findings}:
                for line in wrapped(finding.advice, width):
                    self._terminal.line(f"{'':{_MARGIN}}{self._terminal.dim(line)}")
        self._findings.append(finding)

    def end(self, *, has_key: bool) -> int:
        """Print the verdict and return the exit status."""
        failed = [finding.name for finding in self._findings if finding.status == "failed"]
        verdict = self._verdict(failed, has_key=has_key)
        if self._quiet:
            findings = [
                {
                    "name": finding.name,
                    "status": finding.status,
                    "text": finding.text,
                    "advice": finding.advice or None,
                    **finding.numbers,
                }
                for finding in self._findings
            ]
            report = {
                "venue": self._venue.name,
                "url": self._url,
                "ok": not failed,
                "verdict": verdict,
                "findings": findings,
            }
            self._terminal.line(json.dumps(report, indent=2))
        else:
            style = self._terminal.bad if failed else self._terminal.good
            self._terminal.line()
            for line in wrapped(verdict, self._terminal.width):
                self._terminal.line(style(line))
        return 1 if failed else 0

    def _verdict(self, failed: list[str], *, has_key: bool) -> str:
        warned = [finding.name for finding in self._findings if finding.status == "warning"]
        if failed:
            return f"A session cannot run like this: {_listed(failed)} failed."
        if not has_key:
            return "The connection works. No key was given (BINANCE_API_KEY is not set), so nothing else was tried."
        if any(finding.name == "reading" and finding.status == "skipped" for finding in self._findings):
            return "The apiKey works for the user data stream; requests that need a signature were not tried."
        if warned:
            return f"A session can run with this key; see the warning about {_listed(warned)}."
        return "All that a session needs works with this key."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
