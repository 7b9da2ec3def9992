"""What is traded, and at which price: a price stands still until somebody sets it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import frozen

from binance_session.simulator.product import Product
from binance_session.simulator.refusals import Refusal

__all__ = ["Market", "Symbol", "text"]


def text(value: Decimal, digits: int = 8) -> str:
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


class Market:
    """The symbols of one product and their prices.

    ``prices`` may be changed at any time: ``market.prices["BTCUSDT"] = Decimal("61000")``; that matches no resting
    orders, as :meth:`Exchange.set_price <binance_session.simulator.exchange.Exchange.set_price>` does.
    """

    def __init__(self, product: Product) -> None:
        self.symbols: dict[str, Symbol] = {}
        self.prices: dict[str, Decimal] = {}
        for symbol, price in _SYMBOLS[product]:
            self.add(symbol, price)

    def add(self, symbol: Symbol, price: Decimal | str) -> None:
        """List a symbol, or replace it."""
        self.symbols[symbol.name] = symbol
        self.prices[symbol.name] = Decimal(price)

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


def _spot(base: str, quote: str) -> Symbol:
    return Symbol(f"{base}{quote}", base, quote, price_digits=8, quantity_digits=8)


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
        (_spot("BNB", "BTC"), "0.01"),
    ),
}
