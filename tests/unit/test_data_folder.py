"""The data folder: whole or not there, whatever dies when; sessions; copies of the day; retention."""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from datetime import date

import pytest
from structlog.testing import capture_logs

from domain.documents import NAMES
from domain.files import folder as folder_module
from domain.files import sessions as sessions_module
from domain.files import writing
from domain.files.faults import FaultFile
from domain.files.folder import DataFolder, Header
from domain.files.sessions import SessionFiles
from domain.files.writing import DamagedFile, from_bytes, to_bytes, write_atomic
from tests.support.files_kit import Killed, dying, killed

DAMAGES = {
    "empty": lambda whole: b"",
    "blank": lambda whole: b"\n\n",
    "garbage": lambda whole: b"\x00\xff\xfe",
    "truncated": lambda whole: whole[: len(whole) // 2],
    "one digit": lambda whole: whole.replace(b"41", b"42", 1),
    "a list": lambda whole: b"[1, 2]",
    "deep": lambda whole: b"[" * 100_000,
    "foreign": lambda whole: b'{"a": 1}',
    "two files": lambda whole: whole + whole,
}


def header(number: int) -> Header:
    return Header(instance="mine", export=number, written_at_ms=number)


def documents(number: int) -> dict[str, dict]:
    return {name: {"what": name, "number": number, "amount": 41} for name in NAMES}


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


def test_what_was_saved_is_loaded(folder):
    assert folder.load() is None
    folder.save(header(1), documents(1))
    export = folder.load()
    assert (export.header, export.documents, export.from_backup) == (header(1), documents(1), {})


def test_folders_are_0700_and_files_0600(folder):
    folder.save(header(1), documents(1))
    folder.save_errors("deposit_1", {"thread_id": "deposit_1", "errors": []})
    folder.copy_of_the_day(date(2026, 1, 5))
    SessionFiles(folder.path).save(record(1))
    FaultFile(folder.path).append(1, lambda start, count: ["{}"][start:])
    paths = list(folder.path.rglob("*"))
    assert len(paths) > 15
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_read_from_its_backup(folder, name, damage):
    folder.save(header(1), documents(1))
    path = folder.file(name)
    path.write_bytes(damage(path.read_bytes()))
    with capture_logs() as logged:
        export = folder.load()
    assert export.documents == documents(1)
    assert list(export.from_backup) == [f"{name}.json.backup"]
    assert [line["action"] for line in logged] == ["backup_read"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_both_damaged_is_a_clear_error_and_nothing_changes(folder, name, damage):
    folder.save(header(1), documents(1))
    for path in (folder.file(name), folder.file(name).with_name(f"{name}.json.backup")):
        path.write_bytes(damage(path.read_bytes()))
    there = {path: path.read_bytes() for path in folder.path.rglob("*.json*")}
    with pytest.raises(DamagedFile, match=rf"{name}.json is damaged.*{name}.json.backup is damaged.*Nothing was chan"):
        folder.load()
    assert {path: path.read_bytes() for path in folder.path.rglob("*.json*")} == there


def test_a_missing_file_is_read_from_its_backup_and_never_counts_as_a_fresh_folder(folder):
    folder.save(header(1), documents(1))
    folder.file("threads").unlink()
    assert folder.load().from_backup == {"threads.json.backup": f"{folder.file('threads')} is missing"}
    folder.file("threads").with_name("threads.json.backup").unlink()
    with pytest.raises(DamagedFile, match=r"threads.json is missing"):
        folder.load()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 2 * len(NAMES) + 1))
def test_killed_between_any_two_writes_one_whole_export_is_there(folder, monkeypatch, step, after):
    folder.save(header(1), documents(1))
    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "write_atomic", dying(write_atomic, step, after=after))
        with killed():
            folder.save(header(2), documents(2))
    export = folder.load()
    assert export.documents == documents(export.header.export)
    assert export.header.export == (2 if (step, after) >= (len(NAMES), True) else 1)
    folder.save(header(3), documents(3))
    assert folder.load().documents == documents(3)


