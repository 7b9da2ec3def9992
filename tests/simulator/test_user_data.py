"""What orders and other happenings tell the listeners of an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from binance_session.simulator import Account, Exchange, Fault, ManualClock, Readings
from binance_session.simulator.eventexamples import event_names
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.simulator.client import RSA, Client, refused, simulated
from tests.simulator.listener import listening

SYMBOL = {"COIN-M": "BTCUSD_PERP", "USD-M": "BTCUSDT", "Spot": "BTCUSDT"}
FUTURES = pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
VENUES = pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=lambda venue: venue.name)

# The fields of the documents' examples, in their order; without those of trailing stops (AP, cr).
ORDER_COIN = "s c S o f q p ap sp x X i l z L ma N n T t rp b a m R wt ot ps cp pP V pm er"
ORDER_USD = "s c S o f q p ap sp x X i l z L N n T t b a m R wt ot ps cp pP si ss rp V pm gtd er"
REPORT = "e E s c S o f q p P F g C x X r i l z L n N T t I w m M O Z Y Q W V"


def order(venue: Venue, **change: Any) -> dict[str, Any]:
    plain = {"symbol": SYMBOL[venue.name], "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "2"}
    return {name: value for name, value in {**plain, **change}.items() if value is not None}


def market(venue: Venue, **change: Any) -> dict[str, Any]:
    return order(venue, type="MARKET", timeInForce=None, **change)


def steps(events: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return type, execution type and status of order events, the type alone of others."""
    return [(event["e"], body(event).get("x", ""), body(event).get("X", "")) for event in events]


def body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return where the order's fields are: futures have them in an object."""
    inner = event.get("o")
    return inner if isinstance(inner, dict) else event


UPDATE = "ORDER_TRADE_UPDATE"
LITE = ("TRADE_LITE", "", "")
BALANCES = ("ACCOUNT_UPDATE", "", "")
REPORTED = "executionReport"
OUTBOUND = ("outboundAccountPosition", "", "")


@FUTURES
async def test_a_market_order_is_told_of_as_new_and_as_filled(venue: Venue) -> None:
    clock = ManualClock()
    async with simulated(venue, clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        async with listening(simulator, client) as listener:
            placed = await client.timed("order.place", **market(venue), newClientOrderId="mine")
            fill = [LITE] * (venue is USD_M) + [BALANCES, (UPDATE, "TRADE", "FILLED")]
            events = await listener.events(1 + len(fill))
            assert steps(events) == [(UPDATE, "NEW", "NEW"), *fill]
            new, *_, changed, filled = events
            fields = (ORDER_COIN if venue is COIN_M else ORDER_USD).split()
            assert list(filled["o"]) == fields
            assert list(new["o"]) == [name for name in fields if name not in ("N", "n")], "no commission, no word of it"
            assert list(filled) == (["e", "E", "T", "i", "o"] if venue is COIN_M else ["e", "E", "T", "o"])
            assert filled["E"] == filled["T"] == filled["o"]["T"] == client.now
            assert type(filled["E"]) is int
            told = filled["o"]
            assert (told["i"], told["c"]) == (placed["result"]["orderId"], "mine")
            assert Decimal(told["l"]) == Decimal(told["z"]) == 2
            assert Decimal(told["L"]) == Decimal(told["ap"]) == 60000
            assert (new["o"]["t"], told["t"]) == (0, 1)
            [position] = changed["a"]["P"]
            assert (position["s"], Decimal(position["pa"])) == (SYMBOL[venue.name], Decimal(2))
            assert list(position) == ["s", "pa", "ep", "bep", "cr", "up", "mt", "iw", "ps", "ma"]
            assert list(changed["a"]["B"][0]) == ["a", "wb", "cw", "bc"]
            if venue is USD_M:
                lite = events[1]
                assert list(lite) == ["e", "E", "T", "s", "q", "p", "m", "c", "S", "L", "l", "t", "i"]
                assert (lite["t"], lite["i"]) == (told["t"], told["i"])

            simulator.exchange.market.prices[SYMBOL[venue.name]] = Decimal(75000)
            await client.timed("order.place", **market(venue, side="SELL"))
            *_, changed, filled = await listener.events(1 + len(fill))
            gain = Decimal(filled["o"]["rp"])
            assert gain > 0
            assert Decimal(changed["a"]["P"][0]["cr"]) == gain
            asset = simulator.exchange.market.symbol(SYMBOL[venue.name]).asset
            wallet = changed["a"]["B"][0]
            assert (wallet["a"], Decimal(wallet["bc"])) == (asset, Decimal(0)), "bc is for what is no profit"
            assert Decimal(wallet["wb"]) == round(simulator.exchange.account.balances[asset], 8)


@FUTURES
async def test_a_resting_order_is_amended_and_cancelled(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        async with listening(simulator, client) as listener:
            placed = await client.timed("order.place", **order(venue, price="59000.0"))
            which = {"symbol": SYMBOL[venue.name], "orderId": placed["result"]["orderId"]}
            await client.timed("order.modify", **which, side="BUY", price="58000.0", quantity="3")
            await client.timed("order.cancel", **which)
            events = await listener.events(3)
            assert steps(events) == [
                (UPDATE, "NEW", "NEW"),
                (UPDATE, "AMENDMENT", "NEW"),
                (UPDATE, "CANCELED", "CANCELED"),
            ]
            assert [Decimal(event["o"]["p"]) for event in events] == [59000, 58000, 58000]
            assert [Decimal(event["o"]["b"]) > 0 for event in events] == [True, True, False]
            await listener.nothing()


@FUTURES
@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"price": "60000.0"}, (UPDATE, "TRADE", "FILLED")),
        ({"price": "59000.0"}, (UPDATE, "NEW", "NEW")),
        ({"price": "59000.0", "timeInForce": "IOC"}, (UPDATE, "EXPIRED", "EXPIRED")),
        ({"price": "60000.0", "timeInForce": "GTX"}, (UPDATE, "EXPIRED", "EXPIRED")),
    ],
)
async def test_what_a_limit_order_tells(venue: Venue, change: dict[str, str], last: tuple[str, str, str]) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **order(venue, **change))
        told = [entry.event for entry in simulator.pushed]
        assert steps(told)[0] == (UPDATE, "NEW", "NEW")
        assert steps(told)[-1] == last
        assert told[-1]["o"]["er"] == ("2" if change.get("timeInForce") == "IOC" else "0")


