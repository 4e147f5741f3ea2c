"""The folder of one service: four documents that belong together, their backups, errors, sessions and daily copies.

One export writes all four files and only then all four backups. So at any moment one complete export is intact, the
files' or the backups', and a load takes the newest export that is whole: it never mixes two. What a save that ended
half way has left over both is brought together in the backups before the next one begins.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from domain.documents import NAMES, Document
from domain.files.writing import (
    DamagedFile,
    FilesError,
    backup_of,
    make_folder,
    read_document,
    remove_drafts,
    sync_folder,
    to_bytes,
    write_atomic,
)

log = structlog.get_logger()

FORMAT: Final = 1
ERRORS: Final = "errors"
SESSIONS: Final = "sessions"
BACKUPS: Final = "backups"
_HEADER: Final = ("format", "instance", "export", "written_at_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Whose export it is and which one. ``export`` rises with every export of one service."""

    instance: str
    export: int
    written_at_ms: int

    def to_doc(self) -> Document:
        return {
            "format": FORMAT,
            "instance": self.instance,
            "export": self.export,
            "written_at_ms": self.written_at_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One whole export. ``from_backup``: files that were damaged or missing, with the reason, read from backups."""

    header: Header
    documents: Mapping[str, Document]
    from_backup: Mapping[str, str]


class DataFolder:
    """Reads by anybody, writes by one process at a time (it holds a lease in Redis)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved: list[tuple[int, int] | None] = []  # the backups as the last save here left them

    def prepare(self) -> None:
        """Make the folders; take away what a killed writer left. FilesError when that is not permitted."""
        try:
            for folder in (self.path, *(self.path / name for name in (ERRORS, SESSIONS, BACKUPS))):
                make_folder(folder)
                remove_drafts(folder)
        except OSError as error:
            raise FilesError(f"{self.path} cannot be written to: {error.strerror}") from error

    def file(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def save(
        self, header: Header, documents: Mapping[str, Document], before_each: Callable[[], None] = lambda: None
    ) -> None:
        """Write one export: every file, then every backup. FilesError when there is no room or no permission.

        ``before_each`` may raise to give the rest up.
        """
        contents = {name: to_bytes(header.to_doc() | documents[name]) for name in NAMES}
        try:
            if self._saved != self._backups():
                self._complete_backups(before_each)
            for name in NAMES:
                before_each()
                write_atomic(self.file(name), contents[name])
            for name in NAMES:
                before_each()
                write_atomic(backup_of(self.file(name)), contents[name])
            self._saved = self._backups()
        except OSError as error:
            raise FilesError(f"{self.path} cannot be written to: {error.strerror}") from error

    def _backups(self) -> list[tuple[int, int] | None]:
        """Which files they are: nobody has written one since if this has not changed."""
        found: list[tuple[int, int] | None] = []
        for name in NAMES:
            try:
                status = backup_of(self.file(name)).stat()
            except FileNotFoundError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_mtime_ns))
        return found

    def _complete_backups(self, before_each: Callable[[], None]) -> None:
        """The newest whole export may be spread over files and backups: the files must not be written over as it is."""
        versions = {name: self._versions(name)[0] for name in NAMES}
        whole = set.intersection(*(set(found) for found in versions.values()))
        for name in NAMES if whole else ():
            path, backup = versions[name][max(whole)][0], backup_of(self.file(name))
            if path != backup and (not backup.exists() or backup.read_bytes() != path.read_bytes()):
                before_each()
                write_atomic(backup, path.read_bytes())

    def load(self) -> Export | None:
        """The newest whole export; None when there is none of the files. A file read from its backup is warned about.

        Raises DamagedFile when no whole export can be put together, naming every file and what is wrong with it.
        """
        found: dict[str, dict[int, tuple[Path, Document]]] = {}
        wrong: dict[str, list[str]] = {}
        for name in NAMES:
            found[name], wrong[name] = self._versions(name)
        if not any(found.values()) and not any(self._exists(name) for name in NAMES):
            return None
        whole = set.intersection(*(set(versions) for versions in found.values()))
        if not whole:
            raise DamagedFile(self._explain(found, wrong))
        number = max(whole)
        from_backup: dict[str, str] = {}
        documents: dict[str, Document] = {}
        for name in NAMES:
            path, document = found[name][number]
            documents[name] = document
            if path != self.file(name):
                from_backup[path.name] = next(iter(wrong[name]), f"{self.file(name)} is of another export")
        for name, reason in from_backup.items():
            log.warning("backup_read", action="backup_read", file=name, reason=reason)
        header = _header(documents[NAMES[0]])
        return Export(
            header=header,
            documents={name: _without_header(document) for name, document in documents.items()},
            from_backup=from_backup,
        )

    def header(self) -> Header | None:
        """Of the newest whole export. Raises DamagedFile as ``load`` does."""
        export = self.load()
        return None if export is None else export.header

    def set_aside(self) -> Path:
        """Move files and backups that cannot be read to a folder below backups/, so that new ones can be written."""
        target = self.path / BACKUPS / f"damaged-{datetime.now(UTC):%Y-%m-%d_%H-%M-%S-%f}"
        make_folder(target)
        for name in NAMES:
            for path in (self.file(name), backup_of(self.file(name))):
                if path.exists():
                    path.rename(target / path.name)
        return target

    def _exists(self, name: str) -> bool:
        return self.file(name).exists() or backup_of(self.file(name)).exists()

    def _versions(self, name: str) -> tuple[dict[int, tuple[Path, Document]], list[str]]:
        """Export number -> where it stands, the file before its backup; and what is wrong with the file."""
        versions: dict[int, tuple[Path, Document]] = {}
        wrong = []
        for path in (self.file(name), backup_of(self.file(name))):
            try:
                document = read_document(path)
                if document is None:
                    wrong.append(f"{path} is missing")
                    continue
                versions.setdefault(_header(document, path).export, (path, document))
            except DamagedFile as error:
                wrong.append(str(error))
        return versions, wrong

    def _explain(self, found: Mapping[str, Mapping[int, object]], wrong: Mapping[str, list[str]]) -> str:
        reasons = [reason for reasons in wrong.values() for reason in reasons]
        if not reasons:
            reasons = [f"{name}.json has exports {sorted(versions)}" for name, versions in found.items()]
        return (
            f"the data in {self.path} cannot be read back: {'; '.join(reasons)}. Nothing was changed; put a copy from "
            f"{self.path / BACKUPS} in their place, or move the folder away to begin anew"
        )

    def save_errors(self, thread_id: str, document: Document) -> None:
        """They can be made again from statistics.json, so they need not be synced."""
        write_atomic(self.path / ERRORS / f"{thread_id}.json", to_bytes(document), durable=False)

    def remove_errors(self, thread_id: str) -> None:
        (self.path / ERRORS / f"{thread_id}.json").unlink(missing_ok=True)

    def threads_with_errors(self) -> set[str]:
        return {path.stem for path in (self.path / ERRORS).glob("*.json")}

    def copy_of_the_day(self, today: date) -> bool:
        """Copy the four files into backups/<day>; False when that day has its copy."""
        target = self.path / BACKUPS / today.isoformat()
        if target.exists():
            return False
        draft = target.with_name(f".{target.name}.draft-copy")
        shutil.rmtree(draft, ignore_errors=True)
        make_folder(draft)
        for name in NAMES:
            write_atomic(draft / f"{name}.json", self.file(name).read_bytes())
        draft.rename(target)
        sync_folder(target.parent)
        return True

    def prune_backups(self, today: date, days: int) -> list[str]:
        """Remove daily copies older than ``days``; their names."""
        oldest = today - timedelta(days=days)
        removed = []
        for folder in sorted((self.path / BACKUPS).iterdir()):
            try:
                old = date.fromisoformat(folder.name) < oldest
            except ValueError:
                continue
            if old:
                shutil.rmtree(folder)
                removed.append(folder.name)
        return removed

    def daily_copies(self) -> list[Path]:
        """Folders of the daily copies, the oldest first."""
        folders = (self.path / BACKUPS).glob("????-??-??") if (self.path / BACKUPS).exists() else ()
        return sorted(folders)

    def rewrite(self, change: Callable[[dict[str, Document]], dict[str, Document]]) -> int:
        """Write the newest whole export again as ``change`` makes it, and every daily copy; how many there were.

        Raises DamagedFile before anything is written when the export or a copy cannot be read.
        """
        export, copies = self.load(), {folder: self._copy(folder) for folder in self.daily_copies()}
        if export is not None:
            self.save(export.header, change(dict(export.documents)))
        for folder, documents in copies.items():
            for name, document in change(documents).items():
                write_atomic(folder / f"{name}.json", to_bytes(document))
        return len(copies) + (export is not None)

    def _copy(self, folder: Path) -> dict[str, Document]:
        documents = {name: read_document(folder / f"{name}.json") for name in NAMES}
        found = {name: document for name, document in documents.items() if document is not None}
        if len(found) < len(documents):
            raise DamagedFile(f"{folder} lacks {', '.join(sorted(documents.keys() - found.keys()))}")
        return found


def day_of(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


def _header(document: Mapping[str, Any], path: Path | None = None) -> Header:
    if document.get("format") != FORMAT:
        raise DamagedFile(f"{path} is damaged: it is not of format {FORMAT}")
    try:
        return Header(
            instance=str(document["instance"]),
            export=int(document["export"]),
            written_at_ms=int(document["written_at_ms"]),
        )
    except (KeyError, TypeError, ValueError):
        raise DamagedFile(f"{path} is damaged: it does not say which export it is") from None


def _without_header(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in _HEADER}
