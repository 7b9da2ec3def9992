"""listenKeys: 60 minutes each, made, extended, stopped, expired (PROTOCOL.md §5.1, §5.3)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Hashable
from typing import Final

from attrs import define, field

from binance_session.masking import masked
from binance_session.simulator.accounts import Account
from binance_session.simulator.clock import Clock, Timer

__all__ = ["ListenKeyRecord", "ListenKeys"]

_ALPHABET: Final = string.ascii_letters + string.digits


@define(eq=False)
class ListenKeyRecord:
    """One listenKey as the exchange keeps it. ``expires_at`` is in Unix seconds."""

    value: str = field(repr=masked)
    owner: Hashable = field(repr=False)
    account: Account
    expires_at: float
    timer: Timer | None = field(default=None, repr=False)


class ListenKeys:
    """The active listenKeys.

    ``lifetime`` is in seconds. ``on_end(key)`` is called once for each key that expires, or that is stopped when
    ``stop_ends`` says that clients are notified.
    """

    def __init__(
        self, clock: Clock, lifetime: float, on_end: Callable[[ListenKeyRecord], None], *, stop_ends: bool = True
    ) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._on_end = on_end
        self._stop_ends = stop_ends
        self._by_value: dict[str, ListenKeyRecord] = {}
        self._by_owner: dict[Hashable, ListenKeyRecord] = {}

    def get(self, value: str) -> ListenKeyRecord | None:
        """Return the active key of this text."""
        return self._by_value.get(value)

    def of(self, owner: Hashable) -> ListenKeyRecord | None:
        """Return the active key of an owner: an account, or one of its API keys."""
        return self._by_owner.get(owner)

    def all_of(self, account: Account) -> list[ListenKeyRecord]:
        """Return the active keys of an account: one, or one for each of its API keys."""
        return [key for key in self._by_value.values() if key.account is account]

    def start(self, owner: Hashable, account: Account) -> ListenKeyRecord:
        """Return the owner's active key, extended, or a new one."""
        key = self._by_owner.get(owner)
        if key is not None:
            return self.extend(key)
        value = "".join(secrets.choice(_ALPHABET) for _ in range(64))
        key = ListenKeyRecord(value, owner, account, self._clock.time() + self._lifetime)
        self._by_value[value] = self._by_owner[owner] = key
        self._arm(key)
        return key

    def extend(self, key: ListenKeyRecord) -> ListenKeyRecord:
        """Make a key valid for its whole lifetime from now."""
        key.expires_at = self._clock.time() + self._lifetime
        return key

    def stop(self, key: ListenKeyRecord) -> None:
        """End a key because its owner wants it."""
        self._forget(key)
        if self._stop_ends:
            self._on_end(key)

    def expire(self, key: ListenKeyRecord, *, tell: bool = True) -> None:
        """End a key as if its time had run out, and notify clients unless ``tell`` is false."""
        self._forget(key)
        if tell:
            self._on_end(key)

    def close(self) -> None:
        """Forget every key, silently, and leave no timer behind."""
        for key in list(self._by_value.values()):
            self._forget(key)

    def _arm(self, key: ListenKeyRecord) -> None:
        # An extension does not touch the timer: when it fires early, it is set again.
        key.timer = self._clock.call_at(key.expires_at, lambda: self._due(key))

    def _due(self, key: ListenKeyRecord) -> None:
        if key.expires_at > self._clock.time():
            self._arm(key)
        else:
            self.expire(key)

    def _forget(self, key: ListenKeyRecord) -> None:
        self._by_value.pop(key.value, None)
        self._by_owner.pop(key.owner, None)
        if key.timer is not None:
            key.timer.cancel()
