"""From a host's name to a connected socket: name look-ups, and whichever of several addresses answers first.

A look-up runs in a thread of its own, not in the event loop's default executor: a resolver that hangs would use up the
bot's threads, and keep the process from ending. Documents: RFC 8305 (a second address while the first is silent).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain, zip_longest
from threading import Thread
from typing import Any, Final, Literal

__all__ = ["AddressInfo", "Family", "bind", "connect_first", "connect_tcp", "look_up", "reach"]

Family = Literal["ipv4", "ipv6"]
#: (family, type, protocol, canonical name, address), as ``socket.getaddrinfo`` gives them
AddressInfo = tuple[int, int, int, str, Any]

#: seconds for which the first address is silent before the second is tried beside it (RFC 8305 §5)
_HEAD_START: Final = 0.25
_FAMILIES: Final = {None: socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
#: what a look-up says of a host that has addresses of the other family only; not every system knows both
_NONE_OF_THE_FAMILY: Final = frozenset(
    getattr(socket, name) for name in ("EAI_ADDRFAMILY", "EAI_NODATA") if hasattr(socket, name)
)
#: event loops whose own look-ups run in a pool of threads that others wait for
_ORDINARY: Final = ("asyncio", "uvloop")


async def look_up(host: str, port: int, family: Family | None, local_addr: str | None) -> list[AddressInfo]:
    """Return the addresses of ``host``, the kinds of address by turns; only those that ``local_addr`` can reach.

    An event loop that brings its own ``getaddrinfo`` is asked with it. Raises :class:`OSError` when there are none.
    """
    wanted = _FAMILIES[family]
    if local_addr is not None:
        wanted = socket.AF_INET6 if ipaddress.ip_address(local_addr).version == 6 else socket.AF_INET
    loop = asyncio.get_running_loop()
    found: list[Any]
    try:
        if not _brings_its_own(loop):
            found = await _look_up_aside(loop, host, port, wanted)
        else:
            found = await loop.getaddrinfo(host, port, family=wanted, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if wanted == socket.AF_UNSPEC or not (error.errno in _NONE_OF_THE_FAMILY or _is_address(host)):
            raise
        found = []
    found = [info for info in dict.fromkeys(found) if wanted in (socket.AF_UNSPEC, info[0])]
    if not found and wanted == socket.AF_UNSPEC:
        raise OSError("the host has no usable address")
    if not found:
        kind = "ipv6" if wanted == socket.AF_INET6 else "ipv4"
        raise OSError(f"the host has no {kind} address, and {'family' if family else 'local_addr'} allows no other")
    first = [info for info in found if info[0] == found[0][0]]
    others = [info for info in found if info[0] != found[0][0]]
    return [info for info in chain.from_iterable(zip_longest(first, others)) if info is not None]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _brings_its_own(loop: asyncio.AbstractEventLoop) -> bool:
    if "getaddrinfo" in getattr(loop, "__dict__", {}):
        return True
    owner = next(kind for kind in type(loop).__mro__ if "getaddrinfo" in vars(kind))
    return owner.__module__.partition(".")[0] not in _ORDINARY


async def _look_up_aside(loop: asyncio.AbstractEventLoop, host: str, port: int, family: int) -> list[Any]:
    """Look a name up in a thread that nothing waits for at the end of the process."""
    if _is_address(host):
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def settle(found: Any, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def ask() -> None:
        found, failure = None, None
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, found, failure)

    Thread(target=ask, name="binance_session name look-up", daemon=True).start()
    return await answer


async def connect_first(
    addresses: Sequence[AddressInfo],
    connect: Callable[[AddressInfo], Coroutine[Any, Any, socket.socket]],
    task_name: str | None = None,
) -> socket.socket:
    """Return the first socket that ``connect`` brings; an address that is silent does not keep the next waiting.

    Raises the last :class:`OSError` when none can be had, or the only one.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    waiting = deque(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    connected: list[socket.socket] = []
    failure: OSError | None = None
    try:
        while not connected and (waiting or attempts):
            if waiting:
                attempts.add(asyncio.create_task(connect(waiting.popleft()), name=task_name))
            done, attempts = await asyncio.wait(
                attempts, timeout=_HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                try:
                    connected.append(attempt.result())
                except OSError as error:
                    failure = error
    finally:
        for attempt in attempts:
            attempt.cancel()
        for late in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(late, socket.socket):
                late.close()
        for spare in connected[1:]:
            spare.close()
    if not connected:
        assert failure is not None
        raise failure
    return connected[0]


async def connect_tcp(info: AddressInfo, local_addr: str | None) -> socket.socket:
    """Return a socket that is connected to an address, from ``local_addr`` if one is given."""
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if local_addr is not None:
            bind(sock, local_addr)
        await reach(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def bind(sock: socket.socket, local_addr: str) -> None:
    """Have a socket leave from ``local_addr``."""
    try:
        sock.bind((local_addr, 0))
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        raise OSError(f"local_addr {local_addr} is no address of this machine") from error


async def reach(sock: socket.socket, address: Any) -> None:
    """Connect a non-blocking socket to an address that needs no look-up, on whatever event loop."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.BaseEventLoop):
        await loop.sock_connect(sock, address)
        return
    # uvloop's own would look the address up once more, and take the first that the look-up tells
    with contextlib.suppress(BlockingIOError, InterruptedError):
        sock.connect(address)
        return
    connected = loop.create_future()
    descriptor = sock.fileno()
    loop.add_writer(descriptor, _settle, connected)
    try:
        await connected
    finally:
        loop.remove_writer(descriptor)
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
