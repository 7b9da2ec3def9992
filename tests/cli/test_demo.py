"""demo: what it shows, what it never shows, and that it can fail."""

from __future__ import annotations

import io
import os
import re
import subprocess
from typing import Any

import pytest
from attrs import frozen

from binance_session import NoKeepalive, SessionState
from binance_session.cli import demo, main
from binance_session.cli.demo import day, failover, live
from binance_session.cli.demo.frames import carrying_a_key, shown
from binance_session.cli.demo.player import ObservedSession
from binance_session.cli.demo.stage import Stage
from binance_session.cli.terminal import Terminal
from binance_session.simulator import Connection, LoopClock, Received
from tests.cli.program import run


@frozen
class Run:
    result: subprocess.CompletedProcess[str]
    seconds: float  # of CPU

    @property
    def out(self) -> str:
        return self.result.stdout


@pytest.fixture(scope="module")
def played() -> Run:
    before = os.times()
    result = run("demo")
    after = os.times()
    return Run(result, sum(after[2:4]) - sum(before[2:4]))


def test_ends_well_in_time_and_without_a_warning(played: Run) -> None:
    assert played.result.stderr == ""
    assert played.result.returncode == 0
    assert played.seconds < 20


def test_shows_a_ping_without_a_key(played: Run) -> None:
    assert '→ {"id":3,"method":"userDataStream.ping"}\n' in played.out


def test_shows_the_logon_with_its_secrets_masked(played: Run) -> None:
    assert re.search(
        r'→ \{"id":1,"method":"session\.logon",\n'
        r' +"params":\{"apiKey":"\w{4}…\w{2}","timestamp":\d{13},"signature":"[\w+/]{4}…=="\}\}',
        played.out,
    )


def test_shows_no_secret(played: Run) -> None:
    """apiKeys and listenKeys are 64 letters and digits here, signatures 88 of base64, private keys PEM."""
    assert not re.search(r"[A-Za-z0-9+/]{20}", played.out)
    assert "-----" not in played.out


def test_is_plain_and_fits(played: Run) -> None:
    assert "\x1b" not in played.out
    assert max(map(len, played.out.splitlines())) <= 100
    assert not any(line != line.rstrip() for line in played.out.splitlines())


def test_counts_what_it_claims(played: Run) -> None:
    claims = [line.strip() for line in played.out.splitlines() if line.startswith("   ✓ ")]
    assert len(claims) == 12
    assert "settle() found" in played.out
    assert "1 failover" in played.out
    (pings,) = [int(found[1]) for found in re.finditer(r"24 hours: (\d+) pings, 0 with a key", played.out)]
    assert pings > 24 * 60 / 25
    assert re.search(r"^All of it held\. [\d.]+ s\.$", played.out, re.MULTILINE)


# It can fail


class Quiet(Stage):
    """A stage that prints nothing, on a narrow terminal."""

    def __init__(self) -> None:
        self.screen = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "60")
            super().__init__(Terminal(self.screen))

    @property
    def widest(self) -> int:
        return max(map(len, self.screen.getvalue().splitlines()))

    @property
    def false_claims(self) -> str:
        return "\n".join(claim.text for claim in self.claims if not claim.holds)


class Unauthenticated(ObservedSession):
    """A session whose pings carry the apiKey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, logon=False, **kwargs)


async def test_notices_pings_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ObservedSession", Unauthenticated)
    monkeypatch.setattr(live, "_ROUND_TRIPS", 10)
    stage = Quiet()
    await live.play(stage)
    assert "without a key" in stage.false_claims
    assert re.search(r"requests, \d\d with a key", stage.false_claims)
    stage.end()
    assert 50 < stage.widest <= 60


def test_notices_a_day_of_pings_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day, "ObservedSession", Unauthenticated)
    stage = Quiet()
    day.play(stage)
    assert re.search(r"24 hours: \d+ pings, [1-9]\d* with a key", stage.false_claims)
    stage.end()
    assert 50 < stage.widest <= 60


def test_notices_a_listen_key_that_lapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day, "AdaptiveKeepalive", lambda random: NoKeepalive())
    stage = Quiet()
    day.play(stage)
    assert "the listenKey never lapsed" in stage.false_claims
    assert "24 hours: 0 pings" in stage.false_claims


class WithoutStandby(ObservedSession):
    """A session that reconnects, and calls it a failover."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "standby": False})

    def on_state_change(self, old: SessionState, new: SessionState, cause: Exception | None) -> None:
        super().on_state_change(old, new, cause)
        if new is SessionState.WAITING:
            self.failed_over.set()


def test_notices_a_failover_that_was_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "ObservedSession", WithoutStandby)
    stage = Quiet()
    failover.play(stage)
    assert "0 failover" in stage.false_claims
    stage.end()
    assert 50 < stage.widest <= 60


@pytest.mark.parametrize("error", [None, TimeoutError("hung"), RuntimeError("left open")])
def test_a_false_claim_or_a_breakdown_is_exit_status_1(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def no_live(stage: Stage) -> None:
        stage.claim("pigs fly", holds=error is not None)

    def no_day(stage: Stage) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(live, "play", no_live)
    monkeypatch.setattr(day, "play", no_day)
    monkeypatch.setattr(failover, "play", lambda stage: None)
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    assert ("NOT TRUE: pigs fly" if error is None else str(error)) in shown
    assert "Not all of it held." in shown


async def test_a_hanging_demo_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_TIMEOUT", 0.01)
    monkeypatch.setattr(live, "_ROUND_TRIPS", 10**9)
    with pytest.raises(TimeoutError):
        await demo._within_time(live.play(Quiet()))


# Its parts


def received(text: str, params: dict[str, Any]) -> Received:
    connection = Connection(1, "127.0.0.1", "/", 0.0, LoopClock(), lambda action: None)
    return Received(0.0, connection, text, {"id": 1, "method": "m", "params": params})


def test_a_frame_is_shown_as_it_was_sent_but_for_its_secrets() -> None:
    api_key, signature = "a" * 20 + "zz", "b" * 20 + "=="
    text = f'{{ "params":{{"apiKey":"{api_key}",  "signature":"{signature}","symbol":"X"}}}}'
    frame = received(text, {"apiKey": api_key, "signature": signature, "symbol": "X"})
    assert shown(frame) == '{ "params":{"apiKey":"aaaa…zz",  "signature":"bbbb…==","symbol":"X"}}'
    assert carrying_a_key([frame]) == [frame]
    assert carrying_a_key([received('{"id":1,"method":"userDataStream.ping"}', {})]) == []


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "colour"),
    [
        (Screen(), {"TERM": "xterm"}, True),
        (Screen(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colour_only_where_it_is_wanted(
    stream: io.StringIO, variables: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Terminal(stream).good("fine") == ("\x1b[32mfine\x1b[0m" if colour else "fine")


def test_a_console_without_arrows_shows_question_marks() -> None:
    raw = io.BytesIO()
    console = io.TextIOWrapper(raw, encoding="ascii")
    Terminal(console).line("a → b")
    assert raw.getvalue().rstrip() == b"a ? b"
