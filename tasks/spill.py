"""Spills the journal from Redis to a file: one leased writer, synced before the stream is trimmed."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from domain.store.gateway import RedisStore

LEASE_MS = 5_000
BATCH = 2_000


class Spiller:
    """Appends entries with their stream ids; after a crash the file may repeat some, readers drop those by id."""

    def __init__(self, store: RedisStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._token = uuid4().hex

    def spill(self) -> int:
        """Move what is there to the file; returns how many entries. 0 while another process holds the lease."""
        if not self._store.acquire_lease("spiller", self._token, LEASE_MS):
            return 0
        moved = 0
        while entries := self._store.read_journal(count=BATCH):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(f"{entry_id}\t{line}\n" for entry_id, line in entries)
                file.flush()
                os.fsync(file.fileno())
            self._store.trim_journal(entries[-1][0])
            moved += len(entries)
            if len(entries) < BATCH:
                break
        return moved


def read_spilled(path: Path) -> list[str]:
    """The JSON lines of a spilled journal in order, each stream id once. A cut-off last line is left out."""
    if not path.exists():
        return []
    seen: set[str] = set()
    lines = []
    with path.open(encoding="utf-8") as file:
        for row in file:
            entry_id, _, line = row.partition("\t")
            if not row.endswith("\n") or entry_id in seen:
                continue
            seen.add(entry_id)
            lines.append(line.rstrip("\n"))
    return lines
