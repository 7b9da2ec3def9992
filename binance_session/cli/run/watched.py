"""For who watches the process: HTTP answers to ``/livez`` and ``/readyz``, and systemd's READY and WATCHDOG.

Both ask on the event loop: a process whose loop hangs is not called alive by a thread that does not.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol

from binance_session.errors import ConfigurationError
from binance_session.health import Health, answer

__all__ = ["HealthServer", "SystemdNotifier", "host_and_port"]

#: seconds in which the event loop has to answer
_PATIENCE: Final = 2.0
#: seconds between two words to systemd at most
_OFTEN: Final = 1.0
_log: Final = logging.getLogger("binance_session")


class Healthy(Protocol):
    """What tells its health, on the event loop."""

    def health(self) -> Health:
        """Return how it is."""
        ...


def host_and_port(option: str, text: str) -> tuple[str, int]:
    """Return the parts of ``HOST:PORT`` (``[::1]:8080`` for IPv6). Raises :class:`ConfigurationError`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{option} is HOST:PORT, for example 127.0.0.1:8080, not {text!r}")
    return host.strip("[]"), int(port)


class HealthServer:
    """Serves ``/livez`` and ``/readyz`` in a thread of its own, which waits for the event loop."""

    def __init__(self, healthy: Healthy, host: str, port: int) -> None:
        """Listen at once, on the running loop's behalf. Raises :class:`ConfigurationError` if that cannot be."""
        loop = asyncio.get_running_loop()

        def ask(method: str, path: str) -> tuple[int, bytes]:
            asked: concurrent.futures.Future[tuple[int, bytes]] = concurrent.futures.Future()
            try:
                loop.call_soon_threadsafe(lambda: asked.set_result(answer(healthy, method, path)))
                return asked.result(_PATIENCE)
            except (TimeoutError, RuntimeError):  # it hangs, or is closed
                return 503, b'{"error": "the event loop does not answer"}'

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server_class = type("_Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        try:
            self._server: ThreadingHTTPServer = server_class((host, port), _handler(ask))
        except OSError as error:
            raise ConfigurationError(f"--health: cannot listen on {host}:{port}: {error.strerror or error}") from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(ask: Callable[[str, str], tuple[int, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # seconds for a client that says nothing

        def _answer(self) -> None:
            status, body = ask(self.command, self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, *arguments: Any) -> None:
            """Say nothing: a probe comes every few seconds."""

    return Handler


class SystemdNotifier:
    """Tells systemd that the service is ready, then that it is alive, at half the interval of its watchdog.

    It is silent where ``NOTIFY_SOCKET`` is not set (sd_notify(3), sd_watchdog_enabled(3)).
    """

    def __init__(self, healthy: Healthy) -> None:
        self._healthy = healthy
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        own = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: seconds between two signs of life; ``None``: none are wanted
        self.interval = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) and own else None

    async def run(self) -> None:
        """Tell READY once the session is, and WATCHDOG while it is live; until cancelled."""
        is_told_ready = False
        while self._address and not (is_told_ready and self.interval is None):
            health = self._healthy.health()
            lines = [f"STATUS={'ready' if health.ready else '; '.join(health.reasons)}"]
            if health.ready and not is_told_ready:
                is_told_ready = True
                lines.append("READY=1")
            if health.live and self.interval is not None:
                lines.append("WATCHDOG=1")
            try:
                self._send("\n".join(lines))
            except OSError as error:
                _log.warning("systemd cannot be told: %s", error.strerror or error)
                return
            await asyncio.sleep(min(self.interval or _OFTEN, _OFTEN))

    def _send(self, text: str) -> None:
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), address)
