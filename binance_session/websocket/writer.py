"""Writing to a WebSocket: messages as frames, many frames in one system call, and what the library has to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import Struct
from typing import Final

from websockets.client import ClientProtocol
from websockets.protocol import State

from binance_session.websocket.frames import FINAL_CLOSE, FINAL_PONG, FINAL_TEXT, apply_mask, masks

__all__ = ["FrameWriter"]

# RFC 6455 §5.2: the mask bit and the length, in three sizes
_MASKED: Final = 0x80
_SHORT_HEADER, _MEDIUM_HEADER, _LONG_HEADER = Struct("!BB"), Struct("!BBH"), Struct("!BBQ")


class FrameWriter:
    """Writes the messages and control frames of one connection, in their order."""

    def __init__(self, protocol: ClientProtocol, loop: asyncio.AbstractEventLoop, *, coalesce: bool) -> None:
        """``coalesce``: what is written in one turn of the event loop leaves together, all but the first."""
        self.transport: asyncio.Transport
        #: whether frames are made here; with an extension, which may change the data, the library makes them
        self.makes_frames = True
        #: the close frame that was written
        self.close_frame = b""
        self._protocol = protocol
        self._loop = loop
        self._coalesces = coalesce
        self._masks = masks()
        # what a frame is passed to: the transport, or the list of those that leave together
        self._send: Callable[[bytes], None]
        self._held: list[bytes] = []
        # whether the transport's buffer is full, and the pong that waits for room
        self._is_full = False
        self._pong = b""

    def start(self, transport: asyncio.Transport) -> None:
        """Write to ``transport`` from now on."""
        self.transport = transport
        self.release()

    def write(self, data: bytes) -> None:
        """Write one text message to the socket now.

        The frame is made here, because what the library does for every kind of frame costs a third of a request.
        """
        if not self.makes_frames:
            self._protocol.send_text(data)
            for chunk in self._protocol.data_to_send():
                self._send(chunk)
            return
        length = len(data)
        if length < 126:
            header = _SHORT_HEADER.pack(FINAL_TEXT, _MASKED | length)
        elif length < 65536:
            header = _MEDIUM_HEADER.pack(FINAL_TEXT, _MASKED | 126, length)
        else:
            header = _LONG_HEADER.pack(FINAL_TEXT, _MASKED | 127, length)
        mask = next(self._masks)
        self._send(header + mask + apply_mask(data, mask))

    def _open_turn(self, frame: bytes) -> None:
        """Write the first frame of a turn of the loop; those that follow are held until the turn ends."""
        self._send = self._held.append
        self._loop.call_soon(self._end_turn)
        self.transport.write(frame)

    def _end_turn(self) -> None:
        self._send = self._open_turn
        self.write_held()

    def hold(self) -> None:
        """Hold what is written until :meth:`release`, which comes in the same turn of the loop."""
        self._send = self._held.append

    def release(self) -> None:
        """Write what is held: many frames for the price of one system call, and of one TLS record."""
        self._send = self._open_turn if self._coalesces else self.transport.write
        self.write_held()

    def write_held(self) -> None:
        """Write what is held: at the end of a turn, and before the library writes, which may end all writing."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            if self._protocol.state is State.OPEN and not self.transport.is_closing():
                self.transport.write(data)

    def flush(self) -> None:
        """Write what the library has to say, and close the transport once it has said all."""
        for chunk in self._protocol.data_to_send():
            if self.transport.is_closing():
                continue
            if not chunk:
                self.transport.close()
            elif self._is_full and chunk[0] == FINAL_PONG:
                self._pong = chunk  # RFC 6455 §5.5.3: the most recent ping is enough, and the peer does not read
            else:
                if chunk[0] == FINAL_CLOSE:
                    self.close_frame = chunk
                self.transport.write(chunk)

    def pause(self) -> None:
        """Called when the transport's buffer is full, because the peer does not read."""
        self._is_full = True

    def resume(self) -> None:
        """Called when there is room in it again."""
        self._is_full = False
        if self._pong and not self.transport.is_closing():
            self.transport.write(self._pong)
        self._pong = b""
