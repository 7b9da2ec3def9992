"""Which question a request of each method leads to, by the identity that its parameters give it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

from binance_session.errors import ApiError, ConfigurationError
from binance_session.params import Params
from binance_session.settlement.algo import AlgoCancelled, AlgoPlaced
from binance_session.settlement.fate import Fate, no, yes
from binance_session.settlement.orders import Cancelled, Modified, Placed, Wanted
from binance_session.settlement.reports import named
from binance_session.settlement.sent import Sent
from binance_session.settlement.spot import Amended, CancelledAll, ListCancelled, ListPlaced, Replaced
from binance_session.settlement.steps import Question
from binance_session.venues import Method

__all__ = ["client_id_of", "known_by_its_answer", "question_of"]

#: methods that place something, and the parameter by which it is known from then on
_NAMES: Final = {
    "order.place": "newClientOrderId",
    "sor.order.place": "newClientOrderId",
    "order.cancelReplace": "newClientOrderId",
    "algoOrder.place": "clientAlgoId",
    "orderList.place": "listClientOrderId",
    "orderList.place.oco": "listClientOrderId",
    "orderList.place.oto": "listClientOrderId",
    "orderList.place.otoco": "listClientOrderId",
    "orderList.place.opo": "listClientOrderId",
    "orderList.place.opoco": "listClientOrderId",
}
_BY_ORDER: Final = "orderId or origClientOrderId, and symbol"
#: evidence of an answer to the request itself that came after its future had ended
LATE: Final = "late answer"
#: cancelReplace answers 409 when one half succeeded and the other did not
_PARTLY: Final = 409


@frozen
class _Request:
    """A request as the questions are made from it."""

    params: Mapping[str, Any]
    sent: Sent
    is_spot: bool

    def text(self, name: str) -> str | None:
        value = self.params.get(name)
        return value if isinstance(value, str) and value else None

    @property
    def symbol(self) -> str | None:
        return self.text("symbol")


def _bare(method: str) -> str:
    return method.rpartition("/")[2]  # without the version


def client_id_of(method: str) -> str | None:
    """Return the parameter by which what a method places is known; ``None`` if it places nothing."""
    return _NAMES.get(_bare(method))


def question_of(method: Method, params: Params, sent: Sent, *, is_spot: bool) -> Question | Fate:
    """Return what to ask about a request, or what is known of it without asking.

    Raises :class:`ConfigurationError` for a method that changes nothing, one of which it is not known what to ask, and
    for parameters without an identity to ask by.
    """
    name = _bare(method.name)
    if name.endswith("order.test"):
        return no(f"{name} places nothing")
    if not method.changes_anything:
        raise ConfigurationError(
            f"{method.name} changes nothing, so there is nothing to settle: repeat it", method=name
        )
    if name not in _QUESTIONS:
        raise ConfigurationError(f"it is not known what to ask about {method.name}: {method.if_unknown}", method=name)
    made, identity = _QUESTIONS[name]
    question = made(_Request(params, sent, is_spot))
    if question is None:
        raise ConfigurationError(
            f"this request of {method.name} has no identity to ask by: it needs {identity}; {method.if_unknown}",
            method=name,
        )
    return question


def known_by_its_answer(method: str, answer: Any) -> Fate | None:
    """Return what the answer to the request itself tells, its ``result`` or an error, however late; ``None``: nothing.

    ``data`` of a cancelReplace that succeeded partly tells which half did (SPOT-WS, ``order.cancelReplace``).
    """
    if not isinstance(answer, Exception):
        return yes(LATE, answer)
    if not isinstance(answer, ApiError):
        return None
    data = answer.data
    if answer.status == _PARTLY and _bare(method) == "order.cancelReplace" and isinstance(data, Mapping):
        result = data.get("newOrderResult")
        if result == "SUCCESS":
            return yes("its answer: the new order was placed, the old one not cancelled", dict(data))
        if result in ("FAILURE", "NOT_ATTEMPTED"):
            evidence = "its answer: the old order was cancelled, the new one not placed"
            return no(evidence, dict(data), answer)
    return no(f"rejected with code {answer.code}", None, answer) if answer.outcome == "rejected" else None


def _placed(request: _Request) -> Placed | None:
    name = request.text("newClientOrderId")
    if name is None or request.symbol is None:
        return None
    return Placed(Wanted.of(request.params, name), request.sent, request.is_spot)


def _replaced(request: _Request) -> Replaced | None:
    new = _placed(request)
    old = named(request.params, "cancelOrderId", "cancelOrigClientOrderId")
    return None if new is None or old is None else Replaced(new, old)


def _cancelled(request: _Request) -> Cancelled | None:
    order = named(request.params)
    cancellation = request.text("newClientOrderId") if request.is_spot else None
    return None if order is None else Cancelled(order, request.sent, cancellation)


def _modified(request: _Request) -> Modified | None:
    order, params = named(request.params), request.params
    if order is None:
        return None
    price = None if "priceMatch" in params else params.get("price")
    return Modified(order, request.sent, price, params.get("quantity"), params.get("modifyId"))


def _amended(request: _Request) -> Amended | None:
    order = named(request.params)
    if order is None:
        return None
    return Amended(order, request.sent, request.params.get("newQty"), request.text("newClientOrderId"))


def _cancelled_all(request: _Request) -> CancelledAll | None:
    return None if request.symbol is None else CancelledAll(request.symbol, request.sent)


def _list_placed(request: _Request) -> ListPlaced | None:
    name = request.text("listClientOrderId")
    return None if name is None or request.symbol is None else ListPlaced(request.symbol, name, request.sent)


def _list_cancelled(request: _Request) -> ListCancelled | None:
    found = named(request.params, "orderListId", "listClientOrderId")
    if found is None:
        return None
    which = {"origClientOrderId": found.name} if found.number is None else {"orderListId": found.number}
    return ListCancelled(found.symbol, which, request.sent)


def _algo_placed(request: _Request) -> AlgoPlaced | None:
    name, side = request.text("clientAlgoId"), request.text("side")
    if name is None or request.symbol is None or side is None:
        return None
    return AlgoPlaced(request.symbol, name, side, request.params.get("quantity"), request.sent)


def _algo_cancelled(request: _Request) -> AlgoCancelled | None:
    number, name = request.params.get("algoId"), request.text("clientAlgoId")
    return None if number is None and name is None else AlgoCancelled(number, name, request.sent)


#: method -> what makes its question, and the identity that it needs
_QUESTIONS: Final[Mapping[str, tuple[Callable[[_Request], Question | None], str]]] = {
    "order.place": (_placed, "newClientOrderId and symbol"),
    "sor.order.place": (_placed, "newClientOrderId and symbol"),
    "order.cancel": (_cancelled, _BY_ORDER),
    "order.modify": (_modified, _BY_ORDER),
    "order.amend.keepPriority": (_amended, _BY_ORDER),
    "order.cancelReplace": (_replaced, "newClientOrderId, symbol, and cancelOrderId or cancelOrigClientOrderId"),
    "openOrders.cancelAll": (_cancelled_all, "symbol"),
    "orderList.cancel": (_list_cancelled, "orderListId or listClientOrderId, and symbol"),
    "algoOrder.place": (_algo_placed, "clientAlgoId, symbol and side"),
    "algoOrder.cancel": (_algo_cancelled, "algoId or clientAlgoId"),
    **{name: (_list_placed, "listClientOrderId and symbol") for name in _NAMES if name.startswith("orderList.")},
}
