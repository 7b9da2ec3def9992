"""``--config FILE.toml``: the options of the commands in a file, where those on the command line stand in for them.

Keys are the options' names without the dashes in front. Those at the top are for every command that has such an option,
those of a table for the command of its name::

    venue = "coin-m"
    key-file = "/etc/bot/key.pem"

    [run]
    health = "0.0.0.0:8080"
    quiet = true
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from binance_session.errors import ConfigurationError
from binance_session.masking import shown
from binance_session.venues import nearest

__all__ = ["with_config"]

_OPTION: Final = re.compile(r"^ +(?:-\w, )?--([a-z][a-z-]*)", re.MULTILINE)


def with_config(argv: Sequence[str], commands: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """Return the arguments with those of the file that ``--config`` names, behind the command's name.

    Raises :class:`ConfigurationError` for a file that cannot be read, and for what is in it and is no option.
    """
    arguments = list(argv)
    path = _path(arguments)
    if path is None or not arguments or arguments[0] not in commands:
        return arguments
    command = arguments[0]
    options = {name: set(_OPTION.findall(parser.format_help())) for name, parser in commands.items()}
    found = _load(path)
    given: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            if key not in commands:
                raise ConfigurationError(_unknown(path, f"table [{key}]", key, commands))
            if key == command:
                given |= _of(path, value, options[command])
            else:
                _of(path, value, options[key])
        elif key not in set().union(*options.values()):
            raise ConfigurationError(_unknown(path, repr(key), key, set().union(*options.values())))
        elif key in options[command]:
            given.setdefault(key, value)
    return [command, *(word for key, value in given.items() for word in _words(path, key, value)), *arguments[1:]]


def _path(arguments: Sequence[str]) -> str | None:
    for place, argument in enumerate(arguments):
        if argument == "--config":
            return arguments[place + 1] if place + 1 < len(arguments) else None
        if argument.startswith("--config="):
            return argument.partition("=")[2]
    return None


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"--config: {path} cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--config: {path} is no TOML: {shown(str(error))}") from None


def _of(path: str, table: Mapping[str, Any], options: set[str]) -> dict[str, Any]:
    for key in table:
        if key not in options:
            raise ConfigurationError(_unknown(path, repr(key), key, options))
    return dict(table)


def _unknown(path: str, what: str, key: str, known: Any) -> str:
    meant = nearest(key, known)
    hint = "" if meant is None else f": did you mean {meant!r}?"
    return f"--config: {path}: there is no option or command for {shown(what, 100)}{hint}"


def _words(path: str, key: str, value: Any) -> list[str]:
    """Return the words of the command line that say the same."""
    if isinstance(value, bool):
        return [f"--{key}"] if value else []
    if isinstance(value, list):
        return [word for each in value for word in _words(path, key, each)]
    if isinstance(value, (str, int, float)):
        return [f"--{key}={value}"]
    raise ConfigurationError(f"--config: {path}: {key} must be a text, a number, true or false, or a list of those")
