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
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import uniform
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, frozen
from attrs import fields as fields_of

from binance_session.checks import check_count
from binance_session.errors import BinanceSessionError, ConfigurationError
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
_LONGEST: Final = 16_384
#: seconds between two dumps that a session makes by itself for the same reason
_APART: Final = 60.0
_REASONS: Final = frozenset({"failed", "unknown", "gap"})
#: what there is much of; all else is kept beside it, as it tells how things came to be
_FRAMES: Final = frozenset({"sent", "received", "outcome", "event", "submit"})
#: as many at least are kept of everything else
_STORY: Final = 2000
#: options that are words, and those that say where to
_WORDS: Final = frozenset({"logon", "on_unready"})
_PLACES: Final = frozenset(
    {
        "url",
        "stream_url",
        "ssl",
        "proxy",
        "local_addr",
        "family",
        "headers",
        "name",
        "compression",
        "credentials",
        "recorder",
        "keepalive",
        "wall_clock",
    }
)
#: the methods of a session that are recorded when the program calls them
_CALLS: Final = (
    *("open", "close", "submit", "start_user_data_stream", "ping_user_data_stream", "stop_user_data_stream"),
    *("settle", "settle_order"),
)
_log: Final = logging.getLogger("binance_session")


@frozen
class Entry:
    """One thing that happened, at ``at`` (Unix s, the local clock).

    ``kind`` is "sent", "received", "state", "reconnecting", "failover", "listenKey", "keepalive", "event", "gap" or
    "outcome"; "policy" for a delay and "chance" for a number that was drawn; "submit" or "call" for what the program
    asked for; "dialled", "opened", "failed", "ended" or "closed" (by the session) for what became of the connection
    ``socket``: ``"API 1"``, ``"stream 1"``, ...
    """

    at: float
    kind: str
    data: Any
    socket: str = ""


