"""What one session, or its stream sockets, may send to an address now.

After a 429 or a 418 nothing is sent, and nothing dialled, until the exchange takes requests again: a handshake costs
request weight too, and sending in spite of a 429 becomes a ban. A session that keeps a reserve of weight sends only
urgent requests once the rest of a minute's weight is used up. Documents: PROTOCOL.md §1.3 (the handshake's weight),
§8, §9.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from binance_session.clock import ServerClock
from binance_session.connections.addresslimits import NOT_HELD, AddressLimits, Hold, LimitsListener
from binance_session.connections.weight import WeightCount
from binance_session.errors import IpBanned, RateLimited
from binance_session.params import Params
from binance_session.reconnect import bounded_retry_after
from binance_session.responses import RateLimit
from binance_session.venues import Method

__all__ = ["Throttle"]

#: the code of a refusal that counts orders, not requests
_TOO_MANY_ORDERS: Final = -1015
#: seconds: the longest ban that is documented, three days, and the shortest, two minutes
_LONGEST_BAN: Final = 3 * 86_400.0
_SHORTEST_BAN: Final = 120.0
#: minutes: the longest interval that request weight is counted by
_LONGEST_WINDOW: Final = 60


class Throttle(LimitsListener):
    """One session's view of the limits of its address, which it shares with others."""

    def __init__(self, clock: ServerClock, weight_reserve: float | None, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` when something is held back, or no longer.

        ``weight_reserve`` is the share of the request weight kept for what must not wait, if any is.
        """
        self._clock = clock
        self._reserve = weight_reserve
        self._on_change = on_change
        self._on_suspended: Callable[[], None] | None = None
        self._limits: AddressLimits  # from the session's opening on
        self._timer: asyncio.TimerHandle | None = None
        #: counts the weight of what is sent, once an answer did not tell it although a reserve is kept
        self.count: WeightCount | None = None

    def use(self, url: str, way_out: str) -> None:
        """Follow the limits of the address of ``url``, as it counts what comes by that way out."""
        self._limits = AddressLimits.of(url, asyncio.get_running_loop(), way_out)

    def join(self, on_suspended: Callable[[], None] | None) -> None:
        """Follow the holds that other sessions meet too; call ``on_suspended``, if given, after each suspension."""
        self._on_suspended = on_suspended
        self._limits.join(self, watched=on_suspended is not None)

    def leave(self) -> None:
        """Follow nothing any more, and leave no timer."""
        self._limits.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Questions

    @property
    def is_open(self) -> bool:
        """Whether no request has to wait, nor to be counted."""
        return self.may_send and (
            self._reserve is None or (self.count is None and self._limits.ordinary.until <= _now())
        )

    @property
    def may_send(self) -> bool:
        """Whether anything may be sent."""
        return self._limits.everything.until <= _now()

    def hold_for(self, method: Method) -> Hold:
        """Return what ``method`` has to wait for, or ``NOT_HELD``."""
        if not self.may_send:
            return self._limits.everything
        if self._reserve is not None and not method.is_urgent and self._limits.ordinary.until > _now():
            return self._limits.ordinary
        return NOT_HELD

    def allows(self, method: Method) -> bool:
        """Tell whether ``method`` may leave now."""
        return self.hold_for(method) is NOT_HELD

    def held(self, now: float) -> str:
        """Return in words why nothing may be sent at ``now`` (loop time), "" if it may."""
        hold = self._limits.everything
        left = hold.until - now
        if left <= 0:
            return ""
        return f"this address is {'banned' if hold.is_ban else 'out of request weight'} for another {left:.0f} s"

    def refusal(self, hold: Hold, method: str | None) -> RateLimited:
        """Return the error for what is not sent because the exchange takes no requests."""
        kind, status = (IpBanned, 418) if hold.is_ban else (RateLimited, 429)
        if hold is self._limits.ordinary:
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
            raise self.refusal(self._limits.everything, None)

    async def wait(self, until: float = math.inf) -> None:
        """Return when something may be sent; the wait may grow while it lasts.

        Raises the refusal as soon as that will not be before ``until`` (loop time).
        """
        while not self.may_send:
            hold = self._limits.everything
            if hold.until > until:
                raise self.refusal(hold, None)
            await asyncio.sleep(hold.until - _now())

    async def wait_to_dial(self, until: float = math.inf) -> None:
        """Return when a connection may be attempted, and count the attempt; ``until`` as in :meth:`wait`."""
        await self.wait(until)
        while (wait := self._limits.attempt(asyncio.get_running_loop().time())) > 0:
            await asyncio.sleep(wait)
            await self.wait(until)

    # Answers

    def rate_limited(self, error: RateLimited) -> None:
        """Hold everything back until the exchange takes requests again; order limits concern orders only."""
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
        """Hold back all requests to the address, or those that can wait, of sessions that keep a reserve."""
        seconds = min(max(0.0, seconds), _LONGEST_BAN)
        hold = Hold(asyncio.get_running_loop().time() + seconds, self._clock.now() + seconds, is_ban)
        self._limits.hold(hold, ordinary_only=ordinary_only)

    def limits_changed(self) -> None:
        """Called when requests are held back, by an answer to this session or another."""
        if not self.is_open:
            self._changed()

    def process_suspended(self) -> None:
        """Called when the process runs again after a suspension."""
        if self._on_suspended is not None:
            self._on_suspended()

    def _changed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        ends = [hold.until for hold in (self._limits.everything, self._limits.ordinary) if hold.until > _now()]
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(min(ends), self._changed) if ends else None
        self._on_change()


def _makes_sense(limit: RateLimit) -> bool:
    """Tell whether the exchange can mean it: it keeps no limit of 0, and none by the month."""
    return limit.limit > 0 and 1 <= limit.interval_num <= _LONGEST_WINDOW


def _now() -> float:
    """Return the loop's time, a millisecond ahead: a hold whose timer has come is over, however the clock rounds."""
    return asyncio.get_running_loop().time() + 0.001