@pytest.mark.parametrize("first", range(1, 2 * len(NAMES) + 1))
def test_killed_in_two_saves_after_each_other_one_whole_export_is_there(tmp_path, monkeypatch, first):
    """The second one also while it brings together what the first has left over files and backups."""
    for second in range(1, 3 * len(NAMES) + 1):
        folder = DataFolder(tmp_path / str(second))
        folder.prepare()
        folder.save(header(1), documents(1))
        for number, step in ((2, first), (3, second)):
            with monkeypatch.context() as patched:
                patched.setattr(folder_module, "write_atomic", dying(write_atomic, step, after=False))
                with suppress(Killed):  # fewer writes than steps: it was finished
                    DataFolder(folder.path).save(header(number), documents(number))
            export = folder.load()
            assert export.documents == documents(export.header.export)


def test_a_backup_that_a_frozen_writer_wrote_late_is_put_right_before_the_next_save(folder, monkeypatch):
    folder.save(header(1), documents(1))
    late = to_bytes(header(1).to_doc() | documents(1)["threads"])
    folder.save(header(2), documents(2))
    write_atomic(folder.file("threads").with_name("threads.json.backup"), late)
    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "write_atomic", dying(write_atomic, 3, after=False))
        with killed():
            folder.save(header(3), documents(3))
    assert folder.load().documents == documents(2)


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_killed_within_a_write_the_old_content_stands(folder, monkeypatch, call):
    path = folder.file("threads")
    write_atomic(path, b"old")
    with monkeypatch.context() as patched:
        patched.setattr(writing.os, call, dying(getattr(writing.os, call), 1, after=True))
        with killed():
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    folder.prepare()
    assert [each.name for each in folder.path.iterdir() if each.is_file()] == ["threads.json"]


def test_a_file_edited_without_its_checksum_is_read():
    text = to_bytes({"a": 41}).decode().splitlines()
    assert from_bytes("\n".join([text[0], *text[2:]]).replace("41", "42").encode()) == {"a": 42}
    with pytest.raises(ValueError, match="does not match its checksum"):
        from_bytes("\n".join(text).replace("41", "42").encode())


def test_amounts_beyond_64_bits_survive():
    assert from_bytes(to_bytes({"a": 2**200, "b": -(2**80)})) == {"a": 2**200, "b": -(2**80)}


def test_copies_of_the_day_are_made_once_and_kept_for_so_long(folder):
    folder.save(header(1), documents(1))
    for day in range(1, 11):
        assert folder.copy_of_the_day(date(2026, 1, day))
    assert not folder.copy_of_the_day(date(2026, 1, 10))
    (folder.path / "backups" / "by hand").mkdir()
    assert folder.prune_backups(date(2026, 1, 10), 3) == [f"2026-01-0{day}" for day in range(1, 7)]
    assert [path.name for path in folder.daily_copies()] == ["2026-01-07", "2026-01-08", "2026-01-09", "2026-01-10"]
    assert (folder.path / "backups" / "by hand").exists()
    assert from_bytes((folder.daily_copies()[0] / "pools.json").read_bytes())["number"] == 1


def record(number: int, thread: str = "deposit_1", offset_ms: int = 0) -> dict:
    start_ms = 1_700_000_000_000 + number * 60_000 + offset_ms
    return {"thread_id": thread, "session_info": {"start_ms": start_ms}, "number": number}


def numbers(sessions: SessionFiles, limit: int = 100, thread: str = "deposit_1", also: tuple = ()) -> list[int]:
    return [found["number"] for _, found in sessions.read(thread, limit, also)]


def test_sessions_are_read_newest_first_and_also_without_a_file(tmp_path):
    sessions = SessionFiles(tmp_path)
    for number in (2, 1, 3):
        sessions.save(record(number))
    assert numbers(sessions) == [3, 2, 1]
    assert numbers(sessions, 2) == [3, 2]
    assert numbers(sessions, 3, also=(record(5), record(3))) == [5, 3, 2]
    assert sessions.read("deposit_1", 1)[0][0] == "session_2023-11-14_22-16-20.json"
    assert numbers(sessions, thread="deposit_2") == []


