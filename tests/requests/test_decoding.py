"""Bytes to envelopes: whatever arrives is an envelope or a clear refusal, and both decoders agree."""

from __future__ import annotations

import importlib.util
import json
import logging
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binance_session import Event, ListenKey, ProtocolError, Response, Session, SessionStatus
from binance_session.jsontext import MalformedMessage
from binance_session.requests import decoding as module
from binance_session.requests.decoding import MISSING, decode, decode_json, event_of, memory_of
from binance_session.responses import RateLimit
from binance_session.simulator import Fault
from tests.exchange import exchange, requests, session_to, until

LIMIT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400, "count": 2}


def fields(envelope: Any) -> tuple[Any, ...]:
    limits = Response(1, "m", 200, None, envelope.limits).rate_limits
    return (envelope.id, envelope.status, envelope.result, envelope.error, envelope.event, limits)


def outcome(decoder: Any, data: bytes) -> Any:
    try:
        return fields(decoder(data))
    except MalformedMessage:
        return "malformed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"id":1,"status":200,"result":{}}', (1, 200, {}, None, None, ())),
        ('{"id":1,"status":200,"result":null}', (1, 200, None, None, None, ())),
        ('{"id":1,"status":200}', (1, 200, MISSING, None, None, ())),
        ('{"id":9223372036854775807,"result":9223372036854775807}', (2**63 - 1, 0, 2**63 - 1, None, None, ())),
        ('{"id":1,"result":123456789012345678901234567890}', (1, 0, 123456789012345678901234567890, None, None, ())),
        ('{"id":"1","status":200,"result":1}', (None, 200, 1, None, None, ())),
        ('{"id":true,"status":200,"result":1}', (None, 200, 1, None, None, ())),
        ('{"id":1.0,"status":200,"result":1}', (None, 200, 1, None, None, ())),
        ('{"id":1,"status":"200","result":1}', (1, 0, 1, None, None, ())),
        ('{"id":1,"status":true,"result":1}', (1, 0, 1, None, None, ())),
        ('{"event":{"e":"x"},"subscriptionId":0}', (None, 0, MISSING, None, {"e": "x"}, ())),
        ('{"id":1,"status":200,"result":"é中","new":{"field":[1]}}', (1, 200, "é中", None, None, ())),
        ("{}", (None, 0, MISSING, None, None, ())),
    ],
)
def test_envelopes(text: str, expected: tuple[Any, ...]) -> None:
    """By either decoder, from bytes as from the bytearrays that a WebSocket gives."""
    for decoder in (decode, module._decode_reference):
        assert fields(decoder(text.encode())) == expected
        assert fields(decoder(bytearray(text.encode()))) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"[1]",
        b"null",
        b"1",
        b'"text"',
        b'{"id":1',
        b'{"id":1}}',
        b'{"id":1,"result":NaN}',
        b'{"id":1,"result":Infinity}',
        b'{"id":1,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":1,"result":' + b"9" * 5000 + b"}",
        b'\xff\xfe{"id":1}',
        b'\xef\xbb\xbf{"id":1}',
    ],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    """One exception type, whatever is wrong; never a crash of the recursion or of the number parser."""
    for decoder in (decode, module._decode_reference):
        with pytest.raises(MalformedMessage):
            decoder(data)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "id": scalars,
        "status": st.sampled_from([200, 400, 401, 503]) | scalars,
        "result": trees,
        "error": trees,
        "event": trees,
        "rateLimits": st.lists(st.just(LIMIT), max_size=2) | trees,
        "extra": trees,
    },
)


@given(messages)
def test_both_decoders_agree_on_every_message(message: dict[str, Any]) -> None:
    """The fast one may refuse what it likes, the reference then decides; what it accepts it reads the same."""
    data = json.dumps(message).encode()
    assert outcome(decode, data) == outcome(module._decode_reference, data)


@given(messages, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.integers(0, 400))
@example({}, [], 0)
def test_mutated_frames_end_nothing(message: dict[str, Any], changes: list[tuple[int, int]], cut: int) -> None:
    """Flip bytes, cut the end off: an envelope or a MalformedMessage, nothing else."""
    data = bytearray(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))
    for position, value in changes:
        if position < len(data):
            data[position] = value
    outcome(decode, bytes(data))
    outcome(decode, bytes(data[:cut]))


