"""run: events as lines of JSON from a real process, whatever happens to the exchange, the reader and the process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from binance_session.cli import main
from binance_session.cli.run.lines import line_of
from binance_session.cli.run.log import Log
from binance_session.cli.run.sidecar import Sidecar
from binance_session.cli.run.writer import Writer
from binance_session.credentials import ApiKey
from binance_session.responses import Event
from binance_session.session import Session
from binance_session.simulator import Fault
from binance_session.venues import COIN_M, SPOT, USD_M, Venue
from tests.cli.background import Background
from tests.cli.conftest import API_KEY, KeyPair
from tests.cli.program import COMMAND, TIMEOUT, environment, running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

Process = subprocess.Popen[str]

#: the bot in another language of docs/howto/languages.md
PAGE = Path(__file__).parents[2] / "binance_session" / "docs" / "howto" / "languages.md"
SIDECAR, _ = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)
SHELL_SIDECAR = """\
binance-session run --simulate | while read -r line; do
  case $line in
    *'"gap":true'*) echo "events may be missing: ask about orders and positions" ;;
    *'"X":"FILLED"'*) echo "an order was filled" ;;
  esac
done
"""


def add(exchange: Background, pair: KeyPair) -> None:
    exchange.call(lambda: exchange.simulator.add_key(API_KEY, public_key=pair.public))


@contextmanager
def sidecar(exchange: Background, pair: KeyPair, *options: str) -> Iterator[Process]:
    """Run the program against an exchange that knows its key."""
    add(exchange, pair)
    with started(exchange.url, exchange.simulator.stream_url, pair, *options) as process:
        yield process


@contextmanager
def started(url: str, stream_url: str | None, pair: KeyPair, *options: str) -> Iterator[Process]:
    streams = [] if stream_url is None else ["--stream-url", stream_url]
    keys = ["--key-file", str(pair.path)]
    with running("run", "--url", url, *streams, *keys, *options, BINANCE_API_KEY=API_KEY) as process:
        yield process


def next_line(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def opened(process: Process) -> None:
    """Return when the stream is open."""
    line = next_line(process)
    assert line["gap"]
    assert line["data"]["since"] == 0


def logged(process: Process, words: str) -> str:
    """Return the next line of the log with these words, and all before it."""
    assert process.stderr is not None
    read = ""
    for line in process.stderr:
        read += line
        if words in line:
            return read
    raise AssertionError(f"the log ended without {words!r}: {read}")


def ended(process: Process, status: int) -> str:
    """Return the rest of the log of a process that is about to end."""
    assert process.stderr is not None
    log = process.stderr.read()
    assert process.wait(TIMEOUT) == status, log
    assert "Traceback" not in log
    assert "Warning:" not in log
    return log


def stopped(process: Process, number: signal.Signals = signal.SIGTERM) -> str:
    process.send_signal(number)
    return ended(process, 0)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def push(exchange: Background, number: int) -> int:
    """Tell of an order; return to how many streams that went."""
    return exchange.call(lambda: exchange.simulator.push_event("ORDER_TRADE_UPDATE", o={"c": f"mine-{number}"}))


def forget_levels() -> None:
    """Undo what the program's log did to the loggers of this process."""
    logger = logging.getLogger("binance_session")
    for each in (logger, logger.getChild("simulator"), logger.getChild("websocket")):
        each.setLevel(logging.NOTSET)


