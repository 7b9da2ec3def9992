"""Spot's market data, where a document contradicts itself (PROTOCOL.md §6)."""

from __future__ import annotations

from typing import Final

from binance_session.cli.verify.evidence import Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import Step, Told, agrees, differs
from binance_session.simulator.product import Product

__all__ = ["MARKET"]

MARKET: Final = Step("market", "asks for a reference price", products=frozenset({Product.SPOT}))


@MARKET.action
async def do(x: Examination) -> None:
    """Ask for a price that most symbols do not have."""
    line = await x.main()
    await line.ask("referencePrice", "referencePrice", {"symbol": x.wish.symbol})


@MARKET.probe(
    "no-reference-price",
    asks="How does referencePrice say that a symbol has none?",
    says="its sibling answers the error -2043, its own example 200 with the code in the result (assumed: the error)",
    source="§6",
    documented=False,
)
def no_reference_price(seen: Evidence) -> Told:
    """Judge the answer for a symbol without one."""
    answer = seen.answer("referencePrice")
    if answer.status == 200 and answer.field("code") is not None:
        return differs(f"200 with code {answer.field('code')}", no_reference_price="result")
    if answer.status == 200:
        raise Untold("this symbol has one: another --symbol may have none")
    return (agrees if answer.code == -2043 else differs)(str(answer), no_reference_price="error")
