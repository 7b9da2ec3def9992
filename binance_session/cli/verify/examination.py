"""What a step works with: connections, proofs, and orders that are closed whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import define, field, frozen

from binance_session.cli.verify.evidence import Answer
from binance_session.cli.verify.line import HeldOff, Line, NoAnswer
from binance_session.cli.verify.recording import Recording
from binance_session.config import ConnectionOptions
from binance_session.credentials import ApiKey, Credentials
from binance_session.simulator.product import Product
from binance_session.venues import Venue

__all__ = ["Examination", "Placed", "Wish"]

#: seconds in which orders must be found closed at the end, whatever happens
_SWEEP: Final = 40.0
#: ms that an order may be on its way; behind that it cannot arrive any more (PROTOCOL.md §3, Timing)
WINDOW: Final = 3000
#: seconds behind that
_MARGIN: Final = 1.5
#: "Unknown order sent" and "Order does not exist"
_NO_SUCH_ORDER: Final = (-2011, -2013)
_PAUSE: Final = 1.0


@frozen(kw_only=True)
class Wish:
    """What is to be asked, of which exchange, and how.

    ``given`` names which of :data:`~binance_session.cli.verify.probe.NEEDS` there are. ``timeout`` is in seconds, for
    each answer and each handshake. ``outside(what)`` is called when a step waits for something that it cannot bring
    about itself ("revocation", "trigger"). ``stop``: whether a listenKey may be stopped that was active before.
    """

    venue: Venue
    url: str = field(repr=False)
    stream_url: str | None = field(repr=False)
    key: Credentials | None = field(repr=False)
    symbol: str
    quantity: str | None = None
    given: frozenset[str]
    stop: bool = False
    other_api_key: str | None = field(default=None, repr=False)
    listen_token: str | None = field(default=None, repr=False)
    timeout: float = 10.0
    wall_clock: Callable[[], float]
    outside: Callable[[str], None] = lambda _what: None


@define(eq=False)
class Placed:
    """An order that may be open: how to cancel it, and until when (Unix ms, the exchange's) it may still arrive."""

    label: str
    cancel: str
    params: Mapping[str, Any]
    arrives_until: float


class Examination:
    """What a step works with: connections to the exchange, and the key."""

    def __init__(self, wish: Wish, recording: Recording) -> None:
        self.wish = wish
        self.recording = recording
        self.product = Product.of(wish.venue)
        #: seconds, the exchange's clock minus ours, and those of its last round trip
        self.offset = 0.0
        self.round_trip = 0.0
        #: what steps leave for later ones: a listenKey, connections
        self.listen_key: str | None = None
        #: whether the listenKey is ours to stop
        self.owns_key = False
        self.streams: dict[str, Line] = {}
        #: the connection that is subscribed by its logon (Spot)
        self.subscribed: Line | None = None
        self.placed: list[Placed] = []
        #: orders of which it was not found out whether they are closed
        self.left_open: list[Placed] = []
        self._lines: list[Line] = []
        self._numbers = itertools.count(1)
        self._main: Line | None = None

    # Connections

    def options(self, url: str, *, compression: str | None = None) -> ConnectionOptions:
        """Return how to reach an address."""
        return ConnectionOptions(
            url=url,
            # a plain connection to this machine must not take its way through another one
            proxy=None if url.startswith("ws:") else True,
            open_timeout=self.wish.timeout,
            compression=compression,
            name="verify",
        )

    async def api(self, name: str, query: str = "", *, compression: str | None = None) -> Line:
        """Open a connection to the API. Raises :class:`NoAnswer` without one."""
        line = await self._open(name, self.wish.url + query, query or "the API", compression)
        if not line.is_open:
            raise NoAnswer(f"{name}: the handshake was refused")
        return line

    async def stream(self, name: str, target: str) -> Line:
        """Open a stream socket, which may be refused."""
        assert self.wish.stream_url is not None
        line = await self._open(name, self.wish.stream_url + target, target, None)
        self.streams[name] = line
        return line

    async def _open(self, name: str, url: str, target: str, compression: str | None) -> Line:
        line = Line(name, self.recording, self.wish.timeout, self._numbers)
        self._lines.append(line)
        await line.open(self.options(url, compression=compression), target, name)
        return line

    async def main(self) -> Line:
        """Return the connection that most is asked on, logged on if the key can; a new one if it was lost."""
        if self._main is None or not self._main.is_open:
            number = sum(line.name.startswith("main") for line in self._lines) + 1
            self._main = await self.api("main" if number == 1 else f"main {number}")
            if number > 1 and "logon" in self.wish.given:
                await self.log_on(self._main, "logon of a new connection")
        return self._main

    def main_is_lost(self) -> None:
        """Have the main connection opened anew when it is next needed: it does not answer."""
        self._main = None

    async def pause(self, seconds: float) -> None:
        """Let time pass in which something may come."""
        await asyncio.sleep(seconds)

    def note(self, label: str, text: Any) -> None:
        """Record what is no frame."""
        self.recording.add("", "note", text, label)

    # Proofs

    def now_ms(self) -> int:
        """Return the exchange's time, by what it said of it."""
        return round((self.wish.wall_clock() + self.offset) * 1000)

    def learn_time(self, answer: Answer, sent_at: float) -> None:
        """Take the exchange's time from an answer to a request that was sent at ``sent_at`` (Unix s, ours)."""
        now, server = self.wish.wall_clock(), answer.field("serverTime")
        if isinstance(server, int):
            self.round_trip = now - sent_at
            self.offset = server / 1000 - (now + sent_at) / 2

    def timed(self, params: Mapping[str, Any] | None = None, *, shift: float = 0.0) -> dict[str, Any]:
        """Return parameters with a timestamp, ``shift`` seconds from now."""
        return {**(params or {}), "timestamp": self.now_ms() + round(shift * 1000)}

    def signed(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        shift: float = 0.0,
        payload: Callable[[dict[str, Any]], str] = lambda params: payload_of(params),
    ) -> dict[str, Any]:
        """Return parameters with apiKey, timestamp and signature."""
        assert self.wish.key is not None
        full = {**self.timed(params, shift=shift), "apiKey": self.wish.key.api_key}
        return {**full, "signature": self.wish.key.sign(payload(full))}

    def proved(self, line: Line, params: Mapping[str, Any] | None = None, *, shift: float = 0.0) -> dict[str, Any]:
        """Return parameters with what a signed method needs on this connection."""
        return self.timed(params, shift=shift) if line.logged_on else self.signed(params, shift=shift)

    def named(self, line: Line, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return parameters with what a method needs that asks for the apiKey alone."""
        if line.logged_on or self.wish.key is None:
            return dict(params or {})
        return {**(params or {}), "apiKey": self.wish.key.api_key}

    async def log_on(self, line: Line, label: str) -> Answer:
        """Ask for a logon."""
        answer = await line.ask(label, "session.logon", self.signed())
        line.logged_on = answer.status == 200
        return answer

    @property
    def absent_order(self) -> tuple[str, dict[str, Any]]:
        """A signed question that changes nothing and weighs little: for an order that does not exist."""
        name = f"verify-{secrets.token_hex(8)}"
        return "order.status", {"symbol": self.wish.symbol, "origClientOrderId": name}

    # Orders

    def about_to_place(self, label: str, cancel: str, params: Mapping[str, Any]) -> Placed:
        """Say that an order is about to be sent, so that it is closed whatever happens from here on."""
        placed = Placed(label, cancel, params, self.now_ms() + WINDOW + _MARGIN * 1000)
        self.placed.append(placed)
        return placed

    def is_closed(self, placed: Placed) -> None:
        """Say that an order is not open, for certain."""
        if placed in self.placed:
            self.placed.remove(placed)

    async def clean_up(self) -> None:
        """Close what is open: orders, or :attr:`left_open` says which may be, then the connections."""
        self.recording.step = "cleaning up"
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweep()
        for line in self._lines:
            with contextlib.suppress(Exception):
                await line.close()

    async def _sweep(self) -> None:
        try:
            async with asyncio.timeout(_SWEEP):
                while self.placed:
                    await self._cancel(self.placed[0])
        except TimeoutError:
            pass
        self.left_open = list(self.placed)
        for placed in self.left_open:
            self.note(placed.label, "it is not known whether this order is closed")

    async def _cancel(self, placed: Placed) -> None:
        """Cancel an order, or find that there is none and that none can arrive any more."""
        try:
            line = await self.main()
            answer = await line.ask(
                f"cancel {placed.label} at the end", placed.cancel, self.proved(line, placed.params)
            )
        except (NoAnswer, HeldOff):
            self.main_is_lost()
            await asyncio.sleep(_PAUSE)
            return
        if answer.status == 200 or (answer.code in _NO_SUCH_ORDER and self.now_ms() > placed.arrives_until):
            self.is_closed(placed)
        else:
            await asyncio.sleep(_PAUSE)


def payload_of(params: Mapping[str, Any]) -> str:
    """Return the text to sign (PROTOCOL.md §3), also for what a session refuses to send: JSON numbers with a point."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    return "&".join([f"{name}={texts[name]}" for name in sorted(texts)])


def given_by(key: Credentials | None) -> set[str]:
    """Return which of the needs a key meets."""
    if key is None:
        return set()
    if isinstance(key, ApiKey):
        return {"key"}
    return {"key", "signature", "logon" if key.can_logon else "no logon"}
