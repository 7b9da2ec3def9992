"""Frames as RFC 6455 defines them: first bytes, masks (§5), close codes (§7.4.1); where the handshake's answer ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, repeat
from os import urandom
from struct import Struct
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without its C extension, or moved: it is not documented, and only faster

    def apply_mask(data: bytes, mask: bytes) -> bytes:  # type: ignore[misc]
        """Return ``data`` masked as RFC 6455 §5.3 says, or unmasked."""
        repeated = mask * (len(data) // 4) + mask[: len(data) % 4]
        return (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(len(data))


__all__ = ["FINAL_CLOSE", "FINAL_PONG", "FINAL_TEXT", "KNOWN", "apply_mask", "close_reason", "first_head", "masks"]

#: first bytes of unfragmented frames: FIN and the opcode
FINAL_TEXT: Final = 0x81
FINAL_CLOSE: Final = 0x88
FINAL_PONG: Final = 0x8A
#: all first bytes that are defined: text, binary, continuation, final or not; close, ping, pong
KNOWN: Final = frozenset({0x81, 0x01, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A})
_MASKS: Final = Struct("4s" * 64)
_END_OF_HEAD: Final = b"\r\n\r\n"
#: bytes of a head; a longer one the library refuses
_LONGEST_HEAD: Final = 64 * 1024
_INFORMATIONAL: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[ \r]")
_CLOSE_CODES: Final = {
    1000: "OK",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status received",
    1006: "abnormal closure",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}


def masks() -> Iterator[bytes]:
    """Return an endless iterator of masks from the operating system's random generator (RFC 6455 §10.3).

    It is asked once for many masks: each call takes 0.35 µs.
    """
    return chain.from_iterable(map(_MASKS.unpack, map(urandom, repeat(_MASKS.size))))


def close_reason(payload: bytes) -> str:
    """Return the code of a close frame, what the code means, and the text that follows it."""
    code = int.from_bytes(payload[:2]) if len(payload) >= 2 else 1005
    return f"{code} ({_CLOSE_CODES.get(code, 'no standard code')}) {payload[2:].decode(errors='replace')}".rstrip()


def first_head(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the head of the handshake's answer and the bytes after it, or ``None`` while its end has not come.

    Informational answers (1xx) before it are skipped (RFC 9110 §15.2). A head that is too long is returned as far as it
    has come.
    """
    while True:
        end = data.find(_END_OF_HEAD)
        if end < 0 and len(data) <= _LONGEST_HEAD:
            return None
        size = len(data) if end < 0 else end + len(_END_OF_HEAD)
        head, data = data[:size], data[size:]
        if not _INFORMATIONAL.match(head):
            return head, data
