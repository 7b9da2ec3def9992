"""The black box: what it keeps, that no secret is in it, and when it is written by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import string
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_session import COIN_M, BinanceSessionError, ConfigurationError, FlightRecorder, Session, SessionState
from binance_session.cli import main
from binance_session.simulator import Fault
from tests.exchange import exchange, session_to, until
from tests.test_health import Never

SECRET = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


def kinds(recorder: FlightRecorder) -> list[str]:
    return [entry.kind for entry in recorder.entries]


def attached(*secrets: str, **options: Any) -> FlightRecorder:
    """Return a recorder that a session of this name has been given."""
    recorder = FlightRecorder(**options)
    Session(COIN_M, name="mine", recorder=recorder)
    for secret in secrets:
        recorder._secrets.add(secret)
    return recorder


@pytest.mark.virtual
async def test_what_happened_is_there_in_its_order() -> None:
    recorder = FlightRecorder()
    async with exchange() as simulator, session_to(simulator, recorder=recorder) as session:
        async with session.user_data_stream() as events:
            simulator.transfer("BTC", "1")
            await anext(events)
        await session.request("account.balance")
        simulator.connections[0].drop()
        await until(lambda: "reconnecting" in kinds(recorder))
        await until(lambda: session.health().ready)
    told = kinds(recorder)
    assert told[:6] == ["call", "state", "dialled", "opened", "state", "sent"]
    assert {"sent", "received", "outcome", "listenKey", "event", "state", "reconnecting"} <= set(told)
    states = [entry.data["new"] for entry in recorder.entries if entry.kind == "state"]
    assert states[:3] == ["connecting", "logging on", "ready"]
    assert states[-1] == "closed"
    outcomes = [entry.data for entry in recorder.entries if entry.kind == "outcome"]
    assert {"id": 1, "method": "session.logon", "outcome": "answered"} in outcomes
    assert [entry.at for entry in recorder.entries] == sorted(entry.at for entry in recorder.entries)


@pytest.mark.virtual
async def test_the_last_ones_are_kept() -> None:
    recorder = FlightRecorder(frames=10)
    async with exchange() as simulator, session_to(simulator, recorder=recorder) as session:
        for _ in range(50):
            await session.request("session.status")
    frames = {"sent", "received", "outcome", "event", "submit"}
    assert sum(kind in frames for kind in kinds(recorder)) == 10
    assert "opened" in kinds(recorder), "how it came to be is kept beside them"


@pytest.mark.virtual
async def test_no_secret_is_in_a_dump(tmp_path: Path) -> None:
    recorder = FlightRecorder()
    async with exchange() as simulator, session_to(simulator, recorder=recorder) as session:
        async with session.user_data_stream():
            listen_key = session.listen_key
            assert listen_key is not None
            await session.request("account.balance", credentials=session._credentials)
            simulator.expire_listen_keys()
            await until(lambda: "event" in kinds(recorder) or "gap" in kinds(recorder))
        recorder.dump(tmp_path / "dump")
        text = (tmp_path / "dump").read_text()
        sent = [str(each.params["signature"]) for each in simulator.received if "signature" in each.params]
    assert len(sent) >= 2
    assert session._credentials is not None
    for secret in (session._credentials.api_key, listen_key.value, *sent):
        assert secret not in text
    assert '"method": "account.balance"' in text or "account.balance" in text
    assert os.stat(tmp_path / "dump").st_mode & 0o077 == 0 or sys.platform == "win32"


@given(
    st.text(max_size=40), st.sampled_from(["apiKey", "signature", "listenKey", "listenToken", "other"]), st.booleans()
)
def test_a_secret_is_hidden_wherever_it_stands(around: str, name: str, spaced: bool) -> None:
    recorder = attached(SECRET)
    frame = json.dumps(
        {"a": around, name: SECRET, "b": f"{around}{SECRET}{around}"}, separators=None if spaced else (",", ":")
    )
    recorder.sent(frame.encode())
    recorder.received(frame.encode())
    recorder._state(SessionState.READY, SessionState.WAITING, Exception(f"{around}{SECRET}"))
    assert SECRET not in json.dumps([str(entry.data) for entry in recorder.entries])


@given(st.text(string.ascii_letters + string.digits, min_size=8, max_size=80))
def test_a_signature_is_hidden_though_nobody_knows_it(signature: str) -> None:
    recorder = attached()
    recorder.sent(json.dumps({"params": {"signature": signature, "x": 1}}, ensure_ascii=False).encode())
    assert json.loads(recorder.entries[0].data)["params"] == {"signature": "…", "x": 1}


# Dumps by itself


def dumps(folder: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[2].removesuffix(".jsonl") for path in folder.glob("*.jsonl"))


@pytest.mark.virtual
async def test_it_is_written_when_it_matters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = FlightRecorder(folder=tmp_path)
    async with (
        exchange() as simulator,
        session_to(simulator, recorder=recorder) as session,
        session.user_data_stream(),
    ):
        await session.request("account.balance")
        assert dumps(tmp_path) == []
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        for _ in range(3):
            with pytest.raises(BinanceSessionError):
                await session.request("account.balance", timeout=0.5)
        assert dumps(tmp_path) == ["unknown"], "once in a minute"
        next(each for each in simulator.connections if each.stream).drop()
        await until(lambda: "gap" in dumps(tmp_path))
    assert dumps(tmp_path) == ["gap", "unknown"]
    assert "dumped what was recorded to" in caplog.text


@pytest.mark.virtual
async def test_it_is_written_when_the_session_has_failed(tmp_path: Path) -> None:
    recorder = FlightRecorder(folder=tmp_path)
    async with exchange() as simulator, session_to(simulator, recorder=recorder, reconnect=Never()) as session:
        simulator.connections[0].drop()
        await until(lambda: session.state is SessionState.FAILED)
    assert dumps(tmp_path) == ["failed"]


@pytest.mark.virtual
async def test_only_for_the_reasons_that_were_chosen(tmp_path: Path) -> None:
    recorder = FlightRecorder(folder=tmp_path, dump_on=["failed"])
    async with exchange() as simulator, session_to(simulator, recorder=recorder) as session:
        simulator.inject(Fault("no_answer", method="account.balance"))
        with pytest.raises(BinanceSessionError):
            await session.request("account.balance", timeout=0.5)
        await asyncio.sleep(0)
        assert dumps(tmp_path) == []


@pytest.mark.virtual
async def test_a_folder_that_is_not_there_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = FlightRecorder(folder=tmp_path / "none")
    async with exchange() as simulator, session_to(simulator, recorder=recorder) as session:
        simulator.inject(Fault("no_answer", method="account.balance"))
        with pytest.raises(BinanceSessionError):
            await session.request("account.balance", timeout=0.5)
        await asyncio.sleep(0)
    assert "could not be dumped" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_on_a_signal(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    recorder = attached(folder=tmp_path)
    try:
        recorder.dump_on_signal(signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert dumps(tmp_path) == ["signal"]
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ConfigurationError, match="folder"):
        FlightRecorder().dump_on_signal(signal.SIGUSR1)


async def test_hooks_are_called_too() -> None:
    told = []

    class Mine(Session):
        def on_state_change(self, old: Any, new: Any, cause: Any) -> None:
            told.append(new.value)

    recorder = FlightRecorder()
    async with exchange() as simulator, session_to(simulator, kind=Mine, recorder=recorder):
        pass
    assert told == [entry.data["new"] for entry in recorder.entries if entry.kind == "state"]


@pytest.mark.parametrize("options", [{"frames": 0}, {"frames": "many"}, {"dump_on": ["never"]}])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FlightRecorder(**options)


async def test_one_recorder_for_one_session() -> None:
    async with exchange() as simulator:
        recorder = FlightRecorder()
        session_to(simulator, recorder=recorder)
        with pytest.raises(ConfigurationError, match="each session has one of its own"):
            session_to(simulator, recorder=recorder)
        with pytest.raises(ConfigurationError, match="must be a FlightRecorder"):
            session_to(simulator, recorder="yes")


# show


@pytest.mark.virtual
async def test_a_dump_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = FlightRecorder()
    async with exchange() as simulator, session_to(simulator, recorder=recorder, name="mine") as session:
        await session.request("account.balance")
        with pytest.raises(BinanceSessionError):
            await session.request("order.status", {"symbol": "BTCUSD_PERP", "orderId": 1})
        simulator.connections[0].drop()
        await until(lambda: "reconnecting" in kinds(recorder))
        await until(lambda: session.health().ready)
    recorder.dump(tmp_path / "dump", "asked for")
    assert main(["show", str(tmp_path / "dump")]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "mine  COIN-M",
        "asked for",
        "new -> connecting",
        "logging on -> ready",
        "-> 2 account.balance",
        "<- 2 200",
        "<- 3 400 -2013",
        "ready -> waiting",
        "attempt 1",
        "closing -> closed",
    ):
        assert expected in shown, shown


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"recording": "of birds"}', '{"recording": "binance_session", "format": 9}']
)
def test_a_file_that_is_no_dump(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dump").write_text(text)
    assert main(["show", str(tmp_path / "dump")]) == 2
    assert "dump" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "none")]) == 2


@given(st.text(max_size=40), st.sampled_from(["apiKey", "signature", "listenKey", "note"]))
def test_no_secret_is_in_what_the_program_called(around: str, name: str) -> None:
    recorder = attached(SECRET)
    params: Any = {name: SECRET, "other": [f"{around}{SECRET}{around}", SECRET.lower()]}
    recorder._submitted(lambda *_, **__: None, "order.place", params, timeout=1.0)
    recorder.connection("ended", "API 1", f"{around}{SECRET}")
    assert SECRET.lower() not in json.dumps([str(entry.data) for entry in recorder.entries]).lower()


async def test_what_cannot_be_written_down_is_refused_as_without_a_recorder() -> None:
    circle: list[Any] = []
    circle.append(circle)
    async with exchange() as simulator, session_to(simulator, recorder=FlightRecorder()) as session:
        for params in ({"x": circle}, {("a", "b"): 1}, 5):
            with pytest.raises(ConfigurationError):
                session.submit("order.place", params)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            session.submit(circle)  # type: ignore[arg-type]
