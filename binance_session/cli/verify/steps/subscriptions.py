"""Spot's user data subscriptions on the API connection (PROTOCOL.md §5.4)."""

from __future__ import annotations

from typing import Final

from binance_session.cli.verify.evidence import Answer, Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import Step, Told, agrees, differs
from binance_session.simulator.product import Product

__all__ = ["SUBSCRIBING", "UNSUBSCRIBING"]

_SPOT: Final = frozenset({Product.SPOT})
SUBSCRIBING: Final = Step("subscribe", "subscribes to the account's events", products=_SPOT)
UNSUBSCRIBING: Final = Step("unsubscribe", "ends the subscriptions, and sees what it is told", products=_SPOT)
#: seconds
_UNTIL_EVENT: Final = 3.0
_TERMINATED: Final = "eventStreamTerminated"
_BY_LOGON, _BY_SIGNATURE, _BY_TOKEN = "subscribe", "subscribe by signature", "subscribe by listenToken"


@SUBSCRIBING.action
async def subscribe(x: Examination) -> None:
    """Subscribe by the logon, by a signature, by a listenToken; the first stays for the steps to come."""
    line = await x.main()
    if line.logged_on:
        await line.ask(_BY_LOGON, "userDataStream.subscribe")
        x.subscribed = line
        await line.ask("subscribe again", "userDataStream.subscribe")
        await line.ask("subscriptions", "session.subscriptions")
    if "signature" in x.wish.given:
        other = await x.api("by signature")
        x.streams["by signature"] = other
        await other.ask(_BY_SIGNATURE, "userDataStream.subscribe.signature", x.signed())
    if x.wish.listen_token is not None:
        other = await x.api("by listenToken")
        x.recording.masks.add(x.wish.listen_token, "listenToken")
        params = {"listenToken": x.wish.listen_token}
        await other.ask(_BY_TOKEN, "userDataStream.subscribe.listenToken", params)
        await other.close()


@UNSUBSCRIBING.action
async def unsubscribe(x: Examination) -> None:
    """End the subscription by signature, then the logon, and with it the other subscription."""
    other = x.streams.get("by signature")
    if other is not None and other.is_open:
        await other.ask("unsubscribe", "userDataStream.unsubscribe")
        await other.until(lambda: any(event.get("e") == _TERMINATED for event in other.events), _UNTIL_EVENT)
        await other.close()
    line = await x.main()
    if line.logged_on and line is x.subscribed:
        x.note("logon line", line.name)
        await line.ask("logout", "session.logout")
        line.logged_on = False
        await line.until(lambda: any(event.get("e") == _TERMINATED for event in line.events), _UNTIL_EVENT)
        await x.log_on(line, "logon again")


def _subscribed(answer: Answer) -> bool:
    return answer.status == 200 and type(answer.field("subscriptionId")) is int


@SUBSCRIBING.probe(
    "subscribe",
    asks="Does userDataStream.subscribe after a logon subscribe, once for the account and connection?",
    says="200 with subscriptionId; a second one is refused (-2035); session.subscriptions lists it",
    source="§5.4",
    needs=("logon",),
)
def subscribed(seen: Evidence) -> Told:
    """Judge both, and the list."""
    first, second = seen.permitted(_BY_LOGON), seen.answer("subscribe again")
    listed = seen.answer("subscriptions")
    if not _subscribed(first):
        return differs(str(first))
    wrong = [] if second.code == -2035 else [f"the second: {second}"]
    entry = {"subscriptionId": first.field("subscriptionId")}
    inside = isinstance(listed.result, list) and any(
        isinstance(each, dict) and each.get("subscriptionId") == entry["subscriptionId"] for each in listed.result
    )
    wrong += [] if inside else ["session.subscriptions does not list it"]
    return differs("; ".join(wrong)) if wrong else agrees("subscribed; a second one was refused with -2035")


@SUBSCRIBING.probe(
    "subscribe-by-signature",
    asks="Does userDataStream.subscribe.signature subscribe without a logon?",
    says="200 with subscriptionId, with a key of any kind",
    source="§5.4",
    needs=("signature",),
)
def subscribed_by_signature(seen: Evidence) -> Told:
    """Judge the answer."""
    answer = seen.permitted(_BY_SIGNATURE)
    return agrees(f"subscriptionId {answer.field('subscriptionId')}") if _subscribed(answer) else differs(str(answer))


@SUBSCRIBING.probe(
    "listen-token",
    asks="In which unit is expirationTime of userDataStream.subscribe.listenToken?",
    says="ms, as all times; its example shows µs",
    source="§5.4",
    needs=("listen token",),
    documented=False,
)
def listen_token(seen: Evidence) -> Told:
    """Judge the number of digits."""
    answer = seen.answer(_BY_TOKEN)
    time = answer.field("expirationTime")
    if answer.status != 200 or not isinstance(time, int):
        raise Untold(str(answer))
    if time >= 10**14:
        return differs("µs", subscription_expiry="microseconds")
    return agrees("ms", subscription_expiry="milliseconds")


@UNSUBSCRIBING.probe(
    "unsubscribe",
    asks="Does userDataStream.unsubscribe end the subscription with an event?",
    says="200 with {}, and eventStreamTerminated",
    source="§5.4",
    needs=("signature",),
)
def unsubscribed(seen: Evidence) -> Told:
    """Judge the answer and the event."""
    answer = seen.answer("unsubscribe")
    if answer.status != 200:
        return differs(str(answer))
    if not seen.events("by signature", _TERMINATED):
        seen.closed("by signature")
        seen.nothing_since(answer.at, _UNTIL_EVENT)
        return differs(f"eventStreamTerminated did not come within {_UNTIL_EVENT:g} s")
    return agrees("200 with {}, and the event") if answer.result == {} else differs(f"the result is {answer.result}")


@UNSUBSCRIBING.probe(
    "logout-ends-subscription",
    asks="Does session.logout end the logon's subscription with an event?",
    says="yes, with eventStreamTerminated",
    source="§5.4",
    needs=("logon",),
)
def logout_ends_subscription(seen: Evidence) -> Told:
    """Judge what came behind the logout."""
    answer = seen.answer("logout")
    if answer.status != 200:
        raise Untold(str(answer))
    line = seen.note("logon line")
    seen.closed(line)
    sent = seen.sent("logout")
    assert sent is not None
    if any(at >= sent.at for at, _ in seen.events(line, _TERMINATED)):
        return agrees("the event came")
    seen.nothing_since(answer.at, _UNTIL_EVENT)
    return differs(f"eventStreamTerminated did not come within {_UNTIL_EVENT:g} s")
