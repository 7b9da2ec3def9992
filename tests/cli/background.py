"""A simulator in a thread, for a command that runs its own event loop in the test's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from binance_session.simulator import Simulator
from binance_session.venues import Venue

T = TypeVar("T")


class Background:
    """Serves a simulator while the ``with`` block runs; ``call`` runs something in its thread."""

    def __init__(self, venue: Venue, **options: Any) -> None:
        self._venue = venue
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with Simulator(self._venue, **self._options) as self.simulator:
            self._ready.set()
            await self._stop.wait()

    def call(self, function: Callable[[], T]) -> T:
        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    @property
    def url(self) -> str:
        return self.simulator.url

    def methods(self) -> list[Any]:
        """Return the methods received so far, in order."""
        return [frame.method for frame in self.simulator.received]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        assert not self._thread.is_alive()
