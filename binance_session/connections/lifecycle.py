"""What state a session is in, who waits for another one, and why it ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from binance_session.errors import BinanceSessionError, ConfigurationError, SessionClosed
from binance_session.hooks import Hooks
from binance_session.log import SessionLog, Troubles
from binance_session.state import SESSION_TABLE, Machine, SessionEvent, SessionState, reachable

__all__ = ["Lifecycle"]


class Lifecycle:
    """The only writer of a session's state."""

    __slots__ = ("_hooks", "_log", "_machine", "_waiters", "failure", "troubles")

    def __init__(self, hooks: Hooks, log: SessionLog) -> None:
        self._hooks = hooks
        self._log = log
        self._machine = Machine(SESSION_TABLE, SessionState.NEW, self._changed)
        self._waiters: list[tuple[SessionState, asyncio.Future[None]]] = []
        #: what was warned about since the session was READY
        self.troubles = Troubles(log)
        #: why the session failed, once it has
        self.failure: Exception | None = None

    @property
    def state(self) -> SessionState:
        """The session's state."""
        return self._machine.state

    @property
    def is_over(self) -> bool:
        """Whether the session ends, or has ended."""
        return self.state.is_final or self.state is SessionState.CLOSING

    def advance(self, event: SessionEvent, cause: Exception | None = None) -> None:
        """Move along the table; what changes the state is logged, and passed to who waits and to the hook."""
        self._machine.advance(event, cause)

    def _changed(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        because = f": {cause}" if cause is not None else ""
        level = logging.INFO
        if cause is not None:
            level = logging.WARNING if new.is_final else self.troubles.level(cause)
        told = {"state": new.value, "cause": None if cause is None else type(cause).__name__}
        self._log.log(level, "session %s -> %s%s", old.value, new.value, because, extra=told)
        waiters, self._waiters = self._waiters, []
        for goal, future in waiters:
            if future.done():
                continue
            with contextlib.suppress(RuntimeError):  # its event loop is closed
                if goal is new:
                    future.set_result(None)
                elif not reachable(SESSION_TABLE, new, goal):
                    future.set_exception(self._final_error(f"the session is {new.value}"))
                else:
                    self._waiters.append((goal, future))
        if self._hooks.on_state_change is not None:
            self._hooks.on_state_change(old, new, cause)

    async def wait_for(self, goal: SessionState, timeout: float | None = None) -> None:
        """Return when the state is ``goal``; raise at once when it never can be, or the session's failure.

        After ``timeout`` seconds it raises the built-in ``TimeoutError``.
        """
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                await self._reach(goal)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TimeoutError(
                f"the session is {self.state.name}: it did not become {goal.name} within {timeout:g} s"
            ) from None

    async def _reach(self, goal: SessionState) -> None:
        if self.state is goal:
            return
        if not reachable(SESSION_TABLE, self.state, goal):
            if goal is SessionState.NEW and not self.is_over:
                raise ConfigurationError(
                    f"the session is {self.state.name} and will never be NEW again: wait for another state"
                )
            raise self._final_error(f"the session is {self.state.value} and will never be {goal.value}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (goal, future)
        self._waiters.append(waiter)
        try:
            await future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _final_error(self, what: str) -> Exception:
        """Return the error for a state that will not come."""
        if self.failure is None:
            return self.ended(what)
        return self.failure.with_traceback(None)  # raised more than once, it would collect tracebacks

    def ended(self, what: str, method: str | None = None) -> BinanceSessionError:
        """Return the error for what an ended session cannot do; ``what`` says what it was."""
        if self.failure is None:
            return SessionClosed(f"{what}; make a new Session", method=method)
        error = SessionClosed(f"{what}, because {self.failure}", method=method)
        error.__cause__ = self.failure
        return error
