"""What other people use, each sending an order the way its own documents show.

The classes are :class:`~benchmarks.kinds.Client` each. The packages are imported when a client is opened, so that one
which is not installed is merely left out.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import threading
import time
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.environment import has
from benchmarks.kinds import Kind
from benchmarks.workload import ORDER

__all__ = ["PEERS", "PICOWS", "SDK", "SDK_BARELY", "SDK_HMAC"]

PICOWS: Final = "picows + orjson, a loop by hand"
SDK: Final = "official SDK, logged on"
SDK_BARELY: Final = "official SDK, logged on, no data()"
SDK_HMAC: Final = "official SDK, HMAC"

_METHOD, _PARAMS = ORDER
_KEY, _SECRET = "benchmark", "benchmark-secret"
#: seconds after which an answer is taken for lost
_PATIENCE: Final = 20.0


class PicowsLoop:
    """picows' core API and orjson, by hand: no session at all, no checks, no deadlines."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}

    async def open(self, url: str) -> None:
        picows, orjson = importlib.import_module("picows"), importlib.import_module("orjson")
        pending, text, loads = self._pending, picows.WSMsgType.TEXT, orjson.loads

        class Listener(picows.WSListener):  # type: ignore[misc, name-defined, unused-ignore]
            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                if frame.msg_type == text:
                    message = loads(frame.get_payload_as_memoryview())
                    pending.pop(message["id"]).set_result(message)

        self._transport, _ = await picows.ws_connect(Listener, url)
        self._text, self._dumps = text, orjson.dumps
        self._loop = asyncio.get_running_loop()

    def _send(self) -> asyncio.Future[Any]:
        request_id = next(self._ids)
        params = {**_PARAMS, "timestamp": int(time.time() * 1000)}
        future = self._pending[request_id] = self._loop.create_future()
        self._transport.send(self._text, self._dumps({"id": request_id, "method": _METHOD, "params": params}))
        return future

    async def one(self) -> None:
        await self._send()

    async def many(self, count: int) -> None:
        send = self._send
        futures = [send() for _ in range(count)]
        for future in futures:
            await future

    async def close(self) -> None:
        self._transport.disconnect()
        await self._transport.wait_disconnected()


class OfficialSdk:
    """``websocket_api.new_order`` and ``data()``, as in the examples; with HMAC, or logged on with Ed25519 first.

    The COIN-M package has no method for a logon, but what sends its messages can mark one as such.
    """

    def __init__(self, *, logged_on: bool, reads_data: bool = True) -> None:
        self._logged_on = logged_on
        self._reads_data = reads_data

    async def open(self, url: str) -> None:
        package = "binance_sdk_derivatives_trading_coin_futures"
        sdk: Any = importlib.import_module(package)
        configuration: Any = importlib.import_module("binance_common.configuration")
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        proof = {"private_key": pem} if self._logged_on else {"api_secret": _SECRET}
        client = sdk.DerivativesTradingCoinFutures(
            config_ws_api=configuration.ConfigurationWebSocketAPI(api_key=_KEY, stream_url=url, **proof)
        )
        self._api: Any = client.websocket_api
        await self._api.create_connection()
        if self._logged_on:
            logon = {"method": "session.logon", "params": {}}
            await self._api.send_signed_message(logon, self._api.signer, session_logon=True)
        enums: Any = importlib.import_module(f"{package}.websocket_api.models")
        self._order = {
            "symbol": _PARAMS["symbol"],
            "side": enums.NewOrderSideEnum[_PARAMS["side"]].value,
            "type": enums.NewOrderTypeEnum[_PARAMS["type"]].value,
            "time_in_force": enums.NewOrderTimeInForceEnum[_PARAMS["timeInForce"]].value,
            "quantity": float(_PARAMS["quantity"]),
            "price": float(_PARAMS["price"]),
            "new_client_order_id": _PARAMS["newClientOrderId"],
        }
        await self.one()

    async def one(self) -> None:
        response = await self._api.new_order(**self._order)
        if self._reads_data:
            response.data()

    async def many(self, count: int) -> None:
        await asyncio.gather(*[self.one() for _ in range(count)])

    async def close(self) -> None:
        await self._api.close_connection()
        await asyncio.sleep(0.1)  # its receiving task ends by itself


class PythonBinance:
    """``AsyncClient.ws_futures_create_order``: USD-M's, because there is none for COIN-M."""

    async def open(self, url: str) -> None:
        binance: Any = importlib.import_module("binance")

        class Client(binance.AsyncClient):  # type: ignore[misc, name-defined, unused-ignore]
            WS_FUTURES_URL = url

        self._client: Any = Client(_KEY, _SECRET)
        await self.one()

    async def one(self) -> None:
        await self._client.ws_futures_create_order(**_PARAMS)

    async def many(self, count: int) -> None:
        await asyncio.gather(*[self.one() for _ in range(count)])

    async def close(self) -> None:
        await self._client.close_connection()


