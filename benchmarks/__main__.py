"""The command line: ``python -m benchmarks [NAME] [--rounds N] [--size N] [--long] [--json FILE] [--figures DIR]``.

Without a name everything is run, in less than five minutes; the figures and the JSON then go into this folder. The JSON
of one benchmark is written where ``--json`` says, or not at all.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    account,
    accounts,
    collector,
    counts,
    dispatch,
    encrypted,
    endurance,
    failover,
    figures,
    fleet,
    floods,
    imports,
    inflight,
    reconnect,
    rollover,
    roundtrip,
    threads,
)
from benchmarks.environment import describe, has
from benchmarks.report import Benchmark, Plan

__all__ = ["main"]

#: where everything goes when everything is run
_RESULTS: Final = Path(__file__).resolve().parent / "results.json"
_BENCHMARKS: Final = {
    "dispatch": Benchmark(dispatch.run, "in one process, without a socket", rounds=9, size=1000),
    "roundtrip": Benchmark(roundtrip.run, "over loopback, beside what other people use", rounds=7, size=1000),
    "encrypted": Benchmark(encrypted.run, "the same over TLS, as at the exchange", rounds=5, size=500),
    "account": Benchmark(account.run, "where the microseconds go", rounds=9, size=2000),
    "counts": Benchmark(counts.run, "what no neighbour can change", rounds=1, size=1),
    "inflight": Benchmark(inflight.run, "what the others in flight cost", rounds=7, size=1000),
    "collector": Benchmark(collector.run, "what the garbage collector sees", rounds=5, size=1000),
    "endurance": Benchmark(endurance.run, "whether the cost stays what it was", rounds=20, size=10_000),
    "accounts": Benchmark(accounts.run, "two hundred accounts in one manager", rounds=20, size=200),
    "fleet": Benchmark(fleet.run, "a thousand sessions in one process", rounds=10, size=1000),
    "floods": Benchmark(floods.run, "whether a peer can stop the event loop", rounds=3, size=512),
    "imports": Benchmark(imports.run, "in fresh interpreters", rounds=7, size=2),
    "reconnect": Benchmark(reconnect.run, "from the cut to READY", rounds=7, size=30),
    "failover": Benchmark(failover.run, "what a standby connection buys", rounds=7, size=15),
    "rollover": Benchmark(rollover.run, "requests while the connection is replaced", rounds=7, size=2000),
    "threads": Benchmark(threads.run, "requests from other threads", rounds=7, size=2000),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for, print its tables, write them as JSON if a file was given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Read the ratios, not the times.")
    parser.add_argument("benchmark", nargs="?", choices=sorted(_BENCHMARKS), help="all of them without it")
    parser.add_argument("--rounds", type=_positive, help="interleaved rounds (at least 5 to conclude anything)")
    parser.add_argument("--size", type=_positive, help="requests in a slice")
    parser.add_argument("--long", action="store_true", help="the long version of what has one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures to this file")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="draw the figures into this folder")
    parser.add_argument("--write", action="store_true", help=f"counts: renew {counts.FILE.name}")
    options = parser.parse_args(arguments)
    if options.write and options.benchmark != "counts":
        parser.error("--write belongs to the benchmark counts")
    if options.write:
        counts.write()
    if options.benchmark is None:  # everything: this is what the README shows
        options.json = options.json or _RESULTS
        options.figures = options.figures or figures.FOLDER

    environment = describe()
    for name, value in environment.items():
        print(f"{name:16}{value}")
    results: dict[str, Any] = {}
    for name, benchmark in _BENCHMARKS.items():
        if options.benchmark not in (None, name):
            continue
        plan = Plan(options.rounds or benchmark.rounds, options.size or benchmark.size, options.long)
        print(f"\n{name}: {benchmark.about}", flush=True)
        start = time.monotonic()
        with _quiet():
            sections = benchmark.run(plan)
        for section in sections:
            print(f"\n{section.as_text()}")
        took = time.monotonic() - start
        done = "the long version" if plan.long else f"{plan.rounds} rounds of {plan.size}"
        print(f"\n({done} in {took:.0f} s; ?: too noisy to conclude)", flush=True)
        results[name] = {
            "rounds": plan.rounds,
            "size": plan.size,
            "sections": [section.as_json() for section in sections],
        }
    document = {"environment": environment, "benchmarks": results}
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        print(f"\nwritten to {options.json}")
    if options.figures is not None and not has("matplotlib"):
        print("no figures: they need matplotlib, which is in the extra [bench]")
    elif options.figures is not None:
        for file in figures.draw(document, options.figures):
            print(f"drawn: {file}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the package's log to errors: connections are lost here on purpose."""
    logger = logging.getLogger("binance_session")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    main()
