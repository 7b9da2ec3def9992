"""``binance-session keygen``: an Ed25519 key pair, the kind that can log a session on."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
from pathlib import Path
from typing import Any

from binance_session.cli.keys import from_environment
from binance_session.errors import ConfigurationError
from binance_session.masking import shown

__all__ = ["add"]

_PASTE = """\
Paste this at Binance, under API Management > Create API >
Self-generated:

{public}
Then
  1. allow the key what the bot needs and nothing else, and
     restrict it to this machine's IP address;
  2. try the apiKey that Binance shows for it:

read -rs BINANCE_API_KEY && export BINANCE_API_KEY
binance-session check --venue coin-m \\
  --key-file {path}{password}"""


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "keygen",
        help="make an Ed25519 key pair",
        description="Make an Ed25519 key pair: the private half in FILE, which only you can read and which is never"
        " shown, the public half in FILE.pub, to be pasted at Binance. Nothing is ever overwritten.",
    )
    parser.add_argument("--out", metavar="FILE", default="binance-ed25519.pem", help="default: %(default)s")
    parser.add_argument("--password-env", metavar="VAR", help="encrypt FILE with this environment variable's value")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    password = None
    if arguments.password_env is not None:
        password = from_environment(arguments.password_env, "the password")
    private, public = _make_pair(password)
    path = Path(arguments.out)
    public_path = Path(f"{path}.pub")
    with contextlib.ExitStack() as undo:
        # The public key first: if either file cannot be written, neither is left.
        _create(public_path, public, 0o644)
        undo.callback(public_path.unlink)
        _create(path, private, 0o600)
        undo.pop_all()
    kind = "not encrypted" if password is None else "encrypted"
    print(f"private key ({kind}, yours alone to read):\n  {shown(str(path))}")
    print(f"public key:\n  {shown(str(public_path))}\n")
    hint = "" if password is None else f" \\\n  --password-env {arguments.password_env}"
    print(_PASTE.format(public=public.decode(), path=shown(shlex.quote(str(path))), password=hint))
    return 0


def _make_pair(password: str | None) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        KeySerializationEncryption,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = NoEncryption()
    try:
        if password is not None:
            encryption = BestAvailableEncryption(password.encode())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    except UnicodeEncodeError:
        raise ConfigurationError("the password is not valid text: its environment variable holds other bytes") from None
    except ValueError:
        raise ConfigurationError("the password is too long: at most 1023 bytes") from None
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a new file; its mode is set before its content is written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already, and a key is never overwritten: choose another --out"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(f"{path} cannot be written ({reason})") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        path.unlink()
        raise ConfigurationError(f"{path} cannot be written ({error.strerror})") from None
    except BaseException:  # do not leave a part of a key
        path.unlink()
        raise
