"""A stream that was once open lasts: whatever is said against it passes, and what it holds has bounds."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

import binance_session.events.socket as eventsocket_module
from binance_session import (
    COIN_M,
    SPOT,
    USD_M,
    ApiError,
    BinanceSessionError,
    ConfigurationError,
    ConnectError,
    Event,
    EventsOverflow,
    Session,
    Venue,
)
from binance_session.events.feed import Feed
from binance_session.events.stream import UserDataStream
from binance_session.simulator import Fault, Simulator
from tests.events.streams import number_of, push, sockets, streaming, take
from tests.exchange import exchange, session_to, until

# What is said on the way


def warnings(caplog: pytest.LogCaptureFixture, what: str) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING and what in record.message]


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("venue", "status"),
    [*((COIN_M, status) for status in (301, 400, 401, 403, 404, 407, 451, 500, 503)), (USD_M, 302), (USD_M, 403)],
)
async def test_no_http_status_ends_a_stream(venue: Venue, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """For half an hour; told as a gap that is not over, with one warning, and over when the exchange takes us again."""
    caplog.set_level(logging.INFO, "binance_session")
    async with streaming(venue) as (simulator, session, events):
        fault = simulator.inject(Fault("refuse_handshake", stream=True, status=status, times=None))
        sockets(simulator)[0].drop()
        await asyncio.sleep(1800.0)
        assert not events.is_live
        assert [(event.is_gap, event.data["over"]) for event in [await anext(events)]] == [(True, False)]
        assert len(warnings(caplog, "no user data stream")) == 1
        assert fault.struck > 30
        fault.remove()
        await asyncio.sleep(60.0)
        assert events.is_live
        gap = await anext(events)
        assert gap.data["over"]
        push(simulator, 1)
        assert await take(events, 1) == [1]
        assert session.stats.gaps == 2


_CAUSES: list[Callable[[], BaseException]] = [
    lambda: ConnectError("the server's certificate was not accepted: expired", retryable=False),
    lambda: ConnectError("the address cannot be used", retryable=False),
    lambda: RuntimeError("cannot schedule new futures after shutdown"),
    lambda: OSError("[Errno -3] Temporary failure in name resolution"),
    lambda: ssl.SSLError("handshake"),
    lambda: ValueError("something new"),
    lambda: TimeoutError(),
    lambda: asyncio.CancelledError(),  # of a resolver's own, by whoever ended it
]


@pytest.mark.virtual
@pytest.mark.parametrize("cause", _CAUSES, ids=lambda cause: type(cause()).__name__)
async def test_no_error_of_a_dial_ends_a_stream(
    cause: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate, a resolver, whatever a library may raise."""
    async with streaming() as (simulator, _, events):

        async def dial(*_: Any) -> Any:
            raise cause()

        with monkeypatch.context() as patched:
            patched.setattr(eventsocket_module, "dial", dial)
            sockets(simulator)[0].drop()
            await asyncio.sleep(600.0)
            assert not events.is_live
            assert [event.data["over"] for event in [await anext(events)]] == [False]
        await asyncio.sleep(60.0)
        assert events.is_live
        push(simulator, 1)
        assert await take(events, 2) == ["gap", 1]
    assert len(warnings(caplog, "no user data stream")) == 1


@pytest.mark.virtual
async def test_each_new_kind_of_cause_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with streaming() as (simulator, _, events):
        sockets(simulator)[0].drop()
        for status in (403, 503, 403):
            fault = simulator.inject(Fault("refuse_handshake", stream=True, status=status, times=None))
            await asyncio.sleep(300.0)
            fault.remove()
        told = warnings(caplog, "no user data stream")
        assert [re.findall(r"HTTP (\d+)", text) for text in told] == [["403"], ["503"]]
        await asyncio.sleep(60.0)
        assert events.is_live


@pytest.mark.parametrize("cause", _CAUSES, ids=lambda cause: type(cause()).__name__)
async def test_the_first_socket_is_asked_for_once(cause: Callable[[], BaseException], monkeypatch: Any) -> None:
    """``async with`` says at once why it cannot be had, as one of the package's errors."""
    async with exchange() as simulator, session_to(simulator) as session:

        async def dial(*_: Any) -> Any:
            raise cause()

        monkeypatch.setattr(eventsocket_module, "dial", dial)
        with pytest.raises(ConnectError):
            await session.user_data_stream().__aenter__()


