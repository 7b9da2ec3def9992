"""The exchange on real sockets."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Iterable, Mapping, MutableSequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock, LoopClock
from binance_session.simulator.connections import Connection
from binance_session.simulator.exchange import Exchange
from binance_session.simulator.faults import Fault, Injected
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.readings import Readings
from binance_session.simulator.records import Executed, Pushed, Received
from binance_session.simulator.socket import Socket
from binance_session.venues import Venue

if TYPE_CHECKING:
    from binance_session.simulator.keys import PublicKey

__all__ = ["Simulator"]


class Simulator:
    """An exchange on a real WebSocket server, for clients in any language.

    ::

        async with Simulator(COIN_M) as simulator:
            simulator.add_key("API-KEY", public_key=pem)
            ...  # connect to simulator.url

    ``port=0`` takes a free one; ``ssl`` is a server's context and makes the URLs ``wss://``. ``clock`` is a
    :class:`LoopClock` unless given. ``readings`` settles what the documents leave open, ``enforce_limits=False``
    counts weights and orders without refusing anything, and ``record`` bounds how many entries
    ``received``, ``executed`` and ``pushed`` keep. ``exchange`` is the exchange itself, for everything that has no
    method here.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        ssl: tls.SSLContext | None = None,
        readings: Readings | None = None,
        enforce_limits: bool = True,
        record: int | None = None,
    ) -> None:
        self.venue = venue
        self.clock: Clock = LoopClock() if clock is None else clock
        self.exchange = Exchange(venue, self.clock, readings=readings, enforce_limits=enforce_limits, record=record)
        self._host = host
        self._port = port
        self._ssl = ssl
        self._server: asyncio.Server | None = None
        self._sockets: set[Socket] = set()
        self._closing = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises :class:`OSError` if the address is taken, :class:`RuntimeError` if it listens already."""
        if self._server is not None:
            raise RuntimeError("the simulator is running")
        self._closing = False
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Socket(self.exchange, self.clock, self._sockets, lambda: not self._closing),
            self._host,
            self._port,
            ssl=self._ssl,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Close every connection with 1001, stop listening, and leave nothing behind. Doing so twice does nothing."""
        server, self._server = self._server, None
        for connection in self.connections:
            if connection.muted:
                connection.drop()
        if server is not None:
            self._closing = True
            server.close()
            await asyncio.gather(*(socket.close() for socket in self._sockets))
            await server.wait_closed()
        self.exchange.shut_down()

    @property
    def url(self) -> str:
        """Where the API is: ``ws://127.0.0.1:PORT/ws-dapi/v1``."""
        return self._base + urlsplit(self.venue.url).path

    @property
    def stream_url(self) -> str | None:
        """Base of the stream socket, with ``Venue.stream_path`` behind it; ``None`` for Spot."""
        if self.venue.stream_url is None:
            return None
        return self._base + urlsplit(self.venue.stream_url).path

    @property
    def _base(self) -> str:
        if self._server is None:
            raise RuntimeError("the simulator is not running")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'ws' if self._ssl is None else 'wss'}://{host}:{self._port}"

    @property
    def received(self) -> MutableSequence[Received]:
        """Every text message from clients, in order."""
        return self.exchange.received

    @property
    def executed(self) -> MutableSequence[Executed]:
        """Every request that took effect, in order, whatever its client was told."""
        return self.exchange.executed

    @property
    def pushed(self) -> MutableSequence[Pushed]:
        """Every user data event, in order, once for each stream that it was sent to, or once without a listener."""
        return self.exchange.pushed

    @property
    def connections(self) -> list[Connection]:
        """The live connections, oldest first."""
        return self.exchange.connections

    def add_key(
        self,
        api_key: str,
        *,
        public_key: PublicKey | None = None,
        secret: str | None = None,
        permissions: Iterable[str] | None = None,
        account: Account | None = None,
        addresses: Iterable[str] | None = None,
    ) -> ApiKeyRecord:
        """Register an API key: ``public_key`` (Ed25519 or RSA, told by the key itself) or ``secret`` (HMAC).

        All permissions and the shared account unless given. Raises :class:`ValueError` for a key that is neither.
        """
        return self.exchange.add_key(
            api_key,
            public_key=public_key,
            secret=secret,
            permissions=permissions,
            account=account,
            addresses=addresses,
        )

    def revoke(self, api_key: str) -> None:
        """Make a key invalid; sessions that are logged on with it get the error at their next request."""
        self.exchange.revoke(api_key)

    def restore(self, api_key: str) -> None:
        """Make a revoked key valid again."""
        self.exchange.restore(api_key)

    def inject(self, fault: Fault) -> Injected:
        """Put a fault to work, and return a handle that counts and removes it."""
        return self.exchange.inject(fault)

    def broadcast_shutdown(self) -> None:
        """Send the event ``serverShutdown`` to every API socket."""
        self.exchange.broadcast_shutdown()

    def push(self, event: Mapping[str, Any], account: Account | None = None) -> int:
        """Send a user data event to all who listen to an account; return to how many streams it went."""
        return self.exchange.push(event, account)

    def push_event(self, name: str, account: Account | None = None, **fields: Any) -> int:
        """Send an event by its type, with the fields of the documents' example, some of them changed.

        Returns to how many streams it went; raises :class:`ValueError` for a type that the product does not have.
        """
        return self.exchange.push_event(name, account, **fields)

    def set_price(self, symbol: str, price: Decimal | str) -> None:
        """Move the market: resting orders that the price reaches are filled, each at its own price."""
        self.exchange.set_price(symbol, price)

    def fill(self, symbol: str, client_order_id: str, quantity: Decimal | str) -> None:
        """Fill a part of a resting order, at its own price; raises :class:`ValueError` for what cannot be."""
        self.exchange.fill(symbol, client_order_id, quantity)

    def let_meet(self, symbol: str, maker: str, taker: str) -> None:
        """Let two orders of one account meet, which self-trade prevention keeps from trading (Spot)."""
        self.exchange.let_meet(symbol, maker, taker)

    def transfer(self, asset: str, change: Decimal | str, account: Account | None = None) -> None:
        """Change a balance as a deposit or a withdrawal does, and send its events."""
        self.exchange.transfer(asset, change, account)

    def create_listen_token(self, account: Account | None = None, *, validity: float = 86400.0) -> str:
        """Return a new listenToken of an account, good for ``validity`` seconds, as REST gives them out (Spot)."""
        return self.exchange.create_listen_token(account, validity=validity)

    def expire_listen_keys(self, account: Account | None = None, *, tell: bool = True) -> int:
        """End an account's listenKeys as if their time had run out, with a word to the sockets or without."""
        return self.exchange.expire_listen_keys(account, tell=tell)

    def stop_listen_keys(self, account: Account | None = None) -> int:
        """End an account's listenKeys as another client's ``userDataStream.stop`` does."""
        return self.exchange.stop_listen_keys(account)
