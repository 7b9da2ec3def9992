"""session.logon, session.status, session.logout (PROTOCOL.md §4)."""

from __future__ import annotations

from typing import Any

from binance_session.simulator.keys import Algorithm
from binance_session.simulator.methods.entry import Table
from binance_session.simulator.refusals import Refusal
from binance_session.simulator.state import Call

__all__ = ["SESSION", "end_session"]

SESSION = Table()


def end_session(call: Call) -> None:
    """Forget the connection's logon, and what hung on it."""
    connection = call.connection
    connection.key = None
    connection.authorized_since = None
    for subscription in list(connection.subscriptions.values()):
        if subscription.by_logon:
            del connection.subscriptions[subscription.id]
            call.state.tell_terminated(connection, subscription)


def _status(call: Call) -> dict[str, Any]:
    connection = call.connection
    since = connection.authorized_since
    status = {
        "apiKey": connection.authenticated_key,
        "authorizedSince": None if since is None else int(since * 1000),
        "connectedSince": int(connection.connected_since * 1000),
        "returnRateLimits": connection.return_rate_limits,
        "serverTime": call.now_ms,
    }
    if not call.state.product.futures:
        status["userDataStream"] = bool(connection.subscriptions)
    return status


@SESSION.method("session.logon")
def logon(call: Call) -> dict[str, Any]:
    """Log the connection on. Only Ed25519 keys can; a second logon changes the key."""
    key = call.key
    if key is None:
        raise RuntimeError("session.logon is always signed")
    if key.algorithm is not Algorithm.ED25519:
        # On futures captured for HMAC keys; there -2028 means something else (§4).
        if call.state.product.futures:
            name = "HMAC_SHA256" if key.algorithm is Algorithm.HMAC else key.algorithm
            raise Refusal(400, -4056, f"{name} API key is not supported.")
        raise Refusal(400, -2028, f"{key.algorithm} API key is not supported.")
    if call.connection.key is not key:
        end_session(call)
    call.connection.key = key
    call.connection.authorized_since = call.state.clock.time()
    return _status(call)


@SESSION.method("session.status")
def status(call: Call) -> dict[str, Any]:
    """Tell who the connection is logged on as, if at all."""
    return _status(call)


@SESSION.method("session.logout")
def logout(call: Call) -> dict[str, Any]:
    """Forget the logon; the connection stays. Nothing happens if there was none."""
    end_session(call)
    return _status(call)
