"""``faults.jsonl``: every fault, one line each, in the order in which they were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from domain.files.writing import append_rows

BATCH: Final = 500

Read = Callable[[int, int], list[str]]  # (first number, how many) -> JSON texts


class FaultFile:
    """Grows only. A row that was cut off is not counted, and written again."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "faults.jsonl"
        self._looked = 0  # at so many of those that Redis holds
        self._unseen: Counter[str] | None = None  # rows of the file that none of them was found to be

    def append(self, count: int, read: Read) -> list[str]:
        """Add what the file lacks of the ``count`` that Redis holds; what stands in the file and Redis has forgotten.

        Fewer than before: Redis has lost its newest, so all are looked at again.
        """
        if self._unseen is None or count < self._looked:
            self._looked, self._unseen = 0, Counter(row.decode() for row in self._whole_rows(cut=True))
        fresh: list[str] = []
        while found := read(self._looked, BATCH):
            for text in found:
                if self._unseen[text]:
                    self._unseen[text] -= 1
                else:
                    fresh.append(text)
            self._looked += len(found)
        if fresh:
            append_rows(self._path, "".join(f"{text}\n" for text in fresh).encode())
        return list(self._unseen.elements())

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
