"""Spot's user data subscriptions on the API socket (PROTOCOL.md §5.4)."""

from __future__ import annotations

from typing import Any, Final

from binance_session.simulator.accounts import Account
from binance_session.simulator.connections import AccountSubscription
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["SUBSCRIPTIONS"]

SUBSCRIPTIONS = Table()

_ACTIVE: Final = 1000
_LIFETIME: Final = 65_535


def _subscribe(
    call: Call, account: Account, *, by_logon: bool = False, expires: float | None = None
) -> AccountSubscription:
    connection = call.connection
    if any(True for _ in connection.subscriptions_of(account)):
        raise Refusal(400, -2035, "User Data Stream subscription already active.")
    if len(connection.subscriptions) >= _ACTIVE:
        raise Refusal(400, -1034, f"Too many concurrent connections; current limit is '{_ACTIVE}'.")
    if connection.next_subscription >= _LIFETIME:
        raise Refusal(400, -2042, "Maximum subscription ID reached for this connection.")
    number = connection.next_subscription
    connection.next_subscription += 1
    subscription = connection.subscriptions[number] = AccountSubscription(number, account, by_logon, expires)
    return subscription


@SUBSCRIPTIONS.method("userDataStream.subscribe")
def subscribe(call: Call) -> dict[str, Any]:
    """Subscribe to the events of the account that is logged on."""
    if call.key is None:
        raise RuntimeError("userDataStream.subscribe needs a logon")
    return {"subscriptionId": _subscribe(call, call.key.account, by_logon=True).id}


@SUBSCRIPTIONS.method("userDataStream.subscribe.signature")
def subscribe_signature(call: Call) -> dict[str, Any]:
    """Subscribe to the events of the account whose key signed this request, logged on or not."""
    if call.key is None:
        raise RuntimeError("userDataStream.subscribe.signature is always signed")
    return {"subscriptionId": _subscribe(call, call.key.account).id}


@SUBSCRIPTIONS.method("userDataStream.subscribe.listenToken", "listenToken")
def subscribe_token(call: Call) -> dict[str, Any]:
    """Subscribe to the events of the account that a listenToken is for, or extend such a subscription."""
    token = call.state.listen_tokens.get(call.params["listenToken"])
    if token is None or token.expires <= call.state.clock.time():
        raise Refusal(400, -1209, "Invalid listenToken.")  # the code is documented, its text is not
    connection = call.connection
    renewed = [item for item in connection.subscriptions_of(token.account) if item.expires is not None]
    subscription = renewed[0] if renewed else _subscribe(call, token.account, expires=token.expires)
    subscription.expires = token.expires
    connection.later(token.expires - call.state.clock.time(), _expire, call, subscription, token.expires)
    unit = 1000 if call.state.readings.subscription_expiry == "milliseconds" else 1_000_000
    return {"subscriptionId": subscription.id, "expirationTime": int(token.expires * unit)}


def _expire(call: Call, subscription: AccountSubscription, expires: float) -> None:
    """End a subscription whose token has run out, unless it has ended or lasts longer by now."""
    subscriptions = call.connection.subscriptions
    if subscriptions.get(subscription.id) is subscription and subscription.expires == expires:
        del subscriptions[subscription.id]
        call.state.tell_terminated(call.connection, subscription)
        call.state.deliver()


@SUBSCRIPTIONS.method("userDataStream.unsubscribe", optional="subscriptionId")
def unsubscribe(call: Call) -> dict[str, Any]:
    """End one subscription of this connection, or all."""
    subscriptions = call.connection.subscriptions
    wanted = call.params.get("subscriptionId")
    if wanted is not None and wanted not in subscriptions:
        raise Refusal(400, -2036, "User Data Stream subscription not active.")
    for number in [wanted] if wanted is not None else list(subscriptions):
        call.state.tell_terminated(call.connection, subscriptions.pop(number))
    return {}


@SUBSCRIPTIONS.method("session.subscriptions")
def listing(call: Call) -> list[dict[str, Any]]:
    """List the subscriptions of this connection."""
    return [{"subscriptionId": number} for number in call.connection.subscriptions]
