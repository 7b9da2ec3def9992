"""The account's events of one session: what a session makes when it is made, and the methods that it has for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from binance_session.clock import ServerClock
from binance_session.config import ConnectionOptions, SessionOptions
from binance_session.connections.supervisor import Supervisor
from binance_session.errors import ConfigurationError
from binance_session.events.delivery import Delivery
from binance_session.events.feed import Feed
from binance_session.events.listenkey import ListenKeyKeeper, SendRequest
from binance_session.events.recordedsocket import socket_maker
from binance_session.events.sockets import StreamSockets
from binance_session.events.stream import OnFull, UserDataStream
from binance_session.events.subscription import Subscription
from binance_session.hooks import Hooks
from binance_session.log import SessionLog
from binance_session.masking import Secrets
from binance_session.responses import Event, ListenKey
from binance_session.stats import Stats
from binance_session.venues import Venue

__all__ = ["UserData", "UserDataMethods"]


class UserData:
    """The listenKey that a session keeps alive, the feed of its streams, and what supplies the feed."""

    def __init__(
        self,
        options: SessionOptions,
        stream: ConnectionOptions | None,
        supervisor: Supervisor,
        request: SendRequest,
        clock: ServerClock,
        hooks: Hooks,
        stats: Stats,
        log: SessionLog,
        secrets: Secrets,
    ) -> None:
        """Connect to the stream by ``stream``; ``None``: there is none, or its address is not known.

        ``request`` sends a request of the session's own.
        """
        venue = options.venue
        self.recorder = options.recorder
        self.listen_key = ListenKeyKeeper(
            request, options.keepalive, venue.listen_key_lifetime, clock, hooks, stats, log, secrets
        )
        self.delivery = delivery = Delivery(clock, hooks, stats, log)
        supervisor.on_event = delivery.event
        self.feed = Feed(clock, delivery, log)
        #: ``None`` where the address of the stream is not known
        self.supplier: StreamSockets | Subscription | None = None
        if stream is not None:
            self.supplier = StreamSockets(
                stream,
                self.listen_key,
                self.feed,
                clock,
                options.reconnect,
                hooks,
                stats,
                options.rollover_after,
                venue.stream_path,
                log,
                socket_maker(options.recorder),
            )
            supervisor.on_promoted = self.supplier.link_promoted
        elif not venue.has_listen_key:
            self.supplier = Subscription(
                supervisor,
                venue,
                self.feed,
                delivery,
                clock,
                options.reconnect,
                hooks,
                stats,
                float(options.request_timeout),
                log,
            )

    def is_heard(self) -> bool:
        """Tell whether a user data stream is open."""
        return bool(self.feed.readers)

    @property
    def is_live(self) -> bool | None:
        """Whether events come now; ``None`` while no user data stream is open."""
        return None if self.supplier is None or not self.feed.readers else self.supplier.is_live

    @property
    def backlog(self) -> int:
        """How many events wait in the buffer that is the fullest."""
        return max((reader.backlog for reader in self.feed.readers), default=0)

    def end(self, error: Exception) -> None:
        """End the streams with ``error``, and ping no more: the session is over."""
        if self.supplier is not None:
            self.supplier.fail(error)
        self.listen_key.abandon()

    async def ended(self) -> None:
        """Return when no task or socket of the streams is left."""
        if self.supplier is not None:
            await self.supplier.ended()


class UserDataMethods:
    """The methods of :class:`~binance_session.Session` for the account's events and the listenKey."""

    _log: SessionLog
    _stats: Stats
    _user_data: UserData
    venue: Venue

    def _demand_loop(self) -> None:
        """Raise :class:`ConfigurationError` unless called on the session's event loop."""
        raise NotImplementedError

    def user_data_stream(
        self,
        *,
        buffer: int = 10_000,
        sockets: Literal[1, 2] = 1,
        on_full: OnFull = "fail",
        callback: Callable[[Event], object] | None = None,
        stop_on_exit: bool = False,
    ) -> UserDataStream:
        """Return the account's events: ``async with`` opens the stream, ``async for`` reads it.

        Futures: the listenKey is started and kept alive while a stream is open, and its socket replaced when it is
        lost, when the key changes and ahead of the exchange's 24 hours. Spot: the session subscribes on each of its
        connections. Several streams share one socket, and each gets all events. When something may have been
        missed, an event with ``is_gap`` says so before the next one (see :class:`UserDataStream`).

        ``buffer``
            How many events may wait to be read. 0: none is kept, for a bot that uses ``on_event``. They may take about
            4 KiB of memory each, or 32 MiB together if that is more; whichever bound is reached first counts.
        ``sockets``
            2: two connections bring every event, and each is delivered once and in order. When one is lost, the other
            goes on without a gap: there is one only when both were out at the same time. An event that only the second
            one brings, or brings much sooner, comes a second or more later. It takes one connection more, and its part
            of the attempts to connect. On Spot that is the standby connection: only with ``standby=True``.
        ``on_full``
            What happens when one more comes. ``"fail"``: the iteration ends with :class:`EventsOverflow`. ``"pause"``:
            nothing is read from the network, for no stream of the session, until half of them are read. The
            exchange may in the end cut a connection that is not read, which is a gap. Not on Spot, where answers
            come the same way.
        ``callback``
            Called with each event inside the reception of its bytes; nothing is buffered, and the iteration brings
            nothing until the stream ends. A plain function; what it raises is logged and counted in
            ``stats.hook_errors``.
        ``stop_on_exit``
            Send ``userDataStream.stop`` when the last stream of the session is left. It ends the key **for every
            client of the account**; without it the key is no longer pinged, and lapses by itself.

        On Spot the exchange takes one subscription for each account and connection, so it refuses this one to a bot
        that subscribed by itself.

        Raises :class:`ConfigurationError` for what cannot be.
        """
        if (supplier := self._user_data.supplier) is None:
            raise ConfigurationError(
                "the session has no stream_url: you gave url= but not stream_url=. Give both (of a simulator:"
                " simulator.stream_url)"
            )
        return UserDataStream(
            supplier,
            self._stats,
            buffer=buffer,
            sockets=sockets,
            on_full=on_full,
            callback=callback,
            stop_on_exit=stop_on_exit,
            demand_loop=self._demand_loop,
            log=self._log,
            recorder=self._user_data.recorder,
        )

    async def start_user_data_stream(self) -> ListenKey:
        """Start the account's listenKey, or extend the active one, and keep it alive by the policy from now on.

        Raises :class:`ConfigurationError` where the venue has no listenKeys (Spot).
        """
        self._demand_listen_key()
        return await self._user_data.listen_key.start()

    async def ping_user_data_stream(self) -> ListenKey:
        """Extend the listenKey to 60 minutes from now; the policy counts from this ping.

        Raises :class:`ListenKeyNotFound` when it has lapsed; the session then starts a new one if it owned it.
        """
        self._demand_listen_key()
        return await self._user_data.listen_key.ping()

    async def stop_user_data_stream(self) -> None:
        """End the listenKey, **for every client of the account**, and stop pinging."""
        self._demand_listen_key()
        await self._user_data.listen_key.stop()

    @property
    def listen_key(self) -> ListenKey | None:
        """The listenKey that the session keeps alive, if it owns one."""
        return self._user_data.listen_key.key

    def _demand_listen_key(self) -> None:
        self._demand_loop()
        if not self.venue.has_listen_key:
            raise ConfigurationError(
                f"{self.venue.name} has no listenKeys: session.user_data_stream() brings its events without one"
            )
