"""Log files rotated by size while somebody writes on into them."""

from __future__ import annotations

import os
from pathlib import Path

from ops.rotation import LogRotation


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_that_is_full_becomes_number_one_and_the_writer_goes_on_at_its_start(tmp_path: Path) -> None:
    rotation = LogRotation(tmp_path, max_bytes=10, backups=2)
    with (tmp_path / "a.log").open("a", buffering=1) as writer:
        writer.write("short\n")
        assert rotation.rotate() == []
        for n in range(1, 5):
            writer.write(f"number {n} is long\n")
            assert rotation.rotate() == [tmp_path / "a.log"]
            assert rotation.rotate() == []
        writer.write("last\n")
    assert contents(tmp_path) == {
        "a.log": "last\n",
        "a.log.1": "number 4 is long\n",
        "a.log.2": "number 3 is long\n",
    }


def test_each_log_is_rotated_for_itself_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.txt"):
        (tmp_path / name).write_text("x" * 20)
    (tmp_path / "b.log").write_text("x")
    assert LogRotation(tmp_path, max_bytes=10, backups=1).rotate() == [tmp_path / "a.log"]
    assert sorted(contents(tmp_path)) == ["a.log", "a.log.1", "b.log", "c.txt"]


def test_no_line_is_lost_that_was_written_before(tmp_path: Path) -> None:
    rotation = LogRotation(tmp_path, max_bytes=1_000, backups=1_000)
    descriptor = os.open(tmp_path / "a.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for n in range(2_000):
        os.write(descriptor, f"{n}\n".encode())
        rotation.rotate()
    os.close(descriptor)
    lines = [line for text in contents(tmp_path).values() for line in text.splitlines()]
    assert sorted(map(int, lines)) == list(range(2_000))


def test_it_rotates_by_itself_until_it_is_closed(tmp_path: Path) -> None:
    rotation = LogRotation(tmp_path, max_bytes=10, backups=1)
    rotation.close()  # never started
    rotation = LogRotation(tmp_path, max_bytes=10, backups=1)
    (tmp_path / "a.log").write_text("x" * 20)
    rotation.start()
    while not (tmp_path / "a.log.1").exists():
        os.sched_yield()
    rotation.close()
