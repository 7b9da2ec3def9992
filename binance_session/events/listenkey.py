"""The account's listenKey, kept alive: start, ping, stop, and the loop that runs the policy.

The only writer of the key. Documents: PROTOCOL.md §5.1 (methods, 60 minutes), §5.2 (the period), §9 (-1125).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, Protocol, TypeGuard

from binance_session.clock import ServerClock
from binance_session.errors import ApiError, IpBanned, ListenKeyNotFound, NotSent, ProtocolError, RateLimited
from binance_session.hooks import Hooks
from binance_session.keepalive import AdaptiveKeepalive, KeepalivePolicy, KeepaliveStatus
from binance_session.log import SessionLog, about, session_log
from binance_session.masking import Secrets
from binance_session.reconnect import bounded_retry_after
from binance_session.responses import ListenKey, Response
from binance_session.stats import Stats

__all__ = ["ListenKeyKeeper", "SendRequest"]


class SendRequest(Protocol):
    """Sends a request of the session's own."""

    def __call__(self, method: str, *, on_unready: Literal["wait"] | None = ...) -> Coroutine[Any, Any, Response]:
        """Return what the exchange answers; raises as ``Session.request`` does."""
        ...


class ListenKeyKeeper:
    """Owns the session's listenKey while it has one."""

    def __init__(
        self,
        request: SendRequest,
        policy: KeepalivePolicy,
        lifetime: float,
        clock: ServerClock,
        hooks: Hooks,
        stats: Stats,
        log: SessionLog | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self._log = log or session_log("session")
        #: what is masked in texts from outside: the key, and those before it
        self.secrets = secrets or Secrets()
        self._request = request
        self._policy = policy
        self._lifetime = lifetime
        self._clock = clock
        self._hooks = hooks
        self._stats = stats
        #: the key, or ``None`` when the session owns none
        self.key: ListenKey | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._valid_until = 0.0
        self._last_success = 0.0
        self._failures = 0
        self._last_error: int | None = None
        self._round_trip: float | None = None
        #: called when the key was renewed or given up, or is gone
        self.on_change: Callable[[], None] = lambda: None
        # how many use the key: the streams that are open, and the bot if it started the key itself
        self._users = 0
        self._claimed = False
        # whether somebody needs to know at once that it is alive
        self._in_doubt = False
        # the key that the exchange ended last, and when we learned it
        self._ended = ("", 0.0)
        # counts releases, so that an answer that comes after one is known to
        self._era = 0
        # when the exchange was asked last, and which complaints about the policy were made
        self._asked_at = -math.inf
        self._complaints: set[str] = set()
        self._starting: asyncio.Future[ListenKey] | None = None
        # those that nobody waits for any more
        self._forgotten: set[asyncio.Future[ListenKey]] = set()

    async def start(self) -> ListenKey:
        """Start the account's listenKey, or take over and extend the one that is active; keep it alive from now on."""
        era = self._era
        key = await self.acquire()
        self._claimed = self._claimed or era == self._era
        self.release()
        return key

    async def acquire(self) -> ListenKey:
        """Start or extend the key, and keep it alive until :meth:`release`."""
        self._users += 1
        try:
            return await self._start()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Take back one :meth:`acquire`; a key that nobody uses any more is not pinged any more."""
        self._users -= 1
        if not self._users and not self._claimed:
            self.abandon()

    @property
    def alive_at(self) -> float:
        """When the key was last known to be alive (loop time): the request that was answered so left then."""
        return self._last_success

    @property
    def lapses_at(self) -> float:
        """When the key lapses unless it is renewed (loop time); 0.0 if it has, as far as is known."""
        return self._valid_until

    def doubt(self) -> None:
        """Ask the exchange now whether the key is alive, whatever the policy; start another if it is not."""
        if self.key is not None:
            self._in_doubt = True
            self._changed.set()

    def expired(self, value: str) -> None:
        """Called when the exchange ended the key: start another."""
        if self.key is not None and self.key.value == value:
            self._valid_until = 0.0
            self._ended = (value, asyncio.get_running_loop().time())
            self._changed.set()

    async def _start(self, *, on_unready: Literal["wait"] | None = None) -> ListenKey:
        """Start the key; however many ask for it at the same time, the exchange is asked once."""
        if self._starting is None:
            starting = asyncio.get_running_loop().create_task(
                self._renew("userDataStream.start", on_unready=on_unready), name=self._log.task("listenKey")
            )
            starting.add_done_callback(self._started)
            self._starting = starting
        return await asyncio.shield(self._starting)

    def _started(self, starting: asyncio.Future[ListenKey]) -> None:
        self._forgotten.discard(starting)
        if starting is self._starting:
            self._starting = None
        if not starting.cancelled():
            starting.exception()  # marks it as retrieved: those that waited have it

    async def ping(self) -> ListenKey:
        """Extend the key by its lifetime; on -1125 the key is gone, and the loop starts a new one."""
        try:
            return await self._renew("userDataStream.ping")
        except ListenKeyNotFound:
            if self.key is not None:
                self._is_gone()
            raise

    def _is_gone(self) -> None:
        self._valid_until = 0.0
        self._changed.set()
        self.on_change()

    async def stop(self, *, unless_used: bool = False) -> None:
        """End the key, for every client of the account; keep nothing alive any more.

        ``unless_used``: who stops it has yet to let go of it; if others began to use it meanwhile, they get another.
        """
        sent = asyncio.get_running_loop().time()
        with contextlib.suppress(ListenKeyNotFound):  # then it is what was asked for
            await self._request("userDataStream.stop")
        if not unless_used or self._users <= 1:
            self.abandon()
        elif self.key is not None and self._last_success <= sent:
            self._is_gone()

    def abandon(self) -> None:
        """Forget the key without telling the exchange: it lapses by itself, or lives on for others."""
        self._era += 1
        self._claimed = self._in_doubt = False
        if self._starting is not None:  # a call that comes now wants a key that is kept
            self._forgotten.add(self._starting)
            self._starting = None
        self._set(None)
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.on_change()

    async def _renew(self, method: str, *, on_unready: Literal["wait"] | None = None) -> ListenKey:
        loop = asyncio.get_running_loop()
        sent, sent_wall = loop.time(), self._clock.wall()
        era = self._era
        self._asked_at = sent
        response = await self._request(method, on_unready=on_unready)
        result = response.result
        value = result.get("listenKey") if isinstance(result, dict) else None
        if not _is_key(value):
            what = "without a listenKey" if value is None else "with what can be no listenKey"
            raise ProtocolError(f"{method} was answered {what}", request_id=response.request_id, method=method)
        key = ListenKey(value, sent_wall + self._lifetime)
        if value == self._ended[0] and sent <= self._ended[1]:  # the answer was on its way when the key ended
            return key
        if era != self._era:  # released meanwhile: the key is the caller's, and nobody keeps it alive
            return key
        self._last_success = sent
        self._valid_until = sent + self._lifetime
        self._failures = 0
        self._last_error = None
        self._in_doubt = False
        self._round_trip = loop.time() - sent
        self._set(key)
        if self._task is None:
            self._task = loop.create_task(self._keep(), name=self._log.task("keepalive"))
        self._changed.set()
        self.on_change()
        return key

    def _set(self, new: ListenKey | None) -> None:
        old, self.key = self.key, new
        if (old and old.value) == (new and new.value):
            return
        if old is not None:
            self.secrets.discard(old.value)
        if new is not None:
            self.secrets.add(new.value)
        if self._hooks.on_listen_key is not None:
            self._hooks.on_listen_key(old, new)

    # The loop

    def status(self, now: float) -> KeepaliveStatus:
        """Return what a policy is asked with at ``now`` (loop time)."""
        return KeepaliveStatus(
            now, self._valid_until, self._last_success, self._failures, self._last_error, self._round_trip
        )

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        hasty = waited = False
        while True:
            self._changed.clear()
            if self._valid_until <= 0.0:
                # Keys that expire as soon as they are made are not made without end.
                await asyncio.sleep(max(0.0, self._last_success + _RESTART_DELAY - loop.time()) if hasty else 0.0)
                hasty = loop.time() - self._last_success < _HASTY
                await self._attempt("userDataStream.start")
                waited = False
                continue
            if not self._in_doubt and not waited:
                delay = self._next_delay(self.status(loop.time()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
                        continue
            lapsed = loop.time() >= self._valid_until
            waited = await self._attempt("userDataStream.start" if lapsed else "userDataStream.ping")

    async def _attempt(self, method: str) -> bool:
        """Ping once, or start anew when the key is gone, and tell what came of it.

        Return whether the pause before the next attempt, which the policy sets otherwise, is over already.
        """
        loop = asyncio.get_running_loop()
        waited = False
        try:
            if method == "userDataStream.start":
                await self._start(on_unready="wait")
            else:
                await self._renew(method, on_unready="wait")
        except (Exception, asyncio.CancelledError) as error:
            # Also what an overridden `prepare` raises must not end the pings; were they cancelled, the task would be.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            # After SessionClosed the key is kept too: the session lets go of it when it tells why it ended.
            self._failures += 1
            self._last_error = error.code if isinstance(error, ApiError) else 0
            self._stats.failed_pings += 1
            what, text = type(error).__name__, self.secrets.clean(str(error)) or "it says no more"
            self._log.warning("%s failed (%d in a row): %s: %s", method, self._failures, what, text, extra=about(error))
            is_lapsed = loop.time() >= self._valid_until
            if isinstance(error, ListenKeyNotFound):
                self._is_gone()
            if isinstance(error, RateLimited) and error.retry_at is not None:
                wait = bounded_retry_after(error.retry_at - self._clock.now(), is_ban=isinstance(error, IpBanned))
                await asyncio.sleep(min(wait, self._lifetime))
            elif (
                method == "userDataStream.start"
                or (self._in_doubt and not isinstance(error, ListenKeyNotFound))
                or (is_lapsed and isinstance(error, NotSent))
            ):
                delay = min(self._next_delay(self.status(loop.time())) or _RESTART_DELAY, _LONGEST_RESTART)
                if self._in_doubt:
                    delay = min(delay, _RESTART_DELAY)
                if isinstance(error, NotSent):  # it waited for a connection, and is to be the first on it
                    delay = min(delay, _QUEUE_AGAIN)
                await asyncio.sleep(delay)
                waited = True
        else:
            self._stats.pings += 1
        if self._hooks.on_keepalive is not None:
            self._hooks.on_keepalive(self.status(loop.time()))
        return waited

    def _next_delay(self, status: KeepaliveStatus) -> float | None:
        """Ask the policy; hold one that is too eager, and say once what is wrong with it."""
        delay = self._hooks.ask(self._policy, _FALLBACK, status)
        if delay is None:
            return None
        least = self._asked_at + _LEAST_DELAY - status.now
        if delay < least:
            self._complain("is held to", f"one ping in {_LEAST_DELAY:g} s: it asked for one after {delay:g} s")
        left = (status.valid_until or 0.0) - status.now
        if not status.consecutive_failures and 0 < left < delay:
            self._complain("lets the listenKey lapse", f"{delay - left:.0f} s before the next ping")
        return max(delay, least)

    def _complain(self, what: str, how: str) -> None:
        if what not in self._complaints:
            self._complaints.add(what)
            self._log.warning("the keepalive policy %r %s %s", self._policy, what, how)


def _is_key(value: object) -> TypeGuard[str]:
    """Tell whether a listenKey can be sent and shown: printable ASCII without white space, of a sane length."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_KEY
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


_FALLBACK: Final = AdaptiveKeepalive()
#: characters of a listenKey; the exchange's have 64
_LONGEST_KEY: Final = 512
#: seconds from one ping to the next, however eager the policy
_LEAST_DELAY: Final = 1.0
#: seconds between attempts to start a key that is gone, however patient the policy: nothing is heard meanwhile
_LONGEST_RESTART: Final = 30.0
#: seconds between attempts to start a lapsed key when the policy asks for none, or while its state is in doubt
_RESTART_DELAY: Final = 5.0
#: seconds until a request that found no connection waits for one again
_QUEUE_AGAIN: Final = 1.0
#: seconds that a key should last
_HASTY: Final = 10.0
