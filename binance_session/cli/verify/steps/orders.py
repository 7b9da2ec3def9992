"""The smallest order, far from the market and post-only, cancelled at once (PROTOCOL.md §6, §7). Only with --orders."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any, Final

from attrs import frozen

from binance_session.cli.verify.evidence import Answer, Evidence, Untold, event_of
from binance_session.cli.verify.examination import WINDOW, Examination
from binance_session.cli.verify.line import Line
from binance_session.cli.verify.probe import FUTURES, Step, Told, agrees, differs
from binance_session.simulator.product import Product

__all__ = ["MARK_PRICE", "ORDERS"]

#: the connection on which the market's price may come
MARK_PRICE: Final = "mark price"

ORDERS: Final = Step("orders", "places the smallest order far from the market, and cancels it", limit=180.0)
_NEEDS: Final = ("signature", "orders")
_SPOT: Final = frozenset({Product.SPOT})
#: what an order's value must exceed, in the quote asset, and the digits of its quantity (BTC)
_VALUE: Final = {Product.USD_M: Decimal(120), Product.SPOT: Decimal(15)}
_STEP: Final = {Product.USD_M: Decimal("0.001"), Product.SPOT: Decimal("0.00001")}
#: the price of an order against the market's: post-only, it can only ever be taken after the market has halved
_FAR: Final = Decimal("0.5")
_ABOVE: Final = Decimal("1.0003")
_TWICE: Final = Decimal(2)
#: seconds
_UNTIL_EVENT: Final = 3.0
_MOMENT: Final = 0.5
_UNTIL_TRIGGERED: Final = 60.0
#: an answer that took longer was held up, and does not tell what comes first
_LONG: Final = 1.0
#: an order that was refused with one of these may stand all the same (PROTOCOL.md §9)
_UNSURE: Final = (-1000, -1001, -1006, -1007)


@frozen
class _Terms:
    """At what price the market is, and at what price and in what quantity to order."""

    market: Decimal
    price: Decimal
    quantity: Decimal


def _rounded(value: Decimal, digits: int, rounding: str) -> Decimal:
    """Return a number with so many significant digits, which is a multiple of any tick that a market has."""
    return value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1), rounding)


def _text(value: Decimal) -> str:
    return f"{value:f}"


async def _terms(x: Examination, line: Line) -> _Terms | None:
    """Ask for the price, and return the terms; ``None`` if there is no price."""
    if x.product is Product.COIN_M:
        market = await _mark_price(x, line)
    else:
        answer = await line.ask("market", "ticker.price", {"symbol": x.wish.symbol})
        market = _decimal(answer.field("price"))
    if not market > 0:
        return None
    price = _rounded(market * _FAR, 3, ROUND_DOWN)
    if x.wish.quantity is not None:
        quantity = Decimal(x.wish.quantity)
    elif x.product is Product.COIN_M:
        quantity = Decimal(1)
    else:
        quantity = (_VALUE[x.product] / price).quantize(_STEP[x.product], ROUND_UP)
    return _Terms(market, price, quantity)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return Decimal(0)


async def _mark_price(x: Examination, line: Line) -> Decimal:
    """COIN-M: its API has no market data; the account's positions may name the price, else the market stream does."""
    symbol = x.wish.symbol
    answer = await line.ask("market", "account.position", x.proved(line))
    rows = [row for row in answer.result if isinstance(row, dict)] if isinstance(answer.result, list) else []
    price = _decimal(next((row.get("markPrice") for row in rows if row.get("symbol") == symbol), 0))
    if price > 0 or x.wish.stream_url is None:
        return price
    stream = await x.stream(MARK_PRICE, f"/ws/{symbol.lower()}@markPrice@1s")
    await stream.until(lambda: bool(stream.events), _UNTIL_EVENT)
    await stream.close()
    return _decimal(stream.events[0].get("p")) if stream.events else price


