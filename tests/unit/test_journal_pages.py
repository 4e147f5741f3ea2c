"""The journal page by page: no entry is missed or doubled while the spiller moves entries to the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks import journal_pages
from tasks.journal_pages import JournalPages, Page


class Stream:
    """The unspilled part, in memory; ``spill`` moves the oldest entries to the file as the spiller does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[tuple[int, str]] = []

    def add(self, number: int, **doc: Any) -> None:
        self.rows.append((number, json.dumps({"op": f"deposit_1/{number}", **doc})))

    def spill(self, count: int) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{number}-0\t{line}\n" for number, line in self.rows[:count])
        del self.rows[:count]

    def read_journal(self, after_id: str = "0-0", count: int = 1000) -> list[tuple[str, str]]:
        after = int(after_id.partition("-")[0])
        return [(f"{number}-0", line) for number, line in self.rows if number > after][:count]

    def journal_before(self, before_id: str, count: int) -> list[tuple[str, str]]:
        before = int(before_id.partition("-")[0])
        return [(f"{number}-0", line) for number, line in reversed(self.rows) if number < before][:count]


@pytest.fixture(name="stream")
def stream_fixture(tmp_path: Path) -> Stream:
    return Stream(tmp_path / "journal.jsonl")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_pages, "SCANNED_BYTES", 200)
    monkeypatch.setattr(journal_pages, "SCANNED_ENTRIES", 4)


def everything(_: dict[str, Any]) -> bool:
    return True


def numbers(page: Page) -> list[int]:
    return [entry.number[0] for entry in page.entries]


def all_pages(stream: Stream, order: str, limit: int, *, spill: int = 0, match: Any = everything) -> list[int]:
    """Every number of every page; between two pages the spiller moves ``spill`` entries and one more is added."""
    pages, cursor, found = JournalPages(stream, stream.path), None, []
    for _ in range(1_000):
        page = getattr(pages, order)(cursor, limit, match)
        assert len(page.entries) <= limit
        found += numbers(page)
        if not page.more:
            return found
        cursor = page.cursor
        stream.spill(spill)
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("spilled", [0, 7, 20])
@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_every_entry_is_on_one_page(stream: Stream, order: str, spilled: int, limit: int) -> None:
    for number in range(1, 21):
        stream.add(number)
    stream.spill(spilled)
    found = all_pages(stream, order, limit)
    assert found == (list(range(1, 21)) if order == "oldest" else list(range(20, 0, -1)))


@pytest.mark.parametrize("spill", [1, 2, 5])
@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_entries_that_move_between_two_pages_are_seen_once(stream: Stream, order: str, spill: int) -> None:
    for number in range(1, 31):
        stream.add(number)
    found = all_pages(stream, order, 3, spill=spill)
    assert found == (list(range(1, 31)) if order == "oldest" else list(range(30, 0, -1)))


def test_the_last_cursor_gives_what_is_added_later(stream: Stream) -> None:
    pages = JournalPages(stream, stream.path)
    stream.add(1)
    first = pages.oldest(None, 10, everything)
    assert (numbers(first), first.more) == ([1], False)
    stream.spill(1)
    stream.add(2)
    second = pages.oldest(first.cursor, 10, everything)
    assert (numbers(second), second.more) == ([2], False)
    assert numbers(pages.oldest(second.cursor, 10, everything)) == []


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_a_filter_looks_through_all(stream: Stream, order: str) -> None:
    for number in range(1, 41):
        stream.add(number, kind="swap" if number % 10 == 0 else "deposit")
    stream.spill(25)
    found = all_pages(stream, order, 2, match=lambda doc: doc["kind"] == "swap")
    assert sorted(found) == [10, 20, 30, 40]


def test_rows_repeated_or_cut_after_a_crash_do_not_matter(stream: Stream) -> None:
    for number in (1, 2, 3):
        stream.add(number)
    stream.spill(3)
    with stream.path.open("a") as file:
        file.write('4-0\t{"op": "depos\n')  # its writer died; the entry stands again below
    for number in (2, 3, 4, 5):
        stream.add(number)
    stream.spill(4)
    with stream.path.open("a") as file:
        file.write('6-0\t{"op": "half')
    stream.add(6)
    assert all_pages(stream, "oldest", 2) == [1, 2, 3, 4, 5, 6]
    assert sorted(set(all_pages(stream, "newest", 2))) == [1, 2, 3, 4, 5, 6]


def test_a_row_longer_than_a_page_is_read(stream: Stream) -> None:
    for number in (1, 2, 3):
        stream.add(number, inputs="x" * 1_000)
    stream.spill(2)
    assert all_pages(stream, "oldest", 5) == [1, 2, 3]
    assert all_pages(stream, "newest", 5) == [3, 2, 1]


def test_without_the_file_there_is_the_stream(stream: Stream, tmp_path: Path) -> None:
    stream.add(9)
    pages = JournalPages(stream, tmp_path / "elsewhere" / "journal.jsonl")
    assert not pages.sees_file
    assert numbers(pages.newest(None, 5, everything)) == [9]
    assert numbers(pages.oldest(None, 5, everything)) == [9]


@pytest.mark.parametrize("cursor", ["o0.1-1", f"nend.{2**64}-0", f"n5.0-{2**64}"])
def test_a_cursor_of_another_order_or_beyond_every_id_is_refused(stream: Stream, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        JournalPages(stream, stream.path).newest(cursor, 5, everything)


def test_an_offset_beyond_the_file_is_its_end(stream: Stream) -> None:
    stream.add(1)
    stream.spill(1)
    assert numbers(JournalPages(stream, stream.path).newest(f"n{10**30}.5-0", 5, everything)) == [1]
    assert numbers(JournalPages(stream, stream.path).oldest(f"o{10**30}.0-0", 5, everything)) == []
