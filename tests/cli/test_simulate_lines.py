"""A running simulator is driven by lines on standard input, from a program in any language."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

import binance_session
from binance_session import SPOT, ApiError, ConnectionLost, Session
from binance_session.cli.simulate.answers import written
from binance_session.cli.simulate.commands import COMMANDS, Driver
from binance_session.simulator import DrivenClock, Exchange, Simulator
from binance_session.venues import COIN_M, USD_M
from tests.cli.driven import API_KEY, Driven, driven
from tests.cli.program import COMMAND, TIMEOUT, environment, run

ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "50000"}
fills = pytest.mark.skipif(not hasattr(Exchange, "fill"), reason="the exchange fills no order by its name yet")

tokens = pytest.mark.skipif(
    not hasattr(Exchange, "create_listen_token"), reason="the exchange makes no listenTokens yet"
)


@asynccontextmanager
async def resting(exchange: Driven, name: str, quantity: str = "3") -> AsyncIterator[tuple[Session, Any]]:
    """A session with a resting order, and the account's stream."""
    async with exchange.session() as session:
        key = await session.start_user_data_stream()
        async with connect(f"{exchange.first['stream_url']}/ws/{key.value}", proxy=None) as stream:
            await session.request("order.place", {**ORDER, "quantity": quantity, "newClientOrderId": name})
            assert json.loads(await stream.recv())["o"]["X"] == "NEW"
            yield session, stream


async def next_order(stream: Any) -> tuple[str, str]:
    """The status and the quantity so far of the next order event; what is about the account is passed over."""
    while (event := json.loads(await stream.recv()))["e"] != "ORDER_TRADE_UPDATE":
        pass
    return event["o"]["X"], event["o"]["z"]


async def test_a_resting_order_fills_when_the_price_reaches_it() -> None:
    with driven() as exchange:
        async with resting(exchange, "mine") as (_, stream):
            assert exchange.say("price BTCUSD_PERP 50001") == {"ok": True, "filled": []}
            answer = exchange.say({"id": 7, "command": "price", "symbol": "BTCUSD_PERP", "price": 49000})
            [order] = answer["filled"]
            assert (answer["id"], order["clientOrderId"], order["status"]) == (7, "mine", "FILLED")
            assert await next_order(stream) == ("FILLED", "3")
            assert exchange.say("orders") == {"ok": True, "orders": []}


@tokens
async def test_a_listen_token_is_made() -> None:
    with driven("--venue", "spot") as exchange:
        token = exchange.say("token 60")["token"]
        async with exchange.session(SPOT) as session:
            await session.request("userDataStream.subscribe.listenToken", {"listenToken": token}, security="NONE")
            assert exchange.say("event outboundAccountPosition")["streams"] == 1


@fills
async def test_an_order_fills_in_parts() -> None:
    with driven() as exchange:
        async with resting(exchange, "mine") as (session, stream):
            [order] = exchange.say("fill mine 1")["filled"]
            assert (order["status"], order["executed"]) == ("PARTIALLY_FILLED", "1")
            assert await next_order(stream) == ("PARTIALLY_FILLED", "1")
            shown = await session.request("order.status", {"symbol": "BTCUSD_PERP", "origClientOrderId": "mine"})
            assert shown.result["executedQty"] == "1"
            assert exchange.say("fill mine 3")["ok"] is False
            assert exchange.say({"command": "fill", "client_order_id": "mine"})["filled"][0]["status"] == "FILLED"
            assert await next_order(stream) == ("FILLED", "3")


async def test_a_fault_strikes_counts_and_is_taken_back() -> None:
    with driven() as exchange:
        async with exchange.session() as session:
            assert exchange.say("fault error method=session.status code=-1000 times=2") == {"ok": True, "fault": 1}
            with pytest.raises(ApiError, match="-1000"):
                await session.status()
            told = {"fault": 1, "name": "error", "seen": 1, "struck": 1}
            assert exchange.say("faults") == {"ok": True, "faults": [told]}
            assert exchange.say("remove 1") == {"ok": True, "removed": 1}
            await session.status()
            spell = {"command": "fault", "name": "drop_before", "method": "session.status"}
            assert exchange.say(spell) == {"ok": True, "fault": 2}
            with pytest.raises(ConnectionLost):
                await session.status()


async def test_faults_of_the_command_line_are_counted_too() -> None:
    with driven("--fault", "late_answer method=session.status delay=0") as exchange:
        async with exchange.session() as session:
            await session.status()
        told = {"fault": 1, "name": "late_answer", "seen": 1, "struck": 1}
        assert exchange.say("faults") == {"ok": True, "faults": [told]}