@pytest.mark.parametrize("name", ["../deposit_1", "deposit_1/../deposit_1", "/etc", ".", "", "deposit_", "x_1", "*"])
def test_only_names_of_threads_reach_the_file_system(tmp_path, name):
    sessions = SessionFiles(tmp_path)
    sessions.save(record(1))
    assert sessions.read(name, 10) == []
    assert not sessions.knows(name)
    with pytest.raises(ValueError, match="is no thread"):
        sessions.save(record(1, name))


def test_the_same_session_again_is_one_file_and_another_of_that_second_its_own(tmp_path):
    sessions = SessionFiles(tmp_path)
    assert sessions.save(record(1)) == sessions.save(record(1)) == "session_2023-11-14_22-14-20.json"
    assert sessions.save(record(1, offset_ms=7)) == "session_2023-11-14_22-14-20_007.json"
    assert len(list(tmp_path.rglob("session_*.json"))) == 2


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_session_is_read_from_its_backup_or_left_out(tmp_path, damage):
    sessions = SessionFiles(tmp_path)
    sessions.save(record(1) | {"amount": 41})
    name = sessions.save(record(2) | {"amount": 41})
    path = tmp_path / "sessions" / "deposit_1" / name
    path.write_bytes(damage(path.read_bytes()))
    with capture_logs() as logged:
        assert numbers(sessions) == [2, 1]
    assert "backup_read" in {line["action"] for line in logged}
    backup = path.with_name(f"{name}.backup")
    backup.write_bytes(damage(backup.read_bytes()))
    with capture_logs() as logged:
        assert numbers(sessions) == [1]
    assert "session_unreadable" in {line["action"] for line in logged}


def test_a_session_whose_file_is_gone_is_read_from_its_backup(tmp_path):
    sessions = SessionFiles(tmp_path)
    (tmp_path / "sessions" / "deposit_1" / sessions.save(record(1))).unlink()
    assert numbers(sessions) == [1]


def test_old_sessions_are_removed_with_their_backups_and_empty_folders(tmp_path):
    sessions = SessionFiles(tmp_path)
    day_ms = 86_400_000
    for days in (0, 5, 10):
        sessions.save(record(days, offset_ms=-days * day_ms))
    sessions.save(record(0, "swap_1", offset_ms=-20 * day_ms))
    assert sessions.prune(1_700_000_000_000, 7) == 4
    assert numbers(sessions) == [0, 5]
    assert not (tmp_path / "sessions" / "swap_1").exists()


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_a_session_is_written_it_is_written_again(tmp_path, monkeypatch, after):
    sessions = SessionFiles(tmp_path)
    for step in (1, 2):
        with monkeypatch.context() as patched:
            patched.setattr(sessions_module, "write_atomic", dying(write_atomic, step, after=after))
            with pytest.raises(Killed):
                sessions.save(record(step))
        sessions.save(record(step))
    assert numbers(sessions) == [2, 1]
    assert len(list(tmp_path.rglob("session_*.json"))) == 2


def test_faults_are_appended_once_also_after_a_cut_row(tmp_path):
    texts = [json.dumps({"n": number}) for number in range(1_200)]
    FaultFile(tmp_path).append(700, lambda start, count: texts[start : min(700, start + count)])
    path = tmp_path / "faults.jsonl"
    path.write_bytes(path.read_bytes()[:-3])
    assert FaultFile(tmp_path).append(1_200, lambda start, count: texts[start : start + count]) == []
    assert FaultFile(tmp_path).read() == texts


def test_faults_that_redis_forgets_stay_and_those_it_finds_then_are_not_missed(tmp_path):
    held = ["1", "2", "2", "3"]

    def read(start, count):
        return held[start : start + count]

    file = FaultFile(tmp_path)
    assert file.append(len(held), read) == []
    held[2:] = []  # a rollback
    assert file.append(len(held), read) == ["2", "3"]
    held += ["4"]
    assert file.append(len(held), read) == ["2", "3"]
    held += ["3", "2"]
    assert file.append(len(held), read) == []
    assert FaultFile(tmp_path).append(len(held), read) == []
    assert file.read() == ["1", "2", "2", "3", "4"]
