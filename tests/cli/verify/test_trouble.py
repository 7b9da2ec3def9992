"""An exchange that is silent, slow, banning, half-open or gone: nothing is told that was not seen, and it ends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from binance_session.cli.terminal import Terminal
from binance_session.cli.throwaway import throwaway_key
from binance_session.cli.verify.examination import Examination, Wish, given_by
from binance_session.cli.verify.probe import BROKEN, Verdict
from binance_session.cli.verify.recording import Recording
from binance_session.cli.verify.report import Report, report_of
from binance_session.cli.verify.run import run_steps
from binance_session.cli.verify.steps import STEPS
from binance_session.simulator import Connection, Fault, LoopClock, Readings, Simulator
from binance_session.simulator.faults import FAULTS
from binance_session.simulator.virtual import VirtualTimeLoop, run
from binance_session.simulator.wire import Action
from binance_session.venues import COIN_M, SPOT, USD_M
from tests.cli.verify.exam import ALL, Message, Said, findings, head, lying, recorded, refused, report, with_verdict

VENUES = {"coin-m": COIN_M, "usd-m": USD_M, "spot": SPOT}

TROUBLES: dict[str, Callable[[Simulator], object]] = {
    "silent": lambda simulator: simulator.inject(Fault("no_answer", times=None)),
    "silent after a while": lambda simulator: simulator.inject(Fault("no_answer", times=None, nth=9)),
    "silent about one method": lambda simulator: simulator.inject(
        Fault("no_answer", times=None, method="order.status")
    ),
    "slow": lambda simulator: simulator.inject(Fault("late_answer", times=None, delay=3.0)),
    "too slow": lambda simulator: simulator.inject(Fault("late_answer", times=None, delay=30.0)),
    "drops": lambda simulator: simulator.inject(Fault("drop_after", times=None, nth=4)),
    "drops each ninth": lambda simulator: [simulator.inject(Fault("drop_before", nth=9 * n)) for n in range(1, 9)],
    "closes": lambda simulator: simulator.inject(Fault("close", times=None, nth=4)),
    "overloaded": lambda simulator: simulator.inject(Fault("error", times=None, nth=6, status=503, code=-1008)),
    "internal errors": lambda simulator: simulator.inject(Fault("error", times=None, nth=3)),
    "limits": lambda simulator: simulator.inject(Fault("error", nth=20, status=429, code=-1003)),
    "bans": lambda simulator: simulator.inject(Fault("error", nth=20, status=418, code=-1003)),
    "firewall": lambda simulator: simulator.inject(Fault("error", nth=20, status=403, code=-1000)),
    "refuses handshakes": lambda simulator: simulator.inject(Fault("refuse_handshake", times=None)),
    "bans handshakes": lambda simulator: simulator.inject(Fault("refuse_handshake", nth=3, times=None, status=418)),
    "drops handshakes": lambda simulator: simulator.inject(Fault("drop_handshake", times=None, nth=2)),
    "never shakes hands": lambda simulator: simulator.inject(Fault("slow_handshake", times=None, delay=99)),
    "shuts down": lambda simulator: simulator.inject(Fault("server_shutdown", times=None)),
    "no JSON between": lambda simulator: simulator.inject(Fault("malformed", times=None)),
    "binary between": lambda simulator: simulator.inject(Fault("binary_frame", times=None)),
    "arrays between": lambda simulator: simulator.inject(Fault("not_an_object", times=None)),
    "pieces": lambda simulator: simulator.inject(Fault("fragmented", times=None)),
    "bytes": lambda simulator: simulator.inject(Fault("split", times=None)),
    "unknown ids": lambda simulator: simulator.inject(Fault("unknown_id", times=None)),
}


LONG = pytest.mark.long


@pytest.mark.parametrize("venue", ["coin-m", pytest.param("usd-m", marks=LONG), pytest.param("spot", marks=LONG)])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_leads_to_no_wrong_verdict(trouble: str, venue: str) -> None:
    recording = recorded(venue, prepare=TROUBLES[trouble])
    assert with_verdict(recording, Verdict.DIFFERS) == {}
    assert report(recording).comparison.found == ()
    assert recording.records[-1].at < 2400  # seconds, with --slow


@pytest.mark.parametrize(
    "trouble", ["silent", "refuses handshakes", "drops handshakes", "never shakes hands", "bans handshakes"]
)
def test_where_nothing_can_be_asked_it_gives_up(trouble: str) -> None:
    """After three steps in a row without an answer, or at once where it is told to wait."""
    recording = recorded("coin-m", prepare=TROUBLES[trouble])
    found = findings(recording)
    assert {name for name, each in found.items() if each.verdict is Verdict.UNTOLD} >= found.keys() - {
        "logon-refused"
    } - {name for name, each in found.items() if each.verdict in (Verdict.DOCUMENTED, Verdict.ASSUMED)}
    assert report(recording).status == 3
    assert recording.records[-1].at < 200
    assert all(each.seen for each in found.values())


def test_a_ban_ends_it_at_once() -> None:
    """Not one request more is sent: each would make the ban longer."""
    simulators: list[Simulator] = []

    def prepare(simulator: Simulator) -> None:
        TROUBLES["bans"](simulator)
        simulators.append(simulator)

    recording = recorded("coin-m", prepare=prepare)
    assert len(simulators[0].received) == 20
    assert "418" in findings(recording)["weight"].seen


@pytest.mark.parametrize("number", range(1, 8))
def test_half_open_connections_are_not_waited_for_for_ever(number: int) -> None:
    """The connection of this number goes silent after its third message, its TCP connection stays."""

    def prepare(simulator: Simulator) -> None:
        receive = simulator.exchange.receive
        seen: list[int] = []

        def receiving(connection: Connection, text: str) -> None:
            receive(connection, text)
            seen.append(connection.number)
            if seen.count(number) == 3 and connection in simulator.connections:
                connection.mute()

        simulator.exchange.receive = receiving  # type: ignore[method-assign]

    recording = recorded("coin-m", prepare=prepare)
    assert with_verdict(recording, Verdict.DIFFERS) == {}


@pytest.mark.long
def test_every_fault_of_requests_and_handshakes_once() -> None:
    """Whatever goes wrong once, at whatever request, is not taken for a rule; a lie about content may be."""
    lies = {
        "wrong_listen_key",
        "missing_listen_key",
        "string_id",
        "revoke",
        "reject_logon",
        "close",
        "expired_listen_key",
    }
    names = [
        name for name, each in FAULTS.items() if each.kind.value in ("requests", "handshakes") and name not in lies
    ]
    for name in names:
        for nth in (2, 11, 23, 40):
            recording = recorded(
                "coin-m",
                prepare=partial(Simulator.inject, fault=Fault(name, nth=nth)),
            )
            assert with_verdict(recording, Verdict.DIFFERS) == {}, (name, nth)


# What it does to the account


def test_without_orders_nothing_trades() -> None:
    trades = {name for venue in VENUES.values() for name, method in venue.methods.items() if method.security == "TRADE"}
    for venue in VENUES:
        asked = [name for name in ALL if name != "orders"]
        simulators: list[Simulator] = []
        recorded(venue, asked=asked, prepare=simulators.append)
        assert not {record.method for record in simulators[0].received} & trades


def test_a_listen_key_that_was_active_is_not_stopped() -> None:
    simulators: list[Simulator] = []
    asked = [name for name in ALL if name not in ("stop", "other key")]
    recording = recorded("coin-m", asked=asked, had_listen_key=True, prepare=simulators.append)
    assert "userDataStream.stop" not in {record.method for record in simulators[0].received}
    found = findings(recording)
    for name in ("ping-without-key", "stop", "expired-by-stop", "stream-after-expiry"):
        assert found[name].verdict is Verdict.UNTOLD
        assert "--stop" in found[name].seen
    assert report(recording).comparison.found == ()


def test_a_listen_key_that_was_active_is_stopped_when_that_is_allowed() -> None:
    recording = recorded("coin-m", had_listen_key=True)
    assert with_verdict(recording, Verdict.DIFFERS, Verdict.UNTOLD) == {}


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_it_stays_far_below_every_limit(venue: str) -> None:
    """In no minute more than a fifth of the weight, and few orders."""
    most = {"weight": 0, "orders": 0}

    def prepare(simulator: Simulator) -> None:
        charge = simulator.exchange.limits.charge

        def charging(address: str, cost: int, now: float) -> None:
            charge(address, cost, now)
            most["weight"] = max(most["weight"], simulator.exchange.limits.traffic(address).weight.count)

        simulator.exchange.limits.charge = charging  # type: ignore[method-assign]

    recording = recorded(venue, prepare=prepare)
    places = [record for record in recording.records if record.what == "sent" and "place" in record.body["method"]]
    assert most["weight"] < VENUES[venue].weight_per_minute / 5
    assert len(places) <= 4


# Interrupted


async def interrupted(venue: str, after: float, faults: tuple[Fault, ...] = ()) -> tuple[Simulator, Examination, bool]:
    """Interrupt a run after so many seconds; return what is left."""
    loop = VirtualTimeLoop.running()
    loop.network.latency = 0.02
    clock = LoopClock(start=loop.wall_time())
    async with Simulator(
        VENUES[venue], clock=clock, readings=Readings(coin_m_stops="taken", decimal_numbers="accepted")
    ) as simulator:
        for fault in faults:
            simulator.inject(fault)
        key = throwaway_key(simulator)
        asked = {"orders"}
        recording = Recording(head(venue, asked=asked), clock=loop.time)
        wish = Wish(
            venue=simulator.venue,
            url=simulator.url,
            stream_url=simulator.stream_url,
            key=key,
            symbol=head(venue).symbol,
            given=frozenset(given_by(key) | asked),
            wall_clock=loop.wall_time,
            timeout=3.0,
        )
        examination = Examination(wish, recording)
        steps = [step for step in STEPS if step.name in ("session", "listenKey", "streams", "subscribe", "orders")]
        task = asyncio.ensure_future(run_steps(examination, steps, lambda _step: None))
        await asyncio.wait([task], timeout=after)
        task.cancel()
        was_interrupted = await task
        return simulator, examination, was_interrupted


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_interrupted_at_any_moment_no_order_is_open(venue: str) -> None:
    placed = 0
    for tick in range(2, 140, 6):
        simulator, examination, was_interrupted = run(interrupted(venue, tick / 10))
        account = simulator.exchange.account
        assert [order for order in account.orders.values() if order.is_open] == [], tick
        assert all(algo.status not in ("NEW", "TRIGGERING") for algo in account.algo_orders.values())
        assert examination.left_open == []
        assert simulator.connections == []
        placed += was_interrupted and bool(account.orders)
    assert placed > 1


@pytest.mark.parametrize("fault", ["no_answer", "drop_after", "late_answer", "error"])
@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
def test_an_order_whose_answer_is_lost_is_closed(venue: str, fault: str) -> None:
    choices: dict[str, dict[str, Any]] = {"late_answer": {"delay": 5.0}, "error": {"executed": True}}
    options = choices.get(fault, {})
    for nth in (1, 2):
        faults = (Fault(fault, method="order.place", nth=nth, **options),)
        simulator, examination, _ = run(interrupted(venue, 999, faults))
        assert len(simulator.exchange.account.orders) >= nth
        assert [order for order in simulator.exchange.account.orders.values() if order.is_open] == []
        assert examination.left_open == []


def test_an_order_that_cannot_be_closed_is_told_of() -> None:
    """The exchange goes silent with the order's answer: what may be open is named."""
    faults = (Fault("no_answer", method="order.place"), Fault("error", method="order.cancel", times=None))
    simulator, examination, _ = run(interrupted("coin-m", 999, faults))
    assert [placed.label for placed in examination.left_open] == ["place"]
    assert [order for order in simulator.exchange.account.orders.values() if order.is_open] != []
    told = report_with(examination)
    assert told.status == 1
    assert "place" in told.as_json()


