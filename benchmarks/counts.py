"""What the steps of the hot path do, in numbers that no neighbour on the machine can change.

*Bytecodes*: instructions of the interpreter that one call executes, in Python code of any package. *Blocks*: pieces of
memory that it leaves allocated, its result included. *Peak*: bytes that it needs at once, by tracemalloc. *Tracked*:
objects that it leaves for the garbage collector to visit. They depend on the version of Python and on the decoder, so a
file keeps them for each, and a test says which of them grew.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from benchmarks.collector import tracked
from benchmarks.report import Notes, Plan, Section, Sheet
from benchmarks.steps import ANSWER, REQUEST, Step, forget, steps
from benchmarks.wire import MemorySession
from benchmarks.workload import PACKAGES

__all__ = ["FILE", "Counts", "count", "expected", "grown", "run", "write"]

#: the file that keeps them
FILE: Final = Path(__file__).resolve().parent / "counts.json"
#: step -> kind of count -> count
Counts = dict[str, dict[str, float]]

#: by how much a count may grow before it is worth a word: a tenth, and half of the smallest thing there is to count
_PART, _LEAST = 0.10, 0.5
_MANY: Final = 500
#: options that cost something: their names, and their values for a decoder's copy of the package
_EXTRAS: Final[Mapping[str, Callable[[str], Mapping[str, Any]]]] = {
    "timings": lambda _: {"timings": True},
    "a recorder": lambda decoder: {"recorder": PACKAGES[decoder].FlightRecorder()},
}
_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


def count(decoder: str) -> Counts:
    """Return the counts of this interpreter with ``decoder``."""
    memory = MemorySession(decoder, request_timeout=3600.0)
    collects = gc.isenabled()
    gc.disable()
    try:
        counts = memory.run(_count(memory, decoder))
    finally:
        if collects:
            gc.enable()
        forget(memory)
        memory.close()
    in_flight, kept = tracked(decoder, _MANY)
    counts[REQUEST]["tracked"] = round(sum(in_flight.values()), 1)
    counts[ANSWER]["tracked"] = round(sum(kept.values()), 1)
    for name, options in _EXTRAS.items():
        counts.update(_with(name, decoder, options(decoder)))
    return counts


def _with(name: str, decoder: str, options: Mapping[str, Any]) -> Counts:
    """Return what a request and an answer cost a session with these options."""
    memory = MemorySession(decoder, request_timeout=3600.0, **options)
    try:
        return memory.run(_walks(memory, decoder, name))
    finally:
        forget(memory)
        memory.close()


async def _walks(memory: MemorySession, decoder: str, name: str) -> Counts:
    counts: Counts = {}
    for step in steps(memory, decoder):
        if step.name in (REQUEST, ANSWER):
            for arguments in step.prepare(_MANY):
                step.call(*arguments)
            counts[f"{step.name}, with {name}"] = {"bytecodes": _bytecodes(step)}
    return counts


async def _count(memory: MemorySession, decoder: str) -> Counts:
    counts: Counts = {}
    for step in steps(memory, decoder):
        for arguments in step.prepare(_MANY):
            step.call(*arguments)  # caches fill, code is specialized
        counts[step.name] = {"bytecodes": _bytecodes(step), "blocks": _blocks(step), "peak": _peak(step)}
    return counts


def _bytecodes(step: Step) -> int:
    """Return the instructions of the cheapest of some calls: any of the others met something that is not its own."""
    return min(_executed(step.call, arguments) for arguments in step.prepare(10))


if sys.version_info >= (3, 12):

    def _executed(call: Callable[..., Any], arguments: Sequence[Any]) -> int:
        executed, here = 0, sys._getframe().f_code

        def instruction(code: CodeType, offset: int) -> None:
            nonlocal executed
            executed += code is not here

        watch = sys.monitoring
        watch.use_tool_id(watch.PROFILER_ID, "benchmarks")
        watch.register_callback(watch.PROFILER_ID, watch.events.INSTRUCTION, instruction)
        watch.set_events(watch.PROFILER_ID, watch.events.INSTRUCTION)
        try:
            call(*arguments)
        finally:
            watch.set_events(watch.PROFILER_ID, watch.events.NO_EVENTS)
            watch.register_callback(watch.PROFILER_ID, watch.events.INSTRUCTION, None)
            watch.free_tool_id(watch.PROFILER_ID)
        return executed

else:

    def _executed(call: Callable[..., Any], arguments: Sequence[Any]) -> int:
        executed = 0

        def local(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal executed
            executed += event == "opcode"
            return local

        def enter(frame: FrameType, event: str, _: Any) -> Any:
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            return local

        before = sys.gettrace()
        sys.settrace(enter)
        try:
            call(*arguments)
        finally:
            sys.settrace(before)
        return executed


def _blocks(step: Step) -> float:
    """Return the blocks that each of many calls left allocated."""
    prepared = step.prepare(_MANY)
    gc.collect()  # empties the interpreter's lists of freed objects, which are not allocated anew
    kept: list[Any] = [None] * _MANY
    before = sys.getallocatedblocks()
    for place, arguments in enumerate(prepared):
        kept[place] = step.call(*arguments)
    return round((sys.getallocatedblocks() - before) / _MANY, 1)


def _peak(step: Step) -> int:
    """Return the bytes that the most modest of some calls had allocated at once."""
    prepared = step.prepare(20)
    peaks = []
    gc.collect()
    tracemalloc.start()
    try:
        for arguments in prepared:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            result = step.call(*arguments)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
            del result
    finally:
        tracemalloc.stop()
    return min(peaks)


def expected(version: str = _VERSION) -> dict[str, Counts]:
    """Return decoder -> counts as the file has them for a version of Python; nothing, if it has none."""
    if not FILE.exists():
        return {}
    kept: dict[str, dict[str, Counts]] = json.loads(FILE.read_text(encoding="utf-8"))
    return kept.get(version, {})


def grown(counts: Counts, kept: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line about each count that is more than a tenth above what was kept, or that is not kept at all."""
    lines = []
    for step, kinds in counts.items():
        for kind, value in kinds.items():
            before = kept.get(step, {}).get(kind)
            if before is None:
                lines.append(f"{step}: {kind} is not in the file")
            elif value > before * (1 + _PART) and value - before > _LEAST:
                lines.append(f"{step}: {kind} grew from {before:g} to {value:g}")
    return lines


def write() -> None:
    """Renew the file's entries for this version of Python, with the decoders that are here."""
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    entry = kept.setdefault(_VERSION, {})
    for decoder in PACKAGES:
        entry[decoder] = count(decoder)
    ordered = {version: dict(sorted(kept[version].items())) for version in sorted(kept, key=_number)}
    FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def run(plan: Plan) -> Sequence[Section]:
    """Count, and compare with the file; the same whatever the rounds and their size."""
    sections: list[Section] = []
    kept = expected()
    for decoder in PACKAGES:
        counts = count(decoder)
        kinds = ("bytecodes", "blocks", "peak", "tracked")
        rows = tuple([(step, *[numbers.get(kind) for kind in kinds]) for step, numbers in counts.items()])
        if decoder in kept:
            notes = tuple(grown(counts, kept[decoder]))
        else:
            notes = (f"{FILE.name} has no entry for Python {_VERSION} with {decoder}",)
        title = f"order.place with {decoder}, Python {_VERSION}: for each call"
        sections.append(Sheet(title, ("", *kinds), rows, notes))
    about = "bytecodes executed; blocks left allocated; bytes at the peak; objects left for the collector"
    return [*sections, Notes((about,))]
