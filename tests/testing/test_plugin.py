"""The pytest plugin, as a bot's own tests use it: beside pytest-asyncio, beside anyio's plugin, and alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

LONG = pytest.mark.long
ALONE = ["-p", "no:asyncio", "-p", "no:anyio"]
ASYNCIO = ["-p", "no:anyio", "-o", "asyncio_mode=strict"]
AUTO = ["-p", "no:anyio", "-o", "asyncio_mode=auto"]
ANYIO = ["-p", "no:asyncio"]
RUNNERS = {
    "alone": (ALONE, ""),
    "pytest-asyncio": (ASYNCIO, "@pytest.mark.asyncio"),
    "pytest-asyncio, auto": (AUTO, ""),
    "anyio": (ANYIO, "@pytest.mark.anyio"),
}
HEAD = """
import asyncio
import pytest
from decimal import Decimal

ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "1000",
         "timeInForce": "GTC", "newClientOrderId": "mine"}

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def run(folder: Path, body: str, *options: str) -> tuple[dict[str, int], str]:
    """Run pytest on a file of its own, and return how many tests had which outcome, and the output."""
    (folder / "test_bot.py").write_text(HEAD + body)
    fixed = ["-q", "-p", "no:cacheprovider", "-W", "error::pytest.PytestUnraisableExceptionWarning"]
    command = [sys.executable, "-m", "pytest", *fixed, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    summary = done.stdout.splitlines()[-1] if done.stdout else ""
    outcomes = {word.rstrip("s"): int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?)", summary)}
    return outcomes, done.stdout + done.stderr


ASYNC = """
{mark}
async def test_ready(binance_session):
    assert binance_session.state.name == "READY"
    assert (await binance_session.request("account.balance")).result

{mark}
@pytest.mark.binance(faults=["drop_after method=order.place"])
async def test_an_order_that_is_lost(binance_session, binance_exchange):
    fate = await binance_session.place(ORDER)
    assert fate.took_effect
    binance_exchange.assert_executed_once("mine")

{mark}
@pytest.mark.binance(venue="spot", virtual=True, standby=True)
async def test_a_day_in_a_moment(binance_session, binance_exchange):
    async with binance_session.user_data_stream() as events:
        await asyncio.sleep(86_400)
        binance_exchange.transfer("BTC", "1")
        event = await anext(events)
        assert event.type == "balanceUpdate"
    assert binance_session.stats.connections >= 1
    assert binance_session.standby_ready

{mark}
@pytest.mark.binance(readings={{"events_come": "before"}})
async def test_a_session_of_its_own(binance_exchange):
    from binance_session import Session
    assert binance_exchange.simulator.exchange.state.readings.events_come == "before"
    async with Session(binance_exchange.venue, binance_exchange.key, **binance_exchange.options()) as session:
        assert session.authenticated
        binance_exchange.inject("late_answer", method="account.balance", delay=0.01)
        await session.request("account.balance")
    assert len(binance_exchange.received("account.balance")) == 1
    binance_exchange.assert_not_executed("mine")
"""


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.long
def test_async_tests(runner: str, tmp_path: Path) -> None:
    options, mark = RUNNERS[runner]
    outcomes, output = run(tmp_path, ASYNC.format(mark=mark), *options)
    assert outcomes == {"passed": 4}, output


SYNC = """
def test_ready(binance_session, binance_exchange):
    assert binance_session.request("account.balance").result
    binance_exchange.set_price("BTCUSD_PERP", "50000")
    assert binance_session.place(ORDER).took_effect
    binance_exchange.assert_executed_once("mine")
    binance_exchange.fill("BTCUSD_PERP", "mine", "1")
    events = binance_session.events()

def test_events(binance_session, binance_exchange):
    import threading
    threading.Timer(0.2, binance_exchange.transfer, ("BTC", "1")).start()
    for event in binance_session.events():
        assert event.type == "ACCOUNT_UPDATE"
        break

@pytest.mark.binance(venue="usd-m", timings=True)
def test_options(binance_session):
    assert binance_session.venue.name == "USD-M"
    assert binance_session.request("time").timing is not None

def test_a_connection_that_is_lost(binance_session, binance_exchange):
    import time
    binance_exchange.drop_connections()
    while binance_session.stats.connections < 2:
        time.sleep(0.01)
    assert binance_session.request("account.balance").result
"""


def test_tests_that_are_not_async(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, SYNC)
    assert outcomes == {"passed": 4}, output


LEFT_OVER = """
@pytest.mark.binance{virtual}
async def test_a_task(binance_exchange):
    asyncio.create_task(asyncio.sleep(3600), name="forgotten")

@pytest.mark.binance{virtual}
async def test_a_session(binance_exchange):
    from binance_session import Session
    global session
    session = Session(binance_exchange.venue, binance_exchange.key, **binance_exchange.options())
    await session.open()

@pytest.mark.binance{virtual}
async def test_twice(binance_session, binance_exchange):
    await binance_session.request("order.place", ORDER)
    await binance_session.request("order.cancel", {{"symbol": "BTCUSD_PERP", "origClientOrderId": "mine"}})
    await binance_session.request("order.place", ORDER)
    binance_exchange.assert_executed_once("mine")

@pytest.mark.binance{virtual}
async def test_an_assertion(binance_session):
    assert binance_session.stats.answered == 77
"""


@pytest.mark.parametrize("virtual", ["", pytest.param("(virtual=True)", marks=LONG)])
def test_what_a_bot_leaves_over_fails_its_test(virtual: str, tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, LEFT_OVER.format(virtual=virtual), *ALONE)
    assert outcomes.get("passed", 0) <= 1, output
    assert "the test has left tasks running: forgotten" in output
    assert "connection(s) to the exchange open" in output or "the test has left tasks running: COIN-M" in output
    assert "the order 'mine' was executed 2 times" in output
    assert "== 77" in output


WRONG = """
@pytest.mark.binance(venue="kraken")
def test_venue(binance_exchange): pass

@pytest.mark.binance(virtual=True)
def test_virtual(binance_exchange): pass

@pytest.mark.binance("spot")
def test_positional(binance_exchange): pass

@pytest.mark.binance(faults=["no_such_fault"])
def test_fault(binance_exchange): pass

@pytest.mark.binance(reqest_timeout=3)
def test_option(binance_session): pass
"""


@pytest.mark.long
def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, WRONG)
    assert outcomes == {"error": 5}, output
    for said in (
        "there is no venue 'kraken'",
        "virtual=True is for async tests",
        "takes names, as in binance(venue='spot')",
        "there is no fault 'no_such_fault'",
        "unexpected keyword argument 'reqest_timeout'",
    ):
        assert said in output


def test_it_imports_nothing_until_it_is_used() -> None:
    """A project that has the package installed pays nothing for it in its other tests."""
    code = """
import sys
before = set(sys.modules)
import binance_session.testing.plugin
more = {name for name in set(sys.modules) - before if name.startswith(("binance_session", "websockets", "attr"))}
print(sorted(more - {"attr", "attrs"}))
"""
    command = [sys.executable, "-c", "import pytest\n" + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['binance_session', 'binance_session.testing', 'binance_session.testing.plugin']"


@pytest.mark.long
def test_tests_that_do_not_use_it_are_not_touched(tmp_path: Path) -> None:
    body = """
@pytest.mark.anyio
async def test_async():
    await asyncio.sleep(0)

def test_sync():
    import sys
    assert "binance_session.simulator" not in sys.modules
"""
    outcomes, output = run(tmp_path, body, *ANYIO)
    assert outcomes == {"passed": 2}, output
