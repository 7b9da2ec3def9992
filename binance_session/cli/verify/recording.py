"""What went over the wire, as lines of JSON that a person can read before sending them to anybody.

The first line says what was asked of which exchange; each further line is one :class:`Record`. Secrets are replaced
before anything is kept (:mod:`~binance_session.cli.verify.masks`), and of a long list only what differs in its fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from attrs import asdict, define, field, frozen

from binance_session.cli.verify.masks import Masks, without_amounts
from binance_session.cli.verify.shapes import distinct
from binance_session.errors import ConfigurationError

__all__ = ["FORMAT", "Head", "Record", "Recording", "load"]

#: of the file
FORMAT: Final = 1
#: items of a list that are kept whatever they are
_SHORT_LIST: Final = 3
#: characters of a message that is no JSON
_LONGEST_TEXT: Final = 2000
#: of these events amounts are hidden, and of every answer to a method that begins so
_AMOUNTS: Final = frozenset({"ACCOUNT_UPDATE", "outboundAccountPosition", "balanceUpdate", "MARGIN_CALL"})
_ACCOUNT: Final = "account."
_LARGEST: Final = 64 << 20


@frozen
class Head:
    """The first line: which exchange, when (UTC), with what kind of key, and what was asked for.

    ``asked`` names what was allowed: ``orders``, ``slow``, ``stop``, ``revocation``, ``other key``, ``listen token``.
    """

    venue: str
    host: str
    began: str
    key: str
    version: str
    symbol: str
    asked: tuple[str, ...] = ()


@frozen
class Record:
    """One thing that happened: ``at`` seconds after the beginning, in a step, on a connection (``line``).

    ``what`` is "opening", "open", "refused", "failed", "sent", "received", "ping", "pong", "closing" (by us), "closed",
    "unanswered" or "note"; ``body`` is a message's JSON, or what else there is to say. ``label`` is what the step calls
    a request.
    """

    at: float
    what: str
    step: str = ""
    line: str = ""
    body: Any = None
    label: str = ""


@define
class Recording:
    """All records of one run, in order; ``write``, if given, gets each as a line of text."""

    head: Head
    masks: Masks = field(factory=Masks, repr=False)
    records: list[Record] = field(factory=list, repr=False)
    clock: Callable[[], float] = field(default=lambda: 0.0, repr=False)
    step: str = ""
    file: TextIO | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Write the first line."""
        if self.file is not None:
            _write(self.file, {"recording": "binance-session verify", "format": FORMAT, **asdict(self.head)})

    def add(self, line: str, what: str, body: Any = None, label: str = "", *, method: str = "") -> Record:
        """Keep what happened, with its secrets replaced. ``method`` is whose answer it is."""
        kept, label = _kept(self.masks.hide(body), method), self.masks.text(label)
        record = Record(round(self.clock(), 4), what, self.step, line, kept, label)
        self.records.append(record)
        if self.file is not None:
            _write(self.file, asdict(record))
        return record


def _write(file: TextIO, line: Mapping[str, Any]) -> None:
    print(json.dumps({name: value for name, value in line.items() if value != ""}, ensure_ascii=False), file=file)
    file.flush()


def _kept(body: Any, method: str) -> Any:
    """Return of a message what is kept: no amounts of the account, and of a long list the first of each shape."""
    if isinstance(body, str):
        return body if len(body) <= _LONGEST_TEXT else f"{body[:_LONGEST_TEXT]}… ({len(body)} characters)"
    if not isinstance(body, dict):
        return body
    if method.rpartition("/")[2].startswith(_ACCOUNT) and isinstance(body.get("result"), (dict, list)):
        body = {**body, "result": without_amounts(body["result"])}
    elif str(_event(body).get("e")) in _AMOUNTS:
        body = without_amounts(body)
    return _shortened(body)


def _event(body: dict[str, Any]) -> dict[str, Any]:
    for inner in (body.get("event"), body.get("data")):
        if isinstance(inner, dict):
            return inner
    return body


def _shortened(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _shortened(value) for name, value in body.items()}
    if isinstance(body, list):
        kept = body if len(body) <= _SHORT_LIST else distinct(body)
        return [_shortened(item) for item in kept]
    return body


def load(path: str) -> Recording:
    """Read a recording. Raises :class:`ConfigurationError` for a file that is none."""
    try:
        if os.path.getsize(path) > _LARGEST:
            raise ConfigurationError(f"{path} is too long to be a recording")
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise ConfigurationError(f"{path} is no recording of verify: it is not lines of JSON") from None
    try:
        head = dict(lines[0])
        if head.pop("recording") != "binance-session verify":
            raise KeyError
        if head.pop("format") != FORMAT:
            raise ConfigurationError(f"{path} was recorded by another version ({head.get('version')}) in another form")
        return Recording(
            Head(**{**head, "asked": tuple(head["asked"])}), records=[Record(**line) for line in lines[1:]]
        )
    except (LookupError, TypeError, AttributeError):
        raise ConfigurationError(f"{path} is no recording of verify, or a part of one") from None
