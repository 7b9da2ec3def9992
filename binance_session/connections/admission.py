"""Whether a request may leave now, waits, or is refused: the one owner of that question."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Final

from binance_session.clock import ServerClock
from binance_session.connections.addresslimits import NOT_HELD
from binance_session.connections.lifecycle import Lifecycle
from binance_session.connections.link import Link
from binance_session.connections.throttle import Throttle
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, NotSent, SessionClosed, why
from binance_session.log import SessionLog
from binance_session.params import Params
from binance_session.requests.encoding import RequestEncoder
from binance_session.requests.racing import race_of
from binance_session.requests.sent import carrying
from binance_session.requests.waiting import WaitingRequests
from binance_session.responses import Response
from binance_session.state import SessionState
from binance_session.venues import Method

__all__ = ["Admission"]

#: why a request cannot leave now
_UNREADY: Final = {
    SessionState.CONNECTING: "there is no connection now (CONNECTING: it is being made)",
    SessionState.LOGGING_ON: "the connection is not logged on now (LOGGING_ON: the logon is not answered yet)",
    SessionState.WAITING: "there is no connection now (WAITING: the next attempt comes soon)",
}


class Admission:
    """Sends the requests of one session over the link in use, or lets them wait for it."""

    __slots__ = (
        "_asks_weight",
        "_encoder",
        "_in_use",
        "_is_closing",
        "_lifecycle",
        "_log",
        "_logs_on",
        "_on_unready",
        "_timeout",
        "_waiting",
        "link",
        "throttle",
    )

    def __init__(
        self,
        lifecycle: Lifecycle,
        encoder: RequestEncoder,
        clock: ServerClock,
        log: SessionLog,
        *,
        weight_reserve: float | None,
        max_in_flight: int,
        on_unready: str,
        timeout: float,
        logs_on: bool,
    ) -> None:
        """Keep ``weight_reserve``, a share of the request weight, for urgent requests.

        ``max_in_flight`` requests may wait, for ``timeout`` seconds; ``on_unready`` is the session's. ``logs_on``: the
        session logs its connections on.
        """
        self._lifecycle = lifecycle
        self._encoder = encoder
        self._log = log
        self._on_unready = on_unready
        self._timeout = timeout
        self._logs_on = logs_on
        self._waiting = WaitingRequests(max_in_flight)
        # whether the exchange is being asked for the weight that is used, or does not say
        self._asks_weight = False
        self._in_use: Link | None = None
        # whether the session is about to be closed, and takes nothing new
        self._is_closing = False
        #: what may be sent to the address
        self.throttle = Throttle(clock, weight_reserve, self._throttle_changed)
        #: the link that takes requests directly; ``None`` unless READY, and while some or all are held back or counted
        self.link: Link | None = None

    # The link in use

    def use(self, link: Link) -> None:
        """Send requests over ``link`` from now on."""
        self._in_use = link
        self.link = link if self.throttle.is_open and not self._is_closing else None

    def refuse_new(self) -> None:
        """Take no request any more: the session is about to be closed."""
        self._is_closing = True
        self.link = None

    def stop(self) -> None:
        """Send nothing until :meth:`use`: the link is lost, or not logged on."""
        self.link = None

    def uses(self, link: Link) -> bool:
        """Tell whether ``link`` is, or was last, in use."""
        return link is self._in_use

    @property
    def serving(self) -> Link | None:
        """The link in use, also while requests are held back; ``None`` unless READY."""
        link = self._in_use
        return link if link is not None and link.is_open and self._lifecycle.state is SessionState.READY else None

    @property
    def authenticated(self) -> bool:
        """Whether the link in use is logged on."""
        return self._in_use is not None and self._in_use.authenticated

    def _throttle_changed(self) -> None:
        """Called when requests are held back, or no longer."""
        self.link = None
        if (serving := self.serving) is not None:
            self.send_waiting(serving)

    def send_waiting(self, link: Link) -> None:
        """Send over ``link``, which is in use, what need not wait any more."""
        self.use(link)
        self._waiting.send_all(link, self.throttle.allows, functools.partial(self._sent, link))

    def end_waiting(self, error: Callable[[str], BinanceSessionError], *, quietly: bool) -> None:
        """End what waits with ``error(method)``; ``quietly`` as in :meth:`Router.end_all`."""
        self._waiting.end_all(error, quietly=quietly)

    # Requests

    def submit(
        self,
        method: Method,
        params: Params | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: str | None = None,
    ) -> asyncio.Future[Response]:
        """Send a request if it may leave now, else let it wait or raise why not, as ``on_unready`` says.

        What waits is checked now, and signed and stamped when it leaves.
        """
        if self.link is not None:
            return self.link.submit(method, params, credentials, timeout)
        try:
            return self._submit_unready(method, params, credentials, timeout, on_unready)
        except Exception as error:
            carrying(error, params)
            raise

    def _submit_unready(
        self,
        method: Method,
        params: Params | None,
        credentials: Credentials | None,
        timeout: float | None,
        on_unready: str | None,
    ) -> asyncio.Future[Response]:
        state, name = self._lifecycle.state, method.name
        if self._lifecycle.is_over:
            raise self._lifecycle.ended(f"the session is {state.value}; {name} was not sent", name)
        if self._is_closing:
            raise SessionClosed(f"the session is about to be closed; {name} was not sent", method=name)
        if state is SessionState.NEW:
            raise NotSent(f"the session is not open; {name} was not sent: open it first", method=name)
        mode = on_unready or self._on_unready
        may_wait = mode == "wait" or (mode == "auto" and not method.is_trade)
        timeout = timeout or self._timeout
        hold = self.throttle.hold_for(method)
        if hold is not NOT_HELD:
            if not may_wait or hold.until - asyncio.get_running_loop().time() > timeout:
                raise self.throttle.refusal(hold, name)
        elif state is SessionState.READY and self._in_use is not None:
            link = self._in_use
            future = link.submit(method, params, credentials, timeout)
            self._sent(link, method, params)
            return future
        if not may_wait:
            raise NotSent(
                f"{_UNREADY.get(state, f'the session is {state.name}')}; {name} was not sent. To let it wait for"
                ' the connection, pass on_unready="wait"',
                method=name,
            )
        checked = self._encoder.check(method, params, self._logs_on or self.authenticated, credentials)
        return self._waiting.add(method, checked, credentials, timeout)

    def race(
        self,
        standby: Link | None,
        method: Method,
        params: Params | None,
        credentials: Credentials | None,
        timeout: float | None,
        on_unready: str | None,
        settled: Callable[[BinanceSessionError], None],
    ) -> asyncio.Future[Response]:
        """Send a request over the link in use and over ``standby`` too, if that may be now; see :func:`race_of`."""
        first = self.submit(method, params, credentials, timeout, on_unready)
        if standby is None or not self.throttle.allows(method):
            return first
        try:
            second = standby.submit(method, params, credentials, timeout)
        except Exception as error:  # the first has left: what keeps the second back must not hide that
            self._log.warning("%s was sent on one connection, but not on the standby too: %s", method.name, why(error))
            return first
        self.throttle.sent(method, params)
        return race_of(first, second, settled)

    # Request weight

    def _sent(self, link: Link, method: Method, params: Params | None) -> None:
        """Count the weight of a request, if it is counted; ask for the exchange's own count once in a while."""
        if not self.throttle.sent(method, params) or self._asks_weight or not self.throttle.may_send:
            return
        count = self.throttle.count
        assert count is not None
        try:
            asked = link.ask_limits()
        except NotSent:
            return
        self._asks_weight = True
        asked.add_done_callback(functools.partial(self._weight_told, count.asked()))

    def _weight_told(self, moment: tuple[float, int], asked: asyncio.Future[Response]) -> None:
        self._asks_weight = False
        if asked.cancelled() or asked.exception() is not None:
            return
        if self.throttle.weight_told(asked.result().rate_limits, moment):
            return
        self._asks_weight = True  # no more: it would not tell the next time
        self._log.warning(
            "the exchange does not tell the request weight: the reserve is kept by what this session sends, and by the"
            " smallest limit that is documented"
        )
