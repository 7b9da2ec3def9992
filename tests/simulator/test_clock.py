"""The clocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from binance_session.simulator import DrivenClock, LoopClock, ManualClock, virtual


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(100.0)
    assert clock.time() == 100.0
    called: list[tuple[str, float]] = []
    clock.call_at(103, lambda: called.append(("third", clock.time())))
    clock.call_at(101, lambda: called.append(("first", clock.time())))
    clock.call_at(101, lambda: called.append(("second", clock.time())))
    clock.call_at(104, lambda: called.append(("never", clock.time()))).cancel()
    assert clock.pending == 3
    clock.advance(0.5)
    assert called == []
    clock.advance(3)
    assert called == [("first", 101), ("second", 101), ("third", 103)]
    assert clock.time() == 103.5
    assert clock.pending == 0
    clock.advance(10)
    assert len(called) == 3


def test_what_a_timer_arms_falls_due_in_the_same_advance() -> None:
    clock = ManualClock(0.0)
    times: list[float] = []

    def tick() -> None:
        times.append(clock.time())
        clock.call_at(clock.time() + 1, tick)

    tick()
    clock.advance(3)
    assert times == [0, 1, 2, 3]


def test_a_timer_in_the_past_is_called_at_once_and_time_does_not_go_back() -> None:
    clock = ManualClock(10.0)
    seen: list[float] = []
    clock.call_at(3, lambda: seen.append(clock.time()))
    clock.advance(0)
    assert seen == [10.0]
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


async def test_a_loop_clock_follows_the_loop() -> None:
    loop = asyncio.get_running_loop()
    clock = LoopClock()
    assert clock.time() == pytest.approx(time.time(), abs=1)
    clock = LoopClock(1000.0)
    began = loop.time()
    assert clock.time() == pytest.approx(1000.0, abs=0.1)
    fired = asyncio.Event()
    cancelled = clock.call_at(1000.001, pytest.fail)
    cancelled.cancel()
    clock.call_at(clock.time() + 0.01, fired.set)
    await fired.wait()
    assert clock.time() - 1000.0 == pytest.approx(loop.time() - began, abs=0.01)


@pytest.mark.virtual
async def test_a_driven_clock_runs_by_itself_and_is_moved_ahead() -> None:
    loop = virtual.VirtualTimeLoop.running()
    clock = DrivenClock()
    began = clock.time()
    assert began == loop.wall_time()
    called: list[tuple[str, float]] = []
    clock.call_at(began + 5, lambda: called.append(("by itself", clock.time() - began)))
    clock.call_at(began + 20, lambda: called.append(("moved", clock.time() - began)))
    clock.call_at(began + 20, lambda: called.append(("taken back", 0))).cancel()
    clock.call_at(began + 130, lambda: called.append(("by itself, later", clock.time() - began)))
    await asyncio.sleep(10)
    assert called == [("by itself", 5)]
    clock.advance(100)
    assert called.pop() == ("moved", 20)
    assert (clock.time() - began, clock.ahead) == (110, 100)
    await asyncio.sleep(19)
    assert len(called) == 1
    await asyncio.sleep(2)
    assert called[1:] == [("by itself, later", 130)]
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


@pytest.mark.virtual
async def test_what_a_callback_of_a_driven_clock_sets_is_called_in_the_same_advance() -> None:
    clock = DrivenClock()
    began = clock.time()
    times: list[float] = []

    def again() -> None:
        times.append(clock.time() - began)
        if len(times) < 3:
            clock.call_at(clock.time() + 60, again)

    clock.call_at(began + 60, again)
    clock.advance(200)
    assert times == [60, 120, 180]
