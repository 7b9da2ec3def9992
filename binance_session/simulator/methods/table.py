"""Which methods a product plays."""

from __future__ import annotations

from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.futures import COIN_M_FUTURES, USD_M_FUTURES
from binance_session.simulator.methods.listenkeys import LISTEN_KEYS
from binance_session.simulator.methods.marketdata import CLOCK, MARKET_DATA
from binance_session.simulator.methods.session import SESSION
from binance_session.simulator.methods.spot import SPOT_ORDERS
from binance_session.simulator.methods.spot_account import SPOT_ACCOUNT
from binance_session.simulator.methods.spot_amend import SPOT_AMEND
from binance_session.simulator.methods.spot_lists import SPOT_LISTS
from binance_session.simulator.methods.spot_market import SPOT_MARKET
from binance_session.simulator.methods.spot_queries import SPOT_QUERIES
from binance_session.simulator.methods.spot_replace import SPOT_REPLACE
from binance_session.simulator.methods.spot_trading import SPOT_RULES
from binance_session.simulator.methods.subscriptions import SUBSCRIPTIONS
from binance_session.simulator.product import Product

__all__ = ["methods_of"]


def methods_of(product: Product) -> Table:
    """Return the methods that the simulator plays for a product; what a venue offers is its catalogue's to say."""
    if product is Product.COIN_M:
        return Table({**SESSION, **LISTEN_KEYS, **COIN_M_FUTURES})
    if product is Product.USD_M:
        return Table({**SESSION, **LISTEN_KEYS, **USD_M_FUTURES, **CLOCK, **MARKET_DATA})
    orders = {**SPOT_ORDERS, **SPOT_REPLACE, **SPOT_AMEND, **SPOT_LISTS, **SPOT_QUERIES, **SPOT_ACCOUNT}
    return Table({**SESSION, **SUBSCRIPTIONS, **orders, **CLOCK, **SPOT_MARKET, **SPOT_RULES})
