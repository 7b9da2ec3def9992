"""The names under which the command line knows the venues."""

from __future__ import annotations

from typing import Final

from binance_session.venues import COIN_M, COIN_M_TESTNET, SPOT, SPOT_TESTNET, USD_M, USD_M_TESTNET, Venue

__all__ = ["VENUES"]

VENUES: Final[dict[str, Venue]] = {
    "coin-m": COIN_M,
    "coin-m-testnet": COIN_M_TESTNET,
    "usd-m": USD_M,
    "usd-m-testnet": USD_M_TESTNET,
    "spot": SPOT,
    "spot-testnet": SPOT_TESTNET,
}
