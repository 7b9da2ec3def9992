"""What is declared, and what of other packages is relied on."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parent.parent
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS: Final = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]

#: every name of websockets that the package uses, by the module that documents it: its reference, "Sans-I/O" above all
WEBSOCKETS: Final = {
    "websockets.client": {"ClientProtocol"},
    "websockets.exceptions": {"InvalidHandshake", "InvalidStatus", "InvalidURI", "InvalidMessage"},
    "websockets.extensions.permessage_deflate": {"ClientPerMessageDeflateFactory"},
    "websockets.frames": {"CloseCode", "Frame", "Opcode"},
    "websockets.http11": {"Request", "Response"},
    "websockets.protocol": {"State"},
    "websockets.server": {"ServerProtocol"},
    "websockets.uri": {"parse_uri"},
}
#: not documented: used where it is there, and replaced where it is not
OPTIONAL: Final = {"websockets.speedups": {"apply_mask"}}
#: and of its objects, the methods and attributes: of ClientProtocol and ServerProtocol
PROTOCOL: Final = {
    "ClientProtocol": {
        "connect",
        "data_to_send",
        "events_received",
        "fail",
        "handshake_exc",
        "receive_data",
        "receive_eof",
        "send_close",
        "send_ping",
        "send_request",
        "send_text",
        "state",
    },
    "ServerProtocol": {
        "accept",
        "data_to_send",
        "events_received",
        "receive_data",
        "receive_eof",
        "reject",
        "send_binary",
        "send_close",
        "send_continuation",
        "send_ping",
        "send_response",
        "send_text",
        "state",
    },
}


def imported() -> dict[str, set[str]]:
    """Return what the package imports of websockets, wherever in a file."""
    names: dict[str, set[str]] = {}
    for path in (ROOT / "binance_session").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "websockets":
                names.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("websockets") for alias in node.names), path
    return names


def test_only_these_names_of_websockets_are_relied_on() -> None:
    """A new one is looked up in the library's documentation before it is added here."""
    listed, used = WEBSOCKETS | OPTIONAL, imported()
    unlisted = {module: names - listed.get(module, set()) for module, names in used.items()}
    assert {module: names for module, names in unlisted.items() if names} == {}
    unused = {module: names - used.get(module, set()) for module, names in listed.items()}
    assert {module: names for module, names in unused.items() if names} == {}


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("ClientProtocol", ["websocket/connection.py", "websocket/writer.py", "websocket/dialing.py"]),
        ("ServerProtocol", ["simulator/socket.py"]),
    ],
)
def test_only_these_attributes_of_its_protocols_are_relied_on(kind: str, files: list[str]) -> None:
    used = {
        name
        for file in files
        for name in re.findall(r"\b_?protocol\.(\w+)", (ROOT / "binance_session" / file).read_text())
    }
    assert used == PROTOCOL[kind]


@pytest.mark.parametrize("module", WEBSOCKETS)
def test_the_installed_websockets_has_them(module: str) -> None:
    """With the lowest version that is declared, with the newest, and with whatever else is installed."""
    missing = [name for name in WEBSOCKETS[module] if not hasattr(importlib.import_module(module), name)]
    assert missing == [], f"{module} has no {', '.join(missing)}"


@pytest.mark.parametrize("kind", PROTOCOL)
def test_its_protocols_have_them(kind: str) -> None:
    module = importlib.import_module("websockets.client" if kind == "ClientProtocol" else "websockets.server")
    protocol = getattr(module, kind)(
        *([importlib.import_module("websockets.uri").parse_uri("ws://localhost/")] if kind == "ClientProtocol" else [])
    )
    missing = [name for name in PROTOCOL[kind] if not hasattr(protocol, name)]
    assert missing == [], f"{kind} has no {', '.join(missing)}"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_requirement_has_one_lower_bound(requirement: Requirement) -> None:
    """Which .ci/run can install, and does; the newest version comes by itself as long as there is no upper bound."""
    assert [bound.operator for bound in requirement.specifier] == [">="]


def test_every_python_that_is_declared_is_checked() -> None:
    classifiers = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    loop = re.search(r"^for version in (3.*); do$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert loop is not None
    assert loop[1].split() == classifiers
    assert PROJECT["requires-python"] == f">={classifiers[0]}"


def test_the_lowest_versions_are_those_of_this_file() -> None:
    """.ci/run takes them, and the extras, from nowhere else, and fails where others were installed."""
    text = (ROOT / ".ci" / "run").read_text()
    assert 'extras=$("$work/tools/bin/python" .ci/lowest.py extras)' in text
    assert text.count("--resolution lowest-direct") == 1
    assert ".ci/lowest.py dependencies test" in text
    assert '.ci/lowest.py "$2"' in text
