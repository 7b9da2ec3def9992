"""An exchange to test against: Binance's WebSocket APIs, as strict as the documents, with faults by name.

``async with Simulator(COIN_M) as simulator:`` serves it on a real socket for clients in any language;
:class:`Exchange` is the same without a network.
"""

from binance_session.simulator.accounts import Account, Position
from binance_session.simulator.clock import Clock, DrivenClock, LoopClock, ManualClock
from binance_session.simulator.connections import Connection
from binance_session.simulator.exchange import Exchange
from binance_session.simulator.faults import FAULTS, Fault, Injected
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.market import BlockTrade, Market, PriceRange, Reference, Symbol
from binance_session.simulator.orders import Order, OrderList
from binance_session.simulator.readings import Readings
from binance_session.simulator.records import Executed, Pushed, Received
from binance_session.simulator.server import Simulator

__all__ = [
    "FAULTS",
    "Account",
    "ApiKeyRecord",
    "BlockTrade",
    "Clock",
    "Connection",
    "DrivenClock",
    "Exchange",
    "Executed",
    "Fault",
    "Injected",
    "LoopClock",
    "ManualClock",
    "Market",
    "Order",
    "OrderList",
    "Position",
    "PriceRange",
    "Pushed",
    "Readings",
    "Received",
    "Reference",
    "Simulator",
    "Symbol",
]
