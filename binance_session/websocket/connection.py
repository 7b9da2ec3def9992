"""The WebSocket, dispatching inline.

``websockets`` does WebSocket by its Sans-I/O layer: the handshake, every frame that is not a plain text message, the
closing handshake, extensions. Here is what joins it to an asyncio transport, and a short cut: an answer is one
unfragmented text frame, and goes to the receiver in the same ``data_received`` that brought its bytes.

Documents: RFC 6455 (§5 frames, §7 closing, §8.1 UTF-8).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
from collections.abc import Callable
from itertools import chain, repeat
from mmap import ACCESS_COPY, mmap
from os import urandom
from struct import Struct
from typing import Any, Final, Protocol, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from binance_session.log import session_log
from binance_session.websocket.forks import watch
from binance_session.websocket.liveness import Liveness

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without its C extension, or moved: it is not documented, and only faster

    def apply_mask(data: bytes, mask: bytes) -> bytes:  # type: ignore[misc]
        """Return ``data`` masked as RFC 6455 §5.3 says, or unmasked."""
        repeated = mask * (len(data) // 4) + mask[: len(data) % 4]
        return (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(len(data))


__all__ = ["Connection", "Receiver"]

#: bytes of what one read brought that are taken at once, and the seconds after which the loop has its turn
_PIECE: Final = 8 * 1024
#: frames given to the library before the loop has its turn
_MANY: Final = 256
_SLICE: Final = 0.02
# RFC 6455 §5.2: FIN and the opcode; the mask bit and the length, in three sizes
_FINAL_TEXT: Final = 0x81
_FINAL_CLOSE: Final = 0x88
_FINAL_PONG: Final = 0x8A
_MASKED: Final = 0x80
#: first bytes of the frames that there are: text, binary, continuation, final or not; close, ping, pong
_KNOWN: Final = frozenset({0x81, 0x01, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A})
_SHORT_HEADER, _MEDIUM_HEADER, _LONG_HEADER = Struct("!BB"), Struct("!BBH"), Struct("!BBQ")
_MASKS: Final = Struct("4s" * 64)
#: bytes that one read may bring
_READ_SIZE: Final = 256 * 1024
_TEXT, _BINARY, _CONT, _PONG, _CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PONG, Opcode.CLOSE
_END_OF_HEAD: Final = b"\r\n\r\n"
#: bytes of a head; a longer one the library refuses
_LONGEST_HEAD: Final = 64 * 1024
_INFORMATIONAL: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[ \r]")
#: RFC 6455 §7.4.1
_CLOSE_CODES: Final = {
    1000: "OK",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status received",
    1006: "abnormal closure",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}


class Receiver(Protocol):
    """Who gets what a connection receives. Nothing here may raise; what does all the same ends the connection."""

    def message_received(self, data: bytes | bytearray) -> None:
        """Take one complete text message (valid UTF-8)."""

    def binary_received(self, data: bytes | bytearray) -> None:
        """Take one complete binary message, which no JSON API sends."""

    def connection_ending(self, reason: str) -> None:
        """Called once when nothing more will be received; the TCP connection may still be open."""

    def answers(self) -> int:
        """Return how many answers have come: one more proves that what was written has arrived."""
        return 0


class Connection(asyncio.BufferedProtocol):
    """A client connection that hands each complete message to its receiver inside ``data_received``.

    It brings its own memory for what is read. Otherwise asyncio (and aiofastnet) allocates 256 KiB for each read and
    gives back what was not used, which is nearly all; where that lies at the end of the heap, each answer costs two
    system calls and two page faults, some 15 µs of its round trip.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        receiver: Receiver,
        *,
        max_size: int | None = None,
        ping_interval: float | None = None,
        ping_timeout: float | None = None,
        server_ping_interval: float | None = None,
        coalesce: bool = False,
        name: str = "binance_session",
    ) -> None:
        """Speak ``protocol`` on the transport that is made for it. Times in seconds, ``max_size`` in bytes."""
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self._socket: Any
        self._protocol = protocol
        self._receiver = receiver
        self._max_size = math.inf if max_size is None else max_size
        self._coalesces = coalesce
        self._log = session_log(name)
        # done when the handshake is answered, or cannot be any more; and when the transport is gone
        self._answered: asyncio.Future[None] = self.loop.create_future()
        self._gone: asyncio.Future[None] = self.loop.create_future()
        # whether messages may be written: from the handshake's answer to the first sign of an end
        self._is_open = False
        # why it ended, as far as that was learnt before the transport said so
        self._cause: str | None = None
        # the close frame that was written
        self._farewell = b""
        self._ending_told = False
        # the head of the handshake's answer, until its end has come; and whether its body is awaited
        self._head = b""
        self._is_refused = False
        # whether frames are looked for here, and the beginning of one whose end is to come
        self._scanning = False
        self._rest = bytearray()
        # what was read and is to be taken after the loop has had its turn, and whether that is under way
        self._backlog = bytearray()
        self._adjourned = False
        # frames given to the library since then
        self._given = 0
        # bytes that the library has got since it last made a frame of them
        self._unparsed = 0
        # a fragmented message that is under way
        self._assembling = False
        self._fragments = bytearray()
        self._fragments_are_text = False
        # from the operating system's generator (RFC 6455 §10.3), but asked once for many: each time takes 0.35 µs
        self._masks = chain.from_iterable(map(_MASKS.unpack, map(urandom, repeat(_MASKS.size))))
        # private, and resident only as far as it was ever used
        self._memory = memoryview(mmap(-1, _READ_SIZE, access=ACCESS_COPY))
        # what a frame is handed to: the transport, or the list of those that leave together
        self._send: Callable[[bytes], None]
        self._held: list[bytes] = []
        # whether the transport's buffer is full, and the pong that waits for room
        self._is_full = False
        self._pong = b""
        #: set while the network is read, and how often it was paused
        self.reading = asyncio.Event()
        self.reading.set()
        self.pauses = 0
        self._liveness = Liveness(self, ping_interval, ping_timeout, server_ping_interval, self._log.task("liveness"))

    # The handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport on which the handshake is to be done."""
        self.transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")  # in a thread that forks, not every transport would tell
        watch(self, Connection._inherited)
        self.release()  # nothing is held yet: from here on frames have somewhere to go

    async def shake_hands(self, request: Request) -> None:
        """Send the handshake's request and return when it is accepted.

        Raises what the library found wrong with the answer (``InvalidHandshake``), or :class:`ConnectionError` when the
        connection ended before one came.
        """
        self._protocol.send_request(request)
        self._flush()
        await self._answered
        failure = self._protocol.handshake_exc
        if failure is not None:
            raise failure
        if not self._is_open and not self._ending_told:
            raise ConnectionError(self._cause or "the connection ended during the handshake")
        if not self._gone.done():
            self._liveness.start()

    def _read_head(self, data: bytes) -> None:
        """Give the library the answer to the handshake, and look for frames from the very byte behind it.

        The answer may be cut anywhere, and the first frame may come with it. What is only informational (1xx) may come
        before it, and says nothing (RFC 9110 §15.2).
        """
        self._head += data
        while not self._is_refused:
            end = self._head.find(_END_OF_HEAD)
            if end < 0 and len(self._head) <= _LONGEST_HEAD:
                return
            size = len(self._head) if end < 0 else end + len(_END_OF_HEAD)
            head, self._head = self._head[:size], self._head[size:]
            if _INFORMATIONAL.match(head):
                continue
            self._protocol.receive_data(head)
            accepted = [event for event in self._protocol.events_received() if isinstance(event, Response)]
            if accepted and self._protocol.handshake_exc is None:
                self._is_open = True
                # what an extension did to the bytes, only the library can undo
                self._scanning = "Sec-WebSocket-Extensions" not in accepted[0].headers
                self._answered.set_result(None)
                self.data_received(self._head)
                return
            self._is_refused = True
        body, self._head = self._head, b""
        self._protocol.receive_data(body)
        self._flush()
        if self._protocol.handshake_exc is not None:
            self._answered.set_result(None)

    # The way of a frame. An answer is one unfragmented text frame; those are found and handed on right here. Every
    # other frame goes to the library whole, so that its parser always stands at the beginning of a frame.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if self._liveness.listens:
            self._liveness.heard_at = self.loop.time()
        if nbytes <= _PIECE and not self._backlog:
            self.data_received(bytes(self._memory[:nbytes]))
        else:
            self._backlog += self._memory[:nbytes]
            if not self._adjourned:
                self._work_off()

    def data_received(self, data: bytes) -> None:
        """Dispatch the complete messages in ``data``, and keep the rest."""
        try:
            if not self._scanning:
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
                if (
                    end <= size
                    and first == _FINAL_TEXT
                    and second < 128
                    and length <= max_size
                    and not self._assembling
                ):
                    text = data[begin:end]
                    if text.isascii() or self._is_text(text):
                        receiver.message_received(text)
                        position = end
                        continue
                    self._rest = bytearray()
                    return
                # Masked, which no server may; of an unknown kind; too big: the library knows what to say, perhaps not
                # before it has the rest of it.
                if second > 127 or first not in _KNOWN or (begin <= size and length > max_size):
                    self._scanning = False
                    self._rest = bytearray()
                    self._leave_to_library(bytes(data[position:]))
                    return
                if end > size:
                    break
                self._give_to_library(bytes(data[position:end]))
                position = end
                if not self._scanning:
                    self._rest = bytearray()
                    self._leave_to_library(bytes(data[position:]))
                    return
                if self._given > _MANY and position < size:
                    self._rest = bytearray()
                    self._adjourn(data[position:])
                    return
            if position == size:
                if self._rest:
                    self._rest = bytearray()
            elif position or data is not self._rest:  # else it is the growing beginning of one frame
                self._rest = bytearray(data[position:])
        except Exception as error:
            self.broke(error)

    def _leave_to_library(self, data: bytes) -> None:
        """Have the library parse: the handshake, compressed messages, and all that comes once an end has begun."""
        if not self._answered.done():
            self._read_head(data)
            return
        if self._rest:
            data, self._rest = bytes(self._rest) + data, bytearray()
        self._give_to_library(data)

    def _give_to_library(self, data: bytes) -> None:
        self._given += 1
        self._unparsed += len(data)
        self._write_held()
        self._protocol.receive_data(data)
        self._flush()
        for event in self._protocol.events_received():
            self._unparsed = 0
            if isinstance(event, Frame) and not self._ending_told:
                self._take(event)
        self._notice_end()

    def _take(self, frame: Frame) -> None:
        """Hand a complete message to the receiver; see what a control frame tells."""
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _BINARY or opcode is _CONT:
            self._assemble(frame)
            return
        self._liveness.control_at = self.loop.time()
        if opcode is _PONG:
            self._liveness.ponged(bytes(frame.data))
        elif opcode is _CLOSE and self._cause is None:
            self._cause = f"the exchange closed it: {_close_words(bytes(frame.data))}"

    def _assemble(self, frame: Frame) -> None:
        if frame.opcode is not _CONT:
            self._fragments_are_text = frame.opcode is _TEXT
        self._fragments += frame.data
        self._assembling = not frame.fin
        if frame.fin:
            message, self._fragments = self._fragments, bytearray()
            if not self._fragments_are_text:
                self._receiver.binary_received(message)
            elif self._is_text(message):
                self._receiver.message_received(message)

    def _is_text(self, data: bytes | bytearray) -> bool:
        """Return whether a text message is UTF-8; fail the connection if it is not (RFC 6455 §8.1)."""
        try:
            str(data, "utf-8")
        except UnicodeDecodeError as error:
            if self._protocol.state is State.OPEN:
                self._write_held()
                self._protocol.fail(1007, f"{error.reason} at position {error.start}")
                self._flush()
            self._notice_end()
            return False
        return True

    # What one read brings may be a flood of frames. It is taken in pieces, and the loop has its turn in between.

    def _work_off(self, *, at_once: bool = False) -> None:
        """Take what was read piece by piece; adjourn when that takes long, unless ``at_once``."""
        began = self.loop.time()
        while self._backlog:
            data, self._backlog = memoryview(bytes(self._backlog)), bytearray()
            size = _PIECE if self._scanning else _PIECE // 4  # the library takes longer
            for start in range(0, len(data), size):
                if start and not at_once and self.loop.time() - began >= _SLICE:
                    self._adjourn(data[start:])
                    return
                self.data_received(bytes(data[start : start + size]))
                if self._adjourned:
                    self._backlog += data[start + size :]
                    break
            if self._adjourned and not at_once:
                return

    def _adjourn(self, data: bytes | memoryview) -> None:
        """Take ``data`` when the loop has had its turn, and read no more until then."""
        self._given = 0
        self._backlog += data
        self._adjourned = True
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._adjourned = False
        self._work_off()
        if not self._adjourned and self.reading.is_set() and not self.transport.is_closing():
            self.transport.resume_reading()

    # Writing

    @property
    def writable(self) -> bool:
        """Whether a message written now has a way to the exchange."""
        return self._is_open and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write one text message to the socket now; only while :attr:`writable`.

        The frame is made here, because what the library does for every kind of frame costs a third of a request;
        with an extension, which may change the data, the library makes it.
        """
        if not self._scanning:
            self._protocol.send_text(data)
            for chunk in self._protocol.data_to_send():
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

    def _flush(self) -> None:
        """Write what the library has to say, and close the transport once it has said all."""
        for chunk in self._protocol.data_to_send():
            if self.transport.is_closing():
                continue
            if not chunk:
                self.hang_up()
            elif self._is_full and chunk[0] == _FINAL_PONG:
                self._pong = chunk  # RFC 6455 §5.5.3: the most recent ping is enough, and the peer does not read
            else:
                if chunk[0] == _FINAL_CLOSE:
                    self._farewell = chunk
                self.transport.write(chunk)

    # What comes when the peer does not read

    def pause_writing(self) -> None:
        """Called when the transport's buffer is full."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Called when there is room in it again."""
        self._is_full = False
        if self._pong and not self.transport.is_closing():
            self.transport.write(self._pong)
        self._pong = b""

    # Reading, and whether the peer is there

    @property
    def proven_at(self) -> float:
        """Return the loop time up to which all that the peer sent has certainly arrived."""
        return self._liveness.proven_at

    @property
    def unfinished(self) -> int:
        """How many bytes have come of a message whose end has not."""
        return len(self._rest) + len(self._fragments) + self._unparsed

    def answers(self) -> int:
        """Return how many answers the receiver has got."""
        return self._receiver.answers()

    def ping(self, text: bytes) -> None:
        """Send a ping that says ``text``."""
        self._write_held()
        self._protocol.send_ping(text)
        self._flush()

    async def confirm(self, timeout: float | None) -> bool:
        """Ping, and return whether the pong came within ``timeout`` seconds."""
        return await self._liveness.confirm(timeout)

    def check(self) -> None:
        """Ping now instead of at the next interval, and wait less long for a sign of life than usual."""
        self._liveness.check()

    def pause(self) -> None:
        """Read no more from the network until :meth:`resume`; whether the peer is alive is not judged meanwhile."""
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

    # The end. Whatever happens here, the receiver is told once.

    def _inherited(self) -> None:
        """Called in a forked child: what it writes or unregisters here must not reach the parent's connection."""
        if self._gone.done():
            return
        with contextlib.suppress(OSError, AttributeError):
            descriptor = self._socket.fileno()
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of the transport."""
        return self._gone.done()

    def hang_up(self) -> None:
        """Close the transport when what was written has left.

        Not twice: a transport of asyncio's over TLS that is closed twice cannot be aborted any more; with a peer that
        does not read, its socket would stay for ever.
        """
        if not self.transport.is_closing():
            self.transport.close()

    def eof_received(self) -> None:
        """Called when the peer will send no more; the transport closes by itself afterwards."""
        try:
            self._work_off(at_once=True)
            self._protocol.receive_eof()
            self._flush()
        except Exception as error:
            self.broke(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the transport is gone."""
        try:
            self._work_off(at_once=True)  # what came before the end is no less true
            self._is_open = False
            self._liveness.stop()
            if self._cause is None and exc is not None:
                self._cause = _words(exc)
        except Exception as error:
            self.broke(error)
        finally:
            self._is_open = False
            self._tell_ending()
            for future in (self._answered, self._gone):
                if not future.done():
                    future.set_result(None)

    def _notice_end(self) -> None:
        """See whether the library gave the connection up, or answered the peer's closing handshake.

        After our own close frame answers may still come: that is no end of reading.
        """
        if self._is_open and self._protocol.state is not State.OPEN:
            self._is_open = self._scanning = False
            if self._cause is None:
                said = _close_words(apply_mask(self._farewell[6:], self._farewell[2:6]))
                bound = "; max_size is the bound" if said.startswith("1009") else ""
                self._cause = f"it was given up: {said}{bound}"
        if not self._is_open and self._cause is not None:
            self._tell_ending()

    def _tell_ending(self) -> None:
        if self._ending_told or not self._answered.done() or self._protocol.handshake_exc is not None:
            return
        self._ending_told = True
        try:
            self._receiver.connection_ending(self._cause or "the exchange ended it without a closing handshake")
        except Exception:  # must not keep the transport from ending
            self._log.exception("the end of a connection could not be handled: this is a defect of binance_session")

    def broke(self, error: Exception) -> None:
        """End a connection on which something raised that must not; it cannot be trusted any more."""
        self._log.error("a connection is given up: this is a defect of binance_session", exc_info=error)
        self.cut(f"{type(error).__name__} in binance_session")

    def cut(self, cause: str) -> None:
        """End the connection without a word to the peer."""
        self._is_open = self._scanning = False
        if self._cause is None:
            self._cause = cause
        try:
            self.transport.abort()
        finally:
            self._tell_ending()

    async def close_surely(self, timeout: float | None) -> None:
        """Close with a handshake, after ``timeout`` seconds (or when cancelled) without one; return when it is gone."""
        try:
            self._write_held()
            if self._is_open:
                self._is_open = self._scanning = False
                if self._rest:  # the library goes on where the next frame begins
                    self._leave_to_library(b"")
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(1000)
                self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await asyncio.shield(self._gone)
        finally:
            self.transport.abort()  # a socket must not outlive its session
        await asyncio.shield(self._gone)

    async def drop(self) -> None:
        """End the transport without a word to the peer; return when it is gone."""
        self.transport.abort()
        await asyncio.shield(self._gone)


def _words(error: Exception) -> str:
    """Return what an error of the transport's says; not every one has words."""
    try:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:  # no sentence is worth that the end is told to nobody
        return type(error).__name__


def _close_words(data: bytes) -> str:
    """Return what a close frame says, in words."""
    code = int.from_bytes(data[:2]) if len(data) >= 2 else 1005
    return f"{code} ({_CLOSE_CODES.get(code, 'no standard code')}) {data[2:].decode(errors='replace')}".rstrip()
