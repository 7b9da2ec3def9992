"""What a request carries: nothing that is not needed, everything that is, and exactly what was signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session import COIN_M, SPOT, ApiKey, ConfigurationError, HmacKey
from binance_session.clock import ServerClock
from binance_session.credentials import Credentials
from binance_session.requests import encoding as requests_module
from binance_session.requests.encoding import RequestEncoder

KEY = HmacKey("A" * 20, "s" * 20)
OTHER = HmacKey("B" * 20, "t" * 20)
NOW_MS = 1_660_801_715_793


@pytest.fixture(autouse=True, params=["stdlib", "installed"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with the standard library's encoder, and with the one that is installed."""
    if request.param == "stdlib":
        monkeypatch.setattr(requests_module, "_dumps", requests_module._dumps_plainly)


def encode(
    method: str,
    params: Any = None,
    *,
    venue: Any = COIN_M,
    credentials: Credentials | None = KEY,
    authenticated: bool = False,
    other: Credentials | None = None,
    recv_window: int | None = None,
) -> dict[str, Any]:
    encoder = RequestEncoder(credentials, recv_window, ServerClock(lambda: NOW_MS / 1000))
    data = encoder.encode(7, venue.method(method), params, authenticated, other)
    message: dict[str, Any] = json.loads(data)
    return message


def test_a_ping_on_a_logged_on_connection_carries_nothing() -> None:
    """The whole point: no apiKey, no signature, not even params (PROTOCOL.md §5.1)."""
    assert encode("userDataStream.ping", authenticated=True) == {"id": 7, "method": "userDataStream.ping"}


def test_a_ping_without_logon_carries_the_key_and_no_signature() -> None:
    """USER_STREAM on futures: apiKey only (PROTOCOL.md §3); an ApiKey is enough."""
    expected = {"id": 7, "method": "userDataStream.ping", "params": {"apiKey": "A" * 20}}
    assert encode("userDataStream.ping") == expected
    assert encode("userDataStream.ping", credentials=ApiKey("A" * 20)) == expected


def test_a_signed_request_on_a_logged_on_connection_keeps_its_timestamp() -> None:
    """``timestamp`` stays; key and signature go (PROTOCOL.md §4)."""
    message = encode("order.place", {"symbol": "BTCUSD_PERP"}, authenticated=True)
    assert message["params"] == {"symbol": "BTCUSD_PERP", "timestamp": NOW_MS}


def test_a_signed_request_without_logon_proves_itself() -> None:
    """apiKey, timestamp, and the signature over the sorted payload."""
    params = encode("account.balance", {"zeta": "1", "alpha": 2})["params"]
    payload = f"alpha=2&apiKey={'A' * 20}&timestamp={NOW_MS}&zeta=1"
    assert params.pop("signature") == hmac.new(b"s" * 20, payload.encode(), hashlib.sha256).hexdigest()
    assert params == {"alpha": 2, "zeta": "1", "apiKey": "A" * 20, "timestamp": NOW_MS}


def test_a_public_method_carries_nothing_and_needs_no_key() -> None:
    """NONE: not even on a session that has a key."""
    assert encode("time", venue=SPOT) == {"id": 7, "method": "time"}
    assert encode("depth", {"symbol": "BTCUSDT"}, venue=SPOT, credentials=None)["params"] == {"symbol": "BTCUSDT"}


def test_another_key_for_one_request_signs_it_also_when_logged_on() -> None:
    """Ad hoc credentials: explicit apiKey and signature override the connection's logon (PROTOCOL.md §4)."""
    signed = encode("account.balance", authenticated=True, other=OTHER)["params"]
    assert signed["apiKey"] == "B" * 20
    payload = f"apiKey={'B' * 20}&timestamp={NOW_MS}"
    assert signed["signature"] == hmac.new(b"t" * 20, payload.encode(), hashlib.sha256).hexdigest()
    assert encode("userDataStream.start", authenticated=True, other=OTHER)["params"] == {"apiKey": "B" * 20}


def test_logon_and_subscribe_signature_always_prove_themselves() -> None:
    """Both methods are about a key, so they carry one on every connection (PROTOCOL.md §4, §5.4)."""
    for venue, method in ((COIN_M, "session.logon"), (SPOT, "userDataStream.subscribe.signature")):
        for authenticated in (False, True):
            params = encode(method, venue=venue, authenticated=authenticated)["params"]
            assert set(params) == {"apiKey", "timestamp", "signature"}


def test_a_method_that_needs_a_logon_is_refused_without_one() -> None:
    """Spot's ``userDataStream.subscribe`` has no way to carry a key."""
    assert encode("userDataStream.subscribe", venue=SPOT, authenticated=True) == {
        "id": 7,
        "method": "userDataStream.subscribe",
    }
    with pytest.raises(ConfigurationError, match="logged-on"):
        encode("userDataStream.subscribe", venue=SPOT)


def test_recv_window_is_sent_on_signed_requests_only_and_a_request_may_bring_its_own() -> None:
    """In ms, as a JSON integer, and signed like everything else."""
    assert encode("account.balance", authenticated=True, recv_window=3000)["params"]["recvWindow"] == 3000
    assert (
        encode("account.balance", {"recvWindow": 9}, authenticated=True, recv_window=3000)["params"]["recvWindow"] == 9
    )
    assert "params" not in encode("userDataStream.ping", authenticated=True, recv_window=3000)
    assert "recvWindow" in encode("session.logon", recv_window=3000)["params"]


