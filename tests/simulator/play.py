"""Everything that a futures account can do and be told of, played once on an exchange without a network."""

from __future__ import annotations

import json
from typing import Any

from binance_session.simulator import Exchange, ManualClock, Readings
from binance_session.simulator.eventexamples import event_names
from binance_session.venues import COIN_M, Venue
from tests.simulator.client import SECRET, sign_hmac


class Player:
    """A client whose requests are answered at once. ``answers`` has the results by method."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.exchange = Exchange(venue, ManualClock(), readings=Readings(coin_m_stops="taken"))
        self.exchange.add_key("HMAC", secret=SECRET)
        self.answers: dict[str, list[Any]] = {}
        self._sent: list[Any] = []
        path = "/ws-dapi/v1" if venue is COIN_M else "/ws-fapi/v1"
        self._connection = self.exchange.connect("10.0.0.1", path, self._sent.append)

    def ask(self, name: str, **params: Any) -> Any:
        """Send a request with what proves it, and return its result."""
        method = self.venue.method(name)
        if method.auth.name in ("KEY", "SIGNED"):
            params["apiKey"] = "HMAC"
        if method.auth.name == "SIGNED":
            params["timestamp"] = self.exchange.state.now_ms
            params["signature"] = sign_hmac("&".join(f"{key}={params[key]}" for key in sorted(params)))
        self.exchange.receive(self._connection, json.dumps({"id": 1, "method": name, "params": params}))
        answer = json.loads(self._sent[-1].text)
        assert answer["status"] == 200, (name, answer)
        self.answers.setdefault(name, []).append(answer)
        return answer["result"]

    def events(self) -> dict[str, list[dict[str, Any]]]:
        """Return all events so far by type."""
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in self.exchange.pushed:
            found.setdefault(entry.event["e"], []).append(dict(entry.event))
        return found


def played(venue: Venue) -> Player:
    """Do everything once."""
    player = Player(venue)
    ask, exchange = player.ask, player.exchange
    coin = venue is COIN_M
    symbol = {"symbol": "BTCUSD_PERP" if coin else "BTCUSDT"}
    buy = {**symbol, "side": "BUY", "quantity": "4"}
    limit = {**buy, "type": "LIMIT", "timeInForce": "GTC", "price": "59000"}
    for name in ("start", "ping", "stop"):
        ask(f"userDataStream.{name}")

    ask("order.place", **buy, type="MARKET")
    for name in ("cancelled", "filled"):
        ask("order.place", **limit, newClientOrderId=name)
        ask("order.modify", **buy, price="58000", origClientOrderId=name, modifyId=7)
    ask("order.cancel", **symbol, origClientOrderId="cancelled")
    exchange.fill(symbol["symbol"], "filled", "1")
    exchange.set_price(symbol["symbol"], "58000")
    ask("order.status", **symbol, origClientOrderId="filled")
    if coin:
        trail = {"type": "TRAILING_STOP_MARKET", "callbackRate": "1"}
        ask("order.place", **{**buy, "side": "SELL"}, **trail, activationPrice="59000")
        exchange.set_price("BTCUSD_PERP", "59000")
        exchange.set_price("BTCUSD_PERP", "58000")
    else:
        _algo_orders(player)
    for name in ("account.balance", "account.status", "account.position"):
        ask(name)
        if not coin:
            ask(f"v2/{name}")
    if not coin:
        ask("depth", **symbol, limit=5)
        for name in ("ticker.price", "ticker.book"):
            ask(name, **symbol)
            ask(name)
    exchange.transfer("BTC" if coin else "USDT", "1")
    exchange.charge_funding(symbol["symbol"], "-0.1")
    for name in event_names(exchange.state.product):
        exchange.push_event(name)
    if not coin:
        exchange.push_event("ACCOUNT_CONFIG_UPDATE", ai={"j": True})
    return player


def _algo_orders(player: Player) -> None:
    ask, exchange = player.ask, player.exchange
    stop = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "quantity": "1"}
    trail = {**stop, "type": "TRAILING_STOP_MARKET", "callbackRate": "1"}
    ask("algoOrder.place", **trail, clientAlgoId="trail")
    exchange.set_price("BTCUSDT", "57000")
    ask("order.status", symbol="BTCUSDT", origClientOrderId="trail")
    ask("algoOrder.place", **stop, type="STOP_MARKET", triggerPrice="50000", clientAlgoId="stop")
    ask("algoOrder.cancel", clientAlgoId="stop")
    ask("algoOrder.place", **{**stop, "quantity": "1000000"}, type="STOP", triggerPrice="56000", price="56000")
    exchange.set_price("BTCUSDT", "56000")
