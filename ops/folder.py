"""A service's folder belongs to one process at a time: two Redis servers on the same files would ruin them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from domain.errors import StressError

LOCK_NAME: Final = ".in-use"


class FolderInUse(StressError):  # noqa: N818  # says what happened
    """Another process works in the folder."""


class HeldFolder:
    """Holds ``directory`` until ``release``, or until this process ends, however it ends. Raises FolderInUse."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = (directory / LOCK_NAME).open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise FolderInUse(
                f"{directory} is in use by another frt (process {owner}); end that one, or name another folder"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        self._file.close()
