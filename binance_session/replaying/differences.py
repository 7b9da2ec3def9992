"""Where a session behaves otherwise than it did when it was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final

from attrs import frozen

from binance_session.recorder import Entry
from binance_session.replaying.exchange import params_of, parsed

__all__ = ["Difference", "Differences", "compare"]

#: seconds by which the same thing may happen earlier or later
_TOLERANCE: Final = 1.0
_SEVERAL: Final = 20


@frozen
class Difference:
    """One thing that happened then and not now, or now and not then, or at another time.

    ``at`` are seconds since the recording began; ``then`` and ``now`` say what happened, ``None`` for nothing.
    """

    at: float
    then: str | None
    now: str | None

    def __str__(self) -> str:
        if self.now is None:
            return f"{self.at:.3f} s: {self.then}, and not now"
        if self.then is None:
            return f"{self.at:.3f} s: {self.now}, and not then"
        return f"{self.at:.3f} s: {self.then}, now {self.now}"


@frozen
class Differences:
    """What :func:`replay` found; true if there is anything."""

    items: tuple[Difference, ...]

    def __bool__(self) -> bool:
        return bool(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Difference]:
        return iter(self.items)

    def __str__(self) -> str:
        if not self.items:
            return "the session behaves as it did"
        more = len(self.items) - _SEVERAL
        lines = [str(item) for item in self.items[:_SEVERAL]]
        return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def compare(then: Iterable[Entry], now: Iterable[Entry], began: float, ended: float) -> Differences:
    """Compare what happened between two moments (Unix s): each kind of thing in its order."""
    found: list[Difference] = []
    before, after = _told(then), _told(now)
    for kind in before.keys() | after.keys():
        found += _differ(before.get(kind, []), after.get(kind, []), began, ended)
    return Differences(tuple(sorted(found, key=lambda each: each.at)))


#: when, what, and how long it took if that can be told
_Told = list[tuple[float, str, float | None]]


def _told(entries: Iterable[Entry]) -> dict[str, _Told]:
    """Return what happened in words, by what is compared with what."""
    told: dict[str, _Told] = {}
    began: dict[object, float] = {}
    for entry in entries:
        data = entry.data
        kind, text, took = entry.kind, "", None
        if kind == "state":
            text = f"{data['old']} -> {data['new']}"
        elif kind == "sent":
            message = parsed(data)
            kind = f"sent {message.get('method')}"
            began[message.get("id")] = entry.at
            text = f"{kind} {json.dumps(params_of(message), sort_keys=True, ensure_ascii=False)}"
        elif kind == "outcome":
            kind = f"outcome {data['method']}"
            text = f"{data['method']} ended: {data['outcome']}"
            took = entry.at - began[data["id"]] if data["id"] in began else None
        elif kind == "event":
            text = f"event {parsed(data).get('e')}"
        elif kind == "gap":
            text = "a gap was told"
        elif kind == "listenKey":
            text = f"listenKey {data}"
        elif kind == "failover":
            text = "failover"
        if text:
            told.setdefault(kind, []).append((entry.at, text, took))
    return told


def _differ(then: _Told, now: _Told, began: float, ended: float) -> Iterator[Difference]:
    matcher = SequenceMatcher(None, [each[1] for each in then], [each[1] for each in now], autojunk=False)
    for tag, low, high, first, last in matcher.get_opcodes():
        if tag == "equal":
            for (at, text, before), (_, _, after) in zip(then[low:high], now[first:last], strict=True):
                if before is not None and after is not None and abs(after - before) > _TOLERANCE:
                    yield Difference(at - began, f"{text} after {before:.3f} s", f"after {after:.3f} s")
            continue
        for at, text, _ in then[low:high]:
            yield Difference(at - began, text, None)
        for at, text, _ in now[first:last]:
            if at < ended - _TOLERANCE:  # what was under way when the recording ends is in it no more
                yield Difference(at - began, None, text)
