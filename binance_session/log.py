"""What a session writes to the log and calls its tasks, so that a process with many of them can tell whose it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Hashable
from typing import Any, Final

from binance_session.errors import BinanceSessionError

__all__ = ["SessionLog", "Troubles", "about", "session_log"]

_LOGGER: Final = logging.getLogger("binance_session")


class SessionLog(logging.LoggerAdapter[logging.Logger]):
    """The package's log for one session: ``[COIN-M 1] ...``, and ``session`` as an attribute of each record."""

    def __init__(self, session: str) -> None:
        """Write for the session that is called ``session``."""
        super().__init__(_LOGGER, {"session": session})
        #: the session's name
        self.session = session
        #: the number of its connection
        self.connection = 0

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log ``msg % args`` behind the session's name. What a filter or handler raises is dropped.

        A record about an error of a request has its ``method`` and ``request_id``.
        """
        if not self.isEnabledFor(level):
            return
        known: dict[str, object] = next((found for each in args if (found := about(each))), {})
        own = {"session": self.session, "connection": self.connection}
        kwargs["extra"] = {**known, **kwargs.get("extra", {}), **own}
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller, not this function
        with contextlib.suppress(Exception, asyncio.CancelledError):
            if args:
                _LOGGER.log(level, f"[%s] {msg}", self.session, *args, **kwargs)
            else:
                _LOGGER.log(level, "[%s] %s", self.session, msg, **kwargs)

    def task(self, what: str) -> str:
        """Return the name of the session's task for ``what``: ``COIN-M 1: supervisor``."""
        return f"{self.session}: {what}"


def about(error: object) -> dict[str, object]:
    """Return what a record about a request has, if ``error`` is about one."""
    if not isinstance(error, BinanceSessionError) or error.method is None:
        return {}
    return {"method": error.method, "request_id": error.request_id}


class Troubles:
    """What stands in the way of a connection: each kind is warned about once until it works again, for it may last."""

    __slots__ = ("_log", "_warned")

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self._warned: set[Hashable] = set()

    def level(self, error: Exception) -> int:
        """Return ``WARNING`` when the kind of ``error`` is new, else ``INFO``."""
        kind = (
            type(error),
            getattr(error, "status", None),
            getattr(error, "code", None),
            type(error.__cause__),
        )
        if kind in self._warned:
            return logging.INFO
        self._warned.add(kind)
        return logging.WARNING

    def log(self, error: Exception, msg: object, *args: object) -> None:
        """Log ``msg % args`` about ``error``."""
        self._log.log(self.level(error), msg, *args, stacklevel=2)

    def clear(self) -> None:
        """Warn about every kind again: it works."""
        self._warned.clear()


def session_log(name: str) -> SessionLog:
    """Return the log of the session that is called ``name``; made once for each and passed to its parts."""
    return SessionLog(name)
