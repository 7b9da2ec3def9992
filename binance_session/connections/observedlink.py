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

    __slots__ = ("_name", "_recorder")

    def __init__(self, *arguments: Any, observer: Observer, make_router: Any, **options: Any) -> None:
        self._recorder = observer.recorder
        self._name = ""
        make_observed = functools.partial(ObservedRouter, observer=observer, **make_router.keywords)
        super().__init__(*arguments, make_router=make_observed, **options)

    def submit(self, *arguments: Any, **options: Any) -> AnyFuture:  # type: ignore[override]
        """Write a request; see :meth:`Link.submit`."""
        future: AnyFuture = super().submit(*arguments, **options)
        assert isinstance(self.router, ObservedRouter)
        self.router.written()
        return future

    async def open(self) -> None:
        """Connect; see :meth:`Link.open`."""
        recorder = self._recorder
        if recorder is None:
            await super().open()
            return
        self._name = recorder.dialled("API")
        try:
            await super().open()
        except BaseException as error:
            recorder.connection("failed", self._name, error)
            raise
        recorder.connection("opened", self._name)

    def message_received(self, data: bytes | bytearray) -> None:
        """Take a message; see :meth:`Link.message_received`."""
        if self._recorder is not None:
            self._recorder.received(data, self._name)
        super().message_received(data)

    def connection_ending(self, reason: str) -> None:
        """End everything in flight; see :meth:`Link.connection_ending`."""
        if self._recorder is not None and self.cause is None:
            self._recorder.connection("ended", self._name, reason)
        super().connection_ending(reason)

    async def close(self) -> None:
        """Close the connection; see :meth:`Link.close`."""
        if self._recorder is not None:
            self._recorder.connection("closed", self._name)
        await super().close()
