"""The values that callers get: responses, rate limits, events, listenKeys, who is logged on.

Documents: PROTOCOL.md §2 (the envelope), §5 (events and listenKeys), §8 (``rateLimits``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, fields, frozen

from binance_session.jsontext import MalformedMessage, decode_plainly
from binance_session.latency import Timing
from binance_session.masking import masked, shown
from binance_session.times import milliseconds

__all__ = [
    "Event",
    "ListenKey",
    "RateLimit",
    "Response",
    "SessionStatus",
    "answered",
    "size_of",
]

#: the range of a count or a limit; others are ignored
_INT64: Final = range(2**63)


@frozen
class RateLimit:
    """One entry of ``rateLimits``: ``count`` of ``limit`` are used in the running interval.

    ``type`` is ``REQUEST_WEIGHT`` or ``ORDERS``; the interval is ``interval_num`` times ``interval``
    (``SECOND``, ``MINUTE``, ``HOUR``, ``DAY``) and is aligned to the calendar (PROTOCOL.md §8).
    """

    type: str
    interval: str
    interval_num: int
    limit: int
    count: int


@frozen
class Response:
    """An answer with status 200, or the one inside an :class:`~binance_session.ApiError`.

    ``result`` is the decoded JSON, untouched. It is not part of the ``repr``: it may contain a listenKey.
    """

    request_id: int
    method: str
    status: int
    result: Any = field(repr=False)
    _limits: Any = field(default=None, repr=False, alias="limits")

    @property
    def timing(self) -> Timing | None:
        """When the request was queued and written, and its answer received; ``None`` without ``timings=True``."""
        return None

    @property
    def rate_limits(self) -> tuple[RateLimit, ...]:
        """The answer's ``rateLimits``, decoded when asked for; empty when the answer had none."""
        limits = self._limits
        if limits is None:
            return ()
        if not isinstance(limits, list):  # their raw text, or nonsense
            try:
                limits = decode_plainly(limits)
            except (MalformedMessage, TypeError):
                return ()
        return tuple([_rate_limit(entry) for entry in limits]) if isinstance(limits, list) else ()


def _answer_maker() -> Callable[[int, str, int, Any, Any], Response]:
    """Return what makes a :class:`Response` in 0.35 µs instead of the 0.6 that a frozen class's own ``__init__`` takes.

    Like attrs itself it sets the fields of a frozen object past its ``__setattr__``, but by their slots.
    """
    new = Response.__new__
    set_id, set_method, set_status, set_result, set_limits = [
        getattr(Response, entry.name).__set__ for entry in fields(Response)
    ]

    def answered(request_id: int, method: str, status: int, result: Any, limits: Any) -> Response:
        response = new(Response)
        set_id(response, request_id)
        set_method(response, method)
        set_status(response, status)
        set_result(response, result)
        set_limits(response, limits)
        return response

    return answered


#: Make a :class:`Response` from its fields in their order.
answered: Final = _answer_maker()


def _rate_limit(entry: Any) -> RateLimit:
    if not isinstance(entry, dict):
        entry = {}

    def number(name: str) -> int:
        value = entry.get(name)
        return value if type(value) is int and value in _INT64 else 0

    def name(of: str) -> str:
        value = entry.get(of)
        return shown(value, _LONGEST_NAME) if isinstance(value, str) else ""

    return RateLimit(
        name("rateLimitType"),
        name("interval"),
        number("intervalNum"),
        number("limit"),
        number("count"),
    )


#: characters: no type of an event is longer, nor any other name that the exchange gives
_LONGEST_NAME: Final = 40


@frozen(repr=False)
class Event:
    """A message that the exchange sent without a request.

    ``type`` is the event's ``e``; ``time`` its ``E`` in ms, 0 if it has none, and in ms also where the exchange says
    it in µs (Spot with ``timeUnit=MICROSECOND``); ``data`` the whole event, untouched. ``is_gap`` marks an event made
    by this package: events may have been missed. ``subscription_id`` is, on Spot, the number of the
    subscription that brought it, ``None`` if the exchange did not tell.
    """

    type: str
    time: int
    data: dict[str, Any]
    is_gap: bool = False
    subscription_id: int | None = None
    # about how many bytes of memory it takes, for the limit on buffered events
    _size: int = field(default=0, repr=False, eq=False, kw_only=True, alias="_size")

    def __repr__(self) -> str:
        """Show the data of a gap, which this package made; the exchange's may contain a listenKey."""
        kind = self.type if len(self.type) <= _LONGEST_NAME else masked(self.type)
        data = self.data if self.is_gap else "..."
        subscription = "" if self.subscription_id is None else f", subscription_id={self.subscription_id}"
        return f"Event(type={kind!r}, time={self.time}, data={data}, is_gap={self.is_gap}{subscription})"


@frozen
class ListenKey:
    """The account's listenKey and when it lapses, in Unix seconds of the local clock.

    The hour is counted from the moment the request left, so the key never lapses earlier than this says.
    ``value`` gives access to the account's event stream: the ``repr`` masks it.
    """

    value: str = field(repr=masked)
    valid_until: float


def _masked_or_none(value: str | None) -> str:
    return "None" if value is None else masked(value)


@frozen
class SessionStatus:
    """The answer to ``session.logon``, ``session.status`` and ``session.logout`` (PROTOCOL.md §4).

    Times are in ms. Every field is optional in the protocol, so each may be ``None``.
    """

    api_key: str | None = field(repr=_masked_or_none)
    authorized_since: int | None
    connected_since: int | None
    return_rate_limits: bool | None
    server_time: int | None

    @property
    def authenticated(self) -> bool:
        """Whether this connection is logged on, by the exchange's answer."""
        return self.api_key is not None

    @classmethod
    def from_result(cls, result: Any) -> SessionStatus:
        """Read a ``result`` object; what is missing becomes ``None``."""
        get = result.get if isinstance(result, Mapping) else lambda name: None

        def time(name: str) -> int | None:
            return milliseconds(get(name)) or None

        api_key, limits = get("apiKey"), get("returnRateLimits")
        return cls(
            api_key if isinstance(api_key, str) else None,
            time("authorizedSince"),
            time("connectedSince"),
            limits if isinstance(limits, bool) else None,
            time("serverTime"),
        )


def size_of(event: Event) -> int:
    """Return about how many bytes of memory an event takes, 0 if it was made here."""
    return event._size  # noqa: SLF001
