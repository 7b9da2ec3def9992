"""What each fault does to a user data event on its way to one socket, by name.

As in :mod:`~binance_session.simulator.behaviours`, a behaviour is a short generator of actions; these are
registered with ``@event_fault()``. ``loses=True`` says that the socket does not get the event. The events behind a late
one wait for it: their order never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define

from binance_session.simulator.accounts import Account
from binance_session.simulator.behaviours import FAULTS, Kind, Registered, Script
from binance_session.simulator.connections import Connection
from binance_session.simulator.state import State
from binance_session.simulator.wire import (
    Close,
    Drop,
    Mute,
    SendFragments,
    SendMerged,
    SendSplit,
    SendText,
    Wait,
    encode,
)

__all__ = ["EventBehaviour", "EventOccasion", "Wrapping", "event_fault", "wrapped"]

#: the name of a stream (futures) or the number of a subscription (Spot), around an event; ``None``: it goes bare
Wrapping = tuple[str, str | int] | None


def wrapped(wrapping: Wrapping, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message that carries an event."""
    if wrapping is None:
        return event
    name, value = wrapping
    return {name: value, ("data" if name == "stream" else "event"): event}


@define(eq=False)
class EventOccasion:
    """An event, on its way to one connection, that a fault has been chosen for. ``options`` are the fault's own."""

    event: Mapping[str, Any]
    connection: Connection
    account: Account
    state: State
    options: Mapping[str, Any]
    wrapping: Wrapping

    @property
    def text(self) -> str:
        """The message as it would be sent."""
        return self.text_of(self.event)

    def text_of(self, event: Mapping[str, Any]) -> str:
        """Return the message that would carry another event."""
        return encode(wrapped(self.wrapping, event))


EventBehaviour = Callable[[EventOccasion], Script]


def event_fault(
    event: str | None = None, *, loses: bool = False, **options: Any
) -> Callable[[EventBehaviour], EventBehaviour]:
    """Register a behaviour under its own name, with the event type it is about, if one, and its options' defaults."""

    def register(behaviour: EventBehaviour) -> EventBehaviour:
        FAULTS[behaviour.__name__] = Registered(behaviour, event, options, Kind.EVENT, loses)
        return behaviour

    return register


@event_fault(loses=True)
def lose_event(_occasion: EventOccasion) -> Script:
    """The event does not come; pings do. With ``times=None`` the socket is silent from then on."""
    yield from ()


@event_fault(loses=True)
def half_open(_occasion: EventOccasion) -> Script:
    """Nothing comes any more, not even pings and pongs, but the TCP connection stays."""
    yield Mute()


@event_fault(loses=True)
def drop_before_event(_occasion: EventOccasion) -> Script:
    """The TCP connection is aborted in place of the event."""
    yield Drop()


@event_fault()
def drop_after_event(occasion: EventOccasion) -> Script:
    """The event comes, and the TCP connection is aborted."""
    yield SendText(occasion.text)
    yield Drop()


@event_fault(code=1001, reason="")
def close_after_event(occasion: EventOccasion) -> Script:
    """The event comes, and the closing handshake with ``code`` and ``reason``."""
    yield SendText(occasion.text)
    yield Close(occasion.options["code"], occasion.options["reason"])


@event_fault(delay=1.0)
def late_event(occasion: EventOccasion) -> Script:
    """The event comes ``delay`` seconds late, by the exchange's clock, and those behind it after it."""
    yield Wait(occasion.options["delay"])
    yield SendText(occasion.text)


@event_fault(apart=0.0)
def duplicate_event(occasion: EventOccasion) -> Script:
    """The event comes twice, the second time ``apart`` seconds later."""
    yield SendText(occasion.text)
    yield Wait(occasion.options["apart"])
    yield SendText(occasion.text)


@event_fault("listenKeyExpired", apart=0.014)
def doubled_expiry(occasion: EventOccasion) -> Script:
    """``listenKeyExpired`` comes twice, ``apart`` seconds between, with the same ``E``."""
    yield from duplicate_event(occasion)


@event_fault("listenKeyExpired")
def nameless_expiry(occasion: EventOccasion) -> Script:
    """``listenKeyExpired`` comes without its ``listenKey``, as it did in 2021."""
    yield SendText(occasion.text_of({name: occasion.event[name] for name in occasion.event if name != "listenKey"}))


@event_fault()
def text_time(occasion: EventOccasion) -> Script:
    """The event's ``E`` comes as a text (``"1736996475556"``)."""
    yield SendText(occasion.text_of({**occasion.event, "E": str(occasion.event.get("E", ""))}))


@event_fault(text='{"e":"ORDER_TRADE_UPDATE","E":')
def malformed_event(occasion: EventOccasion) -> Script:
    """A message that is no JSON (``text``) comes before the event."""
    yield SendText(occasion.options["text"])
    yield SendText(occasion.text)


@event_fault(text='{"e":"unknownEvent","E":0}')
def unknown_event(occasion: EventOccasion) -> Script:
    """A message of a type that nobody knows (``text``) comes before the event."""
    yield SendText(occasion.options["text"])
    yield SendText(occasion.text)


@event_fault(size=1)
def split_event(occasion: EventOccasion) -> Script:
    """The event's frame comes ``size`` bytes at a time."""
    yield SendSplit(occasion.text, occasion.options["size"])


@event_fault(pieces=3)
def fragmented_event(occasion: EventOccasion) -> Script:
    """The event comes in ``pieces`` fragments, with a ping frame between."""
    yield SendFragments(occasion.text, occasion.options["pieces"])


@event_fault(wait=0.01)
def merged_event(occasion: EventOccasion) -> Script:
    """The event and those that follow it within ``wait`` seconds come in one TCP segment."""
    yield Wait(occasion.options["wait"])
    yield SendMerged((occasion.text, *occasion.connection.waiting_texts()))


@event_fault(loses=True)
def stopped_elsewhere(occasion: EventOccasion) -> Script:
    """Another client has just stopped the account's listenKeys: what comes of that comes in place of the event."""
    state = occasion.state
    for key in state.listen_keys.all_of(occasion.account):
        state.listen_keys.stop(key)
    yield from ()


@event_fault(loses=True, tell=True)
def expired_early(occasion: EventOccasion) -> Script:
    """The account's listenKeys have just run out, ahead of time: sockets are told in place of the event, or not."""
    state = occasion.state
    for key in state.listen_keys.all_of(occasion.account):
        state.listen_keys.expire(key, tell=occasion.options["tell"])
    yield from ()
