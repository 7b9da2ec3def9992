"""Orders whose outcome is unknown, settled by a session that talks to a simulated exchange."""

from __future__ import annotations

import asyncio
import pickle
from decimal import Decimal
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    USD_M,
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectionLost,
    HmacKey,
    NotSent,
    RequestTimeout,
    ServerError,
    Session,
    SessionClosed,
    SessionState,
    Venue,
)
from binance_session.settlement import unsettled as unsettled_module
from binance_session.simulator import Account, Fault, Readings, Simulator
from binance_session.simulator.virtual import VirtualTimeLoop
from tests.exchange import ED25519, HMAC, exchange, requests, session_to, until
from tests.simulator.algo import STOP

VENUES = [COIN_M, USD_M, SPOT]
NAMES = [venue.name for venue in VENUES]
venues = pytest.mark.parametrize("venue", VENUES, ids=NAMES)
pytestmark = pytest.mark.virtual


def order(venue: Venue, name: str | None = "mine", **change: Any) -> dict[str, Any]:
    params = {
        "symbol": "BTCUSD_PERP" if venue is COIN_M else "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.001" if venue is SPOT else "1",
        "price": "20000",
        **change,
    }
    return params if name is None else {**params, "newClientOrderId": name}


def cut(*, refuse: bool = False) -> None:
    """Reset every connection; ``refuse`` new ones."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.network.refuses_connects = refuse
    for line in loop.network.connections:
        line.cut()


def placed(simulator: Simulator) -> int:
    """Return how many orders took effect."""
    return sum(entry.method in ("order.place", "algoOrder.place") for entry in simulator.executed)


async def unknown(
    session: Session, params: dict[str, Any], method: str = "order.place", **options: Any
) -> BinanceSessionError:
    """Send what is expected to end with an unknown outcome; return the error."""
    with pytest.raises(BinanceSessionError) as caught:
        await session.request(method, params, **options)
    assert caught.value.outcome == "unknown"
    return caught.value


# What place() says


@venues
async def test_an_order_that_is_answered(venue: Venue) -> None:
    """The answer is the evidence, and an order without a client id gets one."""
    async with exchange(venue) as simulator, session_to(simulator) as session:
        fate = await session.place(order(venue, None))
        assert (fate.took_effect, fate.evidence, fate.asked, fate.error) == (True, "answer", 0, None)
        assert fate.order is not None
        (entry,) = requests(simulator, "order.place")
        name = entry.params["newClientOrderId"]
        assert fate.order["clientOrderId"] == name
        assert 16 <= len(name) <= 36
        assert session.unsettled == ()


@venues
async def test_an_order_that_is_refused(venue: Venue) -> None:
    async with exchange(venue) as simulator, session_to(simulator) as session:
        simulator.inject(Fault("error", method="order.place", status=400, code=-2010, msg="New order rejected."))
        fate = await session.place(order(venue))
        assert (fate.took_effect, fate.evidence, fate.order) == (False, "rejected with code -2010", None)
        assert isinstance(fate.error, ApiError)
        assert fate.error.code == -2010


async def test_an_order_that_never_left() -> None:
    async with exchange() as simulator:
        session = session_to(simulator)
        fate = await session.place(order(COIN_M))
        assert (fate.took_effect, fate.evidence) == (False, "not sent")
        assert isinstance(fate.error, NotSent)
        assert fate.error.params == order(COIN_M)
        assert not requests(simulator)


async def test_bad_input_and_a_session_that_is_over_are_raised() -> None:
    async with exchange(USD_M) as simulator, session_to(simulator) as session:
        for params, method in (
            (order(USD_M, price=0.1), "order.place"),
            ({"symbol": "BTCUSDT"}, "order.cancel"),
            (order(USD_M), "order.plaice"),
            ({}, "account.balance"),
        ):
            with pytest.raises(ConfigurationError):
                await session.place(params, method)
        for within in (0, -1, float("nan"), "1"):
            with pytest.raises(ConfigurationError, match="within"):
                await session.place(order(USD_M), within=within)  # type: ignore[arg-type]
        assert not requests(simulator, "order.place")
        await session.close()
        with pytest.raises(SessionClosed):
            await session.place(order(USD_M))


async def test_a_test_order_places_nothing() -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        fate = await session.place(order(SPOT), "order.test")
        assert (fate.took_effect, fate.evidence) == (False, "order.test places nothing")
        assert placed(simulator) == 0


@venues
@pytest.mark.parametrize(
    ("how", "took_effect"),
    [(how, took_effect) for how in ("drop", "-1007", "-1006", "close") for took_effect in (True, False)]
    + [("silence", True)],
)
async def test_an_order_whose_outcome_is_unknown(venue: Venue, how: str, took_effect: bool) -> None:
    """Lost with its connection before or after it took effect, not answered, or answered that nobody knows."""
    fault = {
        "drop": Fault("drop_after" if took_effect else "drop_before", method="order.place"),
        "silence": Fault("no_answer", method="order.place"),
        "-1007": Fault("error", method="order.place", executed=took_effect),
        "-1006": Fault("error", method="order.place", executed=took_effect, status=400, code=-1006, msg="?"),
        "close": Fault("close", method="order.place", executed=took_effect),
    }[how]
    async with exchange(venue) as simulator, session_to(simulator, request_timeout=2.0) as session:
        simulator.inject(fault)
        fate = await session.place(order(venue))
        assert placed(simulator) == took_effect
        assert fate.took_effect is took_effect
        assert len(requests(simulator, "order.place")) == 1, "nothing is sent again"
        assert session.unsettled == ()
        if took_effect:
            assert fate.evidence == "order.status"
            assert fate.order is not None
            assert fate.order["clientOrderId"] == "mine"
            assert fate.elapsed < 5
        else:
            assert fate.evidence.startswith("-2013 after recvWindow + 10 s")
            assert 15 < fate.elapsed < 20
            assert ("allOrders" in fate.evidence) is (venue is SPOT)


# settle()


async def test_the_recipe_in_four_lines() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("drop_after", method="order.place"))
        try:
            await session.request("order.place", order(COIN_M))
        except BinanceSessionError as error:
            fate = await session.settle(error)
        assert fate.took_effect is True
        assert repr(fate).startswith("<Fate: the request took effect, and its order is NEW (order.status; asked once,")


@venues
async def test_an_error_carries_what_was_sent_and_no_secret(venue: Venue) -> None:
    """With the timestamp; logged on or not, whatever the caller does with the params since."""
    for key in (ED25519, HMAC):
        async with exchange(venue) as simulator, session_to(simulator, key, recv_window=4000) as session:
            simulator.inject(Fault("error", method="order.place"))
            params = order(venue, quantity=Decimal("0.010"))
            future = session.submit("order.place", params)
            params["quantity"] = "7"
            with pytest.raises(ServerError) as caught:
                await future
            error = caught.value
            (entry,) = requests(simulator, "order.place")
            assert error.params == {
                name: value for name, value in entry.params.items() if name not in ("apiKey", "signature")
            }
            assert error.params["quantity"] == "0.010"
            assert {"timestamp", "recvWindow"} <= error.params.keys()
            assert "0.010" not in repr(error)
            for text in (repr(error), str(error), str(vars(error)), str(pickle.loads(pickle.dumps(error)).params)):
                assert key.api_key not in text
                assert "signature" not in text


async def test_errors_of_requests_that_did_not_leave_carry_params_too() -> None:
    """At the door, from the waiting room, for want of room."""
    async with exchange() as simulator:
        session = session_to(simulator, max_in_flight=1)
        with pytest.raises(NotSent) as caught:
            session.submit("order.status", {"orderId": 1})
        assert caught.value.params == {"orderId": 1}
        async with session:
            waiting = session.submit("order.status", {"orderId": 1})
            with pytest.raises(NotSent) as caught:
                session.submit("order.status", {"orderId": 2})
            assert caught.value.params is not None
            assert caught.value.params["orderId"] == 2
            with pytest.raises(ConfigurationError) as bad:
                session.submit("order.status", {"orderId": 0.5})  # type: ignore[dict-item]
            assert bad.value.params == {"orderId": 0.5}
            with pytest.raises(ApiError):
                await waiting
            cut(refuse=True)
            await session.wait_for(SessionState.WAITING)
            waiting = session.submit("order.status", {"orderId": 3}, timeout=0.5, on_unready="wait")
            with pytest.raises(BinanceSessionError) as late:
                await waiting
            assert late.value.params is not None
            assert late.value.params["orderId"] == 3


@venues
async def test_a_late_answer_settles(venue: Venue) -> None:
    """Before settle() is called, or while it waits."""
    for delay, settles_at in ((1.0, 3.0), (2.5, 0.6)):
        async with exchange(venue) as simulator, session_to(simulator, request_timeout=0.5) as session:
            simulator.inject(Fault("late_answer", method="order.place", delay=delay))
            simulator.inject(Fault("no_answer", method="order.status", times=99))
            error = await unknown(session, order(venue))
            assert isinstance(error, RequestTimeout)
            await asyncio.sleep(settles_at - 0.5)
            fate = await session.settle(error)
            assert (fate.took_effect, fate.evidence) == (True, "late answer")
            assert fate.order is not None
            assert fate.order["clientOrderId"] == "mine"
            assert session.stats.late == 1
            assert session.unsettled == ()


async def test_a_late_refusal_settles() -> None:
    async with exchange(USD_M) as simulator, session_to(simulator, request_timeout=0.5) as session:
        simulator.inject(Fault("late_answer", method="order.place", delay=1.0))
        error = await unknown(session, order(USD_M, quantity="100000"))
        fate = await session.settle(error)
        assert (fate.took_effect, fate.evidence) == (False, "rejected with code -2019")
        assert isinstance(fate.error, ApiError)
        assert fate.error.params == error.params
        assert fate.elapsed < 1


@venues
async def test_an_event_settles_what_cannot_be_asked_for(venue: Venue) -> None:
    """Every query is lost; the account's stream tells it."""
    async with exchange(venue) as simulator, session_to(simulator) as session, session.user_data_stream():
        simulator.inject(Fault("no_answer", method="order.status", times=99))
        simulator.inject(Fault("error", method="order.place"))
        error = await unknown(session, order(venue))
        settling = asyncio.ensure_future(session.settle(error, within=20.0))
        await asyncio.sleep(0.5)
        async with session_to(simulator, HMAC) as other:  # the order arrives by another way
            await other.request("order.place", order(venue))
        fate = await settling
        assert fate.took_effect is True
        assert fate.evidence == ("event executionReport" if venue is SPOT else "event ORDER_TRADE_UPDATE")
        assert session._user_data.delivery.watchers == (() if venue is not USD_M else (session._settler._keep,))


