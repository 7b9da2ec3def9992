"""An exchange for ``--simulate``, with an account on which something happens now and then."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from binance_session.cli.throwaway import throwaway_key
from binance_session.cli.venues import symbol_of
from binance_session.credentials import Ed25519Key, signature_payload
from binance_session.simulator import Simulator
from binance_session.venues import Venue

__all__ = ["rehearsal"]

#: seconds between two orders
_PAUSE: Final = 1.0
#: another address than the session's: what is done here does not count against its limits
_ELSEWHERE: Final = "192.0.2.1"


@asynccontextmanager
async def rehearsal(venue: Venue) -> AsyncIterator[tuple[Simulator, Ed25519Key]]:
    """Serve a simulated exchange and a key for it, and place orders with that every second."""
    async with Simulator(venue, record=0) as simulator:
        key = throwaway_key(simulator)
        trading = asyncio.get_running_loop().create_task(_trade(simulator, key))
        try:
            yield simulator, key
        finally:
            trading.cancel()
            await asyncio.wait([trading])


async def _trade(simulator: Simulator, key: Ed25519Key) -> None:
    """Buy a little and sell it again, without end, past the network: there is one session to be seen, not two."""
    for number, side in enumerate(itertools.cycle(("BUY", "SELL")), start=1):
        await asyncio.sleep(_PAUSE)
        params: dict[str, str | int] = {
            "symbol": symbol_of(simulator.venue),
            "side": side,
            "type": "MARKET",
            "quantity": "1" if simulator.venue.name.startswith("COIN-M") else "0.001",
            "newClientOrderId": f"rehearsal-{number}",
            "apiKey": key.api_key,
            "timestamp": int(simulator.clock.time() * 1000),
        }
        params["signature"] = key.sign(signature_payload(params))
        order = {"id": number, "method": "order.place", "params": params}
        exchange = simulator.exchange
        client = exchange.connect(_ELSEWHERE, urlsplit(simulator.url).path, lambda _answer: None)
        exchange.receive(client, json.dumps(order))
        exchange.disconnect(client)
