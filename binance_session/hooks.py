"""The hooks that a subclass overrode, each guarded: what it raises is logged and counted, and hurts nothing."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from typing import Any

from binance_session.errors import ConfigurationError, why
from binance_session.keepalive import KeepaliveStatus
from binance_session.log import SessionLog
from binance_session.params import Params
from binance_session.responses import Event, ListenKey, RateLimit, Response
from binance_session.state import SessionState
from binance_session.stats import Stats

__all__ = ["Hooks"]


class Hooks:
    """The overridden hooks of one session; ``None`` for each that nobody overrode."""

    __slots__ = (
        "_log",
        "_stats",
        "on_connected",
        "on_event",
        "on_keepalive",
        "on_listen_key",
        "on_rate_limit",
        "on_reconnecting",
        "on_response",
        "on_state_change",
        "on_unmatched",
        "prepare",
    )

    on_connected: Callable[[bool], None] | None
    on_event: Callable[[Event], None] | None
    on_keepalive: Callable[[KeepaliveStatus], None] | None
    on_listen_key: Callable[[ListenKey | None, ListenKey | None], None] | None
    on_rate_limit: Callable[[tuple[RateLimit, ...]], None] | None
    on_reconnecting: Callable[[int, float, Exception], None] | None
    on_response: Callable[[Response], None] | None
    on_state_change: Callable[[SessionState, SessionState, Exception | None], None] | None
    on_unmatched: Callable[[object], None] | None
    prepare: Callable[[str, Params], Params] | None

    def __init__(self, session: object, base: type, stats: Stats, log: SessionLog) -> None:
        """Look the hooks up in ``session``; those that ``base`` defines count as not overridden.

        Raises :class:`ConfigurationError` for a hook that is a coroutine function: a hook runs inside the dispatch
        of an answer, where nothing can be awaited.
        """
        self._stats = stats
        self._log = log
        for name in self.__slots__[2:]:
            overridden = getattr(type(session), name) is not getattr(base, name)
            hook = getattr(session, name) if overridden else None
            if inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook):
                raise ConfigurationError(
                    f"{name} is a plain method, not async: start a task from it if it has something to await"
                )
            # `prepare` answers with params: what it raises is the caller's to see
            setattr(self, name, self._guarded(name, hook) if hook is not None and name != "prepare" else hook)

    def ask(self, policy: Any, fallback: Any, *situation: Any) -> float | None:
        """Return ``policy.next_delay(*situation)``; where a policy raises or answers nonsense, the fallback's."""
        try:
            delay = policy.next_delay(*situation)
            if delay is None or (math.isfinite(delay) and delay >= 0):
                return None if delay is None else float(delay)
            complaint: object = f"it answered {delay!r}"
        except (Exception, asyncio.CancelledError) as error:
            complaint = f"{type(error).__name__}: {why(error)}"
        self._stats.hook_errors += 1
        self._log.error("the policy %r failed (%s); %r stands in", policy, complaint, fallback)
        return fallback.next_delay(*situation)  # type: ignore[no-any-return]

    def _guarded(self, name: str, hook: Callable[..., object]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            try:
                answer = hook(*args)
                if inspect.iscoroutine(answer):
                    answer.close()
                    raise TypeError(f"{name} returned a coroutine, which nobody awaits: it must be a plain method")
            except (Exception, asyncio.CancelledError):  # e.g. the result of a cancelled future, asked for in the hook
                self._stats.hook_errors += 1
                self._log.exception("the hook %s raised; the session goes on", name)

        return call
