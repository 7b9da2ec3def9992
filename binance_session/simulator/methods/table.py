"""Which methods a product plays."""

from __future__ import annotations

from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.futures import COIN_M_FUTURES, USD_M_FUTURES
from binance_session.simulator.methods.listenkeys import LISTEN_KEYS
from binance_session.simulator.methods.marketdata import MARKET_DATA, SPOT_MARKET_DATA
from binance_session.simulator.methods.session import SESSION
from binance_session.simulator.methods.spot import SPOT_ORDERS
from binance_session.simulator.methods.subscriptions import SUBSCRIPTIONS
from binance_session.simulator.product import Product

__all__ = ["methods_of"]


def methods_of(product: Product) -> Table:
    """Return the methods that the simulator plays for a product; what a venue offers is its catalogue's to say."""
    if product is Product.COIN_M:
        return Table({**SESSION, **LISTEN_KEYS, **COIN_M_FUTURES})
    if product is Product.USD_M:
        return Table({**SESSION, **LISTEN_KEYS, **USD_M_FUTURES, **MARKET_DATA})
    return Table({**SESSION, **SUBSCRIPTIONS, **SPOT_ORDERS, **MARKET_DATA, **SPOT_MARKET_DATA})
