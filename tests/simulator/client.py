"""A plain WebSocket client with hand-made signatures: nothing of the package's own client is in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from websockets.asyncio.client import ClientConnection, connect

from binance_session.simulator import ManualClock, Simulator
from binance_session.venues import COIN_M, Venue

ED25519 = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
KEYS = ("ED", "HMAC", "RSA")


def sign_ed25519(payload: str) -> str:
    return base64.b64encode(ED25519.sign(payload.encode())).decode()


def sign_hmac(payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def sign_rsa(payload: str) -> str:
    return base64.b64encode(RSA.sign(payload.encode(), padding.PKCS1v15(), SHA256())).decode()


SIGN: dict[str, Callable[[str], str]] = {"ED": sign_ed25519, "HMAC": sign_hmac, "RSA": sign_rsa}


def add_keys(simulator: Simulator) -> None:
    simulator.add_key("ED", public_key=ED25519.public_key())
    simulator.add_key("RSA", public_key=RSA.public_key())
    simulator.add_key("HMAC", secret=SECRET)


@asynccontextmanager
async def simulated(venue: Venue = COIN_M, **options: Any) -> AsyncIterator[Simulator]:
    """A simulator with the three keys, on a clock that the test drives."""
    options.setdefault("clock", ManualClock())
    async with Simulator(venue, **options) as simulator:
        add_keys(simulator)
        yield simulator


class Client:
    """One connection; requests get the ids 1, 2, 3, …"""

    def __init__(self, simulator: Simulator, socket: ClientConnection) -> None:
        self.simulator = simulator
        self.socket = socket
        self.last_id = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, simulator: Simulator, query: str = "", **options: Any) -> AsyncIterator[Self]:
        async with connect(simulator.url + query, compression=None, **options) as socket:
            yield cls(simulator, socket)

    @property
    def now(self) -> int:
        return int(self.simulator.clock.time() * 1000)

    async def recv(self) -> Any:
        return json.loads(await self.socket.recv())

    async def send(self, method: str, **params: Any) -> int:
        self.last_id += 1
        await self.socket.send(json.dumps({"id": self.last_id, "method": method, "params": params}))
        return self.last_id

    async def ask(self, method: str, **params: Any) -> Any:
        """Send a request as it is, and return the next message."""
        await self.send(method, **params)
        return await self.recv()

    async def timed(self, method: str, **params: Any) -> Any:
        """Send a request with ``timestamp`` only, as after a logon."""
        return await self.ask(method, timestamp=self.now, **params)

    def signed(self, key: str = "ED", **params: Any) -> dict[str, Any]:
        params = {"apiKey": key, "timestamp": self.now, **params}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return {**params, "signature": SIGN[key](payload)}

    async def ask_signed(self, method: str, key: str = "ED", **params: Any) -> Any:
        return await self.ask(method, **self.signed(key, **params))

    async def logon(self) -> Any:
        answer = await self.ask_signed("session.logon")
        assert answer["status"] == 200, answer
        return answer


def refused(answer: Any, code: int, status: int = 400) -> str:
    """Check that an answer is this error, and return its text."""
    assert "result" not in answer
    assert (answer["status"], answer["error"]["code"]) == (status, code), answer
    message = answer["error"]["msg"]
    assert isinstance(message, str)
    return message
