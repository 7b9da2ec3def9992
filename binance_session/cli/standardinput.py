"""Standard input, line by line, beside an event loop: from a pipe, a file or a terminal, on every system."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Final

__all__ = ["answer_lines", "lines_of"]

#: bytes of one line; what goes beyond is cut off
_LONGEST: Final = 1 << 20


def answer_lines(treat: Callable[[str], tuple[str, bool]], ended: Callable[[], object]) -> None:
    """Answer each line of standard input by one on standard output, until there are no more; then call ``ended``.

    ``treat(line)`` returns the answer, and whether it is the last. Both are called on the running event loop, which
    never waits for the reader of the answers: only the thread that writes them does. It ends with the program at the
    latest.
    """
    if sys.stdin is None:  # closed: its file descriptor may be a socket's now
        return
    if hasattr(
        signal, "SIGTTIN"
    ):  # in the background of a shell, reading from the terminal fails instead of stopping the process
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_follow, args=(loop, treat, ended), name="simulate: standard input", daemon=True).start()


def _follow(
    loop: asyncio.AbstractEventLoop, treat: Callable[[str], tuple[str, bool]], ended: Callable[[], object]
) -> None:
    # Neither sys.stdin nor sys.stdout: a thread that holds their locks when the program ends makes it crash.
    try:
        for line in lines_of(sys.stdin.fileno()):
            answer: Future[tuple[str, bool]] = Future()
            loop.call_soon_threadsafe(_settle, answer, treat, line)
            text, last = answer.result()
            _write(sys.stdout.fileno(), f"{text}\n".encode(errors="backslashreplace"))
            if last:
                break
        loop.call_soon_threadsafe(ended)
    except (OSError, RuntimeError):
        return  # the reader of the answers is gone, or the loop is closed


def _settle(answer: Future[tuple[str, bool]], treat: Callable[[str], tuple[str, bool]], line: str) -> None:
    try:
        answer.set_result(treat(line))
    except BaseException as error:
        answer.set_exception(error)
        raise


def lines_of(descriptor: int) -> Iterator[str]:
    """Yield the lines that come on a file descriptor, until there are no more; empty ones are left out."""
    waiting = b""
    while block := _block(descriptor):
        *lines, waiting = (waiting + block).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines if line.strip())
        waiting = waiting[:_LONGEST]
    if waiting.strip():
        yield waiting.decode(errors="replace")


def _block(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
