"""userDataStream.start, ping, stop of futures (PROTOCOL.md §5.1)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from binance_session.simulator.listenkeys import ListenKeyRecord
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.refusals import Refusal, not_required
from binance_session.simulator.state import Call

__all__ = ["LISTEN_KEYS"]

LISTEN_KEYS = Table()


def _owner(call: Call) -> Hashable:
    return call.key if call.state.readings.listen_key_per == "key" else call.account


def _active(call: Call) -> ListenKeyRecord | None:
    key = call.state.listen_keys.of(_owner(call))
    named = call.params.get("listenKey")
    if named is not None:
        if not call.state.readings.accepts_listen_key_param:
            raise not_required("listenKey")
        if key is None or key.value != named:
            raise no_listen_key()
    return key


def no_listen_key() -> Refusal:
    """Return the -1125 for a listenKey that is not active."""
    return Refusal(400, -1125, "This listenKey does not exist.")


@LISTEN_KEYS.method("userDataStream.start")
def start(call: Call) -> dict[str, Any]:
    """Make a listenKey, or extend the active one to 60 minutes."""
    return {"listenKey": call.state.listen_keys.start(_owner(call), call.account).value}


@LISTEN_KEYS.method("userDataStream.ping", optional="listenKey")
def ping(call: Call) -> dict[str, Any]:
    """Extend the active listenKey to 60 minutes."""
    key = _active(call)
    if key is None:
        if call.state.readings.ping_without_key == "refused":
            raise no_listen_key()
        return start(call)  # type: ignore[no-any-return]
    return {"listenKey": call.state.listen_keys.extend(key).value}


@LISTEN_KEYS.method("userDataStream.stop", optional="listenKey")
def stop(call: Call) -> dict[str, Any]:
    """End the active listenKey for every client of the account."""
    key = _active(call)
    if key is None:
        raise no_listen_key()
    call.state.listen_keys.stop(key)
    return {}