@pytest.mark.virtual
async def test_how_long_a_server_may_silence_a_stream() -> None:
    """Retry-After of a day."""
    async with streaming() as (simulator, _, events):
        in_a_day = int((simulator.clock.time() + 86_400) * 1000)
        simulator.inject(Fault("refuse_handshake", stream=True, status=503, retry_after=in_a_day))
        sockets(simulator)[0].drop()
        await asyncio.sleep(1.0)
        assert not events.is_live
        await asyncio.sleep(330.0)
        assert events.is_live


# serverShutdown


def shut_down(simulator: Simulator) -> None:
    for socket in sockets(simulator):
        socket.send({"e": "serverShutdown", "E": int(simulator.clock.time() * 1000)})


@pytest.mark.virtual
async def test_a_stream_socket_that_is_told_to_go_is_replaced_without_a_gap() -> None:
    """Another one takes over before the exchange closes the first; what happens meanwhile comes once."""
    async with streaming() as (simulator, session, events):
        await asyncio.sleep(60.0)
        (first,) = sockets(simulator)
        shut_down(simulator)
        for number in range(1, 9):
            push(simulator, number)
            await asyncio.sleep(0.5)
        assert first not in sockets(simulator)
        first.close(1001, "going away")
        push(simulator, 9)
        await asyncio.sleep(1.0)
        assert await take(events, events.backlog) == ["serverShutdown", *range(1, 10)]
        assert session.stats.gaps == 0
        assert session.stats.stream_connections == 2
        assert session.stats.connections == 1


@pytest.mark.virtual
async def test_an_exchange_that_tells_each_new_socket_to_go_is_not_dialled_without_end() -> None:
    async with streaming() as (simulator, session, events):
        for _ in range(600):
            shut_down(simulator)
            await asyncio.sleep(1.0)
        assert 2 < session.stats.stream_connections < 100
        assert session.stats.gaps == 0
        assert events.is_live


@pytest.mark.virtual
async def test_a_socket_that_is_told_to_go_while_no_other_can_be_had_is_used_on() -> None:
    async with streaming() as (simulator, session, events):
        fault = simulator.inject(Fault("refuse_handshake", stream=True, status=403, times=None))
        shut_down(simulator)
        await asyncio.sleep(600.0)
        push(simulator, 1)
        assert await take(events, 2) == ["serverShutdown", 1]
        assert events.is_live
        fault.remove()
        await asyncio.sleep(60.0)
        assert session.stats.stream_connections == 2
        assert session.stats.gaps == 0


# Spot


