"""Whatever is done on Spot, the books are right: what is held, what is open, and what there is of each asset."""

from __future__ import annotations

import random
from collections import defaultdict
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Account, Simulator
from binance_session.venues import SPOT
from tests.simulator.client import Client, simulated
from tests.simulator.spotday import BTC

PRICES = [str(price) for price in range(50_000, 70_000, 500)]
QUANTITIES = ["0.1", "0.25", "1", "3"]
LISTS = ("oco", "oto", "otoco", "opo", "opoco")


class Trader:
    """Does one thing after the other, whether it is allowed or not."""

    def __init__(self, seed: int, simulator: Simulator, client: Client) -> None:
        self.random = random.Random(seed)
        self.simulator = simulator
        self.client = client
        self.taken = 0

    @property
    def account(self) -> Account:
        return self.simulator.exchange.account

    def one(self, choices: Any) -> Any:
        return self.random.choice(list(choices))

    async def ask(self, method: str, **params: Any) -> Any:
        answer = await self.client.timed(method, **params)
        assert answer["status"] in (200, 400, 409), answer
        self.taken += answer["status"] == 200
        return answer

    def order(self, kind: str | None = None) -> dict[str, Any]:
        """The parameters of an order of a kind, by the names of an order of its own."""
        kind = kind or self.one(["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"])
        order: dict[str, Any] = {"type": kind, "side": self.one(["BUY", "SELL"]), "quantity": self.one(QUANTITIES)}
        if "LIMIT" in kind:
            order["price"] = self.one(PRICES)
        if kind == "LIMIT" or kind.endswith("_LIMIT"):
            order["timeInForce"] = self.one(["GTC", "GTC", "IOC", "FOK"])
        if kind.startswith(("STOP", "TAKE")):
            order["stopPrice"] = self.one(PRICES)
            if self.random.random() < 0.3:
                order["trailingDelta"] = self.one([10, 200])
        if self.random.random() < 0.3:
            order["selfTradePreventionMode"] = self.one(["EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"])
        return order

    def leg(self, prefix: str, but: str = "", **fixed: str) -> dict[str, Any]:
        order = {**self.order(fixed.get("type")), **fixed}
        return {
            prefix + name[0].upper() + name[1:]: value
            for name, value in order.items()
            if name not in [*but.split(), "selfTradePreventionMode"]
        }

    def list_of(self, kind: str) -> dict[str, Any]:
        pair = "oco" in kind
        above = {"type": self.one(["LIMIT_MAKER", "STOP_LOSS", "TAKE_PROFIT_LIMIT"])}
        below = {"type": self.one(["LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT"])}
        if kind == "oco":
            legs = {"side": self.one(["BUY", "SELL"]), "quantity": self.one(QUANTITIES)}
            return {
                **legs,
                **self.leg("above", "side quantity", **above),
                **self.leg("below", "side quantity", **below),
            }
        sides = ("BUY", "SELL") if "opo" in kind else (self.one(["BUY", "SELL"]), self.one(["BUY", "SELL"]))
        params = self.leg("working", type="LIMIT", side=sides[0])
        without = "quantity" if "opo" in kind else ""
        if pair:
            params |= {"pendingSide": sides[1]} if without else {"pendingSide": sides[1], "pendingQuantity": "0.25"}
            params |= self.leg("pendingAbove", "side quantity", **above)
            return params | self.leg("pendingBelow", "side quantity", **below)
        return params | self.leg("pending", without, side=sides[1])

    async def act(self) -> None:
        open_orders = list(self.account.open_orders())
        what = self.random.random()
        if what < 0.3:
            await self.ask("order.place", symbol=BTC, **self.order())
        elif what < 0.5:
            kind = self.one(LISTS)
            await self.ask(f"orderList.place.{kind}", symbol=BTC, **self.list_of(kind))
        elif what < 0.65:
            self.simulator.set_price(BTC, self.one(PRICES))
        elif not open_orders:
            return
        elif what < 0.75:
            order = self.one(open_orders)
            if order.working_since >= 0:
                part = min(order.remaining, Decimal(self.one(QUANTITIES)))
                self.simulator.fill(BTC, order.client_order_id, part)
        elif what < 0.82:
            await self.ask("order.cancel", symbol=BTC, orderId=self.one(open_orders).order_id)
        elif what < 0.88:
            replaced = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": self.one(open_orders).order_id}
            await self.ask("order.cancelReplace", symbol=BTC, **replaced, **self.order())
        elif what < 0.95:
            quantity = self.one(["0.05", "0.2", "0.5"])
            await self.ask(
                "order.amend.keepPriority", symbol=BTC, orderId=self.one(open_orders).order_id, newQty=quantity
            )
        else:
            maker, taker = self.one(open_orders), self.one(open_orders)
            with suppress(ValueError):
                self.simulator.let_meet(BTC, maker.client_order_id, taker.client_order_id)

    def check(self) -> None:
        account = self.account
        held: dict[str, Decimal] = defaultdict(Decimal)
        for order in account.orders.values():
            held["USDT" if order.side == "BUY" else "BTC"] += order.held
            assert order.is_open or order.held == 0, order
            assert order.status != "PENDING_NEW" or order.held == 0, order
            assert order.held >= 0
            assert order.remaining > 0 or not order.is_open or order.status == "PENDING_NEW", order
        for orders in account.lists.values():
            held["BTC"] += orders.locked
            assert orders.is_open is any(order.is_open for order in orders.orders), orders
            assert orders.is_open or orders.locked == 0
            assert sum(order.held > 0 for order in orders.pair) <= 1, "one of a pair holds for both"
        for asset in ("BTC", "USDT"):
            assert account.locked.get(asset, 0) == held[asset], asset
            assert 0 <= held[asset] <= account.balances[asset], asset
        bought = sum(trade.quantity if trade.is_buyer else -trade.quantity for trade in account.trades)
        paid = sum(trade.value if trade.is_buyer else -trade.value for trade in account.trades)
        assert account.balances["BTC"] == 10 + bought
        assert account.balances["USDT"] == 1_000_000 - paid


@pytest.mark.parametrize("seed", range(12))
async def test_the_books_are_right(seed: int) -> None:
    async with simulated(SPOT, enforce_limits=False) as simulator, Client.connected(simulator) as client:
        await client.logon()
        trader = Trader(seed, simulator, client)
        for _ in range(150):
            await trader.act()
            trader.check()
        assert trader.taken > 20
        await client.timed("openOrders.cancelAll", symbol=BTC)
        trader.check()
        assert not any(trader.account.locked.values())
