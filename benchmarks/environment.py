"""What the figures were measured on, and with which packages."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["LOOPS", "describe", "has"]

_PACKAGES: Final = ("binance-session", "websockets", "attrs", "cryptography", "msgspec", "uvloop")


def has(package: str) -> bool:
    """Tell whether an optional package is installed."""
    return importlib.util.find_spec(package) is not None


def _loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if has("uvloop"):
        loops["uvloop"] = importlib.import_module("uvloop").new_event_loop
    return loops


#: the event loops that can be measured here, each with what makes one
LOOPS: Final = _loops()


def describe() -> dict[str, str]:
    """Return what a reader must know about the machine and the software."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "cpu": f"{_cpu()}, {_cores()} cores to use",
        "load before": load,
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "websockets in C": "yes" if has("websockets.speedups") else "no: masking is done in Python",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"
