"""Requests that come as lines of JSON on standard input, and their answers among the events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import asdict

from binance_session.checks import check_number
from binance_session.cli.run.sidecar import Sidecar
from binance_session.cli.standardinput import lines_of
from binance_session.errors import ApiError, BinanceSessionError, ConfigurationError, NotSent, RateLimited
from binance_session.masking import kind_of
from binance_session.session import Session

__all__ = ["Commands"]

#: commands that are under way, their answers not yet read
_AT_ONCE: Final = 1000
#: requests with an unknown outcome that can be settled
_KEPT: Final = 1000
_FIELDS: Final = {
    "method": frozenset({"id", "method", "params", "timeout", "security", "on_unready"}),
    "settle": frozenset({"id", "settle", "within"}),
}


class Commands:
    """Takes commands for the session of a sidecar, and writes what comes of each, whatever that is."""

    def __init__(self, sidecar: Sidecar, write: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        """``write`` writes one line, and raises :class:`OSError` if nobody reads it."""
        self._sidecar = sidecar
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._unknown: OrderedDict[object, BinanceSessionError] = OrderedDict()
        self._closed = False

    def start(self) -> None:
        """Read standard input from now on, in a thread that ends with the program at the latest."""
        if sys.stdin is None:  # closed: its file descriptor may be a socket's now
            return
        if hasattr(signal, "SIGTTIN"):  # reading from a terminal in the background fails instead of stopping us
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        threading.Thread(target=self._follow, name="run: standard input", daemon=True).start()

    def close(self) -> None:
        """Take no more; what is under way is not answered any more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _follow(self) -> None:
        for line in lines_of(sys.stdin.fileno()):
            self._room.acquire()  # who does not read the answers is not read either
            try:
                self._loop.call_soon_threadsafe(self.take, line)
            except RuntimeError:  # the loop is closed
                return

    def take(self, line: str) -> None:
        """Begin what a line asks for: what it sends is written before this returns."""
        if self._closed:
            return
        command: object = None
        try:
            command = _parsed(line)
            work = self._begin(command)
        except BinanceSessionError as error:
            name = command.get("id") if isinstance(command, dict) else None
            work = self._say(_error(name, error))
        task = self._loop.create_task(work, name="run: command")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), OSError):
            task.result()  # a defect, for the loop to tell

    def _begin(self, command: dict[str, Any]) -> Any:
        session = self._sidecar.session
        if session is None or session.state.is_final:
            raise NotSent("there is no session at this moment; nothing was sent")
        if "settle" in command:
            return self._settle(session, command)
        options = {name: command[name] for name in ("timeout", "security", "on_unready") if name in command}
        future = session.submit(command["method"], command.get("params"), **options)
        return self._answer(command.get("id"), future)

    async def _answer(self, name: object, future: asyncio.Future[Any]) -> None:
        try:
            reply = await future
        except BinanceSessionError as error:
            if error.outcome == "unknown":
                self._unknown[name] = error
                while len(self._unknown) > _KEPT:
                    self._unknown.popitem(last=False)
            await self._say(_error(name, error))
            return
        message = {"type": "answer", "id": name, "outcome": "answered", "status": reply.status, "result": reply.result}
        limits = [asdict(limit) for limit in reply.rate_limits]
        await self._say({**message, "limits": limits} if limits else message)

    async def _settle(self, session: Session, command: dict[str, Any]) -> None:
        name, about = command.get("id"), command["settle"]
        error = self._unknown.get(about) if isinstance(about, str | int) else None
        try:
            if error is None:
                raise ConfigurationError("settle names the id of a command whose outcome was unknown")
            fate = await session.settle(error, float(command.get("within", 30.0)))
        except BinanceSessionError as failure:
            await self._say(_error(name, failure))
            return
        order = None if fate.order is None else dict(fate.order)
        evidence = {"evidence": fate.evidence, "error": None if fate.error is None else str(fate.error)}
        await self._say({"type": "fate", "id": name, "took_effect": fate.took_effect, "order": order, **evidence})

    async def _say(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # that nobody reads ends the program by another way
            try:
                await self._write(message)
            except (ValueError, RecursionError) as error:
                why = f"the answer came, and no JSON can be made of it ({type(error).__name__})"
                about = {"id": message["id"], "outcome": message.get("outcome"), "error": "ProtocolError"}
                await self._write({"type": "error", **about, "message": why})


def _parsed(line: str) -> dict[str, Any]:
    """Return what a line says. Raises :class:`ConfigurationError`."""
    try:
        command = json.loads(line, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ConfigurationError("a command is one line of JSON, and this is none; nothing was sent") from None
    if not isinstance(command, dict):
        raise ConfigurationError(f"a command is an object, not {kind_of(command)}")
    if not isinstance(command.get("id"), str | int | None):
        command["id"] = None
        raise ConfigurationError("id is a text or a whole number")
    kind = "settle" if "settle" in command else "method"
    if unknown := sorted(command.keys() - _FIELDS[kind]):
        raise ConfigurationError(f"a command has {', '.join(sorted(_FIELDS[kind]))}, not {', '.join(unknown)}")
    if kind == "method" and not isinstance(command.get("method"), str):
        raise ConfigurationError("a command names its method, or what to settle")
    for field in ("timeout", "within"):
        if isinstance(command.get(field), Decimal):
            command[field] = float(command[field])
        if field in command:
            check_number(field, command[field])
    return command


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _error(name: object, error: BinanceSessionError) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": "error",
        "id": name,
        "outcome": error.outcome or "not_sent",
        "error": type(error).__name__,
        "message": str(error),
    }
    if isinstance(error, ApiError):
        said |= {"status": error.status, "code": error.code, "data": error.data}
    if isinstance(error, RateLimited):
        said |= {"retry_at": error.retry_at}
    return said
