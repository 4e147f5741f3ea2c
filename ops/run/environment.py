"""Where and with what a run took place: enough to compare two reports."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from domain.store.counts import REPORTED_KINDS
from ops.plan import WorkerPlan
from ops.report.document import RunRecord
from ops.stack import Stack
from tasks.runtime import Runtime

PACKAGES: Final = ("celery", "kombu", "redis", "solders", "solana", "frt-stress")


def describe(stack: Stack, runtime: Runtime, record: RunRecord, plan: WorkerPlan) -> dict[str, Any]:
    """Plain JSON data without secrets. ``load_began_s`` is the position of the load's start in the series."""
    settings = runtime.settings
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "nodes": len(plan.nodes),
        "worker_slots": plan.slots,
        "worker_pool": settings.worker_pool,
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "local_chain": settings.local_chain,
        "slot_ms": record.scenario.slot_ms if settings.local_chain else None,
        "program_id": settings.program_id,
        "rpc_urls": settings.safe_dump()["rpc_urls"],
        "started_again": {name: count for name, count in stack.restarts().items() if count},
        "log_errors": _log_errors(stack.log_directory),
        "cpu_us_per_cycle": _cpu_per_cycle(record),
        "load_began_s": round(record.load_began_s, 2),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _log_errors(directory: Path) -> dict[str, int]:
    """Lines that a process logged as an error, by log file: nothing of ours should."""
    found = {}
    for path in sorted(directory.glob("*.log")):
        with path.open(encoding="utf-8", errors="replace") as lines:
            count = sum(1 for line in lines if '"level": "error"' in line or '"level": "critical"' in line)
        if count:
            found[path.name] = count
    return found


def _cpu_per_cycle(record: RunRecord) -> dict[str, int]:
    """Microseconds of processor time per cycle by role, at full load."""
    cycles = record.measured.cycles_of(REPORTED_KINDS)
    inside = [row for row in record.series if record.window_s and record.window_s[0] <= row["t"] <= record.window_s[1]]
    if not cycles or len(inside) < 2:
        return {}
    first, last = inside[0], inside[-1]
    # The rows lie within the window; what they span is a little less than what was counted.
    cycles_between = cycles * (last["t"] - first["t"]) / (record.window_s[1] - record.window_s[0])
    used = {role: last["cpu_s"][role] - first["cpu_s"].get(role, 0.0) for role in last["cpu_s"]}
    return {role: round(seconds * 1_000_000 / cycles_between) for role, seconds in used.items()}
