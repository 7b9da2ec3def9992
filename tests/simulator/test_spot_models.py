"""What the simulator answers and tells on Spot, field by field against the models of Binance's own clients.

With ``-m sdk``: the models of the Python client (the extra [sdk]), and those of the client for Node.js, which ``npm``
fetches into a temporary folder.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from binance_session.venues import SPOT
from tests.simulator.client import Client, simulated
from tests.simulator.shapes import Models, compare, python_models, shape_of_all, typescript_models
from tests.simulator.spotday import CONDITIONAL, CONDITIONAL_EVENT, Day, spot_day

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]

LIMITS = {f"rateLimits[].{name}" for name in ("rateLimitType", "interval", "intervalNum", "limit", "count")}
#: answers whose documented examples leave out the rateLimits that every answer has, and so do the models
WITHOUT_LIMITS = """
    executionRules referencePrice referencePrice.calculation session.logon session.status session.logout
    session.subscriptions userDataStream.subscribe userDataStream.subscribe.signature userDataStream.unsubscribe
    orderList.place.opo orderList.place.opoco myFilters
"""
#: the models of these describe the result without its envelope
UNWRAPPED = ("exchangeInfo", "myFilters")
#: method -> what is there although no model has it, and why
EXTRA = {
    # the page on self-trade prevention has it, for modes under which the taker loses something
    "myPreventedMatches": {"result[].takerPreventedQuantity"},
    # one example has it and one has not; "format is identical to order.place"
    "order.cancelReplace": {"result.newOrderResponse.workingTime"},
}
#: method -> fields of the models that are not played, and why
MISSING = {
    # the reading no_reference_price: an error is an error here
    "referencePrice": {"result.code", "result.msg"},
    # empty lists in the example, too; the count is that of the envelope, which this model and the next leave out
    "exchangeInfo": {"symbols[].permissions[]", "exchangeFilters[]", "rateLimits[].count"},
    "myFilters": LIMITS - {"rateLimits[].limit"},
}
#: TypeScript has the one for several symbols only
TYPESCRIPT_EXTRA = {"ticker.tradingDay"}
#: no client for Spot has a model of this: it is documented with margin trading
NO_MODEL = {"userDataStream.subscribe.listenToken"}


def model_of(method: str) -> str:
    return "".join(part[0].upper() + part[1:] for part in method.split(".")) + "Response"


async def a_day() -> Day:
    async with simulated(SPOT) as simulator, Client.connected(simulator) as client:
        return await spot_day(simulator, client)


@pytest.fixture(scope="module")
def python() -> Models:
    return python_models(pytest.importorskip("binance_sdk_spot.websocket_api.models"))


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Models:
    if "sdk" not in request.config.getoption("markexpr"):
        pytest.skip("npm fetches a package for this only when asked with -m sdk")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("models")
    (folder / "package.json").write_text("{}")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "@binance/spot"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm fetched no package: {done.stderr.strip()[-200:]}")
    return typescript_models((folder / "node_modules/@binance/spot/dist/index.d.ts").read_text(), "websocket-api/")


def differences(day: Day, models: Models, also_extra: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return where answers and events of a day differ from their models, but for what is explained above."""
    found = {}
    for method, answers in day.answers.items():
        if method in NO_MODEL:
            continue
        optional = CONDITIONAL.split()
        model = models.shape(model_of(method))
        if method in UNWRAPPED:
            answers = [answer["result"] for answer in answers]
            optional += [path.rpartition(".")[2] for path in model if "ilters[]." in path]  # each is another filter's
        found[method] = compare(shape_of_all(answers), model, optional=optional)
        allowed = EXTRA.get(method, set()) | (LIMITS if method in WITHOUT_LIMITS.split() else set())
        found[method].extra[:] = [] if method in also_extra else [p for p in found[method].extra if p not in allowed]
        found[method].missing[:] = [p for p in found[method].missing if p not in MISSING.get(method, set())]
    for kind, events in day.events.items():
        model = {**models.shape(kind[0].upper() + kind[1:]), "e": {"string"}}  # which tells the models apart
        found[kind] = compare(shape_of_all(events), model, optional=CONDITIONAL_EVENT.split())
    return {name: item for name, item in found.items() if item.extra or item.missing or item.types}


async def test_answers_and_events_are_those_of_the_python_client(python: Models) -> None:
    assert differences(await a_day(), python) == {}


async def test_answers_and_events_are_those_of_the_client_for_node(typescript: Models) -> None:
    assert differences(await a_day(), typescript, frozenset(TYPESCRIPT_EXTRA)) == {}


async def test_a_difference_is_found(python: Models) -> None:
    """The comparison itself: a field too many, one that is missing, and one of another type."""
    day = await a_day()
    [answer] = day.answers["avgPrice"]
    answer["result"] |= {"mins": "5", "more": 1}
    del answer["result"]["price"]
    found = differences(day, python)["avgPrice"]
    assert found.extra == ["result.more"]
    assert found.missing == ["result.price"]
    assert found.types == ["result.mins: ['string'] for ['integer']"]
