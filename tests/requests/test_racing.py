"""One request on two connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import COIN_M, SPOT, USD_M, ApiError, ConfigurationError, ConnectionLost, HmacKey, Response, Venue
from binance_session.requests.racing import check_race, race_of
from binance_session.simulator import Fault
from tests.exchange import HMAC, exchange, requests, session_to, until

ORDER = {
    "symbol": "BTCUSD_PERP",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "10000",
    "newClientOrderId": "mine",
}
MINE = {"symbol": "BTCUSD_PERP", "origClientOrderId": "mine"}
SUCCESS: Any = object()
REFUSED = ApiError(400, -2011, "Unknown order sent.", method="order.cancel", outcome="rejected")
LOST = ConnectionLost("?", method="order.cancel")


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((SUCCESS, None), SUCCESS),
        ((None, SUCCESS), SUCCESS),
        ((REFUSED, None), None),
        ((REFUSED, SUCCESS), SUCCESS),
        ((SUCCESS, REFUSED), SUCCESS),
        ((LOST, SUCCESS), SUCCESS),
        ((LOST, None), None),
        ((REFUSED, REFUSED), REFUSED),
        ((REFUSED, LOST), LOST),
        ((LOST, REFUSED), LOST),
    ],
)
async def test_which_end_counts(ends: tuple[Any, Any], expected: Any) -> None:
    """A success; of two errors the one that leaves more open; one error alone is no end."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[Response] = loop.create_future()
    second: asyncio.Future[Response] = loop.create_future()
    settled: list[Exception] = []
    winner = race_of(first, second, settled.append)
    for future, end in zip((first, second), ends, strict=True):
        if isinstance(end, Exception):
            future.set_exception(end)
        elif end is not None:
            future.set_result(end)
        for _ in range(3):
            await asyncio.sleep(0)
        if future.cancelled() or winner.done():
            break
    if expected is None:
        assert not winner.done()
        winner.cancel()
        await asyncio.sleep(0)
        assert first.done()
        assert second.done()
    elif isinstance(expected, Exception):
        assert winner.exception() is expected
        assert len(settled) == 1
    else:
        assert await winner is expected
        assert settled == [end for end in ends if isinstance(end, Exception) and end is ends[0]]


@pytest.mark.parametrize(
    ("venue", "method", "params"),
    [
        (COIN_M, "order.place", ORDER),
        (COIN_M, "order.modify", MINE),
        (COIN_M, "order.cancel", {"symbol": "BTCUSD_PERP"}),
        (COIN_M, "order.cancel", None),
        (COIN_M, "session.status", None),
        (COIN_M, "session.logon", None),
        (COIN_M, "userDataStream.start", None),
        (COIN_M, "userDataStream.stop", None),
        (USD_M, "algoOrder.place", {}),
        (SPOT, "order.cancelReplace", {"cancelOrderId": 1}),
        (SPOT, "openOrders.cancelAll", {"symbol": "BTCUSDT"}),
        (SPOT, "userDataStream.subscribe", None),
    ],
)
def test_what_must_not_be_executed_twice_is_refused(venue: Venue, method: str, params: Any) -> None:
    with pytest.raises(ConfigurationError, match="two connections") as caught:
        check_race(True, venue.method(method), params, has_standby=True)
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize(
    ("venue", "method", "params"),
    [
        (COIN_M, "order.status", MINE),
        (COIN_M, "account.balance", None),
        (COIN_M, "order.cancel", MINE),
        (COIN_M, "userDataStream.ping", None),
        (USD_M, "algoOrder.cancel", {"algoId": 1}),
        (SPOT, "order.test", {}),
    ],
)
def test_what_may_be_executed_twice(venue: Venue, method: str, params: Any) -> None:
    check_race(True, venue.method(method), params, has_standby=True)
    with pytest.raises(ConfigurationError, match="standby=True"):
        check_race(True, venue.method(method), params, has_standby=False)


@pytest.mark.virtual
async def test_the_first_answer_ends_it_and_the_other_is_counted() -> None:
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        before = session.stats.answered
        reply = await session.request("account.balance", race=True)
        assert reply.status == 200
        received = requests(simulator, "account.balance")
        assert (
            len({entry.connection.number for entry in received})
            == len({(entry.message or {})["id"] for entry in received})
            == 2
        )
        await until(lambda: session.stats.answered + session.stats.late == before + 2)
        assert session.in_flight == 0


@pytest.mark.virtual
@pytest.mark.parametrize("fault", ["no_answer", "drop_before", "drop_after"])
async def test_a_connection_that_fails_is_not_noticed(fault: str) -> None:
    """The request is answered by the other one, whichever it strikes."""
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        simulator.inject(Fault(fault, method="account.balance"))
        began = asyncio.get_running_loop().time()
        assert (await session.request("account.balance", race=True)).status == 200
        assert asyncio.get_running_loop().time() - began < 1


@pytest.mark.virtual
async def test_a_cancellation_is_not_called_refused_because_it_came_twice() -> None:
    """The second finds no order any more; whichever answer is the first."""
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        for fault in (None, Fault("late_answer", method="order.cancel", delay=0.5)):
            await session.request("order.place", ORDER)
            if fault is not None:
                simulator.inject(fault)
            reply = await session.request("order.cancel", MINE, race=True)
            assert reply.result["status"] == "CANCELED"
            await asyncio.sleep(1)


@pytest.mark.virtual
async def test_without_a_standby_at_the_moment_it_goes_over_one() -> None:
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        assert not session.standby_ready
        assert (await session.request("account.balance", race=True)).status == 200
        assert len(requests(simulator, "account.balance")) == 1


@pytest.mark.virtual
async def test_cancelling_it_forgets_both() -> None:
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        session.submit("account.balance", race=True).cancel()
        await until(lambda: session.stats.late == 2)
        assert session.in_flight == 0


@pytest.mark.virtual
async def test_what_was_answered_on_one_connection_is_not_unsettled() -> None:
    """Although it was lost on the other one."""
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        await session.request("order.place", ORDER)
        simulator.inject(Fault("drop_before", method="order.cancel"))
        simulator.inject(Fault("late_answer", method="order.cancel", delay=0.5))
        assert (await session.request("order.cancel", MINE, race=True)).result["status"] == "CANCELED"
        assert session.stats.lost == 1
        assert session.unsettled == ()


@pytest.mark.virtual
async def test_one_request_that_is_lost_on_both_is_unsettled_once() -> None:
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        simulator.inject(Fault("drop_before", method="order.cancel", times=2))
        with pytest.raises(ConnectionLost) as caught:
            await session.request("order.cancel", MINE, race=True)
        assert session.unsettled == (caught.value,)


class Once(HmacKey):
    """Signs as long as it may, as a remote signer with a limit does."""

    left = 1

    def sign(self, payload: str) -> str:
        if not self.left:
            raise OSError("no more signatures")
        type(self).left -= 1
        return super().sign(payload)


@pytest.mark.virtual
async def test_what_was_sent_once_is_answered_although_it_cannot_be_sent_twice() -> None:
    """An error of the second sending must not hide that the first has left."""
    key = Once(HMAC.api_key, HMAC.secret)
    async with exchange() as simulator, session_to(simulator, standby=True) as session:
        await until(lambda: session.standby_ready)
        assert (await session.request("account.balance", race=True, credentials=key)).status == 200
        assert len(requests(simulator, "account.balance")) == 1
