"""The newest part of the spilled journal, read from its end: a recovery must not read what is weeks old."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson

from domain.store.gateway import RedisStore
from domain.store.journal import START

BLOCK_BYTES = 4 * 1024 * 1024


def recent_lines(store: RedisStore, path: Path, since_slot: int) -> list[str]:
    """Every line since about ``since_slot``, oldest first, each once: of the file, then of the stream."""
    lines = dict.fromkeys(_tail(path, since_slot))
    after = START
    while entries := store.read_journal(after):
        lines |= dict.fromkeys(line for _, line in entries)
        after = entries[-1][0]
    return list(lines)


def _tail(path: Path, since_slot: int) -> Iterator[str]:
    """Whole lines from the first block that reaches back behind ``since_slot``; a row that was cut off is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = size
        while start > 0:
            start = max(0, start - BLOCK_BYTES)
            file.seek(start)
            block = file.read(min(BLOCK_BYTES, size - start))
            if any(slot < since_slot for slot in _slots(block)):
                break
        file.seek(start)
        if start:
            file.readline()  # the rest of a row that began before
        for row in file:
            line = row.decode(errors="replace").rstrip("\n").partition("\t")[2]
            if _document(line.encode()) is not None:
                yield line


def _slots(block: bytes) -> Iterator[int]:
    for row in block.splitlines():
        if b'"slot":' in row and b'"settled"' in row:
            doc = _document(row.partition(b"\t")[2])
            slot = None if doc is None else doc.get("slot")
            if isinstance(slot, int):
                yield slot


def _document(line: bytes) -> dict[str, object] | None:
    try:
        doc = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return doc if isinstance(doc, dict) else None
