"""Whether a request may leave now: what the exchange's refusals and its counting of weight mean for one session.

After a 429 or a 418 nothing is sent, and nothing dialled, until the exchange listens again: a handshake costs request
weight too, and what is sent against a 429 becomes a ban. A session that keeps a reserve of weight lets only urgent
requests through once the rest of a minute's weight is used up. Documents: PROTOCOL.md §1.3 (the handshake's weight),
§8, §9.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from binance_session.clock import ServerClock
from binance_session.connections.sharedlimits import NOT_HELD, Guest, Hold, Host
from binance_session.connections.weight import WeightCount
from binance_session.errors import IpBanned, RateLimited
from binance_session.params import Params
from binance_session.reconnect import bounded_retry_after
from binance_session.responses import RateLimit
from binance_session.venues import Method

__all__ = ["Gate"]

#: the code of a refusal that counts orders, not requests
_TOO_MANY_ORDERS: Final = -1015
#: seconds: the longest ban that is documented, three days, and the shortest, two minutes
_LONGEST_BAN: Final = 3 * 86_400.0
_SHORTEST_BAN: Final = 120.0
#: minutes: the longest interval that request weight is counted by
_LONGEST_WINDOW: Final = 60


class Gate(Guest):
    """One session's view of its host, which it shares with others."""

    def __init__(
        self,
        clock: ServerClock,
        weight_reserve: float | None,
        on_change: Callable[[], None],
        on_woke: Callable[[], None],
    ) -> None:
        """Call ``on_change`` when something is held back, or no longer; ``on_woke`` after a suspension.

        ``weight_reserve`` is the share of the request weight kept for what must not wait, if any is.
        """
        self._clock = clock
        self._reserve = weight_reserve
        self._on_change = on_change
        self._on_woke = on_woke
        self._host: Host  # from the session's opening on
        self._timer: asyncio.TimerHandle | None = None
        #: the weight of what is sent, once an answer did not tell it to who keeps a reserve
        self.count: WeightCount | None = None

    def at(self, url: str, way_out: str) -> None:
        """Stand before the host of ``url``, as it sees who comes that way."""
        self._host = Host.of(url, asyncio.get_running_loop(), way_out)

    def join(self, *, watched: bool) -> None:
        """Hear of what concerns every session there; ``watched``: of suspensions too."""
        self._host.join(self, watched=watched)

    def leave(self) -> None:
        """Hear of nothing any more, and leave no timer."""
        self._host.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Questions

    @property
    def is_open(self) -> bool:
        """Whether no request has to wait, nor to be counted."""
        return self.may_send and (self._reserve is None or (self.count is None and self._host.ordinary.until <= _now()))

    @property
    def may_send(self) -> bool:
        """Whether the host wants to hear of us at all."""
        return self._host.everything.until <= _now()

    def hold_on(self, method: Method) -> Hold:
        """Return what ``method`` has to wait for, or ``NOT_HELD``."""
        if not self.may_send:
            return self._host.everything
        if self._reserve is not None and not method.is_urgent and self._host.ordinary.until > _now():
            return self._host.ordinary
        return NOT_HELD

    def lets(self, method: Method) -> bool:
        """Tell whether ``method`` may leave now."""
        return self.hold_on(method) is NOT_HELD

    def refusal(self, hold: Hold, method: str | None) -> RateLimited:
        """Return the error for what is not sent because the exchange does not listen."""
        kind, status = (IpBanned, 418) if hold.is_ban else (RateLimited, 429)
        if hold is self._host.ordinary:
            why = "held back here: weight_reserve keeps the rest of the request weight for cancels and pings"
        else:
            why = f"this address is {'banned' if hold.is_ban else 'out of request weight'}"
        return kind(
            status,
            -1003,
            why,
            {"retryAfter": int(hold.retry_at * 1000)},
            method=method,
            outcome="not_sent",
            now=self._clock.now(),
        )

    def refuse_to_open(self) -> None:
        """Raise the refusal if nothing may be sent now: a session is not opened into a ban."""
        if not self.may_send:
            raise self.refusal(self._host.everything, None)

    async def host_listens(self, until: float = math.inf) -> None:
        """Return when the host wants to hear of us; the wait may grow while it lasts.

        Raises the refusal as soon as that will not be before ``until`` (loop time).
        """
        while not self.may_send:
            hold = self._host.everything
            if hold.until > until:
                raise self.refusal(hold, None)
            await asyncio.sleep(hold.until - _now())

    async def may_dial(self, until: float = math.inf) -> None:
        """Return when a connection may be attempted, and count the attempt; ``until`` as in :meth:`host_listens`."""
        await self.host_listens(until)
        while (wait := self._host.attempt(asyncio.get_running_loop().time())) > 0:
            await asyncio.sleep(wait)
            await self.host_listens(until)

    # Answers

    def rate_limited(self, error: RateLimited) -> None:
        """Hold everything back until the exchange listens again; order limits concern orders only."""
        if error.code == _TOO_MANY_ORDERS:
            return
        is_ban = isinstance(error, IpBanned)
        now = error.server_time or self._clock.now()
        seconds = 0.0 if error.retry_at is None else error.retry_at - now
        if seconds <= 0:  # not told, or over before it began: one of the clocks is wrong
            seconds = _SHORTEST_BAN if is_ban else 60 - now % 60  # the weight is counted by the minute
        self.hold(bounded_retry_after(seconds, is_ban=is_ban), is_ban=is_ban)

    def limits_told(self, limits: tuple[RateLimit, ...]) -> None:
        """Keep the reserve of request weight, once the rest of the minute's is used up.

        Where an answer says nothing of it (``returnRateLimits=false``), it is counted from now on.
        """
        share = 1 - (self._reserve or 0.0)
        for limit in limits:
            if limit.type == "REQUEST_WEIGHT" and limit.interval == "MINUTE":
                if _makes_sense(limit) and limit.count >= limit.limit * share:
                    window = 60 * limit.interval_num
                    self.hold(window - self._clock.now() % window, ordinary_only=True)
                return
        if self.count is None:
            self.count = WeightCount()
            self._on_change()

    def sent(self, method: Method, params: Params | None) -> bool:
        """Count a request that was sent, if that is to be done; return whether to ask the exchange for its count."""
        count = self.count
        if count is None:
            return False
        count.sent(method.weight.of(params or {}), self._clock.now())
        self._keep_reserve(count)
        return count.is_due

    def weight_told(self, limits: tuple[RateLimit, ...], asked: tuple[float, int]) -> bool:
        """Take in the answer to a question; ``asked`` as in :meth:`WeightCount.told`. Return whether it told."""
        for limit in limits:
            if (
                limit.type == "REQUEST_WEIGHT"
                and limit.interval == "MINUTE"
                and self.count is not None
                and _makes_sense(limit)
            ):
                self.count.told(limit.count, limit.limit, asked, self._clock.now())
                self._keep_reserve(self.count)
                return True
        return False

    def _keep_reserve(self, count: WeightCount) -> None:
        if count.used >= count.limit * (1 - (self._reserve or 0.0)):
            self.hold(60 - self._clock.now() % 60, ordinary_only=True)

    def hold(self, seconds: float, *, is_ban: bool = False, ordinary_only: bool = False) -> None:
        """Hold back all requests to the host, or those that can wait, of sessions that keep a reserve."""
        seconds = min(max(0.0, seconds), _LONGEST_BAN)
        hold = Hold(asyncio.get_running_loop().time() + seconds, self._clock.now() + seconds, is_ban)
        self._host.hold(hold, ordinary_only=ordinary_only)

    def host_holds(self) -> None:
        """Take note of a hold, whoever caused it."""
        if not self.is_open:
            self._changed()

    def host_woke(self) -> None:
        """Pass it on that the process was suspended."""
        self._on_woke()

    def _changed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        ends = [hold.until for hold in (self._host.everything, self._host.ordinary) if hold.until > _now()]
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(min(ends), self._changed) if ends else None
        self._on_change()


def _makes_sense(limit: RateLimit) -> bool:
    """Tell whether the exchange can mean it: a limit of nothing, or by the month, is none that it keeps."""
    return limit.limit > 0 and 1 <= limit.interval_num <= _LONGEST_WINDOW


def _now() -> float:
    """Return the loop's time, a millisecond ahead: a hold whose timer has come is over, however the clock rounds."""
    return asyncio.get_running_loop().time() + 0.001
