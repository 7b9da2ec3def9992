"""Imports point down: the rooms of the package may not know what stands above them."""

import ast
from pathlib import Path

import pytest

import binance_session

PACKAGE = Path(binance_session.__file__).parent
MODULES: dict[str, Path] = {}  # by their names below the package
#: each room, and the rooms that it may import beside the modules of the package's root
MAY_IMPORT = {
    "websocket": set[str](),
    "requests": set[str](),
    "connections": {"websocket", "requests"},
    "events": {"websocket", "requests", "connections"},
    "settlement": {"requests"},
}
#: root modules that only what stands above the rooms may import
TOP = {"session", "manager", "managerevents", "blocking", "telemetry", "testing", "cli", "simulator", "replaying"}
TOP |= {"__main__", "__init__"}


def imports(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("binance_session"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}".removeprefix("binance_session.")
                found.add(whole if whole in MODULES else node.module.removeprefix("binance_session."))
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES.update((name_of(path), path) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_is_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    for path in (PACKAGE / room).rglob("*.py"):
        above = {name for name in imports(path) if name.partition(".")[0] in (MAY_IMPORT.keys() - allowed) | TOP}
        assert not above, f"{path.relative_to(PACKAGE)} imports {sorted(above)}"


def test_the_root_imports_no_room_but_at_its_top() -> None:
    for path in PACKAGE.glob("*.py"):
        if room_of(path) not in TOP:
            above = {name for name in imports(path) if name.partition(".")[0] in MAY_IMPORT.keys() | TOP}
            assert not above, f"{path.name} imports {sorted(above)}"


def test_no_module_imports_itself_in_a_circle() -> None:
    """Nor by way of others; what only a type checker imports counts."""
    left = {name: imports(path) for name, path in MODULES.items()}
    while free := [name for name, wants in left.items() if not wants & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"in a circle: {sorted(left)}"


def test_a_module_fits_in_one_reading() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
