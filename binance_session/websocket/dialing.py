"""Opening a connection: what is needed to reach the exchange, and what it means that it cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import ssl as ssl_module
from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.http11 import Response
from websockets.uri import parse_uri

from binance_session.config import ConnectionOptions
from binance_session.errors import ConnectError, why
from binance_session.latency import Phases
from binance_session.reconnect import bounded_retry_after
from binance_session.websocket.addresses import connect_first, connect_tcp, look_up
from binance_session.websocket.connection import Connection, Receiver
from binance_session.websocket.proxies import chosen_proxy, connect_through

__all__ = ["DiscreetLogger", "dial", "reach", "way_out"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

#: seconds: the shortest ban (PROTOCOL.md §8)
_SHORTEST_BAN: Final = 120.0
#: the likeliest cause by the status of a refused handshake (PROTOCOL.md §8)
_HTTP_CAUSES: Final = {
    403: ": most likely a firewall of the exchange, or this address or its country is not served",
    404: ": there is nothing at the address's path",
    418: ": this address is banned",
    429: ": too many requests came from this address",
    451: ": this address or its country is not served",
}


def way_out(options: ConnectionOptions) -> str:
    """Return what tells one way to the exchange from another: it sees an address for each, and counts by that."""
    chosen = _proxy_of(options)
    proxy = "" if chosen is None else urlsplit(chosen).netloc.rpartition("@")[2]
    return f"{proxy} {options.local_addr or ''} {options.family or ''}"


def _proxy_of(options: ConnectionOptions) -> str | None:
    """Return the URL of the proxy in use, which may hold a password: the one given, or the environment's."""
    if options.proxy is None:
        return None
    parts = urlsplit(options.url)
    secure = parts.scheme == "wss"
    return chosen_proxy(options.proxy, parts.hostname or "", parts.port or (443 if secure else 80), secure=secure)


