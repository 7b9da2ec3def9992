"""A settlement that is driven by hand: each query is answered by a script, and time is a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from binance_session import COIN_M, SPOT, USD_M, ApiError, Event
from binance_session.settlement.fate import Fate
from binance_session.settlement.machine import Settlement
from binance_session.settlement.questions import question_of
from binance_session.settlement.sent import Sent
from binance_session.settlement.steps import Ask, Question, Wait

#: the timestamp of every request here (ms), and its default recvWindow
T = 1_700_000_000_000
WINDOW = 5_000
#: ms after the timestamp from which on a query sees all that the request can have done
OVER = WINDOW + 10_000 + 1_000
DAY = 86_400_000
VENUES = {"COIN-M": COIN_M, "USD-M": USD_M, "Spot": SPOT}

ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.010",
    "price": "20000",
    "newClientOrderId": "mine",
    "timestamp": T,
}
#: what ``order.status`` shows of it
SHOWN = {
    "symbol": "BTCUSDT",
    "orderId": 7,
    "clientOrderId": "mine",
    "side": "BUY",
    "origQty": "0.01",
    "price": "20000.00",
    "executedQty": "0",
    "timeInForce": "GTC",
    "status": "NEW",
    "time": T + 20,
    "updateTime": T + 20,
}

Answer = Mapping[str, Any] | list[Any] | Exception


def unknown(code: int = -2013) -> ApiError:
    return ApiError(400, code, "Order does not exist.", method="order.status")


def shown(**change: Any) -> dict[str, Any]:
    return {**SHOWN, **change}


def question(venue: str, method: str, params: Mapping[str, Any], sent_at: float | None = None) -> tuple[Question, Sent]:
    known = VENUES[venue]
    sent = Sent.of(params, sent_at)
    found = question_of(known.method(method), params, sent, is_spot=known is SPOT)
    assert not isinstance(found, Fate)
    return found, sent


class Asking:
    """One settlement, whose time starts ``later`` ms after the request."""

    def __init__(
        self,
        venue: str,
        method: str = "order.place",
        params: Mapping[str, Any] = ORDER,
        *,
        later: float = 100,
        within: float = 30.0,
        sent_at: float | None = None,
    ) -> None:
        found, sent = question(venue, method, params, sent_at)
        self.time, self.now = 0.0, T + later
        self.machine = Settlement(method, found, sent, within, self.time)
        #: every query, with when it left (ms after the request)
        self.asked: list[tuple[str, Mapping[str, Any], float]] = []

    def step(self, *, hears: bool = True) -> Ask | Wait | Fate:
        return self.machine.next(self.time, self.now, hears=hears)

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        self.now += seconds * 1000

    def tell(self, answer: Answer) -> None:
        if isinstance(answer, Exception):
            self.machine.failed(answer, self.time, self.now)
        else:
            self.machine.answered(answer, self.time, self.now)

    def hear(self, event: Event) -> None:
        self.machine.heard(event, self.time)

    def run(self, answer: Callable[[Ask, float], Answer], *, hears: bool = True, took: float = 0.01) -> Fate:
        """Answer each query by a function of it and of when it left (ms after the request); return the end."""
        while True:
            step = self.step(hears=hears)
            if isinstance(step, Fate):
                return step
            if isinstance(step, Wait):
                assert step.seconds > 0, "it waits for nothing"
                self.pass_time(step.seconds)
                continue
            at = self.now - T
            self.asked.append((step.method, step.params, at))
            assert len(self.asked) < 50, "it asks all the time"
            self.pass_time(took)
            self.tell(answer(step, at))


def report(venue: str, **change: Any) -> Event:
    """Return the event of a NEW order like the one above."""
    if venue == "Spot":
        data = {
            "e": "executionReport",
            "s": "BTCUSDT",
            "c": "mine",
            "C": "",
            "S": "BUY",
            "q": "0.01000000",
            "p": "20000",
            "x": "NEW",
            "X": "NEW",
            "i": 7,
            "O": T + 20,
            "T": T + 20,
            **change,
        }
        return Event("executionReport", T + 21, data)
    order = {
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "q": "0.01",
        "p": "20000",
        "x": "NEW",
        "X": "NEW",
        "i": 7,
        "T": T + 20,
        **change,
    }
    return Event("ORDER_TRADE_UPDATE", T + 21, {"e": "ORDER_TRADE_UPDATE", "E": T + 21, "T": order["T"], "o": order})


REPLACEMENT = {**ORDER, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old"}


ALGO = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "1", "clientAlgoId": "stop", "timestamp": T}


def algo_update(**change: Any) -> Event:
    order = {"caid": "stop", "aid": 9, "s": "BTCUSDT", "S": "SELL", "q": "1.000", "X": "NEW", "ia": False, **change}
    time = order.pop("T", T + 20)
    return Event("ALGO_UPDATE", time + 1, {"e": "ALGO_UPDATE", "E": time + 1, "T": time, "o": order})
