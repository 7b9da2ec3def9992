"""The WebSocket, dispatching inline.

``websockets`` does WebSocket: handshakes, TLS, proxies, frames, ping and pong, the closing handshake. What is
changed here is where a message goes: not into a queue for a task to fetch, but to the receiver, in the same
``data_received`` that parsed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from itertools import chain, repeat
from mmap import ACCESS_COPY, mmap
from os import urandom
from struct import Struct
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import CLOSING, OPEN

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without its C extension
    from websockets.utils import apply_mask

__all__ = ["Connection", "Receiver"]

#: seconds for the pong to a ping that was sent because the connection is in doubt
_CHECK_TIMEOUT: Final = 2.0
_LONG_CHECK_TIMEOUT: Final = 10.0
#: seconds by which a timer is late when something blocked the loop
_BLOCKED: Final = 0.05
#: how many times in a row that is believed
_BLOCKED_AT_MOST: Final = 6
# RFC 6455 §5.2: FIN and the opcode; the mask bit and the length, in three sizes
_FINAL_TEXT: Final = 0x81
_MASKED: Final = 0x80
#: first bytes of the frames that there are: text, binary, continuation, final or not; close, ping, pong
_KNOWN: Final = frozenset({0x81, 0x01, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A})
_SHORT_HEADER, _MEDIUM_HEADER, _LONG_HEADER = Struct("!BB"), Struct("!BBH"), Struct("!BBQ")
_MASKS: Final = Struct("4s" * 64)
#: bytes that one read may bring
_READ_SIZE: Final = 256 * 1024
_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT


class Receiver(Protocol):
    """Who gets what a connection receives. Nothing here may raise."""

    def message_received(self, data: bytes | bytearray) -> None:
        """Take one complete text message (UTF-8, not checked)."""

    def binary_received(self, data: bytes | bytearray) -> None:
        """Take one complete binary message, which no JSON API sends."""

    def connection_ending(self, reason: str) -> None:
        """Learn that nothing more will be received; called once, while the TCP connection may still be open."""


class Connection(ClientConnection, asyncio.BufferedProtocol):
    """A client connection that hands each complete message to its receiver inside ``data_received``.

    It brings its own memory for what is read. Otherwise asyncio (and aiofastnet) allocates 256 KiB for each read and
    gives back what was not used, which is nearly all; where that lies at the end of the heap, each answer costs two
    system calls and two page faults, some 15 µs of its round trip.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        receiver: Receiver,
        max_size: int | None = None,
        server_ping_interval: float | None = None,
        *,
        coalesce: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(protocol, **kwargs)
        self._receiver = receiver
        self._fragments = bytearray()
        self._fragments_are_text = False
        self._ending_told = False
        # whether frames are looked for here, and the beginning of one whose end is to come
        self._scanning = False
        self._rest = bytearray()
        self._max_size = math.inf if max_size is None else max_size
        # whether a fragmented message is under way
        self._assembling = False
        # from the operating system's generator (RFC 6455 §10.3), but asked once for many: each time takes 0.35 µs
        self._masks = chain.from_iterable(map(_MASKS.unpack, map(urandom, repeat(_MASKS.size))))
        self._check_asked = asyncio.Event()
        # private, and resident only as far as it was ever used
        self._memory = memoryview(mmap(-1, _READ_SIZE, access=ACCESS_COPY))
        self._coalesces = coalesce
        # what a frame is handed to: the transport, or the list of those that leave together
        self._send: Callable[[bytes], None]
        self._held: list[bytes] = []
        self._server_ping_interval = server_ping_interval
        self._last_sign = 0.0
        #: loop time up to which all that the peer sent has certainly arrived
        self.proven_at = 0.0
        # set while the network is read, and how often it was paused
        self._reading = asyncio.Event()
        self._reading.set()
        self._pauses = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        super().connection_made(transport)
        self.release()  # nothing is held yet: from here on frames have somewhere to go

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(bytes(self._memory[:nbytes]))

    # The way of a frame. An answer is one unfragmented text frame; those are found and handed on right here. Every
    # other frame goes to the library whole, so that its parser always stands at the beginning of a frame.

    def data_received(self, data: bytes) -> None:
        """Dispatch the complete messages in ``data``, and keep the rest."""
        if not self._scanning or self.protocol.state is not OPEN:
            self._leave_to_library(data)
            return
        if self._rest:
            self._rest += data
            data = self._rest  # type: ignore[assignment]
        position, size, receiver, max_size = 0, len(data), self._receiver, self._max_size
        while size - position >= 2:
            first, second = data[position], data[position + 1]
            begin, length = position + 2, second
            if second == 126:
                begin += 2
                if begin <= size:  # nearly every answer: from_bytes() would take 0.1 µs more
                    length = data[begin - 2] << 8 | data[begin - 1]
            elif second == 127:
                begin += 8
                if begin <= size:
                    length = int.from_bytes(data[position + 2 : begin], "big")
            end = begin + length
            if end <= size and first == _FINAL_TEXT and second < 128 and length <= max_size and not self._assembling:
                receiver.message_received(data[begin:end])
                position = end
                continue
            # Masked, which no server may; of an unknown kind; too big: the library knows what to say.
            if second > 127 or first not in _KNOWN or (begin <= size and length > max_size):
                self._rest = bytearray()
                self._leave_to_library(bytes(data[position:]))
                return
            if end > size:
                break
            self._write_held()
            super().data_received(bytes(data[position:end]))
            if self.protocol.state is not OPEN:
                self._rest = bytearray()
                self._leave_to_library(bytes(data[end:]))
                return
            position = end
        if position == size:
            if self._rest:
                self._rest = bytearray()
        elif position or data is not self._rest:  # else it is the growing beginning of one frame
            self._rest = bytearray(data[position:])

    def _leave_to_library(self, data: bytes) -> None:
        """Have the library parse: the handshake, and all that comes once a closing handshake began."""
        self._write_held()
        shaking_hands = self.response is None
        self._scanning = False
        if self._rest:
            data, self._rest = bytes(self._rest) + data, bytearray()
        if data:
            super().data_received(data)
        if shaking_hands:
            # Scanning begins where the library stands between two frames: right behind the handshake's answer.
            behind = self.response is not None and data.endswith(b"\r\n\r\n")
            self._scanning = behind and self.protocol.state is OPEN and not self.protocol.extensions
        protocol = self.protocol
        if protocol.state is CLOSING and (protocol.close_rcvd is not None or protocol.parser_exc is not None):
            self._tell_ending()

    def process_event(self, event: Any) -> None:
        """Hand a complete message to the receiver, before this returns."""
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        opcode = event.opcode
        if opcode is _TEXT and event.fin:
            self._receiver.message_received(event.data)  # type: ignore[arg-type]
        elif opcode is _TEXT or opcode is _BINARY or opcode is _CONT:
            self._assemble(event)
        else:
            self._last_sign = self.loop.time()
            super().process_event(event)

    def _assemble(self, frame: Frame) -> None:
        if frame.opcode is not _CONT:
            self._fragments_are_text = frame.opcode is _TEXT
        self._fragments += frame.data
        self._assembling = not frame.fin
        if frame.fin:
            message, self._fragments = self._fragments, bytearray()
            if self._fragments_are_text:
                self._receiver.message_received(message)
            else:
                self._receiver.binary_received(message)

    @property
    def writable(self) -> bool:
        """Whether a message written now has a way to the exchange."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write one text message to the socket now; only while :attr:`writable`.

        The frame is made here, because what the library does for every kind of frame costs a third of a request;
        with an extension, which may change the data, the library makes it.
        """
        protocol = self.protocol
        if protocol.extensions:
            protocol.send_text(data)
            for chunk in protocol.data_to_send():
                self._send(chunk)
            return
        length = len(data)
        if length < 126:
            header = _SHORT_HEADER.pack(_FINAL_TEXT, _MASKED | length)
        elif length < 65536:
            header = _MEDIUM_HEADER.pack(_FINAL_TEXT, _MASKED | 126, length)
        else:
            header = _LONG_HEADER.pack(_FINAL_TEXT, _MASKED | 127, length)
        mask = next(self._masks)
        self._send(header + mask + apply_mask(data, mask))

    def _open_turn(self, frame: bytes) -> None:
        """Write the first frame of a turn of the loop; those that follow are held until the turn ends."""
        self._send = self._held.append
        self.loop.call_soon(self._end_turn)
        self.transport.write(frame)

    def _end_turn(self) -> None:
        self._send = self._open_turn
        self._write_held()

    def hold(self) -> None:
        """Hold what is written until :meth:`release`, which comes in the same turn of the loop."""
        self._send = self._held.append

    def release(self) -> None:
        """Write what is held: many frames for the price of one system call, and of one TLS record."""
        self._send = self._open_turn if self._coalesces else self.transport.write
        self._write_held()

    def _write_held(self) -> None:
        """Write what is held: at the end of a turn, and before the library writes, which may end all writing."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            if self.writable:
                self.transport.write(data)

    # Reading

    def pause(self) -> None:
        """Read no more from the network until :meth:`resume`; whether the peer is alive is not judged meanwhile."""
        if self._reading.is_set():
            self._reading.clear()
            self._pauses += 1
            if not self.transport.is_closing():
                self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._reading.is_set():
            self._reading.set()
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # The end

    def send_data(self) -> None:
        """Write what the library has to say, and close the transport if it is done; not once it is closing.

        A transport of asyncio's over TLS that is closed twice cannot be aborted any more: with a peer that does not
        read, its socket would stay for ever.
        """
        if not self.transport.is_closing():
            super().send_data()

    def hang_up(self) -> None:
        """Close the transport when what was written has left; not twice, see :meth:`send_data`."""
        if not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver that the connection is over."""
        super().connection_lost(exc)
        self._tell_ending()

    def _tell_ending(self) -> None:
        if not self._ending_told and self.response is not None:
            self._ending_told = True
            self._receiver.connection_ending(self._why())

    def _why(self) -> str:
        """Say in words why the connection ended: the close frame, our own complaint, or the network's."""
        received, sent = self.protocol.close_rcvd, self.protocol.close_sent
        if received is not None:
            return f"the exchange closed it: {received}"
        if sent is not None and self.protocol.parser_exc is not None:
            return f"it was given up: {sent}"
        if self.connection_exc is not None:
            return f"{type(self.connection_exc).__name__}: {self.connection_exc}"
        return "the exchange ended it without a closing handshake"

    async def close_surely(self, timeout: float | None) -> None:
        """Close with a handshake, after ``timeout`` seconds (or when cancelled) without one; return when it is gone."""
        self._write_held()
        try:
            async with asyncio.timeout(timeout):
                await self.close()
                await self.wait_closed()
        except TimeoutError:
            pass
        finally:
            self.transport.abort()  # a socket must not outlive its session
        await self.wait_closed()

    async def confirm(self, timeout: float | None) -> bool:
        """Ping, and return whether the pong came within ``timeout`` seconds."""
        await self._reading.wait()
        sent = self.loop.time()
        try:
            async with asyncio.timeout(timeout):  # with full buffers, the ping itself cannot leave
                pong = asyncio.ensure_future(await self.ping())
        except (TimeoutError, ConnectionClosed):
            return False
        # Not under asyncio.timeout: after the loop was blocked, the timer and the pong are due in the same turn, and
        # the timer would win. And a loop that was blocked has had no time to wait.
        blocked = 0
        while not pong.done() and blocked < _BLOCKED_AT_MOST:
            began, pauses = self.loop.time(), self._pauses
            await asyncio.wait([pong], timeout=timeout)
            if pong.done():
                break
            if self._pauses != pauses or not self._reading.is_set():  # nor one that did not read
                await self._reading.wait()
            elif timeout is None or self.loop.time() - began < timeout + _BLOCKED:
                break
            else:
                blocked += 1
        answered = pong.done() and not pong.cancelled() and pong.exception() is None
        if answered:  # the pong was sent after the ping had come, and after all that was sent before
            self.proven_at = max(self.proven_at, sent)
        return answered

    def check(self) -> None:
        """Have :meth:`keepalive` ping now, and wait less long for the pong than usual."""
        self._check_asked.set()

    def start_keepalive(self) -> None:
        """Begin to judge whether the connection is alive: by our own pings, or else by the server's."""
        self._last_sign = self.proven_at = self.loop.time()
        if self.ping_interval is None and self._server_ping_interval is not None:
            self.keepalive_task = self.loop.create_task(self._expect_pings(self._server_ping_interval))
        else:
            super().start_keepalive()

    async def _expect_pings(self, interval: float) -> None:
        """Ask a server that has missed two of its own pings, and cut the connection if it does not answer.

        Only asked, because the documents' cadence has changed before (PROTOCOL.md §1.3).
        """
        while True:
            await asyncio.sleep(self._last_sign + 2.5 * interval - self.loop.time())
            await self._reading.wait()
            silent = self.loop.time() - self._last_sign >= 2.5 * interval - 0.001  # however the clock rounds
            if silent and not await self.confirm(_LONG_CHECK_TIMEOUT):
                self.set_connection_exc(TimeoutError(f"the server has not pinged for {2.5 * interval:.0f} s"))
                self.transport.abort()
                return

    async def keepalive(self) -> None:
        """Ping at regular intervals, and cut the connection when no pong comes in time.

        The library's own would begin a closing handshake with a peer that does not answer, and so find a half-open
        connection ``close_timeout`` later than promised.
        """
        assert self.ping_interval is not None
        while True:
            timeout = self.ping_timeout
            self._check_asked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.ping_interval):
                    await self._check_asked.wait()
                    timeout = _CHECK_TIMEOUT if timeout is None else min(_CHECK_TIMEOUT, timeout)
            if not await self.confirm(timeout):
                self.set_connection_exc(TimeoutError(f"no pong within {timeout} s"))
                self.transport.abort()
                return
