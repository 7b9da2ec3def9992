"""When to try again: one count of attempts, and what the reconnect policy says of the next one.

Pure: how long a connection lasted is an argument, the delay is the answer; who asks waits, or gives up.
"""

from __future__ import annotations

from random import uniform
from typing import Final

from binance_session.errors import ConnectError, LogonRejected
from binance_session.hooks import Hooks
from binance_session.reconnect import ExponentialBackoff, ReconnectPolicy

__all__ = ["AFTER_REFUSED_LOGON", "HEALTHY", "Attempts"]

#: seconds that a connection must have lasted for its loss to be no reason to wait
HEALTHY: Final = 10.0
#: seconds: the least distance between two logons of which the first was refused, whatever the policy says
AFTER_REFUSED_LOGON: Final = 1.0
#: stands in for a reconnect policy that fails
_FALLBACK: Final = ExponentialBackoff()


class Attempts:
    """The attempts at one thing: how many were made in a row, and when the next one may start."""

    __slots__ = ("_hooks", "_policy", "_start", "count", "refusals")

    def __init__(self, policy: ReconnectPolicy, hooks: Hooks | None, *, count: int = 0) -> None:
        """Ask ``policy``, guarded by ``hooks`` unless it is this package's own.

        ``count``: how many attempts were made already.
        """
        self._policy = policy
        self._hooks = hooks
        self._start = count
        #: the number of the next attempt, once one has failed
        self.count = count
        #: how many logons were refused in a row
        self.refusals = 0

    def reset(self) -> None:
        """Count from the start again: what was attempted works, or is no longer attempted."""
        self.count = self._start
        self.refusals = 0

    def chance(self, low: float, high: float) -> float:
        """Return a number from between, so that many sessions do not do the same at the same moment."""
        return uniform(low, high) if self._hooks is None else self._hooks.chance(low, high)

    def failed(self, cause: Exception, *, lasted: float = 0.0) -> float | None:
        """Count a failure; return the seconds until the next attempt may start, ``None`` to give up.

        A connection that ``lasted`` for ``HEALTHY`` seconds makes the next attempt the first one again. The delay is
        the policy's, but at least the ``Retry-After`` of ``cause``, and at least a second after a refused logon, whose
        error is given its number among the refusals in a row.
        """
        self.count = 1 if lasted >= HEALTHY else self.count + 1
        if isinstance(cause, LogonRejected):
            self.refusals += 1
            cause.refusals = self.refusals
        if self._hooks is None:
            delay = self._policy.next_delay(self.count, cause)
        else:
            delay = self._hooks.ask(self._policy, _FALLBACK, self.count, cause)
        if delay is None:
            return None
        if isinstance(cause, LogonRejected):
            return max(delay, AFTER_REFUSED_LOGON)
        if isinstance(cause, ConnectError) and cause.retry_after is not None:
            return max(delay, cause.retry_after)
        return delay

    def repeated(self, cause: Exception, *, lasted: float) -> float | None:
        """Return as :meth:`failed` when something is needed again soon; reset, and 0.0, when it ``lasted``.

        For what is no failure by itself, but must not be done without end: a new connection for one that the exchange
        announces to end, a new logon for one that it revoked.
        """
        if lasted >= HEALTHY:
            self.reset()
            return 0.0
        return self.failed(cause)
