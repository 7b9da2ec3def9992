"""What the figures were measured on, and with which packages."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["FASTEST_LOOP", "LOOPS", "PLAIN_LOOPS", "describe", "has", "pin", "resident"]

_PACKAGES: Final = ("binance-session", "websockets", "attrs", "cryptography", "msgspec", "uvloop", "aiofastnet")
_PEERS: Final = (
    "binance-sdk-derivatives-trading-coin-futures",
    "python-binance",
    "ccxt",
    "unicorn-binance-websocket-api",
    "picows",
    "orjson",
    "hdrhistogram",
)


def has(package: str) -> bool:
    """Tell whether an optional package is installed."""
    return importlib.util.find_spec(package) is not None


def _loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if has("uvloop"):
        loops["uvloop"] = importlib.import_module("uvloop").new_event_loop
    if has("aiofastnet"):
        with_its_transports = importlib.import_module("aiofastnet").loop_factory
        loops |= {f"{name}+aiofastnet": with_its_transports(make) for name, make in loops.items()}
    return loops


#: the event loops that can be measured here, each with what makes one; also with aiofastnet's transports
LOOPS: Final = _loops()
#: those that bring their own transports
PLAIN_LOOPS: Final = tuple([name for name in LOOPS if "+" not in name])
#: the one that leaves the least to be seen of itself
FASTEST_LOOP: Final = "uvloop" if "uvloop" in LOOPS else "asyncio"


def describe() -> dict[str, str]:
    """Return what a reader must know about the machine and the software."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "cpu": f"{_cpu()}, {len(_cores()) or os.cpu_count() or 1} cores to use",
        "load before": load,
        "packages": _versions(_PACKAGES),
        "peers": _versions(_PEERS),
        "websockets in C": "yes" if has("websockets.speedups") else "no: masking is done in Python",
    }


def pin(place: int) -> None:
    """Keep this process on one core: the first is 0, the last -1. Does nothing where that cannot be had.

    A client and its server that share a core, or change cores in the middle, measure the scheduler.
    """
    cores = _cores()
    if sys.platform == "linux" and len(cores) > 1:
        os.sched_setaffinity(0, {cores[place]})


def resident() -> int | None:
    """Return how many bytes of this process are in memory; ``None`` where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _versions(packages: Sequence[str]) -> str:
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cores() -> list[int]:
    """Return the cores that this process may use, where the system tells."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"