async def test_an_exchange_that_cannot_be_asked_is_no_word_against_the_order() -> None:
    async with exchange(USD_M) as simulator, session_to(simulator) as session:
        simulator.inject(Fault("error", method="order.place", executed=True))
        answer: dict[str, Any] = {"status": 400, "code": -1021, "msg": "Timestamp"}
        fault = simulator.inject(Fault("error", method="order.status", times=99, **answer))
        error = await unknown(session, order(USD_M))
        fate = await session.settle(error)
        assert fate.took_effect is None
        assert fate.evidence.startswith("the exchange could not be asked: InvalidTimestamp")
        assert fate.elapsed == pytest.approx(30.0, abs=0.1)
        assert list(session.unsettled) == [error], "and can be settled later"
        fault.remove()
        fate = await session.settle(error)
        assert fate.took_effect is True
        assert not session.unsettled


async def test_it_goes_on_across_reconnects() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("drop_after", method="order.place"))
        simulator.inject(Fault("drop_before", method="order.status", times=3))
        fate = await session.place(order(COIN_M))
        assert fate.took_effect is True
        assert fate.asked == 4
        assert session.stats.connections == 5


async def test_a_window_of_its_own_is_waited_out() -> None:
    async with exchange(USD_M) as simulator, session_to(simulator, recv_window=20_000) as session:
        simulator.inject(Fault("drop_before", method="order.place", times=2))
        fate = await session.place(order(USD_M))
        assert fate.took_effect is None
        assert "30 s were too short: it may be executed for 1.0 s" in fate.evidence
        fate = await session.place(order(USD_M, "other"), within=40.0)
        assert fate.took_effect is False
        assert 30 < fate.elapsed < 32


