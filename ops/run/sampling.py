"""One sample of the whole service per second: for the live view, the abort rules and the report's charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from domain.store.counts import LANDED, REPORTED_KINDS, THREAD_KINDS, Counts
from domain.store.gateway import RedisStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """``counts`` since the start; ``last`` what the latest interval brought. ``cpu_s`` by role since the start."""

    at_s: float
    counts: Counts
    last: Counts
    threads: Mapping[str, int]
    cpu_s: Mapping[str, float]

    def row(self) -> dict[str, Any]:
        """One point of the report's series."""
        seconds = max(self.last.at_s, 1e-9)
        ended = self.last.operations_of(THREAD_KINDS, ("confirmed", "failed_expected", "failed_unexpected"))
        failed = self.last.operations_of(THREAD_KINDS, ("failed_expected", "failed_unexpected"))
        return {
            "t": round(self.at_s, 2),
            "cycles_per_s": round(self.last.cycles_of(REPORTED_KINDS) / seconds, 2),
            "tx_per_s": round(self.last.operations_of(REPORTED_KINDS, LANDED) / seconds, 2),
            "confirmed_per_s": {
                kind: round(self.last.operations_of((kind,), ("confirmed",)) / seconds, 2) for kind in REPORTED_KINDS
            },
            "failed_share": round(failed / ended, 4) if ended else 0.0,
            "lateness_p50_ms": self.last.lateness_ms(50),
            "lateness_p99_ms": self.last.lateness_ms(99),
            "confirm_p50_ms": self.last.confirm_ms(50),
            "confirm_p99_ms": self.last.confirm_ms(99),
            "threads": dict(self.threads),
            "faults": sum(self.counts.faults.values()),
            "revived": self.counts.revived,
            "cpu_s": {role: round(used, 3) for role, used in self.cpu_s.items()},
        }


@dataclass(slots=True)
class Usage:
    """Processor time of the children by role, kept when one of them dies and is started again."""

    _last: dict[int, float] = field(default_factory=dict)
    _by_role: dict[str, float] = field(default_factory=dict)

    def read(self, pids: Mapping[str, list[int]]) -> dict[str, float]:
        """Seconds of user and system time so far, a child's own children included."""
        for role, numbers in pids.items():
            for pid in numbers:
                used = _cpu_s(pid)
                if used is None:
                    continue
                self._by_role[role] = self._by_role.get(role, 0.0) + max(0.0, used - self._last.get(pid, 0.0))
                self._last[pid] = used
        return dict(self._by_role)


def _cpu_s(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = [member.cpu_times() for member in family]
    except psutil.Error:
        return None
    return sum(time.user + time.system for time in times)


class Sampler:
    """Reads samples and keeps them all: one row per second is small for any run."""

    def __init__(self, store: RedisStore, began_s: float) -> None:
        self._store = store
        self._began_s = began_s
        self._usage = Usage()
        self.samples: list[Sample] = []

    def take(self, now_s: float, pids: Mapping[str, list[int]]) -> Sample:
        """Raises StoreUnavailable."""
        overview = self._store.overview()
        counts = replace(overview.counts, at_s=now_s)
        before = self.samples[-1] if self.samples else None
        sample = Sample(
            at_s=now_s - self._began_s,
            counts=counts,
            last=counts.since(before.counts if before else Counts(at_s=self._began_s)),
            threads=overview.states(),
            cpu_s=self._usage.read(pids),
        )
        self.samples.append(sample)
        return sample
