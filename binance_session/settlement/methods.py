"""The methods of a session that find out what became of a request whose outcome is unknown."""

from __future__ import annotations

from binance_session.checks import check_number
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError
from binance_session.params import Params
from binance_session.responses import Response
from binance_session.settlement.fate import Fate
from binance_session.settlement.settler import Settler
from binance_session.settlement.unsettled import Unsettled

__all__ = ["SettlementMethods"]


class SettlementMethods:
    """The methods of :class:`~binance_session.Session` for requests whose outcome is unknown."""

    _settler: Settler
    _unsettled: Unsettled

    def _demand_loop(self) -> None:
        """Raise :class:`ConfigurationError` unless called on the session's event loop."""
        raise NotImplementedError

    async def request(self, method: str, params: Params | None = None) -> Response:
        """Submit a request and wait for its answer."""
        raise NotImplementedError

    async def place(self, params: Params, method: str = "order.place", within: float = 30.0) -> Fate:
        """Send an order, or another request that changes something, and return what became of it, whatever happens.

        An order without a client id is given one. ``within`` are the seconds that :meth:`settle` may take if the
        outcome is unknown. Raises :class:`ConfigurationError` for bad input, and :class:`SessionClosed` when the
        session is over; that may carry an order with an unknown outcome, to be settled in another session.
        """
        self._check_within(within)
        return await self._settler.place(self.request, method, params, within)

    async def settle(
        self, error: BinanceSessionError, within: float = 30.0, *, credentials: Credentials | None = None
    ) -> Fate:
        """Find out what became of the request that ended with ``error``, within so many seconds.

        The exchange is asked, the events of an open user data stream are heard, and the late answer to the request
        itself counts. Nothing is ever sent again. That a request did not take effect is said only when the exchange
        was asked after it could be executed any more: ``recvWindow`` + 10 s after it was sent, 16 s by default. What
        may be known of which method is in the documentation: "What is known about an order".

        The error may be of another session of the same account, or be unpickled after a restart. ``credentials`` asks
        with another key, for a request that was signed with that.

        Raises :class:`ConfigurationError` for an error that is about no request, of a request that changes nothing, or
        has no identity to ask by.
        """
        self._check_within(within)
        return await self._settler.settle(error, within, credentials)

    async def settle_order(
        self,
        method: str,
        params: Params,
        sent_at: float | None = None,
        within: float = 30.0,
        *,
        credentials: Credentials | None = None,
    ) -> Fate:
        """Find out what became of a request by what was written down of it; as :meth:`settle`.

        ``params`` are those that were sent. Without a ``timestamp`` in them ``sent_at`` tells when that was: Unix
        seconds of the exchange's clock (:meth:`now`), right within 5 s. Without a ``recvWindow`` this session's is
        taken.
        """
        self._check_within(within)
        if sent_at is not None:
            check_number("sent_at", sent_at)
        return await self._settler.settle_order(method, params, sent_at, within, credentials)

    @property
    def unsettled(self) -> tuple[BinanceSessionError, ...]:
        """The errors of requests with an unknown outcome that were not settled, oldest first; at most 1,000."""
        return self._unsettled.errors

    def _check_within(self, within: float) -> None:
        check_number("within", within)
        self._demand_loop()
