"""When to ask about a request, and when enough is known: a state machine without a clock or I/O.

Queries are repeated at growing distances until one decides, or until the time is over, and one is sent as soon as the
exchange's clock passes the moment after which the request can do nothing any more. A query that could not be sent, or
was not answered, decides nothing and is repeated. Nothing that changes anything is ever sent.
"""

from __future__ import annotations

from typing import Any, Final

from binance_session.errors import ApiError, BinanceSessionError, RateLimited
from binance_session.masking import shown
from binance_session.responses import Event
from binance_session.settlement.fate import Fate, unsure
from binance_session.settlement.questions import known_by_its_answer
from binance_session.settlement.sent import Sent
from binance_session.settlement.steps import ARCHIVED, UNKNOWN_ORDER, Ask, More, Question, Wait

__all__ = ["Settlement"]

#: seconds between the first two queries, and between two at most; each distance is twice the one before
_FIRST: Final = 0.5
_LONGEST: Final = 8.0
#: seconds until a query that could not be sent is tried again
_UNSENT: Final = 1.0
#: seconds by which a query is later than the moment that it waits for
_SURELY: Final = 0.002


class Settlement:
    """Finds out about one request.

    ``time`` is seconds of any clock that does not step; ``now`` is the exchange's time in ms, as it would be written
    into a query's ``timestamp`` now. Call :meth:`next` for the next step, and after each of the other calls.
    """

    def __init__(self, method: str, question: Question, sent: Sent, within: float, time: float) -> None:
        self._method = method
        self._question = question
        self._sent = sent
        self._within = within
        self._begun = time
        self._until = time + within
        self._ask_at = time
        self._distance = _FIRST
        self._asking: Ask | None = None
        # when it left, by both clocks
        self._asked_at, self._sent_at = 0.0, time - _FIRST
        # whether to ask again as soon as the query that is out is answered
        self._again = False
        self._failure: Exception | None = None
        self._fate: Fate | None = None
        #: how many queries were sent
        self.asked = 0

    def left(self, time: float) -> float:
        """Return the seconds until its time is over."""
        return self._until - time

    def elapsed(self, time: float) -> float:
        """Return the seconds since it began."""
        return time - self._begun

    def next(self, time: float, now: float, *, hears: bool = True) -> Ask | Wait | Fate:
        """Return what to do now; a :class:`Fate` is the end.

        ``hears``: whether an event or a late answer can still come.
        """
        if self._fate is None and time >= self._until:
            decided = self._question.decided
            self._fate = self._unknown(now) if decided is None else decided
        if self._fate is not None:
            return self._fate.after(self.asked, time - self._begun)
        if self._asking is not None:
            return Wait(self._until - time)
        ask = self._question.ask()
        if ask is None:
            if hears:
                return Wait(self._until - time)
            return unsure(self._question.pending).after(self.asked, time - self._begun)
        if time < self._ask_at:
            return Wait(min(self._ask_at, self._until) - time)
        self._asking, self._asked_at, self._sent_at, self._again = ask, now, time, False
        self.asked += 1
        return ask

    def answered(self, result: Any, time: float, now: float) -> None:
        """Take the ``result`` of the query that is out."""
        if (ask := self._taken()) is not None:
            self._failure = None
            self._judge(self._question.answered(ask, result, self._asked_at), time, now)

    def failed(self, error: Exception, time: float, now: float) -> None:
        """Take the error of the query that is out: the exchange's answer, or that there is none."""
        if (ask := self._taken()) is None:
            return
        if isinstance(error, ApiError) and error.code in (UNKNOWN_ORDER, ARCHIVED):
            self._failure = None
            self._judge(self._question.refused(ask, error, self._asked_at), time, now)
            return
        self._failure = error
        if isinstance(error, BinanceSessionError) and error.outcome == "not_sent":
            self.asked -= 1
            self._ask_at = time + _UNSENT
        else:
            self._later(time, now)
        if isinstance(error, RateLimited) and error.retry_in is not None:
            self._ask_at = max(self._ask_at, time + error.retry_in)

    def heard(self, event: Event, time: float) -> None:
        """Take an event of the account."""
        if self._fate is not None:
            return
        found = self._question.heard(event)
        if found is More.NOW:
            self._again = True
            if self._asking is None:
                self._ask_at = min(self._ask_at, self._soon(time))
        elif isinstance(found, Fate):
            self._fate = found

    def late(self, answer: Any) -> None:
        """Take the answer to the request itself, its ``result`` or the error."""
        if self._fate is None:
            self._fate = known_by_its_answer(self._method, answer)

    def _taken(self) -> Ask | None:
        ask, self._asking = self._asking, None
        return ask if self._fate is None else None

    def _judge(self, found: Fate | More, time: float, now: float) -> None:
        if isinstance(found, Fate):
            self._fate = found
        elif found is More.NOW:
            self._ask_at = time
        else:
            self._later(time, now)

    def _later(self, time: float, now: float) -> None:
        """Ask again at twice the distance, or when the request can do nothing any more, or soon if it was heard of."""
        at = time + self._distance
        left = (self._sent.over_at - now) / 1000 + _SURELY
        if left > 0:
            at = min(at, time + left)
        self._distance = min(2 * self._distance, _LONGEST)
        self._ask_at = min(at, self._soon(time)) if self._again else at

    def _soon(self, time: float) -> float:
        """Return when to ask because something was heard: now, unless that happens all the time."""
        return max(time, self._sent_at + _FIRST)

    def _unknown(self, now: float) -> Fate:
        """Return that the time is over, and why nothing is known."""
        if self._failure is not None:
            said = f"{type(self._failure).__name__}: {self._failure}"
            return unsure(f"the exchange could not be asked: {shown(said, 200)}")
        if not self._sent.is_over(now) and self._question.ask() is not None:
            left = f"{(self._sent.over_at - now) / 1000:.1f} s"
            return unsure(f"{self._question.pending}; {self._within:g} s were too short: it may be executed for {left}")
        return unsure(self._question.pending)
