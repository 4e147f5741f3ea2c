"""The web server as a process of its own, over the Redis it is given."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys
from pathlib import Path
from api.serve import serve
from domain.runtime.settings import load
serve(load(os.environ), on_ready=lambda port: Path(sys.argv[1]).write_text(str(port)))
"""
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProcess:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def api_process(folder: Path, redis_url: str, *, before: str = "", **settings: str) -> Iterator[ApiProcess]:
    """It listens once this is entered. ``settings`` by their lower-case names; ``before``: code that runs first."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FRT_")}
    wanted = {"redis_url": redis_url, "api_port": "0", "https_port": "0", "log_format": "json", "data_dir": str(folder)}
    wanted |= settings
    env |= {f"FRT_{name.upper()}": value for name, value in wanted.items()}
    ready, log = folder / "port", folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", before + PROGRAM, str(ready)], cwd=ROOT, env=env, stderr=stream
        )
    try:
        deadline, pause = time.monotonic() + DEADLINE_S, Event()
        while not (ready.exists() and ready.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            pause.wait(0.02)
        yield ApiProcess(process=process, port=int(ready.read_text()), log=log)
    finally:
        process.terminate()
        process.wait(timeout=DEADLINE_S)
