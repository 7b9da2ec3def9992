"""A session from the environment: every option, secrets by file, and what is wrong said by its name."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from binance_session import ApiKey, ConfigurationError, Ed25519Key, FixedInterval, HmacKey, RsaKey, Session
from binance_session.blocking import BlockingSession
from binance_session.settings import _IN_CODE, _OPTIONS
from binance_session.venues import COIN_M, SPOT_TESTNET, USD_M
from tests.exchange import exchange, rsa_key

KEY = Ed25519Key.generate(api_key="from-the-environment")


def private(path: Path, content: str | bytes) -> str:
    path.touch(0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def made(**settings: str) -> Session:
    return Session.from_env("BOT_", environ={f"BOT_{name}": text for name, text in settings.items()})


def pem(key: Any, password: str | None = None) -> bytes:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

    encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    whole: bytes = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return whole


def test_every_parameter_of_a_session_can_be_set_or_says_why_not() -> None:
    parameters = set(inspect.signature(Session.__init__).parameters) - {"self", "venue"}
    assert parameters <= _OPTIONS.keys() | set(_IN_CODE)
    assert _OPTIONS.keys() <= parameters


async def test_a_session_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exchange() as simulator:
        simulator.add_key(KEY.api_key, public_key=KEY.public_pem())
        settings = {
            "VENUE": "coin-m",
            "URL": simulator.url,
            "STREAM_URL": str(simulator.stream_url),
            "API_KEY_FILE": private(tmp_path / "api-key", f"{KEY.api_key}\n"),
            "KEY_FILE": private(tmp_path / "key.pem", pem(KEY)),
            "REQUEST_TIMEOUT": "5",
            "STANDBY": "true",
            "PING_INTERVAL": "none",
            "NAME": "mine",
        }
        for name, text in settings.items():
            monkeypatch.setenv(f"BINANCE_SESSION_{name}", text)
        async with Session.from_env() as session:
            assert session.authenticated
            assert session.name == "mine"
            assert session._options.request_timeout == 5.0
            assert session._options.ping_interval is None
            assert session._options.standby is True


def test_every_kind_of_key(tmp_path: Path) -> None:
    def key_of(session: Session) -> Any:
        return session._credentials

    assert key_of(made(VENUE="spot")) is None
    assert isinstance(key_of(made(VENUE="coin-m", API_KEY="key")), ApiKey)
    secret = private(tmp_path / "secret", "s" * 64)
    assert isinstance(key_of(made(VENUE="spot", API_KEY="key", SECRET_FILE=secret)), HmacKey)
    rsa = private(tmp_path / "rsa.pem", pem(rsa_key()))
    assert isinstance(key_of(made(VENUE="spot", API_KEY="key", KEY_FILE=rsa)), RsaKey)
    locked = private(tmp_path / "locked.pem", pem(KEY, "word"))
    word = private(tmp_path / "word", "word\n")
    assert isinstance(key_of(made(VENUE="usd-m", API_KEY="key", KEY_FILE=locked, PASSWORD_FILE=word)), Ed25519Key)


def test_what_no_text_can_say_is_passed() -> None:
    environ = {"BINANCE_SESSION_VENUE": "Spot testnet", "BINANCE_SESSION_LOGON": "false"}
    session = Session.from_env(environ=environ, keepalive=FixedInterval(60.0), request_timeout=3)
    assert session.venue is SPOT_TESTNET
    assert session._options.keepalive == FixedInterval(60.0)
    assert session._options.request_timeout == 3


def test_subclasses_and_blocking_sessions() -> None:
    class Bot(Session):
        pass

    assert isinstance(Bot.from_env(environ={"BINANCE_SESSION_VENUE": "usd-m"}), Bot)
    blocking = BlockingSession.from_env(environ={"BINANCE_SESSION_VENUE": "usd-m", "BINANCE_SESSION_TIMINGS": "true"})
    assert blocking.venue is USD_M
    assert COIN_M is not blocking.venue


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "BOT_VENUE is not set"),
        ({"VENUE": "coinm"}, "BOT_VENUE: there is no venue 'coinm': did you mean 'coin-m'?"),
        (
            {"VENUE": "spot", "REQEST_TIMEOUT": "3"},
            "BOT_REQEST_TIMEOUT: did you mean BOT_REQUEST_TIMEOUT?",
        ),
        ({"VENUE": "spot", "REQUEST_TIMEOUT": "soon"}, "BOT_REQUEST_TIMEOUT must be a number, not 'soon'"),
        ({"VENUE": "spot", "REQUEST_TIMEOUT": "nan"}, "request_timeout must be a finite number"),
        ({"VENUE": "spot", "MAX_IN_FLIGHT": "1.5"}, "must be a whole number"),
        ({"VENUE": "spot", "STANDBY": "1"}, "BOT_STANDBY must be true or false"),
        ({"VENUE": "spot", "KEEPALIVE": "60"}, "pass it to from_env()"),
        ({"VENUE": "spot", "SECRET": "hidden-secret"}, "a secret is read from a file"),
        ({"VENUE": "spot", "KEY_FILE": "key.pem"}, "neither is set"),
        ({"VENUE": "spot", "API_KEY": "a", "API_KEY_FILE": "b"}, "both are set"),
        ({"VENUE": "spot", "API_KEY": "a", "KEY_FILE": "b", "SECRET_FILE": "c"}, "a key has one of them"),
        ({"VENUE": "spot", "API_KEY": "a", "PASSWORD_FILE": "c"}, "which is not set"),
        ({"VENUE": "spot", "API_KEY": "a", "KEY_FILE": "/no/such/file"}, "cannot be read"),
        ({"VENUE": "spot", "URL": "http://example.com"}, "url must be a ws:// or wss:// address"),
    ],
)
def test_what_is_wrong_is_said_by_its_name(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**settings)
    assert said in str(caught.value)
    assert "hidden-secret" not in str(caught.value)
