"""Answers run_audit: a process of its own makes the closing audit of what stands still (DESIGN.md 6, net 3).

An audit holds every transaction in memory and reads for minutes, which neither a control slot nor the supervisor may.
A lease lets one process audit at a time; when it dies, the supervisor starts another one, which begins anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import structlog

from domain.audit_findings import AuditResult
from domain.errors import CommandCode, CommandError, StressError
from domain.runtime.logs import configure_logging
from domain.runtime.settings import Settings, load
from domain.store.gateway import RedisStore
from tasks.audit import run_audit
from tasks.runtime import Runtime, build_runtime
from tasks.spill import Spiller

log = structlog.get_logger()

LEASE: Final = "auditor"
LEASE_MS: Final = 15_000
RENEW_S: Final = 3.0
SETTLE_TIMEOUT_S: Final = 60.0
SETTLE_POLL_S: Final = 0.1
LISTED: Final = 100
RESTART_S: Final = 5.0


def answer_audits(runtime: Runtime, pause: Callable[[float], object]) -> int:
    """Carry out every audit that is asked for; how many. 0 while another process does."""
    store, token, answered = runtime.store, uuid4().hex, 0
    if not store.acquire_lease(LEASE, token, LEASE_MS):
        return 0
    with _renewed(store, token):
        while asked := store.requested_audits():
            for command_id in asked:
                log.info("audit started", action="audit_started", command_id=command_id)
                answer = _answer(runtime, pause)
                store.answer_command(command_id, json.dumps(answer, separators=(",", ":")))
                store.drop_audit(command_id)
                verdict = answer["ok"]["verdict"] if "ok" in answer else answer["error"]["message"]
                log.info("audit ended", action="audit_ended", command_id=command_id, verdict=verdict)
                answered += 1
    return answered


@contextmanager
def _renewed(store: RedisStore, token: str) -> Iterator[None]:
    """The lease is kept while the block runs. A lost one is no harm: a command's first answer stays."""
    done = Event()

    def renew() -> None:
        while not done.wait(RENEW_S):
            try:
                store.renew_lease(LEASE, token, LEASE_MS)
            except StressError as error:
                log.warning("the auditor's lease was not renewed", action="audit_started", error=str(error))

    thread = Thread(target=renew, name="auditor-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        store.release_lease(LEASE, token)


def _answer(runtime: Runtime, pause: Callable[[float], object]) -> dict[str, Any]:
    began_s = monotonic()
    try:
        result = audit_at_rest(runtime, pause)
    except CommandError as error:
        return {"error": {"code": int(error.code), "message": str(error), "data": error.data}}
    except StressError as error:  # the chain or the store did not answer: that is no verdict
        code = CommandCode.CHAIN_UNREACHABLE
        return {"error": {"code": int(code), "message": f"the audit could not be made: {error}", "data": {}}}
    duration_ms = round((monotonic() - began_s) * 1000)
    return {"ok": summary(result, duration_ms=duration_ms, finished_ms=runtime.store.now_ms())}


def audit_at_rest(runtime: Runtime, pause: Callable[[float], object]) -> AuditResult:
    """The closing audit. Raises CommandError WRONG_STATE while threads run, or when something acted meanwhile.

    A moving service cannot be audited: its totals, its journal and the chain are never read at one moment.
    """
    store = runtime.store
    path = Path(runtime.settings.data_dir) / "journal.jsonl"
    _refuse_movement(runtime)
    spiller, deadline_s = Spiller(store, path), monotonic() + SETTLE_TIMEOUT_S
    # The journal is read from the file and then from the stream; nothing may move between the two meanwhile.
    while (live := store.live_chains()) or store.journal_length():
        if monotonic() > deadline_s:
            text = f"{len(live)} chains are still at work, {store.journal_length()} journal entries are not in the file"
            raise CommandError(CommandCode.WRONG_STATE, f"Cannot audit: {text}", {"live_chains": len(live)})
        spiller.spill()
        pause(SETTLE_POLL_S)
    before = store.all_counts(0.0).operations
    result = run_audit(runtime, journal_path=path, settle_timeout_s=SETTLE_POLL_S)
    _refuse_movement(runtime)
    if store.all_counts(0.0).operations != before:
        raise CommandError(CommandCode.WRONG_STATE, "Cannot audit: something was submitted while the audit read")
    return result


def _refuse_movement(runtime: Runtime) -> None:
    seen = runtime.store.overview()
    if seen.recovering:
        raise CommandError(CommandCode.WRONG_STATE, "Cannot audit: the books are being recovered")
    if seen.running:
        text = f"Cannot audit: {seen.running} threads are running; stop them first"
        raise CommandError(CommandCode.WRONG_STATE, text, {"running": seen.running})


def summary(result: AuditResult, *, duration_ms: int, finished_ms: int) -> dict[str, Any]:
    """What run_audit answers; ``verdict`` "pass" or "fail"."""
    violated = sum(result.violated.values())
    passed = not violated and not result.unexplained_units and not result.unexplained_lamports
    return {
        "verdict": "pass" if passed else "fail",
        "checks": result.checks,
        "checks_by_name": result.by_check,
        "violation_count": violated,
        "violations": result.violations[:LISTED],
        "unexplained_units": result.unexplained_units,
        "unexplained_lamports": result.unexplained_lamports,
        "notes": result.notes,
        "duration_ms": duration_ms,
        "finished_at": datetime.fromtimestamp(finished_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Auditors:
    """The supervisor's part: a process is started when an audit is asked for and none is under way here."""

    def __init__(self, store: RedisStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = -RESTART_S

    def look(self) -> None:
        """Safe to call in every sweep: one small read of Redis."""
        under_way = self._process is not None and self._process.poll() is None
        if under_way or monotonic() < self._started_s + RESTART_S or not self._store.requested_audits():
            return
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("FRT_")}
        self._process = subprocess.Popen([sys.executable, "-m", __name__], env=kept | self._settings.to_env())
        self._started_s = monotonic()

    def close(self) -> None:
        """End the process; its audit is asked for still, and another supervisor takes it up."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def main() -> None:
    settings = load(os.environ)
    configure_logging(settings)
    with closing(build_runtime(settings)) as runtime:
        answer_audits(runtime, Event().wait)


if __name__ == "__main__":
    main()
