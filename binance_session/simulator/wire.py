"""What can be done to a connection: the vocabulary between the exchange and the socket."""

from __future__ import annotations

import json
from typing import Any, Final

from attrs import field, frozen

__all__ = [
    "Action",
    "Close",
    "Drop",
    "Mute",
    "SendBinary",
    "SendFragments",
    "SendMerged",
    "SendPing",
    "SendPong",
    "SendSplit",
    "SendText",
    "Wait",
    "encode",
    "say",
]


@frozen
class SendText:
    """One text message in one frame."""

    text: str = field(repr=False)


@frozen
class SendBinary:
    """One binary message in one frame."""

    data: bytes


@frozen
class SendFragments:
    """One text message in ``pieces`` frames, with a ping frame after the first."""

    text: str = field(repr=False)
    pieces: int


@frozen
class SendMerged:
    """Several text messages, their frames written to the socket at once."""

    texts: tuple[str, ...] = field(repr=False)


@frozen
class SendSplit:
    """One text message in one frame that is written ``size`` bytes at a time, a turn of the loop between."""

    text: str = field(repr=False)
    size: int


@frozen
class SendPing:
    """A ping frame."""

    data: bytes


@frozen
class SendPong:
    """A pong frame, for a ping that nothing else has answered."""

    data: bytes


@frozen
class Close:
    """The closing handshake, begun by the exchange."""

    code: int
    reason: str = ""


@frozen
class Drop:
    """The end of the TCP connection, without a closing handshake."""


@frozen
class Mute:
    """Silence for good: nothing is sent or heard any more, not even pings and pongs, but the TCP connection stays."""


@frozen
class Wait:
    """Nothing, for so many seconds of the exchange's clock."""

    seconds: float


Action = (
    SendText | SendBinary | SendFragments | SendMerged | SendSplit | SendPing | SendPong | Close | Drop | Mute | Wait
)

#: the JSON text of a message, as short as it can be
encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def say(message: Any) -> SendText:
    """Return the action that sends a message as JSON."""
    return SendText(encode(message))