class CcxtPro:
    """``create_order_ws``, with the market given instead of loaded, and without the limiter: it would be measured."""

    async def open(self, url: str) -> None:
        ccxt: Any = importlib.import_module("ccxt.pro")
        exchange: Any = ccxt.binance({"apiKey": _KEY, "secret": _SECRET, "enableRateLimit": False})
        exchange.urls["api"]["ws"]["ws-api"]["inverse"] = url
        market = {
            "id": _PARAMS["symbol"],
            "symbol": "BTC/USD:BTC",
            "base": "BTC",
            "quote": "USD",
            "settle": "BTC",
            "baseId": "BTC",
            "quoteId": "USD",
            "settleId": "BTC",
            "type": "swap",
            "spot": False,
            "margin": False,
            "swap": True,
            "future": False,
            "option": False,
            "active": True,
            "contract": True,
            "linear": False,
            "inverse": True,
            "contractSize": 100.0,
            "precision": {"amount": 1.0, "price": 0.1, "base": 1e-8, "quote": 1e-8},
            "limits": {"amount": {}, "price": {}, "cost": {}, "market": {}},
            "info": {
                "orderTypes": ["LIMIT", "MARKET"],
                "orderType": ["LIMIT", "MARKET"],
                "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
            },
        }
        exchange.set_markets([exchange.safe_market_structure(market)])
        self._exchange = exchange
        self._arguments = ("BTC/USD:BTC", "limit", "sell", float(_PARAMS["quantity"]), float(_PARAMS["price"]))
        self._more = {"timeInForce": "GTC", "newClientOrderId": _PARAMS["newClientOrderId"]}
        await self.one()

    async def one(self) -> None:
        await self._exchange.create_order_ws(*self._arguments, self._more)

    async def many(self, count: int) -> None:
        await asyncio.gather(*[self.one() for _ in range(count)])

    async def close(self) -> None:
        await self._exchange.close()


class Unicorn:
    """``api.futures.create_order`` and a consumer of the answers' queue, as its README shows.

    It runs an event loop in a thread of its own and is called from ours, which waits: nothing else is to be done there.
    """

    async def open(self, url: str) -> None:
        unicorn: Any = importlib.import_module("unicorn_binance_websocket_api")
        self._manager = manager = unicorn.BinanceWebSocketApiManager(
            exchange="binance.com-futures", websocket_api_base_uri=url, warn_on_update=False
        )
        self._missing = 0
        self._answered = threading.Event()

        async def consume(stream_id: str | None = None) -> None:
            while not manager.is_stop_request(stream_id=stream_id):
                answer = await manager.get_stream_data_from_asyncio_queue(stream_id=stream_id)
                assert answer["status"] == 200
                self._missing -= 1
                if not self._missing:
                    self._answered.set()
                manager.asyncio_queue_task_done(stream_id=stream_id)

        stream = manager.create_stream(
            api=True, api_key=_KEY, api_secret=_SECRET, output="UnicornFy", process_asyncio_queue=consume
        )
        manager.wait_till_stream_has_started(stream)
        self._stream = stream
        await self.one()

    async def one(self) -> None:
        await self.many(1)

    async def many(self, count: int) -> None:
        self._missing = count
        self._answered.clear()
        order, stream = self._manager.api.futures.create_order, self._stream
        for _ in range(count):
            order(
                stream_id=stream,
                order_type=_PARAMS["type"],
                symbol=_PARAMS["symbol"],
                side=_PARAMS["side"],
                time_in_force=_PARAMS["timeInForce"],
                quantity=float(_PARAMS["quantity"]),
                price=float(_PARAMS["price"]),
                new_client_order_id=_PARAMS["newClientOrderId"],
            )
        if not self._answered.wait(_PATIENCE):
            raise TimeoutError(f"{self._missing} of {count} answers did not come within {_PATIENCE:.0f} s")

    async def close(self) -> None:
        self._manager.stop_manager()


_SDK_PACKAGES: Final = ("binance_sdk_derivatives_trading_coin_futures",)
_DECODER: Final = "orjson" if has("orjson") else "json"
#: name -> kind
PEERS: Final[dict[str, Kind]] = {
    PICOWS: Kind(PicowsLoop, ("picows", "orjson"), "orjson", about="no session: no states, no checks, no deadlines"),
    SDK: Kind(
        lambda: OfficialSdk(logged_on=True),
        _SDK_PACKAGES,
        about="as its examples show, data() included; logged on by hand, as it has no method for that on COIN-M;"
        " a task each",
    ),
    SDK_BARELY: Kind(
        lambda: OfficialSdk(logged_on=True, reads_data=False),
        _SDK_PACKAGES,
        about="the same, but nobody looks at the answer, which saves its model",
    ),
    SDK_HMAC: Kind(
        lambda: OfficialSdk(logged_on=False), _SDK_PACKAGES, about="with the key that its README shows; a task each"
    ),
    "python-binance, HMAC": Kind(
        PythonBinance,
        ("binance",),
        _DECODER,
        about="it has no COIN-M WebSocket API: its USD-M order, sent to the same server; a task each",
    ),
    "ccxt pro, HMAC": Kind(
        CcxtPro,
        ("ccxt",),
        _DECODER,
        about="without its rate limiter; it also makes an order structure of the answer; a task each",
    ),
    "unicorn, HMAC": Kind(
        Unicorn,
        ("unicorn_binance_websocket_api",),
        "orjson",
        own_loop=True,
        about="it has no COIN-M WebSocket API: its USD-M order, sent to the same server; a thread of its own, asyncio",
    ),
}
