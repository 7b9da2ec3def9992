"""What the fixtures are made of: an exchange in a thread, or in virtual time on the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from binance_session.blocking import BlockingSession, LoopThread
from binance_session.cli.simulate.options import fault_from_text
from binance_session.credentials import Ed25519Key
from binance_session.errors import ConfigurationError
from binance_session.session import Session
from binance_session.simulator import Fault, Injected, LoopClock, Readings, Simulator
from binance_session.simulator.virtual import VirtualTimeLoop, run
from binance_session.venues import Venue

__all__ = ["Stage", "TestedExchange"]

_T = TypeVar("_T")
#: seconds in which the connections of a test must have ended
_GRACE: Final = 2.0
_NAMES: Final = frozenset({"venue", "virtual", "faults", "readings", "session_class"})


class TestedExchange:
    """The exchange of a test, and what a test wants to know of it; its methods may be called from any thread.

    ``key`` is the key that it knows. ``simulator`` is the simulator itself, which belongs to its event loop: call it
    through :meth:`call`.
    """

    __test__ = False  # pytest collects classes by their names

    def __init__(self, venue: Venue, call: Callable[[Callable[[], Any]], Any]) -> None:
        self.venue = venue
        self.key = Ed25519Key.generate(api_key="tested-" + "k" * 57)
        self.simulator: Simulator
        self._call = call

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function on the exchange's event loop, and return what it returns."""
        result: _T = self._call(function)
        return result

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.simulator.url

    @property
    def stream_url(self) -> str | None:
        """Where the stream socket is; ``None`` on Spot."""
        return self.simulator.stream_url

    def options(self) -> dict[str, Any]:
        """Return the options for a session of your own on this exchange."""
        streams = {} if self.stream_url is None else {"stream_url": self.stream_url}
        return {"url": self.url, "wall_clock": self.simulator.clock.time, **streams}

    def inject(self, fault: Fault | str, **options: Any) -> Injected:
        """Put a fault to work: one, its name with ``options``, or its text as on the command line."""
        made = fault if isinstance(fault, Fault) else Fault(fault, **options) if options else fault_from_text(fault)
        return self.call(lambda: self.simulator.inject(made))

    def set_price(self, symbol: str, price: Decimal | str) -> None:
        """Move the market; orders that the price reaches are filled."""
        self.call(lambda: self.simulator.set_price(symbol, price))

    def fill(self, symbol: str, client_order_id: str, quantity: Decimal | str) -> None:
        """Fill a part of a resting order."""
        self.call(lambda: self.simulator.fill(symbol, client_order_id, quantity))

    def transfer(self, asset: str, change: Decimal | str) -> None:
        """Change a balance, and send its events."""
        self.call(lambda: self.simulator.transfer(asset, change))

    def drop_connections(self) -> None:
        """Abort every connection, as a network does that fails."""

        def drop() -> None:
            for connection in self.simulator.connections:
                connection.drop()

        self.call(drop)

    def received(self, method: str) -> list[Mapping[str, Any]]:
        """Return the params of each request of a method, in the order in which they came."""
        return self.call(lambda: [each.params for each in self.simulator.received if each.method == method])

    def executed(self, client_order_id: str) -> int:
        """Return how many orders of this ``newClientOrderId`` took effect."""
        orders = self.call(lambda: [each.params.get("newClientOrderId") for each in self.simulator.executed])
        return orders.count(client_order_id)

    def assert_executed_once(self, client_order_id: str) -> None:
        """Fail unless the order of this ``newClientOrderId`` was executed, and not twice."""
        times = self.executed(client_order_id)
        assert times == 1, f"the order {client_order_id!r} was executed {times} times"

    def assert_not_executed(self, client_order_id: str) -> None:
        """Fail if an order of this ``newClientOrderId`` was executed."""
        times = self.executed(client_order_id)
        assert times == 0, f"the order {client_order_id!r} was executed {times} times"


