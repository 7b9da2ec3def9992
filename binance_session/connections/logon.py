"""Logging a connection on, and what it means when that fails. Documents: PROTOCOL.md §4 (``session.logon``)."""

from __future__ import annotations

from binance_session.checks import check_can_log_on
from binance_session.connections.link import Link
from binance_session.connections.throttle import Throttle
from binance_session.credentials import Credentials
from binance_session.errors import (
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    InvalidTimestamp,
    LogonRejected,
    RateLimited,
)
from binance_session.params import Params
from binance_session.responses import Response, SessionStatus
from binance_session.venues import Method, Venue

__all__ = ["LogonMethods", "log_on"]


async def log_on(link: Link, method: Method, throttle: Throttle, *, until: float, was_ready: bool) -> None:
    """Send ``session.logon`` and wait for its answer; ``until`` as in :meth:`Throttle.wait`.

    Raises :class:`LogonRejected` when the key was refused, :class:`ConnectError` when it may go better the next time,
    :class:`ConfigurationError` when the request cannot be signed by a session that never ``was_ready``.
    """
    try:
        await throttle.wait(until)
        try:
            await link.submit(method)
        except InvalidTimestamp:
            # The link asked for the exchange's time when it saw this; with that, once more.
            await link.status_told()
            await throttle.wait(until)
            await link.submit(method)
    except RateLimited:
        raise
    except ConfigurationError as error:
        if not was_ready:
            raise
        # It signed before: a remote signer may be back soon.
        raise ConnectError(f"connected, but session.logon could not be signed: {error}") from error
    except InvalidTimestamp as error:  # a slow link or a clock in motion, nothing that is wrong with the key
        raise ConnectError(
            "connected, but session.logon was stamped too late or too early for the exchange: is the clock of this"
            f" machine right? {error}"
        ) from error
    except ApiError as error:
        if not error.is_passing:
            raise LogonRejected(error) from error
        raise ConnectError(f"connected, but session.logon failed: {error}") from error
    except BinanceSessionError as error:
        raise ConnectError(f"connected, but session.logon was not answered: {error}") from error


class LogonMethods:
    """The methods of :class:`~binance_session.Session` for the logon of its connection."""

    venue: Venue
    _credentials: Credentials | None

    async def request(self, method: str, params: Params | None = None) -> Response:
        """Submit a request and wait for its answer."""
        raise NotImplementedError

    async def logon(self) -> SessionStatus:
        """Log the connection on, or on again; later requests carry no key.

        With ``logon=False`` this holds for the connection that there is: the next one carries keys again.
        Raises :class:`ConfigurationError` when the key cannot log on and :class:`ApiError` when the exchange refuses.
        """
        check_can_log_on(self.venue, self._credentials)
        return SessionStatus.from_result((await self.request("session.logon")).result)

    async def logout(self) -> SessionStatus:
        """Log the connection out; later requests carry key and signature again.

        That holds for the connection that there is: a session that logs on does so on the next one.
        """
        return SessionStatus.from_result((await self.request("session.logout")).result)

    async def status(self) -> SessionStatus:
        """Ask the exchange who is logged on on this connection."""
        return SessionStatus.from_result((await self.request("session.status")).result)