@given(messages, st.text(min_size=1, max_size=4), st.integers(0, 400))
def test_both_decoders_agree_on_characters_that_were_put_in(message: dict[str, Any], extra: str, position: int) -> None:
    """What they say, if they still say something; numbers beyond all types included."""
    text = json.dumps(message, ensure_ascii=False)
    data = f"{text[:position]}{extra}{text[position:]}".encode("utf-8", "replace")
    assert outcome(decode, data) == outcome(module._decode_reference, data)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "-" + "9" * 400, "true", "1.0", "1e0", "-0", "0.5"])
@pytest.mark.parametrize("field", ["id", "status", "result", "subscriptionId"])
def test_both_decoders_agree_on_numbers_that_are_none(field: str, number: str) -> None:
    data = f'{{"{field}":{number},"event":{{"e":"x","E":{number}}}}}'.encode()
    assert repr(outcome(decode, data)) == repr(outcome(module._decode_reference, data))
    assert event_of(decode(data).event, decode(data).subscription) is not None


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, '[{"a":' + "9" * 5000 + "}]"])
@pytest.mark.parametrize("field", ["new", "rateLimits"])
def test_a_number_of_thousands_of_digits_that_nobody_reads_is_skipped(field: str, number: str) -> None:
    """By both decoders: else an answer would be an answer with one and a timeout with the other."""
    data = f'{{"id":1,"status":200,"result":{{}},"{field}":{number}}}'.encode()
    for decoder in (decode, module._decode_reference):
        assert fields(decoder(data)) == (1, 200, {}, None, None, ())


@given(trees)
def test_no_limit_of_any_shape_raises(limits: Any) -> None:
    """Whatever stands where rateLimits should be; what is no number that can be reckoned with is 0."""
    for limit in Response(1, "m", 200, {}, limits).rate_limits:
        assert min(limit.interval_num, limit.limit, limit.count) >= 0
        assert max(limit.interval_num, limit.limit, limit.count) < 2**63


def test_the_fast_decoder_does_the_common_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is installed; falling back for an ordinary answer would be slower than not having it."""
    if importlib.util.find_spec("msgspec") is None:
        pytest.skip("the extra [speed] is not installed")
    monkeypatch.setattr(module, "_decode_reference", None)
    ordinary = [
        {"id": 1, "status": 200, "result": {"a": [1, "2", None]}, "rateLimits": [LIMIT]},
        {"id": 1, "status": 400, "error": {"code": -1, "msg": "m"}, "rateLimits": [LIMIT]},
        {"id": None, "status": 401, "error": {"code": -2015, "msg": "m"}},
        {"subscriptionId": 0, "event": {"e": "executionReport", "E": 1}},
    ]
    for message in ordinary:
        decode(json.dumps(message).encode())


def test_rate_limits_are_decoded_when_asked_for() -> None:
    """From the raw text or from a list; nonsense in them is no reason to lose an answer."""
    data = json.dumps({"id": 1, "status": 200, "result": {}, "rateLimits": [LIMIT]}).encode()
    expected = (RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 2400, 2),)
    for decoder in (decode, module._decode_reference):
        assert fields(decoder(data))[5] == expected
    assert Response(1, "m", 200, {}).rate_limits == ()
    assert Response(1, "m", 200, {}, 5).rate_limits == ()
    nonsense: dict[str, Any] = {"rateLimitType": 5, "interval": None, "intervalNum": "1", "limit": [], "count": True}
    assert Response(1, "m", 200, {}, [nonsense]).rate_limits == (RateLimit("", "", 0, 0, 0),)
    assert Response(1, "m", 200, {}, [5]).rate_limits == (RateLimit("", "", 0, 0, 0),)


@pytest.mark.parametrize(
    ("data", "event"),
    [
        ({"e": "serverShutdown", "E": 5}, ("serverShutdown", 5)),
        ({"e": "listenKeyExpired", "E": "1736996475556"}, ("listenKeyExpired", 1736996475556)),
        ({"e": "x"}, ("x", 0)),
        ({"e": "x", "E": "soon"}, ("x", 0)),
        ({"e": "x", "E": None}, ("x", 0)),
        ({"e": "x", "E": float("inf")}, ("x", 0)),
        ({"e": 5}, None),
        ([], None),
        (None, None),
    ],
)
def test_events(data: Any, event: tuple[str, int] | None) -> None:
    """``E`` comes as a number and as text (PROTOCOL.md §5.3); the event's data passes through untouched."""
    assert event_of(data) == (None if event is None else Event(event[0], event[1], data))