@FUTURES
async def test_an_amended_order_may_be_filled(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        placed = await client.timed("order.place", **order(venue, price="59000.0"))
        which = {"symbol": SYMBOL[venue.name], "orderId": placed["result"]["orderId"]}
        await client.timed("order.modify", **which, side="BUY", price="61000.0", quantity="2")
        assert [row[1] for row in steps([entry.event for entry in simulator.pushed]) if row[1]] == [
            "NEW",
            "AMENDMENT",
            "TRADE",
        ]


async def test_a_refused_request_tells_nothing() -> None:
    async with simulated() as simulator, Client.connected(simulator) as client:
        await client.logon()
        refused(await client.timed("order.place", **market(COIN_M, quantity="1000000000")), -2019)
        refused(await client.timed("order.cancel", symbol="BTCUSD_PERP", orderId=7), -2011)
        assert simulator.pushed == []


async def test_a_spot_order_reports_and_moves_balances() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        async with listening(simulator, client) as listener:
            await client.timed("order.place", **market(SPOT), newClientOrderId="mine")
            events = await listener.events(3)
            assert steps(events) == [(REPORTED, "NEW", "NEW"), (REPORTED, "TRADE", "FILLED"), OUTBOUND]
            new, filled, moved = events
            assert list(new) == list(filled) == REPORT.split()
            assert (new["t"], new["N"], new["w"]) == (-1, None, True)
            assert (filled["t"], filled["N"], filled["w"]) == (1, "BTC", False)
            assert [Decimal(filled[name]) for name in "lLY"] == [2, 60000, 120_000]
            assert new["I"] < filled["I"]
            assert moved["B"] == [
                {"a": "BTC", "f": "12.00000000", "l": "0.00000000"},
                {"a": "USDT", "f": "880000.00000000", "l": "0.00000000"},
            ]
            assert moved["u"] == client.now

            name = {"newClientOrderId": "resting"}
            await client.timed("order.place", **order(SPOT, price="50000", **name, strategyId=7))
            await client.timed("order.cancel", symbol="BTCUSDT", origClientOrderId="resting", newClientOrderId="away")
            events = await listener.events(4)
            assert steps(events) == [(REPORTED, "NEW", "NEW"), OUTBOUND, (REPORTED, "CANCELED", "CANCELED"), OUTBOUND]
            assert (events[0]["c"], events[0]["C"], events[0]["j"]) == ("resting", "", 7)
            assert (events[2]["c"], events[2]["C"]) == ("away", "resting")
            assert [event["B"][1]["l"] for event in (events[1], events[3])] == ["100000.00000000", "0.00000000"]

            await client.timed("order.place", **order(SPOT, price="50000", timeInForce="FOK"))
            assert steps(await listener.events(2)) == [(REPORTED, "NEW", "NEW"), (REPORTED, "EXPIRED", "EXPIRED")]


async def test_every_spot_subscription_of_the_account_hears_and_names_itself() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        simulator.add_key("RSA", public_key=RSA.public_key(), account=Account("other", {"BTC": Decimal(1)}))
        async with listening(simulator, client) as listener:
            other = await client.ask_signed("userDataStream.subscribe.signature", "RSA")
            own = await client.ask("userDataStream.subscribe")
            assert (other["result"], own["result"]) == ({"subscriptionId": 0}, {"subscriptionId": 1})
            answer = await client.timed("order.place", **order(SPOT, price="50000"))
            assert answer["status"] == 200, "the answer is first"
            first = await client.recv()
            assert (first["subscriptionId"], first["event"]["x"]) == (1, "NEW")
            assert (await client.recv())["event"]["e"] == "outboundAccountPosition"
            assert await listener.event() == first["event"]
            assert [entry.number for entry in simulator.pushed] == [1, 1, 2, 2]


async def test_events_may_come_before_the_answer() -> None:
    readings = Readings(events_come="before")
    async with simulated(SPOT, readings=readings) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.ask("userDataStream.subscribe")
        assert "event" in await client.timed("order.place", **order(SPOT, price="50000"))
        assert "event" in await client.recv()
        assert (await client.recv())["status"] == 200
        assert (await client.ask("userDataStream.unsubscribe"))["event"]["e"] == "eventStreamTerminated"


async def test_the_end_of_a_spot_subscription_is_told_and_recorded() -> None:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        await client.logon()
        for ending in ("userDataStream.unsubscribe", "session.logout"):
            number = (await client.ask("userDataStream.subscribe"))["result"]["subscriptionId"]
            assert (await client.ask(ending))["status"] == 200
            end = {"e": "eventStreamTerminated", "E": client.now}
            assert await client.recv() == {"subscriptionId": number, "event": end}
            assert (simulator.pushed[-1].event, simulator.pushed[-1].connection) == (end, simulator.connections[0])
        assert simulator.push({"e": "executionReport"}) == 0


@VENUES
async def test_a_moving_price_fills_what_rests(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **order(venue, price="59000.0"))
        await client.timed("order.place", **order(venue, price="50000.0"))
        simulator.pushed.clear()
        simulator.set_price(SYMBOL[venue.name], "58000")
        told = [entry.event for entry in simulator.pushed]
        [filled] = [body(event) for event in told if event["e"] in (UPDATE, REPORTED)]
        assert (filled["x"], filled["i"], filled["m"]) == ("TRADE", 1, True)
        assert Decimal(filled["L"]) == 59000
        shown = await client.timed("order.status", symbol=SYMBOL[venue.name], orderId=1)
        assert shown["result"]["status"] == "FILLED"
        if venue is SPOT:
            assert simulator.exchange.account.locked["USDT"] == 100_000
            assert simulator.exchange.account.balances["USDT"] == 1_000_000 - 118_000
        assert simulator.exchange.market.prices[SYMBOL[venue.name]] == 58000


@VENUES
async def test_transfers(venue: Venue) -> None:
    async with simulated(venue) as simulator:
        simulator.transfer("BTC", "-1.5")
        assert simulator.exchange.account.balances["BTC"] == Decimal("8.5")
        told = [entry.event for entry in simulator.pushed]
        if venue is SPOT:
            assert [event["e"] for event in told] == ["balanceUpdate", "outboundAccountPosition"]
            assert list(told[0]) == ["e", "E", "a", "d", "T"]
            assert (told[0]["a"], told[0]["d"]) == ("BTC", "-1.50000000")
        else:
            [event] = told
            assert event["a"]["m"] == "WITHDRAW"
            assert event["a"]["P"] == []
            assert event["a"]["B"] == [{"a": "BTC", "wb": "8.50000000", "cw": "8.50000000", "bc": "-1.50000000"}]


TYPES = {
    "COIN-M": "ACCOUNT_CONFIG_UPDATE ACCOUNT_UPDATE GRID_UPDATE MARGIN_CALL ORDER_TRADE_UPDATE STRATEGY_UPDATE"
    " listenKeyExpired",
    "USD-M": "ACCOUNT_CONFIG_UPDATE ACCOUNT_UPDATE ALGO_UPDATE CONDITIONAL_ORDER_TRIGGER_REJECT GRID_UPDATE MARGIN_CALL"
    " ORDER_TRADE_UPDATE STRATEGY_UPDATE TRADE_LITE listenKeyExpired",
    "Spot": "balanceUpdate eventStreamTerminated executionReport externalLockUpdate listStatus outboundAccountPosition",
}


@VENUES
async def test_every_event_by_its_name(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        names = TYPES[venue.name].split()
        assert event_names(simulator.exchange.state.product) == names
        async with listening(simulator, client) as listener:
            for name in names:
                assert simulator.push_event(name) == 1
                event = await listener.event()
                assert (event["e"], event["E"]) == (name, client.now)
                if venue is not SPOT:
                    assert event.get("T", client.now) == client.now
                assert simulator.pushed[-1].event == event
            with pytest.raises(ValueError, match="there are"):
                simulator.push_event("NO_SUCH_EVENT")


async def test_fields_of_a_named_event_can_be_changed() -> None:
    exchange = Exchange(USD_M, ManualClock())
    exchange.push_event("MARGIN_CALL", cw="9.9", p=[])
    exchange.push_event("ORDER_TRADE_UPDATE", o={"c": "mine"}, st="ALL")
    call, update = (entry.event for entry in exchange.pushed)
    assert (call["cw"], call["p"]) == ("9.9", [])
    assert (update["o"]["c"], update["o"]["S"], update["st"]) == ("mine", "SELL", "ALL")
    exchange.push_event("ORDER_TRADE_UPDATE")
    assert exchange.pushed[-1].event["o"]["c"] == "TEST", "the example itself stays"


@VENUES
async def test_what_nobody_hears_is_recorded_and_costs_nothing_without_a_record(venue: Venue) -> None:
    async with simulated(venue) as simulator, Client.connected(simulator) as client:
        await client.logon()
        await client.timed("order.place", **order(venue, price="50000"))
        assert simulator.pushed
        assert {(entry.connection, entry.lost, entry.time) for entry in simulator.pushed} == {
            (None, False, simulator.clock.time())
        }
        assert simulator.pushed[0].type in (UPDATE, REPORTED)
        assert "mine" not in repr(simulator.pushed)
    async with simulated(venue, record=0) as simulator, Client.connected(simulator) as client:
        await client.logon()
        assert not simulator.exchange.state.wants_events(simulator.exchange.account)
        await client.timed("order.place", **order(venue, price="50000"))
        assert not simulator.pushed
        async with listening(simulator, client) as listener:
            await client.timed("order.place", **order(venue, price="50000"))
            assert (await listener.event())["e"] in (UPDATE, REPORTED)


@pytest.mark.parametrize("fault", ["no_answer", "drop_after", "late_answer", "error"])
async def test_what_happens_to_an_answer_does_not_keep_events_back(fault: str) -> None:
    options: dict[str, Any] = {"executed": True} if fault == "error" else {}
    async with simulated() as simulator, Client.connected(simulator) as client, Client.connected(simulator) as other:
        await client.logon()
        async with listening(simulator, other) as listener:
            simulator.inject(Fault(fault, method="order.place", **options))
            await client.send("order.place", timestamp=client.now, **market(COIN_M))
            assert [row[1] for row in steps(await listener.events(3))] == ["NEW", "", "TRADE"]


async def test_a_request_that_is_executed_late_tells_late() -> None:
    clock = ManualClock()
    async with simulated(clock=clock) as simulator, Client.connected(simulator) as client:
        await client.logon()
        async with listening(simulator, client) as listener:
            simulator.inject(Fault("late_logon", method="order.place", delay=2.0))
            await client.send("order.place", timestamp=client.now, **market(COIN_M))
            await client.ask("session.status")
            await listener.nothing()
            clock.advance(2)
            assert (await listener.event())["E"] == client.now
            assert (await client.recv())["status"] == 200
