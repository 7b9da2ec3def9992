"""Request weights of an address and order counts of an account (PROTOCOL.md §8).

Windows are aligned to the calendar: one minute ends at :00, ten seconds at :00, :10, …, a day at 00:00 UTC.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import define, field

from binance_session.simulator.refusals import Refusal
from binance_session.venues import Venue

__all__ = ["Counter", "Limits", "Traffic"]

_SECONDS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
_FIRST_BAN: Final = 120.0
_LONGEST_BAN: Final = 3 * 86400.0
#: §1.3, Spot: 300 connection attempts in 5 minutes
_ATTEMPTS: Final = (300, "MINUTE", 5)


@define
class Counter:
    """One calendar window: how much of ``limit`` is used in the current one."""

    kind: str
    limit: int
    interval: str
    number: int
    count: int = 0
    _window: int = -1
    _length: int = field(init=False)

    @_length.default
    def _seconds(self) -> int:
        return _SECONDS[self.interval] * self.number

    def add(self, cost: int, now: float) -> bool:
        """Count ``cost`` at ``now`` (Unix seconds), and return whether the limit holds."""
        self.roll(now)
        self.count += cost
        return self.count <= self.limit

    def roll(self, now: float) -> bool:
        """Empty the window if a new one has begun, and return whether it has."""
        window = int(now // self._length)
        if window == self._window:
            return False
        self._window = window
        self.count = 0
        return True

    @property
    def ends(self) -> int:
        """When the current window ends, in Unix ms."""
        return (self._window + 1) * self._length * 1000

    def entry(self) -> dict[str, Any]:
        """Return the window as an element of ``rateLimits``."""
        return {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.number,
            "limit": self.limit,
            "count": self.count,
        }


@define
class Traffic:
    """What one address has used, and how it was punished. ``banned_until`` is in Unix seconds."""

    weight: Counter
    attempts: Counter
    refusals: int = 0
    bans: int = 0
    banned_until: float = 0.0


class Limits:
    """All counters of one exchange.

    ``enforce=False`` counts but never refuses. ``ban_after`` is how many 429 in one window an address may ignore before
    it is banned with 418: for 2 minutes at first, doubling up to 3 days.
    """

    def __init__(self, venue: Venue, *, enforce: bool = True, ban_after: int = 10) -> None:
        self._venue = venue
        self._enforce = enforce
        self._ban_after = ban_after
        self._limits_attempts = not venue.has_listen_key
        self._traffic: dict[str, Traffic] = {}
        self._orders: dict[object, tuple[Counter, ...]] = {}

    def traffic(self, address: str) -> Traffic:
        """Return the counters of an IP address."""
        traffic = self._traffic.get(address)
        if traffic is None:
            weight = Counter("REQUEST_WEIGHT", self._venue.weight_per_minute, "MINUTE", 1)
            traffic = self._traffic[address] = Traffic(weight, Counter("CONNECTIONS", *_ATTEMPTS))
        return traffic

    def ban(self, address: str, until: float) -> None:
        """Ban an address until ``until`` (Unix seconds), whatever it did."""
        self.traffic(address).banned_until = until

    def is_banned(self, address: str, now: float) -> bool:
        """Return whether an address is banned at ``now`` (Unix seconds)."""
        return now < self.traffic(address).banned_until

    def charge(self, address: str, cost: int, now: float) -> None:
        """Count a request's weight. Raises :class:`Refusal`: 429 over the limit, 418 while banned (-1003)."""
        traffic = self.traffic(address)
        weight = traffic.weight
        if weight.roll(now):
            traffic.refusals = 0
        weight.count += cost
        if not self._enforce:
            return
        if now < traffic.banned_until:
            raise _banned(traffic.banned_until, now)
        if weight.count <= weight.limit:
            return
        traffic.refusals += 1
        if traffic.refusals > self._ban_after:
            length = min(_FIRST_BAN * 2**traffic.bans, _LONGEST_BAN)
            traffic.bans += 1
            traffic.banned_until = now + length
            raise _banned(traffic.banned_until, now)
        raise Refusal(
            429,
            -1003,
            f"Too much request weight used; current limit is {weight.limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
            {"serverTime": int(now * 1000), "retryAfter": weight.ends},
        )

    def charge_connection(self, address: str, now: float) -> None:
        """Count a handshake (PROTOCOL.md §1.3). Raises :class:`Refusal`: as :meth:`charge`, and 429 for too many."""
        attempts = self.traffic(address).attempts
        if not attempts.add(1, now) and self._enforce and self._limits_attempts:
            raise Refusal(
                429,
                -1034,
                f"Too many connection attempts from IP; current limit is {attempts.limit} per '5 MINUTE'.",
            )
        self.charge(address, self._venue.connection_weight, now)

    def orders(self, account: object, now: float) -> tuple[Counter, ...]:
        """Return the order counters of an account, as of ``now`` (Unix seconds)."""
        counters = self._orders.get(account)
        if counters is None:
            counters = tuple(Counter("ORDERS", *limit) for limit in self._venue.order_limits)
            self._orders[account] = counters
        for counter in counters:
            counter.roll(now)
        return counters

    def charge_orders(self, account: object, orders: int, now: float) -> None:
        """Count new orders of an account. Raises :class:`Refusal` with 429 and -1015 over a limit.

        An exhausted longer window refuses although a shorter one is free. A refused order is not counted.
        """
        self.check_orders(account, orders, now)
        for counter in self.orders(account, now):
            counter.count += orders

    def check_orders(self, account: object, orders: int, now: float) -> None:
        """Refuse as :meth:`charge_orders` does, and count nothing."""
        for counter in self.orders(account, now):
            if self._enforce and counter.count + orders > counter.limit:
                raise Refusal(
                    429,
                    -1015,
                    f"Too many new orders; current limit is {counter.limit} orders"
                    f" per {counter.number} {counter.interval}.",
                    {"serverTime": int(now * 1000), "retryAfter": counter.ends},
                )

    def refund(self, address: str, cost: int) -> None:
        """Take back the weight of a request that turned out to cost nothing."""
        weight = self.traffic(address).weight
        weight.count = max(weight.count - cost, 0)

    def uncharge_orders(self, account: object, orders: int, now: float) -> None:
        """Take orders off the account's counts again: they were refused, or are filled for the first time (Spot)."""
        for counter in self.orders(account, now):
            counter.count = max(counter.count - orders, 0)


def _banned(until: float, now: float) -> Refusal:
    until_ms = int(until * 1000)
    return Refusal(
        418,
        -1003,
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
        {"serverTime": int(now * 1000), "retryAfter": until_ms},
    )
