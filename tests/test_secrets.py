"""No log line, repr, exception or traceback shows a secret, at any level, ours or a library's."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
import warnings
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectionLost,
    Credentials,
    HmacKey,
    ListenKey,
    LogonRejected,
    Session,
)
from binance_session.simulator import Fault
from tests.exchange import ED25519, HMAC, PLAIN, exchange, requests, rsa_key, session_to, until


async def live(simulator: Any, session: Session, shown: list[str]) -> None:
    """Do a bit of everything, good and bad, and show all there is to show."""
    results: list[Any] = [session]
    async with session:
        results += [session.stats, session.listen_key]
        if session.venue.has_listen_key:
            results.append(await session.start_user_data_stream())
            results.append(await session.ping_user_data_stream())
        results.append(await session.status())
        results.append(session.submit("account.status"))
        results.append(await session.request("account.status"))
        simulator.inject(Fault("error", method="account.status", status=500, code=-1007))
        simulator.inject(Fault("malformed", method="order.cancel"))
        calls: list[Any] = [
            session.request("account.status"),
            session.request("order.cancel", {"symbol": "X", "orderId": 1}),
            session.request("order.place", {"symbol": "X"}, credentials=HMAC),
        ]
        for result in await asyncio.gather(*calls, return_exceptions=True):
            results.append(result)
            if isinstance(result, BaseException):
                shown.append("".join(traceback.format_exception(result)))
        simulator.inject(Fault("drop_after", method="account.status"))
        with pytest.raises(BinanceSessionError) as caught:
            await session.request("account.status")
        shown.append("".join(traceback.format_exception(caught.value)))
        await until(lambda: session.state.name == "READY")
    for result in results:
        shown += [repr(result), str(result), f"{result}", "".join(map(repr, getattr(result, "args", ())))]


@pytest.mark.parametrize("venue_and_key", ["coin-m ed25519", "coin-m hmac", "coin-m rsa", "spot ed25519"])
async def test_nothing_secret_is_shown(venue_and_key: str, caplog: pytest.LogCaptureFixture) -> None:
    """Everything at DEBUG, asyncio's own debug mode on, good answers and bad, drops and reconnects."""
    asyncio.get_running_loop().set_debug(True)
    caplog.set_level(logging.DEBUG)
    # every handler that a user may have: the message, the arguments, the traceback
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(args)r %(pathname)s"))
    logging.getLogger().addHandler(handler)
    shown: list[str] = []
    keys: list[ListenKey] = []

    class Bot(Session):
        def on_listen_key(self, old: ListenKey | None, new: ListenKey | None) -> None:
            keys.extend(key for key in (old, new) if key is not None)

    kinds: dict[str, Credentials] = {"ed25519": ED25519, "hmac": HMAC, "rsa": rsa_key()}
    credentials = kinds[venue_and_key.split()[1]]
    try:
        async with exchange(*([SPOT] if venue_and_key.startswith("spot") else [])) as simulator:
            simulator.add_key(rsa_key().api_key, public_key=rsa_key().private_key.public_key())
            session = session_to(simulator, credentials, kind=Bot)
            await live(simulator, session, shown)
            secrets = {credentials.api_key, HMAC.api_key, HMAC.secret}
            for entry in simulator.received:
                secrets |= {entry.params[name] for name in ("apiKey", "signature") if name in entry.params}
            secrets |= {key.value for key in keys}
    finally:
        logging.getLogger().removeHandler(handler)
    everything = "\n".join([*shown, stream.getvalue(), caplog.text])
    assert "session ready -> waiting" in everything
    assert len(secrets) >= 4
    for secret in secrets:
        assert secret not in everything
        assert secret[6:-4] not in everything


def test_keys_show_a_hint_and_no_more() -> None:
    """Enough to tell two apart."""
    for key in (ED25519, HMAC, PLAIN, rsa_key()):
        assert key.api_key not in repr(key)
        assert repr(key).startswith(f"{type(key).__name__}(api_key='{key.api_key[:4]}")
        assert getattr(key, "secret", "-" * 9) not in repr(key)


