"""One recorded connection: requests and their answers, events, pings, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from websockets.exceptions import InvalidHandshake

from binance_session.cli.verify.evidence import Answer, event_of
from binance_session.cli.verify.recording import Recording
from binance_session.cli.verify.wire import Wire, open_wire
from binance_session.config import ConnectionOptions
from binance_session.errors import why

__all__ = ["HeldOff", "Line", "NoAnswer"]


class NoAnswer(Exception):
    """A request was not answered, or its connection is gone or could not be opened."""


class HeldOff(Exception):
    """The exchange asks this address to wait, or has banned it: nothing more may be sent."""


#: statuses after which nothing more may be sent (PROTOCOL.md §8)
_HOLD_OFF: Final = frozenset({418, 429})


class Line:
    """A connection to the exchange, whose every frame is recorded under its ``name``."""

    def __init__(self, name: str, recording: Recording, timeout: float, numbers: Iterator[int]) -> None:
        """``timeout`` is in seconds, for each answer; ``numbers`` are the ids of requests."""
        self.name = name
        self.timeout = timeout
        #: whether ``session.logon`` was answered with 200 on it
        self.logged_on = False
        self._recording = recording
        self._wire: Wire | None = None
        self._waiting: list[tuple[Any, str, asyncio.Future[Answer]]] = []
        self._events: list[dict[str, Any]] = []
        #: messages with an id that nothing waits for, null above all
        self.unmatched: list[dict[str, Any]] = []
        self._listeners: list[Callable[[], None]] = []
        self._numbers = numbers
        self._ended = True

    async def open(self, options: ConnectionOptions, target: str, label: str) -> bool:
        """Open it, and return whether the exchange accepted the handshake. Raises :class:`NoAnswer`."""
        record = self._recording.add
        record(self.name, "opening", target, label)
        try:
            self._wire, response = await open_wire(options, self._heard, self._on_end)
        except TimeoutError:
            record(self.name, "failed", "no connection in time", label)
            raise NoAnswer(f"{label}: no connection in time") from None
        except OSError as error:
            reason = why(error, tls=options.url.startswith("wss:"))
            record(self.name, "failed", reason, label)
            raise NoAnswer(f"{label}: no connection ({reason})") from None
        except (InvalidHandshake, ValueError) as error:
            record(self.name, "failed", f"what answered is no WebSocket server ({type(error).__name__})", label)
            raise NoAnswer(f"{label}: no WebSocket server") from None
        if response.status_code != 101:
            record(self.name, "refused", {"status": response.status_code}, label)
            if response.status_code in (418, 429):
                raise HeldOff(f"the handshake was refused with HTTP {response.status_code}")
            return False
        chosen = response.headers.get("Sec-WebSocket-Extensions")
        record(self.name, "open", {"status": 101, "extensions": chosen}, label)
        self._ended = False
        if self._wire.is_gone:
            self._on_end(None, "")
        return True

    @property
    def is_open(self) -> bool:
        """Whether a message can be sent."""
        return not self._ended

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that came, oldest first."""
        return self._events

    def withhold_pongs(self) -> None:
        """Answer no ping of the exchange from now on."""
        assert self._wire is not None
        self._wire.answers_pings = False

    # Requests

    async def ask(self, label: str, method: str, params: Mapping[str, Any] | None = None, *, id: Any = ...) -> Answer:  # noqa: A002
        """Send a request and return its answer.

        Raises :class:`NoAnswer` when none comes in time or the connection ends, and when the answer says that the
        exchange did not deal with the request (5xx); :class:`HeldOff` when it says to wait.
        """
        answer = await self.answer_to(self.send(label, method, params, id=id), label)
        if answer.status in _HOLD_OFF:
            raise HeldOff(f"{label}: {answer}")
        if not answer.is_evidence:
            raise NoAnswer(f"{label}: {answer}")
        return answer

    def send(
        self,
        label: str,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        id: Any = ...,  # noqa: A002
    ) -> asyncio.Future[Answer]:
        """Send a request; the future is done when it is answered. Raises :class:`NoAnswer` if it cannot be sent."""
        message: dict[str, Any] = {"id": next(self._numbers) if id is ... else id, "method": method}
        if params:
            message["params"] = dict(params)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((message["id"], method, future))
        self.send_message(label, message)
        return future

    def send_message(self, label: str, message: Any) -> None:
        """Send any message. Raises :class:`NoAnswer` without a connection."""
        self._recording.add(self.name, "sent", message, label)
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        if self._wire is None or self._ended or not self._wire.send(text):
            self._recording.add(self.name, "unanswered", "the connection is gone", label)
            raise NoAnswer(f"{label}: the connection is gone")

    async def answer_to(self, future: asyncio.Future[Answer], label: str) -> Answer:
        """Return an answer, however long after ``send`` it comes, within the timeout. Raises :class:`NoAnswer`."""
        try:
            async with asyncio.timeout(self.timeout):
                return await future
        except TimeoutError:
            self._recording.add(self.name, "unanswered", f"no answer within {self.timeout:g} s", label)
            raise NoAnswer(f"{label}: no answer within {self.timeout:g} s") from None
        except ConnectionError:
            self._recording.add(self.name, "unanswered", "the connection ended before the answer", label)
            raise NoAnswer(f"{label}: the connection ended before the answer") from None
        finally:
            self._waiting = [entry for entry in self._waiting if entry[2] is not future]

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until something that came makes ``condition`` true, or the connection ends; return whether it is."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + within
        while not condition() and not self._ended:
            woken = loop.create_future()
            wake = _waker(woken)
            self._listeners.append(wake)
            try:
                async with asyncio.timeout_at(limit):
                    await woken
            except TimeoutError:
                break
            finally:
                self._listeners.remove(wake)
        return condition()

    async def until_closed(self, within: float) -> bool:
        """Wait until the exchange ends the connection; return whether it did."""
        await self.until(lambda: self._ended, within)
        return self._ended

    async def close(self) -> None:
        """End the connection."""
        if self._wire is not None and not self._ended:
            self._recording.add(self.name, "closing")
            await self._wire.close()

    # What comes

    def _heard(self, kind: str, data: bytes) -> None:
        if kind == "text":
            self._take(data)
        elif kind == "close":
            return
        else:
            self._recording.add(self.name, kind, data.decode("latin-1"))
        self._wake()

    def _take(self, data: bytes) -> None:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            self._recording.add(self.name, "received", data.decode(errors="replace"))
            return
        method = ""
        if isinstance(message, dict) and "id" in message:
            method = self._answered(message)
        self._recording.add(self.name, "received", message, method=method)
        event = event_of(message) if isinstance(message, dict) else None
        if event is not None:
            self._events.append(event)

    def _answered(self, message: dict[str, Any]) -> str:
        got = message["id"]
        for entry in self._waiting:
            wanted, method, future = entry
            if wanted == got and type(wanted) is type(got):
                if not future.done():
                    future.set_result(Answer(message))
                self._waiting.remove(entry)
                return method
        self.unmatched.append(message)
        return ""

    def _on_end(self, code: int | None, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._recording.add(self.name, "closed", {"code": code, "reason": reason})
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionError())
                future.exception()  # nobody may wait for it any more
        self._wake()

    def _wake(self) -> None:
        for wake in list(self._listeners):
            wake()


def _waker(future: asyncio.Future[None]) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(None)