async def test_the_clock_that_counts_is_the_exchanges() -> None:
    """One that is a minute ahead here does not say no a minute too early."""
    async with exchange() as simulator:
        session = Session(
            COIN_M, ED25519, url=simulator.url, proxy=None, wall_clock=lambda: simulator.clock.time() + 60.0
        )
        async with session:
            assert session.clock_offset == pytest.approx(-60.0, abs=1.0)
            simulator.inject(Fault("drop_before", method="order.place"))
            fate = await session.place(order(COIN_M))
            assert fate.took_effect is False
            assert 15 < fate.elapsed < 18


@venues
async def test_an_id_that_was_used_before(venue: Venue) -> None:
    """An older order answers to it: open, it proves that the new one was refused; closed, it proves nothing."""
    async with exchange(venue) as simulator, session_to(simulator) as session:
        await session.request("order.place", order(venue))
        await asyncio.sleep(60)
        simulator.inject(Fault("drop_before", method="order.place", times=2))
        fate = await session.place(order(venue))
        assert (fate.took_effect, fate.evidence) == (
            False,
            "order.status: an older order has held its client id all the time",
        )
        await session.request("order.cancel", {"symbol": order(venue)["symbol"], "origClientOrderId": "mine"})
        await asyncio.sleep(60)
        fate = await session.place(order(venue))
        assert fate.took_effect is (False if venue is SPOT else None)
        assert placed(simulator) == 1
        simulator.inject(Fault("drop_after", method="order.place"))
        fate = await session.place(order(venue))
        assert fate.took_effect is True, "this one is new"


