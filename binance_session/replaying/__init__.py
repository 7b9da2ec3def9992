"""Playing a recording again: the same calls of the program and the same exchange, and what the session does now."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from attrs import frozen

from binance_session.credentials import ApiKey, Credentials, Ed25519Key, HmacKey
from binance_session.errors import BinanceSessionError, ConfigurationError
from binance_session.keepalive import AdaptiveKeepalive, KeepalivePolicy
from binance_session.reconnect import ReconnectPolicy
from binance_session.recorder import Entry, FlightRecorder
from binance_session.recording import Recording, load
from binance_session.replaying.differences import Difference, Differences, compare
from binance_session.replaying.exchange import PlayedExchange, parsed
from binance_session.session import Session
from binance_session.simulator.clock import LoopClock
from binance_session.simulator.server import Simulator
from binance_session.simulator.virtual import VirtualTimeLoop, run
from binance_session.venues import Venue

__all__ = ["Difference", "Differences", "replay"]

_API_KEY: Final = "replayed-" + "k" * 55
#: seconds after the last entry, for what follows from it at once
_AFTER: Final = 0.01
_PLENTY: Final = 1_000_000


def replay(
    path: str | os.PathLike[str], *, session_class: type[Session] = Session, venue: Venue | None = None, **options: Any
) -> Differences:
    """Play a dump of a :class:`FlightRecorder` in virtual time, and return where the session now behaves otherwise.

    A new session is asked for what the program asked for then, at the same moments, and what the exchange did happens
    again: each answer after the same time, each message, each end of a connection. What the session asks now and did
    not ask then, the simulator answers. ``session_class`` and ``options`` are for the new session; the recorded
    options that are numbers, flags or words stand otherwise. ``venue`` is needed for one with a name of your own.

    Compared are, each in its order: changes of state, requests with their params, outcomes (and when, by a second),
    events, gaps, listenKeys, failovers. Not replayed: times inside the session's process, frames that are no text
    (a line that went silent ends when that was noticed), what a callback of the program's did. Of a recording that
    does not reach back to the beginning, the frames that are kept are compared.

    Raises :class:`ConfigurationError` for a file that is no dump, and :class:`RuntimeError` inside a running event
    loop: there, call it by ``await asyncio.to_thread(replay, path)``.
    """
    recording = load(path)
    if not recording.entries:
        raise ConfigurationError(f"nothing is recorded in {path}")
    began, ended = recording.entries[0].at, recording.entries[-1].at
    where = Venue.named(recording.head["venue"]) if venue is None else venue
    played = _Replay(recording, where, session_class, options)
    now = run(played.play, start=began, limit=ended - began + 86_400.0)
    since = recording.head.get("since") or began
    until = next((each.at for each in recording.entries if each.kind == "call" and each.data["call"] == "close"), ended)
    then, after = _between(recording.entries, since, until), _between(now, since, until)
    return compare(then, after, began, until)


def _between(entries: Iterable[Entry], since: float, until: float) -> list[Entry]:
    return [entry for entry in entries if since - _AFTER <= entry.at <= until]


class _Answers:
    """What the policies answered then, so that chance plays no part."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._left = [entry.data for entry in entries if entry.kind == "policy"]

    def _take(self, attempt: int | None, cause: str | None, otherwise: float | None) -> float | None:
        """Return the first answer to the same question that was not given yet."""
        for position, answer in enumerate(self._left):
            if (answer["attempt"], answer["cause"]) == (attempt, cause):
                delay: float | None = self._left.pop(position)["delay"]
                return delay
        return otherwise

    def reconnect(self) -> ReconnectPolicy:
        """Return the reconnect policy of then."""
        return _Policy(lambda attempt, cause: self._take(attempt, type(cause).__name__, 1.0))

    def keepalive(self) -> KeepalivePolicy:
        """Return the keepalive policy of then."""
        plain = AdaptiveKeepalive()
        return _Policy(lambda status: self._take(None, None, plain.next_delay(status)))


@frozen
class _Policy:
    next_delay: Callable[..., float | None]


class _Recorder(FlightRecorder):
    """Records a replay, in which the numbers are drawn that were drawn then."""

    def __init__(self, entries: Iterable[Entry], **options: Any) -> None:
        super().__init__(_PLENTY, **options)
        self._drawn_then = deque(entry.data for entry in entries if entry.kind == "chance")

    def _draw(self, low: float, high: float) -> float:
        while self._drawn_then:
            value = float(self._drawn_then.popleft())
            if low <= value <= high:
                return value
        return super()._draw(low, high)


