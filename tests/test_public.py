"""The names that users type, and what importing them costs."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import binance_session
from binance_session import ExponentialBackoff, KeepalivePolicy, ReconnectPolicy, Session, errors, simulator

CONTRACT = [
    "Session",
    "SessionState",
    "SessionStatus",
    "Venue",
    "COIN_M",
    "COIN_M_TESTNET",
    "USD_M",
    "USD_M_TESTNET",
    "SPOT",
    "SPOT_TESTNET",
    "ApiKey",
    "Ed25519Key",
    "HmacKey",
    "RsaKey",
    "KeepalivePolicy",
    "KeepaliveStatus",
    "FixedInterval",
    "AdaptiveKeepalive",
    "NoKeepalive",
    "ReconnectPolicy",
    "ExponentialBackoff",
    "Response",
    "RateLimit",
    "Event",
    "ListenKey",
    "BinanceSessionError",
    "ConfigurationError",
    "InsecureTransportError",
    "ConnectError",
    "LogonRejected",
    "SessionRevoked",
    "SessionClosed",
    "EventsOverflow",
    "NotSent",
    "ConnectionLost",
    "RequestTimeout",
    "ProtocolError",
    "ApiError",
    "RateLimited",
    "IpBanned",
    "InvalidTimestamp",
    "ListenKeyNotFound",
    "ServerError",
]


def test_every_promised_name_is_exported() -> None:
    """And everything exported exists."""
    assert set(CONTRACT) <= set(binance_session.__all__)
    assert all(hasattr(binance_session, name) for name in binance_session.__all__)
    assert binance_session.__all__ == sorted(binance_session.__all__, key=lambda name: (not name.isupper(), name))


def test_every_error_is_below_one() -> None:
    """``except BinanceSessionError`` is enough."""
    raised = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert {kind.__name__ for kind in raised} == set(CONTRACT[CONTRACT.index("BinanceSessionError") :])
    assert all(issubclass(kind, errors.BinanceSessionError) for kind in raised)


def test_the_sessions_parameters_and_their_defaults() -> None:
    """Keyword-only after venue and credentials, with the documented defaults."""
    parameters = inspect.signature(Session).parameters
    assert list(parameters)[:2] == ["venue", "credentials"]
    keywords = {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert keywords["logon"] == "auto"
    assert keywords["on_unready"] == "auto"
    assert keywords["request_timeout"] == 10.0
    assert keywords["recv_window"] is None
    assert keywords["compression"] is None
    assert keywords["max_size"] >= 32 * 2**20
    assert isinstance(keywords["keepalive"], binance_session.AdaptiveKeepalive)
    assert keywords["reconnect"] == ExponentialBackoff(initial=0.1, maximum=30.0)
    assert isinstance(keywords["keepalive"], KeepalivePolicy)
    assert isinstance(keywords["reconnect"], ReconnectPolicy)


def test_everything_public_is_documented() -> None:
    """A docstring for each exported class and for each of its public methods."""
    for module in (binance_session, simulator):
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.isclass(value):
                continue
            assert inspect.getdoc(value), name
            for member, function in vars(value).items():
                if inspect.isfunction(function) and not member.startswith("_"):
                    assert inspect.getdoc(function), f"{name}.{member}"


@pytest.mark.parametrize(
    "kind",
    [binance_session.Stats, binance_session.KeepaliveStatus, binance_session.Event],
    ids=lambda kind: kind.__name__,
)
def test_help_says_what_each_field_means(kind: Any) -> None:
    """Comments in the source are not shown by help()."""
    for field in attrs.fields(kind):
        assert field.name.startswith("_") or re.search(rf"\b{field.name}\b", kind.__doc__), field.name


def test_help_says_what_each_state_means() -> None:
    doc = inspect.getdoc(binance_session.SessionState) or ""
    assert [line.split()[0] for line in doc.splitlines() if line.startswith("    ")] == [
        state.name for state in binance_session.SessionState
    ]


@pytest.mark.parametrize("unneeded", ["binance_session.simulator", "binance_session.cli", "argparse", "cryptography"])
def test_what_is_not_needed_is_not_imported(unneeded: str) -> None:
    """A bot pays for what it uses."""
    code = f"import sys, binance_session; sys.exit({unneeded!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_names_are_imported_when_they_are_asked_for() -> None:
    """What type checkers read, and what is done at run time, are the same names from the same modules."""
    source = Path(binance_session.__file__).read_text(encoding="utf-8")
    [block] = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    read = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert read == {name: f"binance_session.{module}" for name, module in binance_session._MODULE_OF.items()}
    assert set(read) == set(binance_session.__all__) <= set(dir(binance_session))
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        _ = binance_session.Sesion
    code = "import sys, binance_session; sys.exit('binance_session.session' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
