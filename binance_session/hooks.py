"""The hooks of a session: those that a subclass may override, and how they are called: guarded, or not at all."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from random import uniform
from typing import Any

from binance_session.errors import ConfigurationError, why
from binance_session.keepalive import KeepaliveStatus
from binance_session.log import SessionLog
from binance_session.params import Params
from binance_session.responses import Event, ListenKey, RateLimit, Response
from binance_session.state import SessionState
from binance_session.stats import Stats

__all__ = ["Hooks", "SessionHooks"]


class SessionHooks:
    """What a subclass of :class:`~binance_session.Session` may override: plain methods, called on the event loop.

    An exception is logged and counted in ``stats.hook_errors``, and the session goes on. Those on the way of an answer
    run before the caller gets it, so the time that they take is latency.
    """

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        """Called after each change of state; ``cause`` is what lost or ended it, ``None`` if nothing went wrong."""

    def on_response(self, response: Response) -> None:
        """Called with each answer, error answers included, before its future ends."""

    def on_request(self, method: str, request_id: int) -> None:
        """Called with each request, the session's own included, before it is written."""

    def on_done(self, method: str, request_id: int, outcome: str, elapsed: float) -> None:
        """Called once with each request that :meth:`on_request` was called with, whatever its end.

        ``outcome`` is ``"answered"``, ``"rejected"``, ``"unknown"``, ``"not_sent"`` or ``"cancelled"`` (by its caller);
        ``elapsed`` are the seconds since it was given to the connection.
        """

    def on_event(self, event: Event) -> None:
        """Called with each event, gaps included, before a user data stream gets it.

        Events come while a user data stream is open; ``serverShutdown``, and on Spot what you subscribed to
        yourself, always. Such a subscription ends with its connection: that is a gap too.
        """

    def on_unmatched(self, message: object) -> None:
        """Called with each message that is no event and answers nothing: decoded, or as it came if it is no JSON."""

    def on_keepalive(self, status: KeepaliveStatus) -> None:
        """Called after each ping of the keepalive policy, successful or not."""

    def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
        """Called when the session gets, changes or gives up its listenKey; not when it is merely extended."""

    def on_connected(self, first: bool) -> None:
        """Called when a connection comes into use, before it takes the first request; ``first``: of the session.

        That is after ``open()``, after each reconnect, and in each rollover before the old connection is given up.
        What belongs to a connection (a subscription of your own, say) is made again from here: ``submit()`` writes to
        the new connection. The state is READY. In a rollover the old connection goes on bringing its events for two
        seconds, and until what is submitted here is answered; what both bring comes twice.
        """

    def on_failover(self, cause: Exception) -> None:
        """Called when the connection was lost and the standby is used from now on; ``cause`` is what ended it.

        Only with ``standby=True``. The state is READY before and after; ``on_connected(False)`` follows.
        """

    def on_reconnecting(self, attempt: int, delay: float, cause: Exception) -> None:
        """Called before each new attempt to connect, with the seconds until it starts and what made it needed.

        Those of ``open(patience=...)`` too: ``attempt`` 2 is the first that follows on one that failed.
        """

    def on_rate_limit(self, limits: tuple[RateLimit, ...]) -> None:
        """Called with the ``rateLimits`` of each answer that carries some."""

    def prepare(self, method: str, params: Params) -> Params:
        """Called with each request that you submit: returns the params to send instead of ``params``.

        The session's own requests (the keepalive's pings, the logon, subscriptions) do not come here.
        An exception here reaches the caller of ``submit()`` or ``request()`` as it is, and nothing is sent.
        """
        return params


class Hooks:
    """The overridden hooks of one session; ``None`` for each that nobody overrode."""

    __slots__ = (
        "_log",
        "_stats",
        "answered",
        "chance",
        "on_connected",
        "on_done",
        "on_event",
        "on_failover",
        "on_keepalive",
        "on_listen_key",
        "on_rate_limit",
        "on_reconnecting",
        "on_request",
        "on_response",
        "on_state_change",
        "on_unmatched",
        "prepare",
    )

    on_connected: Callable[[bool], None] | None
    on_done: Callable[[str, int, str, float], None] | None
    on_event: Callable[[Event], None] | None
    on_failover: Callable[[Exception], None] | None
    on_keepalive: Callable[[KeepaliveStatus], None] | None
    on_listen_key: Callable[[ListenKey | None, ListenKey | None], None] | None
    on_rate_limit: Callable[[tuple[RateLimit, ...]], None] | None
    on_reconnecting: Callable[[int, float, Exception], None] | None
    on_request: Callable[[str, int], None] | None
    on_response: Callable[[Response], None] | None
    on_state_change: Callable[[SessionState, SessionState, Exception | None], None] | None
    on_unmatched: Callable[[object], None] | None
    prepare: Callable[[str, Params], Params] | None

    def __init__(self, session: SessionHooks, stats: Stats, log: SessionLog) -> None:
        """Look up what ``session`` overrides.

        Raises :class:`ConfigurationError` for a hook that is a coroutine function: a hook runs inside the dispatch
        of an answer, where nothing can be awaited.
        """
        self._stats = stats
        self._log = log
        #: called with a policy, the situation that it was asked about, and its answer
        self.answered: Callable[[Any, tuple[Any, ...], float | None], None] | None = None
        #: draws a number from between two
        self.chance: Callable[[float, float], float] = uniform
        for name in self.__slots__[4:]:
            overridden = getattr(type(session), name) is not getattr(SessionHooks, name)
            hook = getattr(session, name) if overridden else None
            if inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook):
                raise ConfigurationError(
                    f"{name} is a plain method, not async: start a task from it if it has something to await"
                )
            # `prepare` answers with params: what it raises is the caller's to see
            setattr(self, name, self._guarded(name, hook) if hook is not None and name != "prepare" else hook)

    def also(self, name: str, function: Callable[..., object]) -> None:
        """Call ``function`` too, before the hook of this name if that was overridden."""
        own, told = getattr(self, name), self._guarded(name, function)

        def both(*args: Any) -> None:
            told(*args)
            own(*args)

        setattr(self, name, told if own is None else both)

    def ask(self, policy: Any, fallback: Any, *situation: Any) -> float | None:
        """Return ``policy.next_delay(*situation)``; where a policy raises or answers nonsense, the fallback's."""
        delay = self._ask(policy, fallback, *situation)
        if self.answered is not None:
            self.answered(policy, situation, delay)
        return delay

    def _ask(self, policy: Any, fallback: Any, *situation: Any) -> float | None:
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

    def answer_hook(
        self, limits_told: Callable[[tuple[RateLimit, ...]], None] | None
    ) -> Callable[[Response], None] | None:
        """Return what to call with every answer: the hooks, and ``limits_told``; ``None`` when there is nothing."""
        on_response = self.on_response
        on_rate_limit = self.on_rate_limit
        if limits_told is None and on_rate_limit is None:
            return on_response

        def all_of_them(response: Response) -> None:
            if on_response is not None:
                on_response(response)
            limits = response.rate_limits
            if limits_told is not None:
                limits_told(limits)  # also when there are none
            if limits and on_rate_limit is not None:
                on_rate_limit(limits)

        return all_of_them

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
