"""Reading a journal file that killed and frozen writers have left."""

from __future__ import annotations

import stat

from domain.files.writing import append_rows
from tasks.spill import read_spilled


def test_entries_come_in_order_and_once(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('1-0\t{"a":1}\n2-0\t{"a":1}\n1-0\t{"a":1}\n3-0\t{"a":3}\n')
    assert read_spilled(path) == ['{"a":1}', '{"a":1}', '{"a":3}']


def test_a_cut_row_is_dropped_and_its_entry_is_found_in_the_later_row(tmp_path):
    path = tmp_path / "journal.jsonl"
    for cut in ("2-0\t{", '2-0\t{"a":', "2-", "2-0\t", "2-0"):
        path.write_text(f'1-0\t{{"a":1}}\n{cut}\n1-0\t{{"a":1}}\n2-0\t{{"a":2}}\n')
        assert read_spilled(path) == ['{"a":1}', '{"a":2}'], cut


def test_a_cut_last_row_and_a_missing_file(tmp_path):
    path = tmp_path / "journal.jsonl"
    assert read_spilled(path) == []
    path.write_bytes(b'1-0\t{"a":1}\n2-0\t{"a":"\xc3')
    assert read_spilled(path) == ['{"a":1}']


def test_what_is_added_behind_a_cut_row_stands_in_rows_of_its_own(tmp_path):
    path = tmp_path / "data" / "journal.jsonl"
    append_rows(path, b'1-0\t{"a":1}\n2-0\t{"a":')
    append_rows(path, b'2-0\t{"a":2}\n')
    append_rows(path, b'3-0\t{"a":3}\n')
    assert path.read_bytes() == b'1-0\t{"a":1}\n2-0\t{"a":\n2-0\t{"a":2}\n3-0\t{"a":3}\n'
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]
