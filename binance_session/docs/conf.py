"""How Sphinx builds the documentation: ``sphinx-build -n -W binance_session/docs OUT`` (extra ``[docs]``)."""

from __future__ import annotations

import importlib.metadata
from typing import Any

project = "binance_session"
author = "the authors of binance_session"
release = version = importlib.metadata.version("binance-session")

extensions = ["sphinx.ext.autodoc", "myst_parser", "sphinxcontrib.mermaid"]
html_theme = "furo"
html_title = f"{project} {release}"
html_extra_path = ["llms.txt"]
html_copy_source = False

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

#: what is documented elsewhere: Python's own library and cryptography's
nitpick_ignore_regex = [
    ("py:.*", r"(_?asyncio|collections|concurrent|datetime|decimal|enum|logging|os|socket|ssl|types|typing)\..*"),
    (
        "py:.*",
        r"(BaseException|Exception|ConnectionError|OSError|RuntimeError|TimeoutError|ValueError|None|True|False)",
    ),
    ("py:.*", r"(bool|bytes|dict|float|frozenset|int|list|object|set|str|tuple|type)"),
    ("py:class", r"(Ed25519PrivateKey|RSAPrivateKey|_Ts|.*\._T|.*\.manager\.S)"),
]


def find_documented_name(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Point a reference to where the name is documented: annotations name the module that a class is written in."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    parts = node["reftarget"].split(".")
    for first in range(len(parts)):
        ending = "." + ".".join(parts[first:])
        found = sorted((name for name in domain.objects if name.endswith(ending)), key=len)
        if found:  # the shortest is the one that users import
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, content)
    return None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", find_documented_name)
