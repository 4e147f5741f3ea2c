"""``sessions/<thread>/session_<start>.json``: one file per finished session, written once, with a backup beside it.

A session is known by its thread and the moment it began, so writing it again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from domain.files.folder import SESSIONS
from domain.files.writing import DamagedFile, backup_of, make_folder, read_with_backup, to_bytes, write_atomic
from domain.session import session_file

log = structlog.get_logger()

DAY_MS: Final = 86_400_000
_THREAD: Final = re.compile(r"(deposit|withdrawal|swap)_[0-9]{1,18}")
_FILES: Final = "session_*.json"

Session = tuple[str, dict[str, Any]]  # name of the file, record


class SessionFiles:
    """Below the data folder. Thread ids come from outside: only those of our form reach the file system."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / SESSIONS

    def save(self, record: Mapping[str, Any]) -> str:
        """Write a session and its backup; the name of the file. OSError when there is no room or no permission."""
        thread_id = str(record["thread_id"])
        if not _THREAD.fullmatch(thread_id):
            raise ValueError(f"{thread_id} is no thread")
        folder = self._path / thread_id
        make_folder(folder)
        name = session_file(record)
        if self._is_anothers(folder / name, record):
            name = session_file(record, precise=True)
        content = to_bytes(dict(record))
        write_atomic(folder / name, content)
        write_atomic(backup_of(folder / name), content)
        return name

    def read(self, thread_id: str, limit: int, also: Iterable[dict[str, Any]] = ()) -> list[Session]:
        """At most ``limit`` sessions, the newest first. ``also``: records that have no file yet.

        A session whose file and backup are damaged is left out, with a warning.
        """
        if not _THREAD.fullmatch(thread_id):
            return []
        found: dict[int, Session] = {}
        for record in also:
            found[_start_ms(record)] = (session_file(record), record)
        names = sorted({path.name.removesuffix(".backup") for path in self._files(thread_id)}, reverse=True)
        for name in names[: limit + len(found)]:
            read = self._record(self._path / thread_id / name)
            if read is not None:
                found[_start_ms(read)] = (name, read)
        return [found[start] for start in sorted(found, reverse=True)][:limit]

    def knows(self, thread_id: str) -> bool:
        """Has this thread ever ended a session that is still kept?"""
        return bool(_THREAD.fullmatch(thread_id)) and any(self._files(thread_id))

    def prune(self, now_ms: int, days: int) -> int:
        """Remove sessions that began more than ``days`` ago, and folders that are empty then; how many files."""
        oldest = f"session_{_stamp(now_ms - days * DAY_MS)}"
        removed = 0
        for folder in self._path.iterdir() if self._path.exists() else ():
            files = list(folder.glob("session_*.json*"))
            for path in files:
                if path.name < oldest:
                    path.unlink(missing_ok=True)
                    removed += 1
            if files and not any(folder.iterdir()):
                folder.rmdir()
        return removed

    def _files(self, thread_id: str) -> list[Path]:
        folder = self._path / thread_id
        return [*folder.glob(_FILES), *folder.glob(f"{_FILES}.backup")]

    def _record(self, path: Path) -> dict[str, Any] | None:
        try:
            record, reason = read_with_backup(path, _start_ms)
        except DamagedFile as error:
            log.warning("session_unreadable", action="session_unreadable", file=path.name, reason=str(error))
            return None
        if reason:
            log.warning("backup_read", action="backup_read", file=path.name, reason=reason)
        return record

    def _is_anothers(self, path: Path, record: Mapping[str, Any]) -> bool:
        try:
            there, _ = read_with_backup(path, _start_ms)
        except DamagedFile:
            return False
        return there is not None and _start_ms(there) != _start_ms(record)


def _start_ms(record: Mapping[str, Any]) -> int:
    return int(record["session_info"]["start_ms"])


def _stamp(at_ms: int) -> str:
    return session_file({"session_info": {"start_ms": at_ms}}).removeprefix("session_").removesuffix(".json")
