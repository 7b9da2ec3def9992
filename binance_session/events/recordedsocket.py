"""A stream socket that tells a recorder what became of it, and what it brought."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from binance_session.events.socket import StreamSocket
from binance_session.recorder import FlightRecorder

__all__ = ["RecordedSocket", "socket_maker"]


def socket_maker(recorder: FlightRecorder | None) -> Callable[..., StreamSocket]:
    """Return what makes a session's stream sockets: plain ones without a recorder."""
    return StreamSocket if recorder is None else functools.partial(RecordedSocket, recorder=recorder)


class RecordedSocket(StreamSocket):
    """A stream socket for sessions with a recorder."""

    def __init__(self, *arguments: Any, recorder: FlightRecorder) -> None:
        super().__init__(*arguments)
        self._recorder = recorder
        self._name = ""

    async def open(self) -> None:
        """Connect; see :meth:`StreamSocket.open`."""
        self._name = self._recorder.dialled("stream")
        try:
            await super().open()
        except BaseException as error:
            self._recorder.connection("failed", self._name, error)
            raise
        self._recorder.connection("opened", self._name)

    def _handle(self, data: bytes | bytearray) -> None:
        self._recorder.received(data, self._name)
        super()._handle(data)

    def connection_ending(self, reason: str) -> None:
        """Called when the connection ends."""
        if self.cause is None:
            self._recorder.connection("ended", self._name, reason)
        super().connection_ending(reason)

    async def close(self) -> None:
        """Close the connection; see :meth:`StreamSocket.close`."""
        self._recorder.connection("closed", self._name)
        await super().close()
