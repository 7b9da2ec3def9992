"""Keys, and how each kind signs.

A session needs three things of a credential: ``api_key``, ``can_logon`` and ``sign(payload)``. Any object that has
them can be used (:class:`Credentials`): a hardware key, a remote signer, one of the four here.

* :class:`Ed25519Key` logs the connection on once; requests then carry neither key nor signature.
* :class:`HmacKey` and :class:`RsaKey` sign each request.
* :class:`ApiKey` signs nothing: it is enough for the user data stream of futures.

Protocol: PROTOCOL.md §3 (payload, algorithms), §4 (``session.logon`` takes Ed25519 only).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stat
import warnings
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, runtime_checkable

from attrs import field, frozen

from binance_session.errors import ConfigurationError
from binance_session.masking import kind_of, masked
from binance_session.params import Params, clean, text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = [
    "ApiKey",
    "Credentials",
    "Ed25519Key",
    "HmacKey",
    "InsecureKeyFileWarning",
    "RsaKey",
    "masked",
    "signature_payload",
]

Pem = str | bytes | os.PathLike[str]


class InsecureKeyFileWarning(UserWarning):
    """A private key's file can be read by other users of the machine.

    Not issued for a file system that is mounted read-only, such as the volume of a secret in a container, where the
    mode cannot be changed.
    """


#: bytes; no key is larger
_LARGEST_FILE: Final = 2**20
#: the form of an HMAC secret
_HMAC_SECRET: Final = re.compile(rb"\s*[A-Za-z0-9]{64}\s*")


@runtime_checkable
class Credentials(Protocol):
    """What a session needs of a key."""

    @property
    def api_key(self) -> str:
        """The apiKey that the exchange issued."""
        ...

    @property
    def can_logon(self) -> bool:
        """Whether ``session.logon`` takes this kind of key (Ed25519 only)."""
        ...

    def sign(self, payload: str) -> str | Awaitable[str]:
        """Return the signature of ``payload`` as text. Called on the event loop: it must not block for long.

        It may be ``async``: a request that is signed by it is written when the signature is there, after those before
        it that wait for theirs.
        """
        ...


def signature_payload(params: Params) -> str:
    """Return the text that is signed for ``params``.

    All parameters except ``signature``, sorted by name, as ``name=value`` joined by ``&``, without
    percent encoding (PROTOCOL.md §3). Raises :class:`ConfigurationError` for a value without an exact text.
    """
    cleaned = clean(params)
    cleaned.pop("signature", None)
    return "&".join([f"{name}={text(cleaned[name])}" for name in sorted(cleaned)])


def _api_key(instance: object, attribute: object, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"api_key must be the apiKey as Binance shows it, not {kind_of(value)}")
    if "-----BEGIN" in value:
        raise ConfigurationError("api_key must be the short text that Binance shows for the key, and this is a PEM key")
    if value != value.strip() and value.strip():
        raise ConfigurationError(
            "api_key begins or ends with white space, perhaps the line break of a file: strip() it"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError("api_key contains characters that no apiKey has: check what was pasted")


@frozen(repr=False, eq=False)
class _Key:
    api_key: str = field(validator=_api_key)

    @property
    def can_logon(self) -> bool:
        """Whether ``session.logon`` takes this key."""
        return False

    def __repr__(self) -> str:
        """Name the kind of key and a hint of the apiKey; never a secret."""
        return f"{type(self).__name__}(api_key={masked(self.api_key)!r})"


@frozen(repr=False, eq=False)
class ApiKey(_Key):
    """An apiKey alone: no signature, so no orders; enough for ``userDataStream.*`` on futures."""

    def sign(self, payload: str) -> str:
        """Raise :class:`ConfigurationError`: there is nothing to sign with."""
        raise ConfigurationError(
            "this request must be signed, and an ApiKey cannot sign: use Ed25519Key, HmacKey or RsaKey"
        )


class _Secret(str):
    """Text that does not show itself where dicts of attributes are printed (``attrs.asdict``)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


def _hidden(value: Any) -> Any:
    return _Secret(value) if isinstance(value, str) else value


