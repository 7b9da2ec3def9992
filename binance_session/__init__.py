"""One long-lived, authenticated Binance WebSocket API session that tells the truth about every request."""

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
    "Ed25519Key",
    "Event",
    "EventsOverflow",
    "ExponentialBackoff",
    "Fate",
    "FixedInterval",
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
]
