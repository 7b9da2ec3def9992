"""The names under which the command line knows the venues."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from binance_session.venues import Venue

__all__ = ["VENUES", "add_venue_option", "symbol_of"]

VENUES: Final[dict[str, Venue]] = {
    name: Venue.named(name) for name in ("coin-m", "coin-m-testnet", "usd-m", "usd-m-testnet", "spot", "spot-testnet")
}

_SYMBOLS: Final = {"/ws-dapi/": "BTCUSD_PERP", "/ws-fapi/": "BTCUSDT", "/ws-api/": "BTCUSDT"}


def add_venue_option(parser: argparse.ArgumentParser, names: Iterable[str] = tuple(VENUES)) -> None:
    """Add ``--venue``."""
    *others, last = names
    parser.add_argument(
        "--venue",
        metavar="VENUE",
        choices=(*others, last),
        default="coin-m",
        help=f"{', '.join(others)} or {last} (default: %(default)s)",
    )


def symbol_of(venue: Venue) -> str:
    """Return something that is traded there."""
    path = urlsplit(venue.url).path
    return next(symbol for prefix, symbol in _SYMBOLS.items() if path.startswith(prefix))
