"""``binance-session show``: what a session's recorder has dumped, as a timeline for a person."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import asdict

from binance_session.cli.terminal import Terminal
from binance_session.masking import shown
from binance_session.recording import load

__all__ = ["add"]

#: the columns of the time
_TIME: Final = 13


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "show",
        help="show what a session's recorder has dumped",
        description="Print a dump of a FlightRecorder as a timeline: requests (->) and answers (<-) with their ids and"
        " times, changes of state, events, outcomes. Frames longer than a line are cut.",
    )
    parser.add_argument("file", help="the dump")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    recording = load(arguments.file)
    head, entries = recording.head, [asdict(entry) for entry in recording.entries]
    terminal = Terminal()
    at = datetime.fromtimestamp(head["at"], UTC)
    terminal.line(
        f"{terminal.bold(str(head['session']))}  {head['venue']}  {at:%Y-%m-%d %H:%M:%S} UTC  {head['reason']}\n"
    )
    sent: dict[Any, float] = {}
    began = entries[0]["at"] if entries else 0.0
    for entry in entries:
        text = _WORDS.get(entry["kind"], _plain)(terminal, entry, sent)
        if text:
            terminal.line(f"{entry['at'] - began:>{_TIME - 3}.3f}   {text}")
    return 0


def _frame(entry: Mapping[str, Any]) -> dict[str, Any]:
    try:
        message = json.loads(entry["data"])
    except (ValueError, TypeError):
        return {}
    return message if isinstance(message, dict) else {}


def _sent(terminal: Terminal, entry: Mapping[str, Any], sent: dict[Any, float]) -> str:
    message = _frame(entry)
    sent[message.get("id")] = entry["at"]
    params = {name: value for name, value in (message.get("params") or {}).items() if name != "timestamp"}
    text = json.dumps(params, ensure_ascii=False) if params else ""
    return _cut(terminal, f"-> {message.get('id')} {message.get('method')} {text}")


def _received(terminal: Terminal, entry: Mapping[str, Any], sent: dict[Any, float]) -> str:
    message = _frame(entry)
    if "id" not in message:
        return _cut(terminal, f"<- {entry['data']}")
    began = sent.pop(message["id"], None)
    took = "" if began is None else f"  {(entry['at'] - began) * 1000:.1f} ms"
    error = message.get("error")
    if isinstance(error, dict):
        text = f"<- {message['id']} {message.get('status')} {error.get('code')} {error.get('msg')}{took}"
        return terminal.doubtful(_cut(terminal, text))
    return _cut(terminal, f"<- {message['id']} {message.get('status')}{took}")


def _state(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    data = entry["data"]
    cause = f": {data['cause']}" if data.get("cause") else ""
    text = shown(f"{data['old']} -> {data['new']}{cause}")
    return (terminal.bad if data["new"] == "failed" else terminal.bold)(text)


def _reconnecting(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    data = entry["data"]
    return terminal.doubtful(shown(f"attempt {data['attempt']} in {data['delay']:.1f} s, because {data['cause']}"))


def _outcome(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    """Say only what its frames do not: an answered request has its answer above."""
    data = entry["data"]
    if data["outcome"] in ("answered", "rejected"):
        return ""
    return terminal.bad(f"{data['id']} {data['method']}: {data['outcome']}")


def _event(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    return _cut(terminal, f"event {entry['data']}")


def _gap(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    return terminal.bad(_cut(terminal, f"gap {entry['data']}"))


def _socket(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    cause = f": {entry['data']['cause']}" if entry["data"] else ""
    return terminal.dim(_cut(terminal, f"{entry['socket']} {entry['kind']}{cause}"))


def _call(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    return terminal.dim(_cut(terminal, f"the program called {entry['data']['call']}"))


def _submit(_terminal: Terminal, _entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    return ""  # what came of it is below it


def _plain(terminal: Terminal, entry: Mapping[str, Any], _sent: dict[Any, float]) -> str:
    return terminal.dim(_cut(terminal, f"{entry['kind']} {entry['data']}"))


def _cut(terminal: Terminal, text: str) -> str:
    return shown(text.rstrip(), terminal.width - _TIME)


_WORDS: Final = {
    "sent": _sent,
    "received": _received,
    "state": _state,
    "reconnecting": _reconnecting,
    "outcome": _outcome,
    "event": _event,
    "gap": _gap,
    "call": _call,
    "submit": _submit,
    "policy": _submit,
    "chance": _submit,
    **dict.fromkeys(("dialled", "opened", "failed", "ended", "closed"), _socket),
}
