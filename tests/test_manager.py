"""Many accounts: opened together, each failure its own, events merged, a key replaced without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from binance_session import (
    COIN_M,
    SPOT,
    USD_M,
    BinanceSessionError,
    ConfigurationError,
    Ed25519Key,
    Event,
    LogonRejected,
    Session,
    SessionClosed,
    SessionManager,
    SessionState,
)
from binance_session.simulator import Account, Fault, Simulator
from tests.exchange import exchange, until

NAMES = ("alice", "bob", "carol")
KEYS = {name: Ed25519Key.generate(api_key=f"{name}-{'k' * 58}") for name in (*NAMES, "dave")}


class Told(SessionManager[Session]):
    """Remembers who failed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: list[tuple[str, type[BinanceSessionError]]] = []

    def on_account_failed(self, name: str, cause: BinanceSessionError) -> None:
        self.told.append((name, type(cause)))


@asynccontextmanager
async def accounts(
    venue: Any = COIN_M, names: tuple[str, ...] = NAMES
) -> AsyncIterator[tuple[Simulator, dict[str, Account]]]:
    """Run an exchange on which each name has a key and an account of its own."""
    async with exchange(venue) as simulator:
        owned = {name: Account() for name in names}
        for name, account in owned.items():
            simulator.add_key(KEYS[name].api_key, public_key=KEYS[name].public_pem(), account=account)
        yield simulator, owned


def manager(simulator: Simulator, names: tuple[str, ...] = NAMES, **options: Any) -> Told:
    where = {"url": simulator.url, "wall_clock": simulator.clock.time}
    if simulator.stream_url is not None:
        where["stream_url"] = simulator.stream_url
    return Told(simulator.venue, {name: KEYS[name] for name in names}, **where, **options)


@pytest.mark.virtual
async def test_each_account_has_its_session() -> None:
    async with accounts() as (simulator, _), manager(simulator) as many:
        assert list(many) == list(NAMES)
        assert len(many) == 3
        assert "alice" in many
        for name in NAMES:
            assert many[name].state is SessionState.READY
            assert (await many[name].request("account.balance")).result
            assert many[name].name == f"COIN-M {name}"
        assert {name: each.ready for name, each in many.health().items()} == dict.fromkeys(NAMES, True)
        assert all(each.answered >= 2 for each in many.stats().values())
        assert repr(many) == "<Told COIN-M: 3 of 3 accounts ready>"
    assert simulator.connections == []


@pytest.mark.virtual
async def test_one_that_is_refused_hurts_no_other() -> None:
    async with accounts(names=("alice", "bob")) as (simulator, _), manager(simulator) as many:
        assert many.told == [("carol", LogonRejected)]
        assert many["carol"].state is SessionState.FAILED
        assert isinstance(many.failures["carol"], LogonRejected)
        assert many["alice"].state is many["bob"].state is SessionState.READY
        assert not many.health()["carol"].live


@pytest.mark.virtual
async def test_one_that_ends_later_is_told_of_too() -> None:
    async with accounts() as (simulator, _), manager(simulator, reconnect=Never()) as many:
        simulator.revoke(KEYS["bob"].api_key)
        with pytest.raises(BinanceSessionError):
            await many["bob"].request("account.balance")
        await until(lambda: many.told)
        assert [name for name, _ in many.told] == ["bob"]
        assert (await many["alice"].request("account.balance")).result


class Never:
    def next_delay(self, attempt: int, cause: Exception | None) -> float | None:
        return None


@pytest.mark.virtual
async def test_where_none_can_be_opened_open_raises_why() -> None:
    async with exchange() as simulator:
        with pytest.raises(ExceptionGroup, match="no account could be opened") as caught:
            await manager(simulator).open()
        assert {type(each) for each in caught.value.exceptions} == {LogonRejected}
        assert simulator.connections == []


@pytest.mark.virtual
async def test_an_exchange_that_comes_late_is_waited_for() -> None:
    async with accounts() as (simulator, _):
        simulator.inject(Fault("refuse_handshake", times=5))
        many = manager(simulator)
        await many.open(patience=60)
        assert many.told == []
        await many.close()


@pytest.mark.virtual
async def test_some_are_opened_at_a_time() -> None:
    """Not two hundred handshakes in one moment."""
    names = tuple(f"account-{number}" for number in range(35))
    async with exchange() as simulator:
        for name in names:
            KEYS.setdefault(name, Ed25519Key.generate(api_key=name))
            simulator.add_key(KEYS[name].api_key, public_key=KEYS[name].public_pem(), account=Account())
        simulator.inject(Fault("slow_handshake", delay=1.0, times=None))
        opening = asyncio.ensure_future(manager(simulator, names).open())
        await asyncio.sleep(2.5)
        assert len(simulator.connections) == 20
        opening.cancel()
        await asyncio.wait([opening])
        assert simulator.connections == []