async def test_connections_are_dropped_by_kind() -> None:
    with driven() as exchange:
        async with resting(exchange, "mine") as (session, stream):
            assert exchange.say("drop stream") == {"ok": True, "dropped": 1}
            await stream.wait_closed()
            await session.status()
            assert exchange.say("drop") == {"ok": True, "dropped": 1}


async def test_listen_keys_lapse_and_are_stopped() -> None:
    with driven() as exchange:
        for line, key in (("expire listenkey", "expired"), ("stop listenkey", "stopped")):
            async with resting(exchange, line.split()[0]) as (_, stream):
                assert exchange.say(line) == {"ok": True, key: 1}
                assert json.loads(await stream.recv())["e"] == "listenKeyExpired"


async def test_the_clock_moves_ahead_and_a_bot_keeps_its_own_time() -> None:
    with driven() as exchange:
        async with resting(exchange, "mine") as (session, stream):
            before = exchange.say("advance 1")["time"]
            assert exchange.say("advance 3600")["time"] - before >= 3_600_000
            assert json.loads(await stream.recv())["e"] == "listenKeyExpired"
            await session.request("account.balance")  # by the time of this process
            async with connect(exchange.first["url"], proxy=None) as client:
                assert exchange.say("advance 86401")["ok"]
                await client.wait_closed()
                assert client.close_code == 1001


async def test_shutdown_is_announced_and_a_key_revoked_and_restored() -> None:
    with driven() as exchange:
        async with exchange.session(on_unready="wait") as session, connect(exchange.first["url"], proxy=None) as client:
            assert exchange.say("shutdown") == {"ok": True, "told": 2}
            assert json.loads(await client.recv())["event"]["e"] == "serverShutdown"
            assert exchange.say(f"revoke {API_KEY}") == {"ok": True}
            with pytest.raises(ApiError, match="-2015"):
                await session.request("account.balance")
            assert exchange.say({"command": "restore", "api_key": API_KEY}) == {"ok": True}
            await session.request("account.balance")


async def test_events_and_balances() -> None:
    with driven("--venue", "spot") as exchange:
        async with exchange.session(SPOT) as session:
            assert exchange.say("event outboundAccountPosition")["streams"] == 0
            assert exchange.say("transfer USDT -400000") == {"ok": True, "balance": "600000"}
            balances = (await session.request("account.status")).result["balances"]
            assert [each["free"] for each in balances if each["asset"] == "USDT"] == ["600000.00000000"]


