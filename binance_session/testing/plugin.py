"""The pytest plugin: it is loaded with every run of pytest, so it imports nothing of the package until it is used."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from binance_session.testing.stage import Stage, TestedExchange

_MARKER: Final = (
    "binance(venue='coin-m', virtual=False, faults=(), readings=None, session_class=None, **options): how"
    " binance_exchange and binance_session are made; options are Session's"
)
_FIXTURES: Final = frozenset({"binance_exchange", "binance_session"})
_stage: Final = pytest.StashKey["Stage"]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", _MARKER)


def _stage_of(item: Any) -> Stage:
    """Return what a test's fixtures are made of, made at its first use."""
    if _stage not in item.stash:
        from binance_session.testing.stage import Stage

        marker = item.get_closest_marker("binance")
        options = {} if marker is None else dict(marker.kwargs)
        if marker is not None and marker.args:
            raise pytest.UsageError(f"{item.name}: the marker binance takes names, as in binance(venue='spot')")
        item.stash[_stage] = Stage(options, is_async=inspect.iscoroutinefunction(item.obj))
    stage: Stage = item.stash[_stage]
    return stage


@pytest.fixture
def binance_exchange(request: pytest.FixtureRequest) -> Iterator[TestedExchange]:
    """A simulated exchange, with a key and an account; see :class:`TestedExchange`."""
    stage = _stage_of(request.node)
    yield stage.exchange()
    stage.close()


@pytest.fixture
def binance_session(request: pytest.FixtureRequest, binance_exchange: TestedExchange) -> Iterator[Any]:
    """A session that is READY on ``binance_exchange``: a Session in an async test, else a BlockingSession."""
    stage = _stage_of(request.node)
    with stage.session() as session:
        yield session


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Put an async test that uses a fixture of ours into what opens its session, on whatever loop it will run."""
    uses = _FIXTURES & set(getattr(item, "fixturenames", ()))
    if isinstance(item, pytest.Function) and uses and inspect.iscoroutinefunction(item.obj):
        test = item.obj
        stage = _stage_of(item)

        @functools.wraps(test)
        async def staged(*arguments: Any, **fixtures: Any) -> None:
            await stage.play(test, arguments, fixtures)

        item.obj = staged
    return (yield)


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that uses a fixture of ours, where no other plugin runs it."""
    if not _FIXTURES & set(pyfuncitem.fixturenames) or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    import asyncio

    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}  # noqa: SLF001
    asyncio.run(pyfuncitem.obj(**arguments))
    return True
