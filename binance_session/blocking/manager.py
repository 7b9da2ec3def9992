"""The manager of many accounts for programs that are not asynchronous."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from binance_session.blocking.session import BlockingSession
from binance_session.blocking.thread import LoopThread, OnThread
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, ConfigurationError
from binance_session.health import Health
from binance_session.manager import Account, SessionManager
from binance_session.responses import Event
from binance_session.stats import Stats
from binance_session.venues import Venue

__all__ = ["BlockingSessionManager"]


class BlockingSessionManager(OnThread):
    """A :class:`SessionManager` for programs that are not asynchronous; ``manager[name]`` is a BlockingSession.

    ``manager_class`` is made with ``venue``, ``accounts`` and ``options``: its hooks are called on the loop's thread.
    """

    def __init__(
        self,
        venue: Venue,
        accounts: Mapping[str, Account] | None = None,
        *,
        manager_class: type[SessionManager[Any]] = SessionManager,
        thread: LoopThread | None = None,
        **options: Any,
    ) -> None:
        if not (isinstance(manager_class, type) and issubclass(manager_class, SessionManager)):
            raise ConfigurationError("manager_class must be SessionManager or a subclass of it")
        #: the manager on the loop's thread
        self.manager = manager_class(venue, accounts, **options)
        super().__init__(thread or LoopThread(f"{venue.name} accounts"), owns_thread=thread is None)

    def open(self, patience: float | None = None) -> None:
        """Open every account; see :meth:`SessionManager.open`."""
        self._open_by(self.manager.open(patience))

    def close(self) -> None:
        """Close every session; see :meth:`SessionManager.close`."""
        self._close_by(self.manager.close)

    def __getitem__(self, name: str) -> BlockingSession:
        """Return an account's session. Raises :class:`KeyError` for a name that is not here."""
        return BlockingSession.around(self.manager[name], self._thread)

    def __iter__(self) -> Iterator[str]:
        return iter(self.manager)

    def __len__(self) -> int:
        return len(self.manager)

    def __contains__(self, name: object) -> bool:
        return name in self.manager

    @property
    def failures(self) -> dict[str, BinanceSessionError]:
        """Why accounts failed, by their names."""
        return self.manager.failures

    def add(self, name: str, account: Account, patience: float | None = None) -> BlockingSession:
        """Open one account more; see :meth:`SessionManager.add`."""
        return BlockingSession.around(self._thread.call(self.manager.add(name, account, patience)), self._thread)

    def remove(self, name: str) -> None:
        """Close an account's session and forget it; see :meth:`SessionManager.remove`."""
        self._thread.call(self.manager.remove(name))

    def replace_key(self, name: str, key: Credentials, patience: float | None = None) -> BlockingSession:
        """Give an account another key; see :meth:`SessionManager.replace_key`."""
        return BlockingSession.around(self._thread.call(self.manager.replace_key(name, key, patience)), self._thread)

    def events(self, *, buffer: int = 10_000) -> Iterator[tuple[str, Event]]:
        """Yield the events of all accounts, with their names; see :meth:`SessionManager.events`."""
        events = self.manager.events(buffer=buffer)
        try:
            while (item := self._thread.call(_next(events))) is not None:
                yield item
        finally:
            self._thread.call(events.aclose())

    def health(self) -> dict[str, Health]:
        """Return the health of each account."""
        return self.manager.health()

    def stats(self) -> dict[str, Stats]:
        """Return the counters of each account."""
        return self.manager.stats()


async def _next(events: AsyncGenerator[tuple[str, Event], None]) -> tuple[str, Event] | None:
    return await anext(events, None)
