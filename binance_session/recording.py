"""Reading what a recorder has dumped."""

from __future__ import annotations

import json
import os
from typing import Any

from attrs import frozen

from binance_session.errors import ConfigurationError
from binance_session.recorder import FORMAT, Entry

__all__ = ["Recording", "load"]


@frozen
class Recording:
    """A dump: what its first line says, and the entries in their order."""

    head: dict[str, Any]
    entries: tuple[Entry, ...]


def load(path: str | os.PathLike[str]) -> Recording:
    """Read a dump. Raises :class:`ConfigurationError` for what is none."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise ConfigurationError(f"{path} is no dump of a recorder: it is not lines of JSON") from None
    head = lines[0] if lines else None
    if not isinstance(head, dict) or head.get("recording") != "binance_session" or head.get("format") != FORMAT:
        raise ConfigurationError(f"{path} is no dump of a recorder, or of another version")
    try:
        return Recording(head, tuple(Entry(**line) for line in lines[1:]))
    except TypeError:
        raise ConfigurationError(f"{path} is no dump of a recorder: an entry has other fields") from None
