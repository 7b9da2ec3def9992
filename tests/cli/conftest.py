"""Keys in files, as the command line takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from binance_session.venues import COIN_M
from tests.cli.background import Background

API_KEY = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCD"


@frozen
class KeyPair:
    """A private key in a file, and its public half as PEM."""

    path: Path
    public: str

    @property
    def secret_text(self) -> str:
        """What must never be shown of it."""
        return self.path.read_text().splitlines()[1]


def save(key: Ed25519PrivateKey | RSAPrivateKey, path: Path, password: str | None = None, mode: int = 0o600) -> KeyPair:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    path.touch(mode)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(path, public.decode())


@pytest.fixture
def ed25519(tmp_path: Path) -> KeyPair:
    return save(Ed25519PrivateKey.generate(), tmp_path / "ed25519.pem")


@pytest.fixture
def rsa(tmp_path: Path) -> KeyPair:
    return save(generate_private_key(65537, 2048), tmp_path / "rsa.pem")


@pytest.fixture
def exchange() -> Iterator[Background]:
    """A COIN-M simulator that knows no key yet."""
    with Background(COIN_M) as background:
        yield background


@pytest.fixture(autouse=True)
def _nothing_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, and no width of a terminal, of which pytest-xdist tells its workers."""
    monkeypatch.delenv("BINANCE_API_KEY", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