def number_of(line: dict[str, Any]) -> int:
    return int(line["data"]["o"]["c"].removeprefix("mine-"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def addresses(port: int) -> tuple[str, str]:
    """Return where a COIN-M simulator is on a port."""
    with Background(COIN_M) as example:
        assert example.simulator.stream_url is not None
        old = str(example.simulator.url.split(":")[2].split("/")[0])
        return example.url.replace(old, str(port)), example.simulator.stream_url.replace(old, str(port))


# What it writes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_events_come_as_they_are_and_a_signal_ends_it(
    number: signal.Signals, exchange: Background, ed25519: KeyPair
) -> None:
    with sidecar(exchange, ed25519) as process:
        first = next_line(process)
        assert list(first) == ["type", "time", "gap", "data"]
        assert (first["type"], first["gap"]) == ("gap", True)
        assert first["data"] == {"cause": "the stream begins here", "since": 0, "until": first["time"]}
        for each in (1, 2):
            assert push(exchange, each) == 1
            line = next_line(process)
            assert (line["type"], line["gap"], line["time"]) == ("ORDER_TRADE_UPDATE", False, line["data"]["E"])
            assert line["data"] == exchange.simulator.pushed[-1].event
        log = stopped(process, number)
        assert process.stdout is not None
        assert process.stdout.read() == ""
    for words in ("session logging on -> ready", "listenKey", "events from here on", number.name, "-> closed"):
        assert words in log
    until(lambda: not exchange.simulator.connections)
    assert "userDataStream.stop" not in exchange.methods()


def test_no_secret_is_shown(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519) as process:
        opened(process)
        keys = exchange.simulator.exchange.state.listen_keys
        listen_key = keys.of(exchange.simulator.exchange.account)
        assert listen_key is not None
        exchange.call(lambda: exchange.simulator.expire_listen_keys())
        expired = next_line(process)
        assert expired["type"] == "listenKeyExpired"
        assert expired["data"]["listenKey"] == f"{listen_key.value[:4]}…{listen_key.value[-2:]}"
        gap = next_line(process)
        assert gap["data"]["cause"] == "the listenKey expired"
        new_key = keys.of(exchange.simulator.exchange.account)
        assert new_key is not None
        log = stopped(process)
    shown = log + json.dumps([expired, gap], ensure_ascii=False)
    signatures = [
        str(frame.params["signature"]) for frame in exchange.simulator.received if "signature" in frame.params
    ]
    assert signatures
    for secret in (API_KEY, ed25519.secret_text, listen_key.value, new_key.value, *signatures):
        assert secret not in shown


def test_a_line_is_ascii_and_the_event_untouched() -> None:
    event = Event("e\u2028", 5, {"listenKey": "x" * 64, "name": "\ud800→\n"})
    line = line_of(event)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "type": "e\u2028",
        "time": 5,
        "gap": False,
        "data": {"listenKey": "xxxx…xx", "name": "\ud800→\n"},
    }
    assert event.data["listenKey"] == "x" * 64


def say(exchange: Background, *texts: str) -> None:
    """Have the exchange send texts to the stream, as they are."""
    (stream,) = [each for each in exchange.simulator.connections if each.stream]
    for text in texts:
        exchange.call(lambda text=text: stream.send_text(text))  # type: ignore[misc]


def strict(process: Process) -> dict[str, Any]:
    """Return what a reader makes of the next line that takes nothing but JSON."""

    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.isascii()
    message: dict[str, Any] = json.loads(line, parse_constant=no_constant)
    return message


ORDER_ID = 8389766145050669870


@pytest.mark.parametrize(("options", "shown"), [([], str(ORDER_ID)), (["--ids", "number"], ORDER_ID)])
def test_an_order_id_that_many_readers_round(
    options: list[str], shown: object, exchange: Background, ed25519: KeyPair
) -> None:
    with sidecar(exchange, ed25519, *options) as process:
        opened(process)
        exchange.call(lambda: exchange.simulator.push_event("ORDER_TRADE_UPDATE", o={"i": ORDER_ID}))
        assert next_line(process)["data"]["o"]["i"] == shown
        stopped(process)


