"""Reading from a transport: a flood of frames is taken in pieces, and the event loop has its turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["PIECE", "Intake"]

#: bytes of what one read brought that are taken at once
PIECE: Final = 8 * 1024
#: seconds after which the loop has its turn
_SLICE: Final = 0.02
#: frames given to the library before the loop has its turn
_MANY: Final = 256


class Intake:
    """Passes what was read on, piece by piece; reads no more while pieces wait, and while it is paused."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[bytes], None], piece_size: Callable[[], int]
    ) -> None:
        """Pass pieces of ``piece_size()`` bytes to ``take``, which may :meth:`adjourn`."""
        self.transport: asyncio.Transport
        #: bytes that were read and wait until the loop has had its turn
        self.backlog = bytearray()
        #: frames given to the library since the loop last had its turn
        self.given = 0
        #: set unless paused, and how often it was paused
        self.reading = asyncio.Event()
        self.reading.set()
        self.pauses = 0
        self._loop = loop
        self._take = take
        self._piece_size = piece_size
        self._adjourned = False

    def add(self, data: memoryview) -> None:
        """Take what was read, now or after what waits already."""
        self.backlog += data
        if not self._adjourned:
            self.work_off()

    def work_off(self, *, at_once: bool = False) -> None:
        """Take what waits piece by piece; adjourn when that takes long, unless ``at_once``."""
        began = self._loop.time()
        while self.backlog:
            data = memoryview(bytes(self.backlog))
            self.backlog.clear()
            size = self._piece_size()
            for start in range(0, len(data), size):
                if start and not at_once and self._loop.time() - began >= _SLICE:
                    self.adjourn(data[start:])
                    return
                self._take(bytes(data[start : start + size]))
                if self._adjourned:
                    self.backlog += data[start + size :]
                    break
            if self._adjourned and not at_once:
                return

    def is_time_for_others(self) -> bool:
        """Tell whether the library was given so many frames that the loop should have its turn."""
        return self.given > _MANY

    def adjourn(self, data: bytes | memoryview) -> None:
        """Take ``data`` when the loop has had its turn, and read no more until then."""
        self.given = 0
        self.backlog += data
        self._adjourned = True
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._adjourned = False
        self.work_off()
        if not self._adjourned and self.reading.is_set() and not self.transport.is_closing():
            self.transport.resume_reading()

    def pause(self) -> None:
        """Read no more from the network until :meth:`resume`."""
        if self.reading.is_set():
            self.reading.clear()
            self.pauses += 1
            if not self.transport.is_closing():
                self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.reading.is_set():
            self.reading.set()
            if not self._adjourned and not self.transport.is_closing():
                self.transport.resume_reading()
