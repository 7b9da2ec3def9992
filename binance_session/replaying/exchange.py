"""The exchange's part of a recording: what was answered then is answered again, after the same time.

What the recording does not know is answered by the simulator.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define, field

from binance_session.recorder import Entry
from binance_session.recording import Recording
from binance_session.simulator.clock import Clock
from binance_session.simulator.connections import Connection
from binance_session.simulator.exchange import Exchange
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.wire import Action, Close, Drop, SendText, Wait
from binance_session.venues import Venue

__all__ = ["PlayedExchange", "params_of", "parsed"]

#: whose answers the simulator makes too, to know what the session is from then on
_ABOUT_SESSION: Final = re.compile(r"(?:session\.log(?:on|out)|userDataStream\.(?:start|ping|stop))$")
_CODE: Final = re.compile(r"\b(?:1\d{3}|[34]\d{3})\b")
_STATUS: Final = re.compile(r'"status"\s*:\s*(\d+)')
_MASKED_KEY: Final = re.compile(r'("listenKey"\s*:\s*")[^"]*…[^"]*"')
#: seconds by which the end of a connection follows what came at the same time; more than moments are rounded by
_BEHIND: Final = 5e-6
_NO_LISTEN_KEY: Final = -1125
#: seconds by which what comes unasked may be late, when the session connected later than then
_LATE: Final = 1.0
_OWN: Final = ("timestamp", "signature", "apiKey")


def parsed(text: object) -> dict[str, Any]:
    """Return a frame as an object; {} if it is none, or was cut."""
    try:
        message = json.loads(str(text))
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def params_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params of a request without those that are of its time and its key."""
    return {name: value for name, value in (message.get("params") or {}).items() if name not in _OWN}


@define(eq=False)
class _Sent:
    """A request of the recording, and what became of it."""

    at: float
    params: dict[str, Any]
    answer: Entry | None = None
    is_taken: bool = False


@define(eq=False)
class _Line:
    """A connection of the recording."""

    dialled: float
    opened: float | None = None
    failed: Entry | None = None
    ended: Entry | None = None
    is_closed: bool = False
    unasked: list[Entry] = field(factory=list)