def _limit(x: Examination, terms: _Terms, name: str, **changed: Any) -> dict[str, Any]:
    """Return the parameters of a BUY far below the market that is refused rather than taken at once."""
    kind = {"type": "LIMIT", "timeInForce": "GTX"} if x.product in FUTURES else {"type": "LIMIT_MAKER"}
    order = {"symbol": x.wish.symbol, "side": "BUY", **kind, "price": _text(terms.price)}
    return {**order, "quantity": _text(terms.quantity), "newClientOrderId": name, "recvWindow": WINDOW, **changed}


async def _place(
    x: Examination, line: Line, label: str, method: str, params: Mapping[str, Any], *cancels: tuple[str, dict[str, Any]]
) -> Answer:
    """Send an order that is cancelled at the end whatever happens, unless it is refused for certain."""
    placed = [x.about_to_place(label, cancel, how) for cancel, how in cancels]
    answer = await line.ask(label, method, x.proved(line, params))
    if answer.status != 200 and answer.code not in _UNSURE:
        for each in placed:
            x.is_closed(each)
    return answer


async def _cancel(x: Examination, line: Line, label: str) -> Answer | None:
    """Cancel what :func:`_place` placed under a label."""
    answer = None
    for placed in [each for each in x.placed if each.label == label]:
        answer = await line.ask(f"cancel {label}", placed.cancel, x.proved(line, placed.params))
        if answer.status == 200:
            x.is_closed(placed)
    return answer


def _own(x: Examination, name: str) -> tuple[str, dict[str, Any]]:
    return "order.cancel", {"symbol": x.wish.symbol, "origClientOrderId": name}


@ORDERS.action
async def do(x: Examination) -> None:
    """Place and cancel: the plain order, then those that only one venue has."""
    line = await x.main()
    terms = await _terms(x, line)
    if terms is None:
        x.note("", f"there is no price of {x.wish.symbol}, so no order can be far from it")
        return
    x.note("line", line.name)
    name = _new_name()
    x.note("name", name)
    placed = await _place(x, line, "place", "order.place", _limit(x, terms, name), _own(x, name))
    if placed.status != 200:
        return
    await _wait_for(x, line, name, "NEW")
    if x.product is Product.SPOT:
        await _old_oco(x, line, terms)
    await line.ask("order status", "order.status", x.proved(line, _named(x, name)))
    await _cancel(x, line, "place")
    await _wait_for(x, line, name, "CANCELED")
    await line.ask("status of the cancelled", "order.status", x.proved(line, _named(x, name)))
    other = _new_name()
    numbers = {"price": _number(terms.price), "quantity": _number(terms.quantity)}
    params = _limit(x, terms, other, **numbers)
    await _place(x, line, "place with numbers", "order.place", params, _own(x, other))
    await _cancel(x, line, "place with numbers")
    if x.product is Product.COIN_M:
        await _stop_order(x, line, terms)
    if x.product is Product.USD_M:
        await _algo_order(x, line, terms)


def _new_name() -> str:
    return f"verify-{secrets.token_hex(8)}"


def _named(x: Examination, name: str) -> dict[str, Any]:
    return {"symbol": x.wish.symbol, "origClientOrderId": name}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


async def _stop_order(x: Examination, line: Line, terms: _Terms) -> None:
    """COIN-M: a stop order that would be triggered once the market has halved."""
    name = _new_name()
    order = {"symbol": x.wish.symbol, "side": "SELL", "type": "STOP", "timeInForce": "GTC"}
    prices = {"price": _text(terms.price), "stopPrice": _text(terms.price), "quantity": _text(terms.quantity)}
    params = {**order, **prices, "newClientOrderId": name, "recvWindow": WINDOW}
    await _place(x, line, "stop order", "order.place", params, _own(x, name))
    await _cancel(x, line, "stop order")


