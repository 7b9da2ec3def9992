"""Requests from other threads: handed over without a lock, many with one wake-up of the event loop."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from binance_session.responses import Response

__all__ = ["Handoff"]

_Answer = Future[Response]


class Handoff:
    """Takes requests in any thread, and submits them on the event loop in the order in which they came."""

    __slots__ = ("_loop", "_submit", "_waiting", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop, submit: Callable[..., asyncio.Future[Response]]) -> None:
        self._loop = loop
        self._submit = submit
        self._waiting: deque[tuple[_Answer, tuple[Any, ...], dict[str, Any]]] = deque()
        self._woken = False

    def give(self, args: tuple[Any, ...], options: dict[str, Any]) -> _Answer:
        """Hand a request over; raise :class:`RuntimeError` if the loop is closed."""
        answer: _Answer = Future()
        self._waiting.append((answer, args, options))
        # Whoever finds it set has appended before the loop clears it, and so before the loop looks.
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._take)
        return answer

    def _take(self) -> None:
        self._woken = False
        waiting, submit = self._waiting, self._submit
        while waiting:
            answer, args, options = waiting.popleft()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                future = submit(*args, **options)
            except BaseException as error:
                answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                future.add_done_callback(functools.partial(_hand_back, answer))


def _hand_back(answer: _Answer, future: asyncio.Future[Response]) -> None:
    if future.cancelled():
        answer.set_exception(asyncio.CancelledError())
    elif (error := future.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(future.result())