async def test_a_spot_order_that_was_cancelled_meanwhile_is_not_denied() -> None:
    """It may have the name of its cancellation since."""
    for reading, expected in (("kept", True), ("replaced", None)):
        readings = Readings(cancelled_name=reading)  # type: ignore[arg-type]
        async with exchange(SPOT, readings=readings) as simulator, session_to(simulator) as session:
            simulator.inject(Fault("drop_after", method="order.place"))
            error = await unknown(session, order(SPOT))
            await session.wait_for(SessionState.READY)
            await session.request("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "mine"}, on_unready="wait")
            fate = await session.settle(error)
            assert fate.took_effect is expected, reading


# Another session, notes, other keys


@venues
async def test_what_one_session_lost_another_settles(venue: Venue) -> None:
    """The session was closed; its errors are kept in a file."""
    async with exchange(venue) as simulator:
        async with session_to(simulator) as session:
            simulator.inject(Fault("no_answer", method="order.place"))
            future = session.submit("order.place", order(venue))
            await until(lambda: placed(simulator))
        with pytest.raises(SessionClosed) as caught:
            await future
        assert caught.value.outcome == "unknown"
        assert session.unsettled == (caught.value,)
        with pytest.raises(SessionClosed):
            await session.settle(caught.value)
        notes = pickle.dumps(session.unsettled)
        await asyncio.sleep(3600)
        async with session_to(simulator, HMAC) as other:
            (error,) = pickle.loads(notes)
            fate = await other.settle(error)
            assert (fate.took_effect, fate.evidence, fate.asked) == (True, "order.status", 1)


@venues
async def test_what_a_bot_wrote_down_itself(venue: Venue) -> None:
    async with exchange(venue) as simulator, session_to(simulator) as session:
        sent_at = session.now()
        simulator.inject(Fault("drop_after", method="order.place"))
        await unknown(session, order(venue, "stands"))
        fate = await session.settle_order("order.place", order(venue, "stands"), sent_at)
        assert fate.took_effect is True
        fate = await session.settle_order("order.place", order(venue, "never"), session.now())
        assert fate.took_effect is False
        assert fate.elapsed == pytest.approx(21.0, abs=0.5), "what was written down may be 5 s wrong"
        with pytest.raises(ConfigurationError, match="settle_order"):
            await session.settle_order("order.place", order(venue))
        with pytest.raises(ConfigurationError, match="Unix seconds"):
            await session.settle_order("order.place", order(venue), session.now() * 1000)


async def test_a_request_that_another_key_signed_is_asked_for_with_that() -> None:
    """The session's own account does not know the order."""
    other = HmacKey("another-" + "k" * 56, "another-secret-" + "s" * 49)
    async with exchange(USD_M) as simulator, session_to(simulator) as session:
        simulator.add_key(other.api_key, secret=other.secret, account=Account("another"))
        simulator.inject(Fault("drop_after", method="order.place"))
        error = await unknown(session, order(USD_M), credentials=other)
        with pytest.raises(ConfigurationError, match="another key"):
            await session.settle(error)
        fate = await session.settle(error, credentials=other)
        assert fate.took_effect is True


async def test_what_cannot_be_settled_is_said() -> None:
    async with exchange(USD_M) as simulator, session_to(simulator) as session:
        for what in (ValueError("?"), BinanceSessionError("?"), None):
            with pytest.raises(ConfigurationError, match="is settled"):
                await session.settle(what)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="settle_order"):
            await session.settle(ConnectionLost("gone", method="order.place"))
        simulator.inject(Fault("drop_after", method="account.balance"))
        error = await unknown(session, {}, "account.balance")
        with pytest.raises(ConfigurationError, match="changes nothing"):
            await session.settle(error)
        simulator.inject(Fault("drop_after", method="order.place"))
        error = await unknown(session, order(USD_M, None), on_unready="wait")
        with pytest.raises(ConfigurationError, match="no identity to ask by"):
            await session.settle(error)