async def _algo_order(x: Examination, line: Line, terms: _Terms) -> None:
    """USD-M: an algo order that the next rise triggers, and that becomes an order far below the market."""
    name = _new_name()
    x.note("algo name", name)
    order = {"algoType": "CONDITIONAL", "symbol": x.wish.symbol, "side": "BUY", "type": "STOP", "timeInForce": "GTC"}
    trigger = _rounded(terms.market * _ABOVE, 5, ROUND_UP)
    prices = {"price": _text(terms.price), "triggerPrice": _text(trigger), "quantity": _text(terms.quantity)}
    params = {**order, **prices, "clientAlgoId": name, "recvWindow": WINDOW}
    cancel_algo = ("algoOrder.cancel", {"clientAlgoId": name})
    placed = await _place(x, line, "algo order", "algoOrder.place", params, cancel_algo, _own(x, name))
    if placed.status != 200:
        return
    x.wish.outside("trigger")
    listening = [each for each in x.streams.values() if each.is_open and each.events]
    if listening:
        await listening[0].until(lambda: _triggered(listening[0].events, name), _UNTIL_TRIGGERED)
        await x.pause(_UNTIL_EVENT)
    await _cancel(x, line, "algo order")


def _triggered(events: list[dict[str, Any]], name: str) -> bool:
    return any(_algo(event, name).get("X") == "TRIGGERED" for event in events)


