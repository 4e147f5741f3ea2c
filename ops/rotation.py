"""Log files of children, rotated by size: the children write on into the same file, so it is copied and emptied.

A line that is written in the moment between the last copy and the emptying is lost; journald and Docker, which rotate
the output of services, have no such moment.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final

LOOK_EVERY_S: Final = 1.0


class LogRotation:
    """``x.log`` -> ``x.log.1`` -> ... -> ``x.log.<backups>``, for every log of a folder opened for appending."""

    def __init__(self, directory: Path, max_bytes: int, backups: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._backups = backups
        self._stop = Event()
        self._thread = Thread(target=self._run, name="log-rotation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def rotate(self) -> list[Path]:
        """Look once; the logs that were rotated."""
        rotated = []
        for log in sorted(self._directory.glob("*.log")):
            if log.stat().st_size >= self._max_bytes:
                self._rotate(log)
                rotated.append(log)
        return rotated

    def _rotate(self, log: Path) -> None:
        for number in range(self._backups, 1, -1):
            older, newer = self._numbered(log, number), self._numbered(log, number - 1)
            if newer.exists():
                newer.replace(older)
        with log.open("r+b") as source, self._numbered(log, 1).open("wb") as copy:
            while source.tell() < os.fstat(source.fileno()).st_size:
                shutil.copyfileobj(source, copy)
            source.truncate(0)

    @staticmethod
    def _numbered(log: Path, number: int) -> Path:
        return log.with_name(f"{log.name}.{number}")

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            with suppress(OSError):  # a full disk may have room at the next look
                self.rotate()
