"""The options of a session, as frozen records."""

from __future__ import annotations

import ssl as ssl_module
from typing import Literal

from attrs import field, frozen

__all__ = ["ConnectionOptions"]


@frozen
class ConnectionOptions:
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
    #: the local address to connect from, and the only kind of address to use
    local_addr: str | None = None
    family: Literal["ipv4", "ipv6"] | None = None
    #: more headers for the handshake; may hold a token
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: what the names of tasks begin with
    name: str = "binance_session"
