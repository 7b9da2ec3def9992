"""What a recording shows in place of secrets: the same word for the same secret, so that equal ones stay equal.

``<apiKey>``, ``<signature>``, ``<listenKey 1>``: a listenKey that comes back is seen to be the same one, and nobody can
use it. The amounts of an account are hidden too, digit for digit, and the addresses in the exchange's texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from binance_session.masking import Secrets

__all__ = ["Masks", "without_amounts"]

#: what is secret by the name of its field, and what is shown of it
_SECRET_FIELDS: Final = {
    "apiKey": "apiKey",
    "signature": "signature",
    "listenKey": "listenKey",
    "listenToken": "listenToken",
    "accountAlias": "account",
    "uid": "account",
}
#: kinds of which each value has a word of its own
_NUMBERED: Final = ("listenKey", "apiKey")
#: IPv4, and IPv6 with at least four groups: -2015 on futures names the address that it came from
_ADDRESS: Final = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){4,7}")
_DECIMAL: Final = re.compile(r"-?\d+(?:\.\d+)?")
_SHORTEST: Final = 4
#: what stands for a secret already
_WORD: Final = re.compile(r"<[A-Za-z0-9 -]+>")
#: listenKeys and keys are at least this long; no other word of the exchange is
_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9<])[A-Za-z0-9+/=]{60,}(?![A-Za-z0-9>])")


class Masks:
    """The words that stand for the secrets of one recording."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._hidden = Secrets()

    def add(self, secret: str, word: str) -> str:
        """Show ``<word>`` in place of ``secret`` from now on, and return that."""
        if secret not in self._words:
            self._words[secret] = f"<{word}>"
            self._hidden.add(secret)
        return self._words[secret]

    def hide(self, body: Any) -> Any:
        """Return a JSON value with its secrets replaced; those that a field's name tells are learnt."""
        if isinstance(body, Mapping):
            alias = "e" in body  # COIN-M's events name the account's alias "i"
            return {self.text(name): self._field(name, value, alias=alias) for name, value in body.items()}
        if isinstance(body, (list, tuple)):
            return [self.hide(item) for item in body]
        return self.text(body) if isinstance(body, str) else body

    def text(self, text: str) -> str:
        """Return a text, or the path of an address, with its secrets replaced."""
        for secret, word in self._words.items():
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, word)
                quoted = quote(secret, safe="")
                if quoted != secret:
                    text = text.replace(quoted, word)
        return _ADDRESS.sub("<address>", _TOKEN.sub("<token>", self._hidden.mask(text)))

    def _field(self, name: str, value: Any, *, alias: bool) -> Any:
        kind = "account" if alias and name == "i" and isinstance(value, str) else _SECRET_FIELDS.get(name)
        if kind is None or value in (None, "") or (isinstance(value, str) and _WORD.fullmatch(value)):
            return self.hide(value)
        if kind == "account" and not isinstance(value, str):
            return 0
        if not isinstance(value, str):
            return self.hide(value)
        if value in self._words:
            return self._words[value]
        if kind not in _NUMBERED:
            return self.add(value, kind) if kind != "signature" else "<signature>"
        self._counts[kind] = self._counts.get(kind, 0) + 1
        number = self._counts[kind]
        return self.add(value, f"{kind} {number}" if kind == "listenKey" else f"another apiKey {number}")


def without_amounts(body: Any) -> Any:
    """Return a JSON value in which each digit of a decimal text is a zero, for what an account holds is private."""
    if isinstance(body, dict):
        return {name: without_amounts(value) for name, value in body.items()}
    if isinstance(body, list):
        return [without_amounts(item) for item in body]
    if isinstance(body, str) and _DECIMAL.fullmatch(body):
        return re.sub(r"\d", "0", body)
    return body
