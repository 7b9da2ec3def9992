"""Keys: what they sign, how they are loaded, how they refuse, and that they never show themselves."""

from __future__ import annotations

import base64
import copy
import json
import logging
import os
import threading
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from binance_session import ApiKey, ConfigurationError, Credentials, Ed25519Key, HmacKey, RsaKey
from binance_session.credentials import InsecureKeyFileWarning, masked, signature_payload

VECTORS: list[dict[str, str]] = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

ED25519 = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())

PrivateKey = Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem_of(key: PrivateKey, password: bytes | None = None) -> bytes:
    how: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def public_pem_of(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def saved(path: Path, pem: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(pem)
    path.chmod(mode)
    return path


# Signatures.


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_published_signatures_are_reproduced(vector: dict[str, str]) -> None:
    """What Binance publishes, with the secret it publishes, comes out letter for letter."""
    key: Credentials
    if vector["algorithm"] == "HMAC-SHA256-hex":
        key = HmacKey("apiKey", vector["secret"])
    else:
        assert vector["algorithm"] == "Ed25519-base64"
        key = Ed25519Key.from_pem(vector["secret"], api_key="apiKey")
    assert key.sign(vector["payload"]) == vector["signature"]


@pytest.mark.parametrize("name", ["ws_hmac_ascii", "ws_hmac_non_ascii"])
def test_the_payload_of_the_published_requests_is_reproduced(name: str) -> None:
    """From the params in any order, with their signature among them, comes the published payload."""
    [vector] = [vector for vector in VECTORS if vector["name"] == name]
    params: dict[str, Any] = dict(pair.split("=") for pair in reversed(vector["payload"].split("&")))
    params |= {"signature": vector["signature"], "timestamp": int(params["timestamp"])}
    params["recvWindow"] = int(params["recvWindow"])
    params["price"] = Decimal(params["price"])
    assert signature_payload(params) == vector["payload"]
    assert params["signature"] == vector["signature"]  # the caller's dict is as it was


def test_rsa_signs_with_pkcs1_v15_and_sha_256() -> None:
    """The exchange, holding the public key, accepts the signature (PROTOCOL.md §3)."""
    signature = RsaKey(API_KEY, RSA).sign("symbol=１&timestamp=1")
    RSA.public_key().verify(
        base64.b64decode(signature, validate=True),
        "symbol=１&timestamp=1".encode(),
        padding.PKCS1v15(),
        SHA256(),
    )


def test_ed25519_signs_utf_8() -> None:
    """The exchange, holding the public key, accepts the signature of non-ASCII text."""
    signature = Ed25519Key(API_KEY, ED25519).sign("symbol=€")
    ED25519.public_key().verify(base64.b64decode(signature, validate=True), "symbol=€".encode())


# Payloads.


@given(
    params=st.dictionaries(
        st.text("abcXYZ019", min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])) | st.integers(0, 9),
        max_size=8,
    )
)
def test_a_payload_names_every_parameter_once_in_order(params: dict[str, Any]) -> None:
    """Sorted by name, joined by &, no percent encoding, whatever the order of the dict."""
    expected = "&".join(f"{name}={params[name]}" for name in sorted(params))
    assert signature_payload(params) == expected
    assert signature_payload(dict(reversed(params.items()))) == expected


@pytest.mark.parametrize(
    ("params", "payload"),
    [
        ({}, ""),
        ({"signature": "abc"}, ""),
        ({"b": "2", "a": "1", "B": "0"}, "B=0&a=1&b=2"),
        ({"symbol": "btc/usd &+%", "x": "="}, "symbol=btc/usd &+%&x=="),
        ({"recvWindow": 5000, "reduceOnly": True, "hidden": False}, "hidden=false&recvWindow=5000&reduceOnly=true"),
        ({"price": Decimal("52000.00"), "quantity": Decimal("1E-7")}, "price=52000.00&quantity=0.0000001"),
        ({"symbols": ["BTCUSDT", "ETHUSDT"]}, 'symbols=["BTCUSDT","ETHUSDT"]'),
    ],
)
def test_payload_rules(params: dict[str, Any], payload: str) -> None:
    """Each kind of value is signed as it is sent, and the signature is left out."""
    assert signature_payload(params) == payload


def test_a_payload_of_something_inexact_is_refused() -> None:
    """A float has no text that could be signed."""
    params: Any = {"price": 0.1}
    with pytest.raises(ConfigurationError, match="float"):
        signature_payload(params)


# The four kinds.


