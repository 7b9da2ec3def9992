"""Answers to lines on standard input, and values in lists, as text: one line each, whatever is in them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["as_line", "shown_option", "written"]


def written(answer: Mapping[str, Any], *, as_json: bool) -> str:
    """Return an answer as a line: JSON, or ``ok KEY=VALUE …`` with JSON for values, or ``error: …``."""
    if as_json:
        return as_line(answer)
    if not answer["ok"]:
        return f"error: {' '.join(str(answer['error']).split())}"
    return " ".join(["ok", *(f"{key}={json.dumps(value)}" for key, value in answer.items() if key != "ok")])


def as_line(message: object) -> str:
    """Return anything as a line of JSON; bytes become text, a character each."""
    return json.dumps(message, default=lambda data: data.decode("latin-1"))


def shown_option(value: object) -> str:
    """Return an option's default as it would be typed in a shell."""
    text = value if isinstance(value, str) else as_line(value)
    return shlex.quote(text)
