"""Whether the peer is there: by pings of our own, by the server's, and by whatever arrives.

Bytes that arrive prove the way here; a pong, or an answer, proves the way there too. A late pong is no reason to give a
line up: that is done when nothing comes at all, or when for a minute nothing shows that what is written arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
from os import urandom
from typing import Final, Protocol

from binance_session.websocket.intake import Intake

__all__ = ["Line", "Liveness"]

#: seconds for a sign of life after a ping that was sent because the connection is in doubt
_CHECK_TIMEOUT: Final = 2.0
_LONG_CHECK_TIMEOUT: Final = 10.0
#: seconds by which a timer is late when something blocked the loop
_BLOCKED: Final = 0.05
#: how many times in a row that is believed
_BLOCKED_AT_MOST: Final = 6
#: seconds by which clocks round
_ROUNDED: Final = 0.001
#: seconds for which data may arrive while nothing shows that what is written here arrives there
_ONE_WAY: Final = 60.0
#: bytes of a message under way that is large: on a slow line it takes its time; so much must come of it in each minute
_LARGE: Final = 64 * 1024


class Line(Protocol):
    """A connection, as far as its life is judged."""

    loop: asyncio.AbstractEventLoop

    @property
    def writable(self) -> bool:
        """Whether a message written now has a way to the exchange."""
        ...

    @property
    def unfinished(self) -> int:
        """How many bytes have come of a message whose end has not."""
        ...

    def answers(self) -> int:
        """Return how many answers have come."""
        ...

    def ping(self, text: bytes) -> None:
        """Send a ping that says ``text``."""

    def cut(self, cause: str) -> None:
        """End the connection without a word to the peer."""

    def broke(self, error: Exception) -> None:
        """End it because something raised that must not."""


class Liveness:
    """Judges one line, from :meth:`start` to :meth:`stop`. Times are the event loop's, in seconds."""

    def __init__(
        self,
        line: Line,
        intake: Intake,
        ping_interval: float | None,
        ping_timeout: float | None,
        server_ping_interval: float | None,
        task_name: str,
    ) -> None:
        """Ping every ``ping_interval`` seconds; ``None``: expect the server's pings, each ``server_ping_interval``."""
        self._line = line
        self._intake = intake
        self._loop = line.loop
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._server_ping_interval = server_ping_interval
        self._task_name = task_name
        # pings that were not answered yet, by what they say, and when each left
        self._pings: dict[bytes, tuple[asyncio.Future[None], float]] = {}
        #: when something was last heard; to be kept up while :attr:`listens`
        self.heard_at = 0.0
        self.listens = False
        #: when a control frame last came
        self.control_at = 0.0
        # when a pong or an answer last proved that what is written arrives
        self._arrived_at = 0.0
        #: up to when all that the peer sent has certainly arrived
        self.proven_at = 0.0
        #: of the last ping that was answered
        self.round_trip: float | None = None
        self._check_asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def silent_for(self) -> float:
        """The seconds since a frame is known to have come, 0.0 while the bot wants nothing read.

        The frames of answers are not noted one by one.
        """
        if not self._intake.reading.is_set():
            return 0.0
        return self._loop.time() - max(self.control_at, self.heard_at, self._arrived_at)

    def start(self) -> None:
        """Begin to judge: the line has just been opened."""
        self.control_at = self._arrived_at = self.proven_at = self._loop.time()
        self._task = self._loop.create_task(self._keep_alive(), name=self._task_name)

    def stop(self) -> None:
        """Leave no task, and no one waiting for a pong."""
        if self._task is not None:
            self._task.cancel()
        for pong, _ in self._pings.values():
            pong.cancel()

    def _ping(self) -> tuple[bytes, asyncio.Future[None]]:
        """Send a ping; return what it says, and the future that ends with its pong."""
        text = urandom(4)
        pong = self._loop.create_future()
        self._pings[text] = (pong, self._loop.time())
        self._line.ping(text)
        return text, pong

    def ponged(self, text: bytes) -> None:
        """Take a pong; it answers the pings before, too (RFC 6455 §5.5.3)."""
        if text not in self._pings:
            return
        self._arrived_at = self.control_at
        for ping in list(self._pings):
            pong, sent = self._pings.pop(ping)
            if not pong.done():
                pong.set_result(None)
            if ping == text:  # the pong was sent after the ping had come, and after all that was sent before
                self.proven_at = max(self.proven_at, sent)
                self.round_trip = self.control_at - sent
                return

    async def confirm(self, timeout: float | None) -> bool:
        """Ping, and return whether the pong came within ``timeout`` seconds."""
        await self._intake.reading.wait()
        if not self._line.writable:
            return False
        text, pong = self._ping()
        # Not under asyncio.timeout: after the loop was blocked, the timer and the pong are due in the same turn, and
        # the timer would win. And a loop that was blocked has had no time to wait.
        blocked = 0
        try:
            while not pong.done() and blocked < _BLOCKED_AT_MOST:
                began, pauses = self._loop.time(), self._intake.pauses
                await asyncio.wait([pong], timeout=timeout)
                if pong.done():
                    break
                if self._intake.pauses != pauses or not self._intake.reading.is_set():  # nor one that did not read
                    await self._intake.reading.wait()
                elif timeout is None or self._loop.time() - began < timeout + _BLOCKED:
                    break
                else:
                    blocked += 1
        finally:
            self._pings.pop(text, None)
        return pong.done() and not pong.cancelled()

    async def _why_dead(self, timeout: float | None) -> str | None:
        """Ping, and return why the line must be given up, or ``None`` when it lives.

        It lives while anything comes, however slowly, and however late the pong. Where data come and neither a pong nor
        an answer does, nothing that is written here may be arriving: that is given up as well, after a minute.
        """
        text, pong = self._ping()
        sent, answers, blocked, unfinished = self._loop.time(), self._line.answers(), 0, 0
        patience = _ONE_WAY if timeout is None else max(_ONE_WAY, timeout)
        self.heard_at, self.listens = sent, True
        try:
            while True:
                began, pauses = self._loop.time(), self._intake.pauses
                one_way = max(sent, self._arrived_at) + patience
                until = one_way if timeout is None else min(one_way, self.heard_at + timeout)
                wait = max(0.0, until - began)
                await asyncio.wait([pong], timeout=wait)
                now = self._loop.time()
                if pong.done():
                    return None
                if self._intake.pauses != pauses or not self._intake.reading.is_set():  # paused: nothing heard
                    await self._intake.reading.wait()
                    sent = self.heard_at = self._loop.time()
                elif now - began >= wait + _BLOCKED and blocked < _BLOCKED_AT_MOST:  # blocked: likewise
                    blocked += 1
                    self.heard_at = now
                elif timeout is not None and now - self.heard_at >= timeout - _ROUNDED:
                    return f"no pong within {timeout:g} s, nor anything else"
                elif self._line.answers() != answers:
                    answers, self._arrived_at = self._line.answers(), now
                elif abs(self._line.unfinished - unfinished) > _LARGE:
                    # The pong can only come behind the message that is under way, as long as that gets on.
                    sent, unfinished = now, self._line.unfinished
                elif self.heard_at > sent and now >= one_way - _ROUNDED:
                    return f"data arrive, and nothing written here has been answered for {patience:g} s"
                elif now >= one_way - _ROUNDED:
                    sent = now  # without a ping_timeout silence is no reason
        finally:
            self.listens = False
            self._pings.pop(text, None)

    def check(self) -> None:
        """Ping now instead of at the next interval, and wait less long for a sign of life than usual."""
        self._check_asked.set()

    async def _keep_alive(self) -> None:
        """Judge whether the peer is there: by pings of our own, or else by the server's."""
        try:
            if self._ping_interval is not None:
                await self._keep_pinging(self._ping_interval)
            elif self._server_ping_interval is not None:
                await self._expect_pings(self._server_ping_interval)
        except Exception as error:
            self._line.broke(error)

    async def _keep_pinging(self, interval: float) -> None:
        """Ping at regular intervals, and cut the connection when the line is dead.

        Without a closing handshake: a peer that is not there would not answer it.
        """
        while True:
            timeout = self._ping_timeout
            self._check_asked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._check_asked.wait()
                    timeout = _CHECK_TIMEOUT if timeout is None else min(_CHECK_TIMEOUT, timeout)
            await self._intake.reading.wait()
            why = await self._why_dead(timeout)
            if why is not None:
                self._line.cut(why)
                return

    async def _expect_pings(self, interval: float) -> None:
        """Ask a server that has missed two of its own pings, and cut the connection if it does not answer.

        Only asked, because the documents' cadence has changed before (PROTOCOL.md §1.3).
        """
        while True:
            await asyncio.sleep(self.control_at + 2.5 * interval - self._loop.time())
            await self._intake.reading.wait()
            if self._loop.time() - self.control_at < 2.5 * interval - _ROUNDED:
                continue
            if await self._why_dead(_LONG_CHECK_TIMEOUT) is not None:
                self._line.cut(f"the server has not pinged for {2.5 * interval:.0f} s")
                return
            self.control_at = self._loop.time()  # data may come, and no pong
