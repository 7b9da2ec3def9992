"""The same over TLS, which is how every bot talks to the exchange; also with aiofastnet's transports under the loops.

Encryption takes much of a client's time, and where it happens matters: asyncio and uvloop encrypt through Python's
``ssl`` objects, aiofastnet and picows call OpenSSL directly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.certificates import make_certificate
from benchmarks.clients import OURS, OURS_TOGETHER, READER, usable
from benchmarks.environment import LOOPS
from benchmarks.harness import compare
from benchmarks.peers import PICOWS, SDK
from benchmarks.report import Notes, Plan, Section
from benchmarks.roundtrip import compare_clients, label, serving

__all__ = ["run"]

_CLIENTS: Final = (READER, OURS, OURS_TOGETHER, PICOWS, SDK)


def run(plan: Plan) -> Sequence[Section]:
    """Measure what is comparable over TLS, on every loop that there is."""
    kinds, left_out = usable()
    kinds = {name: kinds[name] for name in _CLIENTS if name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "server.pem"
        make_certificate(pem)
        with serving("--tls", str(pem), scheme="wss") as url:
            tables, _, failures = compare_clients(plan, kinds, list(LOOPS), url, "order.place over TLS", pem)
    p50, _, _, cpu = tables
    pairs = []
    for loop in LOOPS:
        ours, together, picows = [label(loop, name) for name in (OURS, OURS_TOGETHER, PICOWS)]
        pairs += [
            (cpu, ours, picows),
            (cpu, together, picows),
            (cpu, ours, label(loop, SDK)),
            (p50, ours, picows),
        ]
    title = "the ratios to read: median of the ratios within each round"
    return [p50, cpu, compare(title, pairs), Notes((*left_out, *failures))]
