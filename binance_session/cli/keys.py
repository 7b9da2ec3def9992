"""Keys from files, the environment or a prompt: never from an argument, which every process list shows."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import warnings
from typing import Final

from binance_session.credentials import ApiKey, Credentials, Ed25519Key, HmacKey, RsaKey
from binance_session.errors import ConfigurationError
from binance_session.keyfiles import from_file, key_from_pem, read_file
from binance_session.masking import shown

__all__ = ["KEY_OPTIONS", "add_key_options", "checked_credentials", "from_environment", "from_file"]

#: the options that name a key or a part of it, as argparse keeps them
KEY_OPTIONS: Final = ("api_key_env", "api_key_file", "key_file", "secret_env", "secret_file", "password_env")
_API_KEY_VARIABLE = "BINANCE_API_KEY"


def add_key_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`checked_credentials` reads."""
    group = parser.add_argument_group("the key (never an argument: process lists show those)")
    public = group.add_mutually_exclusive_group()
    public.add_argument(
        "--api-key-env",
        metavar="VAR",
        help=f"environment variable that holds the apiKey (default: {_API_KEY_VARIABLE})",
    )
    public.add_argument("--api-key-file", metavar="FILE", help="file that holds the apiKey")
    private = group.add_mutually_exclusive_group()
    private.add_argument("--key-file", metavar="PEM", help="Ed25519 or RSA private key (see keygen)")
    private.add_argument("--secret-env", metavar="VAR", help="environment variable that holds an HMAC secret")
    private.add_argument("--secret-file", metavar="FILE", help="file that holds an HMAC secret")
    group.add_argument(
        "--password-env",
        metavar="VAR",
        help="environment variable that holds the private key's password (default: asked for on a terminal)",
    )


def checked_credentials(arguments: argparse.Namespace) -> tuple[Credentials | None, list[str]]:
    """Return the key that the options name, ``None`` if they name none, and warnings about it.

    Raises :class:`ConfigurationError` for what is missing or cannot be read.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        key = _credentials(arguments)
    # The same file may have been read twice: each warning is given once.
    return key, list(dict.fromkeys(str(warning.message) for warning in caught))


def _credentials(arguments: argparse.Namespace) -> Credentials | None:
    secret = None
    if arguments.secret_env is not None:
        secret = from_environment(arguments.secret_env, "the HMAC secret")
    elif arguments.secret_file is not None:
        secret = from_file(arguments.secret_file, "the HMAC secret", secret=True)
    if arguments.password_env is not None and arguments.key_file is None:
        raise ConfigurationError("--password-env is for the private key of --key-file, which was not given")
    if arguments.api_key_file is not None:
        place = arguments.api_key_file
        api_key = from_file(place, "the apiKey", secret=True)
    else:
        place = arguments.api_key_env or _API_KEY_VARIABLE
        nothing_named = arguments.api_key_env is None and arguments.key_file is None and secret is None
        if nothing_named and not os.environ.get(place):
            return None
        api_key = from_environment(place, "the apiKey")
    try:
        alone = ApiKey(api_key)
    except ConfigurationError as error:  # checked first, so that no other file is blamed for it
        raise ConfigurationError(f"the apiKey in {place}: {error}") from None
    if arguments.key_file is not None:
        return _private_key(arguments.key_file, api_key, arguments.password_env)
    if secret is None:
        return alone
    try:
        return HmacKey(api_key, secret)
    except ConfigurationError as error:
        place = arguments.secret_env or arguments.secret_file
        raise ConfigurationError(f"the HMAC secret in {place}: {error}") from None


def _private_key(path: str, api_key: str, password_variable: str | None) -> Ed25519Key | RsaKey:
    pem = read_file(path, "the private key", secret=True)
    return key_from_pem(pem, api_key, _password(password_variable, path, pem), path)


def from_environment(variable: str, what: str) -> str:
    """Return the value of an environment variable; raise :class:`ConfigurationError` when it has none."""
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigurationError(f"{what} is read from the environment variable {variable}, which is not set")
    return value


def _password(variable: str | None, path: str, pem: bytes) -> str | None:
    """Return the password of a private key, ``None`` if it has none.

    It comes from the environment variable if one was named, else it is asked for on the terminal.
    """
    if variable is not None:
        return from_environment(variable, "the private key's password")
    if b"ENCRYPTED" not in pem:
        return None
    if not sys.stdin or not sys.stdin.isatty():
        raise ConfigurationError(
            f"{path} is encrypted: name the environment variable that holds its password with --password-env"
        )
    try:
        return getpass.getpass(f"Password of {shown(path)}: ")
    except EOFError:
        raise ConfigurationError(f"{path} is encrypted, and no password was given") from None
