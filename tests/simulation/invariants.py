"""What must hold in every story: what the caller was told against what the exchange saw, and the rules of the wire.

A breach is written down with its time and does not end the story: one story can show several.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from attrs import define, field

from binance_session import BinanceSessionError, Response, Session, SessionState
from binance_session.simulator import Received, Simulator
from binance_session.simulator.connections import Connection
from binance_session.simulator.virtual import Stuck, VirtualConnection, VirtualTimeLoop
from binance_session.simulator.virtual_network import ProtocolFactory
from binance_session.state import SESSION_TABLE
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from tests.simulation.lines import Dials, Lines

__all__ = ["Call", "Complaints", "Ledger", "LogWatch", "SessionRecord", "SimulationLoop", "Wire", "leftovers"]

#: seconds by which a deadline may be missed: the router ends together what expires within a millisecond
_SLACK: Final = 0.01
#: seconds after a session's end in which what it had written may still arrive (the slowest link, and some)
_ON_ITS_WAY: Final = 30.0
_ATTEMPTS: Final = 300
#: turns of the loop at one moment that only a task which never waits can need
_TURNS: Final = 200_000
_WINDOW: Final = 300.0
#: how warnings begin that may come again and again while something stands in the way
_TROUBLE: Final = ("session ", "no user data stream", "no second ")
_LEGAL: Final = {(old, new) for old, moves in SESSION_TABLE.items() for new in moves.values()}


class Complaints(list[str]):
    """The breaches of one story, in order."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def __call__(self, what: str) -> None:
        """Write a breach down."""
        self._trace("BREACH", what)
        self.append(f"{self._trace.stamp()} {what}")


