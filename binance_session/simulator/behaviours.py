"""What each fault does on the wire, by name.

A behaviour is a short generator. It may execute the request (``occasion.execute()``), or not, and it yields
the actions of :mod:`~binance_session.simulator.wire` that the client gets instead of a plain answer. To add one,
write one; its name is the fault's, the decorator's keywords are its options and their defaults::

    @fault()
    def drop_after(occasion: Occasion) -> Script:
        occasion.execute()
        yield Drop()

Faults of the handshake are registered with ``@handshake_fault()``, and may raise a :class:`Refusal`; those of a
client's pings with ``@ping_fault()``. Those of user data events are in :mod:`~binance_session.simulator.eventfaults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

from attrs import define, frozen

from binance_session.simulator.connections import Connection
from binance_session.simulator.refusals import Refusal, key_refused
from binance_session.simulator.rules import Request
from binance_session.simulator.state import State
from binance_session.simulator.wire import (
    Action,
    Close,
    Drop,
    SendBinary,
    SendFragments,
    SendMerged,
    SendPong,
    SendSplit,
    SendText,
    Wait,
    encode,
    say,
)

__all__ = [
    "FAULTS",
    "Kind",
    "Occasion",
    "PingOccasion",
    "Registered",
    "Script",
    "fault",
    "handshake_fault",
    "ping_fault",
]

Script = Iterator[Action]
Message = dict[str, Any]


@define(eq=False)
class Occasion:
    """A request that a fault has been chosen for.

    ``execute()`` treats the request as if nothing were wrong and returns the messages that would be sent, the answer
    first; it is called at most once. ``options`` are the fault's own.
    """

    request: Request
    connection: Connection
    state: State
    options: Mapping[str, Any]
    _execute: Callable[[], list[Message]]

    def execute(self) -> list[Message]:
        """Execute the request and return what is to be sent for it."""
        return self._execute()

    def answer(self) -> Script:
        """Execute the request and yield its answer, as without a fault."""
        for message in self.execute():
            yield say(message)

    def refuse(self, refusal: Refusal) -> Script:
        """Yield an error answer to the request."""
        yield say({"id": self.request.id, "status": refusal.status, "error": refusal.error()})


Behaviour = Callable[[Occasion], Script]
HandshakeBehaviour = Callable[[Mapping[str, Any]], Script]


@frozen
class PingOccasion:
    """A client's ping that a fault has been chosen for: what it says, and the fault's options."""

    data: bytes
    options: Mapping[str, Any]


PingBehaviour = Callable[[PingOccasion], Script]


class Kind(Enum):
    """What a fault strikes."""

    REQUEST = "requests"
    HANDSHAKE = "handshakes"
    EVENT = "events"
    PING = "pings"


@frozen
class Registered:
    """A behaviour, what it strikes, and its options' defaults.

    ``about`` is the method, or the event type, that it is for by itself. ``loses`` tells that the struck event does
    not arrive.
    """

    behaviour: Callable[[Any], Script]
    about: str | None
    options: Mapping[str, Any]
    kind: Kind = Kind.REQUEST
    loses: bool = False


#: Every fault, by name.
FAULTS: Final[dict[str, Registered]] = {}


def fault(method: str | None = None, **options: Any) -> Callable[[Behaviour], Behaviour]:
    """Register a behaviour under its own name, with the method it is about, if one, and its options' defaults."""

    def register(behaviour: Behaviour) -> Behaviour:
        FAULTS[behaviour.__name__] = Registered(behaviour, method, options)
        return behaviour

    return register


def handshake_fault(**options: Any) -> Callable[[HandshakeBehaviour], HandshakeBehaviour]:
    """Register a behaviour of the handshake; it is given the fault's options."""

    def register(behaviour: HandshakeBehaviour) -> HandshakeBehaviour:
        FAULTS[behaviour.__name__] = Registered(behaviour, None, options, Kind.HANDSHAKE)
        return behaviour

    return register


def ping_fault(**options: Any) -> Callable[[PingBehaviour], PingBehaviour]:
    """Register a behaviour in place of the pong to a client's ping."""

    def register(behaviour: PingBehaviour) -> PingBehaviour:
        FAULTS[behaviour.__name__] = Registered(behaviour, None, options, Kind.PING)
        return behaviour

    return register


