"""The exchange without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_session.simulator import Exchange, Fault, ManualClock
from binance_session.simulator.connections import Connection
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.rules import signed_text
from binance_session.simulator.wire import Action, Drop, SendText
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.simulator.client import SIGN

VENUES = {venue.name: venue for venue in (COIN_M, USD_M, SPOT)}
PATHS = {"COIN-M": "/ws-dapi/v1", "USD-M": "/ws-fapi/v1", "Spot": "/ws-api/v3"}


class Wire:
    """Stands where the socket would be."""

    def __init__(self, venue: Venue = COIN_M) -> None:
        self.exchange = Exchange(venue, ManualClock(), enforce_limits=False)
        self.actions: list[Action] = []
        self.connection = self.connect()
        self.exchange.add_key("HMAC", secret="NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")

    def connect(self) -> Connection:
        return self.exchange.connect("10.0.0.1", PATHS[self.exchange.venue.name], self.actions.append)

    def tell(self, text: str) -> list[Any]:
        """Send a text, and return the messages that come back."""
        self.actions.clear()
        self.exchange.receive(self.connection, text)
        return [json.loads(action.text) for action in self.actions if isinstance(action, SendText)]


def test_a_text_in_is_actions_out() -> None:
    wire = Wire()
    [answer] = wire.tell('{"id":"a","method":"session.status"}')
    assert (answer["id"], answer["status"]) == ("a", 200)
    assert wire.tell('{"method":"session.status"}') == []
    assert wire.actions == [Drop()]


def test_a_connection_that_is_gone_is_answered_no_more() -> None:
    wire = Wire()
    wire.exchange.inject(Fault("late_answer", delay=5))
    assert wire.tell('{"id":1,"method":"session.status"}') == []
    wire.exchange.disconnect(wire.connection)
    assert isinstance(wire.exchange.state.clock, ManualClock)
    wire.exchange.state.clock.advance(86_400)
    assert wire.tell('{"id":2,"method":"session.status"}') == []
    assert wire.actions == []


def test_a_path_that_is_not_there_is_refused() -> None:
    exchange = Exchange(COIN_M, ManualClock())
    with pytest.raises(Refusal) as refusal:
        exchange.connect("10.0.0.1", "/elsewhere", list[Action]().append)
    assert refusal.value.status == 404
    assert exchange.connections == []


def test_the_package_does_not_import_the_simulator() -> None:
    code = "import binance_session, sys; sys.exit(any('simulator' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
likely = st.sampled_from(
    ["BTCUSD_PERP", "BTCUSDT", "BUY", "SELL", "LIMIT", "MARKET", "GTC", "1", "60000", "0.001", "HMAC", "true"]
)
NAMES = """
    symbol side type timeInForce price quantity newClientOrderId orderId origClientOrderId apiKey signature recvWindow
    timestamp limit symbols listenKey subscriptionId quoteOrderQty stopPrice newOrderRespType reduceOnly priceMatch
"""
names = st.sampled_from(NAMES.split())


@settings(max_examples=300, deadline=None)
@given(
    venue=st.sampled_from(list(VENUES)),
    data=st.data(),
    params=st.dictionaries(names, likely | values, max_size=8),
    signed=st.booleans(),
)
def test_whatever_is_asked_one_answer_comes_and_nothing_breaks(
    venue: str, data: st.DataObject, params: dict[str, Any], signed: bool
) -> None:
    wire = Wire(VENUES[venue])
    method = data.draw(st.sampled_from(list(VENUES[venue].methods)))
    if signed:
        params |= {"apiKey": "HMAC", "timestamp": int(wire.exchange.state.clock.time() * 1000)}
        text = signed_text(json.loads(json.dumps(params)))
        params["signature"] = SIGN["HMAC"](text.encode(errors="replace").decode())
    before = len(wire.exchange.executed)
    [answer, *_] = wire.tell(json.dumps({"id": 7, "method": method, "params": params}))
    assert answer["id"] == 7
    assert (answer["status"] == 200) == ("result" in answer) == (len(wire.exchange.executed) == before + 1)


@settings(max_examples=300, deadline=None)
@given(st.text() | values.map(json.dumps))
def test_whatever_text_comes_it_is_answered_or_dropped(text: str) -> None:
    wire = Wire()
    answers = wire.tell(text)
    assert wire.actions == [Drop()] if not answers else [answer["status"] for answer in answers] == [400]
