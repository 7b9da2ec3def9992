"""Whether a session is alive and ready, in numbers and in sentences, and an ASGI application that tells it.

Liveness is judged by frames, never by events: an account on which nothing happens is no reason to restart a bot.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

from attrs import asdict, frozen

from binance_session.state import SessionState

__all__ = ["Health", "Healthy", "answer", "asgi", "health_of", "longest_silence"]

#: seconds for a verdict on a line that is silent, behind its pings
_SLACK: Final = 65.0


@frozen
class Health:
    """What ``session.health()`` returns. Times are in seconds.

    ``live``
        Whether the session goes on by itself: false when it ended, or when it says READY although no frame has come for
        longer than its pings allow. Only then is a restart of any use; a session that reconnects is live.
    ``ready``
        Whether a request would leave now, and, while a user data stream is open, whether its events come.
    ``reasons``
        Sentences: why it is not live, or not ready.
    ``last_frame_age``
        Since the last ping, pong or other sign of life that was noted; no more than the time since the last frame that
        came. ``None`` without a connection.
    ``ping_rtt``
        The round trip of the last ping; ``None`` before the first.
    ``listen_key_left``
        Until the listenKey lapses; ``None`` where there is none.
    ``events_live``
        Whether events come now; ``None`` while no user data stream is open.
    ``backlog``
        Events that wait to be read, in the user data stream in which most do.
    ``clock_offset``
        The exchange's clock minus the local one.
    """

    live: bool
    ready: bool
    reasons: tuple[str, ...]
    last_frame_age: float | None = None
    ping_rtt: float | None = None
    listen_key_left: float | None = None
    events_live: bool | None = None
    backlog: int = 0
    clock_offset: float = 0.0


def health_of(
    state: SessionState,
    *,
    last_frame_age: float | None,
    longest_silence: float,
    held_back: str,
    events_live: bool | None,
    **numbers: Any,
) -> Health:
    """Return what the numbers of a session come to.

    ``longest_silence`` is for how many seconds a connection that works may be silent, ``held_back`` why nothing may be
    sent now ("" if it may); ``numbers`` are the other fields of :class:`Health`.
    """
    reasons = []
    if state.is_final:
        reasons.append(_ENDED[state])
    if last_frame_age is not None and last_frame_age > longest_silence:
        reasons.append(f"no frame has come for {last_frame_age:.0f} s, though pings were sent")
    live = not reasons
    if live:
        if state is not SessionState.READY:
            reasons.append(_NOT_READY[state])
        if held_back:
            reasons.append(held_back)
        if events_live is False:
            reasons.append("the account's events do not come at the moment")
    return Health(live, not reasons, tuple(reasons), last_frame_age, events_live=events_live, **numbers)


def longest_silence(ping_interval: float | None, ping_timeout: float | None, server_ping_interval: float) -> float:
    """Return for how many seconds a connection that works may be silent."""
    if ping_interval is None:
        return 2.5 * server_ping_interval + _SLACK
    return ping_interval + (ping_timeout or 0.0) + _SLACK


_ENDED: Final[Mapping[SessionState, str]] = {
    SessionState.CLOSED: "the session was closed",
    SessionState.FAILED: "the session has failed, and does not connect again: make a new one",
}
_NOT_READY: Final[Mapping[SessionState, str]] = {
    SessionState.NEW: "the session was not opened",
    SessionState.CONNECTING: "the session is connecting",
    SessionState.LOGGING_ON: "the session is logging on",
    SessionState.WAITING: "the session has no connection, and waits before it connects again",
    SessionState.CLOSING: "the session is being closed",
}


# ASGI

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_PATHS: Final = {"/livez": "live", "/readyz": "ready"}


class Healthy(Protocol):
    """What :func:`asgi` asks: a session, or a manager of many."""

    def health(self) -> Any:
        """Return a :class:`Health`, or a mapping of names to them."""
        ...


def asgi(session_or_manager: Healthy) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an ASGI application (ASGI 3) that answers ``/livez`` and ``/readyz`` with 200 or 503, and why, as JSON.

    It is to be served on the session's event loop, so that a loop that hangs is not called alive. Any other path is
    answered with 404, any other method than GET and HEAD with 405. Of a manager, it is alive while one of its accounts
    is, and ready when all are.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"this application answers HTTP, not {scope['type']}")
        status, body = answer(session_or_manager, scope["method"], scope["path"])
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application


def answer(session_or_manager: Healthy, method: str, path: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer to an HTTP request."""
    what = _PATHS.get(path)
    if what is None:
        return 404, b'{"error": "there are /livez and /readyz"}'
    if method not in ("GET", "HEAD"):
        return 405, b'{"error": "GET it"}'
    health = session_or_manager.health()
    told = {name: asdict(each) for name, each in health.items()} if isinstance(health, Mapping) else asdict(health)
    if isinstance(health, Mapping):  # a restart would hurt the accounts that are well
        each = [getattr(one, what) for one in health.values()]
        good = not each or (any(each) if what == "live" else all(each))
    else:
        good = getattr(health, what)
    return (200 if good else 503), json.dumps(told).encode()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
