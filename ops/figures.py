"""The figures that thresholds and abort rules may name, and how each follows from what was counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from domain.probes_catalogue import BY_NAME
from domain.store.counts import LANDED, OUTCOMES, REPORTED_KINDS, THREAD_KINDS, Counts
from domain.thresholds import Figure

MEAN_COUNTDOWN_S: Final = 1.375  # of 750 .. 2000 ms, uniform
USUAL_COUNTDOWN_MS: Final = (750, 2_000)

_MEASURED: Final = frozenset(
    {
        "cycles_per_s",
        "thread_cycles_per_s",
        "tx_per_s",
        "confirmed_per_s",
        "cadence",
        "submit_rate",
        "expected_failure_rate",
        "unexpected_failure_rate",
        "expired_rate",
        *(f"lateness_{name}_ms" for name in ("p50", "p90", "p99", "max")),
        *(f"confirm_{name}_ms" for name in ("p50", "p90", "p99", "max")),
    }
)
_COUNTED: Final = frozenset(
    {
        "faults",
        "checks",
        "revived",
        "dropped",
        "refused",
        "failed_unexpected",
        "expired",
        "recovered",
        "probes_covered",
        *(f"{kind}_cycles" for kind in REPORTED_KINDS),
        *(f"{kind}_confirmed" for kind in REPORTED_KINDS),
    }
)
_CLOSED: Final = frozenset(
    {
        "violations",
        "unexplained_units",
        "unexplained_lamports",
        "open_operations",
        "threads_in_error",
        "steps_failed",
        "idle_kinds",
    }
)
#: What an abort rule may name: known while the run goes on.
LIVE_FIGURES: Final = _MEASURED | _COUNTED
#: What a threshold may name.
FIGURES: Final = LIVE_FIGURES | _CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What only the end of a run can tell; None where it is not known."""

    violations: int | None  # of the audit, and every fault
    unexplained_units: int | None
    unexplained_lamports: int | None
    open_operations: int | None
    threads_in_error: int
    steps_failed: int
    idle_kinds: int | None  # (pool, kind) pairs with threads and without a confirmed operation


def live_figures(
    total: Counts, measured: Counts, threads: int, mean_countdown_s: float = MEAN_COUNTDOWN_S
) -> dict[str, Figure | None]:
    """``total``: since the start; ``measured``: the difference over the time at full load, ``at_s`` its length.

    cadence: thread cycles per second against threads / mean countdown. submit_rate: share of thread cycles that
    submitted. Failure rates: of the operations of threads that ended.
    """
    seconds = measured.at_s
    cycles = measured.cycles_of(THREAD_KINDS)
    ended = measured.operations_of(THREAD_KINDS, OUTCOMES)

    def per_second(count: int) -> Figure | None:
        return None if seconds <= 0 else count / seconds

    def rate(outcome: str) -> Figure | None:
        return _ratio(measured.operations_of(THREAD_KINDS, (outcome,)), ended)

    figures: dict[str, Figure | None] = {
        "cycles_per_s": per_second(measured.cycles_of(REPORTED_KINDS)),
        "thread_cycles_per_s": per_second(cycles),
        "tx_per_s": per_second(measured.operations_of(REPORTED_KINDS, LANDED)),
        "confirmed_per_s": per_second(measured.operations_of(THREAD_KINDS, ("confirmed",))),
        "cadence": None if seconds <= 0 or not threads else cycles / seconds * mean_countdown_s / threads,
        "submit_rate": _ratio(sum(measured.acted.values()), cycles),
        "expected_failure_rate": rate("failed_expected"),
        "unexpected_failure_rate": rate("failed_unexpected"),
        "expired_rate": rate("expired"),
        "faults": sum(total.faults.values()),
        "checks": sum(total.checks.values()),
        "revived": total.revived,
        "dropped": total.dropped,
        "refused": total.refused,
        "failed_unexpected": total.operations_of(REPORTED_KINDS, ("failed_unexpected",)),
        "expired": total.operations_of(REPORTED_KINDS, ("expired",)),
        "recovered": total.operations_of(REPORTED_KINDS, ("recovered",)),
        "probes_covered": _probes_covered(total),
    }
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)):
        figures[f"lateness_{name}_ms"] = measured.lateness_ms(percent)
        figures[f"confirm_{name}_ms"] = measured.confirm_ms(percent)
    for kind in REPORTED_KINDS:
        figures[f"{kind}_cycles"] = total.cycles_of((kind,))
        figures[f"{kind}_confirmed"] = total.operations_of((kind,), ("confirmed",))
    return figures


def _probes_covered(total: Counts) -> Decimal | None:
    """Share of the catalogue that ran and was judged good at least once; a starved run shows here.

    What this chain and these pools never allowed (administration without authority) is no part of it.
    """
    skipped = {name.partition(":")[0] for name in total.probes_skipped}
    possible = [name for name in BY_NAME if name in total.probes or name not in skipped]
    return _ratio(sum(name in total.probes for name in possible), len(possible))


def all_figures(live: Mapping[str, Figure | None], closing: Closing) -> dict[str, Figure | None]:
    """Every figure that a threshold may name."""
    return {
        **live,
        "violations": closing.violations,
        "unexplained_units": closing.unexplained_units,
        "unexplained_lamports": closing.unexplained_lamports,
        "open_operations": closing.open_operations,
        "threads_in_error": closing.threads_in_error,
        "steps_failed": closing.steps_failed,
        "idle_kinds": closing.idle_kinds,
    }


def _ratio(part: int, whole: int) -> Decimal | None:
    """Exact enough to compare with a written limit; None of nothing."""
    return Decimal(part) / Decimal(whole) if whole else None
