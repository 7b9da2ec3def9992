"""Each rule, broken once by an exchange that lies, is found by the probe of that rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve, frozen

from binance_session.cli.verify.probe import Verdict
from binance_session.cli.verify.recording import Record, Recording
from binance_session.cli.verify.steps import STEPS
from binance_session.venues import COIN_M, Venue
from tests.cli.verify.exam import ALL, Message, Said, answered, changed, findings, lying, recorded, refused, report
from tests.cli.verify.test_readings import EITHER_WAY

LARGEST = 2**63 - 1
TOO_LONG = "verify-0123456789-0123456789-01234567"


@frozen
class Broken:
    """How one rule is broken, and on which venue."""

    lie: Callable[[Said], Message | None] = lambda said: said.message
    venue: str = "coin-m"
    key: str = "Ed25519"
    drops: bool = True
    target: Callable[[str], str] = str
    plays: Venue | None = None


def when(method: str, lie: Callable[[Said], Any]) -> Callable[[Said], Any]:
    """Return a lie about the answers to one method."""
    return lambda said: lie(said) if said.method == method else said.message


def code(method: str, old: int, new: int, status: int = 400) -> Callable[[Said], Any]:
    """Return the lie that a method is refused with another code."""

    def lie(said: Said) -> Message:
        error = said.message.get("error", {})
        return refused(said, new, status) if said.method == method and error.get("code") == old else said.message

    return lie


def accepts(method: str, old: int) -> Callable[[Said], Any]:
    """Return the lie that a refusal of a signed question did not happen: the order does not exist."""
    return code(method, old, -2013)


def without_event(kind: str, **fields: str) -> Callable[[Said], Any]:
    """Return the lie that an event does not come."""

    def lie(said: Said) -> Message | None:
        if said.event != kind:
            return said.message
        inner = said.message.get("o") or said.message["event"]
        return None if all(inner.get(name) == value for name, value in fields.items()) else said.message

    return lie


def status_names_somebody(said: Said) -> Message:
    fresh = said.method == "session.status" and said.result["apiKey"] is None
    return changed(said, apiKey="somebody") if fresh else said.message


def limits_after(method: str, number: int) -> Callable[[Said], Any]:
    """Return the lie that a second connection counts for itself."""

    def lie(said: Said) -> Message:
        if said.connection is not None and said.connection.number >= number and said.method == method:
            limits = [{**each, "count": 2} for each in said.message.get("rateLimits", [])]
            return {**said.message, "rateLimits": limits} if limits else said.message
        return said.message

    return lie


def frozen_count(said: Said) -> Message:
    limits = [{**each, "count": 20} for each in said.message.get("rateLimits", [])]
    return {**said.message, "rateLimits": limits} if limits else said.message


def non_ascii_the_other_way(said: Said) -> Message:
    if said.method != "order.status" or str(said.params["symbol"]).isascii():
        return said.message
    is_encoded = said.message["error"]["code"] == -1022
    return refused(said, -1121 if is_encoded else -1022)


def another_key(nth: int, method: str = "userDataStream.start") -> Callable[[Said], Any]:
    """Return the lie that the nth answer names another listenKey."""
    number = itertools.count(1)

    def lie(said: Said) -> Message:
        if said.method == method and said.message["status"] == 200 and next(number) == nth:
            return changed(said, listenKey="another" * 9)
        return said.message

    return lie


def times(factor: int) -> Callable[[Said], Any]:
    """Return the lie that serverTime has other digits on a connection that asked for µs."""

    def lie(said: Said) -> Message:
        if said.connection is not None and "timeUnit" in said.connection.path and said.method == "session.status":
            return changed(said, serverTime=said.result["serverTime"] * factor // 1000)
        return said.message

    return lie


def second_dropped() -> Callable[[Said], Any]:
    number = itertools.count(1)
    return lambda said: None if said.message.get("id") == "verify-twice" and next(number) == 2 else said.message


def with_id(old: Any, new: Any) -> Callable[[Said], Any]:
    """Return the lie that an id is echoed otherwise."""
    return lambda said: {**said.message, "id": new} if said.message.get("id", 0) == old else said.message


def unnoticed_duplicate(said: Said) -> Message:
    is_refused = said.method == "userDataStream.subscribe" and said.message.get("error", {}).get("code") == -2035
    return answered(said, {"subscriptionId": 7}) if is_refused else said.message


def limits_always(said: Said) -> Message:
    if said.params.get("returnRateLimits") is False:
        return {**said.message, "rateLimits": []}
    return said.message


def limits_in_spite_of_the_address(said: Said) -> Message:
    return (
        {**said.message, "rateLimits": []}
        if said.message.get("id") and "rateLimits" not in said.message
        else said.message
    )


def no_orders(said: Said) -> Message:
    limits = [each for each in said.message.get("rateLimits", []) if each["rateLimitType"] != "ORDERS"]
    return {**said.message, "rateLimits": limits} if said.method == "order.place" else said.message


def takes_any_id(said: Said) -> Message:
    is_it = said.message.get("id", 0) is None and "error" in said.message
    return {"id": TOO_LONG, "status": 200, "result": {}} if is_it else said.message


def proved_alone(said: Said) -> Message:
    """account.* wants an apiKey even after a logon."""
    return refused(said, -1102) if said.method.startswith("account.") else said.message


LIES: dict[str, Broken] = {
    "status": Broken(status_names_somebody),
    "logon": Broken(when("session.logon", lambda said: changed(said, authorizedSince=None))),
    "logon-refused": Broken(code("session.logon", -4056, -2028), key="HMAC"),
    "no-apikey": Broken(proved_alone),
    "logout": Broken(when("session.logout", lambda said: changed(said, apiKey="still"))),
    "no-proof": Broken(code("order.status", -1102, -2015, 401)),
    "not-logged-on": Broken(code("userDataStream.subscribe", -1193, -1000), venue="spot"),
    "signature": Broken(code("order.status", -2013, -1022)),
    "signature-covers": Broken(accepts("order.status", -1022)),
    "signature-non-ascii": Broken(non_ascii_the_other_way),
    "unknown-key": Broken(code("order.status", -2015, -2015, 400)),
    "clock-rule": Broken(accepts("order.status", -1021)),
    "recv-window": Broken(accepts("order.status", -1131)),
    "ids": Broken(with_id(LARGEST, float(LARGEST))),
    "id-too-long": Broken(takes_any_id, venue="spot"),
    "duplicate-id": Broken(second_dropped()),
    "no-id": Broken(drops=False),
    "unknown-method": Broken(code("verify.unknown", -5000, -1102)),
    "version-prefix": Broken(when("v1/session.status", lambda said: refused(said, -5000))),
    "undocumented-methods": Broken(when("time", lambda said: answered(said, {"serverTime": 1}))),
    "no-subscribe": Broken(when("userDataStream.subscribe", lambda said: answered(said, {}))),
    "return-rate-limits": Broken(limits_always),
    "return-rate-limits-url": Broken(limits_in_spite_of_the_address),
    "time-unit": Broken(times(1), venue="spot"),
    "time-unit-ignored": Broken(times(1_000_000)),
    "weight": Broken(frozen_count),
    "connection-weight": Broken(limits_after("session.status", 7)),
    "start": Broken(another_key(2)),
    "ping": Broken(another_key(1, "userDataStream.ping")),
    "start-elsewhere": Broken(another_key(3)),
    "stream-path": Broken(target=lambda path: path.replace("/ws/", "/ws?listenKey=none&was="), venue="coin-m"),
    "stream-events": Broken(target=lambda path: path.partition("&events=")[0], venue="usd-m"),
    "stop": Broken(when("userDataStream.stop", lambda said: answered(said, {}))),
    "order": Broken(
        when("order.cancel", lambda said: refused(said, -1102) if said.message["status"] == 200 else said.message)
    ),
    "order-count": Broken(no_orders),
    "order-events": Broken(without_event("ORDER_TRADE_UPDATE", X="CANCELED")),
    "subscribe": Broken(unnoticed_duplicate, venue="spot"),
    "subscribe-by-signature": Broken(
        when("userDataStream.subscribe.signature", lambda said: refused(said, -1102)), venue="spot"
    ),
    "unsubscribe": Broken(without_event("eventStreamTerminated"), venue="spot"),
    "logout-ends-subscription": Broken(without_event("eventStreamTerminated"), venue="spot"),
    "ping-cadence": Broken(plays=evolve(COIN_M, server_ping_interval=20.0)),
    "missing-pong": Broken(plays=evolve(COIN_M, pong_timeout=60.0)),
}
#: whose rule is a reading of the simulator: test_readings finds each set either way
READINGS = {
    "int-text": "int_text",
    "no-reference-price": "no_reference_price",
    "ping-without-key": "ping_without_key",
    "start-other-key": "listen_key_per",
    "listen-key-param": "accepts_listen_key_param",
    "unasked-signature": "unasked_signature",
    "stream-query": "coin_m_query",
    "stream-made-up": "unknown_stream",
    "listen-token": "subscription_expiry",
    "events-come": "events_come",
    "decimal-numbers": "decimal_numbers",
    "cancelled-name": "cancelled_name",
    "old-oco-count": "deprecated_oco_counts",
    "stop-orders": "coin_m_stops",
    "algo-triggered": "algo_triggered",
    "expired-by-stop": "stop_pushes_expired",
    "stream-after-expiry": "expiry_closes_stream",
    "revoked-answer": "revoked_answer",
    "revoked-closes": "revoked_closes",
}
#: what no simulator can do: the handshake's own business
ELSEWHERE = {"compression"}


def test_every_probe_is_here() -> None:
    probes = {probe.name for step in STEPS for probe in step.probes}
    assert probes == LIES.keys() | READINGS.keys() | ELSEWHERE
    assert set(READINGS.values()) <= {name for name, _ in EITHER_WAY}


@pytest.mark.parametrize("probe", LIES)
def test_a_broken_rule_is_found_by_its_probe(probe: str) -> None:
    broken = LIES[probe]
    prepare = lying(broken.lie, drops=broken.drops, target=broken.target)
    asked = [name for name in ALL if broken.key == "Ed25519" or name in ("orders", "stop")]
    recording = recorded(broken.venue, key=broken.key, asked=asked, prepare=prepare, plays=broken.plays)
    found = findings(recording)[probe]
    assert found.verdict is Verdict.DIFFERS, found
    assert found.seen


def test_compression_that_is_agreed_to_is_found() -> None:
    """By what the handshake's answer says: the simulator agrees to none."""
    recording = recorded("coin-m", asked=())

    def lie(record: Record) -> Record:
        is_it = record.what == "open" and record.label == "compression"
        return evolve(record, body={"status": 101, "extensions": "permessage-deflate"}) if is_it else record

    lied = Recording(recording.head, records=[lie(record) for record in recording.records])
    found = findings(lied)["compression"]
    assert found.verdict is Verdict.DIFFERS
    assert "permessage-deflate" in found.seen


def test_a_field_that_is_missing_one_too_many_and_of_another_type() -> None:
    """The simulator is judged field by field, also where no probe asks."""

    def lie(said: Said) -> Message:
        if said.method != "account.status":
            return said.message
        result = {name: value for name, value in said.result.items() if name != "makerCommission"}
        return {**said.message, "result": {**result, "newField": 1, "canTrade": "true"}}

    found = report(recorded("spot", asked=(), prepare=lying(lie)))
    assert {(each.about, each.difference.path, each.difference.kind) for each in found.comparison.found} == {
        ("account.status", "result.makerCommission", "missing"),
        ("account.status", "result.newField", "extra"),
        ("account.status", "result.canTrade", "type"),
    }
    assert found.status == 1


def test_an_event_of_another_kind_and_with_another_field() -> None:
    def lie(said: Said) -> Message:
        if said.event != "executionReport":
            return said.message
        event = {name: value for name, value in said.message["event"].items() if name != "I"}
        return {**said.message, "event": {**event, "q": 1}}

    found = report(recorded("spot", prepare=lying(lie)))
    assert {(each.about, each.difference.path) for each in found.comparison.found} == {
        ("event executionReport", "I"),
        ("event executionReport", "q"),
    }
