"""verify in virtual time, against a simulator that may be set otherwise, or lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from binance_session.cli.verify.comparison import simulated
from binance_session.cli.verify.probe import Finding, Verdict
from binance_session.cli.verify.recording import Head, Recording
from binance_session.cli.verify.report import Report, findings_of, report_of
from binance_session.simulator import Readings, Simulator
from binance_session.simulator.connections import Connection
from binance_session.simulator.virtual import run
from binance_session.simulator.wire import Action, Drop, SendText
from binance_session.venues import Venue

SYMBOLS = {"coin-m": "BTCUSD_PERP", "usd-m": "BTCUSDT", "spot": "BTCUSDT"}
ALL = ("orders", "stop", "slow", "revocation", "other key", "listen token")
Message = dict[str, Any]


def head(venue: str, *, key: str = "Ed25519", asked: Iterable[str] = ALL) -> Head:
    symbol = SYMBOLS[venue.removesuffix("-testnet")]
    return Head(venue, "exchange.example", "2026-01-01T00:00:00Z", key, "0", symbol, tuple(asked))


def recorded(
    venue: str,
    *,
    key: str = "Ed25519",
    asked: Iterable[str] = ALL,
    readings: Mapping[str, Any] | None = None,
    had_listen_key: bool = False,
    plays: Venue | None = None,
    prepare: Callable[[Simulator], object] | None = None,
) -> Recording:
    """Ask a simulator everything, and return the recording."""
    played = Readings(**(readings or {}))
    return run(
        lambda: simulated(
            head(venue, key=key, asked=asked), played, had_listen_key=had_listen_key, venue=plays, prepare=prepare
        )
    )


def findings(recording: Recording) -> dict[str, Finding]:
    return {finding.probe.name: finding for finding in findings_of(recording)}


def with_verdict(recording: Recording, *verdicts: Verdict) -> dict[str, str]:
    return {name: found.seen for name, found in findings(recording).items() if found.verdict in verdicts}


def report(recording: Recording) -> Report:
    return report_of(recording)


@frozen
class Said:
    """A message on its way to the client: what it answers, over which connection."""

    message: Message
    request: Message = field(factory=dict)
    connection: Connection | None = None

    @property
    def method(self) -> str:
        return str(self.request.get("method", ""))

    @property
    def params(self) -> Message:
        return self.request.get("params") or {}

    @property
    def event(self) -> str | None:
        inner = self.message.get("event", self.message)
        return inner.get("e") if isinstance(inner, dict) else None

    @property
    def result(self) -> Any:
        return self.message.get("result")


#: what is sent in place of a message; None: nothing
Lie = Callable[[Said], Message | None]


def lying(lie: Lie, *, drops: bool = True, target: Callable[[str], str] = str) -> Callable[[Simulator], None]:
    """Return what makes a simulator say something else; without ``drops`` it ends no connection abruptly."""

    def prepare(simulator: Simulator) -> None:
        exchange = simulator.exchange
        connect, receive = exchange.connect, exchange.receive
        requests: dict[tuple[int, str], Message] = {}

        def receiving(connection: Connection, text: str) -> None:
            message = json.loads(text)
            if isinstance(message, dict) and "id" in message:
                requests[connection.number, repr(message["id"])] = message
            receive(connection, text)

        def connecting(address: str, path: str, perform: Callable[[Action], None]) -> Connection:
            made: list[Connection] = []

            def performing(action: Action) -> None:
                if isinstance(action, SendText):
                    message = json.loads(action.text)
                    asked = requests.get((made[0].number, repr(message.get("id"))), {}) if made else {}
                    said = lie(Said(message, asked if "id" in message else {}, made[0] if made else None))
                    if said is None:
                        return
                    if said is not message:
                        action = evolve(action, text=json.dumps(said))
                if isinstance(action, Drop) and not drops:
                    return
                perform(action)

            made.append(connect(address, target(path), performing))
            return made[0]

        exchange.connect, exchange.receive = connecting, receiving  # type: ignore[assignment, method-assign]

    return prepare


def refused(said: Said, code: int, status: int = 400, text: str = "no") -> Message:
    return {"id": said.message.get("id"), "status": status, "error": {"code": code, "msg": text}}


def answered(said: Said, result: Any) -> Message:
    return {"id": said.message["id"], "status": 200, "result": result, "rateLimits": said.message.get("rateLimits", [])}


def changed(said: Said, **fields: Any) -> Message:
    """Return the message with some fields of its result changed."""
    return {**said.message, "result": {**said.result, **fields}}
