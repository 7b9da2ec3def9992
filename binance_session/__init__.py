"""One long-lived, authenticated Binance WebSocket API session that tells the truth about every request.

A name is imported from its module when it is first asked for: what is not used costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from binance_session.checks import InsecureTransportWarning
    from binance_session.credentials import ApiKey, Credentials, Ed25519Key, HmacKey, InsecureKeyFileWarning, RsaKey
    from binance_session.errors import (
        ApiError,
        BinanceSessionError,
        ConfigurationError,
        ConnectError,
        ConnectionLost,
        EventsOverflow,
        InsecureTransportError,
        InvalidTimestamp,
        IpBanned,
        ListenKeyNotFound,
        LogonRejected,
        NotSent,
        Outcome,
        ProtocolError,
        RateLimited,
        RequestTimeout,
        ServerError,
        SessionClosed,
        SessionRevoked,
    )
    from binance_session.events.stream import UserDataStream
    from binance_session.health import Health
    from binance_session.keepalive import (
        AdaptiveKeepalive,
        FixedInterval,
        KeepalivePolicy,
        KeepaliveStatus,
        NoKeepalive,
    )
    from binance_session.manager import SessionManager
    from binance_session.params import Params
    from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy
    from binance_session.recorder import FlightRecorder
    from binance_session.replaying import Difference, Differences, replay
    from binance_session.responses import Event, ListenKey, RateLimit, Response, SessionStatus
    from binance_session.session import Session
    from binance_session.settlement.fate import Fate
    from binance_session.state import SessionState
    from binance_session.stats import Stats
    from binance_session.venues import (
        COIN_M,
        COIN_M_TESTNET,
        SPOT,
        SPOT_TESTNET,
        USD_M,
        USD_M_TESTNET,
        Venue,
    )

__all__ = [
    "COIN_M",
    "COIN_M_TESTNET",
    "SPOT",
    "SPOT_TESTNET",
    "USD_M",
    "USD_M_TESTNET",
    "AdaptiveKeepalive",
    "ApiError",
    "ApiKey",
    "BinanceSessionError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLost",
    "Credentials",
    "Difference",
    "Differences",
    "Ed25519Key",
    "Event",
    "EventsOverflow",
    "ExponentialBackoff",
    "Fate",
    "FixedInterval",
    "FlightRecorder",
    "Health",
    "HmacKey",
    "InsecureKeyFileWarning",
    "InsecureTransportError",
    "InsecureTransportWarning",
    "InvalidTimestamp",
    "IpBanned",
    "KeepalivePolicy",
    "KeepaliveStatus",
    "ListenKey",
    "ListenKeyNotFound",
    "LogonRejected",
    "NoKeepalive",
    "NotSent",
    "Outcome",
    "Params",
    "ProtocolError",
    "RateLimit",
    "RateLimited",
    "ReconnectPolicy",
    "RequestTimeout",
    "Response",
    "RsaKey",
    "ServerError",
    "Session",
    "SessionClosed",
    "SessionManager",
    "SessionRevoked",
    "SessionState",
    "SessionStatus",
    "Stats",
    "UserDataStream",
    "Venue",
    "replay",
]

#: where each name is
_MODULES: Final = {
    "checks": ("InsecureTransportWarning",),
    "credentials": (
        "ApiKey",
        "Credentials",
        "Ed25519Key",
        "HmacKey",
        "InsecureKeyFileWarning",
        "RsaKey",
    ),
    "errors": (
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
    ),
    "events.stream": ("UserDataStream",),
    "health": ("Health",),
    "keepalive": (
        "AdaptiveKeepalive",
        "FixedInterval",
        "KeepalivePolicy",
        "KeepaliveStatus",
        "NoKeepalive",
    ),
    "manager": ("SessionManager",),
    "params": ("Params",),
    "recorder": ("FlightRecorder",),
    "replaying": ("Difference", "Differences", "replay"),
    "reconnect": (
        "ExponentialBackoff",
        "ReconnectPolicy",
    ),
    "responses": (
        "Event",
        "ListenKey",
        "RateLimit",
        "Response",
        "SessionStatus",
    ),
    "session": ("Session",),
    "settlement.fate": ("Fate",),
    "state": ("SessionState",),
    "stats": ("Stats",),
    "venues": (
        "COIN_M",
        "COIN_M_TESTNET",
        "SPOT",
        "SPOT_TESTNET",
        "USD_M",
        "USD_M_TESTNET",
        "Venue",
    ),
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
