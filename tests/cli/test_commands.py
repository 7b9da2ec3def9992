"""run --commands: requests by lines on standard input, and the truth about each of them on standard output."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from binance_session.simulator import Fault
from tests.cli.background import Background
from tests.cli.conftest import API_KEY, KeyPair
from tests.cli.program import COMMAND, TIMEOUT, environment
from tests.cli.test_run import PAGE, add

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

ORDER = {
    "symbol": "BTCUSD_PERP",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "20000",
    "newClientOrderId": "mine",
}


class Program:
    """A running program, its stream open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, *commands: object) -> None:
        assert self.process.stdin is not None
        for command in commands:
            text = command if isinstance(command, str) else json.dumps(command)
            self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def next(self, *types: str) -> dict[str, Any]:
        """Return the next line of one of these types."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line: dict[str, Any] = json.loads(text)
            if line["type"] in types:
                return line
        raise AssertionError(f"the program ended: {self.process.stderr and self.process.stderr.read()}")

    def told(self, command: object) -> dict[str, Any]:
        """Return what comes of a command."""
        self.ask(command)
        return self.next("answer", "error", "fate")


@contextmanager
def program(exchange: Background, pair: KeyPair) -> Iterator[Program]:
    add(exchange, pair)
    urls = ["--url", exchange.url, "--stream-url", str(exchange.simulator.stream_url)]
    with subprocess.Popen(
        [*COMMAND, "run", "--commands", *urls, "--key-file", str(pair.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(BINANCE_API_KEY=API_KEY),
    ) as process:
        try:
            started = Program(process)
            started.next("gap")
            yield started
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
            assert process.stderr is not None
            log = process.stderr.read()
            assert "Traceback" not in log
            assert "never" not in log
        finally:
            process.kill()


def test_requests_are_answered(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        reply = bot.told({"id": "b", "method": "account.balance"})
        assert (reply["type"], reply["id"], reply["outcome"], reply["status"]) == ("answer", "b", "answered", 200)
        assert reply["result"][0]["asset"]
        assert reply["limits"][0]["type"]
        reply = bot.told({"id": 2, "method": "order.status", "params": {"symbol": "BTCUSD_PERP", "orderId": 1}})
        assert (reply["type"], reply["id"], reply["outcome"]) == ("error", 2, "rejected")
        assert (reply["status"], reply["code"], reply["error"]) == (400, -2013, "ApiError")
        bot.ask({"id": 3, "method": "order.place", "params": ORDER})
        lines = [bot.next("answer", "ORDER_TRADE_UPDATE") for _ in range(2)]
        assert {line["type"] for line in lines} == {"answer", "ORDER_TRADE_UPDATE"}


def test_requests_leave_in_the_order_of_their_lines(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        bot.ask(*({"id": n, "method": "account.balance", "params": {"recvWindow": 5000 + n}} for n in range(200)))
        assert [bot.next("answer")["id"] for _ in range(200)] == list(range(200))
    sent = [each.params for each in exchange.simulator.received if each.method == "account.balance"]
    assert [params["recvWindow"] for params in sent] == [5000 + n for n in range(200)]


def test_a_number_with_a_point_is_sent_as_it_is_written(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        text = json.dumps({"id": 1, "method": "order.place", "params": {**ORDER, "price": 1}})
        bot.told(text.replace('"price": 1', '"price": 20000.10'))
    (params,) = [each.params for each in exchange.simulator.received if each.method == "order.place"]
    assert params["price"] == "20000.10"


def test_an_order_whose_answer_is_lost_is_settled(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        exchange.call(lambda: exchange.simulator.inject(Fault("drop_after", method="order.place")))
        reply = bot.told({"id": "o", "method": "order.place", "params": ORDER})
        assert (reply["type"], reply["outcome"], reply["error"]) == ("error", "unknown", "ConnectionLost")
        fate = bot.told({"id": "s", "settle": "o", "within": 20})
        assert (fate["type"], fate["id"], fate["took_effect"]) == ("fate", "s", True)
        assert fate["order"]["clientOrderId"] == "mine"
        assert bot.told({"id": 9, "settle": "other"})["outcome"] == "not_sent"
    exchange.simulator.executed  # noqa: B018 - it is one order, whatever was asked
    placed = [each for each in exchange.simulator.received if each.method == "order.place"]
    assert len(placed) == 1


def test_a_time_that_is_over(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", method="account.balance")))
        reply = bot.told({"id": 1, "method": "account.balance", "timeout": 0.2})
        assert (reply["outcome"], reply["error"]) == ("unknown", "RequestTimeout")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no JSON", "one line of JSON"),
        ('{"id": 1, "method": "account.balance", "params": {"x": NaN}}', "one line of JSON"),
        ("[1]", "an object"),
        ('{"id": 1}', "names its method"),
        ('{"id": 1.5, "method": "account.balance"}', "a text or a whole number"),
        ('{"id": 1, "method": "account.balance", "parms": {}}', "not parms"),
        ('{"id": 1, "method": "account.balance", "params": 5}', "params"),
        ('{"id": 1, "method": "account.balance", "params": {"apiKey": "x"}}', "apiKey"),
        ('{"id": 1, "method": "account.balance", "timeout": "soon"}', "timeout"),
        ('{"id": 1, "method": "account.balence"}', "account.balance"),
        ('{"id": 1, "settle": [1]}', "settle"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(line: str, says: str, exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        before = len(exchange.methods())
        reply = bot.told(line)
        assert (reply["type"], reply["outcome"]) == ("error", "not_sent")
        assert says in reply["message"]
        assert bot.told({"id": 2, "method": "session.status"})["status"] == 200
    assert [method for method in exchange.methods()[before:] if method != "userDataStream.ping"] == ["session.status"]


def test_secrets_are_masked_in_answers(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        reply = bot.told({"id": 1, "method": "userDataStream.start"})
        assert "…" in reply["result"]["listenKey"]
        reply = bot.told({"id": 2, "method": "session.status"})
        assert API_KEY not in json.dumps(reply)


def test_events_go_on_when_the_input_has_ended(exchange: Background, ed25519: KeyPair) -> None:
    with program(exchange, ed25519) as bot:
        assert bot.process.stdin is not None
        bot.process.stdin.close()
        exchange.call(lambda: exchange.simulator.transfer("BTC", "1"))
        assert bot.next("ACCOUNT_UPDATE")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_the_bot_of_the_documentation(tmp_path: Path) -> None:
    source = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    link = tmp_path / "binance-session"
    link.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    link.chmod(0o755)
    with subprocess.Popen(
        ["node", "-e", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"),
        start_new_session=True,
    ) as bot:
        try:
            assert bot.stdout is not None
            assert bot.stdout.readline() == "answered BTC\n"
        finally:
            os.killpg(bot.pid, signal.SIGTERM)
