"""*Pure.* What a recording proves: the answers to requests by their labels, events, and how connections ended.

A probe's judge reads nothing else, so that it says the same of a recording years later as it said on the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from binance_session.cli.verify.recording import Head, Record

__all__ = ["Answer", "Evidence", "Untold"]

#: statuses that say that the exchange did not deal with a request, and nothing about its rules
_NO_EVIDENCE: Final = frozenset({408, 418, 429})

#: what a key brings that does not exist, may not do this, or comes from a wrong address (PROTOCOL.md §9)
_KEY_REFUSED: Final = frozenset({-2014, -2015})
_BAD_SIGNATURE: Final = -1022


def _is_evidence(status: int) -> bool:
    return status < 500 and status not in _NO_EVIDENCE


class Untold(Exception):
    """What was seen does not answer the question; the text says why."""


@frozen
class Answer:
    """One answer of the exchange; ``frame`` is the whole message."""

    frame: Mapping[str, Any]
    at: float = 0.0

    @property
    def status(self) -> int | None:
        """``status``: 200, or what HTTP says of an error; ``None`` if it is no integer."""
        return _integer(self.frame.get("status"))

    @property
    def code(self) -> int | None:
        """The ``code`` of its error, ``None`` without one."""
        error = self.frame.get("error")
        return _integer(error.get("code")) if isinstance(error, dict) else None

    @property
    def result(self) -> Any:
        """Its ``result``."""
        return self.frame.get("result")

    @property
    def is_evidence(self) -> bool:
        """Whether it tells of a rule: not that the exchange is overloaded, or that this address is refused."""
        return self.status is not None and _is_evidence(self.status)

    def field(self, name: str) -> Any:
        """Return a field of the result, ``None`` if there is none."""
        return self.result.get(name) if isinstance(self.result, dict) else None

    def count(self, kind: str = "REQUEST_WEIGHT", interval: str = "MINUTE") -> int | None:
        """Return what is counted so far by a limit of one ``interval``, ``None`` if the answer does not say."""
        for limit in self.limits:
            if limit.get("rateLimitType") == kind and limit.get("interval") == interval:
                count = limit.get("count")
                return count if isinstance(count, int) else None
        return None

    @property
    def limits(self) -> list[dict[str, Any]]:
        """Its ``rateLimits``; [] if it has none."""
        limits = self.frame.get("rateLimits")
        return [limit for limit in limits if isinstance(limit, dict)] if isinstance(limits, list) else []

    def __str__(self) -> str:
        if self.status == 200:
            return "answered with 200"
        text = self.frame.get("error", {}).get("msg", "") if isinstance(self.frame.get("error"), dict) else ""
        return f"refused with {self.code} (status {self.status}): {text}"


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None


class Evidence:
    """The records of a run, as a judge asks for them. ``step`` is the probe's own."""

    def __init__(self, head: Head, records: Sequence[Record], step: str) -> None:
        self.head = head
        self._all = records
        self._own = [record for record in records if record.step == step]

    # Requests

    def answers(self, label: str) -> list[Answer]:
        """Return every answer to the request of this label."""
        for number, sent in enumerate(self._own):
            if sent.what == "sent" and sent.label == label:
                return list(self._answers_to(sent, self._own[number + 1 :]))
        return []

    def _answers_to(self, sent: Record, later: Sequence[Record]) -> Iterator[Answer]:
        wanted = sent.body.get("id") if isinstance(sent.body, dict) else None
        for record in later:
            if record.line != sent.line or not isinstance(record.body, dict):
                continue
            if record.what == "sent" and record.body.get("id") == wanted and record.label != sent.label:
                if type(record.body.get("id")) is type(wanted) and record.label != f"{sent.label} again":
                    return  # the id is used anew
            elif record.what == "received" and "id" in record.body:
                got = record.body["id"]
                if got == wanted and type(got) is type(wanted):
                    yield Answer(record.body, record.at)

    def answer(self, label: str) -> Answer:
        """Return the answer to the request of this label. Raises :class:`Untold` without one that is evidence."""
        found = self.answers(label)
        if not found:
            raise Untold(self._why_unanswered(label))
        if not found[0].is_evidence:
            raise Untold(f"{label}: {found[0]}")
        return found[0]

    def permitted(self, label: str) -> Answer:
        """Return the answer as :meth:`answer` does. Raises :class:`Untold` if the key itself was refused."""
        answer = self.answer(label)
        if answer.code in _KEY_REFUSED:
            raise Untold(f"the key is refused here, which its permissions or addresses may be the cause of: {answer}")
        if answer.code == _BAD_SIGNATURE and not self.anywhere("logon"):
            raise Untold(f"the private key or secret may not be the one of this apiKey: {answer}")
        return answer

    def _why_unanswered(self, label: str) -> str:
        for record in self._own:
            if record.label == label:
                if record.what == "unanswered":
                    return f"{label}: {record.body}"
                if record.what in ("failed", "refused"):
                    return f"{label}: no connection ({record.body})"
        for record in self._own:
            if record.what in ("note", "failed", "refused"):
                return str(record.body)
        return f"{label}: it was not asked, because of what came before"

    def anywhere(self, label: str) -> bool:
        """Return whether a request of this label was answered with 200 in any step."""
        steps = {record.step for record in self._all if record.what == "sent" and record.label == label}
        found = [Evidence(self.head, self._all, step).answers(label) for step in steps]
        return any(answer.status == 200 for answers in found for answer in answers)

    def nothing_since(self, at: float, seconds: float) -> None:
        """Make sure that what did not come was waited for. Raises :class:`Untold` if the recording ends too early."""
        if not self._all or self._all[-1].at < at + seconds:
            raise Untold("it was not waited for long enough")

    def sent(self, label: str) -> Record | None:
        """Return the record of the request of this label, ``None`` if it was not sent."""
        return next((record for record in self._own if record.what == "sent" and record.label == label), None)

    # Connections, of whatever step

    def on(self, line: str) -> list[Record]:
        """Return all records of a connection."""
        return [record for record in self._all if record.line == line]

    def on_any(self) -> Sequence[Record]:
        """Return all records."""
        return self._all

    def listening(self, begin: float, end: float) -> list[str]:
        """Return the connections to which events could come all the time between two moments."""
        began: dict[str, float] = {}
        for record in self._all:
            is_stream = record.what == "open" and record.line.startswith("stream: ")
            if is_stream or (record.what == "received" and _subscribes(record.body)):
                began.setdefault(record.line, record.at)
            elif record.what in ("closed", "closing") and record.at <= end:
                began.pop(record.line, None)
        return [line for line, at in began.items() if at <= begin]

    def opened(self, line: str) -> Record:
        """Return the record that a connection was opened, or refused. Raises :class:`Untold` if neither is known."""
        for record in self.on(line):
            if record.what == "refused" and not _is_evidence(record.body["status"]):
                raise Untold(f"the handshake was refused with HTTP {record.body['status']}")
            if record.what in ("open", "refused"):
                return record
            if record.what == "failed":
                raise Untold(f"no connection ({record.body})")
        raise Untold(self._why_unanswered(line))

    def closed(self, line: str, *, lost: bool = False) -> Record | None:
        """Return the record that the exchange ended a connection, ``None`` if it did not.

        Raises :class:`Untold` if it ended without a closing handshake, which the network may be the cause of, unless
        ``lost`` takes that for an end by the exchange.
        """
        for record in self.on(line):
            if record.what == "closing":
                return None
            if record.what == "closed":
                if record.body["code"] is None and not lost:
                    raise Untold("the connection was lost, which need not be the exchange's doing")
                return record
        return None

    def events(self, line: str, kind: str | None = None) -> list[tuple[float, dict[str, Any]]]:
        """Return the events that came on a connection, with their times; those of one type, if ``kind`` is given."""
        found = []
        for record in self.on(line):
            if record.what == "received" and isinstance(record.body, dict):
                event = event_of(record.body)
                if event is not None and kind in (None, event.get("e")):
                    found.append((record.at, event))
        return found

    def note(self, label: str) -> Any:
        """Return what the step noted under a label. Raises :class:`Untold` if it did not."""
        for record in self._own:
            if record.what == "note" and record.label == label:
                return record.body
        raise Untold(self._why_unanswered(label))


def _subscribes(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("result"), dict) and "subscriptionId" in body["result"]


def event_of(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the event in a message, ``None`` if it is none."""
    for name in ("event", "data"):
        inner = message.get(name)
        if isinstance(inner, dict) and "e" in inner:
            return inner
    return dict(message) if "e" in message else None
