"""A black box: the last frames, changes of state, decisions and outcomes of a session, in memory, for when it matters.

Secrets are replaced before anything is kept, so that a dump can be sent to somebody.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal as signals
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, frozen

from binance_session.checks import check_count
from binance_session.errors import ConfigurationError
from binance_session.masking import Secrets, shown
from binance_session.responses import Event, ListenKey
from binance_session.state import SessionState

if TYPE_CHECKING:
    from binance_session.hooks import Hooks
    from binance_session.keepalive import KeepaliveStatus

__all__ = ["FORMAT", "Entry", "FlightRecorder"]

#: of a dump
FORMAT: Final = 1
#: what is secret by the name of its field, whatever it is
_FIELD: Final = re.compile(r'("(?:apiKey|signature|listenKey|listenToken)"\s*:\s*")((?:[^"\\]|\\.)*)"')
#: characters of a frame that are kept
_LONGEST: Final = 4096
#: seconds between two dumps that a session makes by itself for the same reason
_APART: Final = 60.0
_REASONS: Final = frozenset({"failed", "unknown", "gap"})
_log: Final = logging.getLogger("binance_session")


@frozen
class Entry:
    """One thing that happened, at ``at`` (Unix s, the local clock).

    ``kind`` is "sent", "received", "state", "reconnecting", "failover", "listenKey", "keepalive", "event", "gap" or
    "outcome".
    """

    at: float
    kind: str
    data: Any


class FlightRecorder:
    """Keeps the last ``frames`` things that happened in a session: ``Session(..., recorder=FlightRecorder())``.

    :meth:`dump` writes them to a file of JSON lines. With ``folder`` the session does that by itself, into a new file
    there, for each reason of ``dump_on``: ``"failed"`` (the session FAILED), ``"unknown"`` (a request ended with an
    unknown outcome), ``"gap"`` (events may have been missed); at most once in a minute for each. A recorder belongs to
    one session.

    Raises :class:`ConfigurationError` for what cannot be.
    """

    def __init__(
        self,
        frames: int = 2000,
        *,
        folder: str | os.PathLike[str] | None = None,
        dump_on: Iterable[str] = ("failed", "unknown", "gap"),
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        check_count("frames", frames, least=1)
        self._dump_on = frozenset(dump_on)
        if wrong := self._dump_on - _REASONS:
            raise ConfigurationError(f"dump_on takes {', '.join(sorted(_REASONS))}, not {', '.join(sorted(wrong))}")
        self._folder = None if folder is None else Path(folder)
        self._clock = wall_clock
        self._entries: deque[Entry] = deque(maxlen=frames)
        self._secrets = Secrets()
        self._session = ""
        self._venue = ""
        self._dumped: dict[str, float] = {}

    @property
    def entries(self) -> list[Entry]:
        """What is kept, oldest first."""
        return list(self._entries)

    # What a session tells

    def attach(self, name: str, venue: str, secrets: Secrets, hooks: Hooks) -> None:
        """Called by the session that is recorded, when it is made."""
        if self._session:
            raise ConfigurationError(f"this recorder records {self._session} already: each session has one of its own")
        self._session, self._venue, self._secrets = name, venue, secrets
        hooks.also("on_state_change", self._state)
        hooks.also("on_reconnecting", self._reconnecting)
        hooks.also("on_failover", lambda cause: self._add("failover", str(cause)))
        hooks.also("on_listen_key", self._listen_key)
        hooks.also("on_keepalive", self._keepalive)
        hooks.also("on_event", self._event)

    def sent(self, data: bytes) -> None:
        """Keep a request as it is written."""
        self._add("sent", data)

    def received(self, data: bytes | bytearray) -> None:
        """Keep a message as it came."""
        self._add("received", data)

    def ended(self, method: str, request_id: int, outcome: str) -> None:
        """Keep how a request ended."""
        self._add("outcome", {"id": request_id, "method": method, "outcome": outcome})
        if outcome == "unknown":
            self._by_itself("unknown")

    def _state(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        self._add("state", {"old": old.value, "new": new.value, "cause": None if cause is None else str(cause)})
        if new is SessionState.FAILED:
            self._by_itself("failed")

    def _reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
        self._add("reconnecting", {"attempt": attempt, "delay": delay, "cause": str(cause)})

    def _listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        self._add("listenKey", "given up" if new is None else "new" if old is None else "changed")

    def _keepalive(self, status: KeepaliveStatus) -> None:
        self._add("keepalive", {"failures": status.consecutive_failures, "round_trip": status.round_trip})

    def _event(self, event: Event) -> None:
        self._add("gap" if event.is_gap else "event", json.dumps(event.data, default=str))
        if event.is_gap:
            self._by_itself("gap")

    def _add(self, kind: str, data: Any) -> None:
        if isinstance(data, (bytes, bytearray)):
            data = data[:_LONGEST].decode(errors="replace")
        if isinstance(data, str):
            data = self._hidden(data[:_LONGEST])
        elif isinstance(data, Mapping):
            data = {name: self._hidden(value) if isinstance(value, str) else value for name, value in data.items()}
        self._entries.append(Entry(self._clock(), kind, data))

    def _hidden(self, text: str) -> str:
        return self._secrets.mask(_FIELD.sub(r'\1…"', text))

    # Dumps

    def dump(self, path: str | os.PathLike[str], reason: str = "asked for") -> None:
        """Write what is kept to a new file, which only its owner may read. Raises :class:`OSError`."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            head = {
                "recording": "binance_session",
                "format": FORMAT,
                "session": self._session,
                "venue": self._venue,
                "reason": reason,
                "at": self._clock(),
            }
            print(json.dumps(head), file=file)
            for entry in self._entries:
                print(json.dumps(asdict(entry), ensure_ascii=False, default=str), file=file)

    def dump_on_signal(self, number: int) -> None:
        """Dump into ``folder`` whenever the process gets this signal, ``signal.SIGUSR1`` say; from the main thread.

        Raises :class:`ConfigurationError` without a ``folder``.
        """
        if self._folder is None:
            raise ConfigurationError("a dump on a signal needs FlightRecorder(folder=...), to have a place")
        signals.signal(number, lambda _number, _frame: self._write("signal"))

    def _by_itself(self, reason: str) -> None:
        now = self._clock()
        if self._folder is None or reason not in self._dump_on or now - self._dumped.get(reason, -_APART) < _APART:
            return
        self._dumped[reason] = now
        self._write(reason)

    def _write(self, reason: str) -> None:
        assert self._folder is not None
        name = re.sub(r"\W+", "-", self._session)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock()))
        path = self._folder / f"{name}-{stamp}-{reason}.jsonl"
        try:
            self.dump(path, reason)
        except OSError as error:
            _log.warning("[%s] what was recorded could not be dumped: %s", self._session, error.strerror or error)
        else:
            _log.warning("[%s] dumped what was recorded to %s: %s", self._session, shown(str(path)), reason)
