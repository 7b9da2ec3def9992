"""The hook that says that a connection came into use, and what a bot makes again from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from binance_session import SPOT, Event, Response, Session, SessionState
from binance_session.simulator import Fault, virtual
from tests.exchange import HMAC, exchange, requests, session_to, until

READY, WAITING = SessionState.READY, SessionState.WAITING


class Told(Session):
    """Keeps what the hook was told, and how the session stood then; asks something from it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.told: list[tuple[bool, SessionState, bool]] = []
        self.answers: list[asyncio.Future[Response]] = []
        super().__init__(*args, **options)

    def on_connected(self, first: bool) -> None:
        """Note it, and ask."""
        self.told.append((first, self.state, self.authenticated))
        answer = self.submit("account.balance")
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.answers.append(answer)


@pytest.mark.virtual
@pytest.mark.parametrize("key", ["ed25519", "hmac"])
async def test_it_is_called_for_each_connection_and_submits_to_the_new_one(key: str) -> None:
    """The first, after a reconnect, in a rollover: READY, logged on, and ahead of all that waits."""
    async with exchange() as simulator:
        session = session_to(simulator, *([HMAC] if key == "hmac" else []), kind=Told)
        opening = asyncio.ensure_future(session.open())
        await asyncio.sleep(0)
        parked = [session.submit("account.position")]
        await opening
        logs_on = key == "ed25519"
        assert session.told == [(True, READY, logs_on)]
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        parked.append(session.submit("account.position"))
        await session.wait_for(READY)
        await asyncio.gather(*parked)
        assert session.told[1:] == [(False, READY, logs_on)]
        simulator.broadcast_shutdown()
        await until(lambda: len(session.told) == 3)
        parked.append(session.submit("account.position"))
        await asyncio.gather(*parked, *session.answers)
        assert session.told[2:] == [(False, READY, logs_on)]
        by_connection = {
            number: [entry.method for entry in simulator.received if entry.connection.number == number]
            for number in (1, 2, 3)
        }
        assert by_connection == dict.fromkeys(
            (1, 2, 3), ["session.logon"] * logs_on + ["account.balance", "account.position"]
        )
        await session.close()
        assert len(session.told) == 3


@pytest.mark.virtual
async def test_it_is_not_called_for_a_connection_that_never_came_into_use() -> None:
    """Nor when one was merely logged on again."""
    async with exchange() as simulator, session_to(simulator, kind=Told) as session:
        simulator.inject(Fault("refuse_handshake", times=3))
        simulator.inject(Fault("drop_before", method="session.logon", times=2))
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        await session.wait_for(READY)
        assert len(session.told) == 2
        simulator.connections[0].key = None
        await session.status()
        await session.wait_for(SessionState.LOGGING_ON)
        await session.wait_for(READY)
        assert len(session.told) == 2


@pytest.mark.virtual
async def test_it_may_do_what_it_likes() -> None:
    """Raise, close the session, end the connection: the session goes on, or ends, as ever."""

    class Bot(Told):
        does: Callable[[], object] | None = None

        def on_connected(self, first: bool) -> None:
            super().on_connected(first)
            if self.does is not None:
                self.does()

    def fail() -> object:
        raise ValueError("hook")

    closing: list[asyncio.Task[None]] = []
    async with exchange() as simulator:
        session = session_to(simulator, kind=Bot)
        await session.open()
        session.does = fail
        ends: list[Callable[[], object]] = [simulator.connections[0].drop, simulator.broadcast_shutdown]
        for end in ends:
            connections = session.stats.connections
            end()
            await until(lambda: session.stats.connections > connections)  # noqa: B023
            await session.wait_for(READY)
            assert (await session.request("account.balance")).status == 200
        assert session.stats.hook_errors == 2
        session.does = lambda: closing.append(asyncio.ensure_future(session.close()))
        simulator.broadcast_shutdown()
        await session.wait_for(SessionState.CLOSED)
        await asyncio.gather(*closing)
        with pytest.raises(Exception, match="closed"):
            await session.answers[-1]