class FlightRecorder:
    """Keeps what happened in a session: ``Session(..., recorder=FlightRecorder())``.

    The last ``frames`` requests, messages, events and outcomes, and as many of everything that is rarer, or 2,000:
    states, connections, what the program called. :meth:`dump` writes them to a file of JSON lines. With ``folder`` the
    session does that by itself, into a new file there, for each reason of ``dump_on``: ``"failed"`` (the session
    FAILED), ``"unknown"`` (a request ended with an unknown outcome), ``"gap"`` (events may have been missed); at most
    once in a minute for each. A recorder belongs to one session. :func:`~binance_session.replay` plays a dump again.

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
        self._frames: deque[tuple[int, Entry]] = deque(maxlen=frames)
        self._story: deque[tuple[int, Entry]] = deque(maxlen=max(frames, _STORY))
        self._count = 0
        self._sockets: Counter[str] = Counter()
        self._streams: dict[int, int] = {}
        self._options: dict[str, Any] = {}
        self._secrets = Secrets()
        self._session = ""
        self._venue = ""
        self._dumped: dict[str, float] = {}

    @property
    def entries(self) -> list[Entry]:
        """What is kept, oldest first."""
        return [entry for _, entry in sorted((*self._story, *self._frames), key=lambda each: each[0])]

    # What a session tells

    def attach(self, session: Any, options: Any, secrets: Secrets, hooks: Hooks) -> None:
        """Called by the session that is recorded, when it is made."""
        if self._session:
            raise ConfigurationError(f"this recorder records {self._session} already: each session has one of its own")
        self._session, self._venue, self._secrets = session.name, session.venue.name, secrets
        self._options = _plain(options)
        for call in _CALLS:
            setattr(session, call, self._told(call, getattr(session, call)))
        hooks.answered, hooks.chance = self._policy_answered, self._drawn
        hooks.also("on_state_change", self._state)
        hooks.also("on_reconnecting", self._reconnecting)
        hooks.also("on_failover", lambda cause: self._add("failover", str(cause)))
        hooks.also("on_listen_key", self._listen_key)
        hooks.also("on_keepalive", self._keepalive)
        hooks.also("on_event", self._event)

    def sent(self, data: bytes) -> None:
        """Keep a request as it is written."""
        self._add("sent", data)

    def received(self, data: bytes | bytearray, socket: str = "") -> None:
        """Keep a message as it came."""
        self._add("received", data, socket)

    def dialled(self, kind: str) -> str:
        """Keep that a connection is attempted, and return its name; ``kind`` is "API" or "stream"."""
        self._sockets[kind] += 1
        socket = f"{kind} {self._sockets[kind]}"
        self._add("dialled", None, socket)
        return socket

    def connection(self, kind: str, socket: str, cause: object = None) -> None:
        """Keep what became of a connection: "opened", "failed", "ended" or "closed"."""
        status = getattr(cause, "status", None)
        self._add(kind, None if cause is None else {"cause": str(cause), "status": status}, socket)

    def stream(self, reader: object, options: Mapping[str, Any] | None) -> None:
        """Keep that the program opens a user data stream with ``options``; ``None``: that it leaves it."""
        if options is not None:
            self._sockets["reader"] += 1
            self._streams[id(reader)] = self._sockets["reader"]
            self._add("call", {"call": "user_data_stream", "number": self._sockets["reader"], **options})
        elif (number := self._streams.pop(id(reader), None)) is not None:
            self._add("call", {"call": "leave", "number": number})

    def _told(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``method`` with its calls kept."""

        def call(*arguments: Any, **options: Any) -> Any:
            if name == "submit":
                return self._submitted(method, *arguments, **options)
            about: dict[str, Any] = {"call": name}
            told = arguments
            if name == "settle" and arguments and isinstance(arguments[0], BinanceSessionError):
                about["id"], told = arguments[0].request_id, arguments[1:]
            plain = {key: value for key, value in options.items() if key != "credentials"}
            self._add("call", {**about, "arguments": self._safe(told), "options": self._safe(plain)})
            return method(*arguments, **options)

        return call

    def _submitted(self, submit: Callable[..., Any], method: Any, params: Any = None, **options: Any) -> Any:
        plain = {key: value for key, value in options.items() if key != "credentials" and value is not None}
        self._add("submit", {"method": str(method), "params": self._safe(params), "options": self._safe(plain)})
        try:
            return submit(method, params, **options)
        except BinanceSessionError as error:
            self._add("outcome", {"id": None, "method": str(method), "outcome": error.outcome})
            raise

    def _safe(self, value: Any) -> Any:
        """Return ``value`` as JSON has it, with no secret in it; ``None`` for what JSON has not."""
        try:
            text = json.dumps(value, default=str)
        except (TypeError, ValueError, RecursionError):
            return None  # it is refused, or was no argument of ours
        return json.loads(self._hidden(text))

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

    def _policy_answered(self, _policy: object, situation: tuple[Any, ...], delay: float | None) -> None:
        attempt, cause = situation if len(situation) == 2 else (None, None)  # a keepalive policy is given a status
        kind = None if cause is None else type(cause).__name__
        self._add("policy", {"attempt": attempt, "cause": kind, "delay": delay})

    def _drawn(self, low: float, high: float) -> float:
        value = self._draw(low, high)
        self._add("chance", value)
        return value

    def _draw(self, low: float, high: float) -> float:
        return uniform(low, high)

    def _listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        self._add("listenKey", "given up" if new is None else "new" if old is None else "changed")

    def _keepalive(self, status: KeepaliveStatus) -> None:
        self._add("keepalive", {"failures": status.consecutive_failures, "round_trip": status.round_trip})

    def _event(self, event: Event) -> None:
        self._add("gap" if event.is_gap else "event", json.dumps(event.data, default=str))
        if event.is_gap:
            self._by_itself("gap")

    def _add(self, kind: str, data: Any, socket: str = "") -> None:
        if isinstance(data, (bytes, bytearray)):
            data = data[:_LONGEST].decode(errors="replace")
        if isinstance(data, str):
            data = self._hidden(data[:_LONGEST])
        elif isinstance(data, Mapping):
            data = {name: self._hidden(value) if isinstance(value, str) else value for name, value in data.items()}
        self._count += 1
        kept = self._frames if kind in _FRAMES else self._story
        kept.append((self._count, Entry(self._clock(), kind, data, socket)))

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
                "options": self._options,
                # when less is kept than there was: the time of the first frame, of those before it nothing is known
                "since": self._frames[0][1].at if len(self._frames) == self._frames.maxlen else None,
            }
            print(json.dumps(head), file=file)
            for entry in self.entries:
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


def _plain(options: Any) -> dict[str, Any]:
    """Return those of a session's options that a replay needs and that are no secret, no place and no code."""
    found = {
        field.name: value
        for field in fields_of(type(options))
        if isinstance(value := getattr(options, field.name), bool | int | float | None) or field.name in _WORDS
    }
    key = type(options.credentials).__name__
    return {name: value for name, value in found.items() if name not in _PLACES} | {"key": key}
