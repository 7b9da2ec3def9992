"""Orders, algo orders, balances and positions of COIN-M and USD-M futures (PROTOCOL.md §6)."""

from __future__ import annotations

from binance_session.simulator.methods.entry import Table
from binance_session.simulator.methods.futures.accounts import ACCOUNTS, COIN_M_ACCOUNTS, USD_M_ACCOUNTS
from binance_session.simulator.methods.futures.algo import ALGO
from binance_session.simulator.methods.futures.orders import COIN_M_ORDERS, ORDERS, USD_M_ORDERS
from binance_session.simulator.methods.futures.triggers import fill_part, fill_resting

__all__ = ["COIN_M_FUTURES", "USD_M_FUTURES", "fill_part", "fill_resting"]

COIN_M_FUTURES = Table({**ORDERS, **COIN_M_ORDERS, **ACCOUNTS, **COIN_M_ACCOUNTS})
USD_M_FUTURES = Table({**ORDERS, **USD_M_ORDERS, **ALGO, **ACCOUNTS, **USD_M_ACCOUNTS})
