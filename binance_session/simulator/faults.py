"""Faults: which requests, handshakes and events go wrong, and in which of the ways of :data:`FAULTS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import define, field, frozen

import binance_session.simulator.eventfaults  # noqa: F401 - its faults enter FAULTS
from binance_session.masking import masked
from binance_session.simulator.behaviours import FAULTS, Kind
from binance_session.simulator.connections import Connection
from binance_session.simulator.rules import Request
from binance_session.venues import COIN_M, SPOT, USD_M, nearest

__all__ = ["FAULTS", "SELECTORS", "Fault", "Faults", "Handshake", "Injected"]

#: Which of a fault's selectors there are for what it strikes.
SELECTORS: Final = {
    Kind.REQUEST: ("method", "key", "connection"),
    Kind.HANDSHAKE: ("stream",),
    Kind.EVENT: ("event", "connection"),
}


#: the methods of all venues
_METHODS: Final = frozenset({name for venue in (COIN_M, USD_M, SPOT) for name in venue.methods})


def _meant(name: str, names: Iterable[str]) -> str:
    meant = nearest(name, names)
    return "" if meant is None else f"; did you mean {meant!r}?"


@frozen
class Handshake:
    """A handshake that a fault has been chosen for. ``target`` is the path and query that the client asks for."""

    address: str
    target: str = field(repr=False)
    #: whether it is for a stream socket
    stream: bool = False


@frozen(init=False)
class Fault:
    """A fault, and the requests that it strikes.

    ``name`` is one of :data:`FAULTS`. Of all requests with this ``method``, sent under the API key ``key``, on this
    ``connection`` (or the one with this number), and for which ``when(request)`` is true, it strikes ``times``
    (``None``: all), beginning with the ``nth`` (from 1).

    Faults of the handshake strike handshakes in the same way: those of the stream socket or of the API socket, if
    ``stream`` says so, and ``when(handshake)`` is asked. Faults of events strike user data events of this type
    (``event``) on their way to this ``connection``; ``when(event)`` is asked.

    Whatever else is given are the fault's options, such as ``delay=0.5`` seconds for ``late_answer``. Raises
    :class:`ValueError` for a name, a method or an option that does not exist.
    """

    name: str
    method: str | None
    key: str | None = field(repr=lambda key: "None" if key is None else masked(key))
    connection: int | None
    nth: int
    times: int | None
    when: Callable[[Any], bool] | None
    event: str | None
    stream: bool | None
    options: Mapping[str, Any] = field(hash=False)

    def __init__(
        self,
        name: str,
        *,
        method: str | None = None,
        key: str | None = None,
        connection: int | Connection | None = None,
        nth: int = 1,
        times: int | None = 1,
        when: Callable[[Any], bool] | None = None,
        event: str | None = None,
        stream: bool | None = None,
        **options: Any,
    ) -> None:
        registered = FAULTS.get(name)
        if registered is None:
            raise ValueError(f"there is no fault {name!r}; there are {', '.join(sorted(FAULTS))}{_meant(name, FAULTS)}")
        kind = registered.kind
        unknown = options.keys() - registered.options.keys()
        if unknown:
            takes = ", ".join(sorted(registered.options)) or "none"
            raise ValueError(f"{name} has no option {', '.join(sorted(unknown))}; its options: {takes}")
        selectors = {"method": method, "key": key, "connection": connection, "event": event, "stream": stream}
        wrong = [
            selector for selector, value in selectors.items() if value is not None and selector not in SELECTORS[kind]
        ]
        if wrong:
            raise ValueError(f"{name} strikes {kind.value}, which have no {', '.join(wrong)}")
        if method is not None and method.rpartition("/")[2] not in _METHODS:
            raise ValueError(
                f"no venue's catalogue has a method {method!r}, so that this fault would never strike; one that is new"
                f" can be chosen with when={_meant(method, _METHODS)}"
            )
        if nth < 1 or (times is not None and times < 1):
            raise ValueError("nth and times count from 1")
        self.__attrs_init__(
            name,
            registered.about if method is None and kind is Kind.REQUEST else method,
            key,
            connection.number if isinstance(connection, Connection) else connection,
            nth,
            times,
            when,
            registered.about if event is None and kind is Kind.EVENT else event,
            stream,
            {**registered.options, **options},
        )

    def matches_handshake(self, handshake: Handshake) -> bool:
        """Return whether a handshake is one of those that the fault is for."""
        if FAULTS[self.name].kind is not Kind.HANDSHAKE or self.stream not in (None, handshake.stream):
            return False
        return self.when is None or self.when(handshake)

    def matches_event(self, event: Mapping[str, Any], connection: Connection) -> bool:
        """Return whether an event on its way to a connection is one of those that the fault is for."""
        if FAULTS[self.name].kind is not Kind.EVENT or self.event not in (None, event.get("e")):
            return False
        if self.connection not in (None, connection.number):
            return False
        return self.when is None or self.when(event)

    def matches(self, request: Request, connection: Connection) -> bool:
        """Return whether a request is one of those that the fault is for."""
        if FAULTS[self.name].kind is not Kind.REQUEST:
            return False
        if self.method is not None and request.method != self.method:
            return False
        if self.connection is not None and connection.number != self.connection:
            return False
        if self.key is not None and request.params.get("apiKey", connection.authenticated_key) != self.key:
            return False
        return self.when is None or self.when(request)


@define(eq=False)
class Injected:
    """A fault at work: how many requests, handshakes or events it has ``seen`` and ``struck``.

    :meth:`remove` ends it.
    """

    fault: Fault
    _faults: Faults = field(repr=False)
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        """Count a request (handshake, event) that the fault is for, and return whether it is struck."""
        self.seen += 1
        if self.seen < self.fault.nth:
            return False
        self.struck += 1
        if self.struck == self.fault.times:
            self.remove()
        return True

    def remove(self) -> None:
        """Take the fault back. Doing so twice does nothing."""
        self._faults.remove(self)


class Faults:
    """The faults at work, in the order in which they were injected: the first that strikes a request has it."""

    def __init__(self) -> None:
        self._injected: list[Injected] = []

    def __bool__(self) -> bool:
        return bool(self._injected)

    def inject(self, fault: Fault) -> Injected:
        """Put a fault to work."""
        injected = Injected(fault, self)
        self._injected.append(injected)
        return injected

    def remove(self, injected: Injected) -> None:
        """Take a fault back."""
        if injected in self._injected:
            self._injected.remove(injected)

    def clear(self) -> None:
        """Take back every fault."""
        self._injected.clear()

    def strike_handshake(self, handshake: Handshake) -> Fault | None:
        """Return the fault that strikes a handshake, if one does."""
        for injected in self._injected:
            if injected.fault.matches_handshake(handshake) and injected.strikes():
                return injected.fault
        return None

    def strike_event(self, event: Mapping[str, Any], connection: Connection) -> Fault | None:
        """Return the fault that strikes an event on its way to a connection, if one does."""
        for injected in self._injected:
            if injected.fault.matches_event(event, connection) and injected.strikes():
                return injected.fault
        return None

    def strike(self, request: Request, connection: Connection) -> Fault | None:
        """Return the fault that strikes a request, if one does."""
        for injected in self._injected:
            if injected.fault.matches(request, connection) and injected.strikes():
                return injected.fault
        return None