@pytest.mark.parametrize(
    ("key", "can_logon"),
    [
        (ApiKey(API_KEY), False),
        (HmacKey(API_KEY, SECRET), False),
        (RsaKey(API_KEY, RSA), False),
        (Ed25519Key(API_KEY, ED25519), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_ed25519_can_log_on(key: Credentials, can_logon: bool) -> None:
    """Every kind is a credential; session.logon takes one of them (PROTOCOL.md §4)."""
    assert isinstance(key, Credentials)
    assert key.api_key == API_KEY
    assert key.can_logon is can_logon


def test_a_key_without_a_secret_cannot_sign() -> None:
    """It says which kinds can."""
    with pytest.raises(ConfigurationError, match="Ed25519Key, HmacKey or RsaKey"):
        ApiKey(API_KEY).sign("timestamp=1")


def test_any_object_with_the_three_names_is_a_credential() -> None:
    """A hardware key or a remote signer needs no base class."""

    class Remote:
        api_key = API_KEY
        can_logon = True

        def sign(self, payload: str) -> str:
            return payload

    assert isinstance(Remote(), Credentials)
    assert not isinstance("a text", Credentials)


@pytest.mark.parametrize("password", [None, "pass wörd", "pass wörd".encode()])
@pytest.mark.parametrize("form", ["path", "path as text", "text", "bytes"])
@pytest.mark.parametrize(("kind", "private"), [(Ed25519Key, ED25519), (RsaKey, RSA)])
def test_a_pem_key_is_loaded_from_anywhere(
    tmp_path: Path, kind: Any, private: PrivateKey, form: str, password: str | bytes | None
) -> None:
    """Path, text and bytes, encrypted or not, give the same key."""
    pem = pem_of(private, "pass wörd".encode() if password else None)
    path = saved(tmp_path / "key.pem", pem)
    source = {"path": path, "path as text": str(path), "text": pem.decode(), "bytes": pem}[form]
    key = kind.from_pem(source, api_key=API_KEY, password=password)
    assert key.sign("timestamp=1") == kind(API_KEY, private).sign("timestamp=1")
    assert key.api_key == API_KEY


def test_a_generated_key_is_new_and_tells_its_public_half() -> None:
    """What it signs is verified by the public half, and by that of no other generated key."""
    key, other = (Ed25519Key.generate(api_key=API_KEY) for _ in range(2))
    signature = base64.b64decode(key.sign("timestamp=1"))
    assert "PRIVATE" not in key.public_pem()
    public, another = (load_pem_public_key(each.public_pem().encode()) for each in (key, other))
    assert isinstance(public, Ed25519PublicKey)
    assert isinstance(another, Ed25519PublicKey)
    public.verify(signature, b"timestamp=1")
    with pytest.raises(InvalidSignature):
        another.verify(signature, b"timestamp=1")


def test_an_empty_password_is_no_password() -> None:
    """What an unset environment variable gives does not stand in the way."""
    assert Ed25519Key.from_pem(pem_of(ED25519), api_key=API_KEY, password="").can_logon


# Refusals.

DAMAGED = pem_of(ED25519).replace(b"MC4CAQAw", b"AAAAAAAA")
OTHER_ARMOUR = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("kind", "pem", "password", "reason"),
    [
        (Ed25519Key, pem_of(RSA), None, r"an Ed25519 private key is needed.*\(RSA\)"),
        (RsaKey, pem_of(ED25519), None, r"an RSA private key is needed.*\(Ed25519\)"),
        (Ed25519Key, pem_of(ELLIPTIC), None, "another kind"),
        (Ed25519Key, public_pem_of(ED25519), None, "this is a public key"),
        (RsaKey, public_pem_of(RSA), None, "this is a public key"),
        (Ed25519Key, OTHER_ARMOUR, None, "not a private key"),
        (Ed25519Key, pem_of(ED25519, b"secret"), None, "encrypted: pass password="),
        (Ed25519Key, pem_of(ED25519, b"secret"), "hunter2", "is the password right"),
        (RsaKey, pem_of(RSA, b"secret"), b"hunter2", "is the password right"),
        (Ed25519Key, pem_of(ED25519), "superfluous", "not encrypted"),
        (Ed25519Key, DAMAGED, None, "damaged"),
        (Ed25519Key, DAMAGED.decode(), None, "damaged"),
        (Ed25519Key, DAMAGED.decode() + "\ud800", None, "damaged"),
        (Ed25519Key, b"", None, "not a PEM key"),
        (Ed25519Key, b"MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy", None, "not a PEM key"),
        (Ed25519Key, "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy", None, "cannot be read .*No such file"),
        (Ed25519Key, "MC4CAQ\0AwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy", None, "cannot be read .*not a path"),
        (Ed25519Key, "MC4CAQ" * 1000, None, "cannot be read .*too long"),
        (Ed25519Key, None, None, "cannot be read .*not a path"),
        (Ed25519Key, "", None, "an empty text: is the variable set"),
        (Ed25519Key, bytearray(pem_of(ED25519)), None, "cannot be read .*not a path"),
    ],
)
def test_a_key_that_cannot_be_used_says_why(kind: Any, pem: Any, password: Any, reason: str) -> None:
    """One clear sentence each, in which neither the key nor the password appears."""
    with pytest.raises(ConfigurationError, match=reason) as caught:
        kind.from_pem(pem, api_key=API_KEY, password=password)
    said = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    for secret in ("MC4CAQ", "MIIE", "superfluous", "hunter2", API_KEY):
        assert secret not in said


def test_a_missing_file_is_named_by_its_reason_only(tmp_path: Path) -> None:
    """The argument is not repeated: it could be a key that lost its header."""
    with pytest.raises(ConfigurationError, match="No such file") as caught:
        Ed25519Key.from_pem(tmp_path / "MC4CAQAwBQ", api_key=API_KEY)
    assert "MC4CAQAwBQ" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "api_key", ["", " ", "abc def", "abc\n", "abc\r\nX-Other: 1", "abc\u200b", "schlüssel", None, 5, b"abc"]
)
@pytest.mark.parametrize("make", [ApiKey, lambda key: HmacKey(key, SECRET), lambda key: Ed25519Key(key, ED25519)])
def test_an_api_key_that_cannot_be_one_is_refused(make: Callable[[Any], Credentials], api_key: Any) -> None:
    """White space from a careless paste is found before the exchange finds it."""
    with pytest.raises(ConfigurationError, match="api_key"):
        make(api_key)


@pytest.mark.parametrize("secret", ["", " " + SECRET, SECRET + "\n", None, SECRET.encode()])
def test_a_secret_that_cannot_be_one_is_refused(secret: Any) -> None:
    """The message does not repeat it."""
    with pytest.raises(ConfigurationError, match="secret must be") as caught:
        HmacKey(API_KEY, secret)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("kind", "wrong"), [(Ed25519Key, RSA), (RsaKey, ED25519), (Ed25519Key, pem_of(ED25519))])