class DiscreetLogger(logging.LoggerAdapter[logging.Logger]):
    """The library's log without its DEBUG level, which prints whole frames, and with them keys and signatures."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802, the name is logging's
        """Tell that nothing is logged at DEBUG."""
        return level > logging.DEBUG and super().isEnabledFor(level)


@cache
def _default_tls() -> ssl_module.SSLContext:
    """Return what stands for ``ssl=None``; asyncio would make it anew for each connection.

    That reads all of the system's certificates: 30 ms in which nothing else happens on the event loop.
    """
    return ssl_module.create_default_context()


def _retry_after(response: Response) -> float | None:
    """Return the seconds that a refusal asks to wait, as far as it may."""
    is_ban = response.status_code == 418
    try:
        seconds = float(response.headers["Retry-After"])
    except (LookupError, ValueError):
        return _SHORTEST_BAN if is_ban else None
    return bounded_retry_after(seconds, is_ban=is_ban)


async def dial(options: ConnectionOptions, receiver: Receiver, phases: Phases | None = None) -> Connection:
    """Open a connection; raise :class:`ConnectError` if none can be had. How long it took is written to ``phases``.

    Redirects are not followed: credentials go to the address that was given, or nowhere. The messages name no URL and
    nothing that the server said: a stream's URL holds a listenKey, any URL may hold a password, and a server may say
    them back.
    """
    connection: Connection | None = None
    phases = phases or Phases()
    try:
        async with asyncio.timeout(options.open_timeout):
            protocol = _protocol(options)
            connection = await _connect(options, protocol, receiver, phases)
            request = protocol.connect()
            request.headers["User-Agent"] = "binance_session"
            for name, value in options.headers:
                if name in request.headers:
                    del request.headers[name]
                request.headers[name] = value
            began = _now()
            await connection.shake_hands(request)
            phases.upgrade = _now() - began
            return connection
    except BaseException as error:
        if connection is not None:
            await connection.drop()
        if not isinstance(error, Exception):
            raise
        # Only the system's errors are chained: the library's hold the address, or what the server said.
        raise connect_error(error, options) from error if isinstance(error, OSError) else None


def _protocol(options: ConnectionOptions) -> ClientProtocol:
    extensions = None
    if options.compression == "deflate":
        from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

        extensions = [ClientPerMessageDeflateFactory(client_max_window_bits=True, compress_settings={"memLevel": 5})]
    return ClientProtocol(
        parse_uri(options.url),
        extensions=extensions,
        max_size=options.max_size,
        logger=DiscreetLogger(logging.getLogger("binance_session.websocket"), {}),
    )


async def _connect(
    options: ConnectionOptions, protocol: ClientProtocol, receiver: Receiver, phases: Phases
) -> Connection:
    """Return a connection on which the handshake is still to be done."""

    def make() -> Connection:
        return Connection(
            protocol,
            receiver,
            max_size=options.max_size,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            server_ping_interval=options.server_ping_interval,
            coalesce=options.coalesce,
            name=options.name,
        )

    return await reach(options, make, phases)


async def reach(options: ConnectionOptions, make: Callable[[], _P], phases: Phases | None = None) -> _P:
    """Return what ``make`` makes, on a transport to the address: through the proxy if there is one, and in TLS."""
    parts = urlsplit(options.url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    tls = (options.ssl or _default_tls()) if secure else None
    family, local_addr = options.family, options.local_addr
    proxy = _proxy_of(options)
    phases = phases or Phases()
    began = _now()
    if proxy is not None:
        made = await connect_through(proxy, host, port, make, tls, family, local_addr)
        phases.tcp = _now() - began
        return made
    addresses = await look_up(host, port, family, local_addr)
    phases.name = _now() - began
    sock = await connect_first(addresses, lambda info: connect_tcp(info, local_addr), f"{options.name}: dial")
    phases.tcp = _now() - began - phases.name
    loop, began = asyncio.get_running_loop(), _now()
    _, made = await loop.create_connection(make, sock=sock, ssl=tls, server_hostname=host if secure else None)
    phases.tls = _now() - began if secure else None
    return made


def _now() -> float:
    return asyncio.get_running_loop().time()


def connect_error(error: Exception, options: ConnectionOptions) -> ConnectError:
    """Return what it means for the session that a connection could not be opened."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        retry_after = _retry_after(error.response)
        return ConnectError(
            f"the server refused the WebSocket handshake with HTTP {status}{_HTTP_CAUSES.get(status, '')}"
            + (f"; it asks to wait {retry_after:g} s" if retry_after is not None else ""),
            status=status,
            retryable=status in (418, 429) or not 300 <= status < 500,
            retry_after=retry_after,
        )
    if isinstance(error, InvalidHandshake):  # its words may be the server's
        return ConnectError(f"no connection: what answered is no WebSocket server ({type(error).__name__})")
    if isinstance(error, ssl_module.SSLCertVerificationError):
        said = getattr(error, "verify_message", "") or type(error).__name__
        return ConnectError(f"the server's certificate was not accepted: {said}", retryable=False)
    if isinstance(error, TimeoutError) and error.errno is None:
        silent = "" if _proxy_of(options) is None else ": the proxy is silent, or what is behind it"
        return ConnectError(f"no connection within {options.open_timeout} s{silent}")
    if isinstance(error, (InvalidURI, UnicodeError)):  # their messages hold the address
        return ConnectError("the address is not one that a WebSocket can be opened to", retryable=False)
    if isinstance(error, ImportError) and options.proxy is not None:
        return ConnectError("the proxy cannot be used: a socks proxy needs the package python-socks", retryable=False)
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # likewise, with the proxy's password
        if options.proxy is None:
            return ConnectError(f"no connection: {type(error).__name__}")
        return ConnectError("the proxy cannot be used: its address is not one", retryable=False)
    return ConnectError(f"no connection: {why(error, tls=options.url.startswith('wss:'))}")