@pytest.mark.virtual
async def test_each_new_kind_of_refused_subscription_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Spot; and again when there was a subscription in between."""
    async with streaming(SPOT) as (simulator, _, events):
        for round_of in (1, 2):
            caplog.clear()
            for code in (-1008, -1000):
                refusal = Fault("error", method="userDataStream.subscribe", status=503, code=code, msg="x", times=3)
                simulator.inject(refusal)
            sockets(simulator)[0].drop()
            await asyncio.sleep(100.0)
            assert events.is_live
            said = [text.partition("(code ")[2][:5] for text in warnings(caplog, "no user data stream")]
            assert said == ["-1008", "-1000"], round_of


@pytest.mark.virtual
@pytest.mark.parametrize("times", [4, None])
async def test_a_subscription_that_was_taken_once_is_asked_for_again_when_it_is_refused(times: int | None) -> None:
    """Five times, in some two minutes; then it is believed. Told as a gap that is not over."""
    async with streaming(SPOT) as (simulator, _, events):
        refusal: dict[str, Any] = {"status": 403, "code": -4900, "msg": "Not now."}
        fault = simulator.inject(Fault("error", method="userDataStream.subscribe", times=times, **refusal))
        sockets(simulator)[0].drop()
        await asyncio.sleep(100.0)
        assert not events.is_live
        assert [event.data["over"] for event in [await anext(events)]] == [False]
        await asyncio.sleep(200.0)
        if times is None:
            with pytest.raises(ApiError, match="Not now"):
                await anext(events)
            assert fault.struck == 5
            return
        assert events.is_live
        push(simulator, 1)
        assert await take(events, 2) == ["gap", 1]


# Loops


async def test_a_stream_is_used_on_its_sessions_loop() -> None:
    """Entered, read and left on another one it is refused at once, and goes on for its own."""
    refused: list[str] = []

    async def elsewhere(session: Session, events: UserDataStream) -> None:
        for use in (
            session.user_data_stream().__aenter__,
            events.__anext__,
            lambda: events.__aexit__(None, None, None),
        ):
            try:
                async with asyncio.timeout(5.0):
                    await use()
            except ConfigurationError as error:
                refused.append(str(error))
        for start in (session.start_user_data_stream, session.ping_user_data_stream, session.stop_user_data_stream):
            try:
                await start()
            except ConfigurationError as error:
                refused.append(str(error))

    async with streaming() as (simulator, session, events):
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere(session, events)))
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        assert len(refused) == 6
        assert all("event loop" in text for text in refused)
        push(simulator, 1)
        assert await take(events, 1) == [1]


@pytest.mark.virtual
async def test_a_reader_that_breaks_does_not_keep_the_others_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with streaming() as (simulator, session, first), session.user_data_stream() as second:

        def broken(*_: Any) -> None:
            raise LookupError("mine")

        monkeypatch.setattr(first, "put", broken)
        monkeypatch.setattr(first, "end", broken, raising=True)
        push(simulator, 1)
        assert await take(second, 1) == [1]
        await session.close()
        with pytest.raises(BinanceSessionError):
            await anext(second)
        monkeypatch.undo()


# Bounds


@pytest.mark.virtual
async def test_events_that_wait_have_a_bound_in_bytes() -> None:
    """Far fewer than the buffer's number, and large: the reader is told which bound it was."""
    async with streaming() as (simulator, session, events):
        for number in range(120):
            simulator.push_event("ACCOUNT_CONFIG_UPDATE", ac={"s": "x" * 2**19, "l": number})
            await asyncio.sleep(0.1)
        assert 60 <= events.backlog < 100
        assert await take(events, events.backlog) == list(range(events.high_water))
        with pytest.raises(EventsOverflow, match=r"no more than 39 MiB"):
            await anext(events)
        assert session.stats.event_backlog_peak < 100


async def test_one_event_is_read_whatever_its_size() -> None:
    """More than what may wait, and less than the largest message."""
    async with streaming(options={"buffer": 10}) as (simulator, _, events):
        socket = sockets(simulator)[0]
        socket.send_text('{"e":"lists","E":1,"x":[' + "[]," * 2**20 + "0]}")
        assert len((await anext(events)).data["x"]) == 2**20 + 1
        push(simulator, 1)
        assert await take(events, 1) == [1]


@pytest.mark.virtual
async def test_a_reader_of_large_events_pauses_by_their_bytes() -> None:
    """And loses nothing."""
    async with streaming(options={"on_full": "pause"}) as (simulator, session, events):
        for number in range(120):
            simulator.push_event("ACCOUNT_CONFIG_UPDATE", ac={"s": "x" * 2**19, "l": number})
        await asyncio.sleep(1.0)
        assert events.backlog < 100
        assert await take(events, 120) == list(range(120))
        assert session.stats.gaps == 0


@pytest.mark.virtual
async def test_what_is_read_of_a_paused_connection_has_a_bound() -> None:
    """A connection that brings more than it can have read ends, and that is a gap."""
    async with streaming(options={"buffer": 1, "on_full": "pause"}) as (simulator, session, events):
        push(simulator, 1)
        await until(lambda: events.backlog == 1)
        socket = events._supplier._sockets[0]  # type: ignore[attr-defined]
        text = json.dumps({"e": "x", "E": 1, "x": "x" * 2**20}).encode()
        for _ in range(60):
            socket.message_received(text)
        assert "reading was paused" in socket.cause
        assert socket._kept_bytes < 35 * 2**20
        assert await take(events, 1) == [1]
        kept = 0
        while (await take(events, 1)) == ["x"]:
            kept += 1
        assert 30 < kept < 35
        assert session.stats.gaps == 1


