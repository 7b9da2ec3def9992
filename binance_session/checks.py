"""What is refused at the door: parameters that cannot be right, and credentials in the open.

A message names the parameter and never a value that could be a secret or hold one.
"""

from __future__ import annotations

import ipaddress
import re
import ssl as ssl_module
import warnings
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from binance_session.credentials import Credentials
from binance_session.errors import ConfigurationError, InsecureTransportError
from binance_session.keepalive import FixedInterval
from binance_session.masking import kind_of
from binance_session.venues import Venue

__all__ = [
    "InsecureTransportWarning",
    "check_can_log_on",
    "check_choice",
    "check_clock",
    "check_count",
    "check_credentials",
    "check_headers",
    "check_keepalive",
    "check_name",
    "check_number",
    "check_patience",
    "check_policy",
    "check_proxy",
    "check_recv_window",
    "check_rollover",
    "check_tls",
    "check_url",
    "check_way_out",
    "decide_logon",
    "insecure",
    "is_exposed",
    "is_loopback",
]


class InsecureTransportWarning(UserWarning):
    """The ``ssl`` context of a session verifies no certificate, or no host name: anybody could be the exchange."""


#: seconds that a connection lives at the exchange
_LONGEST_LIFE: Final = 86_400.0
#: what no timeout needs, and what fits a float
_ENDLESS: Final = 1e15


def check_number(name: str, value: Any, method: str | None = None, *, unit: str = " of seconds") -> None:
    """Refuse what is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number{unit}, not {value!r}", method=method)
    if not 0 < value < _ENDLESS:
        raise ConfigurationError(f"{name} must be a finite number{unit} above 0, not {value!r}", method=method)


def check_patience(value: Any) -> None:
    """Refuse what is no number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigurationError(f"patience must be a number of seconds above 0, or math.inf, not {value!r}")


def check_count(name: str, value: object, *, least: int) -> None:
    """Refuse what is no whole number of at least ``least``."""
    if type(value) is not int or value < least:
        raise ConfigurationError(f"{name} must be a whole number, at least {least}, not {value!r}")


def check_recv_window(value: object, venue: Venue) -> None:
    """Refuse a recvWindow that the venue would: whole ms, up to its maximum."""
    if value is not None and (type(value) is not int or not 1 <= value <= venue.max_recv_window):
        raise ConfigurationError(
            f"recv_window must be a whole number of ms, 1 to {venue.max_recv_window}, not {value!r}"
        )


def check_rollover(value: float | None) -> None:
    """Refuse a rollover that would come after every exchange has ended the connection by itself (PROTOCOL.md §1.3)."""
    if value is not None and value > _LONGEST_LIFE:
        raise ConfigurationError(
            f"rollover_after must be at most {_LONGEST_LIFE:g} seconds, not {value!r}: the exchange ends each"
            " connection then; None leaves it to the exchange"
        )


def check_policy(name: str, policy: object) -> None:
    """Refuse what has no ``next_delay`` method."""
    if isinstance(policy, type) or not callable(getattr(policy, "next_delay", None)):
        raise ConfigurationError(f"{name} must be a policy with a next_delay method, not {kind_of(policy)}")


def check_keepalive(policy: object, venue: Venue) -> None:
    """Refuse a period that is longer than a listenKey lives; what other policies will answer is not known yet."""
    if isinstance(policy, FixedInterval) and venue.has_listen_key and policy.seconds >= venue.listen_key_lifetime:
        raise ConfigurationError(
            f"keepalive: a ping every {policy.seconds:g} s cannot keep a listenKey of {venue.name}, which lives"
            f" {venue.listen_key_lifetime:g} s"
        )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse what is not one of the choices; ``True`` is not 1."""
    if value not in choices or (isinstance(value, bool) and not any(value is choice for choice in choices)):
        raise ConfigurationError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_clock(wall_clock: object) -> None:
    """Refuse what cannot be asked for the time."""
    if not callable(wall_clock) or isinstance(wall_clock, type):
        raise ConfigurationError(
            f"wall_clock must be a function that returns Unix seconds, such as time.time, not {kind_of(wall_clock)}"
        )


def check_credentials(credentials: object) -> None:
    """Refuse what is no key; the value is not shown, for it may be a secret that was passed by mistake."""
    if credentials is None or (isinstance(credentials, Credentials) and not isinstance(credentials, type)):
        return
    raise ConfigurationError(
        "credentials must be an Ed25519Key, HmacKey, RsaKey, ApiKey, or an object with api_key, can_logon and sign(),"
        f" not {kind_of(credentials)}"
    )


def decide_logon(logon: object, venue: Venue, credentials: Credentials | None) -> bool:
    """Return whether connections log on; refuse to demand it of a key or a venue that cannot."""
    if logon is False:
        return False
    able = credentials is not None and credentials.can_logon and venue.has_logon
    if logon == "auto" and not isinstance(logon, bool):
        return able
    if logon is not True:
        raise ConfigurationError(f'logon must be "auto", True or False, not {logon!r}')
    if not able:
        who = "a session without credentials" if credentials is None else type(credentials).__name__
        raise ConfigurationError(
            f"logon=True, but {who} cannot log on at {venue.name}: session.logon takes Ed25519 keys only"
        )
    return True


def check_can_log_on(venue: Venue, credentials: Credentials | None) -> None:
    """Refuse a logon that the key or the venue does not allow."""
    if credentials is None:
        raise ConfigurationError(
            "session.logon takes Ed25519 keys only, and this session has no credentials", method="session.logon"
        )
    if not credentials.can_logon or not venue.has_logon:
        raise ConfigurationError(
            f"session.logon takes Ed25519 keys only; this is {kind_of(credentials)}", method="session.logon"
        )


def check_url(name: str, url: object, ssl: ssl_module.SSLContext | None) -> None:
    """Refuse what is no WebSocket address; it is not shown, for it may hold a password or a listenKey."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        usable = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{name} must be a ws:// or wss:// address with a host")
    if name == "stream_url" and (parts.query or parts.fragment):
        raise ConfigurationError(
            "stream_url must have neither query nor fragment: /ws and the listenKey go behind it (Venue.stream_path)"
        )
    if ssl is not None and parts.scheme == "ws":
        raise ConfigurationError(f"ssl was given, but {name} is a ws:// address, which has no TLS")


