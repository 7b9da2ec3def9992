"""A link whose router tells of each request, and when it had been written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from binance_session.connections.link import Link
from binance_session.requests.answer import AnyFuture
from binance_session.requests.observed import ObservedRouter, Observer

__all__ = ["ObservedLink", "link_maker"]


def link_maker(observer: Observer) -> Callable[..., Link]:
    """Return what makes a session's links: plain ones unless its requests are observed."""
    return functools.partial(ObservedLink, observer=observer) if observer.is_wanted else Link


class ObservedLink(Link):
    """A link for sessions that want to know of each request; see :class:`ObservedRouter`."""

    __slots__ = ("_recorder",)

    def __init__(self, *arguments: Any, observer: Observer, make_router: Any, **options: Any) -> None:
        self._recorder = observer.recorder
        make_observed = functools.partial(ObservedRouter, observer=observer, **make_router.keywords)
        super().__init__(*arguments, make_router=make_observed, **options)

    def submit(self, *arguments: Any, **options: Any) -> AnyFuture:  # type: ignore[override]
        """Write a request; see :meth:`Link.submit`."""
        future: AnyFuture = super().submit(*arguments, **options)
        assert isinstance(self.router, ObservedRouter)
        self.router.written()
        return future

    def message_received(self, data: bytes | bytearray) -> None:
        """Take a message; see :meth:`Link.message_received`."""
        if self._recorder is not None:
            self._recorder.received(data)
        super().message_received(data)