class PlayedExchange(Exchange):
    """A simulated exchange that does what one did, as far as a recording tells."""

    def __init__(self, recording: Recording, venue: Venue, clock: Clock) -> None:
        super().__init__(venue, clock, enforce_limits=False)
        self._api = urlsplit(venue.url).path
        since = recording.head.get("since")
        self._since = float("-inf") if since is None else float(since)
        self._sent: dict[str, list[_Sent]] = {}
        self._lines: dict[str, list[_Line]] = {"API": [], "stream": []}
        self._read(recording.entries)
        self._dialled = {"API": 0, "stream": 0}
        # what the simulator answered to a request whose recorded answer is sent instead
        self._swallowed: dict[object, str] = {}

    def _read(self, entries: Iterable[Entry]) -> None:
        waiting: dict[object, _Sent] = {}
        lines: dict[str, _Line] = {}
        for entry in entries:
            if entry.kind == "dialled":
                line = lines[entry.socket] = _Line(entry.at)
                self._lines[entry.socket.partition(" ")[0]].append(line)
            elif entry.kind == "sent":
                message = parsed(entry.data)
                sent = waiting[message.get("id")] = _Sent(entry.at, params_of(message))
                self._sent.setdefault(str(message.get("method")), []).append(sent)
            elif entry.kind == "received":
                self._read_frame(entry, waiting, lines)
            elif entry.socket in lines:
                _learn(lines[entry.socket], entry)

    def _read_frame(self, entry: Entry, waiting: dict[object, _Sent], lines: Mapping[str, _Line]) -> None:
        found = re.match(r'\s*\{\s*"id"\s*:\s*(\d+)', str(entry.data))
        request_id = int(found[1]) if found else parsed(entry.data).get("id")
        if request_id is None:
            if entry.socket in lines:
                lines[entry.socket].unasked.append(entry)
        elif (sent := waiting.pop(request_id, None)) is not None:
            sent.answer = entry

    # Connections

    def before_handshake(self, address: str, target: str) -> Iterator[Action]:
        """Let a handshake take as long as it did, and fail if it did."""
        line = self._line(target)
        if line is not None:
            if line.failed is not None:
                yield Wait(max(0.0, line.failed.at - line.dialled))
                status = (line.failed.data or {}).get("status")
                if isinstance(status, int):
                    raise Refusal(status, -1, "refused, as it was then")
                yield Drop()
            elif line.opened is not None:
                yield Wait(max(0.0, line.opened - line.dialled))
        yield from super().before_handshake(address, target)

    def connect(self, address: str, target: str, perform: Callable[[Action], None]) -> Connection:
        """Accept a connection, and have come on it what came unasked; end it when it ended."""
        kind = self._kind(target)
        number = self._dialled[kind]
        self._dialled[kind] += 1
        lines = self._lines[kind]
        client = super().connect(address, target, lambda action: self._unless_recorded(action, perform))
        if number < len(lines):
            self._play(client, lines[number])
        return client

    def _line(self, target: str) -> _Line | None:
        kind = self._kind(target)
        lines, number = self._lines[kind], self._dialled[kind]
        if number < len(lines) and lines[number].failed is not None:
            self._dialled[kind] += 1
        return lines[number] if number < len(lines) else None

    def _kind(self, target: str) -> str:
        return "API" if urlsplit(target).path == self._api else "stream"

    def _play(self, client: Connection, line: _Line) -> None:
        for entry in line.unasked:
            self._at(entry.at, functools.partial(self._say, client, str(entry.data)))
        if line.ended is not None and not line.is_closed:
            self._at(line.ended.at + _BEHIND, lambda: self._end(client, line.ended))

    def _say(self, client: Connection, text: str) -> None:
        client.send_text(self._unmasked(client, text))
        if parsed(text).get("e") == "listenKeyExpired":
            self.expire_listen_keys(tell=False)

    def _at(self, at: float, act: Callable[[], object]) -> None:
        clock = self.state.clock
        if at >= clock.time() - _LATE:
            clock.call_at(max(at, clock.time()), act)

    def _end(self, client: Connection, entry: Entry | None) -> None:
        code = _CODE.search(str(entry.data["cause"]) if entry is not None and entry.data else "")
        if code is not None and int(code[0]) not in (1005, 1006, 1015):
            client.perform((Close(int(code[0])),))
        client.drop()

    def _unmasked(self, client: Connection, text: str) -> str:
        """Return a frame with the key of this connection where the recording has a masked one."""
        key = next(iter(client.streams), "replayed")
        return _MASKED_KEY.sub(rf'\g<1>{key}"', text)

    # Requests

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request as it was answered then; by the simulator if there is none like it in the recording."""
        message = parsed(text)
        sent = None if connection.stream else self._counterpart(message)
        if sent is None:
            super().receive(connection, text)
            return
        if sent.answer is None:
            return
        request_id, answer = message.get("id"), str(sent.answer.data)
        if _ABOUT_SESSION.search(str(message.get("method"))) and '"status":200' in answer.replace(" ", ""):
            self._swallowed[request_id] = ""
            super().receive(connection, text)
        delay = max(0.0, sent.answer.at - sent.at)
        loop = asyncio.get_running_loop()
        shift = self.state.clock.time() - sent.at
        loop.call_later(delay, lambda: self._answer(connection, request_id, answer, shift))

    def _counterpart(self, message: Mapping[str, Any]) -> _Sent | None:
        if self.state.clock.time() < self._since - _LATE:
            return None
        left = [sent for sent in self._sent.get(str(message.get("method")), ()) if not sent.is_taken]
        params = params_of(message)
        found = next((sent for sent in left if sent.params == params), left[0] if left else None)
        if found is not None:
            found.is_taken = True
        return found

    def _answer(self, connection: Connection, request_id: object, text: str, shift: float) -> None:
        made = parsed(self._swallowed.pop(request_id, ""))
        message = parsed(text)
        if not message:  # it was too long to be kept whole
            status = _STATUS.search(text)
            message = {"status": int(status[1]) if status else 200, "result": {}}
        if (message.get("error") or {}).get("code") == _NO_LISTEN_KEY:
            self.expire_listen_keys(tell=False)  # what is started from now on is a new one
        message["id"] = request_id
        result, own = message.get("result"), made.get("result")
        if isinstance(result, dict) and "listenKey" in result and isinstance(own, dict):
            result["listenKey"] = own.get("listenKey", result["listenKey"])
        if isinstance(result, dict) and isinstance(result.get("serverTime"), int):
            result["serverTime"] += round(shift * 1000)
        connection.send_text(json.dumps(message, separators=(",", ":")))

    def _unless_recorded(self, action: Action, perform: Callable[[Action], None]) -> None:
        if isinstance(action, SendText) and self._swallowed:
            request_id = parsed(action.text).get("id")
            if self._swallowed.get(request_id) == "":
                self._swallowed[request_id] = action.text
                return
        perform(action)


def _learn(line: _Line, entry: Entry) -> None:
    if entry.kind == "opened":
        line.opened = entry.at
    elif entry.kind == "failed":
        line.failed = entry
    elif entry.kind == "ended":
        line.ended = entry
    elif entry.kind == "closed" and line.ended is None:
        line.is_closed = True
