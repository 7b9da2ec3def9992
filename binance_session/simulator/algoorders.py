"""A USD-M algo order: a stop order that waits beside the order book (PROTOCOL.md §6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import define, field

from binance_session.simulator.accounts import Order

__all__ = ["ALGO_TYPES", "AlgoOrder"]

#: the order types that are algo orders, and whether each becomes a LIMIT order or a MARKET order
ALGO_TYPES: Final = {
    "STOP": "LIMIT",
    "STOP_MARKET": "MARKET",
    "TAKE_PROFIT": "LIMIT",
    "TAKE_PROFIT_MARKET": "MARKET",
    "TRAILING_STOP_MARKET": "MARKET",
}
_ZERO: Final = Decimal(0)


@define(eq=False)
class AlgoOrder:
    """One algo order. Times are in ms; ``status`` and the names of the fields are the exchange's words.

    ``order`` is the order that it became, ``reason`` why it was rejected. A trailing stop is ``activated`` once the
    price has reached ``activate_price``, and follows the best price since, ``extreme``.
    """

    algo_id: int
    client_algo_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    time_in_force: str
    create_time: int
    update_time: int
    extreme: Decimal
    status: str = "NEW"
    trigger_time: int = 0
    activated: bool = False
    order: Order | None = None
    reason: str = ""
    #: the parameters as they were sent
    sent: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def trails(self) -> bool:
        """Whether it is a trailing stop."""
        return self.type == "TRAILING_STOP_MARKET"

    @property
    def closes(self) -> bool:
        """Whether it closes the whole position (``closePosition``)."""
        return bool(self.sent.get("closePosition", False))

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.closes or bool(self.sent.get("reduceOnly", False))

    def reached(self, price: Decimal) -> bool:
        """Take note of the market's price, and return whether it triggers the order.

        Stops trigger when the price moves against the position that they protect, take-profits when it moves in its
        favour; a trailing stop when the price has come back by ``callbackRate`` percent from its best.
        """
        buys = self.side == "BUY"
        if not self.trails:
            rises = buys == self.type.startswith("STOP")
            return price >= self.trigger_price if rises else price <= self.trigger_price
        self.extreme = min(self.extreme, price) if buys else max(self.extreme, price)
        start = self.sent.get("activatePrice", self.extreme)
        self.activated = self.activated or (self.extreme <= start if buys else self.extreme >= start)
        if not self.activated:
            return False
        rate = self.sent["callbackRate"] / 100
        self.trigger_price = self.extreme * (1 + rate if buys else 1 - rate)
        return price >= self.trigger_price if buys else price <= self.trigger_price