# The list, and the end


async def test_what_is_unsettled_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsettled_module, "_BOUND", 3)
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", times=99))
        futures = [session.submit("order.place", order(COIN_M, f"order-{number}")) for number in range(5)]
        query = session.submit("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})
        await until(lambda: placed(simulator) == 5)
        cut()
        errors = await asyncio.gather(*futures, query, return_exceptions=True)
        assert session.unsettled == tuple(errors[2:5]), "in their order, and no query"
        assert session.stats.unsettled_dropped == 2
        simulator.exchange.faults.clear()
        assert isinstance(errors[0], BinanceSessionError)
        fate = await session.settle(errors[0])
        assert fate.took_effect is True, "what was dropped can be settled all the same"


async def test_a_session_that_is_closed_ends_what_it_settles() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("drop_before", method="order.place"))
        error = await unknown(session, order(COIN_M))
        settling = [asyncio.ensure_future(session.settle(error)) for _ in range(2)]
        await asyncio.sleep(5)
        before = asyncio.get_running_loop().time()
        await session.close()
        for fate in await asyncio.gather(*settling):
            assert fate.took_effect is None
            assert fate.evidence.startswith("the session is over; -2013")
            assert fate.elapsed == pytest.approx(5.0, abs=0.1)
        assert asyncio.get_running_loop().time() - before < 1
        assert session.unsettled == (error,)


async def test_settling_can_be_cancelled_and_leaves_nothing() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="order.status", times=99))
        simulator.inject(Fault("drop_before", method="order.place"))
        error = await unknown(session, order(COIN_M))
        settling = asyncio.ensure_future(session.settle(error))
        await asyncio.sleep(2)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        assert session.in_flight == 0
        assert session._user_data.delivery.watchers == ()
        assert not session._settler._wakers