def test_a_constructor_takes_a_loaded_key_of_its_kind(kind: Any, wrong: object) -> None:
    """PEM text, or another algorithm's key, is refused now and not at the first order."""
    with pytest.raises(ConfigurationError, match="from_pem"):
        kind(API_KEY, wrong)


# Files.

posix = pytest.mark.skipif(os.name != "posix", reason="file permissions as POSIX has them")


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_file_that_others_can_open_is_warned_about(tmp_path: Path, mode: int) -> None:
    """The key works, and the warning points at the line that loaded it."""
    path = saved(tmp_path / "key.pem", pem_of(ED25519), mode)
    with pytest.warns(InsecureKeyFileWarning, match="chmod 600") as caught:
        key = Ed25519Key.from_pem(path, api_key=API_KEY)
    assert key.can_logon
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    assert str(path) in str(caught[0].message)


@posix
def test_a_file_of_ones_own_is_not_warned_about(tmp_path: Path) -> None:
    """Neither is a public key, which everybody may read: it is refused for what it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ed25519Key.from_pem(saved(tmp_path / "key.pem", pem_of(ED25519)), api_key=API_KEY)
        with pytest.raises(ConfigurationError, match="public key"):
            Ed25519Key.from_pem(saved(tmp_path / "public.pem", public_pem_of(ED25519), 0o644), api_key=API_KEY)


# Secrets.

PRIVATE_BODY = pem_of(RSA).decode().splitlines()[3]


@pytest.mark.parametrize(
    "key",
    [ApiKey(API_KEY), HmacKey(API_KEY, SECRET), RsaKey(API_KEY, RSA), Ed25519Key(API_KEY, ED25519)],
    ids=lambda key: type(key).__name__,
)
def test_a_key_never_shows_itself(key: Any, caplog: pytest.LogCaptureFixture) -> None:
    """However it is printed, logged, nested or copied, the kind and a hint of the apiKey are all there is."""
    logging.getLogger("a.bot").warning("%s %r %s", key, key, [key])
    shown = [
        repr(key),
        str(key),
        f"{key} {key!r}",
        repr({"config": [key]}),
        repr(copy.copy(key)),
        caplog.text,
    ]
    for text in shown:
        assert type(key).__name__ in text
        assert "vmPU…8A" in text
        for secret in (API_KEY, API_KEY[4:20], SECRET, SECRET[:8], "PRIVATE", PRIVATE_BODY):
            assert secret not in text


def test_a_secret_stays_hidden_in_a_dict_of_attributes() -> None:
    """A bot that logs attrs.asdict() of its settings does not log the secret of a key among them."""

    @attrs.frozen
    class Settings:
        key: HmacKey

    settings = Settings(HmacKey(API_KEY, SECRET))
    assert SECRET not in repr(attrs.asdict(settings))
    assert settings.key.secret == SECRET


@pytest.mark.parametrize(
    ("secret", "shown"),
    [(API_KEY, "vmPU…8A"), ("0123456789abcdef", "0123…ef"), ("0123456789abcde", "…"), ("", "…")],
)
def test_masking_leaves_no_short_secret_readable(secret: str, shown: str) -> None:
    """Six characters of at least sixteen, none of fewer."""
    assert masked(secret) == shown


def test_keys_are_immutable_and_equal_only_to_themselves() -> None:
    """A comparison that leaks nothing by its timing, and no key that changes under a session."""
    key = HmacKey(API_KEY, SECRET)
    assert key == key
    assert key != HmacKey(API_KEY, SECRET)
    with pytest.raises(AttributeError):
        key.secret = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        key.note = "other"  # type: ignore[attr-defined]


# What was most likely meant.

TEXT = pem_of(ED25519).decode()


@pytest.mark.parametrize(
    ("pem", "password", "reason"),
    [
        (TEXT.replace("\n", "\\n"), None, r"two characters \\n .* text.replace\("),
        (TEXT.replace("\n", "\\n").encode(), None, "two characters"),
        (TEXT.replace("-----BEGIN PRIVATE", "-----BEGIN OPENSSH PRIVATE").encode(), None, "OpenSSH.*keygen"),
        (TEXT.encode("utf-16"), None, "UTF-16.*save it as UTF-8"),
        (TEXT.encode("utf-16-be"), None, "UTF-16"),
        (TEXT.encode("utf-16-le"), None, "UTF-16"),
        (SECRET64 := "NhqPtm" + "x" * 58, None, "HMAC secret, which HmacKey takes"),
        (SECRET64.encode() + b"\n", None, "HMAC secret, which HmacKey takes"),
        (TEXT, 5, "password must be a text or bytes, not an int"),
        (TEXT, str, "password must be a text or bytes, not the class str"),
        (TEXT, "\ud800", "not valid Unicode"),
    ],
)
def test_what_was_given_for_a_pem_key_is_told(pem: Any, password: Any, reason: str) -> None:
    """The likeliest mistake and what to do, without a piece of the key."""
    for kind in (Ed25519Key, RsaKey):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            kind.from_pem(pem, api_key=API_KEY, password=password)
        said = f"{caught.value!r} {caught.value.__cause__!r}"
        for secret in ("NhqPtm", TEXT.splitlines()[1][:8], API_KEY):
            assert secret not in said


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (TEXT, "this is a PEM key: load it with Ed25519Key.from_pem"),
        (TEXT.strip(), "this is a PEM key"),
        (SECRET + "\n", "strip"),
        (SECRET + "\r\n", "strip"),
        (f"{SECRET}\n{SECRET}", "characters that no secret has"),
        (None, "not None"),
        (SECRET.encode(), "not a bytes"),
        ("", "not an empty str"),
        (str, r"not the class str \(give an instance of it\)"),
    ],
)
def test_what_was_given_for_an_hmac_secret_is_told(secret: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        HmacKey(API_KEY, secret)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("api_key", "reason"), [(API_KEY + "\n", "strip"), (TEXT, "PEM"), (None, "not None")])
def test_an_error_of_the_api_key_is_found_before_the_file_is_read(api_key: Any, reason: str, tmp_path: Path) -> None:
    """So that the file is not blamed for it."""
    for kind in (Ed25519Key, RsaKey):
        with pytest.raises(ConfigurationError, match=f"api_key .*{reason}"):
            kind.from_pem(tmp_path / "missing.pem", api_key=api_key)


@posix
def test_a_file_on_a_read_only_file_system_is_not_warned_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's volume with a secret: 0444, root's, and nobody there can change it."""
    path = saved(tmp_path / "key.pem", pem_of(ED25519), 0o444)
    real = os.fstatvfs

    def read_only(file: int) -> Any:
        class Found:
            f_flag = real(file).f_flag | os.ST_RDONLY

        return Found

    monkeypatch.setattr(os, "fstatvfs", read_only)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Ed25519Key.from_pem(path, api_key=API_KEY).can_logon


@posix
def test_a_key_may_come_out_of_a_pipe(tmp_path: Path) -> None:
    """It is read once, and has no mode that could be too open."""
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o666)
    writer = threading.Thread(target=path.write_bytes, args=(pem_of(ED25519),))
    writer.start()
    assert Ed25519Key.from_pem(path, api_key=API_KEY).can_logon
    writer.join()


@posix
def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigurationError, match="larger than any key"):
        Ed25519Key.from_pem("/dev/zero", api_key=API_KEY)
