"""What the benchmarks send, and the sessions that send it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.environment import has

__all__ = ["ORDER", "PACKAGES", "PING", "make_session"]

#: (method, params) of the request that a bot sends most often by itself
PING: Final[tuple[str, dict[str, Any]]] = ("userDataStream.ping", {})
#: (method, params) of the request that a bot is in a hurry with
ORDER: Final[tuple[str, dict[str, Any]]] = (
    "order.place",
    {
        "symbol": "BTCUSD_PERP",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1",
        "price": "49999.3",
        "newClientOrderId": "b7f0c1d2e3a4958677",
    },
)

_PACKAGE: Final = "binance_session"


def _load(*, with_msgspec: bool) -> ModuleType:
    """Import a copy of the package of its own, which finds msgspec or does not.

    The JSON library is chosen at import, so measuring both side by side in one process takes two copies.
    """

    def ours() -> list[str]:
        return [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]

    others = {name: sys.modules.pop(name) for name in ours()}
    blocked = "msgspec" in sys.modules
    msgspec = sys.modules.get("msgspec")
    if not with_msgspec:
        sys.modules["msgspec"] = None  # type: ignore[assignment]  # how the import system writes "not there"
    try:
        package = importlib.import_module(_PACKAGE)
        for name in package.__all__:
            getattr(package, name)  # is imported when it is asked for: now, while the other copy is out of the way
        return package
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(others)
        if not with_msgspec:
            del sys.modules["msgspec"]
            if blocked:
                sys.modules["msgspec"] = msgspec  # type: ignore[assignment]


def _packages() -> dict[str, ModuleType]:
    packages = {"msgspec": _load(with_msgspec=True)} if has("msgspec") else {}
    return packages | {"json": _load(with_msgspec=False)}


#: the package, once for each JSON decoder that it can use here
PACKAGES: Final = _packages()


def make_session(
    decoder: str, url: str, *, signed: bool = False, mixin: type[Any] | None = None, **options: Any
) -> Any:
    """Return a session, not open yet, that logs on with a key made up for the occasion.

    ``signed``: it does not log on, and signs each request with HMAC. ``mixin``: a class with hooks. The other options
    are the session's own.
    """
    package = PACKAGES[decoder]
    key: Any
    if signed:
        key = package.HmacKey("benchmark", "benchmark-secret")
    else:
        key = package.Ed25519Key(api_key="benchmark", private_key=Ed25519PrivateKey.generate())
    options = {"ping_interval": None, "max_in_flight": 1_000_000, **options}
    kind = package.Session if mixin is None else type("Session", (mixin, package.Session), {})
    return kind(package.COIN_M, key, url=url, **options)