async def test_a_rejected_key_is_not_repeated() -> None:
    """Not in the error, and not in what caused it."""
    async with exchange() as simulator:
        simulator.revoke(ED25519.api_key)
        with pytest.raises(BinanceSessionError) as caught:
            await session_to(simulator).open()
        text = "".join(traceback.format_exception(caught.value))
        assert isinstance(caught.value.__cause__, ApiError)
        signature = requests(simulator, "session.logon")[0].params["signature"]
        assert ED25519.api_key not in text
        assert signature not in text


def test_a_url_with_a_password_is_not_shown() -> None:
    """In no error, and in no repr."""
    with warnings.catch_warnings():
        session = Session(SPOT, url="wss://user:hunter2@127.0.0.1:1/")
    assert "hunter2" not in repr(session)
    with pytest.raises(BinanceSessionError) as caught:
        asyncio.run(session.open())
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


API_KEY = ED25519.api_key


@pytest.mark.parametrize("form", [API_KEY, API_KEY.upper(), "".join(f"%{ord(c):02X}" for c in API_KEY)])
async def test_a_key_that_the_exchange_repeats_is_masked(form: str, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it repeats it: in an error's text, or in the reason of a close frame."""
    caplog.set_level(logging.DEBUG)
    async with exchange() as simulator:
        simulator.inject(Fault("error", method="session.logon", status=401, code=-2015, msg=f"Invalid API-key {form}"))
        with pytest.raises(LogonRejected) as rejected:
            await session_to(simulator).open()
        assert "Invalid API-key" in str(rejected.value)
        async with session_to(simulator) as session:
            simulator.inject(Fault("error", method="account.status", status=400, code=-1, msg=f"no {form}, no"))
            with pytest.raises(ApiError) as refused:
                await session.request("account.status")
            lost = session.submit("order.place", {"symbol": "X"})
            simulator.inject(Fault("close", method="account.status", code=1008, reason=f"key {form}"[:123]))
            results = await asyncio.gather(lost, session.submit("account.status"), return_exceptions=True)
            assert [type(result) for result in results] == [ApiError, ConnectionLost]
            await until(lambda: session.state.name == "READY")
    everything = "".join(
        [
            caplog.text,
            repr(results),
            *["".join(traceback.format_exception(error.value)) for error in (rejected, refused)],
        ]
    )
    assert form[:20] not in everything
    assert API_KEY[8:] not in everything
    assert refused.value.message.startswith("no ")


async def test_what_the_exchange_says_is_one_short_line_of_a_log(caplog: pytest.LogCaptureFixture) -> None:
    """No forged line, no escape for a terminal, no megabytes."""
    evil = "no\n2025-01-01T00:00:00Z INFO all is well \x1b[2J \u202egnp " + "x " * 50_000
    async with exchange() as simulator:
        simulator.inject(Fault("error", method="session.logon", status=401, code=-2015, msg=evil))
        with pytest.raises(LogonRejected) as rejected:
            await session_to(simulator).open()
    for text in [str(rejected.value), repr(rejected.value), *[record.getMessage() for record in caplog.records]]:
        assert text.isprintable()
        assert len(text) < 1500


async def test_a_password_of_the_proxy_is_masked_too() -> None:
    proxy = "http://user:hunter2%2F@127.0.0.1:1"
    session = Session(SPOT, url="wss://127.0.0.1:1/", proxy=proxy, headers={"X": "to ken99"})
    assert "hunter2" not in session._secrets.clean("denied: user:hunter2/ and hunter2%2F")
    assert "ken99" not in session._secrets.clean("to ken99; ken99")


def test_secrets_stay_out_of_errors_about_them() -> None:
    """A UnicodeEncodeError carries the whole text that could not be encoded."""
    with pytest.raises(ConfigurationError) as caught:
        HmacKey("k" * 20, "secret\udc00")
    assert "secret\udc00" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("proxy", ["user:PASSWORD@host", "http://user:PASSWORD@host:x", "ftp://user:PASSWORD@h"])
async def test_a_proxys_password_is_not_shown(proxy: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not by an address that cannot be used, and not in the log; it is refused before anything is dialled."""
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        Session(COIN_M, url="wss://127.0.0.1:1", proxy=proxy)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "PASSWORD" not in shown
    assert "defect" not in shown