@fault()
def no_answer(occasion: Occasion) -> Script:
    """The request is executed and never answered."""
    occasion.execute()
    yield from ()


@fault(delay=1.0)
def late_answer(occasion: Occasion) -> Script:
    """The request is executed at once; its answer comes ``delay`` seconds later, by the exchange's clock."""
    messages = occasion.execute()
    yield Wait(occasion.options["delay"])
    for message in messages:
        yield say(message)


@fault()
def duplicate_answer(occasion: Occasion) -> Script:
    """The answer comes twice."""
    for message in occasion.execute():
        yield say(message)
        yield say(message)


@fault(id="nobody-asked-this")
def unknown_id(occasion: Occasion) -> Script:
    """A copy of the answer comes under an id that nobody used (``id``), then the answer."""
    messages = occasion.execute()
    yield say({**messages[0], "id": occasion.options["id"]})
    for message in messages:
        yield say(message)


@fault()
def string_id(occasion: Occasion) -> Script:
    """A copy of the answer comes with the id as a text (``"1"`` for ``1``), then the answer."""
    messages = occasion.execute()
    yield say({**messages[0], "id": str(messages[0]["id"])})
    for message in messages:
        yield say(message)


@fault(text='{"id":1,"status":')
def malformed(occasion: Occasion) -> Script:
    """A message that is no JSON (``text``) comes before the answer."""
    yield SendText(occasion.options["text"])
    yield from occasion.answer()


@fault(text="[1]")
def not_an_object(occasion: Occasion) -> Script:
    """A message that is JSON but no object (``text``: ``[1]``, ``1``, ``null``) comes before the answer."""
    yield SendText(occasion.options["text"])
    yield from occasion.answer()


@fault(data=b"\x00\x01")
def binary_frame(occasion: Occasion) -> Script:
    """A binary message (``data``) comes before the answer."""
    yield SendBinary(occasion.options["data"])
    yield from occasion.answer()


@fault(depth=100_000)
def nested(occasion: Occasion) -> Script:
    """A message of ``depth`` nested arrays comes before the answer."""
    depth = occasion.options["depth"]
    yield SendText("[" * depth + "]" * depth)
    yield from occasion.answer()


@fault(size=1 << 20)
def huge(occasion: Occasion) -> Script:
    """A text message of ``size`` bytes, an object with one long text, comes before the answer."""
    frame = '{"huge":""}'
    yield SendText(f'{{"huge":"{"x" * (occasion.options["size"] - len(frame))}"}}')
    yield from occasion.answer()


@fault(pieces=3)
def fragmented(occasion: Occasion) -> Script:
    """The answer comes in ``pieces`` fragments, with a ping frame between."""
    for message in occasion.execute():
        yield SendFragments(encode(message), occasion.options["pieces"])


@fault(text='{"event":{"e":"unknownEvent","E":0}}')
def merged(occasion: Occasion) -> Script:
    """An event (``text``), the answer and the event again come in one TCP segment."""
    event = occasion.options["text"]
    yield SendMerged((event, *(encode(message) for message in occasion.execute()), event))


@fault(size=1)
def split(occasion: Occasion) -> Script:
    """The answer's frame comes ``size`` bytes at a time."""
    for message in occasion.execute():
        yield SendSplit(encode(message), occasion.options["size"])


@fault()
def drop_before(occasion: Occasion) -> Script:
    """The TCP connection is aborted; the request is not executed."""
    yield Drop()


@fault()
def drop_after(occasion: Occasion) -> Script:
    """The request is executed; the TCP connection is aborted before the answer."""
    occasion.execute()
    yield Drop()


@fault(code=1001, reason="", executed=False)
def close(occasion: Occasion) -> Script:
    """The closing handshake with ``code`` and ``reason`` comes in place of an answer; ``executed``, or not."""
    if occasion.options["executed"]:
        occasion.execute()
    yield Close(occasion.options["code"], occasion.options["reason"])


