"""A session from environment variables: every option by its name, secrets by the name of their file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from binance_session.credentials import ApiKey, Credentials, HmacKey
from binance_session.errors import ConfigurationError
from binance_session.keyfiles import from_file, key_from_pem, read_file
from binance_session.masking import shown
from binance_session.venues import Venue, nearest

__all__ = ["SettingsMethods"]


def _number(text: str) -> float:
    return float(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _or_flag(text: str) -> str | bool:
    return _flag(text) if text.lower() in ("true", "false") else text


#: how the text of each option is read, and what it is in words; "none" is None where the option may be that
_OPTIONS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    **dict.fromkeys(
        (
            *("request_timeout", "open_timeout", "close_timeout", "ping_interval", "ping_timeout", "rollover_after"),
            "weight_reserve",
        ),
        (_number, "a number"),
    ),
    **dict.fromkeys(("recv_window", "max_in_flight", "max_size"), (int, "a whole number")),
    **dict.fromkeys(("coalesce", "standby", "timings"), (_flag, "true or false")),
    **dict.fromkeys(
        ("on_unready", "url", "stream_url", "local_addr", "family", "compression", "name"), (str, "a text")
    ),
    "logon": (_or_flag, "auto, true or false"),
    "proxy": (_or_flag, "an address, true or none"),
}
_OTHERS: Final = ("venue", "api_key", "api_key_file", "key_file", "secret_file", "password_file")
#: parameters of a session that no text stands for
_IN_CODE: Final = ("keepalive", "reconnect", "ssl", "headers", "wall_clock", "credentials", "recorder", "coordination")


class SettingsMethods:
    """How a session is made of settings."""

    @classmethod
    def from_env(
        cls, prefix: str = "BINANCE_SESSION_", *, environ: Mapping[str, str] | None = None, **options: Any
    ) -> Self:
        """Return a session made of the environment variables that begin with ``prefix``.

        ``VENUE`` names the venue (``coin-m``, ``usd-m-testnet``, ...; see :meth:`Venue.named`). The key is in files:
        ``API_KEY_FILE`` (or ``API_KEY``), and ``KEY_FILE`` (Ed25519 or RSA, as PEM; ``PASSWORD_FILE`` if it is
        encrypted) or ``SECRET_FILE`` (HMAC). Every other parameter has its own name: ``REQUEST_TIMEOUT=5``,
        ``STANDBY=true``, ``PING_INTERVAL=none``. ``options`` stand in for what is not set, and take what no text can
        say: policies, headers, a TLS context.

        Raises :class:`ConfigurationError` for a variable that there is not, a value that cannot be, and a file that
        cannot be read.
        """
        found = os.environ if environ is None else environ
        texts = {name[len(prefix) :].lower(): text for name, text in found.items() if name.startswith(prefix)}
        for name in texts:
            if name not in _OPTIONS and name not in _OTHERS:
                raise ConfigurationError(_unknown(prefix, name))
        if "venue" not in texts:
            raise ConfigurationError(f"{prefix}VENUE is not set: coin-m, usd-m, spot, or one with -testnet behind it")
        try:
            venue = Venue.named(texts["venue"])
        except ConfigurationError as error:
            raise ConfigurationError(f"{prefix}VENUE: {error}") from None
        key = _key(prefix, texts)
        for name, text in texts.items():
            if name in _OPTIONS:
                options[name] = _read(prefix, name, text)
        try:
            return cls(venue, key, **options)  # type: ignore[call-arg]
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (set by variables {prefix}...)") from None


def _unknown(prefix: str, name: str) -> str:
    whole = shown(f"{prefix}{name.upper()}", 100)
    if name in _IN_CODE:
        return f"{whole}: {name} cannot be said in a text: pass it to from_env()"
    if name in ("secret", "password"):
        return f"{whole}: a secret is read from a file, not from the environment: {prefix}{name.upper()}_FILE"
    meant = nearest(name, (*_OPTIONS, *_OTHERS))
    hint = "" if meant is None else f": did you mean {prefix}{meant.upper()}?"
    return f"there is no setting {whole}{hint}"


def _read(prefix: str, name: str, text: str) -> Any:
    if text.lower() == "none":
        return None
    read, kind = _OPTIONS[name]
    try:
        return read(text)
    except ValueError:
        raise ConfigurationError(f"{prefix}{name.upper()} must be {kind}, not {shown(repr(text), 60)}") from None


def _key(prefix: str, texts: Mapping[str, str]) -> Credentials | None:
    """Return the key that the settings name, ``None`` if they name none."""
    named = [name for name in ("api_key", "api_key_file", "key_file", "secret_file", "password_file") if name in texts]
    if not named:
        return None
    if ("api_key" in texts) == ("api_key_file" in texts):
        which = "both are" if "api_key" in texts else "neither is"
        raise ConfigurationError(f"{prefix}API_KEY_FILE or {prefix}API_KEY: {which} set, and a key needs one of them")
    if "key_file" in texts and "secret_file" in texts:
        raise ConfigurationError(f"{prefix}KEY_FILE and {prefix}SECRET_FILE are both set: a key has one of them")
    if "password_file" in texts and "key_file" not in texts:
        raise ConfigurationError(f"{prefix}PASSWORD_FILE is for the private key of {prefix}KEY_FILE, which is not set")
    api_key = texts.get("api_key") or from_file(texts["api_key_file"], "the apiKey", secret=True)
    if "key_file" in texts:
        path = texts["key_file"]
        password = None
        if "password_file" in texts:
            password = from_file(texts["password_file"], "the private key's password", secret=True)
        return key_from_pem(read_file(path, "the private key", secret=True), api_key, password, path)
    if "secret_file" in texts:
        return HmacKey(api_key, from_file(texts["secret_file"], "the HMAC secret", secret=True))
    return ApiKey(api_key)
