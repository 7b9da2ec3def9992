"""The command: a run over real sockets, what it prints, what it refuses before anything is sent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from binance_session.cli import main
from binance_session.cli.verify.probe import Verdict
from binance_session.cli.verify.steps import STEPS
from binance_session.simulator import LoopClock, Readings
from binance_session.simulator.product import Product
from binance_session.venues import COIN_M, SPOT
from tests.cli.background import Background
from tests.cli.conftest import API_KEY, KeyPair
from tests.cli.program import TIMEOUT

#: in the first seconds of a minute, so that no step waits for the next one
START = 1_767_225_605.0


@pytest.fixture(autouse=True)
def api_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", API_KEY)
    monkeypatch.chdir(tmp_path)


def add(exchange: Background, pair: KeyPair) -> None:
    exchange.call(lambda: exchange.simulator.add_key(API_KEY, public_key=pair.public))


def futures(exchange: Background, pair: KeyPair) -> list[str]:
    stream = str(exchange.simulator.stream_url)
    return ["verify", "--url", exchange.url, "--stream-url", stream, "--key-file", str(pair.path)]


def test_a_run(ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the file, the same report from the file, and the readings that simulate takes."""
    with Background(COIN_M, clock=LoopClock(start=START), readings=Readings(expired_pushes=2)) as exchange:
        add(exchange, ed25519)
        assert main([*futures(exchange, ed25519), "--orders", "--record", "seen.jsonl"]) == 1
        assert exchange.simulator.connections == []
        account = exchange.simulator.exchange.account
        assert account.orders
        assert not any(order.is_open for order in account.orders.values())
    shown = capsys.readouterr()
    assert "1 of " in shown.err
    assert "Recorded in seen.jsonl" in shown.err
    assert "  expired-by-stop          differs          stream: path: 2; stream: query: 2\n" in shown.out
    assert "Not asked:\n" in shown.out
    assert "ping-cadence, missing-pong: needs --slow" in shown.out
    for secret in (API_KEY, ed25519.secret_text):
        assert secret not in shown.out + shown.err + Path("seen.jsonl").read_text()
    assert os.stat("seen.jsonl").st_mode & 0o077 == 0 or sys.platform == "win32"

    assert main(["verify", "--from", "seen.jsonl"]) == 1
    assert capsys.readouterr().out == shown.out
    assert main(["verify", "--from", "seen.jsonl", "--json"]) == 1
    whole = json.loads(capsys.readouterr().out)
    found = {each["probe"]: each for each in whole["findings"]}
    assert found["expired-by-stop"]["verdict"] == "differs"
    assert [name for name, each in found.items() if each["verdict"] == "cannot be told"] == []
    assert whole["differences"] == []
    assert main(["verify", "--from", "seen.jsonl", "--as-readings"]) == 1
    readings = json.loads(capsys.readouterr().out)
    assert readings["expired_pushes"] == 2
    assert readings == whole["readings"]


@pytest.mark.long
def test_a_venue_that_does_what_is_written(ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    with Background(SPOT, clock=LoopClock(start=START)) as exchange:
        add(exchange, ed25519)
        arguments = ["verify", "--venue", "spot", "--url", exchange.url, "--key-file", str(ed25519.path)]
        assert main(arguments) == 0
    assert "0 difference(s) from the simulator" in capsys.readouterr().out
    assert [path.name[:12] for path in Path().glob("*.jsonl")] == ["verify-spot-"]


def test_without_a_key_what_is_public_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the environment names a proxy: what is on this machine is not reached through another."""
    monkeypatch.delenv("BINANCE_API_KEY")
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    with Background(COIN_M, clock=LoopClock(start=START)) as exchange:
        stream = str(exchange.simulator.stream_url)
        assert main(["verify", "--url", exchange.url, "--stream-url", stream]) == 0
        assert set(exchange.methods()) <= {
            *("session.status", "v1/session.status", "verify.unknown", "time", "ping", "userDataStream.subscribe")
        }
    assert "needs a key" in capsys.readouterr().out


def test_where_nothing_listens(ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    with Background(COIN_M) as exchange:
        arguments = futures(exchange, ed25519)
    assert main(arguments) == 3
    shown = capsys.readouterr().out
    assert "status                   cannot be told" in shown
    assert "nothing accepts connections at" in shown


def test_interrupted(ed25519: KeyPair) -> None:
    """What was seen is told, and the status says that it was interrupted."""
    with Background(COIN_M, clock=LoopClock(start=START)) as exchange:
        add(exchange, ed25519)
        command = [sys.executable, "-m", "binance_session", *futures(exchange, ed25519), "--orders"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            assert program.stderr is not None
            for line in program.stderr:
                if "stream sockets" in line:
                    program.send_signal(signal.SIGINT)
                    break
            out, error = program.communicate(timeout=TIMEOUT)
        assert program.returncode == 130
        assert "interrupted: cleaning up" in error
        assert "  status                   as documented" in out
        assert "cannot be told   interrupted" in out
        assert exchange.call(lambda: len(exchange.simulator.connections)) == 0


def test_a_listen_key_is_not_sent_to_another_host(ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    """With --url alone the stream's host is not known: the venue's own is not for the key of another exchange."""
    with Background(COIN_M, clock=LoopClock(start=START)) as exchange:
        add(exchange, ed25519)
        assert main(["verify", "--url", exchange.url, "--key-file", str(ed25519.path), "--record", "seen"]) == 3
    shown = capsys.readouterr().out
    assert "--url was given without --stream-url" in " ".join(shown.split())
    assert not [line for line in Path("seen").read_text().splitlines() if '"stream: ' in line]


# What is refused before anything is sent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--orders"], "say --live as well"),
        (["--venue", "coin-m-testnet", "--url", "wss://ws-dapi.binance.com/ws-dapi/v1", "--orders"], "--live"),
        (["--url", "https://example.com"], "--url must be a ws:// or wss:// address"),
        (["--url", "ws://example.com/ws-dapi/v1"], "use wss://"),
        (["--stream-url", "ws://example.com"], "use wss://"),
        (["--timeout", "0"], "--timeout must be a finite number"),
        (["--record", "there"], "there exists"),
        (["--record", "no/such/place"], "cannot be written"),
        (["--other-api-key-env", "NONE"], "which is not set"),
        (["--listen-token-env", "NONE"], "which is not set"),
        (["--from", "none"], "cannot be read"),
    ],
)
def test_refused(arguments: list[str], said: str, ed25519: KeyPair, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there").touch()
    assert main(["verify", "--key-file", str(ed25519.path), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_orders_need_a_key_that_signs_and_a_quantity_is_a_number(
    ed25519: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    venue = ["verify", "--venue", "coin-m-testnet", "--orders"]
    assert main(venue) == 2
    assert "needs a key that can sign" in capsys.readouterr().err
    assert main([*venue, "--key-file", str(ed25519.path), "--quantity", "some"]) == 2
    assert "--quantity is a number" in capsys.readouterr().err


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_the_list(venue: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--venue", venue, "--list"]) == 0
    names = {line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")}
    product = {"coin-m": Product.COIN_M, "usd-m": Product.USD_M, "spot": Product.SPOT}[venue]
    assert names == {probe.name for step in STEPS for probe in step.probes if product in probe.products}


def test_verdicts_are_words() -> None:
    assert {str(verdict) for verdict in Verdict} >= {"as documented", "differs", "cannot be told"}
