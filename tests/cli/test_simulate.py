"""simulate: a server that tells where it is, does what it was asked, and goes when told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from binance_session import COIN_M, SPOT, ApiError, Ed25519Key, HmacKey, RequestTimeout, Session
from binance_session.cli import main
from binance_session.simulator import FAULTS, Readings
from tests.cli.conftest import API_KEY, KeyPair
from tests.cli.program import TIMEOUT, run, running

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def first_line(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    line: dict[str, str] = json.loads(process.stdout.readline())
    return line


def ended_well(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> None:
    process.send_signal(number)
    assert process.wait(TIMEOUT) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


@unix_only
async def test_a_session_lives_on_what_the_first_line_says(ed25519: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(ed25519.public)
    keys = ["--api-key", API_KEY, "--public-key", str(tmp_path / "public.pem")]
    with running("simulate", "--json", *keys) as process:
        line = first_line(process)
        assert list(line) == ["url", "stream_url"]
        key = Ed25519Key.from_pem(ed25519.path, api_key=API_KEY)
        async with Session(COIN_M, key, url=line["url"], stream_url=line["stream_url"]) as session:
            assert session.authenticated
            listen_key = await session.start_user_data_stream()
            async with connect(f"{line['stream_url']}/ws/{listen_key.value}", proxy=None):
                pass
        ended_well(process)


@unix_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(number: signal.Signals) -> None:
    with running("simulate", "--json") as process:
        first_line(process)
        ended_well(process, number)


@unix_only
async def test_a_signal_ends_it_well_with_a_client_connected() -> None:
    with running("simulate", "--json") as process:
        line = first_line(process)
        async with connect(line["url"], proxy=None) as websocket:
            process.send_signal(signal.SIGTERM)
            await websocket.wait_closed()
            assert websocket.close_code == 1001
        assert process.wait(TIMEOUT) == 0


@unix_only
def test_in_words() -> None:
    with running("simulate", "--venue", "usd-m") as process:
        assert process.stdout is not None
        said = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        assert said.startswith("A simulated USD-M exchange listens.\n")
        assert "ws://127.0.0.1:" in said
        assert "/ws-fapi/v1" in said
        assert "binance-session keygen" in said
        ended_well(process)


@unix_only
async def test_several_keys_and_an_hmac_secret_from_the_environment(ed25519: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(ed25519.public)
    (tmp_path / "secret").write_text("third secret\n")
    keys = ["--api-key", "first", "--public-key", str(tmp_path / "public.pem")]
    keys += ["--api-key", "second", "--secret-env", "SECOND", "--api-key", "third", "--secret-file"]
    with running(
        "simulate", "--venue", "spot", "--json", *keys, str(tmp_path / "secret"), SECOND="second secret"
    ) as process:
        line = first_line(process)
        assert line["stream_url"] is None
        own = (
            Ed25519Key.from_pem(ed25519.path, api_key="first"),
            HmacKey("second", "second secret"),
            HmacKey("third", "third secret"),
        )
        for key in own:
            async with Session(SPOT, key, url=line["url"]) as session:
                await session.request("account.status")
                assert session.authenticated is key.can_logon
        ended_well(process)


@unix_only
async def test_a_fault() -> None:
    with running("simulate", "--json", "--fault", "no_answer:method=session.status,nth=2") as process:
        async with Session(COIN_M, url=first_line(process)["url"]) as session:
            await session.status()
            with pytest.raises(RequestTimeout):
                await session.request("session.status", timeout=0.05)
            await session.status()
        ended_well(process)


@unix_only
async def test_a_fault_in_words_and_readings() -> None:
    readings = ["--reading", "unknown_stream=refused", "--reading", "ban_after=3"]
    with running("simulate", "--json", "--fault", "error method=session.status msg='in words'", *readings) as process:
        line = first_line(process)
        async with Session(COIN_M, url=line["url"]) as session:
            with pytest.raises(ApiError, match="in words"):
                await session.status()
        with pytest.raises(InvalidStatus):
            await connect(f"{line['stream_url']}/ws/nobody", proxy=None)
        ended_well(process)


def test_faults_and_readings_are_listed() -> None:
    plain = run("simulate", "--list-faults", "--list-readings").stdout.splitlines()
    assert len(plain) == len(FAULTS) + len(fields(Readings))
    assert (
        "late_answer delay=1.0 (requests): The request is executed at once; its answer comes delay seconds later,"
        " by the exchange's clock."
    ) in plain
    assert "revoked_closes=true | false (default: false): Whether the socket is closed after it (§11.3)." in plain
    listed = [json.loads(line) for line in run("simulate", "--json", "--list-faults").stdout.splitlines()]
    assert {each["name"] for each in listed} == set(FAULTS)
    assert all(each["text"] for each in listed)
    assert [each["options"] for each in listed if each["name"] == "late_answer"] == [{"delay": 1.0}]
    listed = [json.loads(line) for line in run("simulate", "--json", "--list-readings").stdout.splitlines()]
    assert [each["name"] for each in listed] == [each.name for each in fields(Readings)]
    assert all(each["text"] and each["values"] for each in listed)


@unix_only
async def test_a_listen_key_that_lives_shorter(ed25519: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(ed25519.public)
    options = ["--api-key", API_KEY, "--public-key", str(tmp_path / "public.pem"), "--listen-key-lifetime", "0.3"]
    with running("simulate", "--json", *options) as process:
        line = first_line(process)
        key = Ed25519Key.from_pem(ed25519.path, api_key=API_KEY)
        async with Session(COIN_M, key, url=line["url"]) as session:
            listen_key = (await session.request("userDataStream.start")).result["listenKey"]
            async with connect(f"{line['stream_url']}/ws/{listen_key}", proxy=None) as stream:
                assert json.loads(await stream.recv())["e"] == "listenKeyExpired"
        ended_well(process)


@unix_only
async def test_a_connection_that_lives_shorter() -> None:
    with running("simulate", "--json", "--connection-lifetime", "0.2") as process:
        async with connect(first_line(process)["url"], proxy=None) as websocket:
            await websocket.wait_closed()
            assert websocket.close_code == 1001
        ended_well(process)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--api-key", "k"], "they come in pairs"),
        (["--public-key", "f"], "they come in pairs"),
        (["--api-key", "k", "--public-key", "no/such/file"], "no/such/file cannot be read"),
        (["--api-key", "k", "--public-key", __file__], "cannot be used as a key"),
        (["--api-key", "k", "--secret-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE, which is not set"),
        (["--fault", "gremlins"], "there is no fault 'gremlins'; there are"),
        (["--fault", "late_answer:delay=soon"], "delay must be a value such as 1.0, not 'soon'"),
        (["--fault", "late_answer:colour=red"], "its options: delay"),
        (["--fault", "late_answer:delay"], "options are KEY=VALUE"),
        (["--fault", "late_answer dealy=2"], "its options: delay"),
        (["--fault", "no_answer nth=first"], "nth"),
        (["--reading", "revoked_close=true"], "did you mean 'revoked_closes'?"),
        (["--reading", "gremlins=true"], "there is no reading 'gremlins'; there are revoked_answer,"),
        (["--reading", "revoked_closes"], "revoked_closes must be true | false"),
        (["--reading", "unknown_stream=silnet"], "silent | refused, not 'silnet'; did you mean 'silent'?"),
        (["--reading", "ban_after=-1"], "ban_after must be a number from 0"),
        (["--fault", "no_answer:times=0"], "count from 1"),
        (["--listen-key-lifetime", "0"], "above 0"),
        (["--connection-lifetime", "nan"], "above 0"),
        (["--api-key", "", "--secret-env", "HOME"], "--api-key is the text"),
        (["--host", ""], "--host is an address"),
        (["--host", "a" * 300], "--host is not a valid host name"),
        (["--port", "99999"], "--port is a number from 0"),
        (["--port", "-1"], "--port is a number from 0"),
        (["--fault", "no_answer:method=order.plcae"], "method 'order.plcae'"),
        (["--fault", "lose_event:event=ORDER_TRADE_UPDTAE"], "did you mean 'ORDER_TRADE_UPDATE'?"),
    ],
)
def test_bad_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.out == ""


def test_a_port_that_cannot_be_had() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run("simulate", "--port", str(server.getsockname()[1]))
    assert result.returncode == 1
    assert result.stderr.startswith("binance-session simulate: cannot listen on 127.0.0.1: ")
    assert "Traceback" not in result.stderr