class Subscriber(Session):
    """A Spot bot with a subscription of its own, as a margin account's has to be: made on every connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.seen: list[Any] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.states: list[SessionState] = []
        super().__init__(*args, **options)

    def on_event(self, event: Event) -> None:
        """Keep what came."""
        if event.type == "balanceUpdate":
            self.seen.append(event.data["d"])

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        """Keep where the session was."""
        self.states.append(new)

    def on_connected(self, first: bool) -> None:
        """Subscribe."""
        self.submit("userDataStream.subscribe").add_done_callback(lambda done: done.cancelled() or done.exception())


class SubscriberInATask(Subscriber):
    """The same, with something to await before: a listenToken, say."""

    async def subscribe(self) -> None:
        """Take some round trips more."""
        for _ in range(4):
            await self.request("account.status")
        await self.request("userDataStream.subscribe")

    def on_connected(self, first: bool) -> None:
        """Subscribe from a task."""
        task = asyncio.ensure_future(self.subscribe())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@pytest.mark.virtual
@pytest.mark.parametrize("kind", [Subscriber, SubscriberInATask])
@pytest.mark.parametrize("how", ["shutdown", "rollover"])
async def test_a_subscription_of_your_own_moves_with_the_session(how: str, kind: type[Subscriber]) -> None:
    """On a network that takes its time, not one event is missed: the old connection is kept until it is made."""
    async with exchange(SPOT, enforce_limits=False) as simulator:
        network = virtual.VirtualTimeLoop.running().network
        network.latency = 0.05
        options: dict[str, Any] = {"rollover_after": 30.0} if how == "rollover" else {}
        async with session_to(simulator, kind=kind, **options) as session:
            await until(lambda: len(requests(simulator, "userDataStream.subscribe")) == 1)
            await asyncio.sleep(1)
            sent = 0
            for _ in range(3):
                connections = session.stats.connections
                if how == "shutdown":
                    simulator.broadcast_shutdown()
                while session.stats.connections == connections or len(simulator.connections) > 1:
                    sent += 1
                    simulator.exchange.transfer("USDT", str(sent))
                    await asyncio.sleep(0.01)
            await asyncio.sleep(1)
            amounts = {float(amount) for amount in session.seen}
            assert amounts == set(map(float, range(1, sent + 1)))
            assert session.states == [SessionState.CONNECTING, SessionState.LOGGING_ON, READY]
            assert len(requests(simulator, "userDataStream.subscribe")) == 4


@pytest.mark.virtual
async def test_a_subscription_of_your_own_is_made_again_after_a_reconnect() -> None:
    """Events go on."""
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Subscriber) as session:
        await asyncio.sleep(1)
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        await session.wait_for(READY)
        await asyncio.sleep(1)
        simulator.exchange.transfer("USDT", "1")
        await asyncio.sleep(1)
        assert len(session.seen) == 1


@pytest.mark.virtual
async def test_a_request_of_the_hook_that_is_never_answered_does_not_keep_the_old_connection() -> None:
    """It times out, and the old connection goes."""
    async with exchange(SPOT) as simulator, session_to(simulator, kind=Subscriber) as session:
        await asyncio.sleep(1)
        simulator.inject(Fault("no_answer", method="userDataStream.subscribe"))
        simulator.broadcast_shutdown()
        await until(lambda: session.stats.connections == 2)
        await asyncio.sleep(9)
        assert len(simulator.connections) == 2
        await asyncio.sleep(3)
        assert len(simulator.connections) == 1


@pytest.mark.virtual
async def test_what_the_hook_submits_is_held_back_like_everything_else() -> None:
    """While the reserve of weight is kept: what is not urgent waits, and leaves on the new connection."""
    async with exchange() as simulator, session_to(simulator, kind=Told, weight_reserve=0.5) as session:
        await session.answers[0]
        session._supervisor.throttle.hold(5, ordinary_only=True)
        began = simulator.clock.time()
        simulator.connections[0].drop()
        await session.wait_for(WAITING)
        await session.wait_for(READY)
        await session.answers[1]
        assert requests(simulator, "account.balance")[1].time - began == pytest.approx(5, abs=0.1)
