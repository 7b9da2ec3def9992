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
from mmap import ACCESS_COPY, mmap
from typing import Any, Final, Protocol, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from binance_session.log import session_log
from binance_session.websocket.forks import watch
from binance_session.websocket.frames import FINAL_TEXT, KNOWN, apply_mask, close_reason, first_head
from binance_session.websocket.intake import PIECE, Intake
from binance_session.websocket.liveness import Liveness
from binance_session.websocket.writer import FrameWriter

__all__ = ["Connection", "Receiver"]

#: bytes that one read may bring
_READ_SIZE: Final = 256 * 1024
_TEXT, _BINARY, _CONT, _PONG, _CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PONG, Opcode.CLOSE


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
        self._log = session_log(name)
        # done when the handshake is answered, or cannot be any more; and when the transport is gone
        self._answered: asyncio.Future[None] = self.loop.create_future()
        self._gone: asyncio.Future[None] = self.loop.create_future()
        # whether messages may be written: from the handshake's answer to the first sign of an end
        self._is_open = False
        # why it ended, as far as that was learnt before the transport said so
        self._cause: str | None = None
        self._ending_told = False
        # the head of the handshake's answer, until its end has come; and whether its body is awaited
        self._head = b""
        self._is_refused = False
        # whether frames are looked for here, and the beginning of one whose end is to come
        self._scanning = False
        self._rest = bytearray()
        self._intake = Intake(self.loop, self.data_received, self._piece_size)
        self._backlog = self._intake.backlog
        # bytes that the library has got since it last made a frame of them
        self._unparsed = 0
        # a fragmented message that is under way
        self._assembling = False
        self._fragments = bytearray()
        self._fragments_are_text = False
        # private, and resident only as far as it was ever used
        self._memory = memoryview(mmap(-1, _READ_SIZE, access=ACCESS_COPY))
        self._writer = FrameWriter(protocol, self.loop, coalesce=coalesce)
        #: The writer's own methods: one of the connection's that calls them would cost each request. Only while
        #: :attr:`writable`.
        self.write, self.hold, self.release = self._writer.write, self._writer.hold, self._writer.release
        self.liveness = Liveness(
            self, self._intake, ping_interval, ping_timeout, server_ping_interval, self._log.task("liveness")
        )

    # The handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport on which the handshake is to be done."""
        self.transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")  # in a thread that forks, not every transport would tell
        watch(self, Connection._inherited)
        self._intake.transport = self.transport
        self._writer.start(self.transport)

    async def shake_hands(self, request: Request) -> None:
        """Send the handshake's request and return when it is accepted.

        Raises what the library found wrong with the answer (``InvalidHandshake``), or :class:`ConnectionError` when the
        connection ended before one came.
        """
        self._protocol.send_request(request)
        self._writer.flush()
        await self._answered
        failure = self._protocol.handshake_exc
        if failure is not None:
            raise failure
        if not self._is_open and not self._ending_told:
            raise ConnectionError(self._cause or "the connection ended during the handshake")
        if not self._gone.done():
            self.liveness.start()

    def _read_head(self, data: bytes) -> None:
        """Give the library the answer to the handshake, and look for frames from the very byte behind it.

        The answer may be cut anywhere, and the first frame may come with it. What is only informational (1xx) may come
        before it, and says nothing (RFC 9110 §15.2).
        """
        self._head += data
        while not self._is_refused:
            found = first_head(self._head)
            if found is None:
                return
            head, self._head = found
            self._protocol.receive_data(head)
            accepted = [event for event in self._protocol.events_received() if isinstance(event, Response)]
            if accepted and self._protocol.handshake_exc is None:
                self._is_open = True
                # what an extension did to the bytes, only the library can undo
                self._scanning = "Sec-WebSocket-Extensions" not in accepted[0].headers
                self._writer.makes_frames = self._scanning
                self._answered.set_result(None)
                self.data_received(self._head)
                return
            self._is_refused = True
        body, self._head = self._head, b""
        self._protocol.receive_data(body)
        self._writer.flush()
        if self._protocol.handshake_exc is not None:
            self._answered.set_result(None)

    # The way of a frame. An answer is one unfragmented text frame; those are found and handed on right here. Every
    # other frame goes to the library whole, so that its parser always stands at the beginning of a frame.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if self.liveness.listens:
            self.liveness.heard_at = self.loop.time()
        if nbytes <= PIECE and not self._backlog:
            self.data_received(bytes(self._memory[:nbytes]))
        else:
            self._intake.add(self._memory[:nbytes])

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
                if end <= size and first == FINAL_TEXT and second < 128 and length <= max_size and not self._assembling:
                    text = data[begin:end]
                    if text.isascii() or self._is_text(text):
                        receiver.message_received(text)
                        position = end
                        continue
                    self._rest = bytearray()
                    return
                # Masked, which no server may; of an unknown kind; too big: the library knows what to say, perhaps not
                # before it has the rest of it.
                if second > 127 or first not in KNOWN or (begin <= size and length > max_size):
                    self._stop_scanning(data[position:])
                    return
                if end > size:
                    break
                if not self._give_frame(data, position, end):
                    return
                position = end
            if position != size or self._rest:
                self._keep_rest(data, position)
        except Exception as error:
            self.broke(error)

    def _keep_rest(self, data: bytes, position: int) -> None:
        """Keep what of ``data`` is the beginning of a frame, for the bytes that follow it."""
        if position == len(data):
            self._rest = bytearray()
        elif position or data is not self._rest:  # else it is the growing beginning of one frame
            self._rest = bytearray(data[position:])

    def _stop_scanning(self, data: bytes) -> None:
        """Leave ``data``, and all that follows, to the library."""
        self._scanning = False
        self._rest = bytearray()
        self._leave_to_library(bytes(data))

    def _give_frame(self, data: bytes, position: int, end: int) -> bool:
        """Give the library one frame of ``data``; return whether to go on, else what follows it is dealt with."""
        self._give_to_library(bytes(data[position:end]))
        if not self._scanning:
            self._stop_scanning(data[end:])
            return False
        if self._intake.is_time_for_others() and end < len(data):
            self._rest = bytearray()
            self._intake.adjourn(data[end:])
            return False
        return True

    def _leave_to_library(self, data: bytes) -> None:
        """Have the library parse: the handshake, compressed messages, and all that comes once an end has begun."""
        if not self._answered.done():
            self._read_head(data)
            return
        if self._rest:
            data, self._rest = bytes(self._rest) + data, bytearray()
        self._give_to_library(data)

    def _give_to_library(self, data: bytes) -> None:
        self._intake.given += 1
        self._unparsed += len(data)
        self._writer.write_held()
        self._protocol.receive_data(data)
        self._writer.flush()
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
        self.liveness.control_at = self.loop.time()
        if opcode is _PONG:
            self.liveness.ponged(bytes(frame.data))
        elif opcode is _CLOSE and self._cause is None:
            self._cause = f"the exchange closed it: {close_reason(bytes(frame.data))}"

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
                self._writer.write_held()
                self._protocol.fail(1007, f"{error.reason} at position {error.start}")
                self._writer.flush()
            self._notice_end()
            return False
        return True

    def _piece_size(self) -> int:
        """Return how many bytes to take at once; the library takes longer."""
        return PIECE if self._scanning else PIECE // 4

    # Writing

    @property
    def writable(self) -> bool:
        """Whether a message written now has a way to the exchange."""
        return self._is_open and not self.transport.is_closing()

    def pause_writing(self) -> None:
        """Called when the transport's buffer is full."""
        self._writer.pause()

    def resume_writing(self) -> None:
        """Called when there is room in it again."""
        self._writer.resume()

    # Reading, and whether the peer is there

    @property
    def proven_at(self) -> float:
        """Return the loop time up to which all that the peer sent has certainly arrived."""
        return self.liveness.proven_at

    @property
    def unfinished(self) -> int:
        """How many bytes have come of a message whose end has not."""
        return len(self._rest) + len(self._fragments) + self._unparsed

    def answers(self) -> int:
        """Return how many answers the receiver has got."""
        return self._receiver.answers()

    def ping(self, text: bytes) -> None:
        """Send a ping that says ``text``."""
        self._writer.write_held()
        self._protocol.send_ping(text)
        self._writer.flush()

    async def confirm(self, timeout: float | None) -> bool:
        """Ping, and return whether the pong came within ``timeout`` seconds."""
        return await self.liveness.confirm(timeout)

    def check(self) -> None:
        """Ping now instead of at the next interval, and wait less long for a sign of life than usual."""
        self.liveness.check()

    def pause(self) -> None:
        """Read no more from the network until :meth:`resume`; whether the peer is alive is not judged meanwhile."""
        self._intake.pause()

    def resume(self) -> None:
        """Read on."""
        self._intake.resume()

    # The end. Whatever happens here, the receiver is called once.

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
            self._intake.work_off(at_once=True)
            self._protocol.receive_eof()
            self._writer.flush()
        except Exception as error:
            self.broke(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the transport is gone."""
        try:
            self._intake.work_off(at_once=True)  # what came before the end is no less true
            self._is_open = False
            self.liveness.stop()
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
                frame = self._writer.close_frame
                said = close_reason(apply_mask(frame[6:], frame[2:6]))
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
            self._writer.write_held()
            if self._is_open:
                self._is_open = self._scanning = False
                if self._rest:  # the library goes on where the next frame begins
                    self._leave_to_library(b"")
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(1000)
                self._writer.flush()
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
    except Exception:  # the end must be reported, whatever is wrong with its reason
        return type(error).__name__
