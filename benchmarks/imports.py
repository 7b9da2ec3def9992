"""What ``import binance_session`` costs beside what it cannot do without, and what it must not bring along.

Every figure is from a fresh interpreter. The reference imports the parts of the three required packages that a session
uses: the package may import them later, when they are needed, and so be the faster of the two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness import Contestant, Metric, compare, measure
from benchmarks.report import Plan, Section, Sheet

__all__ = ["HEAVY", "run"]

_ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGE: Final = "binance_session"
#: what the first use of ``Session`` imports: the package alone imports nothing
_SESSION: Final = f"{_PACKAGE}.session"
_PARTS: Final = (
    "attrs",
    "websockets.asyncio.client",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.serialization",
)
#: what a bot does not need at its start
HEAVY: Final = (
    f"{_PACKAGE}.simulator",
    f"{_PACKAGE}.cli",
    "cryptography",
    "msgspec",
    "uvloop",
    "websockets.asyncio.server",
)

_TIMED: Final = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
import {modules}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({{"wall": wall * 1e3, "cpu": cpu * 1e3}}))
"""
_LOADED: Final = """
import json, sys
import {modules}
import gc, ssl
contexts = sum(isinstance(item, ssl.SSLContext) for item in gc.get_objects())
print(json.dumps({{"modules": sorted(sys.modules), "contexts": contexts}}))
"""


def run(plan: Plan) -> Sequence[Section]:
    """Time the imports, ``size`` fresh interpreters in a slice, and list what came along."""
    sources = {
        "the parts that are used of websockets, cryptography, attrs": ", ".join(_PARTS),
        "asyncio alone": "asyncio",
        f"import {_PACKAGE}": _SESSION,
        f"import {_PACKAGE}, and the parts of cryptography": ", ".join([_SESSION, *_PARTS[2:]]),
    }
    contestants = [Contestant(name, _Import(modules).run) for name, modules in sources.items()]
    metrics = [Metric("wall", "import, wall clock", "ms"), Metric("cpu", "import, CPU time", "ms")]
    tables = measure(metrics, contestants, rounds=plan.rounds, size=plan.size)
    first, *_, package, both = sources
    pairs = [(table, name, first) for table in tables for name in (package, both)]
    return [*tables, compare("the ratios to read", pairs), _along()]


class _Import:
    """An import, in as many fresh interpreters as are asked for; the fastest counts."""

    def __init__(self, modules: str) -> None:
        self._source = _TIMED.format(modules=modules)

    def run(self, size: int) -> Mapping[str, float]:
        runs = [_fresh(self._source) for _ in range(size)]
        return {key: min(float(figures[key]) for figures in runs) for key in ("wall", "cpu")}


def _fresh(source: str) -> dict[str, float]:
    # else what was edited since would be compiled again each time, which no user has to wait for
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run([sys.executable, "-c", source], cwd=_ROOT, env=environment, check=True, capture_output=True)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def _along() -> Sheet:
    """Return what an import of the package loads, and what of it is heavy."""
    result = subprocess.run(
        [sys.executable, "-c", _LOADED.format(modules=_SESSION)], cwd=_ROOT, check=True, capture_output=True
    )
    loaded = json.loads(result.stdout)
    modules: list[str] = loaded["modules"]

    def count(package: str) -> int:
        return sum(name == package or name.startswith(f"{package}.") for name in modules)

    rows = [("modules in all", len(modules)), (f"of {_PACKAGE}", count(_PACKAGE))]
    rows += [(f"of {package}", count(package)) for package in HEAVY]
    rows.append(("ssl.SSLContext objects", loaded["contexts"]))
    return Sheet(f"what import {_PACKAGE} brings along", ("", "number"), tuple(rows))
