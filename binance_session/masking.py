"""What may be shown of a secret, and of a text from outside.

The exchange's texts may repeat a secret that it was sent (an apiKey, a listenKey, a signature), and may contain
characters that forge a log line or control a terminal. So each of them passes :meth:`Secrets.clean` once, when it
arrives: secrets are found by their value, and what remains is short and printable.
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["LIMIT", "Secrets", "kind_of", "masked", "secrets_of", "shown"]

#: patterns of the characters that JSON must, or may, escape
_IN_JSON: Final = {'"': r'\\"', "/": r"\\?/", "\\": r"\\\\"}
#: characters of a text from outside that are shown; the exchange's own messages have some 200 at most
LIMIT: Final = 500
#: A shorter value is masked only where it is a whole word, one shorter than the second number never: it would be
#: found inside unrelated words.
_LONG: Final = 8
_SHORTEST: Final = 4
#: "MICROSECOND" is shorter, and not a token. A shorter secret is matched in its own case only: a key called APIKEY is
#: not the word apiKey.
_LONG_VALUE: Final = 16
#: former secrets that are still masked
_FORMER: Final = 16
#: Keys, listenKeys and signatures are at least this long; no word is, and no path without a hyphen.
_TOKEN_LENGTH: Final = 60
#: so many characters of a secret in a row are masked
_PIECE: Final = 16
_RUN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{16,}")
_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9+/=%])[A-Za-z0-9+/=%]{60,}")


def masked(secret: str) -> str:
    """Return just enough of a secret to tell it from another; printable, whatever the secret is."""
    return shown(f"{secret[:4]}…{secret[-2:]}") if len(secret) >= 16 else "…"


def shown(text: str, limit: int = LIMIT) -> str:
    r"""Return a text from outside as it may go to a log, an exception or a terminal: on one short line.

    Control and escape characters, line separators, what changes the direction of writing, half characters and all
    else that does not print are written as escapes (``\n``, ``\x1b``, ``\u202e``). What is longer than ``limit``
    characters ends with an ellipsis.
    """
    if len(text) <= limit and text.isprintable():
        return text
    cut = text[: limit + 1]
    if not cut.isprintable():
        cut = "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut])
    return cut if len(cut) <= limit and len(text) <= limit else f"{cut[: max(0, limit - 1)]}…"


def kind_of(value: object) -> str:
    """Describe a wrong argument by its type, without its value, which may be a secret."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__} (give an instance of it)"
    name = "str" if isinstance(value, str) else type(value).__name__
    return f"an empty {name}" if isinstance(value, (str, bytes)) and not value else f"{_article(name)} {name}"


def _article(name: str) -> str:
    return "an" if name[:1].lower() in "aeiou" else "a"