@pytest.mark.parametrize("method", ["account.balance", "userDataStream.ping", "order.place"])
def test_a_session_without_credentials_cannot_send_what_needs_them(method: str) -> None:
    """Refused before anything is written, with the method named."""
    with pytest.raises(ConfigurationError, match="no credentials") as caught:
        encode(method, credentials=None)
    assert caught.value.method == method


def test_an_api_key_alone_cannot_sign() -> None:
    """The error says which keys can."""
    with pytest.raises(ConfigurationError, match="Ed25519Key"):
        encode("order.place", credentials=ApiKey("A" * 20))


@pytest.mark.parametrize("name", ["apiKey", "signature", "timestamp"])
def test_what_the_session_writes_cannot_be_passed(name: str) -> None:
    """A stale timestamp or a key in params would be signed over or leak: refused."""
    with pytest.raises(ConfigurationError, match=name):
        encode("order.place", {name: "x"})


class Side(Enum):
    BUY = "BUY"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0.10", '"0.10"'),
        ("１２３４５６", '"１２３４５６"'),
        (5, "5"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (True, "true"),
        (Decimal("0.10"), '"0.10"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("1e-8"), '"0.00000001"'),
        (Side.BUY, '"BUY"'),
        (["BTCUSDT", "BNBBTC"], '["BTCUSDT","BNBBTC"]'),
        (("A",), '["A"]'),
        ('line\nbreak "quoted" \\ / \x7f', '"line\\nbreak \\"quoted\\" \\\\ / \x7f"'),
    ],
)
def test_values_are_written_exactly(value: Any, written: str) -> None:
    """INT as an integer, DECIMAL as a string, every digit kept, UTF-8 as itself."""
    encoder = RequestEncoder(None, None, ServerClock(lambda: 0.0))
    data = encoder.encode(1, SPOT.method("depth"), {"x": value}, False)
    assert data.decode() == '{"id":1,"method":"depth","params":{"x":' + written + "}}"


@pytest.mark.parametrize(
    "params",
    [
        {"price": 0.1},
        {"price": float("nan")},
        {"price": Decimal("NaN")},
        {"price": Decimal("Infinity")},
        {"price": None},
        {"price": b"1"},
        {"price": {"a": 1}},
        {"price": 2**63},
        {"price": "\ud800"},
        {"\ud800": "1"},
        {"": "1"},
        {1: "1"},
        [("price", "1")],
        "price=1",
        5,
        {"prices": ["1", 0.5]},
    ],
)
@pytest.mark.parametrize("authenticated", [True, False])
def test_what_cannot_be_written_exactly_is_refused(params: Any, authenticated: bool) -> None:
    """Nothing is rounded, coerced or dropped."""
    with pytest.raises(ConfigurationError):
        encode("order.place", params, authenticated=authenticated)


def test_the_callers_params_are_left_alone() -> None:
    """They may be used again, and any mapping will do."""
    params = {"symbol": "X", "price": Decimal("1.0")}
    encode("order.place", params)
    assert params == {"symbol": "X", "price": Decimal("1.0")}
    assert encode("order.place", MappingProxyType(params), authenticated=True)["params"]["price"] == "1.0"


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in ("apiKey", "signature", "timestamp", "recvWindow")
)
values = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.decimals(allow_nan=False, allow_infinity=False, places=8)
    | st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=3)
)


@given(st.dictionaries(names, values, max_size=6))
def test_what_is_signed_is_what_the_json_says(params: dict[str, Any]) -> None:
    """An exchange that rebuilds the payload from the bytes it received gets the text that was signed."""
    signed: list[str] = []

    class Recorder:
        api_key = "A" * 20
        can_logon = False

        def sign(self, payload: str) -> str:
            signed.append(payload)
            return "sig"

    encoder = RequestEncoder(Recorder(), None, ServerClock(lambda: 1.0))
    data = encoder.encode(1, COIN_M.method("order.place"), params, False)
    assert signed == [payload_as_an_exchange_reads_it(data)]


def payload_as_an_exchange_reads_it(data: bytes) -> str:
    """Rebuild the payload from the request's own text: strings as they are, anything else by its JSON characters."""
    literal: Callable[[str], str] = str
    message = json.loads(data, parse_int=literal, parse_float=literal)
    parts = []
    for name, value in sorted(message["params"].items()):
        if name == "signature":
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, list):
            value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        parts.append(f"{name}={value}")
    return "&".join(parts)


@pytest.mark.parametrize(
    ("name", "says"),
    [("timestamp", "stamps a request when it leaves"), ("apiKey", "credentials="), ("signature", "credentials=")],
)
def test_what_belongs_to_the_session_says_what_to_do_instead(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'.*{says}"):
        encode("order.place", {"symbol": "X", name: 5})


@pytest.mark.parametrize("value", ["x" * 300_000, ["x" * 1000] * 300, "\u4e2d" * 100_000])
def test_a_parameter_that_is_too_large_is_refused_before_it_is_sent(value: Any) -> None:
    """The exchange would end the connection over it, and with it everything in flight."""
    with pytest.raises(ConfigurationError, match="'newClientOrderId' is the largest") as caught:
        encode("order.place", {"symbol": "BTCUSD_PERP", "newClientOrderId": value})
    assert len(str(caught.value)) < 500
    assert caught.value.outcome == "not_sent"
    encode("order.place", {"symbol": "X" * 200_000})


def test_a_class_given_for_a_value_is_called_that() -> None:
    with pytest.raises(ConfigurationError, match="'side' is the class Side"):
        encode("order.place", {"side": Side})


def test_the_name_of_a_parameter_is_shown_on_one_short_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        encode("order.place", {"\x1b[2J\n" * 1000: 0.5})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