class _Replay:
    """One recording, played once."""

    def __init__(self, recording: Recording, venue: Venue, kind: type[Session], options: dict[str, Any]) -> None:
        self._recording = recording
        self._venue = venue
        self._class = kind
        self._own = options
        self._tasks: list[asyncio.Task[Any]] = []
        self._futures: list[asyncio.Future[Any]] = []
        self._streams: dict[int, Any] = {}

    async def play(self) -> list[Entry]:
        """Play it, and return what was recorded meanwhile."""
        loop = VirtualTimeLoop.running()
        clock = LoopClock(start=loop.wall_time())
        entries = self._recording.entries
        recorder = _Recorder(entries, wall_clock=loop.wall_time)
        simulator = Simulator(self._venue, clock=clock)
        simulator.exchange = PlayedExchange(self._recording, self._venue, clock)
        async with simulator:
            session = self._session(simulator, recorder)
            if not any(entry.kind == "call" and entry.data["call"] == "open" for entry in entries):  # too long ago
                await session.open()
            for entry in entries:
                if entry.kind in ("call", "submit"):
                    await asyncio.sleep(entry.at - loop.wall_time())
                    self._call(session, entry)
            await asyncio.sleep(entries[-1].at + _AFTER - loop.wall_time())
            now = recorder.entries
            for stream in self._streams.values():
                await stream.__aexit__(None, None, None)
            await session.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, *self._futures, return_exceptions=True)
        return now

    def _session(self, simulator: Simulator, recorder: FlightRecorder) -> Session:
        recorded = dict(self._recording.head["options"])
        key = recorded.pop("key")
        answers = _Answers(self._recording.entries)
        options: dict[str, Any] = {
            **recorded,
            "keepalive": answers.keepalive(),
            "reconnect": answers.reconnect(),
            "url": simulator.url,
            "wall_clock": VirtualTimeLoop.running().wall_time,
            "recorder": recorder,
        }
        if simulator.stream_url is not None:
            options["stream_url"] = simulator.stream_url
        return self._class(self._venue, self._key(key, simulator), **{**options, **self._own})

    def _key(self, kind: str, simulator: Simulator) -> Credentials | None:
        """Return a key of the kind that the session had, which the simulator knows."""
        if kind == "NoneType":
            return None
        if kind in ("HmacKey", "RsaKey"):
            simulator.add_key(_API_KEY, secret="s" * 64)
            return HmacKey(_API_KEY, "s" * 64)
        key = Ed25519Key.generate(api_key=_API_KEY)
        simulator.add_key(_API_KEY, public_key=key.public_pem())
        return ApiKey(_API_KEY) if kind == "ApiKey" else key

    # What the program did

    def _call(self, session: Session, entry: Entry) -> None:
        data = entry.data
        if entry.kind == "submit":
            with contextlib.suppress(BinanceSessionError):  # recorded as it was then
                self._futures.append(session.submit(data["method"], data["params"], **data["options"]))
        elif data["call"] == "user_data_stream":
            options = {name: data[name] for name in ("buffer", "sockets", "stop_on_exit")}
            self._begin(self._read(session, data["number"], options))
        elif data["call"] == "leave":
            if (stream := self._streams.pop(data["number"], None)) is not None:
                self._begin(stream.__aexit__(None, None, None))
        elif data["call"] == "settle":
            self._begin(self._settle(session, data))
        else:
            self._begin(getattr(session, data["call"])(*data["arguments"], **data["options"]))

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(_quietly(work)))

    async def _read(self, session: Session, number: int, options: dict[str, Any]) -> None:
        stream = session.user_data_stream(**options)
        await stream.__aenter__()
        self._streams[number] = stream
        if options["buffer"]:
            async for _ in stream:
                pass

    async def _settle(self, session: Session, data: dict[str, Any]) -> None:
        """Settle the error of the request that stands where the one of then did, which may end a moment later."""
        await asyncio.sleep(_AFTER)
        then = [parsed(entry.data) for entry in self._recording.entries if entry.kind == "sent"]
        method = next((sent["method"] for sent in then if sent.get("id") == data.get("id")), None)
        same = [sent["id"] for sent in then if sent.get("method") == method]
        errors = [error for future in self._futures if future.done() and (error := _error(future)) is not None]
        # by their ids the requests of a method follow each other as they did
        if method is not None:
            at = same.index(data["id"])
            ours = [error for error in errors if error.method == method]
            theirs = [number for number in same[: at + 1] if self._was_unknown(number)]
            if len(theirs) <= len(ours) and theirs:
                await session.settle(ours[len(theirs) - 1], *data["arguments"], **data["options"])

    def _was_unknown(self, request_id: int) -> bool:
        return any(
            entry.kind == "outcome" and entry.data["id"] == request_id and entry.data["outcome"] == "unknown"
            for entry in self._recording.entries
        )


def _error(future: asyncio.Future[Any]) -> BinanceSessionError | None:
    error = None if future.cancelled() else future.exception()
    return error if isinstance(error, BinanceSessionError) and error.outcome == "unknown" else None


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    with contextlib.suppress(BinanceSessionError):  # recorded as it was then
        await work