def test_without_json_an_answer_is_a_line_of_text() -> None:
    lines = "price BTCUSD_PERP 50000\n\nprice BTCUSD_PERP\nquit\nnever treated\n"
    done = subprocess.run(
        [*COMMAND, "simulate"],
        input=lines,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    told = done.stdout.partition("Ctrl-C ends it.\n")[2].splitlines()
    assert told == ["ok filled=[]", "error: price is used like this: price SYMBOL PRICE", "ok"]
    assert done.stderr == ""


def test_the_end_of_standard_input_ends_nothing_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("orders\nhelp")  # a file, and no newline at its end
    command = [*COMMAND, "simulate", "--json", "--end-with-input"]
    with path.open() as lines:
        told = subprocess.check_output(command, stdin=lines, env=environment(), text=True, timeout=TIMEOUT)
    assert [json.loads(line).get("ok") for line in told.splitlines()] == [None, True, True]
    with driven() as exchange:
        assert exchange.process.stdin is not None
        exchange.process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            exchange.process.wait(0.3)
        if sys.platform != "win32":
            exchange.process.send_signal(signal.SIGTERM)
            assert exchange.process.wait(TIMEOUT) == 0


def test_quit() -> None:
    with driven() as exchange:
        assert exchange.say("quit") == {"ok": True}
        assert exchange.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("prise BTCUSD_PERP 5", "did you mean 'price'?"),
        ("price BTCUSD_PREP 5", "did you mean 'BTCUSD_PERP'?"),
        ("price BTCUSD_PERP", "price SYMBOL PRICE"),
        ("price BTCUSD_PERP 5 6", "price SYMBOL PRICE"),
        ("price BTCUSD_PERP nan", "a price must be a number above 0, at most 1000000000000000, not 'nan'"),
        ("price BTCUSD_PERP -5", "above 0"),
        ("price BTCUSD_PERP '5", "No closing quotation"),
        ('{"command": "price", "symbol": ["BTCUSD_PERP"], "price": 5}', "is not listed"),
        ('{"command": "price", "symbol": "BTCUSD_PERP", "prize": 5}', "price SYMBOL PRICE"),
        ('{"command": 1}', "the command is missing"),
        ('{"command": "price"', "Expecting"),
        ("fill mine 1", "no open orders have the client order id 'mine'"),
        ("fault late_answr", "did you mean 'late_answer'?"),
        ("fault late_answer delay=soon", "delay must be a value such as 1.0, not 'soon'"),
        ("fault late_answer colour=red", "its options: delay"),
        ("fault no_answer method=order.plcae", "order.plcae"),
        ("fault no_answer when=1", "KEY=VALUE"),
        ("fault no_answer nth=first", "nth must be a value such as 1, not 'first'"),
        ("fault no_answer method=3", "method must be a value such as 'order.place', not 3"),
        ("remove 3", "no fault has the number '3'"),
        ("drop straem", "api, stream, all, not 'straem'; did you mean 'stream'?"),
        ("advance -1", "above 0"),
        ("advance 1e9", "at most 31622400"),
        ("expire order", "listenkey"),
        ("revoke nobody", "does not know this apiKey"),
        ("transfer USDT much", "a change must be a number"),
        ("event ORDER_TRADE_UPDTAE", "ORDER_TRADE_UPDATE"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_happens(line: str, words: str) -> None:
    clock = DrivenClock()
    driver = Driver(Simulator(COIN_M, clock=clock), clock)
    answer = driver.treat(line)
    assert answer["ok"] is False
    assert words in answer["error"]
    assert not driver.faults
    assert driver.treat("help")["ok"] is True


async def test_whatever_is_given_is_answered() -> None:
    """With any values of any kinds in it, for each command: an answer that is a line of JSON, and no exception."""
    names = (
        "x",
        "k",
        "all",
        "api",
        "listenkey",
        "BTCUSDT",
        "BTCUSD_PERP",
        "USDT",
        "no_answer",
        "late_answer",
        "\ud800",
    )
    events = ("ORDER_TRADE_UPDATE", "executionReport", "balanceUpdate", "listenKeyExpired")
    numbers = (0, -1, 1.5, 10**400, 1e308, float("inf"), "5", "-5", "1e999999", "nan")
    values: tuple[Any, ...] = (*names, *events, *numbers, None, True, "", [], {}, {"c": 1}, ["a"])
    more = ("method", "nth", "times", "delay", "o", "E", "stream", "event", "code", "account", "when", "key")
    chance = random.Random(11)
    for venue in (COIN_M, USD_M, SPOT):
        clock = DrivenClock()
        driver = Driver(Simulator(venue, clock=clock, record=0), clock)
        driver.simulator.add_key("k", secret="of k")
        known = [each for each in COMMANDS.items() if each[0] != "token" or hasattr(Exchange, "create_listen_token")]
        for _ in range(1500):
            name, command = chance.choice(known)
            given = {each: chance.choice(values) for each in command.names if chance.random() < 0.9}
            given |= {each: chance.choice(values) for each in more if command.takes_more and chance.random() < 0.1}
            answer = driver.treat(json.dumps({"id": 1, "command": name, **given}))
            assert answer["id"] == 1
            assert answer["ok"] is (not answer.get("error"))
            assert "\n" not in written(answer, as_json=chance.random() < 0.5)


def test_it_ends_while_standard_input_is_open() -> None:
    with driven() as exchange:
        assert exchange.say("orders")["ok"]
        exchange.process.terminate()
        assert exchange.process.wait(TIMEOUT) == (0 if sys.platform != "win32" else 1)
        assert exchange.process.stderr is not None
        assert exchange.process.stderr.read() == ""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_example_for_node_runs(tmp_path: Path) -> None:
    text = (Path(binance_session.__file__).parent / "docs" / "simulator.md").read_text()
    [example] = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    (tmp_path / "example.cjs").write_text(f"(async () => {{\n{example}}})();\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = environment(PATH=path, SECRET="a secret")
    command = ["node", "example.cjs"]
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert "no open orders have the client order id 'mine'" in done.stdout, done.stderr
    assert (done.returncode, done.stderr) == (0, "")


def test_help_and_the_commands_agree() -> None:
    shown = run("simulate", "--help").stdout
    for name in ("price", "fill", "orders", "fault", "drop", "advance", "help"):
        assert f"  {name}" in shown
        assert name in COMMANDS
