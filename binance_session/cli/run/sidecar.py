"""The account's events, from one session after the other, for ever."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from binance_session.connections.attempts import Attempts
from binance_session.credentials import Credentials
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    EventsOverflow,
    LogonRejected,
    SessionClosed,
    SessionRevoked,
)
from binance_session.health import Health
from binance_session.keepalive import KeepaliveStatus
from binance_session.masking import masked
from binance_session.reconnect import ExponentialBackoff, after_refused_logon
from binance_session.responses import Event, ListenKey
from binance_session.session import Session
from binance_session.state import SessionState
from binance_session.venues import Venue

__all__ = ["Refused", "Sidecar", "Unwritable"]

_log: Final = logging.getLogger("binance_session")
#: what the exchange says of a key that it does not take, whatever the request
_BAD_KEY: Final = frozenset({-1022, -2014, -2015})
#: seconds that each step of the ending may take: a process manager kills ten or so after its signal
_BRIEFLY: Final = 2.0


class Refused(Exception):
    """The exchange will not have us, and trying again would not help."""


class Unwritable(Exception):
    """The events cannot be written any more."""


class _Restarts:
    """When a new session begins: a policy that gives up where another attempt would not help.

    A key or an address that was accepted once may be refused in passing: an address is tried again without end, a key
    as long as after a refused logon.
    """

    def __init__(self) -> None:
        #: whether a stream was open once
        self.was_open = False
        #: streams in a row for which the key was refused
        self.refusals = 0
        self._backoff = ExponentialBackoff()

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return the seconds until a new session begins, ``None`` to give up."""
        if isinstance(cause, (LogonRejected, SessionRevoked)):
            return None  # the session's own policy has given up
        if isinstance(cause, ApiError) and cause.code in _BAD_KEY:
            self.refusals += 1
            return after_refused_logon(self.refusals) if self.was_open else None
        if isinstance(cause, ConnectError) and not cause.retryable and not self.was_open:
            return None
        return self._backoff.next_delay(attempt, cause)


class Sidecar:
    """Opens a session and its user data stream, writes each event, and begins anew whatever ends them.

    It is the reconnect policy of its sessions, too: a key or an address that was never right is reported at once, and
    one that was has as long as the default policy gives it.
    """

    def __init__(
        self,
        venue: Venue,
        key: Credentials,
        write: Callable[[Event], Awaitable[None]],
        *,
        hide: Callable[[str], object] = lambda _key: None,
        url: str | None,
        stream_url: str | None,
        buffer: int,
        stop_on_exit: bool,
    ) -> None:
        """``write`` raises :class:`OSError` when nobody will read any more. At most ``buffer`` events wait for it.

        ``hide`` is called with each listenKey, before an event can name it.
        """
        self._venue = venue
        self._key = key
        self._url = url
        self._stream_url = stream_url
        self._write_event = write
        self._hide = hide
        self._buffer = buffer
        self._stops_key = stop_on_exit and venue.has_listen_key
        self._backoff = ExponentialBackoff()
        # whether the key was accepted once
        self._was_ready = False
        self._restarts = _Restarts()
        self._attempts = Attempts(self._restarts, None)
        # when the stream was opened (loop time)
        self._opened_at = math.inf
        # up to when (ms of the exchange) nothing was missed, and why something may have been since
        self._complete_until = 0
        self._cause = "the stream begins here"
        self._current: Session | None = None

    @property
    def session(self) -> Session | None:
        """The session that is in use; ``None`` before the first."""
        return self._current

    def health(self) -> Health:
        """Return how the session is; between two sessions the sidecar is alive, and not ready."""
        if self._current is not None and not self._current.state.is_final:
            return self._current.health()
        return Health(live=True, ready=False, reasons=("a new session is about to begin",))

    async def run(self) -> NoReturn:
        """Write events until cancelled.

        Raises :class:`Refused`, :class:`Unwritable`, and :class:`ConfigurationError` for what a session does not take.
        """
        while True:
            self._opened_at = math.inf
            try:
                session = self._current = self._session()
                await session.open(patience=math.inf)
                self._was_ready = True
                async with session:
                    await self._follow(session)
            except BinanceSessionError as error:
                cause = error
                if isinstance(error, SessionClosed) and isinstance(error.__cause__, BinanceSessionError):
                    cause = error.__cause__
            except Unwritable:
                raise
            except Exception as error:  # a defect, which must not end the events; its text may hold anything
                cause = BinanceSessionError(f"{type(error).__name__}, which is a defect of binance_session")
                cause.__cause__ = error
            if isinstance(cause, ConfigurationError):
                raise cause
            self._cause = str(cause)
            delay = self._attempts.failed(cause, lasted=asyncio.get_running_loop().time() - self._opened_at)
            if delay is None:
                raise Refused(str(cause)) from cause
            _log.warning("no user data stream: %s; a new session begins in %.1f s", cause, delay)
            await asyncio.sleep(delay)

    def _session(self) -> Session:
        session = _Session(
            self._venue,
            self._key,
            url=self._url,
            stream_url=self._stream_url,
            timings=True,
            close_timeout=_BRIEFLY,
            reconnect=self,
        )
        session.hide = self._hide
        return session

    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        """Return when a session dials again: as the default policy says, but a key must have been right once."""
        if isinstance(cause, LogonRejected) and not self._was_ready:
            return None
        return self._backoff.next_delay(attempt, cause)

    async def _follow(self, session: Session) -> NoReturn:
        try:
            while True:
                async with session.user_data_stream(buffer=self._buffer) as events:
                    self._restarts.was_open = True
                    self._restarts.refusals = 0
                    self._opened_at = asyncio.get_running_loop().time()
                    await self._tell_gap(session)
                    try:
                        async for event in events:
                            await self._write(event)
                    except EventsOverflow as error:
                        _log.warning("%s", error)
                        self._cause = f"{self._buffer} events waited to be written, and what came then was not kept"
                    else:
                        self._cause = "the stream ended"
        except (asyncio.CancelledError, Unwritable):
            if self._stops_key and session.state is SessionState.READY:
                await _stop_key(session)
            raise

    async def _tell_gap(self, session: Session) -> None:
        """Say that what happened before the stream was opened may be missing."""
        now = int(session.now() * 1000)
        data = {"cause": self._cause, "since": min(self._complete_until, now), "until": now}
        _log.info("events from here on; what came before may be missing: %s", self._cause)
        await self._write(Event("gap", now, data, is_gap=True))

    async def _write(self, event: Event) -> None:
        try:
            await self._write_event(event)
        except OSError as error:
            raise Unwritable(str(error.strerror or error)) from error
        self._complete_until = max(self._complete_until, event.time)


async def _stop_key(session: Session) -> None:
    try:
        async with asyncio.timeout(_BRIEFLY):
            await session.stop_user_data_stream()
    except (BinanceSessionError, TimeoutError) as error:
        _log.warning("the listenKey could not be stopped: %s", str(error) or "no answer in time")
    else:
        _log.info("the listenKey was stopped")


class _Session(Session):
    """A session that logs what a person who watches it wants to know beyond its changes of state."""

    #: told each listenKey
    hide: Callable[[str], object] = staticmethod(lambda _key: None)

    def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
        """Log when the next attempt is made."""
        _log.info("attempt %d to connect in %.1f s", attempt, delay)

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        """Log which key there is."""
        if new is not None:
            self.hide(new.value)
            _log.info("listenKey %s, kept alive from now on", masked(new.value))

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        """Log that the key was extended; failures are logged already."""
        if not status.consecutive_failures:
            _log.info("the listenKey was extended")