# What cannot be handled


@pytest.mark.parametrize("venue", [COIN_M, SPOT])
@pytest.mark.virtual
async def test_an_event_that_cannot_be_handled_is_a_gap(
    venue: Venue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection stays, and with it all requests; the next event comes."""
    deliver = Feed._deliver

    def broken(self: Feed, event: Event) -> None:
        if number_of(event) == 2:
            raise RecursionError("deep")
        deliver(self, event)

    monkeypatch.setattr(Feed, "_deliver", broken)
    async with streaming(venue) as (simulator, session, events):
        for number in range(1, 4):
            push(simulator, number)
        assert await take(events, 3) == [1, "gap", 3]
        assert events.is_live
        assert session.stats.stream_connections == 1
    assert any("RecursionError" in record.message for record in caplog.records)


@pytest.mark.virtual
@pytest.mark.parametrize("depth", [50, 900])
async def test_deep_events_in_a_handover_come_once(depth: int) -> None:
    """As deep as can be read is deeper than can be written."""
    deep = "[" * depth + "]" * depth
    async with streaming(rollover_after=2.0, options={"buffer": 100_000}) as (simulator, session, events):
        count = 0
        while session.stats.stream_connections < 3:
            count += 1
            for socket in sockets(simulator):  # the same words in another order
                fields = [f'"x":{deep}', f'"E":{count}', '"e":"deep"']
                socket.send_text("{" + ",".join(fields[:: 1 if socket.number % 2 else -1]) + "}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        assert [(await anext(events)).time for _ in range(events.backlog)] == list(range(1, count + 1))
        assert session.stats.gaps == 0
        assert session.stats.malformed == 0


@pytest.mark.parametrize("venue", [COIN_M, SPOT])
@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000 + "]" * 100_000])
async def test_an_event_that_cannot_be_read_is_a_gap(value: str, venue: Venue) -> None:
    """It is JSON, and beyond what Python reads; what is no JSON at all is no event."""
    async with streaming(venue) as (simulator, session, events):
        (socket,) = sockets(simulator)
        for event in (f'{{"e":"ORDER_TRADE_UPDATE","E":1,"x":{value}}}', '{"e":"ORDER_TRADE_UPDATE","E":NaN}'):
            socket.send_text(event if venue is COIN_M else f'{{"subscriptionId":0,"event":{event}}}')
        push(simulator, 2)
        gap = await anext(events)
        assert gap.is_gap
        assert gap.data["over"]
        assert "could not be read" in gap.data["cause"]
        assert await take(events, 1) == [2]
        assert events.is_live
        assert session.stats.malformed == 2


# What the exchange sends back of ours

_FILES = ("listenkey.py", "feed.py", "sockets.py", "stream.py", "socket.py")


@pytest.mark.virtual
async def test_a_listen_key_that_is_sent_back_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a close reason, a refused ping's text, an error of the handshake (whose cause is not chained then)."""
    caplog.set_level(logging.DEBUG, "binance_session")
    async with streaming() as (simulator, session, events):
        assert session.listen_key is not None
        key = session.listen_key.value
        sockets(simulator)[0].close(1008, f"listenKey {key} is wrong")
        gap = await anext(events)
        assert "is wrong" in gap.data["cause"]
        simulator.inject(Fault("error", method="userDataStream.ping", msg=f"This listenKey {key} is odd.", code=-1))
        await asyncio.sleep(1600.0)
        assert session.stats.failed_pings == 1

        async def dial(*_: Any) -> Any:
            raise ConnectError(f"no connection: header {key}") from ValueError(key)

        monkeypatch.setattr(eventsocket_module, "dial", dial)
        sockets(simulator)[0].drop()
        await asyncio.sleep(60.0)
        causes = [event.data["cause"] for event in [await anext(events)]]
        monkeypatch.undo()
    assert key not in str(causes) + gap.data["cause"] + caplog.text
    assert f"{key[:4]}…{key[-2:]}" in caplog.text
    of_the_stream = [record for record in caplog.records if record.filename in _FILES]
    assert len(of_the_stream) > 10
    assert all(record.message.startswith(f"[{session.name}] ") for record in of_the_stream)
