"""Which handshakes come from a web page that has no business here (pure).

A browser sends ``Origin`` with each WebSocket handshake and cannot be made to leave it out, but it lets every page
connect to every address, this machine's own included: a page must not be able to drive a simulator that runs beside it.
The exchange itself does not look at ``Origin``; clients that are no browsers seldom send it.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_foreign"]


def is_foreign(origin: str, host: str, *, loopback: bool) -> bool:
    """Return whether a handshake with this ``Origin`` header comes from another host's page.

    ``host`` is the header of that name: the name under which the client reached this server. On a ``loopback``
    address it must not be a name that any name server can point there, such as that of a page that pretends to be
    this host.
    """
    try:
        theirs, ours = urlsplit(origin).hostname, urlsplit(f"//{host}").hostname
    except ValueError:
        return True
    return theirs is None or theirs != ours or (loopback and not _is_local(theirs))


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
