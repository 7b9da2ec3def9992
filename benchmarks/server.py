"""A WebSocket server that answers fast and knows nothing.

It stands in for the exchange where the client is what is measured: it finds the ``id`` with a regular expression,
pastes it into a ready-made answer, and answers everything that one read brought with one write. It checks no
key, no parameter and no UTF-8; to test against, use the simulator.

``python -m benchmarks.server [--loop uvloop] [--tls PEM]`` listens on a free loopback port, prints it, and serves until
its standard input ends, which it does when the process that started it is gone. The method ``benchmark.cut`` cuts the
connection that it came over; ``benchmark.when``, on another connection, tells when that was.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import re
import ssl
import struct
import sys
import threading
import time
from typing import ClassVar, Final, cast

from benchmarks.environment import LOOPS, pin

__all__ = ["CUT", "WHEN", "Answerer", "answer", "frame"]

#: the method whose answer is the end of the TCP connection
CUT: Final = "benchmark.cut"
#: the method that asks for the moment of the last one: ``{"at": …}``, nanoseconds of ``time.perf_counter_ns``, which is
#: one clock for all processes
WHEN: Final = "benchmark.when"

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10

_find_key: Final = re.compile(rb"(?i)\r\nsec-websocket-key:[ \t]*(\S+)").search
_find_id: Final = re.compile(rb'"id"\s*:\s*("[^"]*"|-?\d+|null)').search
_find_method: Final = re.compile(rb'"method"\s*:\s*"([^"]*)"').search
_find_api_key: Final = re.compile(rb'"apiKey"\s*:\s*("[^"]*")').search

_OF_OURS: Final = b'"benchmark.'
_CUT: Final = CUT.encode()
_LIMITS: Final = (
    b'"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400,"count":2}]'
)
_PING_ANSWER: Final = (
    b'{"id":%b,"status":200,"result":{"listenKey":"'
    b"kYz0mQf3JXW8dG1vN5sTbR7aLcE2uHpOiK9wDgM4xVtZyUoSnBqPjCrAhFeIl6Xw"
    b'"},' + _LIMITS + b"}"
)
_ORDER_ANSWER: Final = (
    b'{"id":%b,"status":200,"result":{"orderId":333245211,"symbol":"BTCUSD_PERP","pair":"BTCUSD","status":"NEW",'
    b'"clientOrderId":"b7f0c1d2e3a4958677","price":"49999.3","origQty":"1","executedQty":"0","cumQty":"0",'
    b'"timeInForce":"GTC","type":"LIMIT","reduceOnly":false,"closePosition":false,"side":"SELL",'
    b'"positionSide":"BOTH","stopPrice":"0","workingType":"CONTRACT_PRICE","priceProtect":false,"origType":"LIMIT",'
    b'"updateTime":1733740063619},"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,'
    b'"limit":2400,"count":1},{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300,"count":1},'
    b'{"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":1200,"count":1}]}'
)
_LOGON_ANSWER: Final = (
    b'{"id":%b,"status":200,"result":{"apiKey":%b,"authorizedSince":1733740063619,"connectedSince":1733740063618,'
    b'"returnRateLimits":true,"serverTime":%d},' + _LIMITS + b"}"
)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole, unmasked frame, as a server sends it."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, length) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, length) + payload


def answer(request: bytes) -> bytes:
    """Return the JSON answer to a JSON request."""
    found = _find_id(request)
    request_id = found[1] if found else b"null"
    named = _find_method(request)
    method = named[1] if named else b""
    if method == b"order.place":
        return _ORDER_ANSWER % request_id
    if method == b"session.logon":
        key = _find_api_key(request)
        return _LOGON_ANSWER % (request_id, key[1] if key else b"null", time.time() * 1000)
    return _PING_ANSWER % request_id


class Answerer:
    """One connection, without a socket: bytes in, bytes out."""

    #: when the last connection was cut, whichever that was
    last_cut: ClassVar[int] = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._upgraded = False
        #: whether the closing handshake is done, and the connection is to be closed
        self.closing = False
        #: whether the client asked to be cut off
        self.cut = False

    def feed(self, data: bytes) -> bytes:
        """Take what was read, return what is to be written."""
        data = self._buffer + data if self._buffer else data
        out = []
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return b""
            key = _find_key(head)
            accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _GUID).digest())
            out.append(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self._upgraded = True
        start, size = 0, len(data)
        while size - start >= 2:
            length, body = data[start + 1] & 0x7F, start + 6
            if length == 126:
                body += 2
                length = int.from_bytes(data[start + 2 : start + 4])
            elif length == 127:
                body += 8
                length = int.from_bytes(data[start + 2 : start + 10])
            end_of_frame = body + length
            if end_of_frame > size:
                break
            mask = data[body - 4 : body] * (length // 4 + 1)
            masked = int.from_bytes(data[body:end_of_frame]) ^ int.from_bytes(mask[:length])
            out.append(self._reply(data[start] & 0x0F, masked.to_bytes(length)))
            start = end_of_frame
        self._buffer = data[start:]
        return b"".join(out)

    def _reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode == _TEXT:
            if _OF_OURS not in payload:  # one look: the others' requests pay for it
                return frame(_TEXT, answer(payload))
            if _CUT in payload:
                self.cut = True
                return b""
            found = _find_id(payload)
            told = b'{"id":%b,"status":200,"result":{"at":%d}}'
            return frame(_TEXT, told % (found[1] if found else b"null", self.last_cut))
        if opcode == _PING:
            return frame(_PONG, payload)
        if opcode == _CLOSE:
            self.closing = True
            return frame(_CLOSE, payload)
        return b""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._answerer = Answerer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if reply := self._answerer.feed(data):
            self._transport.write(reply)
        if self._answerer.cut:
            Answerer.last_cut = time.perf_counter_ns()
            self._transport.abort()
        elif self._answerer.closing:
            self._transport.close()


async def _serve(tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(over.set)

    server = await loop.create_server(_Connection, "127.0.0.1", 0, ssl=tls, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # the port, for who started this
    threading.Thread(target=watch, daemon=True).start()
    await over.wait()
    server.close()


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description="an answering server")
    parser.add_argument("--loop", choices=sorted(LOOPS), default="asyncio")
    parser.add_argument("--tls", metavar="PEM", help="a file with a key and its certificate")
    arguments = parser.parse_args()
    tls = None
    if arguments.tls is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.tls)
    pin(-1)
    with asyncio.Runner(loop_factory=LOOPS[arguments.loop]) as runner:
        runner.run(_serve(tls))


if __name__ == "__main__":
    main()
