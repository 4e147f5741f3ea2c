"""The report as data (DESIGN.md 13): built from what a run left behind, judged, checked against its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
from jsonschema.exceptions import best_match

from domain.audit_findings import AuditResult
from domain.cycle import COMPUTE_UNITS
from domain.errors import StressError
from domain.store.counts import REPORTED_KINDS, Counts
from domain.store.histogram import bucket_top, percentile
from domain.thresholds import Figure, Judged, judge
from ops.figures import Closing, all_figures, live_figures
from ops.report.books import Books
from ops.scenario import Scenario

VERSION: Final = 1
SCHEMA: Final = Path(__file__).with_name("report.schema.json")
LISTED_FAULTS: Final = 200
#: What is requested for each kind; probes differ (they send whatever must be refused).
COMPUTE_LIMITS: Final = {
    "deposit": COMPUTE_UNITS,
    "withdrawal": COMPUTE_UNITS,
    "swap": COMPUTE_UNITS,
    "share": 200_000,
    "refill": 200_000,
}


class Verdict(StrEnum):
    """How a run ended, and with it the exit code."""

    PASS = "pass"  # noqa: S105  # not a password
    FAIL = "fail"
    ERROR = "error"  # it could not be carried out


class ReportError(StressError):
    """The report does not fit its own schema: a mistake of ours, never of the program under test."""


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """Everything a run left. Without ``books`` it never got to its load; ``error`` says what stopped it."""

    scenario: Scenario
    seed: int
    started_at: str  # ISO 8601, UTC
    duration_s: float = 0.0
    error: str = ""
    total: Counts = field(default_factory=Counts)
    measured: Counts = field(default_factory=Counts)
    books: Books | None = None
    audit: AuditResult | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)
    fault_count: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    aborted: str = ""
    unsettled: list[str] = field(default_factory=list)
    pool_names: Mapping[str, str] = field(default_factory=dict)  # pool id -> name in the scenario
    series: list[dict[str, Any]] = field(default_factory=list)
    load_began_s: float = 0.0  # in the series' time
    window_s: tuple[float, ...] = ()  # begin and end of the time at full load, in the series' time
    environment: dict[str, Any] = field(default_factory=dict)


def build(record: RunRecord) -> dict[str, Any]:
    """The document. ``verdict`` "error" when the run could not be carried out, "fail" with every reason, or "pass"."""
    figures = figures_of(record)
    judged = [judge(rule, figures) for rule in record.scenario.rules()]
    reasons = _reasons(record, judged)
    verdict = Verdict.ERROR if record.error else Verdict.FAIL if reasons else Verdict.PASS
    books = record.books or Books()
    return {
        "version": VERSION,
        "verdict": verdict.value,
        "reasons": [record.error, *reasons] if record.error else reasons,
        "seed": record.seed,
        "scenario": record.scenario.described() | {"threads": record.scenario.threads},
        "started_at": record.started_at,
        "duration_s": round(record.duration_s, 3),
        "cycles": {kind: _cycles(record.total, kind) for kind in REPORTED_KINDS},
        "operations": {kind: books.kinds[kind].to_json() for kind in REPORTED_KINDS},
        "errors": dict(sorted(record.total.errors.items())),
        "waits": dict(sorted(record.total.waits.items())),
        "throughput": {name: _number(figures[name]) or 0.0 for name in ("cycles_per_s", "tx_per_s")},
        "lateness_ms": {name: figures[f"lateness_{name}_ms"] for name in ("p50", "p90", "p99", "max")},
        "confirm_ms": {name: figures[f"confirm_{name}_ms"] for name in ("p50", "p90", "p99", "max")},
        "compute_units": {kind: _compute(record.total, kind) for kind in REPORTED_KINDS},
        "audit": _audit(record.audit),
        "faults": {"count": record.fault_count, "by_check": dict(record.total.faults), "listed": record.faults},
        "pools": _pools(books, record.pool_names),
        "threads": books.threads,
        "steps": record.steps,
        "thresholds": [_threshold(one) for one in judged],
        "figures": {name: _number(value) for name, value in sorted(figures.items())},
        "series": record.series,
        "environment": record.environment,
    }


def figures_of(record: RunRecord) -> dict[str, Figure | None]:
    """Every figure that a threshold may name."""
    audit, books = record.audit, record.books
    closing = Closing(
        violations=None if audit is None else len(audit.violations) + record.fault_count,
        unexplained_units=None if audit is None else audit.unexplained_units,
        unexplained_lamports=None if audit is None else audit.unexplained_lamports,
        open_operations=None if books is None else books.open_operations,
        threads_in_error=0 if books is None else books.threads.get("error", 0),
        steps_failed=sum(1 for step in record.steps if not step["ok"]),
        idle_kinds=None if books is None else books.idle_kinds,
    )
    return all_figures(live_figures(record.total, record.measured, record.scenario.threads), closing)


def _reasons(record: RunRecord, judged: list[Judged]) -> list[str]:
    """Why a run fails: thresholds, and what no scenario can excuse."""
    if record.error and record.books is None:
        return []  # it never got that far
    reasons = [f"threshold {one.threshold.text}: {_shown(one.value)}" for one in judged if not one.ok]
    if record.fault_count:
        checks = ", ".join(f"{name} x{count}" for name, count in sorted(record.total.faults.items()))
        reasons.append(f"{record.fault_count} faults: {checks or 'see faults'}")
    reasons += [
        f"step at {step['at_s']} s: {step['title']}: {step['detail']}" for step in record.steps if not step["ok"]
    ]
    if record.aborted:
        reasons.append(f"aborted by the rule {record.aborted}")
    if record.unsettled:
        reasons.append(f"{len(record.unsettled)} chains did not come to an end: {', '.join(record.unsettled[:5])}")
    if record.books is not None:
        reasons += [f"books: {kind} operations are not the sum of their outcomes" for kind in record.books.unbalanced()]
    audit = record.audit
    if audit is None:
        return reasons if record.error else [*reasons, "the closing audit did not take place"]
    if audit.violations:
        names = sorted({str(violation.get("id") or violation.get("check")) for violation in audit.violations})
        reasons.append(f"{len(audit.violations)} violations in the audit: {', '.join(names)}")
    for name, amount in (("units", audit.unexplained_units), ("lamports", audit.unexplained_lamports)):
        if amount:
            reasons.append(f"{amount} unexplained {name}")
    return reasons


def _cycles(total: Counts, kind: str) -> dict[str, int]:
    events = ("started", "superseded", "revived")
    return {event: total.cycles.get(f"{kind}.{event}", 0) for event in events}


def _compute(total: Counts, kind: str) -> dict[str, int | None]:
    buckets = total.cu.get(kind, {})
    return {
        "max": bucket_top(max(buckets)) if buckets else None,
        "p50": percentile(buckets, 50),
        "limit": COMPUTE_LIMITS.get(kind),
    }


def _audit(audit: AuditResult | None) -> dict[str, Any]:
    if audit is None:
        return {"checks": 0, "violations": [], "unexplained_units": None, "unexplained_lamports": None, "notes": []}
    return {
        "checks": audit.checks,
        "violations": audit.violations,
        "unexplained_units": audit.unexplained_units,
        "unexplained_lamports": audit.unexplained_lamports,
        "notes": audit.notes,
    }


def _pools(books: Books, names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": names.get(pool_id, ""),
            "pool_id": pool_id,
            "decimals": [entry.pool.decimals_a, entry.pool.decimals_b],
            "ratio": [entry.pool.ratio_a, entry.pool.ratio_b],
            "exact_exchange": entry.pool.exact_exchange,
            "threads": entry.threads,
            "confirmed": entry.confirmed,
        }
        for pool_id, entry in books.pools.items()
    ]


def _threshold(one: Judged) -> dict[str, Any]:
    return {
        "name": one.threshold.name,
        "limit": f"{one.threshold.comparison} {one.threshold.limit}",
        "value": _number(one.value),
        "ok": one.ok,
    }


def _number(value: Figure | None) -> int | float | None:
    """A JSON number; whole ones stay whole."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return round(float(value), 6)


def _shown(value: Decimal | None) -> str:
    return "there is no value" if value is None else f"it is {_number(value)}"


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


def check_schema(document: Mapping[str, Any]) -> None:
    """Raises ReportError that names the place where the document leaves its schema."""
    error = best_match(_validator().iter_errors(document))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path)
        raise ReportError(f"report: {place}: {error.message}")
