"""Runs ``async def`` tests, and fails those that leave something behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import hypothesis
import pytest

from binance_session.simulator import virtual
from tests.leftovers import check_nothing_is_left
from tests.loops import LOOPS

# A machine that has other work to do is no fault of the code.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer a run with the long tests, and runs on other event loops and transports."""
    parser.addoption("--all", action="store_true", help="run also what is marked as long")
    parser.addoption("--brief", action="store_false", dest="all", help="leave that out, as without either option")
    parser.addoption("--loop", choices=sorted(LOOPS), default="asyncio", help="what coroutine tests run on")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a test by no key: keys are made anew in each process, whose tests would have other names."""
    return argname if isinstance(val, (str, bytes)) and len(val) > 60 else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the long tests unless all are asked for; they have more time."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))
    if not config.getoption("all"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_collection_finish() -> None:
    """Spare the garbage collector, which runs after each coroutine test, what all of them share."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Spare it what the tests of a file have left, too: caches, and what pytest keeps of each."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on a loop of its own; an error that the loop swallowed, or a task left over, fails it.

    A test marked ``virtual`` runs in virtual time, on a network in memory.
    """
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    swallowed: list[dict[str, Any]] = []

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "SSL handshake failed" not in context["message"]:  # a test server's, said in asyncio's debug mode only
            swallowed.append(context)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(report)
        await pyfuncitem.obj(**arguments)
        await check_nothing_is_left()

    if pyfuncitem.get_closest_marker("virtual"):
        virtual.run(run)
    else:
        with asyncio.Runner(loop_factory=LOOPS[pyfuncitem.config.getoption("--loop")]) as runner:
            runner.run(run())
    gc.collect()  # a future whose exception nobody looked at complains when it goes
    assert not swallowed, f"the event loop reported: {swallowed}"
    return True
