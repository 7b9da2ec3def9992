"""One run: the steps in order, whatever the exchange does, and the cleaning up behind them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Final

from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.line import HeldOff, NoAnswer
from binance_session.cli.verify.probe import BROKEN, Step

__all__ = ["run_steps"]

#: steps in a row that went unanswered
_GIVE_UP: Final = 3


async def run_steps(x: Examination, steps: Iterable[Step], progress: Callable[[Step], None]) -> bool:
    """Do the steps, one after the other, and return whether that was interrupted (cancelled).

    It never raises for what the exchange does. Afterwards no order of it is open, or
    :attr:`Examination.left_open` says which may be, and no connection.
    """
    interrupted = False
    try:
        await _do(x, steps, progress)
    except asyncio.CancelledError:
        interrupted = True
        x.note("", "interrupted")
        _skip_behind(x, steps, x.recording.step, "interrupted")
    finally:
        await x.clean_up()
    return interrupted


async def _do(x: Examination, steps: Iterable[Step], progress: Callable[[Step], None]) -> None:
    unanswered = 0
    for step in steps:
        if not step.asked(x.product, x.wish.given):
            continue
        progress(step)
        x.recording.step = step.name
        assert step.do is not None
        try:
            async with asyncio.timeout(step.limit):
                await step.do(x)
            unanswered = 0
        except NoAnswer as error:
            x.note("", str(error))
            unanswered += 1
            x.main_is_lost()
        except TimeoutError:
            x.note("", f"it took more than {step.limit:g} s")
            x.main_is_lost()
        except HeldOff as error:
            x.note("", str(error))
            _skip_behind(x, steps, step.name, str(error))
            return
        except Exception as error:  # the rest of the report must not be lost by an answer of a form unheard of
            x.note("", f"{BROKEN} ({type(error).__name__}: {error})")
            x.main_is_lost()
        if unanswered == _GIVE_UP:
            _skip_behind(x, steps, step.name, f"{_GIVE_UP} steps in a row were not answered")
            return


def _skip_behind(x: Examination, steps: Iterable[Step], last: str, why: str) -> None:
    """Record for each step behind ``last`` why it is not done."""
    for step in itertools.dropwhile(lambda each: each.name != last, steps):
        if step.name != last and step.asked(x.product, x.wish.given):
            x.recording.step = step.name
            x.note("", why)
