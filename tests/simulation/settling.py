"""The bot finds out what became of its requests, and what it is told is compared with what the exchange did."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from attrs import define

from binance_session import BinanceSessionError, Fate, Response, SessionClosed, SessionState
from binance_session.simulator import Fault
from tests.simulation.invariants import Call, SessionRecord
from tests.simulation.troubles import inject
from tests.simulation.world import World

__all__ = ["Settling"]

_METHODS: Final = ("order.place", "order.cancel")
#: what may be said of a request although the exchange could be asked
_CANNOT_TELL: Final = (
    "-2013: the order is not known",
    "-2013 after",
    "allOrders: one like it",
    "allOrders: there are more",
    "allOrders after",
    "order.status: another order",
)


@define(eq=False)
class _Asked:
    """A request that was settled, or is to be."""

    call: Call
    error: BinanceSessionError
    is_of_guest: bool
    name: str


class Settling:
    """What the bot does about unknown outcomes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(f"settling {world.recipe.seed}")
        self._denied: list[_Asked] = []
        # what could not be settled in a session that was over, for the next one
        self._left: list[_Asked] = []
        self.errands: set[asyncio.Task[None]] = set()

    def submits(self, method: str) -> None:
        """Have a request be looked at late now and then, so that it takes effect when it is not expected any more."""
        if method == "order.place" and self.random.random() < 0.02:
            inject(
                self.world, Fault("late_logon", method=method, times=1, delay=self.random.choice([1.0, 4.9, 9.0, 30.0]))
            )

    def follow(
        self, record: SessionRecord, call: Call, future: asyncio.Future[Response], params: Any, guest: bool
    ) -> None:
        """Settle a call if it ends with an unknown outcome."""
        if call.method not in _METHODS:
            return
        name = str((params or {}).get("newClientOrderId") or (params or {}).get("origClientOrderId"))

        def ended(future: asyncio.Future[Response]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if isinstance(error, BinanceSessionError) and error.outcome == "unknown":
                asked = _Asked(call, error, guest, name)
                if self.random.random() < 0.8:
                    self._begin(record, asked)
                else:
                    self._left.append(asked)

        future.add_done_callback(ended)

    def opened(self, record: SessionRecord) -> None:
        """Settle in a new session what an older one left."""
        left, self._left = self._left, []
        for asked in left:
            self._begin(record, asked)

    def _begin(self, record: SessionRecord, asked: _Asked) -> None:
        task = self.world.loop.create_task(self._settle(record, asked), name="bot settles")
        self.errands.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.complain(f"settling ended with {type(error).__name__}: {error}")

    async def _settle(self, record: SessionRecord, asked: _Asked) -> None:
        world = self.world
        within = self.random.choice([1.0, 30.0, 90.0, 90.0])
        began = world.loop.time()
        key = world.guest_key() if asked.is_of_guest else None
        try:
            fate = await record.session.settle(asked.error, within, credentials=key)
        except SessionClosed:
            self._left.append(asked)
            return
        world.wire.absorb()
        world.trace("bot", f"{asked.call}: {fate!r}")
        world.settled[fate.took_effect] += 1
        took = world.loop.time() - began
        if took > within + 0.01:
            world.complain(f"settling {asked.call} took {took:.3f} s of {within:g} s")
        if fate.took_effect is None:
            self._unknown(record, asked, fate, began, within)
        elif fate.took_effect:
            self._affirmed(asked)
        else:
            self._denied.append(asked)

    def _affirmed(self, asked: _Asked) -> None:
        world = self.world
        if asked.call.method == "order.place":
            if not world.wire.executed_orders[asked.name]:
                world.complain(f"{asked.call} was said to have taken effect, and did not")
            return
        symbol = asked.error.params["symbol"] if asked.error.params else ""
        order = world.simulator.exchange.account.find(symbol, None, asked.name)
        if order is not None and order.status != "CANCELED":
            world.complain(f"{asked.call} was said to have taken effect, and the order is {order.status}")

    def _unknown(self, record: SessionRecord, asked: _Asked, fate: Fate, began: float, within: float) -> None:
        """See that nothing is said only where the exchange could not be asked in time, or cannot tell."""
        world = self.world
        if record.session.state is not SessionState.READY or record.over is not None:
            if record.over is not None:
                self._left.append(asked)
            return
        window = (world.recipe.options["recv_window"] or 5000) / 1000
        if fate.evidence.startswith(_CANNOT_TELL) or within < window + 25.0:
            return
        since = max(record.ready_since or world.loop.time(), world.bad_until)
        if since < began:
            world.complain(f"nothing was said of {asked.call} although all was well for {within:g} s: {fate!r}")

    def check(self) -> None:
        """See that what was denied never took effect. Only when nothing is on its way any more."""
        world = self.world
        if self.errands:
            world.complain(f"{len(self.errands)} settlements never ended")
        world.wire.absorb()
        for asked in self._denied:
            if world.wire.executed[asked.call.session, asked.error.request_id]:
                world.complain(f"{asked.call} was said not to have taken effect, and did")
