"""Keys and secrets in files: read once, small, and warned about when others can read them too."""

from __future__ import annotations

from typing import Final

from binance_session.credentials import Ed25519Key, RsaKey, check_mode
from binance_session.errors import ConfigurationError

__all__ = ["from_file", "key_from_pem", "read_file"]

#: bytes of a key's file; an RSA key of 4096 bits has some 3,300
_LARGEST: Final = 64 * 1024


def from_file(path: str, what: str, *, secret: bool = False) -> str:
    """Return a file's text without the white space around it; raise :class:`ConfigurationError` without it.

    Warns with :class:`InsecureKeyFileWarning` when others can read a file that is a ``secret``.
    """
    try:
        text = read_file(path, what, secret=secret).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{what}: {path} is not a text file") from None
    if not text:
        raise ConfigurationError(f"{what}: {path} is empty")
    return text


def read_file(path: str, what: str, *, secret: bool) -> bytes:
    """Return what is in a file, which is read once: it may be a pipe (``<(...)``), which cannot be read again."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
            if secret:
                check_mode(what, path, file.fileno())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(f"{what}: {path} cannot be read ({reason})") from None
    if len(data) > _LARGEST:
        raise ConfigurationError(f"{what}: {path} is longer than {_LARGEST // 1024} KiB: is it the right file?")
    if not data:
        raise ConfigurationError(f"{what}: {path} is empty")
    return data


def key_from_pem(pem: bytes, api_key: str, password: str | None, path: str) -> Ed25519Key | RsaKey:
    """Return the Ed25519 or RSA key that is in ``pem``; ``path`` is named where it is neither.

    Raises :class:`ConfigurationError`.
    """
    try:
        return Ed25519Key.from_pem(pem, api_key=api_key, password=password)
    except ConfigurationError as error:
        try:
            return RsaKey.from_pem(pem, api_key=api_key, password=password)
        except ConfigurationError:
            raise ConfigurationError(f"{path}: {error}") from None
