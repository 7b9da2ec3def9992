"""The command line: ``python -m benchmarks [dispatch|roundtrip] [--rounds N] [--size N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks import dispatch, roundtrip
from benchmarks.environment import describe
from benchmarks.harness import Table

__all__ = ["main"]


@frozen
class _Benchmark:
    run: Callable[[int, int], list[Table]]
    about: str
    rounds: int
    size: int


_BENCHMARKS: Final = {
    "dispatch": _Benchmark(dispatch.run, "in one process, without a socket", rounds=15, size=1000),
    "roundtrip": _Benchmark(roundtrip.run, "over loopback, the server in another process", rounds=11, size=1000),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for, print its tables, write them as JSON if a file was given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Read the ratios, not the times.")
    parser.add_argument("benchmark", nargs="?", choices=sorted(_BENCHMARKS), help="all of them without it")
    parser.add_argument("--rounds", type=_positive, help="interleaved rounds (at least 5 to conclude anything)")
    parser.add_argument("--size", type=_positive, help="requests in a slice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures to this file")
    options = parser.parse_args(arguments)

    environment = describe()
    for name, value in environment.items():
        print(f"{name:16}{value}")
    results: dict[str, Any] = {}
    for name, benchmark in _BENCHMARKS.items():
        if options.benchmark not in (None, name):
            continue
        rounds, size = options.rounds or benchmark.rounds, options.size or benchmark.size
        print(f"\n{name}: {benchmark.about}", flush=True)
        start = time.monotonic()
        tables = benchmark.run(rounds, size)
        for table in tables:
            print(f"\n{table.as_text()}")
        took = time.monotonic() - start
        print(f"\n({rounds} rounds of {size} in {took:.0f} s; ?: too noisy to conclude)", flush=True)
        results[name] = {"rounds": rounds, "size": size, "tables": [table.as_json() for table in tables]}
    if options.json is not None:
        document = {"environment": environment, "benchmarks": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        print(f"\nwritten to {options.json}")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    main()