@pytest.mark.virtual
async def test_several_venues_in_one_manager() -> None:
    async with accounts(USD_M) as (usd_m, _):
        key = KEYS["alice"]
        many = SessionManager(SPOT, {"there": (usd_m.venue, key)})
        assert many["there"].venue is usd_m.venue
        with pytest.raises(ConfigurationError, match="one venue, not of two"):
            SessionManager(SPOT, {"here": key, "there": (usd_m.venue, key)}, url=usd_m.url)


@pytest.mark.virtual
async def test_accounts_come_and_go() -> None:
    async with accounts(names=(*NAMES, "dave")) as (simulator, _), manager(simulator) as many:
        session = await many.add("dave", KEYS["dave"])
        assert many["dave"] is session
        assert session.state is SessionState.READY
        with pytest.raises(ConfigurationError, match="already"):
            await many.add("dave", KEYS["dave"])
        await many.remove("dave")
        assert session.state.is_final
        assert "dave" not in many
        with pytest.raises(KeyError):
            await many.remove("dave")
        assert many.told == []


@pytest.mark.virtual
async def test_one_that_cannot_be_added_is_not_there() -> None:
    async with accounts() as (simulator, _), manager(simulator) as many:
        with pytest.raises(LogonRejected):
            await many.add("dave", KEYS["dave"])
        assert "dave" not in many
        assert many.told == []
        assert len(simulator.connections) == 3


@pytest.mark.virtual
async def test_a_subclass_of_session() -> None:
    class Mine(Session):
        pass

    async with accounts() as (simulator, _):
        many = SessionManager(COIN_M, {"alice": KEYS["alice"]}, session_class=Mine, url=simulator.url)
        assert isinstance(many["alice"], Mine)


# Events


async def collect(many: SessionManager[Session], into: list[tuple[str, Event]], **options: Any) -> None:
    async for item in many.events(**options):
        into.append(item)  # noqa: PERF401 - it is looked at meanwhile


@pytest.mark.virtual
@pytest.mark.parametrize("venue", [COIN_M, SPOT], ids=["coin-m", "spot"])
async def test_the_events_of_all_accounts_in_one_iteration(venue: Any) -> None:
    asset = "BTC"
    async with accounts(venue) as (simulator, owned), manager(simulator) as many:
        got: list[tuple[str, Event]] = []
        reading = asyncio.ensure_future(collect(many, got))
        await until(lambda: all(each.events_live for each in many.health().values()))
        for number in range(1, 4):
            for account in owned.values():
                simulator.transfer(asset, str(number), account)
        await asyncio.sleep(1)
        for name in NAMES:
            own = [event for who, event in got if who == name]
            assert len(own) == (6 if venue is SPOT else 3)
            assert [event.time for event in own] == sorted(event.time for event in own)
            assert not any(event.is_gap for event in own)
        await many.close()
        await reading


@pytest.mark.virtual
async def test_a_gap_is_of_one_account() -> None:
    async with accounts() as (simulator, owned), manager(simulator) as many:
        got: list[tuple[str, Event]] = []
        reading = asyncio.ensure_future(collect(many, got))
        await until(lambda: all(each.events_live for each in many.health().values()))
        key = simulator.exchange.state.listen_keys.all_of(owned["bob"])[0]
        next(each for each in simulator.connections if key.value in each.streams).drop()
        await until(lambda: any(event.is_gap for _, event in got))
        assert {name for name, event in got if event.is_gap} == {"bob"}
        await many.close()
        await reading


@pytest.mark.virtual
async def test_a_reader_that_is_too_slow_loses_of_one_account_and_is_told() -> None:
    async with accounts() as (simulator, owned), manager(simulator) as many:
        events = many.events(buffer=5)
        first = asyncio.ensure_future(anext(events))
        await until(lambda: all(each.events_live for each in many.health().values()))
        for number in range(20):
            simulator.transfer("BTC", str(number + 1), owned["alice"])
        simulator.transfer("BTC", "1", owned["bob"])
        await asyncio.sleep(5)
        got = [await first]
        async for item in events:
            got.append(item)
            if item[1].is_gap:
                break
        assert item[0] == "alice"
        assert "events waited" in item[1].data["cause"] or item[1].data["cause"]
        assert len([who for who, event in got if who == "alice" and not event.is_gap]) < 20
        assert [who for who, _ in got].count("bob") == 1
        await events.aclose()


