"""The session for programs that are not asynchronous: the same names without ``await``, from any thread."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from typing import Any, Final, Literal, Self

from binance_session.blocking.thread import LoopThread, OnThread, wait
from binance_session.catalogue import SecurityName
from binance_session.config import OnUnready
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, ConfigurationError
from binance_session.events.stream import OnFull, UserDataStream
from binance_session.health import Health
from binance_session.latency import Latency, Phases
from binance_session.params import Params
from binance_session.responses import Event, ListenKey, Response, SessionStatus
from binance_session.session import Session
from binance_session.settings import SettingsMethods
from binance_session.settlement.fate import Fate
from binance_session.state import SessionState
from binance_session.stats import Stats
from binance_session.venues import Venue

__all__ = ["BlockingSession"]

#: events that are passed from the loop's thread together
_AT_ONCE: Final = 1000


class BlockingSession(OnThread, SettingsMethods):
    """A :class:`Session` for programs that are not asynchronous.

    ::

        with BlockingSession(COIN_M, key) as session:
            reply = session.request("account.balance")
            for event in session.events():
                ...

    Every method and attribute of :class:`Session` that a bot uses is here, with the same parameters, and may be used
    from any number of threads at the same time. ``options`` are the parameters of :class:`Session`;
    ``session_class`` is made with them: its hooks are called on the loop's thread. ``thread``: a :class:`LoopThread` to
    share; without it the session has one of its own, which ends with it.

    What is still open when the interpreter exits is closed then. After a fork the session is the parent's: in the child
    each use is refused.
    """

    def __init__(
        self,
        venue: Venue,
        credentials: Credentials | None = None,
        *,
        session_class: type[Session] = Session,
        thread: LoopThread | None = None,
        **options: Any,
    ) -> None:
        if not (isinstance(session_class, type) and issubclass(session_class, Session)):
            raise ConfigurationError("session_class must be Session or a subclass of it")
        #: the session on the loop's thread
        self.session = session_class(venue, credentials, **options)
        super().__init__(thread or LoopThread(self.session.name), owns_thread=thread is None)

    @classmethod
    def around(cls, session: Session, thread: LoopThread) -> Self:
        """Return a blocking session around one that is open on ``thread``, which goes on without it."""
        blocking = cls.__new__(cls)
        blocking.session = session
        OnThread.__init__(blocking, thread, owns_thread=False, is_open=True)
        return blocking

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.session!r}>"

    # Life

    def open(self, patience: float | None = None) -> None:
        """Connect, and log on if the session does; see :meth:`Session.open`."""
        self._open_by(self.session.open(patience))

    def close(self, drain: float | None = None) -> None:
        """Close it; see :meth:`Session.close`. May be called from any thread, again, and concurrently."""
        self._close_by(lambda: self.session.close(drain))

    def wait_for(self, state: SessionState, timeout: float | None = None) -> None:
        """Return when the state is ``state``; see :meth:`Session.wait_for`."""
        self._thread.call(self.session.wait_for(state, timeout))

    # Requests

    def request(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: SecurityName | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
        race: bool = False,
    ) -> Response:
        """Send a request and return its answer; see :meth:`Session.request`."""
        if race:
            options = {"security": security, "credentials": credentials, "timeout": timeout, "on_unready": on_unready}
            return self._thread.call(self.session.request(method, params, race=True, **options))  # type: ignore[arg-type]
        return wait(
            self.submit(
                method, params, security=security, credentials=credentials, timeout=timeout, on_unready=on_unready
            )
        )

    def submit(
        self,
        method: str,
        params: Params | None = None,
        *,
        security: SecurityName | None = None,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        on_unready: OnUnready | None = None,
    ) -> concurrent.futures.Future[Response]:
        """Send a request without waiting, and return the future of its answer; see :meth:`Session.submit_threadsafe`.

        ``race`` is for :meth:`request` alone.
        """
        self._thread.check()
        return self.session.submit_threadsafe(
            method, params, security=security, credentials=credentials, timeout=timeout, on_unready=on_unready
        )

    def logon(self) -> SessionStatus:
        """Log the connection on; see :meth:`Session.logon`."""
        return self._thread.call(self.session.logon())

    def logout(self) -> SessionStatus:
        """Log it out; see :meth:`Session.logout`."""
        return self._thread.call(self.session.logout())

    def status(self) -> SessionStatus:
        """Ask who is logged on; see :meth:`Session.status`."""
        return self._thread.call(self.session.status())

    # Outcomes

    def settle(
        self, error: BinanceSessionError, within: float = 30.0, *, credentials: Credentials | None = None
    ) -> Fate:
        """Find out what became of a request; see :meth:`Session.settle`."""
        return self._thread.call(self.session.settle(error, within, credentials=credentials))

    def settle_order(
        self,
        method: str,
        params: Params,
        sent_at: float | None = None,
        within: float = 30.0,
        *,
        credentials: Credentials | None = None,
    ) -> Fate:
        """Find out what became of an order; see :meth:`Session.settle_order`."""
        return self._thread.call(self.session.settle_order(method, params, sent_at, within, credentials=credentials))

    def place(self, params: Params, method: str = "order.place", within: float = 30.0) -> Fate:
        """Place an order and find out what became of it; see :meth:`Session.place`."""
        return self._thread.call(self.session.place(params, method, within))

    # Events

    def events(
        self,
        *,
        buffer: int = 10_000,
        sockets: Literal[1, 2] = 1,
        on_full: OnFull = "fail",
        stop_on_exit: bool = False,
    ) -> Iterator[Event]:
        """Yield the account's events; see :meth:`Session.user_data_stream`, and :class:`UserDataStream` for its end.

        The stream is opened by the first ``next()`` and closed when the iteration is left. One thread iterates; each
        call makes an iteration of its own.
        """
        stream = self.session.user_data_stream(
            buffer=buffer, sockets=sockets, on_full=on_full, stop_on_exit=stop_on_exit
        )
        self._thread.call(stream.__aenter__())
        try:
            while batch := self._thread.call(_some(stream)):
                yield from batch
        finally:
            if not self.session.state.is_final:
                self._thread.call(stream.__aexit__(None, None, None))

    def start_user_data_stream(self) -> ListenKey:
        """Start the listenKey; see :meth:`Session.start_user_data_stream`."""
        return self._thread.call(self.session.start_user_data_stream())

    def ping_user_data_stream(self) -> ListenKey:
        """Extend it; see :meth:`Session.ping_user_data_stream`."""
        return self._thread.call(self.session.ping_user_data_stream())

    def stop_user_data_stream(self) -> None:
        """End it, for every client of the account; see :meth:`Session.stop_user_data_stream`."""
        self._thread.call(self.session.stop_user_data_stream())

    # Attributes

    @property
    def venue(self) -> Venue:
        """The exchange."""
        return self.session.venue

    @property
    def name(self) -> str:
        """What log records call the session."""
        return self.session.name

    @property
    def state(self) -> SessionState:
        """What the session is doing."""
        return self.session.state

    @property
    def authenticated(self) -> bool:
        """Whether the connection is logged on."""
        return self.session.authenticated

    @property
    def standby_ready(self) -> bool:
        """Whether a standby connection is ready."""
        return self.session.standby_ready

    @property
    def listen_key(self) -> ListenKey | None:
        """The listenKey that is kept alive."""
        return self.session.listen_key

    @property
    def in_flight(self) -> int:
        """How many requests were written and have not ended."""
        return self.session.in_flight

    @property
    def clock_offset(self) -> float:
        """The exchange's clock minus the local one, in seconds."""
        return self.session.clock_offset

    @property
    def unsettled(self) -> tuple[BinanceSessionError, ...]:
        """Requests with an unknown outcome; see :attr:`Session.unsettled`."""
        return self.session.unsettled

    @property
    def stats(self) -> Stats:
        """A copy of the counters."""
        return self.session.stats

    def health(self) -> Health:
        """Return how the session is; see :meth:`Session.health`."""
        return self.session.health()

    @property
    def phases(self) -> Phases | None:
        """How long it took to make the connection in use; see :attr:`Session.phases`."""
        return self.session.phases

    def latency(self) -> dict[str, Latency]:
        """Return how long requests of each method took; see :meth:`Session.latency`."""
        return self.session.latency()

    def now(self) -> float:
        """Return the exchange's time in Unix seconds."""
        return self.session.now()


async def _some(stream: UserDataStream) -> list[Event]:
    """Return the events that wait, at least one; [] when the stream has ended."""
    try:
        batch = [await anext(stream)]
    except StopAsyncIteration:
        return []
    while stream.backlog and len(batch) < _AT_ONCE:
        batch.append(await anext(stream))
    return batch
