"""Keeps the data folder's files current: a few seconds behind Redis, and at once when a session ends (PER-01).

One process at a time, held by a lease. Every step may be killed: a session leaves Redis after its file is on the disk,
and the four documents are replaced one by one, the backups of the last whole export standing meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from uuid import uuid4

import structlog

from domain.documents import STATISTICS, build, errors_of
from domain.errors import StressError
from domain.files.faults import FaultFile
from domain.files.folder import BACKUPS, DataFolder, Header, day_of
from domain.files.sessions import SessionFiles
from domain.files.writing import DamagedFile, FilesError
from domain.runtime.settings import Settings
from domain.store.exports import Snapshot
from domain.store.gateway import RedisStore
from tasks.spill import Spiller

log = structlog.get_logger()

LEASE: Final = "exporter"
LEASE_MS: Final = 3_000  # asked for again before every single write
LOOK_S: Final = 0.2
SOONEST_S: Final = 1.0  # between two exports that ended sessions or new keys ask for
LONGEST_SHARE: Final = 5  # of the time those take at most a fifth, however many threads there are
SPILL_WAIT_S: Final = 6.0  # the lease of a spiller that died ends before
SPILL_POLL_S: Final = 0.02
BATCH: Final = 200
_INSTANCE: Final = "instance"


class Exporter:
    """``spill`` moves the journal to its file; no export may know of an operation that the journal file does not."""

    def __init__(self, store: RedisStore, settings: Settings, spill: Callable[[], int]) -> None:
        self._store = store
        self._settings = settings
        self._spill = spill
        self._folder = DataFolder(settings.data_dir)
        self._sessions = SessionFiles(settings.data_dir)
        self._faults = FaultFile(settings.data_dir)
        self._token = uuid4().hex
        self._instance = ""  # known once the folder was found to be ours
        self._number = 0
        self._keys = 0  # sealed keys that the files hold
        self._values: Mapping[str, Any] | None = None
        self._errors: dict[str, Any] = {}
        self._swept_on = None if settings.backup_enabled else datetime.min.replace(tzinfo=UTC).date()

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Until ``stopped(seconds to wait)`` says so; then once more. An export that fails is loud and tried again."""
        last, took_s = monotonic() - self._settings.export_ms / 1000, 0.0
        while not stopped(LOOK_S):
            try:
                if self._holds() and self._is_due(monotonic() - last, took_s):
                    last = monotonic()
                    self.export()
                    took_s = monotonic() - last
            except Exception as error:  # noqa: BLE001 - the edge of this thread: nobody would notice its end
                _failed(error)
        try:
            self.export()
            self.close()
        except StressError as error:
            _failed(error)

    def _is_due(self, passed_s: float, took_s: float) -> bool:
        """A session that ended, and a new wallet's key before its wallet has anything to lose, are not kept waiting."""
        if passed_s * 1000 >= self._settings.export_ms:
            return True
        if passed_s < max(SOONEST_S, LONGEST_SHARE * took_s):
            return False
        return self._store.sessions_waiting() > 0 or self._store.key_count() != self._keys

    def _holds(self) -> bool:
        """Is it this process' turn? When another one had it meanwhile, nothing that was known of the files counts."""
        if self._store.lease_holder(LEASE) != self._token:
            self._instance, self._faults = "", FaultFile(self._settings.data_dir)
        return self._store.acquire_lease(LEASE, self._token, LEASE_MS)

    def _keep(self) -> None:
        """Before every write: a process that was frozen must not write into what another one has written since."""
        if not self._store.renew_lease(LEASE, self._token, LEASE_MS):
            raise FilesError("another process exports meanwhile")

    def export(self) -> bool:
        """One export, sessions first; False when there was nothing to write or another process does it.

        Raises StoreError, FilesError: nothing is lost, the next export begins anew.
        """
        try:
            return self._export()
        except OSError as error:
            raise FilesError(f"{self._folder.path} cannot be written to: {error.strerror}") from error

    def _export(self) -> bool:
        store = self._store
        if not store.has_run() or not self._holds() or not self._is_ours():
            return False
        self._save_sessions()
        self._save_faults()
        snapshot = store.snapshot()
        if snapshot is None:
            return False
        changed = snapshot.values != self._values
        if changed:
            if not self._journal_is_safe(snapshot):
                return False
            self._save(snapshot)
        self._sweep(snapshot.at_ms)
        self._values = snapshot.values
        return changed

    def close(self) -> None:
        """Another process may export at once."""
        self._store.release_lease(LEASE, self._token)

    def _is_ours(self) -> bool:
        """Are the folder's files this Redis' own? Foreign ones are never written over."""
        if self._instance:
            return True
        known = self._store.get_run().get(_INSTANCE)
        self._folder.prepare()
        try:
            header = self._folder.header()
        except DamagedFile as error:
            if known is None:
                return _refuse(str(error))
            log.warning("damaged_set_aside", action="damaged_set_aside", reason=str(error), folder=BACKUPS)
            self._folder.set_aside()
            header = None
        if header is not None and header.instance != known:
            where = self._folder.path
            return _refuse(f"{where} holds another service's data; name another data folder, or move it away")
        self._instance = known or self._store.set_run_once(_INSTANCE, uuid4().hex)
        self._number = 0 if header is None else header.export
        self._values, self._errors = None, {}
        return True

    def _save_sessions(self) -> None:
        while entries := self._store.read_sessions(BATCH):
            for _, text in entries:
                self._keep()
                self._sessions.save(json.loads(text))
            self._store.drop_sessions([entry_id for entry_id, _ in entries])

    def _save_faults(self) -> None:
        """A fault that was found once stays, in Redis, too: it fails the run."""
        self._keep()
        forgotten = self._faults.append(self._store.fault_count(), self._store.faults)
        if forgotten:
            log.warning("faults_remembered", action="faults_remembered", faults=len(forgotten))
            self._store.add_faults(forgotten)
            self._faults.append(self._store.fault_count(), self._store.faults)  # they are the file's own

    def _journal_is_safe(self, snapshot: Snapshot) -> bool:
        """Everything the snapshot knows stands in the journal's file: whoever holds that lease has moved it."""
        deadline = monotonic() + SPILL_WAIT_S
        self._spill()
        while not self._store.journal_spilled(snapshot.journal_id):
            if monotonic() > deadline:
                return False
            sleep(SPILL_POLL_S)
            self._keep()
            self._spill()
        return True

    def _save(self, snapshot: Snapshot) -> None:
        documents = build(snapshot.values)
        self._number = max(snapshot.at_ms, self._number + 1)
        header = Header(instance=self._instance, export=self._number, written_at_ms=snapshot.at_ms)
        self._folder.save(header, documents, self._keep)
        self._keys = len(snapshot.values.get("wallets", ()))
        errors = errors_of(documents[STATISTICS])
        for thread_id, document in errors.items():
            if self._errors.get(thread_id) != document:
                self._keep()
                self._folder.save_errors(thread_id, document)
        for thread_id in self._folder.threads_with_errors() - set(errors):
            self._folder.remove_errors(thread_id)
        self._errors = errors

    def _sweep(self, now_ms: int) -> None:
        """Once a day: a copy of the day, and what is older than it may be."""
        today = day_of(now_ms)
        if today == self._swept_on:
            return
        settings = self._settings
        if settings.backup_enabled:
            self._folder.copy_of_the_day(today)
            self._folder.prune_backups(today, settings.backup_retention_days)
        if settings.session_retention_days is not None:
            self._sessions.prune(now_ms, settings.session_retention_days)
        self._swept_on = today


def _failed(error: Exception) -> None:
    unexpected = not isinstance(error, StressError)
    log.warning("export_failed", action="export_failed", error=str(error), exc_info=error if unexpected else None)


def _refuse(reason: str) -> bool:
    log.error("export_refused", action="export_refused", reason=reason)
    return False


def export_now(store: RedisStore, settings: Settings) -> bool:
    """One last export by a process that ends after all others. Raises StressError."""
    spiller = Spiller(store, journal_file(settings))
    exporter = Exporter(store, settings, spiller.spill)
    try:
        return exporter.export()
    finally:
        exporter.close()
        spiller.close()


def journal_file(settings: Settings) -> Path:
    return Path(settings.data_dir) / "journal.jsonl"