#: as websockets has them
_PROXY_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def check_proxy(proxy: object) -> None:
    """Refuse what is no proxy's URL; it is not shown, for it may hold a password."""
    if proxy is True or proxy is None:
        return
    try:
        parts = urlsplit(proxy if isinstance(proxy, str) else "")
        usable = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
        says_scheme = isinstance(proxy, str) and "://" in proxy
    except ValueError:
        usable, says_scheme = False, True
    if usable:
        return
    if isinstance(proxy, str) and proxy and not says_scheme:
        raise ConfigurationError("proxy has no scheme: write http:// (or socks5://, ...) before its host and port")
    raise ConfigurationError(
        f"proxy must be the URL of a proxy with a host ({', '.join(_PROXY_SCHEMES)}), True (the environment's) or None"
        f" (none){'' if isinstance(proxy, str) and proxy else f', not {kind_of(proxy)}'}"
    )


def check_tls(ssl: object) -> None:
    """Refuse what is no TLS context, and warn of one that does not verify who answers."""
    if ssl is None:
        return
    if not isinstance(ssl, ssl_module.SSLContext):
        raise ConfigurationError(
            f"ssl must be an ssl.SSLContext, not {kind_of(ssl)}; TLS is verified by default without one"
        )
    if ssl.verify_mode is not ssl_module.CERT_REQUIRED or not ssl.check_hostname:
        warnings.warn(
            "the ssl context does not verify that it is the exchange that answers: anybody on the way can read and"
            " change everything, logons and orders included",
            InsecureTransportWarning,
            stacklevel=5,
        )


def check_way_out(local_addr: object, family: object) -> None:
    """Refuse a local address that is none, and one that is not of the family."""
    if family not in (None, "ipv4", "ipv6"):
        raise ConfigurationError(f'family must be "ipv4", "ipv6" or None, not {family!r}')
    if local_addr is None:
        return
    try:
        address = ipaddress.ip_address(local_addr if isinstance(local_addr, str) else "")
    except ValueError:
        raise ConfigurationError(
            f"local_addr must be an IP address of this machine, such as '192.0.2.7', not {local_addr!r}"
        ) from None
    if family is not None and family != f"ipv{address.version}":
        raise ConfigurationError(f"local_addr {local_addr} is no {family} address, and family says {family!r}")


#: what the handshake itself writes
_HANDSHAKE_HEADERS: Final = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_headers(headers: object) -> None:
    """Refuse headers that cannot be sent, or that are the handshake's own; their values may be secrets."""
    if headers is None:
        return
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must be a mapping of names to texts, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"headers: {name!r} is not the name of a header")
        if name.lower() in _HANDSHAKE_HEADERS or name.lower().startswith("sec-websocket-"):
            raise ConfigurationError(f"headers: {name} belongs to the WebSocket's handshake itself")
        if not isinstance(value, str) or not value.isascii() or not (value.isprintable() and value == value.strip()):
            raise ConfigurationError(f"headers: the value of {name} must be a text in ASCII on one line")


def check_name(name: object) -> None:
    """Refuse a name that would not fit a line of a log."""
    if name is not None and (not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 100):
        raise ConfigurationError(f"name must be a text of 1 to 100 printable characters, not {name!r}")


def is_exposed(url: str, proxy: object) -> bool:
    """Tell whether what is sent to ``url`` can be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "ws" and (isinstance(proxy, str) or not is_loopback(parts.hostname or ""))


def insecure(name: str, method: str | None = None, *, by_proxy: bool = False) -> InsecureTransportError:
    """Return the error for credentials that would go over an exposed connection; ``by_proxy``: through a proxy."""
    through = " and goes through a proxy: it" if by_proxy else " and"
    return InsecureTransportError(
        f"{name} is a plain ws:// address{through} would show the credentials to everybody on the way: use wss://",
        method=method,
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
