"""Windows has no uvloop, no fcntl and no fork: the tests can be collected there, and the package imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Takes away what Windows lacks, after what is not ours has been imported, and then runs what follows.
TAKE_AWAY = """
import asyncio, multiprocessing.popen_fork, multiprocessing.util, os, select, shutil, signal, socket, subprocess, sys
import tempfile, pytest

for name in (
    "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty", "uvloop",
    "asyncio.unix_events",
):
    sys.modules[name] = None
for module, names in {
    os: "fork forkpty getuid geteuid getgid setsid getpgid killpg mkfifo openpty sched_getaffinity sched_setaffinity "
    "getloadavg sysconf register_at_fork WNOHANG O_NONBLOCK chown",
    signal: "SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGSTOP SIGCONT SIGQUIT alarm setitimer pthread_kill",
    socket: "AF_UNIX AF_NETLINK SO_REUSEPORT MSG_DONTWAIT",
    select: "epoll poll",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""


def without_unix(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", TAKE_AWAY + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.long
def test_every_test_is_collected() -> None:
    run = without_unix('sys.exit(pytest.main("--collect-only -qq -p no:cacheprovider -p no:xdist".split()))')
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert len(run.stdout.splitlines()) > 50


@pytest.mark.parametrize("module", ["binance_session", "binance_session.simulator", "binance_session.cli"])
def test_a_module_is_imported(module: str) -> None:
    run = without_unix(f"import {module}")
    assert run.returncode == 0, run.stderr
