"""The same questions to the simulator, in virtual time, and where its answers have other fields than the exchange's.

The simulator is set to the readings that match what was seen, so that it goes the same way at each turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import define, evolve, frozen

from binance_session.cli.throwaway import throwaway_key
from binance_session.cli.venues import VENUES
from binance_session.cli.verify.evidence import Answer, event_of
from binance_session.cli.verify.examination import Examination, Wish, given_by
from binance_session.cli.verify.recording import Head, Record, Recording
from binance_session.cli.verify.run import run_steps
from binance_session.cli.verify.shapes import Difference, Shape, compare, shape_of
from binance_session.cli.verify.steps import STEPS
from binance_session.cli.verify.steps.orders import MARK_PRICE
from binance_session.credentials import ApiKey, Credentials, HmacKey, RsaKey
from binance_session.simulator import Exchange, LoopClock, ManualClock, Readings, Simulator
from binance_session.simulator.eventexamples import event_named, event_names
from binance_session.simulator.virtual import VirtualTimeLoop, run
from binance_session.venues import Venue

__all__ = ["Comparison", "Otherwise", "ask_simulator", "compare_recordings", "simulated"]

#: seconds one way
_LATENCY: Final = 0.02
_SOON: Final = 2.0
_RISE: Final = Decimal("1.01")


@frozen
class Otherwise:
    """Something about which the exchange and the simulator do not agree; ``about`` is a method or an event type."""

    about: str
    difference: Difference


@frozen
class Comparison:
    """How many answers and kinds of events were compared, and what was found."""

    answers: int
    events: int
    found: tuple[Otherwise, ...]


# The simulator's recording


@define
class _Stage:
    """What a run against the simulator needs from outside, and how it is brought about."""

    simulator: Simulator
    key: Credentials
    symbol: str

    def outside(self, what: str) -> None:
        """Do what a person, or the market, would do."""
        loop = asyncio.get_running_loop()
        if what == "revocation":
            loop.call_later(_SOON, self.simulator.revoke, self.key.api_key)
        elif what == "trigger":
            loop.call_later(_SOON, self._rise)

    def _rise(self) -> None:
        price = self.simulator.exchange.market.prices[self.symbol]
        self.simulator.set_price(self.symbol, price * _RISE)


def ask_simulator(recording: Recording, readings: Mapping[str, Any]) -> Recording:
    """Return what the simulator answers to the questions of a recording."""
    had_key = _had_listen_key(recording.records)
    return run(lambda: simulated(recording.head, Readings(**readings), had_listen_key=had_key))


async def simulated(
    head: Head,
    readings: Readings,
    *,
    had_listen_key: bool = False,
    venue: Venue | None = None,
    prepare: Callable[[Simulator], object] | None = None,
) -> Recording:
    """Ask a simulator, on a loop in virtual time, and return the recording.

    ``had_listen_key`` tells whether the account has one before. ``prepare`` is called with the simulator before
    anything is asked; ``venue`` is what it plays, if not quite the one of that name.
    """
    loop = VirtualTimeLoop.running()
    loop.network.latency = _LATENCY
    clock = LoopClock(start=loop.wall_time())
    async with Simulator(venue or VENUES[head.venue], clock=clock, readings=readings) as simulator:
        key = _key(head, simulator)
        if had_listen_key and key is not None:
            known = simulator.exchange.state.keys[key.api_key]
            owner = known if readings.listen_key_per == "key" else known.account
            simulator.exchange.state.listen_keys.start(owner, known.account)
        if prepare is not None:
            prepare(simulator)
        recording = Recording(head, clock=loop.time)
        wish = _wish(head, simulator, key, loop)
        for secret, word in ((key and key.api_key, "apiKey"), (wish.other_api_key, "other apiKey")):
            if secret:
                recording.masks.add(secret, word)
        await run_steps(Examination(wish, recording), STEPS, lambda _step: None)
    return recording


def _wish(head: Head, simulator: Simulator, key: Credentials | None, loop: VirtualTimeLoop) -> Wish:
    asked = set(head.asked)
    symbols = simulator.exchange.market.symbols
    symbol = head.symbol if head.symbol in symbols else next(iter(symbols))
    wish = Wish(
        venue=simulator.venue,
        url=simulator.url,
        stream_url=simulator.stream_url,
        key=key,
        symbol=symbol,
        given=frozenset(given_by(key) | asked),
        stop="stop" in asked,
        other_api_key=throwaway_key(simulator).api_key if "other key" in asked else None,
        listen_token=simulator.create_listen_token() if "listen token" in asked else None,
        wall_clock=loop.wall_time,
    )
    return wish if key is None else evolve(wish, outside=_Stage(simulator, key, symbol).outside)


def _key(head: Head, simulator: Simulator) -> Credentials | None:
    """Return a key of the kind that the recording was made with, known to the simulator."""
    if head.key == "none":
        return None
    known = throwaway_key(simulator)
    if head.key == "HMAC":
        simulator.add_key(known.api_key, secret="a secret of the simulator's")  # noqa: S106 - nobody else has it
        return HmacKey(known.api_key, "a secret of the simulator's")
    if head.key == "RSA":
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

        private = generate_private_key(65537, 2048)
        simulator.add_key(known.api_key, public_key=private.public_key())
        return RsaKey(known.api_key, private)
    return ApiKey(known.api_key) if head.key == "apiKey" else known


def _had_listen_key(records: Iterable[Record]) -> bool:
    """Return whether the account seems to have had a listenKey before: its first ping was answered with one."""
    first: Any = None
    for record in records:
        if record.what == "sent" and record.label == "ping before start":
            first = record.body["id"]
        elif record.what == "received" and isinstance(record.body, dict) and record.body.get("id") == first is not None:
            return bool(record.body.get("status") == 200)
    return False


# The comparison


def compare_recordings(exchange: Recording, simulator: Recording) -> Comparison:
    """Compare each answer with the simulator's to the same request, and each kind of event with the simulator's."""
    pairs = list(_pairs(exchange.records, simulator.records))
    found = [
        Otherwise(method, difference) for method, theirs, ours in pairs for difference in _differences(theirs, ours)
    ]
    kinds = _event_shapes(exchange.records)
    ours = _event_shapes(simulator.records)
    examples = _examples(exchange.head.venue)
    for kind, shape in kinds.items():
        known = ours.get(kind)
        if known is None and kind not in examples:
            found.append(Otherwise(f"event {kind}", Difference("", "extra", "the simulator has no such event")))
        else:
            found += [Otherwise(f"event {kind}", each) for each in compare(shape, known or examples[kind])]
    return Comparison(len(pairs), len(kinds), tuple(dict.fromkeys(found)))


def _pairs(exchange: Iterable[Record], simulator: Iterable[Record]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    ours = dict(_answered(simulator))
    for question, answer in _answered(exchange):
        if question in ours:
            yield question[-1], answer, ours[question]


def _answered(records: Iterable[Record]) -> Iterator[tuple[tuple[str, str, str], dict[str, Any]]]:
    """Yield the first answer to each request, with its step, label and method."""
    asked: dict[tuple[str, str], tuple[str, str, str]] = {}
    for record in records:
        if not isinstance(record.body, dict) or "id" not in record.body:
            continue
        key = record.line, repr(record.body["id"])
        if record.what == "sent":
            asked[key] = record.step, record.label, str(record.body.get("method"))
        elif record.what == "received" and key in asked:
            yield asked.pop(key), record.body


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield how two answers differ; only those are compared that are both results, or both errors."""
    if not Answer(theirs).is_evidence or -1021 in (_code(theirs), _code(ours)):  # that one is the clock's
        return
    kinds = theirs.get("status") == 200, ours.get("status") == 200
    if kinds == (True, True):
        yield from compare(shape_of(theirs), shape_of(ours))
    elif kinds == (False, False):
        yield from compare(shape_of(theirs), shape_of(ours))
        refusals = [f"{_code(each)} (status {each.get('status')})" for each in (theirs, ours)]
        if refusals[0] != refusals[1]:
            yield Difference("error.code", "type", f"refused with {refusals[0]}, by the simulator with {refusals[1]}")


def _code(answer: Mapping[str, Any]) -> Any:
    error = answer.get("error")
    return error.get("code") if isinstance(error, dict) else None


def _event_shapes(records: Iterable[Record]) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for record in records:
        is_account = record.what == "received" and isinstance(record.body, dict) and record.line != MARK_PRICE
        event = event_of(record.body) if is_account else None
        if event is not None:
            kind, shape = str(event["e"]), shape_of(event)
            shapes[kind] = shapes[kind] | shape if kind in shapes else shape
    return shapes


def _examples(venue: str) -> dict[str, Shape]:
    """Return the simulator's example of each event, for what came from elsewhere while the questions were asked."""
    exchange = Exchange(VENUES[venue], ManualClock())
    state, account = exchange.state, exchange.account
    shapes = {kind: shape_of(event_named(state, account, kind, {})) for kind in event_names(state.product)}
    return {**shapes, "serverShutdown": shape_of({"e": "serverShutdown", "E": 0})}