@pytest.mark.virtual
async def test_accounts_that_come_and_go_while_events_are_read() -> None:
    async with accounts(names=(*NAMES, "dave")) as (simulator, owned), manager(simulator) as many:
        got: list[tuple[str, Event]] = []
        reading = asyncio.ensure_future(collect(many, got))
        await many.add("dave", KEYS["dave"])
        await until(lambda: all(each.events_live for each in many.health().values()))
        simulator.transfer("BTC", "1", owned["dave"])
        await until(lambda: got)
        assert [name for name, _ in got] == ["dave"]
        await many.remove("dave")
        simulator.transfer("BTC", "1", owned["dave"])
        simulator.transfer("BTC", "1", owned["alice"])
        await until(lambda: len(got) > 1)
        assert [name for name, _ in got] == ["dave", "alice"]
        await many.close()
        await reading


@pytest.mark.virtual
async def test_a_stream_that_cannot_be_opened_is_tried_again_and_a_gap_told() -> None:
    async with accounts() as (simulator, owned), manager(simulator) as many:
        simulator.inject(Fault("error", method="userDataStream.start", key=KEYS["bob"].api_key, times=3))
        got: list[tuple[str, Event]] = []
        reading = asyncio.ensure_future(collect(many, got))
        await until(lambda: all(each.events_live for each in many.health().values()))
        simulator.transfer("BTC", "1", owned["bob"])
        await until(lambda: len(got) > 1)
        assert [(name, event.is_gap) for name, event in got] == [("bob", True), ("bob", False)]
        await many.close()
        await reading


@pytest.mark.virtual
async def test_an_iteration_that_is_left_leaves_nothing() -> None:
    async with accounts() as (simulator, owned), manager(simulator) as many:
        events = many.events()
        first = asyncio.ensure_future(anext(events))
        await until(lambda: all(each.events_live for each in many.health().values()))
        simulator.transfer("BTC", "1", owned["bob"])
        assert (await first)[0] == "bob"
        await events.aclose()
        await until(lambda: all(each.events_live is None for each in many.health().values()))
        assert not [task for task in asyncio.all_tasks() if task.get_name().endswith(": events")]


# Another key


@pytest.mark.virtual
@pytest.mark.parametrize("venue", [COIN_M, USD_M, SPOT], ids=["coin-m", "usd-m", "spot"])
async def test_a_key_is_replaced_without_downtime_and_without_a_gap(venue: Any) -> None:
    """Something happens every 50 ms: each event comes once, and every request is answered."""
    async with accounts(venue) as (simulator, owned), manager(simulator) as many:
        new = Ed25519Key.generate(api_key="new-" + "n" * 60)
        simulator.add_key(new.api_key, public_key=new.public_pem(), account=owned["alice"])
        got: list[tuple[str, Event]] = []
        reading = asyncio.ensure_future(collect(many, got))
        await until(lambda: all(each.events_live for each in many.health().values()))
        sent = 0
        replacing = asyncio.ensure_future(many.replace_key("alice", new))
        old = many["alice"]
        while not replacing.done():
            sent += 1
            simulator.transfer("BTC", str(sent), owned["alice"])
            await many["alice"].request("session.status", timeout=5)
            await asyncio.sleep(0.05)
        session = await replacing
        assert many["alice"] is session
        assert old.state is SessionState.CLOSED
        simulator.transfer("BTC", "1000", owned["alice"])
        await asyncio.sleep(1)
        own = [event for name, event in got if name == "alice"]
        assert not any(event.is_gap for event in own)
        kind = "balanceUpdate" if venue is SPOT else "ACCOUNT_UPDATE"
        assert len([event for event in own if event.type == kind]) == sent + 1 > 30
        assert [event.time for event in own] == sorted(event.time for event in own)
        assert many.told == []
        simulator.revoke(KEYS["alice"].api_key)  # the old one is not needed any more
        assert (await many["alice"].request("session.status")).result["apiKey"] == new.api_key
        await many.close()
        await reading


@pytest.mark.virtual
async def test_what_is_in_flight_when_the_key_is_replaced_is_answered() -> None:
    async with accounts() as (simulator, owned), manager(simulator) as many:
        new = Ed25519Key.generate(api_key="new")
        simulator.add_key(new.api_key, public_key=new.public_pem(), account=owned["alice"])
        simulator.inject(Fault("late_answer", method="account.balance", delay=4.0))
        waiting = many["alice"].submit("account.balance")
        await many.replace_key("alice", new)
        assert (await waiting).result


@pytest.mark.virtual
async def test_a_new_key_that_is_refused_leaves_the_old_one() -> None:
    async with accounts() as (simulator, _), manager(simulator) as many:
        old = many["alice"]
        with pytest.raises(LogonRejected):
            await many.replace_key("alice", KEYS["dave"])
        assert many["alice"] is old
        assert old.state is SessionState.READY
        assert len(simulator.connections) == 3


@pytest.mark.virtual
async def test_the_key_of_an_account_that_failed_can_be_replaced() -> None:
    async with accounts(names=("alice", "bob")) as (simulator, _), manager(simulator) as many:
        simulator.add_key(KEYS["dave"].api_key, public_key=KEYS["dave"].public_pem())
        await many.replace_key("carol", KEYS["dave"])
        assert many["carol"].state is SessionState.READY
        assert many.failures == {}


