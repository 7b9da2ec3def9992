"""check: what it finds, what it says, and what it never does or shows."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from binance_session import ConnectError
from binance_session.cli import main
from binance_session.cli.check import connect_advice
from binance_session.simulator import Fault, LoopClock
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.cli.background import Background
from tests.cli.conftest import API_KEY, KeyPair, save
from tests.cli.program import TIMEOUT, running

SECRET = "hmac-secret-0123456789abcdef"


@pytest.fixture
def api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", API_KEY)


def add(exchange: Background, pair: KeyPair, **options: object) -> None:
    exchange.call(lambda: exchange.simulator.add_key(API_KEY, public_key=pair.public, **options))  # type: ignore[arg-type]


def findings(text: str) -> dict[str, str]:
    """Return the status of each finding in the report."""
    marks = {"ok": "ok", "warning": "warning", "failed": "failed", "-": "skipped"}
    rows = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
    return {rest[:13].strip(): marks[mark] for mark, rest in rows}


def private(path: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    path.touch(0o600)
    path.write_text(text)
    return path


def raised_from(cause: Exception) -> ConnectError:
    error = ConnectError("no connection")
    error.__cause__ = cause
    return error


GOOD = ["connection", "clock", "key", "logon", "reading", "user stream", "trading", "latency"]


# A key that works


@pytest.mark.usefixtures("api_key")
def test_a_good_key(exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    add(exchange, ed25519)
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 0
    shown = capsys.readouterr()
    assert findings(shown.out) == dict.fromkeys(GOOD, "ok")
    assert shown.out.endswith("\nAll that a session needs works with this key.\n")
    assert shown.err == ""


@pytest.mark.usefixtures("api_key")
def test_nothing_is_traded_and_nothing_is_stopped(exchange: Background, ed25519: KeyPair) -> None:
    add(exchange, ed25519)
    main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)])
    assert set(exchange.methods()) == {
        "session.status",
        "session.logon",
        "account.balance",
        "userDataStream.start",
        "order.cancel",
    }
    assert [request.method for request in exchange.simulator.executed].count("order.cancel") == 0
    assert exchange.simulator.exchange.account.orders == {}


@pytest.mark.usefixtures("api_key")
def test_no_secret_is_shown(exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither when all is well nor when the exchange refuses: not the apiKey, the key, a signature, the listenKey."""
    main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)])
    add(exchange, ed25519)
    main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)])
    main(["check", "--url", exchange.url, "--key-file", str(ed25519.path), "--json"])
    shown = "".join(capsys.readouterr())
    listen_key = exchange.simulator.exchange.state.listen_keys.of(exchange.simulator.exchange.account)
    assert listen_key is not None
    sent = [str(frame.params["signature"]) for frame in exchange.simulator.received if "signature" in frame.params]
    assert sent
    for secret in (API_KEY, ed25519.secret_text, listen_key.value, *sent):
        assert secret not in shown


