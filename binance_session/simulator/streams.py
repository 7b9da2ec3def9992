"""The stream socket: the forms of its address, and the requests that it takes (PROTOCOL.md §1.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from binance_session.simulator.connections import Connection
from binance_session.simulator.listenkeys import ListenKeys
from binance_session.simulator.product import Product
from binance_session.simulator.readings import Readings
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import State

__all__ = ["STREAM_MESSAGES", "StreamAddress", "read_address", "stream_address", "treat_stream_request"]

#: Messages a second that a client may send to a stream socket, pings and pongs included (PROTOCOL.md §1.3).
STREAM_MESSAGES: Final = 10

#: Event types that pass; ``None`` lets all pass.
Allowed = frozenset[str] | None


@frozen
class StreamAddress:
    """What a client that opens a stream socket asks for.

    ``keys`` are listenKeys with the event types that each lets pass. On a ``combined`` socket events are wrapped in
    ``{"stream", "data"}``. One that is not ``routed`` is accepted and gets no events.
    """

    keys: dict[str, Allowed]
    combined: bool
    routed: bool


def stream_address(target: str, state: State) -> StreamAddress:
    """Return what ``target`` (path and query) asks of the stream host of an exchange.

    Raises :class:`Refusal` (its ``status`` is HTTP's): 404 for a path that does not exist, 403 for a listenKey that
    does not exist, if the readings refuse that.
    """
    readings, url = state.readings, state.venue.stream_url
    address = None
    if url is not None:
        public = state.product is Product.USD_M
        by_path = not public or state.venue.testnet or readings.usd_m_path == "works"
        address = read_address(target, urlsplit(url).path, public=public, by_path=by_path, readings=readings)
    if address is None:
        raise Refusal(404, -1000, "Not Found")
    if address.routed and readings.unknown_stream == "refused" and not all(map(state.listen_keys.get, address.keys)):
        raise Refusal(403, -1125, "This listenKey does not exist.")
    return address


def read_address(target: str, base: str, *, public: bool, by_path: bool, readings: Readings) -> StreamAddress | None:
    """Return what ``target`` (path and query) asks of the stream host, or ``None`` if there is no such place.

    ``base`` is the path under which user data is served. ``public`` tells whether the host serves other paths too, for
    market data (USD-M); clients of those are accepted and get no events here. Unless ``by_path`` a key in the path
    is accepted and ignored::

        /ws/KEY                                       one key; /ws alone waits for SUBSCRIBE
        /ws?listenKey=KEY&events=A/B                  one key, and an allow list of event types
        /stream?listenKey=K1&events=A&listenKey=K2    several keys, each with its own list
        /stream?streams=K1/K2                         several keys
    """
    url = urlsplit(target)
    place = _place(url.path, base)
    routed = place is not None
    if place is None and public:
        for other in ("/public", "/market", ""):
            place = place or _place(url.path, other)
    if place is None:
        return None
    form, rest = place
    keys: dict[str, Allowed] = dict.fromkeys(filter(None, rest.split("/") if by_path else ()))
    asked = set()
    last = None
    for name, value in parse_qsl(url.query):
        if name == "listenKey" and (public or readings.coin_m_query == "works"):
            last = value
            asked.add(value)
            keys.setdefault(value, None)
        elif name == "events" and last is not None:
            keys[last] = frozenset(value.split("/"))
        elif name == "streams":
            keys.update(dict.fromkeys(value.split("/")))
    if public and readings.usd_m_query == "silent":
        keys = {key: events for key, events in keys.items() if events is not None or key not in asked}
    return StreamAddress(keys, form == "stream", routed)


def _place(path: str, base: str) -> tuple[str, str] | None:
    for form in ("ws", "stream"):
        root = f"{base}/{form}"
        if path == root or path.startswith(root + "/"):
            return form, path[len(root) + 1 :]
    return None


def treat_stream_request(connection: Connection, message: Any, keys: ListenKeys, readings: Readings) -> Any:
    """Do what a client's message to a stream socket asks for, and return the answer.

    SUBSCRIBE and UNSUBSCRIBE take listenKeys, LIST_SUBSCRIPTIONS names them, and the property ``combined`` tells
    whether events are wrapped.
    """
    if type(message) is not dict:
        return _error(None, 3, "Invalid JSON: expected value")
    request_id = message.get("id")
    params = message.get("params", [])
    try:
        result = _DO[message["method"]](connection, params, keys, readings)
    except (KeyError, TypeError, ValueError):
        return _error(request_id, 2, "Invalid request")
    except Refusal as refusal:
        return _error(request_id, 2, f"Invalid request: {refusal.message}")
    return {"result": result, "id": request_id}


def _error(request_id: Any, code: int, text: str) -> dict[str, Any]:
    return {"error": {"code": code, "msg": text}, "id": request_id}


def _names(params: Any) -> Iterator[str]:
    if not isinstance(params, list) or not params:
        raise TypeError("params is a list of streams")
    for name in params:
        if not isinstance(name, str):
            raise TypeError("a stream is a text")
        yield name


def _subscribe(connection: Connection, params: Any, keys: ListenKeys, readings: Readings) -> None:
    names = list(_names(params))
    if readings.unknown_stream == "refused" and not all(map(keys.get, names)):
        raise Refusal(400, -1125, "This listenKey does not exist.")
    for name in names:
        connection.streams.setdefault(name, None)


def _unsubscribe(connection: Connection, params: Any, _keys: ListenKeys, _readings: Readings) -> None:
    for name in _names(params):
        connection.streams.pop(name, None)


def _list(connection: Connection, _params: Any, _keys: ListenKeys, _readings: Readings) -> list[str]:
    return list(connection.streams)


def _set_property(connection: Connection, params: Any, _keys: ListenKeys, _readings: Readings) -> None:
    name, value = params
    if name != "combined" or not isinstance(value, bool):
        raise ValueError("the only property is combined, which is true or false")
    connection.combined = value


def _get_property(connection: Connection, params: Any, _keys: ListenKeys, _readings: Readings) -> bool:
    (name,) = params
    if name != "combined":
        raise ValueError("the only property is combined")
    return connection.combined


_DO: Final = {
    "SUBSCRIBE": _subscribe,
    "UNSUBSCRIBE": _unsubscribe,
    "LIST_SUBSCRIPTIONS": _list,
    "SET_PROPERTY": _set_property,
    "GET_PROPERTY": _get_property,
}
