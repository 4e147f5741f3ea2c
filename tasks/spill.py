"""Spills the journal from Redis to a file: one leased writer, synced before the stream is trimmed."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from uuid import uuid4

import orjson

from domain.files.writing import FilesError, append_rows
from domain.store.gateway import RedisStore

LEASE_MS = 5_000
BATCH = 2_000


class Spiller:
    """Appends entries with their stream ids; after a crash the file may repeat some, readers drop those by id."""

    def __init__(self, store: RedisStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._token = uuid4().hex
        self._lock = Lock()

    def spill(self) -> int:
        """Move what is there to the file; returns how many entries. 0 while another process holds the lease.

        Raises FilesError, and what could not be written stays in the stream.
        """
        with self._lock:
            return self._spill()

    def close(self) -> None:
        """Another process may spill at once."""
        self._store.release_lease("spiller", self._token)

    def _spill(self) -> int:
        if not self._store.acquire_lease("spiller", self._token, LEASE_MS):
            return 0
        moved = 0
        while entries := self._store.read_journal(count=BATCH):
            rows = "".join(f"{entry_id}\t{line}\n" for entry_id, line in entries)
            try:
                append_rows(self._path, rows.encode())
            except OSError as error:
                raise FilesError(f"the journal {self._path} cannot be written to: {error.strerror}") from error
            self._store.trim_journal(entries[-1][0])
            moved += len(entries)
            if len(entries) < BATCH:
                break
        return moved


def read_spilled(path: Path) -> list[str]:
    """The JSON lines of a spilled journal in order, each stream id once.

    A row that was cut off is left out: its entry was not trimmed from the stream and stands in a later row.
    """
    if not path.exists():
        return []
    seen: set[str] = set()
    lines = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for row in file:
            entry_id, _, line = row.rstrip("\n").partition("\t")
            if entry_id not in seen and _is_whole(line):
                seen.add(entry_id)
                lines.append(line)
    return lines


def _is_whole(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
