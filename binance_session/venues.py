"""The venues: their addresses, their limits, and their methods.

Everything here is a table. Sources: PROTOCOL.md §1 (addresses, heartbeat, lifetime), §8 (limits).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve, field, frozen

from binance_session.catalogue import (
    COIN_M_METHODS,
    SPOT_METHODS,
    USD_M_METHODS,
    Auth,
    Method,
    Security,
    SecurityName,
    Weight,
)
from binance_session.errors import ConfigurationError
from binance_session.masking import kind_of, shown

__all__ = [
    "COIN_M",
    "COIN_M_TESTNET",
    "SPOT",
    "SPOT_TESTNET",
    "USD_M",
    "USD_M_TESTNET",
    "Auth",
    "Method",
    "Security",
    "Venue",
    "Weight",
    "nearest",
]


_VERSION: Final = re.compile(r"v\d+/")


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the most similar of ``names``, ``None`` if none is similar."""
    by_lower = {known.lower(): known for known in names}
    found = difflib.get_close_matches(name[:100].lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


@frozen
class Venue:
    """One exchange API: where it is, what it offers, and its limits.

    ``stream_url`` is the base of the event socket, ``None`` where events arrive on the API socket itself (Spot).
    ``stream_path`` goes behind it, with the listenKey for ``{key}``. Times are in seconds.
    """

    name: str
    url: str
    stream_url: str | None
    methods: Mapping[str, Method] = field(repr=False)
    #: what a USER_STREAM method must carry here: on futures the apiKey only, on Spot a signature
    user_stream_auth: Auth = Auth.KEY
    has_logon: bool = True
    has_listen_key: bool = True
    #: whether the text of a 503 tells that the request failed; where not, the outcome of every 5xx is unknown
    explains_503: bool = True
    listen_key_lifetime: float = 3600.0
    lifetime: float = 86400.0
    server_ping_interval: float = 180.0
    pong_timeout: float = 600.0
    connection_weight: int = 5
    weight_per_minute: int = 2400
    #: (limit, interval as in ``rateLimits``, number of intervals) of the account's order counts
    order_limits: tuple[tuple[int, str, int], ...] = ((300, "SECOND", 10), (1200, "MINUTE", 1))
    max_recv_window: int = 60_000
    testnet: bool = False
    stream_path: str = "/ws/{key}"

    @classmethod
    def named(cls, name: str) -> Venue:
        """Return the venue of this name: ``"coin-m"``, ``"usd-m"``, ``"spot"``, or one with ``-testnet`` behind it.

        Raises :class:`ConfigurationError` for another name.
        """
        found = _NAMED.get(name.lower().replace(" ", "-")) if isinstance(name, str) else None
        if found is None:
            meant = nearest(name, _NAMED) if isinstance(name, str) else None
            hint = f"did you mean {meant!r}?" if meant is not None else f"there are {', '.join(_NAMED)}"
            said = shown(repr(name), 100) if isinstance(name, str) else kind_of(name)
            raise ConfigurationError(f"there is no venue {said}: {hint}")
        return found

    def table(self) -> str:
        """Return the methods that the catalogue knows, one on each line, with their security type and request weight.

        ``print(COIN_M.table())``. A weight that depends on parameters is shown as ``5+``.
        """
        width = max(map(len, self.methods))
        rows = []
        for name, method in self.methods.items():
            plain = Weight(method.weight.default)
            weight = f"{method.weight.default}{'' if method.weight == plain else '+'}"
            rows.append(f"{name:<{width}}  {method.security:<11}  {weight}")
        return "\n".join(rows)

    def method(self, name: str, security: SecurityName | None = None) -> Method:
        """Return the catalogue's entry for ``name``, which may carry a version (``v2/account.status``).

        For a method that is not in the catalogue ``security`` is required: a wrong guess would send an order unsigned,
        or a key where none belongs. Raises :class:`ConfigurationError` without it, for a security type that does not
        exist, and for a name that is not a string.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"the method must be a non-empty string such as 'order.place', not {kind_of(name)}"
            )
        if security is not None:
            try:
                kind = Security(security)
            except ValueError:
                names = ", ".join(Security)
                raise ConfigurationError(f"security must be one of {names}, not {security!r}", method=name) from None
            return Method(name, kind, Weight(1), self._auth(kind))
        known = self.methods.get(name)
        if known is None:
            versioned = _VERSION.match(name)
            known = self.methods.get(name[versioned.end() :]) if versioned else None
            if known is None:
                raise ConfigurationError(self._unknown(name), method=shown(name, 100))
            known = evolve(known, name=name)
        return known

    def _unknown(self, name: str) -> str:
        """Return the message for a method that is not in the catalogue, with what may have been meant."""
        bare = name[found.end() :] if (found := _VERSION.match(name)) else name
        message = f"{self.name} has no method {shown(name, 100)!r} in its catalogue"
        meant = nearest(bare, self.methods)
        elsewhere = [venue.name for venue in (COIN_M, USD_M, SPOT) if bare in venue.methods]
        if elsewhere:
            message += f": it is a method of {' and '.join(elsewhere)}"
        elif meant is not None:
            message += f": did you mean {meant!r}?"
        message += "" if message.endswith("?") else "."
        return (
            f"{message} If the exchange has it, name its security type:"
            " security='NONE', 'USER_STREAM', 'USER_DATA' or 'TRADE'"
        )

    def _auth(self, security: Security) -> Auth:
        if security is Security.NONE:
            return Auth.NOTHING
        if security is Security.USER_STREAM:
            return self.user_stream_auth
        return Auth.SIGNED


COIN_M: Final = Venue(
    "COIN-M",
    "wss://ws-dapi.binance.com/ws-dapi/v1",
    "wss://dstream.binance.com",
    COIN_M_METHODS,
)
COIN_M_TESTNET: Final = evolve(
    COIN_M,
    name="COIN-M testnet",
    url="wss://testnet.binancefuture.com/ws-dapi/v1",
    stream_url="wss://dstream.binancefuture.com",
    testnet=True,
)
USD_M: Final = Venue(
    "USD-M",
    "wss://ws-fapi.binance.com/ws-fapi/v1",
    # /private: unrouted sockets have been silent since 2026-04-23 (PROTOCOL.md §1.2)
    "wss://fstream.binance.com/private",
    USD_M_METHODS,
    # without `events`, which is an allow list; the path form is said to be silent in production (PROTOCOL.md §1.2)
    stream_path="/ws?listenKey={key}",
)
USD_M_TESTNET: Final = evolve(
    USD_M,
    name="USD-M testnet",
    url="wss://testnet.binancefuture.com/ws-fapi/v1",
    # demo-fstream.binance.com is the demo's (PROTOCOL.md §1.2, §1.4); this one is what clients of the testnet use
    stream_url="wss://fstream.binancefuture.com/private",
    testnet=True,
)
SPOT: Final = Venue(
    "Spot",
    "wss://ws-api.binance.com:443/ws-api/v3",
    None,
    SPOT_METHODS,
    user_stream_auth=Auth.SIGNED,
    has_listen_key=False,
    explains_503=False,
    server_ping_interval=20.0,
    pong_timeout=60.0,
    connection_weight=2,
    weight_per_minute=6000,
    order_limits=((50, "SECOND", 10), (160_000, "DAY", 1)),
)
SPOT_TESTNET: Final = evolve(
    SPOT, name="Spot testnet", url="wss://ws-api.testnet.binance.vision/ws-api/v3", testnet=True
)
#: by the names that people type
_NAMED: Final[Mapping[str, Venue]] = {
    "coin-m": COIN_M,
    "coin-m-testnet": COIN_M_TESTNET,
    "usd-m": USD_M,
    "usd-m-testnet": USD_M_TESTNET,
    "spot": SPOT,
    "spot-testnet": SPOT_TESTNET,
}