def report_with(examination: Examination) -> Report:
    return report_of(examination.recording, [placed.label for placed in examination.left_open])


def test_lying_helper_is_silent_without_a_lie() -> None:
    recording = recorded("coin-m", prepare=lying(lambda said: said.message))
    assert with_verdict(recording, Verdict.DIFFERS, Verdict.UNTOLD) == {}


def test_where_positions_name_no_price_the_market_stream_does() -> None:
    """COIN-M's API has no market data, and an account without a position may be told no mark price."""

    def without_price(said: Said) -> Message:
        return {**said.message, "result": []} if said.method == "account.position" else said.message

    def prepare(simulator: Simulator) -> None:
        lying(without_price)(simulator)
        connect = simulator.exchange.connect

        def connecting(address: str, target: str, perform: Callable[[Action], None]) -> Connection:
            connection = connect(address, target, perform)
            if target == "/ws/btcusd_perp@markPrice@1s":
                event = {"e": "markPriceUpdate", "E": 1, "s": "BTCUSD_PERP", "p": "61234.5"}
                connection.later(0.5, connection.send, event)
            return connection

        simulator.exchange.connect = connecting  # type: ignore[method-assign]

    recording = recorded("coin-m", prepare=prepare)
    assert with_verdict(recording, Verdict.DIFFERS, Verdict.UNTOLD) == {}
    placed = next(record for record in recording.records if record.label == "place" and record.what == "sent")
    assert placed.body["params"]["price"] == "30600"
    assert report(recording).comparison.found == ()