class Secrets:
    """The secrets of one session, by value: what :meth:`clean` masks in texts from outside."""

    __slots__ = ("_former", "_longest", "_marks", "_pattern", "_plain", "_values")

    def __init__(self, *values: str | None) -> None:
        self._values: set[str] = set()
        self._former: deque[str] = deque(maxlen=_FORMER)
        # made from the values when needed: what to look for in a lowercased text, what indicates an encoded form, the
        # longest form of a value, and the pattern that finds them all
        self._plain: tuple[str, ...] = ()
        self._marks: tuple[str, ...] = ()
        self._longest = 0
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} ({len(self._values)})>"

    def add(self, value: str | None) -> None:
        """Mask this value from now on; what is not a string, or too short to be a secret, is ignored."""
        if isinstance(value, str) and len(value) >= _SHORTEST and value not in self._values:
            self._values.add(str(value))
            self._changed()

    def add_key(self, credentials: object) -> None:
        """Mask the apiKey of a key from now on, and its secret if it has one; the key may be of any class."""
        for name in ("api_key", "secret"):
            with contextlib.suppress(Exception):  # the user's own property: its error is raised when it signs
                self.add(getattr(credentials, name, None))

    def discard(self, value: str | None) -> None:
        """Forget a value that is no longer valid, but only after a while: the exchange may still mention it."""
        if value in self._values and value is not None:
            self._values.discard(value)
            self._former.append(value)
            self._changed()

    def mask(self, text: str) -> str:
        """Return ``text`` with each known secret masked, and nothing else changed: for what is data, not a message.

        A secret is also found percent-encoded, escaped as in JSON, and, from sixteen characters on, in any case.
        """
        plain = self._plain or self._lowered()
        # A plain search comes first: errors are made on the event loop, and the pattern takes ms to compile.
        lowered = text.lower()
        if not any(value in lowered for value in plain) and not any(mark in text for mark in self._marks):
            return text
        return (self._pattern or self._compiled()).sub(self._mask, text)

    def clean(self, text: str, limit: int = LIMIT) -> str:
        """Return ``text`` with each known secret masked as by :meth:`mask`, and otherwise as :func:`shown` does.

        Masked as well: a word that contains sixteen characters of a secret in a row, and one that looks like a key or a
        signature by its length and letters, because signatures are not remembered.
        """
        if not self._plain:
            self._lowered()
        enough = 4 * limit + self._longest  # bounds the cost of a long text
        is_cut = len(text) > enough
        text = text[:enough]
        if not text.isprintable():  # invisible characters inside a secret would show it in two pieces
            squeezed = "".join(filter(str.isprintable, text))
            text = text if self.mask(squeezed) == squeezed else squeezed
        text = self.mask(text)
        if is_cut:  # the start of a secret that was cut is within the last characters
            text = f"{text[: -self._longest]}…"
        if max(map(len, text.split()), default=0) >= _PIECE:  # only few texts have such a long word
            text = _RUN.sub(self._mask_pieces, text)
            text = _TOKEN.sub(lambda found: masked(found[0]), text)
        return shown(text, limit)

    def _changed(self) -> None:
        self._plain, self._pattern = (), None

    def _all(self) -> list[str]:
        return sorted({*self._values, *self._former}, key=len, reverse=True)

    def _lowered(self) -> tuple[str, ...]:
        values = self._all()
        # no form of a character is longer than 12, and a token that was cut is masked as well
        self._longest = max(_TOKEN_LENGTH, 12 * max(map(len, values), default=0))
        self._marks = ("%", "\\u") if all(map(str.isalnum, values)) else ("%", "\\", "+")
        self._plain = tuple(map(str.lower, values)) or ("\0 no secret",)
        return self._plain

    def _compiled(self) -> re.Pattern[str]:
        self._pattern = re.compile("|".join(map(_forms, self._all())) or r"(?!)")
        return self._pattern

    def _mask_pieces(self, found: re.Match[str]) -> str:
        """Mask a word that contains a long part of a secret."""
        word = found[0].lower()
        for start in range(len(word) - _PIECE + 1):
            piece = word[start : start + _PIECE]
            if any(piece in value for value in self._plain):
                return masked(found[0])
        return found[0]

    def _mask(self, found: re.Match[str]) -> str:
        text = found[0]
        return masked(text) if text.isalnum() else "…"


def secrets_of(
    credentials: object, url: str, stream_url: str | None, proxy: object, headers: Mapping[str, str] | None
) -> Secrets:
    """Return the secrets that a session is given: its key, passwords in addresses, and the values of its headers."""
    secrets = Secrets()
    if credentials is not None:
        secrets.add_key(credentials)
    for address in (url, stream_url, proxy):
        if isinstance(address, str):
            for value in _secrets_in(address):
                secrets.add(value)
    for value in (headers or {}).values():
        secrets.add(value)
        secrets.add(value.rpartition(" ")[2])  # behind "Bearer"
    return secrets


def _secrets_in(address: str) -> list[str]:
    """Return the password of a URL, and the values of its query that are long enough to be a token."""
    try:
        parts = urlsplit(address)
        tokens = [value for _, value in parse_qsl(parts.query) if len(value) >= _LONG_VALUE]
        return [*tokens, unquote(parts.password or "")]
    except ValueError:
        return []


def _forms(value: str) -> str:
    """Return a pattern for ``value`` with each character as it is, percent-encoded, or escaped as in JSON.

    The backslashes of JSON are a pattern of their own: with an optional backslash at each place, matching a long run
    of them would take exponential time.
    """
    word = _each(value, {})
    if not _IN_JSON.keys().isdisjoint(value):
        word = f"(?:{word}|{_each(value, _IN_JSON)})"
    if len(value) >= _LONG_VALUE:
        return f"(?i:{word})"
    return word if len(value) >= _LONG else rf"(?<![0-9A-Za-z]){word}(?![0-9A-Za-z])"


def _each(value: str, escapes: Mapping[str, str]) -> str:
    forms = []
    for character in value:
        encoded = "".join([f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass")])
        units = character.encode("utf-16-be", "surrogatepass")
        escaped = "".join([rf"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)])
        also = r"|\+" if character == " " else ""
        forms.append(f"(?:{escapes.get(character, re.escape(character))}{also}|(?i:{encoded}|{escaped}))")
    return "".join(forms)