def test_nothing_secret_is_shown() -> None:
    """A listenKey opens the account's events to whoever has it; results may hold one."""
    secret = "xs0mRXdAKlIPDRFrlPcw0qI41Eh3ixNntmymGyhrhgqo7L6FuLaWArTD7RLP"
    shown = [
        ListenKey(secret, 1.0),
        Response(1, "userDataStream.start", 200, {"listenKey": secret}),
        Event("listenKeyExpired", 1, {"listenKey": secret}),
        Event("x", 1, {"cause": secret, "since": 1, "until": 2, "over": True}),
        Event(secret, 1, {}),
        SessionStatus(secret, 1, 1, True, 1),
    ]
    for value in shown:
        assert secret not in repr(value) + str(value) + f"{value}"
        assert secret[4:-2] not in repr(value)
    limit = Response(1, "m", 200, {}, [{"rateLimitType": "\x1b[2J" * 1000, "interval": "\n"}]).rate_limits
    assert repr(limit).isprintable()
    assert len(repr(limit)) < 200
    gap = Event("gap", 5, {"cause": "it was lost", "since": 1, "until": 2, "over": True}, is_gap=True)
    assert "it was lost" in repr(gap)
    assert "..." in repr(Event("x", 1, {"a": 1}, subscription_id=3))


def test_a_status_without_fields_is_not_logged_on() -> None:
    """Every field is optional (PROTOCOL.md §4)."""
    assert not SessionStatus.from_result({}).authenticated
    assert not SessionStatus.from_result(None).authenticated
    assert SessionStatus.from_result({"apiKey": "k", "serverTime": 5}).server_time == 5


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 50_000 + b"0]",
        b"[" + b"{}," * 50_000 + b"0]",
        b"[" * 500 + b"]" * 500,
        b"[" + b"123456789," * 50_000 + b"0]",
        b'{"e":"x"' + b"".join(b',"a%d":"b%d"' % (n, n) for n in range(5000)) + b"}",
        b'"' + b"x" * 100_000 + b'"',
        b'{"e":"ORDER_TRADE_UPDATE","E":1591274595442,"o":{"s":"BTCUSD","S":"SELL","q":"1","X":"NEW","b":[1,2,3]}}',
    ],
    ids=["lists", "dicts", "deep", "numbers", "fields", "a text", "an order"],
)
def test_what_a_message_takes_in_memory_is_known_from_its_text(text: bytes) -> None:
    """Within a factor of five, and never far below: it bounds what waits."""
    decode_json(text)  # what is made once is made now
    tracemalloc.start()
    value = decode_json(text)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert value
    assert memory_of(text) / 5 <= taken <= 3 * memory_of(text)


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


async def test_bytes_that_are_no_text_in_a_field_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    """Handed over as text, as well as it can be; no defect."""
    got: list[object] = []

    class Bot(Session):
        def on_unmatched(self, message: object) -> None:
            got.append(message)

    async with exchange() as simulator, session_to(simulator, kind=Bot) as session:
        link = session._admission.link
        assert link is not None
        link.message_received(b'{"id":99,"status":200,"result":1,"x":"\xff"}')
        assert len(got) == 1
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_answer_that_contradicts_itself_is_unknown() -> None:
    """A result and an error at once, or an error without a code: it may have been executed."""
    async with exchange() as simulator, session_to(simulator) as session:
        simulator.inject(Fault("no_answer", method="order.place"))
        future = session.submit("order.place", ORDER)
        await until(lambda: requests(simulator, "order.place"))
        connection = simulator.connections[0]
        connection.send({"id": 2, "status": 200, "result": {"status": "FILLED"}, "error": {"code": -1, "msg": ""}})
        with pytest.raises(ProtocolError) as caught:
            await future
        assert caught.value.outcome == "unknown"
