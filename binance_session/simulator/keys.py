"""API keys: whose they are, what they may do, and whether a signature is theirs (PROTOCOL.md §3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import define, field

from binance_session.masking import masked
from binance_session.simulator.accounts import Account
from binance_session.venues import Security

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = str | bytes | Ed25519PublicKey | RSAPublicKey

__all__ = ["ALL_PERMISSIONS", "Algorithm", "ApiKeyRecord", "api_key_record"]

ALL_PERMISSIONS = frozenset({Security.USER_STREAM, Security.USER_DATA, Security.TRADE})

Verify = Callable[[str, str], bool]


class Algorithm(StrEnum):
    """How a key signs."""

    ED25519 = "Ed25519"
    RSA = "RSA"
    HMAC = "HMAC-SHA-256"


@define(eq=False)
class ApiKeyRecord:
    """One API key as the exchange keeps it.

    ``valid`` is ``False`` while the key is revoked. ``addresses`` are the IP addresses from which it may be used,
    or ``None`` for all. Its text is masked wherever it is shown.
    """

    api_key: str = field(repr=masked)
    algorithm: Algorithm
    verify: Verify = field(repr=False)
    account: Account
    permissions: frozenset[Security] = ALL_PERMISSIONS
    addresses: frozenset[str] | None = None
    valid: bool = True

    def may(self, security: Security, address: str) -> bool:
        """Return whether the key can be used for a method of this security type from this address."""
        return (
            self.valid
            and (self.addresses is None or address in self.addresses)
            and (security is Security.NONE or security in self.permissions)
        )


def api_key_record(
    api_key: str,
    account: Account,
    *,
    public_key: PublicKey | None = None,
    secret: str | None = None,
    permissions: Iterable[str] | None = None,
    addresses: Iterable[str] | None = None,
) -> ApiKeyRecord:
    """Return a record for a key with either a public key (Ed25519 or RSA, told by the key itself) or a secret (HMAC).

    ``public_key`` is PEM as text or bytes, or a key object of the ``cryptography`` package; ``permissions`` are
    security types (``"USER_STREAM"``, ``"USER_DATA"``, ``"TRADE"``), all of them by default.
    Raises :class:`ValueError` for both or neither, for an unknown permission, and for any other kind of key.
    """
    if not isinstance(api_key, str) or not api_key:
        raise ValueError("an API key is a non-empty text")
    if (public_key is None) == (secret is None):
        raise ValueError("a key has either public_key (Ed25519, RSA) or secret (HMAC)")
    if secret is not None:
        algorithm, verify = Algorithm.HMAC, _hmac(secret)
    else:
        algorithm, verify = _asymmetric(public_key)
    return ApiKeyRecord(
        api_key,
        algorithm,
        verify,
        account,
        ALL_PERMISSIONS if permissions is None else frozenset(Security(name) for name in permissions),
        None if addresses is None else frozenset(addresses),
    )


def _hmac(secret: str) -> Verify:
    key = secret.encode()

    def verify(payload: str, signature: str) -> bool:
        expected = hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()
        # Hex digits: the one signature whose case does not matter.
        return hmac.compare_digest(expected.encode(), signature.lower().encode())

    return verify


def _asymmetric(public_key: PublicKey | None) -> tuple[Algorithm, Verify]:
    # Imported here: loading it takes longer than the rest of the simulator, and HMAC keys do not need it.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key: object = public_key
    if isinstance(key, str):
        key = key.encode()
    if isinstance(key, bytes):
        key = load_pem_public_key(key)

    check: Callable[[bytes, bytes], None]
    if isinstance(key, Ed25519PublicKey):
        algorithm, check = Algorithm.ED25519, key.verify
    elif isinstance(key, RSAPublicKey):
        rsa = key
        algorithm = Algorithm.RSA

        def check(signature: bytes, payload: bytes) -> None:
            rsa.verify(signature, payload, PKCS1v15(), SHA256())
    else:
        raise ValueError(f"a public key is Ed25519 or RSA, not {type(key).__name__}")

    def verify(payload: str, signature: str) -> bool:
        try:
            check(base64.b64decode(signature, validate=True), payload.encode())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    return algorithm, verify
