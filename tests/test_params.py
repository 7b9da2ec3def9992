"""The form in which a parameter is written, and in which it is signed: the same text, or a refusal."""

from __future__ import annotations

import asyncio
import json
import math
import types
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session import COIN_M, SPOT, ConfigurationError, HmacKey, Session, SessionState
from binance_session.clock import ServerClock
from binance_session.params import clean, clean_value, text
from binance_session.requests.encoding import RequestEncoder
from tests.exchange import exchange, requests, session_to, until

texts = st.text(st.characters(exclude_categories=["Cs"]))
integers = st.integers(-(2**63), 2**63 - 1)
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
scalars = texts | integers | st.booleans() | decimals
values = scalars | st.lists(scalars, max_size=5)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)

#: digits as they stand in Asian texts: symbols may have them
FULL_WIDTH = "\uff11\uff12\uff13\uff14\uff15\uff16"


class Side(Enum):
    BUY = "BUY"


class TimeInForce(StrEnum):
    GTC = "GTC"


class Hedge(IntEnum):
    ON = 1


class Broken(Enum):
    PRICE = 0.1


@given(params=st.dictionaries(names, values))
def test_what_is_written_is_what_is_signed(params: dict[str, Any]) -> None:
    """The exchange, reading the JSON, finds under each name the very text that was signed."""
    cleaned = clean(params)
    read = json.loads(json.dumps(cleaned))
    assert read.keys() == params.keys()
    assert {name: text(value) for name, value in read.items()} == {name: text(value) for name, value in cleaned.items()}


@given(params=st.dictionaries(names.filter(lambda name: name not in ("apiKey", "signature", "timestamp")), values))
def test_a_whole_request_is_signed_as_it_is_read(params: dict[str, Any]) -> None:
    """The signature in a finished request fits the parameters that the request carries."""
    key = HmacKey("apiKey-of-a-test", "secret")
    request = json.loads(
        RequestEncoder(key, None, ServerClock(lambda: 1.0)).encode(1, COIN_M.methods["order.place"], params, False)
    )
    signature = request["params"].pop("signature")
    payload = "&".join(f"{name}={text(value)}" for name, value in sorted(request["params"].items()))
    assert key.sign(payload) == signature


@given(value=scalars)
def test_cleaning_twice_changes_nothing(value: Any) -> None:
    """A clean value is its own clean value."""
    once = clean_value("x", value)
    again = clean_value("x", once)
    assert (type(again), again) == (type(once), once)


@given(value=decimals)
def test_a_decimal_keeps_every_digit(value: Decimal) -> None:
    """What the exchange reads is the number that was meant, without an exponent."""
    written = clean_value("price", value)
    assert type(written) is str
    assert "E" not in written.upper()
    assert Decimal(written) == value


@pytest.mark.parametrize(
    ("value", "written", "signed"),
    [
        ("52000.00", '"52000.00"', "52000.00"),
        ("", '""', ""),
        (FULL_WIDTH, f'"{FULL_WIDTH}"', FULL_WIDTH),
        ('a "quoted" \\ text', '"a \\"quoted\\" \\\\ text"', 'a "quoted" \\ text'),
        (5000, "5000", "5000"),
        (-(2**63), "-9223372036854775808", "-9223372036854775808"),
        (2**63 - 1, "9223372036854775807", "9223372036854775807"),
        (True, "true", "true"),
        (False, "false", "false"),
        (Decimal("0.10"), '"0.10"', "0.10"),
        (Decimal("1E-8"), '"0.00000001"', "0.00000001"),
        (Decimal("1E+3"), '"1000"', "1000"),
        (Side.BUY, '"BUY"', "BUY"),
        (TimeInForce.GTC, '"GTC"', "GTC"),
        (Hedge.ON, "1", "1"),
        (["BTCUSDT", "ETHUSDT"], '["BTCUSDT","ETHUSDT"]', '["BTCUSDT","ETHUSDT"]'),
        ((1, Decimal("2.50"), True), '[1,"2.50",true]', '[1,"2.50",true]'),
        (["€"], '["€"]', '["€"]'),
    ],
)
def test_each_kind_of_value_has_one_text(value: Any, written: str, signed: str) -> None:
    """A string is signed as itself, anything else as its exact JSON."""
    cleaned = clean_value("x", value)
    assert json.dumps(cleaned, ensure_ascii=False, separators=(",", ":")) == written
    assert text(cleaned) == signed


