"""Stop orders: what sets them off, and USD-M's algo orders, which wait beside the order book (PROTOCOL.md §6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import define, field

from binance_session.simulator.orders import Order

__all__ = ["ALGO_TYPES", "AlgoOrder", "Trigger"]

#: the order types that wait for a trigger, and whether each becomes a LIMIT order or a MARKET order
ALGO_TYPES: Final = {
    "STOP": "LIMIT",
    "STOP_MARKET": "MARKET",
    "TAKE_PROFIT": "LIMIT",
    "TAKE_PROFIT_MARKET": "MARKET",
    "TRAILING_STOP_MARKET": "MARKET",
}
_ZERO: Final = Decimal(0)


@define(eq=False)
class Trigger:
    """What sets off a stop order: the market's price reaches ``price``.

    A trailing stop has no price until it is ``activated``, which it is once the market has reached ``start`` (at once
    if that is ``None``); then it follows the best price since, ``extreme``, at a distance of ``rate`` percent.
    """

    type: str
    side: str
    price: Decimal
    extreme: Decimal
    start: Decimal | None = None
    rate: Decimal = _ZERO
    activated: bool = False

    @property
    def trails(self) -> bool:
        """Whether it is a trailing stop's."""
        return self.type == "TRAILING_STOP_MARKET"

    def reached(self, market: Decimal) -> bool:
        """Update the trigger with the market's price, and return whether it sets off the order.

        Stops are set off when the price moves against the position that they protect, take-profits when it moves in
        its favour, a trailing stop when it has come back from its best.
        """
        buys = self.side == "BUY"
        if not self.trails:
            rises = buys == self.type.startswith("STOP")
            return market >= self.price if rises else market <= self.price
        self.extreme = min(self.extreme, market) if buys else max(self.extreme, market)
        start = self.extreme if self.start is None else self.start
        self.activated = self.activated or (self.extreme <= start if buys else self.extreme >= start)
        if not self.activated:
            return False
        self.price = self.extreme * (1 + self.rate / 100 if buys else 1 - self.rate / 100)
        return market >= self.price if buys else market <= self.price

    def too_late(self, market: Decimal) -> bool:
        """Return whether a new order would be set off at once; a trailing stop may not even be activated so."""
        if not self.trails:
            return self.reached(market)
        if self.start is None:
            return False
        return market <= self.start if self.side == "BUY" else market >= self.start


@define(eq=False)
class AlgoOrder:
    """One algo order. Times are in ms; ``status`` and the names of the fields are the exchange's words.

    ``order`` is the order that it became, ``reason`` why it was rejected.
    """

    algo_id: int
    client_algo_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    trigger: Trigger
    time_in_force: str
    create_time: int
    update_time: int
    status: str = "NEW"
    trigger_time: int = 0
    order: Order | None = None
    reason: str = ""
    #: the parameters as they were sent
    sent: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def trails(self) -> bool:
        """Whether it is a trailing stop."""
        return self.trigger.trails

    @property
    def closes(self) -> bool:
        """Whether it closes the whole position (``closePosition``)."""
        return bool(self.sent.get("closePosition", False))

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.closes or bool(self.sent.get("reduceOnly", False))
