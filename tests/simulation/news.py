"""What happens to the account by itself: events of every type, prices that fill orders, deposits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.eventexamples import event_names
from binance_session.simulator.product import Product

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["News"]

#: seconds after something went wrong at which events are wanted
_AFTERMATH: Final = (0.0, 0.0, 0.001, 0.05, 0.5, 1.0, 1.5, 3.0, 10.0)


class News:
    """Has things happen to the account, at random moments and where it matters."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"news {world.recipe.seed}")
        product = Product.of(world.recipe.venue)
        self._is_spot = product is Product.SPOT
        self._symbol = {Product.COIN_M: "BTCUSD_PERP"}.get(product, "BTCUSDT")
        self._names = [
            name for name in event_names(product) if name not in ("listenKeyExpired", "eventStreamTerminated")
        ]
        # the exchange's events can say the same within a millisecond: with a number, only twins do
        self._stamp = 0
        self._twins = False
        self._push = world.simulator.exchange._user_data.push
        world.simulator.exchange._user_data.push = self._stamped  # type: ignore[method-assign]
        self._connect = world.simulator.exchange.connect
        world.simulator.exchange.connect = self._connected  # type: ignore[method-assign,assignment]

    def _connected(self, *args: Any) -> Any:
        """Have events come while a new connection takes over."""
        connection = self._connect(*args)
        if self._random.random() < 0.5:
            for _ in range(self._random.randint(1, 6)):
                self._world.later(self._random.uniform(0, 2.5), self.happen)
        return connection

    def _stamped(self, account: Account, event: Mapping[str, Any]) -> int:
        if not self._twins:
            self._stamp += 1
        return self._push(account, {**event, "story": self._stamp})

    async def live(self, mean: float) -> None:
        """Let things happen until cancelled, every ``mean`` seconds or so."""
        random = self._random
        while True:
            await asyncio.sleep(random.expovariate(1 / mean))
            for _ in range(random.choice([1, 1, 1, 2, 5, 40])):
                self.happen()
                pause = random.choice([0.0, 0.0, 0.0, 0.001, 0.3])
                if pause:
                    await asyncio.sleep(pause)

    def aftermath(self) -> None:
        """Have events come in the next seconds."""
        for _ in range(self._random.choice([0, 1, 3])):
            self._world.later(self._random.choice(_AFTERMATH), self.happen)

    def happen(self) -> None:
        """Let one thing happen."""
        simulator, random = self._world.simulator, self._random
        chance = random.random()
        if chance < 0.15:
            simulator.set_price(self._symbol, random.choice(["10000", "20000", "30000"]))
        elif chance < 0.3:
            simulator.transfer("BTC", random.choice(["1", "-1"]))
        elif chance < 0.35:  # twins: the same words, twice
            name = random.choice(self._names)
            simulator.push_event(name)
            self._twins = True
            simulator.push_event(name)
            self._twins = False
        else:
            simulator.push_event(random.choice(self._names))
