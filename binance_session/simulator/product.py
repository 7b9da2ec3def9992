"""Which of Binance's three order books a venue is; their answers differ in fields."""

from __future__ import annotations

from enum import Enum
from urllib.parse import urlsplit

from binance_session.venues import Venue

__all__ = ["Product"]


class Product(Enum):
    """COIN-M futures, USD-M futures, or Spot."""

    COIN_M = "/ws-dapi/"
    USD_M = "/ws-fapi/"
    SPOT = "/ws-api/"

    @classmethod
    def of(cls, venue: Venue) -> Product:
        """Return the product that a venue's URL names. Raises :class:`ValueError` if it names none."""
        path = urlsplit(venue.url).path
        for product in cls:
            if path.startswith(product.value):
                return product
        raise ValueError(f"the URL of {venue.name} has none of the paths of Binance's WebSocket APIs: {path!r}")

    @property
    def futures(self) -> bool:
        """Whether it trades contracts, with positions and listenKeys."""
        return self is not Product.SPOT
