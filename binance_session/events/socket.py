"""One connection to the exchange's stream of events: a socket whose address holds the listenKey.

Documents: PROTOCOL.md §1.2 (addresses, bare and wrapped events), §1.3 (24 hours, pings), §5.3 (it outlives its key).
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final, NoReturn, Protocol
from urllib.parse import quote

from attrs import evolve

from binance_session.config import ConnectionOptions
from binance_session.errors import ConnectError, why
from binance_session.events.feed import HELD_BYTES, HELD_EVENTS, OVERLAP
from binance_session.jsontext import MalformedMessage, Unreadable, readable
from binance_session.log import SessionLog
from binance_session.masking import Secrets
from binance_session.requests.decoding import decode_json, event_of, memory_of
from binance_session.responses import Event
from binance_session.websocket.connection import Connection, Receiver
from binance_session.websocket.dialing import dial

__all__ = ["StreamSocket", "StreamSocketOwner"]

#: seconds within which a ping must show that nothing is left in a socket
_CONFIRMED_WITHIN: Final = 5.0


class StreamSocketOwner(Protocol):
    """What a socket calls. Called inside ``data_received``: quick, and raising nothing."""

    def event_received(self, socket: StreamSocket, event: Event) -> None:
        """Called when an event came."""

    def event_unreadable(self, socket: StreamSocket) -> None:
        """Called when an event came that cannot be decoded."""

    def message_unmatched(self, message: object) -> None:
        """Called when a message came that is no event."""

    def socket_ended(self, socket: StreamSocket) -> None:
        """Called when the connection has ended; its ``cause`` says why."""


class StreamSocket(Receiver):
    """A stream socket for one listenKey. Times are the event loop's."""

    def __init__(
        self,
        key: str,
        options: ConnectionOptions,
        owner: StreamSocketOwner,
        path: str,
        secrets: Secrets,
        log: SessionLog,
    ) -> None:
        """Prepare to connect to ``options.url`` and ``path`` behind it, ``{key}`` replaced by the key.

        ``secrets`` are masked in messages about the connection.
        """
        self.key = key
        behind = path.replace("{key}", quote(key, safe=""))
        self._options = evolve(options, url=options.url.rstrip("/") + behind)
        self._owner = owner
        self._secrets = secrets
        secrets.add(key)
        self._log = log
        self._connection: Connection | None = None
        # what was read before a pause took effect, and its bytes
        self._kept: list[bytes] | None = None
        self._kept_bytes = 0
        self._closed = False
        #: whether the exchange announced that it will end this connection, and whether its rollover was brought forward
        self.is_retiring = False
        self.is_brought_forward = False
        #: whether it is known that another must take its place at once: it has ended, or its key is not the current one
        self.is_superseded = False
        #: when it was open
        self.opened_at = 0.0
        #: when it is replaced by another one, although it works
        self.rollover_at = math.inf
        #: when the exchange said that its listenKey had expired
        self.expired_at: float | None = None
        #: set when it has ended, or its listenKey has
        self.over = asyncio.Event()
        #: why it ended, once it has
        self.cause: str | None = None

    async def open(self) -> None:
        """Connect; raise :class:`ConnectError` if that cannot be had."""
        try:
            self._connection = await dial(self._options, self)
        except ConnectError as error:
            self._raise_masked(error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise ConnectError("no connection: the attempt was cancelled") from None  # inside a resolver, say
        except Exception as error:  # of a resolver or an event loop that is ending, say
            raise ConnectError(f"no connection: {self._secrets.clean(why(error))}") from None
        if self.cause is not None:
            raise ConnectError(f"the stream's connection ended at once: {self.cause}")
        self.opened_at = asyncio.get_running_loop().time()
        if self._kept is not None:  # paused meanwhile
            self._connection.pause()

    def _raise_masked(self, error: ConnectError) -> NoReturn:
        """Raise ``error`` without the listenKey, which the server may have sent back in a header."""
        said = self._secrets.clean(str(error))
        if said == str(error) and self.key not in str(error.__cause__):
            raise error
        raise ConnectError(
            said, status=error.status, retryable=error.retryable, retry_after=error.retry_after
        ) from None

    @property
    def brings_since(self) -> float:
        """Return the moment from which on it brings everything."""
        return self.opened_at + OVERLAP

    @property
    def proven_at(self) -> float:
        """Return the last moment up to which all that was sent has certainly arrived."""
        return self.opened_at if self._connection is None else self._connection.proven_at

    def message_received(self, data: bytes | bytearray) -> None:
        """Pass on an event, bare or wrapped; everything else is unmatched."""
        if self._kept is not None:
            self._keep(bytes(data))
            return
        try:
            self._handle(data)
        except Exception:  # would end the connection
            self._log.exception("a message could not be handled: this is a defect of binance_session")

    def _keep(self, data: bytes) -> None:
        assert self._kept is not None
        if self._kept_bytes > HELD_BYTES or len(self._kept) >= HELD_EVENTS:
            if self.cause is None and not self._closed:
                self.connection_ending("more came while reading was paused than is kept")
            return
        self._kept.append(data)
        self._kept_bytes += len(data)

    def _handle(self, data: bytes | bytearray) -> None:
        try:
            message: Any = decode_json(data)
        except MalformedMessage as error:
            self._unmatched(readable(data))
            if isinstance(error, Unreadable) and not self._closed:
                self._owner.event_unreadable(self)
            return
        wrapped = type(message) is dict and "stream" in message and "data" in message
        event = event_of(message["data"] if wrapped else message, size=memory_of(data))
        if event is None:
            self._unmatched(message)
        elif not self._closed:
            self._owner.event_received(self, event)

    def binary_received(self, data: bytes | bytearray) -> None:
        """Pass on a binary message as unmatched: events are text."""
        self._unmatched(bytes(data))

    def _unmatched(self, message: object) -> None:
        if not self._closed:
            self._owner.message_unmatched(message)

    def connection_ending(self, reason: str) -> None:
        """Called when the connection ends: close the TCP connection too."""
        if self.cause is not None:
            return
        self.cause = self._secrets.clean(reason)  # the peer may say which key was wrong
        self.over.set()
        if self._connection is not None:
            self._connection.hang_up()
        if not self._closed:
            self._owner.socket_ended(self)

    async def confirm(self) -> bool:
        """Return whether a ping sent now is answered: then all that was sent before the answer has arrived."""
        if self._connection is None or self.cause is not None:
            return False
        return await self._connection.confirm(_CONFIRMED_WITHIN)

    def give_up(self, why: str) -> None:
        """End the connection: it works, but not well enough."""
        if not self._closed:
            self.connection_ending(why)

    def check(self) -> None:
        """Ping now, and end the connection if the answer does not come very soon."""
        if self._connection is not None:
            self._connection.check()

    def pause(self) -> None:
        """Read no more from the network, and do not judge whether the connection is alive."""
        if self._kept is None and not self._closed:
            self._kept = []
            if self._connection is not None:
                self._connection.pause()

    def resume(self) -> None:
        """Read on."""
        if self._kept is None:
            return
        kept, self._kept = self._kept, None
        for position, data in enumerate(kept):
            self._kept_bytes -= len(data)
            self.message_received(data)
            if self._kept is not None:  # that was enough again
                self._kept = kept[position + 1 :]
                return
        if self._connection is not None:
            self._connection.resume()

    async def close(self) -> None:
        """Close the connection, ignoring what still comes; return when it is closed."""
        self._closed = True
        self._kept = None
        self._kept_bytes = 0
        if self._connection is not None:
            self._connection.resume()  # to read the peer's closing frame
            await self._connection.close_surely(self._options.close_timeout)
