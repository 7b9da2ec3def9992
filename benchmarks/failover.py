"""From the loss of a connection to the next answered request, with a standby and without, beside a plain round trip.

The request is submitted in the hook that hears of the loss: that is the soonest that a bot can. *Known* counts from
there; *cut* counts from when the server cut, and so has the news' way in it.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.certificates import make_certificate
from benchmarks.environment import FASTEST_LOOP, LOOPS
from benchmarks.harness import Contestant, Metric, Table, compare, measure, median_of
from benchmarks.inflight import DECODER
from benchmarks.reconnect import PER_ADDRESS, AtOnce
from benchmarks.report import Plan, Section
from benchmarks.roundtrip import serving
from benchmarks.server import CUT, WHEN
from benchmarks.workload import make_session

__all__ = ["run"]

_PLAIN: Final = "a round trip, nothing lost"
_STANDBY: Final = "lost, with a standby"
_RECONNECT: Final = "lost, without one"


class _Asking:
    """Hooks that ask as soon as the connection is known to be lost."""

    #: done with the time (ns) of the news and the answer's future
    lost: asyncio.Future[tuple[int, Any]] | None = None

    def on_failover(self, cause: Exception) -> None:
        self._ask()

    def on_state_change(self, old: Any, new: Any, cause: Exception | None) -> None:
        if old.name == "READY":
            self._ask()

    def _ask(self) -> None:
        if self.lost is not None:
            lost, self.lost = self.lost, None
            known_at = time.perf_counter_ns()
            session: Any = self
            lost.set_result((known_at, session.submit(WHEN, security="NONE", on_unready="wait")))


class _Ours:
    """A session whose connection is cut again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, tls: ssl.SSLContext | None, *, standby: bool) -> None:
        self._loop = loop
        self._session = make_session(
            DECODER, url, mixin=_Asking, ssl=tls, proxy=None, reconnect=AtOnce(), standby=standby
        )
        self._has_standby = standby
        loop.run_until_complete(self._session.open())

    def close(self) -> None:
        self._loop.run_until_complete(self._session.close())

    def cut(self, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(self._median_cut(size))

    def ask(self, size: int) -> Mapping[str, float]:
        return self._loop.run_until_complete(self._median_ask(size))

    async def _median_cut(self, size: int) -> Mapping[str, float]:
        known, cut = zip(*[await self._cut() for _ in range(size)], strict=True)
        return {"known": median_of(known) * 1e3, "cut": median_of(cut) * 1e3}

    async def _median_ask(self, size: int) -> Mapping[str, float]:
        times = []
        for _ in range(size):
            start = time.perf_counter()
            await self._session.request(WHEN, security="NONE")
            times.append(time.perf_counter() - start)
        return dict.fromkeys(("known", "cut"), median_of(times) * 1e3)

    async def _cut(self) -> tuple[float, float]:
        while self._has_standby and not self._session.standby_ready:  # noqa: ASYNC110, no hook tells of it
            await asyncio.sleep(0.001)
        lost = self._session.lost = self._loop.create_future()
        cut = self._session.submit(CUT, security="NONE")
        known_at, answer = await lost
        cut_at = (await answer).result["at"]
        answered_at = time.perf_counter_ns()
        assert cut.exception() is not None
        return (answered_at - known_at) / 1e9, (answered_at - cut_at) / 1e9


def run(plan: Plan) -> Sequence[Section]:
    """Measure plain and over TLS."""
    if 2 * (plan.rounds + 1) * plan.size >= PER_ADDRESS:
        raise SystemExit(f"failover: fewer than {PER_ADDRESS} in all, or the session's own budget makes it wait")
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "server.pem"
        context = make_certificate(pem)
        with serving() as plain, serving("--tls", str(pem), scheme="wss") as secure:
            tables = [*_measure(plan, "plain", plain, None), *_measure(plan, "TLS", secure, context)]
    pairs = [(table, name, _PLAIN) for table in tables for name in (_STANDBY, _RECONNECT)]
    return [*tables, compare("the ratios to read: plain, then over TLS", pairs)]


def _measure(plan: Plan, name: str, url: str, tls: ssl.SSLContext | None) -> Sequence[Table]:
    loop = LOOPS[FASTEST_LOOP]()
    try:
        alone, two = [_Ours(loop, url, tls, standby=standby) for standby in (False, True)]
        contestants = [
            Contestant(_PLAIN, alone.ask),
            Contestant(_STANDBY, two.cut),
            Contestant(_RECONNECT, alone.cut),
        ]
        metrics = [
            Metric("known", f"{name}, {FASTEST_LOOP}: from the news of the loss to the next answer", "ms"),
            Metric("cut", f"{name}, {FASTEST_LOOP}: from the server's cut to the next answer", "ms"),
        ]
        tables = measure(metrics, contestants, rounds=plan.rounds, size=plan.size)
        for session in (alone, two):
            session.close()
    finally:
        loop.close()
    return tables