async def test_queries_may_use_the_reserve_of_weight() -> None:
    async with exchange() as simulator, session_to(simulator, weight_reserve=0.5) as session:
        simulator.inject(Fault("drop_after", method="order.place"))
        error = await unknown(session, order(COIN_M))
        await session.wait_for(SessionState.READY)

        async def use_it_up() -> None:
            for _ in range(300):
                await session.request("account.balance", on_unready="fail")

        with pytest.raises(BinanceSessionError) as refused:
            await use_it_up()
        assert refused.value.outcome == "not_sent"
        fate = await session.settle(error, within=2.0)
        assert fate.took_effect is True


# Other methods


def name_of(venue: Venue, **more: Any) -> dict[str, Any]:
    return {"symbol": order(venue)["symbol"], "origClientOrderId": "mine", **more}


@venues
@pytest.mark.parametrize(
    ("fault", "filled", "expected"),
    [("drop_after", False, True), ("drop_before", False, False), ("drop_before", True, False)],
)
async def test_a_cancellation(venue: Venue, fault: str, filled: bool, expected: bool) -> None:
    """Cancelled; still open; filled before it came."""
    async with exchange(venue) as simulator, session_to(simulator) as session:
        await session.request("order.place", order(venue))
        if filled:
            simulator.set_price(order(venue)["symbol"], "15000")
        simulator.inject(Fault(fault, method="order.cancel"))
        fate = await session.place(name_of(venue), "order.cancel")
        assert fate.took_effect is expected
        assert fate.order is not None
        assert fate.order["status"] == ("CANCELED" if expected else "FILLED" if filled else "NEW")


async def test_a_spot_cancellation_by_a_name_that_is_replaced() -> None:
    """Known by its own name, if it has one."""
    for name, expected in (("away", True), (None, None)):
        readings = Readings(cancelled_name="replaced")
        async with exchange(SPOT, readings=readings) as simulator, session_to(simulator) as session:
            await session.request("order.place", order(SPOT))
            simulator.inject(Fault("drop_after", method="order.cancel"))
            fate = await session.place(
                name_of(SPOT, **({} if name is None else {"newClientOrderId": name})), "order.cancel"
            )
            assert fate.took_effect is expected


@pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=["COIN-M", "USD-M"])
@pytest.mark.parametrize("expected", [True, False])
async def test_a_modification(venue: Venue, expected: bool) -> None:
    async with exchange(venue) as simulator, session_to(simulator) as session:
        await session.request("order.place", order(venue))
        await asyncio.sleep(10)
        simulator.inject(Fault("drop_after" if expected else "drop_before", method="order.modify"))
        fate = await session.place(name_of(venue, side="BUY", quantity="2", price="21000"), "order.modify")
        assert fate.took_effect is expected
        assert fate.order is not None
        assert Decimal(fate.order["origQty"]) == (2 if expected else 1)


@pytest.mark.parametrize("expected", [True, False])
async def test_a_replacement(expected: bool) -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        await session.request("order.place", order(SPOT, "old"))
        simulator.inject(Fault("drop_after" if expected else "drop_before", method="order.cancelReplace"))
        params = order(SPOT, "new", cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="old")
        fate = await session.place(params, "order.cancelReplace")
        assert fate.took_effect is expected
        assert fate.order is not None
        assert fate.order["cancelled"]["status"] == ("CANCELED" if expected else "NEW")
        assert (fate.order["new"] is not None) is expected


async def test_a_replacement_of_which_one_half_succeeded_says_so() -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        params = order(SPOT, cancelReplaceMode="ALLOW_FAILURE", cancelOrigClientOrderId="nobody")
        fate = await session.place(params, "order.cancelReplace")
        assert (fate.took_effect, fate.asked) == (True, 0)
        assert fate.order is not None
        assert fate.order["cancelResult"] == "FAILURE"
        assert placed(simulator) == 0
        assert session.unsettled == ()


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize("by", ["name", "number"])
async def test_an_amendment(by: str, expected: bool) -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        reply = await session.request("order.place", order(SPOT))
        await asyncio.sleep(10)
        simulator.inject(Fault("drop_after" if expected else "drop_before", method="order.amend.keepPriority"))
        named = {"origClientOrderId": "mine"} if by == "name" else {"orderId": reply.result["orderId"]}
        params = {"symbol": "BTCUSDT", "newQty": "0.0005", "newClientOrderId": "smaller", **named}
        fate = await session.place(params, "order.amend.keepPriority")
        assert (fate.took_effect, fate.evidence.split()[0]) == (expected, "order.amendments")


