"""The journal page by page: what the spiller has moved to the file, and what is still in the stream.

A page reads a bounded part of the file, so it may be short, or empty, while there is more. An entry that is moved
while a page is made is on it once; the stream is read first, so it cannot be missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

SCANNED_BYTES: Final = 2 * 2**20  # of the file, for one page
SCANNED_ENTRIES: Final = 2_000  # of the stream, for one page
FIRST: Final = (0, 0)
LAST: Final = (2**64 - 1, 2**64 - 1)

Number = tuple[int, int]  # a stream id
Match = Callable[[dict[str, Any]], bool]


class Stream(Protocol):
    """The two reads of the store that a page needs; (entry id, JSON line)."""

    def read_journal(self, after_id: str = ..., count: int = ...) -> list[tuple[str, str]]: ...

    def journal_before(self, before_id: str, count: int) -> list[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    number: Number
    doc: dict[str, Any]
    offset: int | None  # where reading goes on behind it (oldest) or before it (newest); None: in the stream

    @property
    def entry_id(self) -> str:
        return _text(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``cursor`` None: there is nothing further, and with the newest first never will be."""

    entries: tuple[Entry, ...]
    cursor: str | None
    more: bool


class JournalPages:
    """``path`` is the spiller's file; where it cannot be seen (another machine) only the stream is read."""

    def __init__(self, stream: Stream, path: Path) -> None:
        self._stream = stream
        self._path = path

    @property
    def sees_file(self) -> bool:
        return self._path.exists()

    def oldest(self, cursor: str | None, limit: int, match: Match) -> Page:
        """The entries after ``cursor``. The cursor of the last page gives, later, what has been added.

        Raises ValueError for a cursor that no page of this order had; so does ``newest``.
        """
        offset, after = (0, FIRST) if cursor is None else _read_cursor(cursor, "o")
        offset = min(offset or 0, self._size())
        waiting = self._stream.read_journal(_text(after), SCANNED_ENTRIES)
        taken: list[Entry] = []
        entries, whole = self._forward(offset, after, waiting)
        left = len(entries)
        for entry in entries:
            left -= 1
            if entry.offset is not None:
                offset = entry.offset
            after = entry.number
            if entry.doc and match(entry.doc):
                taken.append(entry)
                if len(taken) == limit:
                    break
        more = left > 0 or not whole or len(waiting) == SCANNED_ENTRIES
        return Page(entries=tuple(taken), cursor=f"o{offset}.{_text(after)}", more=more)

    def newest(self, cursor: str | None, limit: int, match: Match) -> Page:
        """The entries before ``cursor``, newest first. After a spiller's crash an entry may come a second time."""
        offset, before = (None, LAST) if cursor is None else _read_cursor(cursor, "n")
        taken: list[Entry] = []
        if offset is None:
            waiting = self._stream.journal_before(_text(before), SCANNED_ENTRIES)
            for number, line in waiting:
                before = _number(number)
                doc = _document(line)
                if doc and match(doc):
                    taken.append(Entry(number=before, doc=doc, offset=None))
                    if len(taken) == limit:
                        return Page(entries=tuple(taken), cursor=f"nend.{_text(before)}", more=True)
            if len(waiting) == SCANNED_ENTRIES:
                return Page(entries=tuple(taken), cursor=f"nend.{_text(before)}", more=True)
            offset = self._size()
        seen: set[Number] = set()
        start, rows = self._backward(min(offset, self._size()))
        for entry in rows:
            offset = entry.offset or 0
            if entry.number < before and entry.number not in seen and entry.doc and match(entry.doc):
                seen.add(entry.number)
                taken.append(entry)
                if len(taken) == limit:
                    break
        else:
            offset = start
        more = offset > 0
        return Page(entries=tuple(taken), cursor=f"n{offset}.{_text(before)}" if more else None, more=more)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _forward(self, offset: int, after: Number, waiting: list[tuple[str, str]]) -> tuple[list[Entry], bool]:
        """Rows of the file from ``offset``, then, if they reach its end (True), the stream's; each number once."""
        block = self._block(offset, SCANNED_BYTES)
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) >= SCANNED_BYTES:  # a single row that is larger: take it whole
            block = self._block(offset, self._size() - offset)
            end = block.find(b"\n") + 1
            block = block[:end] or block
        entries: list[Entry] = []
        position = offset
        for row in block[:end].splitlines(keepends=True):
            position += len(row)
            entry = _row(row, position)
            if entry.number <= after:  # repeated after a crash, or cut off
                entry = Entry(number=after, doc={}, offset=position)
            after = entry.number
            entries.append(entry)
        if position + (len(block) - end) < self._size():
            return entries, False
        numbered = [(_number(text), line) for text, line in waiting]
        entries += [Entry(number=n, doc=_document(line) or {}, offset=None) for n, line in numbered if n > after]
        return entries, True

    def _backward(self, offset: int) -> tuple[int, list[Entry]]:
        """Rows that end at ``offset`` or before it, the last one first, and the offset from which they were read."""
        size = SCANNED_BYTES
        while True:
            start = max(0, offset - size)
            block = self._block(start, offset - start)
            skipped = 0 if start == 0 else block.find(b"\n") + 1
            if start == 0 or 0 < skipped < len(block) or not block:
                break
            size *= 2
        rows: list[Entry] = []
        position = start + skipped
        for row in block[skipped:].splitlines(keepends=True):
            rows.append(_row(row, position))
            position += len(row)
        rows.reverse()
        return start + skipped, rows

    def _block(self, start: int, length: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read(max(0, length))
        except FileNotFoundError:
            return b""


def _row(row: bytes, offset: int) -> Entry:
    """A row of the file; one that was cut off, by a writer that died, has no document and no number."""
    number, _, line = row.rstrip(b"\n").partition(b"\t")
    doc = _document(line)
    try:
        return Entry(number=FIRST if doc is None else _number(number.decode()), doc=doc or {}, offset=offset)
    except ValueError:
        return Entry(number=FIRST, doc={}, offset=offset)


def _document(line: str | bytes) -> dict[str, Any] | None:
    try:
        doc = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return doc if isinstance(doc, dict) else None


def _number(text: str) -> Number:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence)


def _text(number: Number) -> str:
    return f"{number[0]}-{number[1]}"


def _read_cursor(cursor: str, order: str) -> tuple[int | None, Number]:
    """The offset (None: still in the stream) and the id. Raises ValueError for a cursor that no page had."""
    offset, _, text = cursor[1:].partition(".")
    number = _number(text)
    if cursor[0] != order or max(number) > LAST[0] or (order == "o" and (offset == "end" or number == LAST)):
        raise ValueError("not a cursor of this order")
    return (None if offset == "end" else int(offset)), number
