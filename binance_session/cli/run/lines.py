"""An event as a line of JSON."""

from __future__ import annotations

import json

from binance_session.masking import masked
from binance_session.responses import Event

__all__ = ["line_of"]


def line_of(event: Event) -> bytes:
    """Return ``{"type", "time", "gap", "data"}`` in this order, in ASCII, with the listenKey masked if it names one."""
    data = event.data
    if "listenKey" in data:  # whoever has it can read the account's events
        data = {**data, "listenKey": masked(str(data["listenKey"]))}
    shown = {"type": event.type, "time": event.time, "gap": event.is_gap, "data": data}
    return json.dumps(shown, separators=(",", ":")).encode() + b"\n"
