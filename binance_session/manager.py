"""Many accounts in one process: a session for each, opened together, watched, and their events merged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, overload

from binance_session.checks import check_count, check_credentials, check_patience
from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError, ConfigurationError, why
from binance_session.health import Health
from binance_session.managerevents import MergedEvents
from binance_session.masking import kind_of
from binance_session.responses import Event
from binance_session.session import Session
from binance_session.state import SessionState
from binance_session.stats import Stats
from binance_session.venues import Venue

__all__ = ["SessionManager"]

S = TypeVar("S", bound=Session)

#: accounts that connect and log on at the same time
_AT_ONCE: Final = 10
#: what each session has of its own
_OWN: Final = frozenset({"venue", "credentials", "name"})
#: an address is one venue's
_ADDRESSES: Final = frozenset({"url", "stream_url"})
_log: Final = logging.getLogger("binance_session")

#: an account's key, and its venue where that is not the manager's
Account = Credentials | tuple[Venue, Credentials]


class SessionManager(Generic[S]):
    """A session for each of many accounts.

    ::

        async with SessionManager(COIN_M, {"alice": key_a, "bob": key_b}) as manager:
            await manager["alice"].request("account.balance")
            async for name, event in manager.events():
                ...

    ``accounts`` maps names to keys, or to ``(venue, key)`` where an account trades elsewhere than on ``venue``.
    ``session_class`` is made for each, with ``options``, the parameters of :class:`Session`. Names appear in log
    records and in the names of tasks.

    One account's failure is its own: :meth:`on_account_failed` is called, the others go on, and its session stays
    here, FAILED, until it is removed or its key replaced.

    Raises :class:`ConfigurationError` for what cannot be right. A manager belongs to the event loop on which it was
    opened, and cannot be opened again.
    """

    @overload
    def __init__(
        self,
        venue: Venue,
        accounts: Mapping[str, Account] | None = None,
        *,
        session_class: type[S],
        **options: Any,
    ) -> None: ...

    @overload
    def __init__(
        self: SessionManager[Session], venue: Venue, accounts: Mapping[str, Account] | None = None, **options: Any
    ) -> None: ...

    def __init__(
        self,
        venue: Venue,
        accounts: Mapping[str, Account] | None = None,
        *,
        session_class: Any = Session,
        **options: Any,
    ) -> None:
        if not isinstance(venue, Venue):
            raise ConfigurationError(f"venue must be a Venue such as COIN_M, not {kind_of(venue)}")
        if not (isinstance(session_class, type) and issubclass(session_class, Session)):
            raise ConfigurationError(f"session_class must be Session or a subclass of it, not {kind_of(session_class)}")
        if taken := _OWN & options.keys():
            raise ConfigurationError(f"{', '.join(sorted(taken))}: each account has its own; leave it out")
        if not isinstance(accounts, Mapping | None):
            raise ConfigurationError(f"accounts must be a mapping of names to keys, not {kind_of(accounts)}")
        self.venue = venue
        made: Any = session_class
        self._class: type[S] = made
        self._options = options
        self._sessions: dict[str, S] = {}
        #: why accounts failed, by their names
        self.failures: dict[str, BinanceSessionError] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._events: set[MergedEvents] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._was_opened = self._is_closed = False
        for name, account in (accounts or {}).items():
            self._sessions[name] = self._make(name, account)

    def __repr__(self) -> str:
        ready = sum(session.state is SessionState.READY for session in self._sessions.values())
        return f"<{type(self).__name__} {self.venue.name}: {ready} of {len(self._sessions)} accounts ready>"

    def _make(self, name: str, account: Account) -> S:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"an account's name must be a text, not {kind_of(name)}")
        venue, key = account if isinstance(account, tuple) and len(account) == 2 else (self.venue, account)
        if not isinstance(venue, Venue):
            raise ConfigurationError(f"{name}: an account is a key, or (venue, key), not {kind_of(account)}")
        if key is None:
            raise ConfigurationError(f"{name}: an account is a key, or (venue, key), not None")
        check_credentials(key)
        if venue.name != self.venue.name and (given := _ADDRESSES & self._options.keys()):
            raise ConfigurationError(f"{name}: {', '.join(sorted(given))} is the address of one venue, not of two")
        return self._class(venue, key, name=f"{venue.name} {name}", **self._options)

    # Hooks

    def on_account_failed(self, name: str, cause: BinanceSessionError) -> None:
        """Called when an account could not be opened, or its session ended by itself; the others go on.

        A plain method for a subclass to override. An exception in it is logged.
        """

    def _failed(self, name: str, cause: BinanceSessionError) -> None:
        self.failures[name] = cause
        _log.warning("[%s] the account failed: %s", name, why(cause))
        try:
            self.on_account_failed(name, cause)
        except Exception:
            _log.exception("[%s] on_account_failed raised; the manager goes on", name)

    # Life

    async def open(self, patience: float | None = None) -> None:
        """Open every account, some at a time; return when each is READY or has failed.

        ``patience`` is as for :meth:`Session.open`, for each account. Raises :class:`ExceptionGroup` of why, if there
        are accounts and not one could be opened; cancelling it closes the manager.
        """
        if patience is not None:
            check_patience(patience)
        if self._was_opened:
            raise ConfigurationError("a manager is opened once: make a new one")
        self._was_opened = True
        try:
            await asyncio.gather(*(self._open(name, patience) for name in list(self._sessions)))
        except BaseException:
            await self.close()
            raise
        if self._sessions and len(self.failures) == len(self._sessions):
            failures = list(self.failures.values())
            await self.close()
            raise ExceptionGroup("no account could be opened", failures)

    async def _open(self, name: str, patience: float | None) -> None:
        session = self._sessions[name]
        try:
            async with self._gate:
                await session.open(patience)
        except BinanceSessionError as error:
            if self._sessions.get(name) is session and not self._is_closed:
                self._failed(name, error)
        else:
            self._watch(name, session)

    def _watch(self, name: str, session: S) -> None:
        """Follow a session that is open until it ends, and its events wherever they are read."""
        task = asyncio.get_running_loop().create_task(self._await_end(name, session), name=f"{session.name}: watch")
        self._watches[name] = task
        for events in self._events:
            events.follow(name, session)

    async def _await_end(self, name: str, session: S) -> None:
        try:
            await session.wait_for(SessionState.CLOSED)
        except BinanceSessionError as error:
            if self._sessions.get(name) is session:
                self._failed(name, error)

    async def close(self) -> None:
        """Close every session; return when nothing is left. May be called at any time, and again."""
        self._is_closed = True
        watches, self._watches = list(self._watches.values()), {}
        for task in watches:
            task.cancel()
        for events in list(self._events):
            events.end()
        await asyncio.gather(*(session.close() for session in self._sessions.values()), return_exceptions=True)
        if watches:
            await asyncio.wait(watches)
        await asyncio.gather(*(events.ended() for events in list(self._events)))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # Accounts

    def __getitem__(self, name: str) -> S:
        """Return an account's session. Raises :class:`KeyError` for a name that is not here."""
        return self._sessions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, name: object) -> bool:
        return name in self._sessions

    async def add(self, name: str, account: Account, patience: float | None = None) -> S:
        """Open one account more, and return its session.

        Raises what :meth:`Session.open` does, and then the account is not here; :class:`ConfigurationError` for a name
        that is.
        """
        self._demand_open()
        if name in self._sessions:
            raise ConfigurationError(f"there is an account {name!r} already: replace_key() gives it another key")
        session = self._sessions[name] = self._make(name, account)
        try:
            async with self._gate:
                await session.open(patience)
            self._demand_open()
        except BaseException:
            if self._sessions.get(name) is session:
                del self._sessions[name]
            await session.close()
            raise
        if self._sessions.get(name) is session:
            self._watch(name, session)
        return session

    async def remove(self, name: str) -> None:
        """Close an account's session and forget it. Raises :class:`KeyError` for a name that is not here."""
        session = self._sessions.pop(name)
        self.failures.pop(name, None)
        await self._forget(name, session)

    async def _forget(self, name: str, session: S) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        for events in self._events:
            events.leave(name, session)
        await session.close()

    async def replace_key(self, name: str, key: Credentials, patience: float | None = None) -> S:
        """Give an account another key without downtime, and return its new session.

        The new session is READY before the old one goes, and its events come before the old one's end: what both
        bring is delivered once, so that :meth:`events` goes on without a gap. Requests in flight on the old session
        have until their timeout to be answered.

        Raises what :meth:`Session.open` does, and then the old session stays; :class:`KeyError` for a name that is not
        here.
        """
        self._demand_open()
        old = self._sessions[name]
        check_credentials(key)
        session = self._make(name, (old.venue, key))
        try:
            async with self._gate:
                await session.open(patience)
            self._demand_open()
            if self._sessions.get(name) is not old:
                raise ConfigurationError(f"the account {name!r} was removed, or its key replaced, meanwhile")
        except BaseException:
            await session.close()
            raise
        self._sessions[name] = session
        self.failures.pop(name, None)
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        self._watch(name, session)
        await asyncio.gather(*(events.taken_over(name, session) for events in list(self._events)))
        await old.close(drain=self._drain())
        return session

    def _drain(self) -> float:
        """Return the seconds in which what is in flight on a session will have ended."""
        return float(self._options.get("request_timeout", 10.0)) + 1.0

    def _demand_open(self) -> None:
        if not self._was_opened or self._is_closed:
            what = "was closed" if self._is_closed else "is not open"
            raise ConfigurationError(f"the manager {what}: accounts come and go while it is open")

    # What they tell

    async def events(self, *, buffer: int = 10_000) -> AsyncGenerator[tuple[str, Event], None]:
        """Yield the events of all accounts, each with its account's name, until the manager is closed.

        Events of one account come in order. When some may have been missed there is a gap of that account (see
        :class:`UserDataStream`), also when more than ``buffer`` of its events waited unread; the other accounts go on.
        What is tried in vain (a stream that cannot be opened) is tried again.
        """
        check_count("buffer", buffer, least=1)
        self._demand_open()
        merged = MergedEvents(buffer)
        self._events.add(merged)
        try:
            for name in self._watches:
                merged.follow(name, self._sessions[name])
            async for item in merged:
                yield item
        finally:
            merged.end()
            await merged.ended()
            self._events.discard(merged)

    def health(self) -> dict[str, Health]:
        """Return the health of each account."""
        return {name: session.health() for name, session in self._sessions.items()}

    def stats(self) -> dict[str, Stats]:
        """Return the counters of each account."""
        return {name: session.stats for name, session in self._sessions.items()}
