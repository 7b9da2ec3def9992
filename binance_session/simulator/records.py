"""What an exchange keeps for tests and tools to look at: messages received, requests executed, events sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from binance_session.simulator.accounts import Account
from binance_session.simulator.connections import Connection

__all__ = ["Executed", "Pushed", "Received"]


@frozen
class Received:
    """A text message that a client sent: when (Unix seconds), over which connection, the text and the decoded object.

    ``message`` is ``None`` if the text is no JSON object. Texts hold keys and signatures: they are not in the ``repr``.
    """

    time: float
    connection: Connection
    text: str = field(repr=False)
    message: dict[str, Any] | None = field(repr=False)

    @property
    def method(self) -> Any:
        """The ``method`` of the request, or ``None``."""
        return None if self.message is None else self.message.get("method")

    @property
    def params(self) -> Mapping[str, Any]:
        """The ``params`` of the request; empty if it has none."""
        params = {} if self.message is None else self.message.get("params")
        return params if isinstance(params, dict) else {}


@frozen
class Executed:
    """A request that took effect, whatever its client was told."""

    id: int | str | None
    connection: Connection
    method: str
    params: Mapping[str, Any] = field(repr=False)


@frozen
class Pushed:
    """An event of an account, and where it went.

    There is one entry for each stream that it was sent to, and one whose ``connection`` is ``None`` if no
    connection listened. ``time`` is in Unix seconds; ``number`` counts the exchange's events from 1, and is the
    same in all entries of one event. ``fault`` names the fault that struck on the way, ``lost`` tells whether
    the fault kept the event from its socket.
    """

    time: float
    connection: Connection | None
    event: Mapping[str, Any] = field(repr=False)
    number: int
    account: Account = field(repr=False)
    fault: str | None = None
    lost: bool = False

    @property
    def type(self) -> Any:
        """The event's type, its ``e``."""
        return self.event.get("e")
