"""What is traded, at which price, and what has been traded: a price stands still until it is set."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, Final

from attrs import field, frozen

from binance_session.simulator.product import Product
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.trades import Trade

__all__ = ["BlockTrade", "Market", "PriceRange", "Reference", "Symbol", "text"]

#: how many trades and prices of a symbol are remembered
_REMEMBERED: Final = 10_000


def text(value: Decimal | int, digits: int = 8) -> str:
    """Return a number as the exchange writes it: so many digits after the point, never an exponent."""
    return f"{value:.{digits}f}"


@frozen
class Symbol:
    """One thing that can be traded.

    ``asset`` is what margin is paid in (futures); ``contract_size`` is the quote value of one COIN-M contract, 0
    elsewhere; the digits are how many a price and a quantity have after the point.
    """

    name: str
    base: str
    quote: str
    asset: str = ""
    pair: str = ""
    contract_size: Decimal = Decimal(0)
    price_digits: int = 2
    quantity_digits: int = 3
    #: as ``exchangeInfo`` tells it; orders are taken while it is TRADING
    status: str = "TRADING"
    #: the step between two levels of the order book
    tick: Decimal = field()

    @tick.default
    def _hundredth(self) -> Decimal:
        return Decimal(1).scaleb(-min(self.price_digits, 2))


@frozen
class Reference:
    """A Spot symbol's reference price at ``time`` (ms): the mean of so many buckets, or calculated elsewhere."""

    price: Decimal | None
    time: int
    buckets: int = 10
    bucket_width: int = 1000
    external: int | None = None


@frozen
class PriceRange:
    """Spot's execution rule: between which multiples of the reference price bids and asks are filled."""

    bid_up: Decimal
    bid_down: Decimal
    ask_up: Decimal
    ask_down: Decimal


@frozen
class BlockTrade:
    """A block trade; ``time`` is in ms."""

    id: int
    price: Decimal
    quantity: Decimal
    time: int
    is_buyer_maker: bool = True


class Market:
    """The symbols of one product and their prices.

    ``prices`` may be changed at any time: ``market.prices["BTCUSDT"] = Decimal("61000")``; that matches no resting
    orders, as :meth:`Exchange.set_price <binance_session.simulator.exchange.Exchange.set_price>` does.
    ``references``, ``price_ranges`` and ``block_trades`` (all by symbol) are empty unless filled by the test.
    """

    def __init__(self, product: Product) -> None:
        self.symbols: dict[str, Symbol] = {}
        self.prices: dict[str, Decimal] = {}
        #: the prices that were set, with their times (ms), and the trades; oldest first
        self.moves: dict[str, deque[tuple[int, Decimal]]] = {}
        self.trades: dict[str, deque[Trade]] = {}
        self.opening: dict[str, Decimal] = {}
        self.references: dict[str, Reference] = {}
        self.price_ranges: dict[str, PriceRange] = {}
        self.block_trades: dict[str, list[BlockTrade]] = {}
        for symbol, price in _SYMBOLS[product]:
            self.add(symbol, price)

    def add(self, symbol: Symbol, price: Decimal | str) -> None:
        """List a symbol, or replace it."""
        self.symbols[symbol.name] = symbol
        self.prices[symbol.name] = self.opening[symbol.name] = Decimal(price)
        self.moves[symbol.name] = deque(maxlen=_REMEMBERED)
        self.trades[symbol.name] = deque(maxlen=_REMEMBERED)

    def move(self, symbol: Symbol, price: Decimal, now: int) -> None:
        """Change a price at a time (ms), and remember it."""
        self.prices[symbol.name] = price
        self.moves[symbol.name].append((now, price))

    def traded(self, trade: Trade) -> None:
        """Remember a trade."""
        self.trades[trade.symbol].append(trade)

    def level(self, symbol: Symbol, steps: int) -> Decimal:
        """Return the price of the order book's bid (negative) or ask (positive) of that number."""
        return self.prices[symbol.name] + steps * symbol.tick

    def may_trade(self, symbol: Symbol, side: str, price: Decimal) -> bool:
        """Return whether the symbol's execution rule lets an order of this side be filled at a price."""
        rule, reference = self.price_ranges.get(symbol.name), self.references.get(symbol.name)
        if rule is None or reference is None or reference.price is None:
            return True
        down, up = (rule.bid_down, rule.bid_up) if side == "BUY" else (rule.ask_down, rule.ask_up)
        return reference.price * down <= price <= reference.price * up

    def symbol(self, name: Any) -> Symbol:
        """Return a symbol by name; refuses one that is not listed (-1121)."""
        symbol = self.symbols.get(name) if isinstance(name, str) else None
        if symbol is None:
            raise Refusal(400, -1121, "Invalid symbol.")
        return symbol


def _coin(name: str, base: str, size: int, digits: int) -> Symbol:
    return Symbol(name, base, "USD", base, f"{base}USD", Decimal(size), digits, 0)


def _usd(base: str, digits: int) -> Symbol:
    return Symbol(f"{base}USDT", base, "USDT", "USDT", f"{base}USDT", Decimal(0), digits, 3)


def _spot(base: str, quote: str, tick: str = "0.01") -> Symbol:
    return Symbol(f"{base}{quote}", base, quote, price_digits=8, quantity_digits=8, tick=Decimal(tick))


_SYMBOLS: dict[Product, tuple[tuple[Symbol, str], ...]] = {
    Product.COIN_M: (
        (_coin("BTCUSD_PERP", "BTC", 100, 1), "60000"),
        (_coin("ETHUSD_PERP", "ETH", 10, 2), "3000"),
        (_coin("BTCUSD_271231", "BTC", 100, 1), "61000"),
    ),
    Product.USD_M: ((_usd("BTC", 2), "60000"), (_usd("ETH", 2), "3000")),
    Product.SPOT: (
        (_spot("BTC", "USDT"), "60000"),
        (_spot("ETH", "USDT"), "3000"),
        (_spot("BNB", "USDT"), "600"),
        (_spot("BNB", "BTC", "0.000001"), "0.01"),
    ),
}
