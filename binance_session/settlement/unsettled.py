"""The requests of a session that ended with an unknown outcome, and what is still heard of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from attrs import define, field

from binance_session.credentials import Credentials
from binance_session.errors import BinanceSessionError
from binance_session.requests.sent import carrying, params_of
from binance_session.stats import Stats
from binance_session.venues import Method

__all__ = ["NOTHING", "Record", "Unsettled"]

#: how many are kept; when there are more, the oldest is dropped
_BOUND: Final = 1_000
#: stands for the late answer that has not come
NOTHING: Final = object()


@define(eq=False)
class Record:
    """What is kept of one request."""

    error: BinanceSessionError
    method: Method
    answer: object = NOTHING
    #: called when the late answer comes
    listeners: list[Callable[[], None]] = field(factory=list)


class Unsettled:
    """Keeps them in the order in which they ended, at most 1,000; gives every error the parameters of its request."""

    def __init__(self, credentials: Credentials | None, stats: Stats) -> None:
        self._credentials = credentials
        self._stats = stats
        self._records: dict[int, Record] = {}

    @property
    def errors(self) -> tuple[BinanceSessionError, ...]:
        """The errors with which they ended."""
        return tuple([record.error for record in self._records.values()])

    # What the connections tell

    def failed(self, error: BinanceSessionError, method: Method, data: bytes) -> None:
        """Called with each error before a future ends with it; ``data`` is the request as it was written."""
        params = params_of(data)
        error.is_of_other_key = self._is_other(params.get("apiKey"))
        carrying(error, params)
        if error.outcome != "unknown" or not method.changes_anything or error.request_id is None:
            return
        if len(self._records) >= _BOUND:
            del self._records[next(iter(self._records))]
            self._stats.unsettled_dropped += 1
        self._records[error.request_id] = Record(error, method)

    def _is_other(self, api_key: object) -> bool:
        if api_key is None:
            return False
        own = None
        with contextlib.suppress(Exception):  # somebody's own class
            own = None if self._credentials is None else self._credentials.api_key
        return api_key != own

    def awaited(self, request_id: int) -> Method | None:
        """Return the method of a request whose late answer is wanted; ``None`` if it is not."""
        record = self._records.get(request_id)
        return None if record is None else record.method

    def answered_late(self, request_id: int, answer: object) -> None:
        """Called with the late answer to such a request: its ``result``, or the error."""
        record = self._records.get(request_id)
        if record is None:
            return
        record.answer = answer
        if isinstance(answer, BinanceSessionError):
            carrying(answer, record.error.params)
        for listener in record.listeners:
            listener()

    # What settles them

    def find(self, error: BinanceSessionError) -> Record | None:
        """Return what is kept of the request that ended with this error; ``None`` for one of another session."""
        record = None if error.request_id is None else self._records.get(error.request_id)
        return record if record is not None and record.error is error else None

    def settled(self, error: BinanceSessionError) -> None:
        """Forget a request of which it is known what became of it."""
        if error.request_id is not None and self.find(error) is not None:
            del self._records[error.request_id]