def _secret(instance: object, attribute: object, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"secret must be the HMAC secret as Binance showed it, not {kind_of(value)}")
    if "-----BEGIN" in value:
        raise ConfigurationError(
            "secret must be an HMAC secret, and this is a PEM key: load it with Ed25519Key.from_pem or RsaKey.from_pem"
        )
    if value != value.strip():
        raise ConfigurationError(
            "secret must be without the line break or space at its end or beginning, as a file that is read whole has"
            " one: strip() it"
        )
    if not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            "secret must be the text that Binance showed for the key, and contains characters that no secret has"
        )


@frozen(repr=False, eq=False)
class HmacKey(_Key):
    """An HMAC-SHA-256 key pair: signs each request; ``session.logon`` does not take it."""

    secret: str = field(converter=_hidden, validator=_secret)

    def sign(self, payload: str) -> str:
        """Return the HMAC-SHA-256 of ``payload`` in hexadecimal."""
        return hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def _ed25519(instance: object, attribute: object, value: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not isinstance(value, Ed25519PrivateKey):
        raise ConfigurationError("private_key must be an Ed25519PrivateKey: load one with Ed25519Key.from_pem")


def _rsa(instance: object, attribute: object, value: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if not isinstance(value, RSAPrivateKey):
        raise ConfigurationError("private_key must be an RSAPrivateKey: load one with RsaKey.from_pem")


@frozen(repr=False, eq=False)
class Ed25519Key(_Key):
    """An Ed25519 private key: the one kind that ``session.logon`` takes."""

    private_key: Ed25519PrivateKey = field(validator=_ed25519)

    @property
    def can_logon(self) -> bool:
        """Whether ``session.logon`` takes this key: always."""
        return True

    @classmethod
    def from_pem(cls, pem: Pem, *, api_key: str, password: str | bytes | None = None) -> Self:
        """Load a PKCS#8 PEM private key from a path, or from PEM text or bytes.

        Raises :class:`ConfigurationError` when it is another kind of key, a public key, no key at all, or when the
        password is missing or wrong. Warns with :class:`InsecureKeyFileWarning` when others can read the file.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        ApiKey(api_key)  # checked first, so that the file is not blamed for it
        return cls(api_key, _load(pem, password, Ed25519PrivateKey, "an Ed25519"))

    @classmethod
    def generate(cls, *, api_key: str) -> Self:
        """Make a new private key, for a simulator or a test. ``binance-session keygen`` makes one that is kept."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(api_key, Ed25519PrivateKey.generate())

    def public_pem(self) -> str:
        """Return the public half as PEM text, to be registered at the exchange."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, payload: str) -> str:
        """Return the Ed25519 signature of ``payload`` in base64."""
        return base64.b64encode(self.private_key.sign(payload.encode())).decode()


@frozen(repr=False, eq=False)
class RsaKey(_Key):
    """An RSA private key (2048 to 4096 bit): signs each request; ``session.logon`` does not take it."""

    private_key: RSAPrivateKey = field(validator=_rsa)

    @classmethod
    def from_pem(cls, pem: Pem, *, api_key: str, password: str | bytes | None = None) -> Self:
        """Load a PKCS#8 PEM private key; see :meth:`Ed25519Key.from_pem`."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

        ApiKey(api_key)
        return cls(api_key, _load(pem, password, RSAPrivateKey, "an RSA"))

    def sign(self, payload: str) -> str:
        """Return the RSASSA-PKCS1-v1_5 signature over SHA-256 of ``payload`` in base64."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        return base64.b64encode(self.private_key.sign(payload.encode(), PKCS1v15(), SHA256())).decode()


def _read(pem: Pem) -> bytes:
    if isinstance(pem, bytes):
        return pem
    if pem == "":  # as a path it would be the current directory
        raise ConfigurationError("the key is an empty text: is the variable set that holds its path or PEM text?")
    if isinstance(pem, str) and "-----BEGIN" in pem:
        return pem.encode(errors="replace")  # a UnicodeEncodeError would carry the key
    try:
        with open(Path(pem), "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
            mode = os.fstat(file.fileno()).st_mode
            can_change = not _is_read_only(file.fileno())
    except (OSError, TypeError, ValueError) as error:
        # The argument may be a key without its header: the message must not repeat it.
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        secret = isinstance(pem, str) and _HMAC_SECRET.fullmatch(pem.encode(errors="replace"))
        raise ConfigurationError(
            f"the key file cannot be read ({reason}); pass a path, or PEM text that begins with -----BEGIN"
            + ("; this looks like an HMAC secret, which HmacKey takes" if secret else "")
        ) from None
    if len(data) > _LARGEST_FILE:
        raise ConfigurationError("the key file is larger than any key: is it the right file?")
    if (
        os.name == "posix"
        and can_change
        and stat.S_ISREG(mode)
        and mode & (stat.S_IRWXG | stat.S_IRWXO)
        and b"PRIVATE KEY-----" in data
    ):
        warnings.warn(
            f"others can read the private key {pem}: run chmod 600 on it", InsecureKeyFileWarning, stacklevel=4
        )
    return data


def _is_read_only(file: int) -> bool:
    """Return whether an open file is on a file system that is mounted read-only."""
    try:
        return bool(os.fstatvfs(file).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # not a POSIX system
        return False


def _demand_pem(data: bytes) -> None:
    """Raise :class:`ConfigurationError`, which says what the data most likely is, unless it is a private key in PEM."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"-\0-\0-\0" in data or b"\0-\0-\0-" in data:
        raise ConfigurationError(
            "the key is written in UTF-16, as some editors and shells of Windows do: save it as UTF-8 or ASCII"
        )
    if b"-----BEGIN" not in data:
        what = (
            "this looks like an HMAC secret, which HmacKey takes"
            if _HMAC_SECRET.fullmatch(data)
            else "it must begin with -----BEGIN PRIVATE KEY-----"
        )
        raise ConfigurationError(f"this is not a PEM key: {what}")
    if b"\\n" in data:
        raise ConfigurationError(
            "the PEM text contains the two characters \\n in place of line breaks, as PEM text from an environment"
            " variable or a JSON file may: pass text.replace('\\\\n', '\\n')"
        )
    if b"BEGIN OPENSSH PRIVATE KEY" in data:
        raise ConfigurationError(
            "this is a key in OpenSSH's format; PKCS#8 PEM is needed, which begins with -----BEGIN PRIVATE"
            " KEY-----: binance-session keygen makes such a key, and so does openssl genpkey -algorithm ed25519"
        )
    if b"PRIVATE KEY-----" not in data:
        what = "a public key" if b"PUBLIC KEY-----" in data else "not a private key"
        raise ConfigurationError(f"this is {what}: a session needs the private key to sign")


def _password(password: object) -> bytes | None:
    if isinstance(password, str):
        try:
            password = password.encode()
        except UnicodeEncodeError:
            raise ConfigurationError("password is not valid Unicode text: pass its bytes") from None
    if password is not None and not isinstance(password, bytes):
        raise ConfigurationError(f"password must be a text or bytes, not {kind_of(password)}")
    return password or None


def _load(pem: Pem, password: str | bytes | None, wanted: Any, article: str) -> Any:
    # Imported here because loading it takes longer than the rest of the package together,
    # and a session with an HMAC key never needs it.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(pem)
    _demand_pem(data)
    secret = _password(password)
    try:
        key = load_pem_private_key(data, secret)
    except TypeError as error:
        # cryptography raises this when a password is missing, or given for a key that has none
        if "not encrypted" in str(error):
            raise ConfigurationError("a password was given, but the private key is not encrypted") from None
        raise ConfigurationError("the private key is encrypted: pass password=") from None
    except (ValueError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in data:
            raise ConfigurationError("the private key cannot be decrypted: is the password right?") from None
        raise ConfigurationError("the private key cannot be read: it is damaged, or of an unknown kind") from None
    if not isinstance(key, wanted):
        found = type(key).__name__.replace("PrivateKey", "").replace("_", "")
        taker = {"Ed25519": "; Ed25519Key takes it", "RSA": "; RsaKey takes it"}.get(found, "")
        raise ConfigurationError(f"{article} private key is needed, and this is another kind ({found}){taker}")
    return key


def check_mode(what: str, path: str, descriptor: int) -> None:
    """Warn with :class:`InsecureKeyFileWarning` if others can read an open file that holds a secret.

    ``what`` it holds and its ``path`` are named in the warning. There is none for a pipe, nor for a file system that is
    mounted read-only, where the mode cannot be changed.
    """
    if os.name != "posix":
        return
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) or not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    if not os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        warnings.warn(f"others can read {what} {path}: run chmod 600 on it", InsecureKeyFileWarning, stacklevel=2)
