"""Counters of the whole service at one moment, their differences, and what can be read from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.chains import ChainKind
from domain.store.histogram import merged, percentile

THREAD_KINDS: Final = ("deposit", "withdrawal", "swap")
REPORTED_KINDS: Final = (*THREAD_KINDS, "share", "refill", "probe")
OUTCOMES: Final = ("confirmed", "failed_expected", "failed_unexpected", "expired", "recovered")
LANDED: Final = ("confirmed", "failed_expected", "failed_unexpected", "recovered")
DROPPED: Final = ("superseded", "busy", "stopped", "epoch")
PROVOKED: Final = "probe."  # begins the names of errors that probes are there to bring about

Histogram = Mapping[str, Mapping[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Cumulative since the service's start. Fields as the workers count them ("deposit.confirmed").

    Histograms: kind -> bucket (histogram.py) -> count; milliseconds, ``cu`` compute units.
    """

    at_s: float = 0.0  # a clock of the reader
    cycles: Mapping[str, int] = field(default_factory=dict)
    operations: Mapping[str, int] = field(default_factory=dict)
    acted: Mapping[str, int] = field(default_factory=dict)
    waits: Mapping[str, int] = field(default_factory=dict)
    checks: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    outside: Mapping[str, int] = field(default_factory=dict)
    probes: Mapping[str, int] = field(default_factory=dict)  # by name, those judged good
    probes_skipped: Mapping[str, int] = field(default_factory=dict)  # could not be made there and then
    lateness: Histogram = field(default_factory=dict)
    confirm: Histogram = field(default_factory=dict)
    cu: Histogram = field(default_factory=dict)

    def since(self, earlier: Counts) -> Counts:
        """What happened between the two moments; ``at_s`` becomes the seconds between them."""
        found: dict[str, Any] = {name: _minus(getattr(self, name), getattr(earlier, name)) for name in PLAIN}
        found |= {name: _nested_minus(getattr(self, name), getattr(earlier, name)) for name in HISTOGRAMS}
        return Counts(at_s=self.at_s - earlier.at_s, **found)

    def cycles_of(self, kinds: tuple[str, ...], event: str = "started") -> int:
        return sum(self.cycles.get(f"{kind}.{event}", 0) for kind in kinds)

    def operations_of(self, kinds: tuple[str, ...], outcomes: tuple[str, ...]) -> int:
        return sum(self.operations.get(f"{kind}.{outcome}", 0) for kind in kinds for outcome in outcomes)

    @property
    def failures(self) -> dict[str, int]:
        """Errors by name, without those that probes provoked."""
        return {name: count for name, count in self.errors.items() if not name.startswith(PROVOKED)}

    @property
    def refusals(self) -> dict[str, int]:
        """What probes provoked, by name."""
        return {name.removeprefix(PROVOKED): count for name, count in self.errors.items() if name.startswith(PROVOKED)}

    @property
    def in_flight(self) -> int:
        """Operations that were submitted and have no outcome yet."""
        ended = sum(count for name, count in self.operations.items() if name.rpartition(".")[2] in OUTCOMES)
        submitted = sum(count for name, count in self.operations.items() if name.endswith(".submitted"))
        return submitted - ended

    @property
    def revived(self) -> int:
        return sum(count for name, count in self.cycles.items() if name.endswith(".revived"))

    @property
    def dropped(self) -> int:
        """Deliveries that ended at their begin: twins, zombies, messages of stopped chains."""
        return sum(count for name, count in self.cycles.items() if name.rpartition(".")[2] in DROPPED)

    @property
    def refused(self) -> int:
        """Commits that came too late."""
        return sum(count for name, count in self.cycles.items() if ".refused_" in name)

    def lateness_ms(self, percent: int) -> int | None:
        """Over every cycle but the commands'."""
        cycles = [buckets for kind, buckets in self.lateness.items() if kind != ChainKind.COMMAND.value]
        return percentile(merged(*cycles), percent)

    def confirm_ms(self, percent: int) -> int | None:
        return percentile(merged(*self.confirm.values()), percent)


_COUNTERS: Final = ("cycles", "operations", "acted", "waits", "checks", "errors", "faults", "outside")
#: The counters and histograms by the name of their hash in Redis, which is the name of the field.
PLAIN: Final = (*_COUNTERS, "probes", "probes_skipped")
HISTOGRAMS: Final = ("lateness", "confirm", "cu")


def _minus(later: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    return {name: count - earlier.get(name, 0) for name, count in later.items() if count != earlier.get(name, 0)}


def _nested_minus(later: Histogram, earlier: Histogram) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for key, buckets in later.items():
        before = earlier.get(key, {})
        difference = {bucket: count - before.get(bucket, 0) for bucket, count in buckets.items()}
        found[key] = {bucket: count for bucket, count in difference.items() if count}
    return found