def test_whatever_the_exchange_sends_it_is_written_or_told_and_the_next_one_comes(
    exchange: Background, ed25519: KeyPair, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(5000)  # for the decoder here, above which there are more frames than in the program
    deep = {depth: f'{{"e":"DEEP","E":1,"d":{depth},"x":{"[" * depth}{"]" * depth}}}' for depth in range(400, 1000, 50)}
    with sidecar(exchange, ed25519) as process:
        opened(process)
        say(exchange, '{"e":"ACCOUNT_UPDATE","E":1,"x":1e999}')
        told = strict(process)
        assert (told["type"], told["gap"]) == ("malformed", True)
        say(exchange, '{"e":"X","E":2,"y":"a\\u2028b\\nc\\u001b[2J\\u202e\\ud800"}')
        assert strict(process)["data"]["y"] == "a\u2028b\nc\x1b[2J\u202e\ud800"
        # what is nested too deeply to be decoded is the library's to tell; all that is decoded is here
        say(exchange, *deep.values(), '{"e":"LAST","E":3}')
        while (told := strict(process))["type"] != "LAST":
            assert told["gap"] or told["data"] == json.loads(deep[told["data"]["d"]])
        stopped(process)


def test_a_listen_key_is_masked_wherever_the_exchange_puts_it(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519) as process:
        opened(process)
        key = exchange.simulator.exchange.state.listen_keys.of(exchange.simulator.exchange.account)
        assert key is not None
        events = [{"e": "X", "key": key.value}, {"e": "X", "o": {key.value: 1}}, {"e": key.value}]
        say(exchange, *map(json.dumps, events))
        lines = [json.dumps(strict(process)) for _ in events]
        assert key.value not in "".join(lines) + stopped(process)


FORGED = "no\n2025-01-01T00:00:00.000Z INFO    all is well \x1b[2J\x1b]0;owned\x07 \u202egnp.exe \x9b31m \u2028x"


def test_what_the_exchange_says_forges_no_line_of_the_log(exchange: Background, ed25519: KeyPair) -> None:
    fault = Fault("error", method="session.logon", status=503, code=-1008, msg=FORGED)
    exchange.call(lambda: exchange.simulator.inject(fault))
    with sidecar(exchange, ed25519) as process:
        next_line(process)
        log = stopped(process)
    assert "all is well" in log
    assert all(line.isprintable() for line in log.split("\n"))
    assert not any(line.startswith("2025") for line in log.split("\n"))


@pytest.mark.parametrize("name", ["binance_session", "asyncio"])
def test_a_record_with_a_traceback_forges_no_line_either(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(logging.INFO, lambda text: text.replace("secret", "…"))
    try:
        raise ValueError(f"secret {FORGED}")
    except ValueError:
        logging.getLogger(name).exception("it failed")
    log._writer.close(TIMEOUT)  # type: ignore[union-attr]
    log.close()
    forget_levels()
    first, *rest = capfd.readouterr().err.splitlines()
    assert first.endswith("it failed")
    assert "all is well" in " ".join(rest)
    assert "secret" not in " ".join(rest)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


async def test_a_foreign_exception_does_not_end_the_sidecar(
    ed25519: KeyPair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A session is begun anew; the exception's own text, which may hold anything, is not shown."""
    begun = asyncio.Event()
    sessions = iter([LookupError("a secret"), None])

    class Failing(Sidecar):
        def _session(self) -> Session:
            if (error := next(sessions)) is not None:
                raise error
            begun.set()
            return super()._session()

    async def write(event: Event) -> None:
        raise AssertionError("there is no stream")

    key = ApiKey(API_KEY)
    url = f"ws://127.0.0.1:{free_port()}"
    work = Failing(COIN_M, key, write, hide=lambda _: None, url=url, stream_url=url, buffer=1, stop_on_exit=False).run()
    running = asyncio.create_task(work)
    async with asyncio.timeout(TIMEOUT):
        await begun.wait()
    running.cancel()
    await asyncio.wait([running])
    assert "LookupError, which is a defect" in caplog.text
    assert "a secret" not in caplog.text


@pytest.mark.parametrize(
    "venue",
    [COIN_M, pytest.param(USD_M, marks=pytest.mark.long), pytest.param(SPOT, marks=pytest.mark.long)],
    ids=["coin-m", "usd-m", "spot"],
)
def test_a_simulated_exchange_where_something_happens(venue: Venue) -> None:
    kind = "executionReport" if venue is SPOT else "ORDER_TRADE_UPDATE"
    with running("run", "--simulate", "--venue", venue.name.lower()) as process:
        opened(process)
        orders: set[str] = set()
        while len(orders) < 2:  # the second is another order than the first: it goes on
            line = next_line(process)
            if line["type"] == kind:
                orders.add(line["data"]["c"] if venue is SPOT else line["data"]["o"]["c"])
        assert f"a simulated {venue.name} exchange" in stopped(process)


def test_spot(ed25519: KeyPair) -> None:
    with Background(SPOT) as exchange, sidecar(exchange, ed25519, "--venue", "spot", "--stop-on-exit") as process:
        opened(process)
        exchange.call(lambda: exchange.simulator.transfer("BTC", "1"))
        assert next_line(process)["type"] == "balanceUpdate"
        stopped(process)


def test_an_api_key_alone_is_enough_on_futures(exchange: Background, ed25519: KeyPair) -> None:
    add(exchange, ed25519)
    urls = ["--url", exchange.url, "--stream-url", str(exchange.simulator.stream_url)]
    with running("run", *urls, "--api-key-env", "MINE", MINE=API_KEY) as process:
        opened(process)
        push(exchange, 1)
        assert number_of(next_line(process)) == 1
        stopped(process)
    assert "session.logon" not in exchange.methods()


def test_quiet_logs_only_what_goes_wrong(exchange: Background, ed25519: KeyPair) -> None:
    ed25519.path.chmod(0o644)
    with sidecar(exchange, ed25519, "--quiet") as process:
        opened(process)
        (line,) = stopped(process).splitlines()
    assert " WARNING " in line
    assert "others can read the private key" in line


def test_what_a_user_must_know_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    shown = capsys.readouterr().out
    for words in ('{"type":"ORDER_TRADE_UPDATE","time":', '"since":', "exit status:", "\n  0 ", "\n  1 ", "\n  3 "):
        assert words in shown


@contextmanager
def node(tmp_path: Path, command: str) -> Iterator[Process]:
    """Run the page's bot, for which binance-session is a shell's command."""
    program = tmp_path / "binance-session"
    program.write_text(f"#!/bin/sh\nexec {command}\n")
    program.chmod(0o755)
    with subprocess.Popen(
        ["node", "-e", SIDECAR],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(BINANCE_API_KEY=API_KEY, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"),
    ) as bot:
        yield bot


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_a_bot_in_another_language_gets_each_digit_of_an_order_id(tmp_path: Path, ed25519: KeyPair) -> None:
    """Ids of 19 digits are usual on USD-M, and a JavaScript number has room for 16."""
    with Background(USD_M) as exchange:
        add(exchange, ed25519)
        urls = ["--url", exchange.url, "--stream-url", str(exchange.simulator.stream_url)]
        arguments = ["run", "--venue", "usd-m", *urls, "--key-file", str(ed25519.path)]
        with node(tmp_path, shlex.join([*COMMAND, *arguments])) as bot:
            try:
                assert bot.stdout is not None
                assert bot.stdout.readline() == "events may be missing: ask about orders and positions\n"
                order = {"c": "mine", "i": ORDER_ID, "X": "NEW"}
                exchange.call(lambda: exchange.simulator.push_event("ORDER_TRADE_UPDATE", o=order))
                assert bot.stdout.readline() == f"mine {ORDER_ID} NEW\n"
            finally:
                bot.kill()
            assert bot.stderr is not None
            bot.stderr.read()


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_a_bot_in_another_language(tmp_path: Path) -> None:
    """As the page has it; and a bot that dies leaves no sidecar behind."""
    with node(tmp_path, f'{shlex.join(COMMAND)} "$@"') as bot:
        try:
            assert bot.stdout is not None
            assert bot.stdout.readline() == "events may be missing: ask about orders and positions\n"
            assert bot.stdout.readline().startswith("rehearsal-1 ")
        finally:
            bot.kill()
        assert bot.stderr is not None
        said = bot.stderr.read()  # up to its end, which is the sidecar's
        # an event may have been on its way just then
        assert "standard output is read no more" in said or "standard output cannot be written: Broken pipe" in said


def test_a_bot_that_is_a_shell() -> None:
    program = SHELL_SIDECAR.replace("binance-session", shlex.join(COMMAND))
    with subprocess.Popen(
        ["sh", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as shell:
        try:
            assert shell.stdout is not None
            assert shell.stdout.readline() == "events may be missing: ask about orders and positions\n"
            assert shell.stdout.readline() == "an order was filled\n"
        finally:
            os.killpg(shell.pid, signal.SIGTERM)


# What goes wrong at the exchange


def test_a_stream_that_is_lost_is_a_gap(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519) as process:
        opened(process)
        push(exchange, 1)
        before = next_line(process)
        (stream,) = [each for each in exchange.simulator.connections if each.stream]
        exchange.call(stream.drop)
        gap = next_line(process)
        assert (gap["type"], gap["gap"], gap["time"]) == ("gap", True, gap["data"]["until"])
        assert "the stream's connection ended" in gap["data"]["cause"]
        assert gap["data"]["since"] <= gap["data"]["until"]
        push(exchange, 2)
        after = next_line(process)
        assert [number_of(line) for line in (before, after)] == [1, 2]
        stopped(process)


def test_an_exchange_that_is_not_there_yet(ed25519: KeyPair) -> None:
    port = free_port()
    with started(*addresses(port), ed25519) as process:
        logged(process, "attempt 3 to connect")
        with Background(COIN_M, port=port) as exchange:
            add(exchange, ed25519)
            opened(process)
            stopped(process)


def test_an_exchange_that_goes_and_comes_back(ed25519: KeyPair) -> None:
    with ExitStack() as stack:
        with Background(COIN_M) as exchange:
            process = stack.enter_context(sidecar(exchange, ed25519))
            opened(process)
            port = int(exchange.url.split(":")[2].split("/")[0])
        logged(process, "attempt 2 to connect")
        again = stack.enter_context(Background(COIN_M, port=port))
        add(again, ed25519)
        assert next_line(process)["gap"]
        until(lambda: push(again, 1) > 0)
        while (line := next_line(process))["gap"]:
            pass  # one that lasts is told more than once
        assert number_of(line) == 1
        stopped(process)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error", method="userDataStream.start", status=400, code=-1000, msg="An unknown error occurred."),
        Fault("drop_before", method="userDataStream.start"),
        Fault("refuse_handshake", stream=True),
    ],
    ids=lambda fault: f"{fault.name}-{fault.method}",
)
def test_a_start_that_fails_and_may_go_well_later(fault: Fault, exchange: Background, ed25519: KeyPair) -> None:
    exchange.call(lambda: exchange.simulator.inject(fault))
    with sidecar(exchange, ed25519) as process:
        first = next_line(process)
        assert first["data"]["since"] == 0
        assert first["data"]["cause"] != "the stream begins here"
        push(exchange, 1)
        assert number_of(next_line(process)) == 1
        assert "a new session begins" in stopped(process)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse_handshake", stream=False, status=404),
        Fault("refuse_handshake", stream=False, status=302),
        Fault("reject_logon"),
    ],
    ids=lambda fault: f"{fault.name}-{fault.options.get('status')}",
)
def test_what_was_right_once_is_tried_again(fault: Fault, exchange: Background, ed25519: KeyPair) -> None:
    """The API connection meets it at a reconnect; events go on, and so does the session."""
    with sidecar(exchange, ed25519) as process:
        opened(process)
        exchange.call(lambda: exchange.simulator.inject(fault))
        (api,) = [each for each in exchange.simulator.connections if not each.stream]
        exchange.call(api.drop)
        push(exchange, 1)
        assert number_of(next_line(process)) == 1
        logged(process, "attempt 2 to connect")
        logged(process, "logging on -> ready")
        push(exchange, 2)
        assert number_of(next_line(process)) == 2
        assert "a new session begins" not in stopped(process)


def test_an_exchange_in_trouble_at_the_start_is_waited_for(exchange: Background, ed25519: KeyPair) -> None:
    """By the session itself: nothing was missed before the stream begins."""
    exchange.call(
        lambda: exchange.simulator.inject(
            Fault("error", method="session.logon", status=503, code=-1008, msg="Server overloaded.")
        )
    )
    with sidecar(exchange, ed25519) as process:
        opened(process)
        push(exchange, 1)
        assert number_of(next_line(process)) == 1
        assert "attempt 2 to connect" in stopped(process)


# What it does not try again


def test_a_key_that_is_refused(exchange: Background, ed25519: KeyPair) -> None:
    with started(exchange.url, exchange.simulator.stream_url, ed25519) as process:
        log = ended(process, 3)
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert "refused session.logon" in log
    assert ".;" not in log
    assert exchange.methods().count("session.logon") == 1


def test_a_key_that_may_not_have_events(exchange: Background, ed25519: KeyPair) -> None:
    exchange.call(
        lambda: exchange.simulator.add_key(API_KEY, public_key=ed25519.public, permissions=["USER_DATA", "TRADE"])
    )
    with started(exchange.url, exchange.simulator.stream_url, ed25519) as process:
        assert "-2015" in ended(process, 3)


@pytest.mark.parametrize("wrong", ["url", "stream_url"])
def test_an_address_that_was_never_right(wrong: str, exchange: Background, ed25519: KeyPair) -> None:
    add(exchange, ed25519)
    urls = {"url": exchange.url, "stream_url": exchange.simulator.stream_url}
    urls[wrong] = f"{urls[wrong]}/nowhere"
    with started(str(urls["url"]), urls["stream_url"], ed25519) as process:
        assert "HTTP 404" in ended(process, 3)


def test_a_key_that_cannot_have_events(ed25519: KeyPair) -> None:
    """Spot's subscription is signed, and an apiKey alone signs nothing."""
    with Background(SPOT) as exchange:
        add(exchange, ed25519)
        with running("run", "--venue", "spot", "--url", exchange.url, BINANCE_API_KEY=API_KEY) as process:
            assert "cannot sign" in ended(process, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name its key, or --simulate"),
        (["--key-file", "no/such/file"], "BINANCE_API_KEY"),
        (["--api-key-file", "no/such/file"], "no/such/file cannot be read"),
        (["--simulate", "--buffer", "0"], "--buffer"),
        (["--simulate", "--url", "ws://127.0.0.1:1"], "come together"),
        (["--stream-url", "ws://127.0.0.1:1"], "come together"),
        (["--venue", "spot", "--stream-url", "ws://127.0.0.1:1"], "has none"),
        (["--simulate", "--key-file", "mine.pem"], "leave --key-file out"),
        (["--simulate", "--venue", "spot", "--url", "ws://127.0.0.1:1"], "leave --url out"),
    ],
)
def test_bad_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [("https://127.0.0.1", "ws:// or wss://"), ("ws://192.0.2.1", "plain ws://")],
    ids=["web", "plain"],
)
def test_an_address_that_a_session_does_not_take(url: str, words: str, ed25519: KeyPair) -> None:
    with started(url, url, ed25519) as process:
        assert words in ended(process, 2)


