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


async def test_an_async_signer_is_told_that_it_must_not_be() -> None:
    """And its coroutine is not left to complain that nobody awaited it."""

    class Odd:
        api_key = ED25519.api_key
        can_logon = True

        async def sign(self, payload: str) -> str:
            return ""

    async with exchange() as simulator:
        with pytest.raises(ConfigurationError, match="plain function"):
            await session_to(simulator, Odd()).open()  # type: ignore[call-overload]


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
