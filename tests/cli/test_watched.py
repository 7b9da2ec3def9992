"""run, watched by others: /livez and /readyz over HTTP, systemd's READY and WATCHDOG."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from binance_session import ConfigurationError
from binance_session.cli import main
from binance_session.cli.run.watched import HealthServer, SystemdNotifier, host_and_port
from binance_session.health import Health
from tests.cli.program import TIMEOUT, running

WELL = Health(live=True, ready=True, reasons=())
BUSY = Health(live=True, ready=False, reasons=("the session is connecting",))
OVER = Health(live=False, ready=False, reasons=("the session has failed",))


class Told:
    """What tells one health after the other; the last one stays."""

    def __init__(self, *told: Health) -> None:
        self.told = list(told)

    def health(self) -> Health:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read()


async def test_the_server_answers_from_the_event_loop() -> None:
    server = HealthServer(Told(BUSY), "127.0.0.1", 0)
    try:
        assert (await asyncio.to_thread(get, server.port, "/livez"))[0] == 200
        status, body = await asyncio.to_thread(get, server.port, "/readyz?verbose")
        assert (status, json.loads(body)["reasons"]) == (503, ["the session is connecting"])
        assert await asyncio.to_thread(get, server.port, "/livez", "HEAD") == (200, b"")
        assert (await asyncio.to_thread(get, server.port, "/metrics"))[0] == 404
    finally:
        server.close()


async def test_a_loop_that_hangs_is_not_called_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binance_session.cli.run.watched._PATIENCE", 0.1)
    server = HealthServer(Told(WELL), "127.0.0.1", 0)
    try:
        with ThreadPoolExecutor(1) as pool:
            status, body = pool.submit(get, server.port, "/livez").result(TIMEOUT)  # the loop hangs until it is there
        assert (status, b"does not answer" in body) == (503, True)
    finally:
        server.close()


@pytest.mark.parametrize("text", ["8080", "localhost", ":8080", "host:port", "host:99999"])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        host_and_port("--health", text)
    assert main(["run", "--simulate", "--health", text]) == 2


def test_addresses() -> None:
    assert host_and_port("--health", "127.0.0.1:0") == ("127.0.0.1", 0)
    assert host_and_port("--health", "[::1]:8080") == ("::1", 8080)


async def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot listen on"):
            HealthServer(Told(WELL), "127.0.0.1", taken.getsockname()[1])


# systemd


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.settimeout(TIMEOUT)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    return sock


needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="systemd is Linux's")


@needs_unix
async def test_ready_is_told_once_and_the_watchdog_only_while_it_lives(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    notifier = SystemdNotifier(Told(BUSY, WELL, WELL, OVER))
    task = asyncio.create_task(notifier.run())
    told = [(await asyncio.to_thread(listener.recv, 1000)).decode() for _ in range(5)]
    task.cancel()
    listener.close()
    assert told == [
        "STATUS=the session is connecting\nWATCHDOG=1",
        "STATUS=ready\nREADY=1\nWATCHDOG=1",
        "STATUS=ready\nWATCHDOG=1",
        "STATUS=the session has failed",
        "STATUS=the session has failed",
    ]


@needs_unix
async def test_without_a_watchdog_it_ends_when_ready_was_told(listener: socket.socket) -> None:
    await SystemdNotifier(Told(WELL)).run()
    assert listener.recv(1000) == b"STATUS=ready\nREADY=1"
    listener.close()


async def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    await SystemdNotifier(Told(WELL)).run()


@needs_unix
async def test_a_socket_that_is_gone_is_warned_about_once(
    listener: socket.socket, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    listener.close()
    (tmp_path / "notify").unlink()
    await SystemdNotifier(Told(BUSY)).run()
    assert [record.getMessage()[:26] for record in caplog.records] == ["systemd cannot be told: No"]


@needs_unix
def test_a_service(listener: socket.socket) -> None:
    """The whole program, on a simulated exchange: it is ready when the account's events come."""
    with running("run", "--simulate", "--health", "127.0.0.1:0") as program:
        assert program.stderr is not None
        port = next(int(found[1]) for line in program.stderr if (found := re.search(r"told at port (\d+)", line)))
        while b"READY=1" not in listener.recv(1000):
            pass
        assert get(port, "/livez")[0] == 200
        status, body = get(port, "/readyz")
        assert (status, json.loads(body)["events_live"]) == (200, True)
    listener.close()
