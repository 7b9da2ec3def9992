"""Opening a connection: what is needed to reach the exchange, and what it means that it cannot be reached."""

from __future__ import annotations

import logging
import ssl as ssl_module
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import field, frozen
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI
from websockets.http11 import Response

from binance_session.connection import Connection, Receiver
from binance_session.errors import ConnectError

__all__ = ["Transport", "dial"]


@frozen
class Transport:
    """How to reach the exchange. Times in seconds, sizes in bytes; ``None`` switches a timeout off."""

    #: may hold a listenKey or a password
    url: str = field(repr=False)
    ssl: ssl_module.SSLContext | None = None
    #: may hold a password
    proxy: str | Literal[True] | None = field(default=True, repr=False)
    open_timeout: float | None = 10.0
    close_timeout: float | None = 5.0
    ping_interval: float | None = 10.0
    ping_timeout: float | None = 10.0
    max_size: int | None = 32 * 2**20
    compression: str | None = None
    #: how often the server pings, which tells of a dead connection where ``ping_interval`` is ``None``
    server_ping_interval: float | None = None
    #: whether what is written in one turn of the event loop leaves together, all but the first
    coalesce: bool = False
    #: the way out: the local address to connect from, and the only kind of address to use
    local_addr: str | None = None
    family: Literal["ipv4", "ipv6"] | None = None
    #: more headers for the handshake; may hold a token
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class _DiscreetLogger(logging.LoggerAdapter[logging.Logger]):
    """The library's log without its DEBUG level, which prints whole frames, and with them keys and signatures."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802, the name is logging's
        return level > logging.DEBUG and super().isEnabledFor(level)


class _Connect(connect):
    """``connect`` without redirects: credentials go to the address that was given, or nowhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@cache
def _default_tls() -> ssl_module.SSLContext:
    """Return what stands for ``ssl=None``; asyncio would make it anew for each connection.

    That reads all of the system's certificates: 30 ms in which nothing else happens on the event loop.
    """
    return ssl_module.create_default_context()


def _retry_after(response: Response) -> float | None:
    """Return the seconds that a refusal asks to wait (PROTOCOL.md §8: the shortest ban is two minutes)."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (LookupError, ValueError):
        return 120.0 if response.status_code == 418 else None


async def dial(transport: Transport, receiver: Receiver) -> Connection:
    """Open a connection; raise :class:`ConnectError`, with the cause chained, if none can be had.

    The messages name no URL: a stream's URL holds a listenKey, and any URL may hold a password.
    """

    def create(protocol: ClientProtocol, **kwargs: Any) -> Connection:
        return Connection(
            protocol,
            receiver,
            transport.max_size,
            transport.server_ping_interval,
            coalesce=transport.coalesce,
            **kwargs,
        )

    tls: dict[str, Any] = {}
    try:
        if urlsplit(transport.url).scheme == "wss":
            tls["ssl"] = transport.ssl or _default_tls()
        connection = await _Connect(
            transport.url,
            compression=transport.compression,
            proxy=transport.proxy,
            open_timeout=transport.open_timeout,
            close_timeout=transport.close_timeout,
            ping_interval=transport.ping_interval,
            ping_timeout=transport.ping_timeout,
            max_size=transport.max_size,
            logger=_DiscreetLogger(logging.getLogger("binance_session.websocket"), {}),
            create_connection=create,  # type: ignore[arg-type]  # a factory is documented to do
            **tls,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise ConnectError(
            f"the server refused the WebSocket handshake with HTTP {status}"
            + (": there is nothing at the address's path" if status == 404 else ""),
            status=status,
            retryable=status in (418, 429) or not 300 <= status < 500,
            retry_after=_retry_after(error.response),
        ) from error
    except ssl_module.SSLCertVerificationError as error:
        raise ConnectError(
            f"the server's certificate was not accepted: {error.verify_message}", retryable=False
        ) from error
    except TimeoutError as error:
        raise ConnectError(f"no connection within {transport.open_timeout} s") from error
    except (InvalidURI, UnicodeError):  # their messages hold the address
        raise ConnectError("the address is not one that a WebSocket can be opened to", retryable=False) from None
    except (InvalidProxy, ImportError, ValueError):  # likewise, with the proxy's password
        raise ConnectError(
            "the address, or that of the proxy, cannot be used (a socks proxy needs the package python-socks)",
            retryable=False,
        ) from None
    except (OSError, InvalidHandshake, EOFError) as error:
        raise ConnectError(f"no connection: {error}") from error
    assert isinstance(connection, Connection)
    return connection
