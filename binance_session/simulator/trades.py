"""What is written down of an exchange's dealings: trades, amendments, matches that were prevented."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

__all__ = ["Amendment", "PreventedMatch", "Trade"]


@frozen
class Trade:
    """One fill. ``time`` is in ms; ``is_maker`` tells whether the order rested; ``sor``: an allocation, not a trade."""

    id: int
    symbol: str
    order_id: int
    list_id: int
    price: Decimal
    quantity: Decimal
    time: int
    is_buyer: bool
    is_maker: bool
    commission_asset: str
    sor: bool = False

    @property
    def value(self) -> Decimal:
        """The quantity's worth in the quote asset."""
        return self.price * self.quantity


@frozen
class Amendment:
    """One change of an order's quantity. ``time`` is in ms."""

    symbol: str
    order_id: int
    execution_id: int
    old_name: str
    new_name: str
    old_quantity: Decimal
    new_quantity: Decimal
    time: int


@frozen
class PreventedMatch:
    """Two orders of one account that self-trade prevention kept from trading. ``time`` is in ms.

    The quantities are what the maker and the taker lost by it, ``None`` for one that lost nothing.
    """

    id: int
    symbol: str
    taker_order_id: int
    maker_order_id: int
    mode: str
    price: Decimal
    maker_quantity: Decimal | None
    taker_quantity: Decimal | None
    time: int
