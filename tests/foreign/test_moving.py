"""What the pages on moving over call by another client's names is there under these names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import binance_session
from tests.foreign.exchange import MARKS

pytestmark = MARKS

PAGES = Path(binance_session.__file__).parent / "docs" / "howto"


def named(page: str, pattern: str) -> list[str]:
    """Return the names in the left column of a page's table."""
    rows = re.findall(r"^\| (`.*?) \| ", (PAGES / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [name for row in rows for name in re.findall(rf"`({pattern})", row)]


def missing(names: list[str], *modules: Any) -> list[str]:
    """Return the names that no module has."""

    def has(where: Any, name: str) -> bool:
        for part in name.split("."):
            where = getattr(where, part, None)
        return where is not None

    return [name for name in names if not any(has(module, name) for module in modules)]


def test_python_binance_has_the_names_of_its_page() -> None:
    binance = pytest.importorskip("binance")
    names = named("from-python-binance.md", r"[A-Z]\w+(?:\.\w+)?")
    assert len(names) >= 15
    names.remove("BinanceAPIException.code")  # set when it is made
    assert missing([*names, "BinanceAPIException"], binance, pytest.importorskip("binance.exceptions")) == []


def test_ccxt_has_the_names_of_its_page() -> None:
    names = named("from-ccxt.md", r"[A-Za-z]\w+(?:\.\w+)?")
    assert len(names) >= 15
    assert missing(names, pytest.importorskip("ccxt.pro"), pytest.importorskip("ccxt")) == []
