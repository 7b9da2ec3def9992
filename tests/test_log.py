"""Whose a log record and a task is."""

from __future__ import annotations

import asyncio
import logging

import pytest

from binance_session import ConnectError, ConnectionLost
from binance_session.log import Troubles, session_log
from binance_session.simulator import Fault
from tests.exchange import exchange, session_to, until


def test_a_record_says_which_session(caplog: pytest.LogCaptureFixture) -> None:
    """In its text and as an attribute, with the place in the code that wrote it; a name may hold a per cent sign."""
    caplog.set_level(logging.INFO, logger="binance_session")
    log = session_log("100 % mine")
    log.info("%s -> %s", "ready", "waiting")
    log.warning("half of it, 50 %, is gone")
    log.log(logging.ERROR, "told %d times", 3, extra={"times": 3})
    log.debug("%d %d", "not made a text of")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("a defect")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "[100 % mine] ready -> waiting"),
        ("WARNING", "[100 % mine] half of it, 50 %, is gone"),
        ("ERROR", "[100 % mine] told 3 times"),
        ("ERROR", "[100 % mine] a defect"),
    ]
    assert {(record.name, vars(record)["session"], record.funcName) for record in caplog.records} == {
        ("binance_session", "100 % mine", "test_a_record_says_which_session")
    }
    assert vars(caplog.records[2])["times"] == 3
    assert caplog.records[3].exc_info is not None


@pytest.mark.parametrize("error", [ValueError("filter"), asyncio.CancelledError()])
def test_a_filter_that_raises_hurts_nothing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told of a loss is told, whatever becomes of the line about it."""

    def refuse(record: logging.LogRecord) -> bool:
        raise error

    monkeypatch.setattr(logging.getLogger("binance_session"), "filters", [refuse])
    session_log("mine").warning("said to nobody")


def test_a_task_says_which_session() -> None:
    """For whoever looks at the tasks of a process."""
    assert session_log("COIN-M 1").task("supervisor") == "COIN-M 1: supervisor"


def test_each_kind_of_trouble_is_warned_about_once_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    """A kind: the class, the status or code, the class of what caused it. The text may differ."""
    caplog.set_level(logging.INFO, logger="binance_session")
    troubles = Troubles(session_log("mine"))
    caused = ConnectError("refused")
    caused.__cause__ = OSError()
    for error in (
        ConnectError("a"),
        ConnectError("b"),
        ConnectError("c", status=403),
        ConnectError("d", status=403),
        caused,
        ConnectionLost("e", outcome=None),
    ):
        troubles.log(error, "no connection: %s", error)
    troubles.clear()
    troubles.log(caused, "no connection: %s", caused)
    assert [record.levelname[0] for record in caplog.records] == ["W", "I", "W", "I", "W", "W", "W"]
    assert {record.funcName for record in caplog.records} == {
        "test_each_kind_of_trouble_is_warned_about_once_until_it_works"
    }


@pytest.mark.virtual
async def test_what_a_record_of_a_change_of_state_has(caplog: pytest.LogCaptureFixture) -> None:
    """Names that programs which read logs rely on."""
    caplog.set_level(logging.INFO, "binance_session")
    async with exchange() as simulator, session_to(simulator, name="mine") as session:
        simulator.connections[0].drop()
        await until(lambda: session.stats.connections == 2)
    records = [vars(record) for record in caplog.records if "state" in vars(record)]
    assert {record["session"] for record in records} == {"mine"}
    told = [(record["state"], record["cause"]) for record in records]
    assert told[:3] == [("connecting", None), ("logging on", None), ("ready", None)]
    assert ("waiting", "ConnectionLost") in told
    assert told[-1] == ("closed", None)
    assert {record["connection"] for record in records} == {0, 1, 2}


@pytest.mark.virtual
async def test_what_a_record_about_a_request_has(caplog: pytest.LogCaptureFixture) -> None:
    async with exchange() as simulator, session_to(simulator, name="mine") as session:
        await session.start_user_data_stream()
        simulator.inject(Fault("error", method="userDataStream.ping", status=500, code=-1000, msg="no"))
        await until(lambda: session.stats.failed_pings == 1)
    records = [vars(record) for record in caplog.records if "method" in vars(record)]
    assert [(r["method"], r["request_id"], r["connection"], r["session"]) for r in records] == [
        ("userDataStream.ping", 3, 1, "mine")
    ]
