"""What the live page shows of one moment, made of an overview and what was counted before. Pure.

Amounts are decimal text: they go beyond what a script's numbers hold. Times are Redis milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from domain.ids import PoolId
from domain.observed import ObservedPool
from domain.pool import Pool
from domain.ratio import ratio_display
from domain.store.counts import LANDED, OUTCOMES, REPORTED_KINDS, Counts
from domain.store.overview import Overview

LISTED: Final = 50  # names of errors, waits and checks
SILENT_MS: Final = 10_000  # a supervisor that swept nothing for so long is down; it sweeps twice a second
STALE_MS: Final = 30_000  # what was asked of the chain longer ago is shown as old
LATE_MS: Final = 5_000  # a chain due for so long waits for more than its turn

RATES: Final = (*REPORTED_KINDS, "transactions", "cycles")

#: One point of the history; ``COLUMNS`` names its places.
COLUMNS: Final = (
    "at_ms",
    *(f"{name}_per_s" for name in RATES),
    "lateness_p50_ms",
    "lateness_p99_ms",
    "confirm_p50_ms",
    "confirm_p99_ms",
    "created",
    "running",
    "stopped",
    "error",
)
POOL_COLUMNS: Final = ("at_ms", "liquidity_a", "liquidity_b", "surplus")

Document = dict[str, Any]


def snapshot(seen: Overview, lately: Counts, observed: Mapping[PoolId, ObservedPool]) -> Document:
    """``lately``: what the last few seconds brought, ``at_s`` their length."""
    counts, beat = seen.counts, seen.heartbeat
    return {
        "at_ms": seen.at_ms,
        "verdict": verdict(seen),
        "notices": notices(seen),
        "paused": seen.paused,
        "run": {name: seen.run[name] for name in ("seed", "started_at_ms") if name in seen.run},
        "epoch": seen.epoch,
        "threads": seen.states(),
        "operations": {kind: _outcomes(counts, kind) for kind in REPORTED_KINDS},
        "in_flight": counts.in_flight,
        "rates": {
            "cycles": _per_s(lately.cycles_of(REPORTED_KINDS), lately),
            "transactions": _per_s(lately.operations_of(REPORTED_KINDS, LANDED), lately),
            **{kind: _per_s(lately.operations_of((kind,), ("confirmed",)), lately) for kind in REPORTED_KINDS},
        },
        "lateness_ms": {"p50": lately.lateness_ms(50), "p99": lately.lateness_ms(99)},
        "confirm_ms": {"p50": lately.confirm_ms(50), "p99": lately.confirm_ms(99)},
        "checks": sum(counts.checks.values()) + sum(counts.probes.values()),
        "errors": _largest(counts.failures),
        "refusals": sum(counts.refusals.values()),
        "waits": _largest(counts.waits),
        "faults": {"count": seen.fault_count, "by_check": _largest(counts.faults)},
        "outside": sum(counts.outside.values()),
        "revived": counts.revived,
        "dropped": counts.dropped,
        "refused": counts.refused,
        "queues": dict(seen.queues),
        "journal": seen.journal_length,
        "chains": {"live": seen.live_chains, "overdue_ms": seen.overdue_ms},
        "outbox": seen.outbox_entries,
        "commands": {"open": seen.open_commands, "oldest_ms": seen.oldest_command_ms},
        "core": {
            "lamports": None if beat.core_lamports is None else str(beat.core_lamports),
            "asked_ms": beat.core_asked_ms,
            "reserved": str(seen.core_reserved_lamports),
        },
        "endpoints": [asdict(endpoint) for endpoint in beat.endpoints],
        "pools": [
            {"id": each.pool_id, "running": each.running, "outbox": each.outbox, "low": each.low}
            | _amounts(observed.get(each.pool_id))
            for each in seen.pools
        ],
    }


def verdict(seen: Overview) -> Document:
    """``state``: "fail" with reasons, "pass" so far, or "idle" while nothing was ever submitted."""
    counts = seen.counts
    reasons = []
    if seen.fault_count:
        named = ", ".join(f"{name} x{count}" for name, count in _largest(counts.faults))
        reasons.append(f"{_many(seen.fault_count, 'fault')}{': ' if named else ''}{named}")
    unexpected = counts.operations_of(REPORTED_KINDS, ("failed_unexpected",))
    if unexpected:
        reasons.append(_many(unexpected, "unexpected failure"))
    stopped = seen.states()["error"]
    if stopped:
        reasons.append(f"{_many(stopped, 'thread')} in error")
    active = any(name.endswith(".submitted") for name in counts.operations)
    return {"state": "fail" if reasons else "pass" if active else "idle", "reasons": reasons}


def notices(seen: Overview) -> list[str]:
    """What an operator should look into, in words."""
    beat, found = seen.heartbeat, []
    if seen.recovering:
        found.append("Redis lost data: the books are being compared with the chain, no thread runs meanwhile")
    if seen.paused:
        found.append("The service is paused: open operations settle, nothing new is submitted")
    if beat.swept_ms and seen.at_ms - beat.swept_ms > SILENT_MS:
        found.append(f"The supervisor has been silent for {(seen.at_ms - beat.swept_ms) // 1000} s")
    found += [
        f"The endpoint {endpoint.endpoint} does not answer: {endpoint.error or 'no reason given'}"
        for endpoint in beat.endpoints
        if not endpoint.ok
    ]
    if seen.overdue_ms > LATE_MS:
        found.append(f"The earliest chain has been due for {seen.overdue_ms // 1000} s: are the cycle workers up?")
    if seen.oldest_command_ms > STALE_MS:
        found.append(f"A command has been open for {seen.oldest_command_ms // 1000} s: is the control worker up?")
    if beat.core_asked_ms and seen.at_ms - beat.core_asked_ms > STALE_MS:
        found.append(f"The core wallet's balance was last read {(seen.at_ms - beat.core_asked_ms) // 1000} s ago")
    return found


def point(shown: Document) -> list[Any]:
    """One row of the history, as COLUMNS names it."""
    rates = [shown["rates"][name] for name in RATES]
    delays = [shown[name][part] for name in ("lateness_ms", "confirm_ms") for part in ("p50", "p99")]
    return [shown["at_ms"], *rates, *delays, *(shown["threads"][state] for state in COLUMNS[-4:])]


def pool_constants(pools: Sequence[Pool]) -> list[Document]:
    """What never changes about the pools, sent once."""
    return [
        {
            "id": pool.pool_id,
            "decimals": [pool.decimals_a, pool.decimals_b],
            "ratio": ratio_display(pool.ratio_a, pool.ratio_b, pool.decimals_a, pool.decimals_b),
            "exact_exchange": pool.exact_exchange,
            "probe_only": pool.probe_only,
        }
        for pool in pools
    ]


def _amounts(seen: ObservedPool | None) -> Document:
    """No field at all for what no cycle has seen yet: unknown is not zero."""
    return {} if seen is None else {name: str(value) for name, value in asdict(seen).items()}


def _outcomes(counts: Counts, kind: str) -> dict[str, int]:
    return {name: counts.operations_of((kind,), (name,)) for name in ("submitted", *OUTCOMES)}


def _per_s(count: int, lately: Counts) -> float | None:
    return round(count / lately.at_s, 2) if lately.at_s > 0 else None


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:LISTED]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