@pytest.mark.parametrize("expected", [True, False])
async def test_cancelling_everything(expected: bool) -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        for name in ("one", "two"):
            await session.request("order.place", order(SPOT, name))
        await asyncio.sleep(10)
        simulator.inject(Fault("drop_after" if expected else "drop_before", method="openOrders.cancelAll"))
        fate = await session.place({"symbol": "BTCUSDT"}, "openOrders.cancelAll")
        assert fate.took_effect is expected
        assert fate.order is not None
        assert len(fate.order["orders"]) == (0 if expected else 2)


OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "0.001",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "90000",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "10000",
}


@pytest.mark.parametrize("expected", [True, False])
async def test_a_list_and_its_cancellation(expected: bool) -> None:
    async with exchange(SPOT) as simulator, session_to(simulator) as session:
        fault = "drop_after" if expected else "drop_before"
        simulator.inject(Fault(fault, method="orderList.place.oco"))
        fate = await session.place(OCO, "orderList.place.oco")
        assert (fate.took_effect, fate.evidence.split()[0]) == (expected, "orderList.status" if expected else "-2013")
        if not expected:
            await session.request("orderList.place.oco", {**OCO, "listClientOrderId": "pair"})
        name = fate.order["listClientOrderId"] if fate.order is not None else "pair"
        simulator.inject(Fault(fault, method="orderList.cancel"))
        fate = await session.place({"symbol": "BTCUSDT", "listClientOrderId": name}, "orderList.cancel")
        assert fate.took_effect is expected


async def test_an_algo_order_is_known_by_its_event() -> None:
    """Also one that came before it was asked for; without a stream nothing tells of it."""
    async with exchange(USD_M) as simulator, session_to(simulator, request_timeout=2.0) as session:
        async with session.user_data_stream():
            simulator.inject(Fault("no_answer", method="algoOrder.place"))
            fate = await session.place(STOP, "algoOrder.place")
            assert (fate.took_effect, fate.evidence, fate.asked) == (True, "event ALGO_UPDATE", 0)
            assert fate.order is not None
            name = fate.order["caid"]
            assert fate.elapsed == pytest.approx(2.0, abs=0.1)
            simulator.inject(Fault("no_answer", method="algoOrder.cancel"))
            fate = await session.place({"clientAlgoId": name}, "algoOrder.cancel")
            assert (fate.took_effect, fate.evidence) == (True, "event ALGO_UPDATE")
            simulator.inject(Fault("drop_before", method="algoOrder.place"))
            fate = await session.place(STOP, "algoOrder.place")
            assert fate.took_effect is None, "nothing may say that it does not stand"
            assert fate.elapsed == pytest.approx(30.0, abs=0.5)
        simulator.inject(Fault("drop_after", method="algoOrder.place"))
        fate = await session.place(STOP, "algoOrder.place")
        assert fate.took_effect is None
        assert "REST GET /fapi/v1/algoOrder" in fate.evidence
        assert fate.elapsed < 1, "nothing can be heard"
        assert not requests(simulator, "order.status")


async def test_a_late_answer_tells_of_an_algo_order() -> None:
    async with exchange(USD_M) as simulator, session_to(simulator, request_timeout=1.0) as session:
        simulator.inject(Fault("late_answer", method="algoOrder.place", delay=4.0))
        fate = await session.place(STOP, "algoOrder.place")
        assert (fate.took_effect, fate.evidence) == (True, "late answer")