# What is refused


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("coin-m", {}), {}, "venue must be a Venue"),
        ((COIN_M, [KEYS["alice"]]), {}, "mapping of names to keys"),
        ((COIN_M, {"": KEYS["alice"]}), {}, "name must be a text"),
        ((COIN_M, {"alice": "secret"}), {}, "credentials must be"),
        ((COIN_M, {"alice": None}), {}, "not None"),
        ((COIN_M, {"alice": ("coin-m", KEYS["alice"])}), {}, "or \\(venue, key\\)"),
        ((COIN_M, {}), {"session_class": dict}, "session_class must be"),
        ((COIN_M, {}), {"name": "x"}, "each account has its own"),
        ((COIN_M, {"alice": KEYS["alice"]}), {"request_timeout": 0}, "request_timeout"),
    ],
)
def test_what_cannot_be_is_refused_at_the_door(arguments: Any, options: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SessionManager(*arguments, **options)


@pytest.mark.virtual
async def test_before_it_is_open_and_after_it_was_closed() -> None:
    async with accounts() as (simulator, _):
        many = manager(simulator)
        with pytest.raises(ConfigurationError, match="is not open"):
            await many.add("dave", KEYS["dave"])
        await many.open()
        with pytest.raises(ConfigurationError, match="opened once"):
            await many.open()
        await many.close()
        await many.close()
        with pytest.raises(ConfigurationError, match="was closed"):
            await many.replace_key("alice", KEYS["dave"])
        with pytest.raises(ConfigurationError, match="was closed"):
            await anext(many.events())


async def test_a_hook_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(SessionManager[Session]):
        def on_account_failed(self, name: str, cause: BinanceSessionError) -> None:
            raise ValueError("clumsy")

    async with accounts(names=("alice",)) as (simulator, _):
        keys = {"alice": KEYS["alice"], "bob": KEYS["bob"]}
        async with Clumsy(COIN_M, keys, url=simulator.url) as many:
            assert many["alice"].state is SessionState.READY
    assert "[bob] on_account_failed raised" in caplog.text


# close(drain)


@pytest.mark.virtual
async def test_a_close_that_drains_lets_answers_come_and_refuses_what_is_new() -> None:
    async with accounts() as (simulator, _):
        many = manager(simulator)
        await many.open()
        session = many["alice"]
        simulator.inject(Fault("late_answer", method="account.balance", delay=3.0))
        waiting = session.submit("account.balance")
        closing = asyncio.ensure_future(session.close(drain=5.0))
        await asyncio.sleep(1)
        with pytest.raises(SessionClosed, match="about to be closed"):
            session.submit("account.balance")
        await closing
        assert waiting.result().result
        await many.close()


@pytest.mark.virtual
async def test_what_takes_too_long_is_ended_and_a_cancelled_drain_closes() -> None:
    async with accounts() as (simulator, _):
        many = manager(simulator)
        await many.open()
        simulator.inject(Fault("no_answer", method="account.balance", times=None))
        first, second = many["alice"], many["bob"]
        lost = first.submit("account.balance")
        await first.close(drain=2.0)
        assert isinstance(lost.exception(), BinanceSessionError)
        lost = second.submit("account.balance")
        closing = asyncio.ensure_future(second.close(drain=9.0))
        await asyncio.sleep(0.1)
        closing.cancel()
        await asyncio.wait([closing])
        assert second.state is SessionState.CLOSED
        assert isinstance(lost.exception(), BinanceSessionError)
        with pytest.raises(ConfigurationError, match="drain"):
            await many["carol"].close(drain=-1)
        await many.close()


@pytest.mark.virtual
async def test_a_new_key_whose_events_cannot_be_had_takes_over_all_the_same() -> None:
    """After half a minute, and its gap is told when they come."""
    async with accounts() as (simulator, owned), manager(simulator) as many:
        new = Ed25519Key.generate(api_key="new")
        simulator.add_key(new.api_key, public_key=new.public_pem(), account=owned["alice"])
        got: list[tuple[str, Event]] = []
        reading = asyncio.ensure_future(collect(many, got))
        await until(lambda: all(each.events_live for each in many.health().values()))
        refusing = simulator.inject(Fault("error", method="userDataStream.start", key=new.api_key, times=None))
        session = await many.replace_key("alice", new)
        assert many["alice"] is session
        refusing.remove()
        await until(lambda: many.health()["alice"].events_live)
        simulator.transfer("BTC", "1", owned["alice"])
        await until(lambda: len(got) > 1)
        assert [(name, event.is_gap) for name, event in got] == [("alice", True), ("alice", False)]
        await many.close()
        await reading