@pytest.mark.parametrize("venue", [USD_M, SPOT], ids=["usd-m", "spot"])
@pytest.mark.usefixtures("api_key")
def test_the_other_venues(venue: Venue, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    with Background(venue) as exchange:
        add(exchange, ed25519)
        arguments = ["--venue", venue.name.lower(), "--url", exchange.url, "--key-file", str(ed25519.path)]
        assert main(["check", *arguments]) == 0
    assert findings(capsys.readouterr().out) == dict.fromkeys(GOOD, "ok")


@pytest.mark.usefixtures("api_key")
def test_a_spot_key_that_cannot_log_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    with Background(SPOT) as exchange:
        exchange.call(lambda: exchange.simulator.add_key(API_KEY, secret=SECRET))
        assert main(["check", "--venue", "spot", "--url", exchange.url, "--secret-env", "SECRET"]) == 0
        assert "userDataStream.subscribe.signature" in exchange.methods()
    assert findings(capsys.readouterr().out) == {**dict.fromkeys(GOOD, "ok"), "logon": "skipped"}


@pytest.mark.parametrize("place", ["--secret-env", "--secret-file"])
@pytest.mark.usefixtures("api_key")
def test_an_hmac_key(
    place: str,
    exchange: Background,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exchange.call(lambda: exchange.simulator.add_key(API_KEY, secret=SECRET))
    monkeypatch.setenv("SECRET", SECRET)
    private(tmp_path / "secret", f"{SECRET}\n")
    value = "SECRET" if place == "--secret-env" else str(tmp_path / "secret")
    assert main(["check", "--url", exchange.url, place, value]) == 0
    shown = capsys.readouterr().out
    assert findings(shown) == {**dict.fromkeys(GOOD, "ok"), "logon": "skipped"}
    assert "HMAC: cannot log on" in shown
    assert SECRET not in shown


@pytest.mark.usefixtures("api_key")
def test_an_rsa_key(exchange: Background, rsa: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    add(exchange, rsa)
    assert main(["check", "--url", exchange.url, "--key-file", str(rsa.path)]) == 0
    shown = capsys.readouterr().out
    assert findings(shown) == {**dict.fromkeys(GOOD, "ok"), "logon": "skipped"}
    assert "RSA: cannot log on" in shown


@pytest.mark.usefixtures("api_key")
def test_an_api_key_alone(exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    add(exchange, ed25519)
    assert main(["check", "--url", exchange.url]) == 0
    shown = capsys.readouterr().out
    skipped = dict.fromkeys(["logon", "reading", "trading"], "skipped")
    assert findings(shown) == {**dict.fromkeys(GOOD, "ok"), **skipped}
    assert shown.endswith(
        "\nThe apiKey works for the user data stream; requests that need a signature were not tried.\n"
    )


def test_an_api_key_from_a_file(
    exchange: Background, ed25519: KeyPair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(exchange, ed25519)
    private(tmp_path / "api-key", f"{API_KEY}\n")
    keys = ["--api-key-file", str(tmp_path / "api-key"), "--key-file", str(ed25519.path)]
    assert main(["check", "--url", exchange.url, *keys]) == 0
    assert findings(capsys.readouterr().out) == dict.fromkeys(GOOD, "ok")


def test_no_key_at_all(exchange: Background, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--url", exchange.url]) == 0
    shown = capsys.readouterr().out
    assert list(findings(shown)) == ["connection", "clock", "latency"]
    assert "No key was given" in shown


@pytest.mark.usefixtures("api_key")
def test_json(exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    add(exchange, ed25519)
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["venue"] == "COIN-M"
    assert report["url"] == exchange.url
    assert report["ok"] is True
    by_name = {finding["name"]: finding for finding in report["findings"]}
    assert list(by_name) == GOOD
    assert abs(by_name["clock"]["offset_ms"]) < 500
    assert 0 < by_name["latency"]["median_ms"] <= by_name["latency"]["worst_ms"]


# An encrypted key


@pytest.fixture
def encrypted(tmp_path: Path) -> KeyPair:
    return save(Ed25519PrivateKey.generate(), tmp_path / "encrypted.pem", password="correct horse")


@pytest.mark.usefixtures("api_key")
def test_a_password_from_the_environment(
    exchange: Background, encrypted: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(exchange, encrypted)
    monkeypatch.setenv("KEY_PASSWORD", "correct horse")
    options = ["--key-file", str(encrypted.path), "--password-env", "KEY_PASSWORD"]
    assert main(["check", "--url", exchange.url, *options]) == 0


@pytest.mark.usefixtures("api_key")
def test_a_password_from_the_terminal(
    exchange: Background, encrypted: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(exchange, encrypted)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "correct horse")
    assert main(["check", "--url", exchange.url, "--key-file", str(encrypted.path)]) == 0


@pytest.mark.usefixtures("api_key")
def test_nobody_to_ask_for_the_password(encrypted: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--key-file", str(encrypted.path)]) == 2
    assert "--password-env" in capsys.readouterr().err


@pytest.mark.usefixtures("api_key")
def test_no_password_is_typed(
    encrypted: KeyPair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end_of_input(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", end_of_input)
    assert main(["check", "--key-file", str(encrypted.path)]) == 2
    assert "no password was given" in capsys.readouterr().err


@pytest.mark.usefixtures("api_key")
def test_a_wrong_password(
    encrypted: KeyPair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY_PASSWORD", "wrong battery")
    assert main(["check", "--key-file", str(encrypted.path), "--password-env", "KEY_PASSWORD"]) == 2
    shown = capsys.readouterr().err
    assert "is the password right?" in shown
    assert "wrong battery" not in shown


# What is wrong at the exchange


@pytest.mark.usefixtures("api_key")
def test_a_key_that_the_exchange_does_not_know(
    exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    shown = capsys.readouterr().out
    found = findings(shown)
    assert [name for name, status in found.items() if status == "failed"] == ["logon", "reading", "user stream"]
    assert "code -2015" in shown
    assert shown.count("look at this key under API Management") == 1
    assert shown.endswith("\nA session cannot run like this: logon, reading and user stream failed.\n")


@pytest.mark.usefixtures("api_key")
def test_a_private_key_of_another_api_key(
    exchange: Background, ed25519: KeyPair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(exchange, save(Ed25519PrivateKey.generate(), tmp_path / "other.pem"))
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    shown = capsys.readouterr().out
    assert findings(shown)["logon"] == "failed"
    assert "does not belong to what is registered" in shown


@pytest.mark.usefixtures("api_key")
def test_a_logon_that_is_refused_although_signatures_work(
    exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    add(exchange, ed25519)
    exchange.call(lambda: exchange.simulator.inject(Fault("reject_logon", times=None)))
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    assert findings(capsys.readouterr().out) == {**dict.fromkeys(GOOD, "ok"), "logon": "failed"}


@pytest.mark.usefixtures("api_key")
def test_a_key_that_may_not_trade(exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    add(exchange, ed25519, permissions=["USER_STREAM", "USER_DATA"])
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 0
    shown = capsys.readouterr().out
    assert findings(shown) == {**dict.fromkeys(GOOD, "ok"), "trading": "warning"}
    assert shown.endswith("see the warning about trading.\n")


@pytest.mark.parametrize(
    ("permissions", "lacking"), [(["USER_DATA", "TRADE"], "user stream"), (["USER_STREAM", "TRADE"], "reading")]
)
@pytest.mark.usefixtures("api_key")
def test_a_permission_that_is_needed(
    permissions: list[str],
    lacking: str,
    exchange: Background,
    ed25519: KeyPair,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add(exchange, ed25519, permissions=permissions)
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    assert findings(capsys.readouterr().out) == {**dict.fromkeys(GOOD, "ok"), lacking: "failed"}


@pytest.mark.parametrize(
    ("offset", "status", "words"),
    [(0.7, "warning", "behind the exchange"), (-2.0, "failed", "ahead of the exchange"), (20.0, "failed", "behind")],
)
@pytest.mark.usefixtures("api_key")
def test_a_clock_that_is_off(
    offset: float, status: str, words: str, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    with Background(COIN_M, clock=LoopClock(time.time() + offset)) as exchange:
        add(exchange, ed25519)
        exit_status = main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)])
    shown = capsys.readouterr().out
    assert findings(shown) == {**dict.fromkeys(GOOD, "ok"), "clock": status}
    assert exit_status == (1 if status == "failed" else 0)
    assert words in shown
    assert "set-ntp" in shown


@pytest.mark.usefixtures("api_key")
@pytest.mark.parametrize("days", [-30, 30])
def test_a_clock_that_is_weeks_off(days: int, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    """The session does not follow it; what is signed is refused, and the finding says why."""
    with Background(COIN_M, clock=LoopClock(time.time() + days * 86_400)) as exchange:
        add(exchange, ed25519)
        assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    shown = capsys.readouterr().out
    assert findings(shown)["clock"] == "failed"
    assert "set-ntp" in shown


@pytest.mark.usefixtures("api_key")
def test_a_connection_that_breaks_in_the_middle(
    exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said where it broke, and what follows fails at once."""
    add(exchange, ed25519)
    exchange.call(lambda: exchange.simulator.inject(Fault("drop_before", method="account.balance")))
    started = time.monotonic()
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    assert time.monotonic() - started < 5
    shown = capsys.readouterr().out
    found = findings(shown)
    assert found["logon"] == "ok"
    assert found["reading"] == found["user stream"] == found["latency"] == "failed"
    assert "the connection ended before account.balance" in " ".join(shown.split())


def test_an_exchange_that_does_not_answer(exchange: Background, capsys: pytest.CaptureFixture[str]) -> None:
    exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", times=None)))
    assert main(["check", "--url", exchange.url, "--timeout", "0.05"]) == 1
    assert findings(capsys.readouterr().out) == {"connection": "ok", "clock": "failed", "latency": "failed"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("error", method="order.cancel", status=400, code=-1121, msg="Invalid symbol."), "Invalid symbol."),
        (Fault("no_answer", method="order.cancel"), "was sent and not answered within"),
    ],
    ids=["refused", "unanswered"],
)
@pytest.mark.usefixtures("api_key")
def test_a_permission_to_trade_that_stays_unknown(
    fault: Fault, words: str, exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    add(exchange, ed25519)
    exchange.call(lambda: exchange.simulator.inject(fault))
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path), "--timeout", "0.3"]) == 0
    shown = capsys.readouterr().out
    assert findings(shown) == {**dict.fromkeys(GOOD, "ok"), "trading": "warning"}
    assert "not known: " in shown
    assert words in " ".join(shown.split())


def test_too_many_requests(exchange: Background, capsys: pytest.CaptureFixture[str]) -> None:
    busy = Fault("error", method="session.status", status=429, code=-1003, msg="Too many requests.", times=None)
    exchange.call(lambda: exchange.simulator.inject(busy))
    assert main(["check", "--url", exchange.url, "--timeout", "0.5"]) == 1
    assert "wait before trying again" in capsys.readouterr().out


# No connection


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        assert main(["check", "--url", f"ws://127.0.0.1:{taken.getsockname()[1]}/ws-dapi/v1"]) == 1
    shown = capsys.readouterr()
    assert findings(shown.out) == {"connection": "failed"}
    assert "nothing accepts connections" in shown.out
    assert "are host and port right?" in shown.out
    assert shown.err == ""


def test_a_wrong_path(exchange: Background, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--url", f"{exchange.url}/nowhere"]) == 1
    shown = capsys.readouterr().out
    assert "HTTP 404" in shown
    assert "nothing at the address's path" in " ".join(shown.split())
    assert "compare the URL" in shown


def test_what_is_not_a_websocket_server(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["check", "--url", f"ws://127.0.0.1:{port}/", "--timeout", "0.2"]) == 1
    assert "no connection within 0.2 s" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_an_interrupt_in_the_middle_of_opening_leaves_nothing() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        running("check", "--url", f"ws://127.0.0.1:{server.getsockname()[1]}") as process,
    ):
        connection, _ = server.accept()
        with connection:
            assert connection.recv(4) == b"GET "
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 130
            while connection.recv(4096):  # up to the end
                pass
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectError("HTTP 403", status=403), "another address"),
        (ConnectError("HTTP 418", status=418), "wait before trying again"),
        (raised_from(socket.gaierror()), ""),
        (ConnectError("HTTP 200", status=200), "a web server answered"),
        (ConnectError("HTTP 302", status=302), "a web server answered"),
        (ConnectError("HTTP 503", status=503), "try again later"),
        (raised_from(TimeoutError()), "does a firewall keep connections out?"),
        (raised_from(OSError(101, "Network is unreachable")), "is the network up?"),
        (raised_from(ValueError()), ""),
    ],
)
def test_what_can_be_done_about_a_connection_that_cannot_be_had(error: ConnectError, words: str) -> None:
    advice = connect_advice(error)
    assert words in advice
    assert bool(words) is bool(advice)


def test_a_port_without_tls(exchange: Background, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--url", exchange.url.replace("ws://", "wss://")]) == 1
    assert "does the port speak TLS? (" in " ".join(capsys.readouterr().out.split())


def test_a_server_that_is_none_for_websockets(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x15\x03\x01\x00\x02\x02\x32")  # the alert of a TLS server

        thread = threading.Thread(target=refuse)
        thread.start()
        assert main(["check", "--url", f"ws://127.0.0.1:{server.getsockname()[1]}/"]) == 1
        thread.join()
    assert "if it wants TLS, its URL begins with wss://" in " ".join(capsys.readouterr().out.split())


FORGED = "no\nall is well \x1b[2J\x1b]0;owned\x07 \u202egnp.exe \x9b31m \u2028x"


@pytest.mark.usefixtures("api_key")
def test_what_the_exchange_says_forges_no_line_and_steers_no_terminal(
    exchange: Background, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    add(exchange, ed25519)
    for method in ("session.logon", "account.balance", "order.cancel"):
        fault = Fault("error", method=method, status=400, code=-1, msg=f"{FORGED} {API_KEY}", times=None)
        exchange.call(lambda fault=fault: exchange.simulator.inject(fault))  # type: ignore[misc]
    arguments = ["check", "--url", exchange.url, "--key-file", str(ed25519.path)]
    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert "all is well" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not any(line.startswith("all is well") for line in shown.split("\n"))
    assert main([*arguments, "--json"]) == 1
    as_json = capsys.readouterr().out
    assert as_json.isascii()
    texts = " ".join(finding["text"] for finding in json.loads(as_json)["findings"])
    assert "all is well" in texts
    assert texts.isprintable()
    assert API_KEY not in shown + as_json


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.usefixtures("api_key")
def test_the_report_fits_the_terminal(
    width: int,
    exchange: Background,
    ed25519: KeyPair,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["check", "--url", exchange.url, "--key-file", str(ed25519.path)]) == 1
    assert max(map(len, capsys.readouterr().out.splitlines())) <= width


def test_a_password_in_the_url_is_not_shown(exchange: Background, capsys: pytest.CaptureFixture[str]) -> None:
    url = exchange.url.replace("ws://", "ws://user:hunter2@")
    for options in ([], ["--json"]):
        main(["check", "--url", f"{url}?token=hunter3", *options])
        shown = "".join(capsys.readouterr())
        assert "127.0.0.1" in shown
        assert "hunter" not in shown


# Bad usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "https://example.com"], "must be a ws:// or wss:// address"),
        (["--url", "ws://127.0.0.1:99999"], "--url must be a ws:// or wss:// address"),
        (["--timeout", "0"], "--timeout must be a finite number of seconds above 0"),
        (["--timeout", "nan"], "--timeout must be a finite number of seconds above 0"),
        (["--key-file", "no/such/file"], "no/such/file cannot be read (No such file or directory)"),
        (["--secret-file", "no/such/file"], "no/such/file cannot be read"),
        (["--secret-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE, which is not set"),
        (["--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE, which is not set"),
        (["--api-key-file", "no/such/file"], "no/such/file cannot be read"),
        (["--password-env", "HOME"], "which was not given"),
    ],
)
@pytest.mark.usefixtures("api_key")
def test_bad_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.startswith("binance-session check: ")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.usefixtures("api_key")
def test_a_key_is_not_sent_over_a_plain_connection_to_another_machine(
    ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--url", "ws://192.0.2.1/ws-dapi/v1", "--key-file", str(ed25519.path)]) == 2
    assert "use wss://" in capsys.readouterr().err


def test_a_private_key_without_its_api_key(ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--key-file", str(ed25519.path)]) == 2
    assert "BINANCE_API_KEY, which is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda pair: pair.public, "this is a public key"),
        (lambda pair: "nonsense", "not a PEM key"),
        (lambda pair: pair.path.read_text().replace("M", "N", 1), "damaged"),
        (lambda pair: "", "is empty"),
    ],
    ids=["public", "nonsense", "damaged", "empty"],
)
@pytest.mark.usefixtures("api_key")
def test_a_file_that_is_no_private_key(
    content: Callable[[KeyPair], str],
    words: str,
    ed25519: KeyPair,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "given.pem"
    path.touch(0o600)
    path.write_text(content(ed25519))
    assert main(["check", "--key-file", str(path)]) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert str(path) in shown


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
@pytest.mark.usefixtures("api_key")
def test_a_private_key_that_others_can_read(
    exchange: Background, rsa: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    add(exchange, rsa)
    rsa.path.chmod(0o644)
    assert main(["check", "--url", exchange.url, "--key-file", str(rsa.path)]) == 0
    shown = capsys.readouterr().out
    assert findings(shown)["key file"] == "warning"
    assert " ".join(shown.split()).count("run chmod 600 on it") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
@pytest.mark.parametrize(("option", "what"), [("--secret-file", "the HMAC secret"), ("--api-key-file", "the apiKey")])
def test_a_secret_that_others_can_read(
    option: str,
    what: str,
    exchange: Background,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = private(tmp_path / "file", SECRET)
    if option == "--secret-file":
        monkeypatch.setenv("BINANCE_API_KEY", API_KEY)
    main(["check", "--url", exchange.url, option, str(path)])
    assert "key file" not in findings(capsys.readouterr().out)
    path.chmod(0o640)
    main(["check", "--url", exchange.url, option, str(path)])
    shown = capsys.readouterr().out
    assert findings(shown)["key file"] == "warning"
    assert f"others can read {what}" in " ".join(shown.split())


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
@pytest.mark.usefixtures("api_key")
def test_a_secret_on_a_mount_that_is_read_only(
    exchange: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a container's volume has it: nobody there could change the mode."""
    path = private(tmp_path / "secret", SECRET)
    path.chmod(0o644)
    exchange.call(lambda: exchange.simulator.add_key(API_KEY, secret=SECRET))

    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: ReadOnly)
    assert main(["check", "--url", exchange.url, "--secret-file", str(path)]) == 0
    assert "key file" not in findings(capsys.readouterr().out)


# Files that are none


def fed(path: Path, data: bytes) -> threading.Thread:
    """Make a named pipe, and write to it once, when somebody opens it."""
    os.mkfifo(path, 0o600)
    thread = threading.Thread(target=path.write_bytes, args=(data,))
    thread.start()
    return thread


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.usefixtures("api_key")
def test_a_private_key_from_a_pipe_is_read_once(
    kind: str,
    exchange: Background,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair: KeyPair = request.getfixturevalue(kind)
    add(exchange, pair)
    feeding = fed(tmp_path / "pipe", pair.path.read_bytes())
    assert main(["check", "--url", exchange.url, "--key-file", str(tmp_path / "pipe")]) == 0
    feeding.join()
    found = findings(capsys.readouterr().out)
    assert (found["reading"], "key file" in found) == ("ok", False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.usefixtures("api_key")
def test_an_encrypted_private_key_from_a_pipe(
    exchange: Background, encrypted: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(exchange, encrypted)
    monkeypatch.setenv("KEY_PASSWORD", "correct horse")
    feeding = fed(tmp_path / "pipe", encrypted.path.read_bytes())
    options = ["--key-file", str(tmp_path / "pipe"), "--password-env", "KEY_PASSWORD"]
    assert main(["check", "--url", exchange.url, *options]) == 0
    feeding.join()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no endless file here")
@pytest.mark.parametrize("option", ["--key-file", "--secret-file", "--api-key-file"])
@pytest.mark.usefixtures("api_key")
def test_a_file_without_end(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", option, "/dev/zero"]) == 2
    assert "/dev/zero is longer than 64 KiB" in capsys.readouterr().err


def test_an_error_about_the_api_key_blames_what_holds_it(
    ed25519: KeyPair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", "two words")
    assert main(["check", "--key-file", str(ed25519.path)]) == 2
    shown = capsys.readouterr().err
    assert "the apiKey in BINANCE_API_KEY: " in shown
    assert str(ed25519.path) not in shown
    path = private(tmp_path / "api-key", "two words")
    assert main(["check", "--key-file", str(ed25519.path), "--api-key-file", str(path)]) == 2
    shown = capsys.readouterr().err
    assert f"the apiKey in {path}: " in shown
    assert "two words" not in shown


@pytest.mark.usefixtures("api_key")
def test_an_error_about_the_secret_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_SECRET", "pass\u00e9")
    assert main(["check", "--secret-env", "MY_SECRET"]) == 2
    shown = capsys.readouterr().err
    assert "the HMAC secret in MY_SECRET: " in shown
    assert "pass\u00e9" not in shown
