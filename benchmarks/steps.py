"""The steps of the hot path, one by one, as the session itself takes them.

A step is a call into the package and something that makes fresh arguments for it; what it does to a session in memory
is real. This is the one file here that knows how the package is built inside, and changes with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from attrs import frozen

from benchmarks.wire import MemorySession, answers
from benchmarks.workload import ORDER, PACKAGES

__all__ = ["ANSWER", "REQUEST", "Step", "forget", "steps"]

_METHOD, _PARAMS = ORDER
#: the steps that are whole walks
REQUEST: Final = "a request, whole"
ANSWER: Final = "an answer, whole"
#: bytes before the payload of an unmasked frame of 126 to 65,535 bytes
_HEADER: Final = 4


@frozen
class Step:
    """One step: ``call(*arguments)`` for each of the ``arguments`` that ``prepare(count)`` makes."""

    name: str
    call: Callable[..., Any]
    prepare: Callable[[int], Sequence[tuple[Any, ...]]]


class _Deaf:
    """Takes what a connection receives in a link's stead, and does nothing; its end is the link's matter still."""

    def __init__(self, link: Any) -> None:
        self.connection_ending = link.connection_ending

    def message_received(self, data: object) -> None:
        """Do nothing."""


def steps(memory: MemorySession, decoder: str) -> list[Step]:
    """Return the steps of ``memory``'s session, which uses ``decoder``; nobody else answers it."""
    session = memory.session
    module = PACKAGES[decoder].Session.__init__.__globals__
    decode: Any = module["Link"].submit.__globals__["decode"]
    link: Any = session._admission.link
    router, connection, encoder = link.router, link._connection, link._encoder
    response: Any = module["Router"].resolve.__globals__["answered"]
    spec = session.venue.method(_METHOD)
    memory.wire.drop()

    # Held here, as by callers that wait: else what an answer leaves behind would be gone with its future.
    futures: list[Any] = []

    def replies(count: int) -> list[bytes]:
        """Return the answers to ``count`` requests that are in flight now, as frames."""
        written = memory.wire.record()
        futures[:] = [session.submit(_METHOD, _PARAMS) for _ in range(count)]
        memory.wire.drop()
        return answers(written)

    def callers(count: int) -> list[tuple[Any, ...]]:
        """Return coroutines that wait for answers which have come."""
        written = memory.wire.record()
        coroutines = [session.request(_METHOD, _PARAMS) for _ in range(count)]
        for coroutine in coroutines:
            coroutine.send(None)
        memory.wire.drop()
        connection._receiver = link
        for reply in answers(written):
            connection.data_received(reply)
        return [(coroutine,) for coroutine in coroutines]

    def scan(count: int) -> list[tuple[Any, ...]]:
        connection._receiver = _Deaf(link)
        return [(reply,) for reply in replies(count)]

    def answer(count: int) -> list[tuple[Any, ...]]:
        connection._receiver = link
        return [(reply,) for reply in replies(count)]

    def again(*arguments: Any) -> Callable[[int], list[tuple[Any, ...]]]:
        return lambda count: [arguments] * count

    def ids(count: int) -> list[tuple[Any, ...]]:
        return [(next(link._ids), spec, None, True) for _ in range(count)]

    def responses(count: int) -> list[tuple[Any, ...]]:
        envelopes = [decode(reply[_HEADER:]) for reply in replies(count)]
        return [(envelope.id, spec.name, 200, envelope.result, envelope.limits) for envelope in envelopes]

    data = encoder.encode(1, spec, _PARAMS, True)
    return [
        Step("encode a request", encoder.encode, again(1, spec, _PARAMS, True)),
        Step("register its future", router.register, ids),
        Step("write its frame", connection.write, again(data)),
        Step(REQUEST, session.submit, again(_METHOD, _PARAMS)),
        Step("scan a frame", connection.data_received, scan),
        Step("decode it", decode, lambda count: [(reply[_HEADER:],) for reply in replies(count)]),
        Step(
            "route it, and end its future",
            router.resolve,
            lambda count: [(decode(reply[_HEADER:]),) for reply in replies(count)],
        ),
        Step("build a Response", response, responses),
        Step("resume its caller", _resume, callers),
        Step(ANSWER, connection.data_received, answer),
    ]


def forget(memory: MemorySession) -> None:
    """Cancel what the steps left in flight, of which closing the session would complain."""
    for future in memory.session._admission.link.router.futures():
        future.cancel()


def _resume(coroutine: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