# Those who read


def test_a_reader_that_goes_away_is_noticed_without_an_event(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519) as process:
        opened(process)
        assert process.stdout is not None
        process.stdout.close()
        assert "standard output is read no more" in ended(process, 1)
    until(lambda: not exchange.simulator.connections)


def test_output_that_cannot_be_written() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no full device here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "run", "--simulate"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 1
    assert "standard output cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_output() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "run", "--simulate"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, "standard output is closed" in done.stderr) == (2, True)


def fill(exchange: Background, count: int) -> None:
    """Have more happen than a pipe takes, and --buffer events on top."""
    for number in range(count):
        push(exchange, number)


def test_a_reader_that_does_not_read_holds_up_nothing_and_is_told_of_the_gap(
    exchange: Background, ed25519: KeyPair
) -> None:
    with sidecar(exchange, ed25519, "--buffer", "1000") as process:
        opened(process)
        fill(exchange, 3000)
        # The event loop is alive: it replaces what is lost.
        (api,) = [each for each in exchange.simulator.connections if not each.stream]
        exchange.call(api.drop)
        until(lambda: exchange.methods().count("session.logon") == 2)
        lines = []
        while not (line := next_line(process))["gap"]:
            lines.append(line)
        numbers = [number_of(each) for each in lines]
        assert numbers == list(range(len(numbers)))
        assert 1000 < len(numbers) < 3000
        assert line["data"]["cause"] == "1000 events waited to be written, and what came then was not kept"
        assert line["data"]["since"] == lines[-1]["time"]
        push(exchange, 5000)
        assert number_of(next_line(process)) == 5000
        stopped(process)