def test_without_any_price_no_order_is_sent() -> None:
    def without_price(said: Said) -> Message:
        return {**said.message, "result": []} if said.method == "account.position" else said.message

    recording = recorded("coin-m", prepare=lying(without_price))
    assert not [record for record in recording.records if record.label == "place"]
    assert "no price of BTCUSD_PERP" in findings(recording)["order"].seen


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
@pytest.mark.parametrize("code", [-2015, -1022])
def test_a_key_that_the_exchange_refuses_is_not_taken_for_a_rule(venue: str, code: int) -> None:
    """The key is of another venue, may not do this, or its private half is another."""

    def refusing(said: Said) -> Message:
        signed = "signature" in said.params and "error" not in said.message
        is_wrong = signed or said.message.get("error", {}).get("code") == -2013
        status = 401 if code == -2015 else 400
        return refused(said, code, status) if is_wrong else said.message

    found = with_verdict(recorded(venue, prepare=lying(refusing)), Verdict.DIFFERS)
    assert found == {}


ODD: list[Any] = [None, 0, -1, "", "x", True, [], {}, [{}], {"e": 1}, 1e300, 2**70, "1" * 70]


def mutated(message: Any, random: Random) -> Any:
    """Return a JSON value with something odd in the place of one of its values."""
    if isinstance(message, dict) and message and random.random() < 0.8:
        name = random.choice(sorted(message))
        return {**message, name: mutated(message[name], random)}
    if isinstance(message, list) and message and random.random() < 0.8:
        place = random.randrange(len(message))
        return [*message[:place], mutated(message[place], random), *message[place + 1 :]]
    return random.choice(ODD)


@pytest.mark.parametrize("venue", ["coin-m", "usd-m", "spot"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=LONG) for seed in range(2, 40))])
def test_an_exchange_that_says_nonsense_breaks_nothing(venue: str, seed: int) -> None:
    """Whatever it says: a report is made, and no order of ours is left open unnoticed."""
    random = Random(seed)
    simulators: list[Simulator] = []

    def nonsense(said: Said) -> Message | None:
        return mutated(said.message, random) if random.random() < 0.15 else said.message

    def prepare(simulator: Simulator) -> None:
        simulators.append(simulator)
        lying(nonsense)(simulator)

    recording = recorded(venue, prepare=prepare)
    made = report(recording)
    assert made.status in (0, 1, 3)
    assert [each.seen for each in made.findings if BROKEN in each.seen] == []
    made.as_json()
    made.show(Terminal(io.StringIO()))
    closing = [record for record in recording.records if record.what == "note" and "this order" in str(record.body)]
    still_open = [order for order in simulators[0].exchange.account.orders.values() if order.is_open]
    assert bool(still_open) <= bool(closing)
