"""``faults.jsonl``: every fault, one line each, in the order in which they were found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from domain.files.writing import FILE_MODE

BATCH: Final = 500

Read = Callable[[int, int], list[str]]  # (first number, how many) -> JSON texts


class FaultFile:
    """Grows only. A row that was cut off is not counted, and written again."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "faults.jsonl"
        self._count: int | None = None

    def append(self, read: Read) -> None:
        """Add what the file lacks."""
        count = len(self._whole_rows(cut=True)) if self._count is None else self._count
        while found := read(count, BATCH):
            self._write("".join(f"{text}\n" for text in found).encode())
            count += len(found)
        self._count = count

    def read(self) -> list[str]:
        """The JSON of every fault."""
        return [row.decode() for row in self._whole_rows()]

    def _whole_rows(self, *, cut: bool = False) -> list[bytes]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        if cut and len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        return whole.splitlines()

    def _write(self, rows: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            left = memoryview(rows)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