@pytest.mark.parametrize("value", [Side.BUY, TimeInForce.GTC, Hedge.ON, True, "text", 7])
def test_clean_values_have_plain_types(value: Any) -> None:
    """No subclass is left that an encoder could write in its own way."""
    assert type(clean_value("x", value)) in (str, int, bool)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.1, "float"),
        (1.0, "float"),
        (math.nan, "float"),
        (Broken.PRICE, "float"),
        ([1, 0.5], "float"),
        (None, "leave it out"),
        (["BTC", None], "leave it out"),
        (Decimal("NaN"), "not a number"),
        (Decimal("sNaN"), "not a number"),
        (Decimal("-Infinity"), "not a number"),
        (2**63, "64-bit"),
        (-(2**63) - 1, "64-bit"),
        ("\ud800", "Unicode"),
        (["a", "\udfff"], "Unicode"),
        (b"BTCUSDT", "bytes"),
        ({"symbol": "BTCUSDT"}, "dict"),
        ({1, 2}, "set"),
        (1j, "complex"),
        (object(), "object"),
    ],
)
def test_what_has_no_exact_text_is_refused(value: Any, reason: str) -> None:
    """A rounded or guessed parameter could be a wrong order: the error names it and says why."""
    with pytest.raises(ConfigurationError, match=reason) as caught:
        clean({"symbol": "BTCUSD_PERP", "quantity": value})
    assert "'quantity'" in str(caught.value)
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("name", ["", 5, None, b"symbol", "\ud800"])
def test_a_name_must_be_text(name: Any) -> None:
    """What could not be written as a name in JSON is refused."""
    with pytest.raises(ConfigurationError):
        clean({name: "x"})


@pytest.mark.parametrize("params", [[("symbol", "BTCUSDT")], "symbol=BTCUSDT", 5])
def test_params_must_be_a_mapping(params: Any) -> None:
    """A list of pairs is a mistake that is told."""
    with pytest.raises(ConfigurationError, match="mapping"):
        clean(params)


def test_the_callers_params_are_not_touched() -> None:
    """Cleaning makes a new dict, from any mapping, in the same order."""
    params: types.MappingProxyType[str, Any] = types.MappingProxyType({"b": Decimal(1), "a": [Side.BUY]})
    assert list(clean(params).items()) == [("b", "1"), ("a", ["BUY"])]
    assert params["a"] == [Side.BUY]


ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.mark.parametrize("value", ["1E+50000000", "1E-50000000"])
async def test_a_number_with_millions_of_digits(value: str) -> None:
    """Refused instead of written."""
    async with exchange() as simulator, session_to(simulator) as session:
        with pytest.raises(ConfigurationError, match="digits"):
            session.submit("order.place", {**ORDER, "price": Decimal(value)})


@pytest.mark.parametrize("value", [10**400, 1e309])
def test_numbers_beyond_all_bounds(value: Any) -> None:
    """Refused in words."""
    with pytest.raises(ConfigurationError):
        Session(COIN_M, request_timeout=value)


async def test_lists_that_hold_themselves_and_lists_that_change() -> None:
    """The one is refused; of the other, what it was when the request was made is sent."""
    endless: list[Any] = []
    endless.append(endless)
    async with exchange(SPOT) as simulator:
        session = session_to(simulator, None)
        opening = asyncio.ensure_future(session.open())
        await until(lambda: session.state is SessionState.CONNECTING)
        with pytest.raises(ConfigurationError, match="a list that contains a list"):
            session.submit("ticker.price", {"symbols": endless})
        symbols = ["BTCUSDT"]
        parked = session.submit("ticker.price", {"symbols": symbols})
        symbols.append("ETHUSDT")
        await opening
        await asyncio.gather(parked, return_exceptions=True)
        assert requests(simulator, "ticker.price")[0].params["symbols"] == ["BTCUSDT"]
        await session.close()
