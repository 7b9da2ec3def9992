"""One request on two connections: which may be sent so, and which of the two answers counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from binance_session.checks import check_choice
from binance_session.errors import BinanceSessionError, ConfigurationError
from binance_session.params import Params
from binance_session.responses import Response
from binance_session.venues import Method

__all__ = ["check_race", "race_of"]

#: what may be executed twice although it changes something: the ids of which one must be named
_CANCELS: Final = {
    "order.cancel": ("orderId", "origClientOrderId"),
    "algoOrder.cancel": ("algoId", "clientAlgoId"),
}


def check_race(race: object, method: Method, params: Params | None, *, has_standby: bool) -> None:
    """Raise :class:`ConfigurationError` unless there is a standby, and being executed twice does what once does.

    Twice is as good as once for queries, ``userDataStream.ping``, and a cancellation by id, of which the second finds
    nothing to cancel.
    """
    check_choice("race", race, (False, True))
    if not has_standby:
        raise ConfigurationError(
            f"race=True needs a session with standby=True; {method.name} was not sent", method=method.name
        )
    name = method.name.rpartition("/")[2]
    if name in _CANCELS:
        named: object = params if params is not None else {}
        if isinstance(named, Mapping) and any(key in named for key in _CANCELS[name]):
            return
        raise ConfigurationError(
            f"{method.name} can only be sent on two connections with {' or '.join(_CANCELS[name])}, so that both cancel"
            " the same order; nothing was sent",
            method=method.name,
        )
    if method.changes_anything:
        raise ConfigurationError(
            f"{method.name} is never sent on two connections: it could be executed twice. Leave race out; nothing was"
            " sent",
            method=method.name,
        )
    if method.is_about_session or (name.startswith("userDataStream.") and name != "userDataStream.ping"):
        raise ConfigurationError(
            f"{method.name} is not sent on two connections: it concerns one connection, or the listenKey of all. Leave"
            " race out; nothing was sent",
            method=method.name,
        )


def race_of(
    first: asyncio.Future[Response],
    second: asyncio.Future[Response],
    settled: Callable[[BinanceSessionError], None],
) -> asyncio.Future[Response]:
    """Return a future of whichever succeeds first; it fails only when both have failed.

    ``settled`` is called with each error that is not the end of the request: the other connection tells that.

    If one of the two has an unknown outcome then, so has the request. An error alone is no end: the other connection
    may have cancelled the order that this one did not find. Cancelling the future forgets both.
    """
    winner: asyncio.Future[Response] = first.get_loop().create_future()
    errors: list[BaseException] = []

    def ended(future: asyncio.Future[Response]) -> None:
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if winner.cancelled():
            return
        if error is not None:
            errors.append(error)
        elif not winner.done():
            winner.set_result(future.result())
            (second if future is first else first).cancel()  # its answer is counted as late
        if not winner.done() and len(errors) == 2:
            unknown = [each for each in errors if isinstance(each, BinanceSessionError) and each.outcome == "unknown"]
            end = [*unknown, *errors][0]
            winner.set_exception(end)
            errors.remove(end)
        while winner.done() and errors:
            if isinstance(beside := errors.pop(), BinanceSessionError):
                settled(beside)

    def forget(future: asyncio.Future[Response]) -> None:
        if future.cancelled():
            first.cancel()
            second.cancel()

    first.add_done_callback(ended)
    second.add_done_callback(ended)
    winner.add_done_callback(forget)
    return winner