class SimulationLoop(VirtualTimeLoop):
    """A virtual loop that counts attempts to connect, and notices when it turns and turns while no time passes."""

    def __init__(self, limit: float) -> None:
        super().__init__(limit=limit)
        self._turns = 0
        self._moment = -1.0
        #: when connections were attempted, by port
        self.attempts: dict[int | None, deque[float]] = {}
        self.attempts_in_all = 0
        #: the port at which the streams are, a second door of the exchange
        self.stream_port: int | None = None
        self.api_port: int | None = None
        #: ports at which attempts to connect are refused, or get no answer
        self.refusing: set[int | None] = set()
        self.silent: set[int | None] = set()
        #: told of each connection's client end, and of attempts at addresses, in stories that look at those
        self.lines: Lines | None = None
        self.dials: Dials | None = None
        self._for_streams: WeakSet[socket.socket] = WeakSet()
        self._stream_clients: WeakSet[asyncio.BaseTransport] = WeakSet()

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Reach an address, and write down when that was attempted."""
        host, port = address
        began = self.time()
        if self.dials is not None:
            began = self.dials.tries(port)
            if host in self.network.black_holes:
                attempt = self.dials.is_silent(port, began)
                try:
                    await super().sock_connect(sock, address)
                finally:
                    self.dials.gives_up(port, attempt)
        self.attempts_in_all += 1
        self.attempts.setdefault(port, deque(maxlen=_ATTEMPTS + 1)).append(began)
        if port in self.silent:
            await self.create_future()
        if port in self.refusing:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host}:{port}")
        if port is None or port != self.stream_port:
            await super().sock_connect(sock, address)
            return
        await super().sock_connect(sock, (host, self.api_port))
        self._for_streams.add(sock)

    async def create_connection(  # type: ignore[override]
        self, factory: ProtocolFactory, *args: Any, sock: socket.socket | None = None, **options: Any
    ) -> Any:
        """Connect, and remember what carries a stream."""
        is_stream = sock in self._for_streams
        transport, protocol = await super().create_connection(factory, *args, sock=sock, **options)
        if is_stream:
            self._stream_clients.add(transport)
        if self.lines is not None:
            self.lines.opened(transport)
        return transport, protocol

    def is_stream(self, line: VirtualConnection) -> bool:
        """Tell whether a connection carries a stream."""
        return line.client in self._stream_clients

    def _process_events(self, event_list: list[Any]) -> None:
        now = self.time()
        if now != self._moment:
            self._moment, self._turns = now, 0
        self._turns += 1
        if self._turns > _TURNS:
            self._turns = 0
            raise Stuck(f"{_TURNS} turns of the loop, and no time has passed")

    def attempted_too_often(self) -> float | None:
        """Return the seconds in which there were more than 300 attempts at one port, if less than 5 minutes."""
        for attempts in self.attempts.values():
            span = attempts[-1] - attempts[0] if attempts else 0.0
            if len(attempts) > _ATTEMPTS and span < _WINDOW - 0.001:
                attempts.clear()
                return span
        return None


@define(eq=False)
class SessionRecord:
    """One of the sessions that the bot opened, as the invariants know it. ``number`` is in its URL."""

    number: int
    session: Session
    logs_on: bool
    api_key: str | None
    state: SessionState = SessionState.NEW
    #: loop time at which it was over: FAILED, or ``close()`` returned
    over: float | None = None
    #: whether it was READY once, and what its policy was asked about when it gave up
    was_ready: bool = False
    given_up_on: list[Exception | None] = field(factory=list)
    #: loop time at which its own logon was refused for good, as it was told
    refused_at: float | None = None
    #: loop time until which a logon may be the bot's own, who may try what it likes
    bot_logs_on_until: float = 0.0
    #: loop time since which it has been READY
    ready_since: float | None = None
    #: loop time since which it has been neither READY nor over
    unready_since: float | None = None
    #: how often it came to be READY
    ready_count: int = 0
    #: how often the bot asked for the listenKey's end, and how often that was sent
    stops_asked: int = 0
    stops: int = 0
    #: loop time at which the last reader left; infinite while there is one
    listens_until: float = 0.0


@define(eq=False)
class Call:
    """One call of the bot and what became of it."""

    number: int
    session: int
    method: str
    name: str | None
    begun: float
    deadline: float
    #: ``answered``, ``rejected``, ``not_sent``, ``unknown``, or ``cancelled`` by the bot itself
    told: str | None = None
    request_id: int | None = None
    gave_up: bool = False
    ends: int = field(default=0)

    def __str__(self) -> str:
        return f"call {self.number} ({self.method}{f' {self.name}' if self.name else ''}, session {self.session})"


class Ledger:
    """Every call of the bot, and the account of them at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, trace: Trace, complain: Complaints) -> None:
        self._loop = loop
        self._trace = trace
        self._complain = complain
        self.calls: list[Call] = []
        self.open: dict[int, Call] = {}
        self.told: Counter[str] = Counter()

    def call(self, session: int, method: str, name: str | None, timeout: float) -> Call:
        """Write down a call that begins."""
        now = self._loop.time()
        call = Call(len(self.calls), session, method, name, now, now + timeout)
        self.calls.append(call)
        self.open[call.number] = call
        return call

    def follow(self, call: Call, future: asyncio.Future[Any]) -> None:
        """Write down how the future of a call ends."""
        future.add_done_callback(lambda ended: self._ended(call, ended))

    def _ended(self, call: Call, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            if not call.gave_up:
                self._complain(f"{call} was cancelled, and not by its caller")
            self.end(call, "cancelled", None)
        elif (error := future.exception()) is not None:
            self.end_with(call, error)
        else:
            result = future.result()
            self.end(call, "answered", result.request_id if isinstance(result, Response) else None)

    def end_with(self, call: Call, error: BaseException) -> None:
        """Write down a call that ended with an error."""
        if not isinstance(error, BinanceSessionError) or error.outcome is None:
            self._complain(f"{call} ended with {type(error).__name__} without an outcome: {error}")
            self.end(call, "unknown", None)
            return
        if error.method is None:
            self._complain(f"{call} ended with {type(error).__name__} that names no method")
        self.end(call, error.outcome, error.request_id, type(error).__name__)

    def end(self, call: Call, told: str, request_id: int | None, how: str = "") -> None:
        """Write down what a caller was told."""
        call.ends += 1
        call.told, call.request_id = told, request_id
        self.open.pop(call.number, None)
        self.told[f"{told} {how}".rstrip()] += 1
        self._trace("bot", f"{call}: {told}{f' ({how})' if how else ''}")
        late = self._loop.time() - call.deadline
        if late > _SLACK:
            self._complain(f"{call} ended {late:.3f} s after its deadline")

    def check_deadlines(self) -> None:
        """Complain about calls that should have ended."""
        now = self._loop.time()
        for call in list(self.open.values()):
            if now > call.deadline + 1.0:
                self._complain(f"{call} has not ended {now - call.deadline:.3f} s after its deadline")
                del self.open[call.number]

    def settle(self, wire: Wire) -> None:
        """Compare what was told with what the exchange saw. Only when nothing is on its way any more."""
        for call in self.calls:
            if call.ends != 1:
                self._complain(f"{call} ended {call.ends} times")
            if call.request_id is not None:
                where = (call.session, call.request_id)
                arrived, executed = wire.arrived[where], wire.executed[where]
                self._compare(call, arrived, executed)
            if call.name is not None:
                self._compare(call, wire.arrived_orders[call.name], wire.executed_orders[call.name])

    def _compare(self, call: Call, arrived: int, executed: int) -> None:
        if executed > 1:
            self._complain(f"{call} was executed {executed} times")
        if arrived > 1:
            self._complain(f"{call} arrived {arrived} times")
        if call.told == "answered" and executed != 1:
            self._complain(f"{call} was told answered, and was executed {executed} times")
        if call.told == "rejected" and executed:
            self._complain(f"{call} was told rejected, and was executed")
        if call.told == "not_sent" and arrived:
            self._complain(f"{call} was told not sent, and arrived")


@define
class _Line:
    """One connection, as the rules of the wire know it."""

    logons: int = 0
    was_logged_on: bool = False
    #: loop time until which requests may carry a key: after a logout, until a logon has been told
    proves_until: float = 0.0


class Wire(list[Received]):
    """Stands in for the exchange's record of what it received, and looks at each message as it comes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        simulator: Simulator,
        records: dict[int, SessionRecord],
        complain: Complaints,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._simulator = simulator
        self._records = records
        self._complain = complain
        self._lines: dict[int, _Line] = {}
        #: an apiKey that the bot gives to single calls
        self.guest_key: str | None = None
        self.arrived: Counter[tuple[int, Any]] = Counter()
        self.executed: Counter[tuple[int, Any]] = Counter()
        self.arrived_orders: Counter[str] = Counter()
        self.executed_orders: Counter[str] = Counter()
        self.messages = 0
        self.subscriptions = 0
        #: whether listenKeys are kept alive for readers of streams only
        self.keys_are_for_readers = False
        #: seconds that a request may wait before it leaves
        self.longest_wait = 0.0

    def append(self, entry: Received) -> None:
        """Look at a message. It is not kept."""
        self.absorb()
        self.messages += 1
        number = session_of(entry.connection)
        message = entry.message
        if message is None:
            self._complain(f"session {number} sent what is no JSON object")
            return
        record = self._records[number]
        where = (number, message.get("id"))
        method, params = message.get("method"), entry.params
        self.arrived[where] += 1
        if self.arrived[where] > 1:
            self._complain(f"session {number} used the id {where[1]} twice")
        if method == "order.place":
            name = str(params.get("newClientOrderId"))
            self.arrived_orders[name] += 1
            if self.arrived_orders[name] > 1:
                self._complain(f"the order {name} arrived {self.arrived_orders[name]} times")
        if record.over is not None and self._loop.time() > record.over + _ON_ITS_WAY:
            self._complain(f"session {number} is over, and sent {method}")
        if record.logs_on:
            self._check_logged_on(entry, str(method), record)
        if str(method).startswith("userDataStream."):
            self._check_stream(str(method), record)

    def _check_stream(self, method: str, record: SessionRecord) -> None:
        """Look at what concerns a listenKey: its end is never sent unasked, nor is one kept alive for nobody."""
        if method == "userDataStream.stop":
            record.stops += 1
            if record.stops > record.stops_asked:
                self._complain(f"session {record.number} sent userDataStream.stop, and nobody asked for that")
        elif method in ("userDataStream.start", "userDataStream.ping") and self.keys_are_for_readers:
            idle = self._loop.time() - record.listens_until
            if idle > _ON_ITS_WAY + self.longest_wait:
                self._complain(f"session {record.number} sent {method} {idle:.0f} s after the last reader had left")

    def _check_logged_on(self, entry: Received, method: str, record: SessionRecord) -> None:
        connection, now = entry.connection, self._loop.time()
        line = self._lines.setdefault(connection.number, _Line())
        line.was_logged_on = line.was_logged_on or connection.key is not None
        if method == "session.logon":
            line.logons += 1
            by_bot = now <= record.bot_logs_on_until
            if record.refused_at is not None and _ON_ITS_WAY < now - record.refused_at < 1.0 and not by_bot:
                self._complain(
                    f"session {record.number} tries a key that was refused {now - record.refused_at:.3f} s ago"
                )
            return
        asks_the_time = method == "session.status" and line.logons
        if not line.was_logged_on and not asks_the_time:
            self._complain(f"session {record.number} sent {method} on connection {connection.number} before a logon")
        if method == "session.logout":  # which may have waited for this connection
            line.proves_until = float("inf")
        carries = {"apiKey", "signature"} & entry.params.keys()
        if carries and entry.params.get("apiKey") != self.guest_key and now > line.proves_until:
            self._complain(
                f"{method} of session {record.number} carries {' and '.join(sorted(carries))} after the logon"
            )

    def logs_out(self, session: int) -> None:
        """Take note that the bot tries to log out: requests may carry a key now, whether or not that arrives."""
        for connection in self._simulator.connections:
            if not connection.stream and session_of(connection) == session:
                self._lines.setdefault(connection.number, _Line()).proves_until = float("inf")

    def logged_on_again(self, session: int) -> None:
        """Take note that the bot was told of a logon of its own: what leaves from now on needs no key."""
        for connection in self._simulator.connections:
            if not connection.stream and session_of(connection) == session and connection.number in self._lines:
                line = self._lines[connection.number]
                line.proves_until = min(line.proves_until, self._loop.time() + _ON_ITS_WAY)

    def absorb(self) -> None:
        """Take over what the exchange wrote down as executed."""
        for entry in self._simulator.executed:
            number = session_of(entry.connection)
            self.executed[(number, entry.id)] += 1
            if entry.method.startswith("userDataStream.subscribe"):
                self.subscriptions += 1
            if entry.method == "order.place":
                self.executed_orders[entry.params.get("newClientOrderId", "")] += 1
        self._simulator.executed.clear()


def session_of(connection: Connection) -> int:
    """Return the number of the session that a connection belongs to."""
    return int(connection.path.rpartition("=")[2])


class LogWatch(logging.Handler):
    """Reads the package's log: no defect of its own, no secret, and only texts that can be formatted."""

    def __init__(self, complain: Complaints) -> None:
        super().__init__(logging.WARNING)
        self._complain = complain
        self.secrets: list[str] = []
        self.expects_errors = False
        #: tells the warnings apart between which something came right
        self.episode: Callable[[], object] = lambda: None
        self._warned: tuple[object, set[str]] = (None, set())

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one entry."""
        if record.name.startswith("binance_session.simulator"):
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" {record.exc_info[1]!r}"
        if any(secret in text for secret in self.secrets):
            self._complain("a secret is in the log")
        if record.levelno == logging.WARNING and text.partition("] ")[2].startswith(_TROUBLE):  # behind its name
            self._warns(re.sub(r"\(attempt \d+\)", "", text))
        if record.levelno >= logging.ERROR and not (self.expects_errors and ("hook" in text or "policy" in text)):
            self._complain(f"logged at {record.levelname}: {text}")

    def _warns(self, text: str) -> None:
        """See that a kind of trouble is warned about once, until something came right."""
        episode = self.episode()
        if self._warned[0] != episode:
            self._warned = (episode, set())
        if text in self._warned[1]:
            self._complain(f"warned about twice: {text}")
        self._warned[1].add(text)


def check_move(record: SessionRecord, old: SessionState, new: SessionState, complain: Complaints) -> None:
    """Complain about a change of state that the table does not have."""
    if (old, new) not in _LEGAL:
        complain(f"session {record.number}: {old.name} -> {new.name} is not in the table")
    if old is not record.state:
        complain(f"session {record.number}: told {old.name} -> {new.name} while {record.state.name}")


def _is_ours(task: asyncio.Task[Any]) -> bool:
    file: str = task.get_coro().cr_code.co_filename  # type: ignore[union-attr]
    return "binance_session/" in file and "/simulator/" not in file


def leftovers(loop: VirtualTimeLoop, number: int) -> list[str]:
    """Return what is there of the package's tasks, timers and client connections."""
    left = [f"task {task.get_name()}" for task in asyncio.all_tasks(loop) if _is_ours(task)]
    for timer in loop._scheduled:  # type: ignore[attr-defined]
        module = getattr(timer._callback, "__module__", None) or ""
        if not timer.cancelled() and module.startswith("binance_session.") and ".simulator" not in module:
            left.append(f"timer of {module}")
    left += [f"connection {line!r}" for line in loop.network.connections if not line.client.is_lost]
    return left
