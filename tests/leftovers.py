"""What a closed session must not leave behind on its event loop."""

from __future__ import annotations

import asyncio


async def check_nothing_is_left() -> None:
    """Fail if another task is alive, or a timer of this package is still armed."""
    for _ in range(3):  # callbacks that are due already may run: they are not leftovers
        await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, f"tasks left: {others}"
    scheduled = getattr(asyncio.get_running_loop(), "_scheduled", ())
    timers = [
        timer
        for timer in scheduled
        if not timer.cancelled() and "binance_session" in getattr(timer._callback, "__module__", "")
    ]
    assert not timers, f"timers left: {timers}"
