"""Every answer and every event of COIN-M and USD-M against the models of Binance's own SDKs: field by field.

``pytest -m sdk tests/simulator/test_models.py``. The SDK for TypeScript is fetched with ``npm``; without it, or without
a registry, its part is skipped.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from binance_session.venues import COIN_M, USD_M, Venue
from tests.simulator.models import Models, differences, of_pydantic, of_typescript
from tests.simulator.play import played

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]

VENUES = pytest.mark.parametrize("venue", [COIN_M, USD_M], ids=lambda venue: venue.name)
LANGUAGES = pytest.mark.parametrize("language", ["Python", "TypeScript"])
NAMES = {"COIN-M": "coin", "USD-M": "usds"}
VERSION = {"COIN-M": "8.0.1", "USD-M": "38.1.1"}

#: method -> the model of ``result``, or of the rows of it; two where the answer is one or a list
SHARED = {
    "order.place": "NewOrderResponseResult",
    "order.modify": "ModifyOrderResponseResult",
    "order.cancel": "CancelOrderResponseResult",
    "order.status": "QueryOrderResponseResult",
    "account.balance": "FuturesAccountBalanceResponseResultInner",
    "account.status": "AccountInformationResponseResult",
    "account.position": "PositionInformationResponseResultInner",
    "userDataStream.start": "StartUserDataStreamResponseResult",
    "userDataStream.ping": "KeepaliveUserDataStreamResponseResult",
}
ONLY_USD_M = {
    "v2/account.balance": "FuturesAccountBalanceResponseResultInner",
    "v2/account.status": "AccountInformationV2ResponseResult",
    "v2/account.position": "PositionInformationV2ResponseResultInner",
    "algoOrder.place": "NewAlgoOrderResponseResult",
    "algoOrder.cancel": "CancelAlgoOrderResponseResult",
    "depth": "OrderBookResponseResult",
    "ticker.price": "SymbolPriceTickerResponse2ResultInner",
    "ticker.book": "SymbolOrderBookTickerResponse2ResultInner",
}
#: methods whose answer has no fields, or that no SDK has
NO_MODEL = {"userDataStream.stop", "session.logon", "session.status", "session.logout", "ping", "time"}

#: What is known to differ, and why: product and language ("" is either), method or event, differences.
KNOWN = (
    # the SDKs have the two lists beside "result"; the document's example has them in it
    ("USD-M", "", "depth", "extra bids, extra asks"),
    # REST's model has them; this API's example is no trailing stop
    ("USD-M", "", "algoOrder.place", "extra activatePrice, extra callbackRate"),
    # cancelled here is a LIMIT order; what a triggered trailing stop becomes is filled at once
    ("USD-M", "", "order.cancel", "missing activatePrice, missing priceRate"),
    # in no document, but seen on both products (PROTOCOL.md §7)
    ("", "", "ACCOUNT_UPDATE", "extra a.P.ma"),
    # this SDK is of before the integration of the two futures, after which placements tell no average price
    ("COIN-M", "TypeScript", "order.place", "missing avgPrice, missing cumBase"),
    ("COIN-M", "TypeScript", "order.modify", "missing avgPrice, missing cumBase, extra modifyId"),
    ("COIN-M", "TypeScript", "order.cancel", "missing avgPrice, missing cumBase"),
    ("COIN-M", "TypeScript", "order.status", "extra cumQty"),
    ("COIN-M", "TypeScript", "ORDER_TRADE_UPDATE", "extra o.M, extra o.er"),
    ("COIN-M", "TypeScript", "ACCOUNT_UPDATE", "extra a.S"),
)


def known(venue: Venue, language: str, name: str) -> set[str]:
    """Return how an answer or an event is known to differ from its model."""
    found: set[str] = set()
    for product, of, what, texts in KNOWN:
        if product in ("", venue.name) and of in ("", language) and what == name:
            found.update(texts.split(", "))
    return found


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with the SDKs for TypeScript."""
    if "sdk" not in request.config.getoption("markexpr"):
        pytest.skip("npm fetches packages for this only when asked with -m sdk")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("typescript")
    packages = [f"@binance/derivatives-trading-{NAMES[name]}-futures@{VERSION[name]}" for name in NAMES]
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefer-offline"]
    done = subprocess.run(
        ["npm", "install", *options, *packages], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"npm fetched no packages: {done.stderr.strip()[-200:]}")
    return folder / "node_modules"


def models(venue: Venue, language: str, request: pytest.FixtureRequest) -> Models:
    name = f"{NAMES[venue.name]}"
    if language == "TypeScript":
        folder: Path = request.getfixturevalue("node_modules")
        return of_typescript((folder / f"@binance/derivatives-trading-{name}-futures/dist/index.d.ts").read_text())
    package = f"binance_sdk_derivatives_trading_{name}_futures"
    pytest.importorskip(package)
    return of_pydantic(
        *(importlib.import_module(f"{package}.{part}.models") for part in ("websocket_api", "websocket_streams"))
    )


def rows(results: list[Any]) -> list[Any]:
    return [row for result in results for row in (result if isinstance(result, list) else [result])]


@LANGUAGES
@VENUES
def test_every_answer_has_the_fields_of_its_model(venue: Venue, language: str, request: pytest.FixtureRequest) -> None:
    find = models(venue, language, request)
    answers = played(venue).answers
    modelled = {**SHARED, **(ONLY_USD_M if venue is USD_M else {})}
    methods = {name for name in {*venue.methods, *answers} if name not in NO_MODEL}
    assert methods == set(modelled), "every method of the catalogue is looked at"
    found = {
        method: differences(find(model), rows([answer["result"] for answer in answers[method]]))
        for method, model in modelled.items()
    }
    expected = {method: known(venue, language, method) for method in modelled}
    assert found == expected
    limits = [limit for given in answers.values() for answer in given for limit in answer["rateLimits"]]
    assert differences(find("CancelOrderResponseRateLimitsInner"), limits) == set()


@LANGUAGES
@VENUES
def test_every_event_has_the_fields_of_its_model(venue: Venue, language: str, request: pytest.FixtureRequest) -> None:
    find = models(venue, language, request)
    events = played(venue).events()
    for kind, examples in events.items():
        name = "ListenKeyExpired" if kind == "listenKeyExpired" else kind.title().replace("_", "")
        bare = [{field: value for field, value in example.items() if field != "e"} for example in examples]
        assert differences(find(name), bare) == known(venue, language, kind), kind


def test_differences_are_seen() -> None:
    model = {"a": "int", "b": [{"c": "str", "d": "bool"}], "e": "any", "f": {"g": "int"}}
    good = {"a": 1, "b": [{"c": "", "d": True}], "e": [], "f": {"g": None}}
    assert differences(model, [good]) == set()
    assert differences(model, [{**good, "a": "1"}]) == {"str a"}
    assert differences(model, [{**good, "a": True}]) == {"bool a"}
    assert differences(model, [{**good, "h": 1}]) == {"extra h"}
    assert differences(model, [{**good, "b": [{"c": ""}]}]) == {"missing b.d"}
    assert differences(model, [{**good, "b": [{"c": ""}]}, good]) == set(), "it is there once"
    assert differences(model, [{**good, "b": {}}]) == {"no list b."}
    assert differences(model, [{**good, "f": 1}]) == {"no object f."}
    text = """
interface A {
  /** x */
  a?: number | bigint;
  'b'?: Array<B>;
  e?: object;
}
interface B {
    c?: string;
}
"""
    assert of_typescript(text)("A") == {"a": "int", "b": [{"c": "str"}], "e": "any"}
