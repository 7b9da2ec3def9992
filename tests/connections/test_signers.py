"""Credentials of somebody's own: what they raise, answer and do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from binance_session import ConfigurationError, NotSent, Session, SessionClosed, SessionState
from tests.exchange import ED25519, HMAC, exchange, requests, session_to

READY = SessionState.READY


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.mark.parametrize("signature", [b"bytes", None, 5])
async def test_a_signature_that_is_no_text(signature: Any) -> None:
    """Refused before anything is sent, with the words to mend it."""

    class Odd:
        api_key = ED25519.api_key
        can_logon = True

        def sign(self, payload: str) -> Any:
            return signature

    async with exchange() as simulator:
        with pytest.raises(ConfigurationError, match="both are str"):
            await session_to(simulator, Odd()).open()
        assert simulator.received == []


class Remote:
    """A signer that takes its time for each signature."""

    def __init__(self, key: Any, *seconds: float) -> None:
        self.key, self.seconds = key, list(seconds)
        self.api_key, self.can_logon = key.api_key, key.can_logon
        self.error: BaseException | None = None
        self.under_way = 0

    async def sign(self, payload: str) -> str:
        self.under_way += 1
        try:
            await asyncio.sleep(self.seconds.pop(0) if self.seconds else 0.1)
            if self.error is not None:
                raise self.error
            signature: str = self.key.sign(payload)
            return signature
        finally:
            self.under_way -= 1


@pytest.mark.virtual
async def test_a_logon_awaits_its_signature() -> None:
    async with exchange() as simulator, session_to(simulator, Remote(ED25519)) as session:
        assert session.authenticated
        await session.request("account.balance")
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        assert session.authenticated


@pytest.mark.virtual
async def test_requests_are_written_in_their_order_when_their_signatures_are_there() -> None:
    """And one that needs no signature is written at once."""
    async with exchange() as simulator, session_to(simulator, Remote(HMAC, 3.0, 1.0, 2.0)) as session:
        first = session.submit("account.balance", {"recvWindow": 5001})
        second = session.submit("account.balance", {"recvWindow": 5002})
        third = session.submit("account.balance", {"recvWindow": 5003})
        assert (await session.request("session.status")).status == 200
        assert [each.method for each in simulator.received] == ["session.status"]
        replies = await asyncio.gather(first, second, third)
        assert [reply.status for reply in replies] == [200] * 3
        windows = [each.params["recvWindow"] for each in simulator.received if each.method == "account.balance"]
        assert windows == [5001, 5002, 5003]


@pytest.mark.virtual
async def test_one_request_with_a_remote_key() -> None:
    async with exchange() as simulator, session_to(simulator) as session:
        reply = await session.request("account.balance", credentials=Remote(HMAC))
        assert reply.status == 200
        assert "signature" in requests(simulator)[-1].params
        await session.request("account.balance")
        assert "signature" not in requests(simulator)[-1].params


@pytest.mark.parametrize("error", [RuntimeError("secret"), asyncio.CancelledError(), TimeoutError()])
@pytest.mark.virtual
async def test_a_remote_signer_that_fails(error: BaseException) -> None:
    """The request was not sent, and holds up none behind it."""
    remote = Remote(HMAC, 1.0, 0.5)
    async with exchange() as simulator, session_to(simulator, remote) as session:
        remote.error = error
        first = session.submit("account.balance")
        second = session.submit("account.balance", credentials=HMAC)
        assert (await second).status == 200
        with pytest.raises((ConfigurationError, NotSent), match="could not") as caught:
            await first
        assert "secret" not in str(caught.value)
        assert caught.value.method == "account.balance"
        assert len([each for each in simulator.received if each.method == "account.balance"]) == 1


@pytest.mark.virtual
async def test_a_remote_signer_that_is_too_slow() -> None:
    remote = Remote(HMAC, 60.0, 0.1)
    async with exchange() as simulator, session_to(simulator, remote) as session:
        slow = session.submit("account.balance", timeout=2.0)
        behind = session.submit("account.balance")
        with pytest.raises(NotSent, match="was not signed within 2 s"):
            await slow
        assert (await behind).status == 200
        assert remote.under_way == 0


@pytest.mark.virtual
async def test_what_waits_for_its_signature_when_the_connection_is_lost_was_not_sent() -> None:
    remote = Remote(HMAC, 5.0)
    async with exchange() as simulator, session_to(simulator, remote) as session:
        future = session.submit("account.balance")
        await asyncio.sleep(1)
        simulator.connections[0].drop()
        with pytest.raises(NotSent, match=r"before account\.balance was signed"):
            await future
        assert not [each for each in simulator.received if each.method == "account.balance"]
    assert remote.under_way == 0


@pytest.mark.virtual
async def test_what_was_cancelled_while_it_was_signed_is_not_sent() -> None:
    async with exchange() as simulator, session_to(simulator, Remote(HMAC, 1.0, 1.0)) as session:
        future = session.submit("account.balance")
        await asyncio.sleep(0.5)
        future.cancel()
        await asyncio.sleep(5)
        assert not [each for each in simulator.received if each.method == "account.balance"]


@pytest.mark.virtual
async def test_closing_leaves_no_signature_under_way() -> None:
    remote = Remote(HMAC, 5.0, 5.0)
    async with exchange() as simulator:
        session = session_to(simulator, remote)
        await session.open()
        futures = [session.submit("account.balance") for _ in range(2)]
        await session.close()
        assert remote.under_way == 0
        for future in futures:
            assert isinstance(future.exception(), NotSent)

        session = session_to(simulator, Remote(HMAC, 1.0))
        await session.open()
        drained = session.submit("account.balance")
        await session.close(drain=5.0)
        assert drained.result().status == 200


@pytest.mark.virtual
async def test_only_so_many_wait_to_be_signed() -> None:
    async with exchange() as simulator, session_to(simulator, Remote(HMAC, 1.0), max_in_flight=1) as session:
        future = session.submit("account.balance")
        with pytest.raises(NotSent, match="wait to be signed"):
            session.submit("account.balance")
        await future


async def test_a_remote_signature_that_is_no_text() -> None:
    class Odd(Remote):
        async def sign(self, payload: str) -> Any:
            return 5

    async with exchange() as simulator, session_to(simulator, Odd(HMAC)) as session:
        with pytest.raises(ConfigurationError, match="both are str"):
            await session.request("account.balance")


@pytest.mark.parametrize("failure", [TimeoutError, asyncio.CancelledError])
@pytest.mark.virtual
async def test_a_signer_that_fails_at_a_reconnect_is_asked_again(failure: type[BaseException]) -> None:
    """It signed before: a remote signer that is away for a moment is no reason to end a session."""

    class Remote:
        api_key = ED25519.api_key
        can_logon = True
        away = 0

        def sign(self, payload: str) -> str:
            if self.away:
                self.away -= 1
                raise failure
            return ED25519.sign(payload)

    remote = Remote()
    async with exchange() as simulator, session_to(simulator, remote) as session:
        remote.away = 3
        simulator.connections[0].drop()
        await session.wait_for(SessionState.WAITING)
        await session.wait_for(READY)
        assert remote.away == 0


async def test_a_signer_that_closes_the_session() -> None:
    """What was not written is not sent, and what was told so is not written."""

    class Closing:
        api_key = HMAC.api_key
        can_logon = False
        session: Session | None = None

        def sign(self, payload: str) -> str:
            if self.session is not None:
                self.session._admission.link = None
                closing.append(asyncio.ensure_future(self.session.close()))
                link = self.session._admission._in_use
                assert link is not None
                link.end_requests(lambda request_id, method: SessionClosed("closed"), quietly=True)
            return HMAC.sign(payload)

    closing: list[asyncio.Task[None]] = []
    signer = Closing()
    async with exchange() as simulator:
        session = session_to(simulator, signer)
        await session.open()
        signer.session = session
        with pytest.raises(NotSent):
            session.submit("order.place", ORDER)
        await closing[0]
        assert requests(simulator, "order.place") == []
