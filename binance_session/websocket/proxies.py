"""The way through a proxy: which one, and the tunnel to the exchange.

An ``http://`` or ``https://`` proxy is asked by CONNECT (RFC 9110 §9.3.6); for ``socks`` the package python-socks is
needed. No message here holds the proxy's address: it may hold a password.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl as ssl_module
import urllib.request
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

from binance_session.errors import why
from binance_session.websocket.addresses import Family, bind, connect_first, connect_tcp, look_up, reach

__all__ = ["ProxyError", "chosen_proxy", "connect_through"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

#: bytes of the longest answer that a proxy may give to CONNECT
_LONGEST_ANSWER: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


class ProxyError(OSError):
    """The proxy was reached and opened no way. ``status`` is the HTTP status that it answered with, if it did."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def chosen_proxy(proxy: str | Literal[True] | None, host: str, port: int, *, secure: bool) -> str | None:
    """Return the URL of the proxy to use for a host: the one given, or the environment's for ``True``."""
    if proxy is not True:
        return proxy
    if urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    proxies = urllib.request.getproxies()
    for scheme in ("wss", "socks", "https", "all") if secure else ("ws", "socks", "https", "http", "all"):
        if found := proxies.get(scheme):
            # macOS tells of a SOCKS proxy as of an http:// address
            return f"socks5h://{found[7:]}" if scheme == "socks" and found.startswith("http://") else found
    return None


async def connect_through(
    proxy: str,
    host: str,
    port: int,
    make: Callable[[], _P],
    tls: ssl_module.SSLContext | None,
    family: Family | None,
    local_addr: str | None,
) -> _P:
    """Connect what ``make`` makes to ``host`` through a proxy, with ``tls`` inside the tunnel; return it.

    Raises :class:`OSError` when the proxy cannot be reached or opens no way, :class:`ValueError` for an address that is
    none, and :class:`ImportError` without python-socks where that is needed.
    """
    parts = urlsplit(proxy)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not the address of a proxy")
    loop = asyncio.get_running_loop()
    is_socks = parts.scheme.startswith("socks")
    try:
        addresses = await look_up(parts.hostname, parts.port or _PORTS[parts.scheme], family, local_addr)
        if is_socks:
            sock = await connect_first(addresses, lambda info: _through_socks(parts, info[4], host, port, local_addr))
        else:
            sock = await connect_first(addresses, lambda info: connect_tcp(info, local_addr))
    except ProxyError:
        raise
    except OSError as error:
        raise ProxyError(f"the proxy cannot be reached: {why(error)}") from error
    if is_socks:
        name = host if tls is not None else None
        _, protocol = await loop.create_connection(make, sock=sock, ssl=tls, server_hostname=name)
        return protocol
    secure = parts.scheme == "https"
    transport, tunnel = await loop.create_connection(
        lambda: _Tunnel(_request(parts, host, port)),
        sock=sock,
        ssl=ssl_module.create_default_context() if secure else None,
        server_hostname=parts.hostname if secure else None,
    )
    try:
        await tunnel.opened
        protocol = make()
        if tls is not None:
            inner = await loop.start_tls(transport, protocol, tls, server_hostname=host)
            if inner is None:
                raise OSError("the proxy ended the connection")
            protocol.connection_made(inner)
        else:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
    except BaseException:
        transport.abort()
        raise
    return protocol


async def _through_socks(
    parts: SplitResult, address: Any, host: str, port: int, local_addr: str | None
) -> socket.socket:
    from python_socks import ProxyConnectionError, ProxyTimeoutError, ProxyType
    from python_socks import ProxyError as SocksError
    from python_socks.async_.asyncio import Proxy

    proxy = Proxy(
        ProxyType.SOCKS5 if parts.scheme.startswith("socks5") else ProxyType.SOCKS4,
        address[0],
        address[1],
        unquote(parts.username) if parts.username is not None else None,
        unquote(parts.password) if parts.password is not None else None,
        rdns=parts.scheme in ("socks5h", "socks4a"),
        loop=_Loop(asyncio.get_running_loop(), local_addr),  # type: ignore[arg-type]
    )
    try:
        sock: socket.socket = await proxy.connect(host, port)
    except (ProxyConnectionError, ProxyTimeoutError) as error:
        raise ProxyError(f"the proxy cannot be reached ({type(error).__name__})") from None
    except SocksError as error:
        raise ProxyError(f"the proxy opened no way ({type(error).__name__})") from None
    return sock


class _Loop:
    """The running loop for python-socks, which names arguments that aiofastnet's loops take by position only.

    It binds sockets to the local address, which not every version of the package can do, and closes them on failure.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, local_addr: str | None) -> None:
        self._loop = loop
        self._local_addr = local_addr

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        try:
            if self._local_addr is not None:
                bind(sock, self._local_addr)
            await reach(sock, address)
        except BaseException:
            sock.close()  # not every version of the package does
            raise


def _request(parts: SplitResult, host: str, port: int) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if parts.username is not None:
        token = base64.b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {token}")
    return "\r\n".join([*lines, "", ""]).encode()


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a way; :attr:`opened` is done when there is one."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._gave_name = b"\r\nProxy-Authorization:" in request
        self._answer = bytearray()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        self._answer += data
        head, end, more = self._answer.partition(b"\r\n\r\n")
        if end:
            words = head.split(b"\r\n", 1)[0].split(b" ", 2)
            status = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit() else 0
            if status // 100 == 2 and not more:
                self.opened.set_result(None)
            elif status // 100 == 2 or not status:
                self.opened.set_exception(ProxyError("the proxy's answer to CONNECT is not HTTP"))
            else:
                says = f"the proxy refused with HTTP {status}"
                if status == 407:
                    wants = "it refuses the name and the password that its URL gives"
                    says += f" ({wants if self._gave_name else 'it wants a name and a password'})"
                self.opened.set_exception(ProxyError(says, status))
        elif len(self._answer) > _LONGEST_ANSWER:
            self.opened.set_exception(ProxyError("the proxy's answer to CONNECT has no end"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ProxyError("the proxy ended the connection before it answered"))
            self.opened.exception()  # nobody may wait any more
