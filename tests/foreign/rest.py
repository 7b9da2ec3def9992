"""The little of REST that WebSocket clients cannot do without: listenKeys, the time, and what is traded.

A stand-in for tests, not a part of the simulator: it turns a request about listenKeys into the WebSocket API's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from binance_session.simulator import Simulator
from binance_session.simulator.wire import SendText

_LISTEN_KEY = {"POST": "userDataStream.start", "PUT": "userDataStream.ping", "DELETE": "userDataStream.stop"}


@asynccontextmanager
async def rest(simulator: Simulator, answers: Mapping[str, Any] | None = None) -> AsyncIterator[str]:
    """Serve REST beside a simulator, and return where. ``answers`` are more of them, by the end of the path."""
    stand_in = _Rest(simulator, answers or {})
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class _Rest:
    def __init__(self, simulator: Simulator, answers: Mapping[str, Any]) -> None:
        self._simulator = simulator
        self._answers = answers
        self._ids = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = head[0].split(" ")
            status, answer = self._answer(method, target, headers.get("x-mbx-apikey", ""))
            body = json.dumps(answer).encode()
            intro = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{intro}Connection: close\r\n\r\n".encode() + body)
        finally:
            writer.close()

    def _answer(self, method: str, target: str, api_key: str) -> tuple[int, Any]:
        url = urlsplit(target)
        place = url.path.rpartition("/")[2]
        if place == "listenKey":
            return self._listen_key(_LISTEN_KEY[method], api_key)
        if place == "time":
            return 200, {"serverTime": self._simulator.exchange.state.now_ms}
        if place in self._answers:
            return 200, self._answers[place]
        if place == "ping":
            return 200, {}
        return 404, {"code": -5000, "msg": f"{method} {url.path} {dict(parse_qsl(url.query)).keys()}"}

    def _listen_key(self, method: str, api_key: str) -> tuple[int, Any]:
        exchange = self._simulator.exchange
        texts: list[str] = []
        connection = exchange.connect(
            "127.0.0.1",
            urlsplit(self._simulator.url).path,
            lambda action: texts.append(action.text) if isinstance(action, SendText) else None,
        )
        request = {"id": next(self._ids), "method": method, "params": {"apiKey": api_key}}
        exchange.receive(connection, json.dumps(request))
        exchange.disconnect(connection)
        answer = json.loads(texts[0])
        return answer["status"], answer.get("result", answer.get("error"))