@fault(
    status=500,
    code=-1007,
    msg="Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    data=None,
    executed=False,
)
def error(occasion: Occasion) -> Script:
    """An error answer (``status``, ``code``, ``msg``, ``data``); the request is ``executed``, or not."""
    options = occasion.options
    if options["executed"]:
        occasion.execute()
    yield from occasion.refuse(Refusal(options["status"], options["code"], options["msg"], options["data"]))


@fault("session.logon", status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action.")
def reject_logon(occasion: Occasion) -> Script:
    """``session.logon`` is refused (``status``, ``code``, ``msg``)."""
    options = occasion.options
    yield from occasion.refuse(Refusal(options["status"], options["code"], options["msg"]))


@fault("session.logon")
def ignore_logon(occasion: Occasion) -> Script:
    """``session.logon`` is neither executed nor answered."""
    yield from ()


@fault("session.logon", delay=1.0)
def late_logon(occasion: Occasion) -> Script:
    """``session.logon`` is executed and answered ``delay`` seconds later, by the exchange's clock."""
    yield Wait(occasion.options["delay"])
    yield from occasion.answer()


@fault()
def revoke(occasion: Occasion) -> Script:
    """The logon ends with the 401 whose id is ``null``, in place of an answer; the request is not executed."""
    connection = occasion.connection
    connection.key = None
    connection.authorized_since = None
    yield say({"id": None, "status": 401, "error": key_refused().error()})


@fault()
def server_shutdown(occasion: Occasion) -> Script:
    """The event ``serverShutdown`` comes before the answer."""
    yield say({"event": {"e": "serverShutdown", "E": occasion.state.now_ms}})
    yield from occasion.answer()


def _with_result(occasion: Occasion, result: Any) -> Script:
    """Answer with another result; a refusal stays one."""
    for message in occasion.execute():
        yield say({**message, "result": result} if "result" in message else message)


@fault("userDataStream.start")
def missing_listen_key(occasion: Occasion) -> Script:
    """The answer is a 200 whose ``result`` is empty."""
    yield from _with_result(occasion, {})


@fault("userDataStream.ping", listen_key="someOtherListenKey")
def wrong_listen_key(occasion: Occasion) -> Script:
    """The answer names a listenKey other than the account's (``listen_key``)."""
    yield from _with_result(occasion, {"listenKey": occasion.options["listen_key"]})


@fault("userDataStream.ping", push=False)
def expired_listen_key(occasion: Occasion) -> Script:
    """The account's listenKey is gone, and the answer is -1125; ``push``: stream sockets are told first."""
    state = occasion.state
    named = occasion.request.params.get("apiKey")
    key = state.keys.get(named) if isinstance(named, str) else occasion.connection.key
    if key is not None:
        listen_key = state.listen_keys.of(key if state.readings.listen_key_per == "key" else key.account)
        if listen_key is not None:
            state.listen_keys.expire(listen_key, tell=occasion.options["push"])
    yield from occasion.answer()


@handshake_fault(status=503, msg="Service Unavailable", retry_after=None)
def refuse_handshake(options: Mapping[str, Any]) -> Script:
    """The handshake is answered with an HTTP ``status``; ``retry_after`` (Unix ms) makes a ``Retry-After`` of it."""
    data = None if options["retry_after"] is None else {"retryAfter": options["retry_after"]}
    raise Refusal(options["status"], -1000, options["msg"], data)


@handshake_fault()
def drop_handshake(_options: Mapping[str, Any]) -> Script:
    """The TCP connection is aborted in place of the handshake's answer."""
    yield Drop()


@handshake_fault(delay=1.0)
def slow_handshake(options: Mapping[str, Any]) -> Script:
    """The handshake's answer comes ``delay`` seconds late, by the exchange's clock; after 20 s the server gives up."""
    yield Wait(options["delay"])


@ping_fault(delay=1.0)
def late_pong(occasion: PingOccasion) -> Script:
    """The pong to a client's ping comes ``delay`` seconds late, by the exchange's clock; all else comes at once."""
    yield Wait(occasion.options["delay"])
    yield SendPong(occasion.data)


@ping_fault()
def no_pong(_occasion: PingOccasion) -> Script:
    """A client's ping is not answered; all else comes."""
    yield from ()
