"""Spot's user data subscriptions on the API socket (PROTOCOL.md §5.4)."""

from __future__ import annotations

from typing import Any

from binance_session.simulator.connections import Subscription
from binance_session.simulator.keys import ApiKeyRecord
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["SUBSCRIPTIONS"]

SUBSCRIPTIONS = Table()

_ACTIVE = 1000
_LIFETIME = 65_535


def _subscribe(call: Call, key: ApiKeyRecord, *, by_logon: bool) -> dict[str, Any]:
    connection = call.connection
    if any(True for _ in connection.subscriptions_of(key.account)):
        # One per account and connection; the code is not documented.
        raise Refusal(400, -1020, "This operation is not supported.")
    if len(connection.subscriptions) >= _ACTIVE or connection.next_subscription >= _LIFETIME:
        raise Refusal(400, -1034, f"Too many concurrent connections; current limit is '{_ACTIVE}'.")
    number = connection.next_subscription
    connection.next_subscription += 1
    connection.subscriptions[number] = Subscription(number, key, by_logon)
    return {"subscriptionId": number}


@SUBSCRIPTIONS.method("userDataStream.subscribe")
def subscribe(call: Call) -> dict[str, Any]:
    """Subscribe to the events of the account that is logged on."""
    if call.key is None:
        raise RuntimeError("userDataStream.subscribe needs a logon")
    return _subscribe(call, call.key, by_logon=True)


@SUBSCRIPTIONS.method("userDataStream.subscribe.signature")
def subscribe_signature(call: Call) -> dict[str, Any]:
    """Subscribe to the events of the account whose key signed this request, logged on or not."""
    if call.key is None:
        raise RuntimeError("userDataStream.subscribe.signature is always signed")
    return _subscribe(call, call.key, by_logon=False)


@SUBSCRIPTIONS.method("userDataStream.unsubscribe", optional="subscriptionId")
def unsubscribe(call: Call) -> dict[str, Any]:
    """End one subscription of this connection, or all."""
    subscriptions = call.connection.subscriptions
    wanted = call.params.get("subscriptionId")
    if wanted is not None and wanted not in subscriptions:
        raise Refusal(400, -1130, "Data sent for parameter 'subscriptionId' is not valid.")
    for number in [wanted] if wanted is not None else list(subscriptions):
        call.state.tell_terminated(call.connection, subscriptions.pop(number))
    return {}


@SUBSCRIPTIONS.method("session.subscriptions")
def listing(call: Call) -> list[dict[str, Any]]:
    """List the subscriptions of this connection."""
    return [{"subscriptionId": number} for number in call.connection.subscriptions]