def _algo(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = event.get("o")
    return inner if event.get("e") == "ALGO_UPDATE" and isinstance(inner, dict) and inner.get("caid") == name else {}


async def _old_oco(x: Examination, line: Line, terms: _Terms) -> None:
    """Spot: the deprecated order list, for what it counts; its stop is far above the market."""
    name = _new_name()
    above = _text(_rounded(terms.market * _TWICE, 3, ROUND_UP))
    order = {"symbol": x.wish.symbol, "side": "BUY", "quantity": _text(terms.quantity), "price": _text(terms.price)}
    stop = {"stopPrice": above, "stopLimitPrice": above, "stopLimitTimeInForce": "GTC"}
    params = {**order, **stop, "listClientOrderId": name, "recvWindow": WINDOW}
    cancel = ("orderList.cancel", {"symbol": x.wish.symbol, "listClientOrderId": name})
    await _place(x, line, "old OCO", "orderList.place", params, cancel)
    await _cancel(x, line, "old OCO")


async def _wait_for(x: Examination, line: Line, name: str, status: str) -> None:
    """Wait until an event tells of an order on any socket, and a moment for the others."""
    lines = [each for each in (line, *x.streams.values()) if each.is_open and (each is not line or _hears(x, line))]
    told = [
        asyncio.ensure_future(
            each.until(lambda each=each: any(_tells(event, name, status) for event in each.events), _UNTIL_EVENT)  # type: ignore[misc]
        )
        for each in lines
    ]
    if told:
        try:
            await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
            await x.pause(_MOMENT)
        finally:
            for each in told:
                each.cancel()
            await asyncio.gather(*told, return_exceptions=True)


def _hears(x: Examination, line: Line) -> bool:
    """Return whether events can come on the API connection."""
    return x.product is Product.SPOT and line.logged_on


def _tells(event: Mapping[str, Any], name: str, status: str) -> bool:
    inner = event.get("o") if event.get("e") == "ORDER_TRADE_UPDATE" else event
    return isinstance(inner, dict) and inner.get("X") == status and name in (inner.get("c"), inner.get("C"))


# The judges


def _placed(seen: Evidence) -> Answer:
    answer = seen.answer("place")
    if answer.status != 200:
        raise Untold(f"the order was refused: {answer}")
    return answer


@ORDERS.probe(
    "order",
    asks="Is an order taken without apiKey and signature after a logon, found, and cancelled by its own name?",
    says="200 each; after session.logon the timestamp alone is needed",
    source="§4, §6",
    needs=_NEEDS,
)
def order(seen: Evidence) -> Told:
    """Judge the order, the question for it and its cancellation."""
    answer = seen.answer("place")
    if answer.status != 200:
        raise Untold(f"the order was refused, which the account or the market may be the cause of: {answer}")
    wrong = [
        f"{label}: {each}" for label in ("order status", "cancel place") if (each := seen.answer(label)).status != 200
    ]
    return differs("; ".join(wrong)) if wrong else agrees("placed, found and cancelled")


@ORDERS.probe(
    "order-count",
    asks="Does the answer to an order count it among the account's ORDERS?",
    says="rateLimits has ORDERS of each interval",
    source="§8",
    needs=_NEEDS,
)
def order_count(seen: Evidence) -> Told:
    """Judge the limits in the answer."""
    counts = [limit for limit in _placed(seen).limits if limit.get("rateLimitType") == "ORDERS"]
    if not counts:
        return differs("there is no ORDERS in its rateLimits")
    text = ", ".join(
        f"{each.get('count')} of {each.get('limit')} in {each.get('intervalNum')} {each.get('interval')}"
        for each in counts
    )
    return (agrees if all(each.get("count", 0) >= 1 for each in counts) else differs)(text)


def _told_on(seen: Evidence, status: str) -> list[str]:
    name = seen.note("name")
    lines = dict.fromkeys(record.line for record in seen.on_any() if record.what == "received")
    return [line for line in lines if any(_tells(event, name, status) for _, event in seen.events(line))]


@ORDERS.probe(
    "order-events",
    asks="Is the account told of the order and of its cancellation?",
    says="ORDER_TRADE_UPDATE on the stream socket (futures), executionReport on the API connection (Spot)",
    source="§7",
    needs=_NEEDS,
)
def order_events(seen: Evidence) -> Told:
    """Judge on which sockets both came."""
    placed, cancel = _placed(seen), seen.answer("cancel place")
    if cancel.status != 200:
        raise Untold("the order was not cancelled")
    new, cancelled = _told_on(seen, "NEW"), _told_on(seen, "CANCELED")
    sent = seen.sent("place")
    if not seen.listening(placed.at if sent is None else sent.at, cancel.at + _MOMENT):
        raise Untold("no connection listened to the account's events all the time")
    if new and cancelled:
        return agrees(f"on {', '.join(sorted(set(new) & set(cancelled)))}")
    seen.nothing_since(cancel.at, _UNTIL_EVENT)
    return differs(f"told of NEW: {len(new)} socket(s), of CANCELED: {len(cancelled)}")


@ORDERS.probe(
    "events-come",
    asks="Does an order's event come behind the order's answer, or before it?",
    says="no document says; assumed: behind it",
    source="§7",
    needs=("logon", "orders"),
    products=_SPOT,
    documented=False,
)
def events_come(seen: Evidence) -> Told:
    """Judge the order of both on the connection that they share."""
    answer, name, line = _placed(seen), seen.note("name"), seen.note("line")
    sent = seen.sent("place")
    if sent is not None and answer.at - sent.at > _LONG:
        raise Untold(f"the answer took {answer.at - sent.at:.1f} s")
    for record in seen.on(line):
        if record.what != "received" or not isinstance(record.body, dict):
            continue
        if record.body == answer.frame:
            return agrees("behind it", events_come="after") if _told_on(seen, "NEW") else _no_event()
        event = event_of(record.body)
        if event is not None and _tells(event, name, "NEW"):
            return differs("before it", events_come="before")
    return _no_event()


def _no_event() -> Told:
    raise Untold("no event of the order came")


@ORDERS.probe(
    "decimal-numbers",
    asks="Are JSON numbers taken for price and quantity?",
    says="decimals are texts; examples of the documents show numbers (assumed: refused)",
    source="§2",
    needs=_NEEDS,
    documented=False,
)
def decimal_numbers(seen: Evidence) -> Told:
    """Judge the order with numbers."""
    _placed(seen)
    answer = seen.answer("place with numbers")
    if answer.status == 200:
        return differs("taken", decimal_numbers="accepted")
    if answer.code in (-1100, -1102, -1104, -1130):
        return agrees(str(answer), decimal_numbers="refused")
    raise Untold(f"it was refused, but perhaps not for its numbers: {answer}")


@ORDERS.probe(
    "cancelled-name",
    asks="Is a cancelled order found by its own clientOrderId?",
    says="the cancellation has an id of its own, which the document says replaces it (assumed: found)",
    source="§6",
    needs=_NEEDS,
    products=_SPOT,
    documented=False,
)
def cancelled_name(seen: Evidence) -> Told:
    """Judge the question behind the cancellation."""
    _placed(seen)
    if seen.answer("cancel place").status != 200:
        raise Untold("the order was not cancelled")
    answer = seen.answer("status of the cancelled")
    if answer.status == 200:
        return agrees("found", cancelled_name="kept")
    if answer.code == -2013:
        return differs(str(answer), cancelled_name="replaced")
    raise Untold(str(answer))


@ORDERS.probe(
    "old-oco-count",
    asks="How many orders does the deprecated orderList.place count as?",
    says="its text says one, its example two, as its successor (assumed: two)",
    source="§6",
    needs=_NEEDS,
    products=_SPOT,
    documented=False,
)
def old_oco_count(seen: Evidence) -> Told:
    """Judge how the account's count of orders grew."""
    before = _placed(seen)
    answer = seen.answer("old OCO")
    if answer.status != 200:
        raise Untold(f"it was refused: {answer}")
    counts = before.count("ORDERS", "DAY"), answer.count("ORDERS", "DAY")
    if counts[0] is None or counts[1] is None:
        raise Untold("the answers have no ORDERS of a day")
    grown = counts[1] - counts[0]
    if grown == 2:
        return agrees("two", deprecated_oco_counts=2)
    if grown == 1:
        return differs("one", deprecated_oco_counts=1)
    raise Untold(f"the count grew by {grown}: there were other orders")


@ORDERS.probe(
    "stop-orders",
    asks="Does order.place take a stop order?",
    says="announced to be refused with -4120, without a date; the SDKs document stop orders still (assumed: refused)",
    source="§6",
    needs=_NEEDS,
    products=frozenset({Product.COIN_M}),
    documented=False,
    question=15,
)
def stop_orders(seen: Evidence) -> Told:
    """Judge the stop order."""
    answer = seen.answer("stop order")
    if answer.status == 200:
        return differs("taken", coin_m_stops="taken")
    if answer.code == -4120:
        return agrees(str(answer), coin_m_stops="refused")
    raise Untold(str(answer))


@ORDERS.probe(
    "algo-triggered",
    asks="Does ALGO_UPDATE tell TRIGGERED before or behind the events of the order that it became?",
    says="by reports behind them",
    source="§6.1",
    needs=_NEEDS,
    products=frozenset({Product.USD_M}),
    documented=False,
    question=14,
)
def algo_triggered(seen: Evidence) -> Told:
    """Judge the order of both on a socket that has both."""
    answer = seen.answer("algo order")
    if answer.status != 200:
        raise Untold(f"it was refused: {answer}")
    name = seen.note("algo name")
    for line in dict.fromkeys(record.line for record in seen.on_any()):
        kinds = []
        for _, event in seen.events(line):
            if _algo(event, name).get("X") == "TRIGGERED":
                kinds.append("algo")
            elif _tells(event, name, "NEW"):
                kinds.append("order")
        if {"algo", "order"} <= set(kinds):
            first = kinds.index("order") < kinds.index("algo")
            return agrees("behind", algo_triggered="after") if first else differs("before", algo_triggered="before")
    raise Untold(f"it was not triggered within {_UNTIL_TRIGGERED:g} s: the price did not rise by so little")