def test_a_signal_ends_it_although_nobody_reads(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519, "--buffer", "10") as process:
        opened(process)
        fill(exchange, 1000)
        stopped(process)
    until(lambda: not exchange.simulator.connections)


async def test_a_writer_that_shares_a_pipe_which_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = Writer(writing)
    data = os.urandom(1 << 20)
    read: list[bytes] = []

    def read_all() -> None:
        with open(reading, "rb") as pipe:
            read.append(pipe.read(len(data)))

    reader = threading.Thread(target=read_all)
    reader.start()
    try:
        await writer.write(data)
        reader.join(TIMEOUT)
        assert read == [data]
        with pytest.raises(BrokenPipeError):
            await writer.write(b"more")
    finally:
        writer.close(TIMEOUT)
        os.close(writing)
        reader.join(TIMEOUT)


def test_a_log_that_nobody_reads_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are dropped instead; those that were taken come in order."""
    reading, writing = os.pipe()
    with open(writing, "w") as stream, open(reading, "rb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stderr", stream)
        log = Log(logging.INFO)
        logger = logging.getLogger("binance_session")
        for number in range(5000):
            logger.info("%d %s", number, "x" * 1000)
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.extend(pipe))
        reader.start()
        assert log._writer is not None
        log._writer.close(TIMEOUT)
        log.close()
        forget_levels()
        stream.close()
        reader.join(TIMEOUT)
    numbers = [int(line.split()[2]) for line in read]
    assert numbers == sorted(numbers)
    assert 1000 <= len(numbers) < 2000


# Signals at any moment


def test_a_signal_while_it_connects(ed25519: KeyPair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ws://127.0.0.1:{server.getsockname()[1]}"
        with started(url, url, ed25519) as process:
            connection, _ = server.accept()
            stopped(process)
            connection.close()


@pytest.mark.parametrize("method", ["session.logon", "userDataStream.start"])
def test_a_signal_while_an_answer_is_awaited(method: str, exchange: Background, ed25519: KeyPair) -> None:
    exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", method=method)))
    with sidecar(exchange, ed25519) as process:
        until(lambda: method in exchange.methods())
        stopped(process)
    until(lambda: not exchange.simulator.connections)


def test_a_signal_while_it_waits_to_try_again(ed25519: KeyPair) -> None:
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    with started(url, url, ed25519) as process:
        logged(process, "attempt 3 to connect")
        stopped(process)


def test_a_second_signal_kills_it(exchange: Background, ed25519: KeyPair) -> None:
    exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", method="userDataStream.stop")))
    with sidecar(exchange, ed25519, "--stop-on-exit") as process:
        opened(process)
        process.send_signal(signal.SIGTERM)
        until(lambda: "userDataStream.stop" in exchange.methods())
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == -signal.SIGTERM


@pytest.mark.long
def test_the_lookup_of_a_name_does_not_hold_up_the_end() -> None:
    program = (
        "import socket, sys, threading\n"
        "def lookup(*args, **kwargs):\n"
        "    print('looking', flush=True)\n"
        "    threading.Event().wait()\n"
        "socket.getaddrinfo = lookup\n"
        "from binance_session.cli import main\n"
        "sys.exit(main(['run']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(BINANCE_API_KEY=API_KEY),
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "looking\n"
            stopped(process)
        finally:
            process.kill()


# The listenKey at the end


def test_the_key_is_stopped_if_that_is_asked_for(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519, "--stop-on-exit") as process:
        opened(process)
        assert "the listenKey was stopped" in stopped(process)
    assert exchange.methods()[-1] == "userDataStream.stop"
    assert exchange.simulator.exchange.state.listen_keys.of(exchange.simulator.exchange.account) is None


def test_a_stop_that_is_not_answered_does_not_hold_up_the_end(exchange: Background, ed25519: KeyPair) -> None:
    exchange.call(lambda: exchange.simulator.inject(Fault("no_answer", method="userDataStream.stop")))
    with sidecar(exchange, ed25519, "--stop-on-exit") as process:
        opened(process)
        assert "could not be stopped" in stopped(process)


def test_a_key_in_doubt_is_extended(exchange: Background, ed25519: KeyPair) -> None:
    with sidecar(exchange, ed25519) as process:
        opened(process)
        exchange.call(lambda: exchange.simulator.inject(Fault("refuse_handshake", stream=True)))
        (stream,) = [each for each in exchange.simulator.connections if each.stream]
        exchange.call(stream.drop)
        assert next_line(process)["gap"]
        until(lambda: "userDataStream.ping" in exchange.methods())
        assert "the listenKey was extended" in stopped(process)