class Stage:
    """The exchange and the session of one test, by the options of its marker."""

    def __init__(self, options: dict[str, Any], *, is_async: bool) -> None:
        self._session_options = {name: value for name, value in options.items() if name not in _NAMES}
        venue = options.get("venue", "coin-m")
        self._venue = venue if isinstance(venue, Venue) else Venue.named(venue)
        self._is_virtual = bool(options.get("virtual", False))
        self._is_async = is_async
        if self._is_virtual and not is_async:
            raise ConfigurationError("virtual=True is for async tests: in it time passes only while they wait")
        self._faults: Iterable[Fault | str] = options.get("faults", ())
        readings = options.get("readings")
        self._readings = readings if isinstance(readings, Readings | None) else Readings(**readings)
        self._class: type[Session] = options.get("session_class") or Session
        self._thread: LoopThread | None = None
        self._exchange: TestedExchange | None = None
        self._wants_session = False

    def exchange(self) -> TestedExchange:
        """Return the exchange; it listens, unless it is to live in virtual time, where it begins with the test."""
        if self._exchange is None:
            if self._is_virtual:
                self._exchange = TestedExchange(self._venue, lambda function: function())
            else:
                self._thread = thread = LoopThread("binance_exchange")
                self._exchange = TestedExchange(self._venue, lambda function: thread.call(_called(function)))
                self._exchange.simulator = thread.call(self._made())
                self._prepare(self._exchange)
        return self._exchange

    async def _made(self) -> Simulator:
        simulator = Simulator(self._venue, readings=self._readings)
        await simulator.start()
        return simulator

    def _prepare(self, exchange: TestedExchange) -> None:
        key = exchange.key
        exchange.call(lambda: exchange.simulator.add_key(key.api_key, public_key=key.public_pem()))
        for fault in self._faults:
            exchange.inject(fault)

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """Return the session of a test that is not async, READY; an async test's is opened on its own loop."""
        self._wants_session = True
        if self._is_async:
            yield None
            return
        exchange = self.exchange()
        options = {**exchange.options(), **self._session_options}
        with BlockingSession(self._venue, exchange.key, session_class=self._class, **options) as session:
            yield session

    def close(self) -> None:
        """End the exchange, and fail if a connection to it is left."""
        if self._thread is None or self._exchange is None:
            return
        exchange = self._exchange
        deadline = time.monotonic() + _GRACE
        while (left := exchange.call(lambda: len(exchange.simulator.connections))) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._thread.call(exchange.simulator.close())
        self._thread.close()
        assert not left, f"the test has left {left} connection(s) to the exchange open: close every session"

    # Async tests

    async def play(
        self, test: Callable[..., Awaitable[None]], arguments: tuple[Any, ...], fixtures: dict[str, Any]
    ) -> None:
        """Run an async test with its session, and fail if it leaves a task behind."""
        if not self._is_virtual:
            await self._play(test, arguments, fixtures)
            return
        done: list[BaseException | None] = []

        def live() -> None:
            try:
                run(lambda: self._play_in_virtual_time(test, arguments, fixtures))
                done.append(None)
            except BaseException as error:
                done.append(error)

        # A loop runs here already, and a thread has one of its own; nothing else happens meanwhile.
        thread = threading.Thread(target=live, name="virtual time")
        thread.start()
        thread.join()
        if done[0] is not None:
            raise done[0]

    async def _play_in_virtual_time(
        self, test: Callable[..., Awaitable[None]], arguments: tuple[Any, ...], fixtures: dict[str, Any]
    ) -> None:
        loop = VirtualTimeLoop.running()
        exchange = self.exchange()
        clock = LoopClock(start=loop.wall_time())
        async with Simulator(self._venue, clock=clock, readings=self._readings) as simulator:
            exchange.simulator = simulator
            self._prepare(exchange)
            await self._play(test, arguments, fixtures)
            left = len(simulator.connections)
            assert not left, f"the test has left {left} connection(s) to the exchange open: close every session"

    async def _play(
        self, test: Callable[..., Awaitable[None]], arguments: tuple[Any, ...], fixtures: dict[str, Any]
    ) -> None:
        before = asyncio.all_tasks()
        if not self._wants_session:
            await test(*arguments, **fixtures)
        else:
            exchange = self.exchange()
            options = {**exchange.options(), **self._session_options}
            async with self._class(self._venue, exchange.key, **options) as session:
                await test(*arguments, **{**fixtures, "binance_session": session})
        for _ in range(3):  # what is due already may run: it is not left over
            await asyncio.sleep(0)
        left = sorted(task.get_name() for task in asyncio.all_tasks() - before)
        assert not left, f"the test has left tasks running: {', '.join(left)}"


async def _called(function: Callable[[], _T]) -> _T:
    return function()
