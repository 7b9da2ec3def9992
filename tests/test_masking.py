"""What is shown of secrets and of texts from outside."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session.credentials import HmacKey
from binance_session.masking import LIMIT, Secrets, masked, secrets_of, shown

API_KEY = "APIKEYsecretAPIKEYsecretAPIKEYsecretAPIKEYsecretAPIKEYsecretXYZ"
printable_ascii = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=20, max_size=80)
around = st.text(max_size=50)


@pytest.mark.parametrize(
    "text",
    [
        "no\n2025-01-01T00:00:00.000Z INFO    all is well",
        "\x1b[2J\x1b]0;owned\x07",
        "\u202egnp.exe",
        "\x9b31m",
        "a\u2028b",
        "\ud800",
    ],
)
def test_what_forges_a_line_or_steers_a_terminal_is_shown_as_an_escape(text: str) -> None:
    result = shown(text)
    assert result.isprintable()
    assert result.encode()
    assert "\\" in result


@given(st.text(st.characters(), max_size=1200), st.integers(1, 600))
def test_any_text_is_shown_on_one_line_of_bounded_length(text: str, limit: int) -> None:
    result = shown(text, limit)
    assert result.isprintable()
    assert len(result) <= limit
    assert shown(result, limit) == result
    if text.isprintable() and len(text) <= limit:
        assert result == text


@given(st.text(st.characters(), max_size=100))
def test_a_masked_secret_is_printable_and_hides_it(secret: str) -> None:
    assert masked(secret).isprintable()
    if len(secret) >= 16 and secret.isascii() and secret.isprintable():
        assert secret[:5] not in masked(secret)


@given(printable_ascii, around, around)
def test_a_secret_is_masked_in_every_form(secret: str, before: str, after: str) -> None:
    secrets = Secrets(secret)
    for form in (
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        "".join(f"%{byte:02x}" for byte in secret.encode()),
        secret.swapcase(),
        json.dumps(secret)[1:-1].replace("/", "\\/"),
    ):
        result = secrets.clean(f"{before} {form} {after}", 10_000)
        assert form not in result or form in before or form in after
        assert f" {form} " not in result


@given(st.lists(st.sampled_from([API_KEY, "some words ", "\n", "x", API_KEY[:40] + " "]), max_size=300))
def test_a_long_text_is_cut_without_leaving_the_part_of_a_secret(parts: list[str]) -> None:
    text = "".join(parts)
    result = Secrets(API_KEY).clean(text)
    assert len(result) <= LIMIT
    assert API_KEY not in result
    # what is left at the end is no piece of the key that the text itself did not have as a piece
    if not any(part == API_KEY[:40] + " " for part in parts):
        assert API_KEY[:8] not in result


def test_a_secret_across_the_cut_is_not_shown_in_part() -> None:
    secrets = Secrets(API_KEY)
    for filling in range(1500, 3500, 7):
        assert "APIKEY" not in secrets.clean("." * filling + API_KEY * 20, 600)
        assert "APIKEYs" not in secrets.clean((API_KEY + " ") * 40 + "." * (filling % 64) + API_KEY * 20, 600)


def test_a_signature_is_masked_by_its_shape() -> None:
    text = Secrets().clean("Signature " + "0123456789abcdef" * 4 + " is not valid, see " + "ab+/" * 22 + "==")
    assert "0123456789" not in text
    assert "ab+/ab+/" not in text


@pytest.mark.parametrize(
    "text",
    [
        "Filter failure: PERCENT_PRICE",
        "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.",
        "see https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-api-general-info",
        "Way too many requests; IP(192.0.2.7) banned until 1764115200000.",
    ],
)
def test_what_the_exchange_says_in_earnest_stays_as_it_is(text: str) -> None:
    assert Secrets(API_KEY, "secret", "hunter2").clean(text) == text


def test_a_short_secret_is_masked_as_a_word_and_a_tiny_one_never() -> None:
    secrets = Secrets("hunter2", "abc", None)
    assert secrets.clean("bad password hunter2, not hunter22") == "bad password …, not hunter22"
    assert secrets.clean("abc") == "abc"


def test_a_former_listen_key_is_masked_for_a_while_and_not_for_ever() -> None:
    secrets = Secrets()
    keys = [f"{i:05}{1000003 * (i + 7) ** 5:015}" for i in range(100)]
    for key in keys:
        secrets.add(key)
        secrets.discard(key)
    assert keys[99] not in secrets.clean(keys[99])
    assert keys[0] in secrets.clean(keys[0])
    secrets.discard("never added")


@pytest.mark.parametrize("hidden", ["\u200b", "\n", "\x00", "\u202e", "\ufeff"])
def test_a_secret_with_something_invisible_in_it_is_masked(hidden: str) -> None:
    """Neither of its halves is shown."""
    text = Secrets(API_KEY).clean(f"no {API_KEY[:30]}{hidden}{API_KEY[30:]}, no\n")
    assert API_KEY[4:20] not in text
    assert API_KEY[30:46] not in text
    assert text.startswith("no ")


@given(st.integers(0, 47), st.integers(16, 63))
def test_a_piece_of_a_secret_is_masked(start: int, length: int) -> None:
    """As one that was cut, by whoever repeats it."""
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    piece = key[start : start + length]
    assert piece not in Secrets(key).clean(f"Invalid key {piece}... for this")
    assert Secrets(key).clean(key[:15]) == key[:15]


def test_data_is_masked_and_nothing_else_changed() -> None:
    """What is data may have lines of its own, and any length."""
    text = f"a\n{API_KEY}\x1b" + "x" * 5000
    assert Secrets(API_KEY).mask(text) == text.replace(API_KEY, masked(API_KEY))
    assert Secrets().mask(text) == text


def test_what_a_session_is_given_is_masked() -> None:
    secrets = secrets_of(
        HmacKey(API_KEY, "hmac-secret-of-mine"),
        "wss://gateway.example/ws?token=0123456789abcdefTOKEN&timeUnit=MICROSECOND",
        "wss://user:streampass@gateway.example",
        "http://user:proxy%20pass@proxy.example",
        {"Authorization": "Bearer bearer-token-1"},
    )
    for secret in (
        API_KEY,
        "hmac-secret-of-mine",
        "0123456789abcdefTOKEN",
        "streampass",
        "proxy pass",
        "proxy+pass",
        "proxy%20pass",
        "bearer-token-1",
    ):
        assert secret not in secrets.clean(f"no: {secret}!")
    assert secrets.clean("timeUnit=MICROSECOND, user, gateway.example") == "timeUnit=MICROSECOND, user, gateway.example"


def test_a_key_of_somebodys_own_class_that_raises_hurts_nobody() -> None:
    class Remote:
        @property
        def api_key(self) -> str:
            raise OSError("not there")

    secrets_of(Remote(), "wss://x", None, True, None)
    secrets_of(None, "wss://[", None, None, {})


def test_its_repr_names_no_secret() -> None:
    assert API_KEY[:4] not in repr(Secrets(API_KEY))


def test_a_run_of_backslashes_is_read_in_one_way() -> None:
    """Not in as many as there are sums: the text would take years."""
    secrets = Secrets("\\" * 60 + "x")
    text = "\\" * 119 + "%"
    assert secrets.mask(text) == text
    assert "\\" * 60 not in secrets.mask("\\" * 60 + "x")
    assert "\\" * 60 not in secrets.mask("\\" * 120 + "x")
